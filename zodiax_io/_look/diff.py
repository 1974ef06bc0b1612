"""Differences between two trees, each in a file or in memory."""

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
from .._structure.paths import Path, label_in, label_of, short_path, step_of
from .._tree.locate import locate, names_here
from .._tree.restore import logical
from .._trust.judge import Judge
from .items import counted, notation


@dataclass(frozen=True)
class Change:
    """A path at which two trees differ.

    Attributes
    ----------
    path : str
        The path.
    what : {"added", "removed", "changed"}
        Whether only the second tree, only the first or both have a node there.
    before, after : str or None
        A short description of that node in the first tree, and in the second.
    largest, relative : float or None
        For two arrays of equal shape: the largest difference of two elements, and the
        largest relative to the greater of the two; None if they are not numbers.
    """

    path: str
    what: str
    before: str | None = None
    after: str | None = None
    largest: float | None = None
    relative: float | None = None

    def __str__(self) -> str:
        if self.what == "added":
            return f"+ {self.path}: {self.after}"
        if self.what == "removed":
            return f"- {self.path}: {self.before}"
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
    """The differences of two trees; false if there are none.

    Attributes
    ----------
    changes : tuple of Change
        In the order of the trees.
    versions : tuple of Difference
        Packages and settings of JAX that differ between the two files. They do not
        make a `Diff` true.
    """

    changes: tuple[Change, ...] = ()
    versions: tuple[Difference, ...] = ()

    def __repr__(self) -> str:
        return str(self) or "no difference"

    def __bool__(self) -> bool:
        return bool(self.changes)

    def __str__(self) -> str:
        versions = [
            f"  {shown(d.package)}: {shown(d.file)} -> "
            + ("not recorded" if d.here is None else shown(d.here))
            for d in self.versions
        ]
        return "\n".join([*map(str, self.changes), *versions])

    def as_dict(self) -> dict[str, Any]:
        """The differences as plain data, for JSON."""
        return {
            "changes": [_infinity_as_text(vars(c)) for c in self.changes],
            "versions": [vars(difference) for difference in self.versions],
        }


def _infinity_as_text(data: dict[str, Any]) -> dict[str, Any]:
    """The data with infinities as text: JSON has no infinity."""
    names = [name for name, value in data.items() if value in (math.inf, -math.inf)]
    return data | {name: str(data[name]) for name in names}


