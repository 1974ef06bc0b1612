"""Units of astropy, exactly: by name, or by the units of which they are made.

The text of a unit is neither written nor parsed: it rounds scales and powers, and a
parser would have to be safe with any text.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from .._trust import names, reflection
from .._trust.names import is_printable_text, lookup_or_none
from .._trust.roles import Role
from .base import (
    CannotKeep,
    Data,
    Kind,
    Parts,
    children_by_name,
    children_in_order,
    expect_children,
)
from .fields import attributes_of
from .values import expect

_UNITS = "astropy.units"
# The first that has a unit gives its name.
_MODULES = (
    _UNITS,
    "astropy.units.imperial",
    "astropy.units.cds",
    "astropy.units.required_by_vounit",
    "astropy.units.deprecated",
)
_CONSTANTS = ("astropy.constants",)


def imported_class(name: str) -> type | None:
    """The class under a name, if its module is imported."""
    found = lookup_or_none(name)
    return found if reflection.is_class(found) else None


def derives_from(*classes: str) -> Callable[[type], bool]:
    """A predicate for classes by name and their subclasses; nothing is imported."""

    def matches(cls: type) -> bool:
        found = map(imported_class, classes)
        return any(base is not None and reflection.derives(cls, base) for base in found)

    return matches


_is_unit = derives_from(f"{_UNITS}:UnitBase", f"{_UNITS}:FunctionUnitBase")
_is_structured = derives_from(f"{_UNITS}:StructuredUnit")
_is_constant = derives_from("astropy.constants:Constant")


def is_unit(obj: Any) -> bool:
    """Whether an object is a unit of astropy of any kind."""
    return _is_unit(type(obj)) or _is_structured(type(obj))


# By name ------------------------------------------------------------------------------


def _names_of(obj: Any, modules: tuple[str, ...]) -> Iterator[str]:
    """Names of an object among the globals of modules, those it has itself first."""
    own = attributes_of(obj)
    listed = own.get("_names")
    candidates = list(listed) if type(listed) is list else [own.get("_abbrev")]
    for module in modules:
        space = reflection.module_space(module) or {}
        others = _unnamed(module, len(space))
        for name in (*candidates, *others):
            if type(name) is str and space.get(name) is obj:
                yield f"{module}:{name}"


@functools.lru_cache(maxsize=16)
def _unnamed(module: str, size: int) -> tuple[str, ...]:
    """The globals of a module that are units or constants without this as own name."""
    space = reflection.module_space(module) or {}
    return tuple(
        name
        for name, value in list(space.items())
        if (is_unit(value) or _is_constant(type(value)))
        and name not in (attributes_of(value).get("_names") or ())
    )


def _encode_named(obj: Any) -> Parts | None:
    if names.registered_name(obj) is not None:
        return Parts(refers=obj)
    modules = _CONSTANTS if _is_constant(type(obj)) else _MODULES
    for name in _names_of(obj, modules):
        try:
            names.split(name)
        except ValueError:
            continue
        return Parts(refers=obj, name=name)
    return None


NAMED_UNIT = Kind(
    "named_unit",
    derives_from(
        *(f"{_UNITS}:{name}" for name in ("UnitBase", "FunctionUnitBase")),
        "astropy.constants:Constant",
    ),
    _encode_named,
    lambda parts: parts.refers,
    Role(
        "a unit or a constant of astropy",
        lambda obj: is_unit(obj) or _is_constant(type(obj)),
        modules=frozenset((*_MODULES, *_CONSTANTS)),
    ),
    keeps="units and constants of astropy, by name",
    attributes=None,
    data=Data.NUMBERS,
)


# By parts -----------------------------------------------------------------------------

_COMPOSITE = ("CompositeUnit",)
_DEFINED = ("Unit", "PrefixUnit")
_LOGARITHMIC = ("LogUnit", "MagUnit", "DexUnit", "DecibelUnit")
# Computed by astropy where it needs them.
_CACHED = {"_hash", "_type_id", "_decomposed_cache", "_physical_type_id"}

_DEFINE = (
    "Give it a name in files, by `zodiax_io.register(unit, "
    'alias="package.module:name")`, where you save and where you load; or keep its '
    "definition, and make it again by `astropy.units.def_unit`."
)


def _state(obj: Any, *known: str) -> list[Any]:
    """Attributes of a unit; `CannotKeep` if it has others."""
    attributes = attributes_of(obj)
    unknown = attributes.keys() - _CACHED - {*known}
    if unknown:
        raise CannotKeep(
            f"It has an attribute {min(unknown)!r:.80}, which files do not keep with a "
            "unit. Keep it as another item of the tree."
        )
    return [attributes.get(name) for name in known]


def _encode_unit(obj: Any) -> Parts:
    cls = type(obj)
    name = cls.__name__
    encode = _ENCODERS.get(name)
    if name == "IrreducibleUnit":
        raise CannotKeep(
            "It is a unit that no other unit defines, which equals only itself. "
            f"{_DEFINE}"
        )
    if encode is None or cls is not imported_class(f"{_UNITS}:{name}"):
        raise CannotKeep(f"It is a unit of a class of its own. {_DEFINE}")
    parts = encode(obj)
    parts.refers = cls
    parts.name = f"{_UNITS}:{name}"
    try:
        _decode_unit(parts)
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_DEFINE}") from None
    return parts


def plain_number(number: Any) -> Any:
    """A scale or a power as plain data; what is no such number stays as it is."""
    if type(number) is Fraction:
        return {"fraction": [number.numerator, number.denominator]}
    if type(number) is complex:
        return {"complex": [number.real, number.imag]}
    return number


def from_number(plain: Any) -> Any:
    """A scale or a power; `ValueError` unless it is one that a unit may have."""
    number = plain
    if type(plain) is dict:
        ((form, (one, other)),) = plain.items()
        classes = {"fraction": int, "complex": float}[form]
        one, other = expect(one, classes), expect(other, classes)
        if form == "fraction" and not (other > 0 and abs(one) + other < _MAX_POWER):
            raise ValueError("a power of a unit is out of range")
        number = Fraction(one, other) if form == "fraction" else complex(one, other)
    elif type(plain) is int and abs(plain) >= _MAX_POWER:
        raise ValueError("a power of a unit is out of range")
    else:
        expect(plain, float, int)
    if not number or not (math.isfinite(number.real) and math.isfinite(number.imag)):
        raise ValueError("a scale or a power of a unit is zero or not finite")
    return number


# astropy multiplies powers with each other, and takes scales to them.
_MAX_POWER = 2**20
_MAX_BASES = 64


def _encode_composite(obj: Any) -> Parts:
    scale, bases, powers = _state(obj, "_scale", "_bases", "_powers")
    plain = [plain_number(power) for power in powers]
    return Parts(
        children=list(bases), value={"scale": plain_number(scale), "powers": plain}
    )


def _decode_composite(parts: Parts) -> dict[str, Any]:
    bases, value = children_in_order(parts), expect(parts.value, dict)
    scale = from_number(value["scale"])
    powers = [from_number(power) for power in expect(value["powers"], list)]
    if type(scale) not in (float, complex) or len(powers) != len(bases):
        raise ValueError("a unit has another number of powers than of bases")
    if any(type(power) is complex for power in powers) or len(bases) > _MAX_BASES:
        raise ValueError("a unit has a complex power, or too many bases")
    is_named = derives_from(f"{_UNITS}:NamedUnit")
    if not all(is_named(type(base)) for base in bases):
        raise ValueError("a base of a unit is not a unit with a name")
    return {"_scale": scale, "_bases": bases, "_powers": powers}


_DEFINITION = ("_names", "_short_names", "_long_names", "_format", "__doc__")


def _encode_defined(obj: Any) -> Parts:
    represents, *value = _state(obj, "_represents", *_DEFINITION)
    return Parts(children=[represents], value=value)


def _decode_defined(parts: Parts) -> dict[str, Any]:
    (represents,) = children_in_order(parts)
    value = expect(parts.value, list)
    *lists, formats, doc = value
    if len(value) != len(_DEFINITION) or not all(map(_is_text_list, lists)):
        raise ValueError("the names of a unit are not text")
    if type(formats) is not dict or not _is_text_list([*formats, *formats.values()]):
        raise ValueError("the formats of a unit are not text")
    if not lists[0] or not is_printable_text(doc):
        raise ValueError("a unit has no name, or a docstring that cannot be printed")
    if not derives_from(f"{_UNITS}:UnitBase")(type(represents)):
        raise ValueError("a unit is not defined by other units")
    return {"_represents": represents, **dict(zip(_DEFINITION, value, strict=True))}


def _is_text_list(value: Any) -> bool:
    return type(value) is list and all(map(names.is_printable_name, value))


def _encode_unrecognised(obj: Any) -> Parts:
    value = _state(obj, *_DEFINITION)
    (name,) = value[0]
    if value != _unrecognised(name):
        raise CannotKeep(f"It has more than a name. {_DEFINE}")
    return Parts(value=name)


def _decode_unrecognised(parts: Parts) -> dict[str, Any]:
    if not names.is_printable_name(parts.value):
        raise ValueError("the name of a unit cannot be printed")
    value = _unrecognised(parts.value)
    return dict(zip(_DEFINITION, value, strict=True))


def _unrecognised(name: str) -> list[Any]:
    """The attributes of a unit that astropy does not know, by its name alone."""
    return [[name], [name], [], {}, name]


def _encode_logarithmic(obj: Any) -> Parts:
    physical, function, _ = _state(
        obj, "_physical_unit", "_function_unit", "_default_function_unit"
    )
    return Parts(children={"physical_unit": physical, "function_unit": function})


def _decode_logarithmic(parts: Parts) -> dict[str, Any]:
    physical, function = expect_children(parts, "physical_unit", "function_unit")
    is_base = derives_from(f"{_UNITS}:UnitBase")
    if not is_base(type(physical)) or not is_base(type(function)):
        raise ValueError("a logarithmic unit is not made of units")
    return {"_physical_unit": physical, "_function_unit": function}


def _encode_structured(obj: Any) -> Parts:
    (units,) = _state(obj, "_units")
    fields = units.dtype.names
    if units.dtype != np.dtype([(name, object) for name in fields]):
        raise CannotKeep("Its fields have titles. Make it from names alone.")
    children = dict(zip(fields, units.item(), strict=True))
    return Parts(children=children)


def _decode_structured(parts: Parts) -> dict[str, Any]:
    children = children_by_name(parts)
    if not children or not all(map(is_unit, children.values())):
        raise ValueError("a structured unit is not made of units")
    dtype = np.dtype([(name, object) for name in children])
    # An array without dimensions, and then its one element, as astropy has it.
    return {"_units": np.array(tuple(children.values()), dtype)[()]}


_ENCODERS: dict[str, Callable[[Any], Parts]] = {
    **dict.fromkeys(_COMPOSITE, _encode_composite),
    **dict.fromkeys(_DEFINED, _encode_defined),
    **dict.fromkeys(_LOGARITHMIC, _encode_logarithmic),
    "UnrecognizedUnit": _encode_unrecognised,
    "StructuredUnit": _encode_structured,
}
_DECODERS: dict[str, Callable[[Parts], dict[str, Any]]] = {
    **dict.fromkeys(_COMPOSITE, _decode_composite),
    **dict.fromkeys(_DEFINED, _decode_defined),
    **dict.fromkeys(_LOGARITHMIC, _decode_logarithmic),
    "UnrecognizedUnit": _decode_unrecognised,
    "StructuredUnit": _decode_structured,
}


def _decode_unit(parts: Parts) -> Any:
    cls = parts.refers
    made = object.__new__(cls)
    vars(made).update(_DECODERS[cls.__name__](parts))
    return made


def _is_class_of_units(obj: Any) -> bool:
    return any(obj is imported_class(f"{_UNITS}:{name}") for name in _DECODERS)


UNIT = Kind(
    "unit",  # after "named_unit"
    derives_from(
        *(f"{_UNITS}:{n}" for n in ("UnitBase", "FunctionUnitBase", "StructuredUnit"))
    ),
    _encode_unit,
    _decode_unit,
    Role(
        "a class of units of astropy", _is_class_of_units, modules=frozenset({_UNITS})
    ),
    keeps="units of astropy, by the units of which they are made",
    shared=True,
    attributes=None,
    data=Data.NUMBERS,
)


# Dimensions ---------------------------------------------------------------------------

_PHYSICAL = "astropy.units:PhysicalType"


def _encode_physical(obj: Any) -> Parts:
    unit, types = _state(obj, "_unit", "_physical_type")
    names = list(types) if type(types) is list else types  # a copy: it is astropy's own
    parts = Parts(children=[unit], value=names, refers=type(obj), name=_PHYSICAL)
    try:
        made = _decode_physical(parts)
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. Keep its unit.") from None
    if made is not obj and _known_type(types) is not None:
        raise CannotKeep(
            "astropy has another physical type of this name. Keep the unit instead, "
            "and ask it for its `physical_type`."
        )
    return parts


def _known_type(types: list[str]) -> Any:
    """The physical type that astropy has under a name, or None."""
    find = lookup_or_none("astropy.units:get_physical_type")
    try:
        return find(types[0])
    except ValueError:
        return None


def _decode_physical(parts: Parts) -> Any:
    (unit,), types = children_in_order(parts), parts.value
    if not types or not _is_text_list(types) or not is_unit(unit):
        raise ValueError("a physical type is not made of a unit and names")
    known = _known_type(types)
    if known is not None and attributes_of(known).get("_physical_type") == types:
        return known
    made = object.__new__(parts.refers)
    vars(made).update(_unit=unit, _physical_type=types)
    return made


PHYSICAL_TYPE = Kind(
    "physical_type",
    derives_from(_PHYSICAL),
    _encode_physical,
    _decode_physical,
    Role(
        "the class of the physical types of astropy",
        lambda obj: obj is imported_class(_PHYSICAL),
        modules=frozenset({_UNITS}),
    ),
    keeps="physical types of astropy, such as `length`",
    shared=True,
    attributes=None,
    data=Data.NUMBERS,
)
