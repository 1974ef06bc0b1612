"""The four trees that every measurement saves and loads.

What is in the arrays is random, so that nobody gains by compressing it. Each workload
takes a scale: 1 is the size that the targets speak of, less is for trying things out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import optax

# Below this many bytes a workload is small: its times are medians of several rounds.
SMALL = 64 << 20


class Attention(eqx.Module):
    inputs: eqx.nn.Linear
    output: eqx.nn.Linear
    heads: int = eqx.field(static=True)


class Block(eqx.Module):
    first_norm: eqx.nn.LayerNorm
    attention: Attention
    second_norm: eqx.nn.LayerNorm
    widen: eqx.nn.Linear
    narrow: eqx.nn.Linear


class Transformer(eqx.Module):
    """The parameters of a language model of 2019; it is saved, and never run."""

    tokens: eqx.nn.Embedding
    places: eqx.nn.Embedding
    blocks: list[Block]
    norm: eqx.nn.LayerNorm


class Mixer(eqx.Module):
    query: jax.Array
    key: jax.Array
    value: jax.Array
    output: jax.Array


class Layer(eqx.Module):
    mixers: list[Mixer]
    tables: dict[str, jax.Array]
    name: str = eqx.field(static=True)


def one_big(scale: float = 1.0) -> jax.Array:
    """One float32 array of 1 GiB."""
    return _filled(jax.ShapeDtypeStruct((round((1 << 28) * scale),), jnp.float32))


def transformer(scale: float = 1.0) -> dict[str, Any]:
    """A model of 124 million parameters with the state of Adam: 445 arrays, 1.5 GB."""
    heads = 12
    width = max(round(64 * math.sqrt(scale)), 1) * heads
    words = round(50257 * math.sqrt(scale))
    return _filled(eqx.filter_eval_shape(_transformer, width, words, heads))


def many_small(scale: float = 1.0) -> dict[str, Layer]:
    """10,000 arrays of (16, 16) float32 in 1,100 Modules, 101 dicts and 100 lists."""
    small = jax.ShapeDtypeStruct((16, 16), jnp.float32)
    layers = {}
    for number in range(max(round(100 * scale), 1)):
        name = f"layer{number}"
        mixers = [Mixer(small, small, small, small) for _ in range(10)]
        tables = {f"table{i}": small for i in range(60)}
        layers[name] = Layer(mixers, tables, name)
    return _filled(layers)


def tiny(scale: float = 1.0) -> eqx.nn.MLP:
    """A multi-layer perceptron of 6 arrays and 2 functions, whatever the scale."""
    return eqx.nn.MLP(2, 2, 32, 2, key=jr.key(0))


WORKLOADS: dict[str, Callable[[float], Any]] = {
    "ONE_BIG": one_big,
    "TRANSFORMER": transformer,
    "MANY_SMALL": many_small,
    "TINY": tiny,
}


def arrays_of(tree: Any) -> list[Any]:
    """The arrays of a tree, or of a template, in order."""
    return [leaf for leaf in jtu.tree_leaves(tree) if _is_array(leaf)]


def with_arrays(template: Any, arrays: list[Any]) -> Any:
    """The tree that has these arrays where the template has its own."""
    waiting = iter(arrays)
    leaves, treedef = jtu.tree_flatten(template)
    return jtu.tree_unflatten(
        treedef, [next(waiting) if _is_array(leaf) else leaf for leaf in leaves]
    )


def template_of(tree: Any) -> Any:
    """The tree without its arrays: in their places are shapes and dtypes."""
    return jtu.tree_map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype) if _is_array(x) else x, tree
    )


def size_of(tree: Any) -> int:
    """How many bytes the arrays of a tree, or of a template, hold."""
    return sum(x.size * x.dtype.itemsize for x in arrays_of(tree))


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, jax.ShapeDtypeStruct))


def _filled(template: Any) -> Any:
    random = np.random.default_rng(0)

    def array(leaf: Any) -> Any:
        if not _is_array(leaf):
            return leaf
        if leaf.dtype == np.float32:
            return jnp.asarray(random.random(leaf.shape, np.float32))
        return jnp.ones(leaf.shape, leaf.dtype)

    return jtu.tree_map(array, template)


def _transformer(width: int, words: int, heads: int) -> dict[str, Any]:
    key = jr.key(0)
    model = Transformer(
        eqx.nn.Embedding(words, width, key=key),
        eqx.nn.Embedding(1024, width, key=key),
        [_block(width, heads, key) for _ in range(12)],
        eqx.nn.LayerNorm(width),
    )
    return {"model": model, "state": optax.adam(1e-3).init(model)}


def _block(width: int, heads: int, key: Any) -> Block:
    return Block(
        eqx.nn.LayerNorm(width),
        Attention(
            eqx.nn.Linear(width, 3 * width, key=key),
            eqx.nn.Linear(width, width, key=key),
            heads,
        ),
        eqx.nn.LayerNorm(width),
        eqx.nn.Linear(width, 4 * width, key=key),
        eqx.nn.Linear(4 * width, width, key=key),
    )
