"""What the numbers of an array are like: statistics, a histogram, a small picture."""

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
    """What the numbers of an array are like; of complex ones, their magnitudes.

    Attributes
    ----------
    least, greatest, mean, deviation : float or None
        Of those that are finite; None if none is. The deviation is the standard one.
    nans, infinities, zeros : int
        How many are no numbers, are infinite, are zero.
    """

    least: float | None
    greatest: float | None
    mean: float | None
    deviation: float | None = None
    nans: int = 0
    infinities: int = 0
    zeros: int = 0

    def __str__(self) -> str:
        """Few words, as `zodiax-io show --values` prints them."""
        if self.mean is None:
            text = "no finite numbers"
        else:
            text = f"{self.least:.4g} to {self.greatest:.4g}, mean {self.mean:.4g}"
        text += f", {self.nans} nan" if self.nans else ""
        return f"{text}, {self.infinities} inf" if self.infinities else text


@dataclass(frozen=True, slots=True)
class Picture:
    """An array, small enough to be looked at.

    Attributes
    ----------
    counts : tuple of int
        A histogram, from the least to the greatest number.
    line : tuple of float
        Of a vector, its numbers in order, averaged where there are many; nan for none.
    image : bytes
        Of a matrix, a PNG file.
    part : str
        What of an array of more axes the image shows.
    """

    counts: tuple[int, ...] = ()
    line: tuple[float, ...] = ()
    image: bytes = b""
    part: str = ""


_CHUNK = 1 << 20  # numbers that are looked at together


def statistics_of(array: NDArray[Any]) -> Statistics | str:
    """What the numbers of an array are like, or why it has none."""
    if not is_numeric(array.dtype):
        return "durations" if array.dtype.kind == "m" else "no numbers"
    scale = _scale_of(array)
    count = nans = infinities = zeros = 0
    least, greatest, mean, squares = np.inf, -np.inf, 0.0, 0.0
    with np.errstate(all="ignore"):
        for values in _chunks(array):
            whole = values.size
            isnan = int(np.isnan(values).sum())
            values = values[np.isfinite(values)]
            nans += isnan
            infinities += whole - isnan - values.size
            if not values.size:
                continue
            zeros += values.size - int(np.count_nonzero(values))
            least = min(least, float(values.min()))
            greatest = max(greatest, float(values.max()))
            values = values * scale
            # Chan's way to put the moments of two parts together.
            here = float(values.mean())
            apart, total = here - mean, count + values.size
            squares += float(np.square(values - here).sum())
            squares += apart * apart * count * values.size / total
            mean += apart * values.size / total
            count = total
    if not count:
        return Statistics(None, None, None, None, nans, infinities)
    deviation = float(np.sqrt(squares / count)) / scale
    # A sum of rounded numbers may leave their range by a hair.
    mean = min(max(mean / scale, least), greatest)
    return Statistics(least, greatest, mean, deviation, nans, infinities, zeros)


_HUGE = 1e140


def _scale_of(array: NDArray[Any]) -> float:
    """What numbers are multiplied by, lest their squares leave the range of floats."""
    # Numbers of 32 bits or less stay far below; NumPy's `finfo` knows none of those of
    # ml_dtypes.
    size = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
    if array.dtype.kind not in "fc" or size <= 4:
        return 1.0
    for values in _chunks(array):
        values = values[np.isfinite(values)]
        if values.size and np.abs(values).max() > _HUGE:
            return 2.0**-600
    return 1.0


