"""Whether reading or comparing a class, or an instance, may run code of the class."""

from __future__ import annotations

import abc
import enum
import functools
import types

import equinox as eqx

from . import names, reflection
from .table import METACLASSES_READ, PACKAGES, SPECIAL_METHODS_READ

_SPECIAL = (
    "__getattr__",
    "__getattribute__",
    "__setattr__",
    "__delattr__",
    "__hash__",
    "__eq__",
)


def handwritten_method(cls: type) -> str | None:
    """The first special method that runs on access or comparison and was not read."""
    for base in reflection.mro(cls):
        own = reflection.own_name(base)
        if base is object or (own is not None and _was_read(own[0])):
            continue
        space = reflection.namespace(base)
        for name in _SPECIAL:
            method = space.get(name)
            if type(method) is types.FunctionType and not _is_harmless(method):
                return name
    return None


def _was_read(module: str) -> bool:
    package = names.top_level_package(module)
    return package in SPECIAL_METHODS_READ or names.is_standard(package)


def _is_harmless(method: types.FunctionType) -> bool:
    """Whether a method was generated, or comes from a package whose methods were read.

    Methods that `dataclasses` generates have no source file; a decorator, such as that
    of jax_dataclasses, puts its own into the classes of other packages.
    """
    home = method.__globals__.get("__name__")
    read = type(home) is str and _was_read(home)
    return method.__code__.co_filename == "<string>" or read


_METACLASSES = (type, abc.ABCMeta, enum.EnumMeta, type(eqx.Module))
_KNOWN = PACKAGES | METACLASSES_READ
# Methods of a metaclass that run when a class is made or called, never on a load.
_RUN_ON_CREATION = frozenset({"__new__", "__init__", "__call__", "__prepare__"})


def metaclass_runs_code(cls: type) -> bool:
    """Whether to look at a class, or to compare it, may run code of its metaclass."""
    for base in reflection.mro(type(cls)):
        own = reflection.own_name(base)
        package = "" if own is None else names.top_level_package(own[0])
        known = reflection.is_one_of(base, _METACLASSES)
        if known or names.is_standard(package) or package in _KNOWN:
            continue
        space = reflection.namespace(base)
        for name, value in space.items():
            special = name.startswith("__") and name not in _RUN_ON_CREATION
            if special and (type(value) is types.FunctionType or _is_descriptor(value)):
                return True
    return False


def _is_descriptor(value: object) -> bool:
    cls = type(value)
    wrappers = (property, staticmethod, classmethod, functools.partial)
    in_c = (types.GetSetDescriptorType, types.MemberDescriptorType)
    return reflection.is_one_of(cls, wrappers) or (
        "__get__" in reflection.namespace(cls) and not reflection.is_one_of(cls, in_c)
    )


def has_known_metaclass(cls: type) -> bool:
    """Whether the metaclass is of Python, Equinox or a known package."""
    own = reflection.own_name(type(cls))
    package = "" if own is None else names.top_level_package(own[0])
    return (
        reflection.is_one_of(type(cls), _METACLASSES)
        or package in _KNOWN
        or package in {"abc", "typing", "typing_extensions"}
    )
