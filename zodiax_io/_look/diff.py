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
import msgpack
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
from .._kinds.lookup import row_of
from .._structure.nodes import Node, children_of, is_reference, resolved, said
from .._structure.pairing import NameHere
from .._structure.paths import label_of
from .._structure.survey import walk, without_columns
from .._tree.locate import locate, names_here
from .._tree.restore import logical
from .._trust.judge import Judge
from .items import matches, notation


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
        Globs of paths that may differ, with all below them: ``"*.count"``.
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
        If a tolerance is none.
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
    """One of two trees, how to come by an array of it, and what no file can hold."""

    structure: Node
    by_id: Mapping[int, Node]
    array: Callable[[Node], NDArray[Any]]
    versions: Mapping[str, str]
    odd: Mapping[int, Any]
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    name_here: NameHere = str
    paths: dict[int, str] = field(default_factory=dict[int, str])  # as they are met
    values: dict[int, bytes] = field(default_factory=dict[int, bytes])  # of the shared

    def meant(self, node: Node) -> Node | None:
        """The node itself, or what it shares; None if that is not there."""
        found = resolved(node, self.by_id)
        return None if found is None or is_reference(found) else found

    def value(self, node: Node) -> bytes:
        """What a node holds of its own; what many refer to is packed once."""
        if "id" not in node:
            return _said(node, self)
        if id(node) not in self.values:
            self.values[id(node)] = _said(node, self)
        return self.values[id(node)]


def _side(tree: Any, stack: ExitStack) -> _Side:
    if not is_file(tree):
        found = locate(tree, {})
        return _Side(
            found.structure,
            found.by_id,
            lambda node: _on_host(found.sources[id(node)]),
            {},
            found.odd,
        )
    document, reader, name = stack.enter_context(opened(tree))
    without_columns(document.tree)
    entries = reader.entries(document.records)
    by_id: dict[int, Node] = {}
    for _, node in walk(document.tree):
        if type(node.get("id")) is int:
            by_id[node["id"]] = node

    def read(node: Node) -> NDArray[Any]:
        number = node.get("record")
        if type(number) is not int or not 0 <= number < len(entries):
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
    return _Side(
        document.tree, by_id, read, document.versions, {}, document.settings, here
    )


def _on_host(array: Any) -> NDArray[Any]:
    if isinstance(array, jax.Array) and jnp.issubdtype(
        array.dtype, jax.dtypes.prng_key
    ):
        array = jr.key_data(array)
    return records.without_padding(records.on_host(array))


# A path of text, which is cut where it is told: all of a deep tree would grow large.
_LONGEST = 2048


