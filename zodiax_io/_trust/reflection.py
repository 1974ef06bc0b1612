"""Reads classes and instances without running their code."""

from __future__ import annotations

import collections
import sys
import types
from collections.abc import Iterable
from typing import Any, TypeGuard

from .._jax import function_with_rule


def is_class(obj: object) -> TypeGuard[type]:
    """Whether an object is a class, by its type: `__class__` may give another."""
    return issubclass(type(obj), type)


def mro(cls: type) -> tuple[type, ...]:
    """The `__mro__` of a class, read without its metaclass."""
    return type.__dict__["__mro__"].__get__(cls)


def is_one_of(cls: type, classes: Iterable[type]) -> bool:
    """Whether a class is one of several; `in` would call `__eq__` of its metaclass."""
    return any(cls is known for known in classes)


def derives(cls: type, base: type) -> bool:
    """Whether a class is a subclass of another; `issubclass` may call its metaclass."""
    return any(above is base for above in mro(cls))


def namespace(cls: type) -> Any:
    """The `__dict__` of a class, read without its metaclass."""
    return type.__dict__["__dict__"].__get__(cls)


def module_space(module: str) -> dict[str, Any] | None:
    """The globals of an imported module, or None; never runs code of the module."""
    found = sys.modules.get(module)
    if found is None or not issubclass(type(found), types.ModuleType):
        return None
    # Not `found.__dict__`, which a subclass of `ModuleType` may redefine.
    space: Any = types.ModuleType.__dict__
    return space["__dict__"].__get__(found)


def own_name(obj: object) -> tuple[str, str] | None:
    """The `__module__` and `__qualname__` of an object, which may be wrong; or None."""
    if is_class(obj):
        module = namespace(obj).get("__module__")
        if type(module) is not str:
            # A class written in C has no `__module__` of its own; `type` computes it.
            module = type.__dict__["__module__"].__get__(obj)
        qualname = type.__dict__["__qualname__"].__get__(obj)
    else:
        bearer = function_with_rule(obj)
        obj = obj if bearer is None else bearer
        module = own_attribute(obj, "__module__")
        qualname = own_attribute(obj, "__qualname__")
    if type(module) is str and type(qualname) is str:
        # The name of the main script in a worker process.
        return "__main__" if module == "__mp_main__" else module, qualname
    return None


_C_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)


def own_attribute(obj: object, name: str) -> Any:
    """An attribute of an object, or None if reading it would run code of its class."""
    on_class: Any = None
    for base in mro(type(obj)):
        if name in namespace(base):
            on_class = namespace(base)[name]
            break
    if type(on_class) in _C_DESCRIPTORS:
        try:
            return on_class.__get__(obj)
        except AttributeError:
            return None
    attributes = instance_dict(obj)
    if attributes is not None and name in attributes:
        return attributes[name]
    if type(on_class) is not str:
        return None
    # A string is not a descriptor, so no code runs. From Python 3.12 on, a TypeVar has
    # attributes of its own, but no `__dict__`.
    try:
        return object.__getattribute__(obj, name)
    except AttributeError:
        return on_class


def instance_dict(obj: object) -> dict[str, Any] | None:
    """The `__dict__` of an instance; None if its class redefines it or has none."""
    for base in mro(type(obj)):
        if "__dict__" in namespace(base):
            if type(namespace(base)["__dict__"]) not in _C_DESCRIPTORS:
                return None
            break
    try:
        return object.__getattribute__(obj, "__dict__")
    except AttributeError:
        return None


def class_attribute(cls: type, name: str) -> Any:
    """An attribute of a class as it is stored: descriptors are not called."""
    for base in mro(cls):
        space = namespace(base)
        if name in space:
            return space[name]
    return None


def has_python_layout(cls: type, base: type = object) -> bool:
    """Whether instances add a `__dict__` and slots to those of a base, no data in C."""
    members = sum(
        type(value) is types.MemberDescriptorType
        for above in mro(cls)
        if "__slots__" in namespace(above)  # types in C have members too: `complex`
        for value in namespace(above).values()
    )
    for name in ("__dictoffset__", "__weakrefoffset__"):
        offset = _layout(cls, name)
        # Negative: before the object; or behind its items, if it has any.
        is_inside = offset > 0 or (offset < 0 and _layout(cls, "__itemsize__") > 0)
        members += is_inside and offset != _layout(base, name)
    return _layout(cls, "__basicsize__") <= _layout(base, "__basicsize__") + 8 * members


# Built-in classes with contents of their own, those that derive from others first.
BUILT_IN = (
    *(collections.OrderedDict, collections.defaultdict, dict, list, tuple),
    *(collections.deque, set, frozenset, str, bytes, bytearray, int, float, complex),
)


def built_in_base(cls: type) -> type | None:
    """The built-in class to which a class adds attributes alone, or None."""
    base = next((base for base in BUILT_IN if derives(cls, base)), None)
    if base is None or cls is base or not has_python_layout(cls, base):
        return None
    return base


def _layout(cls: type, name: str) -> int:
    return type.__dict__[name].__get__(cls)  # without the metaclass
