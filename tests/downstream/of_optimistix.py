"""Solvers, descents and solutions of optimistix."""

from typing import Any

import jax.numpy as jnp
import lineax as lx
import optimistix as optx

from . import Objects, constructible


def residual(y: Any, args: Any) -> Any:
    return y**2 - 1.0


def objective(y: Any, args: Any) -> Any:
    return jnp.sum((y - 1.0) ** 2)


def cosine(y: Any, args: Any) -> Any:
    return jnp.cos(y)


OBJECTS: Objects = {
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
    "every class that needs at most tolerances": lambda: constructible(
        optx, (), (1e-3, 1e-6)
    ),
    "RESULTS of optimistix": lambda: optx.RESULTS.nonlinear_max_steps_reached,
}
