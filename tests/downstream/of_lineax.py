"""Operators and solvers of lineax, their states and solutions."""

from typing import Any

import jax
import jax.numpy as jnp
import lineax as lx

from . import Objects, constructible


def square(y: Any, args: Any) -> Any:
    return y**2 - 1.0


def linear(x: Any) -> Any:
    return 2 * x


MATRIX = jnp.eye(3) * 2 + 0.1
THREE = jax.ShapeDtypeStruct((3,), jnp.float32)
OBJECTS: Objects = {
    "MatrixLinearOperator": lambda: lx.MatrixLinearOperator(MATRIX, lx.symmetric_tag),
    "several tags": lambda: lx.MatrixLinearOperator(
        MATRIX, (lx.symmetric_tag, lx.unit_diagonal_tag, lx.lower_triangular_tag)
    ),
    "PyTreeLinearOperator": lambda: lx.PyTreeLinearOperator(
        {"a": jnp.ones((3, 3))}, {"a": THREE}
    ),
    "FunctionLinearOperator": lambda: lx.FunctionLinearOperator(linear, THREE),
    "JacobianLinearOperator": lambda: lx.JacobianLinearOperator(square, jnp.ones(3)),
    "composed": lambda: (
        lx.MatrixLinearOperator(MATRIX) @ lx.IdentityLinearOperator(THREE)
        + lx.DiagonalLinearOperator(jnp.ones(3)) * 3.0
    ),
    "state of LU": lambda: lx.LU().init(lx.MatrixLinearOperator(MATRIX), {}),
    "state of QR": lambda: lx.QR().init(lx.MatrixLinearOperator(jnp.ones((3, 2))), {}),
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
    "every class that needs no argument": lambda: constructible(lx, ()),
}