class _Walk:
    """The changes between two trees, found by walking both side by side."""

    def __init__(
        self, a: _Side, b: _Side, ignore: Sequence[str], atol: float, rtol: float
    ) -> None:
        self.a, self.b = a, b
        self.ignore = ignore
        self.atol, self.rtol = atol, rtol

    def __iter__(self) -> Iterator[Change]:
        """In the order of the first tree, and what only the second has behind."""
        waiting: list[Any] = [
            ("model", self.a.structure, self.b.structure, (False, False))
        ]
        while waiting:
            path, ours, theirs, static = waiting.pop()
            if any(matches(path, glob) for glob in self.ignore):
                continue
            told = shown(path, 512)
            if theirs is None:
                yield Change(told, "removed", self._told(ours, self.a))
            elif ours is None:
                yield Change(told, "added", None, self._told(theirs, self.b))
            else:
                change, deeper = self._compared(path, told, ours, theirs, static)
                if change is not None:
                    yield change
                if deeper:
                    below = _keyed(ours, self.a), _keyed(theirs, self.b)
                    waiting += reversed(_paired(path, *below))

    def _compared(
        self,
        path: str,
        told: str,
        ours: Node,
        theirs: Node,
        static: tuple[bool, bool],
    ) -> tuple[Change | None, bool]:
        """What differs between two nodes, and whether to look at what they hold."""

        def change() -> Change:
            before, after = self._told(ours, self.a), self._told(theirs, self.b)
            if before == after:  # two scripts, each of which was `__main__`
                names = self._name(ours, self.a), self._name(theirs, self.b)
                if names[0] != names[1]:
                    before, after = names
            return Change(told, "changed", before, after)

        if static[0] != static[1]:
            found = change()
            before = f"{found.before}{' (static)' * static[0]}"
            after = f"{found.after}{' (static)' * static[1]}"
            return replace(found, before=before, after=after), False
        left, right = self.a.meant(ours), self.b.meant(theirs)
        if left is None or right is None:  # refers to nothing
            alike = left is right and _said(ours, self.a) == _said(theirs, self.b)
            return (None if alike else change()), False
        shares = ours is not left, theirs is not right
        if ours is left:
            self.a.paths[id(left)] = path
        if theirs is right:
            self.b.paths[id(right)] = path
        if left["kind"] != right["kind"]:
            return change(), False
        odd = self.a.odd.get(id(left), self), self.b.odd.get(id(right), self)
        if self not in odd:  # two objects that can only be told apart by identity
            return (None if odd[0] is odd[1] else change()), False
        if self.a.value(left) != self.b.value(right):
            if self._are_near(left, right):
                return None, False
            return change(), not any(shares)
        if row_of(left).array is not None:
            return self._of_arrays(told, left, right), False
        if "node" not in left:
            return None, False
        if any(shares):
            # What is shared is compared where it is met first.
            if not all(shares):
                return change(), False
            first, second = self.a.paths.get(id(left)), self.b.paths.get(id(right))
            if first == second:
                return None, False
            first, second = (f"the same as {shown(p, 512)}" for p in (first, second))
            return Change(told, "changed", first, second), False
        one, other = list(_keyed(left, self.a)), list(_keyed(right, self.b))
        if one != other and set(one) == set(other):
            found = change()
            return replace(found, after=f"{found.after} in another order"), True
        return None, True

    def _name(self, node: Node, side: _Side) -> str:
        """The class or function of a node, with the script in place of `__main__`."""
        target = side.meant(node) or node
        name = target.get("type")
        return shown(side.name_here(name), 400) if type(name) is str else ""

    def _told(self, node: Node, side: _Side) -> str:
        target = side.meant(node)
        if target is None:
            return "nothing"
        shared = ", shared" * (target is not node)
        row = row_of(target)
        if row.array is not None:
            weak = " weak" * (target.get("weak_type") is True)
            return f"{notation(target)[0]}{weak}{shared}"
        value = row.look.value(target)
        name = shown(target["type"], 400) if type(target.get("type")) is str else None
        text = " ".join(part for part in (name, value) if part)
        return (text or shown(target["kind"])) + shared

    def _of_arrays(self, path: str, left: Node, right: Node) -> Change | None:
        x, y = self.a.array(left), self.b.array(right)
        told = self._told(left, self.a)
        if row_of(left).array == "key":
            return None if same_bytes(x, y) else Change(path, "changed", told, told)
        found = difference(x, y, self.atol, self.rtol)
        if found is None:
            return None
        largest, relative = found
        before, after = told, told
        if x.size == 1 and largest is not None:
            before, after = (f"{told} {shown(array.item(), 40)}" for array in (x, y))
        return Change(path, "changed", before, after, largest, relative)

    def _are_near(self, left: Node, right: Node) -> bool:
        """Whether two plain numbers are within the tolerances, as two arrays may be."""
        x, y = _number(left), _number(right)
        if not (self.atol or self.rtol) or x is None or y is None:
            return False
        return x.dtype == y.dtype and difference(x, y, self.atol, self.rtol) is None


def _number(node: Node) -> NDArray[Any] | None:
    numbers = row_of(node).look.numbers
    try:
        return None if numbers is None else numbers(node)
    except (ValueError, TypeError, OverflowError):
        return None


# Children by what tells them apart, however long: with label, and if static.
_Keyed = dict[Any, tuple[str, Node, bool]]


def _paired(path: str, here: _Keyed, there: _Keyed) -> list[Any]:
    """The children of two nodes, each with the one of the same name or key."""
    ordered = list(here)
    ordered += [key for key in there if key not in here]
    result: list[Any] = []
    for key in ordered:
        (label, mine, ours_static) = here.get(key, (None, None, False))
        (other, yours, theirs_static) = there.get(key, (None, None, False))
        text = f"{path}{label if label is not None else other}"[:_LONGEST]
        result.append((text, mine, yours, (ours_static, theirs_static)))
    return result


def _keyed(node: Node, side: _Side) -> _Keyed:
    keys, names = node.get("keys"), node.get("static")
    static = {n for n in names if type(n) is str} if isinstance(names, list) else ()
    result: _Keyed = {}
    times: dict[bytes, int] = {}
    for name, child in children_of(node):
        key: Any = name
        if type(name) is int and isinstance(keys, list) and name < len(keys):
            key = _bare(keys[name], side)
            times[key] = times.get(key, 0) + 1
            key = key, times[key]  # two keys that are nan look alike
        result[key] = label_of(node, name), child, name in static
    return result


def _bare(key: Any, side: _Side) -> bytes:
    """A key as bytes, without the number that it has in its file."""
    waiting, parts = [key], list[Any]()
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            parts.append(_said(node, side))
            below = [child for _, child in children_of(node)]
            waiting += [*below, *node.get("keys", ()), len(below)]
        else:
            parts.append(node)
    packed: Any = msgpack.packb(parts)
    return packed


def _said(node: Node, side: _Side) -> bytes:
    """What a node says, but for the order of its bytes; a nan is equal to itself so."""
    told = {name: value for name, value in said(node).items() if name != "order"}
    if type(told.get("type")) is str:
        told["type"] = side.name_here(told["type"])
    packed: Any = msgpack.packb(told)
    return packed
