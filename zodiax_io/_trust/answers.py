"""The answers of the rules: accept, refuse, or import a module first."""

from __future__ import annotations

from typing import NamedTuple


class Accept(NamedTuple):
    """The file may use the name. The reason ends a sentence that begins with it."""

    reason: str


class Refuse(NamedTuple):
    """The file may not use the name; `trust` is what to add to `trusted=`, if any."""

    reason: str
    trust: str | None = None
    missing: bool = False


def missing(reason: str, trust: str | None = None) -> Refuse:
    """Refuse a name that is not imported, not installed, or gone."""
    return Refuse(reason, trust, missing=True)


class ImportFirst(NamedTuple):
    """The name can only be judged once this module is imported, which is allowed."""

    module: str


Answer = Accept | Refuse | ImportFirst
