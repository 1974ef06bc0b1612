"""Watch whether code uses a set, whose order changes from process to process.

The functions that flatten and unflatten an object are recorded while they run, and
their bytecode is read. The first check finds direct uses of sets. The second, wider
check also finds indirect ways to the order of a set or of hashes; it is for values that
a load cannot check.
"""

from __future__ import annotations

import builtins
import collections
import dis
import functools
import operator
import sys
import types
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

from .._trust import names, reflection
from .._trust.reflection import class_attribute
from .._trust.table import FRAMEWORKS
from .contents import items_of


class _Call(NamedTuple):
    """The first call of a function: its globals, its class, and its arguments."""

    space: dict[str, Any]
    owner: type
    arguments: dict[str, Any]


class Watch:
    """Records the functions that this thread calls, except those of frameworks."""

    def __init__(self) -> None:
        self._calls: dict[types.CodeType, _Call] = {}
        self._seen_at: str | None = None

    def __enter__(self) -> Watch:
        self._before = before = sys.getprofile()
        # A profiler of another kind cannot be restored, so it is not replaced.
        if before is None or callable(before) or hasattr(before, "enable"):
            sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        before: Any = self._before
        if before is None or callable(before):
            sys.setprofile(before)
        elif hasattr(before, "enable"):  # of `cProfile`, which is not a function
            sys.setprofile(None)
            before.enable()

    def _note(self, frame: types.FrameType, event: str, arg: Any) -> None:
        code = frame.f_code
        if code in self._calls and (
            (event == "return" and _is_unordered(type(arg)))
            or (event == "c_call" and _computes_with_sets(arg))
        ):
            self._seen_at = self._seen_at or code.co_qualname
        if event != "call" or code in self._calls:
            return
        module = frame.f_globals.get("__name__")
        package = names.top_level_package(module) if type(module) is str else ""
        if not (package in _TRUE_TO_ORDER or names.is_standard(package)):
            arguments = dict(frame.f_locals)
            first = next(iter(arguments.values()), None)
            owner = first if reflection.is_class(first) else type(first)
            self._calls[code] = _Call(frame.f_globals, owner, arguments)

    def uses_of_sets(self) -> str | None:
        """The name of a function that makes or reads a set, or None."""
        for code, call in self._calls.items():
            before = None
            for step in dis.get_instructions(code):
                if _is_of_a_set(step, before, call.space, call.owner):
                    return code.co_qualname
                before = step
        return None

    def ways_to_sets(self) -> str | None:
        """The name of a function that may use an order of sets or hashes, or None."""
        for code, call in self._calls.items():
            if _computes_an_order(code) or _reaches_a_set(code, call):
                return code.co_qualname
        return self._seen_at


# Their sets do not order the children of other classes.
_TRUE_TO_ORDER = FRAMEWORKS | {"zodiax_io"}
_SETS = (set, frozenset)
_MAKES_A_SET = frozenset({"BUILD_SET", "SET_ADD", "SET_UPDATE"})
_READS_A_NAME = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_READS_AN_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})


def _is_of_a_set(
    step: dis.Instruction,
    before: dis.Instruction | None,
    space: dict[str, Any],
    owner: type,
) -> bool:
    if step.opname in _READS_A_NAME:
        name = step.argval
        found = space[name] if name in space else vars(builtins).get(name)
        is_set = reflection.is_one_of(type(found), _SETS)
        return is_set or any(found is known for known in _SETS)
    if step.opname in _READS_AN_ATTRIBUTE:
        return reflection.is_one_of(type(class_attribute(owner, step.argval)), _SETS)
    if step.opname == "GET_ITER" and before is not None:
        return type(before.argval) is frozenset
    return step.opname in _MAKES_A_SET


# The wider check ----------------------------------------------------------------------

_UNORDERED = (*_SETS, weakref.WeakSet)
_ORDERING = (hash, id, set, frozenset, weakref.WeakSet)
_OPERATORS = (operator.sub, operator.and_, operator.or_, operator.xor)
_METHODS_OF_SETS = frozenset(
    {"union", "difference", "intersection", "symmetric_difference", "__hash__"}
)
_MAKES_A_VIEW = frozenset({"keys", "items"})
_OF_SETS = frozenset({"-", "&", "|", "^", "-=", "&=", "|=", "^="})
_MAX_REACHED = 10_000


def _is_unordered(cls: type) -> bool:
    return any(reflection.derives(cls, base) for base in _UNORDERED)


def _computes_with_sets(function: Any) -> bool:
    """Whether a function in C computes a hash, or is a method of a set or makes one."""
    known = (*_ORDERING, *_OPERATORS)
    owner = getattr(function, "__self__", None)
    return any(function is one for one in known) or _is_unordered(type(owner))


def _computes_an_order(code: types.CodeType) -> bool:
    """Whether a function computes with sets, or with the keys of dictionaries."""
    used = frozenset(_names_in(code))
    if used & _METHODS_OF_SETS:
        return True
    return bool(used & _MAKES_A_VIEW) and any(
        step.opname == "BINARY_OP" and step.argrepr in _OF_SETS
        for step in dis.get_instructions(code)
    )


def _names_in(code: types.CodeType) -> Iterable[str]:
    """The names of globals and attributes, also those in constants for `getattr`."""
    yield from code.co_names
    yield from (c for c in code.co_consts if type(c) is str and c.isidentifier())


def _reaches_a_set(code: types.CodeType, call: _Call) -> bool:
    """Whether the names that a function uses lead to a set.

    Searched are its variables (with defaults and those of an outer function), its
    globals, the items of these, and their attributes of the names that it uses.
    """
    used = [*_names_in(code)]
    globals_of = collections.ChainMap(call.space, dict(vars(builtins)))
    waiting = [*call.arguments.values()]
    waiting += [globals_of[name] for name in code.co_names if name in globals_of]
    seen: dict[int, Any] = {}
    while waiting:
        obj = waiting.pop()
        if id(obj) in seen:
            continue
        seen[id(obj)] = obj
        if _is_unordered(type(obj)) or any(obj is way for way in _ORDERING):
            return True
        if len(seen) > _MAX_REACHED:  # too much to search
            return True
        waiting.extend(_parts_of(obj))
        waiting.extend(_attributes_of(obj, used))
    return False


def _parts_of(obj: Any) -> Iterable[Any]:
    cls = type(obj)
    items = items_of(obj)
    if items is not None:
        return items[1::2] if reflection.derives(cls, dict) else items
    if reflection.derives(cls, functools.partial):
        return obj.func, *obj.args, *obj.keywords.values()
    if reflection.is_one_of(cls, (types.MethodType, types.BuiltinMethodType)):
        return (obj.__self__,)
    return ()


def _attributes_of(obj: Any, used: Iterable[str]) -> Iterable[Any]:
    """The attributes of these names, of an object or of its class."""
    attributes = {} if reflection.is_class(obj) else reflection.instance_dict(obj) or {}
    cls = obj if reflection.is_class(obj) else type(obj)
    for name in used:
        if name in attributes:
            yield attributes[name]
        found = class_attribute(cls, name)
        if found is not None:
            yield found
        if type(found) is types.MemberDescriptorType and cls is not obj:
            try:
                yield found.__get__(obj, cls)
            except AttributeError:  # a slot that was never set
                continue
