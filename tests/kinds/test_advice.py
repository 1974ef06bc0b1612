"""Each refusal says how to keep what is in the object, and nothing is lost by that.

A row follows the advice of a message in code, saves and loads what that gives, and
makes the object again.
"""

import argparse
import array
import asyncio
import collections
import contextvars
import ctypes
import datetime as dt
import enum
import functools
import io
import itertools
import logging
import operator
import os
import queue
import re
import tempfile
import threading
import types
import typing
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import typing_extensions
from equality import differences
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

import zodiax_io


class Lazy(types.ModuleType):
    """A module whose class is not Python's, as of those that load lazily."""


class WithSlots(np.ndarray):
    """An array with an attribute that is not in its dictionary."""

    __slots__ = ("unit",)


class Tally(collections.Counter):
    """A dictionary with an attribute."""


class Failure(Exception):
    """An exception with an attribute."""


class Step(enum.Enum):
    ONE = 1


def slotted() -> Any:
    made = np.arange(3.0).view(WithSlots)
    made.unit = "m"
    return made


def mapped() -> str:
    """A file with some numbers."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(np.arange(3.0).tobytes())
    return file.name


def tally() -> Any:
    made = Tally("abca")
    made.total = 4
    return made


def matrix(data: Any) -> Any:
    """A matrix, without NumPy's advice against it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.matrix(data)


def failure() -> Any:
    made = Failure("a", 2)
    made.code = 7
    return made


def with_state(made: Any, held: dict[str, Any]) -> Any:
    vars(made).update(held)
    return made


def deep_key() -> Any:
    key: Any = ()
    for _ in range(20):
        key = (key,)
    return {key: 1}


class Row(NamedTuple):
    """A refused object, the advice, following it, and the way back."""

    make: Callable[[], Any]
    advice: str
    follow: Callable[[Any], Any]
    back: Callable[[Any], Any] = lambda kept: kept
    same: Callable[[Any, Any], bool] = operator.eq


