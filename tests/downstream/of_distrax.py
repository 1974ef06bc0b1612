"""Distributions and bijectors of distrax."""

import distrax
import jax.numpy as jnp

from . import Objects

OBJECTS: Objects = {
    "distributions": lambda: [
        distrax.Normal(jnp.zeros(2), jnp.ones(2)),
        distrax.Categorical(logits=jnp.arange(3.0)),
        distrax.MultivariateNormalTri(jnp.zeros(2), jnp.eye(2)),
        distrax.Independent(distrax.Gamma(jnp.ones(2), 2.0), 1),
    ],
    "mixture": lambda: distrax.MixtureSameFamily(
        distrax.Categorical(probs=jnp.array([0.2, 0.8])),
        distrax.Normal(jnp.arange(2.0), 1.0),
    ),
    "bijectors": lambda: [
        distrax.ScalarAffine(1.0, 2.0),
        distrax.Chain([distrax.Tanh(), distrax.ScalarAffine(0.0)]),
        distrax.Inverse(distrax.Sigmoid()),
    ],
    "transformed": lambda: distrax.Transformed(
        distrax.Normal(0.0, 1.0), distrax.ScalarAffine(1.0, 2.0)
    ),
    "from a function": lambda: distrax.Lambda(jnp.exp),
}
