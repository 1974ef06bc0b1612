"""Sequences, sets and mappings."""

from __future__ import annotations

import collections
import enum
import gc
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from .._trust import reflection
from .._trust.names import name_of
from .._trust.reflection import has_python_layout
from .base import (
    CannotKeep,
    Kind,
    Parts,
    children_in_order,
    exactly,
    expect_children,
)
from .contents import Indescribable, Texts, items_of
from .fields import attributes_of
from .keys import LARGE, check_keys
from .look import Look, in_brackets, in_parentheses

# Sequences and sets -------------------------------------------------------------------


def _encode_sequence(obj: Any) -> Parts:
    return Parts(children=list(obj))


TUPLE = Kind(
    "tuple",
    exactly(tuple),
    _encode_sequence,
    lambda parts: tuple(children_in_order(parts)),
    keeps="`tuple`",
    shared=True,
    is_node=True,
    look=Look(literal=True, items=in_parentheses),
)


LIST = Kind(
    "list",
    exactly(list),
    _encode_sequence,
    children_in_order,
    keeps="`list`",
    shared=True,
    is_node=True,
    look=Look(literal=True, items=in_brackets),
)


def _encode_deque(obj: collections.deque[Any]) -> Parts:
    return Parts(children=list(obj), value=obj.maxlen)


def _decode_deque(parts: Parts) -> collections.deque[Any]:
    maxlen, children = parts.value, children_in_order(parts)
    if maxlen is not None and (type(maxlen) is not int or maxlen < len(children)):
        raise ValueError("a deque is longer than its limit")
    return collections.deque(children, maxlen)


DEQUE = Kind(
    "deque",
    exactly(collections.deque),
    _encode_deque,
    _decode_deque,
    keeps="`deque`, with its limit",
    shared=True,
)


def _encode_set(obj: Any) -> Parts:
    check_keys(list(obj))
    return Parts(children=sorted(obj, key=_sort_key))


def _sort_key(obj: Any) -> str:
    return _ElementTexts(_MAX_DEPTH, _MAX_VALUES, _MAX_LENGTH).of(obj)


SET = Kind(
    "set",
    exactly(set),
    _encode_set,
    lambda parts: _hashed(children_in_order(parts), set),
    keeps="`set`",
    shared=True,
)


FROZENSET = Kind(
    "frozenset",
    exactly(frozenset),
    _encode_set,
    lambda parts: _hashed(children_in_order(parts), frozenset),
    keeps="`frozenset`",
    shared=True,
)


_MAX_DEPTH, _MAX_VALUES, _MAX_LENGTH = 32, 10_000, 1 << 18


class _ElementTexts(Texts):
    """Texts by which the elements of a set are sorted.

    The order of a set depends on the process; the order of these texts does not.
    """

    def of(self, obj: Any, depth: int = 0) -> str:
        """The text of an element, shortened if it is nested too deeply or too large."""
        try:
            return super().of(obj, depth)
        except Indescribable:
            return "…"

    def _text(self, obj: Any, depth: int) -> str:
        cls = type(obj)
        if cls is str:  # the commonest, and never a constant with a name
            return f"builtins:str {obj!r}"
        named = name_of(obj)
        of = ":".join(reflection.own_name(cls) or ("", cls.__name__))
        if named is not None:
            return f"{of} {named}"
        if reflection.derives(cls, enum.Enum):
            return f"{of} {obj._name_} {obj._value_!r}"
        if reflection.derives(cls, np.generic):
            return f"{of} {obj.dtype.str} {obj.tobytes().hex()}"
        if items_of(obj) is not None:
            inside = self._of_items(obj, depth)
        elif cls is slice:
            inside = [self.of(part, depth) for part in (obj.start, obj.stop, obj.step)]
        elif cls is types.MethodType:
            inside = [self.of(obj.__self__, depth), obj.__func__.__qualname__]
        elif has_python_layout(cls):
            attributes = sorted(attributes_of(obj).items())
            inside = [f"{name}={self.of(value, depth)}" for name, value in attributes]
        elif cls is int and not -LARGE < obj < LARGE:
            return f"{of} {obj:x}"  # digits take the square of the time, or fail
        else:  # a value of a class in C: a number, a text, a date, a dtype
            return f"{of} {obj!r}"
        return f"{of} {inside}"


