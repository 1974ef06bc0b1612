"""What a caller trusts."""

from __future__ import annotations

from . import names


def is_below(name: str, trusted: str) -> bool:
    """Whether a name belongs to what a caller trusts."""
    return name == trusted or name.startswith((f"{trusted}.", f"{trusted}:"))


def is_well_formed(text: str) -> bool:
    try:
        names.split(text)
    except ValueError:
        return False
    return True
