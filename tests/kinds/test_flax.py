"""Modules, variables and states of flax: linen, nnx, and holders of optimisers."""

import io
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
from documents import Checkpoint
from equality import differences
from hypothesis import given, settings, strategies as st

import zodiax_io

pytest.importorskip("flax")

from flax import linen, nnx
from flax.core import freeze
from flax.training.train_state import TrainState

X = jnp.linspace(-1.0, 1.0, 6).reshape(3, 2)


def saved(tree, **options):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file, **options)


def refusal(tree):
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(io.BytesIO(), tree)
    return str(caught.value)


# linen --------------------------------------------------------------------------------


class Network(linen.Module):
    """Submodules in a field, made in `setup`, and in a compact method."""

    inner: linen.Module
    widths: tuple = (3,)
    options: dict | None = None

    def setup(self):
        self.layers = [linen.Dense(width) for width in self.widths]

    def __call__(self, x):
        x = self.inner(x)
        for layer in self.layers:
            x = layer(x)
        return x


class Computed(linen.Module):
    """A module with an attribute that is no field."""

    width: int = 2

    def __post_init__(self):
        self.doubled = 2 * self.width
        super().__post_init__()

    @linen.compact
    def __call__(self, x):
        return linen.Dense(self.doubled)(x)


ACTIVATIONS = st.sampled_from([linen.relu, jnp.tanh, linen.gelu, jax.nn.silu])
WIDTHS = st.integers(1, 4)
NAMES = st.none() | st.sampled_from(["first", "Dense_7"])
LAYERS = st.one_of(
    st.builds(linen.Dense, WIDTHS, use_bias=st.booleans(), name=NAMES),
    st.builds(linen.LayerNorm, epsilon=st.floats(1e-6, 0.1)),
    st.builds(linen.Dropout, st.floats(0.0, 0.9), deterministic=st.just(True)),
    st.builds(linen.DenseGeneral, st.tuples(WIDTHS)),
    st.builds(linen.WeightNorm, st.builds(linen.Dense, WIDTHS)),
    st.builds(Computed, WIDTHS),
)
MODULES = st.recursive(
    LAYERS,
    lambda inner: st.one_of(
        st.builds(Network, inner, st.lists(WIDTHS, max_size=2).map(tuple)),
        st.builds(linen.Sequential, st.lists(inner | ACTIVATIONS, min_size=1)),
    ),
    max_leaves=4,
)


@settings(max_examples=25, deadline=None)
@given(MODULES)
def test_a_module_of_linen_is_kept_by_its_fields(module):
    """It equals the original, and computes the same from the same variables."""
    loaded = saved(module)
    assert type(loaded) is type(module)
    assert loaded == module
    try:
        variables = module.init(jr.key(0), X)
    except Exception:  # two submodules of one name, or the like
        return
    assert differences(variables, loaded.init(jr.key(0), X)) == []
    assert (loaded.apply(variables, X) == module.apply(variables, X)).all()


def test_a_shared_module_of_linen_stays_shared():
    """One module in two fields is one module, with one set of variables."""
    dense = linen.Dense(2)
    loaded = saved(linen.Sequential([dense, linen.relu, dense]))
    assert loaded.layers[0] is loaded.layers[2]
    assert list(loaded.init(jr.key(0), X)["params"]) == ["layers_0"]


def test_an_attribute_beside_the_fields_is_kept():
    """What `__post_init__` has set comes back without a call of it."""
    assert saved(Computed(3)).doubled == 6


@pytest.mark.parametrize("name", ["apply", "init"])
def test_a_method_of_a_module_of_linen_is_kept(name):
    """Training states hold `module.apply`."""
    module = Network(linen.Dense(2))
    loaded = getattr(saved({"call": getattr(module, name)})["call"], "__self__", None)
    assert loaded == module