def equal_arrays(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def equal_draws(a: Any, b: Any) -> bool:
    return a.random() == b.random()


def set_state(made: Any, name: str, state: Any) -> Any:
    setattr(made, name, state)
    return made


def called(made: Any, name: str, *arguments: Any) -> Any:
    getattr(made, name)(*arguments)
    return made


MESH = jax.make_mesh((1,), ("x",))
OPENED = open(os.devnull)  # noqa: SIM115
PROCESS = (
    "It belongs to this process. Keep its contents, if it has any, and make it again "
    "after loading."
)
WEAK = "It refers to an object without keeping it. Keep the object itself instead."
PROGRAM = (
    "It is a program that JAX has traced or compiled. Keep the function and its "
    "arguments, and trace it again; or keep the bytes of "
    "`jax.export.export(function)(*arguments).serialize()`."
)
ITERATOR = (
    "It is an iterator, which gives each item once. Keep the remaining items, "
    "`list(x)`, or the object that it iterates over."
)
GENERIC = (
    "Keep its parts, such as numbers, text and arrays, and make it again from them; or "
    "register a kind for it with `zodiax_io.register_kind`."
)
MASKED = (
    "It has more than data, a mask and a fill value. Keep `x.data`, `x.mask`, and its "
    "other attributes, and make it again from them."
)
AS_LISTS = "Keep the keys as a list, and the values as another."
DICT = "Keep `vars(x)`, a dictionary, instead."

ROWS: dict[str, Row] = {
    # Subclasses of NumPy's arrays.
    "an array mapped from a file": Row(
        lambda: np.memmap(mapped(), "f8", "r"),
        "It is a file mapped into memory. Keep its values, `numpy.array(x)`, or the "
        "path of the file, `x.filename`, with its dtype and shape.",
        np.array,
        lambda kept: kept,
        lambda a, b: a.tobytes() == b.tobytes(),
    ),
    "an array with slots": Row(
        slotted,
        "It cannot be made again from its data and attributes, and `numpy.asarray` "
        "would drop what its class adds to the values, such as a unit or a mask. Keep "
        "both, the values and what its class adds, and make it again from them; or "
        "register a kind for it with `zodiax_io.register_kind`.",
        lambda x: (np.asarray(x), x.unit),
        lambda kept: set_state(kept[0].view(WithSlots), "unit", kept[1]),
        lambda a, b: equal_arrays(a, b) and a.unit == b.unit,
    ),
    "an array of objects": Row(
        lambda: np.array([None, "a", 1], object),
        "Its dtype object refers to Python objects. Keep a numeric array, or lists of "
        "plain values, instead.",
        lambda x: x.tolist(),
        lambda kept: np.array(kept, object),
        lambda a, b: a.tolist() == b.tolist(),
    ),
    # JAX.
    "a reference": Row(
        lambda: jax.new_ref(jnp.arange(3.0)),
        "It is a mutable array reference. Keep its value, `ref[...]`, instead.",
        lambda ref: ref[...],
        jax.new_ref,
        lambda a, b: bool((a[...] == b[...]).all()),
    ),
    "a jaxpr": Row(
        lambda: jax.make_jaxpr(jnp.sin)(1.0),
        PROGRAM,
        lambda x: (jnp.sin, (1.0,)),
        lambda kept: jax.make_jaxpr(kept[0])(*kept[1]),
        lambda a, b: str(a) == str(b),
    ),
    "a lowered function": Row(
        lambda: jax.jit(jnp.sin).lower(1.0),
        PROGRAM,
        lambda x: (jnp.sin, (1.0,)),
        lambda kept: jax.jit(kept[0]).lower(*kept[1]),
        lambda a, b: a.as_text() == b.as_text(),
    ),
    "a compiled function": Row(
        lambda: jax.jit(jnp.sin).lower(1.0).compile(),
        PROGRAM,
        lambda x: (jnp.sin, (1.0,)),
        lambda kept: jax.jit(kept[0]).lower(*kept[1]).compile(),
        lambda a, b: a(1.0) == b(1.0),
    ),
    "an exported function": Row(
        lambda: jax.export.export(jax.jit(jnp.sin))(jnp.array(1.0)),
        PROGRAM,
        lambda x: (jnp.sin, jnp.array(1.0)),
        lambda kept: jax.export.export(jax.jit(kept[0]))(kept[1]),
        lambda a, b: a.call(jnp.array(1.0)) == b.call(jnp.array(1.0)),
    ),
    "a mesh": Row(
        lambda: MESH,
        "It belongs to the devices of this machine. Keep the lengths of its axes, "
        "`dict(x.shape)`, and make it again by `jax.make_mesh`.",
        lambda x: dict(x.shape),
        lambda kept: jax.make_mesh(tuple(kept.values()), tuple(kept)),
    ),
    "a named sharding": Row(
        lambda: NamedSharding(MESH, PartitionSpec("x")),
        "It belongs to the devices of this machine. Keep its `spec`, and place the "
        "arrays by `sharding=` when loading.",
        lambda x: x.spec,
        lambda kept: NamedSharding(MESH, kept),
    ),
    "a sharding": Row(
        lambda: SingleDeviceSharding(jax.devices()[0]),
        "It belongs to the devices of this machine. Leave it out, and place the arrays "
        "by `sharding=` when loading.",
        lambda x: None,
        lambda kept: SingleDeviceSharding(jax.devices()[0]),
    ),
    "a device": Row(
        lambda: jax.devices()[0],
        "It belongs to this machine. Keep `x.platform` and `x.id`, or place the arrays "
        "by `device=` when loading.",
        lambda x: (x.platform, x.id),
        lambda kept: next(d for d in jax.devices(kept[0]) if d.id == kept[1]),
    ),
    "the sharding of a shape": Row(
        lambda: jax.ShapeDtypeStruct(
            (2,), jnp.float32, sharding=NamedSharding(MESH, PartitionSpec())
        ),
        "Its sharding belongs to this machine. Leave the sharding out, by "
        "`x.update(sharding=None)`, and place the arrays by `sharding=` when loading.",
        lambda x: x.update(sharding=None),
        lambda kept: kept.update(sharding=NamedSharding(MESH, PartitionSpec())),
    ),
    # Python's own.
    "a namespace with a name of Python's": Row(
        lambda: types.SimpleNamespace(__a__=1),
        f"It has an attribute whose name is special to Python. {DICT}",
        vars,
        lambda kept: types.SimpleNamespace(**kept),
    ),
    "an alias of a type": Row(
        lambda: typing_extensions.TypeAliasType("Alias", int | str),
        "It is another name for a type. Keep the type, `x.__value__`, instead.",
        lambda x: x.__value__,
        lambda kept: typing_extensions.TypeAliasType("Alias", kept),
        lambda a, b: a.__value__ == b.__value__,
    ),
    "a new type": Row(
        lambda: typing.NewType("Metre", float),
        "It is another name for a type. Keep the type, `x.__supertype__`, instead.",
        lambda x: x.__supertype__,
        lambda kept: typing.NewType("Metre", kept),
        lambda a, b: a.__supertype__ is b.__supertype__,
    ),
    "a literal of no plain value": Row(
        lambda: typing.Literal[(1.5j, "a")],
        "One of its values is not plain. Keep `typing.get_args(x)` instead.",
        typing.get_args,
        lambda kept: typing.Literal[kept],
    ),
    "a generator": Row(
        lambda: (x for x in (1, 2)),
        ITERATOR,
        list,
        iter,
        lambda a, b: list(b) == [1, 2],
    ),
    "an iterator": Row(
        lambda: iter([1, 2]), ITERATOR, list, iter, lambda a, b: list(b) == [1, 2]
    ),
    "a map": Row(
        lambda: map(abs, [-1]), ITERATOR, list, iter, lambda a, b: list(b) == [1]
    ),
    "a chain of iterators": Row(
        lambda: itertools.chain([1], [2]),
        ITERATOR,
        list,
        iter,
        lambda a, b: list(b) == [1, 2],
    ),
    "the keys of a dict": Row(
        lambda: {1: 2}.keys(),
        "Keep `list(x)` instead.",
        list,
        lambda kept: dict.fromkeys(kept).keys(),
    ),
    "an open file": Row(
        lambda: OPENED,
        "It is an open file. Keep its path, and open it again after loading.",
        lambda x: x.name,
        lambda kept: OPENED if kept == OPENED.name else None,
        operator.is_,
    ),
    "a file in memory": Row(
        lambda: io.BytesIO(b"a"),
        "Keep its content, `x.getvalue()`, instead.",
        lambda x: x.getvalue(),
        io.BytesIO,
        lambda a, b: a.getvalue() == b.getvalue(),
    ),
    "a lock": Row(
        threading.Lock,
        PROCESS,
        lambda x: None,
        lambda kept: threading.Lock(),
        lambda a, b: type(a) is type(b),
    ),
    "a thread": Row(
        lambda: threading.Thread(target=int),
        PROCESS,
        lambda x: None,
        lambda kept: threading.Thread(target=int),
        lambda a, b: type(a) is type(b),
    ),
    "a queue": Row(
        lambda: called(queue.Queue(), "put", 3),
        PROCESS,
        lambda x: list(x.queue),
        lambda kept: functools.reduce(
            lambda q, x: called(q, "put", x), kept, queue.Queue()
        ),
        lambda a, b: a.get() == b.get() == 3,
    ),
    "a lock of asyncio": Row(
        asyncio.Lock,
        PROCESS,
        lambda x: None,
        lambda kept: asyncio.Lock(),
        lambda a, b: type(a) is type(b),
    ),
    "a variable of a context": Row(
        lambda: contextvars.ContextVar("depth", default=3),
        PROCESS,
        lambda x: x.get(),
        lambda kept: contextvars.ContextVar("depth", default=kept),
        lambda a, b: a.get() == b.get(),
    ),
    "a weak reference": Row(
        lambda: weakref.ref(Tally), WEAK, lambda x: x(), weakref.ref
    ),
    "a weak dictionary": Row(
        lambda: weakref.WeakValueDictionary(a=Tally),
        WEAK,
        dict,
        weakref.WeakValueDictionary,
        lambda a, b: dict(a) == dict(b),
    ),
    "a module": Row(
        lambda: Lazy("math"),
        "It is a module. Keep its name, `x.__name__`, and import it by that after "
        "loading.",
        lambda x: x.__name__,
        __import__,
        lambda a, b: a.__name__ == b.__name__,
    ),
    "an exception": Row(
        failure,
        "Keep its class, its arguments, `x.args`, and its attributes, `vars(x)`.",
        lambda x: (type(x), x.args, vars(x)),
        lambda kept: with_state(kept[0](*kept[1]), kept[2]),
        lambda a, b: (a.args, vars(a)) == (b.args, vars(b)),
    ),
    "a view of memory": Row(
        lambda: memoryview(np.arange(6.0).reshape(2, 3)),
        "Keep a copy of its data, `numpy.array(x)`, instead.",
        np.array,
        memoryview,
    ),
    "an array of Python's": Row(
        lambda: array.array("H", [1, 2]),
        "Keep `x.typecode` and `x.tolist()`, or `numpy.array(x)`, instead.",
        lambda x: (x.typecode, x.tolist()),
        lambda kept: array.array(*kept),
    ),
    "a number of C": Row(
        lambda: ctypes.c_int(3),
        "Keep `bytes(x)`, and make it again by `from_buffer_copy` of its class.",
        bytes,
        ctypes.c_int.from_buffer_copy,
        lambda a, b: a.value == b.value,
    ),
    "an array of C": Row(
        lambda: (ctypes.c_int * 3)(1, 2, 3),
        "Keep `bytes(x)`, and make it again by `from_buffer_copy` of its class.",
        bytes,
        (ctypes.c_int * 3).from_buffer_copy,
        lambda a, b: [*a] == [*b],
    ),
    "a pointer": Row(
        lambda: ctypes.pointer(ctypes.c_int(3)),
        PROCESS,
        lambda x: x.contents.value,
        lambda kept: ctypes.pointer(ctypes.c_int(kept)),
        lambda a, b: a.contents.value == b.contents.value,
    ),
    "a pattern": Row(
        lambda: re.compile("a+", re.IGNORECASE),
        "Keep `x.pattern` and `x.flags`, and compile it again.",
        lambda x: (x.pattern, x.flags),
        lambda kept: re.compile(*kept),
    ),
    "a logger": Row(
        lambda: logging.getLogger("zodiax_io.example"),
        "Keep its name, `x.name`, and get it by `getLogger` again.",
        lambda x: x.name,
        logging.getLogger,
        operator.is_,
    ),
    "a getter": Row(
        lambda: operator.methodcaller("__getitem__", 1),
        "Write a function by `def` in its place.",
        lambda x: second,
        lambda kept: kept,
        lambda a, b: a([1, 2]) == b([1, 2]),
    ),
    "a method of a list": Row(
        lambda: [1].count,
        "It is a method of a `builtins.list`, which files cannot bind. Keep the "
        "object, and take the method from it again.",
        lambda x: x.__self__,
        lambda kept: kept.count,
        lambda a, b: a(1) == b(1) == 1,
    ),
    "a property": Row(
        lambda: property(second),
        GENERIC,
        lambda x: x.fget,
        property,
        lambda a, b: a.fget is b.fget,
    ),
    "a time zone of its own": Row(
        lambda: dt.datetime(2024, 7, 1, 12, tzinfo=Zone()),
        "Its time zone is neither a `timezone` nor a named `ZoneInfo`. Give it one of "
        "these, such as by `x.astimezone(datetime.timezone.utc)`.",
        lambda x: x.astimezone(dt.UTC),
    ),
    "no member of an Enum": Row(
        lambda: set_state(object.__new__(Step), "_name_", "OTHER"),
        "It is not a member of its Enum. Keep its value, `x.value`, instead.",
        lambda x: None,
        lambda kept: None,
        lambda a, b: True,
    ),
    # Keys.
    "keys nested too deeply": Row(
        deep_key,
        f"One of its keys is nested too deeply. {AS_LISTS}",
        lambda x: ([*x], [*x.values()]),
        lambda kept: dict(zip(*kept, strict=True)),
    ),
    "keys of one hash": Row(
        lambda: {(2**61 - 1) * n: n for n in range(100)},
        f"Too many of its keys share one hash value. {AS_LISTS}",
        lambda x: ([*x], [*x.values()]),
        lambda kept: dict(zip(*kept, strict=True)),
    ),
    "a long number as a key": Row(
        lambda: {5: 1, 5 + (2**61 - 1) * 2**40_000: 2},
        "A number among its keys is longer than 4096 bytes, and has the hash value of "
        f"another key. {AS_LISTS}",
        lambda x: ([*x], [*x.values()]),
        lambda kept: dict(zip(*kept, strict=True)),
    ),
    # Long numbers.
    "a range of long numbers": Row(
        lambda: range(2**40_000),
        "Its integers are longer than 4096 bytes. Keep start, stop and step as a "
        "tuple.",
        lambda x: (x.start, x.stop, x.step),
        lambda kept: range(*kept),
    ),
    "axes of a partition that are no names": Row(
        lambda: PartitionSpec(3),
        "Its axes are not all names of mesh axes. Keep `tuple(x)` instead.",
        tuple,
        lambda kept: PartitionSpec(*kept),
    ),
}


def second(x: Any) -> Any:
    return x[1]


class Zone(dt.tzinfo):
    def utcoffset(self, when: Any) -> dt.timedelta:
        return dt.timedelta(hours=2)

    def dst(self, when: Any) -> None:
        return None


def saved(tree: Any, trusted: Sequence[str] = ()) -> Any:
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file, trusted=trusted)


