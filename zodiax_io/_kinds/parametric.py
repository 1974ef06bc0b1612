"""Classes with type parameters, as plum makes them, and the Modules of such classes.

`unxt.Quantity["length"]` is a class that no module holds: it is kept as `unxt.Quantity`
and the parameter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import equinox as eqx

from .._errors import LIMITS
from .._trust import reflection, roles
from .._trust.names import name_of
from .._trust.roles import Role
from .base import (
    CannotKeep,
    Data,
    Kind,
    Parts,
    children_by_name,
    children_in_order,
)
from .objects import MODULE
from .units import derives_from

_is_metaclass = derives_from("plum._parametric:ParametricTypeMeta")
_is_dimension = derives_from("astropy.units:PhysicalType")


def origin_of(cls: type) -> type | None:
    """The class to which plum has given the parameters of another; None without any."""
    if not _is_metaclass(type(cls)):
        return None
    space = reflection.namespace(cls)
    bases = type.__dict__["__bases__"].__get__(cls)
    return bases[0] if space.get("_concrete") is True and len(bases) == 1 else None


def _takes_parameters(cls: Any) -> bool:
    """Whether plum makes classes with parameters from a class."""
    return roles.PARAMETRIC.accepts(cls) and _is_metaclass(type(cls))


def _is_parameter(obj: Any) -> bool:
    """Whether a parameter is one whose hash and comparison are known to be safe."""
    plain = (type(None), bool, int, str)
    return (
        reflection.is_one_of(type(obj), plain)
        or _is_dimension(type(obj))
        or reflection.is_class(obj)
    )


def _encode_class(cls: type) -> Parts | None:
    origin = origin_of(cls)
    if origin is None or name_of(cls) is not None:
        return None
    given = reflection.namespace(cls)["_type_parameter"]
    parameters = list(given) if type(given) is tuple else [given]
    if not all(map(_is_parameter, parameters)) or not _takes_parameters(origin):
        raise CannotKeep(
            "Its type parameters are not numbers, text, classes or physical types. "
            "Keep the class without them, and the parameters beside it."
        )
    parts = Parts(children=parameters, refers=origin)
    if _decode_class(parts) is not cls:
        raise CannotKeep(
            "plum makes another class of its parameters. Keep the class without them, "
            "and the parameters beside it."
        )
    return parts


def _decode_class(parts: Parts) -> Any:
    parameters = children_in_order(parts)
    if not all(map(_is_parameter, parameters)):
        raise ValueError("a type parameter is of another kind")
    try:
        # What `origin[parameters]` ends with, without the code of the class before it.
        return reflection.class_attribute(parts.refers, "__new__").__func__(
            parts.refers, *parameters
        )
    except LIMITS:
        raise
    except Exception as error:
        raise ValueError(
            f"{parts.refers.__qualname__} does not take these type parameters: "
            f"{type(error).__name__}: {error}"
        ) from error


PARAMETRIC_CLASS = Kind(
    "parametric_class",  # before "class"
    lambda cls: _is_metaclass(cls),
    _encode_class,
    _decode_class,
    roles.PARAMETRIC,
    keeps='classes with type parameters of plum, such as `unxt.Quantity["length"]`',
    attributes=None,
    data=Data.NUMBERS,
)


_CLASS = "class"  # no field has the name of a keyword


def _encode_instance(obj: Any) -> Parts | None:
    origin = origin_of(type(obj))
    if origin is None or name_of(type(obj)) is not None:
        return None
    parts = MODULE.encode(obj)
    assert parts is not None
    parts.refers = origin
    parts.children = {**children_by_name(parts), _CLASS: type(obj)}
    parts.static = (*parts.static, _CLASS)
    return parts


def _decode_instance(parts: Parts) -> Any:
    children = dict(children_by_name(parts))
    cls = children.pop(_CLASS, None)
    if not reflection.is_class(cls) or origin_of(cls) is not parts.refers:
        raise ValueError("the class of an object has no type parameters of this class")
    return MODULE.decode(replace(parts, children=children, refers=cls))


PARAMETRIC = replace(
    MODULE,
    name="parametric",  # before "module"
    matches=lambda cls: (
        _is_metaclass(type(cls)) and reflection.derives(cls, eqx.Module)
    ),
    encode=_encode_instance,
    decode=_decode_instance,
    refers_to=Role(
        "an equinox Module class with type parameters",
        lambda obj: roles.is_module_class(obj) and _takes_parameters(obj),
        builds=True,
    ),
    keeps="Modules whose class has type parameters of plum: `unxt.Quantity`, …",
    unseen=(_CLASS,),
)