def test_a_bound_module_is_refused_with_a_line_that_works():
    """Its variables would be lost in a module, so both are kept as a pair."""
    module = Network(linen.Dense(2))
    bound = module.bind(module.init(jr.key(0), X))
    assert refusal(bound) == (
        "Cannot serialise a `test_flax.Network` at `model`. It is bound to variables. "
        "Keep the module and the variables, `x.unbind()`."
    )
    again, variables = saved(bound.unbind())
    assert (again.bind(variables)(X) == bound(X)).all()


def test_a_submodule_that_was_set_up_is_refused():
    """It refers to its outer module, and is nothing without it."""
    found = []

    class Outer(linen.Module):
        def setup(self):
            self.inner = linen.Dense(2)
            found.append(self.inner)

        def __call__(self, x):
            return self.inner(x)

    Outer().init(jr.key(0), X)
    assert "It is bound to variables." in refusal(found[0])
    orphan = linen.Dense(2).clone(parent=None)
    object.__setattr__(orphan, "_parent_ref", found[0]._parent_ref)
    assert refusal(orphan) == (
        "Cannot serialise a `flax.linen.linear.Dense` at `model`. It belongs to "
        "another module of flax, or was set up by it. Keep the outer module; or a "
        "copy, `x.clone(parent=None)`."
    )
    assert saved(orphan.clone(parent=None)) == linen.Dense(2)


@pytest.mark.parametrize("name", ["_state", "_id", "_parent_ref", "scope", "parent"])
def test_no_file_says_what_a_module_is_bound_to(name):
    """With a scope from a file, reading an attribute would call `setup`."""
    checkpoint = Checkpoint.of(linen.Dense(2))
    node = checkpoint.tree
    node["node"][name] = {"node_type": "leaf", "kind": "int", "value": 1}
    node["beside"] = [name]
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint.load()
    node["kind"] = "dataclass"
    with pytest.raises(zodiax_io.UntrustedError, match="is not a dataclass"):
        checkpoint.load()


def test_variables_and_frozen_variables_are_kept():
    """A `FrozenDict` needs no trust."""
    variables = linen.Dense(2).init(jr.key(0), X)
    frozen = freeze({"params": variables["params"], "more": {"a": 1}})
    loaded = saved([variables, frozen])
    assert differences([variables, frozen], loaded) == []
    assert type(loaded[1]) is type(frozen)


# nnx ----------------------------------------------------------------------------------


class Model(nnx.Module):
    """Shared layers, variables of several types, random streams and containers."""

    def __init__(self, rngs, depth=1):
        self.first = nnx.Linear(2, 3, rngs=rngs)
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(3, 3, rngs=rngs) for _ in range(depth)])
        self.again = self.layers[0]
        self.scale = nnx.Param(jnp.ones(3), unit="pixel")
        self.tied = self.scale
        self.count = nnx.Variable(jnp.array(0))
        self.parts = nnx.Dict({"gate": nnx.relu, "n": depth})

    def __call__(self, x):
        self.count[...] += 1
        x = self.dropout(self.norm(self.first(x)))
        for layer in (*self.layers, self.again):
            x = self.parts["gate"](layer(x)) * self.tied[...]
        return x


def state_of(model):
    pure = nnx.to_pure_dict(nnx.state(model))
    return [np.asarray(x) for x in jax.tree.leaves(jax.tree.map(_data, pure))]


def _data(x):
    is_key = jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)
    return jr.key_data(x) if is_key else x


def assert_same_model(one, other):
    assert nnx.graphdef(one) == nnx.graphdef(other)
    for a, b in zip(state_of(one), state_of(other), strict=True):
        assert (a == b).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 9), st.integers(1, 3), st.integers(0, 2))
def test_a_model_of_nnx_is_kept_whole(seed, depth, calls):
    """It goes on as the original would: sharing, random streams and counts included."""
    model = Model(nnx.Rngs(seed, dropout=seed + 1), depth)
    for _ in range(calls):
        model(X)
    loaded = saved(model)
    assert_same_model(model, loaded)
    assert loaded.tied is loaded.scale
    assert loaded.again is loaded.layers[0]
    assert loaded.scale.unit == "pixel"
    assert (loaded(X) == model(X)).all()
    assert_same_model(model, loaded)


