"""Functions come back as the very objects they were, by their public names."""

import functools
import io
import math
import operator
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.scipy as jsp
import jax.tree_util as jtu
import numpy as np
import pytest
from clients import optax
from equality import differences, survives

import zodiax_io


class Holder(eqx.Module):
    leaf: Any
    static: Any = eqx.field(static=True, default=None)


def name_of(function: Any) -> str:
    return zodiax_io.build_structure(function)["type"]


# By public name -----------------------------------------------------------------------

PUBLIC: dict[str, Any] = {
    "jax.nn:relu": jax.nn.relu,
    "jax.nn:gelu": jax.nn.gelu,
    "jax.nn:silu": jax.nn.silu,
    "jax.nn:softmax": jax.nn.softmax,
    "jax.nn.initializers:zeros": jax.nn.initializers.zeros,
    "jax.numpy:sin": jnp.sin,
    "jax.nn:tanh": jnp.tanh,
    "jax.numpy:add": jnp.add,
    "jax.numpy:where": jnp.where,
    "jax.numpy:einsum": jnp.einsum,
    "jax.numpy.linalg:norm": jnp.linalg.norm,
    "jax.numpy.fft:fft": jnp.fft.fft,
    "jax.lax:rsqrt": jax.lax.rsqrt,
    "jax.lax:scan": jax.lax.scan,
    "jax.lax:stop_gradient": jax.lax.stop_gradient,
    "jax.scipy.special:erfc": jsp.special.erfc,
    "jax.scipy.linalg:expm": jsp.linalg.expm,
    "jax.random:normal": jr.normal,
    "jax:vmap": jax.vmap,
    "equinox:filter_jit": eqx.filter_jit,
    "equinox:is_inexact_array": eqx.is_inexact_array,
    "numpy:sin": np.sin,
    "numpy:mean": np.mean,
    "operator:add": operator.add,
    "math:sqrt": math.sqrt,
    "builtins:len": len,
}


@pytest.mark.parametrize("name", PUBLIC)
def test_a_function_is_kept_by_its_public_name(name):
    """The file says where users find a function, not where its package hides it."""
    assert name_of(PUBLIC[name]) == name


@pytest.mark.parametrize("name", PUBLIC)
def test_a_function_is_the_same_object_again(name):
    """Not a copy: nothing compiles again, and treedefs stay equal."""
    loaded = survives(Holder(PUBLIC[name], {"f": [PUBLIC[name]]}))
    assert loaded.leaf is PUBLIC[name]
    assert loaded.static["f"][0] is PUBLIC[name]


@pytest.mark.parametrize(
    "module", [jax.nn, jnp.linalg, jnp.fft], ids=lambda m: m.__name__
)
def test_every_function_of_a_module_comes_back(module):
    """All public functions of the modules of activations and transforms are kept."""
    functions = {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and not name.startswith(("_", "get_"))
        and not isinstance(value, type)
    }
    survives(functions)


def test_every_ufunc_of_numpy_comes_back():
    """NumPy's ufuncs have no `__qualname__`, and are found all the same."""
    ufuncs = {n: f for n, f in vars(np).items() if isinstance(f, np.ufunc)}
    assert len(ufuncs) > 80
    survives(ufuncs)


def test_the_default_activations_of_an_mlp_come_back():
    """The final activation of `eqx.nn.MLP` calls itself `<lambda>` and is found."""
    model = eqx.nn.MLP(2, 2, 4, 2, key=jr.key(0))
    loaded = survives(model)
    assert loaded.final_activation is model.final_activation
    assert loaded.activation is jax.nn.relu


def test_a_function_of_a_package_of_the_field_comes_back():
    """It is kept by its public name, too."""
    assert name_of(optax.l2_loss) == "optax:l2_loss"
    loaded = survives(Holder(optax.l2_loss, {"f": [optax.l2_loss]}))
    assert loaded.leaf is optax.l2_loss


# One's own ----------------------------------------------------------------------------


def plain(x: Any, a: float = 2.0, *, b: Any = None) -> Any:
    return a * x


square = lambda x: x * x  # noqa: E731
alias = plain
scaled = functools.partial(plain, a=3.0)
vmapped = jax.vmap(plain)
gradient = jax.grad(plain)


