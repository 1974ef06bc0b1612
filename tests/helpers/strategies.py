"""Trees for hypothesis: every sort of leaf, container and class, and shared objects."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import uuid
import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import ml_dtypes
import numpy as np
from hypothesis import strategies as st


class Box(eqx.Module):
    item: Any
    label: Any = eqx.field(static=True)


def box(item: Any, label: Any) -> Box:
    """A `Box`, without Equinox's advice against arrays as static fields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Box(item, label)


class Pair(eqx.Module):
    left: Any
    right: Any
    third: Any = None


class Point(NamedTuple):
    x: Any
    y: Any = 0.0


@dataclasses.dataclass
class Config:
    value: Any
    more: Any = None


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    value: Any


@jtu.register_dataclass
@dataclasses.dataclass
class Registered:
    data: Any
    name: str = dataclasses.field(default="", metadata={"static": True})


@jtu.register_pytree_node_class
class Node:
    def __init__(self, children: tuple[Any, ...], aux: Any) -> None:
        self.children, self.aux = children, aux

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        return self.children, self.aux

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Node:
        return cls(tuple(children), aux)


class Plain:
    """A class that declares nothing: an instance is what is set on it."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Half(Plain):
    """Slots, one of which no other class can spell, beside a `__dict__`."""

    __slots__ = ("__hidden", "shown")

    def __init__(self, hidden: Any, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.__hidden = hidden


class Words(str): ...


class Number(int): ...


class Metre(float): ...


class Phasor(complex): ...


class Blob(bytes): ...


class Steps(list[Any]): ...


class Route(tuple[Any, ...]): ...


class Table(dict[Any, Any]):
    """No load may call the methods of a class."""

    def __setitem__(self, key: Any, value: Any) -> None:
        raise AssertionError("a method of the class was called")


class Ordered(collections.OrderedDict[Any, Any]): ...


class Recent(collections.deque[Any]): ...


class Labels(frozenset[Any]): ...


def noted(obj: Any, **attributes: Any) -> Any:
    """An object with attributes set on it."""
    vars(obj).update(attributes)
    return obj


class Colour(enum.Enum):
    RED = "red"
    BLUE = (1, 2)


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2**40


class Access(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 4


# Arrays -------------------------------------------------------------------------------

_NUMPY = (
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 "
    "complex64 complex128 >f4 >i8 >c16 >U2 U3 S5 V4 M8[ns] m8[25s]"
)
NUMPY_DTYPES = (
    *map(np.dtype, _NUMPY.split()),
    np.dtype([("a", "<f4"), ("b", ">i2", (2,)), ("c", "S3")]),
    np.dtype([("a", "i1"), ("b", "f8")], align=True),
)
EXTENDED_DTYPES = tuple(
    np.dtype(getattr(ml_dtypes, name))
    for name in (
        "bfloat16 float8_e3m4 float8_e4m3 float8_e4m3b11fnuz float8_e4m3fn "
        "float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu float6_e2m3fn "
        "float6_e3m2fn float4_e2m1fn int2 int4 uint2 uint4"
    ).split()
    if hasattr(ml_dtypes, name)
)


def _in_jax(dtype: np.dtype[Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return bool(jnp.asarray(np.zeros(1, dtype)).dtype == dtype)
    except Exception:
        return False


JAX_DTYPES = tuple(d for d in (*NUMPY_DTYPES, *EXTENDED_DTYPES) if _in_jax(d))
# How many bits of each byte carry values; in the others a bit set would be lost.
_BITS = {"bool": 1, "int2": 2, "uint2": 2, "int4": 4, "uint4": 4, "float4_e2m1fn": 4}
_BITS |= {"float6_e2m3fn": 6, "float6_e3m2fn": 6}

# The second half has an order to lose, in memory.
shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple) | st.sampled_from(
    [(2, 3), (3, 1, 2)]
)


@st.composite
def numpy_arrays(
    draw: st.DrawFn, dtypes: Any = (*NUMPY_DTYPES, *EXTENDED_DTYPES)
) -> np.ndarray[Any, Any]:
    """Arrays of any bits: NaN payloads, negative zeros, values at the edges."""
    dtype, shape = draw(st.sampled_from(dtypes)), draw(shapes)
    if dtype.kind == "U":  # not every four bytes are a character
        return np.full(shape, draw(st.text("aé🦊", max_size=3)), dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    seed = draw(st.integers(0, 2**32 - 1))
    raw = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    raw &= 2 ** _BITS.get(dtype.name, 8) - 1
    array = np.ndarray(shape, dtype, raw.tobytes())
    array = array.copy(order=draw(st.sampled_from("CF")))
    array.flags.writeable = draw(st.booleans())
    return array


@st.composite
def jax_arrays(draw: st.DrawFn) -> jax.Array:
    return jnp.asarray(draw(numpy_arrays(JAX_DTYPES)))


weak_arrays = st.sampled_from([True, 2, 0.5, 1j]).map(jnp.asarray)


@st.composite
def keys(draw: st.DrawFn) -> jax.Array:
    impl = draw(st.sampled_from(["threefry2x32", "rbg", "unsafe_rbg"]))
    width = 2 if impl == "threefry2x32" else 4
    data = np.full((*draw(shapes), width), draw(st.integers(0, 2**32 - 1)), np.uint32)
    return jr.wrap_key_data(jnp.asarray(data), impl=impl)


scalars = numpy_arrays().filter(lambda a: a.size).map(lambda a: a.ravel()[0])
arrays = numpy_arrays() | jax_arrays() | weak_arrays | keys()

# Values -------------------------------------------------------------------------------

any_text = st.text(st.characters(), max_size=5)  # lone surrogates included
hashable_values = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | any_text
    | st.binary(max_size=5)
    | st.sampled_from([*Colour, *Level, Access.READ | Access.RUN, jnp.sin, Box, int])
)
plain_values = (
    hashable_values
    | st.complex_numbers()
    | st.just(...)
    | st.builds(bytearray, st.binary(max_size=3))
    | st.builds(slice, st.none() | st.integers(), st.integers())
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 9))
    | st.fractions()
    | st.decimals()
    | st.datetimes(timezones=st.just(dt.UTC) | st.none())
    | st.timedeltas()
    | st.builds(uuid.UUID, int=st.integers(0, 2**128 - 1))
    | st.frozensets(st.integers() | any_text, max_size=3)
    | st.sets(st.integers() | any_text, max_size=3)
    | st.sampled_from([np.dtype(">f8"), jnp.bfloat16, jax.nn.relu, np.ndarray])
    | st.builds(jax.ShapeDtypeStruct, shapes, st.sampled_from([jnp.float32, jnp.int4]))
    | st.builds(functools.partial, st.just(jnp.sum), axis=st.integers())
    | st.builds(object)
    | scalars
)
sortable_keys = (
    st.integers(-(2**70), 2**70),
    any_text,
    st.tuples(st.integers(), any_text),
)
mixed_keys = st.one_of(hashable_values, *sortable_keys)


def _dicts(
    children: st.SearchStrategy[Any], *keys: st.SearchStrategy[Any]
) -> st.SearchStrategy[Any]:
    return st.one_of(*(st.dictionaries(key, children, max_size=3) for key in keys))


def _containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    few = st.lists(children, max_size=3)
    dicts = _dicts(children, st.sampled_from("zyxab"), *sortable_keys)
    return (
        few
        | few.map(tuple)
        | few.map(lambda items: collections.deque(items, 3))
        | dicts
        | dicts.map(collections.OrderedDict)
        | dicts.map(lambda items: collections.defaultdict(list, items))
    )


def _objects(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        st.builds(box, children, static_values)
        | st.builds(Pair, children, children)
        | st.builds(Point, children, children)
        | st.builds(Config, children, static_values)
        | st.builds(Slotted, children)
        | st.builds(Registered, children, any_text)
        | st.builds(Plain, first=children, second=static_values)
        | st.builds(Half, children, more=children)
        | st.builds(noted, _derived(children))
        | st.builds(noted, _derived(children), more=children, unit=any_text)
        | st.builds(Node, st.tuples(children, children), static_values)
        | children.map(lambda child: Pair(child, [child, {"again": child}], child))
    )


def _derived(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Instances of subclasses of built-in classes."""
    few = st.lists(children, max_size=3)
    return (
        any_text.map(Words)
        | st.integers().map(Number)
        | st.floats().map(Metre)
        | st.complex_numbers().map(Phasor)
        | st.binary(max_size=5).map(Blob)
        | few.map(Steps)
        | few.map(Route)
        | few.map(lambda items: Recent(items, 3))
        | _dicts(children).map(Table)
        | _dicts(children).map(Ordered)
        | st.frozensets(any_text, max_size=3).map(Labels)
    )


static_values = st.recursive(
    plain_values | numpy_arrays() | jax_arrays(),
    lambda children: _containers(children) | st.builds(Slotted, children),
    max_leaves=3,
)
leaves = plain_values | arrays
flattenable_trees = st.recursive(
    leaves, lambda children: _containers(children) | _objects(children), max_leaves=8
)
# JAX flattens no dict whose keys it cannot sort, and each attempt costs the process a
# level of Python's recursion limit. Equinox tries, so no Module can hold such a dict.
trees = (
    flattenable_trees
    | _dicts(flattenable_trees, mixed_keys)
    | _dicts(flattenable_trees, mixed_keys).map(lambda d: (d, Slotted([d])))
)
