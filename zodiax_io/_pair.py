"""The two files of a checkpoint: which they are, and which of them speaks."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from . import _commit, _format
from ._backends import backend_of
from ._backends.eqx import EqxBackend, has_trailer
from ._errors import (
    ArgumentError,
    CorruptFileError,
    MissingFileError,
    MixedPairWarning,
    NotAFileError,
    ReadError,
    UnknownFormatError,
    ZodiaxIOError,
    shown,
    warn,
)

PathOrFile = str | os.PathLike[str] | BinaryIO


def is_path(path_or_file: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this is a path; a path that can name no file is an error."""
    if isinstance(path_or_file, bytes):
        raise ArgumentError("A path must be text, not bytes.")
    if not isinstance(path_or_file, (str, os.PathLike)):
        return False
    text = os.fspath(path_or_file)
    if not isinstance(text, str):
        raise ArgumentError("A path must be text, not bytes.")
    if "\0" in text or Path(text).name in ("", ".."):
        raise ArgumentError(f"{shown(repr(text))} is not the path of a file.")
    return True


STRUCTURE_SUFFIX, COMPANION_SUFFIX = ".zdx", ".eqx"


def pair_of(path: str | os.PathLike[str]) -> tuple[Path | None, Path]:
    """The structure file and the companion, by rule: no file ever names another."""
    given = Path(path)
    if given.suffix == "":
        given = given.with_name(given.name + STRUCTURE_SUFFIX)
    real = Path(os.path.realpath(given))  # through symbolic links, to what they mean
    if real.suffix == COMPANION_SUFFIX:
        return None, real
    if real.suffix == STRUCTURE_SUFFIX:
        return real, real.with_suffix(COMPANION_SUFFIX)
    # `step_0.5` and `step_0.6` must not share a companion.
    return real, real.with_name(real.name + COMPANION_SUFFIX)


Source = _commit.FileSource | _commit.BytesSource
Opened = tuple[_format.Document, Any, str]


@contextmanager
def opened(
    path_or_file: Any,
) -> Generator[Opened, None, None]:
    """The document of a checkpoint, and a reader of its companion."""
    if is_path(path_or_file):
        source, mixed = _open_pair(path_or_file)
        if mixed is not None:
            # Somebody may have saved between two openings: look once more.
            source.close()
            source, mixed = _open_pair(path_or_file)
    elif _commit.is_readable(path_or_file):
        data = _commit.read_from(path_or_file)
        name = Path(str(getattr(path_or_file, "name", ""))).name or "The file"
        source, mixed = _commit.BytesSource(data, name), None
    else:
        raise ArgumentError(
            "Expected a path or a binary file open for reading, got a "
            f"`{type(path_or_file).__qualname__}`."
        )
    try:
        reader = _reader(source)
        document = _format.unpack(reader.structure, source.name)
        backend_of(document.backend, source.name)
        if mixed is not None:
            warn(f"{mixed} The companion is whole, and was loaded.", MixedPairWarning)
        yield document, reader, source.name
    except MemoryError as error:
        raise ReadError(
            errno.ENOMEM,
            f"There is not enough memory to load {source.name} ({source.size} bytes).",
        ) from error
    finally:
        source.close()


def _reader(source: Source) -> Any:
    if not has_trailer(source):
        raise _foreign(source)
    return EqxBackend().open(source, source.name)


def _open_pair(
    path: str | os.PathLike[str],
) -> tuple[_commit.FileSource, str | None]:
    """The companion, which decides; and what is wrong with the structure file."""
    structure, companion = pair_of(path)
    if structure is None:
        return _commit.FileSource(companion), None
    try:
        beside = _commit.FileSource(structure)
    except MissingFileError:
        if not os.path.exists(companion):
            raise
        return _open_companion(structure, companion), None
    if has_trailer(beside):  # a companion under a name of its own
        return beside, None
    try:
        start = _commit.read_some(beside, 0, _format.FRAME_SIZE)
        if not _format.has_magic(start) and not os.path.exists(companion):
            raise _foreign(beside)
    finally:
        beside.close()
    source = _open_companion(structure, companion)
    try:
        if start == _reader(source).structure[: len(start)]:
            return source, None
    except CorruptFileError:
        return source, None  # said again, and better, when it is read
    except BaseException:
        source.close()
        raise
    return source, (
        f"{structure.name} does not belong to {source.name}: a save was interrupted, "
        "or copies were mixed."
    )


def _open_companion(structure: Path, companion: Path) -> _commit.FileSource:
    if Path(os.path.realpath(companion)).parent != companion.parent:
        raise NotAFileError(
            f"{companion} is a symbolic link that leaves its folder. Move both files "
            "together."
        )
    try:
        return _commit.FileSource(companion)
    except MissingFileError:
        raise MissingFileError(
            f"{companion.name}, which holds the arrays of {structure.name}, is not "
            f"beside it in {companion.parent}. Move both files together."
        ) from None


def _foreign(source: Source) -> ZodiaxIOError:
    """What a file is that does not end as a companion of ours does."""
    start = _commit.read_some(source, 0, 8)
    if start[:6] == b"\x93NUMPY":
        return CorruptFileError(
            f"{source.name} holds arrays but does not end as a companion does: it is "
            "incomplete, or was written by `equinox.tree_serialise_leaves`, which "
            "`equinox.tree_deserialise_leaves` loads."
        )
    if _format.has_magic(start):
        return UnknownFormatError(
            f"{source.name} holds a structure without its arrays. Give the path of the "
            "structure file, or the companion, instead."
        )
    return UnknownFormatError(
        f"{source.name} is not a zodiax_io file: it does not begin as one does."
    )
