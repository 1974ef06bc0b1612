"""Files whose classes and functions are not here: nothing is lost, nothing is run."""

import contextlib
import copy
import dataclasses
import enum
import functools
import io
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest
from clients import optax
from documents import Checkpoint, container, leaf, load_node, named
from equality import differences
from hypothesis import example, given
from strategies import NUMPY_DTYPES, Colour, Level, Node, Pair, Slotted, trees

import zodiax_io
from zodiax_io import (
    ArgumentError,
    ClassChangedError,
    ClassChangedWarning,
    Opaque,
    Placeholder,
    PlaceholderError,
    UnknownFormatError,
    UntrustedError,
    deserialise,
    serialise,
)
from zodiax_io._trust import judge as _judge
from zodiax_io._trust.answers import Refuse

NONE = leaf("none")
X = np.arange(3.0)
LAB = """
import dataclasses, enum
from typing import Any, NamedTuple
import equinox as eqx
import jax

class Lens(eqx.Module):
    radius: Any
    bend: Any
    name: str = eqx.field(static=True)
    become: Any = None

    def focus(self):
        return self.radius

class State(NamedTuple):
    count: Any
    more: Any = 0

@dataclasses.dataclass
class Plain:
    x: Any
    y: Any = 2

@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Registered:
    x: Any
    y: Any

class Mode(enum.Enum):
    NEAR = 1

@jax.tree_util.register_pytree_node_class
class Crossed:
    def __init__(self, a, b, c):
        self.a, self.b, self.c = a, b, c

    def tree_flatten(self):
        return (self.b, self.a), self.c

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*reversed(children), aux)

def bend(x):
    return 2 * x
"""


def saved(tree, **options):
    file = io.BytesIO()
    serialise(file, tree, **options)
    return file.getvalue()


def opened(data, **options):
    return deserialise(io.BytesIO(data), unknown="opaque", **options)


def tree_of(lab):
    shared = jnp.ones(3)
    lens = lab.Lens(jnp.arange(3.0), lab.bend, "thin", 4)
    return {
        "lens": lens,
        "state": lab.State(1.5, [jnp.ones(2), shared]),
        "plain": lab.Plain(jnp.zeros(2), np.arange(3)),
        "registered": lab.Registered(shared, 2),
        "mode": lab.Mode.NEAR,
        "class": lab.Lens,
        "crossed": lab.Crossed(jnp.ones(1), jnp.ones((2, 2)), "aux"),
        "method": lens.focus,
        "jitted": jax.jit(lab.bend),
        "again": [lens, lens],
        "last": jnp.ones(5),
    }


@pytest.fixture
def gone(lab):
    """The bytes of a file whose package has gone, and what brings it back."""
    module = lab("gonelab", LAB)
    data = saved(tree_of(module))
    del sys.modules["gonelab"]
    Path(module.__file__).unlink()
    return data, module


class Nobody:
    """Refuses every name of a file, but for some classes."""

    def __init__(self, but=()):
        self.but = {f"{cls.__module__}:{cls.__qualname__}" for cls in but}

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        decide, spared = _judge.decide, self.but

        def refuse(question):
            return decide(question) if question.name in spared else Refuse("is refused")

        self.patch.setattr(_judge, "decide", refuse)

    def __exit__(self, *_):
        self.patch.undo()


# Nothing is lost ----------------------------------------------------------------------


def test_opening_and_saving_changes_no_byte(gone):
    """What was opened without its classes is saved as it was; and has them again."""
    data, module = gone
    with pytest.raises(UntrustedError, match='pass `unknown="opaque"`'):
        deserialise(io.BytesIO(data))
    again = saved(opened(data))
    assert again == data
    sys.modules["gonelab"] = module
    assert differences(tree_of(module), deserialise(io.BytesIO(again))) == []


class Scattered:
    """Flattens into leaves that are not in the order of its attributes."""

    def __init__(self, a, b, c=None):
        self.a, self.b, self.c = a, b, c


jtu.register_pytree_node(
    Scattered,
    lambda s: ((s.b[0], s.a[0], s.b[1], s.a[1]), s.c),
    lambda c, leaves: Scattered(list(leaves[1::2]), list(leaves[::2]), c),
)


