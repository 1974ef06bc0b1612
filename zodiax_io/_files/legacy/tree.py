"""The tree of an old file: its nodes, and the order of its leaves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..._trust.names import MAX_LENGTH
from .classes import imported
from .pickled import Pairs

MAX_DEPTH = 500


@dataclass(eq=False, repr=False)
class Old:
    """A node of an old file.

    Attributes
    ----------
    type : str
        The class, as Python prints it.
    name : str
        The class as we name it; empty for what is Python's, NumPy's or JAX's.
    children : list or None
        Pairs of a key and a node, for a container.
    value : str or None
        What a text says.
    array : (shape, dtype) or None
        What an array is.
    record : int or None
        The record that holds it, when that has been found.
    """

    type: str
    name: str = ""
    children: list[tuple[Any, Old]] | None = None
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


def parsed(plain: Any, names: dict[str, str], depth: int = 0) -> Old:
    """A node of the pickle; `names` holds those of classes that have been met.

    Raises
    ------
    ValueError
        If it is none.
    """
    if type(plain) is not Pairs or not all(type(key) is str for key, _ in plain):
        raise ValueError("a node is no dictionary")
    parts: dict[str, Any] = dict(plain)
    if depth > MAX_DEPTH or len(parts) != len(plain):
        raise ValueError("a node lies too deep, or says something twice")
    name = parts.get("type")
    if type(name) is not str:
        raise ValueError("a node has no type")
    name = name.removeprefix("builtins.")
    if parts.get("node_type") == "container" and set(parts) == {*_LEAF, "node"}:
        children = parts["node"]
        if type(children) is not Pairs:
            raise ValueError("a container has no children")
        found = [(key, parsed(child, names, depth + 1)) for key, child in children]
        keys = [key for key, _ in found]
        if name in MAPPINGS:
            return Old(name, children=found)
        if name not in SEQUENCES and all(type(key) is str for key in keys):
            if len(set(keys)) != len(keys):
                raise ValueError("a class has a field twice")
        elif keys != list(range(len(keys))) or {*map(type, keys)} - {int}:
            raise ValueError("the children of a sequence are not numbered")
        if name not in names:
            names[name] = "" if name in SEQUENCES else _colon(name)
        return Old(name, names[name], found)
    if parts.get("node_type") != "leaf":
        raise ValueError("a node is neither a leaf nor a container")
    if set(parts) == {*_LEAF, "value"} and type(parts["value"]) is str:
        return Old(name, value=parts["value"])
    if set(parts) == {*_LEAF, "shape", "dtype"} and type(parts["dtype"]) is str:
        shape = parts["shape"]
        if type(shape) is not tuple or not all(type(n) is int for n in shape):
            raise ValueError("an array has no shape")
        return Old(name, array=(shape, parts["dtype"]))
    if set(parts) == _LEAF and name != "str":
        return Old(name)
    raise ValueError("a leaf says what none says")


def _colon(name: str) -> str:
    """A class as we name it, from all that Python prints: ``a.b.C`` is ``a.b:C``.

    A part that begins with a capital is the class that another is defined in, unless
    modules that are imported tell otherwise.
    """
    if len(name) > MAX_LENGTH:  # which nobody's is
        return name
    parts = name.split(".")
    module = 1
    if parts[0] != "__main__":
        while module < len(parts) - 1 and not parts[module][:1].isupper():
            module += 1
        for other in range(len(parts) - 1, 0, -1):
            if ".".join(parts[:other]) in sys.modules and imported(
                f"{'.'.join(parts[:other])}:{'.'.join(parts[other:])}"
            ):
                module = other
                break
    return f"{'.'.join(parts[:module])}:{'.'.join(parts[module:])}"


def leaves(old: Old) -> Iterator[tuple[str, str, str | None, Old]]:
    """The leaves in the order of JAX; and where classes hold something, from to.

    Raises
    ------
    ValueError
        If a mapping has keys that JAX could not have sorted.
    """
    if old.children is None:
        if old.has_record:
            yield "leaf", "", None, old
        return
    children = old.children
    if old.type in ("dict", "collections.defaultdict"):
        try:
            children = sorted(children, key=lambda pair: pair[0])
        except (TypeError, RecursionError):
            raise ValueError("a mapping has keys without an order") from None
    for key, child in children:
        if old.name:
            of = key if type(key) is str else None
            yield "from", old.name, of, child
            yield from leaves(child)
            yield "to", old.name, of, child
        else:
            yield from leaves(child)
