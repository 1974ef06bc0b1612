"""Plain Python values as plain data, exactly."""

from __future__ import annotations

import collections.abc
import datetime as dt
import enum
import functools
import operator
import os
import pathlib
import re
import types
import typing
import uuid
import zoneinfo
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jaxtyping
import numpy as np
from jaxtyping import AbstractDtype, Float, PyTree

from .._arrays.records import Record, record_of
from .._trust import reflection
from .._trust.classes import is_tame
from .._trust.names import is_printable_name, name_of
from .._trust.origins import is_installed
from .._trust.reflection import class_attribute
from .._trust.roles import CLASS, ENUM
from ._base import CannotKeep, Kind, Parts, exactly, subclass
from ._containers import check_keys, is_dunder


def _as_is(obj: Any) -> Parts:
    return Parts(value=obj)


def _expect(value: Any, *classes: type) -> Any:
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
    return _expect(parts.value, bool)


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
    return _expect(parts.value, int)


def _encode_float(obj: float) -> Parts:
    return Parts(value=obj, mirror=lambda: mirror_of(obj))


def _decode_float(parts: Parts) -> float:
    return _expect(parts.value, float)


def _encode_complex(obj: complex) -> Parts:
    return Parts(value=[obj.real, obj.imag], mirror=lambda: mirror_of(obj))


def _decode_complex(parts: Parts) -> complex:
    real, imag = _expect(parts.value, list)
    return complex(_expect(real, float), _expect(imag, float))


def _encode_str(obj: str) -> Parts:
    try:
        obj.encode()
    except UnicodeEncodeError:  # lone surrogates are no UTF-8
        return Parts(value=obj.encode("utf8", "surrogatepass"))
    return Parts(value=obj)


def _decode_str(parts: Parts) -> str:
    if type(parts.value) is bytes:
        return parts.value.decode("utf8", "surrogatepass")
    return _expect(parts.value, str)


def _decode_bytes(parts: Parts) -> bytes:
    return _expect(parts.value, bytes)


def _encode_bytearray(obj: bytearray) -> Parts:
    return Parts(value=bytes(obj))


def _decode_bytearray(parts: Parts) -> bytearray:
    return bytearray(_expect(parts.value, bytes))


_SINGLETONS = {"Ellipsis": ..., "NotImplemented": NotImplemented}


def _encode_singleton(obj: Any) -> Parts:
    return Parts(value=repr(obj))


def _decode_singleton(parts: Parts) -> Any:
    return _SINGLETONS[_expect(parts.value, str)]


def _encode_slice(obj: slice) -> Parts:
    children = {"start": obj.start, "stop": obj.stop, "step": obj.step}
    return Parts(children=children, is_node=False)


def _decode_slice(parts: Parts) -> slice:
    children = _expect(parts.children, dict)
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
    children = _expect(parts.children, dict)
    ends = [_expect(children[name], int) for name in ("start", "stop", "step")]
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
    names = [_expect(name, str) for name in _expect(extra["members"], list)]
    rest = _decode_int(Parts(value=extra.get("rest", 0)))
    number = rest
    for name in names:
        if name not in members:
            raise MemberGone(cls, name)
        number |= _expect(object.__getattribute__(members[name], "_value_"), int)
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
    return dt.date(*_expect(parts.value, list))


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
        key = _expect(plain["key"], str)
        if key not in _zones():
            raise ValueError(f"this machine has no time zone {key!r:.80}")
        return zoneinfo.ZoneInfo(key)
    days, seconds, microseconds = (_expect(n, int) for n in plain["offset"])
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
    *clock, fold = _expect(parts.value, list)
    return dt.time(*clock, tzinfo=_from_zone(parts.extra["zone"]), fold=fold)


def _encode_datetime(obj: dt.datetime) -> Parts:
    day = [obj.year, obj.month, obj.day]
    value = [*day, obj.hour, obj.minute, obj.second, obj.microsecond, obj.fold]
    return Parts(value=value, extra={"zone": _zone(obj.tzinfo)})


