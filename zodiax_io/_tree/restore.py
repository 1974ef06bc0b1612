"""Arrays as JAX's, as the settings of this process allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from jax.sharding import NamedSharding, Sharding
from numpy.typing import NDArray

from .._arrays import dtypes, npy
from .._errors import (
    LIMITS,
    ArgumentError,
    CorruptFileError,
    SettingsError,
    shown,
)
from .._evolution import packages
from .._kinds.arrays import Damaged
from .._structure.nodes import Node
from .._structure.paths import Path, path_text, short_path
from .placement import HOST, Target, place


def check_settings(arrays: Iterable[Node], file: str) -> None:
    """Refuse JAX arrays that the settings of this process would silently narrow.

    Raises
    ------
    SettingsError
        If a 64-bit JAX array is to be loaded while JAX works with 32 bits.
    """
    wide = [node for node in arrays if node.plain.get("dtype") in _WIDE]
    if wide and not packages.settings()["jax_enable_x64"]:
        path, dtype = wide[0].path, wide[0].plain["dtype"]
        more = "" if len(wide) == 1 else f" and {len(wide) - 1} more"
        raise SettingsError(
            f"{file} holds 64-bit JAX arrays ({dtype} at `{shown(path_text(path))}`"
            f"{more}), which JAX would narrow to 32 bits as it is set here. Call "
            '`jax.config.update("jax_enable_x64", True)` before loading.'
        )


# The dtypes that JAX would narrow.
_WIDE = ("float64", "int64", "uint64", "complex128")


def logical(raw: NDArray[Any], node: Node) -> NDArray[Any]:
    """An array as the node describes it, from the bytes that its record holds.

    Raises
    ------
    ValueError
        If the record does not hold such an array.
    """
    dtype = dtypes.parse(node.plain["dtype"])
    shape = tuple(node.plain["shape"])
    is_same = raw.dtype is dtype  # which is soon seen
    if raw.shape != shape or not (is_same or raw.dtype == npy.storage(dtype)):
        raise ValueError("its record holds another shape or dtype")
    return raw if is_same else raw.view(dtype)


def checked(
    arrays: Iterable[Node],
    raw: Mapping[int, NDArray[Any]],
    file: str,
    faults: Mapping[int, Exception] = MappingProxyType({}),
) -> dict[int, Any]:
    """Arrays by record, as their nodes describe them.

    A record with a fault gives a mark of damage.

    Raises
    ------
    CorruptFileError
        If a node describes no array, or another than its record holds.
    """
    result: dict[int, Any] = {}
    for node in arrays:
        try:
            index, plain = node.record, node.plain
            if index is None or index in result:
                raise ValueError("it has no record of its own")
            if index in faults:
                dtype = dtypes.parse(plain["dtype"])
                shape = dtypes.plain_shape(plain["shape"])
                reason = shown(faults[index])
                result[index] = Damaged(short_path(node.path), reason, shape, dtype)
                continue
            if index not in raw:
                raise ValueError("its record is not there")
            result[index] = logical(raw[index], node)
            if not dtypes.is_of_jax(plain["dtype"]) and node.kind.array != "numpy":
                raise ValueError("JAX has no arrays of its dtype")
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptFileError(
                f"{file}: the array at `{shown(path_text(node.path))}` cannot be read: "
                f"{shown(error)}."
            ) from error
    return result


def restore(
    arrays: Sequence[Node],
    raw: Mapping[int, NDArray[Any]],
    file: str,
    faults: Mapping[int, Exception] = MappingProxyType({}),
    target: Target | Mapping[int, Target] = None,
) -> dict[int, Any]:
    """Arrays by record, where they belong if they are JAX's; and marks of damage."""
    result = checked(arrays, raw, file, faults)
    placed: list[int] = []
    goals: list[Target] = []
    paths: list[Path] = []
    for node in arrays:
        index, array = node.record, node.kind.array
        if index is None or array == "numpy" or index in faults:
            continue
        where = target.get(index) if type(target) is dict else target
        if array == "key" and where is not None:
            where = key_target(where, node, file)
        placed.append(index)
        goals.append(where)
        paths.append(node.path)
    there = place([result[i] for i in placed], goals, paths, file)
    result.update(zip(placed, there, strict=True))
    return result


def key_target(target: Target, node: Node, file: str) -> Target:
    """Where the data of random keys goes, which has one more dimension than they.

    Raises
    ------
    ArgumentError
        If keys of that shape cannot lie so.
    """
    if target is HOST:  # NumPy has no random keys
        return None
    if isinstance(target, Sharding):
        struct = outline_of(node)
        try:
            if isinstance(target, NamedSharding):
                target.check_compatible_aval(struct.shape)
            target.shard_shape(struct.shape)
        except LIMITS:
            raise
        except Exception as error:  # JAX's own
            raise ArgumentError(
                f"{file}: the random keys at `{shown(path_text(node.path))}` of "
                f"shape {struct.shape} cannot be placed as asked: {shown(error, 400)}"
            ) from error
    return target


def outline_of(node: Node) -> Any:
    """The shape and dtype of the array that a node describes."""
    outline = node.kind.outline
    assert outline is not None
    return outline(node.plain)
