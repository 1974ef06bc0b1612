"""Modules of installed packages, found and searched for a name without an import."""

from __future__ import annotations

import functools
import os
import re
from importlib.machinery import ModuleSpec, PathFinder

from ._errors import shown
from ._libraries import is_library_file


def files_of(spec: ModuleSpec) -> list[str]:
    """The file of a module, or the folders of a namespace package."""
    if type(spec.origin) is str and spec.has_location:
        return [spec.origin]
    return [*(spec.submodule_search_locations or ())]


def is_in_library(spec: ModuleSpec) -> bool:
    """Whether a module, or a folder of a namespace package, lies in a library."""
    return any(is_library_file(file) for file in files_of(spec))


def find_in(
    spec: ModuleSpec, name: str, *, anywhere: bool = False
) -> ModuleSpec | None:
    """A module of an installed package.

    Of a namespace package, one in a library, unless it may be `anywhere`.
    """
    places = [*(spec.submodule_search_locations or ())]
    if spec.origin is None and not anywhere:
        places = [place for place in places if is_library_file(place)]
    try:
        # By its last part: for the whole name Python asks for the package's module.
        found = PathFinder.find_spec(name, places)
    except (ImportError, ValueError, OSError):
        return None
    if found is not None:
        found.name = f"{spec.name}.{name}"
        if found.submodule_search_locations is not None:
            found.submodule_search_locations = [*found.submodule_search_locations]
    return found


def may_fill_itself(spec: ModuleSpec) -> bool:
    """Whether the source of a module may define names that it does not spell."""
    return any(mentions(spec, word) for word in _FILLERS)


_FILLERS = ("setattr", "__getattr__", "locals", "vars", "__dict__", "globals")


def mentions(spec: ModuleSpec, name: str) -> bool:
    """Whether the source of a module may define a name; no code is compiled for it."""
    if type(spec.origin) is not str or not spec.origin.endswith(".py"):
        return True
    try:
        return _mentions(spec.origin, os.stat(spec.origin).st_mtime_ns, name)
    except OSError:
        return True


@functools.lru_cache(maxsize=4096)
def _mentions(file: str, changed: int, name: str) -> bool:
    with open(file, encoding="utf8", errors="replace") as source:
        text = source.read(_MAX_SOURCE)
    # Or it takes names over from elsewhere without spelling them.
    pattern = rf"\b{re.escape(name)}\b|\bimport\s+\*|\bglobals\(\)|\bsys\.modules\b"
    return re.search(pattern, text) is not None


_MAX_SOURCE = 16 << 20


def failure(error: BaseException) -> str:
    """Type and first line of an error of an import, for messages."""
    try:
        text = str(error)
    except MemoryError:
        raise
    except Exception:  # of the package's own error
        text = ""
    name = type.__dict__["__name__"].__get__(type(error))
    line = text.strip().partition("\n")[0]
    return shown(f"{name}: {line}" if line else name, _MAX_FAILURE)


_MAX_FAILURE = 200
