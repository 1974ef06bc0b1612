"""The structure of a file beside a tree of the user's: what goes where in it.

`match` finds which leaves of the tree the file replaces, and what differs; `fill` puts
the arrays there, once they are read.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from .._structure.nodes import Node, Structure, own_data
from .._structure.pairing import Pair, Side, fingerprint, pairs
from .._structure.paths import Path, path_text, steps_of
from .._trust.judge import Judge
from .locate import Located, is_unkept, names_here, probe_of, with_probes
from .placement import HOST, Target, place
from .restore import outline_of

_NUMBERS = (bool, int, float, complex)
_MAX_LINES = 20
_MAX_COUNTED = 500  # nodes below one that is not loaded


class Match(NamedTuple):
    """An array of the file, and the leaf that it replaces."""

    path: Path
    node: Node
    leaf: int


class StaticArray(NamedTuple):
    """An array of the file, and the one in a static field to compare with it."""

    path: Path
    node: Node
    ours: Any


@dataclass(eq=False, repr=False)
class Matching:
    """The leaves of a tree that a file replaces, and the differences.

    Attributes
    ----------
    leaves : list
        The leaves of the tree.
    treedef : PyTreeDef
        The rest of it.
    matches : list of Match
        The arrays to read.
    values : dict
        By the index of a leaf, the number of the file that replaces it.
    statics : list of StaticArray
        The arrays to read and compare.
    unread, kept, different : list of str
        Paths, each with the reason: of the file, but not loaded; of the tree, and
        kept; and different in the file, but kept as in the tree.
    """

    leaves: list[Any]
    treedef: Any
    matches: list[Match] = field(default_factory=list[Match])
    values: dict[int, Any] = field(default_factory=dict[int, Any])
    statics: list[StaticArray] = field(default_factory=list[StaticArray])
    unread: list[str] = field(default_factory=list[str])
    kept: list[str] = field(default_factory=list[str])
    different: list[str] = field(default_factory=list[str])

    def arrays(self) -> list[Node]:
        """The nodes of the arrays to read; what is shared is read once."""
        nodes = {id(one.node): one.node for one in (*self.matches, *self.statics)}
        return list(nodes.values())

    def target_of(self, match: Match, asked: Target | dict[int, Target]) -> Target:
        """Where the array of a match goes: as asked, or as the leaf is."""
        leaf = self.leaves[match.leaf]
        if _is_host(leaf):
            return HOST
        if type(asked) is dict:
            asked = asked.get(_record_of(match.node))
        if asked is not None:
            is_key = match.node.kind.array == "key"
            return None if asked is HOST and is_key else asked
        if isinstance(leaf, jax.Array):
            return leaf.sharding if leaf.committed else None
        return leaf.sharding

    def compare(self, arrays: Mapping[int, Any]) -> None:
        """Compare static arrays with those of the file."""
        for path, node, ours in self.statics:
            array = arrays[_record_of(node)]
            own = jr.key_data(ours) if node.kind.array == "key" else ours
            if type(array) is not Damaged and _bits(own) != _bits(array):
                _note(self.different, path, "an array of other values")

    def report(self, file: str) -> None:
        """Warn of all that was not loaded, and of all that differs.

        Raises
        ------
        ArgumentError
            If nothing at all was loaded.
        """
        sections = {
            "Of the file, but not loaded": self.unread,
            "Of `like`, and kept": self.kept,
            "Other than in the file, and kept as in `like`": self.different,
        }
        lines: list[str] = []
        for title, entries in sections.items():
            if entries:
                lines += [f"{title}:", *(f"  {line}" for line in entries[:_MAX_LINES])]
                if len(entries) > _MAX_LINES:
                    lines.append(f"  and {len(entries) - _MAX_LINES} more")
        text = "\n".join(lines)
        if not self.matches and not self.values:
            raise ArgumentError(
                f"{file} has nothing that fits into `like`. The paths of `like` "
                "begin at the root of the file: put a part at the path that it has "
                f"there.\n{text}"
            )
        if lines:
            text = f"{file} was loaded into `like` in part.\n{text}"
            differences = [line for entries in sections.values() for line in entries]
            warn(PartialLoadWarning(text, differences))


def _note(notes: list[str], path: Path, text: str) -> None:
    notes.append(f"`{shown(path_text(path), 400)}`: {text}")


def match(
    like: Any,
    structure: Structure,
    chosen: Sequence[tuple[Path, Node]] | None,
    judge: Judge,
    file: str,
) -> Matching:
    """Find the leaves of a tree that a file replaces.

    Parameters
    ----------
    like : pytree
        The tree.
    structure : Structure
        The structure of the file.
    chosen : sequence of Path and Node, or None
        The nodes that are wanted; None for all. Of others nothing is reported.
    judge : Judge
        It knows the present names of classes and functions.
    file : str
        The name of the file in messages.

    Raises
    ------
    ArgumentError
        If the tree holds tracers, or cannot be taken apart.
    CorruptFileError
        If a node of the file is not described as it should be.
    """
    leaves, treedef, located = with_probes("like", like, _is_filled)
    if any(isinstance(leaf, Tracer) for leaf in leaves):
        raise ArgumentError(
            "`like` holds tracers, which have no values yet. Load outside of "
            "`jax.jit`, `jax.grad` and `jax.vmap`."
        )
    matching = Matching(leaves, treedef)
    comparison = _Comparison(matching, located, judge)
    wanted = None if chosen is None else _Wanted(chosen)
    ours = Side(structure.root, comparison.name_here)
    for pair in pairs(ours, Side(located.structure.root), structure.root.path):
        if wanted is not None and not wanted.includes(pair):
            pair.deeper = pair.ours is not None and pair.theirs is not None
            continue
        try:
            pair.deeper = comparison.compare(pair.path, pair.ours, pair.theirs)
        except (ZodiaxIOError, *LIMITS):
            raise
        except Exception as error:  # anything, in the functions of a kind
            raise CorruptFileError(
                f"{file}: `{shown(path_text(pair.path))}` is not described as it "
                f"should be: {shown(error)}."
            ) from error
    return matching


class _Wanted:
    """The nodes that `only` selects, and all below them, on the selected paths."""

    def __init__(self, chosen: Sequence[tuple[Path, Node]]) -> None:
        self._steps: dict[int, set[Any]] = {}
        for path, node in chosen:
            self._steps.setdefault(id(node), set()).add(steps_of(path))
        self._inside: dict[int, Path] = {}  # paths by identity, kept alive

    def includes(self, pair: Pair) -> bool:
        path, ours = pair.path, pair.ours
        inside = id(path[0]) in self._inside
        if not inside and id(ours) in self._steps:
            inside = steps_of(path) in self._steps[id(ours)]
        if inside:
            self._inside[id(path)] = path
        return inside


class _Comparison:
    """Compares the nodes at each path, and notes the result in a `Matching`."""

    def __init__(self, matching: Matching, located: Located, judge: Judge) -> None:
        self._matching = matching
        self._sources = located.sources
        self._current_member = judge.current_member
        self.name_here = names_here(judge)
        self._sizes: dict[int, str] = {}

    def compare(self, path: Path, ours: Node | None, theirs: Node | None) -> bool:
        """Note how two nodes differ, or match; whether to go on below them."""
        matching = self._matching
        if theirs is None:
            assert ours is not None
            size = self._size(ours)
            _note(matching.unread, path, f"`like` has nothing there{size}")
            return False
        probe = probe_of(theirs)
        if probe is not None:
            reason = "the file has nothing there"
            if ours is not None:
                reason = self._take(path, ours, probe)
            if reason:
                _note(matching.kept, path, reason)
            return False
        if ours is None:
            size = self._size(theirs)
            _note(matching.kept, path, f"the file has nothing there{size}")
            return False
        here, kind = theirs.kind, ours.kind
        if kind.array is not None and here.array is None:
            there = _description(theirs)
            _note(matching.unread, path, f"an array; `like` has {there} there")
            return False
        if kind.array is not None and _outline(ours) == _outline(theirs):
            source = self._sources[id(theirs.plain)]
            matching.statics.append(StaticArray(path, ours, source))
            return True
        ours = self._of_today(ours, theirs)
        mine = fingerprint(ours, self.name_here, by_identity=True)
        if mine != fingerprint(theirs, by_identity=True):
            _note(matching.different, path, _difference(ours, theirs))
        return True

    def _of_today(self, ours: Node, theirs: Node) -> Node:
        """A node of the file with present names, as it is compared."""
        kind, plain = ours.kind, ours.plain
        if kind.renamed is not None:
            plain = kind.renamed(plain, self._current_member)
        if kind.comparable is not None and theirs.kind is kind:
            plain = kind.comparable(plain, theirs.plain)
        return Node(kind, plain, ours.path, ours.record)

    def _size(self, node: Node) -> str:
        if id(node) not in self._sizes:
            self._sizes[id(node)] = _size(node)
        return self._sizes[id(node)]

    def _take(self, path: Path, ours: Node, index: int) -> str:
        """Note the array or number that replaces a leaf; or the reason for none."""
        leaf = self._matching.leaves[index]
        is_array = hasattr(leaf, "shape")
        own = "an array" if is_array else f"a `{type(leaf).__name__}`"
        kind = ours.kind
        if kind.array is not None:
            if not is_array:
                return f"the file has an array there, `like` has {own}"
            outline = outline_of(ours)
            shape, dtype = outline.shape, outline.dtype
            if leaf.dtype != dtype:
                return f"the dtype is {dtype} in the file, not {leaf.dtype}"
            if tuple(leaf.shape) != shape:
                return f"the shape is {list(shape)} in the file, not {list(leaf.shape)}"
            if not _is_host(leaf) and not dtypes.is_of_jax(ours.plain["dtype"]):
                return f"JAX has no arrays of the dtype {dtype}, which the file has"
            if ours.record is None:
                raise ValueError("it has no record of its own")
            self._matching.matches.append(Match(path, ours, index))
            return ""
        different = f"the file has {_description(ours)} there, `like` has {own}"
        is_plain = kind.refers_to is None and ours.children is None
        if not (ours.is_known and is_plain):
            return different
        value = kind.decode(Parts(value=ours.plain.get("value"), extra=ours.plain))
        if type(value) is not type(leaf):
            return different
        self._matching.values[index] = value
        return ""


def fill(
    matching: Matching, arrays: Mapping[int, Any], goals: Sequence[Target], file: str
) -> Any:
    """The tree with the matching leaves of the file, and its own leaves elsewhere.

    Parameters
    ----------
    matching : Matching
        Which leaves are replaced.
    arrays : dict
        The arrays by record, or a mark of damage.
    goals : sequence of Target
        Where the array of each match goes.
    file : str
        The name of the file in messages.
    """
    there = [
        (match, goal, arrays[_record_of(match.node)])
        for match, goal in zip(matching.matches, goals, strict=True)
        if type(arrays[_record_of(match.node)]) is not Damaged
    ]
    # What the file shares stays shared, except between NumPy and JAX.
    unique = {(_record_of(m.node), id(goal)): (m, goal, a) for m, goal, a in there}
    shared = {record for record, goal in unique if goal != id(HOST)}
    made = place(
        [
            array.copy(order="K") if goal is HOST and record in shared else array
            for (record, _), (_, goal, array) in unique.items()
        ],
        [goal for _, goal, _ in unique.values()],
        [match.path for match, _, _ in unique.values()],
        file,
    )
    placed = {
        key: _decoded(match.node, array)
        for (key, (match, _, _)), array in zip(unique.items(), made, strict=True)
    }
    leaves = list(matching.leaves)
    for match, goal, _ in there:
        array = placed[_record_of(match.node), id(goal)]
        scalar = isinstance(leaves[match.leaf], np.generic)
        leaves[match.leaf] = array[()] if scalar else array
    for index, value in matching.values.items():
        leaves[index] = value
    return jtu.tree_unflatten(matching.treedef, leaves)


def _record_of(node: Node) -> int:
    assert node.record is not None
    return node.record


def _size(node: Node) -> str:
    """How much is below a node, if it is more than one array."""
    count, visited = 0, 0
    waiting = [node]
    while waiting:
        below = waiting.pop()
        count += below.kind.array is not None or probe_of(below) is not None
        children = below.children or ()
        if isinstance(children, dict):
            children = children.values()
        more = list(itertools.islice(children, _MAX_COUNTED - visited))
        visited += len(more)
        waiting += more
    least = "at least " if visited == _MAX_COUNTED else ""
    return f" ({least}{count} arrays)" if count > 1 else ""


def _is_filled(leaf: Any) -> bool:
    kinds = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)
    return isinstance(leaf, kinds) or type(leaf) in _NUMBERS


def _is_host(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, np.generic))


def _decoded(node: Node, array: Any) -> Any:
    if node.kind.array == "numpy" and isinstance(array, jax.Array):
        return array
    return node.kind.decode(Parts(array=array, extra=node.plain))


def _bits(array: Any) -> bytes:
    return without_padding(on_host(array)).tobytes()


def _outline(node: Node) -> Any:
    plain = node.plain
    return plain.get("shape"), plain.get("dtype"), plain.get("impl")


def _difference(ours: Node, theirs: Node) -> str:
    """How two nodes that are not alike differ."""
    one, other = _description(ours), _description(theirs)
    if one != other:
        return f"{one}, not {other}"
    here, there = own_data(theirs), own_data(ours)
    names = sorted(key for key in here | there if here.get(key) != there.get(key))
    return f"{one} with another {' and '.join(names)}"


def _description(node: Node) -> str:
    """A node in a few words."""
    if is_unkept(node):
        return "an object that no file can keep"
    if node.kind.array is not None:
        return "an array"
    words = node.kind.look.words
    if node.name is not None:
        return f"{words or 'a'} `{shown(node.name)}`"
    value = node.plain.get("value")
    if type(value) in (bool, int, float, str):
        return f"`{shown(repr(value))}`"
    return words or f"a `{node.kind_name}`"
