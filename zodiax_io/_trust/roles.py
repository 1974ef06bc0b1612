"""Roles: what a file uses a name as, and which objects fit."""

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
    OMEGACONF_NODES,
)
from .trusted import is_below


# Compared by identity: two roles may have the same words.
@dataclasses.dataclass(frozen=True, eq=False)
class Role:
    """What the object of a name must be, for one kind of node.

    Attributes
    ----------
    words : str
        The role as messages spell it.
    accepts : callable
        From an object to whether it fits.
    builds : bool
        Whether loading makes an instance of it.
    modules : frozenset of str
        The modules whose objects any file may use in this role, since the kind does
        nothing with them that needs trust. A load may import these modules.
    """

    words: str
    accepts: Callable[[Any], bool]
    builds: bool = False
    modules: frozenset[str] = frozenset()


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


def is_linen_class(obj: Any) -> bool:
    """Whether an object is a class of modules of flax.linen."""
    return is_dataclass(obj) and any(map(is_linen_base, reflection.mro(obj)))


def is_linen_base(cls: type) -> bool:
    """Whether a class is `flax.linen.Module` itself, by name: flax is not imported."""
    return reflection.own_name(cls) == ("flax.linen.module", "Module")


def is_omegaconf_class(obj: Any) -> bool:
    """Whether an object is a class of nodes of OmegaConf, by its name."""
    if not reflection.is_class(obj):
        return False
    module, name = reflection.own_name(obj) or ("", "")
    return name in OMEGACONF_NODES.get(module, ())


def _has_rows_of_its_own(cls: type) -> bool:
    """Whether instances of a class are kept in another way than by all attributes."""
    return (
        is_module_class(cls)
        or is_dataclass(cls)
        or is_namedtuple(cls)
        or is_enum(cls)
        or is_omegaconf_class(cls)
    )


def is_node_class(obj: Any) -> bool:
    # JAX's registry has the class: looked up by class, so that nothing is built.
    return reflection.is_class(obj) and is_registered_node(obj)


def is_function(obj: Any) -> bool:
    """Whether an object is a function, or a function that JAX or NumPy has wrapped."""
    return reflection.is_one_of(type(obj), function_types())


@functools.cache
def function_types() -> tuple[type, ...]:
    import jax
    import jax.custom_batching
    import jax.numpy as jnp

    def identity(x: Any) -> Any:
        return x

    return (
        types.FunctionType,
        types.BuiltinFunctionType,
        functools._lru_cache_wrapper,
        np.ufunc,
        type(np.where),  # a function with NumPy's `__array_function__` protocol
        type(jnp.add),
        type(jax.custom_jvp(identity)),
        type(jax.custom_vjp(identity)),
        jax.custom_batching.custom_vmap,
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
DATACLASS = Role(
    "a dataclass",
    lambda obj: is_dataclass(obj) and not is_linen_class(obj),
    builds=True,
)
LINEN = Role("a class of modules of flax.linen", is_linen_class, builds=True)
OMEGACONF = Role("a class of OmegaConf", is_omegaconf_class, builds=True)
NAMEDTUPLE = Role("a namedtuple class", is_namedtuple, builds=True)
ENUM = Role("an Enum class", is_enum, builds=True)
NODE = Role("a registered pytree class", is_node_class, builds=True)
UNFLATTENED = Role(
    "a pytree class rebuilt by its own unflatten function",
    # A class with fields is rebuilt from its fields instead.
    lambda obj: (
        is_node_class(obj) and not is_module_class(obj) and not is_dataclass(obj)
    ),
    builds=True,
)
MARKER = Role("a class", reflection.is_class, builds=True)
INSTANCE = Role(
    "an ordinary class, whose instances have attributes only",
    lambda obj: (
        reflection.is_class(obj)
        and reflection.has_python_layout(obj)
        and not _has_rows_of_its_own(obj)
    ),
    builds=True,
)
SUBCLASS = Role(
    "a subclass of a built-in class",
    lambda obj: (
        reflection.is_class(obj)
        and reflection.built_in_base(obj) is not None
        and not _has_rows_of_its_own(obj)
    ),
    builds=True,
)
CLASS = Role("a class (as a value)", reflection.is_class)
PARAMETRIC = Role(
    "a class that takes type parameters",
    lambda obj: (
        reflection.is_class(obj)
        and reflection.namespace(obj).get("_parametric") is True
        and "_type_parameter" not in reflection.namespace(obj)
        and type(class_attribute(obj, "__new__")) is staticmethod
    ),
)
FUNCTION = Role("a function", lambda obj: not reflection.is_class(obj))
DEFAULTS = Role("a class that declares defaults", reflection.is_class, builds=True)
PLAIN = (MODULE, DATACLASS, LINEN, NAMEDTUPLE, ENUM, NODE, UNFLATTENED, DEFAULTS)
CODE = Role(
    "a function or class that defines a local function",
    lambda obj: reflection.is_class(obj) or is_function(obj),
)
PYTHON_MODULE = Role("a module of Python", lambda obj: type(obj) is types.ModuleType)
CONSTANT = Role(
    "a constant of a module",
    lambda obj: not reflection.is_class(obj) and not is_function(obj),
)


@dataclasses.dataclass(frozen=True)
class Use:
    """One name in a file: its path, its role, and whether the file calls the object.

    `bound` is true if the file chooses arguments for a call, as a `functools.partial`
    does. Whether an object that contains the `node` may call it with data of the file
    depends on the class of that object: `holders` finds it out when the classes are
    known.
    """

    name: str
    path: Callable[[], str]
    role: Role
    bound: bool = False
    node: int = 0
    holders: Holders | None = None


class Holder(NamedTuple):
    """How the objects of a class may call the functions that they contain.

    Attributes
    ----------
    own : bool
        The class is the user's own code or trusted, so its calls are intended.
    passes : bool
        Its objects call functions with the inputs of their own calls only.
    free : bool
        It has fields for arguments of any kind, as well as for callables.
    calls : frozenset of str
        The fields that are declared to be callables.
    """

    own: bool = False
    passes: bool = False
    free: bool = False
    calls: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, eq=False)
class Holders:
    """The objects of one structure that contain others, by the names of their classes.

    `called` takes a `Holder` for each name and gives the ids of the nodes that these
    objects may call with data of the file.
    """

    names: frozenset[str]
    called: Callable[[Mapping[str, Holder]], set[int]]


def calls_with_inputs(name: str) -> bool:
    """Whether objects of a class call functions with the inputs of their calls only."""
    module = name.partition(":")[0]
    known = any(is_below(module, prefix) for prefix in CALL_WITH_INPUTS)
    return known and name not in CALL_WITH_HELD
