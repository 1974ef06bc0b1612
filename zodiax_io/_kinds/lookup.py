"""Find the row of a class, of a name in a file, or of a node."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .base import Kind, guarded, refusal
from .table import TABLE

# All rows, those that were added before those of the table.
KINDS: list[Kind] = list(TABLE)
# Rows that only refuse keep nothing, so no file may name them.
by_name: dict[str, Kind] = {kind.name: kind for kind in KINDS if kind.keeps}
# By identity, with the class: a metaclass may define `__eq__`.
_by_class: dict[int, tuple[type, tuple[Kind, ...]]] = {}
_MAX_CLASSES = 10_000


def kinds_of(cls: type) -> tuple[Kind, ...]:
    """The kinds that match a class, in the order of the table."""
    found = _by_class.get(id(cls))
    if found is None:
        found = cls, tuple(guarded(kind, cls) for kind in KINDS if kind.matches(cls))
        if len(_by_class) >= _MAX_CLASSES:  # classes made in a loop
            _by_class.clear()
        _by_class[id(cls)] = found
    return found[1]


def row_named(name: object) -> Kind:
    """The row of a kind; a row with defaults if this release does not know it."""
    found = by_name.get(name) if type(name) is str else None
    if found is not None:
        return found
    return NOT_REGISTERED if type(name) is str and "." in name else NOT_KNOWN


def row_of(node: dict[str, Any]) -> Kind:
    """The row of a node; a row with defaults for a reference to another node."""
    return row_named(node.get("kind"))


def _none(cls: type) -> bool:
    return False


# The rows of kinds that are in no table: of this library, and of other packages.
NOT_KNOWN = refusal("unknown", _none, lambda obj: None)
NOT_REGISTERED = replace(NOT_KNOWN, hides_child=True)


def add_kind(kind: Kind, *, in_files: bool = True) -> None:
    """Put a row before all others; it replaces a row of the same name."""
    old = by_name.pop(kind.name, None)
    if old is not None:
        KINDS.remove(old)
    KINDS.insert(0, kind)
    if in_files:
        by_name[kind.name] = kind
    _by_class.clear()
