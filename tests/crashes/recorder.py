"""The file operations of a save, one by one: to be replayed, refused or interrupted.

The functions that touch the disk are replaced for a while, so that the code under test
runs unchanged: on a real folder, with a list of what it did to it.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from zodiax_io._files import commit, sources


@dataclass(frozen=True)
class Operation:
    """One step of a save, as the disk sees it.

    `call` is create, write, truncate, sync, rename, unlink, sync folder; or, without
    effect on contents and names, lock or rights.
    """

    call: str
    inode: int = -1  # a number of our own; -1 for what was there before
    name: str = ""
    target: str = ""
    offset: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        what = f"{self.call} {self.name}".strip()
        return f"{what} to {self.target}" if self.target else what


class Recorder:
    """Records what happens to the files of one folder.

    Parameters
    ----------
    folder : Path
        The folder to watch.
    before : callable, optional
        Called with each operation before it happens. What it raises, happens instead;
        the number that it returns is how much of a write succeeds.
    """

    def __init__(
        self, folder: Path, before: Callable[[Operation], int | None] | None = None
    ) -> None:
        self.folder = os.path.realpath(folder)
        self.operations: list[Operation] = []
        self._before = before
        self._files: dict[int, tuple[int, str]] = {}  # by descriptor
        self._inodes: dict[str, int] = {}  # by name
        self._folders: set[int] = set()
        self._real = {name: getattr(os, name) for name in _PATCHED if hasattr(os, name)}

    @contextlib.contextmanager
    def recording(self) -> Iterator[Recorder]:
        """Record for as long as the block runs."""
        with contextlib.ExitStack() as stack:
            for name in self._real:
                patch = mock.patch.object(os, name, getattr(self, f"_{name}"))
                stack.enter_context(patch)
            calls = [
                (commit, "FileIO", self._new),
                (sources, "_open_descriptor", self._open),
            ]
            for module, name, call in calls:
                self._real[name] = getattr(module, name)
                stack.enter_context(mock.patch.object(module, name, call))
            with contextlib.suppress(ImportError):
                import fcntl

                self._real["flock"] = fcntl.flock
                stack.enter_context(mock.patch.object(fcntl, "flock", self._flock))
            yield self

    def note(self, operation: Operation) -> int | None:
        """Announce an operation, and list it unless the announcement raises."""
        allowed = self._before(operation) if self._before else None
        if allowed is not None and operation.call == "write":
            operation = Operation(
                **{**vars(operation), "data": operation.data[:allowed]}
            )
        self.operations.append(operation)
        return allowed

    def about(self, call: str, descriptor: int, **parts: Any) -> int | None:
        """The same for an operation on an open file, if it is one of ours."""
        if descriptor not in self._files:
            return None
        inode, name = self._files[descriptor]
        return self.note(Operation(call, inode, name, **parts))

    def _name(self, path: Any) -> str | None:
        try:
            folder, name = os.path.split(os.path.abspath(os.fspath(path)))
        except TypeError:
            return None
        return name if os.path.realpath(folder) == self.folder else None

    def _new(self, file: Any, mode: str = "r") -> Any:
        name = None if isinstance(file, int) else self._name(file)
        if name is None or "x" not in mode:
            return self._real["FileIO"](file, mode)
        self.note(Operation("create", len(self.operations), name))
        raw = _Raw(self, file, mode)
        self._inodes[name] = len(self.operations) - 1
        self._files[raw.fileno()] = self._inodes[name], name
        return raw

    def _open(self, path: Any, flags: int) -> int:
        descriptor = self._real["_open_descriptor"](path, flags)
        if os.path.realpath(os.fspath(path)) == self.folder:
            self._folders.add(descriptor)
        return descriptor

    def _close(self, descriptor: int) -> None:
        self.forget(descriptor)
        self._real["close"](descriptor)

    def forget(self, descriptor: int) -> None:
        """A descriptor is to be closed, and may mean another file soon."""
        self._files.pop(descriptor, None)
        self._folders.discard(descriptor)

    def _write(self, descriptor: int, data: Any) -> int:
        offset = os.lseek(descriptor, 0, os.SEEK_CUR) if self._mine(descriptor) else 0
        return self._piece("write", descriptor, data, offset)

    def _pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        return self._piece("pwrite", descriptor, data, offset, offset)

    def _piece(
        self, call: str, descriptor: int, data: Any, offset: int, *args: int
    ) -> int:
        data = bytes(data)
        allowed = self.about("write", descriptor, offset=offset, data=data)
        return self._real[call](descriptor, data[:allowed], *args)

    def _mine(self, descriptor: int) -> bool:
        return descriptor in self._files

    def _ftruncate(self, descriptor: int, length: int) -> None:
        self.about("truncate", descriptor, offset=length)
        self._real["ftruncate"](descriptor, length)

    def _fsync(self, descriptor: int) -> None:
        if descriptor in self._folders:
            self.note(Operation("sync folder"))
        else:
            self.about("sync", descriptor)
        self._real["fsync"](descriptor)

    _fdatasync = _fsync

    def _fchmod(self, descriptor: int, mode: int) -> None:
        self.about("rights", descriptor)
        self._real["fchmod"](descriptor, mode)

    def _fchown(self, descriptor: int, user: int, group: int) -> None:
        self.about("rights", descriptor)
        self._real["fchown"](descriptor, user, group)

    def _flock(self, descriptor: int, how: int) -> None:
        self.about("lock", descriptor)
        self._real["flock"](descriptor, how)

    def _replace(self, source: Any, target: Any, **options: Any) -> None:
        one, other = self._name(source), self._name(target)
        if one is not None and other is not None:
            inode = self._inodes.get(one, -1)
            self.note(Operation("rename", inode, one, other))
            self._inodes[other] = self._inodes.pop(one, -1)
        self._real["replace"](source, target, **options)

    _rename = _replace

    def _unlink(self, path: Any, **options: Any) -> None:
        name = self._name(path)
        if name is not None:
            self.note(Operation("unlink", self._inodes.get(name, -1), name))
        self._real["unlink"](path, **options)

    _remove = _unlink


class _Raw(io.FileIO):
    """A file whose writes are listed as they reach the system."""

    def __init__(self, recorder: Recorder, path: Any, mode: str) -> None:
        super().__init__(path, mode)
        self._recorder = recorder

    def write(self, data: Any) -> int:
        data, offset = bytes(data), self.tell()
        allowed = self._recorder.about("write", self.fileno(), offset=offset, data=data)
        return super().write(data[:allowed])

    def truncate(self, size: int | None = None) -> int:
        size = self.tell() if size is None else size
        self._recorder.about("truncate", self.fileno(), offset=size)
        return super().truncate(size)

    def close(self) -> None:
        if not self.closed:
            self._recorder.forget(self.fileno())
        super().close()


_PATCHED = [
    *("close", "write", "pwrite", "ftruncate", "fsync", "fdatasync"),
    *("fchmod", "fchown", "replace", "rename", "unlink", "remove"),
]


def record(folder: Path, save: Callable[[], object]) -> list[Operation]:
    """What a save does to the files of a folder, in order."""
    with Recorder(folder).recording() as recorder:
        save()
    return recorder.operations
