"""The table of array backends."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

from .._errors import ArgumentError, NewerFormatError, shown
from .backend import ArrayBackend
from .eqx import EqxBackend

# The first one is the default, and is tried first.
BACKENDS: list[type[ArrayBackend]] = [EqxBackend]


def _named(name: object) -> type[ArrayBackend] | None:
    """The backend with a name, or None."""
    return next((row for row in BACKENDS if row.name == name), None)


def backend_for(argument: object) -> ArrayBackend:
    """The backend of an argument: a name, or a mapping with name and options.

    Raises
    ------
    ArgumentError
        If there is no such backend, or it has no such option.
    """
    options: dict[str, Any] = {"name": argument}
    if isinstance(argument, Mapping):
        options = dict(cast("Mapping[Any, Any]", argument))
    name = options.pop("name", None)
    row = _named(name)
    if row is None:
        known = ", ".join(f'"{row.name}"' for row in BACKENDS)
        raise ArgumentError(
            f"`backend` is one of {known}, not {shown(repr(argument))}."
        )
    try:
        return _with_options(row, options)
    except ValueError as error:
        raise ArgumentError(f"The backend {name!r} {error}.") from None


def backend_of(stored: Mapping[str, Any], file: str) -> ArrayBackend:
    """The backend that wrote the arrays of a file, with its stored options.

    Raises
    ------
    NewerFormatError
        If this release lacks the backend, or one of its options.
    """
    options = dict(stored)
    name = options.pop("name", None)
    row = _named(name)
    if row is None:
        raise NewerFormatError(
            f"{file} holds arrays of the backend {shown(repr(name))}, which this "
            "release of zodiax_io does not have. Upgrade zodiax_io to read it."
        )
    try:
        return _with_options(row, options)
    except ValueError as error:
        raise NewerFormatError(
            f"{file} holds arrays of the backend {row.name!r}, which, in this release "
            f"of zodiax_io, {error}. Upgrade zodiax_io to read it."
        ) from None


def _with_options(row: type[ArrayBackend], options: dict[Any, Any]) -> ArrayBackend:
    if not options:
        return row()
    known = {field.name for field in dataclasses.fields(cast(Any, row))}
    unknown = [shown(repr(name)) for name in options if name not in known]
    if unknown:
        raise ValueError(f"has no option {unknown[0]}")
    try:
        return row(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"does not take these options: {shown(error)}") from None


def options_of(backend: ArrayBackend) -> dict[str, Any]:
    """The entry of a file for its backend: the name and the options."""
    return {"name": backend.name, **vars(backend)}


def recognise_backend(start: bytes, end: bytes) -> ArrayBackend | None:
    """The backend of a whole companion, by its first and last bytes."""
    for row in BACKENDS:
        backend = row()
        if backend.recognises(start, end):
            return backend
    return None


def suffixes() -> list[str]:
    """The suffixes of companions, that of the default backend first."""
    return [row.suffix for row in BACKENDS]


def default_backend() -> ArrayBackend:
    """The backend of a save without `backend=`."""
    return BACKENDS[0]()


def backend_for_suffix(suffix: str) -> ArrayBackend:
    """The backend whose companions have a suffix, or the default one."""
    row = next((row for row in BACKENDS if row.suffix == suffix), None)
    return default_backend() if row is None else row()
