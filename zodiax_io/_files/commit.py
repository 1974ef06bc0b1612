"""All that touches the disk: write beside, make durable, rename; open and read.

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
    UNKNOWN,
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
_TAIL = 20  # bytes of a process number, a hyphen and 8 hexadecimal digits, at most
_DIGITS = 16  # of the hash that a shortened name ends with
_OLD = 86_400  # seconds after which a temporary without a lock belongs to nobody
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
    """Replace a pair of files as one: wholly, or not at all.

    Parameters
    ----------
    structure : Path or None
        The structure file; None for a companion that stands alone.
    companion : Path
        The companion file. Its renaming is the moment of the commit.
    write : callable
        Writes the companion into a file, and returns the bytes of the structure.
    durable : bool
        Whether to wait until the disk has it all.
    copy : callable, optional
        Gives the structure that an opened companion holds.
    size : int, optional
        How many bytes the companion will have at least.
    check : callable, optional
        Called at the last moment before the companion is replaced; stops it by an
        error.

    Raises
    ------
    SaveError, MissingFileError, NotAFileError
        If the files cannot be written. What was there before is there still.
    """
    targets = [path for path in (companion, structure) if path is not None]
    saving = _Saving([_Temporary(target) for target in targets])
    temporaries = saving.temporaries
    try:
        try:
            for target in targets:
                _check_target(target, targets[-1].name)
            _sweep(companion)  # first of all: it may need the room
            saving.is_first = not companion.exists()
            content = temporaries[0].write(write, durable, size)
            for temporary in temporaries[1:]:
                temporary.write(_writer_of(content), durable)
            if structure is not None:
                # Not before there is another: a leftover may be the only sign that
                # the companion without a structure is this pair's.
                _sweep(structure)
                if durable and saving.is_first:
                    _sync_folder(companion.parent)
            ours = os.fstat(temporaries[0].file.fileno())
            if check is not None:
                check()
            temporaries[0].rename()
            if structure is not None:
                # A structure may not reach the disk alone: there would be neither
                # nothing nor all.
                if durable and saving.is_first:
                    _sync_folder(companion.parent)
                temporaries[1].rename()
                if copy is not None:
                    _agree(saving.opened, structure, companion, ours, copy, durable)
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
    finally:  # an interrupt may have ended the first
        saving.end()


@dataclass(eq=False, repr=False)
class _Saving:
    """The files of a save under way.

    Attributes
    ----------
    temporaries : list of _Temporary
        The companion, and the structure if there is one.
    opened : list of FileSource
        What is open beside them.
    is_first : bool
        Whether there was no companion before.
    """

    temporaries: list[_Temporary]
    opened: list[FileSource] = field(default_factory=list["FileSource"])
    is_first: bool = False

    def end(self) -> None:
        """Close and remove what is left; doing it twice does no harm."""
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
    """Write a structure file again, as a whole companion has it.

    Raises
    ------
    SaveError
        If the operating system refuses.
    """
    opened: list[FileSource] = []
    try:
        try:
            _agree(opened, structure, companion, None, copy, durable=True)
            _sync_folder(companion.parent)
        finally:
            _close_all(opened)
    except ZodiaxIOError:
        raise
    except OSError as error:
        raise SaveError(
            error.errno, f"Cannot write {structure}: {error.strerror or error}."
        ) from error
    finally:  # an interrupt may have ended the first
        _close_all(opened)


def _close_all(opened: list[FileSource]) -> None:
    for source in opened:
        source.close()


def _agree(
    opened: list[FileSource],
    structure: Path,
    companion: Path,
    ours: os.stat_result | None,
    copy: Callable[[FileSource], bytes],
    durable: bool,
) -> None:
    """Let the structure follow a companion that another saver has just renamed.

    Whoever renames a structure last looks at the companion after it, so that the pair
    is one when all have ended. What is opened on the way stays open, so that no other
    file gets its number meanwhile.
    """
    for _ in range(_TRIES):
        try:
            opened.append(FileSource(companion))
            now = opened[-1]
            if ours is not None and os.path.samestat(now.status, ours):
                return
            content, ours = copy(now), now.status
        except LIMITS:
            raise
        except ZodiaxIOError:  # gone, or no companion of ours: not our concern
            return
        temporary = _Temporary(structure)
        try:
            try:
                temporary.write(_writer_of(content), durable)
                temporary.rename()
            finally:
                temporary.discard()
        finally:  # an interrupt may have ended the first
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
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise NotAFileError(f"Cannot save to {target}: it is {what}.")


class _Temporary:
    """A new file beside its target, removed unless it takes the place of the target.

    Its name is noted before it is made, and the file in the call that opens it. So
    `discard` finds all that there is, wherever an interrupt came.

    Attributes
    ----------
    target : Path
        The file that it replaces.
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
        """Make the file, and write it; what `write` returned."""
        self._open()
        _reserve(self.file, size)
        content = write(_Whole(self.file))
        _finish(self.file, durable)
        self._is_whole = True
        return content

    def _open(self) -> None:
        """Make the file, with the rights that the target has or would get."""
        start = _start_of_temporaries(self.target)
        for _ in range(_TRIES):
            name = f"{start}{os.getpid()}-{secrets.token_hex(4)}"
            self._path = self.target.with_name(name)
            try:
                # Rights of 0666 under the umask, as `open` gives; `mkstemp` would give
                # 0600. Without a buffer: what is written comes in large pieces, and
                # stays aligned.
                self._files.extend(map(FileIO, [self._path], ["xb+"]))
            except FileExistsError:  # that of another saver
                self._path = None
                continue
            descriptor = self.file.fileno()
            # The lock tells the next saver that this one is alive. Another may have
            # taken the file for a leftover before it was held.
            if _lock(descriptor) is not False and os.path.lexists(self._path):
                return _copy_rights(self.target, descriptor)
            self.discard()
        raise OSError(errno.EAGAIN, "other savers keep removing what this one writes")

    def rename(self) -> None:
        """Take the place of the target."""
        assert self._path is not None
        _rename(self.file, self._path, self.target)

    def has_moved(self) -> bool:
        """Whether it has taken the place of the target.

        This is looked up: an interrupt may come right after the renaming.
        """
        path = self._path
        return self._is_whole and path is not None and not os.path.lexists(path)

    def complete(self, is_first: bool) -> None:
        """Take the place of the target after a failure, or an interrupt.

        If that cannot be done, a structure that would be the first of its path is kept
        as it is: the next save sees by it that the companion belongs to this path.
        """
        if self._path is None or not self._is_whole or self.has_moved():
            return
        replaces = self.target.is_file() and not self.target.is_symlink()
        self._is_kept = is_first or not replaces
        with contextlib.suppress(OSError):
            os.replace(self._path, self.target)

    def close(self) -> None:
        """Close the file, and let go of its lock."""
        for file in self._files:
            file.close()

    def discard(self) -> None:
        """Close the file, and remove it where it still has its own name."""
        try:
            self.close()
        finally:
            if self._path is not None and not (self._is_kept or self.has_moved()):
                self._is_whole = False  # what is removed has not moved
                with contextlib.suppress(OSError):
                    os.unlink(self._path)


