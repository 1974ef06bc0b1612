"""Arrays on their way to the companion."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np
from numpy.typing import NDArray

from .._jax import array_type, fetching
from .dtypes import FLOAT0, STORED
from .npy import storage


class Fetched:
    """A JAX array on its way from the devices to the host; NumPy waits for it."""

    def __init__(self, array: jax.Array) -> None:
        self._shards = fetching(array)
        self._shape, self._dtype = array.shape, array.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole array; without a copy if it has one shard."""
        if 0 in self._shape:  # the shards may have other shapes without elements
            return np.empty(self._shape, self._dtype)
        (index, shard), *others = self._shards
        if not others and index is ...:
            return np.asarray(shard)
        whole = np.empty(self._shape, self._dtype)
        for index, shard in self._shards:
            whole[index] = np.asarray(shard)
        return whole


def on_host(array: Any) -> NDArray[Any]:
    """An array as a NumPy array, from the devices of this process."""
    return np.asarray(Fetched(array) if type(array) is array_type() else array)


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """One array on its way to the companion, and how it is stored."""

    source: Any  # np.ndarray, jax.Array or Fetched
    dtype: np.dtype[Any]  # as stored
    shape: tuple[int, ...]
    fortran: bool
    copied: bool = False  # no other code refers to this NumPy array
    path: Any = None  # in the tree; `path_text` prints it

    @property
    def nbytes(self) -> int:
        """Bytes of data, without the header."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def is_immutable(self) -> bool:
        """Whether the data cannot change while it is written."""
        return self.copied or type(self.source) is not np.ndarray

    def fetched(self) -> Record:
        """The same record, with its data on the way to the host."""
        if type(self.source) is not array_type():
            return self
        return replace(self, source=Fetched(self.source))

    def with_copy(self) -> Record:
        """The same record with data that stays when its source changes.

        The memory of a JAX array on a CPU is shared: JAX copies a donated array whose
        memory is in use elsewhere.
        """
        if type(self.source) is np.ndarray:
            order = "F" if self.fortran else "C"
            return replace(self, source=self.source.copy(order), copied=True)
        return replace(self, source=on_host(self.source), copied=True)

    def buffer(self) -> Any:
        """The data in the order in which it is stored, with the buffer protocol."""
        if self.is_immutable and self.dtype.char in STORED:
            try:
                view = memoryview(self.source)
            except (BufferError, ValueError, TypeError, RuntimeError):
                pass  # on another device, or not contiguous
            else:
                if view.c_contiguous and view.nbytes:
                    return view
        order = "F" if self.fortran else "C"
        # In the order of the file: a copy of a struct would have any bytes for padding.
        flat = without_padding(on_host(self.source), order).ravel(order=order)
        if self.nbytes == 0:
            return np.empty(0, np.uint8)
        return flat.view(np.uint8)


def record_of(array: Any) -> Record:
    """The record of a NumPy array or of a JAX array."""
    flags = array.flags if type(array) is np.ndarray else None
    fortran = flags is not None and flags.f_contiguous and not flags.c_contiguous
    return Record(array, storage(array.dtype), array.shape, fortran)


# An extended float has ten bytes in sixteen; the other six may hold anything.
_EXTENDED_FLOAT = np.finfo(np.longdouble).nmant == 63


def without_padding(
    array: NDArray[Any], order: Literal["C", "F"] = "C"
) -> NDArray[Any]:
    """The array, or a copy with zeros for padding: equal values give equal bytes."""
    if array.dtype.type in (np.longdouble, np.clongdouble) and _EXTENDED_FLOAT:
        flat = np.array(array, order="C").reshape(-1)
        flat.view(np.uint8).reshape(-1, 16)[:, 10:] = 0
        return flat.reshape(array.shape)
    if array.dtype.fields is None or array.dtype == FLOAT0:
        return array
    # `zeros_like` does not set the padding.
    clean = np.zeros(array.shape, array.dtype, order)
    _copy_fields(clean, array)
    return clean


def _copy_fields(to: NDArray[Any], source: NDArray[Any]) -> None:
    if source.dtype.names is None:
        to[...] = source
    else:
        for name in source.dtype.names:
            _copy_fields(to[name], source[name])
