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
from .._trust import reflection
from .base import CannotKeep, Data, Kind, Parts, exactly, refusal, subclass
from .fields import state_of
from .look import Look, value_text

_SCALAR_META = type(jnp.float32)


def _described(dtype: Any) -> Any:
    try:
        return dtypes.describe(dtype)
    except ValueError as error:
        raise CannotKeep(
            f"Its {error}. Keep a numeric array, or lists of plain values, instead."
        ) from None


# JAX arrays -------------------------------------------------------------------------


_process_count = functools.cache(jax.process_count)


def _available(obj: jax.Array) -> None:
    if type(obj) is not _jax.array_type() and isinstance(obj, Tracer):
        raise CannotKeep(
            "It is a tracer: its values do not exist yet. Save outside of `jax.jit`, "
            "`jax.grad` and `jax.vmap`."
        )
    if _jax.is_deleted(obj):
        raise CannotKeep(
            "Its buffer has been deleted or donated. Save before giving it to a "
            "function that donates its arguments."
        )


def _record(obj: jax.Array) -> records.Record:
    """The record of an array, which is written by the devices of this process."""
    alone = type(obj.sharding) is SingleDeviceSharding and _process_count() == 1
    if not alone and not _jax.is_addressable(obj):
        where = "Parts of it live" if obj.addressable_shards else "It lives"
        raise CannotKeep(
            f"{where} on other hosts. Gather it first, for example by "
            "`jax.experimental.multihost_utils.process_allgather`."
        )
    return records.record_of(obj)


def _encode_jax(obj: jax.Array) -> Parts:
    _available(obj)
    record = _record(obj)
    extra: dict[str, Any] = {"shape": list(obj.shape), "dtype": _described(obj.dtype)}
    if obj.weak_type:
        extra["weak_type"] = True
    return Parts(extra=extra, array=record)


def _outline_jax(node: dict[str, Any]) -> Any:
    return _decode_jax(Parts(extra=node))


def _decode_jax(parts: Parts) -> Any:
    weak = parts.extra.get("weak_type") is True
    if parts.array is None:
        shape, dtype = (
            dtypes.plain_shape(parts.extra["shape"]),
            dtypes.parse(parts.extra["dtype"]),
        )
        return jax.ShapeDtypeStruct(shape, dtype, weak_type=weak)
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
    _available(obj)
    impl = _impl_of(obj.dtype)
    data = jr.key_data(obj)
    extra = {"impl": impl, "shape": list(data.shape), "dtype": data.dtype.name}
    return Parts(extra=extra, array=_record(data))


def _decode_key(parts: Parts) -> Any:
    impl = _impl(parts.extra["impl"])
    shape = dtypes.plain_shape(parts.extra["shape"])
    width = _key_width(impl)
    if parts.array is None:
        return jax.ShapeDtypeStruct(shape[: len(shape) - width], _key_dtype(impl))
    return jr.wrap_key_data(parts.array, impl=impl)


def _outline_key(node: dict[str, Any]) -> Any:
    return _decode_key(Parts(extra=node))


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
    _available(obj)
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
        shape, dtype = (
            dtypes.plain_shape(parts.extra["shape"]),
            dtypes.parse(parts.extra["dtype"]),
        )
        # As many bytes as one element has: the `like` of a large array costs nothing.
        return np.broadcast_to(np.zeros((), dtype), shape)
    if parts.extra.get("writeable") is False:
        array.flags.writeable = False
    return array


def _outline_numpy(node: dict[str, Any]) -> jax.ShapeDtypeStruct:
    shape, dtype = dtypes.plain_shape(node["shape"]), dtypes.parse(node["dtype"])
    return jax.ShapeDtypeStruct(shape, dtype)


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


# Masked arrays -----------------------------------------------------------------------

_MASKED = np.ma.MaskedArray
# How NumPy keeps what a masked array is made of, beside its data.
_MASKED_STATE = ("_mask", "_fill_value", "_hardmask", "_sharedmask")


def _encode_masked(obj: Any) -> Parts:
    held = vars(obj)
    if obj.baseclass is not np.ndarray or held.get("_optinfo"):
        raise CannotKeep(_OF_MASKED)
    mask, fill, hard, shared = (held[name] for name in _MASKED_STATE)
    children = {
        "data": obj.data,
        "mask": None if mask is np.ma.nomask else mask,
        "fill_value": fill,
    }
    # Its data is what plain Equinox writes of it.
    parts = Parts(
        children=children,
        static=("mask", "fill_value"),
        is_node=True,
        value=[bool(hard), shared],
    )
    try:
        _decode_masked(parts)
    except ValueError as error:  # its state was set past NumPy's checks
        raise CannotKeep(_OF_MASKED) from error
    return parts


_OF_MASKED = (
    "It holds more than data, a mask and a fill value. Keep `x.data`, `x.mask`, and "
    "what else it holds, and make it again from them."
)


def _decode_masked(parts: Parts) -> Any:
    children, value = parts.children, parts.value
    if type(children) is not dict or set(children) != {"data", "mask", "fill_value"}:
        raise ValueError("a masked array has no data and mask")
    data, mask, fill = (children[name] for name in ("data", "mask", "fill_value"))
    if type(data) is not np.ndarray or [*map(type, value)] != [bool, bool]:
        raise ValueError("a masked array holds no array")
    expected = np.ma.make_mask_descr(data.dtype)
    if mask is not None and not (
        type(mask) is np.ndarray and mask.dtype == expected and mask.shape == data.shape
    ):
        raise ValueError("the mask of a masked array does not fit its data")
    if fill is not None and not (
        type(fill) is np.ndarray and fill.dtype == data.dtype and fill.shape == ()
    ):
        raise ValueError("the fill value of a masked array does not fit its data")
    made: Any = data.view(_MASKED)
    state = (np.ma.nomask if mask is None else mask, fill, *value)
    vars(made).update(zip(_MASKED_STATE, state, strict=True))
    return made


