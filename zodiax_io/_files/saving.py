"""Which files a save replaces, and when it is refused.

A save replaces the files that the same path loads, and no others. Two paths can mean
one file: `fit.zdx` has its arrays in `fit.eqx`, which may be a checkpoint by itself.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NoReturn

from .._arrays import npy
from .._arrays.backends import suffixes
from .._errors import LIMITS, MAX_PATH, ArgumentError, SaveError, ZodiaxIOError, shown
from . import commit, sources
from .checkpoint import (
    STRUCTURE_SUFFIX,
    Peek,
    check_companion,
    companions_of,
    copied_structure,
    is_copy,
    pair_of,
    peek,
)
from .path_argument import is_path


def commit_checkpoint(
    path_or_file: Any,
    write: Callable[[Any], bytes],
    *,
    durable: bool,
    suffix: str,
    size: int = 0,
    source: os.stat_result | None = None,
) -> None:
    """Commit a pair of files; or write a companion into an open file.

    Parameters
    ----------
    path_or_file : str, path or binary file
        Where to save.
    write : callable
        Writes the companion into a file, and returns the bytes of the structure.
    durable : bool
        Whether to wait until the disk has it all.
    suffix : str
        The suffix of the companion.
    size : int, optional
        A lower bound for the bytes of the companion.
    source : os.stat_result, optional
        The file whose content is written again, and which may be replaced.

    Raises
    ------
    SaveError, MissingFileError, NotAFileError, ArgumentError
        If that fails. The old files are unchanged.
    """
    if not is_path(path_or_file):
        check_writable(path_or_file)
        commit.write_to(path_or_file, write)
        return
    structure, companion = pair_of(path_or_file, saving=True, suffix=suffix)
    if companion.suffix != suffix:
        raise ArgumentError(
            f"Cannot save to {shown(companion, MAX_PATH)}: the files of this backend "
            f"end in `{suffix}`."
        )
    if structure is None:
        if source is None or not _is_same(companion, source):
            _check_alone(companion)
    else:
        _check_name(Path(path_or_file), structure)
        check_pair(structure, companion)
        _check_no_other(structure, companion)
        _check_companion_is_free(structure, companion, source)
    commit.commit(
        structure,
        companion,
        write,
        durable=durable,
        copy=copied_structure,
        size=size,
    )


def check_writable(file: Any, hint: str = "") -> None:
    """Refuse anything but a path or a binary file with `write`.

    Raises
    ------
    ArgumentError
        If it has no `write`, or is open as text.
    """
    if not sources.is_writable(file):
        raise ArgumentError(
            "Expected a path or a binary file open for writing, got a "
            f"`{type(file).__qualname__}`.{hint}"
        )


def _refuse(target: Path, reason: str) -> NoReturn:
    where = shown(target, MAX_PATH)
    raise SaveError(errno.EEXIST, f"Cannot save to {where}: {reason}")


def _check_name(given: Path, structure: Path) -> None:
    """Refuse a path without a suffix if a load of that path finds another file."""
    if given.suffix != "":
        return
    kind = peek(given).kind
    if kind in ("structure", "companion") or (
        kind == "old" and not os.path.lexists(structure)
    ):
        _refuse(
            structure,
            f"there is a checkpoint called {shown(given.name)}, without a suffix, "
            "which would be loaded instead. Choose another name, or give the "
            f"suffix: {shown(structure.name)}.",
        )


def check_pair(structure: Path, companion: Path) -> None:
    """Refuse two structure files with the same companion.

    Raises
    ------
    SaveError, NotAFileError
        If the companion has another structure file, or is a symbolic link that leaves
        its folder.
    """
    check_companion(structure, companion)
    other = companion.with_suffix(
        "" if structure.suffix == STRUCTURE_SUFFIX else STRUCTURE_SUFFIX
    )
    if peek(other).kind == "structure":
        _refuse(
            structure,
            f"{shown(other.name)} exists already, and both would have their arrays in "
            f"{shown(companion.name)}. Choose another name.",
        )
    lower = structure.suffix.lower()
    if lower != structure.suffix and lower in (STRUCTURE_SUFFIX, *suffixes()):
        other = structure.with_suffix(lower)
        if os.path.exists(structure) and _is_same(other, os.stat(structure)):
            _refuse(
                structure,
                f"on this file system it is the same file as {shown(other.name)}, "
                f"which exists already. Write the suffix as `{lower}`.",
            )


def _check_no_other(structure: Path, companion: Path) -> None:
    """Refuse a second companion: a load could not choose between them."""
    for other in companions_of(structure):
        if other != companion and os.path.lexists(other):
            _refuse(
                structure,
                f"{shown(other.name)} holds its arrays, which another backend wrote. "
                "Choose another name, or remove that checkpoint first.",
            )


def _is_same(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False


def _check_companion_is_free(
    structure: Path, companion: Path, source: os.stat_result | None
) -> None:
    """Refuse to replace arrays that do not belong to this structure file.

    Remains of a crashed save may be replaced.
    """
    found = peek(companion)
    if found.kind in ("", "zeros"):
        return
    if source is not None and _is_same(companion, source):
        return
    ours, name = peek(structure), shown(companion.name)
    if found.kind == "companion":
        # Usually the pair of an earlier save. It may be mixed, or its structure file be
        # damaged; but a file of another program does not belong to a pair.
        is_ours = ours.kind in ("structure", "zeros") or (
            ours.kind == "other" and not _is_foreign(structure, ours.start)
        )
        if is_ours and not os.path.islink(structure):
            return
        if _is_of_pair(structure, companion, ours):
            return
        _refuse(
            structure,
            f"its arrays would replace {name}, which is a checkpoint by itself. Choose "
            f"another name, or remove {name} first. If only {shown(structure.name)} is "
            "missing, `zodiax_io.repair` writes it again.",
        )
    if not os.path.lexists(structure):
        _refuse(
            structure,
            f"its arrays would replace {name}: another program wrote it, or a save was "
            "cut short. Choose another name, or move that file away.",
        )
    if found.kind == "old" or _is_foreign(companion, found.start):
        _refuse(
            structure,
            f"its arrays would replace {name}, which another program has written "
            "since. Choose another name, or move that file away.",
        )


def _is_of_pair(structure: Path, companion: Path, ours: Peek) -> bool:
    """Whether a companion without a structure file belongs to a pair.

    It does if a save was stopped between its two renamings, or is there now: then the
    structure has the name of a temporary, or has just been renamed.
    """
    try:
        with closing(sources.FileSource(companion)) as source:
            copy = copied_structure(source)
    except LIMITS:
        raise
    except ZodiaxIOError:
        return False
    files = [Path(temporary) for temporary in commit.temporaries_of(structure)]
    for found in [ours, *map(peek, files), peek(structure)]:
        size = -1 if found.status is None else found.status.st_size
        if is_copy(copy, size, found.start):
            return True
    return False


# The first bytes of files with arrays of other programs: zip (npz, PyTorch, Keras),
# HDF5.
_FOREIGN = (b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")


def _is_foreign(path: Path, start: bytes) -> bool:
    """Whether a file holds arrays of another program, not a damaged companion."""
    if start.startswith(_FOREIGN):
        return True
    try:
        with closing(sources.FileSource(path)) as source:
            return _is_whole(source)
    except LIMITS:
        raise
    except ZodiaxIOError:
        return False


_HEADER = re.compile(
    rb"\{'descr': '[<>|=]([a-zA-Z])(\d{1,9})(?:\[\w+\])?', 'fortran_order': "
    rb"(?:False|True), 'shape': \(([\d, ]{0,999})\), \} *\n"
)


def _is_whole(source: sources.FileSource) -> bool:
    """Whether a file consists of `.npy` records up to its last byte.

    Plain Equinox writes such files. A companion that was cut short ends within a
    record.
    """
    offset = 0
    while offset < source.size:
        start = sources.read_some(source, offset, 12)
        if start[:6] != npy.MAGIC or len(start) < 12:
            return False
        width = 2 if start[6] == 1 else 4
        length = int.from_bytes(start[8 : 8 + width], "little")
        text = sources.read_some(source, offset + 8 + width, min(length, 1 << 16))
        match = _HEADER.fullmatch(text)
        if match is None:
            return False
        count = int(match[2]) * (4 if match[1] == b"U" else 1)
        for size in match[3].split(b","):
            count *= int(size) if size.strip() else 1
        offset += 8 + width + length + count
    return offset == source.size > 0


def _check_alone(companion: Path) -> None:
    """Refuse a companion alone that would replace arrays of a pair, or hide a file."""
    for suffix in (STRUCTURE_SUFFIX, ""):
        structure = companion.with_suffix(suffix)
        if suffix == "" and structure.suffix == STRUCTURE_SUFFIX:
            continue  # the companion of `fit.zdx` is `fit.eqx`, not `fit.zdx.eqx`
        kind, name = peek(structure).kind, shown(structure.name)
        if kind == "structure" or (
            kind == "zeros" and suffix and os.path.lexists(companion)
        ):
            _refuse(
                companion,
                f"it holds the arrays of {name}, which would be lost. Save to {name}, "
                f"choose another name, or remove {name} first.",
            )
        if kind == "old":
            _refuse(
                companion,
                f"it would be loaded instead of {name}, an old file. Save to {name}, "
                f"choose another name, or move {name} away.",
            )
