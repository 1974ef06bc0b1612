"""Masked arrays of NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import CannotKeep, Data, Kind, Parts, exactly, expect_children

_MASKED = np.ma.MaskedArray
_ELEMENT = np.ma.core.mvoid  # of a structured masked array
# The attributes in which NumPy keeps the parts of a masked array other than its data.
_MASKED_STATE = ("_mask", "_fill_value", "_hardmask", "_sharedmask")


def _encode_masked(obj: Any) -> Parts:
    attributes = vars(obj)
    if obj.baseclass is not np.ndarray or attributes.get("_optinfo"):
        raise CannotKeep(OF_MASKED)
    mask, fill, hard, shared = (attributes[name] for name in _MASKED_STATE)
    if type(obj) is _ELEMENT:
        mask = np.array(mask)
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
    if type(obj) is _ELEMENT:
        parts.extra["element"] = True
    try:
        _decode_masked(parts)
    except ValueError as error:  # attributes were set past NumPy's checks
        raise CannotKeep(OF_MASKED) from error
    return parts


OF_MASKED = (
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
    is_element = parts.extra.get("element") is True
    if is_element and (data.shape or data.dtype.names is None):
        raise ValueError("an element of a masked array has no fields")
    made: Any = data.view(_ELEMENT if is_element else _MASKED)
    if is_element and mask is not None:
        mask = mask[()]
    state = (np.ma.nomask if mask is None else mask, fill, *parts.value)
    vars(made).update(zip(_MASKED_STATE, state, strict=True))
    return made


MASKED = Kind(
    "masked",
    exactly(_MASKED, _ELEMENT),
    _encode_masked,
    _decode_masked,
    keeps="`numpy.ma.MaskedArray`: data, mask, fill value",
    shared=True,
    attributes=(*_MASKED_STATE, "_isfield", "_baseclass", "_optinfo", "_basedict"),
)


MASKED_CONSTANT = Kind(
    "masked_constant",
    exactly(np.ma.core.MaskedConstant),
    lambda obj: Parts(),
    lambda parts: np.ma.masked,
    keeps="`numpy.ma.masked`",
    attributes=None,
    data=Data.NONE,
)
