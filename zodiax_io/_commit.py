"""All that touches the disk: write beside, make durable, rename; open and read.

A pair of files is committed by renaming the companion, which holds a copy of the
structure: whatever mixture of old and new files a crash leaves, the companion decides.
"""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import stat
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

from ._errors import (
    ArgumentError,
    CorruptFileError,
    MissingFileError,
    NotAFileError,
    ReadError,
    SaveError,
    ZodiaxIOError,
)

if sys.platform != "win32":
    import fcntl
else:  # pragma: no cover
    fcntl: Any = None

_MARK = ".zdxtmp-"


# Writing ------------------------------------------------------------------------------


def commit(
    structure: Path | None,
    companion: Path,
    write: Callable[[Any], bytes],
    *,
    durable: bool,
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

    Raises
    ------
    SaveError, MissingFileError, NotAFileError
        If the files cannot be written. What was there before is there still.
    """
    targets = [path for path in (companion, structure) if path is not None]
    temporaries: list[Path] = []
    try:
        for target in targets:
            _check_target(target)
            _sweep(target)
        with contextlib.ExitStack() as stack:
            file, temporary = stack.enter_context(_temporary(companion))
            temporaries.append(temporary)
            content = write(file)
            _finish(file, durable)
            if structure is not None:
                file, temporary = stack.enter_context(_temporary(structure))
                temporaries.append(temporary)
                file.write(content)
                _finish(file, durable)
            for temporary, target in zip(list(temporaries), targets, strict=True):
                os.replace(temporary, target)
                temporaries.remove(temporary)
            if durable:
                _sync_folder(companion.parent)
    except ZodiaxIOError:
        raise
    except OSError as error:
        raise SaveError(
            error.errno,
            f"Cannot save to {companion.parent}: {error.strerror or error}. "
            "What was there before is intact.",
        ) from error
    finally:
        for temporary in temporaries:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _check_target(target: Path) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise MissingFileError(
            f"Cannot save {target.name}: the folder {folder} does not exist. Create it "
            "first."
        )
    with contextlib.suppress(FileNotFoundError):
        mode = target.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise NotAFileError(f"Cannot save to {target}: it is {what}.")


@contextlib.contextmanager
def _temporary(target: Path) -> Generator[tuple[Any, Path], None, None]:
    """A new file beside the target, with the rights that it has or would get."""
    name = f".{target.name}{_MARK}{os.getpid()}-{secrets.token_hex(4)}"
    path = target.with_name(name)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    # 0666 under the umask, as `open` gives; `mkstemp` would give 0600.
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o666)
    try:
        _lock(descriptor)  # tells the next saver that this one is alive
        _copy_rights(target, descriptor)
    except BaseException:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    with os.fdopen(descriptor, "wb", buffering=1 << 16) as file:
        yield file, path


def _copy_rights(target: Path, descriptor: int) -> None:
    try:
        then = target.stat()
    except FileNotFoundError:
        return
    with contextlib.suppress(OSError, AttributeError):
        os.fchmod(descriptor, stat.S_IMODE(then.st_mode))
    with contextlib.suppress(OSError, AttributeError):
        os.fchown(descriptor, -1, then.st_gid)


def _finish(file: Any, durable: bool) -> None:
    file.flush()
    if durable:
        # A failed fsync is never retried: the kernel may have dropped the pages.
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":  # pragma: no cover - folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    if fcntl is None:  # pragma: no cover
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sweep(target: Path) -> None:
    """Remove what savers of this target left behind when they were killed."""
    prefix = f".{target.name}{_MARK}"
    with os.scandir(target.parent) as entries:
        leftovers = [entry.path for entry in entries if entry.name.startswith(prefix)]
    for leftover in leftovers:
        with contextlib.suppress(OSError):
            descriptor = os.open(leftover, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
            try:
                # The lock of a living saver is held. One who has just renamed its
                # temporary holds it too, or has let go of a file that is no longer it.
                if _lock(descriptor) and os.path.samestat(
                    os.fstat(descriptor), os.lstat(leftover)
                ):
                    os.unlink(leftover)
            finally:
                os.close(descriptor)


# Reading ------------------------------------------------------------------------------


class FileSource:
    """A file opened once: whatever is renamed over it, the bytes stay the same."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        # A pipe must not be waited for: its kind is looked at once it is open.
        flags |= getattr(os, "O_NONBLOCK", 0)
        self.name = path.name
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            raise MissingFileError(f"There is no file {path}.") from None
        except IsADirectoryError:
            raise NotAFileError(f"{path} is a folder, not a file.") from None
        except OSError as error:
            raise ReadError(
                error.errno, f"Cannot open {path}: {error.strerror}"
            ) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise NotAFileError(f"{path} is {what}.")
        self._file = os.fdopen(descriptor, "rb", buffering=0)
        self.size = status.st_size

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` with the bytes from `offset` on."""
        done = 0
        try:
            self._file.seek(offset)
            while done < len(buffer):
                count = self._file.readinto(buffer[done:])
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

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
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
        write(file)
    except TypeError as error:
        raise ArgumentError(
            f"The file object does not take bytes: {error}. Open it in binary mode."
        ) from error
    except (OSError, ValueError) as error:  # a closed file is a ValueError
        raise SaveError(f"Cannot save to the file object: {error}.") from error


def read_from(file: Any) -> bytes:
    """All that is left in an open file.

    Raises
    ------
    ReadError, ArgumentError
        If the file cannot be read from, or is open as text.
    """
    try:
        data = file.read()
    except (OSError, ValueError) as error:
        raise ReadError(f"Cannot read the file object: {error}.") from error
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise ArgumentError("The file is open as text; open it in binary mode.")
    return bytes(data)


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
