"""Which fields of a class its objects may call, as its annotations show."""

from __future__ import annotations

import collections.abc
import dataclasses
import types
from typing import Any

from . import reflection
from .reflection import class_attribute
from .roles import Holder


def declared_holder(cls: type) -> Holder:
    """How the objects of a class may call the functions that they contain."""
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


def _origin_and_arguments(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of a generic annotation from `typing` or Python."""
    own = reflection.own_name(type(annotation))
    if own is None or own[0] not in _MODULES:
        return annotation, ()
    arguments = getattr(annotation, "__args__", ())
    origin = getattr(annotation, "__origin__", annotation)
    return origin, arguments if type(arguments) is tuple else ()


def _mentions_callable(annotation: Any, depth: int = 0) -> bool:
    if type(annotation) is str:
        return "Callable" in annotation
    origin, arguments = _origin_and_arguments(annotation)
    if origin is collections.abc.Callable or origin is types.FunctionType:
        return True
    return depth < _MAX_DEPTH and any(
        _mentions_callable(argument, depth + 1) for argument in arguments
    )


def _is_for_anything(annotation: Any) -> bool:
    """Whether an annotation allows any arguments, like the fields of a partial."""
    if type(annotation) is str:
        bare = annotation.replace("typing.", "").replace("t.", "")
        return bare in _ANYTHING or bare.startswith(_ITEMS_OF_ANY_KIND)
    if any(annotation is one for one in (Any, object, tuple, dict, list)):
        return True
    origin, arguments = _origin_and_arguments(annotation)
    if origin is not tuple and origin is not dict and origin is not list:
        return False
    return any(argument is Any or argument is object for argument in arguments)


_ITEMS_OF_ANY_KIND = ("tuple[Any", "dict[str, Any", "list[Any")
_ANYTHING = {"Any", "object", "tuple", "dict", "list"}
_MAX_DEPTH = 4