def refusal(obj: Any) -> str:
    """The text of a refusal after the class and the path."""
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure({"a": obj})
    return str(caught.value).partition("at `model['a']`. ")[2]


@pytest.mark.parametrize("name", ROWS)
def test_advice_keeps_all_of_it(name):
    """The advice of a refusal, taken by its word, saves and loads all of the object."""
    row = ROWS[name]
    assert refusal(row.make()) == row.advice
    kept = row.follow(row.make())
    assert row.same(row.make(), row.back(saved(kept)))


def test_no_class_of_the_user_is_given_advice_of_another():
    """A pytree of the user's is kept, whatever it derives from."""

    @jax.tree_util.register_pytree_node_class
    class Settings(argparse.Namespace):
        def tree_flatten(self) -> Any:
            return tuple(vars(self).values()), tuple(vars(self))

        @classmethod
        def tree_unflatten(cls, names: Any, values: Any) -> Any:
            return cls(**dict(zip(names, values, strict=True)))

    zodiax_io.register(Settings, alias="mylab:Settings")
    assert saved(Settings(rate=0.5)) == Settings(rate=0.5)


# Constants that hold something --------------------------------------------------------

RAISED = Failure("held")
NUMBERS = (ctypes.c_int * 2)(1, 2)


@pytest.mark.parametrize("constant", [RAISED, NUMBERS])
def test_a_constant_with_a_state_in_c_is_refused(constant):
    """A name leads to whatever the variable holds by then, so it keeps no arguments."""
    with pytest.raises(zodiax_io.SerialisationError):
        zodiax_io.build_structure(constant)


