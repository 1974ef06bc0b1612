"""Every kind of object that can be kept, and what of each is kept."""

import abc
import collections
import dataclasses
import io
import itertools
import pathlib
import re
import subprocess
import threading
import time
import types
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest
from equality import differences, survives
from examples import (
    APART,
    CASES,
    EXAMPLES,
    NANS,
    PADDED,
    REFUSING,
    STANDING_IN,
    Default,
    Owner,
    Spline,
    double,
    nan,
    read_only,
)
from hypothesis import given
from jaxtyping import Array, Float
from strategies import (
    EXTENDED_DTYPES,
    JAX_DTYPES,
    NUMPY_DTYPES,
    Box,
    Colour,
    Point,
    Slotted,
    box,
    leaves,
)

import zodiax_io
from zodiax_io import _jax
from zodiax_io._kinds.lookup import KINDS, by_name, kinds_of


def test_every_kind_has_an_example():
    """No kind joins the table without an example here."""
    names = {kind.name for kind in KINDS if "." not in kind.name}
    assert names == set(EXAMPLES) | REFUSING | APART | STANDING_IN


@pytest.mark.parametrize(("name", "example"), CASES)
def test_an_example_is_of_its_kind(name, example):
    """The table recognises each example by the row that is meant."""
    assert zodiax_io.build_structure(example)["kind"] == name


@pytest.mark.parametrize(("name", "example"), CASES)
def test_an_example_comes_back_as_a_leaf(name, example):
    """Each kind is kept alone, and among others in a container."""
    survives(example)
    survives({"b": [example], "a": 1.0})


@pytest.mark.parametrize(("name", "example"), CASES)
def test_an_example_comes_back_from_a_static_field(name, example):
    """Each kind is kept in a static field, alone and in a container."""
    survives(box(1.0, example))
    survives(box(jnp.ones(2), {"k": (example,)}))


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if "." not in k.name], ids=lambda kind: kind.name
)
def test_a_kind_says_what_it_keeps(kind):
    """Each row has a line for the documentation, but those that only refuse."""
    assert bool(kind.keeps) == (kind.name not in REFUSING)


@pytest.mark.parametrize(("name", "example"), CASES)
def test_a_row_tells_whether_jax_sees_a_container(name, example):
    """Where JAX sees a leaf, so does the row: plain Equinox writes nothing inside."""
    kind = by_name[name]
    is_leaf = jtu.tree_structure(example) == jtu.tree_structure(0)
    if "node" in zodiax_io.build_structure(example) and kind.is_node != "registered":
        assert kind.is_node == (not is_leaf)


@pytest.mark.parametrize("kind", [k for k in KINDS if k.array], ids=lambda k: k.name)
def test_a_row_of_arrays_tells_their_outline(kind):
    """From a node alone come the shape and the dtype of an array that is not read."""
    for example in EXAMPLES[kind.name]:
        outline = kind.outline(zodiax_io.build_structure(example))
        assert (outline.shape, outline.dtype) == (example.shape, example.dtype)


@given(leaves)
def test_some_kind_keeps_every_leaf(leaf):
    """The first row that takes a leaf of the strategies is one that keeps it."""
    assert zodiax_io.build_structure(leaf)["kind"] in {
        k.name for k in kinds_of(type(leaf))
    }


def test_a_nameless_default_comes_back_by_its_class():
    """A lambda that is the default of a field is found again there."""
    loaded = survives(Default())
    assert loaded.function is Default().function
    assert zodiax_io.build_structure(Default())["node"]["function"]["kind"] == "default"


# Arrays -------------------------------------------------------------------------------


def every_value(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """All bit patterns of a dtype of one or two bytes."""
    if dtype.itemsize == 2:
        return np.arange(2**16, dtype=np.uint16).view(dtype)
    widths = {"bool": 1, "int2": 2, "uint2": 2, "int4": 4, "uint4": 4}
    widths |= {"float4_e2m1fn": 4, "float6_e2m3fn": 6, "float6_e3m2fn": 6}
    return np.arange(2 ** widths.get(dtype.name, 8), dtype=np.uint8).view(dtype)


SMALL = [
    d for d in (*NUMPY_DTYPES, *EXTENDED_DTYPES) if d.itemsize <= 2 and d.kind != "S"
]


@pytest.mark.parametrize("dtype", SMALL, ids=str)
def test_every_bit_pattern_of_a_small_dtype_comes_back(dtype):
    """No value of an 8 or 16 bit dtype is changed, in NumPy or in JAX."""
    values = every_value(dtype)
    survives(values)
    if dtype in JAX_DTYPES:
        survives(jnp.asarray(values))


@pytest.mark.parametrize("dtype", [*NUMPY_DTYPES, *EXTENDED_DTYPES], ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (1, 1), (2, 3)], ids=str)
def test_every_dtype_and_shape_comes_back(dtype, shape):
    """Arrays keep dtype, shape and order, whatever they are."""
    array = np.zeros(shape, dtype)
    survives([array, np.asfortranarray(array)])


