"""Loading a part of a model (`only`), and into a model that is there (`like`)."""

import collections
import contextlib
import functools
import os
import re
import subprocess
import sys
import time
import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest
from clients import optax
from documents import Checkpoint, checkpoint_of, container, leaf
from equality import differences
from hypothesis import assume, example, given
from strategies import box, flattenable_trees, trees

import zodiax_io
from zodiax_io import ArgumentError, PartialLoadWarning, deserialise, serialise
from zodiax_io._arrays import eqx as backend
from zodiax_io._kinds import plain
from zodiax_io._kinds.lookup import row_of
from zodiax_io._structure import nodes
from zodiax_io._structure.nodes import Structure
from zodiax_io._structure.paths import path_text
from zodiax_io._tree.like import _is_filled
from zodiax_io._trust import reflection


class Optics(eqx.Module):
    layers: list[eqx.nn.Linear]
    gains: dict[str, Any]
    name: str = eqx.field(static=True)


class Telescope(eqx.Module):
    optics: Optics
    sources: tuple[Any, ...]
    activation: Any
    table: np.ndarray = eqx.field(static=True)


def telescope(seed=0, activation=jax.nn.relu, name="narrow", table=(1, 2)):
    keys = jr.split(jr.key(seed), 4)
    layers = [eqx.nn.Linear(2, 3, key=keys[0]), eqx.nn.Linear(3, 2, key=keys[1])]
    gains = {"red": jr.normal(keys[2], (4,)), "infra-red": np.arange(3.0) + seed}
    sources = (jr.normal(keys[3], (5,)), {"flux": 2.5 + seed, "counts": seed})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Equinox advises against static arrays
        optics = Optics(layers, gains, name)
        return Telescope(optics, sources, activation, np.array(table))


@pytest.fixture
def path(tmp_path):
    serialise(tmp_path / "telescope.zdx", telescope())
    return tmp_path / "telescope.zdx"


@contextlib.contextmanager
def read_records(monkeypatch):
    """Which records are read."""
    seen: set[int] = set()
    read = backend.EqxReader.read

    def noted(self, entries, wanted, **options):
        wanted = list(wanted)
        seen.update(wanted)
        return read(self, entries, wanted, **options)

    monkeypatch.setattr(backend.EqxReader, "read", noted)
    yield seen


# Only a part --------------------------------------------------------------------------


PARTS = {
    "optics": lambda m: m.optics,
    "model.optics": lambda m: m.optics,
    "model": lambda m: m,
    "optics.layers": lambda m: m.optics.layers,
    "optics.layers[1]": lambda m: m.optics.layers[1],
    "optics.layers[1].weight": lambda m: m.optics.layers[1].weight,
    "optics.layers.1.weight": lambda m: m.optics.layers[1].weight,
    "optics.gains.red": lambda m: m.optics.gains["red"],
    "optics.gains['infra-red']": lambda m: m.optics.gains["infra-red"],
    'optics.gains["infra-red"]': lambda m: m.optics.gains["infra-red"],
    "model.sources[1]['flux']": lambda m: m.sources[1]["flux"],
    "activation": lambda m: m.activation,
    "optics.name": lambda m: m.optics.name,
    "table": lambda m: m.table,
}


@pytest.mark.parametrize("only", PARTS)
def test_a_path_gives_what_is_there(path, only):
    """A path is written as in Python, or as messages write it."""
    assert differences(PARTS[only](telescope()), deserialise(path, only=only)) == []


@given(trees)
@example([box(None, jnp.full((), np.nan))] * 2)
def test_every_path_of_a_tree_gives_that_part(tmp_path_factory, tree):
    """What is at a path comes alone as it comes within the whole."""
    path = tmp_path_factory.mktemp("part") / "tree.zdx"
    serialise(path, tree)
    structure = zodiax_io.build_structure(tree)
    paths = [node.path for node in Structure.parse(structure).nodes]
    for where in paths[:20]:
        text = path_text(where)
        if "…" in text or ".keys[" in text or "[key " in text or "\\" in text:
            continue  # shortened for messages
        expected, (keys, node, key) = tree, where
        part = deserialise(path, only=text)
        steps = []
        while keys is not None:
            steps.append((node, key))
            keys, node, key = keys
        if any(node["kind"] in ("set", "frozenset") for node, _ in steps):
            continue  # whose members have no place of their own
        if steps and steps[0][1] in row_of(steps[0][0]).unseen:
            continue  # a step that only we know
        for node, key in reversed(steps):
            expected = child_of(expected, node, key)
        assert differences(expected, part) == []


def child_of(obj, node, key):
    """What is at a child of a node, in the object that was saved."""
    if node["kind"] in ("dict", "ordereddict", "mappingproxy"):
        return list(obj.values())[list(obj).index(key) if type(key) is str else key]
    if node["kind"] == "defaultdict":
        return obj.default_factory if key == "default_factory" else dict(obj)
    if key in row_of(node).unseen:
        return plain._BASES[reflection.built_in_base(type(obj))].read(obj)
    if node["kind"] == "node":
        children, aux = obj.tree_flatten()
        return aux if key == "aux" else tuple(children)
    return getattr(obj, key) if type(key) is str else list(obj)[key]


