"""Check a checkpoint for damage, and repair it."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._arrays.backend import ArrayReader, Sink, is_damaged_copy
from .._errors import (
    LIMITS,
    ArgumentError,
    CorruptFileError,
    MissingFileError,
    NewerFormatError,
    ReadError,
    SaveError,
    UnknownFormatError,
    ZodiaxIOError,
    is_damage,
    resources_for,
    shown,
)
from .._files import commit
from .._files.checkpoint import (
    DAMAGE,
    STRUCTURE_SUFFIX,
    PathOrFile,
    Source,
    Sources,
    copied_structure,
    pair_of,
    paths_of,
    peek,
    read_companion,
    read_damaged,
    read_structure,
    sources,
)
from .._files.document import has_magic, unpack
from .._files.extras import paths_in
from .._files.path_argument import is_path
from .._files.saving import check_pair
from .._files.sources import FileSource
from .._structure.paths import short_path


@dataclass(frozen=True)
class Damage:
    """One damaged leaf or file of a checkpoint.

    Attributes
    ----------
    path : str or None
        The path of the damaged leaf in the tree, such as ``model.layers[0].weight``;
        None for damage to the file itself.
    file : str
        The name of the file.
    reason : str
        The kind of damage.
    """

    path: str | None
    file: str
    reason: str

    def __str__(self) -> str:
        where = "" if self.path is None else f"`{shown(self.path)}`: "
        return f"{shown(self.file)}: {where}{self.reason}"


@resources_for("check the file")
def verify(path_or_file: PathOrFile) -> list[Damage]:
    """Check every byte of a checkpoint against its checksums, and list all damage.

    Nothing is imported or built, and little memory is used. The check covers data that
    a load does not read: the numbers that only plain Equinox reads, the records of the
    metadata, and a structure file that differs from its copy in the companion.

    Parameters
    ----------
    path_or_file : str, path or binary file
        The path or file that was passed to `serialise`; or the companion alone.

    Returns
    -------
    list of Damage
        Empty if the checkpoint is intact. A missing structure file is not damage: the
        companion contains a copy.

    Raises
    ------
    MissingFileError, NotAFileError, ReadError
        If there is no such file, or it cannot be opened.
    UnknownFormatError
        If the file is not a zodiax_io file, or has a newer format.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> zodiax_io.serialise("state.zdx", {"rate": jnp.float32(0.1)})
    >>> zodiax_io.verify("state.zdx")
    []
    """
    state = _State([])
    for pause in _PAUSES:
        with sources(path_or_file) as found:
            state = _inspect(found)
        if not (state.files and found.mixed is not None):
            break
        time.sleep(pause)  # another process may be saving: check again
    return state.damage


_PAUSES = (0.01, 0.05, 0)


@resources_for("repair the file")
def repair(path: str | os.PathLike[str]) -> list[Damage]:
    """Restore a damaged checkpoint to an intact pair of files.

    A structure file that is missing, damaged or from another save is replaced by the
    copy in the companion. A companion whose arrays are intact, but whose end is
    damaged, is written again with the content of the structure file.

    Parameters
    ----------
    path : str or path
        The path that was passed to `serialise`, or the companion.

    Returns
    -------
    list of Damage
        The damage that was repaired.

    Raises
    ------
    CorruptFileError
        If arrays are damaged: no file was changed. ``deserialise(path,
        damaged="skip")`` loads the others.
    SaveError
        If the files cannot be written, belong to another program, or were saved by
        another process during the repair.
    MissingFileError, NotAFileError, ReadError, UnknownFormatError
        As `verify` does.

    Examples
    --------
    >>> import pathlib
    >>> import zodiax_io
    >>> zodiax_io.serialise("state.zdx", [1.5])
    >>> pathlib.Path("state.zdx").unlink()
    >>> zodiax_io.repair("state.zdx")
    []
    >>> pathlib.Path("state.zdx").exists()
    True
    """
    if not is_path(path):
        raise ArgumentError("Only files can be repaired: expected a path.")
    structure, companion = pair_of(path)
    if structure is None:
        structure = _structure_of(companion)
    with sources(path if structure is None else structure) as found:
        state = _inspect(found)
        if state.arrays or state.reader is None:
            raise _irreparable(state.damage)
        if structure is None or _is_companion(structure, found):
            return []  # a companion needs no structure file
        if found.structure is not None and not state.files:
            return []
        check_pair(structure, companion)
        _check_replaceable(structure, state.reader.structure)
        if state.end_is_whole:
            commit.rewrite_structure(structure, companion, copied_structure)
        else:
            _rebuild(structure, companion, found.companion, state, state.reader)
        return state.files


def _structure_of(companion: Path) -> Path | None:
    """The structure file that belongs to a companion, if there is one."""
    for suffix in ("", STRUCTURE_SUFFIX):
        structure = companion.with_suffix(suffix)
        if peek(structure).kind == "structure" or (
            suffix and os.path.lexists(structure)
        ):
            return structure
    return None


def _is_companion(structure: Path, found: Sources) -> bool:
    """Whether the file under the name of a structure is a companion."""
    source = found.companion
    return (
        found.structure is None
        and isinstance(source, FileSource)
        and os.path.exists(structure)
        and os.path.samestat(os.stat(structure), source.status)
    )


def _irreparable(damage: Sequence[object]) -> CorruptFileError:
    return CorruptFileError(
        "The checkpoint cannot be repaired, and no file was changed:\n"
        + "\n".join(f"  {one}" for one in damage)
        + '\n`deserialise(path, damaged="skip")` loads the intact arrays.'
    )


def _check_replaceable(structure: Path, copy: bytes) -> None:
    """Refuse to replace a file that another program may have written."""
    try:
        content = read_structure(structure)
    except MissingFileError:
        return
    name = shown(structure.name)
    if has_magic(content):
        try:
            unpack(content, name)
        except (NewerFormatError, *LIMITS):
            raise
        except ZodiaxIOError:
            return
    elif any(content) and not is_damaged_copy(content, copy):
        raise SaveError(
            errno.EEXIST,
            f"{name} is not a structure file, so it was not replaced. Move it to "
            "another folder first.",
        )


def _rebuild(
    structure: Path,
    companion: Path,
    source: Source,
    state: _State,
    reader: ArrayReader,
) -> None:
    assert isinstance(source, FileSource)  # a path was opened
    status = source.status
    if not reader.can_repair(state.entries):
        why = "the bytes after its arrays are not a copy of the structure"
        raise _irreparable([*state.damage, f"{source.name}: {why}"])

    def write(file: Sink) -> bytes:
        return reader.repair(state.entries, file)

    def check() -> None:
        if not os.path.samestat(os.stat(companion), status):
            raise SaveError(
                errno.EAGAIN,
                f"{source.name} was saved by another process during the repair. No "
                "file was changed.",
            )

    commit.commit(
        structure, companion, write, durable=True, copy=copied_structure, check=check
    )


@dataclass(eq=False, repr=False)
class _State:
    """The damage found in a checkpoint, and the open file for a repair."""

    files: list[Damage]
    arrays: list[Damage] = field(default_factory=list[Damage])
    end_is_whole: bool = False
    reader: ArrayReader | None = None
    entries: Sequence[Any] = ()

    @property
    def damage(self) -> list[Damage]:
        return [*self.files, *self.arrays]


def _inspect(found: Sources) -> _State:
    """Check the structure file, the companion and all arrays."""
    source, structure = found.companion, found.structure
    state = _State([])
    try:
        document, reader = read_companion(found)
        state.end_is_whole = True
        state.files += _damaged_structure(found, reader.structure)
    except NewerFormatError:
        raise
    except DAMAGE as error:
        if isinstance(error, ReadError) and not is_damage(error):
            raise
        try:
            if structure is None:
                raise error
            document, reader = read_damaged(structure, source)
        except NewerFormatError:
            raise
        except DAMAGE as other:
            if isinstance(error, UnknownFormatError):
                raise error from None
            state.files.append(_damage(source.name, error))
            if structure is not None:
                state.files.append(_damage(structure.name, other))
            return state
        state.files.append(_damage(source.name, error))
    try:
        state.entries = reader.entries(document.records)
        paths = paths_of(document)
        for name in document.extras:
            paths |= paths_in(document, name, source.name)
    except CorruptFileError as error:
        state.files.append(_damage(source.name, error))
        return state
    for number, fault in sorted(reader.check(state.entries).items()):
        path = paths.get(number)
        path = None if path is None else short_path(path)
        state.arrays.append(_damage(source.name, fault, path))
    state.reader = reader
    return state


def _damage(file: str, error: object, path: str | None = None) -> Damage:
    return Damage(path, file, str(error).removesuffix("."))


def _damaged_structure(found: Sources, copy: bytes) -> list[Damage]:
    """The damage to the structure file; empty if there is no such file."""
    if found.structure is None:
        return []
    name = found.structure.name
    try:
        content = read_structure(found.structure)
        if content == copy:
            return []
        unpack(content, name)
    except LIMITS:
        raise
    except ZodiaxIOError as error:
        return [_damage(name, error)]
    # If it matched when it was opened, another process has saved since: no damage.
    return [_damage(name, found.mixed)] if found.mixed is not None else []
