"""Functions, methods and constants, by their names."""

from __future__ import annotations

import types
from typing import Any

import equinox as eqx
import jax.numpy as jnp

from .. import _jax
from .._trust import reflection, roles
from .._trust.names import (
    constant_like,
    is_standard,
    name_of,
    registered_name,
    top_level_package,
)
from .._trust.origins import is_own, is_own_code
from .._trust.reflection import has_python_layout
from .._trust.roles import function_types, is_function
from .._trust.table import FRAMEWORKS, FUNCTIONS
from .base import (
    Data,
    Kind,
    Parts,
    decode_reference,
    exactly,
    expect_children,
    subclass,
)
from .digests import SourceChanged
from .fields import (
    Default,
    attributes_of,
    find_default,
    is_dunder,
    method,
    module_of,
    package_of,
    vars_of,
)
from .fingerprints import (
    are_alike,
    fingerprint,
    is_local,
    is_plainly_defined,
    is_rebound,
    matches,
)
from .look import Look
from .objects import method_names
from .printing import MAX_WRAPPERS


def _is_nameable(cls: type) -> bool:
    is_function_type = reflection.is_one_of(cls, function_types())
    return is_function_type or reflection.derives(cls, eqx.Module)


def _encode_function(obj: Any) -> Parts | None:
    # Wrappers such as `eqx.filter_jit` have the name of the function that they wrap.
    if reflection.derives(type(obj), eqx.Module) and "__qualname__" not in vars_of(obj):
        return None
    name = name_of(obj)
    if name is None:
        return None
    if is_plainly_defined(obj, name):
        return Parts(refers=obj)
    # In a variable, or decorated by the user: the name may lead to another one later.
    if reflection.derives(type(obj), eqx.Module) or (
        is_local(obj) and is_rebound(name)
    ):
        return None  # kept by its parts
    found = fingerprint(obj)
    return None if found is None else Parts(refers=obj, value=found)


def _decode_function(parts: Parts) -> Any:
    if parts.value is not None and not matches(parts.value, parts.refers):
        own_name = ":".join(reflection.own_name(parts.refers) or ("", ""))
        name = name_of(parts.refers) or own_name
        raise SourceChanged(
            f"is the function in the variable `{name:.200}`, which has changed since "
            "it was saved, or cannot be compared under another release of Python. "
            "Load the file where the variable has the function of that time, or write "
            "the function by `def` at the top level of a module and save again"
        )
    return parts.refers


