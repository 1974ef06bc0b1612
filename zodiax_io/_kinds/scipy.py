"""Splines, rotations and frozen distributions of SciPy, by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .._errors import LIMITS
from .._trust import reflection
from .._trust.names import lookup_or_none
from .._trust.roles import Role
from .base import CannotKeep, Data, Kind, Parts, children_by_name, expect_children
from .fields import attributes_of
from .units import derives_from, imported_class
from .values import expect

_POLYNOMIALS = (
    *("PPoly", "BPoly", "CubicSpline", "CubicHermiteSpline"),
    *("PchipInterpolator", "Akima1DInterpolator"),
)
_INTERPOLATE, _TRANSFORM = "scipy.interpolate", "scipy.spatial.transform"
_PARTS = ("c", "x", "extrapolate", "axis")
_MAX_DEGREE = 64
_ADVICE = "Keep its numbers, and make it again from them."


def _floats(value: Any, least: int) -> Any:
    """An array of floats or complex numbers with so many dimensions at least."""
    if type(value) is not np.ndarray or value.ndim < least:
        raise ValueError(f"expected an array of {least} dimensions or more")
    if value.dtype.name not in ("float64", "complex128"):
        raise ValueError("expected numbers of double precision")
    return value


def _settings(extrapolate: Any, axis: Any, dimensions: int) -> None:
    if not (extrapolate is None or extrapolate in (True, False, "periodic")):
        raise ValueError("`extrapolate` has another value")
    if not 0 <= expect(axis, int) < dimensions:
        raise ValueError("the axis lies outside of the coefficients")


def _encode_polynomial(obj: Any) -> Parts:
    return Parts(children={name: getattr(obj, name) for name in _PARTS})


def _decode_polynomial(cls: Any, parts: Parts) -> Any:
    c, x, extrapolate, axis = expect_children(parts, *_PARTS)
    _settings(extrapolate, axis, _floats(c, 2).ndim - 1)
    steps = np.diff(_floats(x, 1))
    if x.ndim != 1 or x.dtype.kind == "c" or len(x) < 2 or c.shape[1] != len(steps):
        raise ValueError("the breakpoints do not fit the coefficients")
    if not ((steps > 0).all() or (steps < 0).all()):
        raise ValueError("the breakpoints are not in order")
    return cls.construct_fast(c, x, extrapolate, axis)


def _encode_bspline(obj: Any) -> Parts:
    names = ("extrapolate", "axis", "k")
    arrays = {"t": obj.t, "c": obj.c}
    return Parts(children={**arrays, **{name: getattr(obj, name) for name in names}})


def _decode_bspline(cls: Any, parts: Parts) -> Any:
    t, c, extrapolate, axis, k = expect_children(
        parts, "t", "c", "extrapolate", "axis", "k"
    )
    _settings(extrapolate, axis, _floats(c, 1).ndim)
    if not 0 <= expect(k, int) <= _MAX_DEGREE:
        raise ValueError("the degree of a spline is out of range")
    # It checks the knots, as far as its compiled functions rely on them.
    made = cls(_floats(t, 1), c, k, extrapolate=extrapolate)
    made.axis = axis
    return made


def _encode_rotation(obj: Any) -> Parts:
    attributes = attributes_of(obj)
    quaternion, single = attributes.get("_quat"), attributes.get("_single")
    if type(quaternion) is not np.ndarray or type(single) is not bool:
        raise CannotKeep(
            "It is kept in another way than as an array of NumPy. Keep `x.as_quat()`, "
            "and make it again by `from_quat`."
        )
    return Parts(children={"quaternion": quaternion, "single": single})


def _decode_rotation(cls: Any, parts: Parts) -> Any:
    quaternion, single = expect_children(parts, "quaternion", "single")
    if _floats(quaternion, 2).dtype.kind == "c" or quaternion.shape[-1] != 4:
        raise ValueError("a rotation is not made of four real numbers")
    if expect(single, bool) and quaternion.shape != (1, 4):
        raise ValueError("a single rotation has one quaternion")
    made = cls.identity()
    vars(made).update(_quat=quaternion, _single=single)
    return made


_FORMS: dict[str, tuple[Callable[[Any], Parts], Callable[[Any, Parts], Any]]] = {
    **{
        f"{_INTERPOLATE}:{name}": (_encode_polynomial, _decode_polynomial)
        for name in _POLYNOMIALS
    },
    f"{_INTERPOLATE}:BSpline": (_encode_bspline, _decode_bspline),
    f"{_TRANSFORM}:Rotation": (_encode_rotation, _decode_rotation),
}


def _name_of(cls: Any) -> str | None:
    return next((name for name in _FORMS if imported_class(name) is cls), None)


def _encode_scipy(obj: Any) -> Parts:
    cls = type(obj)
    name = _name_of(cls)
    assert name is not None  # as the row matches
    parts = _FORMS[name][0](obj)
    parts.refers, parts.name = cls, name
    try:
        made = attributes_of(_decode_scipy(parts))
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_ADVICE}") from None
    found = attributes_of(obj)
    for attribute in made.keys() | found.keys():
        one, other = (space.get(attribute, ...) for space in (made, found))
        if not _is_same(one, other):
            raise CannotKeep(f"It has another {attribute!r:.80} when made. {_ADVICE}")
    return parts


def _is_same(one: Any, other: Any) -> bool:
    if type(one) is np.ndarray and type(other) is np.ndarray:
        same = one.dtype == other.dtype and one.shape == other.shape
        return same and one.tobytes() == other.tobytes()
    return one is other or (type(one) is type(other) and bool(one == other))


def _decode_scipy(parts: Parts) -> Any:
    name = _name_of(parts.refers)
    assert name is not None  # as the judge has accepted it
    children_by_name(parts)
    try:
        return _FORMS[name][1](parts.refers, parts)
    except (*LIMITS, ValueError):
        raise
    except Exception as error:
        raise ValueError(
            f"SciPy makes none of it: {type(error).__name__}: {error}"
        ) from error


SCIPY = Kind(
    "scipy",
    lambda cls: _name_of(cls) is not None,
    _encode_scipy,
    _decode_scipy,
    Role(
        "a spline or a rotation of SciPy",
        lambda obj: reflection.is_class(obj) and _name_of(obj) is not None,
        modules=frozenset({_INTERPOLATE, _TRANSFORM}),
    ),
    keeps="splines, piecewise polynomials and rotations of SciPy",
    shared=True,
    attributes=None,
    data=Data.NUMBERS,
)


# Frozen distributions -----------------------------------------------------------------

_is_frozen = derives_from("scipy.stats._distn_infrastructure:rv_frozen")
_is_distribution = derives_from("scipy.stats:rv_continuous", "scipy.stats:rv_discrete")
_PARAMETERS = (bool, int, float, np.ndarray)


def _check_parameters(values: Any) -> None:
    for value in values:
        if type(value) not in _PARAMETERS and not isinstance(value, np.number):
            raise ValueError("a parameter of a distribution is not a number")


def _encode_frozen(obj: Any) -> Parts:
    distribution = obj.dist
    name = f"scipy.stats:{distribution.name}"
    original = lookup_or_none(name)
    parts = Parts(
        children={"args": obj.args, "kwds": obj.kwds}, refers=original, name=name
    )
    advice = "Keep its parameters, and make it again from them."
    if type(original) is not type(distribution):
        raise CannotKeep(f"It is of a distribution without a name in SciPy. {advice}")
    try:
        made = _decode_frozen(parts)
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {advice}") from None
    if made.dist._random_state is not distribution._random_state or (
        attributes_of(made).keys() != attributes_of(obj).keys()
    ):
        raise CannotKeep(f"It has a random state of its own. {advice}")
    return parts


def _decode_frozen(parts: Parts) -> Any:
    args, kwds = expect_children(parts, "args", "kwds")
    _check_parameters(expect(args, tuple))
    _check_parameters(expect(kwds, dict).values())
    try:
        return parts.refers.freeze(*args, **kwds)
    except LIMITS:
        raise
    except Exception as error:
        raise ValueError(
            f"SciPy freezes no distribution so: {type(error).__name__}: {error}"
        ) from error


DISTRIBUTION = Kind(
    "frozen_distribution",
    _is_frozen,
    _encode_frozen,
    _decode_frozen,
    Role(
        "a distribution of SciPy",
        lambda obj: _is_distribution(type(obj)),
        modules=frozenset({"scipy.stats"}),
    ),
    keeps="frozen distributions of SciPy, such as `scipy.stats.norm(0, 1)`",
    shared=True,
    attributes=None,
    data=Data.NUMBERS,
)
