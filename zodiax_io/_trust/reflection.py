"""Classes and instances read without running any code of theirs."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from typing import Any, TypeGuard

from .._jax import function_with_rule


def is_class(obj: object) -> TypeGuard[type]:
    """Whether an object is a class, asked of its type: `__class__` may lie."""
    return issubclass(type(obj), type)


def mro(cls: type) -> tuple[type, ...]:
    """The classes a class is made of, read past its metaclass."""
    return type.__dict__["__mro__"].__get__(cls)


def is_one_of(cls: type, classes: Iterable[type]) -> bool:
    """Whether a class is one of some; `in` would compare, or hash, by its metaclass."""
    return any(cls is known for known in classes)


def derives(cls: type, base: type) -> bool:
    """Whether a class descends from another; `in` would compare them by `==`."""
    return any(above is base for above in mro(cls))


def namespace(cls: type) -> Any:
    """The class's own attributes, read past its metaclass."""
    return type.__dict__["__dict__"].__get__(cls)


def module_space(module: str) -> dict[str, Any] | None:
    """The globals of an imported module; never imports, never runs a module's code."""
    found = sys.modules.get(module)
    if found is None or not issubclass(type(found), types.ModuleType):
        return None
    # Past a `__dict__` of its own that a class of modules may have.
    space: Any = types.ModuleType.__dict__
    return space["__dict__"].__get__(found)


def own_name(obj: object) -> tuple[str, str] | None:
    """Module and qualified name as the object itself tells them, which may be a lie."""
    if is_class(obj):
        module = namespace(obj).get("__module__")
        if type(module) is not str:
            # Classes written in C keep no `__module__`; `type` knows it.
            module = type.__dict__["__module__"].__get__(obj)
        qualname = type.__dict__["__qualname__"].__get__(obj)
    else:
        bearer = function_with_rule(obj)
        obj = obj if bearer is None else bearer
        module, qualname = (
            module_and_qualname(obj, "__module__"),
            module_and_qualname(obj, "__qualname__"),
        )
    if type(module) is str and type(qualname) is str:
        # What a worker process calls the script that started it.
        return "__main__" if module == "__mp_main__" else module, qualname
    return None


_C_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)


def module_and_qualname(obj: object, name: str) -> Any:
    """What an object says of itself, unless asking would run code of its class."""
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
    held = instance_dict(obj)
    if held is not None and name in held:
        return held[name]
    if type(on_class) is not str:
        return None
    # Text is no descriptor, so no code runs. From Python 3.12 on, a TypeVar has values
    # of its own without a `__dict__` to see them in.
    try:
        return object.__getattribute__(obj, name)
    except AttributeError:
        return on_class


def instance_dict(obj: object) -> dict[str, Any] | None:
    """The very `__dict__` of an instance; None without one, or where a class lies."""
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
    """An attribute of a class as stored, found without running descriptors."""
    for base in mro(cls):
        space = namespace(base)
        if name in space:
            return space[name]
    return None


def has_python_layout(cls: type) -> bool:
    """Whether instances consist of a `__dict__` and slots, and of nothing made in C."""
    members = sum(
        type(value) is types.MemberDescriptorType
        for base in mro(cls)
        if "__slots__" in namespace(base)  # C has members too, as `complex`
        for value in namespace(base).values()
    )
    for name in ("__dictoffset__", "__weakrefoffset__"):
        members += _layout(cls, name) > 0
    return _layout(cls, "__basicsize__") <= object.__basicsize__ + 8 * members


def _layout(cls: type, name: str) -> int:
    return type.__dict__[name].__get__(cls)  # past the metaclass