def test_a_loaded_model_of_nnx_is_trained_as_any_other():
    """Its variables may be assigned, also in functions that flax transforms."""

    @nnx.jit
    def step(model):
        gradients = nnx.grad(lambda m: (m(X) ** 2).mean())(model)
        state = nnx.state(model, nnx.Param)
        updated = jax.tree.map(lambda p, g: p - 0.1 * g, state, gradients)
        nnx.update(model, updated)

    model = Model(nnx.Rngs(0))
    loaded = saved(model)
    for _ in range(2):
        step(model)
        step(loaded)
    assert_same_model(model, loaded)


def test_a_model_of_nnx_is_loaded_into_another():
    """`like=` finds all of it, and plain Equinox reads the companion."""

    def make(seed):
        rngs = nnx.Rngs(seed)
        return nnx.Sequential(nnx.Linear(2, 3, rngs=rngs), nnx.BatchNorm(3, rngs=rngs))

    model, other = make(0), make(1)
    file = io.BytesIO()
    zodiax_io.serialise(file, model)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_model(zodiax_io.deserialise(file, like=other), model)
    file.seek(0)
    read = eqx.tree_deserialise_leaves(file, other)
    assert differences(jax.tree.leaves(read), jax.tree.leaves(model)) == []


@pytest.mark.parametrize(
    "take",
    [nnx.state, nnx.split, nnx.graphdef, lambda m: nnx.split(m, nnx.Param, ...)],
    ids=["state", "split", "graphdef", "partition"],
)
def test_parts_of_a_model_are_kept(take):
    """States and definitions of graphs load as their own classes, and merge again."""
    parts = take(Model(nnx.Rngs(0)))
    loaded = saved(parts)
    assert differences(parts, loaded) == []
    if type(parts) is tuple:
        assert_same_model(nnx.merge(*parts), nnx.merge(*loaded))


def test_the_gradient_state_of_optax_around_a_state_of_nnx():
    """Optimisers keep states of nnx in their own states."""
    state = optax.adam(1e-3).init(nnx.state(Model(nnx.Rngs(0)), nnx.Param))
    assert differences(state, saved(state)) == []


# Optimisers ---------------------------------------------------------------------------


def test_an_optimiser_of_nnx_is_kept_whole_or_by_its_state():
    """A loaded optimiser goes on, and so does a new one from the state."""

    def make():
        model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        return model, nnx.Optimizer(model, optax.adam(1e-2), wrt=nnx.Param)

    def step(model, optimizer):
        gradients = nnx.grad(lambda m: (m(X) ** 2).mean())(model)
        optimizer.update(model, gradients)

    model, optimizer = make()
    step(model, optimizer)
    third, whole = saved((model, optimizer))
    state, model_state = saved((nnx.state(optimizer), nnx.state(model)))
    again, new = make()
    nnx.update(new, state)
    nnx.update(again, model_state)
    step(model, optimizer)
    step(again, new)
    step(third, whole)
    assert_same_model(model, again)
    assert_same_model(model, third)


def test_a_training_state_is_kept_whole_or_by_its_parts():
    """A loaded state goes on, and so does a new one from the parts."""
    module = linen.Dense(1)

    def make():
        params = module.init(jr.key(0), X)["params"]
        return TrainState.create(apply_fn=module.apply, params=params, tx=optax.sgd(1))

    state = make()
    state = state.apply_gradients(grads=state.params)
    whole = saved(state)
    one, other = (x.apply_gradients(grads=x.params) for x in (state, whole))
    assert differences(one.params, other.params) == []
    names = ("step", "params", "opt_state")
    loaded = saved({name: getattr(state, name) for name in names})
    assert differences(state.params, make().replace(**loaded).params) == []
    kept = saved(state.replace(tx=None))
    assert kept.apply_fn.__self__ == module
    assert (
        kept.apply_fn({"params": kept.params}, X)
        == module.apply({"params": state.params}, X)
    ).all()
