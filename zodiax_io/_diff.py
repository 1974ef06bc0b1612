"""How two trees differ, each in a file or alive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import jax.random as jr
import msgpack
import numpy as np
from numpy.typing import NDArray

from . import _dtypes
from ._environment import Difference, changes_between
from ._errors import ArgumentError, shown
from ._pair import opened
from ._show import matches, notation, value_of
from ._structure import locate, logical
from ._survey import Node, children_of, label_of, resolved, said, short_path, walk


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
        if self.largest is None:
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
        Packages that are others in the second file than in the first.
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
            f"  {d.package}: {d.file} -> {d.here or 'not recorded'}"
            for d in self.versions
        ]
        return "\n".join([*map(str, self.changes), *versions])

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "changes": [vars(change) for change in self.changes],
            "versions": [vars(difference) for difference in self.versions],
        }


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
        Globs of paths that may differ: ``"*.count"``.
    atol, rtol : float, default 0
        Numbers `x` and `y` are the same if ``|x - y| <= atol + rtol * |y|``; else
        arrays are the same only bit for bit.

    Returns
    -------
    Diff
        False if nothing differs; printed, it is a list.

    Raises
    ------
    ZodiaxIOError
        If a file cannot be understood, or an array of it is damaged.

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
    if isinstance(ignore, str):
        raise ArgumentError(f"`ignore` is a list of globs, such as [{ignore!r}].")
    with ExitStack() as stack:
        ours, theirs = (_side(tree, stack) for tree in (a, b))
        changes = [
            change
            for change in _changes(ours, theirs, atol, rtol)
            if not any(matches(change.path, glob) for glob in ignore)
        ]
        versions = changes_between(ours.versions, theirs.versions)
    return Diff(tuple(changes), tuple(versions))


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
        raise AssertionError(
            f"the trees differ at {len(found.changes)} places:\n{told}"
        )


_MOST = 40


# The two sides ------------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class _Side:
    """One of the two trees: its nodes by path, and how to come by an array."""

    nodes: dict[str, Node]
    static: set[int]
    by_id: Mapping[int, Node]
    paths: Mapping[int, str]
    array: Callable[[Node], NDArray[Any]]
    versions: Mapping[str, str]


def _side(tree: Any, stack: ExitStack) -> _Side:
    if isinstance(tree, (str, os.PathLike)) or hasattr(tree, "read"):
        document, reader, name = stack.enter_context(opened(tree))
        entries = reader.entries(document.records)
        by_id: dict[int, Node] = {}

        def read(node: Node) -> NDArray[Any]:
            number = node.get("record")
            if type(number) is not int or not 0 <= number < len(entries):
                raise ArgumentError(f"{name} has an array without a record.")
            arrays, faults = reader.read(entries, [number], verify=True)
            if number in faults:
                raise ArgumentError(f"{name} is damaged: {faults[number]}.")
            return logical(arrays[number], node)

        structure, versions = document.tree, document.versions
        array: Callable[[Node], NDArray[Any]] = read
    else:
        found = locate(tree, {})
        structure, versions = found.structure, dict[str, str]()
        array = lambda node: _on_host(found.sources[id(node)])  # noqa: E731
    nodes: dict[str, Node] = {}
    static: set[int] = set()
    by_id = {}
    for path, node in walk(structure):
        nodes[short_path(path)] = node
        if type(node.get("id")) is int:
            by_id[node["id"]] = node
        names, children = node.get("static"), node.get("node")
        if isinstance(names, list) and isinstance(children, dict):
            static.update(id(children[n]) for n in names if n in children)
    paths = {id(node): path for path, node in nodes.items()}
    return _Side(nodes, static, by_id, paths, array, versions)


def _on_host(array: Any) -> NDArray[Any]:
    if isinstance(array, jax.Array) and jnp.issubdtype(
        array.dtype, jax.dtypes.prng_key
    ):
        array = jr.key_data(array)
    return np.asarray(array)


def _changes(a: _Side, b: _Side, atol: float, rtol: float) -> Iterator[Change]:
    gone: set[int] = set()
    for path, ours in a.nodes.items():
        if id(ours) in gone:  # within something that is said to be gone
            gone.update(id(child) for _, child in children_of(ours))
            continue
        theirs = b.nodes.get(path)
        if theirs is None:
            yield Change(path, "removed", _told(ours, a))
            gone.update(id(child) for _, child in children_of(ours))
            continue
        yield from _change(path, ours, theirs, a, b, atol, rtol)
    new: set[int] = set()
    for path, theirs in b.nodes.items():
        if path not in a.nodes:
            if id(theirs) not in new:
                yield Change(path, "added", None, _told(theirs, b))
            new.update(id(child) for _, child in children_of(theirs))


def _change(
    path: str, ours: Node, theirs: Node, a: _Side, b: _Side, atol: float, rtol: float
) -> Iterator[Change]:
    before, after = _told(ours, a), _told(theirs, b)
    if (id(ours) in a.static) != (id(theirs) in b.static):
        mark = " (static)"
        before += mark * (id(ours) in a.static)
        after += mark * (id(theirs) in b.static)
        yield Change(path, "changed", before, after)
        return
    left, right = resolved(ours, a.by_id), resolved(theirs, b.by_id)
    if ours["kind"] == theirs["kind"] == "same":
        first = a.paths.get(id(left))
        if first is not None and first == b.paths.get(id(right)):
            return  # told there, if it has changed
    if left is None or right is None or _said(left) != _said(right):
        yield Change(path, "changed", before, after)
    elif left["kind"] in _dtypes.ARRAY_NODES:
        yield from _difference(path, before, a.array(left), b.array(right), atol, rtol)
    elif (ours["kind"] == "same") != (theirs["kind"] == "same") and "node" in left:
        yield Change(path, "changed", before, after)
    elif _names(ours) != _names(theirs) and set(_names(ours)) == set(_names(theirs)):
        yield Change(path, "changed", before, f"{after} in another order")


def _names(node: Node) -> list[str]:
    return [label_of(node, key) for key, _ in children_of(node)]


def _said(node: Node) -> bytes:
    """What a node says, but for the order of its bytes; a nan is equal to itself so."""
    told = {name: value for name, value in said(node).items() if name != "order"}
    packed: Any = msgpack.packb(told)
    return packed


def _told(node: Node, side: _Side) -> str:
    if node["kind"] == "same":
        target = resolved(node, side.by_id)
        return "nothing" if target is None else f"{_told(target, side)}, shared"
    if node["kind"] in _dtypes.ARRAY_NODES:
        return notation(node)[0] + " weak" * (node.get("weak_type") is True)
    value = value_of(node)
    name = shown(node["type"], 400) if type(node.get("type")) is str else None
    return " ".join(part for part in (name, value) if part) or shown(node["kind"])


def _difference(
    path: str,
    told: str,
    x: NDArray[Any],
    y: NDArray[Any],
    atol: float,
    rtol: float,
) -> Iterator[Change]:
    if x.tobytes() == y.tobytes():
        return
    largest = relative = None
    try:
        wide = np.complex128 if x.dtype.kind == "c" else np.float64
        with np.errstate(all="ignore"):
            x, y = x.astype(wide), y.astype(wide)
            if (atol or rtol) and np.allclose(x, y, rtol, atol, equal_nan=True):
                return
            apart = np.abs(x - y)
            apart = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, apart)
            apart = np.where(np.isnan(apart), np.inf, apart)
            scale = np.maximum(np.abs(x), np.abs(y))
            largest = float(apart.max(initial=0.0))
            parts = np.where(apart > 0, apart / scale, 0.0)
            relative = float(np.nan_to_num(parts, nan=np.inf).max(initial=0.0))
    except (TypeError, ValueError):  # text, or a struct
        pass
    yield Change(path, "changed", told, told, largest, relative)
