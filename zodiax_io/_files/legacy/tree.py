"""The tree of an old file: its nodes, and the order of its leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from ..._trust.names import MAX_LENGTH
from .classes import imported_class
from .pickled import Pairs

MAX_DEPTH = 500


@dataclass(eq=False, repr=False)
class LegacyNode:
    """A node of an old file.

    Attributes
    ----------
    type : str
        The class, as Python prints it.
    name : str
        The class as ``module:qualname``; empty for a class of Python, NumPy or JAX.
    children : list or None
        Pairs of a key and a node, for a container.
    value : str or None
        The text, if the node is one.
    array : (shape, dtype) or None
        Shape and dtype, if the node is an array.
    record : int or None
        The number of the record that holds its data, once it is assigned.
    """

    type: str
    name: str = ""
    children: list[tuple[Any, LegacyNode]] | None = None
    value: str | None = None
    array: tuple[tuple[int, ...], str] | None = None
    record: int | None = None

    @property
    def has_record(self) -> bool:
        """Whether Equinox writes a record for it, unless it is static."""
        return self.children is None and self.type not in ("str", "NoneType")


SEQUENCES = {"list": "list", "tuple": "tuple"}
MAPPINGS = {
    "dict": "dict",
    "collections.OrderedDict": "ordereddict",
    "collections.defaultdict": "defaultdict",
}
_LEAF = {"node_type", "type"}


def parse_node(plain: Any, names: dict[str, str], depth: int = 0) -> LegacyNode:
    """A node of the pickle, checked; `names` caches the names of classes.

    Raises
    ------
    ValueError
        If it is not a node that zodiax wrote.
    """
    if type(plain) is not Pairs or not all(type(key) is str for key, _ in plain):
        raise ValueError("a node is not a dictionary")
    entries: dict[str, Any] = dict(plain)
    if depth > MAX_DEPTH:
        raise ValueError("a node is nested too deeply")
    if len(entries) != len(plain):
        raise ValueError("a node has a key twice")
    name = entries.get("type")
    if type(name) is not str:
        raise ValueError("a node has no type")
    name = name.removeprefix("builtins.")
    if entries.get("node_type") == "container" and set(entries) == {*_LEAF, "node"}:
        if type(entries["node"]) is not Pairs:
            raise ValueError("a container has no children")
        children = [
            (key, parse_node(child, names, depth + 1)) for key, child in entries["node"]
        ]
        return _container(name, children, names)
    if entries.get("node_type") != "leaf":
        raise ValueError("a node is neither a leaf nor a container")
    return _leaf(name, entries)


def _container(
    name: str, children: list[tuple[Any, LegacyNode]], names: dict[str, str]
) -> LegacyNode:
    keys = [key for key, _ in children]
    if name in MAPPINGS:
        return LegacyNode(name, children=children)
    if name not in SEQUENCES and all(type(key) is str for key in keys):
        if len(set(keys)) != len(keys):
            raise ValueError("a class has a field twice")
    elif keys != list(range(len(keys))) or {*map(type, keys)} - {int}:
        raise ValueError("the children of a sequence are not numbered")
    if name not in names:
        names[name] = "" if name in SEQUENCES else _name_of_class(name)
    return LegacyNode(name, names[name], children)


def _leaf(name: str, entries: dict[str, Any]) -> LegacyNode:
    if set(entries) == {*_LEAF, "value"} and type(entries["value"]) is str:
        return LegacyNode(name, value=entries["value"])
    if set(entries) == {*_LEAF, "shape", "dtype"} and type(entries["dtype"]) is str:
        shape = entries["shape"]
        if type(shape) is not tuple or not all(type(n) is int for n in shape):
            raise ValueError("an array has no shape")
        return LegacyNode(name, array=(shape, entries["dtype"]))
    if set(entries) == _LEAF and name != "str":
        return LegacyNode(name)
    raise ValueError("a leaf has keys that zodiax did not write")


def _name_of_class(name: str) -> str:
    """A class as ``a.b:C``, from ``a.b.C``, which Python prints.

    A name that begins with a capital is taken for the class that another is defined in,
    unless an imported module shows that it is a module.
    """
    if len(name) > MAX_LENGTH:  # longer than the name of any class
        return name
    parts = name.split(".")
    module = 1
    if parts[0] != "__main__":
        while module < len(parts) - 1 and not parts[module][:1].isupper():
            module += 1
        for other in range(len(parts) - 1, 0, -1):
            if ".".join(parts[:other]) in sys.modules and imported_class(
                f"{'.'.join(parts[:other])}:{'.'.join(parts[other:])}"
            ):
                module = other
                break
    return f"{'.'.join(parts[:module])}:{'.'.join(parts[module:])}"


class Event(NamedTuple):
    """A leaf, or the beginning or end of a field, on the way through the leaves.

    Attributes
    ----------
    kind : {"leaf", "begin", "end"}
        Which of the three.
    node : LegacyNode
        The leaf, or the value of the field.
    name : str
        The class that has the field.
    field : str or None
        The field; None for an item by its number.
    """

    kind: Literal["leaf", "begin", "end"]
    node: LegacyNode
    name: str = ""
    field: str | None = None


def leaves(node: LegacyNode) -> Iterator[Event]:
    """The leaves in the order of JAX, between the ends of the fields that hold them.

    Raises
    ------
    ValueError
        If a mapping has keys that JAX could not have sorted.
    """
    if node.children is None:
        if node.has_record:
            yield Event("leaf", node)
        return
    children = node.children
    if node.type in ("dict", "collections.defaultdict"):
        try:
            children = sorted(children, key=lambda pair: pair[0])
        except (TypeError, RecursionError):
            raise ValueError("a mapping has keys without an order") from None
    for key, child in children:
        if node.name:
            field = key if type(key) is str else None
            yield Event("begin", child, node.name, field)
            yield from leaves(child)
            yield Event("end", child, node.name, field)
        else:
            yield from leaves(child)
