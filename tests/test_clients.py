"""The models of the field: every package whose objects people want to keep."""

import functools
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import diffrax as dfx
import dLux as dl
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import lineax as lx
import numpy as np
import optax
import optax.contrib
import optimistix as optx
import paramax
import pytest
import zodiax as zdx
from equality import survives
from flowjax import bijections as bij, distributions as dist, flows

import zodiax_io

KEY = jr.key(0)


def constructible(module: ModuleType, *arguments: tuple[Any, ...]) -> dict[str, Any]:
    """An instance of every public class of a module that one of the arguments makes."""
    made: dict[str, Any] = {}
    for name, cls in sorted(vars(module).items()):
        if name.startswith("_") or not inspect.isclass(cls) or inspect.isabstract(cls):
            continue
        if not issubclass(cls, eqx.Module) or cls is eqx.Module:
            continue
        for given in arguments:
            try:
                made[name] = cls(*given)
            except Exception:  # it needs other arguments, or is abstract after all
                continue
            break
    return made


def check_all(made: dict[str, Any], at_least: int, **options: Any) -> None:
    """Round trip every object by itself, and name those that fail."""
    failed: dict[str, str] = {}
    for name, obj in made.items():
        try:
            survives(obj, **options)
        except (zodiax_io.ZodiaxIOError, AssertionError) as error:
            failed[name] = str(error)[:300]
    assert failed == {}
    assert len(made) >= at_least


# Equinox ------------------------------------------------------------------------------

nn = eqx.nn
_LINEAR = nn.Linear(3, 2, key=KEY)
LAYERS: dict[str, Callable[[], Any]] = {
    "AdaptiveAvgPool1d": lambda: nn.AdaptiveAvgPool1d(2),
    "AdaptiveAvgPool2d": lambda: nn.AdaptiveAvgPool2d(2),
    "AdaptiveAvgPool3d": lambda: nn.AdaptiveAvgPool3d(2),
    "AdaptiveMaxPool1d": lambda: nn.AdaptiveMaxPool1d(2),
    "AdaptiveMaxPool2d": lambda: nn.AdaptiveMaxPool2d((2, 3)),
    "AdaptiveMaxPool3d": lambda: nn.AdaptiveMaxPool3d(2),
    "AdaptivePool": lambda: nn.AdaptivePool(2, 2, jnp.max),
    "AvgPool1d": lambda: nn.AvgPool1d(2),
    "AvgPool2d": lambda: nn.AvgPool2d((2, 3), 2, padding=1, use_ceil=True),
    "AvgPool3d": lambda: nn.AvgPool3d(2),
    "BatchNorm": lambda: nn.make_with_state(nn.BatchNorm)(3, "batch", mode="ema"),
    "Conv": lambda: nn.Conv(2, 1, 3, 3, key=KEY),
    "Conv1d": lambda: nn.Conv1d(1, 3, 3, padding="SAME", key=KEY),
    "Conv2d": lambda: nn.Conv2d(2, 4, (3, 5), 2, ((1, 1), (0, 2)), 2, 2, key=KEY),
    "Conv3d": lambda: nn.Conv3d(1, 2, 3, key=KEY),
    "ConvTranspose": lambda: nn.ConvTranspose(1, 2, 3, 3, key=KEY),
    "ConvTranspose1d": lambda: nn.ConvTranspose1d(1, 2, 3, key=KEY),
    "ConvTranspose2d": lambda: nn.ConvTranspose2d(
        1, 2, 3, 2, output_padding=1, key=KEY
    ),
    "ConvTranspose3d": lambda: nn.ConvTranspose3d(1, 2, 3, key=KEY),
    "Dropout": lambda: nn.Dropout(0.3, inference=True),
    "Embedding": lambda: nn.Embedding(5, 3, key=KEY),
    "GRUCell": lambda: nn.GRUCell(3, 4, key=KEY),
    "GroupNorm": lambda: nn.GroupNorm(2, 4),
    "Identity": lambda: nn.Identity(),
    "LSTMCell": lambda: nn.LSTMCell(3, 4, use_bias=False, key=KEY),
    "Lambda": lambda: [nn.Lambda(jax.nn.relu), nn.Lambda(np.abs), nn.Lambda(_LINEAR)],
    "LayerNorm": lambda: nn.LayerNorm((3, 4), use_bias=False),
    "Linear": lambda: [_LINEAR, nn.Linear(2, "scalar", dtype=jnp.bfloat16, key=KEY)],
    "MLP": lambda: nn.MLP(2, 3, 4, 2, nn.PReLU(0.1), jnp.tanh, key=KEY),
    "MaxPool1d": lambda: nn.MaxPool1d(2),
    "MaxPool2d": lambda: nn.MaxPool2d(2, 2),
    "MaxPool3d": lambda: nn.MaxPool3d(2, padding=1),
    "MultiheadAttention": lambda: nn.MultiheadAttention(2, 4, dropout_p=0.1, key=KEY),
    "PReLU": lambda: nn.PReLU(jnp.array([0.1, 0.2])),
    "Pool": lambda: nn.Pool(jnp.inf, jax.lax.min, 2, (2, 2)),
    "RMSNorm": lambda: nn.RMSNorm(5),
    "RotaryPositionalEmbedding": lambda: nn.RotaryPositionalEmbedding(8),
    "Sequential": lambda: nn.Sequential([_LINEAR, nn.Lambda(jax.nn.relu)]),
    "Shared": lambda: nn.Shared((_LINEAR, nn.Linear(3, 2, key=KEY)), _second, _first),
    "SpectralNorm": lambda: nn.make_with_state(nn.SpectralNorm)(
        _LINEAR, "weight", key=KEY
    ),
    "State": lambda: nn.State(nn.BatchNorm(3, "batch", mode="batch")),
    "StateIndex": lambda: nn.make_with_state(nn.StateIndex)({"a": jnp.zeros(2)}),
    "WeightNorm": lambda: nn.WeightNorm(nn.Conv2d(1, 2, 3, key=KEY), axis=None),
}


