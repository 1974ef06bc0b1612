"""What is saved loads, and loads the same: whatever a kind cannot keep, it refuses."""

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import fractions
import functools
import io
import types
import typing
import uuid
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.export
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from equality import differences, survives
from hypothesis import HealthCheck, assume, given, settings, strategies as st
from jaxtyping import AbstractDtype, Array, Float
from strategies import Box, Colour, box

import zodiax_io
from zodiax_io import SerialisationError, deserialise, serialise

T = typing.TypeVar("T")


def is_kept(tree: Any) -> bool:
    """Whether a tree is saved; then it has to come back as it was."""
    file = io.BytesIO()
    try:
        serialise(file, tree)
    except SerialisationError:
        return False
    file.seek(0)
    assert differences(tree, deserialise(file)) == []
    return True


def refusal_of(obj: Any) -> str:
    with pytest.raises(SerialisationError) as caught:
        zodiax_io.build_structure({"here": obj})
    assert "`model['here']`" in str(caught.value)
    return str(caught.value).partition("`model['here']`. ")[2]


# Annotations --------------------------------------------------------------------------


@dataclasses.dataclass
class Unhashable:
    unit: str


class List(typing.Generic[T]):
    _name = "List"  # as that of `typing` has


_PARTS = [
    *(int, str, Box, Colour, Colour.RED, None, ..., T, typing.Any, np.ndarray, Array),
    *(1, -0.0, 0.0, True, b"x", "text", "\x1b", (1, 2), (), [int], [], "list[int]"),
    *(Float[Array, "n"], Unhashable("m"), Unhashable, np.zeros(3), np.float32(1), 1j),
    *(jnp.sin, frozenset([1]), {"a": 1}, 10**30),
]
_parts = st.sampled_from(_PARTS)
_FORMS: list[Callable[..., Any]] = [
    *(list, dict, tuple, type, List, typing.List, typing.Dict, typing.Tuple),  # noqa: UP006
    *(typing.Union, typing.Optional, typing.Literal, typing.Annotated, typing.ClassVar),
    *(Callable, typing.Callable, typing.Type, typing.Iterable),  # noqa: UP006
]


