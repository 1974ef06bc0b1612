"""Check that hashing the keys of a mapping or set runs no code of their classes."""

from __future__ import annotations

import datetime as dt
import types
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import equinox as eqx
import numpy as np

from .. import _jax
from .._trust import reflection
from .._trust.classes import metaclass_runs_code
from .._trust.names import top_level_package
from .._trust.reflection import class_attribute
from .._trust.table import HASHES_READ
from .base import CannotKeep
from .fields import declared_fields, is_of_frameworks, reads_plainly, state_of

LARGE = 10**4300  # Python prints no number of more digits
_MAX_COLLISIONS = 64
_AS_LISTS = "Keep the keys as a list, and the values as another."
_MAX_COMPARED = 4096  # bytes of an integer that may be compared with other numbers


def check_keys(keys: list[Any]) -> None:
    """Refuse keys whose hash runs code of their class, or that collide on purpose."""
    counts: dict[int, int] = {}
    large: set[int] = set()
    for key in keys:
        if type(key) is str:
            continue  # the hash of a string is seeded, so no file can choose it
        if type(key) in (list, dict):
            continue  # unhashable, which Python itself reports
        _check_key(key, 0)
        value = hash(key)
        counts[value] = counts.get(value, 0) + 1
        if counts[value] > _MAX_COLLISIONS:
            raise CannotKeep(f"Too many of its keys share one hash value. {_AS_LISTS}")
        if _is_large(key, 0):
            large.add(value)
    if any(counts[value] > 1 for value in large):
        # Comparing an integer with a `Decimal` takes the square of its length.
        raise CannotKeep(
            f"A number among its keys is longer than {_MAX_COMPARED} bytes, and has "
            f"the hash value of another key. {_AS_LISTS}"
        )


def _is_large(key: Any, depth: int) -> bool:
    """Whether a key is, or contains, a number of many digits."""
    if type(key) is int:
        return key.bit_length() > 8 * _MAX_COMPARED
    if type(key) is Decimal:
        return key.__sizeof__() > _MAX_COMPARED
    return (
        type(key) in (tuple, frozenset)
        and depth < _MAX_KEY_DEPTH
        and any(_is_large(item, depth + 1) for item in key)
    )


def _check_key(key: Any, depth: int) -> None:
    cls = type(key)
    if depth > _MAX_KEY_DEPTH:
        raise CannotKeep(f"One of its keys is nested too deeply. {_AS_LISTS}")
    if reflection.is_class(key):
        if metaclass_runs_code(key):
            raise CannotKeep(
                f"One of its keys is a class that hashes itself. {_AS_LISTS}"
            )
        return
    for name in ("__hash__", "__eq__", "__lt__", "__gt__"):
        if not is_vetted(class_attribute(cls, name)):
            raise CannotKeep(
                f"A key of type `{cls.__module__}.{cls.__qualname__}` writes its own "
                f"`{name}`, which loading would have to run. Use plain values as keys."
            )
    # By type: `isinstance` calls a `__class__` of the object, and iteration may call an
    # `__iter__` of a namedtuple.
    if issubclass(cls, tuple):
        _check_inside(tuple.__iter__(key), depth)
    elif issubclass(cls, frozenset):
        _check_inside(frozenset.__iter__(key), depth)
    elif cls is slice:
        _check_inside((key.start, key.stop, key.step), depth)
    elif cls is _jax.unravel_type():
        raise CannotKeep(f"A function that hashes its arguments is no key. {_AS_LISTS}")
    elif class_attribute(cls, "__dataclass_fields__") is not None:
        _check_fields(key, depth)


def _check_inside(items: Iterator[Any] | tuple[Any, ...], depth: int) -> None:
    for item in items:
        _check_key(item, depth + 1)


def _check_fields(key: Any, depth: int) -> None:
    """Check the fields, which a generated hash reads: reading them must run no code."""
    cls = type(key)
    fields = declared_fields(cls)
    present = state_of(key, fields)[0]
    if len(present) != len(fields) or not reads_plainly(cls, fields):
        raise CannotKeep(
            f"A key of type `{cls.__module__}.{cls.__qualname__}` runs code of its own "
            "when its fields are read. Use plain values as keys."
        )
    for item in present.values():
        # Equinox takes pytrees apart to hash a Module, and compares what is inside.
        of = type(item)
        kept = item is None or any(
            reflection.derives(of, c) for c in (tuple, eqx.Module)
        )
        if not kept and _jax.is_registered_node(of):
            raise CannotKeep("A field of one of its keys is a pytree. Make it plain.")
        _check_key(item, depth + 1)


_MAX_KEY_DEPTH = 16
# Classes in C whose hash depends on their own data or identity; the items of those that
# contain others are checked above.
_C_KEYS = (
    *(object, str, bytes, int, float, complex, type(None), range, tuple, frozenset),
    *(dt.date, dt.time, dt.datetime, dt.timedelta, dt.timezone, Decimal, slice),
    *(np.dtype, np.generic, types.MethodType, types.BuiltinFunctionType),
    *(types.GenericAlias, types.UnionType),
)


def is_vetted(method: Any) -> bool:
    """Whether a method is Python's, a framework's, or generated by `dataclasses`."""
    if type(method) is types.WrapperDescriptorType:
        return issubclass(method.__objclass__, _C_KEYS)
    if type(method) is not types.FunctionType:
        return False
    module = method.__globals__.get("__name__")
    read = type(module) is str and top_level_package(module) in HASHES_READ
    return read or is_of_frameworks(method) or method.__code__.co_filename == "<string>"