@jax.jit
def jitted(x: Any) -> Any:
    return x + 1


@functools.partial(jax.jit, static_argnums=1)
def jitted_with_options(x: Any, n: int = 3) -> Any:
    return x * n


@eqx.filter_jit
def filter_jitted(x: Any) -> Any:
    return x + 1


@eqx.filter_vmap(in_axes=(0, None))
def filter_vmapped(x: Any, y: Any) -> Any:
    return x + y


@jax.custom_vjp
def clipped(x: Any) -> Any:
    return x


clipped.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1, 1),))


@jax.custom_jvp
def softened(x: Any) -> Any:
    return x


softened.defjvp(lambda primals, tangents: (primals[0], tangents[0]))


def decorate(function: Any) -> Any:
    @functools.wraps(function)
    def inner(*args: Any) -> Any:
        return function(*args)

    return inner


@decorate
def decorated(x: Any) -> Any:
    return x


@functools.cache
def cached(x: Any) -> Any:
    return x


def make(k: float) -> Any:
    def inner(x: Any) -> Any:
        return k * x

    def change(value: float) -> None:  # shares a variable, so that no file holds either
        nonlocal k
        k = value

    return inner


triple = make(3)  # its own name holds `<locals>`, that of the module does not


class Layer(eqx.Module):
    weight: Any = 1.0

    def __call__(self, x: Any) -> Any:
        return self.weight * x

    @staticmethod
    def static(x: Any) -> Any:
        return x

    @classmethod
    def make(cls, x: Any) -> Any:
        return cls(x)

    class Inner:
        @staticmethod
        def deep(x: Any) -> Any:
            return x


OWN = {
    "plain": plain,
    "square": square,
    "jitted": jitted,
    "jitted_with_options": jitted_with_options,
    "filter_jitted": filter_jitted,
    "filter_vmapped": filter_vmapped,
    "clipped": clipped,
    "softened": softened,
    "decorated": decorated,
    "cached": cached,
    "triple": triple,
    "vmapped": vmapped,
    "gradient": gradient,
    "Layer.static": Layer.static,
    "Layer.__call__": Layer.__call__,
    "Layer.Inner.deep": Layer.Inner.deep,
}


@pytest.mark.parametrize("name", OWN)
def test_a_function_of_ones_own_comes_back(name):
    """A function with a name in a module loads by it, however it was made."""
    assert name_of(OWN[name]) == f"{__name__}:{name}"
    loaded = survives(Holder(OWN[name], (OWN[name],)))
    assert loaded.leaf is OWN[name]


def test_an_alias_leads_to_the_name_of_its_function():
    """A second name for a function does not matter: there is one function."""
    assert name_of(alias) == f"{__name__}:plain"


def test_a_class_method_is_bound_to_its_class():
    """A classmethod is kept as the class and the name of the method."""
    loaded = survives(Holder(Layer.make, Layer.make))
    assert loaded.leaf(2.0).weight == 2.0


def test_a_bound_method_keeps_its_object():
    """A method of an instance comes back with the instance."""
    loaded = survives({"call": Layer(2.0).__call__})
    assert loaded["call"](3.0) == 6.0


PARTIALS: dict[str, Callable[[], Any]] = {
    "keywords": lambda: functools.partial(jax.nn.leaky_relu, negative_slope=0.2),
    "arrays": lambda: functools.partial(jnp.add, jnp.ones(2)),
    "nested": lambda: functools.partial(functools.partial(jnp.clip, min=0), max=1),
    "of the user": lambda: functools.partial(plain, a=jnp.ones(2)),
    "of a class": lambda: functools.partial(Layer, 2.0),
    "global": lambda: scaled,
    "jax": lambda: jtu.Partial(plain, jnp.ones(2), b=1),
    "jax around a partial": lambda: jtu.Partial(scaled, jnp.ones(2)),
    "equinox": lambda: eqx.Partial(plain, a=jnp.zeros(1)),
}


@pytest.mark.parametrize("what", PARTIALS)
def test_a_partial_comes_back(what):
    """Partials of every package come back with function and arguments."""
    tree = {"leaf": PARTIALS[what](), "pair": [PARTIALS[what]()] * 2}
    survives(tree, trusted=[__name__])