def _decode_datetime(parts: Parts) -> dt.datetime:
    *moment, fold = _expect(parts.value, list)
    return dt.datetime(*moment, tzinfo=_from_zone(parts.extra["zone"]), fold=fold)


def _encode_timedelta(obj: dt.timedelta) -> Parts:
    return Parts(value=[obj.days, obj.seconds, obj.microseconds])


def _decode_timedelta(parts: Parts) -> dt.timedelta:
    return dt.timedelta(*_expect(parts.value, list))


def _encode_zone(obj: dt.tzinfo) -> Parts:
    return Parts(extra={"zone": _zone(obj)})


def _decode_zone(parts: Parts) -> Any:
    return _from_zone(parts.extra["zone"])


def _encode_uuid(obj: uuid.UUID) -> Parts:
    unknown = obj.is_safe is uuid.SafeUUID.unknown
    return Parts(value=obj.bytes, extra={} if unknown else {"safe": obj.is_safe.name})


def _decode_uuid(parts: Parts) -> uuid.UUID:
    is_safe = uuid.SafeUUID[_expect(parts.extra.get("safe", "unknown"), str)]
    return uuid.UUID(bytes=_expect(parts.value, bytes), is_safe=is_safe)


def _encode_fraction(obj: Fraction) -> Parts:
    if not (_is_divisible(obj.numerator) and _is_divisible(obj.denominator)):
        raise CannotKeep(
            f"Its integers are longer than {_MAX_DIVIDED} bytes. "
            "Keep numerator and denominator as a tuple."
        )
    return Parts(value=[_int_bytes(obj.numerator), _int_bytes(obj.denominator)])


def _decode_fraction(parts: Parts) -> Fraction:
    numerator, denominator = (_expect(n, bytes) for n in _expect(parts.value, list))
    if max(len(numerator), len(denominator)) > _MAX_DIVIDED:
        raise ValueError(f"a fraction has integers longer than {_MAX_DIVIDED} bytes")
    return Fraction(_from_bytes(numerator), _from_bytes(denominator))


def _encode_decimal(obj: Decimal) -> Parts:
    return Parts(value=str(obj))


def _decode_decimal(parts: Parts) -> Decimal:
    return Decimal(_expect(parts.value, str))


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
    cls = _PATHS[_expect(parts.extra["flavour"], str)]
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
    children = _expect(parts.children, dict)
    if not all(map(_is_attribute, children)):
        raise ValueError("an attribute has a name that none may have")
    return types.SimpleNamespace(**children)


# Types as values ----------------------------------------------------------------------


def _encode_class(obj: type) -> Parts | None:
    return None if name_of(obj) is None else Parts(refers=obj)


def _decode_reference(parts: Parts) -> Any:
    return parts.refers


def _encode_alias(obj: Any) -> Parts | None:
    _check_size([obj])
    if type(obj) is typing.ForwardRef:
        raise CannotKeep(
            "A forward reference is text, which Python compiles. Name the class itself."
        )
    found = _taken_apart(obj)
    if found is None:
        return None
    form, children = found
    if form == "Literal" and not all(map(_is_literal, children)):
        raise CannotKeep(
            "One of its values is not a plain one. Keep `typing.get_args(x)` instead."
        )
    try:
        check_keys(children)
        same = _is_alike(_alias(children, form), obj)
    except CannotKeep as error:
        raise CannotKeep(f"Python hashes its parts. {error} {_AS_PARTS}") from error
    except (ValueError, TypeError) as error:
        raise CannotKeep(f"Of its parts, {error}. {_AS_PARTS}") from error
    if not same:
        raise CannotKeep(f"Its parts give another annotation. {_AS_PARTS}")
    return Parts(children=children, value=form, is_node=False)


_AS_PARTS = (
    "Keep `typing.get_origin(x)` and `typing.get_args(x)`, as far as files hold them, "
    "and make it again from both."
)


