"""Arrays of subclasses of NumPy's, such as quantities: their data and attributes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._trust import reflection
from .._trust.roles import Role
from .base import (
    CannotKeep,
    Kind,
    Parts,
    children_by_name,
    expect_children,
    subclass,
)
from .fields import attributes_of, slots_of
from .masked import OF_MASKED
from .units import derives_from, imported_class, is_unit

_QUANTITIES = "astropy.units:Quantity"
_is_quantity = derives_from(_QUANTITIES)
# The classes that any file may use, by the modules that have them under public names.
_MODULES = {
    "numpy": ("matrix", "recarray"),
    "numpy.char": ("chararray",),
    "astropy.units": (
        *("Quantity", "SpecificTypeQuantity", "FunctionQuantity", "LogQuantity"),
        *("Magnitude", "Decibel", "Dex"),
    ),
    "astropy.coordinates": (
        *("Angle", "Latitude", "Longitude", "Distance"),
        *("EarthLocation", "SpectralCoord", "SpectralQuantity", "StokesCoord"),
    ),
}

_ADVICE = (
    "It cannot be made again from its data and attributes, and `numpy.asarray` would "
    "drop what its class adds to the values, such as a unit or a mask. Keep both, the "
    "values and what its class adds, and make it again from them; or register a kind "
    "for it with `zodiax_io.register_kind`."
)


def _public_name(cls: type) -> str | None:
    for module, classes in _MODULES.items():
        space = reflection.module_space(module) or {}
        for name in classes:
            if space.get(name) is cls:
                return f"{module}:{name}"
    return None


def _encode_subarray(obj: Any) -> Parts:
    cls = type(obj)
    if isinstance(obj, np.memmap):
        raise CannotKeep(
            "It is a file mapped into memory. Keep its values, `numpy.array(x)`, or "
            "the path of the file, `x.filename`, with its dtype and shape."
        )
    if isinstance(obj, np.ma.MaskedArray):
        raise CannotKeep(OF_MASKED)
    attributes = dict(attributes_of(obj))
    if _is_quantity(cls):
        drop_info(attributes)
    parts = Parts(
        children={"data": _plain(obj)}, is_node=True, refers=cls, name=_public_name(cls)
    )
    if attributes:
        parts.children = {"data": _plain(obj), "attributes": attributes}
        parts.static = ("attributes",)
    try:
        same = _may_be_kept(cls) and _is_same(_decode_subarray(parts), obj, attributes)
    except ValueError:
        same = False
    if not same:
        raise CannotKeep(_ADVICE)
    return parts


def _plain(obj: Any) -> Any:
    """The data of an array as an ordinary array, which shares its memory."""
    data: Any = np.ndarray.view(obj, np.ndarray)
    if data.dtype.type is np.record:
        data = data.view(_without_record(data.dtype))
    return data


def _without_record(dtype: Any) -> np.dtype[Any]:
    return np.dtype((np.void, dtype)) if dtype.type is np.record else dtype


def drop_info(attributes: dict[str, Any]) -> None:
    """Leave out the `info` of a quantity, which astropy makes when it is looked at."""
    info = attributes.pop("info", None)
    held = attributes_of(info).get("_attrs") if info is not None else None
    given = [name for name, value in (held or {}).items() if value]
    if given:
        raise CannotKeep(
            f"Its `info` has a {given[0]!r:.40}, which files do not keep. Keep "
            f"`x.info.{given[0]}` as another item of the tree, and set it again; and "
            "remove it here by `vars(x).pop('info')`."
        )


def _is_same(made: Any, obj: Any, attributes: dict[str, Any]) -> bool:
    found = attributes_of(made)
    return (
        type(made) is type(obj)
        and made.dtype == obj.dtype
        and made.dtype.type is obj.dtype.type
        and made.shape == obj.shape
        and found.keys() == attributes.keys()
        and all(found[name] is value for name, value in attributes.items())
    )


def _decode_subarray(parts: Parts) -> Any:
    children, cls = children_by_name(parts), parts.refers
    data, attributes = children.get("data"), children.get("attributes", {})
    if type(data) is not np.ndarray or type(attributes) is not dict:
        raise ValueError("the data of an array is not an array")
    if not all(type(name) is str for name in attributes):
        raise ValueError("the names of attributes are not text")
    if _is_quantity(cls) and not is_unit(attributes.get("_unit")):
        raise ValueError("a quantity has no unit")
    if cls is imported_class("numpy.char:chararray") and data.dtype.kind not in "SU":
        raise ValueError("the items of a `chararray` are not text")
    if cls is np.matrix and data.ndim != 2:
        raise ValueError("a matrix has another number of dimensions than two")
    made: Any = np.ndarray.view(data, cls)
    space = reflection.instance_dict(made)
    if space is None:
        if attributes:
            raise ValueError("the class has no attributes")
    else:
        space.clear()
        space.update(attributes)
    return made


def _may_be_kept(obj: Any) -> bool:
    """Whether a class adds nothing but a `__dict__` to the arrays of NumPy."""
    if not reflection.is_class(obj) or not reflection.derives(obj, np.ndarray):
        return False
    apart = (np.ma.MaskedArray, np.memmap)
    is_apart = any(reflection.derives(obj, cls) for cls in apart)
    has_layout = reflection.has_python_layout(obj, np.ndarray)
    return has_layout and not is_apart and not slots_of(obj)


SUBARRAY = Kind(
    "subarray",  # after "masked"
    subclass(np.ndarray),
    _encode_subarray,
    _decode_subarray,
    Role(
        "a subclass of `numpy.ndarray`",
        _may_be_kept,
        builds=True,
        modules=frozenset(_MODULES),
    ),
    keeps="subclasses of `numpy.ndarray`, by data and attributes: quantities of "
    "astropy, record arrays, your own",
    shared=True,
    attributes=None,
)


_MASKED = "astropy.utils.masked:Masked"


def _encode_astropy_masked(obj: Any) -> Parts:
    attributes = dict(attributes_of(obj))
    mask = attributes.pop("_mask", None)
    if _is_quantity(type(obj)):
        drop_info(attributes)
    children = {"data": obj.unmasked, "mask": mask}
    parts = Parts(
        children=children,
        static=("mask",),
        is_node=True,
        refers=imported_class(_MASKED),
        name=_MASKED,
    )
    try:
        made = _decode_astropy_masked(parts)
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_AS_PAIR}") from None
    if type(made) is not type(obj) or attributes_of(made).keys() - {"_mask"} != (
        attributes.keys()
    ):
        raise CannotKeep(f"It has more than data and a mask. {_AS_PAIR}")
    return parts


_AS_PAIR = "Keep `x.unmasked` and `x.mask`, and make it again from both."


def _decode_astropy_masked(parts: Parts) -> Any:
    data, mask = expect_children(parts, "data", "mask")
    if not reflection.derives(type(data), np.ndarray):
        raise ValueError("the data of a masked array is not an array")
    if (
        type(mask) is not np.ndarray
        or mask.dtype != np.ma.make_mask_descr(data.dtype)
        or mask.shape != data.shape
    ):
        raise ValueError("the mask of a masked array does not fit its data")
    return parts.refers(data, mask=mask)


ASTROPY_MASKED = Kind(
    "astropy_masked",  # before "subarray": its classes are made by astropy
    derives_from(_MASKED),
    _encode_astropy_masked,
    _decode_astropy_masked,
    Role(
        "`astropy.utils.masked.Masked`",
        lambda obj: obj is imported_class(_MASKED),
        modules=frozenset({"astropy.utils.masked"}),
    ),
    keeps="`astropy.utils.masked.Masked` of an array or a quantity: data and mask",
    shared=True,
    attributes=None,
)
