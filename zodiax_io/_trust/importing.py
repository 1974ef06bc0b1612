"""Imports the modules that a file needs, once all of its names are judged."""

from __future__ import annotations

from collections.abc import Iterable

from .._errors import LIMITS
from . import libraries, modules, names, reflection
from .origins import is_outside_libraries, spec_of
from .trusted import Trust


def import_modules(wanted: Iterable[str], trust: Trust) -> dict[str, str]:
    """Import modules; return the reasons for those that cannot be imported."""
    failures: dict[str, str] = {}
    for module in dict.fromkeys(wanted):
        reason = _import(module, trust)
        if reason is not None:
            failures[module] = reason
    return failures


def _import(module: str, trust: Trust) -> str | None:
    """Import a module, or return the reason if that fails."""
    spec = spec_of(names.top_level_package(module))
    in_library = spec is not None and modules.is_in_library(spec)
    try:
        if trust.covers(module) and not in_library:
            libraries.import_anywhere(module)
        elif is_outside_libraries(spec, module):
            return "it is not in a library folder"
        else:
            libraries.import_library(module)
    except LIMITS:
        raise
    except (Exception, SystemExit) as error:
        return modules.failure(error)
    if reflection.module_space(module) is None:
        return "it is not in `sys.modules` afterwards"
    return None
