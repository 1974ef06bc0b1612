"""Functions below decorators that give them rules for derivatives, or a cache."""

import functools
import sys
from typing import Any

import equinox as eqx
import jax
import jax.custom_batching
import jax.numpy as jnp
import numpy as np
import pytest
from documents import load_node
from hypothesis import given, settings, strategies as st

import zodiax_io

# Makers -------------------------------------------------------------------------------


def custom_jvp(factor):
    @jax.custom_jvp
    def scaled(x):
        return factor * x

    @scaled.defjvp
    def scaled_jvp(primals, tangents):
        (x,), (t,) = primals, tangents
        return scaled(x), 10 * factor * t

    return scaled


def symbolic_jvp(factor):
    @functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
    def scaled(x, power=2):
        return factor * x**power

    def scaled_jvp(power, primals, tangents):
        return factor * primals[0] ** power, 10 * factor * tangents[0]

    scaled.defjvp(scaled_jvp, symbolic_zeros=True)
    return scaled


def custom_jvps(factor):
    scaled = jax.custom_jvp(lambda x: factor * x)
    scaled.defjvps(lambda t, out, x: 10 * factor * t)
    return scaled


def custom_vjp(factor):
    @jax.custom_vjp
    def scaled(x):
        return factor * x

    def forward(x):
        return scaled(x), factor

    def backward(residual, g):
        return (10 * residual * g,)

    scaled.defvjp(forward, backward)
    return scaled


def custom_gradient(factor):
    @jax.custom_gradient
    def scaled(x):
        return factor * x, lambda g: (10 * factor * g,)

    return scaled


def filter_jvp(factor):
    @eqx.filter_custom_jvp
    def scaled(x):
        return factor * x

    @scaled.def_jvp
    def scaled_jvp(primals, tangents):
        return scaled(primals[0]), 10 * factor * tangents[0]

    return scaled


def filter_vjp(factor):
    @eqx.filter_custom_vjp
    def scaled(x):
        return factor * x

    @scaled.def_fwd
    def forward(perturbed, x):
        return factor * x, None

    @scaled.def_bwd
    def backward(residual, g, perturbed, x):
        return 10 * factor * g

    return scaled


def custom_vmap(factor):
    @jax.custom_batching.custom_vmap
    def scaled(x):
        return factor * x

    @scaled.def_vmap
    def rule(size, batched, x):
        return 10 * factor * x, batched[0]

    return scaled


def vjp_of_vmap(factor):
    inner = custom_vmap(factor)
    outer = jax.custom_vjp(inner)
    outer.defvjp(lambda x: (inner(x), None), lambda _, g: (10 * factor * g,))
    return outer


def cached(factor):
    @functools.lru_cache(maxsize=7, typed=True)
    def scaled(x):
        return factor * x

    return scaled


def jitted(factor):
    return jax.jit(custom_jvp(factor))


def without_rules(factor):
    return jax.custom_jvp(lambda x: factor * x)


def plain(x):
    return lambda: x


MAKERS = {
    maker.__name__: maker
    for maker in (
        custom_jvp,
        symbolic_jvp,
        custom_jvps,
        custom_vjp,
        custom_gradient,
        filter_jvp,
        filter_vjp,
        custom_vmap,
        vjp_of_vmap,
        cached,
        jitted,
    )
}
each = pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS.keys())


def again(function: Any) -> Any:
    return zodiax_io.load_structure(zodiax_io.build_structure(function))


def results(function: Any) -> list[Any]:
    """The values, derivatives and batched values of a function, or their errors."""
    found: list[Any] = [np.asarray(function(3.0)).tolist()]
    for derive, x in ((jax.grad, jnp.float32(3)), (jax.vmap, jnp.arange(3.0))):
        try:
            found.append(np.asarray(derive(function)(x)).tolist())
        except (TypeError, AttributeError, ValueError, NotImplementedError) as error:
            found.append(type(error).__name__)
    return found


@each
@settings(max_examples=5)  # each is compiled
@given(factor=st.floats(-100, 100, width=32))
def test_values_and_derivatives_are_the_same(maker, factor):
    """The rules come back as well as the function, with what they contain."""
    function = maker(factor)
    loaded = again({"it": function, "again": [function]})
    assert loaded["it"] is loaded["again"][0]
    assert type(loaded["it"]) is type(function)
    assert results(loaded["it"]) == results(function)


def test_the_rules_are_used():
    """The test above compares the derivatives of the rules, not those of JAX."""
    for maker in (custom_jvp, custom_jvps, custom_vjp, custom_gradient, filter_jvp):
        assert results(maker(2.0))[1] == 20.0
    assert results(custom_vmap(2.0))[2] == [0.0, 20.0, 40.0]


@each
def test_what_is_loaded_is_saved_as_before(maker):
    """A second save makes the same structure: nothing was lost on the way."""
    structure = zodiax_io.build_structure(maker(2.0))
    loaded = zodiax_io.load_structure(structure)
    assert zodiax_io.build_structure(loaded) == structure


@each
def test_arrays_inside_are_kept(maker, tmp_path):
    """A function may contain an array, as the layers of a flow do."""
    zodiax_io.serialise(tmp_path / "it", maker(np.float32([4.0])))
    loaded = zodiax_io.deserialise(tmp_path / "it", trusted=[__name__])
    assert loaded(3.0) == maker(np.float32([4.0]))(3.0)


def test_the_options_are_kept():
    """Not only the rules: also which arguments are static, and the size of a cache."""
    loaded = again(symbolic_jvp(1.0))
    assert (loaded.nondiff_argnums, loaded.symbolic_zeros) == ((1,), True)
    assert loaded(2.0, 3) == 8.0
    memory = again(cached(1.0))
    assert memory.cache_parameters() == {"maxsize": 7, "typed": True}
    assert memory.cache_info().currsize == 0