OWN_PARTIALS = {
    "functools": lambda: functools.partial(plain, 1.0),
    "jax": lambda: jtu.Partial(plain, 1.0),
    "equinox": lambda: eqx.Partial(plain, b=1.0),
    "of a class": lambda: functools.partial(Layer, 2.0),
    "nested": lambda: functools.partial(functools.partial(plain), 1.0),
    "of a jitted function": lambda: functools.partial(jax.jit(plain), 1.0),
    "of a filtered function": lambda: functools.partial(eqx.filter_jit(plain), 1.0),
    "of a mapped function": lambda: functools.partial(jax.vmap(plain), 1.0),
    "shared": lambda: [f := jax.jit(plain), functools.partial(f, 1.0)],
}


@pytest.mark.parametrize("what", OWN_PARTIALS)
def test_arguments_of_ones_own_function_need_trust(what):
    """A file may name the user's functions, and choose arguments only if trusted."""
    file = io.BytesIO()
    zodiax_io.serialise(file, OWN_PARTIALS[what]())
    file.seek(0)
    with pytest.raises(zodiax_io.UntrustedError, match="arguments that the file") as e:
        zodiax_io.deserialise(file)
    assert e.value.trusted == (__name__,)
    survives(OWN_PARTIALS[what](), trusted=e.value.trusted)


def test_a_partial_without_arguments_needs_no_trust():
    """A function without additions of the file loads as itself."""
    survives([functools.partial(plain), jtu.Partial(plain), eqx.Partial(plain)])


def test_a_callable_signature_is_refused():
    """Python would call it, when JAX asks for the signature of what it wraps."""
    hostile = functools.partial(jnp.sin)
    hostile.__signature__ = plain
    with pytest.raises(zodiax_io.SerialisationError, match="__signature__"):
        zodiax_io.build_structure(jax.jit(hostile))


MADE_HERE: dict[str, Callable[[], Any]] = {
    "jax.jit": lambda: jax.jit(plain),
    "jax.jit with options": lambda: jax.jit(plain, static_argnums=1, donate_argnums=0),
    "jax.jit of jnp": lambda: jax.jit(jnp.sin),
    "jax.vmap": lambda: jax.vmap(plain, in_axes=(0, None)),
    "jax.grad": lambda: jax.grad(plain, argnums=(0, 1)),
    "jax.checkpoint": lambda: jax.checkpoint(plain),
    "filter_jit": lambda: eqx.filter_jit(plain),
    "filter_vmap": lambda: eqx.filter_vmap(jnp.sin, in_axes=0),
    "filter_grad": lambda: eqx.filter_grad(plain),
    "filter_value_and_grad": lambda: eqx.filter_value_and_grad(plain, has_aux=True),
    "filter_checkpoint": lambda: eqx.filter_checkpoint(plain),
    "filter_vmap of filter_jit": lambda: eqx.filter_vmap(eqx.filter_jit(jax.nn.relu)),
    "jax.jit of a module": lambda: jax.jit(Layer(jnp.ones(2))),
}


@pytest.mark.parametrize("what", MADE_HERE)
def test_a_transformed_function_is_made_again(what):
    """A function without a name comes back if it is a transformation of one."""
    survives([MADE_HERE[what]()])


def test_a_transformed_function_computes_what_it_did():
    """A function that is made again computes the same values."""
    tree = [jax.jit(jax.vmap(plain, in_axes=(0, None))), jax.grad(jnp.sin)]
    loaded = survives(tree)
    assert jnp.array_equal(loaded[0](jnp.ones(3), 4.0), 4 * jnp.ones(3))
    assert loaded[1](0.0) == 1.0


PACKAGED: dict[str, Callable[[], Any]] = {
    "initialiser": lambda: jax.nn.initializers.normal(0.1),
    "initialiser with options": lambda: jax.nn.initializers.he_normal(in_axis=1),
}


@pytest.mark.parametrize("what", PACKAGED)
def test_a_local_function_of_a_package_comes_back(what):
    """A function made by a function of JAX loads by its place in the source."""
    loaded = survives(Holder(PACKAGED[what](), PACKAGED[what]()))
    assert loaded.leaf.__code__ is PACKAGED[what]().__code__


