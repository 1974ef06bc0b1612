"""Every state of the disk that a crash can leave, from the operations of a save.

After ALICE (Pillai et al., OSDI 2014). A killed process has done a first part of its
operations. After a power loss, what no fsync followed may be missing, in any
combination: renames, creations and removals of names until the folder is synced;
contents of a file until the file is, so that they may be empty, zeros or a part.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from .recorder import Operation

State = dict[str, bytes]
_NAMES = ("create", "rename", "unlink")
_CONTENTS = ("write", "truncate")


def after_kill(before: State, operations: Sequence[Operation]) -> Iterator[State]:
    """What is there when a process is killed at any moment, writes torn included."""
    seen: set[frozenset[tuple[str, bytes]]] = set()
    for done in range(len(operations) + 1):
        last = operations[done - 1] if done else None
        torn = [operations[:done]]
        if last is not None and last.call == "write":
            for length in {0, 1, len(last.data) // 2, len(last.data) - 1}:
                piece = Operation(**{**vars(last), "data": last.data[:length]})
                torn.append([*operations[: done - 1], piece])
        for happened in torn:
            state = _apply(before, happened, happened)
            yield from _new(state, seen)


def after_power_loss(
    before: State, operations: Sequence[Operation], *, ended: bool = False
) -> Iterator[State]:
    """What is there when the power fails: at any moment, or after all has `ended`."""
    seen: set[frozenset[tuple[str, bytes]]] = set()
    for done in range(len(operations) if ended else 0, len(operations) + 1):
        happened = operations[:done]
        synced = [i for i, op in enumerate(happened) if op.call == "sync folder"]
        start = synced[-1] if synced else 0
        certain = [op for op in happened[:start] if op.call in _NAMES]
        pending = [op for op in happened[start:] if op.call in _NAMES]
        variants = _contents(happened)
        inodes = sorted(variants)
        for kept in itertools.product([False, True], repeat=len(pending)):
            names = certain + [op for op, k in zip(pending, kept, strict=True) if k]
            used = set(_names(before, names).values())
            free = [inode for inode in inodes if inode in used]
            for choice in itertools.product(*(variants[inode] for inode in free)):
                contents = dict(zip(free, choice, strict=True))
                state = _apply(before, names, (), contents)
                yield from _new(state, seen)


def write(state: State, folder: Path) -> None:
    """Put a state into an empty or earlier used folder."""
    for path in folder.iterdir():
        path.unlink()
    for name, data in state.items():
        (folder / name).write_bytes(data)


def _new(state: State, seen: set[frozenset[tuple[str, bytes]]]) -> Iterator[State]:
    key = frozenset(state.items())
    if key not in seen:
        seen.add(key)
        yield state


def _names(before: State, operations: Sequence[Operation]) -> dict[str, int | str]:
    """Which file stands under which name: ours by number, earlier ones by name."""
    names: dict[str, int | str] = {name: name for name in before}
    for op in operations:
        if op.call == "create":
            names[op.name] = op.inode
        elif op.call == "rename":
            # Renaming may reach the disk where the creation of the source did not.
            earlier = names.pop(op.name, None)
            names[op.target] = op.inode if op.inode >= 0 else earlier or op.target
        elif op.call == "unlink":
            names.pop(op.name, None)
    return names


def _apply(
    before: State,
    names: Sequence[Operation],
    contents: Sequence[Operation],
    known: dict[int, bytes] | None = None,
) -> State:
    found = known or {}
    if known is None:
        for inode in {op.inode for op in contents if op.call in _CONTENTS}:
            found[inode] = _content([op for op in contents if op.inode == inode])
    return {
        name: before[file] if isinstance(file, str) else found.get(file, b"")
        for name, file in _names(before, names).items()
    }


def _content(operations: Sequence[Operation]) -> bytes:
    data = bytearray()
    for op in operations:
        if op.call == "write":
            data.extend(bytes(max(op.offset + len(op.data) - len(data), 0)))
            data[op.offset : op.offset + len(op.data)] = op.data
        elif op.call == "truncate":
            data = data[: op.offset].ljust(op.offset, b"\0")
    return bytes(data)


def _contents(happened: Sequence[Operation]) -> dict[int, list[bytes]]:
    """What each file may hold: all of it once synced, anything before."""
    result: dict[int, list[bytes]] = {}
    for inode in {op.inode for op in happened if op.call == "create"}:
        own = [op for op in happened if op.inode == inode]
        synced = [i for i, op in enumerate(own) if op.call == "sync"]
        start = synced[-1] if synced else 0
        certain, pending = own[:start], own[start:]
        writes = [op for op in pending if op.call in _CONTENTS]
        full = _content(own)
        variants = {full, _content(certain)}
        if writes:
            variants |= {bytes(len(full)), full[: len(full) // 2]}
            variants.add(full[: len(full) // 2].ljust(len(full), b"\0"))
            variants.add(bytes(len(full) // 2) + full[len(full) // 2 :])
            for lost in range(len(writes)):
                variants.add(_content(certain + writes[:lost] + writes[lost + 1 :]))
        result[inode] = sorted(variants)
    return result