def test_a_rule_that_calls_its_function_calls_the_loaded_one():
    """JAX's own examples do; the tree does not contain itself for it."""
    function = custom_jvp(2.0)
    loaded = again(function)
    cells = [cell.cell_contents for cell in loaded.jvp.__closure__]
    assert any(cell is loaded for cell in cells)
    assert not any(cell is function for cell in cells)


def test_a_function_without_a_rule_is_kept():
    """JAX refuses to call it, before and after."""
    loaded = again(without_rules(2.0))
    assert loaded.fun(3.0) == 6.0
    with pytest.raises(AttributeError, match="No JVP"):
        loaded(3.0)


EDITED = """
import jax

def make(factor):
    @jax.custom_jvp
    def f(x):
        return factor * x

    @f.defjvp
    def rule(p, t):
        return f(*p), 10 * t[0]

    return f
"""


def test_an_edited_rule_is_an_error(tmp_path, monkeypatch):
    """Never another derivative without a word."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "edited_rule.py").write_text(EDITED)
    structure = zodiax_io.build_structure(__import__("edited_rule").make(2.0))
    (tmp_path / "edited_rule.py").write_text(EDITED.replace("10 * t", "11 * t"))
    monkeypatch.delitem(sys.modules, "edited_rule")
    __import__("edited_rule")
    with pytest.raises(zodiax_io.ClassChangedError, match="was edited since"):
        zodiax_io.load_structure(structure)
    del sys.modules["edited_rule"]


# What is refused ----------------------------------------------------------------------

# In a list, where no load finds it.
NOWHERE = [lambda p, t: (p[0], t[0])]


def test_an_attribute_that_was_set_is_refused():
    """It would be lost."""
    function = custom_jvp(2.0)
    function.note = "mine"
    with pytest.raises(zodiax_io.SerialisationError, match="Its `note` has changed"):
        zodiax_io.build_structure(function)


def test_a_rule_without_a_place_is_refused_by_itself():
    """The path leads to the function that cannot be found again."""
    function = custom_jvp(2.0)
    function.defjvp(NOWHERE[0])
    with pytest.raises(zodiax_io.SerialisationError) as raised:
        zodiax_io.build_structure([function])
    assert raised.value.path == "model[0].jvp"


def test_a_placeholder_takes_the_place_of_a_rule(tmp_path):
    """With `functions="warn"` everything else is kept."""
    function = custom_jvp(2.0)
    function.defjvp(NOWHERE[0])
    with pytest.warns(zodiax_io.PlaceholderWarning):
        zodiax_io.serialise(tmp_path / "it", [function], functions="warn")
    (loaded,) = zodiax_io.deserialise(tmp_path / "it")
    assert loaded(3.0) == 6.0
    with pytest.raises(zodiax_io.PlaceholderError):
        jax.grad(loaded)(3.0)


def forged():
    node = zodiax_io.build_structure(custom_jvp(2.0))
    fun, jvp, value = node["node"]["fun"], node["node"]["jvp"], node["value"]
    number = {"node_type": "leaf", "kind": "float", "value": 1.0}
    return {
        "no decorator": node | {"value": {}},
        "another decorator": node | {"value": {"decorator": "os.system"}},
        "no options": node | {"value": {"decorator": "jax.custom_jvp"}},
        "other options": node | {"value": {**value, "fun": 1}},
        "an option that is text": node | {"value": {**value, "symbolic_zeros": ""}},
        "options of another": node | {"value": {"decorator": "functools.lru_cache"}},
        "no function": node | {"node": {"jvp": jvp}},
        "another function": node | {"node": {"fun": fun, "fwd": jvp}},
        "a number": node | {"node": {"fun": number}},
        "nothing as a function": node
        | {"node": {"fun": {"node_type": "leaf", "kind": "none"}}},
        "nothing as a rule": node
        | {"node": {"fun": fun, "jvp": {"node_type": "leaf", "kind": "none"}}},
        "rules that are no tuple": node | {"node": {"fun": fun, "jvps": jvp}},
        "no children": {"node_type": "leaf", "kind": "decorated", "value": value},
        "a marker that is no list": node
        | {"node": {"fun": fun, "jvp": jvp | {"value": {**jvp["value"], "itself": 1}}}},
    }


@pytest.mark.parametrize("name", forged())
def test_a_forged_node_ends_in_an_error(name):
    """Whatever a file says, nothing is called, and the error is one of ours."""
    with pytest.raises(zodiax_io.ZodiaxIOError):
        load_node(forged()[name])


def test_the_marker_for_the_function_itself_does_nothing_elsewhere():
    """A local function that no decorator has around it may claim one."""
    structure = zodiax_io.build_structure(plain(1.0))
    structure["value"]["itself"] = [0]
    loaded = zodiax_io.load_structure(structure)
    assert type(loaded()).__name__ == "_Itself"


def test_a_flow_with_a_numerical_inverse(tmp_path):
    """Flowjax puts a local function below `filter_custom_jvp`."""
    flows = pytest.importorskip("flowjax.flows")
    normal = pytest.importorskip("flowjax.distributions").Normal(jnp.zeros(2))
    flow = flows.block_neural_autoregressive_flow(
        jax.random.key(0), base_dist=normal, flow_layers=1, nn_block_dim=2
    )
    zodiax_io.serialise(tmp_path / "flow", flow)
    loaded = zodiax_io.deserialise(tmp_path / "flow")
    sample = loaded.sample(jax.random.key(1))
    assert np.array_equal(sample, flow.sample(jax.random.key(1)))
    assert loaded.log_prob(sample) == flow.log_prob(sample)