@jtu.register_dataclass
@dataclasses.dataclass
class Settings:
    name: str = dataclasses.field(default="", metadata={"static": True})


@dataclasses.dataclass
class Alike:
    name: str = ""


class Mixed(eqx.Module):
    one: Any
    two: Any = None


@given(tree=trees)
@example(tree=Node((None, Slotted(None)), None))
@example(tree=Pair(*[Node((None, False), False)] * 2, Node((0.5, 0.5), 0.5)))
@example(tree=np.zeros((2, 3), NUMPY_DTYPES[-1]).copy("F"))
@example(tree=Node((Settings("x"), Alike("x")), 1))
@example(tree=Node((Colour.RED, Level.LOW, jnp.sin), functools.partial(jnp.sin, 1)))
@example(tree=Scattered([np.ones(1), 2], [np.zeros(2), 3.5]))
@example(tree=Scattered([0.5, 2], [0.5, 3.5], 0.5))
@example(tree=Mixed(X, Scattered([X, np.ones(4)], [np.zeros(2), X])))
@example(tree=[X, Scattered([1, X], [Scattered([1, 2], [X, 4]), X])])
def test_any_tree_is_saved_as_it_was(tree):
    """Also when no class, or no function, or one class of it alone may be used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = saved(tree)
        for spared in ((), (Node, Scattered), (Slotted, Alike, Colour), (Mixed,)):
            with Nobody(but=spared):
                strange = opened(data)
            assert saved(strange) == data


@pytest.mark.parametrize("array", [np.ones(2), jnp.ones(2), 1.5, jr.key(0)])
def test_leaves_that_an_object_scatters_keep_their_places(array):
    """Records lie in the order of JAX, whatever has become of the class meanwhile."""
    tree = [array, Scattered([array, 2.0], [np.zeros(3), array], "aux")]
    data = saved(tree)
    with Nobody():
        again = saved(opened(data))
    assert again == data
    assert differences(tree, deserialise(io.BytesIO(again))) == []


@pytest.mark.parametrize(
    "make",
    [
        lambda: eqx.nn.MLP(2, 2, 8, 2, key=jr.key(0)),
        lambda: optax.adam(1e-3).init({"a": jnp.ones(3)}),
        lambda: {"s": optax.chain(optax.clip(1.0), optax.adamw(0.1)).init(jnp.ones(3))},
        lambda: eqx.nn.State(eqx.nn.BatchNorm(3, "batch", mode="ema")),
    ],
)
def test_objects_of_real_packages(make):
    """Equinox and optax, as if they were not installed."""
    data = saved(make())
    with Nobody():
        strange = opened(data)
    assert type(jtu.tree_leaves(strange)) is list
    assert saved(strange) == data


def test_versions_are_kept(monkeypatch):
    """The file that is saved again tells which release of the package wrote it."""
    first = Checkpoint.of([eqx.nn.Identity(), optax.EmptyState()])
    assert "optax" in first.document["versions"]
    first.document["versions"]["optax"] = "0.0.1"
    with Nobody():
        strange = first.load(unknown="opaque", versions="ignore")
    assert Checkpoint.of(strange).document["versions"] == first.document["versions"]
    again = Checkpoint.of([strange, optax.EmptyState()]).document["versions"]
    assert again["optax"] == optax.__version__


def test_metadata_and_parts(lab, tmp_path):
    """`only`, `read_metadata` and `load_structure` know what is opaque, too."""
    old = lab("gonelab", LAB)
    lens = old.Lens(jnp.arange(3.0), old.bend, "thin")
    serialise(tmp_path / "m", {"a": lens, "b": lens}, metadata=lens)
    del sys.modules["gonelab"]
    part = deserialise(tmp_path / "m", only="a", unknown="opaque")
    assert part.radius.tolist() == [0, 1, 2]
    note = zodiax_io.read_metadata(tmp_path / "m", unknown="opaque")
    assert note == part
    lazy = deserialise(tmp_path / "m", lazy=True, unknown="opaque")
    assert lazy["a"] == part


# What it is like ----------------------------------------------------------------------


def test_fields_are_attributes(gone):
    """And so are those that a registered class flattens; names of ours come first."""
    tree = opened(gone[0])
    lens = tree["lens"]
    assert type(lens) is Opaque
    assert lens.type_name == "gonelab:Lens"
    assert lens.radius.tolist() == [0, 1, 2]
    assert lens.name == "thin"
    assert callable(lens.become)
    assert lens.fields["become"] == 4
    assert "radius" in dir(lens)
    assert "needs `gonelab`" in lens.reason
    assert tree["crossed"].a.shape == (1,)
    assert tree["again"][0] is tree["again"][1]
    with pytest.raises(AttributeError, match=r"`gonelab:Lens` has no field `depth`"):
        lens.depth  # noqa: B018
    with pytest.raises(AttributeError, match="tree_at"):
        lens.radius = 3
    with pytest.raises(AttributeError, match="tree_at"):
        del lens.radius
    with pytest.raises(TypeError, match="is made by"):
        Opaque()


def test_repr(gone):
    """As Equinox shows a Module: arrays by dtype and shape, long ones on many lines."""
    tree = opened(gone[0])
    assert repr(tree["state"]) == (
        "Opaque('gonelab:State', count=1.5, more=[f32[2], f32[3]])"
    )
    assert repr(tree["mode"]) == "Opaque('gonelab:Mode', 'NEAR')"
    assert repr(tree["lens"]).splitlines() == [
        "Opaque(",
        "  'gonelab:Lens',",
        "  radius=f32[3],",
        "  bend=<placeholder for gonelab:bend at model['lens'].bend>,",
        "  name='thin',",
        "  become=4",
        ")",
    ]
    assert "gonelab:State" in str(jtu.tree_structure(tree["state"]))


def test_arrays_are_leaves(gone):
    """`tree_map`, `tree_at` and `jit` work; static fields are no leaves."""
    tree = opened(gone[0])
    lens, registered = tree["lens"], tree["registered"]
    leaves = jtu.tree_leaves(lens)
    assert [type(leaf) for leaf in leaves] == [type(lens.radius), Placeholder, int]
    assert jtu.tree_map(lambda x: x * 2, registered).x.tolist() == [2, 2, 2]
    assert jax.jit(lambda t: t.x.sum())(registered) == 3
    moved = eqx.tree_at(lambda t: t["lens"].radius, tree, jnp.zeros(1))
    assert moved["lens"].radius.shape == (1,)
    assert moved["lens"] != lens
    arrays, rest = eqx.partition(lens, eqx.is_array)
    assert eqx.combine(arrays, rest) == lens
    assert eqx.filter_jit(lambda t: t.radius.sum())(lens) == 3
    paths = [jtu.keystr(path) for path, _ in jtu.tree_leaves_with_path(lens)]
    assert paths == [".radius", ".bend", ".become"]


def test_leaves_have_the_order_of_the_class(gone):
    """Fields that a class flattens the other way round, as JAX had them."""
    data, module = gone
    crossed = opened(data)["crossed"]
    expected = jtu.tree_leaves(tree_of(module)["crossed"])
    assert differences(expected, jtu.tree_leaves(crossed)) == []
    assert jtu.tree_leaves(opened(data)["plain"]) == []


def test_equality(gone):
    """By class and content, arrays bit for bit."""
    one, two = opened(gone[0]), opened(gone[0])
    for name, obj in one.items():
        if type(obj) in (Opaque, Placeholder):
            assert obj == two[name]
            assert hash(obj) == hash(two[name])
            assert obj != one["last" if name == "lens" else "lens"]
    lens = one["lens"]
    assert lens != eqx.tree_at(lambda t: t.radius, lens, jnp.zeros(3))
    nan = eqx.tree_at(lambda t: t.radius, lens, jnp.array([np.nan]))
    assert nan == eqx.tree_at(lambda t: t.radius, lens, jnp.array([np.nan]))
    assert jtu.tree_structure(lens) == jtu.tree_structure(two["lens"])
    assert jtu.tree_structure(lens) != jtu.tree_structure(one["state"])
    assert copy.deepcopy(lens) == pickle.loads(pickle.dumps(lens)) == lens


def test_functions_are_placeholders(gone):
    """They say when called what is missing, and `fill` puts others in their places."""
    data, module = gone
    tree = opened(data)
    function = tree["lens"].bend
    assert type(function) is Placeholder
    assert function.name == "gonelab:bend"
    with pytest.raises(PlaceholderError, match=r"`gonelab:bend` at.*needs `gonelab`"):
        function(3)
    with pytest.raises(PlaceholderError, match=r"`gonelab:Lens` needs `gonelab`"):
        tree["lens"](3)
    filled = opened(data, fill={"model['lens'].bend": module.bend})
    assert filled["lens"].bend is module.bend
    with pytest.raises(ArgumentError, match="where no placeholder is"):
        opened(data, fill={"model['lens']": module.bend})


def test_special_names_of_a_file_mean_nothing():
    """NumPy and JAX look for methods, and call what they find."""
    checkpoint = Checkpoint.of([optax.EmptyState(), jnp.tanh])
    node, function = checkpoint.tree["node"]
    node["node"] = dict.fromkeys(["__array__", "__jax_array__", "__len__"], function)
    with Nobody():
        found, _ = checkpoint.load(unknown="opaque")
    assert not hasattr(found, "__array__")
    assert not hasattr(found, "__jax_array__")
    assert np.asarray(found).dtype == object
    assert len(found.fields) == 3


# What can be made of it ---------------------------------------------------------------


def test_become(gone):
    """An object of a class that is here, with the same fields."""
    data, module = gone
    tree, expected = opened(data), tree_of(module)
    lens = tree["lens"].become(module.Lens)
    assert type(lens) is module.Lens
    assert differences(expected["lens"].radius, lens.radius) == []
    for name, cls in (
        ("state", module.State),
        ("plain", module.Plain),
        ("registered", module.Registered),
        ("mode", module.Mode),
        ("class", module.Lens),
    ):
        assert differences(expected[name], tree[name].become(cls)) == []


def test_become_what_has_changed(gone, lab):
    """Defaults, what is set aside, and an upgrade of one's own."""
    tree = opened(gone[0])
    head = "import equinox as eqx\nfrom typing import Any\n"
    new = lab(
        "newlab",
        head + "class Lens(eqx.Module):\n    radius: Any\n    gain: float = 1.0\n"
        "class Thick(eqx.Module):\n    depth: Any\n",
    )
    with pytest.warns(
        ClassChangedWarning, match="not loaded: `bend`, `name`, `become`"
    ):
        lens = tree["lens"].become(new.Lens)
    assert lens.gain == 1.0
    with pytest.raises(ClassChangedError, match="the class has `depth`"):
        tree["lens"].become(new.Thick)
    thick = tree["lens"].become(new.Thick, lambda fields: {"depth": fields["radius"]})
    assert thick.depth.tolist() == [0, 1, 2]
    assert tree["lens"].become(new.Thick, lambda fields: 3) == 3
    with pytest.raises(ArgumentError, match="is not a Module"):
        tree["lens"].become(int)


