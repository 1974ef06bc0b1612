"""Checks of arguments that several calls share."""

from __future__ import annotations

import sys

from .._errors import (
    ZodiaxIOError,
)


def check_not_ending(error: type[ZodiaxIOError], doing: str) -> None:
    """Refuse what would wait for threads and modules that are gone already."""
    if sys.meta_path is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise error(
            f"Cannot {doing} any more: Python is ending, and has begun to take its "
            "modules apart. Do it before, or in a function given to `atexit.register`."
        )
