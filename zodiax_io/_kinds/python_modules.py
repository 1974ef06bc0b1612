"""Modules as values, such as the `jnp` of a class that computes with any namespace."""

from __future__ import annotations

import types

from .._trust import roles
from .._trust.names import name_of
from .base import CannotKeep, Data, Kind, Parts, decode_reference, exactly
from .look import Look


def _encode_module(obj: types.ModuleType) -> Parts:
    if name_of(obj) is None:
        raise CannotKeep(
            "It is a module that no `import` finds again: the running script, or one "
            "that is not in `sys.modules` under its own name. Keep a module that can "
            "be imported, or the functions that are needed of it."
        )
    return Parts(refers=obj)


PYTHON_MODULE = Kind(
    "python_module",
    exactly(types.ModuleType),
    _encode_module,
    decode_reference,
    roles.PYTHON_MODULE,
    keeps="modules as namespaces of functions (`jnp`, one of the user's), by name",
    attributes=None,
    is_function=True,
    data=Data.NONE,
    look=Look(words="the module"),
)