def _taken_apart(obj: Any) -> tuple[str, list[Any]] | None:
    """The form of an annotation, and what it is made of."""
    origin, args = typing.get_origin(obj), list(typing.get_args(obj))
    if origin is typing.Annotated:
        return "Annotated", [obj.__origin__, *obj.__metadata__]
    if type(obj) is types.UnionType:
        return "|", args
    if type(obj) is _CALLABLE_ALIAS:
        return "abc.Callable", args
    if type(obj) is types.GenericAlias:
        form = "builtin*" if obj.__unpacked__ else "builtin"
        return form, [obj.__origin__, *obj.__args__]
    if origin is typing.Union:
        return "Union", args
    if origin is typing.Literal:
        return "Literal", args
    form = _special_form(obj)
    if form is not None:
        return form, args
    if reflection.is_class(origin) and _is_plain_generic(origin):
        return "generic", [origin, *args]
    return None


def _is_alike(made: Any, obj: Any) -> bool:
    """Whether an annotation made of the parts of another is as that is, to the bit."""
    one, other = _taken_apart(made), _taken_apart(obj)
    if type(made) is not type(obj) or one is None or other is None:
        return False
    same = typing.get_origin(made) is typing.get_origin(obj) and one[0] == other[0]
    return same and _same_members(one[1], other[1]) and bool(made == obj)


def _special_form(obj: Any) -> str | None:
    """The name in `typing` whose subscript this is, such as `List` of `List[int]`."""
    name = getattr(obj, "_name", None) or getattr(typing.get_origin(obj), "_name", None)
    form = typing.__dict__.get(name) if type(name) is str else None
    if form is None or name not in _TYPING_FORMS:
        return None
    # A generic class of one's own may have such a name, too.
    is_form = getattr(form, "__origin__", form) is typing.get_origin(obj)
    return name if is_form else None


_TYPING_FORMS = frozenset(
    """
    Callable ClassVar DefaultDict Deque Dict Final FrozenSet Iterable Iterator List
    Mapping MutableMapping OrderedDict Sequence Set Tuple Type
    """.split()
)


def _is_plain_generic(origin: Any) -> bool:
    method = class_attribute(origin, "__class_getitem__")
    own = typing.Generic.__dict__["__class_getitem__"]
    # Made in C since Python 3.13, and found as it is.
    behind = getattr(own, "__func__", own)
    return method is own or getattr(method, "__func__", None) is behind


# `typing` compares each member of a union with each other.
_MAX_UNION = 256
# And it hashes all of an annotation for every one around it.
_MAX_ANNOTATION = 256


def _check_size(children: list[Any]) -> None:
    """Refuse annotations within annotations without end, however they are shared."""
    waiting, count = list(children), 0
    while waiting:
        child = waiting.pop()
        if type(child) is list:  # the parameters of a `Callable`
            waiting += child
        elif type(child) in _ALIAS_TYPES:
            count += 1
            waiting += typing.get_args(child)
        elif type(child) is _TREE_ANNOTATION and child is not PyTree:
            count += 1
            waiting.append(child.leaftype)
        if count > _MAX_ANNOTATION:
            raise CannotKeep(
                f"More than {_MAX_ANNOTATION} annotations lie within it. "
                "Give a part of it a class of its own."
            )


def _decode_alias(parts: Parts) -> Any:
    children, form = _expect(parts.children, list), _expect(parts.value, str)
    _check_size(children)
    check_keys(children)  # `typing` hashes them
    made = _alias(children, form)
    # It also keeps what it made, and gives that for what is equal: `Literal[0.0]` for
    # `Literal[-0.0]`.
    if form in ("Literal", "Annotated"):
        held = _taken_apart(made)
        if held is None or not _same_members(held[1], children):
            raise ValueError(
                "Python holds an equal annotation already, of other values"
            )
    return made


def _same_members(held: list[Any], children: list[Any]) -> bool:
    return len(held) == len(children) and all(map(_same, held, children))


def _same(a: Any, b: Any) -> bool:
    """Whether two members that are equal are the same to the bit, too."""
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or type(a) not in (float, complex) or repr(a) == repr(b)


