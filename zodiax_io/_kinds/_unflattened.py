"""Proof, before a save, that unflattening gives an object back, in any process.

An object that can be kept by its attributes needs none of this. One that holds what no
file can hold (a lock, a lambda) is rebuilt by the unflatten function of its class. Such
a function may lose attributes, or may hand them out in the order of a set, which is
another one in the next process. So it is tried here, and watched while it runs.
"""

from __future__ import annotations

import builtins
import collections
import dis
import functools
import sys
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

import jax.tree_util as jtu
import numpy as np

from .. import _compat, _names
from .._curated import FRAMEWORKS
from .._errors import LIMITS
from .._trust import class_attribute, is_function
from ._base import CannotRebuild

_ADVICE = "Register a kind for it with `zodiax_io.register_kind`."
# Objects of Python's own that begin anew with each instance.
_WITHOUT_STATE = (type(threading.Lock()), type(threading.RLock()), threading.local)
_MAX_COMPARED = 100_000
State = Callable[[Any], dict[str, Any]]


def check_unflattening(
    obj: Any, children: list[Any], aux: Any, state_of: State
) -> None:
    """Refuse an object that unflattening would not give back as it is.

    Parameters
    ----------
    obj : object
        An instance of a class registered as a pytree node.
    children, aux : list, object
        What it flattens into.
    state_of : callable
        From an object to its attributes.

    Raises
    ------
    CannotRebuild
        If it would come back different here, or might in another process.
    """
    cls = type(obj)
    name = f"`{cls.__module__}.{cls.__qualname__}`"
    try:
        with Watch() as watch:
            _compat.flatten_once(obj)
            fresh = _compat.unflatten_once(cls, aux, children)
    except LIMITS:
        raise
    except Exception as error:
        raise CannotRebuild(
            f"The unflatten function of {name} failed on what the object flattens "
            f"into: {type(error).__name__}: {error}. {_ADVICE}"
        ) from error
    found = watch.uses_of_sets()
    if found is not None:
        raise CannotRebuild(
            f"{name} flattens by way of a set (in `{found}`), whose order changes from "
            f"process to process: its attributes could be exchanged. {_ADVICE}"
        )
    different = _Comparison(state_of).difference(obj, fresh)
    if different:
        raise CannotRebuild(
            f"The flatten and unflatten functions of {name} do not give back "
            f"{different} as it is. {_ADVICE}"
        )


