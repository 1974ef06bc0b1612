"""Sparse arrays of SciPy."""

import numpy as np
import scipy.sparse as sp

from . import Objects

OBJECTS: Objects = {
    f"{name}_{suffix}": lambda name=name, suffix=suffix: getattr(
        sp, f"{name}_{suffix}"
    )(np.diag([1.0, 0.0, 2.0]))
    for name in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")
    for suffix in ("array", "matrix")
}
