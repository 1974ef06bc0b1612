"""Where the leaves of a tree are in its structure."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.tree_util as jtu

from .._errors import (
    LIMITS,
    ArgumentError,
    SerialisationError,
    ZodiaxIOError,
)
from .._evolution import packages
from .._interpreter import call_deeply
from .._kinds import flattening
from .._kinds.base import Kind, Parts
from .._kinds.lookup import row_of
from .._kinds.placeholders import Placeholder
from .._structure.nodes import FRAMES, Node, PlainNode, Structure
from .._structure.pairing import NameHere
from .._structure.paths import Path, root_path
from .._trust import reflection
from .._trust.judge import Judge
from .._trust.names import lookup_or_none, name_of, resolve_or_none
from .encode import Encoder


def names_here(judge: Judge) -> NameHere:
    """The names by which a tree of this process has what a file names.

    A class may have several: that of the running script and that of the module which
    the script is, an alias, an older one. Nothing is imported; a name that leads
    nowhere stays what it is.
    """

    @functools.cache
    def name_here(name: str) -> str:
        name = judge.current_name(name)
        module, _, qualname = name.partition(":")
        found = resolve_or_none(name)
        if found is None and module == packages.script().get("script"):
            found = lookup_or_none(f"__main__:{qualname}")
        return name if found is None else name_of(found) or name

    return name_here


# The kinds of two leaves that only a located tree has: a `Probe`, and an object that no
# file can keep. Neither is in the table of kinds or in a file.
_PROBE = "probe"
_UNKEPT = "unknown"


def probe_of(node: Node) -> int | None:
    """The number of the leaf that a node marks; None for any other node."""
    return node.plain["value"] if node.kind_name == _PROBE else None


def is_unkept(node: Node) -> bool:
    """Whether a node is that of an object that no file can keep."""
    return node.kind_name == _UNKEPT


class Located(NamedTuple):
    """The structure of a live tree that is compared or shown, not saved.

    Attributes
    ----------
    structure : Structure
        Nodes as in a file, with those of probes, and of objects that no file can keep.
    sources : dict
        By the identity of a plain node, the array that it describes.
    unkept : dict
        By the identity of a plain node, the object that no file can keep.
    """

    structure: Structure
    sources: dict[int, Any]
    unkept: dict[int, Any]


class _Marked(NamedTuple):
    """The leaves of a tree, and its structure with probes for the wanted ones."""

    leaves: list[Any]
    treedef: Any
    located: Located


def with_probes(
    name: str,
    tree: Any,
    is_wanted: Callable[[Any], bool],
    is_leaf: Callable[[Any], bool] | None = None,
) -> _Marked:
    try:
        leaves, treedef = flattening.flatten(tree, is_leaf)
        probed = [Probe(i) if is_wanted(x) else x for i, x in enumerate(leaves)]
        try:
            marked = jtu.tree_unflatten(treedef, probed)
        except LIMITS:
            raise
        except Exception:  # a class that converts its fields
            wanted = {id(x): i for i, x in enumerate(leaves) if is_wanted(x)}
            if len(wanted) < sum(map(is_wanted, leaves)):
                raise
            return _Marked(leaves, treedef, locate(tree, wanted))
        return _Marked(leaves, treedef, locate(marked, {}))
    except (ZodiaxIOError, *LIMITS):
        raise
    except Exception as error:  # the code of the user's classes
        raise ArgumentError(
            f"`{name}` cannot be taken apart: {type(error).__name__}: {error}"
        ) from error


class Probe:
    """A mark in the place of a leaf, which shows where the leaf is."""

    def __init__(self, index: int) -> None:
        self.index = index


class _Locator(Encoder):
    """An encoder that goes on where an object cannot be saved: nothing is written."""

    def __init__(self, wanted: Mapping[int, int], *, with_columns: bool) -> None:
        super().__init__("warn")
        self.with_columns = with_columns
        self.wanted = wanted
        # With their nodes, so that no later node gets the identity of one of them.
        self.unkept: list[tuple[PlainNode, Any]] = []

    def node_of(self, obj: Any, path: Path, depth: int, dynamic: bool) -> PlainNode:
        index = obj.index if type(obj) is Probe else self.wanted.get(id(obj))
        if index is not None:
            return {"node_type": "leaf", "kind": _PROBE, "value": index}
        before = self._mark()
        try:
            node = super().node_of(obj, path, depth, dynamic)
        except SerialisationError:
            self._rewind(before)
            node = {"node_type": "leaf", "kind": _UNKEPT}
        lacks = node["kind"] == _UNKEPT or row_of(node).placeholder == "always"
        if lacks and type(obj) is not Placeholder:
            self.unkept.append((node, obj))
        return node

    def _match_leaves(self, obj: Any, start: int, path: Path, node: PlainNode) -> None:
        """Nothing is written, so nothing need be in order."""

    def _repeat(self, node: PlainNode, leaf: Any, path: Path) -> None:
        """Nothing is written."""

    def _name(self, parts: Parts, kind: Kind, obj: Any, path: Path) -> str:
        own = ":".join(reflection.own_name(parts.refers) or ("", ""))
        # First the name that `names_here` finds for what a file names.
        return name_of(parts.refers) or parts.name or own


def locate(
    tree: Any, wanted: Mapping[int, int], *, with_columns: bool = False
) -> Located:
    """Encode a live tree, whatever is in it, to see where its leaves are.

    Parameters
    ----------
    tree : pytree
        The tree.
    wanted : dict
        Numbers by the identity of an object; each is encoded as a probe.
    with_columns : bool, default False
        Whether a long list of numbers is one node, or a node for each element.
    """
    encoder = _Locator(wanted, with_columns=with_columns)
    plain = call_deeply(
        FRAMES, encoder.node_of, tree, root_path("model"), 0, dynamic=True
    )
    return Located(
        Structure.parse(plain),
        {id(leaf.node): leaf.source for leaf in (*encoder.leaves, *encoder.extras)},
        {id(node): obj for node, obj in encoder.unkept},
    )