def test_a_kind_that_nobody_registered():
    """The rest of the file is there, and what it holds is kept."""
    checkpoint = Checkpoint.of({"a": [jnp.ones(2)], "b": 1})
    node = checkpoint.tree["node"]["a"]
    node |= {"kind": "nolab.thing", "type": "nolab:Thing"}
    with pytest.raises(UnknownFormatError) as caught:
        checkpoint.load()
    assert str(caught.value) == (
        "`model['a']` is of the kind `nolab.thing`, which no imported package has "
        "registered. Import the package that registers the kind, or pass "
        '`unknown="opaque"`, which loads an `Opaque` in place of each object of it.'
    )
    tree = checkpoint.load(unknown="opaque")
    assert repr(tree["a"]) == "Opaque('nolab:Thing', 0=f32[2])"
    assert Checkpoint.of(tree).load(unknown="opaque")["a"] == tree["a"]
    node["kind"] = "nothing"
    with pytest.raises(UnknownFormatError, match="Upgrade zodiax_io"):
        checkpoint.load(unknown="opaque")


def test_no_file_holds_what_is_opaque():
    """The kind of an `Opaque` is that of what it stands for."""
    checkpoint = Checkpoint.of([1])
    checkpoint.tree["node"][0] = {"node_type": "leaf", "kind": "opaque"}
    with pytest.raises(UnknownFormatError):
        checkpoint.load(unknown="opaque")