def _first(pair: Any) -> Any:
    return pair[0].weight


def _second(pair: Any) -> Any:
    return pair[1].weight


def test_every_layer_of_equinox_has_an_example():
    """No layer joins `equinox.nn` unnoticed."""
    classes = {name for name, value in vars(nn).items() if inspect.isclass(value)}
    assert classes - set(LAYERS) <= {"StatefulLayer"}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_of_equinox_comes_back(name):
    """Every layer of `equinox.nn` comes back, with its state where it has one."""
    survives(LAYERS[name]())


# Optax --------------------------------------------------------------------------------

PARAMETERS = {"w": jnp.arange(6.0).reshape(2, 3), "b": jnp.ones(3)}
_SGD, _ADAM = optax.sgd(1e-2), optax.adam(1e-3)
_MASK = {"w": True, "b": False}
# What optimisers ask for beside, or instead of, a learning rate.
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "adaptive_grad_clip": (0.1,),
    "add_noise": (0.1, 0.5, 0),
    "apply_if_finite": (_ADAM, 3),
    "chain": (optax.clip(1.0), _ADAM),
    "conditionally_mask": (_ADAM, jnp.sum),
    "conditionally_transform": (_ADAM, jnp.sum),
    "differentially_private_aggregate": (0.1, 1.0, 0),
    "dpsgd": (0.1, 1.0, 0.1, 0),
    "flatten": (_ADAM,),
    "freeze": (_MASK,),
    "masked": (_ADAM, _MASK),
    "maybe_update": (_ADAM, jnp.sum),
    "mechanize": (_ADAM,),
    "multi_transform": ({"a": _ADAM, "b": _SGD}, {"w": "a", "b": "b"}),
    "named_chain": (("clip", optax.clip(1.0)), ("adam", _ADAM)),
    "noisy_sgd": (0.1, 0.1, 0.5, 0),
    "partition": ({"a": _ADAM, 1: _SGD}, {"w": "a", "b": 1}),
    "sam": (_ADAM, _SGD),
    "schedule_free": (_SGD, 1e-2),
    "selective_transform": (_ADAM,),
    "split_real_and_imaginary": (_ADAM,),
}


