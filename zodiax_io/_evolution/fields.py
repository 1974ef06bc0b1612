"""Classes whose fields are no longer those that a file holds."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._arrays.distance import same_bytes
from .._errors import (
    LIMITS,
    ClassChangedError,
    ClassChangedWarning,
    shown,
    warn,
)
from .._kinds.base import Kind, Parts
from .._kinds.declared import default_of, fields_of, runs_code
from .._kinds.fields import FieldsChanged, moved_fields
from .._structure.paths import Path, short_path
from .._trust.names import top_level_package
from .._trust.reflection import mro, namespace
from . import upgrades
from .packages import recorded_version
from .proposals import MAX_LISTED, names_listed, unlike, untrusted
from .upgrades import Upgrade


@dataclass(frozen=True)
class FieldChange:
    """What has become of the fields of an object since it was saved.

    Attributes
    ----------
    path : str
        Where in the tree the object is.
    name : str
        Its class, as the file names it.
    gained : tuple of str
        Fields that the file has not; they have their defaults.
    lost : tuple of str
        Fields that the class has no longer; they were set aside.
    moved : tuple of str
        Fields that were static and are not, or the other way round.
    replaced : tuple of (str, str)
        Fields whose saved value an upgrade for files of any age has replaced, each with
        that value as text.
    """

    path: str
    name: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """One line, as warnings list it."""
        return f"`{shown(self.name)}` at `{shown(self.path)}`: {self._told()}"

    def _told(self) -> str:
        told: list[str] = []
        if self.gained:
            told.append(f"{names_listed(self.gained)} is new, and has its default")
        if self.lost:
            told.append(f"{names_listed(self.lost)} is gone, and was set aside")
        if self.moved:
            told.append(f"{names_listed(self.moved)} is no longer static, or is it now")
        told += [
            f"an upgrade replaced the saved value of `{shown(name)}`, {value}"
            for name, value in self.replaced[:MAX_LISTED]
        ]
        return "; ".join(told)


# What a load does ---------------------------------------------------------------------


@dataclass(eq=False, repr=False)
class Evolution:
    """What one load knows, and finds, about classes that have changed.

    Attributes
    ----------
    versions : mapping of str to str
        The packages that wrote the file.
    strict : bool
        Whether a changed class is an error.
    check_init : bool
        Whether the `__check_init__` of each object is called.
    may_call : callable
        Whether code of a class may run, to make a default.
    old : bool
        Whether the file is of zodiax 0.4 or before, which did not keep all fields.
    changes : list of FieldChange
        What has been found.
    """

    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    strict: bool = False
    check_init: bool = False
    may_call: Callable[[type], bool] = lambda cls: True
    old: bool = False
    changes: list[FieldChange] = field(default_factory=list[FieldChange])

    def build(self, kind: Kind, parts: Parts, path: Path) -> Any:
        """An object with fields, which may be others now than they were.

        Raises
        ------
        ClassChangedError
            If it cannot be made of what the file has.
        """
        saved = parts
        if id(parts.refers) in upgrades.rules:
            parts, made = self.upgrade(parts, path)
            if made is not None:
                return made[0]
        try:
            obj = kind.decode(parts)
        except FieldsChanged as changed:
            parts = self.adapt(parts, changed, path, saved)
            obj = kind.decode(parts)
        if kind.is_module:
            self.compare_static(parts, path)
            if self.check_init:
                self.check(obj, path)
        return obj

    def upgrade(self, parts: Parts, path: Path) -> tuple[Parts, Any]:
        """The parts after the upgrades of their class; or the object that one made.

        Raises
        ------
        ClassChangedError
            If an upgrade fails.
        """
        name = parts.extra["type"]
        version = parts.extra.get("version")
        if type(version) is not str:
            known = recorded_version(
                self.versions, top_level_package(name.partition(":")[0])
            )
            version = None if known is None else known[1]
        waiting = list(upgrades.rules.get(id(parts.refers), ()))
        while isinstance(parts.children, dict):
            held = set(parts.children) | _absent(parts)
            rule = next((rule for rule in waiting if rule.applies(held, version)), None)
            if rule is None:
                break
            # Those before it did not apply. One that names its fields gets another
            # chance, since this one may make them: the order does not matter then.
            passed = waiting[: waiting.index(rule)]
            rest = waiting[waiting.index(rule) + 1 :]
            waiting = [one for one in passed if one.fields is not None] + rest
            known = None if rule.tells_age else _held_today(parts)
            parts, made = self.apply(rule.upgrade, parts, path)
            if known is not None:
                now: Any = (
                    parts.children if made is None else _fields_in(made[0], rule.cls)
                )
                self.compare_values(known, now, name, path)
            if made is not None:
                return parts, made
        return parts, None

    def compare_values(
        self,
        before: dict[str, tuple[str, list[Any]]],
        now: Any,
        name: str,
        path: Path,
    ) -> None:
        """Note the saved values that an upgrade for files of any age has replaced."""
        if not isinstance(now, dict):  # an object of another class
            return
        replaced = tuple(
            (field, text)
            for field, (text, inside) in before.items()
            if field not in now or not _is_as_before(inside, _inside(now[field]))
        )
        if replaced:
            change = FieldChange(short_path(path), name, replaced=replaced)
            self.changes.append(change)

    def apply(self, upgrade: Upgrade, parts: Parts, path: Path) -> tuple[Parts, Any]:
        """The parts after one upgrade; or the object that it made.

        Raises
        ------
        ClassChangedError
            If it fails, or returns what is neither.
        """
        name, children = parts.extra["type"], parts.children
        try:
            result = upgrade(dict(children) if isinstance(children, dict) else {})
        except LIMITS:
            raise
        except Exception as error:  # the user's
            raise ClassChangedError(
                f"the upgrade of `{shown(name)}` at `{short_path(path)}` failed: "
                f"{type(error).__name__}: {shown(error, 400)}"
            ) from error
        if isinstance(result, dict) and all(type(key) is str for key in result):
            return _with_children(parts, dict(result)), None
        if result is None or isinstance(result, dict):
            raise ClassChangedError(
                f"the upgrade of `{shown(name)}` at `{short_path(path)}` has to return "
                f"the fields by name, or an object, not {shown(repr(result))}."
            )
        return parts, (result,)

    def adapt(
        self, parts: Parts, changed: FieldsChanged, path: Path, saved: Parts
    ) -> Parts:
        """The parts as the class has them now: with defaults, without what is gone.

        Raises
        ------
        ClassChangedError
            If a new field has no default, or the class declares no fields.
        """
        cls, name, where = parts.refers, parts.extra["type"], short_path(path)
        children = dict(parts.children) if isinstance(parts.children, dict) else {}
        if any(name.startswith("__") for name in changed.surplus):  # no class had such
            raise ClassChangedError(unlike(cls, name, where, changed))
        try:
            fields = fields_of(cls)
            for gained in changed.missing:
                if runs_code(cls, gained) and not self.may_call(cls):
                    raise ClassChangedError(untrusted(cls, name, where, gained))
                children[gained] = default_of(cls, gained)
        except (ClassChangedError, *LIMITS):
            raise
        except (LookupError, TypeError):
            text = _OLD * self.old + unlike(cls, name, where, changed)
            text += _after_upgrades(parts, saved)
            raise ClassChangedError(text) from None
        except Exception as error:  # of the class
            raise ClassChangedError(
                f"`{shown(name)}` at `{where}` has new fields, and their defaults "
                f"cannot be made: {type(error).__name__}: {shown(error, 400)}"
            ) from error
        for lost in changed.surplus:
            children.pop(lost, None)
        # In the order of the class, as an object made today has them.
        ordered = {n: children.pop(n) for n in fields if n in children} | children
        gained, lost = tuple(changed.missing), tuple(changed.surplus)
        self.changes.append(FieldChange(where, name, gained, lost))
        return _with_children(parts, ordered)

    def compare_static(self, parts: Parts, path: Path) -> None:
        """Note fields that were static and are not, or the other way round."""
        moved = moved_fields(parts)
        if moved:
            change = FieldChange(
                short_path(path), parts.extra["type"], moved=tuple(moved)
            )
            self.changes.append(change)

    def check(self, obj: Any, path: Path) -> None:
        """Call the checks that the class of a Module makes of a new object.

        Raises
        ------
        ClassChangedError
            If one of them fails.
        """
        for cls in mro(type(obj)):
            found = namespace(cls).get("__check_init__")
            if not isinstance(found, types.FunctionType):
                continue
            try:
                found(obj)
            except LIMITS:
                raise
            except Exception as error:
                raise ClassChangedError(
                    f"the object at `{short_path(path)}` does not pass the "
                    f"`__check_init__` of `{cls.__qualname__}`: "
                    f"{type(error).__name__}: {shown(error, 400)}"
                ) from error

    def report(self, file: str) -> None:
        """Warn of all changes, or refuse them.

        Raises
        ------
        ClassChangedError
            If there are some, and `strict` is set.
        """
        if not self.changes:
            return
        told: dict[tuple[str, str], list[str]] = {}
        for change in self.changes:
            told.setdefault((change.name, change._told()), []).append(change.path)
        lines = [
            f"  `{shown(name)}`, {what}; at {_places(paths)}"
            for (name, what), paths in told.items()
        ]
        more = len(lines) - _MAX_LINES
        text = f"{file} holds objects whose classes have changed since:\n" + "\n".join(
            lines[:_MAX_LINES] + ([f"  … and {more} more."] if more > 0 else [])
        )
        advice = "What else is to be done about them, `zodiax_io.upgraded` can say."
        if any(change.replaced for change in self.changes):
            advice += _FOR_ANY_AGE
        if self.old:
            advice = _OLD + advice
        if self.strict:
            raise ClassChangedError(f"{text}\n{advice}", self.changes)
        warn(ClassChangedWarning(f"{text}\n{advice}", self.changes))


_FOR_ANY_AGE = (
    " An upgrade without `before`, and without a name in `fields` that the class no "
    "longer has, runs on files of any age: let it give a new field its value by "
    "`fields.setdefault`, or name by `fields` or `before` the files that it is for."
)
_MAX_LINES = 50
_MAX_PLACES = 3
_OLD = (
    "The file is of zodiax 0.4 or before, which kept no numbers of static fields: what "
    "seems to be new may have been there, with another value than its default. "
)


def _places(paths: list[str]) -> str:
    named = ", ".join(f"`{shown(path)}`" for path in paths[:_MAX_PLACES])
    more = len(paths) - _MAX_PLACES
    return f"{named} and {more} more" if more > 0 else named


def _absent(parts: Parts) -> set[str]:
    """The fields that the object had, and left to the default of its class."""
    absent = parts.extra.get("absent")
    return {n for n in absent if type(n) is str} if type(absent) is list else set()


# A saved value that an upgrade replaces -----------------------------------------------


def _held_today(parts: Parts) -> dict[str, tuple[str, list[Any]]]:
    """The fields of today that a file holds: each value as text, and all in it."""
    declared = fields_of(parts.refers)
    children = parts.children if isinstance(parts.children, dict) else {}
    inside = {n: _inside(child) for n, child in children.items() if n in declared}
    return {
        name: (_text_of(children[name], len(found)), found)
        for name, found in inside.items()
    }


def _inside(value: Any) -> list[Any]:
    """A value and all that is in it, in order, with a copy of each array of NumPy.

    An upgrade may change lists, dictionaries, dataclasses and arrays where they are.
    """
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
        held = {n: getattr(value, n, _MISSING) for n in fields_of(type(value))}
    except TypeError:
        return None, None
    return tuple(held), list(held.values())


def _is_as_before(before: list[Any], now: list[Any]) -> bool:
    return len(before) == len(now) and all(map(_is_same, before, now))


def _is_same(before: Any, now: Any) -> bool:
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
    except Exception:  # of a class; a random key, or an array that was deleted
        return False


def _fields_in(obj: Any, cls: type) -> dict[str, Any] | None:
    """The fields of an object that an upgrade has returned; None for another class."""
    if type(obj) is not cls:
        return None
    held = {name: getattr(obj, name, _MISSING) for name in fields_of(cls)}
    return {name: value for name, value in held.items() if value is not _MISSING}


_MISSING = object()


def _text_of(value: Any, size: int) -> str:
    """A value, short enough for a line of a warning."""
    try:
        if size > MAX_LISTED:
            return f"a `{type(value).__name__}`"
        return shown(eqx.tree_pformat(value), 60)
    except LIMITS:
        raise
    except Exception:  # of the class
        return f"a `{type(value).__name__}`"


def _with_children(parts: Parts, children: dict[str, Any]) -> Parts:
    """Other fields; of what else the file says of an object, what still holds."""
    extra = dict(parts.extra)
    declared = fields_of(parts.refers)
    if _absent(parts):
        extra["absent"] = [
            n for n in extra["absent"] if n in declared and n not in children
        ]
    wraps = extra.get("wraps")
    if type(wraps) is list and wraps and wraps[0] not in children:
        del extra["wraps"]
    return replace(parts, children=children, extra=extra)


def _after_upgrades(parts: Parts, saved: Parts) -> str:
    """A note of what the file itself has, where upgrades have changed it already."""
    before, now = saved.children, parts.children
    if before is now or not isinstance(before, dict):
        return ""
    held = names_listed(tuple(before)) or "no fields"
    return (
        f"\n\nThis is after the upgrades of the class that apply; the file itself has "
        f"{held}. If another upgrade has to follow, name by `fields` what it is for."
    )
