"""Memory for records, and the ranges of the file that threads read into it.

One thread reads a block of small records, and hashes them while they are in its cache.
Several threads read a large record, and another one hashes it.

JAX arrays use the memory that was read into, without a copy. So each large record has
its own memory: otherwise one array that stays would keep its neighbours. Small records
are in one buffer.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xxhash

from .._errors import CorruptFileError, ReadError, is_damage
from .backend import Entry, Source
from .npy import ALIGNMENT
from .sizes import Sizes


class _Buffer(NamedTuple):
    """Memory, and where the file has the bytes that belong there."""

    view: memoryview
    offset: int
    records: list[tuple[int, int]]  # start and end of those to hash while reading


class ReadRange(NamedTuple):
    """A part of a block, which one thread reads."""

    buffers: list[_Buffer]

    @property
    def size(self) -> int:
        return sum(len(buffer.view) for buffer in self.buffers)


# The error, if there was one, and the checksums of the records read before it.
ReadResult = tuple[CorruptFileError | ReadError | None, list[int]]


def read_and_hash(source: Source, part: ReadRange, chunk: int) -> ReadResult:
    """Read a range, and hash the records that are listed in it."""
    checksums: list[int] = []
    try:
        for buffer in part.buffers:
            _fill(source, buffer, chunk, checksums)
    except (CorruptFileError, ReadError) as error:
        if not is_damage(error):
            raise
        return error, checksums
    return None, checksums


def _fill(source: Source, buffer: _Buffer, chunk: int, checksums: list[int]) -> None:
    view, offset, records = buffer
    checksum, count, done = None, len(records), 0
    step = chunk if records else max(len(view), 1)
    for start in range(0, len(view), step):
        end = min(start + step, len(view))
        source.read_into(view[start:end], offset + start)
        while done < count:
            first, last = records[done]
            if first >= end:
                break
            here = view[max(first, start) : min(last, end)]
            if checksum is None and last <= end:
                checksums.append(xxhash.xxh3_64_intdigest(here))
                done += 1
                continue
            checksum = checksum or xxhash.xxh3_64()
            checksum.update(here)
            if last > end:
                break
            checksums.append(checksum.intdigest())
            done += 1
            checksum = None


class ReadBlock:
    """Memory for neighbouring records, and the ranges in which it is read.

    Attributes
    ----------
    numbers : list of int
        The records.
    ranges : list of ReadRange
        One for several records; several for a large one.
    bytes_of : dict of int to array
        The memory of each record, by its number.
    """

    def __init__(
        self, entries: Sequence[Entry], numbers: list[int], verify: bool, sizes: Sizes
    ) -> None:
        self.numbers = numbers
        self.bytes_of: dict[int, Any] = {}
        buffers = [
            self._buffer(entries, members, verify, sizes)
            for members in runs(entries, numbers, sizes.share)
        ]
        size, step = sum(len(buffer.view) for buffer in buffers), sizes.threads_from
        self.ranges = [ReadRange(buffers)]
        if len(numbers) == 1 and size > step:
            view, offset, _ = buffers[0]
            self.ranges = [
                ReadRange([_Buffer(view[start : start + step], offset + start, [])])
                for start in range(0, size, step)
            ]

    def _buffer(
        self, entries: Sequence[Entry], numbers: list[int], verify: bool, sizes: Sizes
    ) -> _Buffer:
        start = entries[numbers[0]].offset
        last = entries[numbers[-1]]
        size = last.offset + last.length - start
        memory = aligned_memory(size, start, sizes.huge_pages_from)
        records: list[tuple[int, int]] = []
        for number in numbers:
            entry = entries[number]
            first = entry.offset - start
            end = first + entry.length
            self.bytes_of[number] = memory[first:end]
            records.append((first, end))
        return _Buffer(memoryview(memory), start, records if verify else [])


def runs(entries: Sequence[Entry], numbers: list[int], limit: int) -> list[list[int]]:
    """Runs of neighbouring records, each of one record or of `limit` bytes at most."""
    found: list[list[int]] = []
    size = 0
    for number in numbers:
        length = entries[number].length
        follows = bool(found) and found[-1][-1] == number - 1
        if follows and size + length <= limit:
            found[-1].append(number)
            size += length
        else:
            found.append([number])
            size = length
    return found


def aligned_memory(size: int, offset: int, huge_pages_from: int) -> Any:
    """Fresh memory whose addresses are aligned as the offsets of the file are."""
    memory = _huge_pages(size + ALIGNMENT) if size >= huge_pages_from else None
    if memory is None:
        memory = np.empty(size + ALIGNMENT, np.uint8)
    shift = (offset - memory.ctypes.data) % ALIGNMENT
    return memory[shift : shift + size]


def _huge_pages(size: int) -> Any:
    """Memory from the operating system, on huge pages; None where it has none.

    The system merges neighbouring mappings, so that a huge page spans several records:
    as fast as memory for all of them at once, and each is freed by itself.
    """
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return None
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        pages.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # a limit on memory or mappings; NumPy may still get it
        return None
    return np.frombuffer(pages, np.uint8)
