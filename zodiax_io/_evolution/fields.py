"""Build objects of classes whose fields differ from the fields in a file."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

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
from .proposals import (
    MAX_LISTED,
    fields_changed_text,
    listed,
    untrusted_default_text,
)
from .replaced import fields_in, replaced_values, snapshot_of
from .upgrades import Upgrade


@dataclass(frozen=True)
class FieldChange:
    """How the fields of an object changed since it was saved.

    Attributes
    ----------
    path : str
        The path of the object in the tree.
    name : str
        The name of its class in the file.
    gained : tuple of str
        Fields that are not in the file; they have their defaults.
    lost : tuple of str
        Fields that the class no longer has; their saved values were not loaded.
    moved : tuple of str
        Fields that changed between static and dynamic.
    replaced : tuple of (str, str)
        Fields whose saved value an upgrade has replaced, each with that value as text.
        Upgrades that are limited to old files are not listed.
    """

    path: str
    name: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """One line for a warning."""
        return f"`{shown(self.name)}` at `{shown(self.path)}`: {self._description()}"

    def _description(self) -> str:
        parts: list[str] = []
        if self.gained:
            parts.append(f"new fields, set to their defaults: {listed(self.gained)}")
        if self.lost:
            parts.append(f"removed from the class, not loaded: {listed(self.lost)}")
        if self.moved:
            parts.append(f"changed between static and dynamic: {listed(self.moved)}")
        parts += [
            f"an upgrade replaced the saved value of `{shown(name)}`, {value}"
            for name, value in self.replaced[:MAX_LISTED]
        ]
        return "; ".join(parts)


@dataclass(eq=False, repr=False)
class Evolution:
    """Builds the objects of one load, and collects the changes of their classes.

    Attributes
    ----------
    versions : mapping of str to str
        The packages that wrote the file, with their versions.
    strict : bool
        Whether a changed class is an error.
    check_init : bool
        Whether the `__check_init__` of each object is called.
    may_call : callable
        From a class to whether its code may run to make a default.
    old : bool
        Whether zodiax 0.4 or before wrote the file: it did not save all fields.
    changes : list of FieldChange
        The changes found so far.
    """

    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    strict: bool = False
    check_init: bool = False
    may_call: Callable[[type], bool] = lambda cls: True
    old: bool = False
    changes: list[FieldChange] = field(default_factory=list[FieldChange])

    def build(self, kind: Kind, parts: Parts, path: Path) -> Any:
        """Build an object whose class may have changed its fields.

        Raises
        ------
        ClassChangedError
            If the saved fields cannot be converted to those of the class.
        """
        saved = parts
        if id(parts.refers) in upgrades.rules:
            parts, finished = self.upgrade(parts, path)
            if finished is not None:
                return finished[0]
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

    def upgrade(self, parts: Parts, path: Path) -> tuple[Parts, tuple[Any] | None]:
        """Apply the upgrades of a class; an upgrade may return a finished object.

        Raises
        ------
        ClassChangedError
            If an upgrade fails.
        """
        name = parts.extra["type"]
        version = parts.extra.get("version")
        if type(version) is not str:
            recorded = recorded_version(
                self.versions, top_level_package(name.partition(":")[0])
            )
            version = None if recorded is None else recorded[1]
        waiting = list(upgrades.rules.get(id(parts.refers), ()))
        while isinstance(parts.children, dict):
            present = set(parts.children) | _absent(parts)
            rule = next((r for r in waiting if r.applies(present, version)), None)
            if rule is None:
                break
            # Skipped rules that name their fields are tried again, since this one may
            # make those fields: a chain of them may be registered in any order.
            skipped = waiting[: waiting.index(rule)]
            rest = waiting[waiting.index(rule) + 1 :]
            waiting = [one for one in skipped if one.fields is not None] + rest
            before = None if rule.is_for_old_files else snapshot_of(parts)
            parts, finished = self.apply(rule.upgrade, parts, path)
            if before is not None:
                now = parts.children
                if finished is not None:
                    now = fields_in(finished[0], rule.cls)
                replaced = replaced_values(before, now)
                if replaced:
                    change = FieldChange(short_path(path), name, replaced=replaced)
                    self.changes.append(change)
            if finished is not None:
                return parts, finished
        return parts, None

    def apply(
        self, upgrade: Upgrade, parts: Parts, path: Path
    ) -> tuple[Parts, tuple[Any] | None]:
        """Apply one upgrade, which returns new fields or a finished object.

        Returns the parts with the new fields and None; or the old parts, and the object
        in a tuple.

        Raises
        ------
        ClassChangedError
            If it fails, or returns neither a dict of fields nor an object.
        """
        name, children = parts.extra["type"], parts.children
        try:
            result = upgrade(dict(children) if isinstance(children, dict) else {})
        except LIMITS:
            raise
        except Exception as error:  # raised by the user's function
            raise ClassChangedError(
                f"the upgrade of `{shown(name)}` at `{short_path(path)}` failed: "
                f"{type(error).__name__}: {shown(error, 400)}"
            ) from error
        if isinstance(result, dict) and all(type(key) is str for key in result):
            return _with_children(parts, dict(result)), None
        if result is None or isinstance(result, dict):
            raise ClassChangedError(
                f"the upgrade of `{shown(name)}` at `{short_path(path)}` must return a "
                f"dict of fields by name, or an object, not {shown(repr(result))}."
            )
        return parts, (result,)

    def adapt(
        self, parts: Parts, changed: FieldsChanged, path: Path, saved: Parts
    ) -> Parts:
        """Fill new fields with their defaults, and drop those the class no longer has.

        Raises
        ------
        ClassChangedError
            If a new field has no default, or the class declares no fields.
        """
        cls, name, where = parts.refers, parts.extra["type"], short_path(path)
        children = dict(parts.children) if isinstance(parts.children, dict) else {}
        if any(name.startswith("__") for name in changed.surplus):  # never a field
            raise ClassChangedError(fields_changed_text(cls, name, where, changed))
        try:
            fields = fields_of(cls)
            for gained in changed.missing:
                if runs_code(cls, gained) and not self.may_call(cls):
                    text = untrusted_default_text(cls, name, where, gained)
                    raise ClassChangedError(text)
                children[gained] = default_of(cls, gained)
        except (ClassChangedError, *LIMITS):
            raise
        except (LookupError, TypeError):
            text = _OLD_FILE * self.old
            text += fields_changed_text(cls, name, where, changed)
            text += _after_upgrades(parts, saved)
            raise ClassChangedError(text) from None
        except Exception as error:  # raised by code of the class
            raise ClassChangedError(
                f"cannot make the defaults of the new fields of `{shown(name)}` at "
                f"`{where}`: {type(error).__name__}: {shown(error, 400)}"
            ) from error
        for lost in changed.surplus:
            children.pop(lost, None)
        # In the order in which the class declares them, as in a new object.
        ordered = {n: children.pop(n) for n in fields if n in children} | children
        gained, lost = tuple(changed.missing), tuple(changed.surplus)
        self.changes.append(FieldChange(where, name, gained, lost))
        return _with_children(parts, ordered)

    def compare_static(self, parts: Parts, path: Path) -> None:
        """Record the fields that changed between static and dynamic."""
        moved = moved_fields(parts)
        if moved:
            change = FieldChange(
                short_path(path), parts.extra["type"], moved=tuple(moved)
            )
            self.changes.append(change)

    def check(self, obj: Any, path: Path) -> None:
        """Call the `__check_init__` of each class of a Module, as Equinox does.

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
        """Warn of all changes, or raise an error if `strict` is set.

        Raises
        ------
        ClassChangedError
            If `strict` is set and a class has changed.
        """
        if not self.changes:
            return
        paths: dict[tuple[str, str], list[str]] = {}
        for change in self.changes:
            key = change.name, change._description()
            paths.setdefault(key, []).append(change.path)
        lines = [
            f"  `{shown(name)}` at {_shortened(found)}: {description}"
            for (name, description), found in paths.items()
        ]
        more = len(lines) - _MAX_LINES
        text = "\n".join(
            [f"{file} contains objects whose classes have changed:"]
            + lines[:_MAX_LINES]
            + [f"  … and {more} more."] * (more > 0)
        )
        advice = "To convert saved fields, register an upgrade: `zodiax_io.upgraded`."
        if any(change.replaced for change in self.changes):
            advice += _FOR_ANY_AGE
        if self.old:
            advice = _OLD_FILE + advice
        if self.strict:
            raise ClassChangedError(f"{text}\n{advice}", self.changes)
        warn(ClassChangedWarning(f"{text}\n{advice}", self.changes))


