"""The default backend: `.npy` records that plain Equinox reads, and a trailer.

The companion is a concatenation of `.npy` records in the order in which JAX flattens
the tree. After the last one comes a record that holds the whole structure file, then
the offset of that record and a magic: so the companion alone is a complete checkpoint,
and plain Equinox, which stops reading after the last leaf, never notices.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import equinox as eqx
import numpy as np
import xxhash
from numpy.typing import NDArray

from .._errors import (
    CorruptFileError,
    ReadError,
    UnknownFormatError,
    ZodiaxIOError,
    is_damage,
    shown,
)
from . import dtypes, npy
from .backend import (
    ArrayBackend,
    ArrayReader,
    Entry,
    Faults,
    Sink,
    Source,
    Tick,
    array_in,
    is_damaged_copy,
    no_tick,
)
from .reading import ReadBlock, ReadResult, read_and_hash, runs
from .records import Record
from .sizes import Sizes
from .threads import Threads
from .writing import GroupWriter, grouped

_TRAILER = struct.Struct("<Q8s")
TRAILER_MAGIC = b"ZDXTRAIL"
TRAILER_SIZE = _TRAILER.size
_MAGIC = b"\x89ZDX\r\n\x1a\n"  # the first bytes of a structure
_BYTES = np.dtype(np.uint8)
_MAX_HEADER = 8192  # of the record of a structure: its padding is below 4096
_MAX_TAIL = (1 << 30) + _MAX_HEADER  # a structure of 1 GiB
_THREADS = min(4, max(2, os.cpu_count() or 1))


def _start_of_last(source: Source) -> int | None:
    """Where the last of several companions in a file begins; None for a single one."""
    offset, _ = _trailer(source)
    end, size = source.size - TRAILER_SIZE, 1 << 16
    while True:
        tail = bytearray(min(size, end))
        source.read_into(memoryview(tail), end - len(tail))
        found = tail.rfind(_MAGIC)
        while found != -1:
            header = npy.header(_BYTES, (len(tail) - found,), False, offset)
            first = found - len(header)
            if first >= 0 and tail.startswith(header, first):
                return _after_another(source, end - len(tail) + first - offset)
            found = tail.rfind(_MAGIC, 0, found)
        if size >= min(end, _MAX_TAIL):
            return None
        size *= 8


def _after_another(source: Source, start: int) -> int | None:
    """The same offset, if another companion ends there; else None."""
    if start < TRAILER_SIZE:
        return None
    before = bytearray(TRAILER_SIZE)
    source.read_into(memoryview(before), start - len(before))
    return start if _is_trailer(before) else None


def _is_trailer(end: bytes | bytearray) -> bool:
    return len(end) == TRAILER_SIZE and end.endswith(TRAILER_MAGIC)


def _header_size(head: bytes, size: int, start: int) -> int | None:
    """The length of the header of a structure's record; None if it is not one."""
    # The length that the header states, if the header is then the canonical one.
    width = 10 + int.from_bytes(head[8:10], "little")
    if head[:6] != npy.MAGIC or width >= size:
        return None
    fits = head.startswith(npy.header(_BYTES, (size - width,), False, start))
    return width if fits else None


def _trailer(source: Source) -> tuple[int, bytes]:
    """The offset of the structure's record, and the magic."""
    end = bytearray(TRAILER_SIZE)
    source.read_into(memoryview(end), source.size - TRAILER_SIZE)
    return _TRAILER.unpack(end)


def _ending(structure: bytes, offset: int) -> bytes:
    """The bytes after the records: the structure as a record, and the trailer."""
    header = npy.header(_BYTES, (len(structure),), False, offset)
    return header + structure + _TRAILER.pack(offset, TRAILER_MAGIC)


