"""Whether JAX can inspect and print an object without running code of its class."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable
from typing import Any

import jax
import jax.tree_util as jtu
import numpy as np

from .. import _jax
from .._trust import reflection
from .._trust.classes import metaclass_runs_code
from .._trust.names import is_standard
from .._trust.reflection import class_attribute
from .._trust.roles import is_function
from .._trust.table import FRAMEWORKS, PRINTING_READ
from . import flattening
from .contents import is_partial, parts_of_partial
from .fields import (
    attributes_of,
    defines,
    is_dunder,
    is_of_frameworks,
    package_of,
    reads_plainly,
)
from .placeholders import Placeholder
from .pytrees import unflattens_plainly

# JAX's own cost of wrapping grows with a power of the depth.
MAX_WRAPPERS = 8
# JAX prints a function with all that is inside, each time that it wraps it.
_MAX_PRINTED = 10_000
# The names by which JAX and Python inspect and print an object.
_INSPECTED = frozenset(
    """
    __getattr__ __getattribute__ __name__ __qualname__ __wrapped__ __signature__
    __text_signature__ __func__ __self__ __code__ __defaults__ __kwdefaults__
    __repr__ __str__ __format__ __tree_pp__ _partialmethod __partialmethod__
    """.split()
)


def is_wrappable(function: object) -> bool:
    """Whether JAX can inspect and print a callable without code of its class."""
    return _is_wrappable(function, 0, [_MAX_PRINTED])


def _is_wrappable(function: object, depth: int, left: list[int]) -> bool:
    if depth > MAX_WRAPPERS or reflection.is_class(function) or not callable(function):
        return False
    obj: Any = function
    if type(obj) is Placeholder:
        return True
    if type(obj) is types.MethodType:
        inner = _is_wrappable(obj.__func__, depth + 1, left)
        return inner and _repr_runs_no_code(obj.__self__, left)
    if is_partial(type(obj)):
        inner = _is_wrappable(obj.func, depth + 1, left)
        return inner and _repr_runs_no_code([obj.args, obj.keywords], left)
    attributes = reflection.instance_dict(obj) or {}
    for name in ("__wrapped__", "_static_fun"):  # JAX unwraps these, too
        if name in attributes and not reflection.is_class(attributes[name]):
            inner = attributes[name]
            inner = inner[0][0] if name == "_static_fun" and inner[0] else inner
            if callable(inner) and not _is_wrappable(inner, depth + 1, left):
                return False
    return is_function(obj) or _repr_runs_no_code(obj, left)


def _repr_runs_no_code(obj: Any, left: list[int]) -> bool:
    """Whether printing an object runs no code of its class, and ends."""
    waiting = [obj]
    while waiting:
        left[0] -= 1
        parts = _printed_parts(waiting.pop()) if left[0] >= 0 else None
        if parts is None:
            return False
        waiting += parts
    return True


def _printed_parts(obj: Any) -> Iterable[Any] | None:
    """The objects printed with an object; None if printing it may run code."""
    cls = type(obj)
    if reflection.is_one_of(cls, _PRINTED) or is_function(obj):
        return ()
    if cls is jtu.PyTreeDef:  # printed with its auxiliary data
        nodes = [*flattening.nodes_of(obj)]
        are_plain = all(unflattens_plainly(of) for of, _ in nodes)
        return [aux for _, aux in nodes] if are_plain else None
    if reflection.is_class(obj):
        return None if metaclass_runs_code(obj) else ()
    if cls is dict:
        return [*obj.keys(), *obj.values()]
    if reflection.is_one_of(cls, (list, tuple, set, frozenset)):
        return obj
    if is_partial(cls):
        return parts_of_partial(obj)
    if cls is types.MethodType:
        return obj.__func__, obj.__self__
    if not _class_runs_no_code(cls):
        return None
    if reflection.derives(cls, tuple):
        return tuple.__iter__(obj)
    return () if reflection.derives(cls, enum.Enum) else attributes_of(obj).values()


def _class_runs_no_code(cls: type) -> bool:
    """Whether instances can be inspected and printed without code of the class."""
    fields = class_attribute(cls, "__dataclass_fields__") or ()
    return reads_plainly(cls, fields) and not any(
        (name in _INSPECTED and not _is_generated(value))
        or (is_dunder(name) and _computes(value))
        for base in reflection.mro(cls)
        if not _is_exempt(base)
        for name, value in reflection.namespace(base).items()
    )


def _is_generated(value: object) -> bool:
    """Whether `dataclasses` wrote a method: those methods have no source file."""
    if type(value) is not types.FunctionType:
        return False
    inner = value.__dict__.get("__wrapped__", value)
    code = inner.__code__ if type(inner) is types.FunctionType else value.__code__
    # The methods of namedtuples come from a file of Python's library.
    return code.co_filename == "<string>" or (
        inner is value and is_of_frameworks(value)
    )


def _computes(value: object) -> bool:
    """Whether reading this attribute of a class runs code, as a property does."""
    cls = type(value)
    plain = (types.FunctionType, staticmethod, classmethod)
    plain += (types.GetSetDescriptorType, types.MemberDescriptorType)
    return (
        defines(cls, "__get__")
        and not reflection.is_one_of(cls, plain)
        and not _is_exempt(cls)
    )


_PRINTED = (
    *(type(None), bool, int, float, complex, str, bytes, range, slice, object),
    *(type(...), np.ndarray, _jax.array_type(), _jax.key_array_type()),
    *(jax.ShapeDtypeStruct, type(_jax.equinox_missing())),
)


def _is_exempt(cls: type) -> bool:
    package = package_of(cls)
    return package in PRINTING_READ or package in FRAMEWORKS or is_standard(package)