def _alias(children: list[Any], form: str) -> Any:
    if form == "Annotated":
        if not children or not _is_annotation(children[0]):
            raise ValueError("an annotation refers to something that is not a type")
        return typing.Annotated[tuple(children)]
    if form == "Literal":
        if not all(map(_is_literal, children)):
            raise ValueError("a literal is no plain value")
        return typing.Literal[tuple(children)]
    if form in ("builtin", "builtin*"):
        origin, *args = children
        if not all(type(arg) is str or _is_annotation(arg) for arg in args):
            raise ValueError("an annotation refers to something that is not a type")
        if not reflection.is_class(origin):
            raise ValueError("an annotation subscripts something that is no class")
        alias = types.GenericAlias(origin, tuple(args))
        return next(iter(alias)) if form == "builtin*" else alias
    if not all(map(_is_annotation, children)):  # `typing` compiles text
        raise ValueError("an annotation refers to something that is not a type")
    size = sum(max(len(typing.get_args(child)), 1) for child in children)
    if form in ("|", "Union") and size > _MAX_UNION:
        raise ValueError(f"a union has more than {_MAX_UNION} members")
    if form == "|":
        return _either(children)
    if form == "Union":
        return typing.Union[tuple(children)]  # noqa: UP007
    if form == "generic":
        origin, *args = children
        if not reflection.is_class(origin) or not _is_plain_generic(origin):
            raise ValueError("an annotation subscripts something that is not generic")
        subscript = typing.Generic.__dict__["__class_getitem__"]
        return subscript.__get__(None, origin)(tuple(args))
    if form == "abc.Callable" and len(children) == 2:
        return collections.abc.Callable[tuple(children)]  # type: ignore[misc]
    if form not in _TYPING_FORMS:
        raise ValueError(f"unknown annotation {form!r:.80}")
    if form == "Callable" and len(children) == 2:
        # A list of types, or an ellipsis, and the type of the result.
        form_of: Any = typing.Callable
        return form_of[tuple(children)]
    special = typing.__dict__[form]
    return special[tuple(children)] if len(children) != 1 else special[children[0]]


def _either(members: list[Any]) -> Any:
    """A union by bars, of halves: Python compares all members again at each bar."""
    if len(members) < 3:
        return functools.reduce(operator.or_, members)
    middle = len(members) // 2
    return _either(members[:middle]) | _either(members[middle:])


_CALLABLE_ALIAS = type(collections.abc.Callable[[int], int])
_ALIAS_TYPES = (
    _CALLABLE_ALIAS,
    types.GenericAlias,
    types.UnionType,
    type(list[int]),
    type(typing.List[int]),  # noqa: UP006
    type(typing.Union[int, str]),  # noqa: UP007
    type(typing.Literal[1]),
    type(typing.Callable[[int], int]),
    type(typing.Annotated[int, 1]),
    typing.ForwardRef,
)


def _is_literal(obj: Any) -> bool:
    if type(obj) in (str, bytes, int, float, bool, type(None)):
        return True
    cls = type(obj)
    looks = [class_attribute(cls, name) for name in ("__getattr__", "__getattribute__")]
    return type(cls) is enum.EnumMeta and looks == [None, object.__getattribute__]


_ANNOTATION_TYPES = frozenset({*_ALIAS_TYPES, typing.TypeVar, type(typing.Any)})


def _is_annotation(obj: Any) -> bool:
    if type(obj) is list:  # the parameters of a `Callable`
        return all(map(_is_annotation, obj))
    if reflection.is_class(obj):
        return is_tame(obj)
    return obj is ... or obj is None or type(obj) in _ANNOTATION_TYPES


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

# Annotations of jaxtyping -------------------------------------------------------------

_ARRAY_ANNOTATION, _TREE_ANNOTATION = type(Float[np.ndarray, ""]), type(PyTree[int])


def _are_plain(dimensions: str) -> bool:
    """Whether these are names and numbers: jaxtyping evaluates every other text."""
    return (
        len(dimensions) <= _MAX_DIMENSIONS_TEXT
        and is_printable_name(dimensions)
        and all(map(_is_plain_dimension, dimensions.split()))
    )


