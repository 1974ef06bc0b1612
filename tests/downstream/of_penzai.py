"""Layers, variables and named arrays of penzai."""

import jax
import jax.numpy as jnp
from penzai import pz
from penzai.models import simple_mlp

from . import KEY, Objects


def network() -> simple_mlp.MLP:
    return simple_mlp.MLP.from_config(
        name="mlp", init_base_rng=KEY, feature_sizes=[2, 4, 1]
    )


OBJECTS: Objects = {
    "named array": lambda: pz.nx.wrap(jnp.ones((2, 3)), "a", "b"),
    "view of a named array": lambda: pz.nx.wrap(jnp.arange(3)).tag("x").untag("x"),
    "parameter": lambda: pz.Parameter(value=jnp.ones(2), label="w"),
    "state variable": lambda: pz.StateVariable(value=1, label="s", metadata={"a": 1}),
    "network": network,
    "network without its parameters": lambda: pz.unbind_params(network()),
    "layers": lambda: pz.nn.Sequential(
        [pz.nn.Elementwise(jax.nn.relu), pz.nn.RenameAxes("a", "b"), pz.nn.Softmax("b")]
    ),
}
