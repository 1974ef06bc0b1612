"""Quantities with units of unxt."""

import jax.numpy as jnp
import numpy as np
import unxt

from . import Objects

OBJECTS: Objects = {
    "quantities": lambda: {
        "length": unxt.Quantity(jnp.ones(2), "m"),
        "speed": unxt.Quantity(jnp.ones(2), "km / s"),
        "angle": unxt.Angle(jnp.ones(2), "rad"),
        "bare": unxt.quantity.BareQuantity(np.ones(2), "m"),
    },
    "static": lambda: unxt.quantity.StaticQuantity(np.ones(2), "m"),
    "a class": lambda: unxt.Quantity["length"],
    "a dimension": lambda: unxt.dimension("length"),
    "unit": lambda: unxt.unit("kg m / s"),
    "unit system": lambda: unxt.unitsystem("galactic"),
    "own unit system": lambda: unxt.unitsystem("m", "erg", "kpc / s3"),
}
