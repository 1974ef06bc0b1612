"""Where JAX arrays go: to the default device, as asked for, or nowhere (NumPy)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Sharding
from numpy.typing import NDArray

from .._errors import (
    LIMITS,
    ArgumentError,
    CorruptFileError,
    SettingsError,
    process_error,
    shown,
)
from .._jax import device_put
from .._structure.paths import Path, path_text


class _Host:
    """The type of `HOST`."""

    def __repr__(self) -> str:
        return "NumPy"


# A device, a sharding, None for JAX's default device, or this: they stay NumPy's.
HOST = _Host()
Target = Any


def is_target(obj: Any) -> bool:
    """Whether this is a device or a sharding."""
    return isinstance(obj, (jax.Device, Sharding))


def target_of(as_numpy: bool, device: Any, sharding: Any) -> Target:
    """Where the arguments of a load ask arrays to go; a tree of shardings as it is.

    Raises
    ------
    ArgumentError
        If they contradict one another, or there is no such device.
    """
    given = {"as_numpy": as_numpy, "device": device, "sharding": sharding}
    asked = [
        f"`{name}`"
        for name, value in given.items()
        if value is not None and value is not False
    ]
    if len(asked) > 1:
        raise ArgumentError(
            f"{' and '.join(asked)} each say where arrays go. Give one of them."
        )
    if as_numpy:
        return HOST
    if device is None:
        return sharding
    if isinstance(device, str) and device:
        try:
            return jax.local_devices(backend=device)[0]
        except RuntimeError as error:
            raise ArgumentError(
                f"JAX has no device {shown(repr(device))} here: {shown(error)}."
            ) from None
    if not isinstance(device, jax.Device):
        raise ArgumentError(
            "`device` is one of `jax.devices()`, or the name of a platform such as "
            f'"cpu", not a `{type(device).__qualname__}`.'
        )
    return device


def place(
    arrays: Sequence[NDArray[Any]],
    targets: Sequence[Target],
    paths: Sequence[Path],
    file: str,
) -> list[Any]:
    """Put arrays on their targets, with one call for all that share a target.

    Raises
    ------
    ArgumentError
        If an array cannot be placed as asked.
    CorruptFileError
        If JAX has no such arrays.
    ResourceError, SettingsError
        If a device has too little memory, or a setting of JAX forbids it.
    """
    groups: dict[int, list[int]] = {}
    for i, target in enumerate(targets):
        if target is not HOST:
            groups.setdefault(id(target), []).append(i)
    result: list[Any] = list(arrays)
    for members in groups.values():
        target = targets[members[0]]
        try:
            # Aligned memory is shared rather than copied.
            placed = device_put([arrays[i] for i in members], target)
        except Exception as error:  # of JAX, such as for a full device
            lacking = process_error(error, f"hold the arrays of {file}")
            if lacking is not None:
                raise lacking from error
            if isinstance(error, RuntimeError) and target is None:
                raise SettingsError(
                    f"{file}: JAX cannot hold its arrays as it is set here: "
                    f"{shown(error, 400)}."
                ) from error
            if target is None:
                raise CorruptFileError(
                    f"{file}: JAX cannot hold one of its arrays: {shown(error)}."
                ) from error
            unfit = (i for i in members if not _fits(arrays[i], target))
            first = next(unfit, members[0])
            raise ArgumentError(
                f"{file}: the array at `{shown(path_text(paths[first]))}` of shape "
                f"{arrays[first].shape} cannot be placed as asked: {shown(error, 400)}"
            ) from error
        for i, array in zip(members, placed, strict=True):
            result[i] = array
    return result


def _fits(array: NDArray[Any], target: Target) -> bool:
    try:
        device_put([array], target)
    except LIMITS:
        raise
    except Exception:
        return False
    return True