def _writer_of(content: bytes) -> Callable[[Any], bytes]:
    """What writes these bytes, and returns them."""

    def write(file: Any) -> bytes:
        file.write(content)
        return content

    return write


def _copy_rights(target: Path, descriptor: int) -> None:
    try:
        then = target.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(then.st_mode):  # the file it leads to stays, with its rights
        return
    for owner in (then.st_uid, -1):
        with contextlib.suppress(OSError, AttributeError):
            os.fchown(descriptor, owner, then.st_gid)
            break
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(descriptor, stat.S_IMODE(then.st_mode))


_WORTH_RESERVING = 1 << 24


def _reserve(file: Any, size: int) -> None:
    """Ask for the room at once: quicker, and early to tell that there is none."""
    if size < _WORTH_RESERVING or not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno not in UNKNOWN:
            raise


def _finish(file: Any, durable: bool) -> None:
    file.flush()
    if durable:
        _sync(file.fileno())
    # Network file systems report a full disk when a descriptor is closed; this one
    # stays open for its lock. Both in one call of C: an interrupt between the two would
    # leave a descriptor, and with it the lock.
    any(map(os.close, map(os.dup, [file.fileno()])))


def _sync(descriptor: int) -> None:
    # On macOS only this empties the cache of the drive as well.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        try:
            fcntl.fcntl(descriptor, full)
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise
        else:
            return
    # A failed fsync is never retried: the kernel may have dropped the pages.
    os.fsync(descriptor)


