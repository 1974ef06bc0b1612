"""Reading bytes from an open file, or from memory."""

from __future__ import annotations

import errno
import io
import mmap
import os
import stat
import sys
import threading
from io import FileIO
from pathlib import Path
from typing import Any

from .._arrays.backend import Source
from .._errors import (
    LIMITS,
    MAX_PATH,
    ArgumentError,
    CorruptFileError,
    MissingFileError,
    NotAFileError,
    ReadError,
    ZodiaxIOError,
    shown,
)

PATH_MAX = 4095  # bytes; the limit of the system, 4096, includes a zero at the end
# Errors of systems that do not support an operation.
UNSUPPORTED = {
    getattr(errno, name)
    for name in ("EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "ENOTTY", "EBADF")
    if hasattr(errno, name)
}


def name_max(folder: Path) -> int:
    """How many bytes the name of a file may take in a folder."""
    try:
        limit = os.pathconf(folder, "PC_NAME_MAX")
    except (OSError, ValueError, AttributeError):  # there is none on Windows
        limit = -1
    return limit if limit > 0 else 255


def too_long(path: Path) -> str | None:
    """The reason if the name of a file, or its path, is too long; else None."""
    size, limit = len(os.fsencode(path.name)), name_max(path.parent)
    if size > limit:
        return (
            f"the name {shown(path.name)} takes {size} bytes, and the file system "
            f"allows {limit}"
        )
    size = len(os.fsencode(path))
    if size > PATH_MAX:
        return f"the path takes {size} bytes, and the system allows {PATH_MAX}"
    return None


# O_NONBLOCK: opening a pipe must not wait. Its type is checked once it is open.
FLAGS = sum(getattr(os, name, 0) for name in ("O_CLOEXEC", "O_BINARY", "O_NONBLOCK"))
_open_descriptor = os.open


def open_into(opened: list[int], path: str | os.PathLike[str], flags: int) -> None:
    """Open a file, and add its descriptor to the list.

    Both in one call of C: an interrupt between two would leave a descriptor open.
    """
    opened.extend(map(_open_descriptor, [path], [flags]))


def close_all_of(opened: list[int]) -> None:
    """Close the descriptors of a list, each in the call of C that removes it."""
    any(map(os.close, map(opened.pop, [-1] * len(opened))))


def _open_regular(files: list[FileIO], path: Path, where: str) -> os.stat_result:
    """Open a file for reading if it is a regular one, and add it to the list."""
    opened: list[int] = []
    try:
        try:
            open_into(opened, path, os.O_RDONLY | FLAGS)
            status = os.fstat(opened[0])
            _check_regular(status, where)
            # Moved from the list to the file object, again in one call of C.
            files.extend(map(FileIO, map(opened.pop, [-1]), ["rb"]))
            return status
        finally:
            close_all_of(opened)
    finally:  # an interrupt may have cut the inner one short
        close_all_of(opened)


def _check_regular(status: os.stat_result, where: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        found = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
        raise NotAFileError(f"{where} is {found}.")


# A mapping keeps a descriptor of its own, for changes of size: many lazily loaded
# models would reach the limit of open files.
_WITHOUT_DESCRIPTOR: dict[str, Any] = {}
if sys.version_info >= (3, 13) and os.name == "posix":
    _WITHOUT_DESCRIPTOR["trackfd"] = False


class FileSource:
    """An open file: its bytes stay the same if another file is renamed over it."""

    def __init__(self, path: Path) -> None:
        self.name, where = shown(path.name), shown(path, MAX_PATH)
        self._lock = threading.Lock()
        self._files: list[FileIO] = []
        try:
            # Before it is opened: opening a device may have effects.
            _check_regular(os.stat(path), where)
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
        if hasattr(os, "preadv"):  # threads may call it at the same time
            return os.preadv(self._file.fileno(), [buffer], offset)
        with self._lock:
            self._file.seek(offset)
            return self._file.readinto(buffer)

    def map(self) -> mmap.mmap:
        """All bytes, read-only; the mapping outlives this object and the name."""
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
        """Close the file."""
        self._file.close()


def ends_of(
    path: Path, first: int, last: int
) -> tuple[bytes, bytes, os.stat_result] | None:
    """The first and the last bytes of a regular file, and its status; else None."""
    opened: list[int] = []
    try:
        try:
            # Opening a device may have effects, such as rewinding a tape.
            if not stat.S_ISREG(os.stat(path).st_mode):
                return None
            open_into(opened, path, os.O_RDONLY | FLAGS)
            status = os.fstat(opened[0])
            if not stat.S_ISREG(status.st_mode):
                return None
            start = os.read(opened[0], first)
            os.lseek(opened[0], max(status.st_size - last, 0), os.SEEK_SET)
            return start, os.read(opened[0], last), status
        except OSError:
            return None
        finally:
            close_all_of(opened)
    finally:  # an interrupt may have cut the inner one short
        close_all_of(opened)


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = shown(name)
        self.size = len(data)
        self._data = memoryview(data)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` with the bytes from `offset` on."""
        data = self._data[offset : offset + len(buffer)]
        if len(data) != len(buffer):
            raise CorruptFileError(
                f"{self.name} is incomplete: it should hold {len(buffer)} bytes at "
                f"offset {offset}, but ends at {self.size}."
            )
        buffer[:] = data

    def map(self) -> memoryview:
        """All bytes, read-only."""
        return self._data

    def close(self) -> None:
        """Do nothing: there is no file to close."""


def why_not(file: Any, error: Exception, mode: str) -> str:
    """The reason why a file object cannot be used."""
    try:
        if file.closed is True:
            return "it is closed"
    except LIMITS:
        raise
    except Exception:  # an object with only `write` or `read`
        pass
    if isinstance(error, io.UnsupportedOperation):
        return f"it is not open for {mode}"
    return str(error).rstrip(".") or type(error).__name__


def read_from(file: Any, size: int = -1) -> bytes:
    """The bytes of an open file from its position on, all or at most `size`.

    Raises
    ------
    ReadError, ArgumentError
        If the file cannot be read from, or is open as text.
    """
    try:
        data = file.read() if size < 0 else file.read(size)
    except LIMITS:
        raise
    except Exception as error:  # `gzip` and others raise errors of their own
        reason = why_not(file, error, "reading")
        raise ReadError(f"Cannot read the file object: {reason}.") from error
    if data is None:
        raise ReadError(
            "Cannot read the file object: it is non-blocking, and has no data yet."
        )
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ArgumentError("The file is open as text; open it in binary mode.")
    return bytes(data)


def position_of(file: Any) -> int | None:
    """The position of an open file; None if it cannot go back there."""
    try:
        if file.seekable():
            position = file.tell()
            return position if type(position) is int else None
    except LIMITS:
        raise
    except Exception:  # an object with only some methods of a file
        pass
    return None


def move(file: Any, offset: int, whence: int = os.SEEK_SET) -> int:
    """Go to a position of an open file, and return it.

    Raises
    ------
    ReadError
        If that is not possible.
    """
    try:
        file.seek(offset, whence)
        return file.tell()
    except LIMITS:
        raise
    except Exception as error:
        reason = why_not(file, error, "reading")
        raise ReadError(f"Cannot read the file object: {reason}.") from error


def moves_freely(file: Any) -> bool:
    """Whether seeking in an open file is cheap.

    A compressed file decompresses all bytes before the position.
    """
    for name in ("file", "_file", "raw"):  # of wrappers of `tempfile`, and of buffers
        file = getattr(file, name, file)
    return isinstance(file, (io.BytesIO, io.FileIO))


def read_some(source: Source, offset: int, length: int) -> bytes:
    """Up to `length` bytes from an offset on: fewer where the file ends before."""
    data = bytearray(max(min(length, source.size - offset), 0))
    source.read_into(memoryview(data), offset)
    return bytes(data)


def is_readable(obj: object) -> bool:
    """Whether an object is a binary file to read from."""
    return callable(getattr(obj, "read", None)) and not isinstance(obj, io.TextIOBase)


def is_writable(obj: object) -> bool:
    """Whether an object is a binary file to write to."""
    return callable(getattr(obj, "write", None)) and not isinstance(obj, io.TextIOBase)
