"""Plain Python values as plain data, exactly."""

from __future__ import annotations

import os
import pathlib
import types
import uuid
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays.records import Record, record_of
from .._errors import shown
from .._trust.names import is_printable_name
from .base import (
    CannotKeep,
    Data,
    Kind,
    Parts,
    children_by_name,
    exactly,
    expect_children,
)
from .fields import is_dunder
from .look import Look, beginning, value_text


def _as_is(obj: Any) -> Parts:
    return Parts(value=obj)


def _expected(cls: type) -> Callable[[Parts], Any]:
    """A `decode` for values that are plain data of this class."""
    return lambda parts: expect(parts.value, cls)


NONE = Kind(
    "none",
    exactly(type(None)),
    _as_is,
    lambda parts: None,
    keeps="`None`",
    data=Data.NONE,
    look=Look(value=lambda node: "None", literal=True, inline=True, words="None"),
)


def expect(value: Any, *classes: type) -> Any:
    """The value, if its class is one of these; `ValueError` if not."""
    if type(value) not in classes:
        raise ValueError(f"expected {classes[0].__name__}, got {type(value).__name__}")
    return value


def scalar_record(obj: Any) -> Record:
    """The record in which plain Equinox keeps a Python scalar."""
    if type(obj) is bytes:  # of an integer too large for a record
        obj = np.frombuffer(obj, np.uint8)
    return record_of(np.asarray(obj))


def _encode_scalar(obj: bool | float) -> Parts:
    return Parts(value=obj, equinox_record=lambda: scalar_record(obj))


BOOL = Kind(
    "bool",
    exactly(bool),
    _encode_scalar,
    _expected(bool),
    keeps="`bool`",
    data=Data.NONE,
    look=Look(literal=True, inline=True),
)


# The integers of msgpack.
_MIN_INT, _MAX_INT = -(2**63), 2**64