# Masked arrays ------------------------------------------------------------------------


def masked(data: Any, mask: Any, fill: Any, hard: bool) -> Any:
    made = np.ma.MaskedArray(data, mask=mask, hard_mask=hard)
    if fill is not None:
        made.fill_value = fill
    return made


@st.composite
def masked_arrays(draw: Any) -> Any:
    dtype = draw(st.sampled_from(["f4", "f8", "i8", "?", "c8", "U3"]))
    data = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
    mask = draw(st.one_of(st.just(np.ma.nomask), hnp.arrays("?", st.just(data.shape))))
    fill = draw(st.sampled_from([None, 1]))
    return masked(data, mask, fill, draw(st.booleans()))


@given(masked_arrays())
def test_a_masked_array_comes_back_whole(array):
    """Data, mask, fill value and hardness come back, also what the mask hides."""
    again = saved({"image": array})["image"]
    assert type(again) is np.ma.MaskedArray
    assert differences(again.data, array.data) == []
    assert (again._mask is np.ma.nomask) == (array._mask is np.ma.nomask)
    assert np.ma.getmaskarray(again).tolist() == np.ma.getmaskarray(array).tolist()
    assert (again._fill_value is None) == (array._fill_value is None)
    assert again.fill_value == array.fill_value
    assert again.hardmask == array.hardmask


