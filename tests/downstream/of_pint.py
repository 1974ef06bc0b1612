"""Units and quantities of pint, in the registry of the application."""

import numpy as np
import pint

from . import Objects

OBJECTS: Objects = {
    "unit": lambda: pint.application_registry.Unit("km / s ** 0.5"),
    "quantity": lambda: pint.Quantity(np.arange(3.0), "km"),
    "temperature": lambda: pint.Quantity(20.0, "degC"),
}
REFUSED = {"own registry"}
OBJECTS["own registry"] = lambda: pint.UnitRegistry().Quantity(1.0, "m")
