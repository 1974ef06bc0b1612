"""The array backends by name: what can write and read the companion file."""

from __future__ import annotations

from .._errors import ArgumentError, UnknownFormatError, shown
from .backend import ArrayBackend
from .eqx import EqxBackend

BACKENDS: dict[str, ArrayBackend] = {"eqx": EqxBackend()}


def backend_named(name: object) -> ArrayBackend:
    """The backend that a caller asks for."""
    if type(name) is not str or name not in BACKENDS:
        known = ", ".join(f'"{known}"' for known in BACKENDS)
        raise ArgumentError(f"`backend` is one of {known}, not {shown(repr(name))}.")
    return BACKENDS[name]


def backend_of(document: dict[str, object], file: str) -> ArrayBackend:
    """The backend that a file says wrote its arrays."""
    name = document.get("name")
    if type(name) is not str or name not in BACKENDS:
        raise UnknownFormatError(
            f"{file} keeps its arrays by the backend {shown(repr(name))}, which this "
            "release of zodiax_io does not have. Upgrade zodiax_io to read it."
        )
    return BACKENDS[name]
