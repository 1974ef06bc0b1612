"""Sparse arrays, splines and rotations of SciPy."""

import numpy as np
import scipy.interpolate as si
import scipy.sparse as sp
from scipy.spatial.transform import Rotation

from . import Objects

OBJECTS: Objects = {
    f"{name}_{suffix}": lambda name=name, suffix=suffix: getattr(
        sp, f"{name}_{suffix}"
    )(np.diag([1.0, 0.0, 2.0]))
    for name in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
    for suffix in ("array", "matrix")
}

X = np.arange(5.0)
OBJECTS |= {
    "splines": lambda: [si.CubicSpline(X, X**2), si.make_interp_spline(X, X**2)],
    "rotation": lambda: Rotation.from_euler("z", 0.3),
}
