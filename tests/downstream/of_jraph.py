"""Graphs of jraph."""

import jax.numpy as jnp
import jraph

from . import Objects


def graph() -> jraph.GraphsTuple:
    return jraph.GraphsTuple(
        nodes=jnp.ones((3, 2)),
        edges={"weight": jnp.ones((2, 1))},
        senders=jnp.array([0, 1]),
        receivers=jnp.array([1, 2]),
        n_node=jnp.array([3]),
        n_edge=jnp.array([2]),
        globals=None,
    )


OBJECTS: Objects = {
    "graph": graph,
    "batch": lambda: jraph.batch([graph(), graph()]),
    "padded": lambda: jraph.pad_with_graphs(graph(), 5, 5, 3),
}
