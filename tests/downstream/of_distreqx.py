"""Distributions and bijectors of distreqx."""

import jax.numpy as jnp
from distreqx import bijectors, distributions

from . import Objects

OBJECTS: Objects = {
    "distributions": lambda: [
        distributions.Normal(jnp.zeros(2), jnp.ones(2)),
        distributions.Categorical(logits=jnp.arange(3.0)),
        distributions.MultivariateNormalTri(jnp.zeros(2), jnp.eye(2)),
        distributions.Independent(
            distributions.Normal(jnp.zeros(2), jnp.ones(2)),
        ),
    ],
    "bijectors": lambda: [
        bijectors.ScalarAffine(jnp.array(1.0), jnp.array(2.0)),
        bijectors.Chain([bijectors.Tanh(), bijectors.ScalarAffine(jnp.array(0.0))]),
    ],
    "transformed": lambda: distributions.Transformed(
        distributions.Normal(jnp.array(0.0), jnp.array(1.0)), bijectors.Tanh()
    ),
}

# For `registered`: what parameters want.
BY_NAME = {
    "bijector": bijectors.Tanh(),
    "bijectors": [bijectors.Tanh(), bijectors.Sigmoid()],
    "distribution": distributions.Normal(jnp.zeros(2), jnp.ones(2)),
    "ndims": 1,
}
