"""Pytrees taken apart one level at a time, so that no failure costs recursion depth.

`jax.tree_util.tree_flatten` recurses in C++. Where something raises inside (keys that
cannot be sorted, a flatten function of the user's), it does not give back the levels of
Python's recursion limit that it had taken, one for each node above: after some hundred
failures the process cannot even print. To flatten one level takes none. So zodiax_io
walks here, and lets JAX flatten only what has been walked without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax.tree_util as jtu
import numpy as np

from .._errors import LIMITS
from .._jax import array_type, flatten_once

# Far beyond what JAX itself can flatten: a tree this deep contains itself.
_MAX_DEPTH = 10_000
# The commonest leaves, which need no look into the registry; by identity, since a
# metaclass can hash its classes.
_LEAVES = frozenset(
    map(id, (array_type(), np.ndarray, bool, int, float, complex, str, bytes))
)


def is_leaf(obj: object) -> bool:
    """Whether JAX sees a leaf in an object."""
    try:
        return flatten_once(obj) is None
    except LIMITS:
        raise
    except Exception:  # a node that cannot be flattened
        return False


def children_of(obj: Any) -> list[Any] | None:
    """The children of a pytree node as JAX orders them, or None for a leaf."""
    if id(type(obj)) in _LEAVES:
        return None
    flat = flatten_once(obj)
    return None if flat is None else flat[0]


def leaves(
    tree: Any,
    stop: Callable[[Any], bool] | None = None,
    below: Callable[[Any], list[Any] | None] = children_of,
) -> list[Any]:
    """The leaves of a tree as JAX finds and orders them.

    Parameters
    ----------
    tree : pytree
        The tree.
    stop : callable, optional
        Whether an object counts as a leaf, as `is_leaf` of `jax.tree_util`.
    below : callable, optional
        The children of an object, or None for a leaf; by default what JAX has.

    Raises
    ------
    Exception
        What a flatten function or a comparison of keys raises.
    ValueError
        If the tree contains itself.
    """
    found: list[Any] = []
    waiting: list[tuple[Any, int]] = [(tree, 0)]
    while waiting:
        obj, depth = waiting.pop()
        if stop is not None and stop(obj):
            found.append(obj)
            continue
        children = below(obj)
        if children is None:
            found.append(obj)
            continue
        if depth > _MAX_DEPTH:
            raise ValueError("a tree that contains itself cannot be flattened")
        waiting.extend((child, depth + 1) for child in reversed(children))
    return found


def flatten(
    tree: Any, stop: Callable[[Any], bool] | None = None
) -> tuple[list[Any], Any]:
    """The leaves of a tree, and its treedef.

    Raises
    ------
    Exception
        As `leaves`.
    """
    leaves(tree, stop)
    return jtu.tree_flatten(tree, stop)


def nodes_of(treedef: Any) -> Iterator[tuple[type, Any]]:
    """The class and the auxiliary data of each node of a treedef; nothing is built."""
    waiting = [treedef]
    while waiting:
        one = waiting.pop()
        node = one.node_data()
        if node is not None:
            yield node
            waiting += one.children()