def optimisers() -> dict[str, Any]:
    """Every function of optax that makes a gradient transformation."""
    made: dict[str, Any] = {}
    for module in (optax, optax.contrib):
        for name, function in sorted(vars(module).items()):
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            attempts = [ARGUMENTS[name]] if name in ARGUMENTS else [(1e-2,), ()]
            for arguments in attempts:
                try:
                    result = function(*arguments)
                    jax.eval_shape(result.init, PARAMETERS)
                except Exception:
                    continue
                made[f"{module.__name__}.{name}"] = result
                break
    return made


OPTIMISERS = optimisers()


def test_the_optimisers_are_collected():
    """The sweep has found what optax offers, so the next test tests it."""
    assert len(OPTIMISERS) > 90
    assert {"optax.adamw", "optax.lbfgs", "optax.contrib.prodigy"} <= set(OPTIMISERS)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_the_state_of_an_optimiser_comes_back(name):
    """The state of every optimiser of optax comes back as its own classes."""
    survives(OPTIMISERS[name].init(PARAMETERS))


STATES: dict[str, Callable[[], Any]] = {
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.adamw)(
        learning_rate=optax.linear_schedule(1.0, 0.0, 10)
    ).init(PARAMETERS),
    "MultiSteps": lambda: optax.MultiSteps(_ADAM, 4).init(PARAMETERS),
    "lookahead": lambda: optax.lookahead(_SGD, 5, 0.5).init(
        optax.LookaheadParams.init_synced(PARAMETERS)
    ),
    "bfloat16": lambda: optax.adam(0.1, mu_dtype=jnp.bfloat16).init(PARAMETERS),
    "of a model": lambda: _ADAM.init(eqx.filter(_LINEAR, eqx.is_inexact_array)),
    "abstract": lambda: jax.eval_shape(_ADAM.init, PARAMETERS),
    "in NumPy": lambda: jax.device_get(_ADAM.init(PARAMETERS)),
}


@pytest.mark.parametrize("what", STATES)
def test_a_state_of_optax_comes_back(what):
    """States that wrap others, and states of whole models, come back."""
    survives(STATES[what]())


