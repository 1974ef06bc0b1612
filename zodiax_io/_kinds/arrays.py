"""Arrays, scalars of NumPy, random keys and dtypes as records and plain data."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jax.sharding import PartitionSpec, SingleDeviceSharding
from numpy.typing import NDArray

from .. import _jax
from .._arrays import dtypes, records
from .._errors import LIMITS, MAX_PATH, CorruptFileError, shown
from .base import (
    CannotKeep,
    Data,
    Kind,
    Parts,
    children_in_order,
    exactly,
    refusal,
    subclass,
)
from .fields import attributes_of
from .look import Look, value_text
from .values import scalar_record

_SCALAR_META = type(jnp.float32)


def _described(dtype: Any) -> Any:
    """A dtype as plain data."""
    try:
        return dtypes.describe(dtype)
    except ValueError as error:
        raise CannotKeep(
            f"Its {error}. Keep a numeric array, or lists of plain values, instead."
        ) from None


# JAX arrays -------------------------------------------------------------------------


_process_count = functools.cache(jax.process_count)


def _check_available(obj: jax.Array) -> None:
    """Refuse tracers and deleted arrays."""
    if type(obj) is not _jax.array_type() and isinstance(obj, Tracer):
        raise CannotKeep(
            "It is a tracer: its values do not exist yet. Save outside of `jax.jit`, "
            "`jax.grad` and `jax.vmap`."
        )
    if obj.is_deleted():
        raise CannotKeep(
            "Its buffer has been deleted or donated. Save it before passing it to a "
            "function that donates its arguments."
        )


def _record(obj: jax.Array) -> records.Record:
    """The record of an array, if this process holds all its values."""
    alone = type(obj.sharding) is SingleDeviceSharding and _process_count() == 1
    if not alone and not _jax.is_addressable(obj):
        where = "Parts of it are" if obj.addressable_shards else "It is"
        raise CannotKeep(
            f"{where} on other hosts. Gather it first, for example by "
            "`jax.experimental.multihost_utils.process_allgather`."
        )
    return records.record_of(obj)


def _encode_jax(obj: jax.Array) -> Parts:
    _check_available(obj)
    record = _record(obj)
    extra: dict[str, Any] = {"shape": list(obj.shape), "dtype": _described(obj.dtype)}
    if obj.weak_type:
        extra["weak_type"] = True
    return Parts(extra=extra, array=record)


def _shape_and_dtype(node: dict[str, Any]) -> tuple[tuple[int, ...], Any]:
    return dtypes.plain_shape(node["shape"]), dtypes.parse(node["dtype"])


def _outline_jax(node: dict[str, Any]) -> jax.ShapeDtypeStruct:
    weak = node.get("weak_type") is True
    return jax.ShapeDtypeStruct(*_shape_and_dtype(node), weak_type=weak)


def _decode_jax(parts: Parts) -> Any:
    weak = parts.extra.get("weak_type") is True
    if parts.array is None:
        return _outline_jax(parts.extra)
    if weak and isinstance(parts.array, jax.Array):
        return _jax.weakly_typed(parts.array)
    return parts.array


JAX = Kind(
    "jax",
    lambda cls: cls is _jax.array_type(),
    _encode_jax,
    _decode_jax,
    keeps="`jax.Array` of any dtype, with its weak type; sharded ones by value",
    shared=True,
    array="jax",
    outline=_outline_jax,
    data=Data.NUMBERS,
)


def _encode_key(obj: jax.Array) -> Parts:
    _check_available(obj)
    impl = _impl_of(obj.dtype)
    data = jr.key_data(obj)
    extra = {"impl": impl, "shape": list(data.shape), "dtype": data.dtype.name}
    return Parts(extra=extra, array=_record(data))


def _decode_key(parts: Parts) -> Any:
    if parts.array is None:
        return _outline_key(parts.extra)
    return jr.wrap_key_data(parts.array, impl=_impl(parts.extra["impl"]))


def _outline_key(node: dict[str, Any]) -> jax.ShapeDtypeStruct:
    impl, shape = _impl(node["impl"]), dtypes.plain_shape(node["shape"])
    dimensions = len(shape) - _key_width(impl)
    return jax.ShapeDtypeStruct(shape[:dimensions], _key_dtype(impl))


KEY = Kind(
    "key",
    lambda cls: cls is _jax.key_array_type(),
    _encode_key,
    _decode_key,
    keeps="typed random keys (`jax.random.key`) of JAX's generators",
    shared=True,
    attributes=("_impl", "_consumed", "_base_array", "_source_info"),
    array="key",
    outline=_outline_key,
    data=Data.NUMBERS,
)


def _impl(name: Any) -> str:
    """The name of an implementation of random keys, if JAX knows it."""
    if type(name) is not str or not name.isidentifier():
        raise ValueError("a random key has no implementation")
    try:
        _key_dtype(name)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"unknown implementation {name!r:.80} of random keys"
        ) from error
    return name


def _refuse_tracer(obj: Any) -> Parts:
    _check_available(obj)
    raise CannotKeep(
        "It is a mutable array reference. Keep its value, `ref[...]`, instead."
    )


TRACER = refusal("tracer", subclass(jax.Array, Tracer), _refuse_tracer)


# NumPy ------------------------------------------------------------------------------


def _encode_numpy(obj: NDArray[Any]) -> Parts:
    record = records.record_of(obj)
    extra: dict[str, Any] = {"shape": list(obj.shape), "dtype": _described(obj.dtype)}
    if record.fortran:
        extra["order"] = "F"
    if not obj.flags.writeable:
        extra["writeable"] = False
    return Parts(extra=extra, array=record)


def _decode_numpy(parts: Parts) -> NDArray[Any]:
    array = parts.array
    if array is None:
        shape, dtype = _shape_and_dtype(parts.extra)
        # Only one element in memory, so that the `like` of a large array costs nothing.
        return np.broadcast_to(np.zeros((), dtype), shape)
    if parts.extra.get("writeable") is False:
        array.flags.writeable = False
    return array


def _outline_numpy(node: dict[str, Any]) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(*_shape_and_dtype(node))


def _data_of_numpy(node: dict[str, Any]) -> Data:
    return Data.NUMBERS if dtypes.is_of_jax(node.get("dtype")) else Data.TEXT


NUMPY = Kind(
    "numpy",
    exactly(np.ndarray),
    _encode_numpy,
    _decode_numpy,
    keeps="`numpy.ndarray` of any dtype without Python objects",
    shared=True,
    array="numpy",
    outline=_outline_numpy,
    data=_data_of_numpy,
)


def _encode_scalar(obj: np.generic) -> Parts:
    if np.dtype(type(obj)).type is not type(obj):
        raise CannotKeep(
            "`numpy.asarray` would drop what its class adds to the number. Keep "
            "`numpy.asarray(x)[()]` and its attributes, and make it again from them."
        )
    if type(obj) is np.str_:
        value: Any = str(obj).encode("utf8", "surrogatepass")
        dtype: Any = "str"
    elif type(obj) is np.bytes_:
        value, dtype = bytes(obj), "bytes"
    else:
        value = records.without_padding(np.asarray(obj)).tobytes()
        dtype = _described(obj.dtype)
    extra = {"dtype": dtype}
    return Parts(value=value, extra=extra, equinox_record=lambda: scalar_record(obj))


def _decode_scalar(parts: Parts) -> Any:
    dtype, value = parts.extra["dtype"], parts.value
    if type(value) is not bytes:
        raise ValueError("the value of a scalar is not bytes")
    if dtype == "str":
        return np.str_(value.decode("utf8", "surrogatepass"))
    if dtype == "bytes":
        return np.bytes_(value)
    parsed = dtypes.parse(dtype)
    if parsed.itemsize != len(value):
        raise ValueError("a scalar has more or fewer bytes than its dtype")
    if parsed.itemsize == 0:
        return np.zeros((), parsed)[()]
    return np.frombuffer(bytearray(value), parsed)[0]


def _scalar_text(node: dict[str, Any]) -> str | None:
    if not isinstance(node.get("value"), bytes):
        return value_text(node)
    try:
        dtype = dtypes.parse(node.get("dtype"))
        return shown(repr(np.frombuffer(node["value"], dtype)[0]))
    except LIMITS:
        raise
    except Exception:  # NumPy raises more classes than can be listed
        return None


def _scalar_numbers(node: dict[str, Any]) -> NDArray[Any] | None:
    if not isinstance(node.get("value"), bytes):
        return None
    return np.frombuffer(node["value"], dtypes.parse(node.get("dtype")))


SCALAR = Kind(
    "scalar",  # before the numbers of Python: `np.float64` is a `float`
    subclass(np.generic),
    _encode_scalar,
    _decode_scalar,
    keeps="scalars of NumPy and ml_dtypes",
    data=Data.NUMBERS,
    look=Look(value=_scalar_text, numbers=_scalar_numbers),
)


# Damage -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Damaged:
    """Placeholder for a damaged array, from ``deserialise(path, damaged="skip")``.

    It cannot be used or saved: put an array in its place.

    Attributes
    ----------
    path : str
        The path in the tree, such as ``model.layers[0].weight``.
    reason : str
        The fault of the record.
    shape, dtype : tuple of int, numpy.dtype
        Those of the array; None for an object that could not be built without it.
    """

    path: str
    reason: str
    shape: tuple[int, ...] | None = None
    dtype: Any = None

    def __repr__(self) -> str:
        what = "" if self.shape is None else f" {self.dtype}{list(self.shape)}"
        return f"<damaged{what} at {shown(self.path, MAX_PATH)}>"

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise CorruptFileError(
            f"The array at `{shown(self.path, MAX_PATH)}` was damaged in its file, and "
            f"left out when it was loaded: {shown(self.reason, 400)}. Put an array in "
            "its place first."
        )

    __array__ = __call__ = __bool__ = _refuse


def _refuse_damaged(obj: Damaged) -> Parts:
    raise CannotKeep(
        f"It is the placeholder for an array that was damaged at `{shown(obj.path)}` "
        "of the file that it was loaded from. Put an array in its place."
    )


DAMAGED = refusal("damaged", exactly(Damaged), _refuse_damaged)


# Dtypes and shapes as values ----------------------------------------------------------


def _encode_dtype(obj: Any) -> Parts:
    if isinstance(obj, np.dtype):
        return Parts(extra={"dtype": _described(obj)})
    return Parts(extra={"impl": _impl_of(obj)})


def _impl_of(dtype: Any) -> str:
    for name in ("threefry2x32", "rbg", "unsafe_rbg"):
        if _key_dtype(name) == dtype:
            return name
    # Another generator may have the same name, or another meaning in another process.
    raise CannotKeep(
        "Its random keys are not of a generator of JAX (threefry2x32, rbg, "
        "unsafe_rbg), so they may give other numbers elsewhere. Keep "
        "`jax.random.key_data(key)` instead, and after loading use "
        "`jax.random.wrap_key_data(data, impl=...)`."
    )


@functools.cache
def _key_dtype(impl: str) -> Any:
    # Only the shape: making a key would be a transfer and a computation.
    return jax.eval_shape(lambda: jr.key(0, impl=impl)).dtype


@functools.cache
def _key_width(impl: str) -> int:
    """The number of dimensions that the data of one random key has."""
    return len(jax.eval_shape(lambda: jr.key_data(jr.key(0, impl=impl))).shape)


def _decode_dtype(parts: Parts) -> Any:
    if "impl" in parts.extra:
        return _key_dtype(_impl(parts.extra["impl"]))
    return dtypes.parse(parts.extra["dtype"])


DTYPE = Kind(
    "dtype",
    lambda cls: issubclass(cls, (np.dtype, _jax.key_dtype_type())),
    _encode_dtype,
    _decode_dtype,
    keeps="`numpy.dtype`, and the dtypes of random keys",
    attributes=("_impl",),
    data=Data.NUMBERS,
)


def _encode_scalar_type(obj: Any) -> Parts | None:
    name = obj.dtype.name
    name = "bool_" if name == "bool" else name
    return Parts(value=name) if getattr(jnp, name, None) is obj else None


def _decode_scalar_type(parts: Parts) -> Any:
    found = jnp.__dict__.get(parts.value)
    if type(found) is not _SCALAR_META:
        raise ValueError(f"jax.numpy has no scalar type {parts.value!r:.80}")
    return found


SCALAR_TYPE = Kind(
    "scalar_type",
    lambda cls: cls is _SCALAR_META,
    _encode_scalar_type,
    _decode_scalar_type,
    keeps="`jnp.float32` and the like, which are not dtypes",
    attributes=None,
    data=Data.NUMBERS,
)


def _encode_struct(obj: jax.ShapeDtypeStruct) -> Parts:
    if obj.sharding is not None:
        raise CannotKeep(
            "Its sharding belongs to this machine. Leave the sharding out, by "
            "`x.update(sharding=None)`, and place the arrays by `sharding=` when "
            "loading."
        )
    dtype = obj.dtype
    try:
        extra: dict[str, Any] = {"shape": [operator.index(n) for n in obj.shape]}
    except TypeError as error:
        raise CannotKeep(
            "A length of its shape is not a number. Keep the lengths as text, "
            "`[str(n) for n in x.shape]`, with its dtype, and make it again from both."
        ) from error
    if isinstance(dtype, np.dtype):
        extra["dtype"] = _described(dtype)
    else:
        extra["impl"] = _impl_of(dtype)
    if getattr(obj, "weak_type", False):
        extra["weak_type"] = True
    parts = Parts(extra=extra)
    lost = _lost(obj, _decode_struct(parts))
    if lost:
        raise CannotKeep(
            f"Files cannot keep its `{lost[0]}`, which belongs to one computation. "
            "Keep `jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=x.weak_type)`, and "
            "add it again."
        )
    return parts


def _lost(obj: Any, made: Any) -> list[str]:
    """The attributes in which an object of JAX differs from one made of its parts."""
    one, other = attributes_of(obj), attributes_of(made)
    return [
        name
        for name in {**one, **other}
        if name not in one
        or name not in other
        or not (one[name] is other[name] or one[name] == other[name])
    ]


def _decode_struct(parts: Parts) -> jax.ShapeDtypeStruct:
    weak = parts.extra.get("weak_type") is True
    return jax.ShapeDtypeStruct(
        dtypes.plain_shape(parts.extra["shape"]), _decode_dtype(parts), weak_type=weak
    )


SHAPE_DTYPE = Kind(
    "shape_dtype",
    exactly(jax.ShapeDtypeStruct),
    _encode_struct,
    _decode_struct,
    keeps="`jax.ShapeDtypeStruct`",
    data=Data.NUMBERS,
)


def _encode_spec(obj: PartitionSpec) -> Parts:
    axes = list(obj)
    if not all(_is_axis(axis) for axis in axes):
        raise CannotKeep(
            "Its axes are not all names of mesh axes. Keep `tuple(x)` instead."
        )
    if _lost(obj, PartitionSpec(*axes)):
        raise CannotKeep(
            "Reduced axes of a PartitionSpec belong to one computation. Keep "
            "`jax.sharding.PartitionSpec(*x)`, without them."
        )
    return Parts(children=axes)


def _is_axis(axis: Any) -> bool:
    if type(axis) is tuple:
        return all(type(name) is str for name in axis)
    return axis is None or type(axis) is str


def _decode_spec(parts: Parts) -> PartitionSpec:
    children = children_in_order(parts)
    if not all(map(_is_axis, children)):
        raise ValueError("the axes of a PartitionSpec are not names")
    return PartitionSpec(*children)


PARTITION_SPEC = Kind(
    "partition_spec",
    exactly(PartitionSpec),
    _encode_spec,
    _decode_spec,
    keeps="`jax.sharding.PartitionSpec`",
)
