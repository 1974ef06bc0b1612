"""Representations, arrays and layers of e3nn."""

import e3nn_jax as e3nn
import jax
import jax.numpy as jnp

from . import Objects

OBJECTS: Objects = {
    "representation": lambda: [e3nn.Irrep("1o"), e3nn.Irreps("2x0e + 1x1o")],
    "array": lambda: e3nn.IrrepsArray("2x0e + 1o", jnp.ones((3, 5))),
    "spherical harmonics": lambda: e3nn.spherical_harmonics("1o", jnp.ones(3), True),
    "linear map": lambda: e3nn.FunctionalLinear("0e + 1o", "0e + 1o"),
    "module of flax": lambda: e3nn.flax.MultiLayerPerceptron([3], jax.nn.relu),
}
