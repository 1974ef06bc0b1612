"""Attributes that an object has beside what it is made of: kept, or refused."""

import collections
import contextlib
import copy
import functools
import io
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest
from equality import survives
from examples import CASES, EXAMPLES
from jax.flatten_util import ravel_pytree

import zodiax_io
from zodiax_io._trust import reflection


def double(x: Any) -> Any:
    """Twice as much."""
    return 2 * x


def triple(x: Any) -> Any:
    """Three times as much."""
    return 3 * x


def refusal_of(obj: Any) -> str:
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure({"here": obj})
    assert "`model['here']`" in str(caught.value)
    return str(caught.value).partition("`model['here']`. ")[2]


def is_lost(obj: Any) -> bool:
    """Whether an object comes back without the note that it has."""
    file = io.BytesIO()
    try:
        zodiax_io.serialise(file, [obj])
    except zodiax_io.SerialisationError:
        return False
    file.seek(0)
    (loaded,) = zodiax_io.deserialise(file)
    return getattr(loaded, "note", None) != "calibrated"


def noted(obj: Any) -> Any:
    obj.note = "calibrated"
    return obj


def own(obj: Any) -> Any:
    """A copy that no other object refers to, if one can be made."""
    try:
        return copy.copy(obj)
    except Exception:
        return obj


@pytest.mark.parametrize(("name", "example"), CASES)
def test_no_kind_drops_an_attribute(name, example):
    """An object that takes an attribute keeps it, or is refused with it."""
    example = own(example)
    try:
        object.__setattr__(example, "note", "calibrated")
    except (AttributeError, TypeError):
        return  # it takes none
    try:
        assert not is_lost(example)
    finally:
        object.__delattr__(example, "note")


MAKERS = {
    "ordereddict": lambda: collections.OrderedDict(a=1),
    "masked": lambda: np.ma.array([1, 2], mask=[0, 1]),
    "vmap": lambda: jax.vmap(double),
    "grad": lambda: jax.grad(double),
    "jacfwd": lambda: jax.jacfwd(double),
    "vectorize": lambda: jnp.vectorize(double),
    "named_call": lambda: jax.named_call(double, name="twice"),
    "named_scope": lambda: jax.named_scope("twice")(double),
    "jit": lambda: jax.jit(double),
    "jit of vmap": lambda: jax.jit(jax.vmap(double)),
    "jax": lambda: jnp.ones(2),
    "key": lambda: jr.key(0),
    "unravel": lambda: ravel_pytree({"a": jnp.ones(2)})[1],
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_attribute_is_refused_with_what_cannot_keep_it(make):
    """The refusal names the attribute; without it, the object is kept."""
    survives([make()])
    try:
        obj = noted(make())
    except AttributeError:
        return  # another release of JAX
    assert "note" in refusal_of(obj)
    del obj.note
    survives([obj])


def test_the_refusal_of_an_attribute():
    """It says what would be lost, and what to do."""
    assert refusal_of(noted(collections.OrderedDict(a=1))) == (
        "It has an attribute 'note', which files do not keep with a `OrderedDict`. "
        "Keep it as another item of the tree, and remove it here by `delattr`."
    )
    assert refusal_of(noted(jax.vmap(double))) == (
        "Its `note` has changed since it was made, and the change would be lost. Keep "
        "the function that it wraps, and wrap it again after loading; or give it a "
        "name at the top level of a module."
    )


WRAPPERS = {
    "vmap": jax.vmap,
    "grad": jax.grad,
    "jit": jax.jit,
    "checkpoint": jax.checkpoint,
    "vmap of jit": lambda f: jax.vmap(jax.jit(f)),
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize(
    "name", ["__name__", "__qualname__", "__doc__", "__wrapped__", "__module__"]
)
def test_a_wrapper_with_another_name_is_refused(wrap, name):
    """Changes by `functools.update_wrapper` would be lost."""
    survives([wrap(double)])
    wrapper = wrap(double)
    value = triple if name == "__wrapped__" else "another"
    object.__setattr__(wrapper, name, value)
    refusal_of(wrapper)
    refusal_of(functools.update_wrapper(wrap(double), triple))


def test_a_filter_jit_with_another_name_is_refused():
    """It is a Module, and can be changed by force only."""
    survives([eqx.filter_jit(double)])
    for name, value in [("note", 1), ("__name__", "another"), ("__doc__", None)]:
        wrapper = eqx.filter_jit(double)
        object.__setattr__(wrapper, name, value)
        assert f"`{name}`" in refusal_of(wrapper)


def test_partials_keep_their_attributes():
    """Those of JAX, too, and partials within them."""
    made = noted(jtu.Partial(jnp.add, jnp.ones(2)))
    (loaded,) = survives([made])
    assert loaded.note == "calibrated"
    made = jtu.Partial(noted(functools.partial(jnp.add, 1)), y=2)
    (loaded,) = survives([made])
    assert loaded.func.fun.note == "calibrated"
    made = jtu.Partial(jtu.Partial(jnp.add, 1), 2)
    (loaded,) = survives([made])
    assert type(loaded.func.fun) is jtu.Partial and loaded.args == (2,)
    refusal_of(functools.update_wrapper(jtu.Partial(double, 1), triple))


class _HashableCallableShim:
    """Called as something of JAX."""

    fun = jnp.sin

    def __call__(self, x: Any) -> Any:
        return x


def test_a_function_is_known_by_its_class():
    """An object of the user is not JAX's, whatever the name of its class."""
    (loaded,) = survives([jtu.Partial(_HashableCallableShim())])
    assert type(loaded.func) is _HashableCallableShim


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["jax", "key", "masked", "ordereddict"])
def test_use_leaves_no_attribute(name):
    """Values that a library caches in an object are not attributes of the user."""
    for example in EXAMPLES[name]:
        before = set(reflection.instance_dict(example) or ())
        repr(example), len(np.shape(example))
        for each in dir(example):
            with contextlib.suppress(Exception):
                getattr(example, each)
        zodiax_io.build_structure(example)
        assert set(reflection.instance_dict(example) or ()) >= before
