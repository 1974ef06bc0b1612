"""Models, states and training of flax, both linen and nnx."""

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from flax.core import freeze
from flax.training.train_state import TrainState

from . import KEY, Objects


@flax.struct.dataclass
class Metrics:
    loss: jax.Array
    name: str = flax.struct.field(pytree_node=False)


class Network(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(1)(nn.relu(nn.Dense(self.width)(x)))


def variables() -> dict:
    return Network(4).init(KEY, jnp.ones((1, 2)))


OBJECTS: Objects = {
    "dataclass": lambda: Metrics(jnp.ones(()), "train"),
    "variables": variables,
    "frozen variables": lambda: freeze(variables()),
    "variables and optimiser": lambda: (
        variables(),
        optax.adam(1e-3).init(variables()["params"]),
    ),
    "module of linen": lambda: Network(4),
    "state of nnx": lambda: nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0))),
    "state of nnx, plain": lambda: nnx.to_pure_dict(
        nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    ),
    "model of nnx": lambda: nnx.Sequential(
        nnx.Linear(2, 3, rngs=nnx.Rngs(0)), nnx.BatchNorm(3, rngs=nnx.Rngs(1)), nnx.relu
    ),
    "definition and state of nnx": lambda: nnx.split(
        nnx.MultiHeadAttention(2, 4, rngs=nnx.Rngs(0))
    ),
    "random streams of nnx": lambda: nnx.Rngs(0, params=1),
    "optimiser of nnx": lambda: nnx.Optimizer(
        nnx.Linear(2, 3, rngs=nnx.Rngs(0)), optax.adam(1e-3), wrt=nnx.Param
    ),
    "state of an optimiser of nnx": lambda: nnx.state(
        nnx.Optimizer(
            nnx.Linear(2, 3, rngs=nnx.Rngs(0)), optax.adam(1e-3), wrt=nnx.Param
        )
    ),
    "method of a module": lambda: Network(4).apply,
    "TrainState": lambda: TrainState.create(
        apply_fn=Network(4).apply, params=variables()["params"], tx=optax.sgd(0.1)
    ),
}