@pytest.mark.parametrize("unknown", ["warn", None, True])
def test_other_values_are_refused(unknown):
    """Before the file is opened."""
    with pytest.raises(ArgumentError, match='"error" or "opaque"'):
        deserialise("nowhere.zdx", unknown=unknown)


@given(data=st.data())
def test_hostile_nodes(data):
    """Whatever a stranger writes into a node: an object, or one of our errors."""
    checkpoint = Checkpoint.of([optax.EmptyState(), jnp.tanh, [jnp.ones(2), 3]])
    node = checkpoint.tree["node"][data.draw(st.integers(0, 1))]
    values = st.sampled_from(
        [None, 3, -1, "x", [], [1], ["a"], {}, {"a": 1}, b"", [[[]]], {"b": None}, 1e9]
    )
    keys = ["type", "value", "static", "node", "keys", "held", "repeats", "absent"]
    keys += ["leaves", "leafless"]
    for key in data.draw(st.lists(st.sampled_from(keys), min_size=1)):
        node[key] = data.draw(values)
    with Nobody():
        try:
            tree = checkpoint.load(unknown="opaque")
        except zodiax_io.ZodiaxIOError:
            return
    repr(tree), dir(tree[0]), jtu.tree_flatten(tree), hash(tree[0]), tree[0] == tree[1]
    assert tree[0] == jtu.tree_map(lambda x: x, tree[0])