GLOBS = {
    "optics.layers[*].weight": {".optics.layers[0].weight", ".optics.layers[1].weight"},
    "optics.layers.*.weight": {".optics.layers[0].weight", ".optics.layers[1].weight"},
    "**.bias": {".optics.layers[0].bias", ".optics.layers[1].bias"},
    "optics.gains.*red": {
        ".optics.gains['red']",
        ".optics.gains['infra-red']",
    },
    "optics.gains[*]": {".optics.gains['red']", ".optics.gains['infra-red']"},
    "**[0].*": {".optics.layers[0].weight", ".optics.layers[0].bias"},
    "model.s*s[0]": {".sources[0]"},
    "model.**.bias": {".optics.layers[0].bias", ".optics.layers[1].bias"},
    "s?urces": {".sources[0]"},
}


@pytest.mark.parametrize("only", GLOBS)
def test_a_glob_gives_the_tree_with_shapes_elsewhere(path, only):
    """Static fields and numbers are whole; other arrays are shapes."""
    whole, part = telescope(), deserialise(path, only=only)
    assert type(part) is Telescope
    assert part.optics.name == "narrow"
    assert part.activation is jax.nn.relu
    assert part.sources[1] == {"flux": 2.5, "counts": 0}
    assert part.table.shape == (2,) and isinstance(part.table, jax.ShapeDtypeStruct)
    found = set()
    pairs = zip(
        jtu.tree_leaves_with_path(whole), jtu.tree_leaves_with_path(part), strict=True
    )
    for (where, array), (_, found_leaf) in pairs:
        if isinstance(found_leaf, jax.ShapeDtypeStruct):
            assert (found_leaf.shape, found_leaf.dtype) == (array.shape, array.dtype)
        elif eqx.is_array(array) or isinstance(array, np.ndarray):
            assert differences(array, found_leaf) == []
            found.add(jtu.keystr(where))
    assert found == GLOBS[only]


def test_a_list_gives_the_tree_with_shapes_elsewhere(path):
    """Also a list of one path, and none."""
    part = deserialise(path, only=["optics.layers[0]", "sources"])
    assert differences(telescope().optics.layers[0], part.optics.layers[0]) == []
    assert differences(telescope().sources, part.sources) == []
    assert isinstance(part.optics.layers[1].weight, jax.ShapeDtypeStruct)
    assert isinstance(deserialise(path, only=["optics"]), Telescope)
    assert isinstance(deserialise(path, only=()).sources[0], jax.ShapeDtypeStruct)


def test_no_other_record_is_read(path, monkeypatch):
    """Neither read nor verified: damage elsewhere does not matter."""
    index = Checkpoint.apart(path.with_suffix(".eqx").read_bytes()).document["records"]
    wanted = {deserialise(path, only="optics.layers[0].weight").tobytes()}
    with read_records(monkeypatch) as seen:
        deserialise(path, only="optics.layers[0].weight")
        assert len(seen) == 1
        deserialise(path, only="**.bias")
        assert len(seen) == 3
    (first,) = {
        i
        for i, (offset, length, *_) in enumerate(index)
        if path.with_suffix(".eqx").read_bytes()[offset : offset + length][-24:]
        in {data[-24:] for data in wanted}
    }
    data = bytearray(path.with_suffix(".eqx").read_bytes())
    for number, (offset, length, *_) in enumerate(index):
        if number != first:
            data[offset + length - 1] ^= 1
    path.with_suffix(".eqx").write_bytes(data)
    part = deserialise(path, only="optics.layers[0].weight")
    assert part.tobytes() in wanted
    with pytest.raises(zodiax_io.CorruptFileError, match=re.escape("layers[1].weight")):
        deserialise(path, only="optics.layers[1].weight")


def test_what_is_shared_comes_with_the_part(tmp_path):
    """A part that refers to what is kept elsewhere holds that as well."""
    shared = eqx.nn.Linear(2, 2, key=jr.key(0))
    serialise(tmp_path / "m", {"a": [shared, jnp.ones(3)], "b": (shared, shared)})
    first, second = deserialise(tmp_path / "m", only="b")
    assert first is second
    assert differences(shared, first) == []
    assert differences(shared, deserialise(tmp_path / "m", only="b[1]")) == []
    weights = deserialise(tmp_path / "m", only="b[1].weight")
    assert differences(shared.weight, weights) == []
    part = deserialise(tmp_path / "m", only="**.weight")
    assert part["a"][0] is part["b"][1]
    assert isinstance(part["a"][1], jax.ShapeDtypeStruct)