def test_an_optimiser_goes_on_where_it_was():
    """The step after loading is the step that would have been taken."""
    optimiser = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(),
        optax.scale_by_schedule(optax.cosine_decay_schedule(1e-3, 10)),
    )
    parameters, state = PARAMETERS, optimiser.init(PARAMETERS)
    for _ in range(2):
        updates, state = optimiser.update(parameters, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
    parameters_, state_ = survives((parameters, state))
    expected, _ = optimiser.update(parameters, state, parameters)
    updates, _ = optimiser.update(parameters_, state_, parameters_)
    assert jtu.tree_all(jtu.tree_map(jnp.array_equal, expected, updates))


# Diffrax ------------------------------------------------------------------------------


def vector_field(t: Any, y: Any, args: Any) -> Any:
    return -y


def diffusion(t: Any, y: Any, args: Any) -> Any:
    return 0.1 * y


def condition(t: Any, y: Any, args: Any, **kwargs: Any) -> Any:
    return y[0] - 0.5


def doubled(t: Any, y: Any, args: Any) -> Any:
    return 2 * y


def solve(solver: Any = None, **options: Any) -> dfx.Solution:
    options.setdefault("saveat", dfx.SaveAt(t1=True))
    return dfx.diffeqsolve(
        dfx.ODETerm(vector_field), solver or dfx.Tsit5(), 0.0, 1.0, 0.1,
        jnp.array([1.0, 2.0]), **options,
    )  # fmt: skip


PID = dfx.PIDController(1e-3, 1e-6, pcoeff=0.3, icoeff=0.4)
DIFFRAX: dict[str, Callable[[], Any]] = {
    "terms": lambda: dfx.MultiTerm(
        dfx.ODETerm(vector_field),
        dfx.ControlTerm(diffusion, dfx.UnsafeBrownianPath((2,), KEY)),
    ),
    "a neural term": lambda: dfx.ODETerm(nn.MLP(2, 2, 4, 1, jax.nn.softplus, key=KEY)),
    "VirtualBrownianTree": lambda: dfx.VirtualBrownianTree(
        0.0,
        1.0,
        1e-3,
        {"a": jax.ShapeDtypeStruct((2,), jnp.float32)},
        key=KEY,
        levy_area=dfx.SpaceTimeLevyArea,
    ),
    "PIDController": lambda: [PID, dfx.PIDController(1e-3, 1e-6, norm=optx.max_norm)],
    "ClipStepSizeController": lambda: dfx.ClipStepSizeController(
        PID, step_ts=jnp.array([0.5]), store_rejected_steps=10
    ),
    "StepTo": lambda: [dfx.StepTo(jnp.linspace(0, 1, 5)), dfx.ConstantStepSize()],
    "SaveAt": lambda: dfx.SaveAt(ts=[0.0, 1.0], dense=True, solver_state=True),
    "SaveAt with subs": lambda: dfx.SaveAt(
        subs={"a": dfx.SubSaveAt(t1=True), "b": dfx.SubSaveAt(ts=[0.5], fn=doubled)}
    ),
    "implicit solvers": lambda: [
        dfx.Kvaerno5(root_finder=dfx.VeryChord(1e-3, 1e-6)),
        dfx.Kvaerno3(root_finder=optx.Newton(1e-8, 1e-8, linear_solver=lx.LU())),
    ],
    "HalfSolver": lambda: dfx.HalfSolver(dfx.Euler()),
    "adjoints": lambda: [
        dfx.RecursiveCheckpointAdjoint(checkpoints=5),
        dfx.BacksolveAdjoint(solver=dfx.Tsit5(), stepsize_controller=PID),
        dfx.ImplicitAdjoint(linear_solver=lx.AutoLinearSolver(well_posed=None)),
    ],
    "Event": lambda: dfx.Event([condition], optx.Newton(1e-5, 1e-5), [True]),
    "interpolations": lambda: [
        dfx.LinearInterpolation(jnp.arange(4.0), jnp.ones((4, 2))),
        dfx.CubicInterpolation(
            jnp.arange(4.0),
            dfx.backward_hermite_coefficients(jnp.arange(4.0), jnp.ones((4, 2))),
        ),
    ],
    "tableaus": lambda: [dfx.Dopri5.tableau, dfx.SRA1.tableau, dfx.Kvaerno3.tableau],
    "solution": solve,
    "dense solution": lambda: solve(saveat=dfx.SaveAt(dense=True), max_steps=32),
    "solution with states": lambda: solve(
        dfx.Kvaerno3(),
        saveat=dfx.SaveAt(t1=True, solver_state=True, controller_state=True),
        stepsize_controller=PID,
    ),
    "failed solution": lambda: solve(max_steps=2, throw=False),
    "RESULTS": lambda: [dfx.RESULTS.successful, dfx.RESULTS.event_occurred],
}


@pytest.mark.parametrize("what", DIFFRAX)
def test_an_object_of_diffrax_comes_back(what):
    """Terms, controllers, solutions and their states come back."""
    survives(DIFFRAX[what]())


def test_every_solver_of_diffrax_comes_back():
    """All solvers, paths and meters that need no arguments come back."""
    check_all(constructible(dfx, ()), at_least=30)


def test_a_neural_ode_solves_the_same():
    """A model around a solver gives the same solution, bit for bit."""
    term = dfx.ODETerm(nn.MLP(2, 2, 4, 1, jax.nn.softplus, key=KEY))

    def run(term: Any) -> Any:
        y0 = jnp.ones(2)
        return dfx.diffeqsolve(term, dfx.Heun(), 0.0, 1.0, 0.5, y0, None).ys

    term = dfx.ODETerm(_OverTime(term.vector_field))
    assert jnp.array_equal(run(term), run(survives(term)))


class _OverTime(eqx.Module):
    network: nn.MLP

    def __call__(self, t: Any, y: Any, args: Any) -> Any:
        return self.network(y)


# Lineax and Optimistix ----------------------------------------------------------------


def residual(y: Any, args: Any) -> Any:
    return y**2 - 1.0


def objective(y: Any, args: Any) -> Any:
    return jnp.sum((y - 1.0) ** 2)


def cosine(y: Any, args: Any) -> Any:
    return jnp.cos(y)


def linear(x: Any) -> Any:
    return 2 * x


MATRIX = jnp.eye(3) * 2 + 0.1
THREE = jax.ShapeDtypeStruct((3,), jnp.float32)
SOLVERS: dict[str, Callable[[], Any]] = {
    "MatrixLinearOperator": lambda: lx.MatrixLinearOperator(MATRIX, lx.symmetric_tag),
    "several tags": lambda: lx.MatrixLinearOperator(
        MATRIX, (lx.symmetric_tag, lx.unit_diagonal_tag, lx.lower_triangular_tag)
    ),
    "PyTreeLinearOperator": lambda: lx.PyTreeLinearOperator(
        {"a": jnp.ones((3, 3))}, {"a": THREE}
    ),
    "FunctionLinearOperator": lambda: lx.FunctionLinearOperator(linear, THREE),
    "JacobianLinearOperator": lambda: lx.JacobianLinearOperator(residual, jnp.ones(3)),
    "composed": lambda: (
        lx.MatrixLinearOperator(MATRIX) @ lx.IdentityLinearOperator(THREE)
        + lx.DiagonalLinearOperator(jnp.ones(3)) * 3.0
    ),
    "state of LU": lambda: lx.LU().init(lx.MatrixLinearOperator(MATRIX), {}),
    "state of AutoLinearSolver": lambda: lx.AutoLinearSolver(well_posed=True).init(
        lx.MatrixLinearOperator(MATRIX, lx.positive_semidefinite_tag), {}
    ),
    "linear solvers": lambda: [
        lx.CG(1e-3, 1e-6, max_steps=5),
        lx.GMRES(1e-3, 1e-6, restart=5),
        lx.Normal(lx.Cholesky()),
        lx.SVD(rcond=1e-5),
    ],
    "RESULTS of lineax": lambda: [lx.RESULTS.successful, lx.RESULTS.singular],
    "linear solution": lambda: lx.linear_solve(
        lx.MatrixLinearOperator(MATRIX), jnp.ones(3)
    ),
    "root": lambda: optx.root_find(residual, optx.Newton(1e-5, 1e-5), jnp.array(2.0)),
    "minimum": lambda: optx.minimise(objective, optx.BFGS(1e-5, 1e-5), jnp.zeros(2)),
    "fixed point": lambda: optx.fixed_point(
        cosine, optx.FixedPointIteration(1e-5, 1e-5), jnp.array(0.5)
    ),
    "descents": lambda: [
        optx.NewtonDescent(linear_solver=lx.SVD()),
        optx.SteepestDescent(norm=optx.max_norm),
        optx.BacktrackingArmijo(slope=0.2),
        optx.NonlinearCG(1e-3, 1e-6, method=optx.hestenes_stiefel),
        optx.BestSoFarMinimiser(optx.BFGS(1e-3, 1e-6)),
    ],
    "RESULTS of optimistix": lambda: optx.RESULTS.nonlinear_max_steps_reached,
}


@pytest.mark.parametrize("what", SOLVERS)
def test_an_object_of_lineax_or_optimistix_comes_back(what):
    """Operators, solvers, their states and solutions come back."""
    survives(SOLVERS[what]())


def test_tags_are_the_same_objects():
    """A tag is compared by identity, so it must come back as itself."""
    loaded = survives(lx.MatrixLinearOperator(MATRIX, lx.symmetric_tag))
    assert lx.is_symmetric(loaded)


def test_every_solver_of_lineax_and_optimistix_comes_back():
    """All classes of both packages that take no arguments, or tolerances, come back."""
    check_all(constructible(lx, ()), at_least=6)
    check_all(constructible(optx, (), (1e-3, 1e-6)), at_least=20)


# Flowjax ------------------------------------------------------------------------------


def _base() -> dist.AbstractDistribution:
    return dist.Normal(jnp.zeros(2))


FLOWS: dict[str, Callable[[], Any]] = {
    "masked_autoregressive_flow": lambda: flows.masked_autoregressive_flow(
        KEY, base_dist=_base(), nn_width=4, nn_depth=1, flow_layers=2
    ),
    "with splines": lambda: flows.masked_autoregressive_flow(
        KEY,
        base_dist=_base(),
        cond_dim=2,
        nn_width=4,
        nn_depth=1,
        flow_layers=2,
        transformer=bij.RationalQuadraticSpline(knots=3, interval=2),
    ),
    "coupling_flow": lambda: flows.coupling_flow(
        KEY, base_dist=_base(), nn_width=4, nn_depth=1, flow_layers=2
    ),
    "planar_flow": lambda: flows.planar_flow(
        KEY, base_dist=_base(), flow_layers=2, width_size=4, depth=1
    ),
    "distributions": lambda: [
        dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2) + 0.1),
        dist.StudentT(jnp.array([2.0, 3.0]), 1.0, 2.0),
        dist.Transformed(_base(), bij.Chain([bij.Exp((2,)), bij.Tanh((2,))])),
    ],
    "bijections": lambda: [
        bij.Concatenate([bij.Affine(jnp.zeros(2)), bij.Tanh((3,))]),
        bij.Permute(jnp.array([1, 0, 2])),
        bij.Scan(eqx.filter_vmap(bij.Affine)(jnp.ones((3, 2)))),
        bij.Planar(KEY, dim=3, cond_dim=2, width_size=4, depth=1),
    ],
    "vmapped": lambda: bij.Vmap(
        eqx.filter_vmap(bij.Affine)(jnp.ones((3, 2))), in_axes=eqx.if_array(0)
    ),
    "paramax": lambda: [
        paramax.Parameterize(jnp.exp, paramax.NonTrainable(jnp.ones(1))),
        paramax.WeightNormalization(jnp.ones((2, 3))),
        paramax.non_trainable(_LINEAR),
    ],
}


