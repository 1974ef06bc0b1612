"""Statistics of an array, its histogram, and a small picture of it."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays.distance import is_numeric


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of the elements of an array; of their magnitudes, if complex.

    Attributes
    ----------
    least, greatest, mean, deviation : float or None
        Minimum, maximum, mean and standard deviation of the finite elements; None if
        no element is finite.
    nans, infinities, zeros : int
        The number of elements that are NaN, infinite and zero.
    """

    least: float | None
    greatest: float | None
    mean: float | None
    deviation: float | None = None
    nans: int = 0
    infinities: int = 0
    zeros: int = 0

    def __str__(self) -> str:
        if self.mean is None:
            text = "no finite numbers"
        else:
            text = f"{self.least:.4g} to {self.greatest:.4g}, mean {self.mean:.4g}"
        text += f", {self.nans} nan" if self.nans else ""
        return f"{text}, {self.infinities} inf" if self.infinities else text


@dataclass(frozen=True, slots=True)
class Picture:
    """A small picture of an array.

    Attributes
    ----------
    counts : tuple of int
        The counts of a histogram from the least to the greatest element.
    line : tuple of float
        The elements of a vector; of a long one, averages of neighbours, or NaN.
    image : bytes
        A PNG file of a matrix.
    part : str
        Describes which slice the image shows of an array with more than two axes.
    """

    counts: tuple[int, ...] = ()
    line: tuple[float, ...] = ()
    image: bytes = b""
    part: str = ""


_CHUNK = 1 << 20  # elements that are converted to float64 together


def statistics_of(array: NDArray[Any]) -> Statistics | str:
    """Statistics of an array, or the reason why it has none."""
    if not is_numeric(array.dtype):
        return "durations" if array.dtype.kind == "m" else "no numbers"
    scale = _scale_of(array)
    count = nans = infinities = zeros = 0
    least, greatest, mean, squares = np.inf, -np.inf, 0.0, 0.0
    with np.errstate(all="ignore"):
        for values in _chunks(array):
            size, nan = values.size, int(np.isnan(values).sum())
            values = values[np.isfinite(values)]
            nans += nan
            infinities += size - nan - values.size
            if not values.size:
                continue
            zeros += values.size - int(np.count_nonzero(values))
            least = min(least, float(values.min()))
            greatest = max(greatest, float(values.max()))
            values = values * scale
            # Chan's formula for the mean and the variance of a union of two samples.
            chunk_mean = float(values.mean())
            delta, total = chunk_mean - mean, count + values.size
            squares += float(np.square(values - chunk_mean).sum())
            squares += delta * delta * count * values.size / total
            mean += delta * values.size / total
            count = total
    if not count:
        return Statistics(None, None, None, None, nans, infinities)
    deviation = float(np.sqrt(squares / count)) / scale
    # Rounding may move the mean slightly out of the range of the elements.
    mean = min(max(mean / scale, least), greatest)
    return Statistics(least, greatest, mean, deviation, nans, infinities, zeros)


_HUGE = 1e140


def _scale_of(array: NDArray[Any]) -> float:
    """A factor for the elements, so that their squares do not overflow."""
    # Squares of floats of at most 32 bits cannot overflow a float64. The item size says
    # so, since `np.finfo` does not know the dtypes of ml_dtypes.
    size = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
    if array.dtype.kind not in "fc" or size <= 4:
        return 1.0
    for values in _chunks(array):
        values = values[np.isfinite(values)]
        if values.size and np.abs(values).max() > _HUGE:
            return 2.0**-600
    return 1.0


