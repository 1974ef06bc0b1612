"""Bijections, distributions and flows of bijx, which are modules of flax.nnx."""

import bijx
import jax.numpy as jnp
from flax import nnx

from . import Objects

OBJECTS: Objects = {
    "distribution": lambda: bijx.IndependentNormal((2,), rngs=nnx.Rngs(0)),
    "chain": lambda: bijx.Chain(bijx.Tanh(), bijx.Shift(jnp.ones(2)), bijx.Sinh()),
    "flow": lambda: bijx.Transformed(
        bijx.IndependentNormal((2,), rngs=nnx.Rngs(0)), bijx.Scaling(jnp.ones(2))
    ),
    "spline": lambda: bijx.MonotoneRQSpline(4, (), rngs=nnx.Rngs(0)),
    "mask": lambda: bijx.checker_mask((2, 2), True),
    "class": lambda: bijx.GeneralCouplingLayer,
}