def _chunks(array: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    """The numbers in some order, as floats, so many at a time that memory is small."""
    flat = array.ravel(order="K")
    for start in range(0, flat.size, _CHUNK):
        yield _floats(flat[start : start + _CHUNK])


def _floats(array: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.abs(array) if array.dtype.kind == "c" else array, np.float64)


# Pictures -----------------------------------------------------------------------------

_BINS = 32
_SIDE = 64  # pixels that a picture has at most
_SAMPLE = 1 << 18  # numbers that a picture is made of at most


def picture_of(array: NDArray[Any], statistics: Statistics) -> Picture | None:
    """An array as it is drawn; None if that would tell no more than its statistics."""
    least, greatest = statistics.least, statistics.greatest
    if least is None or greatest is None or array.size < 2:
        return None
    with np.errstate(all="ignore"):
        flat = array.ravel(order="K")
        sample = _floats(flat[:: -(-flat.size // _SAMPLE)])
        sample = sample[np.isfinite(sample)]
        counts, line, image, part = (), (), b"", ""
        if least < greatest and np.isfinite(greatest - least):
            # `np.histogram` refuses a range of fewer floats than bins.
            parts = (sample - least) / (greatest - least) * _BINS
            bins = np.clip(np.nan_to_num(parts), 0, _BINS - 1).astype(np.int64)
            counts = tuple(map(int, np.bincount(bins, minlength=_BINS)))
        squeezed = array.reshape([n for n in array.shape if n != 1])
        if squeezed.ndim == 1:
            line = tuple(map(float, _fewer(_floats(_strided(squeezed)), 0)))
        else:
            plane, part = _plane_of(squeezed)
            plane = _floats(_strided(plane))
            image = _png(_colours(_fewer(_fewer(plane, 0), 1)))
    return Picture(counts, line, image, part)


def _plane_of(array: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """A matrix as it is; of a stack of images the first; of small ones, all in rows."""
    if array.ndim == 2:
        return array, ""
    if min(array.shape[-2:]) >= 8:
        planes = math.prod(array.shape[:-2])
        return array[(0,) * (array.ndim - 2)], f"the first of {planes}"
    return array.reshape(array.shape[0], -1), "a row for each step of the first axis"


def _strided(array: NDArray[Any]) -> NDArray[Any]:
    """Each axis no longer than four numbers a pixel."""
    return array[tuple(slice(None, None, -(-n // (4 * _SIDE))) for n in array.shape)]


def _fewer(array: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """As many numbers as pixels along an axis: means of neighbours, nans left out."""
    length = array.shape[axis]
    if length <= _SIDE:
        return array
    starts = np.arange(_SIDE) * length // _SIDE
    finite = np.isfinite(array)
    sums = np.add.reduceat(np.where(finite, array, 0.0), starts, axis)
    return sums / np.add.reduceat(finite.astype(np.float64), starts, axis)


# A few colours of each scale; those between them are mixed. ColorBrewer's RdBu, and
# Matplotlib's viridis, which is in the public domain (CC0).
_DIVERGING = (
    "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f"
)
_SEQUENTIAL = "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725"
_NO_NUMBER = b"\x90\x90\x90"


def _colours(plane: NDArray[np.float64]) -> tuple[NDArray[np.uint8], bytes]:
    """A matrix as numbers of colours, and the colours; zero is white between signs."""
    finite = plane[np.isfinite(plane)]
    least, greatest = finite.min(initial=0.0), finite.max(initial=0.0)
    scale = _SEQUENTIAL
    if least < 0 < greatest:
        scale, greatest = _DIVERGING, max(-least, greatest)
        least = -greatest
    elif finite.size:
        least, greatest = finite.min(), finite.max()
    span = greatest / 2 - least / 2  # halves: the greatest float less the least is inf
    parts = (plane / 2 - least / 2) / span if span else np.zeros_like(plane)
    numbers = np.clip(np.nan_to_num(parts) * 254, 0, 254).astype(np.uint8)
    numbers[~np.isfinite(plane)] = 255
    few = np.array([list(bytes.fromhex(colour)) for colour in scale.split()])
    at = np.linspace(0, len(few) - 1, 255)
    mixed = [np.interp(at, np.arange(len(few)), few[:, i]) for i in range(3)]
    return numbers, np.stack(mixed, 1).astype(np.uint8).tobytes() + _NO_NUMBER


def _png(picture: tuple[NDArray[np.uint8], bytes]) -> bytes:
    """A PNG file with a palette, after its specification (ISO/IEC 15948)."""
    numbers, palette = picture
    height, width = numbers.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), numbers], 1)

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
