"""Finds modules of installed packages, and searches their source for names.

Nothing is imported or compiled.
"""

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
    """Whether a module, or a folder of a namespace package, is in a library."""
    return any(is_library_file(file) for file in files_of(spec))


def find_in(
    spec: ModuleSpec, name: str, *, anywhere: bool = False
) -> ModuleSpec | None:
    """A submodule of an installed package, or None.

    A namespace package is searched in its library folders, or `anywhere`.
    """
    folders = [*(spec.submodule_search_locations or ())]
    if spec.origin is None and not anywhere:
        folders = [folder for folder in folders if is_library_file(folder)]
    try:
        # The last part only: for the whole name Python needs the package imported.
        found = PathFinder.find_spec(name, folders)
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


def may_compute_names(spec: ModuleSpec) -> bool:
    """Whether a module may define names that its source does not spell."""
    return _matches(spec, _COMPUTES_NAMES)


_COMPUTES_NAMES = r"\b(setattr|__getattr__|locals|vars|__dict__|globals)\b"
# A module gets names from other modules without spelling them.
_IMPORTS_ALL = r"\bimport\s+\*|\bglobals\(\)|\bsys\.modules\b"


def mentions(spec: ModuleSpec, name: str) -> bool:
    """Whether the source of a module may define a name."""
    return _matches(spec, rf"\b{re.escape(name)}\b|{_IMPORTS_ALL}")


def _matches(spec: ModuleSpec, pattern: str) -> bool:
    """Whether the source of a module matches a pattern, or cannot be read."""
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
    except Exception:  # the `__str__` of a package's own error class has failed
        text = ""
    name = type.__dict__["__name__"].__get__(type(error))
    line = text.strip().partition("\n")[0]
    return shown(f"{name}: {line}" if line else name, _MAX_FAILURE)


_MAX_FAILURE = 200
