"""The packages, names and objects that the caller trusts for one call."""

from __future__ import annotations

import types
from typing import Any

from .._errors import ArgumentError, shown
from . import reflection
from .origins import is_own_code
from .renames import is_name


class Trust:
    """The packages, names and objects that the caller trusts for one call.

    Parameters
    ----------
    trusted : sequence of str, module, class or function
        Packages or modules by name, names as a file spells them, or the very objects.

    Attributes
    ----------
    packages : set of str
        Trusted packages and modules, with everything in them.
    names : set of str
        Trusted names, as the file spells them.
    unused : set of str
        The packages and names to which no name of the file belongs so far.

    Raises
    ------
    ArgumentError
        If `trusted` contains anything else, or an empty name.
    """

    def __init__(self, trusted: Any = ()) -> None:
        self.packages: set[str] = set()
        self.names: set[str] = set()
        self._objects: dict[int, Any] = {}  # kept alive, so that no id is used again
        given: Any = () if trusted is None else trusted
        if not isinstance(given, (list, tuple, set, frozenset)):
            given = [given]
        for item in given:
            self._add(item)
        self.unused = self.packages | self.names

    def _add(self, item: Any) -> None:
        if isinstance(item, types.ModuleType):
            self.packages.add(item.__name__)
        elif isinstance(item, str) and is_name(item):
            self.names.add(item)
        elif isinstance(item, str) and all(p.isidentifier() for p in item.split(".")):
            self.packages.add(item)
        elif reflection.is_class(item) or callable(item):
            self.add_object(item)
        else:
            name = shown(repr(item)) if isinstance(item, str) else None
            raise ArgumentError(
                f'`trusted` takes names of packages such as "mylab", classes and '
                f"functions, not {name or f'a {type(item).__name__}'}."
            )

    def add_object(self, obj: Any) -> None:
        """Trust an object, whatever its name."""
        self._objects[id(obj)] = obj

    def has_object(self, obj: Any) -> bool:
        """Whether this very object is trusted."""
        return id(obj) in self._objects

    def covers(self, module: str) -> bool:
        """Whether a module belongs to a trusted package."""
        parts = module.split(".")
        return any(
            ".".join(parts[:n]) in self.packages for n in range(1, len(parts) + 1)
        )

    def trusted_because(self, obj: Any, home: str) -> str | None:
        """Why an object of a module is trusted, or None if it is not."""
        if self.covers(home) or self.has_object(obj):
            return "is trusted by the caller"
        return "is your own code" if is_own_code(home) else None

    def mark_used(self, name: str) -> None:
        """Take what covers this name of a file out of `unused`."""
        self.unused -= {trusted for trusted in self.unused if is_below(name, trusted)}


class TrustInAll(Trust):
    """Trusts every package; what is refused nevertheless is refused for good."""

    def covers(self, module: str) -> bool:
        """Yes."""
        return True


def is_below(name: str, trusted: str) -> bool:
    """Whether a name is a trusted package, module or class, or is in it."""
    return name == trusted or name.startswith((f"{trusted}.", f"{trusted}:"))
