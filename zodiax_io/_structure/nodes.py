"""Nodes of a structure: plain dictionaries of one shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .._errors import (
    ArgumentError,
)

# JAX's own limit is some 990 levels, less what the caller's stack uses of it.
MAX_DEPTH = 500
# How many nodes may be met again within something shared: to JAX each counts anew.
MAX_REPEATED = 1_000_000

Node = dict[str, Any]


# Keys that `build_structure` adds to the root; a file has them in its document.
RECORDED = ("versions", "settings")
# What a node says of its place in the tree and in the file, and what is in it.
_PLACE = {
    *("id", "record", "repeats", "node", "keys", "static", "leaves", "leafless"),
    *("places", "texts", "held", "attributes"),  # where attributes come from
    *RECORDED,
}


def said(node: Node) -> dict[Any, Any]:
    """What a node says of itself, without its children and its place in the file."""
    return {name: node[name] for name in sorted(node.keys() - _PLACE, key=str)}


# The kind of a node that refers to another one by its number. It is in no table.
REFERENCE = "same"


def is_reference(node: Node) -> bool:
    """Whether a node refers to another one, for an object that the tree shares."""
    return node.get("kind") == REFERENCE


def children_of(node: Node) -> list[tuple[str | int, Any]]:
    """The children of a node, by name or by index."""
    children = node.get("node")
    if isinstance(children, dict):
        return list(children.items())
    return list(enumerate(children)) if isinstance(children, list) else []


def records_of(node: Node) -> list[int]:
    """The numbers of the records that a node itself refers to."""
    repeats = node.get("repeats")
    numbers = [node.get("record"), *(repeats if type(repeats) is list else [])]
    return [number for number in numbers if type(number) is int]


class Repeats:
    """Counts how often a walk comes to nodes again: a file may make it never end."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._seen: set[int] = set()
        self._count = 0

    def note(
        self, children: Iterable[Any], by_id: Mapping[int, Node], depth: int
    ) -> None:
        """Note the children that a walk will come to.

        Raises
        ------
        ArgumentError
            If they are too many, or too deep.
        """
        for child in children:
            node = resolved(child, by_id)
            if id(node) in self._seen:
                self._count += 1
            self._seen.add(id(node))
        if self._count > _MAX_REPEATED_VISITS or depth > MAX_DEPTH:
            raise ArgumentError(self._message)


_MAX_REPEATED_VISITS = 200_000


def name_of_type(node: Node) -> str:
    """What the type of a node is called, where it has one."""
    return node["type"] if type(node["type"]) is str else "(no text)"


def child_at(node: Node, name: str) -> Any:
    children = node.get("node")
    return children.get(name) if isinstance(children, dict) else None


def resolved(node: Any, by_id: Mapping[int, Node]) -> Any:
    """A node, or the one that it refers to; None if that is not there."""
    refers = isinstance(node, dict) and node.get("kind") == REFERENCE
    value = node.get("value") if refers else None
    return by_id.get(value) if type(value) is int else node


def reachable(node: Node, by_id: Mapping[int, Node], seen: set[int]) -> Iterator[Node]:
    """A node and all that it needs, but for what has been seen; each once."""
    waiting: list[Any] = [node]
    while waiting:
        node = resolved(waiting.pop(), by_id)
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting += node.get("keys", ())
            waiting += [child for _, child in children_of(node)]


# Frames of Python for that depth: a few a level, and twice as many under type checks.
FRAMES = 12 * MAX_DEPTH


# The kinds of two leaves of a tree that is only looked at: a `Probe`, and an object
# that no file can hold. Neither is in a table or in a file.
PROBE = "probe"
UNKEPT = "unknown"


def is_probe(node: Node) -> bool:
    """Whether a node marks where a leaf of a tree is."""
    return node["kind"] == PROBE


def is_unkept(node: Node) -> bool:
    """Whether a node is that of an object that no file can hold."""
    return node["kind"] == UNKEPT


class Located(NamedTuple):
    """The structure of a tree that is only looked at.

    Attributes
    ----------
    structure : dict
        Nodes as in a file, with those of probes, and of objects that no file can hold.
    by_id : dict
        Its nodes that are referred to.
    sources : dict
        By the identity of a node, the array that it describes.
    odd : dict
        By the identity of a node, what no file can hold.
    """

    structure: Node
    by_id: dict[int, Node]
    sources: dict[int, Any]
    odd: dict[int, Any]
