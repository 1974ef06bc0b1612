"""Flatten pytrees one level at a time, so that a failure costs no recursion depth.

`jax.tree_util.tree_flatten` recurses in C++. If something raises inside (keys that
cannot be sorted, a flatten function of the user's), JAX does not return the levels of
Python's recursion limit that it has taken, one for each node above. After some hundred
failures the process cannot even print. Flattening one level takes none of them. So this
module walks the tree first, and JAX flattens only trees that were walked without error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax.tree_util as jtu
import numpy as np

from .._errors import LIMITS
from .._jax import array_type, flatten_once

# Far deeper than JAX itself can flatten: a tree this deep contains itself.
_MAX_DEPTH = 10_000
# The commonest leaves, found without JAX's registry; by identity, since a metaclass
# may define `__hash__`.
_LEAVES = frozenset(
    map(id, (array_type(), np.ndarray, bool, int, float, complex, str, bytes))
)


def is_leaf(obj: object) -> bool:
    """Whether an object is a leaf to JAX."""
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
    """The leaves of a tree in the order of JAX.

    Parameters
    ----------
    tree : pytree
        The tree to walk.
    stop : callable, optional
        Whether an object counts as a leaf, as `is_leaf` of `jax.tree_util`.
    below : callable, optional
        The children of an object, or None for a leaf; by default as JAX has them.

    Raises
    ------
    Exception
        Any error of a flatten function or of a comparison of keys.
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
    """The leaves of a tree and its treedef; it raises the same errors as `leaves`."""
    leaves(tree, stop)
    return jtu.tree_flatten(tree, stop)


def nodes_of(treedef: Any) -> Iterator[tuple[type, Any]]:
    """The class and auxiliary data of each node of a treedef; nothing is built."""
    waiting = [treedef]
    while waiting:
        one = waiting.pop()
        node = one.node_data()
        if node is not None:
            yield node
            waiting += one.children()