@dataclass(frozen=True)
class EqxBackend(ArrayBackend):
    """`.npy` records in one file, written by `equinox.tree_serialise_leaves`."""

    name = "eqx"
    suffix = ".eqx"
    magic = npy.MAGIC
    sizes: ClassVar[Sizes] = Sizes()  # not an option: files do not depend on it

    def write(
        self,
        file: Sink,
        records: Sequence[Record],
        structure: Callable[[list[Any]], bytes],
        *,
        tick: Tick = no_tick,
    ) -> bytes:
        """Write the records, then the structure made from their index; return it."""
        try:
            with Threads(1) as threads:
                writer = GroupWriter(self.sizes, tick, threads)
                groups = grouped(records, self.sizes)
                eqx.tree_serialise_leaves(file, groups, filter_spec=writer.write)
        except RuntimeError as error:  # Equinox wraps errors, to name the leaf
            raise _innermost(error) from error
        text = structure(writer.index)
        file.write(_ending(text, writer.offset))
        return text

    def recognises(self, start: bytes, end: bytes) -> bool:
        """Whether a file ends with the magic of a companion."""
        return _is_trailer(end[-TRAILER_SIZE:])

    def error_for(self, start: bytes, file: str) -> ZodiaxIOError | None:
        """The error for arrays without a structure after them."""
        if start[: len(npy.MAGIC)] != npy.MAGIC:
            return None
        return CorruptFileError(
            f"{file} holds arrays but does not end as a companion does: it is "
            "incomplete, or was written by `equinox.tree_serialise_leaves`, which "
            "`equinox.tree_deserialise_leaves` loads."
        )

    def is_whole(self, size: int, read: Callable[[int, int], bytes]) -> bool:
        """Whether one companion fills `size` bytes; reads only the end of them."""
        end = size - TRAILER_SIZE
        if end < 0:
            return False
        start, magic = _TRAILER.unpack(read(end, TRAILER_SIZE))
        if magic != TRAILER_MAGIC or start >= end:
            return False
        return _header_size(read(start, _MAX_HEADER), end - start, start) is not None

    def end_of_first(self, data: bytes) -> int | None:
        """Where the first companion in some bytes ends; None if there is none.

        Records may hold the bytes of another companion, whose offsets do not fit.
        """
        found = data.find(TRAILER_MAGIC)
        while found != -1:
            end = found + len(TRAILER_MAGIC)
            if self.is_whole(end, lambda offset, size: data[offset : offset + size]):
                return end
            found = data.find(TRAILER_MAGIC, found + 1)
        return None

    def open(self, source: Source, file: str) -> EqxReader:
        """Open a companion.

        Raises
        ------
        CorruptFileError
            If it is not whole.
        UnknownFormatError
            If it holds several checkpoints.
        """
        try:
            return self._open(source, file)
        except CorruptFileError:
            offset = _start_of_last(source)
            if offset is None:
                raise
            raise UnknownFormatError(
                f"{file} holds more than one checkpoint: the last one begins at byte "
                f"{offset}. Open the file, and load one after another: `with "
                'open(path, "rb") as file: first = zodiax_io.deserialise(file)`.'
            ) from None

    def _open(self, source: Source, file: str) -> EqxReader:
        start, _ = _trailer(source)
        end = source.size - TRAILER_SIZE
        if start >= end or end - start > _MAX_TAIL:
            raise CorruptFileError(
                f"{file} is damaged: its trailer has byte {start} for the beginning of "
                f"the structure, but the structure ends at byte {end}."
            )
        tail = bytearray(end - start)
        source.read_into(memoryview(tail), start)
        width = _header_size(bytes(tail[:_MAX_HEADER]), len(tail), start)
        if width is None:
            raise CorruptFileError(
                f"{file} is damaged: there is no structure at byte {start}, where its "
                "trailer says that it begins."
            )
        structure = bytes(memoryview(tail)[width:])
        return EqxReader(source, file, start, structure, self.sizes)

    def open_damaged(self, source: Source, file: str, structure: bytes) -> EqxReader:
        """Open a companion whose end is damaged, with a structure from elsewhere."""
        return EqxReader(source, file, None, structure, self.sizes)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _end_of(entries: Sequence[Entry]) -> int:
    return entries[-1].offset + entries[-1].length if entries else 0


