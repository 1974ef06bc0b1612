"""What classes tell about old files, if they are there: nothing of theirs runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from ..._jax import is_registered_node
from ..._trust import names, reflection
from ..._trust.reflection import class_attribute


def imported(name: str) -> Any:
    """The class under a name, if its module is imported; runs nothing."""
    try:
        found = names.lookup(*names.split(name))
    except (LookupError, ValueError):
        return None
    return found if reflection.is_class(found) else None


def is_namedtuple(cls: Any) -> bool:
    return (
        reflection.is_class(cls)
        and reflection.derives(cls, tuple)
        and type(class_attribute(cls, "_fields")) is tuple
    )


def field_of(cls: Any, name: str) -> Any:
    fields = class_attribute(cls, "__dataclass_fields__") if cls is not None else None
    found = fields.get(name) if type(fields) is dict else None
    return found if type(found) is dataclasses.Field else None


def is_of_class(cls: Any, name: str) -> bool:
    """Whether a name is no field, but a variable of the class: old files list both."""
    found = field_of(cls, name)
    return found is not None and str(getattr(found, "_field_type", "")) != "_FIELD"


def is_static(cls: Any, name: str) -> bool:
    found = field_of(cls, name)
    return found is not None and found.metadata.get("static", False) is True


def told_static(
    find: Callable[[str], Any], name: str, of: str | None, held: set[str]
) -> bool | None:
    """Whether a class says that a field is static, if there is one to ask.

    One that has lost some of the fields that a file holds is not asked.
    """
    cls = find(name)
    if cls is None:
        return None
    fields = class_attribute(cls, "__dataclass_fields__")
    if of is not None and type(fields) is dict and not held <= fields.keys():
        return None
    if of is None:  # JAX sees nothing in what is neither a namedtuple nor registered
        return not (is_namedtuple(cls) or is_registered_node(cls))
    if field_of(cls, of) is None:
        return None
    return is_static(cls, of) or is_of_class(cls, of)
