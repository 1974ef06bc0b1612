"""Terms, controllers, solvers and solutions of diffrax, and their states."""

from typing import Any

import diffrax as dfx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from equinox import nn

from . import KEY, Objects, constructible


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
OBJECTS: Objects = {
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
    "every class that needs no argument": lambda: constructible(dfx, ()),
    "RESULTS": lambda: [dfx.RESULTS.successful, dfx.RESULTS.event_occurred],
}
