"""Find the saved values that an upgrade replaced.

An upgrade that runs on files of any age may overwrite a field that the file has in its
present form. It may also change lists, dictionaries, dataclasses and arrays in place,
so their contents are copied before it runs, and compared afterwards.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._arrays.distance import same_bytes
from .._errors import LIMITS, shown
from .._kinds.base import Parts
from .._kinds.declared import fields_of
from .proposals import MAX_LISTED


def snapshot_of(parts: Parts) -> dict[str, tuple[str, list[Any]]]:
    """Text and contents of each saved field that the class still has."""
    declared = fields_of(parts.refers)
    children = parts.children if isinstance(parts.children, dict) else {}
    contents = {n: _contents(child) for n, child in children.items() if n in declared}
    return {
        name: (_text_of(children[name], len(found)), found)
        for name, found in contents.items()
    }


def replaced_values(
    before: dict[str, tuple[str, list[Any]]], now: Any
) -> tuple[tuple[str, str], ...]:
    """The fields of a snapshot that changed, with their old values as text.

    `now` is None if an upgrade returned an object of another class.
    """
    if not isinstance(now, dict):
        return ()
    return tuple(
        (field, text)
        for field, (text, contents) in before.items()
        if field not in now or not _all_equal(contents, _contents(now[field]))
    )


def fields_in(obj: Any, cls: type) -> dict[str, Any] | None:
    """The fields of an object that an upgrade returned; None for another class."""
    if type(obj) is not cls:
        return None
    values = {name: getattr(obj, name, _MISSING) for name in fields_of(cls)}
    return {name: value for name, value in values.items() if value is not _MISSING}


_MISSING = object()


def _contents(value: Any) -> list[Any]:
    """A value and everything in it, in order, with copies of writable arrays."""
    found: list[Any] = []
    waiting, seen = [value], set[int]()
    while waiting:
        one = waiting.pop()
        kind = type(one)
        if kind is np.ndarray and one.flags.writeable:
            found.append(one.copy())
            continue
        labels, children = _children(one)
        found.append(one if children is None else (kind, labels))
        if children is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += children
    return found


def _children(value: Any) -> tuple[Any, list[Any] | None]:
    """The labels and the children of a container; None for any other object."""
    if type(value) in (list, tuple):
        return len(value), list(value)
    if type(value) is dict:
        return tuple(value), list(value.values())
    if type(value) is set:
        return frozenset(value), []
    try:
        fields = {n: getattr(value, n, _MISSING) for n in fields_of(type(value))}
    except TypeError:
        return None, None
    return tuple(fields), list(fields.values())


def _all_equal(before: list[Any], now: list[Any]) -> bool:
    return len(before) == len(now) and all(map(_is_equal, before, now))


def _is_equal(before: Any, now: Any) -> bool:
    if before is now or type(before) is not type(now):
        return before is now
    try:
        if isinstance(before, (np.ndarray, np.generic, jax.Array)):
            if (before.shape, before.dtype) != (now.shape, now.dtype):
                return False
            return same_bytes(np.asarray(before), np.asarray(now))
        if isinstance(before, (float, complex)):  # 0.0 and -0.0 differ, nan does not
            return repr(before) == repr(now)
        return bool(before == now)
    except LIMITS:
        raise
    except Exception:  # `__eq__` failed; or a random key, or a deleted array
        return False


def _text_of(value: Any, size: int) -> str:
    """A value, short enough for a line of a warning."""
    try:
        if size > MAX_LISTED:
            return f"a `{type(value).__name__}`"
        return shown(eqx.tree_pformat(value), 60)
    except LIMITS:
        raise
    except Exception:  # raised by the `__repr__` of a class
        return f"a `{type(value).__name__}`"
