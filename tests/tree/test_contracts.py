"""Two contracts with plain Equinox: it reads every companion, with or without us."""

import collections
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest
from clients import optax
from equality import differences
from strategies import Colour, Level, Node, Registered, Slotted, box

import zodiax_io


class Point(NamedTuple):
    x: Any
    y: Any


@jtu.register_dataclass
@dataclasses.dataclass
class Reordered:
    a: Any
    b: Any
    name: str = dataclasses.field(default="", metadata={"static": True})


class Late(eqx.Module):
    first: Any
    static: Any = eqx.field(static=True)
    last: Any


@dataclasses.dataclass
class Numbers:
    """An array as a static value, of which Equinox does not warn."""

    values: Any


SHARED = jnp.arange(3.0)
MODEL = eqx.nn.MLP(2, 3, 4, 2, jax.nn.gelu, key=jr.key(0))
LAYER = eqx.nn.Linear(2, 2, key=jr.key(1))


def _stateful() -> Any:
    return eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", mode="batch")


# Trees all of whose leaves plain Equinox can store.
TREES: dict[str, Callable[[], Any]] = {
    "model": lambda: MODEL,
    "model and optimiser": lambda: (MODEL, optax.adam(1e-3).init(_arrays(MODEL)), 3),
    "model and state": _stateful,
    "one array": lambda: jnp.arange(4),
    "no array": lambda: {"a": None, "b": "text"},
    "nothing": lambda: (),
    "dicts, which JAX sorts": lambda: {
        "b": 1.0,
        "a": {"z": jnp.ones(2), "c": np.ones(3)},
    },
    "int keys, which JAX sorts": lambda: {3: jnp.ones(1), 1: jnp.ones(2), 2: 0.5},
    "OrderedDict, which it does not": lambda: collections.OrderedDict(
        b=jnp.ones(1), a=jnp.ones(2)
    ),
    "defaultdict": lambda: collections.defaultdict(list, b=jnp.ones(1), a=jnp.ones(2)),
    "namedtuple": lambda: Point(jnp.ones(1), Point(2.0, 3)),
    "registered": lambda: [Node((1.0, jnp.ones(2)), 1), Registered(np.ones(2), "n")],
    "register_dataclass": lambda: Reordered({"z": 1, "a": 2.0}, jnp.ones(2)),
    "shared arrays": lambda: {"a": SHARED, "b": [SHARED, jnp.ones(1)], "c": SHARED},
    "shared modules": lambda: [LAYER, {"b": LAYER, "a": 1.5}, LAYER],
    "shared dicts": lambda: [{"b": 1, "a": SHARED}] * 3,
    "Python scalars": lambda: [True, 1, -1, 0.5, -0.0, 1j, float("inf"), 2**64 - 1],
    "NumPy scalars": lambda: [np.float32(0.5), np.int8(3), np.bool_(True), jnp.ones(1)],
    "NumPy arrays": lambda: [
        np.arange(3),
        np.asfortranarray(np.ones((2, 3))),
        np.ones(()),
    ],
    "empty arrays": lambda: [jnp.zeros((0, 3)), np.zeros(0), jnp.ones(1)],
    "bfloat16 of JAX": lambda: [jnp.ones(3, jnp.bfloat16), jnp.ones(2, jnp.float16)],
    "other leaves between": lambda: [jnp.ones(1), "text", jnp.sin, Colour.RED, 2.0],
    "opaque leaves between": lambda: [1.0, Slotted(jnp.ones(3)), {1, 2}, jnp.ones(2)],
    "static arrays": lambda: Late(
        jnp.ones(1), Numbers(np.full(100, 9.0)), [2.0, jnp.ones(2)]
    ),
    "static JAX arrays": lambda: [box(jnp.ones(1), jnp.arange(100)), jnp.ones(2)],
    "arrays used twice": lambda: [box(SHARED, SHARED), jnp.ones(2), box(1.0, SHARED)],
    "legacy keys": lambda: {"key": jr.PRNGKey(0), "a": jnp.ones(1)},
    "ensemble": lambda: eqx.filter_vmap(lambda k: eqx.nn.Linear(2, 2, key=k))(
        jr.split(jr.key(0), 3)
    ),
    "filter_jit": lambda: [eqx.filter_jit(LAYER), jnp.ones(1)],
    "filter_vmap": lambda: [eqx.filter_vmap(LAYER), jnp.ones(1)],
    "eqx.Partial": lambda: [eqx.Partial(jnp.dot, jnp.ones(2), b=jnp.ones(3)), 2.0],
    "jtu.Partial": lambda: [jtu.Partial(jnp.dot, jnp.ones(2), b=jnp.ones(3)), 2.0],
    "method": lambda: [LAYER.__call__, jnp.ones(1)],
}


def _arrays(tree: Any) -> Any:
    return eqx.filter(tree, eqx.is_inexact_array)


def saved(folder: Path, tree: Any) -> Path:
    zodiax_io.serialise(folder / "model.zdx", tree, durable=False)
    return folder / "model.eqx"


