"""The default backend: `.npy` records that plain Equinox reads, and a trailer.

The companion is a concatenation of `.npy` records in the order in which JAX flattens
the tree. After the last one comes a record that holds the whole structure file, then
the offset of that record and a magic: so the companion alone is a complete checkpoint,
and plain Equinox, which stops reading after the last leaf, never notices.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import xxhash
from numpy.typing import NDArray

from .._errors import (
    CorruptFileError,
    ReadError,
    UnknownFormatError,
    ZodiaxIOError,
    is_damage,
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
    is_damaged_copy,
    no_tick,
)
from .npy import ALIGNMENT
from .records import Record
from .threads import Job, Threads

_TRAILER = struct.Struct("<Q8s")
TRAILER_MAGIC = b"ZDXTRAIL"
TRAILER_SIZE = _TRAILER.size
_MAGIC = b"\x89ZDX\r\n\x1a\n"  # with which a structure begins
_BYTES = np.dtype(np.uint8)
_MAX_HEADER = 8192  # of the record of a structure: its padding is below 4096
_MAX_TAIL = (1 << 30) + _MAX_HEADER  # a structure of 1 GiB
_PIECE = 1 << 20  # what fits the cache: hashed and written while it is there
_STEP = 4 << 20  # the same, hashed by one thread and written by another
_GROUP = 4 << 20  # small records are written together, so many bytes at once
_ALONE = 1 << 18  # from here on, joining takes longer than calling `write`
_STRETCH = 32 << 20  # neighbouring records are read by one thread, so many bytes
_SHARED = 64 << 10  # records share memory up to so much: who keeps one keeps it all
_PAGES = 256 << 10  # from here on, memory on huge pages is faster than that of NumPy
_WORTH_HASHING = 1 << 20  # from here on, another thread hashes what this one writes
_WORTH_THREADS = 16 << 20  # below this, starting threads takes longer than they save
_THREADS = min(4, max(2, os.cpu_count() or 1))


def _start_of_last(source: Source) -> int | None:
    """Where the last of several companions in a file begins; None if that is not so."""
    place, _ = _trailer(source)
    end, size = source.size - _TRAILER.size, 1 << 16
    while True:
        tail = bytearray(min(size, end))
        source.read_into(memoryview(tail), end - len(tail))
        found = tail.rfind(_MAGIC)
        while found != -1:
            header = npy.header(_BYTES, (len(tail) - found,), False, place)
            first = found - len(header)
            if first >= 0 and tail.startswith(header, first):
                return _behind_another(source, end - len(tail) + first - place)
            found = tail.rfind(_MAGIC, 0, found)
        if size >= min(end, _MAX_TAIL):
            return None
        size *= 8


def _behind_another(source: Source, start: int) -> int | None:
    if start < _TRAILER.size:
        return None
    before = bytearray(_TRAILER.size)
    source.read_into(memoryview(before), start - len(before))
    return start if _is_trailer(before) else None


def _is_trailer(end: bytes | bytearray) -> bool:
    return len(end) == TRAILER_SIZE and end.endswith(TRAILER_MAGIC)


def _width_of(head: bytes, size: int, start: int) -> int | None:
    """The length of the header of a structure's record; None if it is none."""
    # An `.npy` file tells the length of its header, and a canonical one fits it.
    width = 10 + int.from_bytes(head[8:10], "little")
    if head[:6] != npy.MAGIC or width >= size:
        return None
    fits = head.startswith(npy.header(_BYTES, (size - width,), False, start))
    return width if fits else None


def _trailer(source: Source) -> tuple[int, bytes]:
    end = bytearray(_TRAILER.size)
    source.read_into(memoryview(end), source.size - _TRAILER.size)
    return _TRAILER.unpack(end)


