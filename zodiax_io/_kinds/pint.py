"""Units and quantities of pint, which belong to a registry of units."""

from __future__ import annotations

from typing import Any

from .._errors import LIMITS
from .._trust import reflection
from .._trust.names import lookup_or_none
from .._trust.roles import Role
from .base import CannotKeep, Data, Kind, Parts, expect_children
from .fields import attributes_of
from .units import derives_from, from_number, imported_class, plain_number
from .values import expect

_is_pint = derives_from(
    "pint.facets.plain.unit:PlainUnit", "pint.facets.plain.quantity:PlainQuantity"
)
_CLASSES = ("Unit", "Quantity")
_MAX_NAME = 200

_ADVICE = (
    "Let the application have that registry, by "
    "`pint.set_application_registry(registry)`, where you save and where you load; or "
    "keep `x.magnitude` and `str(x.units)`, and make it again from both."
)


def _registry() -> Any:
    return lookup_or_none("pint:application_registry").get()


def _class_of(registry: Any, name: str, general: bool) -> Any:
    """The class of units or quantities of a registry.

    Those that `pint.Quantity` makes are of a general class, and have the registry as an
    attribute.
    """
    return imported_class(f"pint:{name}") if general else getattr(registry, name)


def _encode_pint(obj: Any) -> Parts:
    registry, attributes = _registry(), dict(attributes_of(obj))
    cls, general = type(obj), "_REGISTRY" in attributes
    name = next((n for n in _CLASSES if _class_of(registry, n, general) is cls), None)
    if name is None or attributes.pop("_REGISTRY", registry) is not registry:
        raise CannotKeep(
            f"It belongs to another registry than that of the application. {_ADVICE}"
        )
    units = attributes.pop("_units")
    magnitude = (
        {"magnitude": attributes.pop("_magnitude")} if name == "Quantity" else {}
    )
    kept = {"_dimensionality", "_cached"}  # computed where they are needed
    others = [n for n in attributes if n not in kept]
    if others:
        raise CannotKeep(f"It has an attribute {others[0]!r:.80}. {_ADVICE}")
    value = {unit: plain_number(power) for unit, power in units._d.items()}
    parts = Parts(
        children=magnitude or None,
        value=value,
        refers=imported_class(f"pint:{name}"),
        name=f"pint:{name}",
        extra={"general": True} if general else {},
    )
    try:
        made = _decode_pint(parts)
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_ADVICE}") from None
    if made._units._non_int_type is not units._non_int_type:
        raise CannotKeep(f"Its powers are numbers of another type. {_ADVICE}")
    return parts


def _decode_pint(parts: Parts) -> Any:
    registry, name = _registry(), parts.refers.__name__
    powers = {
        _known(registry, unit): from_number(power)
        for unit, power in expect(parts.value, dict).items()
    }
    if any(type(power) is complex for power in powers.values()):
        raise ValueError("a power of a unit is complex")
    general = parts.extra.get("general") is True
    made = object.__new__(_class_of(registry, name, general))
    space = vars(made)
    if general:
        space["_REGISTRY"] = registry
    if name == "Quantity":
        (space["_magnitude"],) = expect_children(parts, "magnitude")
    elif parts.children is not None:
        raise ValueError("a unit has a magnitude")
    space["_units"] = registry.UnitsContainer(powers)
    return made


def _known(registry: Any, unit: Any) -> str:
    """The name of a unit, if the registry has it under this very name."""
    if type(unit) is str and unit.isidentifier() and len(unit) < _MAX_NAME:
        try:
            found = registry.get_name(unit)
        except LIMITS:
            raise
        except Exception:  # pint has several classes of errors
            found = None
        if found == unit:
            return unit
    raise ValueError(f"the registry of the application has no unit {unit!r:.80}")


PINT = Kind(
    "pint",
    _is_pint,
    _encode_pint,
    _decode_pint,
    Role(
        "`pint.Unit` or `pint.Quantity`",
        lambda obj: (
            reflection.is_class(obj)
            and any(obj is imported_class(f"pint:{name}") for name in _CLASSES)
        ),
        modules=frozenset({"pint"}),
    ),
    keeps="units and quantities of pint, of the application's registry",
    shared=True,
    attributes=None,
    data=Data.TEXT,
)
