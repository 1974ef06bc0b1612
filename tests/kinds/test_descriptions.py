"""Small values that describe arrays, places and items."""

import operator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from documents import load_node
from hypothesis import given, strategies as st

import zodiax_io
from zodiax_io import _jax

DTYPES = [np.float32, np.int8, np.bool_, np.complex64, jnp.bfloat16, jnp.float8_e5m2]


def again(obj: Any) -> Any:
    return zodiax_io.load_structure(zodiax_io.build_structure(obj))


# Traced arrays ------------------------------------------------------------------------


@given(st.lists(st.integers(0, 9), max_size=4), st.sampled_from(DTYPES), st.booleans())
def test_an_abstract_array_is_the_same_object(shape, dtype, weak):
    """JAX has one object for each shape, dtype and weak type."""
    aval = jax.core.ShapedArray(tuple(shape), np.dtype(dtype), weak_type=weak)
    assert again({"aval": [aval, aval]})["aval"] == [aval, aval]
    assert again(aval) is aval


def test_an_abstract_array_of_a_computation_is_refused():
    """Its mesh is of this machine; a dtype of random keys is no plain one."""
    explicit = (jax.sharding.AxisType.Explicit,)
    mesh = jax.sharding.AbstractMesh((1,), ("x",), axis_types=explicit)
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    placed = jax.core.ShapedArray((2,), np.dtype("f4"), sharding=sharding)
    for aval in (placed, jax.core.ShapedArray((2,), jax.random.key(0).dtype)):
        with pytest.raises(zodiax_io.SerialisationError) as raised:
            zodiax_io.build_structure(aval)
        assert str(raised.value).partition("`. ")[2] == (
            "It has a sharding, a memory or a dtype that belongs to one computation. "
            "Keep `jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=x.weak_type)`, as "
            "far as that can be kept."
        )


# Numbers with a dtype -----------------------------------------------------------------

NUMBERS = {
    "TypedInt": st.tuples(st.integers(), st.sampled_from(["int32", "int64", "int8"])),
    "TypedFloat": st.tuples(st.floats(), st.sampled_from(["float32", "float64"])),
    "TypedComplex": st.tuples(st.complex_numbers(), st.just("complex64")),
}


@pytest.mark.parametrize("name", NUMBERS)
@given(data=st.data())
def test_a_number_with_a_dtype_comes_back(name, data):
    """The number to the bit, its class, dtype and abstract value."""
    number, dtype = data.draw(NUMBERS[name])
    cls: Any = _jax.typed_literals()[name]
    literal = cls(number, np.dtype(dtype))
    loaded = again({"it": literal})["it"]
    assert type(loaded) is cls
    assert repr(loaded) == repr(literal)
    assert loaded.dtype == literal.dtype
    assert loaded.aval is literal.aval
    plain = [int, float, complex][list(NUMBERS).index(name)]
    if plain is not int:
        bits = [np.asarray(plain(x)).tobytes() for x in (loaded, number)]
        assert bits[0] == bits[1]


def test_plain_equinox_reads_a_number_with_a_dtype(tmp_path):
    """It counts as the number that it is."""
    cls: Any = _jax.typed_literals()["TypedFloat"]
    tree = [jnp.ones(2), cls(2.5, np.dtype("float32")), jnp.zeros(3)]
    zodiax_io.serialise(tmp_path / "it", tree)
    like = [jnp.zeros(2), 0.0, jnp.ones(3)]
    loaded = eqx.tree_deserialise_leaves(tmp_path / "it.eqx", like)
    assert loaded[1] == 2.5
    assert (loaded[2] == 0).all()


def test_a_number_that_was_changed_is_refused():
    """Nothing is dropped."""
    cls: Any = _jax.typed_literals()["TypedInt"]
    literal = cls(2, np.dtype("int32"))
    literal.note = "mine"
    with pytest.raises(zodiax_io.SerialisationError) as raised:
        zodiax_io.build_structure(literal)
    assert str(raised.value).partition("`. ")[2] == (
        "It was changed since it was made. Keep `int(x)` and its dtype, `x.dtype`."
    )


# Places -------------------------------------------------------------------------------


def test_the_paths_of_a_tree_come_back():
    """As `tree_flatten_with_path` gives them."""
    tree = {"a": [1, eqx.nn.Linear(2, 2, key=jax.random.key(0))], 3: (2, {"b": 1})}
    for path, _ in jtu.tree_flatten_with_path(tree["a"])[0]:
        loaded = again(path)
        assert loaded == path
        assert jtu.keystr(loaded) == jtu.keystr(path)
        assert [*map(type, loaded)] == [*map(type, path)]


@given(st.one_of(st.integers(), st.text(), st.tuples(st.text(), st.floats())))
def test_any_key_of_a_dictionary_is_kept(key):
    """A key of a dictionary may be any value that can be kept."""
    assert repr(again(jtu.DictKey(key))) == repr(jtu.DictKey(key))


@given(st.lists(st.one_of(st.integers(), st.text(), st.none()), min_size=1))
def test_a_getter_of_items_gets_the_same(items):
    """`itemgetter` does no more than index with what it holds."""
    getter = operator.itemgetter(*items, slice(1, 2))
    assert again(getter).__reduce__() == getter.__reduce__()


LIMITED = [np.finfo(np.float64), np.iinfo(np.int8), jnp.finfo(jnp.bfloat16)]
LIMITED += [jnp.finfo(jnp.float32), jnp.iinfo(jnp.int4), jnp.iinfo(jnp.uint8)]


@pytest.mark.parametrize("limits", LIMITED, ids=repr)
def test_limits_come_back(limits):
    """Of the same class, and with the same numbers."""
    loaded = again(limits)
    assert type(loaded) is type(limits)
    assert str(loaded) == str(limits)
    assert loaded.max == limits.max


# Forged nodes -------------------------------------------------------------------------


def node(kind, children=None, **more):
    found = {"node_type": "leaf" if children is None else "container", "kind": kind}
    return found | more | ({} if children is None else {"node": children})


TEXT = node("str", value="a")
FORGED = [
    node("shaped_array", shape=[-1], dtype="<f4", weak_type=False),
    node("shaped_array", shape=[2], dtype="O", weak_type=False),
    node("shaped_array", shape=[2], dtype="<f4", weak_type=1),
    node("shaped_array"),
    node("typed_literal", value={"class": "int", "number": 1}, dtype="<i4"),
    node("typed_literal", value={"class": "TypedInt", "number": 1.5}, dtype="<i4"),
    node("typed_literal", value={"class": "TypedInt", "number": 1}, dtype="O"),
    node("typed_literal", value=1, dtype="<i4"),
    node("tree_key", [TEXT], value="SequenceKey"),
    node("tree_key", [TEXT], value="os.system"),
    node("tree_key", [], value="DictKey"),
    node("tree_key", value="DictKey"),
    node("itemgetter", []),
    node("itemgetter"),
    node("limits", value="numpy.memmap", dtype="<f4"),
    node("limits", value="numpy.iinfo", dtype="<f4"),
]


@pytest.mark.parametrize("forged", FORGED, ids=str)
def test_a_forged_node_is_damage(forged):
    """Every malformed node ends in an error of ours."""
    with pytest.raises(zodiax_io.ZodiaxIOError):
        load_node(forged)
