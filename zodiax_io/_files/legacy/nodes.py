"""The tree of an old file as nodes of today's format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ..._arrays import dtypes, records
from ..._arrays.backend import Entry
from ..._trust.names import name_of, top_level_package
from ..._trust.reflection import class_attribute
from ..._trust.roles import is_namedtuple
from .assignment import PYTHON, SCALARS
from .classes import is_class_variable, is_static
from .tree import MAPPINGS, SEQUENCES, LegacyNode

_Node = dict[str, Any]


class MissingValue(Exception):
    """The file does not hold the value of a node."""


@dataclass(eq=False, repr=False)
class Builder:
    """Makes nodes of today's format from those of an old file.

    Attributes
    ----------
    entries : sequence of Entry
        The records of the file.
    read : callable
        The array of a record, by its number.
    find_class : callable
        The class with a name, or None.
    notes : dict of str to str
        Facts that the old format did not keep, for a warning.
    needs : list of str
        Missing classes without which a node stays incomplete.
    """

    entries: Sequence[Entry]
    read: Callable[[int], NDArray[Any]]
    find_class: Callable[[str], Any]
    notes: dict[str, str] = field(default_factory=dict[str, str])
    needs: list[str] = field(default_factory=list[str])

    def node(self, old: LegacyNode) -> _Node:
        """The node of today's format.

        Raises
        ------
        MissingValue
            If the file does not hold its value.
        """
        if old.children is None:
            return self._leaf(old)
        if not old.name:
            nodes = [self.node(child) for _, child in old.children]
            if old.type in SEQUENCES:
                return _container(SEQUENCES[old.type], nodes)
            return self._mapping(old, nodes)
        cls = self.find_class(old.name)
        numbered = bool(old.children) and type(old.children[0][0]) is int
        if cls is None and (numbered or not old.children):
            self.needs.append(old.name)
        if numbered or is_namedtuple(cls):
            return self._namedtuple(old, cls)
        if not old.children and cls is None:
            # A Module or a namedtuple: the kind `marker` accepts both.
            return {"node_type": "leaf", "kind": "marker", "type": old.name}
        children: dict[str, _Node] = {}
        for name, child in old.children:
            if is_class_variable(cls, name):
                continue
            try:
                children[name] = self.node(child)
            except MissingValue:
                continue
        node = _container("module", children) | {"type": _name(old, cls)}
        if cls is None:  # its static fields are unknown
            return node | {"static": None}
        static = [name for name in children if is_static(cls, name)]
        return node | {"static": static} if static else node

    def _namedtuple(self, old: LegacyNode, cls: Any) -> _Node:
        assert old.children is not None
        nodes: Any = [self.node(child) for _, child in old.children]
        keys = [key for key, _ in old.children]
        if keys and all(type(key) is str for key in keys):
            return _container("namedtuple", dict(zip(keys, nodes, strict=True))) | {
                "type": _name(old, cls)
            }
        if is_namedtuple(cls):
            names = [*class_attribute(cls, "_fields")][: len(nodes)]
            names += [f"item {i}" for i in range(len(names), len(nodes))]
            nodes = dict(zip(names, nodes, strict=True))
        return _container("namedtuple", nodes) | {"type": _name(old, cls)}

    def _mapping(self, old: LegacyNode, nodes: list[_Node]) -> _Node:
        assert old.children is not None
        keys = [key for key, _ in old.children]
        kind = MAPPINGS[old.type]
        parts: _Node = {"node": nodes}
        if all(type(key) is str for key in keys) and len(set(keys)) == len(keys):
            parts["node"] = dict(zip(keys, nodes, strict=True))
        else:
            parts["keys"] = [_key(key) for key in keys]
        if kind != "defaultdict":
            return {"node_type": "container", "kind": kind, **parts}
        self.notes["defaultdict"] = "the default of a `defaultdict`"
        items = {"node_type": "container", "kind": "dict", **parts}
        factory = {"node_type": "leaf", "kind": "none"}
        children = {"default_factory": factory, "items": items}
        return _container(kind, children) | {"static": ["default_factory"]}

    def _leaf(self, old: LegacyNode) -> _Node:
        if old.value is not None:
            if old.type != "str":
                raise ValueError("a text has another class than `str`")
            return _plain("str", old.value)
        if old.type == "NoneType":
            return {"node_type": "leaf", "kind": "none"}
        if old.record is None:
            raise MissingValue
        entry = self.entries[old.record]
        dtype = dtypes.describe(entry.dtype)
        node: _Node = {"node_type": "leaf", "record": old.record}
        package, _, name = old.type.rpartition(".")
        if old.array is not None:
            node |= {"shape": list(entry.shape), "dtype": dtype}
            if top_level_package(package) in ("jax", "jaxlib"):
                return node | {"kind": "jax"}
            if old.type != "numpy.ndarray":
                self.notes[old.type] = f"that an array was a `{old.type}`"
            return node | {"kind": "numpy"} | ({"order": "F"} if entry.fortran else {})
        array = self.read(old.record)
        if package == "numpy" and name in SCALARS:
            value = records.without_padding(array).tobytes()
            dtype = dtypes.describe(SCALARS[name])
            return node | {"kind": "scalar", "dtype": dtype, "value": value}
        kind = {"b": "bool", "f": "float", "c": "complex"}.get(entry.dtype.kind, "int")
        if old.type not in PYTHON:
            self.notes[old.type] = f"that a number was a `{old.type}`"
        value = array.item()
        return node | _plain(
            kind, [value.real, value.imag] if kind == "complex" else value
        )


def _name(old: LegacyNode, cls: Any) -> str:
    """The public name of an imported class, as new files have it."""
    return (None if cls is None else name_of(cls)) or old.name


def _container(kind: str, children: Any) -> _Node:
    return {"node_type": "container", "kind": kind, "node": children}


def _plain(kind: str, value: Any) -> _Node:
    if kind == "str":
        try:
            value.encode()
        except UnicodeEncodeError:
            value = value.encode("utf8", "surrogatepass")
    elif kind == "int" and not -(2**63) <= value < 2**64:
        value = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return {"node_type": "leaf", "kind": kind, "value": value}


def _key(key: Any, depth: int = 0) -> _Node:
    if type(key) is tuple:
        if depth > _MAX_KEY_DEPTH:
            raise ValueError("a key is nested too deeply")
        return _container("tuple", [_key(item, depth + 1) for item in key])
    if key is None:
        return {"node_type": "leaf", "kind": "none"}
    return _plain(type(key).__name__, key)


_MAX_KEY_DEPTH = 16
