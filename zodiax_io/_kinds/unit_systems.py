"""Unit systems of unxt whose classes it makes when they are asked for."""

from __future__ import annotations

from typing import Any

from .._errors import LIMITS
from .._trust.names import lookup_or_none, name_of
from .._trust.roles import Role
from .base import CannotKeep, Kind, Parts, children_in_order
from .fields import declared_fields, state_of
from .units import derives_from, imported_class, is_unit

_BASE = "unxt.unitsystems:AbstractUnitSystem"


def _encode_system(obj: Any) -> Parts | None:
    if name_of(type(obj)) is not None:
        return None  # a dataclass
    fields, others = state_of(obj, declared_fields(type(obj)))
    parts = Parts(
        children=list(fields.values()), refers=imported_class(_BASE), name=_BASE
    )
    try:
        made = _decode_system(parts)
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_AS_UNITS}") from None
    if type(made) is not type(obj) or others:
        raise CannotKeep(f"unxt makes another of its units. {_AS_UNITS}")
    return parts


_AS_UNITS = "Keep `tuple(x)`, its base units, and make it again by `unxt.unitsystem`."


def _decode_system(parts: Parts) -> Any:
    units = children_in_order(parts)
    if not units or not all(map(is_unit, units)):
        raise ValueError("a unit system is not made of units")
    make = lookup_or_none("unxt.unitsystems:unitsystem")
    try:
        made = make(*units)
        fields = state_of(made, declared_fields(type(made)))[0]
    except LIMITS:
        raise
    except Exception as error:
        raise ValueError(
            f"unxt makes no unit system of these units: {type(error).__name__}: {error}"
        ) from error
    if [id(unit) for unit in fields.values()] != [*map(id, units)]:
        raise ValueError("unxt makes a unit system of other units of these")
    return made


UNIT_SYSTEM = Kind(
    "unit_system",  # before "dataclass": no module has its class
    derives_from(_BASE),
    _encode_system,
    _decode_system,
    Role(
        "the class of the unit systems of unxt",
        lambda obj: obj is imported_class(_BASE),
        modules=frozenset({"unxt.unitsystems"}),
    ),
    keeps="unit systems of unxt that are made of units, `unxt.unitsystem(…)`",
    shared=True,
    attributes=None,
    is_node="registered",
)