# Their layers hold functions that flowjax makes within others.
CLOSURES = {"masked_autoregressive_flow", "with splines", "coupling_flow"}


@pytest.mark.parametrize("what", FLOWS)
def test_a_flow_comes_back(what):
    """Flows, distributions and bijections of flowjax come back."""
    survives(FLOWS[what](), trusted=["flowjax"] if what in CLOSURES else ())


def test_every_distribution_of_flowjax_comes_back():
    """All distributions and bijections that a shape is enough for come back."""
    check_all(constructible(dist, (), (jnp.ones(2),)), at_least=8)
    check_all(constructible(bij, (), ((2,),)), at_least=8)


def test_a_flow_gives_the_same_samples():
    """A loaded flow draws the samples that the saved one would."""
    flow = FLOWS["coupling_flow"]()
    samples = survives(flow).sample(jr.key(1), (3,))
    assert jnp.array_equal(flow.sample(jr.key(1), (3,)), samples)


# Zodiax and dLux ----------------------------------------------------------------------

WAVELENGTHS = jnp.array([500e-9, 600e-9])


def optics() -> dl.AngularOpticalSystem:
    basis = jnp.stack([jnp.ones((16, 16)), jnp.arange(256.0).reshape(16, 16) / 256])
    aperture = dl.TransmissiveLayer(jnp.ones((16, 16)), normalise=True)
    layers = [("aperture", aperture), ("basis", dl.BasisLayer(basis, jnp.zeros(2)))]
    return dl.AngularOpticalSystem(16, 1.0, layers, 8, 0.1, 2)


