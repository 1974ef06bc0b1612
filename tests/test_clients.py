"""The models of the field: every package whose objects people want to keep."""

import functools
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import pytest
from downstream import TESTED, table
from equality import survives

import zodiax_io

KEY = jr.key(0)


def objects() -> list[Any]:
    """Every object of the tables of `downstream`; those of absent packages skip."""
    found: list[Any] = []
    for package in TESTED:
        try:
            names = table(package).OBJECTS
        except ModuleNotFoundError as absent:
            skip = pytest.mark.skip(reason=f"{absent.name} is not installed")
            found.append(pytest.param(package, None, id=package, marks=skip))
        else:
            found += [pytest.param(package, x, id=f"{package}-{x}") for x in names]
    return found


# The layers of flows hold functions that flowjax makes within others.
TRUSTED = {
    ("flowjax", name): ["flowjax"]
    for name in ("masked_autoregressive_flow", "with splines", "coupling_flow")
}


@pytest.mark.parametrize(("package", "name"), objects())
def test_an_object_comes_back(package, name):
    """Models, solvers, states and solutions come back as their own classes."""
    module = table(package)
    if name in module.REFUSED:
        with pytest.raises(zodiax_io.SerialisationError):
            zodiax_io.build_structure(module.OBJECTS[name]())
    else:
        survives(module.OBJECTS[name](), trusted=TRUSTED.get((package, name), ()))


def made(package: str) -> dict[str, Any]:
    """The instances of every public class of a package that is easily made."""
    pytest.importorskip(package)
    objects = table(package).OBJECTS
    (name,) = (name for name in objects if name.startswith("every class"))
    return objects[name]()


# Equinox ------------------------------------------------------------------------------


def test_every_layer_of_equinox_has_an_example():
    """No layer joins `equinox.nn` unnoticed."""
    classes = {name for name, value in vars(eqx.nn).items() if inspect.isclass(value)}
    assert classes - set(table("equinox").OBJECTS) <= {"StatefulLayer"}


# Optax --------------------------------------------------------------------------------


def test_the_optimisers_are_collected():
    """The sweep has found what optax offers, so the table holds it."""
    pytest.importorskip("optax")
    optimisers = table("optax").OPTIMISERS
    assert len(optimisers) > 90
    assert {"optax.adamw", "optax.lbfgs", "optax.contrib.prodigy"} <= set(optimisers)


