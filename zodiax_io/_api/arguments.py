"""Checks that several public functions share."""

from __future__ import annotations

import sys

from .._errors import ZodiaxIOError


def check_not_ending(error: type[ZodiaxIOError], doing: str) -> None:
    """Refuse a call during shutdown: it would wait for threads that have ended."""
    if sys.meta_path is None:  # pyright: ignore[reportUnnecessaryComparison]
        raise error(
            f"Cannot {doing}: Python is shutting down, and its modules are being "
            f"removed. {doing.capitalize()} earlier, or in a function registered with "
            "`atexit.register`."
        )
