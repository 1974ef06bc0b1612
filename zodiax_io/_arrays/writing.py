"""Records to a file: small ones joined, large ones in chunks, with checksums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import xxhash

from . import dtypes, npy
from .backend import Sink, Tick
from .records import Record
from .sizes import Sizes
from .threads import Job, Threads


@dataclass(frozen=True, eq=False, repr=False)
class Group:
    """Neighbouring records that are written together; to Equinox, a leaf."""

    records: list[Record]
    next: Group | None  # its arrays are fetched from their device meanwhile


def grouped(records: Sequence[Record], sizes: Sizes) -> list[Group]:
    """Small records together, so that few calls write them; each large one alone."""
    lists: list[list[Record]] = []
    size = sizes.join
    for record in records:
        # The header takes about 128 bytes; its exact length depends on its offset.
        length = record.nbytes + 128
        size += length
        if size > sizes.join or length > sizes.join_below:
            lists.append([])
            size = length if length <= sizes.join_below else sizes.join
        lists[-1].append(record)
    groups: list[Group] = []
    for members in reversed(lists):
        groups.append(Group(members, groups[-1] if groups else None))
    return groups[::-1]


class GroupWriter:
    """Writes groups of records one after another.

    Attributes
    ----------
    index : list
        For each record: offset, length, checksum, dtype, shape, Fortran order.
    offset : int
        Where the next record begins.
    """

    def __init__(self, sizes: Sizes, tick: Tick, threads: Threads) -> None:
        self.index: list[Any] = []
        self.offset = 0
        self._sizes, self._tick = sizes, tick
        self._fetches = jax.default_backend() != "cpu"
        self._fetched: list[Record] = []
        self._hasher = Hasher(threads)

    def write(self, file: Sink, group: Group) -> None:
        """Write the records of a group, and add them to the index."""
        records, self._fetched = self._fetched or group.records, []
        if group.next is not None and self._fetches:
            self._fetched = [record.fetched() for record in group.next.records]
        headers: list[bytes] = []
        extents: list[tuple[int, int]] = []  # offset and length
        for record in records:
            dtype, shape, fortran = record.dtype, record.shape, record.fortran
            headers.append(npy.header(dtype, shape, fortran, self.offset))
            extents.append((self.offset, len(headers[-1]) + record.nbytes))
            self.offset += extents[-1][1]
        if len(records) == 1:
            checksums = [self._write_large(file, headers[0], records[0])]
        else:
            lengths = [length for _, length in extents]
            checksums = _write_joined(file, headers, records, lengths)
            self._tick(sum(record.nbytes for record in records))
        for record, extent, checksum in zip(records, extents, checksums, strict=True):
            dtype = dtypes.describe(record.dtype)
            shape = list(record.shape)
            self.index.append([*extent, checksum, dtype, shape, record.fortran])

    def _write_large(self, file: Sink, header: bytes, record: Record) -> int:
        """Write a record in chunks, and return its checksum."""
        file.write(header)
        data = memoryview(record.buffer() if record.nbytes else b"").cast("B")
        checksum = xxhash.xxh3_64(header)
        threaded = record.is_immutable and len(data) >= self._sizes.hash_thread_from
        step = self._sizes.hash_chunk if threaded else self._sizes.chunk
        for start in range(0, len(data), step):
            chunk = data[start : start + step]
            if threaded:
                # At the same time, so that the memory is fetched once for both.
                self._hasher.add(checksum, chunk)
            else:
                if not record.is_immutable:
                    # The user's threads may change it, and the checksum must be that
                    # of the bytes that are written.
                    chunk = bytes(chunk)
                checksum.update(chunk)
            file.write(chunk)
            self._tick(len(chunk))
        self._hasher.finish()
        return checksum.intdigest()


def _write_joined(
    file: Sink, headers: list[bytes], records: list[Record], lengths: list[int]
) -> list[int]:
    """Write small records in one call, and return their checksums."""
    parts: list[Any] = []
    for header, record in zip(headers, records, strict=True):
        parts += (header, record.buffer())
    joined = memoryview(b"".join(parts))
    checksums: list[int] = []
    start = 0
    for length in lengths:
        checksums.append(xxhash.xxh3_64_intdigest(joined[start : start + length]))
        start += length
    file.write(joined)
    return checksums


class Hasher:
    """Computes a checksum in another thread, while this one writes the bytes."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._jobs: list[Job] = []

    def add(self, checksum: Any, chunk: memoryview) -> None:
        """Add a chunk to a checksum, after those before it."""
        before = self._jobs[-1] if self._jobs else None
        self._jobs.append(self._threads.begin(self._update, before, checksum, chunk))

    @staticmethod
    def _update(before: Job | None, checksum: Any, chunk: memoryview) -> None:
        if before is not None:
            before.result()
        checksum.update(chunk)

    def finish(self) -> None:
        """Wait until all chunks have been added."""
        for job in self._jobs:
            job.result()
        self._jobs = []
