"""The plain values in a pickle, read without Python's pickle machinery.

Such a file may hold text, numbers, tuples and mappings, and nothing else: there is no
code here that could find a class or call one, whatever the bytes say.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from ..._arrays.backend import Source
from ..._errors import CorruptFileError, UnknownFormatError, shown


class Pairs(list[tuple[Any, Any]]):
    """A mapping as its pairs: nothing is hashed that a stranger chose to collide."""


# Protocols 0 and 1 have no beginning to be known by; Python 3 has never written them
# unless asked to.
_PROTOCOLS = range(2, 6)
_MAX_SIZE = 1 << 26  # a million nodes; each byte may take a hundred in memory
_CHUNK = 1 << 16
_MAX_FETCHED = 1_000_000


def is_pickle(start: bytes | bytearray) -> bool:
    """Whether bytes begin as a pickle does."""
    return len(start) >= 2 and start[0] == 0x80 and start[1] in _PROTOCOLS


def read_plain(source: Source, file: str) -> tuple[Any, int]:
    """What the pickle at the beginning of a file holds, and where it ends.

    A mapping comes as `Pairs`.

    Raises
    ------
    UnknownFormatError
        If it holds anything but plain values.
    CorruptFileError
        If it ends too early.
    """
    machine = _Machine(source)
    try:
        return machine.run(), machine.at
    except _Incomplete:
        raise CorruptFileError(
            f"{file} is incomplete or damaged: it begins with a pickle that does not "
            f"end before byte {min(source.size, _MAX_SIZE)}."
        ) from None
    # What an opcode finds on the stack may be of any other type than it expects.
    except (_Foreign, ValueError, TypeError, LookupError) as error:
        reason = str(error) if isinstance(error, _Foreign) else "this one is damaged"
        raise UnknownFormatError(
            f"{file} is a pickle, and zodiax_io runs none: it reads those of "
            f"`zodiax.experimental.serialise`, which hold plain values, but {reason} "
            f"(at byte {machine.at})."
        ) from error


class _Incomplete(Exception):
    """The file ends within the pickle."""


class _Foreign(Exception):
    """The pickle holds something else than plain values."""


class _Machine:
    """The stack on which a pickle builds its values, with the opcodes for plain ones.

    A mapping is never met twice, so that none can hold itself.
    """

    def __init__(self, source: Source) -> None:
        self.at = 0
        self._source = source
        self._chunk, self._start, self._end = b"", 0, 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._fetched = 0

    def run(self) -> Any:
        while True:
            opcode = self._take(1)
            if opcode == b".":
                (value,) = self._stack
                return value
            step = _STEPS.get(opcode)
            if step is None:
                raise _Foreign(self._what(opcode))
            step(self)

    def _what(self, opcode: bytes) -> str:
        names = self._stack[-2:]
        if opcode == b"\x93" and [type(name) for name in names] == [str, str]:
            return f"this one holds an object of `{shown('.'.join(names))}`"
        return f"this one holds more (opcode {opcode!r})"

    def _take(self, count: int) -> bytes:
        start, end = self.at - self._start, self.at + count
        if end > self._end:
            self._fetch(count)
            start = 0
        self.at = end
        return self._chunk[start : start + count]

    def _fetch(self, count: int) -> None:
        limit = min(self._source.size, _MAX_SIZE)
        if self.at + count > limit:
            raise _Incomplete
        data = bytearray(min(max(count, _CHUNK), limit - self.at))
        self._source.read_into(memoryview(data), self.at)
        self._chunk, self._start = bytes(data), self.at
        self._end = self.at + len(data)

    def _count(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def skip(self, width: int) -> None:
        self._take(width)

    def push_unsigned(self, width: int) -> None:
        self.push(self._count(width))

    def push_signed(self, width: int) -> None:
        self.push(int.from_bytes(self._take(width), "little", signed=True))

    def push_long(self, width: int) -> None:
        self.push_signed(self._count(width))

    def push_float(self, width: int) -> None:
        self.push(struct.unpack(">d", self._take(width))[0])

    def push_text(self, width: int) -> None:
        self.push(self._take(self._count(width)).decode("utf8", "surrogatepass"))

    def push_pairs(self, _: int) -> None:
        self.push(Pairs())

    def mark(self, _: int) -> None:
        self._marks.append(len(self._stack))

    def _cut(self, start: int) -> list[Any]:
        # Beyond the last mark, or the bottom, there is nothing to take.
        if start < (self._marks[-1] if self._marks else 0):
            raise IndexError
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def push_tuple(self, length: int) -> None:
        items = self._cut(
            self._marks.pop() if length < 0 else len(self._stack) - length
        )
        if any(type(item) is Pairs for item in items):
            raise _Foreign("this one holds mappings in a tuple")
        self.push(tuple(items))

    def set_items(self, length: int) -> None:
        items = self._cut(
            self._marks.pop() if length < 0 else len(self._stack) - length
        )
        pairs = self._stack[-1]
        if type(pairs) is not Pairs or any(type(key) is Pairs for key in items[::2]):
            raise TypeError
        pairs.extend(zip(items[::2], items[1::2], strict=True))

    def memoize(self, _: int) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def put(self, width: int) -> None:
        self._memo[self._count(width)] = self._stack[-1]

    def get(self, width: int) -> None:
        value = self._memo[self._count(width)]
        if type(value) is Pairs:
            raise _Foreign("this one holds a mapping at several places")
        # Tuples of tuples that are met again and again would never end.
        waiting = [value] if type(value) is tuple else []
        while waiting:
            inner = waiting.pop()
            self._fetched += 1 + len(inner)
            if self._fetched > _MAX_FETCHED:
                raise _Foreign("this one repeats too much")
            waiting += [item for item in inner if type(item) is tuple]
        self.push(value)


def _with(method: Callable[[_Machine, Any], None], value: Any) -> Callable[..., None]:
    return lambda machine: method(machine, value)


# All that protocols 2 to 5 write for plain values, but for lists: old files have none.
_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _with(_Machine.skip, 1),  # the protocol
    b"\x95": _with(_Machine.skip, 8),  # the length of a frame
    b"N": _with(_Machine.push, None),
    b"\x88": _with(_Machine.push, True),
    b"\x89": _with(_Machine.push, False),
    b"K": _with(_Machine.push_unsigned, 1),
    b"M": _with(_Machine.push_unsigned, 2),
    b"J": _with(_Machine.push_signed, 4),
    # Up to 255 bytes: nobody can read, and Python would not print, longer ones.
    b"\x8a": _with(_Machine.push_long, 1),
    b"G": _with(_Machine.push_float, 8),
    b"\x8c": _with(_Machine.push_text, 1),
    b"X": _with(_Machine.push_text, 4),
    b"\x8d": _with(_Machine.push_text, 8),
    b"}": _with(_Machine.push_pairs, 0),
    b"(": _with(_Machine.mark, 0),
    b")": _with(_Machine.push_tuple, 0),
    b"\x85": _with(_Machine.push_tuple, 1),
    b"\x86": _with(_Machine.push_tuple, 2),
    b"\x87": _with(_Machine.push_tuple, 3),
    b"t": _with(_Machine.push_tuple, -1),
    b"s": _with(_Machine.set_items, 2),
    b"u": _with(_Machine.set_items, -1),
    b"\x94": _with(_Machine.memoize, 0),
    b"q": _with(_Machine.put, 1),
    b"r": _with(_Machine.put, 4),
    b"h": _with(_Machine.get, 1),
    b"j": _with(_Machine.get, 4),
}
