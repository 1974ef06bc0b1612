"""Arrays as JAX's, as the settings of this process allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
from .._kinds.lookup import row_of
from .._structure.nodes import Node
from .._structure.paths import Path, path_text, short_path
from .._structure.survey import Survey
from .placement import HOST, Target, place


def check_settings(arrays: Iterable[tuple[Path | str, Node]], file: str) -> None:
    """Refuse JAX arrays that the settings of this process would silently narrow.

    Raises
    ------
    SettingsError
        If a 64-bit JAX array is to be loaded while JAX works with 32 bits.
    """
    if packages.settings()["jax_enable_x64"]:
        return
    wide = [(path, node["dtype"]) for path, node in arrays if is_wide(node)]
    if wide:
        path, dtype = wide[0]
        more = "" if len(wide) == 1 else f" and {len(wide) - 1} more"
        raise SettingsError(
            f"{file} holds 64-bit JAX arrays ({dtype} at `{shown(path_text(path))}`"
            f"{more}), which JAX would narrow to 32 bits as it is set here. Call "
            '`jax.config.update("jax_enable_x64", True)` before loading.'
        )


def is_wide(node: Node) -> bool:
    """Whether JAX would narrow an array of the dtype of a node."""
    return node.get("dtype") in _WIDE


_WIDE = ("float64", "int64", "uint64", "complex128")


def logical(raw: NDArray[Any], node: Node) -> NDArray[Any]:
    """An array as the node describes it, from the bytes that its record holds.

    Raises
    ------
    ValueError
        If the record does not hold such an array.
    """
    dtype = dtypes.parse(node["dtype"])
    shape = tuple(node["shape"])
    if raw.shape != shape or raw.dtype != npy.storage(dtype):
        raise ValueError("its record holds another shape or dtype")
    return raw if raw.dtype is dtype else raw.view(dtype)


def checked(
    arrays: Iterable[tuple[Path | str, Node]],
    raw: Mapping[int, NDArray[Any]],
    file: str,
    faults: Mapping[int, Exception] = MappingProxyType({}),
) -> dict[int, Any]:
    """Arrays by record, as their nodes describe them.

    A mark of damage stands for each record with a fault.

    Raises
    ------
    CorruptFileError
        If a node describes no array, or another than its record holds.
    """
    result: dict[int, Any] = {}
    for path, node in arrays:
        try:
            index = node.get("record")
            if type(index) is not int or index in result:
                raise ValueError("it has no record of its own")
            if index in faults:
                dtype, shape = (
                    dtypes.parse(node["dtype"]),
                    dtypes.plain_shape(node["shape"]),
                )
                reason = shown(faults[index])
                result[index] = Damaged(short_path(path), reason, shape, dtype)
                continue
            if index not in raw:
                raise ValueError("its record is not there")
            result[index] = logical(raw[index], node)
            if not dtypes.is_of_jax(node["dtype"]) and row_of(node).array != "numpy":
                raise ValueError("JAX has no arrays of its dtype")
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptFileError(
                f"{file}: the array at `{shown(path_text(path))}` cannot be read: "
                f"{shown(error)}."
            ) from error
    return result


def restore(
    found: Survey,
    raw: Mapping[int, NDArray[Any]],
    file: str,
    faults: Mapping[int, Exception] = MappingProxyType({}),
    target: Target | Mapping[int, Target] = None,
) -> dict[int, Any]:
    """Arrays by record, where they belong if they are JAX's; and marks of damage."""
    result = checked(found.arrays, raw, file, faults)
    placed: list[int] = []
    goals: list[Target] = []
    paths: list[Path | str] = []
    for path, node in found.arrays:
        index = node["record"]
        array = row_of(node).array
        if array == "numpy" or index in faults:
            continue
        where = target.get(index) if type(target) is dict else target
        if array == "key" and where is not None:
            where = key_target(where, node, path, file)
        placed.append(index)
        goals.append(where)
        paths.append(path)
    arrays = place([result[i] for i in placed], goals, paths, file)
    result.update(zip(placed, arrays, strict=True))
    return result


def key_target(target: Target, node: Node, path: Path | str, file: str) -> Target:
    """Where the data of random keys goes, which has a dimension that they have not.

    Raises
    ------
    ArgumentError
        If keys of that shape cannot lie so.
    """
    if target is HOST:  # no array of NumPy's is a key
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
                f"{file}: the random keys at `{shown(path_text(path))}` of shape "
                f"{struct.shape} cannot be placed as asked: {shown(error, 400)}"
            ) from error
    return target


def outline_of(node: Node) -> Any:
    """The shape and dtype of the array that a node describes."""
    outline = row_of(node).outline
    assert outline is not None
    return outline(node)
