"""Honest files of the packages of the field, where they are installed."""

from typing import Any

import diffrax
import dLux
import flowjax.distributions
import flowjax.flows
import jax
import jax.numpy as jnp
import optax
import zodiax

from . import lab


class Telescope(zodiax.Base):
    """A model as users of zodiax write them."""

    layers: dict[str, Any]
    diameter: float

    def __init__(self) -> None:
        self.layers = {"lens": lab.Lens(1.0), "aperture": jnp.ones((4, 4))}
        self.diameter = 2.4


def _flow() -> Any:
    base = flowjax.distributions.Normal(jnp.zeros(2))
    return flowjax.flows.coupling_flow(
        jax.random.key(0), base_dist=base, flow_layers=1, nn_width=2, nn_depth=1
    )


TREES: dict[str, Any] = {
    "adam": lambda: optax.adam(1e-3).init({"w": jnp.ones(2), "b": 0.0}),
    "solver": lambda: (
        diffrax.Tsit5(),
        diffrax.PIDController(rtol=1e-3, atol=1e-6),
        diffrax.SaveAt(ts=jnp.arange(2.0)),
    ),
    "flow": _flow,
    "telescope": lambda: [
        Telescope(),
        dLux.PointSource(wavelengths=jnp.ones(1), position=jnp.zeros(2), flux=2.0),
    ],
}