def _chunks(array: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """The elements as float64, in memory order, a chunk at a time."""
    flat = array.ravel(order="K")
    for start in range(0, flat.size, _CHUNK):
        yield _floats(flat[start : start + _CHUNK])


def _floats(array: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.abs(array) if array.dtype.kind == "c" else array, np.float64)


# Pictures -----------------------------------------------------------------------------

_BINS = 32
_SIDE = 64  # the most pixels along an axis
_SAMPLE = 1 << 18  # the most elements in a histogram


def picture_of(array: NDArray[Any], statistics: Statistics) -> Picture | None:
    """A picture of an array; None if it would add nothing to the statistics."""
    least, greatest = statistics.least, statistics.greatest
    if least is None or greatest is None or array.size < 2:
        return None
    with np.errstate(all="ignore"):
        flat = array.ravel(order="K")
        sample = _floats(flat[:: -(-flat.size // _SAMPLE)])
        sample = sample[np.isfinite(sample)]
        counts, line, image, part = (), (), b"", ""
        if least < greatest and np.isfinite(greatest - least):
            # `np.histogram` fails if the range contains fewer floats than bins.
            bins = (sample - least) / (greatest - least) * _BINS
            bins = np.clip(np.nan_to_num(bins), 0, _BINS - 1).astype(np.int64)
            counts = tuple(map(int, np.bincount(bins, minlength=_BINS)))
        squeezed = array.reshape([n for n in array.shape if n != 1])
        if squeezed.ndim == 1:
            line = tuple(map(float, _averaged(_floats(_strided(squeezed)), 0)))
        else:
            plane, part = _plane_of(squeezed)
            plane = _floats(_strided(plane))
            image = _png(*_colours(_averaged(_averaged(plane, 0), 1)))
    return Picture(counts, line, image, part)


def _plane_of(array: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """A matrix to draw for an array, and text that says how it was made.

    An array whose last two axes are long is a stack of images: the first is drawn. Any
    other becomes a matrix with a row for each index of its first axis.
    """
    if array.ndim == 2:
        return array, ""
    if min(array.shape[-2:]) >= 8:
        planes = math.prod(array.shape[:-2])
        return array[(0,) * (array.ndim - 2)], f"the first of {planes}"
    return array.reshape(array.shape[0], -1), "a row for each index of the first axis"


def _strided(array: NDArray[Any]) -> NDArray[Any]:
    """Every n-th element along each axis, so that at most four fall on a pixel."""
    return array[tuple(slice(None, None, -(-n // (4 * _SIDE))) for n in array.shape)]


def _averaged(array: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """At most `_SIDE` elements along an axis: means of the finite neighbours."""
    length = array.shape[axis]
    if length <= _SIDE:
        return array
    starts = np.arange(_SIDE) * length // _SIDE
    finite = np.isfinite(array)
    sums = np.add.reduceat(np.where(finite, array, 0.0), starts, axis)
    return sums / np.add.reduceat(finite.astype(np.float64), starts, axis)


# Colours of each scale, to interpolate between: ColorBrewer's RdBu, and Matplotlib's
# viridis, which is in the public domain (CC0).
_DIVERGING = (
    "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f"
)
_SEQUENTIAL = "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725"
_NOT_FINITE = b"\x90\x90\x90"


def _colours(plane: NDArray[np.float64]) -> tuple[NDArray[np.uint8], bytes]:
    """A matrix as indices into a palette, and the palette.

    The scale diverges from white at zero if the elements have both signs.
    """
    finite = plane[np.isfinite(plane)]
    least, greatest = finite.min(initial=0.0), finite.max(initial=0.0)
    scale = _SEQUENTIAL
    if least < 0 < greatest:
        scale, greatest = _DIVERGING, max(-least, greatest)
        least = -greatest
    elif finite.size:
        least, greatest = finite.min(), finite.max()
    span = greatest / 2 - least / 2  # halves, since the difference may overflow
    unit = (plane / 2 - least / 2) / span if span else np.zeros_like(plane)
    indices = np.clip(np.nan_to_num(unit) * 254, 0, 254).astype(np.uint8)
    indices[~np.isfinite(plane)] = 255
    colours = np.array([list(bytes.fromhex(colour)) for colour in scale.split()])
    at = np.linspace(0, len(colours) - 1, 255)
    channels = [np.interp(at, np.arange(len(colours)), c) for c in colours.T]
    return indices, np.stack(channels, 1).astype(np.uint8).tobytes() + _NOT_FINITE


def _png(indices: NDArray[np.uint8], palette: bytes) -> bytes:
    """A PNG file of a matrix of indices into a palette (ISO/IEC 15948)."""
    height, width = indices.shape
    # Each row begins with its filter type: 0 for none.
    rows = np.concatenate([np.zeros((height, 1), np.uint8), indices], 1)

    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", head),
            chunk(b"PLTE", palette),
            chunk(b"IDAT", zlib.compress(rows.tobytes())),
            chunk(b"IEND", b""),
        ]
    )
