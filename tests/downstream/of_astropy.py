"""Units, quantities, constants and masked quantities of astropy."""

import astropy.constants as constants
import astropy.coordinates as coordinates
import astropy.units as u
import numpy as np
from astropy.time import Time
from astropy.units import cds, imperial
from astropy.utils.masked import Masked

from . import Objects

OBJECTS: Objects = {
    "units": lambda: [u.m, u.km, u.kg * u.m / u.s**2, u.m**0.5, cds.km, imperial.ft],
    "logarithmic units": lambda: [u.mag, u.ABmag, u.dex(u.m), u.mag(u.ct / u.s)],
    "structured unit": lambda: u.StructuredUnit((u.m, u.s), ("a", "b")),
    "own unit": lambda: u.def_unit("cubit", 0.4572 * u.m),
    "physical types": lambda: [u.get_physical_type("length"), (u.m**7).physical_type],
    "quantities": lambda: [np.ones(2) * u.m, u.Quantity(3, "s"), u.Magnitude(2.0)],
    "angles": lambda: [
        coordinates.Angle([1.0], "deg"),
        coordinates.Longitude([1.0], "deg", wrap_angle="180d"),
        coordinates.Distance(2, "kpc"),
    ],
    "constants": lambda: [constants.c, constants.M_sun],
    "coordinates": lambda: [
        coordinates.SkyCoord([1, 2], [2, 3], unit="deg"),
        coordinates.CartesianRepresentation(*np.ones((3, 2)) * u.m),
        coordinates.ICRS(1 * u.deg, 2 * u.deg),
    ],
    "times": lambda: [Time("2020-01-01"), Time(2450000.5, format="jd")],
    "masked quantity": lambda: Masked(np.arange(2.0) * u.m, mask=[True, False]),
}
