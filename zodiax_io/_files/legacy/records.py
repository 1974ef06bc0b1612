"""The `.npy` records behind the structure of an old file."""

from __future__ import annotations

import functools
import re

import numpy as np

from ..._arrays import dtypes
from ..._arrays.backend import Entry, Source
from ..._errors import CorruptFileError
from ..sources import read_some

# As every release of NumPy writes it, for numbers.
_HEADER = re.compile(
    rb"\{'descr': '([<>|][biufc]\d{1,2})', 'fortran_order': (False|True), "
    rb"'shape': \(((?:\d{1,18}, )*(?:\d{1,18},?)?)\), \} *\n",
)
_OBJECTS = b"{'descr': '|O'"
_MAX_RECORDS = 1_000_000


def find_entries(source: Source, offset: int, file: str) -> list[Entry]:
    """The records of a file from an offset on, from their headers."""
    entries: list[Entry] = []
    while offset < source.size:
        try:
            entry = _entry(source, offset)
        except (ValueError, TypeError, OverflowError) as error:
            raise CorruptFileError(
                f"{file} is damaged: array {len(entries)}, at byte {offset}, {error}."
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
    start = read_some(source, offset, 128)  # nearly always the whole header
    if start[:6] != b"\x93NUMPY" or len(start) < 12:
        raise ValueError("is not the beginning of an `.npy` record")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(start[8 : 8 + width], "little")
    if length > 4096:
        raise ValueError("has a header of more than 4096 bytes")
    head = 8 + width + length
    text = read_some(source, offset, head)[8 + width :]
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


def data_of(entry: Entry) -> int:
    """Where the data of a record begins."""
    size = functools.reduce(int.__mul__, entry.shape, entry.dtype.itemsize)
    return entry.offset + entry.length - size
