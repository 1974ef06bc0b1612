"""Dtypes as plain data, and the `.npy` storage of those that `.npy` cannot name."""

from __future__ import annotations

import functools
import math
import re
from typing import Any, Literal, NamedTuple

import jax
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from ._errors import shown
from ._jax import array_type, fetching

# jax.dtypes.float0 is a structured dtype without bytes: the tangent of an integer.
FLOAT0 = np.dtype(jax.dtypes.float0)

# Their NumPy kind is "V", and `np.save` forgets which of them it was.
_EXTENDED: dict[str, np.dtype[Any]] = {
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
_STORED = {code: _NATIVE[np.dtype(code).name] for code in "?bhilqBHILQefdgFDG"}
_BY_NAME = {**_NATIVE, **_EXTENDED, "float0": FLOAT0}
# On most systems two C types share a width; the scalar types stay distinct in NumPy.
for _alias in ("longlong", "ulonglong"):
    if np.dtype(_alias).char != _NATIVE[np.dtype(_alias).name].char:
        _BY_NAME[_alias] = np.dtype(_alias)

# Plain dtypes are the same objects always, and kept by the table above.
_BY_IDENTITY = {id(dtype): name for name, dtype in _BY_NAME.items()}

_TYPESTR = (
    r"[<>|=]([biufcSUV])(\d{1,9})|[<>|=]([Mm])8(\[([1-9]\d{0,8})?[A-Za-z]{1,7}\])?"
)
_MAX_ITEMSIZE = 2**31 - 1


# The kinds of nodes that describe an array of the companion.
ARRAY_NODES = ("jax", "key", "numpy")


def describe(dtype: np.dtype[Any]) -> str | dict[str, Any]:
    """A dtype as plain data, exact up to the byte order and the padding of structs.

    Raises
    ------
    ValueError
        If the dtype cannot be kept: Python objects, variable-width strings, metadata.
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
    raise ValueError(f"dtype {dtype} has no name to come back by")


def parse(plain: Any) -> np.dtype[Any]:
    """The dtype that `describe` described; every text NumPy would guess at is refused.

    Raises
    ------
    ValueError
        If the description is not one that `describe` can give.
    """
    if type(plain) is str and plain in _BY_NAME:
        return _BY_NAME[plain]
    parsed = _parse(plain)
    try:
        same = describe(parsed) == plain
    except ValueError:
        same = False
    if not same:  # as "<f8", which is called "float64"
        raise ValueError(f"a dtype is not described as {shown(parsed)} is")
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
            # Only of few lengths is the product taken in no time.
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
        # NumPy adds in 32 bits, and takes what overflows for small.
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
        raise ValueError(f"a dtype is described wrongly: {error}") from error


MAX_DIMENSIONS = 64  # NumPy's own limit


def _length(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_ITEMSIZE:
        raise ValueError("a length is not an integer between 0 and 2^31")
    return value


def is_of_jax(plain: Any) -> bool:
    """Whether a described dtype is one that JAX's arrays can have, in native order."""
    return type(plain) is str and plain.isidentifier() and "longlong" not in plain


def is_extended(dtype: np.dtype[Any]) -> bool:
    """Whether this is one of the dtypes of ml_dtypes, such as bfloat16."""
    known = _EXTENDED.get(dtype.name)
    return known is not None and known == dtype  # to NumPy, None equals float64


def storage(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype under which an `.npy` record holds the bytes of `dtype`."""
    # Not cached by equality: to NumPy, `long` and `long long` are equal.
    if dtype.isbuiltin == 1 and dtype.char in _STORED:
        return _STORED[dtype.char]
    if dtype.itemsize == 0:
        return np.dtype("V0") if dtype == FLOAT0 else dtype
    if is_extended(dtype):
        if dtype == _EXTENDED["bfloat16"]:
            return np.dtype("V2")  # what `jnp.save` writes and `jnp.load` understands
        return np.dtype(f"u{dtype.itemsize}")
    if dtype.fields is not None:
        try:
            described = np.lib.format.dtype_to_descr(dtype)
            if np.lib.format.descr_to_dtype(described) == dtype:
                return dtype
        except (TypeError, ValueError):
            pass
        return np.dtype(f"V{dtype.itemsize}")  # overlapping or reordered fields
    return dtype


@functools.lru_cache(maxsize=4096)
def _header_text(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool
) -> tuple[bytes, int]:
    descr = np.lib.format.dtype_to_descr(dtype)
    if descr == "|V2":
        descr = "<V2"  # as `jnp.save` spells a bfloat16
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    try:
        return text.encode("latin1"), 1
    except UnicodeEncodeError:
        return text.encode("utf8"), 3


# 64-byte offsets: `jax.device_put` shares the memory of a slice only when aligned.
# 4096 for records of 64 KiB or more: whole pages, for mapping and for direct reads.
ALIGNMENT, PAGE, PAGED_FROM = 64, 4096, 65536


def header(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int
) -> bytes:
    """The `.npy` header of a record at `offset`, padded so that its data is aligned."""
    align = PAGE if math.prod(shape) * dtype.itemsize >= PAGED_FROM else ALIGNMENT
    return _padded_header(dtype, shape, fortran, offset % align, align)


@functools.lru_cache(maxsize=8192)
def _padded_header(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int, align: int
) -> bytes:
    text, version = _header_text(dtype, shape, fortran)
    wide = version == 3 or len(text) > 60_000  # room for the padding in 16 bits
    prefix = 12 if wide else 10
    total = prefix + len(text) + 1
    padding = -(offset + total) % align
    length = len(text) + 1 + padding
    if wide:
        start = (
            b"\x93NUMPY" + bytes([max(version, 2), 0]) + length.to_bytes(4, "little")
        )
    else:
        start = b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little")
    return start + text + b" " * padding + b"\n"


class Fetched:
    """A JAX array whose data is on the way from its devices; NumPy waits for it."""

    def __init__(self, array: jax.Array) -> None:
        self._pieces = fetching(array)
        self._shape, self._dtype = array.shape, array.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole of it; of one piece, without a copy where there need be none."""
        if 0 in self._shape:  # whose pieces may have any shape without elements
            return np.empty(self._shape, self._dtype)
        (index, piece), *others = self._pieces
        if not others and index is ...:
            return np.asarray(piece)
        whole = np.empty(self._shape, self._dtype)
        for index, piece in self._pieces:
            whole[index] = np.asarray(piece)
        return whole


def on_host(array: Any) -> NDArray[Any]:
    """An array as NumPy's, from the devices of this process if others hold it, too."""
    return np.asarray(Fetched(array) if type(array) is array_type() else array)


class Record(NamedTuple):
    """One array on its way to the companion: what holds it, and how it is stored."""

    source: Any  # np.ndarray, jax.Array or Fetched
    dtype: np.dtype[Any]  # as stored
    shape: tuple[int, ...]
    fortran: bool

    @property
    def nbytes(self) -> int:
        """Bytes of data, without the header."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_fixed(self) -> bool:
        """Whether nobody can change the data while it is written."""
        return type(self.source) is not np.ndarray

    def fetched(self) -> Record:
        """The same record, its data on the way from its devices."""
        if type(self.source) is not array_type():
            return self
        return self._replace(source=Fetched(self.source))

    def buffer(self) -> Any:
        """The data in the order in which it is stored, as something with a buffer."""
        if self.is_fixed and self.dtype.char in _STORED:
            try:
                view = memoryview(self.source)
            except (BufferError, ValueError, TypeError, RuntimeError):
                pass  # on another device, or not of one piece
            else:
                if view.c_contiguous and view.nbytes:
                    return view
        order = "F" if self.fortran else "C"
        # In the order that is written: to copy a struct leaves its padding to chance.
        flat = without_padding(on_host(self.source), order).ravel(order=order)
        if self.nbytes == 0:
            return np.empty(0, np.uint8)
        return flat.view(np.uint8)


def record_of(array: Any) -> Record:
    """The record of a NumPy array or of a JAX array."""
    flags = array.flags if type(array) is np.ndarray else None
    fortran = flags is not None and flags.f_contiguous and not flags.c_contiguous
    return Record(array, storage(array.dtype), array.shape, fortran)


# The ten bytes of an extended float lie in sixteen; the rest is whatever was there.
_EXTENDED_FLOAT = np.finfo(np.longdouble).nmant == 63


def without_padding(
    array: NDArray[Any], order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """The array, or a copy with zeros for padding: the same values, the same bytes."""
    if array.dtype.type in (np.longdouble, np.clongdouble) and _EXTENDED_FLOAT:
        flat = np.array(array, order="C").reshape(-1)
        flat.view(np.uint8).reshape(-1, 16)[:, 10:] = 0
        return flat.reshape(array.shape)
    if array.dtype.fields is None or array.dtype == FLOAT0:
        return array
    # `zeros_like` leaves the padding as is.
    clean = np.zeros(array.shape, array.dtype, order)
    _copy_fields(clean, array)
    return clean


def _copy_fields(to: NDArray[Any], source: NDArray[Any]) -> None:
    if source.dtype.names is None:
        to[...] = source
    else:
        for name in source.dtype.names:
            _copy_fields(to[name], source[name])


def plain_shape(plain: Any) -> tuple[int, ...]:
    """The shape of a node, if it is one."""
    if (
        type(plain) is not list
        or len(plain) > MAX_DIMENSIONS
        or not all(type(n) is int and 0 <= n < 2**63 for n in plain)
    ):
        raise ValueError("a shape is not a list of lengths")
    return tuple(plain)
