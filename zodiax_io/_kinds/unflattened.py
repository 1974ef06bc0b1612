"""Check, before a save, that unflattening builds an equal object in any process.

An object that can be kept by its attributes needs no such check. An object with an
attribute that no file can keep (a lock, a lambda) is built by the unflatten function of
its class. Such a function may lose attributes, or set them in the order of a set, which
changes from process to process. So it is called here, and watched while it runs.
"""

from __future__ import annotations

import collections
import threading
import types
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import _jax
from .._errors import LIMITS
from .._trust import reflection
from .._trust.names import is_standard
from .._trust.reflection import class_attribute, has_python_layout
from .._trust.roles import is_function
from .base import CannotRebuild
from .contents import (
    bits,
    is_array,
    is_partial,
    is_set,
    items_of,
    limit_of,
    parts_of_partial,
    reader_of,
)
from .fields import attributes_of, defines, package_of
from .watch import Watch

_ADVICE = "Register a kind for it with `zodiax_io.register_kind`."
# Classes of Python whose new instances are all alike.
_WITHOUT_STATE = (type(threading.Lock()), type(threading.RLock()), threading.local)
_MAX_COMPARED = 100_000
_OF_FUNCTIONS = (types.MethodType, types.CellType)


def check_unflattening(obj: Any, children: list[Any], aux: Any) -> tuple[Any, Watch]:
    """Refuse an object that unflattening would not build again, in any process.

    It returns the object that the class builds from the children and auxiliary data,
    and the functions that were called for it.
    """
    cls = type(obj)
    name = f"`{cls.__module__}.{cls.__qualname__}`"
    try:
        with Watch() as watch:
            _jax.flatten_once(obj)
            fresh = _jax.unflatten_once(cls, aux, children)
    except LIMITS:
        raise
    except Exception as error:
        raise CannotRebuild(
            f"The unflatten function of {name} failed on the object's own children: "
            f"{type(error).__name__}: {error}. {_ADVICE}"
        ) from error
    found = watch.uses_of_sets()
    if found is not None:
        raise CannotRebuild(
            f"{name} flattens by way of a set (in `{found}`), whose order changes from "
            f"process to process: its attributes could be exchanged. {_ADVICE}"
        )
    different = Comparison().difference(obj, fresh)
    if different:
        raise CannotRebuild(
            f"The flatten and unflatten functions of {name} do not keep {different}. "
            f"{_ADVICE}"
        )
    return fresh, watch


def check_order(cls: type, watch: Watch, unknown: list[str]) -> None:
    """Refuse an object with parts that no load can check, if a set may order them."""
    found = watch.ways_to_sets() if unknown else None
    if found is not None:
        raise CannotRebuild(
            f"`{cls.__module__}.{cls.__qualname__}` may flatten in the order of a set "
            f"or of hashes (in `{found}`), which changes from process to process, and "
            f"no load can check values that its unflatten function computes, such as "
            f"`{unknown[0]:.80}`. {_ADVICE}"
        )


