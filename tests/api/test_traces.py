"""Saves and loads within a function that JAX traces, or that forbids transfers."""

import contextlib
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import ml_dtypes
import numpy as np
import pytest
from equality import differences
from hypothesis import given
from jax.core import Tracer
from jax.sharding import AxisType, NamedSharding, PartitionSpec, SingleDeviceSharding
from strategies import trees

import zodiax_io
from zodiax_io import deserialise, serialise

ROWS = jnp.ones(3)

# Where the calls are made -------------------------------------------------------------


def in_a_rule(call):
    """In both halves of a `jax.custom_vjp`."""

    @jax.custom_vjp
    def function(x):
        return x

    def forward(x):
        call()
        return x, None

    def backward(_, gradient):
        call()
        return (gradient,)

    function.defvjp(forward, backward)
    jax.jit(jax.grad(function))(1.0)


def in_a_callback(callback):
    """In Python that a compiled function calls back."""

    def around(call):
        struct = jax.ShapeDtypeStruct((), jnp.float32)

        def python(x):
            call()
            return np.float32(x)

        jax.block_until_ready(jax.jit(lambda x: callback(python, struct, x))(1.0))
        jax.effects_barrier()

    return around


def in_a_function(transform, *arguments):
    """In a function of one argument that is transformed, and given the arguments."""

    def around(call):
        def function(x):
            call()
            return x

        return transform(function)(*arguments)

    return around


def within(context):
    """In a context, and in a function that is compiled within it."""

    def around(call):
        with context():
            call()
            jax.jit(lambda x: (call(), x)[1])(ROWS)

    return around


def mesh(kind):
    return jax.make_mesh((1,), ("x",), axis_types=(kind,))


def mapped(function):
    """`jax.shard_map` over one device."""
    spec = PartitionSpec("x")
    auto = mesh(AxisType.Auto)
    return jax.shard_map(function, mesh=auto, in_specs=spec, out_specs=spec)


def looped(function):
    return eqx.internal.while_loop(
        lambda i: i < 1, lambda i: function(i) + 1, jnp.asarray(0), kind="lax"
    )


SURROUNDINGS = {
    "nothing": lambda call: call(),
    "jit": in_a_function(jax.jit, 1.0),
    "nested jit": in_a_function(lambda f: jax.jit(jax.jit(f)), 1.0),
    "filter_jit": in_a_function(eqx.filter_jit, ROWS),
    "vmap": in_a_function(lambda f: jax.vmap(f, axis_name="i"), ROWS),
    "pmap": in_a_function(jax.pmap, jnp.ones((1, 3))),
    "grad": in_a_function(jax.grad, 1.0),
    "vmap of grad in jit": in_a_function(
        lambda f: jax.jit(jax.vmap(jax.grad(f))), ROWS
    ),
    "jvp": in_a_function(lambda f: lambda x: jax.jvp(f, (x,), (x,)), 1.0),
    "linearize": in_a_function(lambda f: lambda x: jax.linearize(f, x), 1.0),
    "checkpoint": in_a_function(lambda f: jax.grad(jax.checkpoint(f)), 1.0),
    "scan": in_a_function(
        lambda f: lambda x: jax.lax.scan(lambda c, y: (f(c), y), 0.0, x), ROWS
    ),
    "cond": in_a_function(lambda f: lambda x: jax.lax.cond(x > 0, f, f, x), 1.0),
    "map": in_a_function(lambda f: lambda x: jax.lax.map(f, x), ROWS),
    "while_loop of Equinox": lambda call: looped(lambda i: (call(), i)[1]),
    "eval_shape": in_a_function(lambda f: lambda x: jax.eval_shape(f, x), 1.0),
    "make_jaxpr": in_a_function(jax.make_jaxpr, 1.0),
    "custom_vjp": in_a_rule,
    "pure_callback": in_a_callback(jax.pure_callback),
    "io_callback": in_a_callback(jax.experimental.io_callback),
    "debug.callback": in_a_callback(lambda f, _, x: jax.debug.callback(f, x) or x),
    "shard_map": in_a_function(mapped, ROWS),
    "shard_map in jit": in_a_function(lambda f: jax.jit(mapped(f)), ROWS),
    "set_mesh": within(lambda: jax.set_mesh(mesh(AxisType.Explicit))),
    "ensure_compile_time_eval": within(jax.ensure_compile_time_eval),
    "checking_leaks": within(jax.checking_leaks),
    "debug_nans": within(lambda: jax.debug_nans(True)),
    "disable_jit": within(jax.disable_jit),
    "transfer_guard": within(lambda: jax.transfer_guard("disallow")),
}

