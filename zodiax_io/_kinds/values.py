"""Plain Python values as plain data, exactly."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import os
import pathlib
import re
import types
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from .._arrays.records import Record, record_of
from .._trust import reflection
from .._trust.names import is_printable_name
from .._trust.origins import is_installed
from .._trust.reflection import class_attribute
from .._trust.roles import ENUM
from .base import CannotKeep, Kind, Parts, exactly, subclass
from .fields import is_dunder


def _as_is(obj: Any) -> Parts:
    return Parts(value=obj)


def expect(value: Any, *classes: type) -> Any:
    if type(value) not in classes:
        raise ValueError(f"expected {classes[0].__name__}, got {type(value).__name__}")
    return value


def mirror_of(obj: Any) -> Record:
    """The record by which plain Equinox keeps a Python scalar."""
    if type(obj) is bytes:  # of an integer that no record holds
        obj = np.frombuffer(obj, np.uint8)
    return record_of(np.asarray(obj))


def _encode_bool(obj: bool) -> Parts:
    return Parts(value=obj, mirror=lambda: mirror_of(obj))


def _decode_bool(parts: Parts) -> bool:
    return expect(parts.value, bool)


# msgpack's own integers.
_MIN_INT, _MAX_INT = -(2**63), 2**64


def _int_bytes(obj: int) -> bytes:
    return obj.to_bytes(obj.bit_length() // 8 + 1, "little", signed=True)


def _from_bytes(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _encode_int(obj: int) -> Parts:
    if _MIN_INT <= obj < _MAX_INT:
        return Parts(value=obj, mirror=lambda: mirror_of(obj))
    value = _int_bytes(obj)
    # Equinox cannot load such an integer; the record keeps those behind it in step.
    return Parts(value=value, mirror=lambda: mirror_of(value))


def _decode_int(parts: Parts) -> int:
    if type(parts.value) is bytes:
        return _from_bytes(parts.value)
    return expect(parts.value, int)


def _encode_float(obj: float) -> Parts:
    return Parts(value=obj, mirror=lambda: mirror_of(obj))


def _decode_float(parts: Parts) -> float:
    return expect(parts.value, float)


def _encode_complex(obj: complex) -> Parts:
    return Parts(value=[obj.real, obj.imag], mirror=lambda: mirror_of(obj))


def _decode_complex(parts: Parts) -> complex:
    real, imag = expect(parts.value, list)
    return complex(expect(real, float), expect(imag, float))


def _encode_str(obj: str) -> Parts:
    try:
        obj.encode()
    except UnicodeEncodeError:  # lone surrogates are no UTF-8
        return Parts(value=obj.encode("utf8", "surrogatepass"))
    return Parts(value=obj)


def _decode_str(parts: Parts) -> str:
    if type(parts.value) is bytes:
        return parts.value.decode("utf8", "surrogatepass")
    return expect(parts.value, str)


def _decode_bytes(parts: Parts) -> bytes:
    return expect(parts.value, bytes)


def _encode_bytearray(obj: bytearray) -> Parts:
    return Parts(value=bytes(obj))


def _decode_bytearray(parts: Parts) -> bytearray:
    return bytearray(expect(parts.value, bytes))


_SINGLETONS = {"Ellipsis": ..., "NotImplemented": NotImplemented}


def _encode_singleton(obj: Any) -> Parts:
    return Parts(value=repr(obj))


def _decode_singleton(parts: Parts) -> Any:
    return _SINGLETONS[expect(parts.value, str)]


def _encode_slice(obj: slice) -> Parts:
    children = {"start": obj.start, "stop": obj.stop, "step": obj.step}
    return Parts(children=children, is_node=False)


def _decode_slice(parts: Parts) -> slice:
    children = expect(parts.children, dict)
    return slice(children["start"], children["stop"], children["step"])


# A range divides its ends by its step, and a fraction looks for common divisors: both
# take a time that grows with the square of the length of their integers.
_MAX_DIVIDED = 4096  # bytes


def _is_divisible(obj: int) -> bool:
    return obj.bit_length() < 8 * _MAX_DIVIDED


def _encode_range(obj: range) -> Parts:
    children = {"start": obj.start, "stop": obj.stop, "step": obj.step}
    if not all(map(_is_divisible, children.values())):
        raise CannotKeep(
            f"Its integers are longer than {_MAX_DIVIDED} bytes. "
            "Keep start, stop and step as a tuple."
        )
    return Parts(children=children, is_node=False)


def _decode_range(parts: Parts) -> range:
    children = expect(parts.children, dict)
    ends = [expect(children[name], int) for name in ("start", "stop", "step")]
    if not all(map(_is_divisible, ends)):
        raise ValueError(f"a range has integers longer than {_MAX_DIVIDED} bytes")
    return range(*ends)


# Enums --------------------------------------------------------------------------------


def _encode_enum(obj: enum.Enum) -> Parts:
    cls = type(obj)
    members = class_attribute(cls, "_member_map_")
    name = object.__getattribute__(obj, "_name_")
    parts = Parts(refers=cls)
    if isinstance(obj, int):  # plain Equinox writes an IntEnum as one
        as_int = _encode_int(int(obj))
        parts.mirror, parts.extra["number"] = as_int.mirror, as_int.value
    if type(name) is str and members.get(name) is obj:
        parts.value = name
        return parts
    if isinstance(obj, enum.Flag):
        number = int(object.__getattribute__(obj, "_value_"))
        names, rest = _members_in(cls, number)
        parts.value = _encode_int(number).value
        parts.extra["members"] = names
        if rest:
            parts.extra["rest"] = _encode_int(rest).value
        if _decode_enum(parts) is obj:  # made now, too, so that loading does not fail
            return parts
    raise CannotKeep(
        "It is not one of the members of its Enum. Keep its value, `x.value`, instead."
    )


class MemberGone(ValueError):
    """A member that an Enum has no longer."""

    def __init__(self, cls: type, member: str) -> None:
        super().__init__(f"{cls.__name__} has no member {member!r:.80}")
        self.member = member


class MembersChanged(ValueError):
    """A combination of flags that the class makes no longer."""


def _members_in(cls: type, number: int) -> tuple[list[str], int]:
    """The members in a combination of flags, and the bits that none of them has."""
    own: dict[str, int] = {}
    for name, member in class_attribute(cls, "_member_map_").items():
        value = object.__getattribute__(member, "_value_")
        if type(value) is int:
            own[name] = value
    found: list[str] = []
    left = number
    # A member may itself combine others: it counts for the bits that only it has.
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
    number, extra = _decode_int(parts), parts.extra
    if "members" not in extra:  # of a release that kept the number alone
        return _decode_flags(cls, number, f"the number {number:#x}")
    names = [expect(name, str) for name in expect(extra["members"], list)]
    rest = _decode_int(Parts(value=extra.get("rest", 0)))
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


def _combination(names: list[str], rest: int) -> str:
    return "|".join([*names, *([f"{rest:#x}"] if rest or not names else [])])


def _members_changed(cls: type, saved: str, now: str) -> MembersChanged:
    return MembersChanged(
        f"was saved as `{saved:.200}`, for which `{cls.__name__}` has {now:.200} now. "
        "Give the class the members and the boundary that it had, load the object, "
        "and save `x.value` instead"
    )


def _decode_flags(cls: type, number: int, saved: str) -> enum.Enum:
    """A combination of flags, where making one is Python's own work."""
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
    # What a boundary drops, or gives back as an integer, is no such member.
    if type(made) is not cls:
        raise _members_changed(cls, saved, "an integer")
    value = object.__getattribute__(made, "_value_")
    if value != number:
        raise _members_changed(cls, saved, _combination(*_members_in(cls, value)))
    return made


