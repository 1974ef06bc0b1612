"""Gaussian processes of gpjax: kernels, parameters, priors, posteriors, data."""

import gpjax as gpx
import jax.numpy as jnp

from . import Objects

X = jnp.linspace(0.0, 1.0, 5)[:, None]


def prior() -> gpx.Prior:
    return gpx.Prior(gpx.kernels.RBF(lengthscale=0.3), gpx.mean_functions.Zero())


OBJECTS: Objects = {
    "kernels": lambda: [
        gpx.kernels.RBF(lengthscale=0.3),
        gpx.kernels.Matern52() + gpx.kernels.White(),
        gpx.kernels.Periodic() * gpx.kernels.Linear(),
    ],
    "parameters": lambda: [
        gpx.parameters.PositiveReal(1.0),
        gpx.parameters.SigmoidBounded(0.5),
    ],
    "prior": prior,
    "posterior": lambda: prior() * gpx.likelihoods.Gaussian(),
    "posterior that is not conjugate": lambda: prior() * gpx.likelihoods.Bernoulli(),
    "data": lambda: gpx.Dataset(X, X**2),
}
# Its integrator is an object of a plain class.
REFUSED = {"posterior that is not conjugate"}