class Watch:
    """Notes the functions that this thread calls, other than those of frameworks."""

    def __init__(self) -> None:
        self._spaces: dict[types.CodeType, tuple[dict[str, Any], Any]] = {}

    def __enter__(self) -> Watch:
        self._before = before = sys.getprofile()
        # Another profiler that cannot be put back is left as it is.
        if before is None or callable(before) or hasattr(before, "enable"):
            sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        before: Any = self._before
        if before is None or callable(before):
            sys.setprofile(before)
        elif hasattr(before, "enable"):  # of `cProfile`, which is no function
            sys.setprofile(None)
            before.enable()

    def _note(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event != "call" or frame.f_code in self._spaces:
            return
        module = frame.f_globals.get("__name__")
        package = _names.top(module) if type(module) is str else ""
        if not (package in _TRUE_TO_ORDER or _names.is_standard(package)):
            first = next(iter(frame.f_locals.values()), None)
            owner = first if _names.is_class(first) else type(first)
            self._spaces[frame.f_code] = frame.f_globals, owner

    def uses_of_sets(self) -> str | None:
        """The name of a function that makes a set or goes through one, if one does."""
        for code, (space, owner) in self._spaces.items():
            before = None
            for step in dis.get_instructions(code):
                if _is_of_a_set(step, before, space, owner):
                    return code.co_qualname
                before = step
        return None


# Their sets order no children of other classes.
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
        return found is set or found is frozenset or type(found) in _SETS
    if step.opname in _READS_AN_ATTRIBUTE:
        return type(class_attribute(owner, step.argval)) in _SETS
    if step.opname == "GET_ITER" and before is not None:
        return type(before.argval) is frozenset
    return step.opname in _MAKES_A_SET


class _Comparison:
    """Compares two objects attribute by attribute, as far as they can be seen."""

    def __init__(self, state_of: State) -> None:
        self._state_of = state_of
        self._alike: set[tuple[int, int]] = set()
        self._seen: list[Any] = []  # kept alive, so that identities stay their own

    def difference(self, one: Any, other: Any) -> str:
        """The first attribute that is not the same, in words; empty if none differs."""
        if type(one) is not type(other):
            return "its class"
        self._suppose(one, other)
        cls = type(one)
        before, after = self._state_of(one), self._state_of(other)
        for name in [*before, *(n for n in after if n not in before)]:
            if _is_derived(cls, name, before, after):
                continue
            if name not in before or name not in after:
                return f"the attribute {name!r}"
            if not self.same(before[name], after[name]):
                return f"the attribute {name!r}"
        if not all(self.same(a, b) for a, b in self._items(one, other)):
            return "its items"
        return ""

    def same(self, one: Any, other: Any) -> bool:
        """Whether two objects are the same for every use."""
        if one is other or (id(one), id(other)) in self._alike:
            return True
        cls = type(one)
        if cls is not type(other) or len(self._alike) > _MAX_COMPARED:
            return False
        self._suppose(one, other)
        if cls in (np.ndarray, _compat.array_type()):
            return _same_array(one, other)
        if cls in (float, complex):
            return one.real.hex() == other.real.hex() and (
                one.imag.hex() == other.imag.hex()
            )
        if _names.is_one_of(cls, _WITHOUT_STATE):
            return True
        if is_function(one) or cls in (types.MethodType, types.CellType):
            return all(self.same(a, b) for a, b in _parts_of_function(one, other))
        if cls in (functools.partial, jtu.Partial):
            one, other = _parts_of_partial(one), _parts_of_partial(other)
        if _names.derives(cls, np.generic):
            return one.dtype == other.dtype and one.tobytes() == other.tobytes()
        if self._is_visible(one):
            return not self.difference(one, other)
        return self._same_items(one, other)

    def _suppose(self, one: Any, other: Any) -> None:
        """Take two objects for the same while what is in them is compared."""
        self._alike.add((id(one), id(other)))
        self._seen.append((one, other))

    def _is_visible(self, obj: Any) -> bool:
        return bool(self._state_of(obj))

    def _same_items(self, one: Any, other: Any) -> bool:
        pairs = self._items(one, other)
        if pairs is not _NO_ITEMS:
            return all(self.same(a, b) for a, b in pairs)
        home = (_names.own_name(type(one)) or ("",))[0]
        standard = _names.is_standard(_names.top(home)) or isinstance(one, np.dtype)
        return standard and bool(one == other)

    def _items(self, one: Any, other: Any) -> Any:
        cls = type(one)
        if _names.derives(cls, dict):
            both = (*dict.items(one),), (*dict.items(other),)
        elif _names.derives(cls, list):
            both = (*list.__iter__(one),), (*list.__iter__(other),)
        elif _names.derives(cls, tuple):
            both = (*tuple.__iter__(one),), (*tuple.__iter__(other),)
        elif cls is collections.deque:
            both = (one.maxlen, *one), (other.maxlen, *other)
        else:
            return _NO_ITEMS
        if len(both[0]) != len(both[1]):
            return [(0, 1)]
        return zip(*both, strict=True)


_NO_ITEMS: tuple[Any, ...] = ()


def _is_derived(
    cls: type, name: str, before: dict[str, Any], after: dict[str, Any]
) -> bool:
    """Whether an attribute is made from others, when asked for: it may be absent."""
    if "hash" in name and type(before.get(name, 0)) is int:
        return True  # it holds for one process only
    if name in before and name in after:
        return False
    found = class_attribute(cls, name)
    space = [key for base in _names.mro(type(found)) for key in _names.namespace(base)]
    return "__get__" in space and "__set__" not in space and not is_function(found)


def _same_array(one: Any, other: Any) -> bool:
    try:
        a, b = np.asarray(one), np.asarray(other)
    except LIMITS:
        raise
    except Exception:  # deleted, or not of this process
        return False
    same = a.dtype == b.dtype and a.shape == b.shape
    weak = getattr(one, "weak_type", None) == getattr(other, "weak_type", None)
    return same and weak and a.dtype.kind != "O" and a.tobytes() == b.tobytes()


def _parts_of_function(one: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """What must be the same for two functions to be."""
    if type(one) is types.FunctionType:
        yield one.__code__ is other.__code__, True
        yield one.__globals__ is other.__globals__, True
        for name in ("__defaults__", "__kwdefaults__", "__dict__"):
            yield getattr(one, name), getattr(other, name)
        yield one.__closure__ or (), other.__closure__ or ()
    elif type(one) is types.MethodType:
        yield one.__func__, other.__func__
        yield one.__self__, other.__self__
    elif type(one) is types.CellType:
        yield _contents(one), _contents(other)
    else:  # what JAX and NumPy make of a function
        inner, again = (
            getattr(one, "__wrapped__", one),
            getattr(other, "__wrapped__", 0),
        )
        yield inner, again
        yield _compat.jit_options(one), _compat.jit_options(other)


def _parts_of_partial(obj: Any) -> tuple[Any, ...]:
    return obj.func, obj.args, obj.keywords


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
