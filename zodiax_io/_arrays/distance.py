"""How far apart the numbers of two arrays are, in chunks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 20  # numbers that are compared together


def difference(
    x: NDArray[Any], y: NDArray[Any], atol: float, rtol: float
) -> tuple[float | None, float | None] | None:
    """The largest absolute and relative difference of two arrays; None if equal.

    Both have one shape and dtype. Without tolerances, arrays are equal only bit for
    bit. Integers are compared as integers, however large. Values that are not numbers
    may differ, without a difference in numbers: (None, None).
    """
    if same_bytes(x, y):
        return None
    if not is_numeric(x.dtype):
        return None, None
    largest = relative = 0.0
    within = atol > 0 or rtol > 0
    with np.errstate(all="ignore"):
        for ours, theirs in _chunks(x, y):
            apart, a, b = _apart(ours, theirs)
            within = within and bool(np.all(apart <= atol + rtol * b))
            largest = max(largest, float(apart.max(initial=0)))
            parts = np.where(apart > 0, apart / np.maximum(a, b), 0.0)
            parts = np.where(np.isnan(parts), np.inf, parts)
            relative = max(relative, float(parts.max(initial=0)))
    return None if within else (largest, relative)


def is_numeric(dtype: Any) -> bool:
    """Whether the values of a dtype are numbers, of NumPy or of ml_dtypes."""
    if dtype.kind in "biufc":
        return True
    return dtype.kind == "V" and dtype.fields is None and dtype.type is not np.void


def same_bytes(x: NDArray[Any], y: NDArray[Any]) -> bool:
    """Whether two arrays of one shape and dtype hold the same bytes."""
    return all(a.tobytes() == b.tobytes() for a, b in _chunks(x, y))


def _chunks(
    x: NDArray[Any], y: NDArray[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    # In the order of their memory if both have the same: a view instead of a copy.
    order = "F" if x.flags.f_contiguous and y.flags.f_contiguous else "C"
    x, y = x.ravel(order), y.ravel(order)
    step = max(1, _CHUNK // max(1, x.dtype.itemsize // 8))
    for start in range(0, x.size, step):
        yield x[start : start + step], y[start : start + step]


def _apart(
    x: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Differences and absolute values of numbers, in a dtype wide enough for both."""
    if x.dtype.kind in "biu":
        low, high = np.minimum(x, y), np.maximum(x, y)
        # Modulo 2**64: no two integers of a dtype are that far apart.
        apart = high.astype(np.uint64) - low.astype(np.uint64)
        return apart, np.abs(x.astype(np.float64)), np.abs(y.astype(np.float64))
    wide: Any = np.float64
    if x.dtype.kind == "c":
        wide = np.clongdouble if x.dtype.itemsize > 16 else np.complex128
    elif x.dtype.itemsize > 8:
        wide = np.longdouble
    x, y = x.astype(wide), y.astype(wide)
    apart = np.abs(x - y)
    apart = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, apart)
    return np.where(np.isnan(apart), math.inf, apart), np.abs(x), np.abs(y)
