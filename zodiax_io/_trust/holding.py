"""How the objects of a class may call what they contain, by its annotations."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
from typing import Any

from . import reflection
from .reflection import class_attribute
from .roles import Holder


def declared_holder(cls: type) -> Holder:
    """How the objects of a class may call what they contain."""
    fields = class_attribute(cls, "__dataclass_fields__")
    annotations = {
        name: found.type
        for name, found in (fields if type(fields) is dict else {}).items()
        if type(name) is str and type(found) is dataclasses.Field
    }
    calls = {name for name, form in annotations.items() if _mentions_callable(form)}
    free = any(_is_for_anything(form) for form in annotations.values())
    return Holder(free=bool(calls) and free, calls=frozenset(calls))


_MODULES = ("typing", "types", "collections.abc", "_collections_abc")


def _origin_and_arguments(form: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of a generic annotation from `typing` or Python."""
    own = reflection.own_name(type(form))
    if own is None or own[0] not in _MODULES:
        return form, ()
    arguments = getattr(form, "__args__", ())
    origin = getattr(form, "__origin__", form)
    return origin, arguments if type(arguments) is tuple else ()


def _mentions_callable(form: Any, depth: int = 0) -> bool:
    if type(form) is str:
        return "Callable" in form
    origin, arguments = _origin_and_arguments(form)
    if origin is collections.abc.Callable or origin is types.FunctionType:
        return True
    return depth < _MAX_DEPTH and any(
        _mentions_callable(argument, depth + 1) for argument in arguments
    )


def _is_for_anything(form: Any) -> bool:
    """Whether a field may contain arguments of any kind, as those of a partial do."""
    if type(form) is str:
        bare = form.replace("typing.", "").replace("t.", "")
        return bare in _ANYTHING or bare.startswith(_ITEMS_OF_ANY_KIND)
    if form is Any or form is object or form is tuple or form is dict or form is list:
        return True
    origin, arguments = _origin_and_arguments(form)
    if origin is not tuple and origin is not dict and origin is not list:
        return False
    return any(argument is Any or argument is object for argument in arguments)


_ITEMS_OF_ANY_KIND = ("tuple[Any", "dict[str, Any", "list[Any")
_ANYTHING = {"Any", "object", "tuple", "dict", "list"}
_MAX_DEPTH = 4