@dataclass(frozen=True)
class EqxBackend(ArrayBackend):
    """`.npy` records in one file, written by `equinox.tree_serialise_leaves`."""

    name = "eqx"
    suffix = ".eqx"
    magic = npy.MAGIC

    def write(
        self,
        file: Sink,
        records: Sequence[Record],
        structure: Callable[[list[Any]], bytes],
        *,
        tick: Tick = no_tick,
    ) -> bytes:
        """Write the records, then the structure made from their index; return it."""
        index: list[Any] = []
        offset = 0
        fetches = jax.default_backend() != "cpu"
        ahead: list[Record] = []

        def write_group(out: Sink, group: _Group) -> None:
            nonlocal offset, ahead
            members, ahead = ahead or group.records, []
            if group.later is not None and fetches:
                ahead = [record.fetched() for record in group.later.records]
            places: list[tuple[int, int]] = []
            headers: list[bytes] = []
            for record in members:
                dtype, shape, fortran = record.dtype, record.shape, record.fortran
                headers.append(npy.header(dtype, shape, fortran, offset))
                places.append((offset, len(headers[-1]) + record.nbytes))
                offset += places[-1][1]
            if len(headers) == 1:
                checks = [_write_large(out, headers[0], members[0], tick, hasher)]
            else:
                lengths = [length for _, length in places]
                checks = _write_joined(out, headers, members, lengths)
                tick(sum(record.nbytes for record in members))
            for record, place, check in zip(members, places, checks, strict=True):
                dtype = dtypes.describe(record.dtype)
                shape = list(record.shape)
                index.append([*place, check, dtype, shape, record.fortran])

        try:
            with _Hasher() as hasher:
                groups = _gathered(records)
                eqx.tree_serialise_leaves(file, groups, filter_spec=write_group)
        except RuntimeError as error:  # Equinox tells the path of a leaf around it
            raise _innermost(error) from error
        text = structure(index)
        file.write(_end(text, offset))
        return text

    def recognises(self, start: bytes, end: bytes) -> bool:
        """Whether a file ends with the magic of a companion."""
        return _is_trailer(end[-TRAILER_SIZE:])

    def error_for(self, start: bytes, file: str) -> ZodiaxIOError | None:
        """The error for arrays without a structure behind them."""
        if start[: len(npy.MAGIC)] != npy.MAGIC:
            return None
        return CorruptFileError(
            f"{file} holds arrays but does not end as a companion does: it is "
            "incomplete, or was written by `equinox.tree_serialise_leaves`, which "
            "`equinox.tree_deserialise_leaves` loads."
        )

    def is_whole(self, size: int, read: Callable[[int, int], bytes]) -> bool:
        """Whether one companion fills so many bytes, as far as its end tells."""
        end = size - _TRAILER.size
        if end < 0:
            return False
        start, magic = _TRAILER.unpack(read(end, _TRAILER.size))
        if magic != TRAILER_MAGIC or start >= end:
            return False
        return _width_of(read(start, _MAX_HEADER), end - start, start) is not None

    def end_of_first(self, data: bytes) -> int | None:
        """Where the companion with which some bytes begin ends; None if none does.

        Records may hold the bytes of another companion. Its trailer leads elsewhere.
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
            place = _start_of_last(source)
            if place is None:
                raise
            raise UnknownFormatError(
                f"{file} holds more than a checkpoint: the one that it ends with "
                f"begins at byte {place}. Open it, and load one after another: `with "
                'open(path, "rb") as file: first = zodiax_io.deserialise(file)`.'
            ) from None

    def _open(self, source: Source, file: str) -> EqxReader:
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
        width = _width_of(bytes(tail[:_MAX_HEADER]), len(tail), start)
        if width is None:
            raise CorruptFileError(f"{file} is damaged: its copy of the structure is.")
        return EqxReader(source, file, start, bytes(memoryview(tail)[width:]))

    def open_damaged(self, source: Source, file: str, structure: bytes) -> EqxReader:
        """Open a companion whose end is damaged, by a structure from elsewhere."""
        return EqxReader(source, file, None, structure)


@dataclass(frozen=True, eq=False, repr=False)
class _Group:
    """Neighbouring records that are written at once; to Equinox, a leaf."""

    records: list[Record]
    later: _Group | None  # whose arrays come from their device meanwhile


def _gathered(records: Sequence[Record]) -> list[_Group]:
    """Small records together, so that few calls write them; large ones alone."""
    lists: list[list[Record]] = []
    size = _GROUP
    for record in records:
        # With its header, as far as that is known before it has its place.
        length = record.nbytes + 128
        size += length
        if size > _GROUP or length > _ALONE:
            lists.append([])
            size = length if length <= _ALONE else _GROUP
        lists[-1].append(record)
    groups: list[_Group] = []
    for members in reversed(lists):
        groups.append(_Group(members, groups[-1] if groups else None))
    return groups[::-1]


def _write_joined(
    out: Sink, headers: list[bytes], records: list[Record], lengths: list[int]
) -> list[int]:
    """Write small records at once; their checksums."""
    parts: list[Any] = []
    for header, record in zip(headers, records, strict=True):
        parts += (header, record.buffer())
    joined = memoryview(b"".join(parts))
    checks: list[int] = []
    start = 0
    for length in lengths:
        checks.append(xxhash.xxh3_64_intdigest(joined[start : start + length]))
        start += length
    out.write(joined)
    return checks


def _write_large(
    out: Sink, header: bytes, record: Record, tick: Tick, hasher: _Hasher
) -> int:
    """Write a record piece by piece; its checksum."""
    out.write(header)
    data = memoryview(record.buffer() if record.nbytes else b"").cast("B")
    check = xxhash.xxh3_64(header)
    if record.is_immutable and len(data) >= _WORTH_HASHING:
        for start in range(0, len(data), _STEP):
            piece = data[start : start + _STEP]
            # Side by side, so that the memory is fetched once for both.
            hasher.begin(check, piece)
            out.write(piece)
            tick(len(piece))
        hasher.finish()
        return check.intdigest()
    for start in range(0, len(data), _PIECE):
        piece = data[start : start + _PIECE]
        if not record.is_immutable:
            # A thread of the user's may change it, and the checksum must be that of
            # what is written.
            piece = bytes(piece)
        check.update(piece)
        out.write(piece)
        tick(len(piece))
    return check.intdigest()


class _Hasher:
    """Takes the checksum of what this thread writes, in another thread."""

    def __init__(self) -> None:
        self._threads = Threads(1)
        self._jobs: list[Job] = []

    def __enter__(self) -> _Hasher:
        self._threads.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.__exit__()

    def begin(self, check: Any, piece: memoryview) -> None:
        """Add a piece to a checksum, after those before it."""
        before = self._jobs[-1] if self._jobs else None
        self._jobs.append(self._threads.begin(self._add, before, check, piece))

    @staticmethod
    def _add(before: Job | None, check: Any, piece: memoryview) -> None:
        if before is not None:
            before.result()
        check.update(piece)

    def finish(self) -> None:
        """Wait until all pieces have been added."""
        for job in self._jobs:
            job.result()
        self._jobs = []


def _end(structure: bytes, offset: int) -> bytes:
    """What follows the records: the structure as a record, and the trailer."""
    header = npy.header(_BYTES, (len(structure),), False, offset)
    return header + structure + _TRAILER.pack(offset, TRAILER_MAGIC)


def _end_of(entries: Sequence[Entry]) -> int:
    return entries[-1].offset + entries[-1].length if entries else 0


class EqxReader(ArrayReader):
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
                if len(shape) > dtypes.MAX_DIMENSIONS:
                    raise ValueError("it has more dimensions than an array can have")
                parsed, known = dtypes.parse(dtype), tuple(shape)
                entry = Entry(offset, length, checksum, parsed, known, fortran is True)
                size = len(_header_of(entry)) + math.prod(known) * parsed.itemsize
                if offset != expected or length != size:
                    raise ValueError("it does not lie where it should")
            except (ValueError, TypeError, OverflowError) as error:
                raise CorruptFileError(
                    f"{self._file} is damaged: record {number} is not one: {error}."
                ) from error
            entries.append(entry)
            expected += length
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
        """The arrays of the wanted records, in aligned memory; small ones share it.

        With them, what is wrong with those that could not be read.
        """
        arrays: dict[int, NDArray[Any]] = {}
        faults: Faults = {}
        stretches: list[_Stretch] = []
        for group in _runs(entries, sorted(set(wanted)), _STRETCH):
            # Memory is taken only for what the file can hold.
            while group and not self._holds(entries[group[-1]]):
                number = group.pop()
                faults[number] = self._missing(entries[number])
            if group:
                stretches.append(_Stretch(entries, group, verify))
        pieces = [piece for stretch in stretches for piece in stretch.pieces]
        # No thread at all: each piece is read when it is asked for.
        worthwhile = sum(piece.size for piece in pieces) >= _WORTH_THREADS
        with Threads(_THREADS if worthwhile else 0) as threads:
            jobs = [threads.begin(self._outcome, piece) for piece in pieces]
            outcomes = (job.result() for job in jobs)
            for stretch in stretches:
                self._take(entries, stretch, outcomes, verify, tick, arrays, faults)
        return arrays, faults

    def _take(
        self,
        entries: Sequence[Entry],
        stretch: _Stretch,
        outcomes: Iterator[_Outcome],
        verify: bool,
        tick: Tick,
        arrays: dict[int, NDArray[Any]],
        faults: Faults,
    ) -> None:
        """The records of a stretch, as its pieces come."""
        numbers = stretch.numbers
        known: list[int] = []
        check = xxhash.xxh3_64() if verify and len(stretch.pieces) > 1 else None
        failures: Faults = {}
        for piece, (failure, found) in zip(stretch.pieces, outcomes, strict=False):
            known += found
            if failure is not None:
                failures.setdefault(numbers[0], failure)
            elif check is not None:  # while threads read on
                check.update(piece.blocks[0].view)
            tick(piece.size)
        if failures and len(numbers) > 1:
            for number in numbers:  # each by itself: some may be whole
                alone = self.read(entries, [number], verify=verify)
                arrays |= alone[0]
                faults |= alone[1]
            return
        faults |= failures
        if check is not None:
            known = [check.intdigest()]
        for i, number in enumerate(numbers if not failures else ()):
            here = stretch.of(number)
            digest = known[i] if verify else None
            try:
                arrays[number] = _array(entries[number], number, here, digest)
            except CorruptFileError as fault:
                faults[number] = fault

    def _holds(self, entry: Entry) -> bool:
        return entry.offset + entry.length <= self._source.size

    def _missing(self, entry: Entry) -> CorruptFileError:
        end = entry.offset + entry.length
        return CorruptFileError(
            f"it should end at byte {end}, but the file ends at {self._source.size}"
        )

    def _outcome(self, piece: _Piece) -> _Outcome:
        """Read a piece, and hash the records that are to be hashed on the way."""
        digests: list[int] = []
        try:
            for block in piece.blocks:
                self._fill(block, digests)
        except (CorruptFileError, ReadError) as error:
            if not is_damage(error):
                raise
            return error, digests
        return None, digests

    def _fill(self, block: _Block, digests: list[int]) -> None:
        view, offset, records = block
        check, count, done = None, len(records), 0
        step = _PIECE if records else max(len(view), 1)
        for place in range(0, len(view), step):
            end = min(place + step, len(view))
            self._source.read_into(view[place:end], offset + place)
            while done < count:
                first, last = records[done]
                if first >= end:
                    break
                here = view[max(first, place) : min(last, end)]
                if check is None and last <= end:
                    digests.append(xxhash.xxh3_64_intdigest(here))
                    done += 1
                    continue
                check = check or xxhash.xxh3_64()
                check.update(here)
                if last > end:
                    break
                digests.append(check.intdigest())
                done += 1
                check = None

    def map(
        self, entries: Sequence[Entry], wanted: Iterable[int]
    ) -> dict[int, NDArray[Any]]:
        """The arrays of the wanted records, read-only, as the file maps into memory.

        Nothing is read, and so nothing verified, before somebody looks at it.
        """
        whole = np.frombuffer(self._source.map(), np.uint8)
        arrays: dict[int, NDArray[Any]] = {}
        for number in wanted:
            entry = entries[number]
            start = entry.offset + len(_header_of(entry))
            arrays[number] = _shaped(entry, number, whole, start)
        return arrays

    def check(self, entries: Sequence[Entry]) -> Faults:
        """What is wrong with the records, read in small pieces."""
        faults: Faults = {}
        for number, entry in enumerate(entries):
            check = xxhash.xxh3_64()
            header = _header_of(entry)
            fault = None
            try:
                for start, piece in self._pieces(entry.offset, entry.length):
                    if start == 0 and piece[: len(header)] != header[: len(piece)]:
                        fault = _fault(entry, number, _BEGINNING)
                    check.update(piece)
                if fault is None and check.intdigest() != entry.checksum:
                    fault = _fault(entry, number, _CHECKSUM)
            except (CorruptFileError, ReadError) as error:
                if not is_damage(error):
                    raise
                fault = error
            if fault is not None:
                faults[number] = fault
        return faults

    def can_repair(self, entries: Sequence[Entry]) -> bool:
        """Whether what follows the records is what is left of their structure.

        It is not if there is more of it, or something else: arrays of another save.
        """
        offset = _end_of(entries)
        expected = _end(self.structure, offset)
        length = self._source.size - offset
        if not 0 <= length <= len(expected):
            return False
        left = b"".join(piece for _, piece in self._pieces(offset, length))
        return not any(left) or is_damaged_copy(left, expected)

    def repair(self, entries: Sequence[Entry], file: Sink) -> bytes:
        """Write a companion again: its records as they are, and its structure.

        Raises
        ------
        CorruptFileError
            If a record is not what it was when it was checked.
        """
        for number, entry in enumerate(entries):
            check = xxhash.xxh3_64()
            for _, piece in self._pieces(entry.offset, entry.length):
                check.update(piece)
                file.write(piece)
            if check.intdigest() != entry.checksum:
                raise _fault(entry, number, _CHECKSUM)
        file.write(_end(self.structure, _end_of(entries)))
        return self.structure

    def _pieces(self, offset: int, length: int) -> Iterator[tuple[int, bytes]]:
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
    return npy.header(entry.dtype, entry.shape, entry.fortran, entry.offset)


def _array(entry: Entry, number: int, buffer: Any, found: int | None) -> NDArray[Any]:
    """A record in memory, compared with its checksum if one has been found."""
    header = _header_of(entry)
    if buffer[: len(header)].tobytes() != header:
        raise _fault(entry, number, _BEGINNING)
    if found is not None and found != entry.checksum:
        raise _fault(entry, number, _CHECKSUM)
    return _shaped(entry, number, buffer, len(header))


def _shaped(entry: Entry, number: int, buffer: Any, offset: int) -> NDArray[Any]:
    order = "F" if entry.fortran else "C"
    try:
        return np.ndarray(entry.shape, entry.dtype, buffer, offset=offset, order=order)
    except (ValueError, TypeError) as error:
        raise _fault(entry, number, f"is no array: {error}") from error


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, RuntimeError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _runs(entries: Sequence[Entry], wanted: list[int], limit: int) -> list[list[int]]:
    """Runs of neighbouring records, each of so many bytes at most, or one record."""
    runs: list[list[int]] = []
    size = 0
    for number in wanted:
        length = entries[number].length
        follows = bool(runs) and runs[-1][-1] == number - 1
        if follows and size + length <= limit:
            runs[-1].append(number)
            size += length
        else:
            runs.append([number])
            size = length
    return runs


class _Block(NamedTuple):
    """Memory of its own, or a part of it, and where the file has what goes there."""

    view: memoryview
    offset: int
    records: list[tuple[int, int]]  # those to be hashed as they come


class _Piece(NamedTuple):
    """A part of a stretch, which one thread reads."""

    blocks: list[_Block]

    @property
    def size(self) -> int:
        return sum(len(block.view) for block in self.blocks)


# What went wrong, and the checksums of the records that were to be hashed.
_Outcome = tuple[CorruptFileError | ReadError | None, list[int]]


class _Stretch:
    """Memory for neighbouring records, and the pieces by which it is read.

    Several records, or a small one, are read and hashed by one thread, while they are
    in its cache. A large one is read by several, and hashed by another.

    Arrays of JAX share the memory that is read into, so each record has memory of its
    own: who keeps one of them would keep its neighbours too. Only small ones share.
    """

    def __init__(
        self, entries: Sequence[Entry], numbers: list[int], verify: bool
    ) -> None:
        self.numbers = numbers
        self._bytes: dict[int, Any] = {}
        blocks: list[_Block] = []
        for members in _runs(entries, numbers, _SHARED):
            blocks.append(self._block(entries, members, verify))
        size = sum(len(block.view) for block in blocks)
        if len(numbers) > 1 or size <= _WORTH_THREADS:
            self.pieces = [_Piece(blocks)]
        else:
            view, start, _ = blocks[0]
            parts = [
                _Block(view[place : place + _WORTH_THREADS], start + place, [])
                for place in range(0, size, _WORTH_THREADS)
            ]
            self.pieces = [_Piece([part]) for part in parts]

    def _block(
        self, entries: Sequence[Entry], numbers: list[int], verify: bool
    ) -> _Block:
        start = entries[numbers[0]].offset
        last = entries[numbers[-1]]
        buffer = _aligned(last.offset + last.length - start, start)
        records: list[tuple[int, int]] = []
        for number in numbers:
            entry = entries[number]
            first = entry.offset - start
            end = first + entry.length
            self._bytes[number] = buffer[first:end]
            records.append((first, end))
        return _Block(memoryview(buffer), start, records if verify else [])

    def of(self, number: int) -> Any:
        """The bytes of a record."""
        return self._bytes[number]


def _aligned(size: int, offset: int) -> Any:
    """Fresh memory whose addresses are aligned as the offsets of the file are."""
    buffer = _pages(size + ALIGNMENT) if size >= _PAGES else None
    if buffer is None:
        buffer = np.empty(size + ALIGNMENT, np.uint8)
    shift = (offset - buffer.ctypes.data) % ALIGNMENT
    return buffer[shift : shift + size]


def _pages(size: int) -> Any:
    """Memory straight from the system, on huge pages; None where it has none.

    The system joins those that lie side by side, so that a huge page spans several
    records: as fast as memory for all of them at once, and each is freed by itself.
    """
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a limit of memory or of maps, of which NumPy may know a way round
        return None
    return np.frombuffer(pages, np.uint8)