# Refused ------------------------------------------------------------------------------


def refusal(tree: Any) -> zodiax_io.SerialisationError:
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(tree)
    return caught.value


NAMELESS = [lambda x: x]  # made by no function


def test_a_lambda_is_refused_with_its_path_and_line():
    """The error says where in the tree and where in the source the lambda is."""
    function = NAMELESS[0]
    line = function.__code__.co_firstlineno
    error = refusal(Holder({"activation": function}))
    assert error.path == "model.leaf['activation']"
    assert str(error) == (
        "Cannot serialise a `builtins.function` at `model.leaf['activation']`. It has "
        f"no name to be found by (written at {__file__}:{line}): it is a lambda, a "
        "local function or a wrapper. Write it by `def` at the top level of a module, "
        "give it a name by `zodiax_io.register(function, "
        'alias="package.module:name")`, or keep its source text only by '
        '`functions="warn"`.'
    )


PARAMETERS = {"w": jnp.ones(2), "b": jnp.zeros(1)}
SCHEDULE = optax.warmup_cosine_decay_schedule(0.0, 1e-2, 5, 50)
OPTIMISERS = {
    "adam": optax.adam(1e-3),
    "a chain": optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(SCHEDULE)),
    "injected": optax.inject_hyperparams(optax.sgd)(learning_rate=SCHEDULE),
    "several steps": optax.MultiSteps(optax.adam(1e-3), 2),
    "labelled": optax.multi_transform(
        {"a": optax.sgd(0.1), "b": optax.adam(1e-3)}, {"w": "a", "b": "b"}
    ),
    "masked": optax.masked(optax.lion(1e-3), {"w": True, "b": False}),
    "contributed": optax.contrib.schedule_free_adamw(1e-3),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_an_optimiser_comes_back_whole(name):
    """What was loaded goes on as the original would, and needs no trust."""
    optimiser, file = OPTIMISERS[name], io.BytesIO()
    zodiax_io.serialise(file, [optimiser, optimiser.init(PARAMETERS)])
    file.seek(0)
    loaded, state = zodiax_io.deserialise(file)
    one, _ = optimiser.update(PARAMETERS, optimiser.init(PARAMETERS), PARAMETERS)
    other, _ = loaded.update(PARAMETERS, state, PARAMETERS)
    assert differences(one, other) == []


def test_what_no_place_leads_to_in_an_optimiser_is_refused():
    """The default of a function of optax is a lambda that nothing holds."""
    with pytest.raises(zodiax_io.SerialisationError, match="local function of optax"):
        zodiax_io.build_structure(optax.contrib.adopt(1e-3))


UNNAMED: dict[str, Callable[[], Any]] = {
    "lambda": lambda: lambda x: x,
    "closure": lambda: make(4),
    "jax.jit of a lambda": lambda: jax.jit(lambda x: x),
    "filter_jit of a lambda": lambda: eqx.filter_jit(lambda x: x),
    "partial of a lambda": lambda: functools.partial(lambda x: x),
    "jax.vmap of a lambda": lambda: jax.vmap(lambda x: x),
    "a replaced name": lambda: decorate(plain),
}


@pytest.mark.parametrize("what", UNNAMED)
def test_a_function_without_a_name_is_refused(what):
    """A function that its name does not lead to is not saved by that name."""
    error = refusal([0, UNNAMED[what]()])
    assert error.path.startswith("model[1]")


def test_a_liar_is_refused():
    """A function that claims the name of another is not stored under it."""

    def fake(x):
        return x

    fake.__module__, fake.__qualname__ = "jax.numpy", "sin"
    refusal(fake)


def test_functions_that_do_more_than_compute_are_refused():
    """Functions of the frameworks that read, write or call back cannot be in a file."""
    for function in (np.load, jnp.save, jax.debug.print, eqx.tree_serialise_leaves):
        refusal([function])
    refusal(print)
    refusal(functools.partial(open, "file"))


# Placeholders -------------------------------------------------------------------------


