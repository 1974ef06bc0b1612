"""An opened old file: its document, and its arrays."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import dtypes
from ..._arrays.backend import (
    ArrayReader,
    Entry,
    Faults,
    Source,
    Tick,
    array_in,
    no_tick,
)
from ..._errors import (
    CorruptFileError,
    OldFileWarning,
    ReadError,
    UnknownFormatError,
    is_damage,
    shown,
    warn,
)
from ..._interpreter import call_deeply
from ..._structure.nodes import Structure
from ..._structure.uses import uses_of
from ..._trust import names, reflection
from ..._trust.judge import Judge
from ..document import Document
from ..sources import read_some
from .assignment import RecordAssignment
from .classes import imported_class, is_static_by_class
from .nodes import Builder, MissingValue
from .pickled import is_pickle, read_plain
from .records import data_of, find_entries
from .tree import MAX_DEPTH, Event, leaves, parse_node

FRAMES = 6 * MAX_DEPTH


def is_old(source: Source) -> bool:
    """Whether a file begins as an old file does."""
    return is_pickle(read_some(source, 0, 2))


class LegacyReader(ArrayReader):
    """An opened old file, as a reader of arrays with a document of its own.

    Parameters
    ----------
    source : Source
        The file.
    file : str
        Its name in messages.

    Raises
    ------
    UnknownFormatError, CorruptFileError
        If it is not an old file, or is incomplete.

    Attributes
    ----------
    document : Document
        The document of a structure file, as far as it is known.
    needs : set of str
        Missing classes without which the document stays incomplete.
    """

    structure = b""
    is_old = True

    def __init__(self, source: Source, file: str) -> None:
        plain, end = read_plain(source, file)
        self._source = source
        self._file = file
        self._found: dict[str, Any] = {}  # classes by name, None if missing
        self._settled = True
        self._notes: list[str] = []
        try:
            self._root = call_deeply(FRAMES, parse_node, plain, {})
            if self._root.children is None:
                raise ValueError("the tree is a single leaf")
        except (ValueError, TypeError, RecursionError) as error:
            raise UnknownFormatError(
                f"{file} is a pickle, and zodiax_io never unpickles: it reads the "
                "pickles of `zodiax.experimental.serialise`, but in this one "
                f"{error}."
            ) from None
        self._entries = find_entries(source, end, file)
        self.document = self._build_document()

    def _find_class(self, name: str) -> Any:
        if name not in self._found:
            self._found[name] = imported_class(name)
        return self._found[name]

    def _build_document(self) -> Document:
        builder = Builder(self._entries, self._read_record, self._find_class)
        is_static = functools.partial(is_static_by_class, self._find_class)

        def build() -> tuple[bool, Any, bool]:
            assignment = RecordAssignment(self._root, self._entries, is_static)
            settled = assignment.assign()
            tree = builder.node(self._root)
            return settled, tree, any(map(_is_wide, leaves(self._root)))

        try:
            self._settled, tree, wide = call_deeply(FRAMES, build)
        except (ValueError, RecursionError) as error:
            raise CorruptFileError(f"{self._file} is damaged: {error}.") from None
        except MissingValue:
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

    def complete_document(self, document: Any, judge: Judge) -> Document:
        """The document, built again with facts from classes that were not imported.

        These are renamed classes, and those that the judge may import. It imports
        nothing if it refuses a name of the file.
        """
        self._use_classes(judge)
        judge.prepare(uses_of(Structure.parse(self.document.tree)))
        self._use_classes(judge)
        return self.document

    def _use_classes(self, judge: Judge) -> None:
        new: dict[str, Any] = {}
        uses = uses_of(Structure.parse(self.document.tree))
        for name in dict.fromkeys(use.name for use in uses):
            cls = names.lookup_or_none(judge.current_name(name))
            if reflection.is_class(cls) and self._found.get(name, cls) is not cls:
                new[name] = cls
        if new:
            self._found |= new
            self.document = self._build_document()

    def entries(self, records: Sequence[Any]) -> list[Entry]:
        """The index of the records.

        Raises
        ------
        CorruptFileError
            If they could belong to several fields.
        """
        if not self._settled:
            missing = [shown(name) for name, cls in self._found.items() if cls is None]
            advice = (
                f"Import {', '.join(f'`{name}`' for name in missing[:8])} first"
                if missing
                else "Load it with the releases of its packages that wrote it"
            )
            raise CorruptFileError(
                f"{self._file} was written by zodiax 0.4 or before, which did not keep "
                "which fields were static: its numbers could belong to several fields. "
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
        self._warn_of_losses()
        arrays: dict[int, NDArray[Any]] = {}
        faults: Faults = {}
        for number in sorted(set(wanted)):
            try:
                arrays[number] = self._read_record(number)
            except (CorruptFileError, ReadError) as fault:
                if not is_damage(fault):
                    raise
                faults[number] = fault
            tick(entries[number].length)
        return arrays, faults

    def _read_record(self, number: int) -> NDArray[Any]:
        entry = self._entries[number]
        start = data_of(entry)
        buffer: Any = np.empty(entry.offset + entry.length - start, np.uint8)
        self._source.read_into(memoryview(buffer), start)
        return array_in(buffer, entry, 0)

    def map(
        self, entries: Sequence[Entry], wanted: Iterable[int]
    ) -> dict[int, NDArray[Any]]:
        """The arrays of the wanted records, read-only, as the file maps into memory."""
        self._warn_of_losses()
        whole = np.frombuffer(self._source.map(), np.uint8)
        arrays = {n: array_in(whole, entries[n], data_of(entries[n])) for n in wanted}
        # Unaligned arrays are slow to use, and JAX cannot share their memory.
        return {n: a if a.flags.aligned else a.copy() for n, a in arrays.items()}

    def check(self, entries: Sequence[Entry]) -> Faults:
        """Records that cannot be read; their headers were checked on opening."""
        faults: Faults = {}
        for number, entry in enumerate(entries):
            try:
                for start in range(0, entry.length, _CHECKED_AT_ONCE):
                    length = min(_CHECKED_AT_ONCE, entry.length - start)
                    read_some(self._source, entry.offset + start, length)
            except (CorruptFileError, ReadError) as fault:
                if not is_damage(fault):
                    raise
                faults[number] = fault
        return faults

    def _warn_of_losses(self) -> None:
        """Warn of facts that the old format did not keep."""
        if self._notes:
            lines = "\n".join(f"  {shown(note)}" for note in self._notes[:_MAX_NOTES])
            warn(
                OldFileWarning(
                    f"{self._file} was written by zodiax 0.4 or before, which did not "
                    f"keep:\n{lines}"
                )
            )


_CHECKED_AT_ONCE = 1 << 20
_MAX_NOTES = 20


def _is_wide(event: Event) -> bool:
    node = event.node
    return (
        node.array is not None
        and names.top_level_package(node.type) in ("jax", "jaxlib")
        and node.array[1] in ("int64", "float64", "complex128")
    )