def test_a_masked_array_of_fields_comes_back():
    """Each field of a structured array has a mask of its own."""
    array = np.ma.array(
        [(1, 2.0), (3, 4.0)], mask=[(0, 1), (1, 0)], dtype=[("a", "i4"), ("b", "f8")]
    )
    again = saved(array)
    assert again.tolist() == array.tolist()
    assert again.mask.tolist() == array.mask.tolist()


def test_a_shared_masked_array_stays_shared():
    """Two references to one masked array come back as two to one."""
    array = np.ma.array([1.0, 2.0], mask=[0, 1])
    again = saved([array, array])
    assert again[0] is again[1]
    again[0][0] = np.ma.masked
    assert again[1].mask.tolist() == [True, True]


def test_no_subclass_passes_for_a_masked_array():
    """A masked array around a matrix is refused, and its parts are kept."""
    array = np.ma.MaskedArray(matrix([[1, 2]]), mask=[[0, 1]])
    assert refusal(array) == MASKED


# Programs that JAX has traced ---------------------------------------------------------


def square(x):
    return x**2


PROGRAMS = {
    "jaxpr": lambda: jax.make_jaxpr(square)(1.0),
    "open jaxpr": lambda: jax.make_jaxpr(square)(1.0).jaxpr,
    "equation": lambda: jax.make_jaxpr(square)(1.0).jaxpr.eqns[0],
    "variable": lambda: jax.make_jaxpr(square)(1.0).jaxpr.invars[0],
    "primitive": lambda: jax.make_jaxpr(square)(1.0).jaxpr.eqns[0].primitive,
    "traced": lambda: jax.jit(square).trace(1.0),
    "lowered": lambda: jax.jit(square).lower(1.0),
    "compiled": lambda: jax.jit(square).lower(1.0).compile(),
    "exported": lambda: jax.export.export(jax.jit(square))(1.0),
    "of Equinox": lambda: eqx.filter_make_jaxpr(square)(1.0)[0],
    "lowered by Equinox": lambda: eqx.filter_jit(square).lower(1.0),
    "vjp": lambda: jax.vjp(jnp.sin, 1.0)[1],
    "linearised": lambda: jax.linearize(jnp.sin, 1.0)[1],
}


