"""Functions below decorators that give them rules, or a cache.

Such a decorator (`jax.custom_jvp`, `equinox.filter_custom_vjp`, `functools.lru_cache`)
returns an object with the function, with rules for its derivatives or for `vmap`, and
with options. All of these are kept, and the decorator is called again with them.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.custom_batching

from .. import _jax
from .._trust import reflection
from .base import Kind, Parts, children_by_name
from .closures import fill_itself, without_itself
from .wrappers import check_wrappable, rewrapped

# By decorator: the functions of an object that it has made, and its options; and how to
# make it again from both. A rule that was never set is missing among the functions.
_Decorated = tuple[dict[str, Any], dict[str, Any]]


def decorated_parts(obj: Any) -> tuple[str, dict[str, Any], dict[str, Any]] | None:
    """Decorator, functions and options of a function with rules, or with a cache.

    None if it is not such a function, or if a new one of these parts would be another.
    """
    for decorator, (take_apart, _) in _DECORATORS.items():
        try:
            parts = take_apart(obj)
        except (KeyError, TypeError, AttributeError):  # another release of JAX
            continue
        if parts is not None:
            return decorator, *parts
    return None


def decorated(
    decorator: str, functions: dict[str, Any], options: dict[str, Any]
) -> Any:
    """The result of a decorator, from what `decorated_parts` returns.

    Raises
    ------
    ValueError
        If there is no such decorator, or if it takes other functions or options.
    """
    if decorator not in _DECORATORS:
        raise ValueError(f"{decorator!r:.80} is not a decorator that files keep")
    try:
        return _DECORATORS[decorator][1](**functions, **options)
    except TypeError as error:
        raise ValueError(f"`{decorator}` has other parts than in the file") from error


def difference(one: Any, other: Any) -> str | None:
    """The first attribute in which two results of a decorator differ, or None."""
    ours, theirs = vars(one), vars(other)
    for name in {**ours, **theirs}:
        if name not in ours or name not in theirs:
            return name
        if not _same_state(ours[name], theirs[name], [(one, other)]):
            return name
    return None


def _same_state(a: Any, b: Any, within: list[tuple[Any, Any]]) -> bool:
    """Whether two parts are one object, or wrappers of JAX around the same ones."""
    if a is b or any(a is one and b is other for one, other in within):
        return True
    if type(a) is not type(b) or len(within) > _MAX_WITHIN:
        return False
    inside = [*within, (a, b)]
    if type(a) is types.FunctionType:
        same = a.__code__ is b.__code__ and a.__globals__ is b.__globals__
        one, two = _jax.closure(a), _jax.closure(b)
    elif type(a) in (jax.custom_jvp, jax.custom_vjp):
        same, one, two = True, vars(a), vars(b)
    elif type(a) is dict:
        same, one, two = True, a, b
    else:
        return type(a) in (bool, int, str, tuple, list) and bool(a == b)
    return (
        same
        and one.keys() == two.keys()
        and all(_same_state(one[name], two[name], inside) for name in one)
    )


_MAX_WITHIN = 16


def _only_set(functions: dict[str, Any]) -> dict[str, Any]:
    return {name: found for name, found in functions.items() if found is not None}


def _custom_jvp_parts(obj: Any) -> _Decorated | None:
    if type(obj) is not jax.custom_jvp:
        return None
    state = vars(obj)
    jvp: Any = state.get("jvp")
    jvps = None
    if _is_code_of(jvp, _jvp_of_jvps()):
        jvp, jvps = None, _jax.closure(jvp)["jvps"]
    options = {"nondiff_argnums": [*state["nondiff_argnums"]]}
    options["symbolic_zeros"] = state.get("symbolic_zeros", False)
    return _only_set({"fun": state["fun"], "jvp": jvp, "jvps": jvps}), options


def _custom_jvp(
    fun: Any,
    jvp: Any = None,
    jvps: Any = None,
    *,
    nondiff_argnums: Sequence[int],
    symbolic_zeros: bool,
) -> Any:
    made = jax.custom_jvp(fun, nondiff_argnums=tuple(nondiff_argnums))
    if jvps is not None:
        made.defjvps(*jvps)
    elif jvp is not None:
        made.defjvp(jvp, symbolic_zeros=symbolic_zeros)
    return made


@functools.cache
def _jvp_of_jvps() -> Any:
    function: Any = jax.custom_jvp(_identity)
    function.defjvps(None)
    return function.jvp


def _identity(x: Any) -> Any:
    return x


def _is_code_of(function: Any, sample: Any) -> bool:
    is_function = type(function) is type(sample) is types.FunctionType
    return is_function and function.__code__ is sample.__code__


def _custom_vjp_parts(obj: Any) -> _Decorated | None:
    if type(obj) is not jax.custom_vjp or _is_custom_gradient(obj):
        return None
    state = vars(obj)
    functions = {name: state[name] for name in ("fun", "fwd", "bwd")}
    options = {"nondiff_argnums": [*state["nondiff_argnums"]]}
    options |= {name: state[name] for name in ("symbolic_zeros", "optimize_remat")}
    return _only_set(functions), options


def _custom_vjp(
    fun: Any,
    fwd: Any = None,
    bwd: Any = None,
    *,
    nondiff_argnums: Sequence[int],
    symbolic_zeros: bool,
    optimize_remat: bool,
) -> Any:
    made = jax.custom_vjp(fun, nondiff_argnums=tuple(nondiff_argnums))
    if fwd is not None and bwd is not None:
        made.defvjp(
            fwd, bwd, symbolic_zeros=symbolic_zeros, optimize_remat=optimize_remat
        )
    return made


def _is_custom_gradient(obj: Any) -> bool:
    sample: Any = _sample_of_custom_gradient()
    return _is_code_of(vars(obj).get("fun"), sample.fun)


@functools.cache
def _sample_of_custom_gradient() -> Any:
    return jax.custom_gradient(_identity)


def _custom_gradient_parts(obj: Any) -> _Decorated | None:
    if type(obj) is not jax.custom_vjp or not _is_custom_gradient(obj):
        return None
    return {"fun": _jax.closure(vars(obj)["fun"])["fun"]}, {}


def _custom_vmap_parts(obj: Any) -> _Decorated | None:
    if type(obj) is not jax.custom_batching.custom_vmap:
        return None
    state = vars(obj)
    return _only_set({"fun": state["fun"], "rule": state["vmap_rule"]}), {}


def _custom_vmap(fun: Any, rule: Any = None) -> Any:
    made = jax.custom_batching.custom_vmap(fun)
    if rule is not None:
        made.def_vmap(rule)
    return made


def _filter_custom_jvp_parts(obj: Any) -> _Decorated | None:
    fun = _jax.function_with_rule(obj) if type(obj) is eqx.filter_custom_jvp else None
    if fun is None:
        return None
    rule = vars(vars(obj)["fn"]).get("jvp")
    jvp = None if rule is None else _jax.closure(rule)["fn_jvp"]
    return _only_set({"fun": fun, "jvp": jvp}), {}


def _filter_custom_jvp(fun: Any, jvp: Any = None) -> Any:
    made = eqx.filter_custom_jvp(fun)
    if jvp is not None:
        made.def_jvp(jvp)
    return made


def _filter_custom_vjp_parts(obj: Any) -> _Decorated | None:
    if type(obj) is not eqx.filter_custom_vjp:
        return None
    state = vars(obj)
    functions = {"fun": state["fn"], "fwd": state["fn_fwd"], "bwd": state["fn_bwd"]}
    return _only_set(functions), {}


def _filter_custom_vjp(fun: Any, fwd: Any = None, bwd: Any = None) -> Any:
    made = eqx.filter_custom_vjp(fun)
    if fwd is not None:
        made.def_fwd(fwd)
    if bwd is not None:
        made.def_bwd(bwd)
    return made


def _lru_cache_parts(obj: Any) -> _Decorated | None:
    if type(obj) is not functools._lru_cache_wrapper:
        return None
    return {"fun": obj.__wrapped__}, dict(obj.cache_parameters())


def _lru_cache(fun: Any, *, maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize=maxsize, typed=typed)(fun)


_DECORATORS: dict[
    str, tuple[Callable[[Any], _Decorated | None], Callable[..., Any]]
] = {
    "jax.custom_jvp": (_custom_jvp_parts, _custom_jvp),
    "jax.custom_vjp": (_custom_vjp_parts, _custom_vjp),
    "jax.custom_gradient": (
        _custom_gradient_parts,
        lambda fun: jax.custom_gradient(fun),
    ),
    "jax.custom_batching.custom_vmap": (_custom_vmap_parts, _custom_vmap),
    "equinox.filter_custom_jvp": (_filter_custom_jvp_parts, _filter_custom_jvp),
    "equinox.filter_custom_vjp": (_filter_custom_vjp_parts, _filter_custom_vjp),
    "functools.lru_cache": (_lru_cache_parts, _lru_cache),
}


# The kind -----------------------------------------------------------------------------


def _encode_decorated(obj: Any) -> Parts | None:
    found = decorated_parts(obj)
    if found is None:
        return None
    decorator, functions, options = found
    for function in _all(functions):
        check_wrappable(function)
    changed = difference(obj, decorated(decorator, functions, options))
    if changed is not None:
        raise rewrapped(changed)
    children = {
        name: tuple(without_itself(obj, one) for one in function)
        if type(function) is tuple
        else without_itself(obj, function)
        for name, function in functions.items()
    }
    return Parts(children=children, value={"decorator": decorator, **options})


def _all(functions: dict[str, Any]) -> list[Any]:
    """The functions, with those in the tuple of rules for single arguments."""
    several = [f if type(f) is tuple else (f,) for f in functions.values()]
    return [function for each in several for function in each if function is not None]


def _decode_decorated(parts: Parts) -> Any:
    functions, options = children_by_name(parts), parts.value
    if type(options) is not dict or type(options.get("decorator")) is not str:
        raise ValueError("a decorated function has no decorator")
    decorator: str = options["decorator"]
    options = {name: value for name, value in options.items() if name != "decorator"}
    if not all(map(_is_option, options.values())):
        raise ValueError("an option of a decorator is not plain")
    if type(functions.get("jvps", ())) is not tuple:
        raise ValueError("the rules of a decorated function are not a tuple")
    if any(one is None for one in functions.values()) or not all(
        map(callable, _all(functions))
    ):
        raise ValueError("a decorated function is not a function")
    for function in _all(functions):
        check_wrappable(function)
    made = decorated(decorator, functions, options)
    for function in _all(functions):
        fill_itself(function, made)
    return made


def _is_option(option: Any) -> bool:
    items = option if type(option) is list else [option]
    plain = (bool, int, type(None))
    return all(reflection.is_one_of(type(item), plain) for item in items)


def _types() -> tuple[type, ...]:
    return (
        jax.custom_jvp,
        jax.custom_vjp,
        jax.custom_batching.custom_vmap,
        eqx.filter_custom_jvp,
        eqx.filter_custom_vjp,
        functools._lru_cache_wrapper,
    )


DECORATED = Kind(
    "decorated",
    lambda cls: reflection.is_one_of(cls, _types()),
    _encode_decorated,
    _decode_decorated,
    keeps="functions with rules (`jax.custom_jvp` and the like) or a cache",
    shared=True,
    calls=("fun", "jvp", "jvps", "fwd", "bwd", "rule"),
    attributes=None,
)