def test_only_what_a_part_names_needs_trust(tmp_path):
    """The rest may name whatever it likes."""
    strange = Checkpoint.of({"mine": jnp.ones(2), "theirs": jax.nn.relu})
    node = strange.document["tree"]["node"]["theirs"]
    node["type"] = "nowhere_at_all:function"
    strange.write(tmp_path / "m")
    with pytest.raises(zodiax_io.UntrustedError):
        deserialise(tmp_path / "m")
    assert deserialise(tmp_path / "m", only="mine").tolist() == [1, 1]
    with pytest.raises(zodiax_io.UntrustedError):
        deserialise(tmp_path / "m", only="theirs")
    with pytest.raises(zodiax_io.UntrustedError):
        deserialise(tmp_path / "m", only=["mine"])


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("optic", r"nothing at `optic`. At `model` there is `.optics`, `.sources`"),
        ("optics.layers[7].weight", r"At `model.optics.layers` there is `\[0\]`"),
        ("optics.gains['blue']", r"there is `\['red'\]`, `\['infra-red'\]`"),
        ("optics.layers[0].weight.T", r"`model.optics.layers\[0\].weight` .* nothing"),
        ("optics..layers", "expected names with dots"),
        ("layers[", "expected names with dots"),
        ("", "Leave it out"),
        (3, "is a path"),
        ([3], "is a path"),
        (["optics", "nowhere"], "nothing at `nowhere`"),
    ],
)
def test_a_path_that_leads_nowhere(path, only, message):
    """The message says how far it leads, and what there is."""
    with pytest.raises(ArgumentError, match=message):
        deserialise(path, only=only)


def test_a_field_called_as_the_root(tmp_path):
    """A field `model` is meant by that name; what could mean two things is refused."""
    serialise(tmp_path / "m", {"model": {"a": 1, "c": 3}, "b": 2, "c": 4})
    assert deserialise(tmp_path / "m", only="model") == {"a": 1, "c": 3}
    assert deserialise(tmp_path / "m", only="model.a") == 1
    assert deserialise(tmp_path / "m", only="model.model.a") == 1
    assert deserialise(tmp_path / "m", only="model['b']") == 2
    with pytest.raises(ArgumentError, match=r"means several nodes.*`model\['c'\]`"):
        deserialise(tmp_path / "m", only="model['c']")
    assert deserialise(tmp_path / "m", only="['model']['c']") == 3
    assert deserialise(tmp_path / "m", only="['c']") == 4


LONG = "x" * 130
ODD = {
    f"['{LONG}b']": {LONG + "a": 1, LONG + "b": 2},
    f"['{LONG}a']": {LONG + "b": 1, LONG + "a": 2, 3: 4},
    "['**']['w']": {"w": 1, "**": {"w": 2}},
    "['*']": {"a": 1, "*": 2},
    "[0]": {0: 2, "0": 1},
    "['0']": {0: 1, "0": 2},
    "[1.5]": {1.5: 2, "1.5": 1},
    "[True]": {True: 2, "True": 1},
    "['a.b']": {"a": {"b": 1}, "a.b": 2},
    "['it\\'s']": {"it's": 2},
    "['']": {"": 2, "a": 1},
}


@pytest.mark.parametrize("only", ODD)
def test_odd_keys(tmp_path, only):
    """A key is compared whole, and quotes keep it from being anything else."""
    serialise(tmp_path / "m", ODD[only])
    assert deserialise(tmp_path / "m", only=only) == 2


@pytest.mark.parametrize(
    "only", ["0", r"['\x1']", r"['\N{no}']", "['\n']", "['\udc80']"]
)
def test_odd_paths(tmp_path, only):
    """Names that mean two things, and keys that are no text of Python."""
    serialise(tmp_path / "m", {0: 1, "0": 2})
    with pytest.raises(ArgumentError, match="only"):
        deserialise(tmp_path / "m", only=only)


def test_a_long_list_of_paths_takes_one_walk(tmp_path):
    """Each path costs what it is long, not what the tree is large."""
    tree = [{"w": np.full(1, i)} for i in range(3000)]
    serialise(tmp_path / "m", tree)
    start = time.process_time()
    part = deserialise(tmp_path / "m", only=[f"[{i}].w" for i in range(0, 3000, 3)])
    assert time.process_time() - start < 20  # it would be minutes
    assert part[3]["w"] == 3
    assert isinstance(part[4]["w"], jax.ShapeDtypeStruct)


NAMELESS = [lambda x: x + 1, lambda x: x + 1]  # made by no function


def test_functions_of_a_part_are_filled(tmp_path):
    """By the path at which the part has them; what fills nothing is an error."""
    inner = {"f": NAMELESS[0]}
    with pytest.warns(zodiax_io.PlaceholderWarning):
        serialise(tmp_path / "m", {"a": inner, "b": inner}, functions="warn")
    part = deserialise(tmp_path / "m", only="b", fill={"model['b']['f']": abs})
    assert part["f"] is abs
    with pytest.raises(
        ArgumentError, match=r"Paths of placeholders: `model\['b'\]\['f'\]`"
    ):
        deserialise(tmp_path / "m", only="b", fill={"model['a']['f']": abs})
    for fill in (3, abs, ["a"], {"model['a']['f']": 3}):
        with pytest.raises(ArgumentError, match="fill"):
            deserialise(tmp_path / "m", fill=fill)


class Cumulative:
    def __init__(self, steps):
        self.steps, self.sums = steps, jnp.cumsum(steps)


