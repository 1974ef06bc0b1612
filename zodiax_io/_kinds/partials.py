"""Functions with bound arguments: partials, and the inverse of `ravel_pytree`."""

from __future__ import annotations

import functools
from typing import Any

import jax.tree_util as jtu

from .. import _jax
from .._trust import reflection
from .._trust.names import is_in_table
from .._trust.roles import is_function
from .advice import PROGRAM
from .base import CannotKeep, Kind, Parts, exactly, expect_children
from .contents import is_partial
from .fields import is_dunder, vars_of

# The attribute that `functools.wraps` adds to a wrapper, besides text.
WRAPPED = "__wrapped__"


def check_attributes(attributes: dict[str, Any]) -> None:
    """Refuse attributes of a function that are special to Python.

    JAX calls `inspect.signature` on a function that it wraps, which would call a
    `__signature__`.
    """
    for name, value in attributes.items():
        plain = type(name) is str and name.isidentifier() and not is_dunder(name)
        if not plain and not (name == WRAPPED and is_function(value)):
            raise CannotKeep(
                f"It has an attribute {name!r:.80}, which is special to Python. "
                "Remove the attribute."
            )


def plain_attributes(obj: Any) -> dict[str, Any]:
    """The attributes of a function, if they can be kept."""
    attributes = dict(obj.__dict__)
    check_attributes(attributes)
    return attributes


def _check_not_traced(function: Any) -> None:
    """Refuse what `jax.vjp` and `jax.linearize` return: it contains a program."""
    module, name = reflection.own_name(function) or ("", "")
    is_private = module.startswith("jax._src.") and name.startswith("_")
    if is_private and not is_in_table(module, name):
        raise CannotKeep(PROGRAM)


def _encode_partial(obj: functools.partial[Any]) -> Parts:
    _check_not_traced(obj.func)
    children: dict[str, Any] = {"func": obj.func, "args": obj.args}
    children["keywords"] = obj.keywords
    if obj.__dict__:
        children["attributes"] = plain_attributes(obj)
    return Parts(children=children)


def _decode_partial(parts: Parts) -> functools.partial[Any]:
    func, args, keywords, attributes = _bound_in(parts)
    result = functools.partial(func, *args, **keywords)
    if attributes:  # Python does not merge a partial that has any into one around it
        result.__dict__.update(attributes)
    return result


PARTIAL = Kind(
    "partial",
    exactly(functools.partial),
    _encode_partial,
    _decode_partial,
    keeps="`functools.partial`",
    shared=True,
    calls=("func",),
    binds_arguments=("args", "keywords"),
    attributes=None,
)


def _bound_in(parts: Parts) -> tuple[Any, tuple[Any, ...], dict[str, Any], Any]:
    """The function of a partial, its arguments and keywords, and its attributes."""
    children = dict(parts.children) if type(parts.children) is dict else {}
    attributes = children.pop("attributes", {})
    func, args, keywords = expect_children(
        Parts(children=children), "func", "args", "keywords"
    )
    kinds = [type(args), type(keywords), type(attributes)]
    if kinds != [tuple, dict, dict]:
        raise ValueError("the arguments of a partial are not a tuple and a dict")
    if not callable(func):
        raise ValueError("the function of a partial cannot be called")
    check_attributes(attributes)
    return func, args, keywords, attributes


def _encode_unravel(obj: Any) -> Parts:
    attributes = vars_of(obj)
    return Parts(children={name: attributes[name] for name in ("f", "args", "kwargs")})


def _decode_unravel(parts: Parts) -> Any:
    function, args, kwargs = expect_children(parts, "f", "args", "kwargs")
    if not is_function(function) or type(args) is not tuple or type(kwargs) is not dict:
        raise ValueError("an unravelling function has no function and arguments")
    return _jax.unravel_type()(function, *args, **kwargs)


UNRAVEL = Kind(
    "unravel",
    lambda cls: cls is _jax.unravel_type(),
    _encode_unravel,
    _decode_unravel,
    keeps="the inverse function that `jax.flatten_util.ravel_pytree` returns",
    shared=True,
    calls=("f",),
    binds_arguments=("args", "kwargs"),
    attributes=("f", "args", "kwargs"),
)


def _encode_jax_partial(obj: jtu.Partial) -> Parts:
    func: Any = obj.func
    value = None
    if type(func) is _SHIM:
        func, value = func.fun, "partial"
    _check_not_traced(func)
    children = {"args": obj.args, "keywords": obj.keywords, "func": func}
    static: tuple[str, ...] = ("func",)
    if obj.__dict__:
        children["attributes"] = plain_attributes(obj)
        static = ("func", "attributes")
    return Parts(children=children, static=static, value=value)


# The class in which JAX wraps a partial that is inside a partial of its own.
_SHIM: type = type(jtu.Partial(functools.partial(abs)).func)


def _decode_jax_partial(parts: Parts) -> jtu.Partial:
    func, args, keywords, attributes = _bound_in(parts)
    if parts.value == "partial" and is_partial(type(func)):
        func = jtu.Partial(func).func
    # Past `jtu.Partial.__new__`, which would wrap a partial inside a partial again.
    made = functools.partial.__new__(jtu.Partial, func, *args, **keywords)
    if attributes:
        made.__dict__.update(attributes)
    return made


JAX_PARTIAL = Kind(
    "jax_partial",
    exactly(jtu.Partial),
    _encode_jax_partial,
    _decode_jax_partial,
    keeps="`jax.tree_util.Partial`",
    shared=True,
    calls=("func",),
    binds_arguments=("args", "keywords"),
    attributes=None,
    is_node=True,
)