@st.composite
def _subscripts(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Any:
    form, parts = draw(st.sampled_from(_FORMS)), draw(st.lists(inner, max_size=3))
    subscript: Any = form
    try:
        return subscript[tuple(parts) if len(parts) != 1 else parts[0]]
    except Exception:  # not one that Python makes
        return form


@settings(max_examples=300)
@given(st.recursive(_parts, _subscripts, max_leaves=6))
def test_an_annotation_that_is_saved_loads(annotation):
    """Whatever Python lets stand in an annotation comes back, or is refused."""
    is_kept({"here": annotation})


@pytest.mark.parametrize(
    ("annotation", "told"),
    [
        (list[1], "It cannot be made again: an annotation refers to an object"),
        (dict[str, 3], "refers to an object that is not a type"),
        (tuple[int, (1, 2)], "refers to an object that is not a type"),
        (typing.Annotated[float, Unhashable("m")], "Python hashes its parts."),
        (typing.Annotated[float, np.zeros(3)], "Python hashes its parts."),
        (typing.Literal[1, Unhashable], "One of its values is not plain."),
        (typing.Union[tuple(list[(int,) * i] for i in range(1, 300))], "256"),  # noqa: UP007
    ],
    ids=str,
)
def test_an_annotation_that_cannot_be_made_again(annotation, told):
    """What a load would refuse as damage is refused when it is saved."""
    assert told in refusal_of(annotation)


def test_the_refusal_of_an_annotation():
    """It says what to keep instead, and that can be kept."""
    assert refusal_of(list[1]) == (
        "It cannot be made again: an annotation refers to an object that is not a "
        "type. Keep `typing.get_origin(x)` and `typing.get_args(x)`, as far as these "
        "can be saved, and make it again from both."
    )
    survives((typing.get_origin(list[1]), typing.get_args(list[1])))


def test_a_generic_class_with_a_name_of_typing():
    """A class is known by what it is, not by what it calls itself."""
    survives([List[int], typing.List[int]])  # noqa: UP006


class Double(AbstractDtype):
    dtypes: typing.ClassVar = ["float64"]


def own_float() -> Any:
    class Float(AbstractDtype):
        dtypes: typing.ClassVar = ["float64"]

    return Float


@pytest.mark.parametrize("dtype", [Double, own_float()], ids=["Double", "Float"])
def test_a_dtype_of_ones_own_is_none_of_jaxtyping(dtype):
    """An annotation of another dtype is refused, also under a name of jaxtyping."""
    assert refusal_of(dtype[Array, "n"]) == (
        "Its dtype is not jaxtyping's own. Keep its dtype, the type of its array "
        "and its dimensions, `(x.dtype, x.array_type, x.dim_str)`, and make it again "
        "from these."
    )
    annotation = Double[Array, "n"]
    survives((annotation.dtype, annotation.array_type, annotation.dim_str))


_dtypes = st.sampled_from(
    [jaxtyping.Float, jaxtyping.Int, jaxtyping.Shaped, jaxtyping.Float32, Double]
)
_inner = st.sampled_from([Array, np.ndarray, typing.Any, T, Box, Array | np.ndarray])
_dimensions = st.sampled_from(["", "n", "n m", "*b 3", "...", " n ", "n\tm", "{n}+1"])


@st.composite
def _jaxtyping(draw: st.DrawFn, inner: st.SearchStrategy[Any]) -> Any:
    made, dtype = draw(inner), draw(_dtypes)
    try:
        return dtype[made, draw(_dimensions)]
    except Exception:
        return jaxtyping.PyTree[made]


@given(st.recursive(_inner, _jaxtyping, max_leaves=3))
def test_an_annotation_of_jaxtyping_that_is_saved_loads(annotation):
    """Annotations within annotations narrow one another, and are kept or refused."""
    is_kept({"here": annotation})


# Methods ------------------------------------------------------------------------------


class Table(eqx.Module):
    rows: list[int]

    def __getitem__(self, i: int) -> int:
        return self.rows[i]

    def __call__(self) -> int:
        return 1

    row = __getitem__

    def apply(self, x: int) -> int:
        return x

    __matmul__ = apply

    @classmethod
    def make(cls) -> Any:
        return cls([])

    length = len  # no method, but found like one


@dataclasses.dataclass
class Plain:
    rows: list[int]

    def __getitem__(self, i: int) -> int:
        return self.rows[i]

    def __len__(self) -> int:
        return 1

    def apply(self) -> int:
        return 1

    row, __matmul__ = __getitem__, apply


def _strange(self: Any) -> None:
    """No method of any class here."""


METHODS = {
    "of Python": Plain([1]).__len__,
    "with two names": Plain([1]).row,
    "with a name beside Python's": Plain([1]).__matmul__,
    "plain": Plain([1]).apply,
    "of no class": types.MethodType(_strange, Plain([1])),
    "of a builtin": types.MethodType(len, [1]),
    "of a module": Table([1]).apply,
    "of a module, for Python": Table([1]).__getitem__,
    "of a module, called": Table([1]).__call__,
    "of a class": Table.make,
    "of nothing": type(Table([1]).apply)(_strange, Table([1])),
}


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_that_is_saved_loads(method):
    """A bound method comes back, or is refused when it is saved."""
    is_kept({"here": method})


def test_methods_that_are_kept_and_are_not():
    """A method goes by a name that has no meaning to Python, if it has one."""
    kept = {name: is_kept([method]) for name, method in METHODS.items()}
    assert kept["with two names"] and kept["with a name beside Python's"]
    assert kept["plain"] and kept["of a module"] and kept["of a class"]
    assert not (kept["of Python"] or kept["of no class"] or kept["of nothing"])
    assert refusal_of(METHODS["of Python"]) == (
        "It is a method of a `test_symmetry.Plain`, which files cannot bind. Keep the "
        "object, and take the method from it again."
    )


# What describes arrays ----------------------------------------------------------------


def _structs() -> dict[str, Any]:
    shapes = {
        "numbers of NumPy": (np.int64(2), np.int32(3)),
        "symbols": jax.export.symbolic_shape("a, b"),
    }
    made = {k: jax.ShapeDtypeStruct(v, jnp.float32) for k, v in shapes.items()}
    made["weakly typed"] = jax.ShapeDtypeStruct((2,), jnp.float32, weak_type=True)
    more = {"is_ref": True, "vma": frozenset({"i"})}
    for name, value in more.items():
        try:
            struct: Any = jax.ShapeDtypeStruct
            made[name] = struct((2,), jnp.float32, **{name: value})
        except TypeError:  # another release of JAX
            continue
    return made


STRUCTS = _structs()


@pytest.mark.parametrize("struct", STRUCTS.values(), ids=STRUCTS)
def test_every_slot_of_a_shape_is_kept_or_refused(struct):
    """Nothing that JAX adds to a `ShapeDtypeStruct` is left out without a word."""
    file = io.BytesIO()
    try:
        serialise(file, struct)
    except SerialisationError:
        return
    file.seek(0)
    loaded = deserialise(file)
    for name in type(struct).__slots__:
        assert getattr(loaded, name) == getattr(struct, name)


@pytest.mark.skipif("is_ref" not in STRUCTS, reason="this JAX has no such shapes")
def test_the_refusal_of_a_shape():
    """It names what would be lost."""
    assert refusal_of(STRUCTS["is_ref"]) == (
        "Files cannot keep its `is_ref`, which belongs to one computation. Keep "
        "`jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=x.weak_type)`, and add it "
        "again."
    )
    assert refusal_of(STRUCTS["symbols"]) == (
        "A length of its shape is not a number. Keep the lengths as text, "
        "`[str(n) for n in x.shape]`, with its dtype, and make it again from both."
    )
    # They are equal to the numbers of Python that come back.
    zodiax_io.build_structure(STRUCTS["numbers of NumPy"])


class Metres(np.float64):
    """A scalar with more to it."""


def test_a_scalar_of_ones_own_class_is_refused():
    """A subclass of a scalar of NumPy would come back as that."""
    assert refusal_of(Metres(1.5)) == (
        "`numpy.asarray` would drop what its class adds to the number. Keep "
        "`numpy.asarray(x)[()]` and its attributes, and make it again from them."
    )


@pytest.mark.parametrize(
    "state",
    [{"_sharedmask": 1}, {"_mask": np.zeros(3, bool)}, {"_fill_value": np.array("x")}],
    ids=str,
)
def test_a_masked_array_that_is_none(state):
    """State that NumPy would not give a masked array is refused when it is saved."""
    array = np.ma.array([1.0, 2.0], mask=[0, 1])
    vars(array).update(state)
    assert "It has more than data, a mask and a fill value." in refusal_of(array)


# Values -------------------------------------------------------------------------------


@given(st.sampled_from(uuid.SafeUUID), st.integers(0, 2**128 - 1))
def test_a_uuid_knows_how_it_was_made(is_safe, number):
    """Whether another process could have made the same is kept."""
    made = uuid.UUID(int=number, is_safe=is_safe)
    assert survives([made])[0].is_safe is is_safe


@given(st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)), st.text())
def test_a_time_zone_that_is_saved_loads(offset, name):
    """Whatever a time zone is called, it comes back so, or is refused."""
    is_kept(dt.datetime(2024, 1, 1, tzinfo=dt.timezone(offset, name)))


