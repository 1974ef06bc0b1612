"""Dtypes as plain data, those included that `.npy` cannot name."""

from __future__ import annotations

import math
import re
from typing import Any

import jax
import ml_dtypes
import numpy as np

from .._errors import shown

# jax.dtypes.float0 is a structured dtype without bytes: the tangent of an integer.
FLOAT0 = np.dtype(jax.dtypes.float0)

# Their NumPy kind is "V", and `np.save` does not keep which of them it was.
EXTENDED: dict[str, np.dtype[Any]] = {
    name: np.dtype(getattr(ml_dtypes, name))
    for name in dir(ml_dtypes)
    if name.startswith(("int", "uint", "float", "bfloat"))
    and isinstance(getattr(ml_dtypes, name), type)
}
# bool, intN, uintN, floatN, complexN: named without byte order, in native order.
_NATIVE: dict[str, np.dtype[Any]] = {
    name: np.dtype(name)
    for name in (np.dtype(code).name for code in "?bhilqBHILQefdgFDG")
}
# Of two C types of one width, the bytes are stored as the first.
STORED = {code: _NATIVE[np.dtype(code).name] for code in "?bhilqBHILQefdgFDG"}
_BY_NAME = {**_NATIVE, **EXTENDED, "float0": FLOAT0}
# On most systems two C types share a width; the scalar types stay distinct in NumPy.
for _alias in ("longlong", "ulonglong"):
    if np.dtype(_alias).char != _NATIVE[np.dtype(_alias).name].char:
        _BY_NAME[_alias] = np.dtype(_alias)

# Plain dtypes are always the same objects, and the table above keeps them alive.
_BY_IDENTITY = {id(dtype): name for name, dtype in _BY_NAME.items()}

_TYPESTR = (
    r"[<>|=]([biufcSUV])(\d{1,9})|[<>|=]([Mm])8(\[([1-9]\d{0,8})?[A-Za-z]{1,7}\])?"
)
_MAX_ITEMSIZE = 2**31 - 1


def describe(dtype: np.dtype[Any]) -> str | dict[str, Any]:
    """A dtype as plain data, exact up to the byte order and the padding of structs.

    Raises
    ------
    ValueError
        If it cannot be saved: Python objects, strings of variable width, metadata.
    """
    name = _BY_IDENTITY.get(id(dtype))
    if name is not None:
        return name
    if dtype == FLOAT0:
        return "float0"
    if dtype.hasobject or dtype.kind == "T":
        raise ValueError(f"dtype {dtype} refers to Python objects")
    if dtype.metadata:
        raise ValueError(f"dtype {dtype} carries metadata")
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"base": describe(base), "shape": list(shape)}
    fields: Any = dtype.fields
    if fields is not None and dtype.names is not None:
        if dtype.type is not np.void:
            raise ValueError(f"dtype {dtype} belongs to the class {dtype.type}")
        entries = [fields[name] for name in dtype.names]
        plain: dict[str, Any] = {
            "names": list(dtype.names),
            "formats": [describe(entry[0]) for entry in entries],
            "offsets": [entry[1] for entry in entries],
            "itemsize": dtype.itemsize,
            "aligned": dtype.isalignedstruct,
        }
        titles = [entry[2] if len(entry) > 2 else None for entry in entries]
        if any(title is not None for title in titles):
            plain["titles"] = titles
        return plain
    for name in (dtype.name, "longlong", "ulonglong"):
        known = _BY_NAME.get(name)
        if known is not None and known == dtype and known.char == dtype.char:
            return name
    if re.fullmatch(_TYPESTR, dtype.str) and np.dtype(dtype.str) == dtype:
        return dtype.str
    raise ValueError(f"dtype {dtype} has no name that NumPy reads")


def parse(plain: Any) -> np.dtype[Any]:
    """The dtype of a description; any other text that NumPy understands is refused.

    Raises
    ------
    ValueError
        If `describe` returns no such description.
    """
    if type(plain) is str and plain in _BY_NAME:
        return _BY_NAME[plain]
    parsed = _parse(plain)
    try:
        is_canonical = describe(parsed) == plain
    except ValueError:
        is_canonical = False
    if not is_canonical:  # such as "<f8" for "float64"
        raise ValueError(f"the dtype {shown(parsed)} has another description")
    return parsed


def _parse(plain: Any) -> np.dtype[Any]:
    if type(plain) is str:
        known = _BY_NAME.get(plain)
        if known is not None:
            return known
        match = re.fullmatch(_TYPESTR, plain)
        if match is None or int(match[2] or 8) > _MAX_ITEMSIZE // 4:
            raise ValueError(f"unknown dtype {plain!r:.80}")
        try:
            return np.dtype(plain)
        except (TypeError, ValueError) as error:
            raise ValueError(f"unknown dtype {plain!r:.80}") from error
    if type(plain) is not dict:
        raise ValueError("a dtype is neither a name nor a description of fields")
    try:
        if set(plain) == {"base", "shape"}:
            shape = tuple(_length(n) for n in plain["shape"])
            base = _parse(plain["base"])
            # The product of very many lengths would take its time.
            if len(shape) > MAX_DIMENSIONS or (
                math.prod(shape) * base.itemsize > _MAX_ITEMSIZE
            ):
                raise ValueError("a dtype is larger than 2 GiB")
            return np.dtype((base, shape))
        titles = plain.get("titles")
        names, offsets = list(plain["names"]), [_length(n) for n in plain["offsets"]]
        if not all(type(name) is str for name in names):
            raise ValueError("a field of a dtype has no name")
        formats = [_parse(entry) for entry in plain["formats"]]
        itemsize = _length(plain["itemsize"])
        # NumPy adds in 32 bits, where a large sum overflows to a small one.
        if not len(names) == len(formats) == len(offsets) or any(
            offset + entry.itemsize > itemsize
            for offset, entry in zip(offsets, formats, strict=True)
        ):
            raise ValueError("the fields of a dtype do not lie within it")
        description: dict[str, Any] = {
            "names": names,
            "formats": formats,
            "offsets": offsets,
            "itemsize": itemsize,
        }
        if titles is not None:
            description["titles"] = list(titles)
        return np.dtype(description, align=plain["aligned"] is True)  # type: ignore[call-overload]
    except (TypeError, ValueError, KeyError, RecursionError, OverflowError) as error:
        raise ValueError(f"a description of a dtype is invalid: {error}") from error


MAX_DIMENSIONS = 64  # NumPy's own limit


def _length(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_ITEMSIZE:
        raise ValueError("a length is not an integer from 0 to 2^31 - 1")
    return value


def is_of_jax(plain: Any) -> bool:
    """Whether arrays of JAX can have a described dtype, in native byte order."""
    return type(plain) is str and plain.isidentifier() and "longlong" not in plain


def is_extended(dtype: np.dtype[Any]) -> bool:
    """Whether this is one of the dtypes of ml_dtypes, such as bfloat16."""
    known = EXTENDED.get(dtype.name)
    return known is not None and known == dtype  # to NumPy, None equals float64


def plain_shape(plain: Any) -> tuple[int, ...]:
    """The shape in a node; anything else is a ValueError."""
    if (
        type(plain) is not list
        or len(plain) > MAX_DIMENSIONS
        or not all(type(n) is int and 0 <= n < 2**63 for n in plain)
    ):
        raise ValueError("a shape is not a list of lengths")
    return tuple(plain)
