"""Small values that describe something: a traced array, a place in a tree, an item."""

from __future__ import annotations

import operator
from typing import Any

import jax.core
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .. import _jax
from .._arrays import dtypes
from .._trust import reflection
from . import values
from .base import (
    CannotKeep,
    Data,
    Kind,
    Parts,
    children_in_order,
    exactly,
)
from .values import expect

# Traced arrays ------------------------------------------------------------------------

_SHAPED_ARRAY: Any = jax.core.ShapedArray


def _encode_shaped(obj: Any) -> Parts:
    if isinstance(obj.dtype, np.dtype):
        try:
            extra: dict[str, Any] = {"shape": [operator.index(n) for n in obj.shape]}
            extra["dtype"] = dtypes.describe(obj.dtype)
            extra["weak_type"] = obj.weak_type
            parts = Parts(extra=extra)
            if _decode_shaped(parts) is obj:  # JAX has one object for equal ones
                return parts
        except (TypeError, ValueError):
            pass
    raise CannotKeep(
        "It has a sharding, a memory or a dtype that belongs to one computation. Keep "
        "`jax.ShapeDtypeStruct(x.shape, x.dtype, weak_type=x.weak_type)`, as far as "
        "that can be kept."
    )


def _decode_shaped(parts: Parts) -> Any:
    shape = dtypes.plain_shape(parts.extra["shape"])
    weak = expect(parts.extra["weak_type"], bool)
    return _SHAPED_ARRAY(shape, dtypes.parse(parts.extra["dtype"]), weak_type=weak)


SHAPED_ARRAY = Kind(
    "shaped_array",
    exactly(_SHAPED_ARRAY),
    _encode_shaped,
    _decode_shaped,
    keeps="`jax.core.ShapedArray` without sharding",
    attributes=None,
    data=Data.NUMBERS,
)


# Numbers with a dtype of JAX ----------------------------------------------------------


# By class: the row that keeps its number.
_NUMBERS = {
    "TypedInt": (int, values.INT),
    "TypedFloat": (float, values.FLOAT),
    "TypedComplex": (complex, values.COMPLEX),
}


def _encode_literal(obj: Any) -> Parts:
    name = type(obj).__qualname__
    plain, row = _NUMBERS[name]
    number = plain(obj)
    inner = row.encode(number)
    assert inner is not None
    value = {"class": name, "number": inner.value}
    extra = {"dtype": dtypes.describe(obj.dtype)}
    made = _decode_literal(Parts(value=value, extra=extra))
    attributes = reflection.instance_dict(obj) or {}
    if attributes.keys() - {"dtype", "aval"} or made.aval is not obj.aval:
        raise CannotKeep(
            f"It was changed since it was made. Keep `{plain.__name__}(x)` and its "
            "dtype, `x.dtype`."
        )
    return Parts(value=value, extra=extra, equinox_record=inner.equinox_record)


def _decode_literal(parts: Parts) -> Any:
    value = expect(parts.value, dict)
    name = expect(value["class"], str)
    number = _NUMBERS[name][1].decode(Parts(value=value["number"]))
    return _jax.typed_literals()[name](number, dtypes.parse(parts.extra["dtype"]))


LITERAL = Kind(
    "typed_literal",
    lambda cls: reflection.is_one_of(cls, _jax.typed_literals().values()),
    _encode_literal,
    _decode_literal,
    keeps="the numbers with a dtype that JAX makes of Python's when it traces",
    attributes=None,
)


# Places -------------------------------------------------------------------------------

_TREE_KEYS: dict[str, tuple[type, str]] = {
    "DictKey": (jtu.DictKey, "key"),
    "FlattenedIndexKey": (jtu.FlattenedIndexKey, "key"),
    "GetAttrKey": (jtu.GetAttrKey, "name"),
    "SequenceKey": (jtu.SequenceKey, "idx"),
}


def _encode_tree_key(obj: Any) -> Parts:
    for name, (cls, attribute) in _TREE_KEYS.items():
        if type(obj) is cls:
            return Parts(children=[getattr(obj, attribute)], value=name)
    raise CannotKeep("It is not a key of JAX.")


def _decode_tree_key(parts: Parts) -> Any:
    (key,) = children_in_order(parts)
    cls, attribute = _TREE_KEYS[expect(parts.value, str)]
    if attribute == "idx" or cls is jtu.FlattenedIndexKey:
        expect(key, int)
    elif attribute == "name":
        expect(key, str)
    return cls(key)


TREE_KEY = Kind(
    "tree_key",
    exactly(*(cls for cls, _ in _TREE_KEYS.values())),
    _encode_tree_key,
    _decode_tree_key,
    keeps="the keys in the paths of `jax.tree_util`",
    attributes=None,
)


def _encode_getter(obj: operator.itemgetter[Any]) -> Parts:
    reduced: Any = obj.__reduce__()
    return Parts(children=list(reduced[1]))


def _decode_getter(parts: Parts) -> operator.itemgetter[Any]:
    return operator.itemgetter(*children_in_order(parts))


ITEM_GETTER = Kind(
    "itemgetter",
    exactly(operator.itemgetter),
    _encode_getter,
    _decode_getter,
    keeps="`operator.itemgetter`",
    shared=True,
    attributes=None,
)


# Limits of dtypes ---------------------------------------------------------------------


_LIMITS: dict[str, Any] = {
    "numpy.finfo": np.finfo,
    "numpy.iinfo": np.iinfo,
    "jax.numpy.finfo": jnp.finfo,
    "jax.numpy.iinfo": jnp.iinfo,
}


# What NumPy and ml_dtypes set on them, in any release. They may share one object for a
# dtype, so a new one says nothing of what was set beside.
_OF_LIMITS = frozenset(
    """
    _fmt _machar _radix _repr _str_eps _str_epsneg _str_max _str_resolution
    _str_smallest_normal _str_smallest_subnormal _str_tiny bits dtype eps epsneg iexp
    key kind machep max maxexp min minexp negep nexp nmant precision resolution
    smallest_normal smallest_subnormal tiny
    """.split()
)


def _encode_limits(obj: Any) -> Parts:
    dtype = np.dtype(obj.dtype)
    surplus = vars(obj).keys() - _OF_LIMITS
    if surplus:
        raise CannotKeep(
            f"It has an attribute {min(surplus)!r:.80} that NumPy does not set. Keep "
            "its dtype, `x.dtype`, and that."
        )
    for name, make in _LIMITS.items():
        try:
            made = make(dtype)
        except (ValueError, TypeError):
            continue
        if type(made) is type(obj) and str(made) == str(obj):
            return Parts(value=name, extra={"dtype": dtypes.describe(dtype)})
    raise CannotKeep("Keep its dtype, `x.dtype`, instead.")


def _decode_limits(parts: Parts) -> Any:
    return _LIMITS[expect(parts.value, str)](dtypes.parse(parts.extra["dtype"]))


LIMITS_OF_DTYPE = Kind(
    "limits",
    exactly(np.finfo, np.iinfo, type(jnp.finfo(np.float32)), type(jnp.iinfo(np.int32))),
    _encode_limits,
    _decode_limits,
    keeps="`finfo` and `iinfo` of NumPy and JAX",
    attributes=None,
    data=Data.NUMBERS,
)
