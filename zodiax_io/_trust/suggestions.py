"""Suggests imported classes and functions with names similar to a missing one."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from typing import Any

from .._errors import MAX_NAME
from . import names, reflection
from .origins import is_own
from .renames import is_name
from .table import FRAMEWORKS
from .trusted import Trust

_MIN_RATIO = 0.75
_MAX_SUGGESTIONS = 3
_MAX_SEARCHES = 10  # a file may name any number of missing classes


class Suggestions:
    """Searches what is imported, for one call."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._searches = 0
        self._of_every_name: list[tuple[str, Any]] | None = None

    def text(self, module: str, qualname: str) -> str:
        """The end of a message about a missing name: the `renames=` to pass, if any."""
        if (
            names.top_level_package(module) in FRAMEWORKS
        ):  # among thousands, some always resemble
            return ""
        similar = self._similar(module, qualname)
        if not similar or not is_name(f"{module}:{qualname}"):
            return ""
        listed = " or ".join(f"`{name}`" for name in similar)
        return (
            f"; if it was renamed to {listed}, pass "
            f'`renames={{"{module}:{qualname}": "{similar[0]}"}}`'
        )

    def _similar(self, module: str, qualname: str) -> list[str]:
        """The names most similar to a missing one, the best first."""
        wanted = qualname.rpartition(".")[2]
        self._searches += 1
        if self._searches > _MAX_SEARCHES or len(wanted) > MAX_NAME:
            return []
        scores: dict[str, float] = {}
        matcher = difflib.SequenceMatcher(b=wanted)
        for name, _ in self.candidates(module):
            home, _, key = name.partition(":")
            matcher.set_seq1(key)
            if matcher.real_quick_ratio() < _MIN_RATIO:  # upper bounds, and cheaper
                continue
            if matcher.quick_ratio() >= _MIN_RATIO <= (ratio := matcher.ratio()):
                near = difflib.SequenceMatcher(None, module[:MAX_NAME], home).ratio()
                scores[name] = ratio + 0.5 * near
        return sorted(scores, key=lambda name: -scores[name])[:_MAX_SUGGESTIONS]

    def candidates(self, module: str) -> Iterator[tuple[str, Any]]:
        """Classes and functions of the module's package, trusted ones and the user's.

        With their names; only what is imported.
        """
        trusted = {names.top_level_package(name) for name in self._trust.packages}
        package = names.top_level_package(module)
        if self._of_every_name is None:
            self._of_every_name = [
                item
                for name in list(sys.modules)
                if names.top_level_package(name) in trusted or is_own(name)
                for item in _definitions(name)
            ]
        yield from self._of_every_name
        for name in list(sys.modules):
            if names.top_level_package(name) == package not in trusted and not is_own(
                name
            ):
                yield from _definitions(name)


def _definitions(module: str) -> Iterator[tuple[str, Any]]:
    """The classes and functions that an imported module defines, by their names."""
    for key, value in list((reflection.module_space(module) or {}).items()):
        if type(key) is str and reflection.own_name(value) == (module, key):
            yield f"{module}:{key}", value
