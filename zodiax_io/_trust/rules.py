"""The rules by which a name is accepted or refused."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import numpy as np

from . import reflection
from .finding import Refused
from .reflection import class_attribute, has_python_layout
from .roles import (
    CODE,
    DATACLASS,
    DEFAULTS,
    MARKER,
    MODULE,
    UNFLATTENED,
    Holder,
    Role,
    is_enum,
    is_module_class,
    is_namedtuple,
    is_node_class,
)
from .table import (
    FRAMEWORKS,
    LOCAL_FUNCTIONS,
    PACKAGES,
)

STANDARD = "belongs to Python's standard library, which no file may use"


def definitions(module: str) -> Iterator[tuple[str, Any]]:
    """The classes and functions that an imported module defines, by their names."""
    for key, value in list((reflection.module_space(module) or {}).items()):
        if type(key) is str and reflection.own_name(value) == (module, key):
            yield f"{module}:{key}", value


KNOWN = "belongs to a known package of the field"


def is_behind(module: str) -> str:
    return f"will be looked for once `{module}` is imported"


def declared(cls: type) -> Holder:
    """What the fields that a class declares say of what it calls with what."""
    fields = class_attribute(cls, "__dataclass_fields__")
    types_of = {
        name: found.type
        for name, found in (fields if type(fields) is dict else {}).items()
        if type(name) is str and type(found) is dataclasses.Field
    }
    calls = {name for name, form in types_of.items() if _is_callable_form(form)}
    free = any(_is_free_form(form) for form in types_of.values())
    return Holder(free=bool(calls) and free, calls=frozenset(calls))


_FORMS = ("typing", "types", "collections.abc", "_collections_abc")


def _parts_of_form(form: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of a generic annotation of Python's own."""
    told = reflection.own_name(type(form))
    if told is None or told[0] not in _FORMS:
        return form, ()
    arguments = getattr(form, "__args__", ())
    origin = getattr(form, "__origin__", form)
    return origin, arguments if type(arguments) is tuple else ()


def _is_callable_form(form: Any, depth: int = 0) -> bool:
    if type(form) is str:
        return "Callable" in form
    origin, arguments = _parts_of_form(form)
    if origin is collections.abc.Callable or origin is types.FunctionType:
        return True
    return depth < _MAX_FORM and any(
        _is_callable_form(argument, depth + 1) for argument in arguments
    )


def _is_free_form(form: Any) -> bool:
    """Whether a field may hold arguments of any kind, as those of a partial do."""
    if type(form) is str:
        bare = form.replace("typing.", "").replace("t.", "")
        return bare in _FREE or bare.startswith(_FREE_ITEMS)
    if form is Any or form is object or form is tuple or form is dict or form is list:
        return True
    origin, arguments = _parts_of_form(form)
    if origin is not tuple and origin is not dict and origin is not list:
        return False
    return any(argument is Any or argument is object for argument in arguments)


_FREE_ITEMS = ("tuple[Any", "dict[str, Any", "list[Any")
_FREE = {"Any", "object", "tuple", "dict", "list"}
_MAX_FORM = 4


def is_tool(part: str) -> bool:
    """Whether a module is part of a program or of the tests, by its name."""
    plain = part.strip("_").lower()
    return plain in _TOOLS or plain.startswith("test_") or plain.endswith("_test")


_TOOLS = frozenset(
    """
    benchmark benchmarks cli command commands conftest demo docs example examples main
    script scripts setup test testing tests
    """.split()
)


def fitting(found: Any, role: Role) -> Any:
    if not role.accepts(found):
        raise Refused(f"is not {role.words}")
    return found


def not_among_functions_of(package: str) -> str:
    return (
        f"is not among the functions of `{package}` that a file may use; your program "
        "may allow it by `zodiax_io.register`"
    )


# Tokens that stand for functions of lineax and optimistix in their states.
TOKENS = "equinox.internal._str2jax"


def safe_because(
    cls: type, package: str, role: Role, handwritten: str | None
) -> str | None:
    """Why a class of somebody else needs no trust; None where it does."""
    known = package in PACKAGES
    field = known and package not in FRAMEWORKS
    if role is CODE:
        return KNOWN if package in LOCAL_FUNCTIONS else None
    if is_module_class(cls):
        return "is an equinox Module"
    if not role.builds:  # a value: nothing is made of it
        harmless = field or _is_enumeration(cls) or _is_scalar_type(cls, package)
        return KNOWN if harmless else None
    if not known or handwritten is not None:
        return None
    if is_namedtuple(cls) or is_enum(cls):
        return KNOWN  # nothing but their values
    if role is UNFLATTENED:  # code of the class would run
        return None
    harmless = is_node_class(cls) or role in (DATACLASS, MARKER, DEFAULTS)
    return KNOWN if field and harmless else None


def _is_enumeration(cls: type) -> bool:
    return type(cls) is type(eqx.Enumeration)


def _is_scalar_type(cls: type, package: str) -> bool:
    return package in FRAMEWORKS and reflection.derives(cls, np.generic)


def refuse_dangerous(cls: type, role: Role) -> None:
    for base in reflection.mro(cls):
        if "__del__" in reflection.namespace(base):
            raise Refused("has a `__del__`, which would run when the object goes")
    if role in (MODULE, DATACLASS, MARKER) and not has_python_layout(cls):
        raise Refused("is built on a type written in C")
