"""The fields that a class declares, found by the row of its kind."""

from __future__ import annotations

from typing import Any

from .._trust import reflection
from .base import Declaration
from .fields import UNDECLARED
from .lookup import KINDS


def _declaration(cls: type) -> Declaration:
    for kind in KINDS:
        if kind.fields is not None and kind.matches(cls):
            return kind.fields
    return UNDECLARED


def fields_of(cls: object) -> tuple[str, ...]:
    """The fields that a class declares; `TypeError` if it is no class or has none."""
    if not reflection.is_class(cls):
        raise TypeError("it is not a class")
    return _declaration(cls).names(cls)


def has_default(cls: type, name: str) -> bool:
    """Whether a class declares a default for one of its fields."""
    return _declaration(cls).has_default(cls, name)


def runs_code(cls: type, name: str) -> bool:
    """Whether code of the class makes the default of a field."""
    return _declaration(cls).runs_code(cls, name)


def default_of(cls: type, name: str) -> Any:
    """The default of a field, as `__init__` would set it; `LookupError` without one."""
    declaration = _declaration(cls)
    if not declaration.has_default(cls, name):
        raise LookupError(f"{cls.__qualname__} declares no default for {name!r}")
    return declaration.default(cls, name)
