"""A structure beside a tree of the user's: where shardings and arrays belong in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer

from .._arrays import dtypes
from .._arrays.records import on_host, without_padding
from .._errors import (
    LIMITS,
    ArgumentError,
    CorruptFileError,
    PartialLoadWarning,
    ZodiaxIOError,
    shown,
    warn,
)
from .._kinds.arrays import Damaged
from .._kinds.base import Parts
from .._kinds.lookup import kind_named, row_of
from .._structure.nodes import (
    PROBE,
    Node,
    is_probe,
    is_unkept,
    resolved,
    said,
)
from .._structure.pairing import alongside, plain
from .._structure.paths import Path, path_text, steps_of
from .._structure.survey import Survey
from .._trust.judge import Judge
from .locate import names_here, with_probes
from .placement import HOST, Target, place
from .restore import outline_of

_NUMBERS = (bool, int, float, complex)
_MAX_LINES = 20
_MAX_COUNTED = 500  # nodes below one that is not loaded


class Match(NamedTuple):
    """An array of the file, and the leaf whose place it takes."""

    path: Path | str
    node: Node
    leaf: int


class Likeness:
    """What of a file goes into a tree that is there already.

    Parameters
    ----------
    like : pytree
        The tree.
    structure : dict
        The structure of the file, whose paths begin with `root`.
    found : Survey
        What is in it.
    chosen : sequence of Path and Node, or None
        The places of the file that are wanted; of others nothing is reported.
    judge : Judge
        Which knows what is called otherwise now.

    Attributes
    ----------
    matches : list of Match
        The arrays to read.
    statics : list of tuple of Path, Node and array
        Those to read and compare with an array of the tree's static fields.
    """

    def __init__(
        self,
        like: Any,
        structure: Node,
        root: str,
        found: Survey,
        chosen: Sequence[tuple[Path | str, Node]] | None,
        judge: Judge,
        file: str,
    ) -> None:
        marked = with_probes("like", like, _is_filled)
        self._leaves, self._treedef, self._theirs = marked
        if any(isinstance(leaf, Tracer) for leaf in self._leaves):
            raise ArgumentError(
                "`like` holds tracers, which have no values yet. Load outside of "
                "`jax.jit`, `jax.grad` and `jax.vmap`."
            )
        self.matches: list[Match] = []
        self.statics: list[tuple[Path | str, Node, Any]] = []
        self._values: dict[int, Any] = {}
        self._unread: list[str] = []
        self._kept: list[str] = []
        self._differ: list[str] = []
        self._by_id, self._file = found.by_id, file
        self._current_member, self._name_here = judge.current_member, names_here(judge)
        self._chosen: dict[int, set[Any]] | None = None
        if chosen is not None:
            self._chosen = {}
            for path, node in chosen:
                self._chosen.setdefault(id(node), set()).add(steps_of(path))
        self._sizes: dict[int, str] = {}
        self._within: dict[int, Any] = {}  # paths below a chosen one, kept alive
        alongside(
            structure, found.by_id, self._theirs, root, self._visit, self._name_here
        )

    def _visit(self, path: Path | str, ours: Node | None, theirs: Node | None) -> bool:
        if self._chosen is not None:
            inside = not isinstance(path, str) and id(path[0]) in self._within
            if not inside and id(ours) in self._chosen:
                inside = steps_of(path) in self._chosen[id(ours)]
            if not inside:
                return ours is not None and theirs is not None
            self._within[id(path)] = path
        try:
            return self._compare(path, ours, theirs)
        except (ZodiaxIOError, *LIMITS):
            raise
        except Exception as error:  # whatever a damaged node leads to
            raise CorruptFileError(
                f"{self._file}: `{shown(path_text(path))}` is not described as it "
                f"should be: {shown(error)}."
            ) from error

    def _compare(
        self, path: Path | str, ours: Node | None, theirs: Node | None
    ) -> bool:
        """Note what becomes of a place; whether to look at what is below it."""
        if theirs is None:
            assert ours is not None
            size = self._size(ours, self._by_id)
            self._note(self._unread, path, f"`like` has nothing there{size}")
            return False
        if is_probe(theirs):
            reason = "the file has nothing there"
            if ours is not None:
                reason = self._take(path, ours, theirs["value"])
            if reason:
                self._note(self._kept, path, reason)
            return False
        if ours is None:
            size = self._size(theirs, self._theirs.by_id)
            self._note(self._kept, path, f"the file has nothing there{size}")
            return False
        here, kind = row_of(theirs), row_of(ours)
        if kind.array is not None and here.array is None:
            told = _told(theirs)
            self._note(self._unread, path, f"an array; `like` has {told} there")
            return False
        if kind.array is not None and _described(ours) == _described(theirs):
            self.statics.append((path, ours, self._theirs.sources[id(theirs)]))
        else:
            if kind.renamed is not None:
                ours = kind.renamed(ours, self._current_member)
            if kind.comparable is not None and here is kind:
                ours = kind.comparable(ours, theirs)
            if plain(ours, self._name_here) != plain(theirs, None):
                self._note(self._differ, path, _unlike(ours, theirs))
        return True

    def _size(self, node: Node, by_id: Mapping[int, Node]) -> str:
        if id(node) not in self._sizes:
            self._sizes[id(node)] = _size(node, by_id)
        return self._sizes[id(node)]

    def _note(self, notes: list[str], path: Path | str, text: str) -> None:
        notes.append(f"`{shown(path_text(path), 400)}`: {text}")

    def _take(self, path: Path | str, ours: Node, index: int) -> str:
        """Note what takes the place of a leaf; or why nothing does."""
        leaf = self._leaves[index]
        is_array = hasattr(leaf, "shape")
        own = "an array" if is_array else f"a `{type(leaf).__name__}`"
        kind = row_of(ours)
        if kind.array is not None:
            if not is_array:
                return f"the file has an array there, `like` has {own}"
            outline = outline_of(ours)
            shape, dtype = outline.shape, outline.dtype
            if leaf.dtype != dtype:
                return f"the dtype is {dtype} in the file, not {leaf.dtype}"
            if tuple(leaf.shape) != shape:
                return f"the shape is {list(shape)} in the file, not {list(leaf.shape)}"
            if not _is_host(leaf) and not dtypes.is_of_jax(ours["dtype"]):
                return f"JAX has no arrays of the dtype {dtype}, which the file has"
            if type(ours.get("record")) is not int:
                raise ValueError("it has no record of its own")
            self.matches.append(Match(path, ours, index))
            return ""
        different = f"the file has {_told(ours)} there, `like` has {own}"
        known = kind_named(ours["kind"]) is not None
        if not known or kind.refers_to is not None or "node" in ours:
            return different
        value = kind.decode(Parts(value=ours.get("value"), extra=ours))
        if type(value) is not type(leaf):
            return different
        self._values[index] = value
        return ""

    def target_of(self, match: Match, asked: Target | dict[int, Target]) -> Target:
        """Where the array of a match goes: as asked, or as the leaf is."""
        leaf = self._leaves[match.leaf]
        if _is_host(leaf):
            return HOST
        if type(asked) is dict:
            asked = asked.get(match.node["record"])
        if asked is not None:
            is_key = row_of(match.node).array == "key"
            return None if asked is HOST and is_key else asked
        if isinstance(leaf, jax.Array):
            return leaf.sharding if leaf.committed else None
        return leaf.sharding

    def filled(self, arrays: Mapping[int, Any], goals: Sequence[Target]) -> Any:
        """The tree with what the file has, and its own leaves elsewhere."""
        there = [
            (match, goal, arrays[match.node["record"]])
            for match, goal in zip(self.matches, goals, strict=True)
            if type(arrays[match.node["record"]]) is not Damaged
        ]
        # What the file shares stays shared, but for NumPy's and JAX's.
        unique = {(m.node["record"], id(goal)): (m, goal, a) for m, goal, a in there}
        shared = {record for record, goal in unique if goal != id(HOST)}
        made = place(
            [
                array.copy(order="K") if goal is HOST and record in shared else array
                for (record, _), (_, goal, array) in unique.items()
            ],
            [goal for _, goal, _ in unique.values()],
            [match.path for match, _, _ in unique.values()],
            self._file,
        )
        placed = {
            key: _decoded(match.node, array)
            for (key, (match, _, _)), array in zip(unique.items(), made, strict=True)
        }
        leaves = list(self._leaves)
        for match, goal, _ in there:
            array = placed[match.node["record"], id(goal)]
            scalar = isinstance(leaves[match.leaf], np.generic)
            leaves[match.leaf] = array[()] if scalar else array
        for index, value in self._values.items():
            leaves[index] = value
        return jtu.tree_unflatten(self._treedef, leaves)

    def compare(self, arrays: Mapping[int, Any]) -> None:
        """Compare static arrays with those of the file."""
        for path, node, source in self.statics:
            array = arrays[node["record"]]
            own = jr.key_data(source) if row_of(node).array == "key" else source
            if type(array) is not Damaged and _bits(own) != _bits(array):
                self._note(self._differ, path, "an array of other values")

    def report(self) -> None:
        """Warn of all that was not loaded, and of what is not alike.

        Raises
        ------
        ArgumentError
            If nothing at all was loaded.
        """
        sections = {
            "Of the file, but not loaded": self._unread,
            "Of `like`, and kept": self._kept,
            "Other than in the file, and kept as in `like`": self._differ,
        }
        lines: list[str] = []
        for title, entries in sections.items():
            if entries:
                lines += [f"{title}:", *(f"  {line}" for line in entries[:_MAX_LINES])]
                if len(entries) > _MAX_LINES:
                    lines.append(f"  and {len(entries) - _MAX_LINES} more")
        text = "\n".join(lines)
        if not self.matches and not self._values:
            raise ArgumentError(
                f"{self._file} has nothing that fits into `like`, which stands for all "
                f"of the file; for a part of it, build what is around it.\n{text}"
            )
        if lines:
            text = f"{self._file} was loaded into `like` in part.\n{text}"
            differences = [line for entries in sections.values() for line in entries]
            warn(PartialLoadWarning(text, differences))


def _size(node: Node, by_id: Mapping[int, Node]) -> str:
    """How much is below a node, if it is more than one array."""
    count, looked = 0, 0
    waiting: list[Any] = [node]
    while waiting:
        below = resolved(waiting.pop(), by_id) or {}
        count += row_of(below).array is not None or below.get("kind") == PROBE
        children = below.get("node", ())
        if isinstance(children, dict):
            children = children.values()
        more = list(itertools.islice(children, _MAX_COUNTED - looked))
        looked += len(more)
        waiting += more
    least = "at least " if looked == _MAX_COUNTED else ""
    return f" ({least}{count} arrays)" if count > 1 else ""


def _is_filled(leaf: Any) -> bool:
    kinds = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)
    return isinstance(leaf, kinds) or type(leaf) in _NUMBERS


def _is_host(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, np.generic))


def _decoded(node: Node, array: Any) -> Any:
    kind = row_of(node)
    if kind.array == "numpy" and isinstance(array, jax.Array):
        return array
    return kind.decode(Parts(array=array, extra=node))


def _bits(array: Any) -> bytes:
    return without_padding(on_host(array)).tobytes()


def _described(node: Node) -> Any:
    return node.get("shape"), node.get("dtype"), node.get("impl")


def _unlike(ours: Node, theirs: Node) -> str:
    """How two nodes that are not alike differ."""
    one, other = _told(ours), _told(theirs)
    if one != other:
        return f"{one}, not {other}"
    here, there = said(theirs), said(ours)
    names = sorted(key for key in here | there if here.get(key) != there.get(key))
    return f"{one} with another {' and '.join(names)}"


def _told(node: Node) -> str:
    """A node in a few words."""
    if is_unkept(node):
        return "what no file can hold"
    kind = row_of(node)
    if kind.array is not None:
        return "an array"
    if "type" in node:
        return f"{kind.look.words or 'a'} `{shown(node['type'])}`"
    value = node.get("value")
    if type(value) in (bool, int, float, str):
        return f"`{shown(repr(value))}`"
    return kind.look.words or f"a `{node['kind']}`"
