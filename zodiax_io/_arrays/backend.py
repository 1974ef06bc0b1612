"""What an array backend does: records to bytes of a companion, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from .._errors import CorruptFileError, ReadError
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


@runtime_checkable
class ArrayReader(Protocol):
    """An opened companion.

    Attributes
    ----------
    structure : bytes
        The structure file that belongs to it.
    """

    structure: bytes

    def entries(self, records: Sequence[Any]) -> list[Entry]:
        """The index of the records, checked against the file without reading data."""
        ...

    def read(
        self,
        entries: Sequence[Entry],
        wanted: Iterable[int],
        *,
        verify: bool,
        tick: Tick = no_tick,
    ) -> tuple[dict[int, NDArray[Any]], Faults]:
        """The arrays of the wanted records, and what is wrong with the others."""
        ...

    def map(
        self, entries: Sequence[Entry], wanted: Iterable[int]
    ) -> dict[int, NDArray[Any]]:
        """The arrays of the wanted records as the file maps into memory."""
        ...

    def check(self, entries: Sequence[Entry]) -> Faults:
        """What is wrong with the records, in little memory."""
        ...


@runtime_checkable
class ArrayBackend(Protocol):
    """A way to keep arrays; its options are its fields."""

    @property
    def name(self) -> str:
        """What the file calls it."""
        ...

    def write(
        self,
        file: Sink,
        records: Sequence[Record],
        structure: Callable[[list[Any]], bytes],
        *,
        tick: Tick = no_tick,
    ) -> bytes:
        """Write the records, then the structure made from their index; return it."""
        ...

    def open(self, source: Source, file: str) -> ArrayReader:
        """Open a companion; raises CorruptFileError if it is not whole."""
        ...
