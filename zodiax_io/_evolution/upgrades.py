"""Upgrades of the fields of classes, as their owners register them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .._errors import (
    ArgumentError,
    list_of_text,
    shown,
)
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
    def tells_age(self) -> bool:
        """Whether it is for old files only, so that it never gets an object of today.

        Names of fields that the class still has tell nothing: a file that lacks another
        field, which the class gains next year, has them, too.
        """
        fields = set(self.fields or ()) - set(fields_of(self.cls))
        return self.before is not None or bool(fields)

    def applies(self, held: set[str], version: str | None) -> bool:
        if self.fields is not None and not self.fields <= held:
            return False
        if self.before is None:
            return held != set(fields_of(self.cls))
        return version is None or is_before(version, self.before)


rules: dict[int, list[_Rule]] = {}


def upgraded(
    cls: Any,
    upgrade: Any,
    *,
    fields: Any = None,
    before: Any = None,
) -> None:
    """Say how an object of an older release becomes one of today's.

    Call it beside the class whose fields have changed. Several upgrades of a class run
    in the order in which they were given, each on the fields that the one before has
    returned. One with `fields` also runs later, once an object has those fields, so a
    chain of them may be given in any order.

    Parameters
    ----------
    cls : type
        The class as it is now: a Module, a dataclass or a namedtuple.
    upgrade : callable
        From the fields as the file has them, a dict of objects by name, to those of
        today; it may change the dict and return it. Or to a finished object, of
        another class, for example.
    fields : sequence of str, optional
        Names of fields that tell the age of a file: the upgrade is for those that have
        all of them, and not the fields of today.
    before : str, optional
        A version of the package that defines the class: the upgrade is for files
        written with an older one, or with one that is not known. Without `fields` and
        `before`, it is for all files whose fields are not those of today: also for
        files of next year, when the class will have another field. So give a new field
        its value by ``fields.setdefault``. A load warns when such an upgrade replaces
        the saved value of a field that the class still has.

    Raises
    ------
    ArgumentError
        If the class has no fields, the upgrade is no function, or `before` is given for
        a class that belongs to no installed package.

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
        raise ArgumentError("An upgrade is a function of the dictionary of fields.")
    if fields is not None:
        fields = list_of_text("fields", fields, "names", "radius")
    if before is not None:
        check_version(before)
        package = top_level_package((own_name(cls) or ("",))[0])
        if not has_version(package):
            raise ArgumentError(
                f"`{cls.__qualname__}` belongs to no installed package, so files know "
                "no version of it. Tell their age by `fields`."
            )
    known = None if fields is None else frozenset(fields)
    rules.setdefault(id(cls), []).append(_Rule(cls, upgrade, known, before))
