"""Two structures side by side: for ``like=``, ``sharding=`` and `diff`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgpack

from .._errors import ArgumentError
from .nodes import Node, Visits, own_data
from .paths import Path, Step, label_of

# From a name of the file to the one name by which a tree of this process has it.
NameHere = Callable[[str], str]


@dataclass(slots=True, eq=False, repr=False)
class Side:
    """One of two structures, and how its children are matched with the other's.

    Attributes
    ----------
    root : Node
        Where to begin.
    name_here : callable or None
        For a file: from a name in it to the present name.
    flat : bool
        Whether to skip children that add no step to a path. Their own children then
        count as children of the parent.
    """

    root: Node
    name_here: NameHere | None = None
    flat: bool = True
    _keys: dict[int, bytes] = field(default_factory=dict[int, bytes])

    def children(self, node: Node | None) -> dict[Any, Child]:
        """The children of a node by what identifies them: a name, index or key.

        A field and the key of a mapping are alike: a dictionary may replace an object.
        """
        result: dict[Any, Child] = {}
        if node is None:
            return result
        static = node.static
        if node.keys:
            # Keys other than text may come in another order in each tree.
            times: dict[bytes, int] = {}
            for key, (step, child) in zip(node.keys, node.below(), strict=False):
                digest = self._digest(key)
                count = times.get(digest, 0)  # such as NaN, which never equals itself
                times[digest] = count + 1
                result[digest, count] = Child(node, step, child, False)
            return result
        for step, child in node.below():
            if not self.flat or label_of(node.plain, step):
                result[step] = Child(node, step, child, step in static)
            else:
                result |= self.children(child)
        return result

    def _digest(self, key: Node) -> bytes:
        """The same bytes for equal keys; a node that keys share is packed once."""
        known = self._keys
        waiting = [key]
        while waiting:
            node = waiting[-1]
            if id(node) in known:
                waiting.pop()
                continue
            inner = [*node.keys, *(child for _, child in node.below())]
            unknown = [one for one in inner if id(one) not in known]
            if unknown:
                waiting += unknown
                continue
            text = hashlib.blake2b(fingerprint(node, self.name_here))
            text.update(repr([step for step, _ in node.below()]).encode())
            for one in inner:
                text.update(known[id(one)])
            known[id(node)] = text.digest()
        return known[id(key)]


@dataclass(slots=True, eq=False, repr=False)
class Child:
    """A child as a side has it.

    Attributes
    ----------
    parent : Node
        The node that holds it.
    step : str or int
        The step from there.
    node : Node
        The child itself.
    is_static : bool
        Whether it is a static field.
    """

    parent: Node
    step: Step
    node: Node
    is_static: bool

    @property
    def is_again(self) -> bool:
        """Whether it is shared, and has appeared before at another path."""
        return not self.parent.has_first(self.step, self.node)


@dataclass(slots=True, eq=False, repr=False)
class Pair:
    """The nodes that two structures have at one path.

    Attributes
    ----------
    path : Path
        Where they are: in the first structure, if it has a node there.
    ours, theirs : Node or None
        What each has there.
    our_child, their_child : Child or None
        The `Child` of each: its parent, and the step from there. None for the roots.
    deeper : bool
        Whether the walk goes on below them. Set it to False to leave that out.
    """

    path: Path
    ours: Node | None
    theirs: Node | None
    our_child: Child | None = None
    their_child: Child | None = None
    deeper: bool = True
    _below: tuple[dict[Any, Child], dict[Any, Child]] | None = None

    def below(self, ours: Side, theirs: Side) -> tuple[dict[Any, Child], ...]:
        """The children on each side, by what identifies them; found once."""
        if self._below is None:
            self._below = ours.children(self.ours), theirs.children(self.theirs)
        return self._below


def pairs(ours: Side, theirs: Side, path: Path) -> Iterator[Pair]:
    """Two structures side by side, parents first, in the order of the first.

    Raises
    ------
    ArgumentError
        If they share so much that the walk would hardly end.
    """
    visits = Visits()
    waiting = [Pair(path, ours.root, theirs.root)]
    while waiting:
        pair = waiting.pop()
        yield pair
        if not pair.deeper:
            continue
        here, there = pair.below(ours, theirs)
        if visits.are_too_many(child.node for child in here.values()):
            raise ArgumentError("The trees share too much to be compared.")
        below: list[Pair] = []
        for key in [*here, *(key for key in there if key not in here)]:
            our_child, their_child = here.get(key), there.get(key)
            child = our_child or their_child
            assert child is not None
            below.append(
                Pair(
                    (pair.path, child.parent.plain, child.step),
                    our_child and our_child.node,
                    their_child and their_child.node,
                    our_child,
                    their_child,
                )
            )
        waiting.extend(reversed(below))


def fingerprint(
    node: Node, name_here: NameHere | None = None, *, by_identity: bool = False
) -> bytes:
    """The data of a node, without its children and its place in the file, as bytes.

    As bytes, a NaN equals itself. The version of a package and the byte order of an
    array are left out: they may differ between equal trees.

    Parameters
    ----------
    node : Node
        The node.
    name_here : callable, optional
        From a name in the file to the present name.
    by_identity : bool, default False
        Whether to compare of a value only what its kind calls its identity.
    """
    data = own_data(node)
    data.pop("version", None)  # of the package that once saved it
    data.pop("order", None)
    identity = node.kind.identity
    if by_identity and identity is not None and "value" in data:
        data["value"] = identity(data["value"])
    if name_here is not None and node.name is not None:
        data["type"] = name_here(node.name)
    packed: Any = msgpack.packb(data)
    return packed
