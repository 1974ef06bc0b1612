"""Upgrades: functions that convert the fields of old files to those of a class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._errors import ArgumentError, list_of_text, shown
from .._kinds.declared import fields_of
from .._trust.names import top_level_package
from .._trust.reflection import own_name
from .packages import check_version, has_version, is_before

Upgrade = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, eq=False, repr=False)
class _Rule:
    cls: type
    upgrade: Upgrade
    fields: frozenset[str] | None
    before: str | None

    @property
    def is_for_old_files(self) -> bool:
        """Whether it never runs on an object with the present fields of the class.

        Its `fields` must name one that the class no longer has: a file written today,
        loaded once the class has gained another field, has all present fields too.
        """
        fields = set(self.fields or ()) - set(fields_of(self.cls))
        return self.before is not None or bool(fields)

    def applies(self, present: set[str], version: str | None) -> bool:
        """Whether to run it on an object with these fields, saved by this version."""
        if self.fields is not None and not self.fields <= present:
            return False
        if self.before is None:
            return present != set(fields_of(self.cls))
        return version is None or is_before(version, self.before)


# By the identity of the class: a metaclass may define `__eq__`.
rules: dict[int, list[_Rule]] = {}

NOT_CALLABLE = "`upgrade` must be a function that takes the dict of saved fields."


def upgraded(
    cls: Any,
    upgrade: Any,
    *,
    fields: Any = None,
    before: Any = None,
) -> None:
    """Register a function that converts the saved fields of an older release.

    Call it next to the class whose fields have changed. Several upgrades of a class run
    in the order in which they were registered, each on the fields that the previous one
    returned. An upgrade with `fields` also runs later, once an object has those fields,
    so a chain of such upgrades may be registered in any order.

    Parameters
    ----------
    cls : type
        The present class: a Module, a dataclass or a namedtuple.
    upgrade : callable
        Takes the saved fields, a dict of objects by name, and returns the present ones;
        it may change the dict and return it. It may also return a finished object, for
        example of another class.
    fields : sequence of str, optional
        Names of saved fields: the upgrade runs on objects that have all of them, and
        whose fields are not the present fields of the class.
    before : str, optional
        A version of the package that defines the class: the upgrade runs on files
        written by an older or an unknown version. Without `fields` and `before`, it
        runs on every file whose fields are not the present ones: later also on files
        written today, once the class has changed again. So set a new field by
        ``fields.setdefault``. A load warns when such an upgrade replaces the saved
        value of a field that the class still has.

    Raises
    ------
    ArgumentError
        If the class has no fields, the upgrade is not callable, or `before` is passed
        for a class that belongs to no installed package.

    Examples
    --------
    >>> import equinox as eqx
    >>> import zodiax_io
    >>> class Lens(eqx.Module):
    ...     diameter: float
    >>> structure = zodiax_io.build_structure(Lens(2.0))
    >>> structure["node"] = {"radius": structure["node"]["diameter"]}
    >>> def upgrade(fields):
    ...     return {"diameter": 2 * fields["radius"]}
    >>> zodiax_io.upgraded(Lens, upgrade, fields=["radius"])
    >>> zodiax_io.load_structure(structure)
    Lens(diameter=4.0)
    """
    try:
        fields_of(cls)
    except TypeError:
        raise ArgumentError(
            f"{shown(repr(cls))} is not a Module, a dataclass or a namedtuple, so it "
            "has no fields to upgrade."
        ) from None
    if not callable(upgrade):
        raise ArgumentError(NOT_CALLABLE)
    if fields is not None:
        fields = list_of_text("fields", fields, "names", "radius")
    if before is not None:
        check_version(before)
        package = top_level_package((own_name(cls) or ("",))[0])
        if not has_version(package):
            raise ArgumentError(
                f"`{cls.__qualname__}` belongs to no installed package, so files record"
                " no version of it. Use `fields` instead of `before`."
            )
    expected = None if fields is None else frozenset(fields)
    rules.setdefault(id(cls), []).append(_Rule(cls, upgrade, expected, before))