_FOR_ANY_AGE = (
    " An upgrade without `before`, and without a name in `fields` that the class no "
    "longer has, runs on files of any age. To keep saved values, set new fields by "
    "`fields.setdefault`, or limit the upgrade to old files by `fields` or `before`."
)
_MAX_LINES = 50
_MAX_PLACES = 3
_OLD_FILE = (
    "The file was written by zodiax 0.4 or before, which did not save numbers in "
    "static fields: a field listed as new may have had a value other than its default. "
)


def _shortened(paths: list[str]) -> str:
    named = ", ".join(f"`{shown(path)}`" for path in paths[:_MAX_PLACES])
    more = len(paths) - _MAX_PLACES
    return f"{named} and {more} more" if more > 0 else named


def _absent(parts: Parts) -> set[str]:
    """The fields that were not set on the object, so that the class default applied."""
    absent = parts.extra.get("absent")
    return {n for n in absent if type(n) is str} if type(absent) is list else set()


def _with_children(parts: Parts, children: dict[str, Any]) -> Parts:
    """The same parts with other children, without the data about removed fields."""
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
    """A note on the fields in the file, if upgrades have already changed them."""
    before, now = saved.children, parts.children
    if before is now or not isinstance(before, dict):
        return ""
    saved_fields = listed(tuple(before)) or "no fields"
    return (
        "\n\nThese are the fields after the upgrades of the class; the file itself has "
        f"{saved_fields}. If another upgrade must follow, pass the names of the fields "
        "it expects as `fields=`."
    )