# What is saved and loaded -------------------------------------------------------------


class Curve:
    """An object whose parts are computed by JAX when it is loaded."""

    def __init__(self, knots):
        self.knots = knots
        self.slopes = jnp.diff(knots)


zodiax_io.register_kind(
    "tests.traces.curve",
    Curve,
    encode=lambda curve: {"knots": curve.knots},
    decode=lambda cls, tree: cls(tree["knots"]),
)

DTYPES = ("float32", "bfloat16", "float8_e4m3fn", "int4", "bool", "complex64", "uint8")
TREE = {
    **{name: jnp.asarray(np.ones(3), name) for name in DTYPES},
    "key": jr.key(0),
    "keys": jr.split(jr.key(1, impl="rbg"), 3),
    "raw key": jr.PRNGKey(0),
    "weak": jnp.asarray(1.5),
    "weak bfloat16": jnp.bfloat16(1) * jnp.asarray(1.5),
    "numpy": np.ones(2, ml_dtypes.bfloat16),
    "static": {("a", 1): jnp.arange(3)},
}
ONE = jax.devices("cpu")[0]
OPTIONS = {
    "plain": {},
    "device": {"device": ONE},
    "platform": {"device": "cpu"},
    "sharding": {"sharding": NamedSharding(mesh(AxisType.Auto), PartitionSpec())},
    "tree of shardings": {"sharding": {"key": SingleDeviceSharding(ONE)}},
    "lazy": {"lazy": True},
    "NumPy": {"as_numpy": True},
    "part": {"only": "keys"},
    "some": {"only": ["bfloat16", "weak"]},
    "like": {"like": jtu.tree_map(lambda x: x, TREE)},
    "like structs": {"like": jax.eval_shape(lambda: {"key": jr.key(7)})},
    "unverified": {"verify": False},
}


def concrete(tree):
    """Every leaf, which has to be an array, with what JAX takes its type to be."""
    leaves = jtu.tree_leaves(tree)
    assert not any(isinstance(leaf, Tracer) for leaf in leaves)
    return [(getattr(x, "aval", None), getattr(x, "sharding", None)) for x in leaves]


@pytest.mark.filterwarnings("ignore::zodiax_io.PartialLoadWarning")
@pytest.mark.filterwarnings("ignore:.*pmap.*:DeprecationWarning")
@pytest.mark.parametrize("where", SURROUNDINGS)
def test_saves_and_loads_are_the_same_anywhere(tmp_path, where):
    """A call of Python gives arrays, not tracers, whatever is traced around it."""
    around, path = SURROUNDINGS[where], tmp_path / "m"
    serialise(path, TREE)
    expected = {name: deserialise(path, **options) for name, options in OPTIONS.items()}
    rounds = []

    def call():
        found = {
            name: deserialise(path, **options) for name, options in OPTIONS.items()
        }
        file = io.BytesIO()
        serialise(file, TREE, metadata=TREE)
        structure = zodiax_io.build_structure(TREE)
        difference = zodiax_io.diff(path, TREE)
        curve = io.BytesIO()
        serialise(curve, Curve(TREE["float32"]))
        curve = deserialise(io.BytesIO(curve.getvalue()))
        rounds.append((found, file, structure, difference, curve))

    around(call)
    assert rounds
    plain = io.BytesIO()
    serialise(plain, TREE, metadata=TREE)
    for found, file, structure, difference, curve in rounds:
        for name in OPTIONS:
            assert concrete(found[name]) == concrete(expected[name])
            assert differences(expected[name], found[name]) == []
        assert file.getvalue() == plain.getvalue()
        assert structure == zodiax_io.build_structure(TREE)
        assert not difference
        if where != "set_mesh":  # in which what the user's code makes shall lie
            assert concrete(curve.slopes) == concrete(jnp.diff(TREE["float32"]))


@given(trees)
def test_any_tree_is_the_same_in_a_trace(tree):
    """Also those with static arrays, scalars of NumPy and keys of dictionaries."""
    expected = io.BytesIO()
    serialise(expected, tree)
    found = []

    def function(x):
        file = io.BytesIO()
        serialise(file, tree)
        found.extend([file.getvalue(), deserialise(io.BytesIO(expected.getvalue()))])
        return x

    jax.eval_shape(function, 1.0)
    assert found[0] == expected.getvalue()
    again = deserialise(io.BytesIO(expected.getvalue()))
    assert differences(again, found[1]) == []