# Instances of classes that nobody has thought of --------------------------------------

BASES = {
    "object": (object, ()),
    "str": (str, ("a",)),
    "int": (int, (3,)),
    "float": (float, (0.5,)),
    "complex": (complex, (1j,)),
    "bytes": (bytes, (b"a",)),
    "list": (list, ([1, "a"],)),
    "tuple": (tuple, ((1, (2,)),)),
    "dict": (dict, ({"b": 1, 2: "a"},)),
    "set": (set, ({1, 2},)),
    "frozenset": (frozenset, ({1, 2},)),
    "ordered": (collections.OrderedDict, ({"b": 1, "a": 2},)),
    "counter": (collections.Counter, ("aab",)),
    "default": (collections.defaultdict, (list, {1: [2]})),
    "deque": (collections.deque, ([1, 2], 4)),
    "partial": (functools.partial, (jnp.sin, 1)),
    "fraction": (fractions.Fraction, (1, 3)),
    "decimal": (decimal.Decimal, ("1.5",)),
    "date": (dt.date, (2020, 1, 1)),
    "error": (ValueError, ("a",)),
    "namespace": (types.SimpleNamespace, ()),
    "array": (np.ndarray, ((2,),)),
    "number": (np.float64, (1.5,)),
    "module": (eqx.Module, ()),
}
# What a class may have under a name; and what an instance may have under the same.
MEMBERS = {
    "a method": lambda: lambda self: 1,
    "a property": lambda: property(lambda self: 1),
    "a cached property": lambda: functools.cached_property(lambda self: 1),
    "a static method": lambda: staticmethod(len),
    "a class method": lambda: classmethod(lambda cls: 1),
    "a default": lambda: 0,
    "a list": list,
    "a class": lambda: int,
}
NAMES = ["a", "_b", "shape", "__call__", "__getattr__", "items"]
VALUES = [1, "a", None, [1, {"a": 2.5}], np.ones(2), jnp.sin, 2**40, Colour.RED, object]


class Hidden:
    """Hypothesis would print what is in it by methods of its class."""

    def __init__(self, obj):
        self.obj = obj


@st.composite
def instances(draw):
    """An instance of a class of this module that was made for it."""
    base, arguments = BASES[draw(st.sampled_from(sorted(BASES)))]
    members = draw(
        st.dictionaries(
            st.sampled_from(NAMES),
            st.sampled_from([*MEMBERS.values()]).map(lambda make: make()),
            max_size=3,
        )
    )
    slots = draw(st.none() | st.lists(st.sampled_from(["s", "__t"]), unique=True))
    if slots is not None:
        members["__slots__"] = tuple(slots)
    try:
        made_for = type(base)("Made", (base,), {"__module__": __name__, **members})
        obj = base.__new__(made_for, *arguments)
        base.__init__(obj, *(() if base is object else arguments))
    except (TypeError, AttributeError, ValueError, RuntimeError):
        assume(False)  # Python has no such class, or its code fails
    globals()["Made"] = made_for
    attributes = st.sampled_from([*NAMES, "c", "s", "_Made__t", "not a name"])
    for name, value in draw(
        st.dictionaries(attributes, st.sampled_from(VALUES), max_size=4)
    ).items():
        with contextlib.suppress(Exception):
            object.__setattr__(obj, name, value)
    return Hidden(obj)


@given(instances(), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_instance_that_is_saved_loads(outcomes, hidden, static):
    """Whatever a class is made of, an instance comes back as it was, or is refused."""
    tree = box(1, hidden.obj) if static else [hidden.obj, hidden.obj]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcomes.of(survives, tree)