# What went wrong once -----------------------------------------------------------------


def test_what_is_refused_stays_so_when_something_is_imported(lab):
    """Packages of the field are imported; what was heard before that still holds."""
    own = lab("ownlab", "def danger(*x):\n    raise SystemExit\n")
    bound = Checkpoint.of(functools.partial(max, 1)).tree
    bound["node"]["func"]["type"] = "ownlab:danger"
    node = container(
        "list", [named("ownlab:danger"), bound, named("optimistix:rms_norm")]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "optimistix", raising=False)
        loaded = load_node(node, unknown="opaque")
    assert own.danger not in (loaded[0], loaded[1].func)
    assert type(loaded[1].func) is Placeholder
    gone = container("module", {"a": leaf("int", value=1)}, type="gone.x:C")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "optimistix", raising=False)
        first, _ = load_node(
            container("list", [gone, named("optimistix:rms_norm")]), unknown="opaque"
        )
    assert type(first) is Opaque


@pytest.mark.parametrize("name", ["_ipython_display_", "_repr_svg_", "__array__"])
def test_a_notebook_calls_nothing(name):
    """Fields with the names that notebooks ask for are in `fields` only."""
    node = container("module", {name: named("jax.numpy:tanh")}, type="gone.x:C")
    found = load_node(node, unknown="opaque")
    assert not hasattr(found, name)
    assert name in found.fields


@pytest.mark.parametrize("name", ["", ":x", ".:C", ".a:b", "a b:c"])
def test_types_that_are_no_names(name):
    """They lead to nothing, and are kept."""
    node = container("module", {"a": leaf("int", value=1)}, type=name)
    assert load_node(node, unknown="opaque").a == 1


@pytest.mark.parametrize("name", [3, None, []])
def test_types_that_are_not_text(name):
    """No file has them, not even one of a class that is missing."""
    node = container("list", [container("module", {}, type=name)])
    with pytest.raises(zodiax_io.CorruptFileError) as caught:
        load_node(node, unknown="opaque")
    assert str(caught.value) == (
        "`model[0]` refers to something by a name that is not text."
    )


@pytest.mark.parametrize("held", [{"x": 99}, {"x": -1}, {"x": "0"}, 3, {"x": 0}])
def test_held_attributes_that_are_not_there(held):
    """An attribute, or an AttributeError."""
    for children in (
        {"a": NONE},
        {"children": NONE},
        {"children": container("tuple", [])},
    ):
        node = container("node", children, type="gone.x:C", held=held)
        assert not hasattr(load_node(node, unknown="opaque"), "x")