def kept(tree: Any) -> io.BytesIO:
    file = io.BytesIO()
    with pytest.warns(zodiax_io.PlaceholderWarning):
        zodiax_io.serialise(file, tree, functions="warn")
    file.seek(0)
    return file


def test_a_placeholder_says_what_is_missing():
    """A function that could not be saved raises when called, with its source."""
    loaded = zodiax_io.deserialise(kept(Holder({"f": make(2)}, jnp.sin)))
    placeholder = loaded.leaf["f"]
    assert isinstance(placeholder, zodiax_io.Placeholder)
    assert placeholder.name == "make.<locals>.inner"
    assert "return k * x" in placeholder.source
    with pytest.raises(
        zodiax_io.PlaceholderError, match="could not be saved"
    ) as caught:
        placeholder(1.0)
    assert "model.leaf['f']" in str(caught.value)
    assert loaded.static is jnp.sin


def test_a_warning_lists_the_placeholders():
    """One warning for a file, at the caller's line, with every path."""
    with pytest.warns(zodiax_io.PlaceholderWarning) as caught:
        zodiax_io.serialise(io.BytesIO(), [make(1), make(2)], functions="warn")
    assert [warning.filename for warning in caught] == [__file__]
    assert str(caught[0].message) == (
        "Functions that cannot be found again by name were replaced by placeholders. "
        "When loading, pass them to `deserialise(path, fill={…})`:\n"
        "  `model[0]`: make.<locals>.inner\n"
        "  `model[1]`: make.<locals>.inner"
    )


def test_fill_puts_the_function_back():
    """`fill` gives a placeholder its function, in leaves and static fields."""
    function = make(2)
    file = kept(Holder(function, (1, function)))
    fill = {"model.leaf": function}
    loaded = zodiax_io.deserialise(file, fill=fill)
    assert loaded.leaf is function


def test_fill_reaches_static_fields():
    """A function in a static field is filled by its path as well."""
    function = make(2)
    file = kept({"a": Holder(1, [function]), "b": 1})
    loaded = zodiax_io.deserialise(file, fill={"model['a'].static[0]": function})
    assert loaded["a"].static[0] is function


def test_fill_elsewhere_is_an_error():
    """A path without a placeholder is named, with the paths that there are."""
    file = kept([make(2)])
    with pytest.raises(zodiax_io.ArgumentError) as caught:
        zodiax_io.deserialise(file, fill={"model.f": plain})
    assert str(caught.value) == (
        "`fill` has a function for `model.f`, where no placeholder is. "
        "Paths of placeholders: `model[0]`."
    )


def test_a_placeholder_can_be_saved_again():
    """A tree with placeholders saves without a warning."""
    survives(zodiax_io.deserialise(kept([make(2)])))


def test_named_functions_need_no_placeholder():
    """`functions="warn"` changes nothing where nothing is missing."""
    one = zodiax_io.build_structure([jnp.sin, plain], functions="warn")
    assert one == zodiax_io.build_structure([jnp.sin, plain])


# Registered ---------------------------------------------------------------------------


def test_a_registered_function_comes_back_by_its_alias():
    """`register` gives a name to what has none."""
    function = zodiax_io.register(make(5), alias="tests.functions:quintuple")
    assert name_of(function) == "tests.functions:quintuple"
    assert survives(Holder(function, function)).leaf is function


def test_an_alias_belongs_to_one_object():
    """An alias that is taken, or is no name, is refused."""
    zodiax_io.register(make(6), alias="tests.functions:sextuple")
    with pytest.raises(ValueError, match="is registered "):
        zodiax_io.register(make(6), alias="tests.functions:sextuple")
    for alias in ("sextuple", "a:b:c", "tests:<lambda>", "tests:__init__", "a b:c"):
        with pytest.raises(ValueError, match="is not valid"):
            zodiax_io.register(make(7), alias=alias)


def test_a_nameless_function_needs_an_alias():
    """`register` says so when a function has no name of its own."""
    with pytest.raises(ValueError, match=r"register\(obj, alias="):
        zodiax_io.register(make(8))


def test_register_serves_as_a_decorator():
    """`register` gives back what it was given."""
    assert zodiax_io.register(registered) is registered


def registered(x: Any) -> Any:
    return x
