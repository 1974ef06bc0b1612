"""Replacing files: write temporaries, make them durable, rename them.

A pair of files is committed by renaming the companion, which holds a copy of the
structure: whatever mixture of old and new files a crash leaves, the companion decides.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from .._errors import (
    LIMITS,
    MAX_PATH,
    ArgumentError,
    MissingFileError,
    NotAFileError,
    SaveError,
    ZodiaxIOError,
    shown,
)
from .sources import (
    FLAGS,
    PATH_MAX,
    UNSUPPORTED,
    FileSource,
    close_all_of,
    name_max,
    open_into,
    too_long,
    why_not,
)

if sys.platform != "win32":
    import fcntl
else:  # pragma: no cover
    fcntl: Any = None

_MARK = ".zdxtmp-"
_SUFFIX = 20  # bytes of a process number, a hyphen and 8 hexadecimal digits, at most
_DIGITS = 16  # of the hash at the end of a shortened name
_OLD = 86_400  # seconds after which a temporary without a lock is abandoned
_TRIES = 100
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


def commit(
    structure: Path | None,
    companion: Path,
    write: Callable[[Any], bytes],
    *,
    durable: bool,
    copy: Callable[[FileSource], bytes] | None = None,
    size: int = 0,
    check: Callable[[], None] | None = None,
) -> None:
    """Replace a pair of files together: both, or neither.

    Parameters
    ----------
    structure : Path or None
        The structure file; None for a companion alone.
    companion : Path
        The companion file. Its renaming is the moment of the commit.
    write : callable
        Writes the companion into a file, and returns the bytes of the structure.
    durable : bool
        Whether to wait until the disk has all bytes.
    copy : callable, optional
        Reads the bytes of the structure from an open companion, for the case that
        another process saves at the same time.
    size : int, optional
        A lower bound for the bytes of the companion.
    check : callable, optional
        Called right before the companion is replaced. If it raises, nothing is.

    Raises
    ------
    SaveError, MissingFileError, NotAFileError
        If the files cannot be written. The old files are unchanged.
    """
    targets = [path for path in (companion, structure) if path is not None]
    saving = _Saving([_Temporary(target) for target in targets])
    temporaries = saving.temporaries
    try:
        try:
            for target in targets:
                _check_target(target, targets[-1].name)
            _remove_leftovers(companion)  # first: the disk may be full
            saving.is_first = not companion.exists()
            content = temporaries[0].write(write, durable, size)
            for temporary in temporaries[1:]:
                temporary.write(_writer_of(content), durable)
            if structure is not None:
                # After the new structure is written: a leftover may be the only sign
                # that a companion without a structure belongs to this pair.
                _remove_leftovers(structure)
                if durable and saving.is_first:
                    _sync_folder(companion.parent)
            ours = os.fstat(temporaries[0].file.fileno())
            if check is not None:
                check()
            temporaries[0].rename()
            if structure is not None:
                # The structure must not reach the disk without the companion: a first
                # save would leave a pair without arrays.
                if durable and saving.is_first:
                    _sync_folder(companion.parent)
                temporaries[1].rename()
                if copy is not None:
                    _match_companion(
                        saving.opened, structure, companion, ours, copy, durable
                    )
            if durable:
                _sync_folder(companion.parent)
        finally:
            saving.end()
    except ZodiaxIOError:
        raise
    except OSError as error:
        outcome = "What was there before is intact."
        if temporaries[0].has_moved():
            outcome = f"{companion.name} holds the new checkpoint whole."
        raise SaveError(
            error.errno,
            f"Cannot save to {companion.parent}: {error.strerror or error}. {outcome}",
        ) from error
    finally:  # an interrupt may have cut the inner one short
        saving.end()


@dataclass(eq=False, repr=False)
class _Saving:
    """The open files of a save.

    Attributes
    ----------
    temporaries : list of _Temporary
        The companion, and the structure if there is one.
    opened : list of FileSource
        Other open files.
    is_first : bool
        Whether there was no companion before.
    """

    temporaries: list[_Temporary]
    opened: list[FileSource] = field(default_factory=list["FileSource"])
    is_first: bool = False

    def end(self) -> None:
        """Close and remove what is left; a second call does nothing."""
        try:
            for temporary in self.temporaries:
                temporary.close()
            companion, *others = self.temporaries
            for structure in others if companion.has_moved() else ():
                structure.complete(self.is_first)
        finally:
            for temporary in self.temporaries:
                temporary.discard()
            for source in self.opened:
                source.close()


def rewrite_structure(
    structure: Path, companion: Path, copy: Callable[[FileSource], bytes]
) -> None:
    """Write a structure file again, from its copy in a whole companion.

    Raises
    ------
    SaveError
        If the operating system refuses.
    """
    opened: list[FileSource] = []
    try:
        try:
            _match_companion(opened, structure, companion, None, copy, durable=True)
            _sync_folder(companion.parent)
        finally:
            _close_all(opened)
    except ZodiaxIOError:
        raise
    except OSError as error:
        raise SaveError(
            error.errno, f"Cannot write {structure}: {error.strerror or error}."
        ) from error
    finally:  # an interrupt may have cut the inner one short
        _close_all(opened)


def _close_all(opened: list[FileSource]) -> None:
    for source in opened:
        source.close()


def _match_companion(
    opened: list[FileSource],
    structure: Path,
    companion: Path,
    ours: os.stat_result | None,
    copy: Callable[[FileSource], bytes],
    durable: bool,
) -> None:
    """Write the structure again while the companion is another than it belongs to.

    Each process checks the companion after it has renamed its structure, so the pair
    matches when all have ended. Opened companions stay open: otherwise another file
    could get the inode number of one.
    """
    for _ in range(_TRIES):
        try:
            opened.append(FileSource(companion))
            current = opened[-1]
            if ours is not None and os.path.samestat(current.status, ours):
                return
            content, ours = copy(current), current.status
        except LIMITS:
            raise
        except ZodiaxIOError:  # gone, or not a companion
            return
        temporary = _Temporary(structure)
        try:
            try:
                temporary.write(_writer_of(content), durable)
                temporary.rename()
            finally:
                temporary.discard()
        finally:  # an interrupt may have cut the inner one short
            temporary.discard()


def _check_target(target: Path, name: str) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise MissingFileError(
            f"Cannot save {name}: the folder {folder} does not exist. Create it first."
        )
    long = too_long(target)
    if long is not None:
        raise SaveError(
            errno.ENAMETOOLONG, f"Cannot save to {shown(target, MAX_PATH)}: {long}."
        )
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
        if not stat.S_ISREG(mode):
            found = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
            raise NotAFileError(f"Cannot save to {target}: it is {found}.")


class _Temporary:
    """A new file in the folder of its target, removed unless it replaces the target.

    The name is stored before the file is created. The file object is stored in the
    call that opens it. So `discard` finds both after an interrupt at any point.

    Attributes
    ----------
    target : Path
        The file that it will replace.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self._path: Path | None = None
        self._files: list[Any] = []
        self._is_whole = self._is_kept = False

    @property
    def file(self) -> Any:
        """The open file, which holds a lock until it is closed."""
        return self._files[-1]

    def write(
        self, write: Callable[[Any], bytes], durable: bool, size: int = 0
    ) -> bytes:
        """Create and write the file; the result of `write`."""
        self._open()
        _reserve(self.file, size)
        content = write(_FullWriter(self.file))
        _finish(self.file, durable)
        self._is_whole = True
        return content

    def _open(self) -> None:
        """Create the file, with the permissions that the target has or would get."""
        start = _start_of_temporaries(self.target)
        for _ in range(_TRIES):
            name = f"{start}{os.getpid()}-{secrets.token_hex(4)}"
            self._path = self.target.with_name(name)
            try:
                # Permissions of 0666 under the umask, as for `open`; `mkstemp` would
                # use 0600. Unbuffered: the data comes in large chunks, and stays
                # aligned.
                self._files.extend(map(FileIO, [self._path], ["xb+"]))
            except FileExistsError:  # of another process
                self._path = None
                continue
            descriptor = self.file.fileno()
            # The lock shows other processes that this one is alive. One of them may
            # have removed the file as a leftover before it was locked.
            if _lock(descriptor) is not False and os.path.lexists(self._path):
                return _copy_permissions(self.target, descriptor)
            self.discard()
        raise OSError(errno.EAGAIN, "other processes keep removing its temporary files")

    def rename(self) -> None:
        """Replace the target."""
        assert self._path is not None
        _rename(self.file, self._path, self.target)

    def has_moved(self) -> bool:
        """Whether it has replaced the target.

        The folder is checked, since an interrupt may come right after the renaming.
        """
        path = self._path
        return self._is_whole and path is not None and not os.path.lexists(path)

    def complete(self, is_first: bool) -> None:
        """Replace the target after a failure, or an interrupt.

        If that fails for the first structure of a path, the temporary stays: it shows
        the next save that the companion belongs to this path.
        """
        if self._path is None or not self._is_whole or self.has_moved():
            return
        replaces = self.target.is_file() and not self.target.is_symlink()
        self._is_kept = is_first or not replaces
        with contextlib.suppress(OSError):
            os.replace(self._path, self.target)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        for file in self._files:
            file.close()

    def discard(self) -> None:
        """Close the file, and remove it unless it has replaced the target."""
        try:
            self.close()
        finally:
            if self._path is not None and not (self._is_kept or self.has_moved()):
                self._is_whole = False  # else it would count as moved
                with contextlib.suppress(OSError):
                    os.unlink(self._path)


