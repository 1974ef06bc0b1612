"""How two trees differ, each in a file or alive."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
from numpy.typing import NDArray

from .._arrays import records
from .._arrays.distance import difference, same_bytes
from .._errors import (
    CorruptFileError,
    check_numbers,
    list_of_text,
    resources_for,
    shown,
)
from .._evolution.packages import Difference, changes_between, script_of
from .._files.checkpoint import is_file, opened
from .._jax import without_tracing
from .._structure.globs import Position, start_of_texts
from .._structure.nodes import Node, Structure
from .._structure.pairing import NameHere, Pair, Side, fingerprint, pairs
from .._structure.paths import Path, label_in, label_of, step_of
from .._tree.locate import locate, names_here
from .._tree.restore import logical
from .._trust.judge import Judge
from .items import notation


@dataclass(frozen=True)
class Change:
    """One place at which two trees differ.

    Attributes
    ----------
    path : str
        Where.
    what : {"added", "removed", "changed"}
        What has become of it from the first tree to the second.
    before, after : str or None
        What is there, in few words.
    largest, relative : float or None
        Of two arrays of one shape: the largest difference of two numbers, and the
        largest in proportion to the greater of them; None if they have none.
    """

    path: str
    what: str
    before: str | None = None
    after: str | None = None
    largest: float | None = None
    relative: float | None = None

    def __str__(self) -> str:
        """One line, as `zodiax-io diff` prints it."""
        if self.what != "changed":
            sign, told = (
                ("+", self.after) if self.what == "added" else ("-", self.before)
            )
            return f"{sign} {self.path}: {told}"
        if self.before != self.after:
            return f"~ {self.path}: {self.before} -> {self.after}"
        if not self.largest:
            return f"~ {self.path}: {self.before}, other bytes"
        return (
            f"~ {self.path}: {self.before}, by {self.largest:.3g} at most"
            f" ({self.relative:.2g} relative)"
        )


@dataclass(frozen=True, repr=False)
class Diff:
    """How two trees differ; false if they do not.

    Attributes
    ----------
    changes : tuple of Change
        In the order of the trees.
    versions : tuple of Difference
        Packages, and settings of JAX, that are others in the second file than in the
        first.
    """

    changes: tuple[Change, ...] = ()
    versions: tuple[Difference, ...] = ()

    def __repr__(self) -> str:
        """The list, as at a prompt somebody wants to see it."""
        return str(self) or "no difference"

    def __bool__(self) -> bool:
        """Whether there is a change; other versions are none."""
        return bool(self.changes)

    def __str__(self) -> str:
        """A line for each change, and for each package."""
        versions = [
            f"  {shown(d.package)}: {shown(d.file)} -> "
            + ("not recorded" if d.here is None else shown(d.here))
            for d in self.versions
        ]
        return "\n".join([*map(str, self.changes), *versions])

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "changes": [_finite(vars(change)) for change in self.changes],
            "versions": [vars(difference) for difference in self.versions],
        }


def _finite(told: dict[str, Any]) -> dict[str, Any]:
    """For JSON, which knows no infinity."""
    odd = [name for name, value in told.items() if value in (math.inf, -math.inf)]
    return told | {name: str(told[name]) for name in odd}


@resources_for("compare the two")
@without_tracing()
def diff(
    a: Any, b: Any, *, ignore: Sequence[str] = (), atol: float = 0.0, rtol: float = 0.0
) -> Diff:
    """How two trees differ: what was added, removed, changed, and by how much.

    Nothing that a file names is imported; arrays are read one after another.

    Parameters
    ----------
    a, b : str, path, binary file or pytree
        Two checkpoints, two trees that are alive, or one of each. Text is a path.
    ignore : sequence of str, optional
        Globs of paths that may differ, with all below them: ``"**.count"``. They are
        written as those of ``only=`` in `deserialise`.
    atol, rtol : float, default 0
        Numbers `x` and `y` are the same if ``|x - y| <= atol + rtol * |y|``, in arrays
        and alone. Without, they are the same only bit for bit.

    Returns
    -------
    Diff
        False if nothing differs; printed, it is a list.

    Raises
    ------
    ArgumentError
        If a tolerance is negative or not a number, or a glob is not a path.
    ZodiaxIOError
        If a file cannot be understood, or an array of it is damaged.

    Notes
    -----
    What no file can hold (a lambda, a closure, an object of a plain class, a tracer) is
    the same only if it is the very same object.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> zodiax_io.serialise("fit.zdx", {"bias": jnp.zeros(3), "epoch": 3})
    >>> other = {"bias": jnp.array([0.5, 0.5, 0.5]), "step": 1}
    >>> print(zodiax_io.diff("fit.zdx", other))
    ~ model['bias']: f32[3], by 0.5 at most (1 relative)
    - model['epoch']: 3
    + model['step']: 1
    """
    globs = list_of_text("ignore", ignore, "globs", "**.bias")
    check_numbers(0, atol=atol, rtol=rtol)
    with ExitStack() as stack:
        ours, theirs = (_side(tree, stack) for tree in (a, b))
        changes = tuple(_Walk(ours, theirs, globs, float(atol), float(rtol)))
        versions = tuple(
            changes_between(
                ours.versions, theirs.versions, ours.settings, theirs.settings
            )
        )
    return Diff(changes, versions)


def assert_same(
    a: Any, b: Any, *, ignore: Sequence[str] = (), atol: float = 0.0, rtol: float = 0.0
) -> None:
    """Fail if two trees differ; for tests.

    Parameters
    ----------
    a, b, ignore, atol, rtol : optional
        As for `diff`.

    Raises
    ------
    AssertionError
        With a list of where they differ, and by how much.

    Examples
    --------
    >>> import zodiax_io
    >>> zodiax_io.assert_same({"a": [1.0]}, {"a": [1.0]})
    """
    found = diff(a, b, ignore=ignore, atol=atol, rtol=rtol)
    if found:
        lines = str(found).splitlines()
        more = len(lines) - _MOST
        told = "\n".join(lines[:_MOST] + [f"… and {more} more"] * (more > 0))
        places = "place" if len(found.changes) == 1 else "places"
        raise AssertionError(
            f"the trees differ at {len(found.changes)} {places}:\n{told}"
        )


_MOST = 40


# The two sides ------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class _Side:
    """One of two trees, how to read an array of it, and what no file can keep."""

    structure: Structure
    array: Callable[[Node], NDArray[Any]]
    versions: Mapping[str, str]
    unkept: Mapping[int, Any]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name_here: NameHere = str
    paths: dict[int, str] = field(default_factory=dict[int, str])  # as they are visited
    values: dict[int, bytes] = field(default_factory=dict[int, bytes])  # of the shared

    def value(self, node: Node) -> bytes:
        """The data of a node itself; that of a shared one is packed once."""
        if not node.is_shared:
            return fingerprint(node, self.name_here)
        if id(node) not in self.values:
            self.values[id(node)] = fingerprint(node, self.name_here)
        return self.values[id(node)]


def _side(tree: Any, stack: ExitStack) -> _Side:
    if not is_file(tree):
        found = locate(tree, {})
        return _Side(
            found.structure,
            lambda node: _on_host(found.sources[id(node.plain)]),
            {},
            found.unkept,
        )
    document, reader, name = stack.enter_context(opened(tree))
    structure = Structure.parse(document.tree, columns=False)
    entries = reader.entries(document.records)

    def read(node: Node) -> NDArray[Any]:
        number = node.record
        if number is None or not 0 <= number < len(entries):
            raise CorruptFileError(f"{name} has an array without a record.")
        arrays, faults = reader.read(entries, [number], verify=True)
        if number in faults:
            raise CorruptFileError(f"{name} is damaged: {faults[number]}.")
        try:
            return logical(arrays[number], node)
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptFileError(f"{name} is damaged: {shown(error)}.") from error

    judge = Judge()
    judge.script = script_of(document.settings)
    here = names_here(judge)
    return _Side(structure, read, document.versions, {}, document.settings, here)


def _on_host(array: Any) -> NDArray[Any]:
    if isinstance(array, jax.Array) and jnp.issubdtype(
        array.dtype, jax.dtypes.prng_key
    ):
        array = jr.key_data(array)
    return records.without_padding(records.on_host(array))


# A path is cut where it is shown: all those of a deep tree would take much memory.
_LONGEST = 2048


class _Walk:
    """The changes between two trees, found by walking both side by side."""

    def __init__(
        self, a: _Side, b: _Side, ignore: Sequence[str], atol: float, rtol: float
    ) -> None:
        self.a, self.b = a, b
        self.sides = (
            Side(a.structure.root, a.name_here, flat=False),
            Side(b.structure.root, b.name_here, flat=False),
        )
        self.ignored = start_of_texts(ignore, "model", "ignore")
        self.atol, self.rtol = atol, rtol
        # By the identity of a path, which stays: its text, and how far the globs are.
        self.paths: dict[int, tuple[Path, str, Position]] = {}

    def __iter__(self) -> Iterator[Change]:
        """In the order of the first tree, and what only the second has behind."""
        root = self.a.structure.root.path
        for pair in pairs(*self.sides, root):
            path, position = self._visit(pair.path)
            if position.ends:
                pair.deeper = False
                continue
            text = shown(path, 512)
            if pair.theirs is None or pair.ours is None:
                pair.deeper = False
                here = self._description(pair, self.a)
                there = self._description(pair, self.b)
                what = "removed" if there is None else "added"
                yield Change(text, what, here, there)
                continue
            change = self._compared(pair, path, text, pair.ours, pair.theirs)
            if change is not None:
                yield change

    def _visit(self, path: Path) -> tuple[str, Position]:
        """The text of a path, and the position of the globs, from those above it."""
        above, node, step = path
        if above is None:
            text, position = step, self.ignored
        else:
            _, text, position = self.paths[id(above)]
            text = f"{text}{label_in(node, step)}"[:_LONGEST]
            if label_of(node, step):
                position = position.after(step_of(node, step))
        self.paths[id(path)] = path, text, position
        return text, position

    def _compared(
        self, pair: Pair, path: str, text: str, ours: Node, theirs: Node
    ) -> Change | None:
        """The difference of two nodes; it decides whether to go on below them."""
        pair.deeper = False
        static = tuple(c is not None and c.is_static for c in (pair.mine, pair.yours))
        shares = tuple(c is not None and c.is_again for c in (pair.mine, pair.yours))
        if static[0] != static[1]:
            found = self._change(pair, text)
            before = f"{found.before}{' (static)' * static[0]}"
            after = f"{found.after}{' (static)' * static[1]}"
            return replace(found, before=before, after=after)
        if not shares[0]:
            self.a.paths[id(ours)] = path
        if not shares[1]:
            self.b.paths[id(theirs)] = path
        if ours.kind_name != theirs.kind_name:
            return self._change(pair, text)
        unkept = [
            side.unkept.get(id(node.plain), self)
            for side, node in ((self.a, ours), (self.b, theirs))
        ]
        if self not in unkept:  # two objects that only their identity can tell apart
            return None if unkept[0] is unkept[1] else self._change(pair, text)
        if self.a.value(ours) != self.b.value(theirs):
            if self._are_near(ours, theirs):
                return None
            pair.deeper = not any(shares)
            return self._change(pair, text)
        if ours.kind.array is not None:
            return self._of_arrays(pair, text, ours, theirs)
        if ours.children is None and theirs.children is None:
            return None
        if any(shares):
            return self._of_shared(pair, text, shares, ours, theirs)
        pair.deeper = True
        one, other = self.sides[0].children(ours), self.sides[1].children(theirs)
        if [*one] != [*other] and set(one) == set(other):
            found = self._change(pair, text)
            return replace(found, after=f"{found.after} in another order")
        return None

    def _change(self, pair: Pair, text: str) -> Change:
        before = self._description(pair, self.a)
        after = self._description(pair, self.b)
        if before == after:  # two scripts, each of which was `__main__`
            names = [
                "" if node is None or node.name is None else side.name_here(node.name)
                for side, node in ((self.a, pair.ours), (self.b, pair.theirs))
            ]
            if names[0] != names[1]:
                before, after = (shown(name, 400) for name in names)
        return Change(text, "changed", before, after)

    def _of_shared(
        self,
        pair: Pair,
        text: str,
        shares: tuple[bool, ...],
        ours: Node,
        theirs: Node,
    ) -> Change | None:
        """What is shared is compared at its first path; here, only with what it is."""
        if not all(shares):
            return self._change(pair, text)
        first, second = self.a.paths.get(id(ours)), self.b.paths.get(id(theirs))
        if first == second:
            return None
        first, second = (f"the same as {shown(path, 512)}" for path in (first, second))
        return Change(text, "changed", first, second)

    def _description(self, pair: Pair, side: _Side) -> str | None:
        """What one side has at a path, in few words; None for nothing."""
        is_first = side is self.a
        node = pair.ours if is_first else pair.theirs
        child = pair.mine if is_first else pair.yours
        if node is None:
            return None
        shared = ", shared" * (child is not None and child.is_again)
        if node.kind.array is not None:
            weak = " weak" * (node.plain.get("weak_type") is True)
            return f"{notation(node)[0]}{weak}{shared}"
        value = node.kind.look.value(node.plain)
        name = None if node.name is None else shown(node.name, 400)
        text = " ".join(part for part in (name, value) if part)
        return (text or shown(node.kind_name)) + shared

    def _of_arrays(
        self, pair: Pair, path: str, ours: Node, theirs: Node
    ) -> Change | None:
        x, y = self.a.array(ours), self.b.array(theirs)
        text = self._description(pair, self.a)
        if ours.kind.array == "key":
            return None if same_bytes(x, y) else Change(path, "changed", text, text)
        found = difference(x, y, self.atol, self.rtol)
        if found is None:
            return None
        largest, relative = found
        before, after = text, text
        if x.size == 1 and largest is not None:
            before, after = (f"{text} {shown(array.item(), 40)}" for array in (x, y))
        return Change(path, "changed", before, after, largest, relative)

    def _are_near(self, ours: Node, theirs: Node) -> bool:
        """Whether two plain numbers are within the tolerances, as two arrays may be."""
        x, y = _number(ours), _number(theirs)
        if not (self.atol or self.rtol) or x is None or y is None:
            return False
        return x.dtype == y.dtype and difference(x, y, self.atol, self.rtol) is None


def _number(node: Node) -> NDArray[Any] | None:
    numbers = node.kind.look.numbers
    try:
        return None if numbers is None else numbers(node.plain)
    except (ValueError, TypeError, OverflowError):
        return None
