"""Array-ish values of quax's examples, and models that hold them."""

import equinox as eqx
import jax.numpy as jnp
import quax
from quax.examples import lora, named, sparse, structured_matrices, unitful, zero

from . import KEY, Objects

OBJECTS: Objects = {
    "LoRA": lambda: lora.loraify(
        eqx.nn.MLP(2, 2, 4, 1, key=KEY), rank=2, scale=0.1, key=KEY
    ),
    "quaxified": lambda: quax.quaxify(jnp.sin),
    "named": lambda: named.NamedArray(jnp.ones((2, 3)), (named.Axis(2), named.Axis(3))),
    "sparse": lambda: sparse.BCOO(
        jnp.ones(2), jnp.array([[0], [1]]), (3,), allow_materialise=True
    ),
    "tridiagonal": lambda: structured_matrices.TridiagonalMatrix(
        jnp.ones(2), jnp.ones(3), jnp.ones(2)
    ),
    "unitful": lambda: unitful.Unitful(jnp.ones(2), {unitful.meters: 1}),
    "zero": lambda: zero.Zero((2,), jnp.float32),
}