def test_64_bit_arrays_come_back_where_jax_has_them():
    """With x64, JAX arrays of 64 bits are 64 bits wide after loading."""
    with jax.enable_x64(True):
        loaded = survives([jnp.arange(3.0), jnp.uint64(2**64 - 1), jnp.asarray(1.5)])
        assert loaded[0].dtype == jnp.float64


def test_a_loaded_array_is_ones_own():
    """A loaded NumPy array can be written to, and shares no memory with another."""
    a, b = survives([np.zeros(4), np.zeros(4)])
    a[:] = 1
    assert not b.any()


def test_padding_of_structs_is_not_kept():
    """The same values give the same bytes, whatever lies between the fields."""
    dirty = np.frombuffer(bytearray(b"\xff" * 64), PADDED).copy()
    clean = np.zeros(2, PADDED)
    for name in PADDED.names:
        dirty[name] = clean[name] = 3
    files = [io.BytesIO(), io.BytesIO()]
    for file, array in zip(files, (dirty, clean), strict=True):
        zodiax_io.serialise(file, array)
    assert files[0].getvalue() == files[1].getvalue()


# Containers ---------------------------------------------------------------------------


def test_dict_keys_of_every_sort_come_back_in_order():
    """A dict keeps keys that JAX could not even sort, and their order."""
    marker = object()
    tree = {"b": 1, 3: jnp.ones(1), None: 2, (1, None): 3, b"b": 4, 1.5: 5, True: 6}
    tree |= {Colour.RED: 7, frozenset([1]): 8, jnp.sin: 9, int: 10, marker: [marker]}
    tree |= {np.int64(70): 11, np.str_("x"): 12, Point(1, 2): 13, 2**70: 14}
    loaded = survives(tree)
    assert list(loaded)[:3] == ["b", 3, None]


def test_a_shared_dict_with_unsortable_keys_comes_back_shared():
    """An object that JAX cannot flatten can be shared."""
    odd = {"b": jnp.ones(1), 3: jnp.zeros(2)}
    loaded = survives([odd, odd])
    assert loaded[0] is loaded[1]


def test_dict_keys_that_are_dataclasses_come_back():
    """A frozen dataclass serves as a key, for Python made its hash."""
    survives({Slotted(1): "a", Slotted((2, "b")): "c"})


def test_shared_objects_stay_shared():
    """Shared objects stay shared, and separate ones separate."""
    array, items, marker = jnp.ones(3), [1], object()
    tree = {"a": [array, array, jnp.ones(3)], "b": (items, items, [1])}
    loaded = survives([tree, tree, box(marker, marker), {marker: np.ones(1)}])
    assert loaded[0] is loaded[1]
    assert loaded[0]["a"][0] is loaded[0]["a"][1]
    assert loaded[0]["b"][0] is not loaded[0]["b"][2]


def test_a_diamond_of_shared_lists_takes_linear_time():
    """Twelve nodes that reach thousands of leaves are twelve nodes in the file."""
    tree: Any = [1.5]
    for _ in range(12):
        tree = [tree, tree]
    loaded = survives(tuple(tree))
    assert loaded[0] is loaded[1]


def test_a_tree_that_shares_too_much_is_refused():
    """A tree in which JAX would see more nodes than memory holds is not saved."""
    tree: Any = ()
    for _ in range(60):
        tree = types.SimpleNamespace(a=tree, b=tree)
    with pytest.raises(zodiax_io.SerialisationError, match="shares so much"):
        zodiax_io.build_structure(tree)


# Refused ------------------------------------------------------------------------------


ASKED: list[str] = []


class Claiming(type):
    """A metaclass whose classes claim to be equal to all others."""

    def __eq__(cls, other: object) -> bool:
        ASKED.append("whether it is equal")
        return True

    def __hash__(cls) -> int:
        ASKED.append("for its hash")
        return hash(dict)

    def __instancecheck__(cls, obj: object) -> bool:
        ASKED.append("for its instances")
        return True

    def __subclasscheck__(cls, other: object) -> bool:
        ASKED.append("for its subclasses")
        return True


@dataclasses.dataclass
class ClaimingData(metaclass=Claiming):
    x: int = 1