zodiax_io.register_kind(
    "tests.cumulative",
    Cumulative,
    encode=lambda obj: {"steps": obj.steps},
    decode=lambda cls, tree: cls(tree["steps"]),
)


def test_what_cannot_be_built_without_its_arrays(tmp_path):
    """Not the file is wrong, but what was asked for."""
    serialise(tmp_path / "m", {"c": Cumulative(jnp.ones(3)), "a": jnp.ones(2)})
    with pytest.raises(ArgumentError, match="`only` leaves out"):
        deserialise(tmp_path / "m", only=["a"])
    assert deserialise(tmp_path / "m", only=["a", "c"])["c"].sums.tolist() == [1, 2, 3]
    assert deserialise(tmp_path / "m", only="a").tolist() == [1, 1]


def test_diamonds_do_not_explode(tmp_path, monkeypatch):
    """Sharing makes many paths of few nodes; looking through them ends."""
    monkeypatch.setattr(nodes, "_MAX_REPEATED_VISITS", 1000)
    tree = jnp.ones(2)
    for _ in range(11):
        tree = [tree, tree]
    serialise(tmp_path / "m", tree)
    assert deserialise(tmp_path / "m", only="[0][1]")[0][0][0] is not None
    with pytest.raises(ArgumentError, match="shares too much"):
        deserialise(tmp_path / "m", only="**.nowhere")
    with pytest.raises(ArgumentError, match="share too much"):
        deserialise(tmp_path / "m", like=tree)


# Into a tree --------------------------------------------------------------------------


class Static(eqx.Module):
    value: Any = eqx.field(static=True)