def _writer_of(content: bytes) -> Callable[[Any], bytes]:
    """A function that writes these bytes, and returns them."""

    def write(file: Any) -> bytes:
        file.write(content)
        return content

    return write


def _copy_permissions(target: Path, descriptor: int) -> None:
    try:
        old = target.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(old.st_mode):  # the target of the link is not replaced
        return
    for owner in (old.st_uid, -1):
        with contextlib.suppress(OSError, AttributeError):
            os.fchown(descriptor, owner, old.st_gid)
            break
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


_RESERVE_FROM = 1 << 24


def _reserve(file: Any, size: int) -> None:
    """Reserve the room for a file: faster, and a full disk fails early."""
    if size < _RESERVE_FROM or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def _finish(file: Any, durable: bool) -> None:
    file.flush()
    if durable:
        _sync(file.fileno())
    # Network file systems report a full disk when a descriptor is closed, and this one
    # stays open for its lock: so a duplicate is closed. Both in one call of C, since an
    # interrupt between two would leave a descriptor, and with it the lock.
    any(map(os.close, map(os.dup, [file.fileno()])))


def _sync(descriptor: int) -> None:
    # On macOS, `fsync` alone does not flush the cache of the drive.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        else:
            return
    # A failed fsync is never retried: the kernel may have dropped the pages.
    os.fsync(descriptor)


