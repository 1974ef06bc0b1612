"""Masked arrays, and arrays of other subclasses, which are refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._trust import reflection
from .base import CannotKeep, Kind, Parts, exactly, expect_children, refusal, subclass

_MASKED = np.ma.MaskedArray
# The attributes in which NumPy keeps the parts of a masked array other than its data.
_MASKED_STATE = ("_mask", "_fill_value", "_hardmask", "_sharedmask")


def _encode_masked(obj: Any) -> Parts:
    attributes = vars(obj)
    if obj.baseclass is not np.ndarray or attributes.get("_optinfo"):
        raise CannotKeep(_OF_MASKED)
    mask, fill, hard, shared = (attributes[name] for name in _MASKED_STATE)
    children = {
        "data": obj.data,
        "mask": None if mask is np.ma.nomask else mask,
        "fill_value": fill,
    }
    # Plain Equinox writes its data.
    parts = Parts(
        children=children,
        static=("mask", "fill_value"),
        is_node=True,
        value=[bool(hard), shared],
    )
    try:
        _decode_masked(parts)
    except ValueError as error:  # attributes were set past NumPy's checks
        raise CannotKeep(_OF_MASKED) from error
    return parts


_OF_MASKED = (
    "It has more than data, a mask and a fill value. Keep `x.data`, `x.mask`, and its "
    "other attributes, and make it again from them."
)


def _decode_masked(parts: Parts) -> Any:
    data, mask, fill = expect_children(parts, "data", "mask", "fill_value")
    if type(data) is not np.ndarray or [*map(type, parts.value)] != [bool, bool]:
        raise ValueError("the data of a masked array is not an array")
    expected = np.ma.make_mask_descr(data.dtype)
    if mask is not None and not (
        type(mask) is np.ndarray and mask.dtype == expected and mask.shape == data.shape
    ):
        raise ValueError("the mask of a masked array does not fit its data")
    if fill is not None and not (
        type(fill) is np.ndarray and fill.dtype == data.dtype and fill.shape == ()
    ):
        raise ValueError("the fill value of a masked array does not fit its data")
    made: Any = data.view(_MASKED)
    state = (np.ma.nomask if mask is None else mask, fill, *parts.value)
    vars(made).update(zip(_MASKED_STATE, state, strict=True))
    return made


MASKED = Kind(
    "masked",
    exactly(_MASKED),
    _encode_masked,
    _decode_masked,
    keeps="`numpy.ma.MaskedArray`: data, mask, fill value",
    shared=True,
    attributes=(*_MASKED_STATE, "_isfield", "_baseclass", "_optinfo", "_basedict"),
)


def _refuse_ndarray(obj: Any) -> Parts:
    cls = type(obj)
    if isinstance(obj, np.ma.core.MaskedConstant):
        raise CannotKeep("It marks a missing value. Keep None instead.")
    if isinstance(obj, _MASKED):
        raise CannotKeep(_OF_MASKED)
    names = {f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__}
    if any(n.startswith("astropy.") and n.endswith(".Quantity") for n in names):
        raise CannotKeep(
            "Its unit would be lost by `numpy.asarray`. Keep its value and the text of "
            "its unit, `(x.value, x.unit.to_string())`, and make it again from both."
        )
    if isinstance(obj, np.recarray):
        raise CannotKeep(
            "It is a structured array whose fields are attributes. Keep "
            "`numpy.array(x, dtype=x.dtype.descr)`, and make it again by "
            "`x.view(numpy.recarray)`."
        )
    if reflection.is_one_of(cls, (np.matrix, np.memmap, np.char.chararray)):
        raise CannotKeep(
            "It is an array of values only. Keep `numpy.asarray(x)` instead."
        )
    raise CannotKeep(
        "`numpy.asarray` would drop what its class adds to the values. Keep both, "
        "`(numpy.asarray(x), vars(x))`, and make it again from them; or register a "
        "kind for it with `zodiax_io.register_kind`."
    )


NDARRAY = refusal("ndarray", subclass(np.ndarray), _refuse_ndarray)
