"""Contents of built-in objects, read past the methods of subclasses.

Also texts of values that are the same in every process, to sort or compare values by.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import functools
import struct
from collections.abc import Callable
from typing import Any

import jax.tree_util as jtu
import numpy as np

from .. import _jax
from .._trust.reflection import derives, is_one_of

_CONTAINERS = (dict, list, tuple, collections.deque, set, frozenset)


def items_of(obj: Any) -> list[Any] | None:
    """The items of a container, or None; of a mapping each key, then its value."""
    for base in _CONTAINERS:
        if derives(type(obj), base):
            if base is dict:
                return [part for item in dict.items(obj) for part in item]
            return [*base.__iter__(obj)]
    return None


def is_set(obj: Any) -> bool:
    """Whether an object is a set or a frozenset, or of a subclass."""
    return derives(type(obj), set) or derives(type(obj), frozenset)


def is_array(cls: type) -> bool:
    """Whether a class is that of arrays of NumPy or JAX."""
    return is_one_of(cls, (np.ndarray, _jax.array_type()))


def is_partial(cls: type) -> bool:
    """Whether a class is `functools.partial` or JAX's own."""
    return is_one_of(cls, (functools.partial, jtu.Partial))


def parts_of_partial(obj: Any) -> tuple[Any, ...]:
    """The function of a `functools.partial` and its arguments."""
    return obj.func, obj.args, obj.keywords


def bits(value: Any) -> bytes:
    """The bits of a float or complex number, or of an instance of a subclass."""
    if not derives(type(value), complex):
        return struct.pack("<d", value)
    real, imag = (vars(complex)[name].__get__(value) for name in ("real", "imag"))
    return struct.pack("<dd", real, imag)


# Members of classes in C, which a subclass may hide.
factory_of = vars(collections.defaultdict)["default_factory"].__get__
limit_of = vars(collections.deque)["maxlen"].__get__

# The first class that fits reads an instance, past the methods of its own class.
_READERS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (float, bits),
    (complex, bits),
    (int, int.__int__),
    (str, str.__str__),
    (bytes, lambda obj: bytes.__getitem__(obj, slice(None))),
    (bytearray, lambda obj: bytes(memoryview(obj))),
    (collections.defaultdict, factory_of),
    (functools.partial, parts_of_partial),
    (decimal.Decimal, decimal.Decimal.as_tuple),
    (dt.datetime, lambda obj: dt.datetime.__reduce_ex__(obj, 4)[1]),  # with its fold
    (dt.date, lambda obj: dt.date.__reduce__(obj)[1]),
    (dt.time, lambda obj: dt.time.__reduce_ex__(obj, 4)[1]),
    (dt.timedelta, lambda obj: dt.timedelta.__reduce__(obj)[1]),
)


def reader_of(cls: type) -> Callable[[Any], Any] | None:
    """A function that reads the data an instance has in C, other than its items."""
    return next((read for base, read in _READERS if derives(cls, base)), None)


def contents_of(obj: Any) -> Any:
    """The data that an instance has in C; None if there is none, or only items."""
    if is_set(obj):
        return frozenset(items_of(obj) or ())
    read = reader_of(type(obj))
    return None if read is None else read(obj)


class Indescribable(Exception):
    """A value that differs between processes, or that cannot be read."""


class Texts:
    """Texts of values that are the same in every process.

    Subclasses choose the form. Files hold such texts, or digests of them, so a form
    never changes.
    """

    def __init__(self, max_depth: int, max_values: int, max_length: int) -> None:
        self._max_depth, self._left = max_depth, max_values
        # A text may escape those inside it, and so double in length at each level.
        self._max_length = max_length
        self._open: dict[int, int] = {}  # an object may contain itself

    def of(self, obj: Any, depth: int = 0) -> str:
        """The text of a value; `Indescribable` if it, or a value inside, has none."""
        self._left -= 1
        if depth > self._max_depth or self._left < 0:
            raise Indescribable
        if id(obj) in self._open:
            return f"above {self._open[id(obj)]}"
        self._open[id(obj)] = len(self._open)
        try:
            text = self._text(obj, depth + 1)
        finally:
            del self._open[id(obj)]
        if len(text) > self._max_length:
            raise Indescribable
        return text

    def _text(self, obj: Any, depth: int) -> str:
        raise NotImplementedError

    def _of_items(self, obj: Any, depth: int) -> list[str]:
        """The texts of the items of a container; those of a set in their own order."""
        texts = [self.of(item, depth) for item in items_of(obj) or ()]
        return sorted(texts) if is_set(obj) else texts