def of_claiming_class(*bases: type) -> Any:
    """An instance of a class that has such a metaclass."""
    return Claiming("Odd", bases, {"__module__": __name__})()


ODD = {
    "dataclass": ClaimingData(),
    "class": ClaimingData,
    "plain": of_claiming_class(),
    **{
        base.__name__: of_claiming_class(base)
        for base in (dict, list, tuple, set, frozenset, str, int, float, bytes, complex)
    },
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("place", [lambda x: x, lambda x: {"a": [x]}, lambda x: (x, 1)])
def test_no_metaclass_is_asked(name, place):
    """Kinds know a class by identity, so that its metaclass is never called."""
    ASKED.clear()
    assert re.search("Odd|Claiming", text_of_refusal(place(ODD[name])))
    assert not ASKED


def test_the_refusal_of_a_class_with_a_metaclass():
    """The message names the class, and what may be done."""
    assert text_of_refusal(of_claiming_class(dict)) == (
        "Cannot serialise a `test_kinds.Odd` at `model`. `test_kinds` has no `Odd` "
        "that is this very object. Give it a name of its own, or name it by "
        '`zodiax_io.register(obj, alias="package.module:Name")`.'
    )


def text_of_refusal(tree: Any) -> str:
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(tree)
    return str(caught.value)


def test_an_unknown_object_is_refused_with_its_path():
    """The error names the class, the path, and what to do."""
    assert text_of_refusal({"psf": [Spline([1.0])]}) == (
        "Cannot serialise a `examples.Spline` at `model['psf'][0]`. Its class defines "
        "`__reduce__`: it may be more than its attributes. Keep its parts, and make it "
        "again from them; or register a kind for it with `zodiax_io.register_kind`."
    )


def test_an_array_of_objects_is_refused():
    """Python objects in arrays are refused, with something to keep instead."""
    assert text_of_refusal(box(1, np.array([None]))) == (
        "Cannot serialise a `numpy.ndarray` at `model.label`. Its dtype object refers "
        "to Python objects. Keep a numeric array, or lists of plain values, instead."
    )


def test_a_deleted_array_is_refused():
    """A donated buffer is named as such."""
    array = jnp.ones(3)
    array.delete()
    assert text_of_refusal(array).endswith(
        "Its buffer has been deleted or donated. Save it before passing it to a "
        "function that donates its arguments."
    )


def test_a_tracer_is_refused():
    """Saving inside of a transformation fails with the reason."""
    with pytest.raises(zodiax_io.SerialisationError, match="It is a tracer"):
        jax.jit(zodiax_io.build_structure)(1.0)


class Slots(np.ndarray):
    """An array with an attribute that is not in a dictionary."""

    __slots__ = ("unit",)


class Unhashed:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 3


class Pixels(NamedTuple):
    x: int


class Holding(Pixels):
    """A namedtuple with a `__dict__`."""


def holding() -> Holding:
    pixels = Holding(1)
    pixels.note = "more"
    return pixels


def local_class() -> Any:
    class Local(eqx.Module):
        pass

    return Local()


REFUSED = {
    "a tuple of Python's own": (time.gmtime(0), "Convert it to a plain `tuple`"),
    "a view of a subclass": (
        types.MappingProxyType(collections.Counter("ab")),
        "It is a view of a `Counter`. Keep that instead",
    ),
    "a namedtuple with attributes": (holding(), "attributes that are not fields"),
    "a local class": (local_class(), "is defined inside a function"),
    "a generator": ((x for x in ()), "Keep the remaining items"),
    "a lock": (threading.Lock(), "belongs to this process"),
    "an open file": (io.BytesIO(), "Keep its content"),
    "strings of any width": (np.array(["a"], "T"), "refers to Python objects"),
    "a dtype with metadata": (
        np.dtype("f4", metadata={"unit": "m"}),
        "carries metadata",
    ),
    "a key with a hash of its own": ({Unhashed(): 1}, "writes its own"),
    "colliding keys": (
        {i * (2**61 - 1): i for i in range(100)},
        "share one hash value",
    ),
    "an array with slots": (np.ones(2).view(Slots), "drop what its class adds"),
    "a sharding": (
        jax.sharding.SingleDeviceSharding(jax.devices()[0]),
        "of this machine",
    ),
    "a device": (jax.devices()[0], "belongs to this machine"),
    "dimensions to be computed": (Float[Array, "{n}+1"], "are computed"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_kept_is_refused(what):
    """Nothing is kept by half: what cannot come back whole is refused."""
    tree, words = REFUSED[what]
    assert words in text_of_refusal({"here": tree})
    assert "`model['here']" in text_of_refusal({"here": tree})


def test_a_refused_object_leaves_no_file(tmp_path):
    """The disk is not touched before all of the tree has been judged."""
    with pytest.raises(zodiax_io.SerialisationError):
        zodiax_io.serialise(tmp_path / "model.zdx", [jnp.ones(3), threading.Lock()])
    assert list(tmp_path.iterdir()) == []


# One's own kinds ----------------------------------------------------------------------


class Curve:
    def __init__(self, knots: Any) -> None:
        self.knots = knots


class Smooth(Curve):
    pass


@pytest.fixture(scope="module")
def curve_kind():
    if not any(kind.name == "tests.curve" for kind in KINDS):
        zodiax_io.register_kind(
            "tests.curve",
            Curve,
            encode=lambda curve: {"knots": curve.knots},
            decode=lambda cls, tree: cls(tree["knots"]),
            subclasses=True,
        )


@pytest.mark.usefixtures("curve_kind")
def test_a_registered_kind_is_kept():
    """`register_kind` teaches a class and its subclasses, shared objects included."""
    curve = Curve(np.arange(3.0))
    loaded = survives({"a": curve, "b": [curve], "c": Smooth([1])})
    assert loaded["a"] is loaded["b"][0]


@pytest.mark.usefixtures("curve_kind")
@pytest.mark.parametrize("name", ["curve", "tests.curve"])
def test_a_kind_needs_a_name_of_its_own(name):
    """A kind without a dot in its name, or with a name that is taken, is refused."""
    with pytest.raises(zodiax_io.ArgumentError):
        zodiax_io.register_kind(
            name, Spline, encode=vars, decode=lambda cls, tree: None
        )


@pytest.mark.usefixtures("fresh_kinds")
def test_a_subclass_is_no_instance_unless_that_is_said(lab):
    """A subclass could add something: it is kept as if its base had no kind."""
    cell = lab(
        "adding_cell",
        "import zodiax_io\n"
        "class Knot:\n"
        "    def __init__(self, at): self.at = at\n"
        "class More(Knot):\n"
        "    more = 1\n"
        "encode, decode = lambda knot: knot.at, lambda cls, at: cls(at)\n"
        "zodiax_io.register_kind('adding.knot', Knot, encode, decode)",
    )
    assert zodiax_io.build_structure(cell.More(1))["kind"] == "instance"
    structure = zodiax_io.build_structure(cell.Knot(1)) | {"type": "adding_cell:More"}
    expected = r"adding_cell:More` at `model` is not `adding_cell\.Knot`\."
    with pytest.raises(zodiax_io.UntrustedError, match=expected):
        zodiax_io.load_structure(structure)


@pytest.fixture
def fresh_kinds(monkeypatch):
    """Remove the kinds that a test registers after it."""
    from zodiax_io._kinds import lookup, registering

    by_name, before = dict(lookup.by_name), list(KINDS)
    monkeypatch.setattr(registering, "_registered", dict(registering._registered))
    monkeypatch.setattr(lookup, "_by_class", {})
    yield
    KINDS[:] = before
    lookup.by_name.clear()
    lookup.by_name.update(by_name)


@pytest.mark.usefixtures("fresh_kinds")
def test_a_cell_may_register_its_kind_again(lab):
    """The class that is defined now takes the place of the old; no other class does."""
    text = (
        "import zodiax_io\n"
        "class Knot:\n"
        "    def __init__(self, at): self.at = at\n"
        "zodiax_io.register_kind('rerun.knot', Knot, lambda k: k.at, lambda c, t: c(t))"
    )
    for _ in range(2):
        cell = lab("rerun_cell", text)
    structure = zodiax_io.build_structure(cell.Knot(3))
    assert structure["kind"] == "rerun.knot"
    assert zodiax_io.load_structure(structure, trusted=["rerun_cell"]).at == 3
    assert len([kind for kind in KINDS if kind.name == "rerun.knot"]) == 1
    with pytest.raises(
        zodiax_io.ArgumentError,
        match=r"The kind 'rerun.knot' is already registered, for `rerun_cell.Knot`\.",
    ):
        zodiax_io.register_kind("rerun.knot", Spline, vars, lambda c, t: None)


def test_a_class_may_become_a_pytree_late(lab):
    """Distrax registers a class when the first of it is made; a load comes before."""
    base = "class Jittable: pass"
    lab("distrax._src.utils.jittable", base)
    lab("elsewhere_jittable", base)
    text = "from {} import Jittable\nclass Law(Jittable):\n" + (
        "    def tree_flatten(self): return (self.x,), None\n"
        "    @classmethod\n"
        "    def tree_unflatten(cls, aux, children): return cls()\n"
    )
    late = lab("late_laws", text.format("distrax._src.utils.jittable")).Law
    never = lab("other_laws", text.format("elsewhere_jittable")).Law
    assert _jax.is_registered_node(late)
    assert not _jax.is_registered_node(never)


def test_what_is_not_trusted_says_how_it_could_be():
    """A class that no file may name is refused with what would let it."""
    assert text_of_refusal({"here": subprocess.Popen}) == (
        "Cannot serialise a `builtins.type` at `model['here']`. `subprocess:Popen` "
        "belongs to Python's standard library, which no file may use, so no file could "
        "be loaded. If it does no harm when a file asks for it, pass it to "
        "`zodiax_io.register` where you save and where you load."
    )


def test_a_path_of_another_system_is_its_pure_equal():
    """No Windows path can touch a disk here; what it says is kept."""
    structure = zodiax_io.build_structure(pathlib.PureWindowsPath("C:\\a"))
    loaded = zodiax_io.load_structure(structure | {"flavour": "WindowsPath"})
    assert type(loaded) is pathlib.PureWindowsPath
    assert loaded == pathlib.PureWindowsPath("C:\\a")


def test_the_comparison_of_these_tests_is_strict():
    """`differences` sees what no `==` would."""
    one, list_ = jnp.float32(1), [1]
    different = [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (nan(NANS[0]), nan(NANS[1])),
        (one, np.float32(1)),
        (jnp.asarray(1.0), one),
        (np.zeros(2), np.zeros(2, ">f8")),
        (np.zeros((2, 2)), np.zeros((2, 2), order="F")),
        (np.zeros(2), read_only(np.zeros(2))),
        ([list_, list_], [[1], [1]]),
        ([[1], [1]], [list_, list_]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1,), [1]),
        (Point(1, 2), (1, 2)),
        (Box(1, "a"), Box(1, "b")),
        (lambda: 1, lambda: 2),
        (jr.key(0), jr.key(0, impl="rbg")),
        ({1, 2}, {1, 3}),
        (Colour.RED, Colour.BLUE),
        (jtu.tree_structure([1]), jtu.tree_structure((1,))),
        (eqx.filter_jit(Owner(1.0)), eqx.filter_jit(Owner(2.0))),
        (jax.vmap(double), jax.vmap(double, in_axes=1)),
    ]
    assert [i for i, pair in enumerate(different) if not differences(*pair)] == []
    assert [i for i, (a, _) in enumerate(different) if differences(a, a)] == []


# Classes as values --------------------------------------------------------------------


def frameworks_classes():
    """Classes of the frameworks that make or find small values, and decorators."""
    import jax.custom_batching
    import jaxtyping

    return [
        *(jax.lax.Precision, jax.lax.GatherDimensionNumbers, jax.sharding.AxisType),
        *(jax.custom_jvp, jax.custom_vjp, jax.custom_batching.custom_vmap),
        *(eqx.filter_custom_jvp, eqx.filter_custom_vjp, eqx.EquinoxTracetimeError),
        *(jaxtyping.Float, jaxtyping.Float8e5m2, jaxtyping.AbstractDtype),
        *(jax.core.ShapedArray, jax.tree_util.DictKey, np.finfo, np.floating, np.ufunc),
        *(zip, map, enumerate, abc.ABC, collections.Counter, itertools.chain),
    ]


@pytest.mark.parametrize("cls", frameworks_classes(), ids=lambda cls: cls.__qualname__)
def test_a_class_of_a_framework_is_a_value(cls):
    """As a converter, a decorator or an annotation: by its public name."""
    structure = zodiax_io.build_structure({"static": cls})
    assert zodiax_io.load_structure(structure)["static"] is cls
    module = zodiax_io.build_structure(cls)["type"].partition(":")[0]
    assert not any(part.startswith("_") for part in module.split("."))


class Phase(eqx.Enumeration):
    red = "red"


def test_a_class_of_an_enumeration_of_equinox_is_a_value():
    """One of the user's, and those of packages."""
    survives([Phase, Phase.red])


@pytest.mark.parametrize("name", ["numpy:memmap", "jax.sharding:set_mesh"])
def test_a_class_that_does_more_when_it_is_called_is_refused(name):
    """A call opens a file, or changes a setting."""
    node = {"node_type": "leaf", "kind": "class", "type": name}
    with pytest.raises(zodiax_io.UntrustedError):
        zodiax_io.load_structure(node, trusted=["numpy", "jax"])