def test_an_optimiser_goes_on_where_it_was():
    """The step after loading is the step that would have been taken."""
    optax = pytest.importorskip("optax")
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(),
        optax.scale_by_schedule(optax.cosine_decay_schedule(1e-3, 10)),
    )
    parameters = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3)}
    state = optimiser.init(parameters)
    for _ in range(2):
        updates, state = optimiser.update(parameters, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    parameters_, state_ = survives((parameters, state))
    expected, _ = optimiser.update(parameters, state, parameters)
    updates, _ = optimiser.update(parameters_, state_, parameters_)
    assert jtu.tree_all(jtu.tree_map(jnp.array_equal, expected, updates))


# Diffrax ------------------------------------------------------------------------------


def test_the_solvers_of_diffrax_are_collected():
    """All solvers, paths and meters that need no arguments are in the table."""
    assert len(made("diffrax")) >= 30


def test_a_neural_ode_solves_the_same():
    """A model around a solver gives the same solution, bit for bit."""
    dfx = pytest.importorskip("diffrax")
    term = dfx.ODETerm(eqx.nn.MLP(2, 2, 4, 1, jax.nn.softplus, key=KEY))

    def run(term: Any) -> Any:
        y0 = jnp.ones(2)
        return dfx.diffeqsolve(term, dfx.Heun(), 0.0, 1.0, 0.5, y0, None).ys

    term = dfx.ODETerm(_OverTime(term.vector_field))
    assert jnp.array_equal(run(term), run(survives(term)))


class _OverTime(eqx.Module):
    network: eqx.nn.MLP

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        return self.network(y)


# Lineax and Optimistix ----------------------------------------------------------------


def test_tags_are_the_same_objects():
    """A tag is compared by identity, so it must come back as itself."""
    lx = pytest.importorskip("lineax")
    loaded = survives(lx.MatrixLinearOperator(jnp.eye(3), lx.symmetric_tag))
    assert lx.is_symmetric(loaded)


def test_the_solvers_of_lineax_and_optimistix_are_collected():
    """All classes that take no arguments, or tolerances, are in the tables."""
    assert len(made("lineax")) >= 6
    assert len(made("optimistix")) >= 20


# Flowjax ------------------------------------------------------------------------------


def test_the_distributions_of_flowjax_are_collected():
    """All distributions and bijections that a shape is enough for are in the table."""
    distributions, bijections = made("flowjax")
    assert len(distributions) >= 8
    assert len(bijections) >= 8


def test_a_flow_gives_the_same_samples():
    """A loaded flow draws the samples that the saved one would."""
    pytest.importorskip("flowjax")
    flow = table("flowjax").OBJECTS["coupling_flow"]()
    samples = survives(flow).sample(jr.key(1), (3,))
    assert jnp.array_equal(flow.sample(jr.key(1), (3,)), samples)


# Zodiax and dLux ----------------------------------------------------------------------


def test_a_zodiax_model_comes_back_with_its_paths():
    """A `zodiax.Base` can be read and set by path after loading."""
    pytest.importorskip("zodiax")
    model = table("zodiax").Telescope()
    weight = model.get("aperture.weight")
    loaded = survives(model.multiply("aperture.weight", 3.0))
    assert jnp.array_equal(loaded.get("aperture.weight"), 3.0 * weight)
    assert loaded.set("pixel_scale", 1.0).pixel_scale == 1.0


def test_the_classes_of_dlux_are_collected():
    """All classes that need no arguments, or one number, are in the table."""
    assert len(made("dLux")) >= 10


# From one process to another ----------------------------------------------------------

COMMON = """
import hashlib, sys
import jax, jax.numpy as jnp, optax, equinox as eqx
import zodiax_io

optimiser = optax.adam(1e-2)

@eqx.filter_jit
def psf_of(model):
    return model.propagate(jnp.array([500e-9, 600e-9]))

@eqx.filter_jit
def step(model, state):
    loss = lambda m: jnp.sum(m.propagate(jnp.array([500e-9])) ** 2)
    gradient = eqx.filter_grad(loss)(model)
    updates, state = optimiser.update(gradient, state)
    return eqx.apply_updates(model, updates), state

def tell(checkpoint):
    model, state = step(checkpoint["model"], checkpoint["state"])
    arrays = [psf_of(checkpoint["model"]), *jax.tree.leaves((model, state)),
              jax.random.normal(checkpoint["key"], (4,))]
    for array in arrays:
        if eqx.is_array(array):
            print(hashlib.sha256(bytes(jnp.asarray(array))).hexdigest())
"""
SAVE = """
import dLux as dl
basis = jax.random.normal(jax.random.key(1), (3, 16, 16)) * 1e-8
aperture = dl.TransmissiveLayer(jnp.ones((16, 16)), normalise=True)
layers = [("aperture", aperture), ("basis", dl.BasisLayer(basis, jnp.ones(3)))]
model = dl.AngularOpticalSystem(16, 1.0, layers, 8, 0.1, 2)
state = optimiser.init(eqx.filter(model, eqx.is_inexact_array))
model, state = step(model, state)
checkpoint = {"model": model, "state": state, "key": jax.random.key(7)}
zodiax_io.serialise(sys.argv[1], checkpoint)
tell(checkpoint)
"""
LOAD = """
assert "dLux" not in sys.modules
tell(zodiax_io.deserialise(sys.argv[1], versions="error"))
"""


def test_another_process_goes_on_bit_for_bit(tmp_path):
    """A process that never saw the telescope gets its PSF and its next step exactly."""
    pytest.importorskip("dLux")
    root = str(Path(zodiax_io.__file__).parents[1])
    run = functools.partial(
        subprocess.run,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
        text=True,
    )
    path = str(tmp_path / "checkpoint.zdx")
    saved = run([sys.executable, "-c", COMMON + SAVE, path]).stdout
    loaded = run([sys.executable, "-c", COMMON + LOAD, path]).stdout
    assert len(saved.split()) > 5
    assert loaded == saved
