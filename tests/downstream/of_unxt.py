"""Quantities with units of unxt."""

import jax.numpy as jnp
import unxt

from . import Objects

OBJECTS: Objects = {
    "quantities": lambda: {
        "length": unxt.Quantity(jnp.ones(2), "m"),
        "speed": unxt.Quantity(jnp.ones(2), "km / s"),
        "angle": unxt.Angle(jnp.ones(2), "rad"),
    },
    "unit": lambda: unxt.unit("kg m / s"),
    "unit system": lambda: unxt.unitsystem("galactic"),
}
# A class for each dimension, which no module holds, and units of astropy, whose
# classes are no pytrees.
REFUSED = {"quantities", "unit", "unit system"}
