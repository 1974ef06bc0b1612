"""The .npy header of an array, and the dtype it is stored as."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from .dtypes import EXTENDED, FLOAT0, STORED, is_extended

MAGIC = b"\x93NUMPY"  # the first bytes of each record


def storage(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype under which an `.npy` record holds the bytes of `dtype`."""
    # Not cached by equality: to NumPy, `long` and `long long` are equal.
    if dtype.isbuiltin == 1 and dtype.char in STORED:
        return STORED[dtype.char]
    if dtype.itemsize == 0:
        return np.dtype("V0") if dtype == FLOAT0 else dtype
    if is_extended(dtype):
        if dtype == EXTENDED["bfloat16"]:
            return np.dtype("V2")  # what `jnp.save` writes and `jnp.load` understands
        return np.dtype(f"u{dtype.itemsize}")
    if dtype.fields is not None:
        try:
            described = np.lib.format.dtype_to_descr(dtype)
            if np.lib.format.descr_to_dtype(described) == dtype:
                return dtype
        except (TypeError, ValueError):
            pass
        return np.dtype(f"V{dtype.itemsize}")  # overlapping or reordered fields
    return dtype


@functools.lru_cache(maxsize=4096)
def _header_text(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool
) -> tuple[bytes, int]:
    descr = np.lib.format.dtype_to_descr(dtype)
    if descr == "|V2":
        descr = "<V2"  # as `jnp.save` spells a bfloat16
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    try:
        return text.encode("latin1"), 1
    except UnicodeEncodeError:
        return text.encode("utf8"), 3


# 64-byte offsets: `jax.device_put` shares the memory of a slice only when aligned.
# 4096 for records of 64 KiB or more: whole pages, for mapping and for direct reads.
ALIGNMENT, PAGE, PAGED_FROM = 64, 4096, 65536


def header(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int
) -> bytes:
    """The `.npy` header of a record at `offset`, padded so that its data is aligned."""
    align = PAGE if math.prod(shape) * dtype.itemsize >= PAGED_FROM else ALIGNMENT
    return _padded_header(dtype, shape, fortran, offset % align, align)


@functools.lru_cache(maxsize=8192)
def _padded_header(
    dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool, offset: int, align: int
) -> bytes:
    text, version = _header_text(dtype, shape, fortran)
    wide = version == 3 or len(text) > 60_000  # room for the padding in 16 bits
    prefix = 12 if wide else 10
    total = prefix + len(text) + 1
    padding = -(offset + total) % align
    length = len(text) + 1 + padding
    if wide:
        start = MAGIC + bytes([max(version, 2), 0]) + length.to_bytes(4, "little")
    else:
        start = MAGIC + b"\x01\x00" + length.to_bytes(2, "little")
    return start + text + b" " * padding + b"\n"
