"""The sharding of each array, from a tree of shardings."""

from __future__ import annotations

from typing import Any

from .._errors import (
    ArgumentError,
    shown,
)
from .._structure.nodes import Node, reachable
from .._structure.pairing import Side, pairs
from .._structure.paths import Path, path_text
from .._trust.judge import Judge
from .locate import names_here, probe_of, with_probes
from .placement import Target, is_target


def targets(
    tree: Any, root: Node, path: Path, judge: Judge, file: str
) -> dict[int, Target]:
    """The sharding of each record, from a tree of shardings beside the structure.

    Raises
    ------
    ArgumentError
        If a sharding is where no array is, or an array is given two.
    """
    leaves, _, located = with_probes("sharding", tree, is_target, is_target)
    if not any(map(is_target, leaves)):
        raise ArgumentError(
            "`sharding` is a `jax.sharding.Sharding`, or a tree of them beside the "
            f"model, not a `{type(tree).__qualname__}` without any."
        )
    result: dict[int, Target] = {}
    theirs = Side(located.structure.root)
    for pair in pairs(Side(root, names_here(judge)), theirs, path):
        probe = None if pair.theirs is None else probe_of(pair.theirs)
        if probe is None:
            pair.deeper = pair.theirs is not None
            continue
        pair.deeper = False
        target = leaves[probe]
        records = [] if pair.ours is None else _records_below(pair.ours)
        where = shown(path_text(pair.path), 400)
        if not records:
            raise ArgumentError(
                f"`sharding` has one at `{where}`, where {file} has no JAX array."
            )
        for record in records:
            if result.setdefault(record, target) != target:
                raise ArgumentError(
                    f"`sharding` gives an array at `{where}` another place than "
                    "elsewhere, where the model shares it. Give it one."
                )
    return result


def _records_below(node: Node) -> list[int]:
    found = [n for n in reachable(node, set()) if n.kind.array not in (None, "numpy")]
    return [node.record for node in found if node.record is not None]
