"""The two files of a checkpoint: finding, opening and comparing them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple

from .._arrays.backend import ENDS, ArrayReader
from .._arrays.backends import BACKENDS, recognise_backend, suffixes
from .._errors import (
    LIMITS,
    MAX_PATH,
    ArgumentError,
    CorruptFileError,
    DamagedWarning,
    MissingFileError,
    MixedPairWarning,
    NewerFormatError,
    NotAFileError,
    ReadError,
    ResourceError,
    UnknownFormatError,
    ZodiaxIOError,
    is_damage,
    process_error,
    shown,
    warn,
)
from .._kinds import flattening
from .._structure.nodes import Structure
from .._structure.paths import Path as TreePath
from .document import FRAME_SIZE, MAX_SIZE, Document, has_magic
from .layouts import (
    Source,
    content_of,
    content_of_damaged,
    is_companion,
    layout_of,
    reader_of,
    unknown_file,
)
from .legacy.pickled import is_pickle
from .legacy.reader import is_old
from .path_argument import is_path
from .sources import (
    BytesSource,
    FileSource,
    ends_of,
    is_readable,
    move,
    moves_freely,
    position_of,
    read_from,
    read_some,
)

PathOrFile = str | os.PathLike[str] | BinaryIO


def is_file(obj: Any) -> bool:
    """Whether an argument is a path or an open file, and not a tree."""
    if isinstance(obj, (str, os.PathLike)):
        return is_path(obj)
    # A model may have a field or a method with the name `read`.
    return flattening.is_leaf(obj) and is_readable(obj)


STRUCTURE_SUFFIX = ".zdx"


def pair_of(
    path: str | os.PathLike[str], *, saving: bool = False, suffix: str | None = None
) -> tuple[Path | None, Path]:
    """The structure file and the companion of a path, from names and links alone.

    A path with the suffix of companions is a companion alone. The companion of a pair
    has the `suffix` of the backend that writes it, or that of the existing file. For a
    path without a suffix, a file with exactly that name comes first, if it can be
    loaded. Symbolic links are followed, except into a content-addressed store, whose
    file names are hashes: there the links themselves are the pair.
    """
    try:
        hops = _hops(_with_suffix(Path(path), saving))
    except FileNotFoundError:
        raise MissingFileError("The working folder does not exist any more.") from None
    structure, companion = pair_by_name(hops[0], suffix)
    if len(hops) == 1:
        return structure, companion
    through = _is_written_through(hops)
    if structure is None:
        return None, hops[-1] if through else hops[0]
    if saving and not os.path.exists(hops[-1]):
        return pair_by_name(hops[-1], suffix)
    pairs = [(hop, pair_by_name(hop, suffix)[1]) for hop in (hops[-1], *hops[:-1])]
    existing = [pair for pair in pairs if os.path.exists(pair[1])]
    for pair in existing:
        if len(existing) == 1 or _belongs(*pair):
            return pair
    if existing:
        return existing[0]
    return pairs[0] if through else (structure, companion)


def loaded_file(path: str | os.PathLike[str]) -> Path:
    """The file whose content a path loads: usually the companion."""
    structure, companion = pair_of(path)
    kind = "" if structure is None else peek(structure).kind
    if kind == "companion" or (kind == "old" and peek(companion).kind != "companion"):
        assert structure is not None
        return structure
    return companion


def pair_by_name(path: Path, suffix: str | None = None) -> tuple[Path | None, Path]:
    """The structure file and the companion of a path with a suffix, by their names."""
    if path.suffix in suffixes():
        return None, path
    if suffix is not None:
        return path, _companion(path, suffix)
    found = companions_of(path)
    for companion in found if len(found) > 1 else ():  # copied into one folder
        if _belongs(path, companion):
            return path, companion
    return path, found[0] if found else _companion(path, suffixes()[0])


def companions_of(structure: Path) -> list[Path]:
    """The companions of a structure file that may exist, by their names."""
    named = [_companion(structure, suffix) for suffix in suffixes()]
    # A single name is returned without a look at the disk.
    return named if len(named) == 1 else [one for one in named if os.path.lexists(one)]


def _companion(structure: Path, suffix: str) -> Path:
    if structure.suffix == STRUCTURE_SUFFIX:
        return structure.with_suffix(suffix)
    # `step_0.5` and `step_0.6` must not share a companion.
    return structure.with_name(structure.name + suffix)


def _with_suffix(path: Path, saving: bool) -> Path:
    """A path with the suffix `.zdx`, unless it has one, or can be loaded as it is."""
    if path.suffix != "":
        return path
    named = path.with_name(path.name + STRUCTURE_SUFFIX)
    if saving or not os.path.lexists(path):
        return named
    if not any(os.path.lexists(one) for one in pair_by_name(named) if one is not None):
        return path
    return path if peek(path).kind in ("structure", "companion") else named


def _hops(path: Path) -> list[Path]:
    """A path, and the paths that it leads to, link by link; the last one is no link."""
    found: list[Path] = []
    while len(found) < 40:  # as many as Linux follows
        path = Path(os.path.realpath(path.parent), path.name)
        found.append(path)
        try:
            path = path.parent / os.readlink(path)
        except OSError:
            break
        if path.name in ("", ".."):  # a folder
            break
    return found


def _is_written_through(hops: list[Path]) -> bool:
    """Whether a save through a link replaces the file that the link leads to.

    It replaces the link if that file belongs to a store of contents: its name is a
    hash, or it is read-only.
    """
    try:
        mode = os.stat(hops[-1]).st_mode
    except OSError:  # it does not exist yet
        return True
    return hops[-1].suffix == hops[0].suffix and mode & 0o222 != 0


def _belongs(structure: Path, companion: Path) -> bool:
    """Whether a companion holds a copy of a structure file."""
    try:
        with (
            closing(FileSource(structure)) as one,
            closing(FileSource(companion)) as other,
        ):
            start = read_some(one, 0, FRAME_SIZE)
            return is_copy(copied_structure(other), one.size, start)
    except LIMITS:
        raise
    except ZodiaxIOError:
        return False


def is_copy(copy: bytes, size: int, start: bytes) -> bool:
    """Whether a copy is equal to a structure file, by its size and its first bytes.

    The first bytes contain the SHA-256 of all others.
    """
    return size == len(copy) and start == copy[: len(start)]


class Peek(NamedTuple):
    """The type of a file, by its first and last bytes.

    Attributes
    ----------
    kind : str
        Empty if there is no such file, or it cannot be read.
    start : bytes
        The first bytes.
    status : os.stat_result or None
        Size, times and so on.
    """

    kind: Literal["", "structure", "companion", "old", "zeros", "other"]
    start: bytes = b""
    status: os.stat_result | None = None


def peek(path: Path) -> Peek:
    """Find the type of a file; never raises."""
    read = ends_of(path, FRAME_SIZE, ENDS)
    if read is None:
        return Peek("")
    start, end, status = read
    # First the magic of a structure: its last bytes may be those of a companion.
    if has_magic(start):
        return Peek("structure", start, status)
    if recognise_backend(start, end) is not None:
        return Peek("companion", start, status)
    if is_pickle(start):
        return Peek("old", start, status)
    # A power loss may leave zeros where data was not flushed.
    return Peek("other" if any(start) else "zeros", start, status)


Opened = tuple[Document, ArrayReader, str]


@dataclass(frozen=True, eq=False, repr=False)
class Sources:
    """The open companion of a checkpoint, and its structure file.

    Attributes
    ----------
    companion : Source
        The open companion, which may have any name.
    structure : Path or None
        The path of the structure file, if there is one.
    mixed : str or None
        Why the structure file does not match the companion, for a warning.
    reader : ArrayReader or None
        A reader of the companion, if its end has been read.
    """

    companion: Source
    structure: Path | None = None
    mixed: str | None = None
    reader: ArrayReader | None = None


_PAUSES = (0, 0.001, 0.005)


@contextmanager
def sources(path_or_file: Any) -> Generator[Sources, None, None]:
    """The open files of a checkpoint."""
    if is_path(path_or_file):
        try:
            found = _open_pair(path_or_file)
            for pause in _PAUSES if found.mixed is not None else ():
                # Another process may be saving, between its two renamings: try again.
                found.companion.close()
                time.sleep(pause)
                found = _open_pair(path_or_file)
                if found.mixed is None:
                    break
        except MemoryError as error:
            raise _too_large(str(path_or_file)) from error
    elif is_readable(path_or_file):
        data = _read_one(path_or_file)
        name = Path(str(getattr(path_or_file, "name", ""))).name or "The file"
        found = Sources(BytesSource(data, name))
    else:
        raise ArgumentError(
            "Expected a path or a binary file open for reading, got a "
            f"`{type(path_or_file).__qualname__}`."
        )
    source = found.companion
    try:
        yield found
    except (MemoryError, RecursionError) as error:
        raise process_error(error, f"load {source.name}") or error from error
    finally:
        source.close()


_FIRST = 1 << 20  # bytes that are first searched for the end of a checkpoint


def _read_one(file: Any) -> bytes:
    """The bytes of the checkpoint at the position of an open file.

    The position moves to its end. Another checkpoint may follow there.
    """
    start = position_of(file)
    if start is None:
        data = read_from(file)
        end = len(data) if _is_whole(data) else _end_of_first(data) or len(data)
        if end < len(data):
            _check_next(data[end : end + ENDS])
            raise ReadError(
                f"The file object holds {len(data) - end} more bytes after a "
                "checkpoint, and cannot seek back to them. Load from "
                "`io.BytesIO(file.read())`."
            )
        return data
    size = _FIRST
    data = read_from(file, size)
    end = _end_of_first(data)
    if end is None and _holds_several(file, start):
        # Read again from the start, eight times as much each time: in all, little more
        # than the data once.
        while end is None and len(data) == size:
            size *= 8
            move(file, start)
            data = read_from(file, size)
            end = _end_of_first(data)
    if end is None:
        move(file, start)
        data = read_from(file)
        end = len(data) if _is_whole(data) else _end_of_first(data)
    if end is not None:
        move(file, start + end)
        _check_next(read_from(file, ENDS))
        move(file, start + end)
    return data[:end]  # all bytes of an old, a damaged or an unknown file


def _is_whole(data: bytes) -> bool:
    return _fills(len(data), lambda offset, size: data[offset : offset + size])


def _fills(size: int, read: Callable[[int, int], bytes]) -> bool:
    """Whether one companion of some backend fills `size` bytes."""
    return any(row().is_whole(size, read) for row in BACKENDS)


def _end_of_first(data: bytes) -> int | None:
    ends = (row().end_of_first(data) for row in BACKENDS)
    return next((end for end in ends if end is not None), None)


def _check_next(start: bytes) -> None:
    """Refuse bytes after a checkpoint that are not another one.

    Raises
    ------
    CorruptFileError
        If they do not begin with the magic of a companion.
    """
    if start and not any(start.startswith(row.magic) for row in BACKENDS):
        raise CorruptFileError(
            "The file object is damaged: the bytes after the checkpoint are not "
            "another one. If a shorter checkpoint was saved over a longer one, call "
            "`truncate` before saving."
        )


def _holds_several(file: Any, start: int) -> bool:
    """Whether more than one checkpoint follows, in a file where seeking is cheap."""
    if not moves_freely(file):
        return False

    def read(offset: int, size: int) -> bytes:
        move(file, start + offset)
        return read_from(file, size)

    end = move(file, 0, os.SEEK_END)
    one = _fills(end - start, read)
    move(file, start)
    return not one


def _too_large(name: str) -> ResourceError:
    return ResourceError(f"There is not enough memory to load {shown(name, MAX_PATH)}.")


@contextmanager
def opened(
    path_or_file: Any, *, salvage: bool = False
) -> Generator[Opened, None, None]:
    """The document of a checkpoint, a reader of its companion, and its name.

    With `salvage`, the structure file replaces the damaged end of a companion.
    """
    with sources(path_or_file) as found:
        source, mixed = found.companion, found.mixed
        try:
            document, reader = read_companion(found)
        except NewerFormatError:
            raise
        except DAMAGE as error:
            if found.structure is None or not is_damage(error):
                raise
            if not salvage:
                raise _with_advice(error, found.structure) from error
            document, reader = _from_structure(found, error)
            mixed = None
        if mixed is not None:
            warn(MixedPairWarning(f"{mixed} The companion is whole, and was loaded."))
        yield document, reader, source.name


def _with_advice(error: ZodiaxIOError, structure: Path) -> ZodiaxIOError:
    if isinstance(error, ReadError):
        return error
    return type(error)(
        f"{error} If {shown(structure.name)} is intact, `zodiax_io.repair` may mend "
        'the companion, and `deserialise(path, damaged="skip")` loads what is intact.'
    )


# The errors of a damaged file. A newer format raises a subclass of one of them.
DAMAGE = (CorruptFileError, UnknownFormatError, ReadError)


def read_companion(found: Sources) -> tuple[Document, ArrayReader]:
    """The document in a file, and a reader of its arrays."""
    if found.reader is not None:
        return content_of(found.companion, found.reader)
    layout = layout_of(found.companion)
    if layout is None:
        raise unknown_file(found.companion)
    return layout.open(found.companion)


def read_damaged(structure: Path, companion: Source) -> tuple[Document, ArrayReader]:
    """As `read_companion`, for a damaged end: the document is in the structure file."""
    content = read_structure(structure)
    return content_of_damaged(companion, content, shown(structure.name))


def _from_structure(found: Sources, damage: ZodiaxIOError) -> tuple[Document, Any]:
    assert found.structure is not None
    try:
        result = read_damaged(found.structure, found.companion)
    except LIMITS:
        raise
    except ZodiaxIOError:
        raise damage from None
    name = shown(found.structure.name)
    warn(
        DamagedWarning(
            f"{damage} The structure in {name} was used instead, and all arrays were "
            "compared with it."
        )
    )
    return result


def read_structure(path: Path) -> bytes:
    """All bytes of a structure file."""
    with closing(FileSource(path)) as source:
        if source.size > MAX_SIZE + FRAME_SIZE:
            raise CorruptFileError(
                f"{shown(path.name)} holds a structure of more than 1 GiB."
            )
        return read_some(source, 0, source.size)


def copied_structure(source: Source) -> bytes:
    """The copy of the structure at the end of an open companion."""
    return reader_of(source).structure


def _open_pair(path: str | os.PathLike[str]) -> Sources:
    structure, companion = pair_of(path)
    if structure is None:
        return Sources(FileSource(companion))
    try:
        opened_structure = FileSource(structure)
    except MissingFileError:
        if not os.path.exists(companion):
            raise
        return Sources(_open_companion(structure, companion))
    except ReadError as error:
        return _without_structure(structure, companion, error)
    with ExitStack() as stack:
        stack.callback(opened_structure.close)
        try:
            size, start = (
                opened_structure.size,
                read_some(opened_structure, 0, FRAME_SIZE),
            )
            # First the magic of a structure: its last bytes may be those of a
            # companion.
            if not has_magic(start):
                if is_companion(opened_structure):  # with the name of a structure file
                    stack.pop_all()
                    return Sources(opened_structure)
                if is_old(opened_structure) and peek(companion).kind != "companion":
                    stack.pop_all()
                    return Sources(opened_structure)
                if not os.path.exists(companion):
                    raise unknown_file(opened_structure)
        except ReadError as error:
            return _without_structure(structure, companion, error)
    source = _open_companion(structure, companion)
    try:
        reader = reader_of(source)
    except DAMAGE:
        return Sources(source, structure)  # a better error is raised when it is read
    except BaseException:
        source.close()
        raise
    mixed, copy = None, reader.structure
    if not is_copy(copy, size, start):
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


def check_companion(structure: Path, companion: Path) -> None:
    """Refuse a companion in another folder than its structure file.

    Raises
    ------
    NotAFileError
        If it is a symbolic link into another folder, and its structure file is not.
    """
    real = Path(os.path.realpath(companion))
    if real.parent != companion.parent and not os.path.islink(structure):
        raise NotAFileError(
            f"{shown(companion, MAX_PATH)} is a symbolic link that leaves its folder. "
            "Move both files together, or make links to both."
        )


def belongs_to_checkpoint(path: Path) -> bool:
    """Whether a file is one of the two of a checkpoint, under any name."""
    return peek(path).kind in ("structure", "companion")


def _open_companion(structure: Path, companion: Path) -> FileSource:
    """Open the companion of a structure file, in the same folder."""
    try:
        check_companion(structure, companion)
        return FileSource(companion)
    except MissingFileError:
        raise MissingFileError(
            f"{shown(companion.name)}, which holds the arrays of "
            f"{shown(structure.name)}, is missing in "
            f"{shown(companion.parent, MAX_PATH)}. Move both files together."
        ) from None


def paths_of(document: Document) -> dict[int, TreePath]:
    """The paths of the records, in the tree and the metadata."""
    paths = Structure.parse(document.tree).records()
    if document.metadata is not None:
        paths |= Structure.parse(document.metadata, "metadata").records()
    return paths