_MAX_DIMENSIONS_TEXT = 4096


def _is_plain_dimension(text: str) -> bool:
    if text == "...":
        return True
    name = text.lstrip("*#?_")
    number = name.isascii() and name.isdigit() and len(name) <= 18
    return name == "" or name.isidentifier() or number


def _encode_jaxtyping(obj: Any) -> Parts | None:
    if type(obj) is _TREE_ANNOTATION:
        if obj is PyTree:
            return None
        name, inner, held = "leaf", obj.leaftype, ("leaftype", "structure")
        value = {"dtype": "PyTree", "dimensions": obj.structure or ""}
    else:
        if jaxtyping.__dict__.get(obj.dtype.__name__) is not obj.dtype:
            raise CannotKeep(f"Its dtype is none of jaxtyping's own. {_AS_THREE}")
        name, inner, held = "array", obj.array_type, _HELD_BY_ANNOTATION
        value = {"dtype": obj.dtype.__name__, "dimensions": obj.dim_str}
    try:
        made = _annotated(inner, value["dtype"], value["dimensions"])
    except (ValueError, TypeError) as error:
        raise CannotKeep(f"Of its parts, {error}. {_AS_THREE}") from error
    if type(made) is not type(obj) or any(
        getattr(made, each) != getattr(obj, each) for each in held
    ):
        raise CannotKeep(f"Its parts give another annotation. {_AS_THREE}")
    return Parts(children={name: inner}, value=value, is_node=False)


_HELD_BY_ANNOTATION = ("dtype", "array_type", "dim_str", "dims", "dtypes")
_AS_THREE = (
    "Keep its dtype, the type of its array and its dimensions, "
    "`(x.dtype, x.array_type, x.dim_str)`, and make it again from these."
)


def _decode_jaxtyping(parts: Parts) -> Any:
    (inner,) = _expect(parts.children, dict).values()
    value = _expect(parts.value, dict)
    name, dimensions = _expect(value["dtype"], str), _expect(value["dimensions"], str)
    return _annotated(inner, name, dimensions)


def _annotated(inner: Any, name: str, dimensions: str) -> Any:
    """An annotation of jaxtyping, made of what a file may hold of one."""
    if not _are_plain(dimensions):
        raise CannotKeep(
            "Its dimensions are to be computed, or are more than names between spaces. "
            "Use plain names in them."
        )
    if not _is_annotation(inner):
        raise ValueError("an annotation refers to something that is not a type")
    _check_size([inner])
    if name == "PyTree":
        return PyTree[inner, dimensions] if dimensions else PyTree[inner]
    dtype: Any = jaxtyping.__dict__.get(name)
    if not reflection.is_class(dtype) or not reflection.derives(dtype, AbstractDtype):
        raise ValueError(f"jaxtyping has no dtype {name!r:.80}")
    # jaxtyping puts the dimensions of an annotation before those of one inside it, so
    # what it has made never holds one.
    if not (inner is typing.Any or reflection.is_class(inner)) or (
        type(inner) is _ARRAY_ANNOTATION
    ):
        raise ValueError("an annotation of an array holds another annotation")
    make: Any = dtype
    return make[inner, dimensions]


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

TYPE_KINDS = (
    Kind(
        "jaxtyping",  # before "class": they are classes, made at each mention
        lambda cls: cls in (_ARRAY_ANNOTATION, _TREE_ANNOTATION),
        _encode_jaxtyping,
        _decode_jaxtyping,
        keeps='`Float[Array, "batch dim"]` and its kin of jaxtyping',
        attributes=None,
    ),
    Kind(
        "annotation",  # before "class": some of these are instances of `type`
        lambda cls: cls in _ALIAS_TYPES,
        _encode_alias,
        _decode_alias,
        keeps="`list[int]`, `int | None`, `Callable[[int], int]` and their kin",
        attributes=None,
    ),
    Kind(
        "class",
        subclass(type),
        _encode_class,
        _decode_reference,
        CLASS,
        keeps="classes as values, by name",
        attributes=None,
    ),
)