# Dates, numbers, paths ----------------------------------------------------------------


def _encode_date(obj: dt.date) -> Parts:
    return Parts(value=[obj.year, obj.month, obj.day])


def _decode_date(parts: Parts) -> dt.date:
    return dt.date(*expect(parts.value, list))


def _zone(zone: dt.tzinfo | None) -> Any:
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        unnamed = dt.timezone(offset).tzname(None) == name
        plain = [offset.days, offset.seconds, offset.microseconds]
        if not is_printable_name(name):
            raise CannotKeep(
                "The name of its time zone cannot be printed. Give the zone another."
            )
        return {"offset": plain} if unnamed else {"offset": plain, "name": name}
    if type(zone) is zoneinfo.ZoneInfo and zone.key in _zones():
        return {"key": zone.key}
    raise CannotKeep(
        "Its time zone is neither a `timezone` nor a named `ZoneInfo`. Give it one of "
        "these, such as by `x.astimezone(datetime.timezone.utc)`."
    )


# What else lies in those folders begins with a small letter: tables, other clocks.
_ZONE = re.compile(r"[A-Z][\w+-]*(/[\w+-]+)*", re.ASCII)


@functools.cache
def _zones() -> frozenset[str]:
    """The zones of this machine: asked for by name, a zone is a file to open.

    Not by `zoneinfo.available_timezones`, which imports `tzdata` from wherever it is.
    """
    found: set[str] = set()
    for root in zoneinfo.TZPATH:
        for folder, _, files in os.walk(root):
            inner = pathlib.Path(folder).relative_to(root).parts
            keys = ("/".join((*inner, file)) for file in files)
            found.update(key for key in keys if _ZONE.fullmatch(key))
    if not found and is_installed("tzdata"):
        found = zoneinfo.available_timezones()
    return frozenset(found)


