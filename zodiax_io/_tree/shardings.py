"""The sharding of each array, from a tree of shardings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import (
    ArgumentError,
    shown,
)
from .._kinds.lookup import row_of
from .._structure.nodes import (
    Node,
    is_probe,
    reachable,
)
from .._structure.pairing import alongside
from .._structure.paths import Path, path_text
from .._structure.survey import Survey
from .._trust.judge import Judge
from .locate import names_here, with_probes
from .placement import Target, is_target


def targets(
    tree: Any,
    structure: Node,
    root: Path | str,
    found: Survey,
    judge: Judge,
    file: str,
) -> dict[int, Target]:
    """The sharding of each record, from a tree of shardings beside the structure.

    Raises
    ------
    ArgumentError
        If a sharding is where no array is, or an array is given two.
    """
    leaves, _, theirs = with_probes("sharding", tree, is_target, is_target)
    if not any(map(is_target, leaves)):
        raise ArgumentError(
            "`sharding` is a `jax.sharding.Sharding`, or a tree of them beside the "
            f"model, not a `{type(tree).__qualname__}` without any."
        )
    result: dict[int, Target] = {}

    def visit(path: Path | str, ours: Node | None, node: Node | None) -> bool:
        if node is None or not is_probe(node):
            return node is not None
        target = leaves[node["value"]]
        records = [] if ours is None else _records_below(ours, found.by_id)
        where = shown(path_text(path), 400)
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
        return False

    alongside(structure, found.by_id, theirs, root, visit, names_here(judge))
    return result


def _records_below(node: Node, by_id: Mapping[int, Node]) -> list[int]:
    below = reachable(node, by_id, set())
    found = [n for n in below if row_of(n).array not in (None, "numpy")]
    return [n["record"] for n in found if type(n.get("record")) is int]