class EqxReader(ArrayReader):
    """An opened companion of the default backend."""

    def __init__(
        self,
        source: Source,
        file: str,
        end: int | None,
        structure: bytes,
        sizes: Sizes,
    ) -> None:
        self.structure = structure
        self._source = source
        self._file = file
        self._end = end
        self._sizes = sizes

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
                entries.append(_entry(record, expected))
            except (ValueError, TypeError, OverflowError) as error:
                raise CorruptFileError(
                    f"{self._file} is damaged: record {number}: {error}."
                ) from error
            expected += entries[-1].length
        if self._end is not None and expected != self._end:
            raise CorruptFileError(
                f"{self._file} is damaged: expected its records to end at byte "
                f"{expected}, got {self._end}."
            )
        return entries

    def read(
        self,
        entries: Sequence[Entry],
        wanted: Iterable[int],
        *,
        verify: bool,
        tick: Tick = no_tick,
    ) -> tuple[dict[int, NDArray[Any]], Faults]:
        """The wanted arrays, in aligned memory; and the errors of those that fail."""
        arrays: dict[int, NDArray[Any]] = {}
        faults: Faults = {}
        blocks: list[ReadBlock] = []
        for numbers in runs(entries, sorted(set(wanted)), self._sizes.block):
            # Memory is taken only for bytes that the file has.
            while numbers and not self._has(entries[numbers[-1]]):
                number = numbers.pop()
                faults[number] = self._missing(entries[number])
            if numbers:
                blocks.append(ReadBlock(entries, numbers, verify, self._sizes))
        ranges = [part for block in blocks for part in block.ranges]
        # Without threads, each range is read when its result is needed.
        threaded = sum(part.size for part in ranges) >= self._sizes.threads_from
        with Threads(_THREADS if threaded else 0) as threads:
            jobs = [
                threads.begin(read_and_hash, self._source, part, self._sizes.chunk)
                for part in ranges
            ]
            results = (job.result() for job in jobs)
            for block in blocks:
                found = self._finish(entries, block, results, verify, tick)
                arrays |= found[0]
                faults |= found[1]
        return arrays, faults

    def _finish(
        self,
        entries: Sequence[Entry],
        block: ReadBlock,
        results: Iterator[ReadResult],
        verify: bool,
        tick: Tick,
    ) -> tuple[dict[int, NDArray[Any]], Faults]:
        """The arrays of a block, once its ranges have been read."""
        numbers = block.numbers
        checksums: list[int] = []
        whole = xxhash.xxh3_64() if verify and len(block.ranges) > 1 else None
        failure: CorruptFileError | ReadError | None = None
        for part, (error, found) in zip(block.ranges, results, strict=False):
            checksums += found
            failure = failure or error
            if error is None and whole is not None:  # while threads go on reading
                whole.update(part.buffers[0].view)
            tick(part.size)
        arrays: dict[int, NDArray[Any]] = {}
        faults: Faults = {}
        if failure is not None and len(numbers) == 1:
            return arrays, {numbers[0]: failure}
        if failure is not None:
            for number in numbers:  # each by itself: some may be intact
                alone = self.read(entries, [number], verify=verify)
                arrays |= alone[0]
                faults |= alone[1]
            return arrays, faults
        if whole is not None:
            checksums = [whole.intdigest()]
        for i, number in enumerate(numbers):
            memory = block.bytes_of[number]
            checksum = checksums[i] if verify else None
            try:
                arrays[number] = _checked(entries[number], number, memory, checksum)
            except CorruptFileError as fault:
                faults[number] = fault
        return arrays, faults

    def _has(self, entry: Entry) -> bool:
        return entry.offset + entry.length <= self._source.size

    def _missing(self, entry: Entry) -> CorruptFileError:
        end = entry.offset + entry.length
        return CorruptFileError(
            f"it should end at byte {end}, but the file ends at {self._source.size}"
        )

    def map(
        self, entries: Sequence[Entry], wanted: Iterable[int]
    ) -> dict[int, NDArray[Any]]:
        """The arrays of the wanted records, read-only, as the file maps into memory.

        Nothing is read, and so nothing is verified, until an array is used.
        """
        whole = np.frombuffer(self._source.map(), np.uint8)
        arrays: dict[int, NDArray[Any]] = {}
        for number in wanted:
            entry = entries[number]
            start = entry.offset + len(_header_of(entry))
            arrays[number] = _array(entry, number, whole, start)
        return arrays

    def check(self, entries: Sequence[Entry]) -> Faults:
        """The errors of the records, which are read in small chunks."""
        faults: Faults = {}
        for number, entry in enumerate(entries):
            checksum = xxhash.xxh3_64()
            header = _header_of(entry)
            fault = None
            try:
                for start, chunk in self._chunks(entry.offset, entry.length):
                    if start == 0 and chunk[: len(header)] != header[: len(chunk)]:
                        fault = _fault(entry, number, _WRONG_HEADER)
                    checksum.update(chunk)
                if fault is None and checksum.intdigest() != entry.checksum:
                    fault = _fault(entry, number, _WRONG_CHECKSUM)
            except (CorruptFileError, ReadError) as error:
                if not is_damage(error):
                    raise
                fault = error
            if fault is not None:
                faults[number] = fault
        return faults

    def can_repair(self, entries: Sequence[Entry]) -> bool:
        """Whether the bytes after the records are a damaged copy of their structure.

        If there are more bytes, or others, they may be arrays of another save.
        """
        offset = _end_of(entries)
        expected = _ending(self.structure, offset)
        length = self._source.size - offset
        if not 0 <= length <= len(expected):
            return False
        left = b"".join(chunk for _, chunk in self._chunks(offset, length))
        return not any(left) or is_damaged_copy(left, expected)

    def repair(self, entries: Sequence[Entry], file: Sink) -> bytes:
        """Write the companion again: its records unchanged, and its structure.

        Raises
        ------
        CorruptFileError
            If a record has changed since it was checked.
        """
        for number, entry in enumerate(entries):
            checksum = xxhash.xxh3_64()
            for _, chunk in self._chunks(entry.offset, entry.length):
                checksum.update(chunk)
                file.write(chunk)
            if checksum.intdigest() != entry.checksum:
                raise _fault(entry, number, _WRONG_CHECKSUM)
        file.write(_ending(self.structure, _end_of(entries)))
        return self.structure

    def _chunks(self, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
        """A part of the file in chunks, each with its position in that part."""
        for start in range(0, length, self._sizes.chunk):
            chunk = bytearray(min(self._sizes.chunk, length - start))
            self._source.read_into(memoryview(chunk), offset + start)
            yield start, bytes(chunk)


def _entry(record: Any, expected: int) -> Entry:
    """A record of the index, which begins at the expected offset.

    Raises
    ------
    ValueError, TypeError, OverflowError
        If it is not a record, or another offset or length than its array has.
    """
    offset, length, checksum, dtype, shape, fortran = record
    numbers = (offset, length, checksum, *shape)
    if not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("expected integers from 0 on for offset, length and shape")
    if len(shape) > dtypes.MAX_DIMENSIONS:
        raise ValueError(f"an array has at most {dtypes.MAX_DIMENSIONS} dimensions")
    parsed = dtypes.parse(dtype)
    entry = Entry(offset, length, checksum, parsed, tuple(shape), fortran is True)
    size = len(_header_of(entry)) + math.prod(shape) * parsed.itemsize
    if offset != expected:
        raise ValueError(f"expected offset {expected}, got {shown(offset)}")
    if length != size:
        raise ValueError(f"expected length {shown(size)}, got {shown(length)}")
    return entry


_WRONG_HEADER = "has a wrong header"
_WRONG_CHECKSUM = "has a wrong checksum"


def _fault(entry: Entry, number: int, reason: str) -> CorruptFileError:
    return CorruptFileError(f"record {number} (at byte {entry.offset}) {reason}")


def _header_of(entry: Entry) -> bytes:
    return npy.header(entry.dtype, entry.shape, entry.fortran, entry.offset)


def _checked(
    entry: Entry, number: int, memory: Any, checksum: int | None
) -> NDArray[Any]:
    """The array of a record in memory, after a comparison with its checksum, if any."""
    header = _header_of(entry)
    if memory[: len(header)].tobytes() != header:
        raise _fault(entry, number, _WRONG_HEADER)
    if checksum is not None and checksum != entry.checksum:
        raise _fault(entry, number, _WRONG_CHECKSUM)
    return _array(entry, number, memory, len(header))


def _array(entry: Entry, number: int, memory: Any, offset: int) -> NDArray[Any]:
    try:
        return array_in(memory, entry, offset)
    except CorruptFileError as error:
        raise _fault(entry, number, str(error)) from error
