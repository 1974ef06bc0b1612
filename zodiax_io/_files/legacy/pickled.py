"""The plain values in a pickle, read without Python's pickle machinery.

`pickletools.genops` splits the bytes into opcodes with their arguments, and runs
nothing. The values are built here, from text, numbers, tuples and mappings: no code
here could find a class or call one, whatever the bytes are.
"""

from __future__ import annotations

from collections.abc import Callable
from pickletools import genops
from typing import Any

from ..._arrays.backend import Source
from ..._errors import CorruptFileError, UnknownFormatError, shown


class Pairs(list[tuple[Any, Any]]):
    """A mapping as a list of pairs: keys that a stranger chose are never hashed."""


# Python 3 writes protocols 0 and 1 only on request, and they have no fixed first byte.
_PROTOCOLS = range(2, 6)
_MAX_SIZE = 1 << 26  # a million nodes; a byte may take a hundred in memory
_CHUNK = 1 << 16
_MAX_REPEATED = 1_000_000


def is_pickle(start: bytes | bytearray) -> bool:
    """Whether bytes begin as a pickle does."""
    return len(start) >= 2 and start[0] == 0x80 and start[1] in _PROTOCOLS


def read_plain(source: Source, file: str) -> tuple[Any, int]:
    """The value of the pickle at the beginning of a file, and where the pickle ends.

    A mapping becomes `Pairs`.

    Raises
    ------
    UnknownFormatError
        If the pickle holds anything but plain values.
    CorruptFileError
        If it ends too early.
    """
    pickle = _PickleFile(source)
    try:
        return _Machine().run(pickle), pickle.tell()
    except _Incomplete:
        raise CorruptFileError(
            f"{file} is incomplete or damaged: it begins with a pickle that does not "
            f"end before byte {min(source.size, _MAX_SIZE)}."
        ) from None
    # An opcode may find a value of the wrong type on the stack.
    except (_NotPlain, ValueError, TypeError, LookupError) as error:
        reason = str(error) if isinstance(error, _NotPlain) else "this one is damaged"
        raise UnknownFormatError(
            f"{file} is a pickle, and zodiax_io never unpickles: it reads the pickles "
            "of `zodiax.experimental.serialise`, which hold plain values, but "
            f"{reason} (at byte {pickle.tell()})."
        ) from error


class _Incomplete(Exception):
    """The file ends within the pickle."""


class _NotPlain(Exception):
    """The pickle holds something else than plain values."""


class _PickleFile:
    """The pickle at the beginning of a file, as the binary file that `genops` reads.

    A length in the pickle may be as large as a stranger likes: no memory is taken for
    more bytes than the file holds, or than `_MAX_SIZE`.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._limit = min(source.size, _MAX_SIZE)
        self._chunk, self._start, self._next = b"", 0, 0

    def tell(self) -> int:
        return self._start + self._next

    def read(self, count: int) -> bytes:
        start, end = self._next, self._next + count
        if end > len(self._chunk):
            self._fetch(count)
            start, end = 0, count
        self._next = end
        return self._chunk[start:end]

    def _fetch(self, count: int) -> None:
        at = self.tell()
        if at + count > self._limit:
            raise _Incomplete
        data = bytearray(min(max(count, _CHUNK), self._limit - at))
        self._source.read_into(memoryview(data), at)
        self._chunk, self._start, self._next = bytes(data), at, 0

    def readline(self) -> bytes:
        # Opcodes with arguments in lines: protocols 0 and 1, and references to classes.
        raise _not_allowed(self._chunk[self._next - 1 : self._next])


def _not_allowed(opcode: bytes) -> _NotPlain:
    return _NotPlain(f"this one holds other objects (opcode {opcode!r})")


class _Machine:
    """The stack on which a pickle builds its values, with the opcodes for plain ones.

    A mapping cannot be fetched from the memo, so that none can contain itself.
    """

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._repeated = 0

    def run(self, pickle: Any) -> Any:
        for opcode, argument, _ in genops(pickle):
            action = _ACTIONS.get(opcode.name)
            if action is not None:
                action(self, argument)
            elif opcode.name != "STOP":
                raise self._refusal(opcode.name, opcode.code.encode("latin1"))
        (value,) = self._stack
        return value

    def _refusal(self, name: str, code: bytes) -> _NotPlain:
        names = self._stack[-2:]
        if name == "STACK_GLOBAL" and [type(name) for name in names] == [str, str]:
            return _NotPlain(f"this one holds an object of `{shown('.'.join(names))}`")
        return _not_allowed(code)

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def mark(self, _: None) -> None:
        self._marks.append(len(self._stack))

    def _pop(self, start: int) -> list[Any]:
        # No opcode may take values from below the last mark.
        if start < (self._marks[-1] if self._marks else 0):
            raise IndexError
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def push_tuple(self, start: int) -> None:
        items = self._pop(start)
        if any(type(item) is Pairs for item in items):
            raise _NotPlain("this one holds mappings in a tuple")
        self.push(tuple(items))

    def set_items(self, start: int) -> None:
        items = self._pop(start)
        pairs = self._stack[-1]
        if type(pairs) is not Pairs or any(type(key) is Pairs for key in items[::2]):
            raise TypeError
        pairs.extend(zip(items[::2], items[1::2], strict=True))

    def memoize(self, _: None) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        value = self._memo[index]
        if type(value) is Pairs:
            raise _NotPlain("this one holds a mapping at several places")
        # Tuples that contain one another many times would take for ever to compare.
        waiting = [value] if type(value) is tuple else []
        while waiting:
            inner = waiting.pop()
            self._repeated += 1 + len(inner)
            if self._repeated > _MAX_REPEATED:
                raise _NotPlain("this one repeats too much")
            waiting += [item for item in inner if type(item) is tuple]
        self.push(value)

    def top(self, count: int) -> int:
        """Where the last `count` values of the stack begin."""
        return len(self._stack) - count

    def last_mark(self) -> int:
        return self._marks.pop()


# The opcodes of protocols 2 to 5 for plain values. Old files hold no lists. LONG4 is
# left out, so that no integer has more than 255 bytes.
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(
        ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"), _Machine.push
    ),
    **dict.fromkeys(("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_DICT": lambda machine, _: machine.push(Pairs()),
    "MARK": _Machine.mark,
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "TUPLE1": lambda machine, _: machine.push_tuple(machine.top(1)),
    "TUPLE2": lambda machine, _: machine.push_tuple(machine.top(2)),
    "TUPLE3": lambda machine, _: machine.push_tuple(machine.top(3)),
    "TUPLE": lambda machine, _: machine.push_tuple(machine.last_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.top(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.last_mark()),
    "MEMOIZE": _Machine.memoize,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), _Machine.get),
}