def _from_zone(plain: Any) -> dt.tzinfo | None:
    if plain is None:
        return None
    if "key" in plain:
        key = expect(plain["key"], str)
        if key not in _zones():
            raise ValueError(f"this machine has no time zone {key!r:.80}")
        return zoneinfo.ZoneInfo(key)
    days, seconds, microseconds = (expect(n, int) for n in plain["offset"])
    offset = dt.timedelta(days, seconds, microseconds)
    if "name" in plain:
        if not is_printable_name(plain["name"]):
            raise ValueError("the name of a time zone cannot be printed")
        return dt.timezone(offset, plain["name"])
    return dt.UTC if not offset else dt.timezone(offset)


def _encode_time(obj: dt.time) -> Parts:
    value = [obj.hour, obj.minute, obj.second, obj.microsecond, obj.fold]
    return Parts(value=value, extra={"zone": _zone(obj.tzinfo)})


def _decode_time(parts: Parts) -> dt.time:
    *clock, fold = expect(parts.value, list)
    return dt.time(*clock, tzinfo=_from_zone(parts.extra["zone"]), fold=fold)


def _encode_datetime(obj: dt.datetime) -> Parts:
    day = [obj.year, obj.month, obj.day]
    value = [*day, obj.hour, obj.minute, obj.second, obj.microsecond, obj.fold]
    return Parts(value=value, extra={"zone": _zone(obj.tzinfo)})


def _decode_datetime(parts: Parts) -> dt.datetime:
    *moment, fold = expect(parts.value, list)
    return dt.datetime(*moment, tzinfo=_from_zone(parts.extra["zone"]), fold=fold)


def _encode_timedelta(obj: dt.timedelta) -> Parts:
    return Parts(value=[obj.days, obj.seconds, obj.microseconds])


def _decode_timedelta(parts: Parts) -> dt.timedelta:
    return dt.timedelta(*expect(parts.value, list))


def _encode_zone(obj: dt.tzinfo) -> Parts:
    return Parts(extra={"zone": _zone(obj)})


def _decode_zone(parts: Parts) -> Any:
    return _from_zone(parts.extra["zone"])


def _encode_uuid(obj: uuid.UUID) -> Parts:
    unknown = obj.is_safe is uuid.SafeUUID.unknown
    return Parts(value=obj.bytes, extra={} if unknown else {"safe": obj.is_safe.name})


def _decode_uuid(parts: Parts) -> uuid.UUID:
    is_safe = uuid.SafeUUID[expect(parts.extra.get("safe", "unknown"), str)]
    return uuid.UUID(bytes=expect(parts.value, bytes), is_safe=is_safe)


def _encode_fraction(obj: Fraction) -> Parts:
    if not (_is_divisible(obj.numerator) and _is_divisible(obj.denominator)):
        raise CannotKeep(
            f"Its integers are longer than {_MAX_DIVIDED} bytes. "
            "Keep numerator and denominator as a tuple."
        )
    return Parts(value=[_int_bytes(obj.numerator), _int_bytes(obj.denominator)])


def _decode_fraction(parts: Parts) -> Fraction:
    numerator, denominator = (expect(n, bytes) for n in expect(parts.value, list))
    if max(len(numerator), len(denominator)) > _MAX_DIVIDED:
        raise ValueError(f"a fraction has integers longer than {_MAX_DIVIDED} bytes")
    return Fraction(_from_bytes(numerator), _from_bytes(denominator))


def _encode_decimal(obj: Decimal) -> Parts:
    return Parts(value=str(obj))


def _decode_decimal(parts: Parts) -> Decimal:
    return Decimal(expect(parts.value, str))


_PATHS = {
    cls.__name__: cls
    for cls in (
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
        pathlib.PosixPath,
        pathlib.WindowsPath,
    )
}


_FOREIGN = pathlib.PosixPath if os.name == "nt" else pathlib.WindowsPath


