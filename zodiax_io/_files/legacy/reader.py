"""An opened old file: its document, and its arrays."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import dtypes
from ..._arrays.backend import ArrayReader, Entry, Faults, Source, Tick, no_tick
from ..._errors import (
    CorruptFileError,
    OldFileWarning,
    ReadError,
    UnknownFormatError,
    is_damage,
    shown,
    warn,
)
from ..._jax import call_deeply
from ..._structure.survey import survey
from ..._trust import names, reflection
from ..._trust.judge import Judge
from ..document import Document
from .classes import imported, told_static
from .dealing import Dealer
from .nodes import Builder, Lost
from .pickled import is_pickle, read_plain
from .records import array_of, data_of, find_entries, some_bytes
from .tree import MAX_DEPTH, Old, leaves, parsed

FRAMES = 6 * MAX_DEPTH


def is_old(source: Source) -> bool:
    """Whether a file begins as one of the old ones does."""
    start = bytearray(min(2, source.size))
    source.read_into(memoryview(start), 0)
    return is_pickle(start)


class LegacyReader(ArrayReader):
    """An opened old file, with the interface of those of the array backends.

    Parameters
    ----------
    source : Source
        The file.
    file : str
        What it is called in messages.

    Raises
    ------
    UnknownFormatError, CorruptFileError
        If it is not such a file, or not all of one.

    Attributes
    ----------
    document : Document
        What a structure file of ours would say, as far as is known.
    needs : set of str
        Classes without which it would not say all.
    """

    structure = b""
    is_old = True

    def __init__(self, source: Source, file: str) -> None:
        plain, end = read_plain(source, file)
        self._source = source
        self._file = file
        self._found: dict[str, Any] = {}  # classes by our names, or None
        self._settled = True
        self._notes: list[str] = []
        try:
            self._root = call_deeply(FRAMES, parsed, plain, {})
            if self._root.children is None:
                raise ValueError("a leaf stands for a tree")
        except (ValueError, TypeError, RecursionError) as error:
            raise UnknownFormatError(
                f"{file} is a pickle, and zodiax_io runs none: it reads those of "
                f"`zodiax.experimental.serialise`, but in this one {error}."
            ) from None
        self._entries = find_entries(source, end, file)
        self.document = self._made()

    def _find(self, name: str) -> Any:
        if name not in self._found:
            self._found[name] = imported(name)
        return self._found[name]

    def _made(self) -> Document:
        builder = Builder(self._entries, self._one, self._find)
        static = functools.partial(told_static, self._find)

        def build() -> tuple[bool, Any, bool]:
            settled = Dealer(self._root, self._entries, static).deal()
            tree = builder.node(self._root)
            return settled, tree, any(map(_is_wide, leaves(self._root)))

        try:
            self._settled, tree, wide = call_deeply(FRAMES, build)
        except (ValueError, RecursionError) as error:
            raise CorruptFileError(f"{self._file} is damaged: {error}.") from None
        except Lost:
            raise CorruptFileError(
                f"{self._file} does not hold all the numbers of its tree."
            ) from None
        self._notes = list(builder.notes.values())
        self.needs = set(builder.needs if self._settled else self._found)
        records = [
            [e.offset, e.length, 0, dtypes.describe(e.dtype), list(e.shape), e.fortran]
            for e in self._entries
        ]
        settings = {"jax_enable_x64": wide}
        return Document({}, settings, {"name": "eqx"}, records, None, tree)

    def completed(self, document: Any, judge: Judge) -> Document:
        """The document, made again where classes tell more than was known.

        They tell which fields are static, and what their instances are: those that are
        called otherwise now, and those that the judge may import. It imports nothing
        if a name of the file is refused, which is judged by the classes that are here.
        """
        self._learn(judge)
        judge.prepare(survey(self.document.tree).uses)
        self._learn(judge)
        return self.document

    def _learn(self, judge: Judge) -> None:
        new: dict[str, Any] = {}
        for name in dict.fromkeys(use.name for use in survey(self.document.tree).uses):
            cls = names.find(judge.now(name))
            if reflection.is_class(cls) and self._found.get(name, cls) is not cls:
                new[name] = cls
        if new:
            self._found |= new
            self.document = self._made()

    def entries(self, records: Sequence[Any]) -> list[Entry]:
        """The index of the records.

        Raises
        ------
        CorruptFileError
            If nobody can tell which of them belongs to which field.
        """
        if not self._settled:
            missing = [shown(name) for name, cls in self._found.items() if cls is None]
            advice = (
                f"Import {', '.join(f'`{name}`' for name in missing[:8])} first"
                if missing
                else "Load it with the releases of its packages that wrote it"
            )
            raise CorruptFileError(
                f"{self._file} is of zodiax 0.4 or before, and does not tell which "
                "fields were static; its numbers could be those of several fields. "
                f"{advice}."
            )
        return list(self._entries)

    def read(
        self,
        entries: Sequence[Entry],
        wanted: Iterable[int],
        *,
        verify: bool,
        tick: Tick = no_tick,
    ) -> tuple[dict[int, NDArray[Any]], Faults]:
        """The arrays of the wanted records; old files have no checksums to verify."""
        self._tell()
        arrays: dict[int, NDArray[Any]] = {}
        faults: Faults = {}
        for number in sorted(set(wanted)):
            try:
                arrays[number] = self._one(number)
            except (CorruptFileError, ReadError) as fault:
                if not is_damage(fault):
                    raise
                faults[number] = fault
            tick(entries[number].length)
        return arrays, faults

    def _one(self, number: int) -> NDArray[Any]:
        entry = self._entries[number]
        start = data_of(entry)
        buffer: Any = np.empty(entry.offset + entry.length - start, np.uint8)
        self._source.read_into(memoryview(buffer), start)
        return array_of(entry, buffer, 0)

    def map(
        self, entries: Sequence[Entry], wanted: Iterable[int]
    ) -> dict[int, NDArray[Any]]:
        """The arrays of the wanted records, read-only, as the file maps into memory."""
        self._tell()
        whole = np.frombuffer(self._source.map(), np.uint8)
        arrays = {n: array_of(entries[n], whole, data_of(entries[n])) for n in wanted}
        # What does not lie on its own width is slow to use, and no memory to share.
        return {n: a if a.flags.aligned else a.copy() for n, a in arrays.items()}

    def check(self, entries: Sequence[Entry]) -> Faults:
        """What cannot be read: the headers have been seen, and the rest is data."""
        faults: Faults = {}
        for number, entry in enumerate(entries):
            try:
                for start in range(0, entry.length, _PIECE):
                    length = min(_PIECE, entry.length - start)
                    some_bytes(self._source, entry.offset + start, length)
            except (CorruptFileError, ReadError) as fault:
                if not is_damage(fault):
                    raise
                faults[number] = fault
        return faults

    def _tell(self) -> None:
        """Warn of what no field is missing for."""
        if self._notes:
            lines = "\n".join(f"  {shown(note)}" for note in self._notes[:_MAX_NOTES])
            warn(
                OldFileWarning(
                    f"{self._file} is of zodiax 0.4 or before, which did not keep:\n"
                    f"{lines}"
                )
            )


_PIECE = 1 << 20
_MAX_NOTES = 20


def _is_wide(step: tuple[str, str, str | None, Old]) -> bool:
    old = step[3]
    return (
        old.array is not None
        and names.top(old.type) in ("jax", "jaxlib")
        and old.array[1] in ("int64", "float64", "complex128")
    )
