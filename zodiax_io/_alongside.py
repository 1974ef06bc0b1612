"""A structure beside a tree of the user's: where shardings and arrays belong in it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.random as jr
import jax.tree_util as jtu
import msgpack
import numpy as np

from ._errors import ArgumentError, PartialLoadWarning, shown, warn
from ._kinds import Parts, kind_named, outline
from ._placement import HOST, Target, is_target, place
from ._structure import Located, Probe, locate, logical
from ._survey import (
    MAX_DEPTH,
    MAX_REPEATED,
    Node,
    Path,
    Survey,
    children_of,
    label_of,
    path_text,
    resolved,
)

ARRAYS = ("jax", "key", "numpy")
_NUMBERS = (bool, int, float, complex)
_MAX_LINES = 20


class _Pair(NamedTuple):
    path: Path | str
    ours: Node | None  # that of the file
    theirs: Node | None


def _alongside(
    ours: Node,
    by_id: Mapping[int, Node],
    theirs: Located,
    root: Path | str,
) -> Iterator[_Pair]:
    """The nodes of two trees that are at one path; parents first."""
    waiting: list[tuple[_Pair, int]] = [(_Pair(root, ours, theirs.structure), 0)]
    met = 0
    while waiting:
        (path, one, two), depth = waiting.pop()
        one = None if one is None else resolved(one, by_id)
        two = None if two is None else resolved(two, theirs.by_id)
        met += 1
        if depth > MAX_DEPTH or met > MAX_REPEATED:
            raise ArgumentError("The trees share too much to be compared.")
        yield _Pair(path, one, two)
        below = {} if one is None else _labelled(one, by_id)
        others = {} if two is None else _labelled(two, theirs.by_id)
        pairs: list[tuple[_Pair, int]] = []
        for label in [*below, *(label for label in others if label not in below)]:
            key, child = below.get(label, (None, None))
            their_key, other = others.get(label, (None, None))
            if child is None:
                here: Path = (path, two, their_key)
            else:
                here = (path, one, key)
            pairs.append((_Pair(here, child, other), depth + 1))
        waiting.extend(reversed(pairs))


def _labelled(
    node: Node, by_id: Mapping[int, Node]
) -> dict[str | bytes, tuple[Any, Node]]:
    """The children of a node by what tells them apart: a name, an index, or a key."""
    children = children_of(node)
    keys = node.get("keys")
    if not isinstance(keys, list):
        return {label_of(node, key): (key, child) for key, child in children}
    # Keys that are no text may stand in another order in each tree.
    known: dict[int, bytes] = {}
    labels = [_digest(key, by_id, known) for key in keys]
    return dict(zip(labels, children, strict=False))


def _digest(node: Any, by_id: Mapping[int, Node], known: dict[int, bytes]) -> bytes:
    """The same for keys that are the same; parts that a key shares are seen once."""
    node = resolved(node, by_id)
    if node is None:
        return b""
    if id(node) not in known:
        known[id(node)] = b""  # a file may say that a key contains itself
        text = hashlib.blake2b(_plain(node))
        for key in node.get("keys", ()):
            text.update(_digest(key, by_id, known))
        for name, child in children_of(node):
            text.update(repr(name).encode() + _digest(child, by_id, known))
        known[id(node)] = text.digest()
    return known[id(node)]


def _marked(
    tree: Any, is_wanted: Callable[[Any], bool], is_leaf: Callable[[Any], bool] | None
) -> tuple[list[Any], Any, Located]:
    """The leaves of a tree, and its structure with probes for the wanted ones."""
    leaves, treedef = jtu.tree_flatten(tree, is_leaf)
    probed = [Probe(i) if is_wanted(x) else x for i, x in enumerate(leaves)]
    return leaves, treedef, locate(jtu.tree_unflatten(treedef, probed))


# Shardings ----------------------------------------------------------------------------


def targets(
    tree: Any, structure: Node, root: Path | str, found: Survey, file: str
) -> dict[int, Target]:
    """The sharding of each record, from a tree of shardings beside the structure.

    Raises
    ------
    ArgumentError
        If a sharding is where no array is.
    """
    try:
        leaves, _, theirs = _marked(tree, is_target, is_target)
    except Exception as error:  # the code of the user's classes
        raise ArgumentError(
            f"`sharding` cannot be taken apart: {type(error).__name__}: {error}"
        ) from error
    if not any(map(is_target, leaves)):
        raise ArgumentError(
            "`sharding` is a `jax.sharding.Sharding`, or a tree of them beside the "
            f"model, not a `{type(tree).__qualname__}` without any."
        )
    result: dict[int, Target] = {}
    for path, ours, node in _alongside(structure, found.by_id, theirs, root):
        if node is None or node["kind"] != "probe":
            continue
        target = leaves[node["value"]]
        records = [] if ours is None else _records_below(ours, found)
        if not records:
            raise ArgumentError(
                f"`sharding` has one at `{shown(path_text(path))}`, where {file} has "
                "no array."
            )
        result.update(dict.fromkeys(records, target))
    return result


def _records_below(node: Node, found: Survey) -> list[int]:
    pairs = _alongside(node, found.by_id, Located({"kind": "none"}, {}, {}), "")
    return [
        ours["record"]
        for _, ours, _ in pairs
        if ours is not None
        and ours["kind"] in ("jax", "key")
        and type(ours.get("record")) is int
    ]


# Loading into a tree ------------------------------------------------------------------


class Match(NamedTuple):
    """An array of the file, and the leaf whose place it takes."""

    path: Path | str
    node: Node
    leaf: int


class Likeness:
    """What of a file goes into a tree that is there already.

    Of some nodes only, if they are given; of the others nothing is reported.

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
        nodes: set[int] | None,
    ) -> None:
        try:
            marked = _marked(like, _is_filled, None)
        except Exception as error:  # the code of the user's classes
            raise ArgumentError(
                f"`like` cannot be taken apart: {type(error).__name__}: {error}"
            ) from error
        self._leaves, self._treedef, self._theirs = marked
        self.matches: list[Match] = []
        self.statics: list[tuple[Path | str, Node, Any]] = []
        self._values: dict[int, Any] = {}
        self._unread: list[str] = []
        self._kept: list[str] = []
        self._differ: list[str] = []
        for path, ours, node in _alongside(structure, found.by_id, self._theirs, root):
            if nodes is None or (ours is not None and id(ours) in nodes):
                self._compare(path, ours, node)

    def _compare(
        self, path: Path | str, ours: Node | None, theirs: Node | None
    ) -> None:
        where = f"`{shown(path_text(path), 400)}`"
        if theirs is not None and theirs["kind"] == "probe":
            index = theirs["value"]
            reason = "the file has nothing there"
            if ours is not None:
                reason = self._take(path, ours, index)
            if reason:
                self._kept.append(f"{where}: {reason}")
        elif ours is not None and ours["kind"] in ARRAYS:
            if theirs is None or theirs["kind"] not in ARRAYS:
                self._unread.append(f"{where}: `like` has no array there")
            elif _described(ours) != _described(theirs):
                self._differ.append(f"{where}: an array of another shape or dtype")
            else:
                source = self._theirs.sources[id(theirs)]
                self.statics.append((path, ours, source))
        elif ours is not None and theirs is not None:
            one, two = _plain(ours), _plain(theirs)
            if one != two and ours["kind"] != "placeholder":
                self._differ.append(f"{where}: {_told(ours)}, not {_told(theirs)}")

    def _take(self, path: Path | str, ours: Node, index: int) -> str:
        """Note what takes the place of a leaf; or why nothing does."""
        leaf = self._leaves[index]
        if ours["kind"] in ARRAYS:
            if not hasattr(leaf, "shape"):
                return f"the file has an array there, not a {type(leaf).__name__}"
            shape, dtype = _outline(ours)
            if tuple(leaf.shape) != shape:
                return f"the shape is {list(shape)} in the file, not {list(leaf.shape)}"
            if leaf.dtype != dtype:
                return f"the dtype is {dtype} in the file, not {leaf.dtype}"
            self.matches.append(Match(path, ours, index))
            return ""
        kind = kind_named(ours["kind"])
        if kind is None or kind.refers_to is not None or "node" in ours:
            return f"the file has {_told(ours)} there"
        value = kind.decode(Parts(value=ours.get("value"), extra=ours))
        if type(value) is not type(leaf):
            return f"the file has {_told(ours)} there"
        self._values[index] = value
        return ""

    def target_of(self, match: Match, asked: Target | dict[int, Target]) -> Target:
        """Where the array of a match goes: as asked, or as the leaf is."""
        if type(asked) is dict:
            asked = asked.get(match.node["record"])
        if asked is not None:
            return None if asked is HOST and match.node["kind"] == "key" else asked
        leaf = self._leaves[match.leaf]
        if isinstance(leaf, (np.ndarray, np.generic)):
            return HOST
        if isinstance(leaf, jax.Array):
            return leaf.sharding if leaf.committed else None
        return leaf.sharding

    def filled(self, raw: Mapping[int, Any], targets: list[Target], file: str) -> Any:
        """The tree with what the file has, and its own leaves elsewhere."""
        there = [
            (match, target)
            for match, target in zip(self.matches, targets, strict=True)
            if match.node["record"] in raw
        ]
        arrays = place(
            [logical(raw[match.node["record"]], match.node) for match, _ in there],
            [target for _, target in there],
            [match.path for match, _ in there],
            file,
        )
        leaves = list(self._leaves)
        made: dict[tuple[int, int], Any] = {}  # what the file shares stays shared
        for (match, target), array in zip(there, arrays, strict=True):
            key = match.node["record"], id(target)
            if key not in made:
                made[key] = _decoded(match.node, array)
            leaves[match.leaf] = made[key]
        for index, value in self._values.items():
            leaves[index] = value
        return jtu.tree_unflatten(self._treedef, leaves)

    def compare(self, raw: Mapping[int, Any]) -> None:
        """Compare static arrays with those of the file."""
        for path, node, source in self.statics:
            record = node["record"]
            if record in raw:
                own = jr.key_data(source) if node["kind"] == "key" else source
                array = logical(raw[record], node)
                if np.asarray(own).tobytes() != array.tobytes():
                    where = f"`{shown(path_text(path), 400)}`"
                    self._differ.append(f"{where}: an array of other values")

    def report(self, file: str) -> None:
        """Warn of all that was not loaded, and of what is not alike.

        Raises
        ------
        ArgumentError
            If nothing at all was loaded.
        """
        sections = {
            "Arrays of the file that were not loaded": self._unread,
            "Leaves of `like` that were kept": self._kept,
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
            raise ArgumentError(f"{file} has nothing that fits into `like`.\n{text}")
        if lines:
            warn(f"{file} was loaded into `like` in part.\n{text}", PartialLoadWarning)


def _is_filled(leaf: Any) -> bool:
    kinds = (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)
    return isinstance(leaf, kinds) or type(leaf) in _NUMBERS


def _outline(node: Node) -> tuple[tuple[int, ...], Any]:
    if node["kind"] == "numpy":
        struct = outline(node)
    else:
        kind = kind_named(node["kind"])
        assert kind is not None
        struct = kind.decode(Parts(extra=node))
    return struct.shape, struct.dtype


def _decoded(node: Node, array: Any) -> Any:
    kind = kind_named(node["kind"])
    assert kind is not None
    if node["kind"] == "numpy" and isinstance(array, jax.Array):
        return array
    return kind.decode(Parts(array=array, extra=node))


def _described(node: Node) -> Any:
    return node.get("shape"), node.get("dtype"), node.get("impl")


_BOOKKEEPING = {"id", "record", "repeats", "node", "keys", "static"}


def _plain(node: Node) -> bytes:
    """What a node says of itself, without its children and its place in the file."""
    names = sorted(node.keys() - _BOOKKEEPING)
    packed: Any = msgpack.packb([(name, node[name]) for name in names])
    return packed


def _told(node: Node) -> str:
    """A node in a few words."""
    if "type" in node:
        return f"`{shown(node['type'])}`"
    if node["kind"] in ("probe", "unknown"):
        return "what no file can hold" if node["kind"] == "unknown" else "an array"
    value = node.get("value")
    if value is None or type(value) in (bytes, list, dict):
        return f"another `{node['kind']}`"
    return f"`{shown(repr(value))}`"