def _encode_path(obj: pathlib.PurePath) -> Parts:
    parts = _encode_str(str(obj))
    parts.extra["flavour"] = type(obj).__name__
    return parts


def _decode_path(parts: Parts) -> pathlib.PurePath:
    cls = _PATHS[expect(parts.extra["flavour"], str)]
    if cls is _FOREIGN:  # cannot be made here; its equal, which touches no disk, can
        cls = _PATHS[f"Pure{cls.__name__}"]
    return cls(_decode_str(parts))


def _encode_namespace(obj: types.SimpleNamespace) -> Parts:
    children = dict(vars(obj))
    for name in children:
        if not _is_attribute(name):
            dunder = type(name) is str and is_dunder(name)
            what = "means something to Python" if dunder else "is no printable text"
            raise CannotKeep(
                f"It has an attribute whose name {what}. Keep `vars(x)`, a "
                "dictionary, instead."
            )
    return Parts(children=children, is_node=False)


def _is_attribute(name: object) -> bool:
    return type(name) is str and is_printable_name(name) and not is_dunder(name)


def _decode_namespace(parts: Parts) -> types.SimpleNamespace:
    children = expect(parts.children, dict)
    if not all(map(_is_attribute, children)):
        raise ValueError("an attribute has a name that none may have")
    return types.SimpleNamespace(**children)


VALUE_KINDS = (
    Kind("none", exactly(type(None)), _as_is, lambda parts: None, keeps="`None`"),
    Kind("bool", exactly(bool), _encode_bool, _decode_bool, keeps="`bool`"),
    Kind("int", exactly(int), _encode_int, _decode_int, keeps="`int` of any size"),
    Kind(
        "float",
        exactly(float),
        _encode_float,
        _decode_float,
        keeps="`float`, to the bit",
    ),
    Kind(
        "complex", exactly(complex), _encode_complex, _decode_complex, keeps="`complex`"
    ),
    Kind("str", exactly(str), _encode_str, _decode_str, keeps="`str`, any Unicode"),
    Kind("bytes", exactly(bytes), _as_is, _decode_bytes, keeps="`bytes`"),
    Kind(
        "bytearray",
        exactly(bytearray),
        _encode_bytearray,
        _decode_bytearray,
        keeps="`bytearray`",
        shared=True,
    ),
    Kind(
        "constant",
        exactly(type(...), type(NotImplemented)),
        _encode_singleton,
        _decode_singleton,
        keeps="`Ellipsis` and `NotImplemented`",
    ),
    Kind("slice", exactly(slice), _encode_slice, _decode_slice, keeps="`slice`"),
    Kind("range", exactly(range), _encode_range, _decode_range, keeps="`range`"),
    Kind(
        "enum",
        subclass(enum.Enum),  # an IntEnum is an int, and comes by its own name
        _encode_enum,
        _decode_enum,
        ENUM,
        keeps="members of `Enum`, `IntEnum`, `StrEnum`, `Flag`, by name",
        attributes=None,
    ),
    Kind("date", exactly(dt.date), _encode_date, _decode_date, keeps="`date`"),
    Kind("time", exactly(dt.time), _encode_time, _decode_time, keeps="`time`"),
    Kind(
        "datetime",
        exactly(dt.datetime),
        _encode_datetime,
        _decode_datetime,
        keeps="`datetime`, with its time zone",
    ),
    Kind(
        "timedelta",
        exactly(dt.timedelta),
        _encode_timedelta,
        _decode_timedelta,
        keeps="`timedelta`",
    ),
    Kind(
        "timezone",
        exactly(dt.timezone, zoneinfo.ZoneInfo),
        _encode_zone,
        _decode_zone,
        keeps="`timezone` and `ZoneInfo`",
    ),
    Kind("uuid", exactly(uuid.UUID), _encode_uuid, _decode_uuid, keeps="`UUID`"),
    Kind(
        "fraction",
        exactly(Fraction),
        _encode_fraction,
        _decode_fraction,
        keeps="`Fraction`",
    ),
    Kind(
        "decimal", exactly(Decimal), _encode_decimal, _decode_decimal, keeps="`Decimal`"
    ),
    Kind(
        "path",
        exactly(*_PATHS.values()),
        _encode_path,
        _decode_path,
        keeps="paths of `pathlib`, as text",
    ),
)


NAMESPACE_KINDS = (
    Kind(
        "namespace",
        exactly(types.SimpleNamespace),
        _encode_namespace,
        _decode_namespace,
        keeps="`SimpleNamespace`",
        shared=True,
        attributes=None,
    ),
)
