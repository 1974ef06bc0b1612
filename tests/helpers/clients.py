"""Packages that a few tests need: `from clients import optax`.

zodiax_io needs none of them. One that is not installed skips the tests that use it,
each with the reason, and no other test of the module.
"""

import importlib
from typing import Any

import pytest


class _Absent:
    """Stands for a package, or what it holds, that is not installed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        # pytest and Python ask every name of a module for its special methods.
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        pytest.skip(f"{self._name} is not installed")


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as absent:
        # Found, but broken: that is news.
        if absent.name != name:
            raise
        return _Absent(name)