def _rename(file: Any, source: Path, target: Path) -> None:
    if sys.platform == "win32":
        file.close()  # no open file can be renamed there
    for pause in _PAUSES:
        try:
            return os.replace(source, target)
        except PermissionError as error:
            # Windows: a reader, or a virus scanner, has the target open.
            if getattr(error, "winerror", None) is None:
                raise
            time.sleep(pause)
    os.replace(source, target)


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # folders cannot be opened there
        return
    opened: list[int] = []
    try:
        try:
            open_into(opened, folder, os.O_RDONLY)
        except PermissionError:  # one that may be written to, but not listed
            return
        try:
            _sync(opened[0])
        except OSError as error:
            if error.errno not in UNKNOWN:
                raise
        finally:
            close_all_of(opened)
    finally:  # an interrupt may have ended the first
        close_all_of(opened)


def _lock(descriptor: int) -> bool | None:
    """Whether the lock is ours; None where there are no locks."""
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
    """The temporaries of a target: of savers at work, and of those that were killed."""
    ours = re.compile(re.escape(_start_of_temporaries(target)) + r"\d+-\w+")
    with contextlib.suppress(OSError), os.scandir(target.parent) as entries:
        return [entry.path for entry in entries if ours.fullmatch(entry.name)]
    return []


def _start_of_temporaries(target: Path) -> str:
    """How the names of a target's temporaries begin, so that the longest fits.

    Where the name of the target does not fit, its beginning and a hash stand for it.
    """
    name = os.fsencode(target.name)
    room = name_max(target.parent) - 1 - len(_MARK) - _TAIL
    folder = os.fsencode(target.parent)
    room = min(room, PATH_MAX - len(folder) - 2 - len(_MARK) - _TAIL)
    if len(name) <= room:
        return f".{target.name}{_MARK}"
    start = name[: max(room - 1 - _DIGITS, 0)].decode(errors="ignore")
    return f".{start}~{hashlib.sha256(name).hexdigest()[:_DIGITS]}{_MARK}"


def _sweep(target: Path) -> None:
    """Remove what savers of this target left behind when they were killed."""
    for leftover in temporaries_of(target):
        with contextlib.suppress(OSError):
            held = _sweep_locked(leftover)
            if held is None and time.time() - os.lstat(leftover).st_mtime > _OLD:
                os.unlink(leftover)


def _sweep_locked(leftover: str) -> bool | None:
    if fcntl is None:
        return None
    if not stat.S_ISREG(os.lstat(leftover).st_mode):
        return False  # no saver made a pipe, a device or a link
    flags = getattr(os, "O_NOFOLLOW", 0) | FLAGS
    opened: list[int] = []
    try:
        try:
            try:
                open_into(opened, leftover, os.O_RDWR | flags)
            except PermissionError:  # that of a target which is read-only
                open_into(opened, leftover, os.O_RDONLY | flags)
            # The lock of a living saver is held. One who has just renamed its
            # temporary holds it too, or has let go of a file that is no longer it.
            held = _lock(opened[0])
            if held and os.path.samestat(os.fstat(opened[0]), os.lstat(leftover)):
                os.unlink(leftover)
            return held
        finally:
            close_all_of(opened)
    finally:  # an interrupt may have ended the first
        close_all_of(opened)


def write_to(file: Any, write: Callable[[Any], bytes]) -> None:
    """Write a companion into an open file.

    Raises
    ------
    SaveError, ArgumentError
        If the file cannot be written to, or is open as text.
    """
    try:
        write(_Whole(file))
    except TypeError as error:
        raise ArgumentError(
            f"The file object does not take bytes: {error}. Open it in binary mode."
        ) from error
    except (OSError, ValueError) as error:  # a closed file is a ValueError
        reason = why_not(file, error, "writing")
        raise SaveError(f"Cannot save to the file object: {reason}.") from error


class _Whole:
    """A file that takes all it is given; one without a buffer may take a part."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        """Write it all, or raise."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        while len(rest):
            count = self._file.write(rest)
            if count is None and isinstance(self._file, io.RawIOBase):
                raise BlockingIOError(errno.EAGAIN, "it would have to be waited for")
            if count == 0:
                raise OSError(errno.EIO, "it takes no more bytes")
            if type(count) is not int:  # not every file says how much it took
                break
            rest = rest[count:]
        return size