@jtu.register_pytree_node_class
class Converting:
    def __init__(self, a):
        self.a = jnp.asarray(a)

    def tree_flatten(self):
        return (self.a,), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def blank(leaf):
    """A leaf that is like another, of other values."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jr.wrap_key_data(jr.key_data(leaf) * 0, impl=jr.key_impl(leaf))
    if isinstance(leaf, jax.Array):
        return jnp.zeros(leaf.shape, leaf.dtype)
    if type(leaf) is np.ndarray:
        return np.zeros(leaf.shape, leaf.dtype, "F" if leaf.flags.fnc else "C")
    return type(leaf)(0) if type(leaf) in (bool, int, float, complex) else leaf


@given(flattenable_trees)
def test_all_leaves_go_into_a_tree_that_is_alike(tmp_path_factory, tree):
    """A tree of zeros becomes the tree that was saved, with nothing to report."""
    copy = jtu.tree_map(lambda leaf: leaf, tree)
    like = jtu.tree_map(blank, tree)
    assume(any(map(_is_filled, jtu.tree_leaves(tree))))
    path = tmp_path_factory.mktemp("like") / "tree.zdx"
    serialise(path, tree)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = deserialise(path, like=like)
    leaves, expected = jtu.tree_leaves(loaded), jtu.tree_leaves(copy)
    assert [differences(a, b) for a, b in zip(expected, leaves, strict=True)] == [
        [] for _ in leaves
    ]


def test_like_takes_shapes_too(path):
    """A skeleton of shapes, as `eqx.filter_eval_shape` gives, is enough."""
    like = eqx.filter_eval_shape(telescope)
    # What runs through `eval_shape` becomes a JAX array there, of 32 bits.
    with pytest.warns(PartialLoadWarning, match="dtype is float64 in the file"):
        loaded = deserialise(path, like=like)
    ours = telescope()
    assert differences(ours.optics.layers, loaded.optics.layers) == []
    assert isinstance(loaded.optics.gains["infra-red"], jax.ShapeDtypeStruct)


def test_like_reports_all_that_differs(path):
    """Paths, shapes, dtypes, static fields and functions; each in one line."""
    like = telescope(1, jnp.tanh, "wide", (1, 3))
    gains = {"red": jnp.zeros(5), "blue": jnp.zeros(1)}
    like = eqx.tree_at(lambda m: m.optics.gains, like, gains)
    like = eqx.tree_at(
        lambda m: m.optics.layers[0].bias, like, jnp.zeros(3, jnp.float16)
    )
    like = eqx.tree_at(lambda m: m.sources[1]["counts"], like, 1.5)
    with pytest.warns(PartialLoadWarning) as caught:
        loaded = deserialise(path, like=like)
    (warning,) = caught
    assert warning.filename == __file__
    lines = [line.strip() for line in str(warning.message).splitlines()]
    assert lines == [
        "telescope.eqx was loaded into `like` in part.",
        "Of the file, but not loaded:",
        "`model.optics.gains['infra-red']`: `like` has nothing there",
        "Of `like`, and kept:",
        "`model.optics.layers[0].bias`: the dtype is float32 in the file, not float16",
        "`model.optics.gains['red']`: the shape is [4] in the file, not [5]",
        "`model.optics.gains['blue']`: the file has nothing there",
        "`model.sources[1]['counts']`: the file has `0` there, `like` has a `float`",
        "Other than in the file, and kept as in `like`:",
        "`model.optics.name`: `'narrow'`, not `'wide'`",
        "`model.activation`: the function `jax.nn:relu`, "
        "not the function `jax.nn:tanh`",
        "`model.table`: an array of other values",
    ]
    ours = telescope()
    assert differences(ours.optics.layers[1], loaded.optics.layers[1]) == []
    assert loaded.optics.layers[0].bias is like.optics.layers[0].bias
    assert loaded.optics.name == "wide" and loaded.activation is jnp.tanh
    assert loaded.sources[1] == {"flux": 2.5, "counts": 1.5}


def test_like_needs_no_trust_and_no_class(tmp_path):
    """What the file names is neither looked for nor looked at."""
    strange = Checkpoint.of({"a": optax.EmptyState(), "b": jnp.arange(3)})
    strange.document["tree"]["node"]["a"]["type"] = "nowhere_at_all:Class"
    strange.write(tmp_path / "m")
    like = {"a": optax.EmptyState(), "b": jnp.zeros(3, int)}
    with pytest.warns(
        PartialLoadWarning, match="a `nowhere_at_all:Class`, not a `optax"
    ):
        assert deserialise(tmp_path / "m", like=like)["b"].tolist() == [0, 1, 2]


def test_like_may_hold_what_no_file_can(tmp_path):
    """Lambdas, local classes and optimisers stay what they are."""

    class Local(NamedTuple):
        weight: Any
        function: Any

    model = {"net": {"weight": jnp.arange(2.0)}, "step": 3}
    serialise(tmp_path / "m", model)
    like = {"net": Local(jnp.zeros(2), lambda x: x), "step": 0}
    like = {**like, "optimiser": optax.adam(1)}
    with pytest.warns(PartialLoadWarning) as caught:
        loaded = deserialise(tmp_path / "m", like=like)
    (warning,) = caught
    found = warning.message.differences
    assert [line for line in found if "Local" not in line] == [
        "`model['net'].function`: the file has nothing there",
        "`model['optimiser']`: the file has nothing there",
    ]
    assert "a `dict`, not a `" in found[-1]
    assert loaded["net"].weight.tolist() == [0, 1]  # by its name
    assert loaded["step"] == 3
    assert loaded["optimiser"].init is like["optimiser"].init
    assert loaded["net"].function is like["net"].function


def test_placeholders_are_filled_by_like(tmp_path):
    """A lambda that was not saved is no difference."""
    model = {"f": NAMELESS[0], "w": jnp.arange(2.0)}
    with pytest.warns(zodiax_io.PlaceholderWarning):
        serialise(tmp_path / "m", model, functions="warn")
    like = {"f": NAMELESS[1], "w": jnp.zeros(2)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = deserialise(tmp_path / "m", like=like)
    assert loaded["f"](1) == 2
    assert loaded["w"].tolist() == [0, 1]


LESS = {
    "number": ({"w": 1.5, "step": 300}, {"w": 0.5}),
    "item": ([1.0, 2.0, 3.0], [0.0, 0.0]),
    "text": ({"w": 1.5, "name": "a"}, {"w": 0.5}),
    "function": ({"w": 1.5, "f": jnp.tanh}, {"w": 0.5}),
    "static tuple": ((1.5, Static((1, 2, 3))), (0.5, Static((1, 2)))),
    "static keys": ((1.5, Static({"a": 1, "b": 2})), (0.5, Static({"a": 1}))),
    "static set": ((1.5, Static({1, 2, 3})), (0.5, Static({1, 2}))),
    "static partial": (
        (1.5, Static(functools.partial(jnp.sum, axis=0))),
        (0.5, Static(functools.partial(jnp.sum))),
    ),
    "class": (([1.5], 1), ((0.5,), 1)),
    "none": ({"w": 1.5, "b": None}, {"w": 0.5}),
}


@pytest.mark.parametrize("swap", [False, True], ids=["lost", "new"])
@pytest.mark.parametrize("what", LESS)
def test_no_difference_is_silent(tmp_path, what, swap):
    """Whatever the file has and `like` has not, or the other way round, is told."""
    saved, like = LESS[what][::-1] if swap else LESS[what]
    serialise(tmp_path / "m", saved)
    with pytest.warns(PartialLoadWarning) as caught:
        deserialise(tmp_path / "m", like=like)
    assert len(caught[0].message.differences) == 1


def test_like_with_long_keys(tmp_path):
    """Keys are compared whole, and in any order."""
    serialise(tmp_path / "m", {LONG + "b": 1.0, LONG + "a": 2.0, 3: np.nan})
    like = collections.OrderedDict({LONG + "a": 0.0, LONG + "b": 0.0, 3: 0.0})
    with pytest.warns(PartialLoadWarning, match="`dict`, not a `ordereddict`"):
        loaded = deserialise(tmp_path / "m", like=like)
    assert loaded[LONG + "a"] == 2 and loaded[LONG + "b"] == 1


@pytest.mark.parametrize("dtype", [np.longlong, ">i8", ">f4"])
def test_like_turns_no_dtype_into_another(tmp_path, dtype):
    """What JAX has no arrays of does not become one, and is told."""
    serialise(tmp_path / "m", [np.array([2**40, 5]).astype(dtype), 1.5])
    like = [jax.ShapeDtypeStruct((2,), np.dtype(dtype)), 0.5]
    with pytest.warns(PartialLoadWarning, match="JAX has no arrays of the dtype"):
        assert deserialise(tmp_path / "m", like=like)[0] is like[0]
    like = [np.zeros(2, dtype), 0.5]
    found = deserialise(tmp_path / "m", like=like, device="cpu")[0]
    assert type(found) is np.ndarray
    assert found.tolist() == np.array([2**40, 5]).astype(dtype).tolist()


def test_like_shares_no_memory_of_jax(tmp_path):
    """One array of the file becomes one of NumPy's and one of JAX's: two memories."""
    shared = jnp.arange(100_000.0)
    serialise(tmp_path / "m", {"a": shared, "b": shared})
    like = {"a": np.zeros(100_000, "f4"), "b": jnp.zeros(100_000)}
    loaded = deserialise(tmp_path / "m", like=like)
    loaded["a"][:] = 9
    assert loaded["b"].tolist() == shared.tolist()


def test_like_of_classes_that_convert(tmp_path):
    """A class whose unflatten function wants arrays is looked at as it is."""
    serialise(tmp_path / "m", {"c": Converting(jnp.arange(3.0)), "s": 1.5})
    loaded = deserialise(tmp_path / "m", like={"c": Converting(jnp.zeros(3)), "s": 0.5})
    assert loaded["c"].a.tolist() == [0, 1, 2]
    assert loaded["s"] == 1.5


def test_like_keeps_the_type_of_a_scalar(tmp_path):
    """A scalar of NumPy stays one."""
    serialise(tmp_path / "m", {"a": jnp.float32(1.5)})
    loaded = deserialise(tmp_path / "m", like={"a": np.float32(0)})
    assert type(loaded["a"]) is np.float32


def test_like_within_jit(path):
    """Tracers have no values to replace."""
    with pytest.raises(ArgumentError, match="tracers"):
        jax.jit(lambda x: deserialise(path, like={"a": x}))(1.0)


def test_like_knows_the_script_that_wrote_the_file(tmp_path):
    """A class of `train.py` is the same when it is imported from there."""
    saved = Checkpoint.of({"f": Converting, "w": 1.5})
    saved.document["tree"]["node"]["f"]["type"] = "__main__:Converting"
    saved.document["settings"]["script"] = Converting.__module__
    saved.write(tmp_path / "m")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deserialise(tmp_path / "m", like={"f": Converting, "w": 0.5})


def _static_padding():
    array = np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True))
    array.view(np.uint8)[1] = 7
    return array


@pytest.mark.parametrize("array", [_static_padding(), np.ones(2, np.longdouble)])
def test_padding_is_no_difference(tmp_path, array):
    """Of static arrays, values are compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Equinox advises against static arrays
        serialise(tmp_path / "m", [Static(array), 1.5])
        like = [Static(array.copy()), 0.5]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deserialise(tmp_path / "m", like=like)