def _int_bytes(obj: int) -> bytes:
    return obj.to_bytes(obj.bit_length() // 8 + 1, "little", signed=True)


def _from_bytes(data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def encode_int(obj: int) -> Parts:
    if _MIN_INT <= obj < _MAX_INT:
        return Parts(value=obj, equinox_record=lambda: scalar_record(obj))
    value = _int_bytes(obj)
    # Equinox cannot load such an integer, but it counts the records.
    return Parts(value=value, equinox_record=lambda: scalar_record(value))


def decode_int(parts: Parts) -> int:
    if type(parts.value) is bytes:
        return _from_bytes(parts.value)
    return expect(parts.value, int)


def _number(node: dict[str, Any]) -> NDArray[Any] | None:
    value = node.get("value")
    return np.asarray(value) if type(value) in (int, float) else None


_NUMBER = Look(literal=True, inline=True, numbers=_number)

INT = Kind(
    "int",
    exactly(int),
    encode_int,
    decode_int,
    keeps="`int` of any size",
    data=Data.NUMBERS,
    look=_NUMBER,
)


FLOAT = Kind(
    "float",
    exactly(float),
    _encode_scalar,
    _expected(float),
    keeps="`float`, to the bit",
    data=Data.NUMBERS,
    look=_NUMBER,
)


def _encode_complex(obj: complex) -> Parts:
    return Parts(value=[obj.real, obj.imag], equinox_record=lambda: scalar_record(obj))


def _decode_complex(parts: Parts) -> complex:
    real, imag = expect(parts.value, list)
    return complex(expect(real, float), expect(imag, float))


def _complex_text(node: dict[str, Any]) -> str | None:
    value = node.get("value")
    if not isinstance(value, list) or len(value) != 2:
        return value_text(node)
    known = all(type(part) in (int, float) for part in value)
    return shown(repr(complex(*value))) if known else None


def _complex_numbers(node: dict[str, Any]) -> NDArray[Any] | None:
    value = node.get("value")
    return np.asarray(complex(*value)) if isinstance(value, list) else None


COMPLEX = Kind(
    "complex",
    exactly(complex),
    _encode_complex,
    _decode_complex,
    keeps="`complex`",
    data=Data.NUMBERS,
    look=Look(value=_complex_text, numbers=_complex_numbers, literal=True, inline=True),
)


def _encode_str(obj: str) -> Parts:
    try:
        obj.encode()
    except UnicodeEncodeError:  # lone surrogates are not UTF-8
        return Parts(value=obj.encode("utf8", "surrogatepass"))
    return Parts(value=obj)


def _decode_str(parts: Parts) -> str:
    if type(parts.value) is bytes:
        return parts.value.decode("utf8", "surrogatepass")
    return expect(parts.value, str)


STR = Kind(
    "str",
    exactly(str),
    _encode_str,
    _decode_str,
    keeps="`str`, any Unicode",
    look=Look(literal=True, inline=True),
)


BYTES = Kind(
    "bytes",
    exactly(bytes),
    _as_is,
    _expected(bytes),
    keeps="`bytes`",
    look=Look(value=lambda node: beginning(node.get("value")), literal=True),
)


BYTEARRAY = Kind(
    "bytearray",
    exactly(bytearray),
    lambda obj: Parts(value=bytes(obj)),
    lambda parts: bytearray(expect(parts.value, bytes)),
    keeps="`bytearray`",
    shared=True,
)


_SINGLETONS = {"Ellipsis": ..., "NotImplemented": NotImplemented}


CONSTANT = Kind(
    "constant",
    exactly(type(...), type(NotImplemented)),
    lambda obj: Parts(value=repr(obj)),
    lambda parts: _SINGLETONS[expect(parts.value, str)],
    keeps="`Ellipsis` and `NotImplemented`",
    data=Data.NUMBERS,
)


_ENDS = ("start", "stop", "step")


def _encode_slice(obj: slice | range) -> Parts:
    return Parts(children={name: getattr(obj, name) for name in _ENDS})


def _decode_slice(parts: Parts) -> slice:
    return slice(*expect_children(parts, *_ENDS))


SLICE = Kind(
    "slice",
    exactly(slice),
    _encode_slice,
    _decode_slice,
    keeps="`slice`",
    data=Data.NUMBERS,
)


# A range divides its ends by its step, and a fraction finds common divisors: the time
# for both grows with the square of the length of their integers.
_MAX_DIVIDED = 4096  # bytes


def _is_divisible(obj: int) -> bool:
    return obj.bit_length() < 8 * _MAX_DIVIDED


def _encode_range(obj: range) -> Parts:
    if not all(map(_is_divisible, (obj.start, obj.stop, obj.step))):
        raise CannotKeep(
            f"Its integers are longer than {_MAX_DIVIDED} bytes. "
            "Keep start, stop and step as a tuple."
        )
    return _encode_slice(obj)


def _decode_range(parts: Parts) -> range:
    ends = [expect(end, int) for end in expect_children(parts, *_ENDS)]
    if not all(map(_is_divisible, ends)):
        raise ValueError(f"a range has integers longer than {_MAX_DIVIDED} bytes")
    return range(*ends)


RANGE = Kind(
    "range",
    exactly(range),
    _encode_range,
    _decode_range,
    keeps="`range`",
    data=Data.NUMBERS,
)


def _encode_uuid(obj: uuid.UUID) -> Parts:
    unknown = obj.is_safe is uuid.SafeUUID.unknown
    return Parts(value=obj.bytes, extra={} if unknown else {"safe": obj.is_safe.name})


def _decode_uuid(parts: Parts) -> uuid.UUID:
    is_safe = uuid.SafeUUID[expect(parts.extra.get("safe", "unknown"), str)]
    return uuid.UUID(bytes=expect(parts.value, bytes), is_safe=is_safe)


UUID = Kind("uuid", exactly(uuid.UUID), _encode_uuid, _decode_uuid, keeps="`UUID`")


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


FRACTION = Kind(
    "fraction",
    exactly(Fraction),
    _encode_fraction,
    _decode_fraction,
    keeps="`Fraction`",
    data=Data.NUMBERS,
)


DECIMAL = Kind(
    "decimal",
    exactly(Decimal),
    lambda obj: Parts(value=str(obj)),
    lambda parts: Decimal(expect(parts.value, str)),
    keeps="`Decimal`",
)


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
    if cls is _FOREIGN:  # no system has both; the pure class is the same everywhere
        cls = _PATHS[f"Pure{cls.__name__}"]
    return cls(_decode_str(parts))


PATH = Kind(
    "path",
    exactly(*_PATHS.values()),
    _encode_path,
    _decode_path,
    keeps="paths of `pathlib`, as text",
)


def _encode_namespace(obj: types.SimpleNamespace) -> Parts:
    children = dict(vars(obj))
    for name in children:
        if not _is_attribute(name):
            dunder = type(name) is str and is_dunder(name)
            what = "is special to Python" if dunder else "is not printable text"
            raise CannotKeep(
                f"It has an attribute whose name {what}. Keep `vars(x)`, a "
                "dictionary, instead."
            )
    return Parts(children=children)


def _is_attribute(name: object) -> bool:
    return type(name) is str and is_printable_name(name) and not is_dunder(name)


def _decode_namespace(parts: Parts) -> types.SimpleNamespace:
    children = children_by_name(parts)
    if not all(map(_is_attribute, children)):
        raise ValueError("an attribute has a name that is not allowed")
    return types.SimpleNamespace(**children)


NAMESPACE = Kind(
    "namespace",
    exactly(types.SimpleNamespace),
    _encode_namespace,
    _decode_namespace,
    keeps="`SimpleNamespace`",
    shared=True,
    attributes=None,
)