@pytest.mark.parametrize("where", ["jit", "vmap", "grad", "scan", "shard_map"])
def test_what_a_load_imports_and_calls_is_not_traced(tmp_path, lab, where):
    """An array that a module makes, a default, an upgrade and a check are arrays."""
    source = (
        "import equinox as eqx, jax.numpy as jnp\n"
        "GRID = jnp.arange(3.0) + 1\n"
        "seen = []\n"
        "class Lens(eqx.Module):\n"
        "    radius: object\n"
    )
    module = lab("lensing", source)
    serialise(tmp_path / "m", module.Lens(jnp.ones(3)))
    module = lab(
        "lensing",
        source + "    scale: object = eqx.field(default_factory=lambda: GRID * 2)\n"
        "    def __check_init__(self):\n"
        "        seen.append(self.radius * 2)\n",
    )
    loaded = []

    def call():
        with pytest.warns(zodiax_io.ClassChangedWarning):
            loaded.append(deserialise(tmp_path / "m", check_init=True))

    SURROUNDINGS[where](call)
    concrete([loaded, module.seen])
    assert loaded[0].scale.tolist() == [2, 4, 6]


def test_an_opaque_becomes_an_object_of_the_trace(tmp_path, lab):
    """Arrays stay arrays; those that the function was given stay its tracers."""
    module = lab(
        "lensing", "import equinox as eqx\nclass Lens(eqx.Module):\n    r: object\n"
    )
    serialise(tmp_path / "m", module.Lens(jnp.ones(3, jnp.bfloat16)))
    lab("lensing", "")
    seen = []

    @jax.jit
    def function(given):
        opaque = deserialise(tmp_path / "m", unknown="opaque")
        seen.append(opaque.become(module.Lens))
        return given.become(module.Lens).r * 2

    opaque = deserialise(tmp_path / "m", unknown="opaque")
    assert function(opaque).tolist() == [2, 2, 2]
    concrete(seen)


@pytest.mark.parametrize(
    "tree",
    [lambda x: {"a": x}, lambda x: {"a": Curve(x)}, lambda x: {"a": {("b",): x}}],
    ids=["leaf", "registered", "static"],
)
def test_a_tracer_is_refused(tree):
    """It has no values to be saved."""
    file = io.BytesIO()

    @jax.jit
    def function(x):
        with pytest.raises(
            zodiax_io.SerialisationError, match=r"Save outside of `jax\.j"
        ):
            serialise(file, tree(x))
        return x

    function(jnp.ones(3))
    assert file.getvalue() == b""


def test_a_kind_that_computes_with_a_tracer_is_told_so():
    """Instead of where in JAX the tracer has been found."""

    class Doubled:
        def __init__(self, value):
            self.value = value

    zodiax_io.register_kind(
        "tests.traces.doubled",
        Doubled,
        encode=lambda obj: {"value": obj.value * 2},
        decode=lambda cls, tree: cls(tree["value"] / 2),
    )
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        jax.jit(lambda x: serialise(io.BytesIO(), [Doubled(x)]))(1.0)
    assert str(caught.value) == (
        f"Cannot serialise a `{__name__}.{Doubled.__qualname__}` at `model[0]`. Taking "
        "it apart computes with a tracer, whose values do not exist yet. Save outside "
        "of `jax.jit`, `jax.grad` and `jax.vmap`."
    )


def test_saving_does_not_use_up_a_key():
    """A key may be saved and used, also where JAX watches over their use."""
    with jax.debug_key_reuse(True):
        key, file = jr.key(0), io.BytesIO()
        serialise(file, key)
        again = deserialise(io.BytesIO(file.getvalue()))
        assert jr.uniform(key) == jr.uniform(again)


@pytest.mark.parametrize("guard", ["disallow", "disallow_explicit"])
def test_a_guard_against_transfers_is_left_as_it_was(tmp_path, guard):
    """A load asks for its transfers itself, and changes the rules for nobody else."""
    serialise(tmp_path / "m", {"a": jnp.ones(3), "b": jr.key(0)})
    with jax.transfer_guard(guard):
        with contextlib.suppress(zodiax_io.ZodiaxIOError):
            deserialise(tmp_path / "m")
        with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
            jnp.ones(3) + 1
