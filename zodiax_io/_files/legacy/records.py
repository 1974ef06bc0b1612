"""The `.npy` records behind the structure of an old file."""

from __future__ import annotations

import functools
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import dtypes
from ..._arrays.backend import Entry, Source
from ..._errors import CorruptFileError

# As NumPy has always written it, for numbers.
_HEADER = re.compile(
    rb"\{'descr': '([<>|][biufc]\d{1,2})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}, )*(?:\d{1,18},?)?)\), \} *\n",
)
_OBJECTS = b"{'descr': '|O'"
_MAX_RECORDS = 1_000_000


def find_entries(source: Source, offset: int, file: str) -> list[Entry]:
    """The records from an offset on, by their headers."""
    entries: list[Entry] = []
    while offset < source.size:
        try:
            entry = _entry(source, offset)
        except (ValueError, TypeError, OverflowError) as error:
            raise CorruptFileError(
                f"{file} is damaged: what is at byte {offset}, where array "
                f"{len(entries)} belongs, {error}."
            ) from None
        offset += entry.length
        if offset > source.size or len(entries) == _MAX_RECORDS:
            raise CorruptFileError(
                f"{file} is incomplete: array {len(entries)} should end at byte "
                f"{offset}, but the file ends at {source.size}."
            )
        entries.append(entry)
    return entries


def _entry(source: Source, offset: int) -> Entry:
    start = some_bytes(source, offset, 128)  # nearly always all of it
    if start[:6] != b"\x93NUMPY" or len(start) < 12:
        raise ValueError("does not begin as one does")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > 4096:
        raise ValueError("has too long a header")
    head = 8 + width + length
    text = some_bytes(source, offset, head)[8 + width :]
    match = _HEADER.fullmatch(text)
    if match is None:
        raise ValueError(
            "holds Python objects, such as an `int` of more than 64 bits"
            if text.startswith(_OBJECTS)
            else "has a header that NumPy does not write for numbers"
        )
    dtype = np.dtype(match[1].decode())
    shape = tuple(int(n) for n in match[3].replace(b",", b" ").split())
    if len(shape) > dtypes.MAX_DIMENSIONS:
        raise ValueError("has more dimensions than an array can have")
    size = head + functools.reduce(int.__mul__, shape, dtype.itemsize)
    return Entry(offset, size, 0, dtype, shape, match[2] == b"True")


def some_bytes(source: Source, offset: int, length: int) -> bytes:
    data = bytearray(min(length, source.size - offset))
    source.read_into(memoryview(data), offset)
    return bytes(data)


def data_of(entry: Entry) -> int:
    """Where the data of a record begins."""
    size = functools.reduce(int.__mul__, entry.shape, entry.dtype.itemsize)
    return entry.offset + entry.length - size


def array_of(entry: Entry, buffer: Any, offset: int) -> NDArray[Any]:
    order = "F" if entry.fortran else "C"
    try:
        return np.ndarray(entry.shape, entry.dtype, buffer, offset=offset, order=order)
    except (ValueError, TypeError) as error:
        raise CorruptFileError(f"it is no array: {error}") from error
