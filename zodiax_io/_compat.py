"""The few private names of JAX and Equinox that we touch, each behind one function.

Every function has a public fallback, or says plainly that the installed release
lacks what is needed, so that a new release of JAX breaks one place at most.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu


def flatten_once(obj: object) -> tuple[list[Any], Any] | None:
    """Children and auxiliary data of one pytree node, or None for a leaf."""
    flat = jtu.default_registry.flatten_one_level(obj)
    return None if flat is None else (list(flat[0]), flat[1])


def is_registered_node(cls: type) -> bool:
    """Whether instances of a class are pytree nodes to JAX."""
    is_node = getattr(jtu.default_registry, "is_node", None)
    if is_node is not None:
        return bool(is_node(cls))
    from jax._src import tree_util

    return cls in tree_util._registry


def unflatten_once(cls: type, aux: Any, children: Sequence[Any]) -> Any:
    """A node of a registered pytree class from its auxiliary data and children."""
    make = getattr(jtu.PyTreeDef, "from_node_data_and_children", None) or (
        jtu.PyTreeDef.make_from_node_data_and_children
    )
    leaf = jtu.tree_structure(0)
    treedef = make(jtu.default_registry, (cls, aux), [leaf] * len(children))
    return treedef.unflatten(children)


def weakly_typed(array: jax.Array) -> jax.Array:
    """The same array, of weak type: bit for bit, so no arithmetic is involved."""
    try:
        # What unpickling a JAX array does; `array` is ours alone at this point.
        array.aval = array.aval.update(weak_type=True)  # type: ignore[misc]
    except (AttributeError, TypeError):
        pass
    if array.weak_type:
        return array
    # The pickle protocol of a weakly typed array is public, and rebuilds any other.
    rebuild, (fun, args, state, aval_state) = jnp.asarray(0).__reduce__()
    _, args, state = jax.device_get(array).__reduce__()
    return rebuild(fun, args, state, aval_state)


def is_deleted(array: jax.Array) -> bool:
    """Whether the buffers of an array are gone (donated, or deleted by hand)."""
    return bool(array.is_deleted())


@functools.cache
def jit_function_type() -> type:
    """The type of what `jax.jit` returns."""
    return type(jax.jit(lambda: None))


# Options of `jax.jit` that decide what the jitted function computes or consumes.
_JIT_OPTIONS = (
    "static_argnums",
    "static_argnames",
    "donate_argnums",
    "donate_argnames",
    "keep_unused",
    "inline",
)


def jit_options(function: Any) -> dict[str, Any] | None:
    """The options of `jax.jit(f, …)`, or None when they cannot be read back exactly."""
    info = getattr(function, "_jit_info", None)
    if info is None:
        return None
    options: dict[str, Any] = {}
    for name in _JIT_OPTIONS:
        value = getattr(info, name, None)
        if value is None:
            return None
        options[name] = value if isinstance(value, bool) else list(value)
    again = getattr(jit(function.__wrapped__, options), "_jit_info", None)
    same = again is not None and all(
        getattr(again, name, None) == getattr(info, name, None)
        for name in getattr(info, "_fields", ()) or _JIT_OPTIONS
        if name not in ("fun_sourceinfo", "fun_signature")
    )
    return options if same else None


def jit(function: Callable[..., Any], options: dict[str, Any]) -> Any:
    """`jax.jit` with options as `jit_options` gives them."""
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in options.items()
        if value not in ([], False)
    }
    return jax.jit(function, **given)


@functools.cache
def equinox_wrapper_names() -> tuple[str, ...]:
    """Attributes that Equinox copies from a wrapped function onto its wrapper."""
    return ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")


@functools.cache
def filter_jit_type() -> type:
    """The class of what `equinox.filter_jit` returns."""
    return type(eqx.filter_jit(lambda: None))


@functools.cache
def equinox_missing() -> Any:
    """The marker by which Equinox keeps an absent attribute of a wrapper."""
    try:
        from equinox._module._flatten import MISSING
    except ImportError:  # older releases leave the attribute out instead
        return object()
    return MISSING