@pytest.mark.parametrize("make", PROGRAMS.values(), ids=PROGRAMS.keys())
@pytest.mark.parametrize("place", [lambda x: x, lambda x: {"a": [(x,)]}], ids="01")
def test_a_program_is_refused_with_the_way_to_keep_it(make, place):
    """Wherever it is, and whatever holds it: as the function and its arguments."""
    with pytest.raises(zodiax_io.SerialisationError) as raised:
        zodiax_io.build_structure(place(make()))
    assert str(raised.value).partition("`. ")[2] == (
        "It is a program that JAX has traced or compiled. Keep the function and its "
        "arguments, and trace it again; or keep the bytes of "
        "`jax.export.export(function)(*arguments).serialize()`."
    )


def test_a_transposed_function_is_refused():
    """JAX returns a function of its own, around a program."""
    with pytest.raises(zodiax_io.SerialisationError) as raised:
        zodiax_io.build_structure(jax.linear_transpose(lambda x: 2 * x, 1.0))
    assert str(raised.value).partition("`. ")[2] == (
        "It is a local function of JAX, which holds what JAX has traced. Keep the "
        "function that was given to JAX, and call JAX with it again."
    )


def test_advice_on_functions_of_haiku_works():
    """The parameters come back, and fit the function that is transformed again."""
    haiku = pytest.importorskip("haiku")

    def forward(x):
        return haiku.Linear(2)(x)

    network = haiku.transform(forward)
    assert refusal(network) == (
        "It is a pair of functions that haiku has made of yours. Keep the parameters, "
        "as returned by `init`, and transform your function again, as by "
        "`haiku.transform(function)`."
    )
    params = network.init(jax.random.PRNGKey(0), jnp.ones((1, 3)))
    again = haiku.transform(forward).apply(saved(params), None, jnp.ones((1, 3)))
    assert (again == network.apply(params, None, jnp.ones((1, 3)))).all()
