"""Flows, distributions and bijections of flowjax, and the parameters of paramax."""

import equinox as eqx
import jax.numpy as jnp
import paramax
from flowjax import bijections as bij, distributions as dist, flows

from . import KEY, Objects, constructible


def _base() -> dist.AbstractDistribution:
    return dist.Normal(jnp.zeros(2))


OBJECTS: Objects = {
    "masked_autoregressive_flow": lambda: flows.masked_autoregressive_flow(
        KEY, base_dist=_base(), nn_width=4, nn_depth=1, flow_layers=2
    ),
    "with splines": lambda: flows.masked_autoregressive_flow(
        KEY,
        base_dist=_base(),
        cond_dim=2,
        nn_width=4,
        nn_depth=1,
        flow_layers=2,
        transformer=bij.RationalQuadraticSpline(knots=3, interval=2),
    ),
    "coupling_flow": lambda: flows.coupling_flow(
        KEY, base_dist=_base(), nn_width=4, nn_depth=1, flow_layers=2
    ),
    "planar_flow": lambda: flows.planar_flow(
        KEY, base_dist=_base(), flow_layers=2, width_size=4, depth=1
    ),
    "block_neural_autoregressive_flow": lambda: flows.block_neural_autoregressive_flow(
        KEY, base_dist=_base(), flow_layers=1, nn_block_dim=2
    ),
    "triangular_spline_flow": lambda: flows.triangular_spline_flow(
        KEY, base_dist=_base(), flow_layers=1, knots=3
    ),
    "distributions": lambda: [
        dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2) + 0.1),
        dist.StudentT(jnp.array([2.0, 3.0]), 1.0, 2.0),
        dist.Transformed(_base(), bij.Chain([bij.Exp((2,)), bij.Tanh((2,))])),
    ],
    "bijections": lambda: [
        bij.Concatenate([bij.Affine(jnp.zeros(2)), bij.Tanh((3,))]),
        bij.Permute(jnp.array([1, 0, 2])),
        bij.Scan(eqx.filter_vmap(bij.Affine)(jnp.ones((3, 2)))),
        bij.Planar(KEY, dim=3, cond_dim=2, width_size=4, depth=1),
    ],
    "vmapped": lambda: bij.Vmap(
        eqx.filter_vmap(bij.Affine)(jnp.ones((3, 2))), in_axes=eqx.if_array(0)
    ),
    "paramax": lambda: [
        paramax.Parameterize(jnp.exp, paramax.NonTrainable(jnp.ones(1))),
        paramax.WeightNormalization(jnp.ones((2, 3))),
        paramax.non_trainable(eqx.nn.Linear(3, 2, key=KEY)),
    ],
    "every class that a shape is enough for": lambda: [
        constructible(dist, (), (jnp.ones(2),)),
        constructible(bij, (), ((2,),)),
    ],
}
