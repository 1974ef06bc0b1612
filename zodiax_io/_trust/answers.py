"""The answers to the question whether a file may use a name."""

from __future__ import annotations

from typing import NamedTuple


class Accept(NamedTuple):
    """The file may use the name. The reason ends a sentence that begins with it."""

    reason: str


class Refuse(NamedTuple):
    """The file may not use the name; `trust` is what to add to `trusted=`, if any."""

    reason: str
    trust: str | None = None
    missing: bool = False  # not imported, not installed, or gone


class ImportFirst(NamedTuple):
    """The file may use the name, or not: that shows once this module is imported."""

    module: str


Answer = Accept | Refuse | ImportFirst