@resources_for("compare the two trees")
@without_tracing()
def diff(
    a: Any, b: Any, *, ignore: Sequence[str] = (), atol: float = 0.0, rtol: float = 0.0
) -> Diff:
    """Compare two trees: list what was added, removed and changed, and by how much.

    No module that a file names is imported; arrays are read one after another.

    Parameters
    ----------
    a, b : str, path, binary file or pytree
        Two checkpoints, two pytrees in memory, or one of each. Text is a path.
    ignore : sequence of str, optional
        Globs of paths that may differ, with all below them: ``"**.count"``. The syntax
        is that of ``only=`` in `deserialise`.
    atol, rtol : float, default 0
        Numbers `x` and `y` are equal if ``|x - y| <= atol + rtol * |y|``, in arrays
        and on their own. By default they must be equal bit for bit.

    Returns
    -------
    Diff
        False if nothing differs; printed, it is a list.

    Raises
    ------
    ArgumentError
        If a tolerance is negative or not a number, or a glob is not a path.
    ZodiaxIOError
        If a file cannot be understood, or an array in it is damaged.

    Notes
    -----
    Objects that no file can contain (a lambda, a closure, an object of a plain class, a
    tracer) are compared by identity.

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
        first, second = (_open_tree(tree, stack) for tree in (a, b))
        changes = tuple(_Comparison(first, second, globs, float(atol), float(rtol)))
        versions = tuple(
            changes_between(
                first.versions, second.versions, first.settings, second.settings
            )
        )
    return Diff(changes, versions)


def assert_same(
    a: Any, b: Any, *, ignore: Sequence[str] = (), atol: float = 0.0, rtol: float = 0.0
) -> None:
    """Raise an `AssertionError` if two trees differ; for tests.

    Parameters
    ----------
    a, b, ignore, atol, rtol : optional
        As for `diff`.

    Raises
    ------
    AssertionError
        If they differ; it lists the paths, and by how much.

    Examples
    --------
    >>> import zodiax_io
    >>> zodiax_io.assert_same({"a": [1.0]}, {"a": [1.0]})
    """
    found = diff(a, b, ignore=ignore, atol=atol, rtol=rtol)
    if found:
        lines = str(found).splitlines()
        more = len(lines) - _MAX_LINES
        text = "\n".join(lines[:_MAX_LINES] + [f"… and {more} more"] * (more > 0))
        paths = counted(len(found.changes), "path")
        raise AssertionError(f"the trees differ at {paths}:\n{text}")


_MAX_LINES = 40


# The two trees ------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class _Tree:
    """One of the two trees."""

    structure: Structure
    array: Callable[[Node], NDArray[Any]]  # reads the array of a node
    versions: Mapping[str, str]
    # The objects that no file can contain, by the identity of their plain node.
    unsavable: Mapping[int, Any]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name_here: NameHere = str
    # By the identity of a node: the path of its first visit; the data of a shared one.
    paths: dict[int, str] = field(default_factory=dict[int, str])
    fingerprints: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def fingerprint(self, node: Node) -> bytes:
        """The data of a node without its children; that of a shared one is cached."""
        if not node.is_shared:
            return fingerprint(node, self.name_here)
        if id(node) not in self.fingerprints:
            self.fingerprints[id(node)] = fingerprint(node, self.name_here)
        return self.fingerprints[id(node)]


def _open_tree(tree: Any, stack: ExitStack) -> _Tree:
    if not is_file(tree):
        found = locate(tree, {})
        return _Tree(
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
        damaged = f"{name} is damaged: `{short_path(node.path)}`:"
        if number is None or not 0 <= number < len(entries):
            raise CorruptFileError(f"{damaged} the file has no record of this array.")
        arrays, faults = reader.read(entries, [number], verify=True)
        if number in faults:
            raise CorruptFileError(f"{damaged} {faults[number]}.")
        try:
            return logical(arrays[number], node)
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptFileError(f"{damaged} {shown(error)}.") from error

    judge = Judge()
    judge.script = script_of(document.settings)
    here = names_here(judge)
    return _Tree(structure, read, document.versions, {}, document.settings, here)


def _on_host(array: Any) -> NDArray[Any]:
    if isinstance(array, jax.Array) and jnp.issubdtype(
        array.dtype, jax.dtypes.prng_key
    ):
        array = jr.key_data(array)
    return records.without_padding(records.on_host(array))


# Longer paths are cut: in a deep tree, all of them would take much memory.
_MAX_PATH = 2048


_SAVABLE = object()  # in the place of an object, where there is a node instead


class _Comparison:
    """The changes between two trees, in the order of the first."""

    def __init__(
        self, a: _Tree, b: _Tree, ignore: Sequence[str], atol: float, rtol: float
    ) -> None:
        self.a, self.b = a, b
        self.sides = (
            Side(a.structure.root, a.name_here, flat=False),
            Side(b.structure.root, b.name_here, flat=False),
        )
        self.ignored = start_of_texts(ignore, "model", "ignore")
        self.atol, self.rtol = atol, rtol
        # Text of each path and the position of the globs there, by the identity of the
        # path, which is kept alive with them.
        self.paths: dict[int, tuple[Path, str, Position]] = {}

    def __iter__(self) -> Iterator[Change]:
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
            change = self._compare(pair, path, text, pair.ours, pair.theirs)
            if change is not None:
                yield change

    def _visit(self, path: Path) -> tuple[str, Position]:
        """Text of a path and position of the globs there, from those of its parent."""
        above, node, step = path
        if above is None:
            text, position = step, self.ignored
        else:
            _, text, position = self.paths[id(above)]
            text = f"{text}{label_in(node, step)}"[:_MAX_PATH]
            if label_of(node, step):
                position = position.after(step_of(node, step))
        self.paths[id(path)] = path, text, position
        return text, position

    def _compare(
        self, pair: Pair, path: str, text: str, ours: Node, theirs: Node
    ) -> Change | None:
        """Compare two nodes, and set whether the walk goes on below them."""
        pair.deeper = False
        children = pair.our_child, pair.their_child
        static = tuple(child is not None and child.is_static for child in children)
        shares = tuple(child is not None and child.is_again for child in children)
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
        objects = [
            tree.unsavable.get(id(node.plain), _SAVABLE)
            for tree, node in ((self.a, ours), (self.b, theirs))
        ]
        # Two such objects are compared by identity: their `__eq__` may do anything.
        if not any(one is _SAVABLE for one in objects):
            return None if objects[0] is objects[1] else self._change(pair, text)
        if self.a.fingerprint(ours) != self.b.fingerprint(theirs):
            if self._are_close(ours, theirs):
                return None
            pair.deeper = not any(shares)
            return self._change(pair, text)
        if ours.kind.array is not None:
            return self._compare_arrays(pair, text, ours, theirs)
        if ours.children is None and theirs.children is None:
            return None
        if any(shares):
            if not all(shares):
                return self._change(pair, text)
            return self._compare_shared(text, ours, theirs)
        pair.deeper = True
        here, there = pair.below(*self.sides)
        if [*here] != [*there] and set(here) == set(there):
            found = self._change(pair, text)
            return replace(found, after=f"{found.after} in another order")
        return None

    def _change(self, pair: Pair, text: str) -> Change:
        before = self._description(pair, self.a)
        after = self._description(pair, self.b)
        if before == after:  # two scripts that both ran as `__main__`
            names = [
                "" if node is None or node.name is None else tree.name_here(node.name)
                for tree, node in ((self.a, pair.ours), (self.b, pair.theirs))
            ]
            if names[0] != names[1]:
                before, after = (shown(name, 400) for name in names)
        return Change(text, "changed", before, after)

    def _compare_shared(self, text: str, ours: Node, theirs: Node) -> Change | None:
        """Compare the first paths of shared nodes; their data is compared there."""
        first, second = self.a.paths.get(id(ours)), self.b.paths.get(id(theirs))
        if first == second:
            return None
        first, second = (f"the same as {shown(path, 512)}" for path in (first, second))
        return Change(text, "changed", first, second)

    def _description(self, pair: Pair, tree: _Tree) -> str | None:
        """A short description of the node of one tree; None if it has no node."""
        is_first = tree is self.a
        node = pair.ours if is_first else pair.theirs
        child = pair.our_child if is_first else pair.their_child
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

    def _compare_arrays(
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

    def _are_close(self, ours: Node, theirs: Node) -> bool:
        """Whether two plain numbers differ by no more than the tolerances."""
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
