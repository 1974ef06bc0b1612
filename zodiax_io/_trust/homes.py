"""The public names of objects that private modules define.

JAX and NumPy define almost everything in private modules, such as `jax._src`, and
export it from public ones. A file has the public name: a release may move what is
private.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from .reflection import module_space, own_attribute, own_name

_MAIN = "__main__"
# Parts of a package that may change or go in any release: their names come last.
_UNSTABLE = frozenset(
    "compat experimental extend internal interpreters testing tests".split()
)


def is_public(module: str) -> bool:
    """Whether no part of the name of a module begins with an underscore."""
    return not module.startswith("_") and "._" not in module


def modules_above(module: str) -> Iterator[str]:
    """The public modules in which to look first for what a private module defines.

    For `jax._src.numpy.linalg` first `jax`, which the private part is in, and then
    what is left without that part: `jax.numpy.linalg`, `jax.numpy`.
    """
    parts = module.split(".")
    private = [i for i, part in enumerate(parts) if part.startswith("_")]
    if not private or module == _MAIN:
        return
    for end in range(private[0], 0, -1):
        yield ".".join(parts[:end])
    without = [part for part in parts if not part.startswith("_")]
    for end in range(len(without), private[0], -1):
        yield ".".join(without[:end])


# Packages whose public names are in another one.
_EXPORTED_BY = {"jaxlib": "jax"}


def public_package(module: str) -> str:
    """The top-level package that exports what a module defines."""
    package = module.partition(".")[0]
    return _EXPORTED_BY.get(package, package)


# By package: what was imported when it was searched, and the names of the objects by
# identity, the best first. Names are compared again before they are used.
_exported: dict[str, tuple[tuple[int, object], dict[int, list[tuple[str, str]]]]] = {}


def names_in_package(module: str, obj: object) -> list[tuple[str, str]]:
    """The module and name of each public export of an object by its package.

    `module` is the private module that defines it; empty if that is public.
    """
    package = public_package(module)
    if is_public(module) or package == _MAIN:
        return []
    imported = len(sys.modules), sys.modules.get(package)
    searched = _exported.get(package)
    if searched is None or searched[0] != imported:
        searched = _exported[package] = imported, _exports_of(package)
    return searched[1].get(id(obj), [])


def _exports_of(package: str) -> dict[int, list[tuple[str, str]]]:
    modules = [
        name
        for name in list(sys.modules)
        if type(name) is str and name.partition(".")[0] == package and is_public(name)
    ]
    found: dict[int, list[tuple[str, str]]] = {}
    # The order is that of the names: the same in every process.
    for module in sorted(modules, key=_rank):
        for key, value in sorted(_exports(module).items()):
            if _is_of_private_module(value, package):
                found.setdefault(id(value), []).append((module, key))
    return found


def _rank(module: str) -> tuple[bool, int, str]:
    unstable = not _UNSTABLE.isdisjoint(module.split("."))
    return unstable, module.count("."), module


def _exports(module: str) -> dict[str, Any]:
    """The globals of a module that are for its users."""
    space = dict(module_space(module) or {})
    listed = space.get("__all__")
    if type(listed) is list or type(listed) is tuple:
        names = [name for name in listed if type(name) is str and name in space]
    else:
        names = [name for name in space if type(name) is str]
    return {name: space[name] for name in names if not name.startswith("_")}


def _is_of_private_module(obj: object, package: str) -> bool:
    own = own_name(obj)
    module = own_attribute(obj, "__module__") if own is None else own[0]
    if type(module) is not str or is_public(module):
        return False
    return public_package(module) == package
