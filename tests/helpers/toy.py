"""A backend that is one file: compressed arrays, each under its path in the tree.

It is no example of a good format. It shows what a backend has to do, and proves that
nothing but this file and a row of the table is needed for one.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zodiax_io import CorruptFileError
from zodiax_io._arrays import dtypes
from zodiax_io._arrays.backend import ArrayBackend, ArrayReader, no_tick
from zodiax_io._structure.paths import path_text

_END = struct.Struct("<Q8s")
_MARK = b"TOY END\n"


@dataclass(frozen=True)
class ToyBackend(ArrayBackend):
    """Arrays compressed one by one, with `level` 0 to 9."""

    level: int = 1

    name = "toy"
    suffix = ".toy"
    magic = b"toy arrays, v1\r\n"

    def __post_init__(self) -> None:
        if type(self.level) is not int or not 0 <= self.level <= 9:
            raise ValueError("`level` is a number from 0 to 9")

    def write(self, file: Any, records: Any, structure: Any, *, tick: Any = no_tick):
        file.write(self.magic)
        offset, index = len(self.magic), []
        for record in records:
            data = zlib.compress(bytes(record.buffer()), self.level)
            file.write(data)
            dtype, shape = dtypes.describe(record.dtype), list(record.shape)
            place = [path_text(record.path), offset, len(data), zlib.crc32(data)]
            index.append([*place, dtype, shape, record.fortran])
            offset += len(data)
            tick(record.nbytes)
        text = structure(index)
        file.write(text + _END.pack(offset, _MARK))
        return text

    def recognises(self, start: bytes, end: bytes) -> bool:
        return start[:16] == self.magic and end.endswith(_MARK)

    def open(self, source: Any, file: str) -> "ToyReader":
        end = source.size - _END.size
        (start, _) = _END.unpack(_read(source, end, _END.size))
        if not len(self.magic) <= start <= end:
            raise CorruptFileError(f"{file} is damaged: its end leads nowhere.")
        return ToyReader(source, file, _read(source, start, end - start))

    def open_damaged(self, source: Any, file: str, structure: bytes) -> "ToyReader":
        return ToyReader(source, file, structure)


class _Entry(NamedTuple):
    name: str
    offset: int
    length: int
    checksum: int
    dtype: Any
    shape: tuple[int, ...]
    fortran: bool


class ToyReader(ArrayReader):
    """An opened file of the toy backend, which keeps the default for all it may."""

    def __init__(self, source: Any, file: str, structure: bytes) -> None:
        self._source, self._file, self.structure = source, file, structure

    def entries(self, records: Any) -> list[_Entry]:
        try:
            entries = [
                _Entry(name, offset, length, check, dtypes.parse(dtype), tuple(s), f)
                for name, offset, length, check, dtype, s, f in records
            ]
            if not all(type(n) is int and n >= 0 for e in entries for n in e.shape):
                raise ValueError("a shape is none")
        except (ValueError, TypeError) as error:
            raise CorruptFileError(f"{self._file} is damaged: {error}.") from error
        return entries

    def read(self, entries: Any, wanted: Any, *, verify: bool, tick: Any = no_tick):
        arrays: dict[int, Any] = {}
        faults: dict[int, Any] = {}
        for number in sorted(set(wanted)):
            try:
                arrays[number] = self._array(entries[number])
            except (CorruptFileError, ValueError, zlib.error) as error:
                faults[number] = CorruptFileError(f"record {number}: {error}")
            tick(entries[number].length)
        return arrays, faults

    def _array(self, entry: _Entry) -> Any:
        if not 0 <= entry.offset <= self._source.size - entry.length:
            raise CorruptFileError("it lies outside of the file")
        data = _read(self._source, entry.offset, entry.length)
        if zlib.crc32(data) != entry.checksum:
            raise CorruptFileError("has a wrong checksum")
        size = int(np.prod(entry.shape, dtype=object)) * entry.dtype.itemsize
        flat = bytearray(zlib.decompressobj().decompress(data, size + 1))
        if len(flat) != size:
            raise CorruptFileError("has another size than its shape")
        order = "F" if entry.fortran else "C"
        return np.ndarray(entry.shape, entry.dtype, flat, order=order)


def _read(source: Any, offset: int, size: int) -> bytes:
    buffer = bytearray(size)
    source.read_into(memoryview(buffer), offset)
    return bytes(buffer)
