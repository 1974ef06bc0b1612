"""Compare objects that were taken apart into arrays and other leaves."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import numpy as np

from .._errors import LIMITS
from .._kinds import flattening


def are_equal(a: Any, b: Any) -> bool:
    """Whether two tuples of pytrees are equal, arrays bit for bit."""
    try:
        (a, a_def), (b, b_def) = flattening.flatten(a), flattening.flatten(b)
        if a_def != b_def or len(a) != len(b):
            return False
    except LIMITS:
        raise
    except Exception:  # treedefs that cannot be compared, or keys that do not sort
        return all(x is y for x, y in zip(a, b, strict=True))
    return all(x is y or _leaves_are_equal(x, y) for x, y in zip(a, b, strict=True))


def _leaves_are_equal(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if not eqx.is_array_like(a) or isinstance(a, (bool, int)):
        try:
            return bool(a == b)
        except LIMITS:
            raise
        except Exception:  # raised by `__eq__`
            return False
    return bool(eqx.tree_equal(a, b)) or _bits_are_equal(a, b)


def _bits_are_equal(a: Any, b: Any) -> bool:
    """Compare the bytes of two arrays, since nan is not equal to itself."""
    try:
        left, right = np.asarray(a), np.asarray(b)
    except LIMITS:
        raise
    except Exception:  # a tracer, or a random key
        return False
    same = left.dtype == right.dtype and left.shape == right.shape
    return same and left.tobytes() == right.tobytes()
