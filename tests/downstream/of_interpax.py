"""Interpolators of interpax."""

import interpax
import jax.numpy as jnp

from . import Objects

X = jnp.linspace(0.0, 1.0, 6)

OBJECTS: Objects = {
    "interpolators": lambda: [
        interpax.Interpolator1D(X, X**2, method="cubic2"),
        interpax.Interpolator2D(X, X, jnp.outer(X, X)),
        interpax.Interpolator3D(X, X, X, jnp.ones((6, 6, 6)), method="linear"),
    ],
    "splines": lambda: [
        interpax.CubicSpline(X, X**2, bc_type="natural"),
        interpax.Akima1DInterpolator(X, X**2),
        interpax.PchipInterpolator(X, X**2),
    ],
}