def _rename(file: Any, source: Path, target: Path) -> None:
    if sys.platform == "win32":
        file.close()  # an open file cannot be renamed on Windows
    for pause in _PAUSES:
        try:
            return os.replace(source, target)
        except PermissionError as error:
            # On Windows, a reader or a virus scanner may have the target open.
            if getattr(error, "winerror", None) is None:
                raise
            time.sleep(pause)
    os.replace(source, target)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # where folders cannot be opened
        return
    opened: list[int] = []
    try:
        try:
            open_into(opened, folder, os.O_RDONLY)
        except PermissionError:  # the folder is writable, but not readable
            return
        try:
            _sync(opened[0])
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        finally:
            close_all_of(opened)
    finally:  # an interrupt may have cut the inner one short
        close_all_of(opened)


def _lock(descriptor: int) -> bool | None:
    """Lock a file. False if another process has the lock; None without locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def temporaries_of(target: Path) -> list[str]:
    """The temporaries of a target, of running and of killed processes."""
    names = re.compile(re.escape(_start_of_temporaries(target)) + r"\d+-\w+")
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        return [entry.path for entry in entries if names.fullmatch(entry.name)]
    return []


def _start_of_temporaries(target: Path) -> str:
    """The beginning of the names of a target's temporaries, short enough to fit.

    A name of a target that is too long is replaced by its beginning and a hash.
    """
    name = os.fsencode(target.name)
    room = name_max(target.parent) - 1 - len(_MARK) - _SUFFIX
    folder = os.fsencode(target.parent)
    room = min(room, PATH_MAX - len(folder) - 2 - len(_MARK) - _SUFFIX)
    if len(name) <= room:
        return f".{target.name}{_MARK}"
    start = name[: max(room - 1 - _DIGITS, 0)].decode(errors="ignore")
    return f".{start}~{hashlib.sha256(name).hexdigest()[:_DIGITS]}{_MARK}"


def _remove_leftovers(target: Path) -> None:
    """Remove the temporaries of this target that killed processes left behind."""
    for leftover in temporaries_of(target):
        with contextlib.suppress(OSError):
            locked = _remove_unlocked(leftover)
            if locked is None and time.time() - os.lstat(leftover).st_mtime > _OLD:
                os.unlink(leftover)


def _remove_unlocked(leftover: str) -> bool | None:
    """Remove a temporary if it can be locked; None where there are no locks."""
    if fcntl is None:
        return None
    if not stat.S_ISREG(os.lstat(leftover).st_mode):
        return False  # temporaries are regular files
    flags = getattr(os, "O_NOFOLLOW", 0) | FLAGS
    opened: list[int] = []
    try:
        try:
            try:
                open_into(opened, leftover, os.O_RDWR | flags)
            except PermissionError:  # the target is read-only
                open_into(opened, leftover, os.O_RDONLY | flags)
            # A running process holds the lock. If it has just renamed its temporary, it
            # holds the lock too, or the file under this name is another one.
            locked = _lock(opened[0])
            if locked and os.path.samestat(os.fstat(opened[0]), os.lstat(leftover)):
                os.unlink(leftover)
            return locked
        finally:
            close_all_of(opened)
    finally:  # an interrupt may have cut the inner one short
        close_all_of(opened)


def write_to(file: Any, write: Callable[[Any], bytes]) -> None:
    """Write a companion into an open file.

    Raises
    ------
    SaveError, ArgumentError
        If the file cannot be written to, or is open as text.
    """
    try:
        write(_FullWriter(file))
    except TypeError as error:
        raise ArgumentError(
            f"The file object does not take bytes: {error}. Open it in binary mode."
        ) from error
    except (OSError, ValueError) as error:  # a closed file is a ValueError
        reason = why_not(file, error, "writing")
        raise SaveError(f"Cannot save to the file object: {reason}.") from error


class _FullWriter:
    """A file whose `write` takes all bytes; that of a raw file may take fewer."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        """Write all bytes, or raise."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest):
            count = self._file.write(rest)
            if count is None and isinstance(self._file, io.RawIOBase):
                raise BlockingIOError(errno.EAGAIN, "it is non-blocking, and full")
            if count == 0:
                raise OSError(errno.EIO, "it takes no more bytes")
            if type(count) is not int:  # some files do not return the count
                break
            rest = rest[count:]
        return size
