"""Models of zodiax, as researchers write them."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import zodiax as zdx

from . import KEY, Objects
from .of_dLux import telescope


class Model(zdx.Base):
    """Names are looked for in all that it holds."""

    params: dict[str, Any]
    telescope: Any
    n: int = eqx.field(static=True)

    def __init__(self) -> None:
        self.params, self.n = {"a": 1.0, "b": jnp.ones(2)}, 3
        self.telescope = telescope()

    def __getattr__(self, name: str) -> Any:
        if name in self.params:
            return self.params[name]
        return getattr(self.telescope, name)


class Telescope(zdx.Base):
    optics: dict[str, Any]
    pixel_scale: Any
    name: str = eqx.field(static=True)

    def __init__(self) -> None:
        linear = eqx.nn.Linear(2, 2, key=KEY)
        self.optics = {"aperture": linear, "mask": np.ones((2, 2))}
        self.pixel_scale, self.name = jnp.asarray(0.1), "T"

    def __getattr__(self, name: str) -> Any:
        if name in self.optics:
            return self.optics[name]
        raise AttributeError(name)


OBJECTS: Objects = {
    "zodiax.Base": Model,
    "after multiply": lambda: Telescope().multiply("aperture.weight", 3.0),
    "bound method": lambda: Model().telescope.model,
    "after set": lambda: Model().set("basis.coefficients", jnp.ones(2)),
    "EquinoxWrapper": lambda: zdx.build_wrapper(eqx.nn.MLP(2, 2, 3, 1, key=KEY)),
}
