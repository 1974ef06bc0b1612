"""What an array backend does: records to bytes of a companion, and back."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .._errors import ArgumentError, CorruptFileError, ReadError, ZodiaxIOError
from .records import Record


@runtime_checkable
class Sink(Protocol):
    """What bytes can be written to, one after the other."""

    def write(self, data: Any, /) -> Any:
        """Write bytes."""
        ...


@runtime_checkable
class Source(Protocol):
    """Bytes that can be read at any offset, all from one version of a file."""

    size: int

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` with the bytes from `offset` on."""
        ...

    def map(self) -> Any:
        """All bytes, read-only, none of which is read before somebody looks at it."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Entry:
    """What the structure says of one record of the companion."""

    offset: int
    length: int
    checksum: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool


# Told how many bytes have been read or written since it was last called.
Tick = Callable[[int], object]


def no_tick(count: int, /) -> None:
    """Keep no count."""


# By the number of the record; the message of a CorruptFileError is the reason alone.
Faults = dict[int, CorruptFileError | ReadError]


class ArrayReader(abc.ABC):
    """An opened companion.

    Attributes
    ----------
    structure : bytes
        The structure file that belongs to it.
    written_by : str or None
        The backend that the ends of the file are of; None if they were not looked at.
    is_old : bool
        Whether the file is of an older format, which has no structure file.
    needs : set of str
        The classes without which an old file does not say all that it holds.
    """

    structure: bytes
    written_by: str | None = None
    is_old: bool = False
    needs: Set[str] = frozenset()

    def complete_document(self, document: Any, judge: Any) -> Any:
        """The document, with what the classes of this process add to an old file's."""
        return document

    @abc.abstractmethod
    def entries(self, records: Sequence[Any]) -> list[Any]:
        """The index of the records, checked against the file without reading data.

        Of an entry, all other code knows only its `length` in bytes.

        Raises
        ------
        CorruptFileError
            If the index is not one that this backend writes.
        """

    @abc.abstractmethod
    def read(
        self,
        entries: Sequence[Any],
        wanted: Iterable[int],
        *,
        verify: bool,
        tick: Tick = no_tick,
    ) -> tuple[dict[int, NDArray[Any]], Faults]:
        """The arrays of the wanted records, and what is wrong with the others."""

    def map(
        self, entries: Sequence[Any], wanted: Iterable[int]
    ) -> dict[int, NDArray[Any]]:
        """The arrays of the wanted records as the file maps into memory.

        Raises
        ------
        ArgumentError
            If the backend keeps arrays in a form that memory cannot hold.
        """
        raise ArgumentError(
            "`lazy=True` maps arrays into memory, which the backend of this file does "
            "not keep in that form. Load it without `lazy`, or a part of it by `only`."
        )

    def check(self, entries: Sequence[Any]) -> Faults:
        """What is wrong with the records; one of them is in memory at a time."""
        faults: Faults = {}
        for number in range(len(entries)):
            faults |= self.read(entries, [number], verify=True)[1]
        return faults

    def can_repair(self, entries: Sequence[Any]) -> bool:
        """Whether nothing but its structure would be lost by writing it again."""
        return False

    def repair(self, entries: Sequence[Any], file: Sink) -> bytes:
        """Write the companion again: its records, all intact, and its structure.

        Raises
        ------
        CorruptFileError
            If a record is not what it was when it was checked.
        """
        raise NotImplementedError


def read_whole(
    reader: ArrayReader, entries: Sequence[Any], wanted: Iterable[int], file: str
) -> dict[int, NDArray[Any]]:
    """The arrays of records of which each must be whole.

    Raises
    ------
    CorruptFileError, ReadError
        If one is not, or cannot be read.
    """
    arrays, faults = reader.read(entries, wanted, verify=True)
    for number, fault in sorted(faults.items()):
        if isinstance(fault, ReadError):
            raise fault
        raise CorruptFileError(f"{file} is damaged: record {number} {fault}.")
    return arrays


class ArrayBackend(abc.ABC):
    """A way to keep arrays: a frozen dataclass, whose fields are its options.

    The options are stored in each file, and given back when it is opened.

    Attributes
    ----------
    name : str
        What files call it.
    suffix, magic : str, bytes
        With which the names of its companions end, and their bytes begin.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    magic: ClassVar[bytes]

    @abc.abstractmethod
    def write(
        self,
        file: Sink,
        records: Sequence[Record],
        structure: Callable[[list[Any]], bytes],
        *,
        tick: Tick = no_tick,
    ) -> bytes:
        """Write the records, then the structure made from their index; return it."""

    @abc.abstractmethod
    def recognises(self, start: bytes, end: bytes) -> bool:
        """Whether a file is a whole companion, by its first and last `ENDS` bytes."""

    @abc.abstractmethod
    def open(self, source: Source, file: str) -> ArrayReader:
        """Open a companion; raises CorruptFileError if it is not whole."""

    @abc.abstractmethod
    def open_damaged(self, source: Source, file: str, structure: bytes) -> ArrayReader:
        """Open a companion whose structure is damaged, by that of the file beside it.

        Raises
        ------
        CorruptFileError
            If nothing can be read of it without its own.
        """

    def is_whole(self, size: int, read: Callable[[int, int], bytes]) -> bool:
        """Whether one companion fills `size` bytes; `read` takes offset and length."""
        ends = min(ENDS, size)
        return self.recognises(read(0, ends), read(size - ends, ends))

    def end_of_first(self, data: bytes) -> int | None:
        """Where the companion ends with which some bytes begin; None if none does.

        A backend with an end of its own lets several lie behind another in one file.
        """
        return None

    def error_for(self, start: bytes, file: str) -> ZodiaxIOError | None:
        """The error for a file that begins as a companion but is not recognised."""
        return None


ENDS = 16  # bytes at either end of a file by which a companion is recognised


_ALIKE = 0.75  # of the bytes: more is left where a few bits or a block are damaged


def is_damaged_copy(damaged: bytes, expected: bytes) -> bool:
    """Whether bytes may be what is left of others."""
    if len(damaged) > len(expected):
        return False
    one = np.frombuffer(damaged, np.uint8)
    other = np.frombuffer(expected, np.uint8, len(damaged))
    return int(np.count_nonzero(one == other)) >= _ALIKE * len(damaged)
