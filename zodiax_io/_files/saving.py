"""A path to the files that a save replaces; or why it may not replace them.

A save replaces what the same path loads, and nothing else. Two names can mean one file:
`fit.zdx` keeps its arrays in `fit.eqx`, which may be a checkpoint by itself.
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
        With which the name of the companion ends.
    size : int, optional
        How many bytes the companion will have at least.
    source : os.stat_result, optional
        The file whose content is written again, which may therefore be replaced.

    Raises
    ------
    SaveError, MissingFileError, NotAFileError, ArgumentError
        If that cannot be done. What was there before is there still.
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
    """Refuse what is neither a path nor a binary file that could be written to.

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
    """Refuse a name without a suffix that another file has, and would be loaded."""
    if given.suffix != "":
        return
    kind = peek(given).kind
    if kind in ("structure", "companion") or (
        kind == "old" and not os.path.lexists(structure)
    ):
        _refuse(
            structure,
            f"there is a checkpoint called {shown(given.name)}, without a suffix, "
            "which would be loaded in its place. Choose another name, or give the "
            f"suffix: {shown(structure.name)}.",
        )


def check_pair(structure: Path, companion: Path) -> None:
    """Refuse two structure files that would keep their arrays in one companion.

    Raises
    ------
    SaveError, NotAFileError
        If there is another structure file of that companion, or the companion is a
        symbolic link that leaves its folder.
    """
    check_companion(structure, companion)
    other = companion.with_suffix(
        "" if structure.suffix == STRUCTURE_SUFFIX else STRUCTURE_SUFFIX
    )
    if peek(other).kind == "structure":
        _refuse(
            structure,
            f"{shown(other.name)} is there already, and both would keep their arrays "
            f"in {shown(companion.name)}. Choose another name.",
        )
    small = structure.suffix.lower()
    if small != structure.suffix and small in (STRUCTURE_SUFFIX, *suffixes()):
        other = structure.with_suffix(small)
        if os.path.exists(structure) and _is_same(other, os.stat(structure)):
            _refuse(
                structure,
                f"this file system takes it for {shown(other.name)}, which is there "
                f"already. Write the suffix as `{small}`.",
            )


def _check_no_other(structure: Path, companion: Path) -> None:
    """Refuse a second companion: a load could not tell which of them is the pair's."""
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
    """Refuse to replace arrays that are not those of this structure file.

    What a crash has left of a pair is no obstacle.
    """
    there = peek(companion)
    if there.kind in ("", "zeros"):
        return
    if source is not None and _is_same(companion, source):
        return
    ours, name = peek(structure), shown(companion.name)
    if there.kind == "companion":
        # Nearly always: the pair of an earlier save. A mixed pair counts, too, and one
        # with a damaged structure file; another program's file is no part of a pair.
        is_ours = ours.kind in ("structure", "zeros") or (
            ours.kind == "other" and not _is_foreign(structure, ours.start)
        )
        if is_ours and not os.path.islink(structure):
            return
        if _is_of_pair(structure, companion, ours):
            return
        _refuse(
            structure,
            f"its arrays belong into {name}, which is a checkpoint by itself and would "
            f"be lost. Choose another name, or remove {name} first. If only "
            f"{shown(structure.name)} is gone, `zodiax_io.repair` writes it again.",
        )
    if not os.path.lexists(structure):
        _refuse(
            structure,
            f"its arrays belong into {name}, which is there already: another program "
            "wrote it, or a save was cut short. Choose another name, or move that "
            "file away.",
        )
    if there.kind == "old" or _is_foreign(companion, there.start):
        _refuse(
            structure,
            f"its arrays belong into {name}, which another program has written since. "
            "Choose another name, or move that file away.",
        )


def _is_of_pair(structure: Path, companion: Path, ours: Peek) -> bool:
    """Whether a companion that seems to stand alone is that of a pair.

    It is if a save was stopped, or still is, between the two renamings: then the
    structure lies beside it under the name of a temporary, or has just been renamed.
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


# How files begin that hold arrays of other programs: zip (npz, PyTorch, Keras), HDF5.
_FOREIGN = (b"PK\x03\x04", b"\x89HDF\r\n\x1a\n")


def _is_foreign(path: Path, start: bytes) -> bool:
    """Whether arrays of another program lie there, rather than damaged ones of ours."""
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
    """Whether a file is one `.npy` record after another up to its last byte.

    Plain Equinox writes that. A companion that was cut short ends within a record.
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
    """Refuse a companion alone where it would replace, or hide, what a pair has."""
    for suffix in (STRUCTURE_SUFFIX, ""):
        structure = companion.with_suffix(suffix)
        if suffix == "" and structure.suffix == STRUCTURE_SUFFIX:
            continue  # the arrays of `fit.zdx` are in `fit.eqx`, not in `fit.zdx.eqx`
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
                f"it would be loaded in the place of {name}, an old file. Save to "
                f"{name}, choose another name, or move {name} away.",
            )
