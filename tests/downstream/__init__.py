"""Objects of real packages, saved by one process and loaded by another.

Module `of_<package>` holds the table of a package: what an object is called, and what
makes it, the same in each process. `python -m tests.downstream [package …]` tries them;
of those that come with the extra `test`, tests/test_clients.py tries each by itself.
"""

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import equinox as eqx
import jax.random as jr

TESTS = Path(__file__).parents[1]
# So that `python -m tests.downstream` finds what pytest finds by itself.
for folder in (TESTS, TESTS / "helpers"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

Objects = dict[str, Callable[[], Any]]
KEY = jr.key(0)

# Packages of the extra `test`, and of the extra `downstream`.
TESTED = tuple("equinox optax diffrax lineax optimistix flowjax dLux zodiax".split())
FURTHER = tuple(
    "astropy bijx blackjax coordinax distrax distreqx e3nn_jax equimo exponax flax "
    "gpjax interpax jaxtyping jraph ml_collections numpyro omegaconf penzai pint quax "
    "scipy signax sympy2jax tinygp unxt".split()
)


def table(package: str) -> ModuleType:
    """The table of a package, `OBJECTS`; a save refuses those that are `REFUSED`."""
    module = importlib.import_module(f"{__name__}.of_{package}")
    vars(module).setdefault("REFUSED", frozenset())
    return module


def constructible(module: ModuleType, *arguments: tuple[Any, ...]) -> dict[str, Any]:
    """An instance of every public class of a module that one of the arguments makes."""
    made: dict[str, Any] = {}
    for name, cls in sorted(vars(module).items()):
        if name.startswith("_") or not inspect.isclass(cls) or inspect.isabstract(cls):
            continue
        if not issubclass(cls, eqx.Module) or cls is eqx.Module:
            continue
        for given in arguments:
            try:
                made[name] = cls(*given)
            except Exception:  # it needs other arguments, or is abstract after all
                continue
            break
    return made
