"""Two structures side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import msgpack

from .._errors import (
    ArgumentError,
)
from .._kinds.lookup import row_of
from .nodes import Located, Node, Repeats, children_of, resolved, said
from .paths import Path, label_of

# Called with a path, and with what the file and the tree have there; tells whether to
# go on below it.
_Visit = Callable[[Path | str, Node | None, Node | None], bool]
_Waiting = tuple[Path | str, Node | None, Node | None, int]


# From a name of the file to the one name of what it leads to here.
NameHere = Callable[[str], str]


def alongside(
    ours: Node,
    by_id: Mapping[int, Node],
    theirs: Located,
    root: Path | str,
    visit: _Visit,
    name_here: NameHere,
) -> None:
    """Visit what two trees have at each path; parents first."""
    repeats = Repeats("The trees share too much to be compared.")
    waiting: list[_Waiting] = [(root, ours, theirs.structure, 0)]
    while waiting:
        path, one, two, depth = waiting.pop()
        one = None if one is None else resolved(one, by_id)
        two = None if two is None else resolved(two, theirs.by_id)
        if (one is None and two is None) or not visit(path, one, two):
            continue
        below = {} if one is None else _labelled(one, by_id, name_here)
        others = {} if two is None else _labelled(two, theirs.by_id, None)
        found: list[_Waiting] = []
        for label in [*below, *(label for label in others if label not in below)]:
            parent, key, child = below.get(label, (None, None, None))
            their_parent, their_key, other = others.get(label, (None, None, None))
            here: Path = (path, parent, key)
            if child is None:
                here = (path, their_parent, their_key)
            found.append((here, child, other, depth + 1))
        repeats.note([child for _, _, child in below.values()], by_id, depth)
        waiting.extend(reversed(found))


_Label = str | int | tuple[bytes, int]


def _labelled(
    node: Node, by_id: Mapping[int, Node], name_here: NameHere | None
) -> dict[_Label, tuple[Node, Any, Node]]:
    """The children of a node by what tells them apart: a name, an index, or a key.

    A field and the key of a mapping are alike: a dictionary may stand for an object.
    """
    children = children_of(node)
    keys = node.get("keys")
    result: dict[_Label, tuple[Node, Any, Node]] = {}
    if isinstance(keys, list):
        # Keys that are no text may stand in another order in each tree.
        known: dict[int, bytes] = {}
        times: dict[bytes, int] = {}
        for key, (index, child) in zip(keys, children, strict=False):
            digest = _digest(key, by_id, name_here, known, 0)
            count = times.get(digest, 0)  # such as NaN, which is never the same
            times[digest] = count + 1
            result[digest, count] = node, index, child
        return result
    for key, child in children:
        if label_of(node, key):
            result[key] = node, key, child
        else:  # what the user does not see as a step
            inner = resolved(child, by_id)
            result |= {} if inner is None else _labelled(inner, by_id, name_here)
    return result


_MAX_KEY_DEPTH = 50


def _digest(
    node: Any,
    by_id: Mapping[int, Node],
    name_here: NameHere | None,
    known: dict[int, bytes],
    depth: int,
) -> bytes:
    """The same for keys that are the same; parts that a key shares are seen once."""
    node = resolved(node, by_id)
    if node is None:
        return b""
    if depth > _MAX_KEY_DEPTH:
        raise ArgumentError("A key is nested too deep for its place to be compared.")
    if id(node) not in known:
        known[id(node)] = b""  # a file may say that a key contains itself
        text = hashlib.blake2b(plain(node, name_here))
        for key in node.get("keys", ()):
            text.update(_digest(key, by_id, name_here, known, depth + 1))
        for name, child in children_of(node):
            text.update(repr(name).encode())
            text.update(_digest(child, by_id, name_here, known, depth + 1))
        known[id(node)] = text.digest()
    return known[id(node)]


def plain(node: Node, name_here: NameHere | None) -> bytes:
    """What a node says of itself, without its children and its place in the file."""
    told = said(node)
    told.pop("version", None)  # of the package that once saved it
    identity = row_of(node).identity
    if identity is not None and "value" in told:
        told["value"] = identity(node.get("value"))
    name = told.get("type")
    if name_here is not None and type(name) is str:
        told["type"] = name_here(name)
    packed: Any = msgpack.packb(told)
    return packed
