"""The fields that a class declares, by the row of its kind."""

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
    """The fields that a class declares.

    Raises
    ------
    TypeError
        If it is not a class that declares fields.
    """
    if not reflection.is_class(cls):
        raise TypeError("it is no class")
    return _declaration(cls).names(cls)


def has_default(cls: type, name: str) -> bool:
    """Whether a class declares a default for one of its fields."""
    return _declaration(cls).has_default(cls, name)


def runs_code(cls: type, name: str) -> bool:
    """Whether the default of a field is made by code of the class."""
    return _declaration(cls).runs_code(cls, name)


def default_of(cls: type, name: str) -> Any:
    """The value of a field that is not given, as the class's own `__init__` has it.

    Raises
    ------
    LookupError
        If the class declares no default for it.
    """
    declaration = _declaration(cls)
    if not declaration.has_default(cls, name):
        raise LookupError(f"{cls.__qualname__} declares no default for {name!r}")
    return declaration.default(cls, name)