def detector() -> dl.LayeredDetector:
    layers = [("jitter", dl.ApplyJitter(1.0)), dl.AddConstant(1.0)]
    return dl.LayeredDetector(layers)


class Model(zdx.Base):
    """As researchers write them: names are looked for in all that it holds."""

    params: dict[str, Any]
    telescope: Any
    n: int = eqx.field(static=True)

    def __init__(self) -> None:
        source = dl.PointSource(WAVELENGTHS)
        self.params, self.n = {"a": 1.0, "b": jnp.ones(2)}, 3
        self.telescope = dl.Telescope(optics(), ("star", source), detector())

    def __getattr__(self, name: str) -> Any:
        if name in self.params:
            return self.params[name]
        return getattr(self.telescope, name)


OPTICS: dict[str, Callable[[], Any]] = {
    "AngularOpticalSystem": optics,
    "CartesianOpticalSystem": lambda: dl.CartesianOpticalSystem(
        16, 1.0, [dl.CircularAperture(0.5)], 10.0, 8, 5.0
    ),
    "LayeredOpticalSystem": lambda: dl.LayeredOpticalSystem(
        16, 1.0, [dl.Tilt(jnp.zeros(2)), dl.Normalise(), dl.Optic(jnp.ones((16, 16)))]
    ),
    "Detector": detector,
    "Telescope": lambda: Model().telescope,
    "Wavefront": lambda: dl.Wavefront(500e-9, 16, 1.0).tilt(jnp.array([1e-7, 0.0])),
    "PSF": lambda: dl.PSF(jnp.ones((8, 8)), jnp.array(0.1)),
    "Layers": lambda: [
        dl.BasisLayer(jnp.ones((3, 4, 4))),
        dl.AberratedLayer(jnp.zeros((4, 4))),
        dl.Rotate(0.3, "cubic", True),
        dl.Flip((0, 1)),
        dl.MFT(16, 0.1, 2.0),
    ],
    "Apertures": lambda: [
        dl.CircularAperture(0.5, dl.CoordTransform(jnp.zeros(2)), True),
        dl.RegPolyAperture(6, 1.0),
        dl.Spider(0.1, jnp.array([0.0, 120.0])),
        dl.CompoundAperture([("p", dl.CircularAperture(1.0)), dl.SquareAperture(0.5)]),
    ],
    "Sources": lambda: dl.Scene(
        [
            ("a", dl.PointSource(WAVELENGTHS, jnp.zeros(2), 1e3)),
            ("b", dl.BinarySource(WAVELENGTHS, separation=1e-6, contrast=2.0)),
            ("c", dl.ResolvedSource(WAVELENGTHS, distribution=jnp.ones((3, 3)))),
        ]
    ),
    "Spectra": lambda: [
        dl.Spectrum(WAVELENGTHS, jnp.ones(2)),
        dl.PolySpectrum(WAVELENGTHS, jnp.ones(3)),
    ],
    "zodiax.Base": Model,
    "after set": lambda: Model().set("basis.coefficients", jnp.ones(2)),
    "EquinoxWrapper": lambda: zdx.build_wrapper(nn.MLP(2, 2, 3, 1, key=KEY)),
    "bound method": lambda: Model().telescope.model,
}


@pytest.mark.parametrize("what", OPTICS)
def test_an_object_of_dlux_or_zodiax_comes_back(what):
    """Optical systems, layers, sources, detectors and telescopes come back."""
    survives(OPTICS[what]())


def test_every_class_of_dlux_comes_back():
    """All classes of dLux that need no arguments, or one number, come back."""
    check_all(constructible(dl, (), (1.0,), (1,)), at_least=10)


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
