"""Coordinates and times of astropy, by their attributes: quantities, and settings."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

from .._trust import reflection
from .._trust.names import lookup_or_none, name_of
from .._trust.roles import Role
from . import plain
from .base import Parts
from .fields import attributes_of
from .subarrays import drop_info
from .units import derives_from

_MODULES = ("astropy.coordinates", "astropy.time")
_is_of_astropy = derives_from(
    "astropy.coordinates:BaseCoordinateFrame",
    "astropy.coordinates:BaseRepresentationOrDifferential",
    "astropy.coordinates:SkyCoord",
    "astropy.time:TimeBase",
    "astropy.time:TimeFormat",
)


def _public_name(cls: type) -> str | None:
    for module in _MODULES:
        if lookup_or_none(f"{module}:{cls.__name__}") is cls:
            return f"{module}:{cls.__name__}"
    return name_of(cls)


def _is_computed(cls: type, name: str) -> bool:
    """Whether astropy computes an attribute where it is needed, and keeps it then."""
    descriptor = type(reflection.class_attribute(cls, name))
    lazy = derives_from("astropy.utils.decorators:lazyproperty")
    return (
        name in ("cache", "_id_cache")
        or reflection.derives(descriptor, functools.cached_property)
        or lazy(descriptor)
    )


def _encode_coordinates(obj: Any) -> Parts:
    cls = type(obj)
    attributes = {
        name: value
        for name, value in attributes_of(obj).items()
        if not _is_computed(cls, name)
    }
    if "info" in attributes:
        drop_info(attributes)
    plain.check_attributes(obj, attributes)
    return Parts(
        attributes,
        static=tuple(attributes),
        extra={"beside": list(attributes)},
        refers=cls,
        name=_public_name(cls),
    )


COORDINATES = replace(
    plain.INSTANCE,
    name="coordinates",  # before "instance"
    matches=_is_of_astropy,
    encode=_encode_coordinates,
    refers_to=Role(
        "a class of coordinates or times of astropy",
        lambda obj: reflection.is_class(obj) and _is_of_astropy(obj),
        builds=True,
        modules=frozenset(_MODULES),
    ),
    keeps="coordinates, frames and times of astropy",
    is_node=False,
)
