"""All that touches the disk: write beside, make durable, rename; open and read.

A pair of files is committed by renaming the companion, which holds a copy of the
structure: whatever mixture of old and new files a crash leaves, the companion decides.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import mmap
import os
import re
import secrets
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

from ._errors import (
    LIMITS,
    MAX_PATH,
    ArgumentError,
    CorruptFileError,
    MissingFileError,
    NotAFileError,
    ReadError,
    SaveError,
    ZodiaxIOError,
    shown,
)

if sys.platform != "win32":
    import fcntl
else:  # pragma: no cover
    fcntl: Any = None

_MARK = ".zdxtmp-"
_TAIL = 20  # bytes of a process number, a hyphen and 8 hexadecimal digits, at most
_DIGITS = 16  # of the hash that a shortened name ends with
_PATH_MAX = 4095  # bytes; the system's figure of 4096 counts the zero at the end
_OLD = 86_400  # seconds after which a temporary without a lock belongs to nobody
_TRIES = 100
_PAUSES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
# What systems answer that have no such thing as asked for; all else is a failure.
_UNKNOWN = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "ENOTTY", "EBADF")
    if hasattr(errno, name)
}


# Writing ------------------------------------------------------------------------------


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


def follow(
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
        if error.errno not in _UNKNOWN:
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
            if error.errno not in _UNKNOWN:
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
            _open(opened, folder, os.O_RDONLY)
        except PermissionError:  # one that may be written to, but not listed
            return
        try:
            _sync(opened[0])
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
        finally:
            _close(opened)
    finally:  # an interrupt may have ended the first
        _close(opened)


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
    room = _name_max(target.parent) - 1 - len(_MARK) - _TAIL
    folder = os.fsencode(target.parent)
    room = min(room, _PATH_MAX - len(folder) - 2 - len(_MARK) - _TAIL)
    if len(name) <= room:
        return f".{target.name}{_MARK}"
    start = name[: max(room - 1 - _DIGITS, 0)].decode(errors="ignore")
    return f".{start}~{hashlib.sha256(name).hexdigest()[:_DIGITS]}{_MARK}"


def _name_max(folder: Path) -> int:
    """How many bytes the name of a file may take in a folder."""
    try:
        limit = os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # there is none on Windows
        limit = -1
    return limit if limit > 0 else 255


def too_long(path: Path) -> str | None:
    """By how much the name of a file, or its path, is too long; None if it is not."""
    size, limit = len(os.fsencode(path.name)), _name_max(path.parent)
    if size > limit:
        return (
            f"the name {shown(path.name)} takes {size} bytes, and the file system "
            f"allows {limit}"
        )
    size = len(os.fsencode(path))
    if size > _PATH_MAX:
        return f"the path takes {size} bytes, and the system allows {_PATH_MAX}"
    return None


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
    flags = getattr(os, "O_NOFOLLOW", 0) | _FLAGS
    opened: list[int] = []
    try:
        try:
            try:
                _open(opened, leftover, os.O_RDWR | flags)
            except PermissionError:  # that of a target which is read-only
                _open(opened, leftover, os.O_RDONLY | flags)
            # The lock of a living saver is held. One who has just renamed its
            # temporary holds it too, or has let go of a file that is no longer it.
            held = _lock(opened[0])
            if held and os.path.samestat(os.fstat(opened[0]), os.lstat(leftover)):
                os.unlink(leftover)
            return held
        finally:
            _close(opened)
    finally:  # an interrupt may have ended the first
        _close(opened)


# Reading ------------------------------------------------------------------------------


# A pipe must not be waited for: its kind is looked at once it is open.
_FLAGS = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY", "O_NONBLOCK"))
_open_descriptor = os.open


def _open(opened: list[int], path: str | os.PathLike[str], flags: int) -> None:
    """Open a file, and note its descriptor in the list.

    Both in one call of C: between two an interrupt could come, and leave a descriptor
    that nobody closes.
    """
    opened.extend(map(_open_descriptor, [path], [flags]))


def _close(opened: list[int]) -> None:
    """Close the descriptors of a list, each in the call of C that takes it out."""
    any(map(os.close, map(opened.pop, [-1] * len(opened))))


def _open_regular(files: list[FileIO], path: Path, where: str) -> os.stat_result:
    """Open a regular file for reading, and no other; add it to the list."""
    opened: list[int] = []
    try:
        try:
            _open(opened, path, os.O_RDONLY | _FLAGS)
            status = os.fstat(opened[0])
            _check_regular(status, where)
            # From the list into the file object, again in one call.
            files.extend(map(FileIO, map(opened.pop, [-1]), ["rb"]))
            return status
        finally:
            _close(opened)
    finally:  # an interrupt may have ended the first
        _close(opened)


def _check_regular(status: os.stat_result, where: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
        raise NotAFileError(f"{where} is {what}.")


# A mapping keeps a descriptor of its own, to change the size of the file; many lazily
# loaded models would reach the limit of open files.
_WITHOUT_DESCRIPTOR: dict[str, Any] = {}
if sys.version_info >= (3, 13) and os.name == "posix":
    _WITHOUT_DESCRIPTOR["trackfd"] = False


class FileSource:
    """A file opened once: whatever is renamed over it, the bytes stay the same."""

    def __init__(self, path: Path) -> None:
        self.name, where = shown(path.name), shown(path, MAX_PATH)
        self._lock = threading.Lock()
        self._files: list[FileIO] = []
        try:
            _check_regular(os.stat(path), where)  # a device is not even opened
            self.status = _open_regular(self._files, path, where)
        except ZodiaxIOError:
            raise
        except FileNotFoundError:
            raise MissingFileError(f"There is no file {where}.") from None
        except OSError as error:
            reason = error.strerror
            if error.errno == errno.ENAMETOOLONG:
                reason = f"{too_long(path) or reason}."
            raise ReadError(error.errno, f"Cannot open {where}: {reason}") from error
        self.size = self.status.st_size
        self._file = self._files[0]

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` with the bytes from `offset` on."""
        done = 0
        try:
            while done < len(buffer):
                count = self._read_at(buffer[done:], offset + done)
                if not count:
                    raise CorruptFileError(
                        f"{self.name} is incomplete: it should hold {len(buffer)} "
                        f"bytes at offset {offset}, but ends at {offset + done}."
                    )
                done += count
        except OSError as error:
            raise ReadError(
                error.errno, f"Cannot read {self.name}: {error.strerror}"
            ) from error

    def _read_at(self, buffer: memoryview, offset: int) -> int | None:
        if hasattr(os, "preadv"):  # which threads may call at once
            return os.preadv(self._file.fileno(), [buffer], offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.readinto(buffer)

    def map(self) -> mmap.mmap:
        """All bytes, read-only; the map outlives this object, and the file's name."""
        try:
            return mmap.mmap(
                self._file.fileno(), 0, access=mmap.ACCESS_READ, **_WITHOUT_DESCRIPTOR
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ReadError(
                getattr(error, "errno", None),
                f"Cannot map {self.name} into memory: {reason}. Load it without "
                "`lazy=True`.",
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def ends_of(
    path: Path, first: int, last: int
) -> tuple[bytes, bytes, os.stat_result] | None:
    """The first and the last bytes of a file, and its status; None if it has none."""
    opened: list[int] = []
    try:
        try:
            # To open a device may do something, such as rewind a tape.
            if not stat.S_ISREG(os.stat(path).st_mode):
                return None
            _open(opened, path, os.O_RDONLY | _FLAGS)
            status = os.fstat(opened[0])
            if not stat.S_ISREG(status.st_mode):
                return None
            start = os.read(opened[0], first)
            os.lseek(opened[0], max(status.st_size - last, 0), os.SEEK_SET)
            return start, os.read(opened[0], last), status
        except OSError:
            return None
        finally:
            _close(opened)
    finally:  # an interrupt may have ended the first
        _close(opened)


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = shown(name)
        self.size = len(data)
        self._data = memoryview(data)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` with the bytes from `offset` on."""
        piece = self._data[offset : offset + len(buffer)]
        if len(piece) != len(buffer):
            raise CorruptFileError(
                f"{self.name} is incomplete: it should hold {len(buffer)} bytes at "
                f"offset {offset}, but ends at {self.size}."
            )
        buffer[:] = piece

    def map(self) -> memoryview:
        """All bytes, read-only."""
        return self._data

    def close(self) -> None:
        """Nothing to let go of."""


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
        reason = _why_not(file, error, "writing")
        raise SaveError(f"Cannot save to the file object: {reason}.") from error


def _why_not(file: Any, error: Exception, mode: str) -> str:
    """Why a file object cannot be used: its own message may be one word."""
    try:
        if file.closed is True:
            return "it is closed"
    except LIMITS:
        raise
    except Exception:  # an object with `write` or `read` alone
        pass
    if isinstance(error, io.UnsupportedOperation):
        return f"it is not open for {mode}"
    return str(error).rstrip(".") or type(error).__name__


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


def read_from(file: Any, size: int = -1) -> bytes:
    """What is left in an open file, or the first bytes of that.

    Raises
    ------
    ReadError, ArgumentError
        If the file cannot be read from, or is open as text.
    """
    try:
        data = file.read() if size < 0 else file.read(size)
    except LIMITS:
        raise
    except Exception as error:  # also what `gzip` and others raise of their own
        reason = _why_not(file, error, "reading")
        raise ReadError(f"Cannot read the file object: {reason}.") from error
    if data is None:
        raise ReadError(
            "Cannot read the file object: it does not wait for what is to come."
        )
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ArgumentError("The file is open as text; open it in binary mode.")
    return bytes(data)


def position_of(file: Any) -> int | None:
    """Where an open file is read from; None if it cannot go back there."""
    try:
        if file.seekable():
            place = file.tell()
            return place if type(place) is int else None
    except LIMITS:
        raise
    except Exception:  # an object that is a file in part
        pass
    return None


def move(file: Any, place: int, whence: int = os.SEEK_SET) -> int:
    """Go to a position of an open file; where that is.

    Raises
    ------
    ReadError
        If it does not go there.
    """
    try:
        file.seek(place, whence)
        return file.tell()
    except LIMITS:
        raise
    except Exception as error:
        reason = _why_not(file, error, "reading")
        raise ReadError(f"Cannot read the file object: {reason}.") from error


def moves_freely(file: Any) -> bool:
    """Whether an open file goes to any position at once.

    One that is compressed decompresses all that lies before it.
    """
    for name in ("file", "_file", "raw"):  # in wrappers of `tempfile`, and in buffers
        file = getattr(file, name, file)
    return isinstance(file, (io.BytesIO, io.FileIO))


def read_some(source: FileSource | BytesSource, offset: int, length: int) -> bytes:
    """Bytes from an offset on, as many as there are of those asked for."""
    data = bytearray(max(min(length, source.size - offset), 0))
    source.read_into(memoryview(data), offset)
    return bytes(data)


def is_readable(obj: object) -> bool:
    """Whether an object is a binary file to read from."""
    return callable(getattr(obj, "read", None)) and not isinstance(obj, io.TextIOBase)


def is_writable(obj: object) -> bool:
    """Whether an object is a binary file to write to."""
    return callable(getattr(obj, "write", None)) and not isinstance(obj, io.TextIOBase)
