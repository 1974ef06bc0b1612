"""Modules of flax.linen, by their fields.

Such a module is a dataclass of settings. Besides its fields, an instance has entries of
flax: a number, the state of its set-up, and the module or variables that it is bound
to. A load lets flax make these anew. So only a module that was neither set up nor bound
is kept. flax is recognised by name, and not imported.
"""

from __future__ import annotations

from typing import Any

from .. import _jax
from .._trust import reflection, roles
from .base import CannotKeep, Declaration, Kind, Parts, children_by_name
from .fields import OF_DATACLASSES, attributes_of, declared_fields, vars_of
from .objects import decode_object, encode_object

# A field to `dataclasses` only: flax computes it from an entry of its own.
_PARENT = "parent"
_STATE, _NUMBER, _SCOPE = "_state", "_id", "scope"


def _fields(cls: type) -> dict[str, Any]:
    fields = declared_fields(cls)
    return {name: field for name, field in fields.items() if name != _PARENT}


def _entries_of_flax(cls: type) -> dict[str, Any]:
    """The entries that flax adds to a new module, which is bound to nothing.

    They are made by flax's own base class: no code of the class runs.
    """
    base = next(base for base in reflection.mro(cls) if roles.is_linen_base(base))
    empty = object.__new__(cls)
    entries = vars_of(empty)
    entries["_parent_ref"] = None
    reflection.namespace(base)["__post_init__"](empty)
    return dict(entries)


def _encode_linen(obj: Any) -> Parts | None:
    cls = type(obj)
    if _jax.is_registered_node(cls):
        return None
    attributes, entries = attributes_of(obj), _entries_of_flax(cls)
    if attributes.get(_SCOPE) is not None:
        raise CannotKeep(
            "It is bound to variables. Keep the module and the variables, `x.unbind()`."
        )
    if not all(_is_as_new(n, attributes.get(n), v) for n, v in entries.items()):
        raise CannotKeep(
            "It belongs to another module of flax, or was set up by it. Keep the outer "
            "module; or a copy, `x.clone(parent=None)`."
        )
    fields = _fields(cls)
    parts = encode_object(obj, fields, tuple(fields), {*entries, _SCOPE})
    parts.is_node = False
    return parts


def _is_as_new(name: str, value: Any, new: Any) -> bool:
    """Whether an entry of flax is that of a module that was not used yet."""
    if name == _NUMBER:
        return True
    if type(value) is not type(new):
        return False
    if name == _STATE:
        return attributes_of(value) == attributes_of(new)
    return value is new


def _decode_linen(parts: Parts) -> Any:
    entries = _entries_of_flax(parts.refers)
    if not children_by_name(parts).keys().isdisjoint({*entries, _SCOPE, _PARENT}):
        raise ValueError("a module of flax has entries that flax makes anew")
    obj = decode_object(parts, _fields(parts.refers))
    vars_of(obj).update(entries)
    return obj


def _names(cls: type) -> tuple[str, ...]:
    return tuple(name for name in OF_DATACLASSES.names(cls) if name != _PARENT)


LINEN = Kind(
    "linen",  # before "dataclass", which it is as well
    roles.is_linen_class,
    _encode_linen,
    _decode_linen,
    roles.LINEN,
    keeps="modules of `flax.linen` that are not bound to variables, by their fields",
    shared=True,
    attributes=None,
    fields=Declaration(
        _names,
        OF_DATACLASSES.has_default,
        OF_DATACLASSES.runs_code,
        OF_DATACLASSES.default,
    ),
    may_become=True,
)
