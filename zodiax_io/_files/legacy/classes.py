"""Facts that imported classes add to an old file; none of their code runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ..._jax import is_registered_node
from ..._trust import names, reflection
from ..._trust.reflection import class_attribute
from ..._trust.roles import is_namedtuple


def imported_class(name: str) -> Any:
    """The class with a name, or None if its module is not imported; runs nothing."""
    try:
        found = names.lookup(*names.split(name))
    except (LookupError, ValueError):
        return None
    return found if reflection.is_class(found) else None


def _field(cls: Any, name: str) -> Any:
    fields = class_attribute(cls, "__dataclass_fields__") if cls is not None else None
    found = fields.get(name) if type(fields) is dict else None
    return found if type(found) is dataclasses.Field else None


def is_class_variable(cls: Any, name: str) -> bool:
    """Whether a name is a variable of the class: old files list these as fields."""
    found = _field(cls, name)
    return found is not None and str(getattr(found, "_field_type", "")) != "_FIELD"


def is_static(cls: Any, name: str) -> bool:
    found = _field(cls, name)
    return found is not None and found.metadata.get("static", False) is True


def is_static_by_class(
    find_class: Callable[[str], Any], name: str, field: str | None, saved: set[str]
) -> bool | None:
    """Whether the class says that a field is static; None if that is unknown.

    A class that has lost some of the `saved` fields has changed, so it is not used.
    """
    cls = find_class(name)
    if cls is None:
        return None
    fields = class_attribute(cls, "__dataclass_fields__")
    if field is not None and type(fields) is dict and not saved <= fields.keys():
        return None
    if field is None:  # JAX finds leaves in a namedtuple or a registered class only
        return not (is_namedtuple(cls) or is_registered_node(cls))
    if _field(cls, field) is None:
        return None
    return is_static(cls, field) or is_class_variable(cls, field)
