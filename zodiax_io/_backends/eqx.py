"""The default backend: `.npy` records that plain Equinox reads, and a trailer.

The companion is a concatenation of `.npy` records in the order in which JAX flattens
the tree. After the last one comes a record that holds the whole structure file, then
the offset of that record and a magic: so the companion alone is a complete checkpoint,
and plain Equinox, which stops reading after the last leaf, never notices.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
import xxhash
from numpy.typing import NDArray

from .. import _dtypes
from .._dtypes import ALIGNMENT, Record
from .._errors import CorruptFileError, ReadError
from .base import Entry, Faults, Sink, Source

_TRAILER = struct.Struct("<Q8s")
TRAILER_MAGIC = b"ZDXTRAIL"
_BYTES = np.dtype(np.uint8)
_MAX_TAIL = (1 << 30) + 8192  # a structure of 1 GiB, and its header
_PIECE = 1 << 20  # what fits the cache: hashed and written while it is there
_GROUP = 4 << 20  # small records are read together, in buffers of this size


def has_trailer(source: Source) -> bool:
    """Whether bytes end as a companion of ours does."""
    return source.size >= _TRAILER.size and _trailer(source)[1] == TRAILER_MAGIC


def _trailer(source: Source) -> tuple[int, bytes]:
    end = bytearray(_TRAILER.size)
    source.read_into(memoryview(end), source.size - _TRAILER.size)
    return _TRAILER.unpack(end)


@dataclass(frozen=True)
class EqxBackend:
    """`.npy` records in one file, written by `equinox.tree_serialise_leaves`."""

    name: str = "eqx"

    def write(
        self,
        file: Sink,
        records: Sequence[Record],
        structure: Callable[[list[Any]], bytes],
    ) -> bytes:
        """Write the records, then the structure made from their index; return it."""
        index: list[Any] = []
        offset = 0

        def write_record(out: Sink, record: Record) -> None:
            nonlocal offset
            header = _dtypes.header(record.dtype, record.shape, record.fortran, offset)
            check = xxhash.xxh3_64(header)
            out.write(header)
            data = memoryview(record.buffer())
            for start in range(0, len(data), _PIECE):
                # A copy: the array may change while it is written, by a thread of
                # the user's, and the checksum must be that of what is written.
                piece = bytes(data[start : start + _PIECE])
                check.update(piece)
                out.write(piece)
            length = len(header) + len(data)
            dtype = _dtypes.describe(record.dtype)
            shape = list(record.shape)
            index.append(
                [offset, length, check.intdigest(), dtype, shape, record.fortran]
            )
            offset += length

        try:
            eqx.tree_serialise_leaves(file, list(records), filter_spec=write_record)
        except RuntimeError as error:  # Equinox tells the path of a leaf around it
            raise _innermost(error) from error
        text = structure(index)
        _write_end(file, text, offset)
        return text

    def open(self, source: Source, file: str) -> EqxReader:
        """Open a companion; raises CorruptFileError if it is not whole."""
        if not has_trailer(source):
            raise CorruptFileError(
                f"{file} is incomplete or damaged: it does not end as a companion does."
            )
        start, _ = _trailer(source)
        end = source.size - _TRAILER.size
        if start >= end:
            raise CorruptFileError(f"{file} is damaged: its trailer points nowhere.")
        if end - start > _MAX_TAIL:
            raise CorruptFileError(
                f"{file} is damaged: its trailer points to no structure."
            )
        tail = bytearray(end - start)
        source.read_into(memoryview(tail), start)
        # The length of the header depends on that of the text, and the other way
        # round: of the few candidates, one fits.
        for length in range(len(tail) - 64, max(len(tail) - 8192, 0), -1):
            header = _dtypes.header(_BYTES, (length,), False, start)
            if len(header) + length == len(tail):
                if tail[: len(header)] != header:
                    break
                return EqxReader(source, file, start, bytes(tail[len(header) :]))
        raise CorruptFileError(f"{file} is damaged: its copy of the structure is.")

    def open_damaged(self, source: Source, file: str, structure: bytes) -> EqxReader:
        """Open a companion whose end is damaged, by a structure from elsewhere."""
        return EqxReader(source, file, None, structure)

    def copy(self, reader: EqxReader, entries: Sequence[Entry], file: Sink) -> bytes:
        """Write a companion again: its records as they are, and its structure."""
        end = entries[-1].offset + entries[-1].length if entries else 0
        for _, piece in reader.pieces(0, end):
            file.write(piece)
        _write_end(file, reader.structure, end)
        return reader.structure


def _write_end(file: Sink, structure: bytes, offset: int) -> None:
    file.write(_dtypes.header(_BYTES, (len(structure),), False, offset))
    file.write(structure)
    file.write(_TRAILER.pack(offset, TRAILER_MAGIC))


class EqxReader:
    """An opened companion of the default backend."""

    def __init__(
        self, source: Source, file: str, end: int | None, structure: bytes
    ) -> None:
        self.structure = structure
        self._source = source
        self._file = file
        self._end = end

    def entries(self, records: Sequence[Any]) -> list[Entry]:
        """The index of the records, checked against the file without reading data.

        Raises
        ------
        CorruptFileError
            If the records do not follow one another without a hole from the first
            byte to the structure.
        """
        entries: list[Entry] = []
        expected = 0
        for number, record in enumerate(records):
            try:
                offset, length, checksum, dtype, shape, fortran = record
                counts = (offset, length, checksum, *shape)
                if not all(type(n) is int and n >= 0 for n in counts):
                    raise ValueError("a number is not one")
                if len(shape) > _dtypes.MAX_DIMENSIONS:
                    raise ValueError("it has more dimensions than an array can have")
                parsed = _dtypes.parse(dtype)
                whole = _header(parsed, tuple(shape), fortran is True, offset)
                if offset != expected or length != whole[1]:
                    raise ValueError("it does not lie where it should")
            except (ValueError, TypeError, OverflowError) as error:
                raise CorruptFileError(
                    f"{self._file} is damaged: record {number} is not one: {error}."
                ) from error
            entries.append(
                Entry(offset, length, checksum, parsed, tuple(shape), fortran is True)
            )
            expected += length
        if self._end is not None and expected != self._end:
            raise CorruptFileError(
                f"{self._file} is damaged: expected its records to end at byte "
                f"{expected}, got {self._end}."
            )
        return entries

    def read(
        self, entries: Sequence[Entry], wanted: Iterable[int], *, verify: bool
    ) -> tuple[dict[int, NDArray[Any]], Faults]:
        """The arrays of the wanted records, in aligned memory of their own.

        With them, what is wrong with those that could not be read.
        """
        arrays: dict[int, NDArray[Any]] = {}
        faults: Faults = {}
        groups = _groups(entries, sorted(set(wanted)))[::-1]
        while groups:
            group = groups.pop()
            start = entries[group[0]].offset
            try:
                buffer = self._fill(start, entries[group[-1]])
            except (CorruptFileError, ReadError) as error:
                if len(group) > 1:  # each by itself: some may be whole
                    groups += [[number] for number in reversed(group)]
                else:
                    faults[group[0]] = error
                continue
            for number in group:
                entry = entries[number]
                here = buffer[entry.offset - start :][: entry.length]
                try:
                    arrays[number] = _array(entry, number, here, verify)
                except CorruptFileError as error:
                    faults[number] = error
        return arrays, faults

    def _fill(self, start: int, last: Entry) -> Any:
        end = last.offset + last.length
        if end > self._source.size:  # before memory is taken for it
            raise CorruptFileError(
                f"it should end at byte {end}, but the file ends at {self._source.size}"
            )
        buffer = _aligned(end - start, start)
        self._source.read_into(memoryview(buffer), start)
        return buffer

    def check(self, entries: Sequence[Entry]) -> Faults:
        """What is wrong with the records, read in small pieces."""
        faults: Faults = {}
        for number, entry in enumerate(entries):
            check = xxhash.xxh3_64()
            header = _header_of(entry)
            fault = None
            try:
                for start, piece in self.pieces(entry.offset, entry.length):
                    if start == 0 and piece[: len(header)] != header[: len(piece)]:
                        fault = _fault(entry, number, _BEGINNING)
                    check.update(piece)
                if fault is None and check.intdigest() != entry.checksum:
                    fault = _fault(entry, number, _CHECKSUM)
            except (CorruptFileError, ReadError) as error:
                fault = error
            if fault is not None:
                faults[number] = fault
        return faults

    def pieces(self, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
        """A stretch of the file, piece by piece, each with its place in the stretch."""
        for start in range(0, length, _PIECE):
            piece = bytearray(min(_PIECE, length - start))
            self._source.read_into(memoryview(piece), offset + start)
            yield start, bytes(piece)


_BEGINNING = "does not begin as it should"
_CHECKSUM = "has a wrong checksum"


def _fault(entry: Entry, number: int, what: object) -> CorruptFileError:
    return CorruptFileError(f"record {number} (at byte {entry.offset}) {what}")


def _header_of(entry: Entry) -> bytes:
    return _dtypes.header(entry.dtype, entry.shape, entry.fortran, entry.offset)


def _array(entry: Entry, number: int, buffer: Any, verify: bool) -> NDArray[Any]:
    header = _header_of(entry)
    if buffer[: len(header)].tobytes() != header:
        raise _fault(entry, number, _BEGINNING)
    if verify and xxhash.xxh3_64_intdigest(buffer) != entry.checksum:
        raise _fault(entry, number, _CHECKSUM)
    order = "F" if entry.fortran else "C"
    try:
        return np.ndarray(
            entry.shape, entry.dtype, buffer, offset=len(header), order=order
        )
    except (ValueError, TypeError, MemoryError) as error:
        raise _fault(entry, number, f"is no array: {error}") from error


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _header(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int
) -> tuple[bytes, int]:
    header = _dtypes.header(dtype, shape, fortran, offset)
    return header, len(header) + math.prod(shape) * dtype.itemsize


def _groups(entries: Sequence[Entry], wanted: list[int]) -> list[list[int]]:
    """Runs of neighbouring records, each small enough for one buffer or alone in it."""
    groups: list[list[int]] = []
    size = 0
    for number in wanted:
        length = entries[number].length
        follows = bool(groups) and groups[-1][-1] == number - 1
        if follows and size + length <= _GROUP:
            groups[-1].append(number)
            size += length
        else:
            groups.append([number])
            size = length
    return groups


def _aligned(size: int, offset: int) -> Any:
    """Fresh memory whose addresses are aligned as the offsets of the file are."""
    buffer = np.empty(size + ALIGNMENT, np.uint8)
    shift = (offset - buffer.ctypes.data) % ALIGNMENT
    return buffer[shift : shift + size]
