"""Modules of installed packages, found and searched for a name without an import."""

from __future__ import annotations

import functools
import os
import re
from importlib.machinery import ModuleSpec, PathFinder

from .._errors import shown
from .libraries import is_library_file


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


def is_program_or_test(part: str) -> bool:
    """Whether a module belongs to a program or to tests, by a part of its name."""
    plain = part.strip("_").lower()
    named_as_test = plain.startswith("test_") or plain.endswith("_test")
    return named_as_test or plain in _PROGRAMS_AND_TESTS


_PROGRAMS_AND_TESTS = frozenset(
    """
    benchmark benchmarks cli command commands conftest demo docs example examples main
    script scripts setup test testing tests
    """.split()
)


def may_fill_itself(spec: ModuleSpec) -> bool:
    """Whether the source of a module may define names by code, as `setattr` does."""
    return _matches(spec, _FILLERS)


_FILLERS = r"\b(setattr|__getattr__|locals|vars|__dict__|globals)\b"
# Names that a module takes over from elsewhere without spelling them.
_TAKES_OVER = r"\bimport\s+\*|\bglobals\(\)|\bsys\.modules\b"


def mentions(spec: ModuleSpec, name: str) -> bool:
    """Whether the source of a module may define a name; no code is compiled for it."""
    return _matches(spec, rf"\b{re.escape(name)}\b|{_TAKES_OVER}")


def _matches(spec: ModuleSpec, pattern: str) -> bool:
    """Whether a pattern is in the source of a module, or there is no source to read."""
    if type(spec.origin) is not str or not spec.origin.endswith(".py"):
        return True
    try:
        return _searched(spec.origin, os.stat(spec.origin).st_mtime_ns, pattern)
    except OSError:
        return True


@functools.lru_cache(maxsize=4096)
def _searched(file: str, changed: int, pattern: str) -> bool:
    with open(file, encoding="utf8", errors="replace") as source:
        text = source.read(_MAX_SOURCE)
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
