"""Where a module comes from: the user's own code, or an installed package."""

from __future__ import annotations

import importlib.machinery
import sys
from importlib.machinery import ModuleSpec
from typing import Any

from .._errors import LIMITS
from . import libraries, modules, names, reflection


def is_own(module: str) -> bool:
    """`is_own_code` for an imported module, with the answers kept."""
    found = sys.modules.get(module)
    known = _known.get(module)
    if known is None or known[0] is not found:
        known = _known[module] = found, is_own_code(module)
    return known[1]


_known: dict[str, tuple[Any, bool]] = {}


def is_own_code(module: str) -> bool:
    """Whether a module is the user's: `__main__`, or a file outside every library."""
    if module == "__main__":
        return True
    if names.top_level_package(module) == "zodiax_io":
        return False
    space = reflection.module_space(module)
    file = None if space is None else space.get("__file__")
    return type(file) is str and not libraries.is_library_file(file)


def spec_of(package: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a package as it is imported, or would be by the user's code."""
    if package in sys.modules:  # `find_spec` reads the module, which may be lazy
        space = reflection.module_space(package)
        spec = None if space is None else space.get("__spec__")
        return spec if type(spec) is importlib.machinery.ModuleSpec else None
    try:
        return libraries.find_anywhere(package)
    except (ImportError, ValueError):
        return None


def is_present(package: str) -> bool:
    """Whether a package can be found anywhere."""
    return package in sys.modules or spec_of(package) is not None


def missing_submodule(module: str) -> tuple[str, str] | None:
    """The imported package on the way to a module that lacks the next submodule.

    With the name of that submodule; None if nothing is missing.
    """
    parts = module.split(".")
    for n in range(1, len(parts)):
        parent, child = ".".join(parts[:n]), ".".join(parts[: n + 1])
        space = reflection.module_space(parent)
        if space is None or reflection.module_space(child) is not None:
            continue
        places = space.get("__path__", [])
        try:
            spec = importlib.machinery.PathFinder.find_spec(child, [*places])
        except LIMITS:
            raise
        except Exception:  # `__path__` may be anything
            return None
        return (parent, parts[n]) if spec is None else None
    return None


def installed_spec(package: str) -> ModuleSpec | None:
    """The spec of a package in a library, as it is imported or would be; or None."""
    try:
        spec = (
            spec_of(package)
            if package in sys.modules
            else libraries.find_in_libraries(package)
        )
    except (ImportError, ValueError):
        return None
    return spec if spec is not None and modules.is_in_library(spec) else None


def is_outside_libraries(spec: ModuleSpec | None, module: str) -> bool:
    """Whether a module of a namespace package would come from outside the libraries.

    If the package is imported already, Python searches all of its folders.
    """
    package, *parts = module.split(".")
    if spec is None or spec.origin is not None:
        return False
    for part in parts:
        found = modules.find_in(spec, part, anywhere=package in sys.modules)
        if found is None or not modules.is_in_library(found):
            return True
        spec = found
    return False


def is_installed(package: str) -> bool:
    """Whether a package is in a library, rather than only in the working folder."""
    return names.is_standard(package) or installed_spec(package) is not None