BROKEN = {
    "no shape": lambda node: node.pop("shape"),
    "no dtype": lambda node: node.pop("dtype"),
    "no record": lambda node: node.pop("record"),
    "text for a shape": lambda node: node.update(shape="ab"),
    "negative": lambda node: node.update(shape=[-1]),
    "unknown dtype": lambda node: node.update(dtype="zz"),
    "list for a record": lambda node: node.update(record=[1]),
    "no such record": lambda node: node.update(record=999),
    "another's record": lambda node: node.update(record=0),
    "a key without kind": lambda node: node.update(kind="key"),
    "text for a number": lambda node: node.update(kind="int", value="x"),
    "a bare kind": lambda node: (node.clear(), node.update(leaf("datetime"))),
}


@pytest.mark.parametrize("options", [{"like": 1}, {"only": ["a"]}, {"only": "b"}, {}])
@pytest.mark.parametrize("how", BROKEN)
def test_broken_nodes(how, options):
    """Whatever a file says of an array, it ends in one of our errors, or a warning."""
    saved = Checkpoint.of({"a": jnp.arange(2.0), "b": np.arange(3)})
    BROKEN[how](saved.document["tree"]["node"]["b"])
    if options.get("like"):
        options = {"like": {"a": jnp.zeros(2), "b": np.zeros(3, int)}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(zodiax_io.ZodiaxIOError, PartialLoadWarning):
            loaded = saved.load(**options)
            assert loaded["a"].tolist() == [0, 1]
            assert options == {"only": ["a"]}


def _cycle():
    inner = [leaf("same", value=0) for _ in range(8000)]
    return {**container("list", inner), "id": 0}


def _doublings():
    node = leaf("int", value=1)
    for i in range(22):
        node = container("list", [{**node, "id": i}, leaf("same", value=i)])
    for _ in range(400):
        node = container("dict", {"k" * 100: node})
    return node


def _deep_keys():
    links = []
    for i in range(600):
        below = [leaf("same", value=i - 1)] if i else [leaf("int", value=1)]
        links.append({**container("tuple", below), "id": i})
    keyed = container("dict", [leaf("int", value=2)], keys=[leaf("same", value=599)])
    return container("list", [container("list", links), keyed])


@pytest.mark.parametrize("node", [_cycle(), _doublings(), _deep_keys()])
@pytest.mark.parametrize(
    "options",
    [
        {"only": "**.nothing"},
        {"like": [{1: 2.0}, [3.0]]},
        {"sharding": {"z": jax.devices("cpu")[0]}},
    ],
    ids=["only", "like", "sharding"],
)
def test_trees_without_end(node, options, monkeypatch):
    """A walk beside a hostile tree ends soon, in little memory."""
    # The type checks of a test run make each step ten times slower.
    monkeypatch.setattr(nodes, "_MAX_REPEATED_VISITS", 20_000)
    start = time.process_time()
    with pytest.raises(zodiax_io.ZodiaxIOError):
        checkpoint_of(node).load(**options)
    assert time.process_time() - start < 20


def test_only_says_what_like_takes(tmp_path):
    """By the path: what is shared with it elsewhere stays."""
    shared = jnp.arange(3.0)
    serialise(tmp_path / "m", {"a": shared, "b": shared})
    like = {"a": jnp.zeros(3), "b": jnp.zeros(3)}
    loaded = deserialise(tmp_path / "m", like=like, only="a")
    assert loaded["a"].tolist() == [0, 1, 2]
    assert loaded["b"] is like["b"]


def test_like_with_only(path):
    """`only` says what is taken; the rest of the tree stays, and is not reported."""
    like = telescope(1, jnp.tanh)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = deserialise(path, like=like, only="optics")
    expected = jtu.tree_map(lambda leaf: leaf, telescope().optics)  # sorts keys
    assert differences(expected, loaded.optics) == []
    assert loaded.sources[0] is like.sources[0]
    assert loaded.activation is jnp.tanh


def test_what_the_file_shares_stays_shared(tmp_path):
    """Two leaves of `like`, one array of the file."""
    shared = jnp.arange(3.0)
    serialise(tmp_path / "m", {"a": shared, "b": [shared], "c": jnp.ones(3)})
    zero = jnp.zeros(3)  # that `like` shares its leaves otherwise means nothing
    loaded = deserialise(tmp_path / "m", like={"a": zero, "b": [zero], "c": zero})
    assert loaded["a"] is loaded["b"][0]
    assert loaded["c"].tolist() == [1, 1, 1]


def test_like_keeps_numpy_and_jax_apart(tmp_path):
    """A leaf becomes what `like` has there: of NumPy, or of JAX."""
    serialise(tmp_path / "m", {"a": np.arange(3, dtype="i4"), "b": jnp.ones(2)})
    like = {"a": jnp.zeros(3, "i4"), "b": np.zeros(2, "f4")}
    loaded = deserialise(tmp_path / "m", like=like)
    assert isinstance(loaded["a"], jax.Array) and type(loaded["b"]) is np.ndarray
    loaded["b"][0] = 5  # its own memory
    loaded = deserialise(tmp_path / "m", like=like, as_numpy=True)
    assert type(loaded["a"]) is np.ndarray


def test_nothing_fits(path):
    """A tree that has nothing to do with the file is an error."""
    with pytest.raises(ArgumentError, match=r"nothing that fits(.|\n)*other"):
        deserialise(path, like={"other": jnp.ones(2)})
    with pytest.raises(ArgumentError, match="`fill`"):
        deserialise(path, like=telescope(), fill={"model.activation": abs})


def test_like_is_not_narrowed(tmp_path):
    """64-bit arrays of a skeleton are refused where JAX would round them."""
    assert not jax.config.jax_enable_x64  # type: ignore[attr-defined]
    serialise(tmp_path / "m", {"a": np.arange(2.0)})
    like = {"a": jax.ShapeDtypeStruct((2,), np.float64)}
    with pytest.raises(zodiax_io.SettingsError):
        deserialise(tmp_path / "m", like=like)


def test_damage_leaves_the_leaf_of_like(tmp_path):
    """With `damaged="skip"`, what is damaged is listed and not loaded."""
    serialise(tmp_path / "m", {"a": np.arange(2.0), "b": np.arange(3.0)})
    companion = tmp_path / "m.eqx"
    data = bytearray(companion.read_bytes())
    data[128 + 15] ^= 1
    companion.write_bytes(data)
    like = {"a": np.zeros(2), "b": np.zeros(3)}
    with pytest.raises(zodiax_io.CorruptFileError, match=r"model\['a'\]"):
        deserialise(tmp_path / "m", like=like)
    with pytest.warns(zodiax_io.DamagedWarning, match=r"model\['a'\]"):
        loaded = deserialise(tmp_path / "m", like=like, damaged="skip")
    assert loaded["a"].tolist() == [0, 0] and loaded["b"].tolist() == [0, 1, 2]


# The same class, whatever it is called ------------------------------------------------


ITSELF = """
import collections
import dataclasses
import enum
import functools
import sys
import typing
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

import zodiax_io


def act(x):
    return x


class Colour(enum.IntEnum):
    RED = 1
    BLUE = 2


class Mode(eqx.Enumeration):
    fast = "quick"


class Pair(typing.NamedTuple):
    a: object
    b: object


@dataclasses.dataclass(frozen=True)
class Key:
    n: int


class Lens(eqx.Module):
    weight: object
    rest: object

    class Inner(eqx.Module):
        z: object

    def method(self):
        return 1


def make(n):
    inner = Lens.Inner(jnp.zeros(1) + n)
    return Lens(
        n * jnp.ones(2),
        [
            {Colour.RED: n * jnp.ones(2), Colour.BLUE: 3 + n},
            {Key(1): n * jnp.ones(1)},
            {act: 2.0 * n},
            collections.defaultdict(list, {Colour.BLUE: [n]}),
            (act, Colour, Colour.BLUE, Mode, Mode.fast, Pair(n * jnp.ones(1), Pair)),
            (functools.partial(act, 3), jax.jit(act), jax.vmap(act)),
            eqx.filter_jit(act),
            (Lens.Inner, Lens.method, Lens(1, 2).method, inner),
        ],
    )


def run(step, path):
    warnings.simplefilter("error", zodiax_io.ZodiaxIOWarning)
    if step == "save":
        zodiax_io.serialise(path, make(1))
    loaded = zodiax_io.deserialise(path, like=make(2))
    zodiax_io.assert_same(loaded, make(1))
    zodiax_io.assert_same(path, loaded)
    assert not zodiax_io.diff(make(1), path)
    assert loaded.rest[1][Key(1)] == 1 and loaded.rest[2][act] == 2


if __name__ == "__main__":
    run(*sys.argv[1:])
"""


def test_a_class_of_the_script_is_itself(tmp_path):
    """As a script, by `python -m` and imported, whichever saves and whichever loads."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "lenses.py").write_text(ITSELF)
    steps = {
        "script": [str(folder / "lenses.py")],
        "imported": ["-c", "import sys, lenses; lenses.run(*sys.argv[1:])"],
        "-m": ["-m", "package.lenses"],
        "of a package": ["-c", "import sys, package.lenses as m; m.run(*sys.argv[1:])"],
    }
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    calls = [(name, "save", name) for name in steps]
    pairs = [("script", "imported"), ("-m", "of a package")]
    calls += [(a, "load", b) for pair in pairs for a, b in (pair, pair[::-1])]
    for name, step, file in calls:
        command = [sys.executable, *steps[name], step, f"{file}.zdx"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, (name, step, file, done.stderr.decode())


LENS = """
import enum
import equinox as eqx
class Lens(eqx.Module):
    radius: object
    mode: object = None
def act(x):
    return x
class Mode(enum.Enum):
    FAST = 1
"""


def test_like_knows_what_is_called_otherwise(tmp_path, lab):
    """A renamed class, function or member, and one that has an alias."""
    old = lab("opticslab", LENS)
    tree = [old.Lens(jnp.ones(2), old.Mode.FAST), {"f": old.act}, old.Lens]
    serialise(tmp_path / "m", tree)
    text = LENS.replace("Lens", "Glass").replace("act", "deed").replace("FAST", "QUICK")
    new = lab("opticslab", text)
    like = [new.Glass(jnp.zeros(2), new.Mode.QUICK), {"f": new.deed}, new.Glass]
    renames = {
        "opticslab:Lens": new.Glass,
        "opticslab:act": "opticslab:deed",
        "opticslab:Mode.FAST": "opticslab:Mode.QUICK",
    }
    with pytest.warns(PartialLoadWarning):
        deserialise(tmp_path / "m", like=like)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = deserialise(tmp_path / "m", like=like, renames=renames)
        assert loaded[0].radius.tolist() == [1, 1]
        zodiax_io.register(new.Glass, alias="opticslab.round:Glass")
        again = deserialise(tmp_path / "m", like=like, renames=renames)
        serialise(tmp_path / "n", like)
        assert not zodiax_io.diff(tmp_path / "n", like)
        assert differences(deserialise(tmp_path / "n", like=like), like) == []
    assert differences(again, loaded) == []


def test_a_class_that_was_made_again_is_not_said_to_differ(tmp_path, lab):
    """After a cell was run again, or a module was reloaded, the name says it all."""
    old = lab("opticslab", LENS)
    tree = {"lens": old.Lens(jnp.ones(2), old.Mode.FAST)}
    serialise(tmp_path / "m", tree)
    new = lab("opticslab", LENS)
    for module in (old, new):
        like = {"lens": module.Lens(jnp.zeros(2), module.Mode.FAST)}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loaded = deserialise(tmp_path / "m", like=like)
        assert type(loaded["lens"]) is module.Lens
        assert loaded["lens"].radius.tolist() == [1, 1]


def test_a_difference_never_reads_as_none(tmp_path):
    """Of two alike but for what words leave out, the warning names it."""
    serialise(tmp_path / "m", [jnp.ones(1), np.dtype("float32")])
    like = [jnp.zeros(1), np.dtype("float64")]
    with pytest.warns(PartialLoadWarning) as caught:
        deserialise(tmp_path / "m", like=like)
    expected = ("`model[1]`: a `dtype` with another dtype",)
    assert caught[0].message.differences == expected
