"""Gaussian processes of tinygp: kernels, means, noise and conditioned processes."""

import jax.numpy as jnp
import tinygp
from tinygp import GaussianProcess, kernels, transforms

from . import Objects

X = jnp.linspace(0.0, 1.0, 5)


def process() -> GaussianProcess:
    return GaussianProcess(1.5 * kernels.ExpSquared(0.3), X, diag=0.1, mean=1.0)


OBJECTS: Objects = {
    "kernels": lambda: [
        kernels.Matern32(0.5) + 2.0 * kernels.Cosine(1.5),
        kernels.Matern52(scale=0.5, distance=kernels.L2Distance()),
        kernels.Custom(jnp.dot),
    ],
    "transformed kernel": lambda: transforms.Linear(
        jnp.ones(2), kernels.ExpSquared(1.0)
    ),
    "quasiseparable kernel": lambda: kernels.quasisep.SHO(1.0, 2.0, 0.5),
    "noise": lambda: [tinygp.noise.Diagonal(X), tinygp.noise.Dense(jnp.eye(2))],
    "process": process,
    "quasiseparable process": lambda: GaussianProcess(
        kernels.quasisep.Matern32(1.0), X, diag=0.1
    ),
    "conditioned process": lambda: process().condition(X**2, X),
}
