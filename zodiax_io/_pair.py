"""The two files of a checkpoint: which they are, and which of them speaks."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import jax.tree_util as jtu

from . import _commit, _format
from ._backends import backend_of
from ._backends.eqx import EqxBackend, has_trailer
from ._errors import (
    MAX_PATH,
    ArgumentError,
    CorruptFileError,
    DamagedWarning,
    MissingFileError,
    MixedPairWarning,
    NewerFormatError,
    NotAFileError,
    ReadError,
    SaveError,
    UnknownFormatError,
    ZodiaxIOError,
    shown,
    warn,
)
from ._legacy import LegacyReader, is_old

PathOrFile = str | os.PathLike[str] | BinaryIO


def is_path(path_or_file: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Whether this is a path; a path that can name no file is an error."""
    if isinstance(path_or_file, bytes):
        raise ArgumentError("A path must be text, not bytes.")
    if not isinstance(path_or_file, (str, os.PathLike)):
        return False
    try:
        text = os.fspath(path_or_file)
    except TypeError as error:  # that of a class of the user's
        raise ArgumentError(f"The path is none: {error}.") from None
    if not isinstance(text, str):
        raise ArgumentError("A path must be text, not bytes.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ArgumentError(f"{shown(repr(text))} is not the path of a file.") from None
    if "\0" in text or Path(text).name in ("", ".."):
        raise ArgumentError(f"{shown(repr(text))} is not the path of a file.")
    return True


def is_file(obj: Any) -> bool:
    """Whether this is a path or an open file, and no tree that is alive."""
    if isinstance(obj, (str, os.PathLike)):
        return is_path(obj)
    # A model may have a field or a method that is called `read`.
    return jtu.all_leaves([obj]) and _commit.is_readable(obj)


STRUCTURE_SUFFIX, COMPANION_SUFFIX = ".zdx", ".eqx"


def pair_of(path: str | os.PathLike[str]) -> tuple[Path | None, Path]:
    """The structure file and the companion, by rule: no file ever names another."""
    given = Path(path)
    if given.suffix == "":
        given = given.with_name(given.name + STRUCTURE_SUFFIX)
    try:
        real = Path(os.path.realpath(given))  # through links, to what they mean
    except FileNotFoundError:
        raise MissingFileError("The working folder does not exist any more.") from None
    if real.suffix == COMPANION_SUFFIX:
        return None, real
    if real.suffix == STRUCTURE_SUFFIX:
        return real, real.with_suffix(COMPANION_SUFFIX)
    # `step_0.5` and `step_0.6` must not share a companion.
    return real, real.with_name(real.name + COMPANION_SUFFIX)


Source = _commit.FileSource | _commit.BytesSource
Opened = tuple[_format.Document, Any, str]


@dataclass(frozen=True, eq=False, repr=False)
class Sources:
    """The open companion of a checkpoint, which decides, and the file beside it.

    Attributes
    ----------
    companion : Source
        The open companion, or a file that is one under another name.
    structure : Path or None
        Where the structure file is, if there is one.
    mixed : str or None
        What is wrong with the structure file, as far as its first bytes tell.
    reader : EqxReader or None
        A reader of the companion, if its end has been read already.
    """

    companion: Source
    structure: Path | None = None
    mixed: str | None = None
    reader: Any = None


_PAUSES = (0, 0.001, 0.005)


@contextmanager
def sources(path_or_file: Any) -> Generator[Sources, None, None]:
    """The open files of a checkpoint."""
    if is_path(path_or_file):
        try:
            found = _open_pair(path_or_file)
            for pause in _PAUSES if found.mixed is not None else ():
                # Somebody may be saving, between two renamings: look once more.
                found.companion.close()
                time.sleep(pause)
                found = _open_pair(path_or_file)
                if found.mixed is None:
                    break
        except MemoryError as error:
            raise _too_large(str(path_or_file)) from error
    elif _commit.is_readable(path_or_file):
        data = _commit.read_from(path_or_file)
        name = Path(str(getattr(path_or_file, "name", ""))).name or "The file"
        found = Sources(_commit.BytesSource(data, name))
    else:
        raise ArgumentError(
            "Expected a path or a binary file open for reading, got a "
            f"`{type(path_or_file).__qualname__}`."
        )
    source = found.companion
    try:
        yield found
    except MemoryError as error:
        raise _too_large(source.name) from error
    finally:
        source.close()


def _too_large(name: str) -> ReadError:
    text = f"There is not enough memory to load {shown(name, MAX_PATH)}."
    return ReadError(errno.ENOMEM, text)


@contextmanager
def opened(
    path_or_file: Any, *, salvage: bool = False
) -> Generator[Opened, None, None]:
    """The document of a checkpoint, and a reader of its companion.

    To salvage what is left of a companion whose end is damaged, the structure file
    beside it stands in.
    """
    with sources(path_or_file) as found:
        source, mixed = found.companion, found.mixed
        try:
            document, reader = read_end(found)
        except NewerFormatError:
            raise
        except DAMAGE as error:
            if found.structure is None:
                raise
            if not salvage:
                raise _with_advice(error, found.structure) from error
            document, reader = _stand_in(found, error)
            mixed = None
        backend_of(document.backend, source.name)
        if mixed is not None:
            warn(MixedPairWarning(f"{mixed} The companion is whole, and was loaded."))
        yield document, reader, source.name


def _with_advice(error: ZodiaxIOError, structure: Path) -> ZodiaxIOError:
    if isinstance(error, ReadError):
        return error
    return type(error)(
        f"{error} If {shown(structure.name)} is whole, `zodiax_io.repair` may mend it, "
        'and `deserialise(path, damaged="skip")` loads what is intact.'
    )


# What becomes of a file that was whole; but for one of a newer format.
DAMAGE = (CorruptFileError, UnknownFormatError, ReadError)


def read_end(found: Sources) -> tuple[_format.Document, Any]:
    """The document that a companion ends with, and a reader of its arrays."""
    source = found.companion
    if found.reader is None and not has_trailer(source) and is_old(source):
        old = LegacyReader(source, source.name)
        return old.document, old
    reader = found.reader or _reader_of(source)
    return _format.unpack(reader.structure, source.name), reader


def read_beside(structure: Path, companion: Source) -> tuple[_format.Document, Any]:
    """The same, by a structure file that stands in for the end of the companion."""
    content = read_structure(structure)
    document = _format.unpack(content, shown(structure.name))
    return document, EqxBackend().open_damaged(companion, companion.name, content)


def _stand_in(found: Sources, damage: ZodiaxIOError) -> tuple[_format.Document, Any]:
    assert found.structure is not None
    try:
        result = read_beside(found.structure, found.companion)
    except ZodiaxIOError:
        raise damage from None
    name = shown(found.structure.name)
    text = (
        f"{damage} The structure in {name} was taken instead, and all arrays compared"
    )
    warn(DamagedWarning(f"{text} with it."))
    return result


def read_structure(path: Path) -> bytes:
    """All bytes of a structure file."""
    with closing(_commit.FileSource(path)) as source:
        if source.size > _format.MAX_SIZE + _format.FRAME_SIZE:
            raise CorruptFileError(
                f"{shown(path.name)} holds a structure of more than 1 GiB."
            )
        return _commit.read_some(source, 0, source.size)


def _reader_of(source: Source) -> Any:
    """A reader of an open companion."""
    if not has_trailer(source):
        raise _foreign(source)
    return EqxBackend().open(source, source.name)


def copied_structure(source: Source) -> bytes:
    """The copy of the structure that an open companion ends with."""
    return _reader_of(source).structure


def _open_pair(path: str | os.PathLike[str]) -> Sources:
    structure, companion = pair_of(path)
    if structure is None:
        return Sources(_commit.FileSource(companion))
    try:
        beside = _commit.FileSource(structure)
    except MissingFileError:
        if not os.path.exists(companion):
            raise
        return Sources(_open_companion(structure, companion))
    except ReadError as error:
        return _without_structure(structure, companion, error)
    with ExitStack() as stack:
        stack.callback(beside.close)
        try:
            size, start = beside.size, _commit.read_some(beside, 0, _format.FRAME_SIZE)
            # The text of a structure may end as a companion does: its magic first.
            if not _format.has_magic(start):
                if has_trailer(beside):  # a companion under a name of its own
                    stack.pop_all()
                    return Sources(beside)
                if is_old(beside) and not _is_companion(companion):
                    stack.pop_all()
                    return Sources(beside)
                if not os.path.exists(companion):
                    raise _foreign(beside)
        except ReadError as error:
            return _without_structure(structure, companion, error)
    source = _open_companion(structure, companion)
    try:
        reader = _reader_of(source)
    except DAMAGE:
        return Sources(source, structure)  # said again, and better, when it is read
    except BaseException:
        source.close()
        raise
    mixed, copy = None, reader.structure
    if size != len(copy) or start != copy[: len(start)]:
        mixed = (
            f"{shown(structure.name)} does not belong to {source.name}: a save was "
            "interrupted, or copies were mixed."
        )
    return Sources(source, structure, mixed, reader)


def _without_structure(structure: Path, companion: Path, error: ReadError) -> Sources:
    if not os.path.exists(companion):
        raise error
    source = _open_companion(structure, companion)
    return Sources(source, structure, f"{error.strerror or error}.")


def _check_companion(companion: Path) -> Path:
    """Where a companion really is: in the folder of its structure.

    Raises
    ------
    NotAFileError
        If it is a symbolic link that leads elsewhere.
    """
    real = Path(os.path.realpath(companion))
    if real.parent != companion.parent:
        raise NotAFileError(
            f"{shown(companion, MAX_PATH)} is a symbolic link that leaves its folder. "
            "Move both files together, or make links to both."
        )
    return real


def put(
    path_or_file: Any,
    write: Callable[[Any], bytes],
    *,
    durable: bool,
    size: int = 0,
) -> None:
    """Commit a pair of files; or write a companion into an open file.

    Raises
    ------
    SaveError, MissingFileError, NotAFileError, ArgumentError
        If that cannot be done. What was there before is there still.
    """
    if not is_path(path_or_file):
        _commit.write_to(path_or_file, write)
        return
    structure, companion = pair_of(path_or_file)
    if structure is not None:
        check_free(structure, companion)
    _commit.commit(
        structure,
        companion,
        write,
        durable=durable,
        copy=copied_structure,
        size=size,
    )


def check_free(structure: Path, companion: Path) -> None:
    """Refuse to save a pair over the arrays of something else.

    Raises
    ------
    SaveError, NotAFileError
        If the companion belongs to another structure file, is one of plain Equinox, or
        is a symbolic link that leaves its folder.
    """
    _check_companion(companion)
    other = companion.with_suffix(
        "" if structure.suffix == STRUCTURE_SUFFIX else STRUCTURE_SUFFIX
    )
    if begins_with_magic(other):
        raise SaveError(
            errno.EEXIST,
            f"Cannot save to {structure}: {other.name} is there already, and both "
            f"would keep their arrays in {companion.name}. Choose another name.",
        )
    if not os.path.lexists(structure) and _holds_something_else(companion):
        raise SaveError(
            errno.EEXIST,
            f"Cannot save to {structure}: its arrays belong into {companion.name}, "
            "which is there already: another program wrote it, or a save was cut "
            "short. Choose another name, or move that file away.",
        )


def _is_companion(path: Path) -> bool:
    """Whether a file is there that ends as a companion of ours does."""
    try:
        with closing(_commit.FileSource(path)) as source:
            return has_trailer(source)
    except ZodiaxIOError:
        return False


def holds_checkpoint(path: Path) -> bool:
    """Whether a file is one of the two of a checkpoint, whatever it is called."""
    return path.is_file() and (begins_with_magic(path) or _is_companion(path))


def begins_with_magic(path: Path) -> bool:
    """Whether a file is there that begins as a structure file does."""
    try:
        with closing(_commit.FileSource(path)) as source:
            return _format.has_magic(_commit.read_some(source, 0, 8))
    except ZodiaxIOError:
        return False


def _holds_something_else(companion: Path) -> bool:
    try:
        with closing(_commit.FileSource(companion)) as source:
            # A power loss may leave zeros, where nothing was flushed.
            return any(_commit.read_some(source, 0, 64)) and not has_trailer(source)
    except ZodiaxIOError:  # what cannot be read is said when it is written
        return False


def _open_companion(structure: Path, companion: Path) -> _commit.FileSource:
    """Open the companion of a structure file, which lies in the same folder."""
    try:
        return _commit.FileSource(_check_companion(companion))
    except MissingFileError:
        raise MissingFileError(
            f"{shown(companion.name)}, which holds the arrays of "
            f"{shown(structure.name)}, is not beside it in "
            f"{shown(companion.parent, MAX_PATH)}. Move both files together."
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
