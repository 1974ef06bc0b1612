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

# For `registered`: what parameters want.
BY_NAME = {
    "base": distrax.Normal(0.0, 1.0),
    "bijector": distrax.Tanh(),
    "bijectors": [distrax.Tanh(), distrax.ScalarAffine(0.0)],
    "component_a": distrax.Normal(0.0, 1.0),
    "component_b": distrax.Normal(1.0, 2.0),
    "components_distribution": distrax.Normal(jnp.arange(2.0), jnp.ones(2)),
    "distribution": distrax.Normal(jnp.zeros(2), jnp.ones(2)),
    "forward": jnp.exp,
    "init_dist": distrax.Categorical(probs=jnp.array([0.25, 0.75])),
    "mask": jnp.array([True, False]),
    "maximum": 1.0,
    "minimum": 0.0,
    "mixture_distribution": distrax.Categorical(probs=jnp.array([0.25, 0.75])),
    "ndims": 1,
    "obs_dist": distrax.Normal(jnp.arange(2.0), jnp.ones(2)),
    "prob_a": 0.25,
    "range_max": 1.0,
    "range_min": 0.0,
    "trans_dist": distrax.Categorical(probs=jnp.eye(2)),
}
