"""The layouts of a checkpoint in one open file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .._arrays.backend import ENDS, ArrayBackend, ArrayReader
from .._arrays.backends import BACKENDS, backend_of, recognise_backend
from .._errors import (
    CorruptFileError,
    ReadError,
    UnknownFormatError,
    ZodiaxIOError,
    is_damage,
)
from .document import Document, has_magic, unpack
from .legacy.reader import LegacyReader, is_old
from .sources import BytesSource, FileSource, read_some

Source = FileSource | BytesSource
Content = tuple[Document, ArrayReader]


class Layout(NamedTuple):
    """A layout of a checkpoint in one file.

    Attributes
    ----------
    recognises : callable
        Whether a file has this layout, from its first and last bytes.
    open : callable
        Gives the document in a file, and a reader of its arrays.
    """

    recognises: Callable[[Source], bool]
    open: Callable[[Source], Content]


def is_companion(source: Source) -> bool:
    """Whether an open file is the whole companion of some backend."""
    return _backend_in(source) is not None


def _backend_in(source: Source) -> ArrayBackend | None:
    size = min(ENDS, source.size)
    return recognise_backend(
        _readable(source, 0, size), _readable(source, source.size - size, size)
    )


def _readable(source: Source, offset: int, size: int) -> bytes:
    """Bytes of a file; empty if the disk has lost them: the other end may suffice."""
    try:
        return read_some(source, offset, size)
    except ReadError as error:
        if not is_damage(error):
            raise
        return b""


def reader_of(source: Source) -> ArrayReader:
    """A reader of an open companion.

    Raises
    ------
    CorruptFileError, UnknownFormatError
        If it is not whole, or not a companion.
    """
    backend = _backend_in(source)
    if backend is None:
        raise unknown_file(source)
    reader = backend.open(source, source.name)
    reader.written_by = backend.name
    return reader


def content_of(source: Source, reader: ArrayReader | None = None) -> Content:
    """The document that a companion ends with, and a reader of its arrays."""
    reader = reader or reader_of(source)
    document = unpack(reader.structure, source.name)
    stored = backend_of(document.backend, source.name)
    if reader.written_by not in (None, stored.name):
        raise CorruptFileError(
            f"{source.name} is damaged: it ends as a companion of the backend "
            f"{reader.written_by!r}, but its structure names {stored.name!r}."
        )
    return document, reader


def content_of_damaged(source: Source, structure: bytes, name: str) -> Content:
    """The same for a companion with a damaged end, from the structure file `name`."""
    document = unpack(structure, name)
    backend = backend_of(document.backend, name)
    return document, backend.open_damaged(source, source.name, structure)


def _content_of_legacy(source: Source) -> Content:
    reader = LegacyReader(source, source.name)
    return reader.document, reader


LAYOUTS = (
    Layout(is_companion, content_of),  # of a pair, or alone
    Layout(is_old, _content_of_legacy),  # a `.zdx` of zodiax 0.4 or before
)


def layout_of(source: Source) -> Layout | None:
    """The layout of an open file; None if it has none of them."""
    return next((layout for layout in LAYOUTS if layout.recognises(source)), None)


def unknown_file(source: Source) -> ZodiaxIOError:
    """The error for a file with none of the layouts."""
    start = read_some(source, 0, ENDS)
    for row in BACKENDS:
        error = row().error_for(start, source.name)
        if error is not None:
            return error
    if has_magic(start):
        return UnknownFormatError(
            f"{source.name} holds a structure without its arrays. Give the path of the "
            "structure file, or the companion, instead."
        )
    return UnknownFormatError(
        f"{source.name} is not a zodiax_io file: it does not begin as one does."
    )