def _comparable(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """A function of the file, with the fingerprint of the tree if both are of one.

    The fingerprint of a function depends on the release of Python, and older files have
    none.
    """
    saved, here = ours.get("value"), theirs.get("value")
    if saved is None or here is None:
        return {name: x for name, x in ours.items() if name != "value"} | {
            name: x for name, x in theirs.items() if name == "value"
        }
    if type(saved) is dict and type(here) is dict and are_alike(saved, here):
        return ours | {"value": here}
    return ours


FUNCTION = Kind(
    "function",  # before "module": a decorated function may be a Module
    _is_nameable,
    _encode_function,
    _decode_function,
    roles.FUNCTION,
    keeps="functions with a name, by their public name; those in variables of "
    "the user's modules with a digest of their code",
    attributes=None,
    is_function=True,
    data=Data.NONE,
    placeholder="missing",
    comparable=_comparable,
    look=Look(words="the function"),
)


def _decode_default(parts: Parts) -> Any:
    if type(parts.value) is not str:
        raise ValueError("the parameter of a default is not text")
    try:
        found = find_default(parts.refers, parts.value)
    except LookupError as error:
        raise ValueError(str(error)) from None
    if type(found) is not types.FunctionType or name_of(found) is not None:
        raise ValueError(
            f"the default of {parts.value!r:.80} is not a function without a name"
        )
    return found


DEFAULT = Kind(
    "default",
    exactly(Default),
    lambda obj: Parts(refers=obj.cls, value=obj.parameter),
    _decode_default,
    roles.DEFAULTS,
    keeps="nameless functions that are a default of their class",
    attributes=None,
    is_function=True,
    data=Data.NONE,
)


def _encode_constant(obj: Any) -> Parts | None:
    if name_of(obj) is None:
        return None
    home = reflection.own_name(type(obj))
    if home is None or not is_own(home[0]) or registered_name(obj) is not None:
        return Parts(refers=obj)
    if _has_state(obj):
        return None  # its state may be another one when it is loaded
    return Parts(refers=obj, value=home[1])  # the variable may have another object then


def _decode_constant(parts: Parts) -> Any:
    home = reflection.own_name(type(parts.refers))
    if parts.value is not None and (home is None or parts.value != home[1]):
        raise ValueError("its name now belongs to an object of another class")
    return parts.refers


SINGLETON = Kind(
    "singleton",  # last: objects that can be taken apart match a row before
    subclass(object),
    _encode_constant,
    _decode_constant,
    roles.CONSTANT,
    keeps="constants of a module that are compared by identity, by name",
    attributes=None,
    is_function=True,
    data=Data.NONE,
)


def _encode_token(obj: eqx.Module) -> Parts | None:
    if type(obj).__module__ != "equinox.internal._str2jax":
        return None
    # A token passed through `tree_map` is another instance of the same class.
    constant = None if vars_of(obj) else constant_like(obj)
    return None if constant is None else Parts(refers=constant)


TOKEN = Kind(
    "token",  # before "module": each is the only instance of its class
    subclass(eqx.Module),
    _encode_token,
    decode_reference,
    roles.CONSTANT,
    keeps="the tokens in the states of lineax's solvers, by name",
    attributes=None,
    data=Data.NONE,
)


def _has_state(obj: Any) -> bool:
    """Whether an object has any attributes, or data in C as an exception has."""
    return not has_python_layout(type(obj)) or bool(attributes_of(obj))


def _encode_method(obj: types.MethodType) -> Parts | None:
    owner, function = obj.__self__, obj.__func__
    for name in method_names(owner, function):
        if _method_of(owner, name) is function:
            return Parts(children={"self": owner}, value=name)
    return None


def _method_of(owner: Any, name: str) -> Any:
    """The function that a file may bind to an object under a name, or None."""
    cls = owner if reflection.is_class(owner) else type(owner)
    function = None if is_dunder(name) and name != "__call__" else method(cls, name)
    return function if is_function(function) and _may_bind(owner, function) else None


_UFUNC = type(jnp.add)


def _may_bind(owner: Any, function: Any) -> bool:
    """Whether a file may bind a method of this owner.

    Methods of plain values of Python's library, such as the `unlink` of a path, are not
    part of a model.
    """
    if type(owner) is _UFUNC:
        return True  # `jnp.add.reduce`
    if type(owner) is _jax.array_type():
        return getattr(function, "__name__", None) in FUNCTIONS["jax.numpy"]
    of_class = reflection.is_class(owner)
    cls = owner if of_class else type(owner)
    if type(function) is types.FunctionType and _is_foreign(function):
        return False
    if reflection.derives(cls, eqx.Module) or is_own_code(module_of(cls)):
        return True
    package = package_of(cls)
    return not (of_class or package in FRAMEWORKS or is_standard(package))


def _is_foreign(function: types.FunctionType) -> bool:
    for _ in range(MAX_WRAPPERS):  # such as `jax.named_scope` on Equinox's methods
        inner = function.__dict__.get("__wrapped__")
        if type(inner) is not types.FunctionType:
            break
        function = inner
    module = function.__globals__.get("__name__")
    return type(module) is not str or is_standard(top_level_package(module))


def _decode_method(parts: Parts) -> Any:
    (owner,) = expect_children(parts, "self")
    if type(parts.value) is not str:
        raise ValueError("a method has no name")
    function = _method_of(owner, parts.value)
    if function is None:
        raise ValueError(f"a file may not bind its method {parts.value!r:.80}")
    return types.MethodType(function, owner)


METHOD = Kind(
    "method",
    exactly(types.MethodType),
    _encode_method,
    _decode_method,
    keeps="methods bound to an object that can be kept",
    is_function=True,
    data=Data.NONE,
    around_opaque=lambda parts: "belongs to an object whose class is missing",
)
