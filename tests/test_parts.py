"""Loading a part of a model (`only`), and into a model that is there (`like`)."""

import contextlib
import re
import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import optax
import pytest
from documents import Checkpoint
from equality import differences
from hypothesis import assume, given
from strategies import flattenable_trees, trees

import zodiax_io
from zodiax_io import (
    ArgumentError,
    PartialLoadWarning,
    _selection,
    deserialise,
    serialise,
)
from zodiax_io._alongside import _is_filled
from zodiax_io._backends import eqx as backend
from zodiax_io._survey import path_text, walk


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
def test_every_path_of_a_tree_gives_that_part(tmp_path_factory, tree):
    """What is at a path comes alone as it comes within the whole."""
    path = tmp_path_factory.mktemp("part") / "tree.zdx"
    serialise(path, tree)
    structure = zodiax_io.build_structure(tree)
    paths = [where for where, _ in walk(structure)]
    for where in paths[:20]:
        text = path_text(where)
        if "…" in text or ".keys[" in text or "[key " in text or "\\" in text:
            continue  # shortened for messages
        expected, keys = tree, where
        part = deserialise(path, only=text)
        steps = []
        while not isinstance(keys, str):
            keys, node, key = keys
            steps.append((node, key))
        if any(node["kind"] in ("set", "frozenset") for node, _ in steps):
            continue  # whose members have no place of their own
        for node, key in reversed(steps):
            expected = child_of(expected, node, key)
        assert differences(expected, part) == []


def child_of(obj, node, key):
    """What is at a child of a node, in the object that was saved."""
    if node["kind"] in ("dict", "ordereddict", "mappingproxy"):
        return list(obj.values())[list(obj).index(key) if type(key) is str else key]
    if node["kind"] == "defaultdict":
        return obj.default_factory if key == "default_factory" else dict(obj)
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
    for (where, array), (_, leaf) in pairs:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            assert (leaf.shape, leaf.dtype) == (array.shape, array.dtype)
        elif eqx.is_array(array) or isinstance(array, np.ndarray):
            assert differences(array, leaf) == []
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
    """A field `model` is meant before the whole model is."""
    serialise(tmp_path / "m", {"model": {"a": 1}, "b": 2})
    assert deserialise(tmp_path / "m", only="model") == {"a": 1}
    assert deserialise(tmp_path / "m", only="model.a") == 1
    assert deserialise(tmp_path / "m", only="model.model.a") == 1
    assert deserialise(tmp_path / "m", only="model['b']") == 2


def test_diamonds_do_not_explode(tmp_path, monkeypatch):
    """Sharing makes many paths of few nodes; looking through them ends."""
    monkeypatch.setattr(_selection, "_MAX_MET", 1000)
    tree = jnp.ones(2)
    for _ in range(11):
        tree = [tree, tree]
    serialise(tmp_path / "m", tree)
    assert deserialise(tmp_path / "m", only="[0][1]")[0][0][0] is not None
    with pytest.raises(ArgumentError, match="shares too much"):
        deserialise(tmp_path / "m", only="**.nowhere")


# Into a tree --------------------------------------------------------------------------


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
        "Arrays of the file that were not loaded:",
        "`model.optics.gains['infra-red']`: `like` has no array there",
        "Leaves of `like` that were kept:",
        "`model.optics.layers[0].bias`: the dtype is float32 in the file, not float16",
        "`model.optics.gains['red']`: the shape is [4] in the file, not [5]",
        "`model.optics.gains['blue']`: the file has nothing there",
        "`model.sources[1]['counts']`: the file has `0` there",
        "Other than in the file, and kept as in `like`:",
        "`model.optics.name`: `'narrow'`, not `'wide'`",
        "`model.activation`: `jax.nn:relu`, not `jax.nn:tanh`",
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
    with pytest.warns(PartialLoadWarning, match="`nowhere_at_all:Class`, not `optax"):
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
    assert "`model['net']['weight']`: `like` has no array there" in str(warning.message)
    assert "`model['net'].weight`: the file has nothing there" in str(warning.message)
    assert loaded["step"] == 3
    assert loaded["optimiser"].init is like["optimiser"].init
    assert loaded["net"].function is like["net"].function


def test_placeholders_are_filled_by_like(tmp_path):
    """A lambda that was not saved is no difference."""
    model = {"f": lambda x: x + 1, "w": jnp.arange(2.0)}
    with pytest.warns(zodiax_io.PlaceholderWarning):
        serialise(tmp_path / "m", model, functions="warn")
    like = {"f": lambda x: x + 1, "w": jnp.zeros(2)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = deserialise(tmp_path / "m", like=like)
    assert loaded["f"](1) == 2
    assert loaded["w"].tolist() == [0, 1]


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
