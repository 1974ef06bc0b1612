"""Members of an Enum, by name."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from .._trust import reflection, roles
from .._trust.reflection import class_attribute
from .base import CannotKeep, Data, Kind, Parts, subclass
from .values import decode_int, encode_int, expect


def _encode_enum(obj: enum.Enum) -> Parts:
    cls = type(obj)
    members = class_attribute(cls, "_member_map_")
    name = object.__getattribute__(obj, "_name_")
    parts = Parts(refers=cls)
    if isinstance(obj, int):  # plain Equinox writes an IntEnum as an integer
        as_int = encode_int(int(obj))
        parts.equinox_record = as_int.equinox_record
        parts.extra["number"] = as_int.value
    if type(name) is str and members.get(name) is obj:
        parts.value = name
        return parts
    if isinstance(obj, enum.Flag):
        number = int(object.__getattribute__(obj, "_value_"))
        names, rest = _members_in(cls, number)
        parts.value = encode_int(number).value
        parts.extra["members"] = names
        if rest:
            parts.extra["rest"] = encode_int(rest).value
        if _decode_enum(parts) is obj:  # tried now, so that loading does not fail
            return parts
    raise CannotKeep(
        "It is not a member of its Enum. Keep its value, `x.value`, instead."
    )


class MemberGone(ValueError):
    """The Enum no longer has a member."""

    def __init__(self, cls: type, member: str) -> None:
        super().__init__(f"{cls.__name__} has no member {member!r:.80}")
        self.member = member


class MembersChanged(ValueError):
    """The class no longer makes a combination of flags."""


def _members_in(cls: type, number: int) -> tuple[list[str], int]:
    """The members in a combination of flags, and the bits that are in no member."""
    own: dict[str, int] = {}
    for name, member in class_attribute(cls, "_member_map_").items():
        value = object.__getattribute__(member, "_value_")
        if type(value) is int:
            own[name] = value
    found: list[str] = []
    left = number
    # A member may itself combine others: it counts for the bits that others lack.
    for has_one_bit in (True, False):
        for name, value in own.items():
            fits = value & number == value and (value.bit_count() == 1) == has_one_bit
            if fits and value & left:
                found.append(name)
                left &= ~value
    return found, left


def _decode_enum(parts: Parts) -> enum.Enum:
    cls = parts.refers
    members = class_attribute(cls, "_member_map_")
    if type(parts.value) is str:
        if parts.value not in members:
            raise MemberGone(cls, parts.value)
        return members[parts.value]
    number, extra = decode_int(parts), parts.extra
    if "members" not in extra:  # an older file, which has only the number
        return _decode_flags(cls, number, f"the number {number:#x}")
    names = [expect(name, str) for name in expect(extra["members"], list)]
    rest = decode_int(Parts(value=extra.get("rest", 0)))
    number = rest
    for name in names:
        if name not in members:
            raise MemberGone(cls, name)
        number |= expect(object.__getattribute__(members[name], "_value_"), int)
    saved = _combination(names, rest)
    found, left = _members_in(cls, number)
    if left != rest or set(found) != set(names):
        raise _members_changed(cls, saved, _combination(found, left))
    return _decode_flags(cls, number, saved)


def _with_present_members(
    node: dict[str, Any], current_member: Callable[[str, Any], Any]
) -> dict[str, Any]:
    """The node of a member, with the present name of that member."""
    named = [name for name in ("value", "members") if name in node]
    return node | {name: current_member(node["type"], node[name]) for name in named}


ENUM = Kind(
    "enum",
    subclass(enum.Enum),  # an IntEnum is an int, and is kept by its name
    _encode_enum,
    _decode_enum,
    roles.ENUM,
    keeps="members of `Enum`, `IntEnum`, `StrEnum`, `Flag`, by name",
    attributes=None,
    data=Data.NUMBERS,
    may_become=True,
    renamed=_with_present_members,
)


def _combination(names: list[str], rest: int) -> str:
    return "|".join([*names, *([f"{rest:#x}"] if rest or not names else [])])


def _members_changed(cls: type, saved: str, now: str) -> MembersChanged:
    return MembersChanged(
        f"was saved as `{saved:.200}`, for which `{cls.__name__}` now has {now:.200}. "
        "Give the class the members and the boundary that it had, load the object, "
        "and save `x.value` instead"
    )


def _decode_flags(cls: type, number: int, saved: str) -> enum.Enum:
    """A combination of flags, if making it runs only code of Python's own."""
    made_by = [class_attribute(cls, name) for name in ("__new__", "_missing_")]
    made_by = [getattr(method, "__func__", method) for method in made_by]
    if not reflection.derives(cls, enum.Flag) or type(cls) is not enum.EnumMeta:
        raise ValueError(f"{cls.__name__} is not a Flag")
    of_enum = all(getattr(method, "__module__", None) == "enum" for method in made_by)
    # Of another base, the members are made by its `__new__`.
    if not of_enum or class_attribute(cls, "_member_type_") not in (object, int):
        raise ValueError(f"{cls.__name__} makes its members itself")
    make: Any = cls
    try:
        made = make(number)
    except ValueError as error:  # its boundary is strict
        raise _members_changed(cls, saved, "nothing") from error
    # A boundary may drop bits, or give back an integer.
    if type(made) is not cls:
        raise _members_changed(cls, saved, "an integer")
    value = object.__getattribute__(made, "_value_")
    if value != number:
        raise _members_changed(cls, saved, _combination(*_members_in(cls, value)))
    return made
