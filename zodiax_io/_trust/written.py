"""Where the code of a function was written, whatever the function says of itself.

`functools.wraps` gives a function the name and the module of another, and decorators
return objects that have the name of the decorator. Code objects cannot be mistaken.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator
from typing import Any

from .reflection import instance_dict, is_class

# The attributes in which wrappers of Python, JAX and Equinox have what they wrap.
_WRAPPED = ("__wrapped__", "fun", "fn", "_fun", "fn_fwd", "fn_bwd", "pyfunc")
_MAX_PLACES = 64


def places_of(obj: object) -> list[tuple[str, str]]:
    """Module and qualified name of the code of a function, and of all that it wraps."""
    found: list[tuple[str, str]] = []
    waiting, seen = [obj], [obj]
    while waiting and len(seen) < _MAX_PLACES:
        function = waiting.pop(0)
        if type(function) is types.FunctionType:
            module = function.__globals__.get("__name__")
            if type(module) is str:
                found.append((module, function.__code__.co_qualname))
        for inner in _inside(function):
            if not any(inner is one for one in seen):
                seen.append(inner)
                waiting.append(inner)
    return found


def _inside(function: object) -> Iterator[Any]:
    """The functions and wrappers in a function or wrapper; never classes or data."""
    if is_class(function):
        return
    if type(function) is functools.partial:
        yield function.func
    attributes = instance_dict(function) or {}
    for name in _WRAPPED:
        if name in attributes:
            yield attributes[name]
    if type(function) is types.FunctionType:
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            if is_class(content):
                continue
            if "__wrapped__" in (instance_dict(content) or {}) or (
                type(content) is types.FunctionType
            ):
                yield content
