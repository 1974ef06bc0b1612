"""The interface of an array backend: records to the bytes of a companion, and back."""

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
    """A file that bytes can be appended to."""

    def write(self, data: Any, /) -> Any:
        """Write bytes."""
        ...


@runtime_checkable
class Source(Protocol):
    """Bytes that can be read at any offset, all of one version of a file."""

    size: int

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` with the bytes from `offset` on."""
        ...

    def map(self) -> Any:
        """All bytes, read-only; a page is read when it is first used."""
        ...


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Entry:
    """A record of the companion, as the structure describes it."""

    offset: int
    length: int
    checksum: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool


def array_in(memory: Any, entry: Entry, offset: int) -> NDArray[Any]:
    """The array of a record whose data begins at an offset in memory.

    Raises
    ------
    CorruptFileError
        If NumPy has no array of that shape and dtype.
    """
    order = "F" if entry.fortran else "C"
    try:
        return np.ndarray(entry.shape, entry.dtype, memory, offset=offset, order=order)
    except (ValueError, TypeError) as error:
        raise CorruptFileError(f"is not an array: {error}") from error


# Called with the number of bytes read or written since the last call.
Tick = Callable[[int], object]


def no_tick(count: int, /) -> None:
    """Ignore the count."""


# Errors by the number of the record; the message of each is the reason alone.
Faults = dict[int, CorruptFileError | ReadError]


class ArrayReader(abc.ABC):
    """An opened companion.

    Attributes
    ----------
    structure : bytes
        The bytes of its structure file.
    written_by : str or None
        The backend that the ends of the file show; None if they were not read.
    is_old : bool
        Whether the file has an older format, without a structure file.
    needs : set of str
        Missing classes without which the document of an old file stays incomplete.
    """

    structure: bytes
    written_by: str | None = None
    is_old: bool = False
    needs: Set[str] = frozenset()

    def complete_document(self, document: Any, judge: Any) -> Any:
        """The document, with facts that imported classes add to an old file."""
        return document

    @abc.abstractmethod
    def entries(self, records: Sequence[Any]) -> list[Any]:
        """The index of the records, checked against the file without reading data.

        Other code uses only the `length` of an entry, in bytes.

        Raises
        ------
        CorruptFileError
            If this backend writes no such index.
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
        """The arrays of the wanted records, and the errors of those that fail."""

    def map(
        self, entries: Sequence[Any], wanted: Iterable[int]
    ) -> dict[int, NDArray[Any]]:
        """The arrays of the wanted records as the file maps into memory.

        Raises
        ------
        ArgumentError
            If the backend stores arrays in another form than memory holds.
        """
        raise ArgumentError(
            "`lazy=True` maps arrays into memory, but the backend of this file stores "
            "them in another form. Load it without `lazy`, or a part of it by `only`."
        )

    def check(self, entries: Sequence[Any]) -> Faults:
        """The errors of the records; one record at a time is in memory."""
        faults: Faults = {}
        for number in range(len(entries)):
            faults |= self.read(entries, [number], verify=True)[1]
        return faults

    def can_repair(self, entries: Sequence[Any]) -> bool:
        """Whether `repair` would lose nothing but a damaged copy of the structure."""
        return False

    def repair(self, entries: Sequence[Any], file: Sink) -> bytes:
        """Write the companion again: its records, which are intact, and its structure.

        Raises
        ------
        CorruptFileError
            If a record has changed since it was checked.
        """
        raise NotImplementedError


def read_whole(
    reader: ArrayReader, entries: Sequence[Any], wanted: Iterable[int], file: str
) -> dict[int, NDArray[Any]]:
    """The arrays of records that must all be whole.

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
    """A way to store arrays: a frozen dataclass, whose fields are its options.

    The options are stored in each file, and used again when it is opened.

    Attributes
    ----------
    name : str
        Its name in files.
    suffix, magic : str, bytes
        The suffix of its companions, and their first bytes.
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
        """Open a companion whose structure is damaged, with that of its structure file.

        Raises
        ------
        CorruptFileError
            If the companion cannot be read without its own structure.
        """

    def is_whole(self, size: int, read: Callable[[int, int], bytes]) -> bool:
        """Whether one companion fills `size` bytes; `read` takes offset and length."""
        ends = min(ENDS, size)
        return self.recognises(read(0, ends), read(size - ends, ends))

    def end_of_first(self, data: bytes) -> int | None:
        """Where the first companion in some bytes ends; None if that is unknown.

        A backend that marks the end of a companion allows several in one file.
        """
        return None

    def error_for(self, start: bytes, file: str) -> ZodiaxIOError | None:
        """The error for a file that begins as a companion but is not recognised."""
        return None


ENDS = 16  # bytes at either end of a file by which a companion is recognised


_EQUAL = 0.75  # of the bytes: a few damaged bits, or one block, leave more


def is_damaged_copy(damaged: bytes, expected: bytes) -> bool:
    """Whether bytes may be a damaged copy of others, perhaps cut short."""
    if len(damaged) > len(expected):
        return False
    one = np.frombuffer(damaged, np.uint8)
    other = np.frombuffer(expected, np.uint8, len(damaged))
    return int(np.count_nonzero(one == other)) >= _EQUAL * len(damaged)