def test_keys_that_jax_cannot_sort():
    """Equality looks at nothing that JAX would have to sort."""
    children = container("dict", [NONE, NONE])
    children["keys"] = [leaf("str", value="a"), leaf("int", value=3)]
    node = container(
        "list", [container("module", {"d": children}, type="gone.x:C")] * 2
    )
    one, two = load_node(node, unknown="opaque")
    assert one == one
    assert one != two
    assert "Opaque" in repr(one)


@pytest.mark.parametrize("key", ["absent", "beside", "wraps", "static"])
@pytest.mark.parametrize("value", [5, [[1]], [{}], ["a", "b"], {"a": 1}, "radius"])
def test_become_with_hostile_parts(key, value):
    """An object, or one of our errors."""
    node = container("module", {"inner": NONE}, type="gone.x:C") | {key: value}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(zodiax_io.ZodiaxIOError):
            load_node(node, unknown="opaque").become(Held)


class Held(eqx.Module):
    inner: object = None


def test_become_by_an_upgrade_that_fails(gone):
    """The errors are ours."""
    lens = opened(gone[0])["lens"]
    with pytest.raises(ClassChangedError, match="failed: KeyError"):
        lens.become(Held, lambda fields: fields["nothing"])
    with pytest.raises(ClassChangedError, match="must return a dict of fields"):
        lens.become(Held, lambda fields: None)
    with pytest.raises(ArgumentError, match="must be a function"):
        lens.become(Held, 3)
    mode = opened(gone[0])["mode"]
    with pytest.raises(ClassChangedError, match="has no member 'NEAR'"):
        mode.become(enum.Enum("Mode", ["FAR"]))


def test_a_member_that_is_gone(lab, tmp_path):
    """It is told, renamed, or left opaque."""
    text = "import enum\nclass Mode(enum.Enum):\n    {} = 1\n"
    serialise(tmp_path / "m", [lab("lab", text.format("NEAR")).Mode.NEAR])
    new = lab("lab", text.format("CLOSE")).Mode
    with pytest.raises(ClassChangedError, match=r"`lab:Mode.NEAR`, and Mode has no"):
        deserialise(tmp_path / "m")
    renames = {"lab:Mode.NEAR": "lab:Mode.CLOSE"}
    assert deserialise(tmp_path / "m", renames=renames) == [new.CLOSE]
    (found,) = deserialise(tmp_path / "m", unknown="opaque")
    assert repr(found) == "Opaque('lab:Mode', 'NEAR')"
    both = {"lab:Mode": "lab:Mode", "lab": "lab", **renames}
    assert deserialise(tmp_path / "m", renames=both) == [new.CLOSE]


def test_members_of_an_enumeration_that_is_gone():
    """Equinox would ask the class of the member for its name."""
    lineax = pytest.importorskip("lineax")
    data = saved([lineax.RESULTS.successful])
    with Nobody():
        found = opened(data)
    assert "Opaque" in repr(found)
    assert saved(found) == data


def test_a_local_function_stays_a_leaf():
    """What it holds was never a leaf to JAX."""
    bijections = pytest.importorskip("flowjax.bijections")
    flow = bijections.Affine(jnp.ones(2), jnp.ones(2))
    data = saved({"f": flow, "b": jnp.zeros(3)})
    with Nobody():
        assert saved(opened(data)) == data


def test_the_version_of_what_is_kept_beside_a_newer_one():
    """One file may hold objects of two releases."""
    old = Checkpoint.of([optax.TraceState(jnp.ones(2))])
    old.document["versions"]["optax"] = "0.0.1"
    with Nobody():
        kept = old.load(unknown="opaque", versions="ignore")
    both = Checkpoint.of([kept, optax.TraceState(jnp.ones(2))])
    assert both.document["versions"]["optax"] == optax.__version__
    assert both.tree["node"][0]["node"][0]["version"] == "0.0.1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zodiax_io._evolution.upgrades.rules", {})
        zodiax_io.upgraded(
            optax.TraceState, lambda f: {"trace": f["trace"] * 5}, before="0.0.2"
        )
        (one,), two = both.load()
    assert (one.trace.tolist(), two.trace.tolist()) == ([5, 5], [1, 1])