def _hashed(children: list[Any], into: Callable[[list[Any]], Any]) -> Any:
    check_keys(children)
    result = into(children)
    if len(result) != len(children):
        raise ValueError("a set contains an element twice")
    return result


# Mappings -----------------------------------------------------------------------------


def _encode_mapping(obj: Any, sorts: bool) -> Parts:
    keys, children = list(obj.keys()), list(obj.values())
    order = _sorted_order(keys) if sorts else None
    if all(type(key) is str for key in keys) and _is_text(keys):
        return Parts(children=dict(zip(keys, children, strict=True)), order=order)
    check_keys(keys)
    return Parts(children=children, keys=keys, order=order)


def _is_text(keys: list[str]) -> bool:
    try:
        "".join(keys).encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _sorted_order(keys: list[Any]) -> list[int] | None:
    """The order of the children in JAX, which sorts keys; None if it is their own."""
    try:
        order = sorted(range(len(keys)), key=keys.__getitem__)
    except MemoryError:
        raise
    except Exception:  # comparing keys runs code of their classes
        return None
    return None if order == list(range(len(keys))) else order


def _pairs(parts: Parts) -> dict[Any, Any]:
    if type(parts.children) is dict:
        return parts.children
    children = children_in_order(parts)
    if type(parts.keys) is not list or len(parts.keys) != len(children):
        raise ValueError("a mapping has more or fewer keys than values")
    check_keys(parts.keys)
    result = dict(zip(parts.keys, children, strict=True))
    if len(result) != len(children):
        raise ValueError("a mapping contains a key twice")
    return result


DICT = Kind(
    "dict",
    exactly(dict),
    lambda obj: _encode_mapping(obj, True),
    _pairs,
    keeps="`dict`, any keys, in their order",
    shared=True,
    is_node=True,
    steps="key",
)


ORDEREDDICT = Kind(
    "ordereddict",
    exactly(collections.OrderedDict),
    lambda obj: _encode_mapping(obj, False),
    lambda parts: collections.OrderedDict(_pairs(parts)),
    keeps="`OrderedDict`",
    shared=True,
    is_node=True,
    steps="key",
)


_ORDERED = "ordered"  # the value of a view of an `OrderedDict`


def _encode_view(obj: Any) -> Parts:
    (mapping,) = gc.get_referents(obj)
    if not reflection.is_one_of(type(mapping), (dict, collections.OrderedDict)):
        raise CannotKeep(
            f"It is a view of a `{type(mapping).__qualname__}`. Keep that instead, and "
            "make the view again."
        )
    parts = _encode_mapping(mapping, False)
    parts.value = None if type(mapping) is dict else _ORDERED
    return parts


def _decode_view(parts: Parts) -> Any:
    if parts.value not in (None, _ORDERED):
        raise ValueError("a view is of an unknown mapping")
    mapping = _pairs(parts)
    is_ordered = parts.value is not None
    return types.MappingProxyType(
        collections.OrderedDict(mapping) if is_ordered else mapping
    )


MAPPINGPROXY = Kind(
    "mappingproxy",
    exactly(types.MappingProxyType),
    _encode_view,
    _decode_view,
    keeps="`MappingProxyType`",
    shared=True,
    steps="key",
)


def _encode_defaultdict(obj: collections.defaultdict[Any, Any]) -> Parts:
    children = {"default_factory": obj.default_factory, "items": dict(obj)}
    return Parts(children=children, static=("default_factory",))


def _decode_defaultdict(parts: Parts) -> collections.defaultdict[Any, Any]:
    factory, items = expect_children(parts, "default_factory", "items")
    if factory is not None and not callable(factory):
        raise ValueError("the factory of a defaultdict is not a function")
    if type(items) is not dict:
        raise ValueError("a defaultdict has no items")
    return collections.defaultdict(factory, items)


DEFAULTDICT = Kind(
    "defaultdict",
    exactly(collections.defaultdict),
    _encode_defaultdict,
    _decode_defaultdict,
    keeps="`defaultdict`, with its factory",
    shared=True,
    is_node=True,
    unseen=("items",),
)
