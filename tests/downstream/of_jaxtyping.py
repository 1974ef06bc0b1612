"""Dataclasses that jaxtyping and beartype check, and annotations as values."""

import dataclasses

import jax.numpy as jnp
import jax.tree_util as jtu
from beartype import beartype
from jaxtyping import Array, Float, Int, PyTree, jaxtyped

from . import Objects


@jaxtyped(typechecker=beartype)
@dataclasses.dataclass
class Batch:
    inputs: Float[Array, "batch features"]
    labels: Int[Array, " batch"]


@jtu.register_dataclass
@jaxtyped(typechecker=beartype)
@dataclasses.dataclass(frozen=True)
class Registered:
    inputs: Float[Array, "batch features"]
    name: str = dataclasses.field(metadata={"static": True})


OBJECTS: Objects = {
    "dataclass": lambda: Batch(jnp.ones((2, 3)), jnp.arange(2)),
    "registered dataclass": lambda: Registered(jnp.ones((2, 3)), "train"),
    "annotations": lambda: [Float[Array, "2 *rest"], PyTree[Int[Array, ""]]],
}