class Comparison:
    """Compares two objects attribute by attribute, as far as these can be read."""

    def __init__(self) -> None:
        self._alike: set[tuple[int, int]] = set()
        self._seen: list[Any] = []  # kept alive, so that no identity is used again

    def difference(self, one: Any, other: Any) -> str:
        """The first attribute that differs, in words; empty if none does."""
        if type(one) is not type(other):
            return "its class"
        self._assume_same(one, other)
        cls = type(one)
        before, after = attributes_of(one), attributes_of(other)
        known: set[int] | None = None
        for name in [*before, *(n for n in after if n not in before)]:
            if _is_derived(cls, name, before, after):
                continue
            if may_be_hash(name, before.get(name, after.get(name))):
                # Cached by one of the two objects, and perhaps not yet by the other.
                known = hashes_of(other, after) if known is None else known
                if before.get(name, after.get(name)) in known:
                    continue
            if name not in before or name not in after:
                return f"the attribute {name!r}"
            if not self.same(before[name], after[name]):
                return f"the attribute {name!r}"
        if not self._same_contents(one, other):
            return "its value"
        if not all(self.same(a, b) for a, b in self._items(one, other)):
            return "its items"
        return ""

    def _same_contents(self, one: Any, other: Any) -> bool:
        """Whether the data of two objects in C, other than items, is the same."""
        cls = type(one)
        if has_python_layout(cls):
            return True
        read = reader_of(cls)
        if read is not None:
            return self.same(read(one), read(other))
        if reflection.derives(cls, np.ndarray):
            return _same_array(one, other)
        return items_of(one) is not None

    def same(self, one: Any, other: Any) -> bool:
        """Whether two objects are the same, or have the same contents to the bit."""
        if one is other or (id(one), id(other)) in self._alike:
            return True
        cls = type(one)
        if cls is not type(other) or len(self._alike) > _MAX_COMPARED:
            return False
        self._assume_same(one, other)
        if is_array(cls):
            return _same_array(one, other)
        if reflection.is_one_of(cls, (float, complex)):  # NaN is equal to itself
            return bits(one) == bits(other)
        if is_without_state(cls):
            return True
        if is_function(one) or reflection.is_one_of(cls, _OF_FUNCTIONS):
            return all(self.same(a, b) for a, b in _parts_of_function(one, other))
        if is_partial(cls):
            one, other = parts_of_partial(one), parts_of_partial(other)
        if reflection.derives(cls, np.generic):
            return one.dtype == other.dtype and one.tobytes() == other.tobytes()
        if attributes_of(one):
            return not self.difference(one, other)
        return self._same_items(one, other)

    def _assume_same(self, one: Any, other: Any) -> None:
        """Take two objects for the same while their contents are compared."""
        self._alike.add((id(one), id(other)))
        self._seen.append((one, other))

    def _same_items(self, one: Any, other: Any) -> bool:
        pairs = self._items(one, other)
        if pairs is not _NO_ITEMS:
            return all(self.same(a, b) for a, b in pairs)
        plain = (int, str, bytes, bytearray)
        if reflection.is_one_of(type(one), plain) or isinstance(one, np.dtype):
            return bool(one == other)
        # Equal decimals may have other digits, and equal dates another fold.
        standard = is_standard(package_of(type(one)))
        return standard and bool(one == other) and repr(one) == repr(other)

    def _items(self, one: Any, other: Any) -> Any:
        """Pairs of the items of two containers of one class."""
        before, after = items_of(one), items_of(other)
        if before is None or after is None:
            return _NO_ITEMS
        if len(before) != len(after):
            return [(0, 1)]
        if is_set(one):
            equal = {item: item for item in after}
            after = [equal.get(item, _ABSENT) for item in before]
        elif reflection.derives(type(one), collections.deque):
            before, after = [limit_of(one), *before], [limit_of(other), *after]
        return zip(before, after, strict=True)


_NO_ITEMS: tuple[Any, ...] = ()


_ABSENT = object()


def is_without_state(cls: type) -> bool:
    """Whether all new instances of a class are alike, such as locks."""
    return reflection.is_one_of(cls, _WITHOUT_STATE)


# Almost all hashes of text and of identity are larger than numbers that people choose.
_LARGE = 1 << 31


def is_large(value: int) -> bool:
    """Whether a number has the size of a hash."""
    return not -_LARGE < value < _LARGE


def may_be_hash(name: str, value: Any) -> bool:
    """Whether an attribute may be a cached hash, by its name or its size."""
    return type(value) is int and ("hash" in name or is_large(value))


def hashes_of(obj: Any, attributes: dict[str, Any]) -> set[int]:
    """The hashes of an object and of its attributes, except numbers.

    The hash of a number is that number, so an equal attribute need not be a hash.
    """
    found: set[int] = set()
    for part in (obj, *attributes.values()):
        if issubclass(type(part), (int, float, complex, np.generic)):
            continue
        try:
            found.add(hash(part))
        except LIMITS:
            raise
        except Exception:  # it cannot be hashed, or a method of its class fails
            continue
    return found


def _is_derived(
    cls: type, name: str, before: dict[str, Any], after: dict[str, Any]
) -> bool:
    """Whether an attribute may be absent, because it is computed when it is read."""
    if name in before and name in after:
        return False
    found = class_attribute(cls, name)
    is_getter = defines(type(found), "__get__") and not defines(type(found), "__set__")
    return is_getter and not is_function(found)


def _same_array(one: Any, other: Any) -> bool:
    try:
        a, b = np.asarray(one), np.asarray(other)
    except LIMITS:
        raise
    except Exception:  # deleted, or not of this process
        return False
    same = a.dtype == b.dtype and a.shape == b.shape
    weak = getattr(one, "weak_type", None) == getattr(other, "weak_type", None)
    return same and weak and a.dtype.kind != "O" and a.tobytes() == b.tobytes()


def _parts_of_function(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Pairs of parts that are the same if two functions are."""
    if type(one) is types.FunctionType:
        yield one.__code__ is other.__code__, True
        yield one.__globals__ is other.__globals__, True
        for name in ("__defaults__", "__kwdefaults__", "__dict__"):
            yield getattr(one, name), getattr(other, name)
        yield one.__closure__ or (), other.__closure__ or ()
    elif type(one) is types.MethodType:
        yield one.__func__, other.__func__
        yield one.__self__, other.__self__
    elif type(one) is types.CellType:
        yield _contents(one), _contents(other)
    else:  # a function of JAX or NumPy around another one
        yield getattr(one, "__wrapped__", one), getattr(other, "__wrapped__", 0)
        yield _jax.jit_options(one), _jax.jit_options(other)


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