MASKED = Kind(
    "masked",
    exactly(_MASKED),
    _encode_masked,
    _decode_masked,
    keeps="`numpy.ma.MaskedArray`: data, mask, fill value",
    shared=True,
    attributes=(*_MASKED_STATE, "_isfield", "_baseclass", "_optinfo", "_basedict"),
)


def _refuse_ndarray(obj: Any) -> Parts:
    cls = type(obj)
    if isinstance(obj, np.ma.core.MaskedConstant):
        raise CannotKeep("It marks a value that is not there. Keep None instead.")
    if isinstance(obj, _MASKED):
        raise CannotKeep(_OF_MASKED)
    names = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__}
    if any(n.startswith("astropy.") and n.endswith(".Quantity") for n in names):
        raise CannotKeep(
            "Its unit would be lost by `numpy.asarray`. Keep its value and the text of "
            "its unit, `(x.value, x.unit.to_string())`, and make it again from both."
        )
    if isinstance(obj, np.recarray):
        raise CannotKeep(
            "It is a structured array whose fields are attributes. Keep "
            "`numpy.array(x, dtype=x.dtype.descr)`, and make it again by "
            "`x.view(numpy.recarray)`."
        )
    if reflection.is_one_of(cls, (np.matrix, np.memmap, np.char.chararray)):
        raise CannotKeep(
            "It is an array of values and no more. Keep `numpy.asarray(x)` instead."
        )
    raise CannotKeep(
        "`numpy.asarray` would drop what its class adds to the values. Keep both, "
        "`(numpy.asarray(x), vars(x))`, and make it again from them; or register a "
        "kind for it with `zodiax_io.register_kind`."
    )


NDARRAY = refusal("ndarray", subclass(np.ndarray), _refuse_ndarray)


def _encode_scalar(obj: np.generic) -> Parts:
    if np.dtype(type(obj)).type is not type(obj):
        raise CannotKeep(
            "`numpy.asarray` would drop what its class adds to the number. Keep "
            "`numpy.asarray(x)[()]`, with what it holds beside, and make it again."
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
    equinox_record = functools.partial(_record_of_scalar, obj)
    return Parts(value=value, extra=extra, equinox_record=equinox_record)


def _record_of_scalar(obj: np.generic) -> records.Record:
    return records.record_of(np.asarray(obj))


def _decode_scalar(parts: Parts) -> Any:
    dtype, value = parts.extra["dtype"], parts.value
    if type(value) is not bytes:
        raise ValueError("a scalar has no bytes")
    if dtype == "str":
        return np.str_(value.decode("utf8", "surrogatepass"))
    if dtype == "bytes":
        return np.bytes_(value)
    parsed = dtypes.parse(dtype)
    if parsed.itemsize != len(value):
        raise ValueError("a scalar has not the bytes of its dtype")
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
    except Exception:  # NumPy knows more ways than can be listed
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
    """What ``deserialise(path, damaged="skip")`` puts where an array was damaged.

    It cannot be computed with, nor saved: put an array in its place.

    Attributes
    ----------
    path : str
        Where in the tree it sits, such as ``model.layers[0].weight``.
    reason : str
        What is wrong with the record.
    shape, dtype : tuple of int, numpy.dtype
        What the array was; None for an object that could not be built without it.
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
            f"What was at `{shown(self.path, MAX_PATH)}` was damaged in its file, and "
            f"left out when it was loaded: {shown(self.reason, 400)}. Put an array in "
            "its place first."
        )

    __array__ = __call__ = __bool__ = _refuse


def _refuse_damaged(obj: Damaged) -> Parts:
    raise CannotKeep(
        f"It stands for what was damaged at `{shown(obj.path)}` of the file that it "
        "was loaded from. Put an array in its place."
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
    # Another may have the name of one of these, or mean something else in a process
    # that registers it again.
    raise CannotKeep(
        "Its random keys are not of a generator of JAX (threefry2x32, rbg, "
        "unsafe_rbg), so nothing shows that they would give the same numbers "
        "elsewhere. Keep `jax.random.key_data(key)` instead, and after loading use "
        "`jax.random.wrap_key_data(data, impl=...)`."
    )


@functools.cache
def _key_dtype(impl: str) -> Any:
    # By its shape alone: a key of its own would be a transfer, and a computation.
    return jax.eval_shape(lambda: jr.key(0, impl=impl)).dtype


@functools.cache
def _key_width(impl: str) -> int:
    """How many dimensions the data of one random key has."""
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
    keeps="`jnp.float32` and its kin, which are no dtypes",
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
            "A length of its shape is no number. Keep the lengths as text, "
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
            f"No file keeps its `{lost[0]}`, which belongs to one computation. Keep "
            "`jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=x.weak_type)`, and add "
            "that again."
        )
    return parts


def _lost(obj: Any, made: Any) -> list[str]:
    """What an object of JAX holds otherwise than one made of its parts, by name."""
    one, other = (state_of(x, {})[1] for x in (obj, made))
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
    children = parts.children
    if type(children) is not list or not all(_is_axis(axis) for axis in children):
        raise ValueError("a PartitionSpec has no list of axes")
    return PartitionSpec(*children)


PARTITION_SPEC = Kind(
    "partition_spec",
    exactly(PartitionSpec),
    _encode_spec,
    _decode_spec,
    keeps="`jax.sharding.PartitionSpec`",
)
