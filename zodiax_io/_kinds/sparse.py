"""Sparse arrays and matrices of SciPy, by the arrays that they consist of.

The compiled functions of SciPy do not check indices, so a load does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._trust.roles import Role
from .base import CannotKeep, Kind, Parts, children_by_name
from .fields import attributes_of
from .units import imported_class
from .values import expect

_MODULE = "scipy.sparse"
# The attributes that are arrays or made of them, by the format.
_ARRAYS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "coords"),
    "dia": ("data", "offsets"),
    "lil": ("data", "rows"),
    "dok": ("_dict",),
}
# What SciPy has found out about the order of the indices.
_SORTED, _CANONICAL = "_has_sorted_indices", "_has_canonical_format"
_FLAGS = (_SORTED, _CANONICAL, "has_canonical_format")
_CLASSES = tuple(
    f"{form}_{suffix}" for form in _ARRAYS for suffix in ("array", "matrix")
)


def _is_sparse(cls: Any) -> bool:
    return any(cls is imported_class(f"{_MODULE}:{name}") for name in _CLASSES)


_ADVICE = (
    "Make it again by its own class, such as `scipy.sparse.csr_array(x)`, or keep its "
    "arrays and its shape."
)


def _encode_sparse(obj: Any) -> Parts:
    cls = type(obj)
    form = cls.__name__[:3]
    attributes = dict(attributes_of(obj))
    shape, maxprint = attributes.pop("_shape"), attributes.pop("maxprint", None)
    flags = {name: attributes.pop(name) for name in _FLAGS if name in attributes}
    dtype = attributes.pop("dtype", None)
    if attributes.keys() != {*_ARRAYS[form]}:
        other = min(attributes.keys() ^ {*_ARRAYS[form]})
        raise CannotKeep(
            f"It has other attributes than its class, such as {other!r:.80}. {_ADVICE}"
        )
    children = dict(attributes)
    if form == "lil":
        children = {name: children[name].tolist() for name in children}
    if dtype is not None:
        children["dtype"] = dtype
    value = {
        "shape": [int(n) for n in shape],
        "maxprint": maxprint,
        "flags": {name: bool(flag) for name, flag in flags.items()},
    }
    parts = Parts(
        children=children, value=value, refers=cls, name=f"{_MODULE}:{cls.__name__}"
    )
    try:
        made = attributes_of(_decode_sparse(parts))
    except ValueError as error:
        raise CannotKeep(f"Its parts do not fit: {error}. {_ADVICE}") from None
    if any(made.get(name) != flag for name, flag in flags.items()):
        raise CannotKeep(f"It calls its indices sorted, which they are not. {_ADVICE}")
    return parts


def _decode_sparse(parts: Parts) -> Any:
    cls, children = parts.refers, dict(children_by_name(parts))
    form, value = cls.__name__[:3], expect(parts.value, dict)
    shape = tuple(expect(n, int) for n in expect(value["shape"], list))
    _check_shape(cls, shape)
    dtype = children.pop("dtype", None)
    if dtype is not None and not isinstance(dtype, np.dtype):
        raise ValueError("its dtype is not a `numpy.dtype`")
    if children.keys() != {*_ARRAYS[form]}:
        raise ValueError(f"expected the children {', '.join(_ARRAYS[form])}")
    attributes = _CHECKS[form](children, shape)
    if (dtype is None) == (form in ("lil", "dok")):
        raise ValueError("there is a dtype too many or too few")
    made = dict.__new__(cls) if form == "dok" else object.__new__(cls)
    space = vars(made)
    space["_shape"] = shape
    if value["maxprint"] is not None:
        space["maxprint"] = expect(value["maxprint"], int)
    if dtype is not None:
        space["dtype"] = dtype
    space.update(attributes)
    space.update(_true_flags(form, space, expect(value["flags"], dict)))
    return made


def _check_shape(cls: type, shape: tuple[int, ...]) -> None:
    if not shape or min(shape) < 0 or max(shape) >= 2**63 or len(shape) > 64:
        raise ValueError("the shape is not a list of lengths")
    form, suffix = cls.__name__.split("_")
    is_flat = form in ("csr", "dok") and len(shape) == 1
    if len(shape) != 2 and not (suffix == "array" and (is_flat or form == "coo")):
        raise ValueError("the shape has another number of dimensions than two")


def _array(value: Any, dimensions: int) -> NDArray[Any]:
    if type(value) is not np.ndarray or value.ndim != dimensions:
        raise ValueError(f"expected an array of {dimensions} dimensions")
    return value


def _indices(value: Any, longest: int) -> NDArray[Any]:
    """An array of indices, of a dtype that has room for the longest axis."""
    found = _array(value, 1)
    if found.dtype.name not in ("int32", "int64"):
        raise ValueError("the indices are neither int32 nor int64")
    if max(longest, len(found)) > np.iinfo(found.dtype).max:
        raise ValueError("the indices are too small for the shape")
    return found


def _check_range(indices: NDArray[Any], length: int) -> None:
    if indices.size and not 0 <= indices.min() <= indices.max() < length:
        raise ValueError("an index lies outside of the shape")


def _compressed(children: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    return _check_compressed(children, shape, (1, 1))


def _check_compressed(
    children: dict[str, Any], shape: tuple[int, ...], block: tuple[int, int]
) -> dict[str, Any]:
    """Check compressed rows, or columns if the shape is given the other way round."""
    rows = shape[0] // block[0] if len(shape) == 2 else 1
    longest = max(*shape, 1)
    indptr = _indices(children["indptr"], longest)
    indices = _indices(children["indices"], longest)
    data = _array(children["data"], 1 if block == (1, 1) else 3)
    if len(shape) > 2 or indptr.dtype != indices.dtype or len(indices) != len(data):
        raise ValueError("the arrays do not fit each other")
    if len(indptr) != rows + 1 or indptr[0] != 0 or indptr[-1] > len(indices):
        raise ValueError("the pointers do not fit the indices")
    if (indptr[1:] < indptr[:-1]).any():
        raise ValueError("the pointers are not in order")
    _check_range(indices, shape[len(shape) - 1] // block[1])
    return children


def _check_csc(children: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    return _compressed(children, shape[::-1])


def _check_bsr(children: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    _, *block = _array(children["data"], 3).shape
    if min(block) < 1 or shape[0] % block[0] or shape[1] % block[1]:
        raise ValueError("the blocks do not fit the shape")
    if block == [1, 1]:
        flat = children["data"].reshape(-1)
        _check_compressed({**children, "data": flat}, shape, (1, 1))
        return children
    return _check_compressed(children, shape, (block[0], block[1]))


def _check_coo(children: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    coords, data = expect(children["coords"], tuple), _array(children["data"], 1)
    if len(coords) != len(shape):
        raise ValueError("the coordinates do not fit the shape")
    for axis, length in zip(coords, shape, strict=True):
        if len(_indices(axis, length)) != len(data) or axis.dtype != coords[0].dtype:
            raise ValueError("the coordinates do not fit each other")
        _check_range(axis, length)
    return children


def _check_dia(children: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    offsets = _indices(children["offsets"], max(shape))
    if len(offsets) != len(_array(children["data"], 2)):
        raise ValueError("the diagonals do not fit their offsets")
    # SciPy adds them to lengths.
    if (np.abs(offsets.astype(float)) > np.iinfo(offsets.dtype).max / 4).any():
        raise ValueError("an offset lies far outside of the shape")
    return children


def _check_lil(children: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, lists in children.items():
        if type(lists) is not list or len(lists) != shape[0]:
            raise ValueError("the rows do not fit the shape")
        made[name] = np.empty(len(lists), object)
        for i, row in enumerate(lists):
            made[name][i] = [*expect(row, list)]
    for row, data in zip(made["rows"], made["data"], strict=True):
        if len(row) != len(data) or not all(map(_is_number, data)):
            raise ValueError("the data of a row is not made of numbers")
        if not all(type(j) is int and 0 <= j < shape[1] for j in row):
            raise ValueError("an index lies outside of the shape")
    return made


def _check_dok(children: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    for key, item in expect(children["_dict"], dict).items():
        indices = key if type(key) is tuple else (key,)
        if len(indices) != len(shape) or not _is_number(item):
            raise ValueError("an item does not fit the shape")
        for index, length in zip(indices, shape, strict=True):
            if type(index) is not int and not isinstance(index, np.integer):
                raise ValueError("an index is not an integer")
            if not 0 <= index < length:
                raise ValueError("an index lies outside of the shape")
    return children


def _is_number(item: Any) -> bool:
    return type(item) in (bool, int, float, complex) or isinstance(item, np.generic)


_CHECKS: dict[str, Callable[[dict[str, Any], tuple[int, ...]], dict[str, Any]]] = {
    "csr": _compressed,
    "csc": _check_csc,
    "bsr": _check_bsr,
    "coo": _check_coo,
    "dia": _check_dia,
    "lil": _check_lil,
    "dok": _check_dok,
}


def _true_flags(
    form: str, space: dict[str, Any], claimed: dict[str, Any]
) -> dict[str, bool]:
    """The flags about the order of the indices that are true.

    SciPy relies on a flag that is set, and computes one that is missing.
    """
    if form == "coo":
        claim = claimed.get("has_canonical_format") is True
        return {"has_canonical_format": claim and _is_canonical(space)}
    if form not in ("csr", "csc", "bsr"):
        return {}
    found: dict[str, bool] = {}
    for name, strictly in ((_SORTED, False), (_CANONICAL, True)):
        claim = claimed.get(name)
        if claim is False or (claim is True and _is_sorted(space, strictly)):
            found[name] = claim
    return found


def _is_sorted(space: dict[str, Any], strictly: bool) -> bool:
    """Whether the indices of each row are sorted, and none occurs twice."""
    indptr, end = space["indptr"], space["indptr"][-1]
    steps = np.diff(space["indices"][:end])
    in_order = steps > 0 if strictly else steps >= 0
    begins = indptr[1:-1]  # the first index of a row may be anything
    in_order[begins[(begins > 0) & (begins < end)] - 1] = True
    return bool(in_order.all())


def _is_canonical(space: dict[str, Any]) -> bool:
    """Whether no coordinates occur twice."""
    coords = space["coords"]
    order = np.lexsort(coords)
    steps = [np.diff(axis[order]) != 0 for axis in coords]
    return bool(np.logical_or.reduce(steps).all())


SPARSE = Kind(
    "sparse",
    _is_sparse,
    _encode_sparse,
    _decode_sparse,
    Role("a class of sparse arrays of SciPy", _is_sparse, modules=frozenset({_MODULE})),
    keeps="sparse arrays and matrices of `scipy.sparse`, in all formats",
    shared=True,
    attributes=None,
)
