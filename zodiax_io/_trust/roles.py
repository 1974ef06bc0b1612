"""What a name is used as, and what it must lead to."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from .._jax import is_registered_node, jit_function_type
from . import reflection
from .reflection import class_attribute
from .table import (
    CALL_WITH_HELD,
    CALL_WITH_INPUTS,
)
from .trusted import is_below


# By identity: two roles may be described by the same words.
@dataclasses.dataclass(frozen=True, eq=False)
class Role:
    """What the kind of a node demands of the object its name leads to."""

    words: str
    accepts: Callable[[Any], bool]
    builds: bool = False  # whether loading makes an instance of it


def is_module_class(obj: Any) -> bool:
    return reflection.is_class(obj) and reflection.derives(obj, eqx.Module)


def is_dataclass(obj: Any) -> bool:
    fields = (
        class_attribute(obj, "__dataclass_fields__")
        if reflection.is_class(obj)
        else None
    )
    return type(fields) is dict


def is_namedtuple(obj: Any) -> bool:
    return (
        reflection.is_class(obj)
        and reflection.derives(obj, tuple)
        and type(class_attribute(obj, "_fields")) is tuple
    )


def is_enum(obj: Any) -> bool:
    return reflection.is_class(obj) and reflection.derives(obj, enum.Enum)


def is_node_class(obj: Any) -> bool:
    # A class known to JAX's registry; asked by type, so that nothing is built.
    return reflection.is_class(obj) and is_registered_node(obj)


def is_function(obj: Any) -> bool:
    """Whether an object is a function, or what JAX and NumPy make of one."""
    return reflection.is_one_of(type(obj), function_types())


@functools.cache
def function_types() -> tuple[type, ...]:
    import jax
    import jax.numpy as jnp

    def same(x: Any) -> Any:
        return x

    return (
        types.FunctionType,
        types.BuiltinFunctionType,
        functools._lru_cache_wrapper,
        np.ufunc,
        type(np.where),  # an array function of NumPy, overridable by others
        type(jnp.add),
        type(jax.custom_jvp(same)),
        type(jax.custom_vjp(same)),
        eqx.filter_custom_jvp,
        eqx.filter_custom_vjp,
        jit_function_type(),
    )


MODULE = Role(
    "an equinox Module class",
    lambda obj: is_module_class(obj) and obj is not eqx.Partial,
    builds=True,
)
PARTIAL = Role("`equinox.Partial`", lambda obj: obj is eqx.Partial, builds=True)
DATACLASS = Role("a dataclass", is_dataclass, builds=True)
NAMEDTUPLE = Role("a namedtuple class", is_namedtuple, builds=True)
ENUM = Role("an Enum class", is_enum, builds=True)
NODE = Role("a registered pytree class", is_node_class, builds=True)
UNFLATTENED = Role(
    "a pytree class that unflattens itself",
    # Those with fields are kept by their fields.
    lambda obj: (
        is_node_class(obj) and not is_module_class(obj) and not is_dataclass(obj)
    ),
    builds=True,
)
MARKER = Role("a class", reflection.is_class, builds=True)
CLASS = Role("a class (as a value)", reflection.is_class)
FUNCTION = Role("a function", lambda obj: not reflection.is_class(obj))
DEFAULTS = Role("a class that declares defaults", reflection.is_class, builds=True)
PLAIN = (MODULE, DATACLASS, NAMEDTUPLE, ENUM, NODE, UNFLATTENED, DEFAULTS)
CODE = Role(
    "the maker of a local function",
    lambda obj: reflection.is_class(obj) or is_function(obj),
)
CONSTANT = Role(
    "a constant of a module",
    lambda obj: not reflection.is_class(obj) and not is_function(obj),
)


@dataclasses.dataclass(frozen=True)
class Use:
    """One name in a file: where, in which role, and whether the file calls it.

    `bound` says that the file chooses arguments for it, as a `functools.partial` does.
    Whether the objects around a `node` may call it with data of the file depends on
    what their classes are: `holders` finds it out, once these are known.
    """

    name: str
    path: Callable[[], str]
    role: Role
    bound: bool = False
    node: int = 0
    holders: Holders | None = None


class Holder(NamedTuple):
    """How the objects of a class may call what they hold.

    `passes` is true where they call it with the inputs of their own calls only. If
    they are `free`, they have fields for arguments of any kind; `calls` are the fields
    that are declared to be callables. `own` code calls as its author meant it to.
    """

    own: bool = False
    passes: bool = False
    free: bool = False
    calls: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, eq=False)
class Holders:
    """The objects of one structure that hold others: the names of their classes.

    `called` gives the nodes that they may call with data of the file.
    """

    names: frozenset[str]
    called: Callable[[Mapping[str, Holder]], set[int]]


def calls_with_inputs(name: str) -> bool:
    """Whether instances of a class pass only their inputs to what they hold."""
    module = name.partition(":")[0]
    known = any(is_below(module, prefix) for prefix in CALL_WITH_INPUTS)
    return known and name not in CALL_WITH_HELD