def plain_values(tree: Any) -> list[Any]:
    """The leaves that plain Equinox reads, as far as it keeps their types."""
    leaves = jtu.tree_leaves(tree)
    kept = (jax.Array, np.ndarray, np.generic, bool, int, float, complex)
    return [
        (type(leaf), np.asarray(leaf).dtype, np.asarray(leaf).tobytes())
        for leaf in leaves
        if isinstance(leaf, kept) and not isinstance(leaf, Level)
    ]


@pytest.mark.parametrize("what", TREES)
def test_equinox_loads_the_companion_into_a_skeleton(what, tmp_path):
    """`load_structure` gives the `like` with which Equinox reads the companion."""
    tree = TREES[what]()
    like = zodiax_io.load_structure(zodiax_io.build_structure(tree))
    loaded = eqx.tree_deserialise_leaves(saved(tmp_path, tree), like)
    assert plain_values(loaded) == plain_values(tree)


@pytest.mark.parametrize("what", TREES)
def test_equinox_loads_the_companion_into_the_model(what, tmp_path):
    """Whoever has the model needs no zodiax_io to read its companion."""
    tree = TREES[what]()
    loaded = eqx.tree_deserialise_leaves(saved(tmp_path, tree), tree)
    assert plain_values(loaded) == plain_values(tree)


def test_a_whole_model_comes_back_by_equinox_alone(tmp_path):
    """Skeleton and companion give the very model, activation and all."""
    like = zodiax_io.load_structure(zodiax_io.build_structure(MODEL))
    loaded = eqx.tree_deserialise_leaves(saved(tmp_path, MODEL), like)
    assert differences(MODEL, loaded) == []


def test_a_skeleton_takes_no_memory():
    """The `like` of a large array is no array of that size."""
    tree = [np.broadcast_to(np.float32(1), (2**20, 2**20))]
    structure = {
        **zodiax_io.build_structure([np.ones((1, 1), np.float32)]),
    }
    structure["node"][0]["shape"] = [2**20, 2**20]
    like = zodiax_io.load_structure(structure)
    assert like[0].shape == tree[0].shape
    assert like[0].strides == (0, 0)


def test_an_enum_of_ints_is_read_as_a_number(tmp_path):
    """Equinox writes an `IntEnum` as the int that it is, and so do we."""
    tree = [Level.HIGH, jnp.ones(2)]
    loaded = eqx.tree_deserialise_leaves(saved(tmp_path, tree), [0, jnp.zeros(2)])
    assert loaded[0] == Level.HIGH
    assert loaded[1].sum() == 2


@pytest.mark.parametrize(
    "leaf", [2**64, -(2**200), 10**5000], ids=["65", "200", "many"]
)
def test_huge_ints_keep_later_leaves_in_step(leaf, tmp_path):
    """An int that Equinox cannot load takes one record all the same."""
    companion = saved(tmp_path, [leaf, jnp.arange(3.0)])
    assert zodiax_io.deserialise(companion)[0] == leaf
    with companion.open("rb") as file:
        np.load(file)
        assert np.array_equal(np.load(file), np.arange(3.0))


AWKWARD: dict[str, Any] = {
    "typed key": jr.key(0),
    "float8": jnp.ones(2, jnp.float8_e4m3fn),
    "int4": jnp.ones(3, jnp.int4),
    "NumPy bfloat16": np.ones(2, jnp.bfloat16),
    "datetimes": np.array(["2020-01-01"], "M8[D]"),
    "struct": np.zeros(2, [("a", "f4"), ("b", "i8")]),
    "text": np.array(["a", "bc"]),
}


@pytest.mark.parametrize("what", AWKWARD)
def test_what_equinox_cannot_read_does_not_get_in_the_way(what, tmp_path):
    """Leaves beyond Equinox are plain `.npy` records too: one each, in order."""
    companion = saved(tmp_path, {"a": AWKWARD[what], "b": jnp.arange(3.0)})
    with companion.open("rb") as file:
        np.load(file)
        assert np.array_equal(np.load(file), np.arange(3.0))


def test_static_arrays_follow_the_leaves(tmp_path):
    """Arrays of static fields come after all leaves, where Equinox stops reading."""
    tree = [
        Late(np.full(1, 1.0), Numbers(np.full(4, 9.0)), 2.0),
        box(3.0, np.full(5, 8.0)),
    ]
    with saved(tmp_path, tree).open("rb") as file:
        records = [np.load(file) for _ in range(5)]
    assert [float(record.ravel()[0]) for record in records] == [1, 2, 3, 9, 8]


def test_the_data_of_each_record_is_aligned(tmp_path):
    """Data starts at multiples of 64 bytes, and of 4096 for large arrays."""
    companion = saved(tmp_path, [np.ones(3, np.int8), np.ones(100_000), np.ones(5)])
    with companion.open("rb") as file:
        for alignment in (64, 4096, 64):
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            assert file.tell() % alignment == 0
            file.seek(shape[0] * dtype.itemsize, 1)


def test_files_of_equinox_are_no_checkpoints(tmp_path):
    """What Equinox wrote alone has no structure, and the error says what reads it."""
    eqx.tree_serialise_leaves(tmp_path / "model.eqx", MODEL)
    with pytest.raises(zodiax_io.CorruptFileError, match="tree_deserialise_leaves"):
        zodiax_io.deserialise(tmp_path / "model.eqx")
