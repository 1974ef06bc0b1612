"""What wraps a function: jit, vmap, partial and their kin."""

from __future__ import annotations

import enum
import functools
import inspect
import types
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu
import numpy as np

from .. import _jax
from .._trust import reflection
from .._trust.classes import metaclass_runs_code
from .._trust.names import is_standard, top_level_package
from .._trust.reflection import class_attribute
from .._trust.roles import is_function
from .._trust.table import FRAMEWORKS, SPECIAL_METHODS_READ
from . import flattening
from .base import CannotKeep, Kind, Parts, exactly, expect_children
from .contents import is_partial
from .fields import is_dunder, is_of_frameworks, reads_plainly, state_of, vars_of
from .placeholders import Placeholder
from .pytrees import unflattens_plainly

# JAX's own cost of wrapping grows with a power of the depth.
MAX_WRAPPERS = 8
# And it prints what it wraps, with all that is inside, as often as it is met.
_MAX_PRINTED = 10_000
_LOOKED_AT = frozenset(
    """
    __getattr__ __getattribute__ __name__ __qualname__ __wrapped__ __signature__
    __text_signature__ __func__ __self__ __code__ __defaults__ __kwdefaults__
    __repr__ __str__ __format__ __tree_pp__ _partialmethod __partialmethod__
    """.split()
)


def _is_wrappable(function: object) -> bool:
    """Whether JAX can look at what it wraps, and print it, without its class's code."""
    return _callable_is_quiet(function, 0, [_MAX_PRINTED])


def _callable_is_quiet(function: object, depth: int, left: list[int]) -> bool:
    if depth > MAX_WRAPPERS or reflection.is_class(function) or not callable(function):
        return False
    obj: Any = function
    if type(obj) is Placeholder:
        return True
    if type(obj) is types.MethodType:
        inner = _callable_is_quiet(obj.__func__, depth + 1, left)
        return inner and _is_quiet(obj.__self__, left)
    if is_partial(type(obj)):
        inner = _callable_is_quiet(obj.func, depth + 1, left)
        return inner and _is_quiet([obj.args, obj.keywords], left)
    held = reflection.instance_dict(obj) or {}
    for name in ("__wrapped__", "_static_fun"):  # what wraps this, wraps that, too
        if name in held and not reflection.is_class(held[name]):
            inner = held[name]
            inner = inner[0][0] if name == "_static_fun" and inner[0] else inner
            if callable(inner) and not _callable_is_quiet(inner, depth + 1, left):
                return False
    return is_function(obj) or _is_quiet(obj, left)


def _is_quiet(obj: Any, left: list[int]) -> bool:
    """Whether printing an object runs no code of its class, and ends."""
    waiting = [obj]
    while waiting:
        obj = waiting.pop()
        left[0] -= 1
        if left[0] < 0:
            return False
        cls = type(obj)
        if reflection.is_one_of(cls, _PRINTED) or is_function(obj):
            continue
        if cls is jtu.PyTreeDef:  # printed with all that is auxiliary in it
            for of, aux in flattening.nodes_of(obj):
                if not unflattens_plainly(of):
                    return False
                waiting.append(aux)
            continue
        if reflection.is_class(obj):
            if metaclass_runs_code(obj):
                return False
        elif cls is dict:
            waiting += [*obj.keys(), *obj.values()]
        elif reflection.is_one_of(cls, (list, tuple, set, frozenset)):
            waiting += obj
        elif is_partial(cls):
            waiting += [obj.func, obj.args, obj.keywords]
        elif cls is types.MethodType:
            waiting += [obj.__func__, obj.__self__]
        elif not _class_is_quiet(cls):
            return False
        elif reflection.derives(cls, tuple):
            waiting += tuple.__iter__(obj)
        elif not reflection.derives(cls, enum.Enum):
            waiting += [v for held in state_of(obj, {}) for v in held.values()]
    return True


def _class_is_quiet(cls: type) -> bool:
    """Whether instances can be looked at and printed without code of the class."""
    fields = class_attribute(cls, "__dataclass_fields__") or ()
    return reads_plainly(cls, fields) and not any(
        (name in _LOOKED_AT and not _is_generated(value))
        or (is_dunder(name) and _computes(value))
        for base in reflection.mro(cls)
        if not _is_exempt(base)
        for name, value in reflection.namespace(base).items()
    )


def _is_generated(value: object) -> bool:
    """Whether `dataclasses` wrote a method: what it writes has no source file."""
    if type(value) is not types.FunctionType:
        return False
    inner = value.__dict__.get("__wrapped__", value)
    code = inner.__code__ if type(inner) is types.FunctionType else value.__code__
    # Those of namedtuples are made by a file of Python's.
    return code.co_filename == "<string>" or (
        inner is value and is_of_frameworks(value)
    )


def _computes(value: object) -> bool:
    """Whether reading an attribute of this name runs something other than a method."""
    cls = type(value)
    plain = (types.FunctionType, staticmethod, classmethod)
    plain += (types.GetSetDescriptorType, types.MemberDescriptorType)
    return (
        any("__get__" in reflection.namespace(base) for base in reflection.mro(cls))
        and not reflection.is_one_of(cls, plain)
        and not _is_exempt(cls)
    )


_PRINTED = (
    *(type(None), bool, int, float, complex, str, bytes, range, slice, object),
    *(type(...), np.ndarray, _jax.array_type(), _jax.key_array_type()),
    *(jax.ShapeDtypeStruct, type(_jax.equinox_missing())),
)


def _is_exempt(cls: type) -> bool:
    package = top_level_package((reflection.own_name(cls) or ("builtins", ""))[0])
    return (
        package in SPECIAL_METHODS_READ or package in FRAMEWORKS or is_standard(package)
    )


def _check_wrappable(obj: Any) -> None:
    if not _is_wrappable(obj):
        raise CannotKeep(
            "What it wraps is no function, is wrapped too often, or belongs to a class "
            "that runs code of its own when it is looked at. Keep what it wraps, and "
            "wrap it again."
        )


def _check_jittable(obj: Any) -> None:
    _check_wrappable(obj)
    # jaxlib makes weak references to what it jits, and may crash where it cannot.
    if not type(obj).__weakrefoffset__:
        raise CannotKeep(
            f"It wraps a `{type(obj).__qualname__}`, which has no weak references, so "
            "that JAX cannot call it. Wrap a function that calls it."
        )


def _encode_jit(obj: Any) -> Parts | None:
    inner = getattr(obj, "__wrapped__", None)
    if inner is None:
        return None
    _check_jittable(inner)
    options = _jax.jit_options(obj)
    if options is None:
        return None
    _check_as_wrapped(obj, _jax.jit(inner, options))
    return Parts(children={"function": inner}, value=options)


def _decode_jit(parts: Parts) -> Any:
    (inner,) = expect_children(parts, "function")
    options = parts.value
    if type(options) is not dict:
        raise ValueError("a jitted function has no options")
    _check_jittable(inner)
    return _jax.jit(inner, options)


JIT = Kind(
    "jit",
    lambda cls: cls is _jax.jit_function_type(),
    _encode_jit,
    _decode_jit,
    keeps="`jax.jit` around something that can be kept",
    shared=True,
    calls=("function",),
    attributes=None,
)


def _is_option(option: Any) -> bool:
    if reflection.is_one_of(type(option), (tuple, list, frozenset)):
        return all(_is_option(item) for item in option)
    if type(option) is dict:
        return all(type(k) is str and _is_option(v) for k, v in option.items())
    plain = (type(None), bool, int, str, object)
    return reflection.is_one_of(type(option), plain) or is_function(option)


def _encode_transform(obj: Any) -> Parts | None:
    found = _jax.transform_parts(obj)
    if found is None:
        return None
    name, function, options = found
    if not all(_is_option(option) for option in options.values()):
        return None
    _check_wrappable(function)
    _check_as_wrapped(obj, _jax.transform(name, function, options))
    children = {"function": function, "options": options}
    return Parts(children=children, value=name)


def _check_as_wrapped(obj: Any, made: Any) -> None:
    """Refuse a wrapper with another name, text or attribute than a new one has."""
    one, other = _shown_by(obj), _shown_by(made)
    for name in {**one, **other}:
        if not _is_alike(one.get(name, _NOTHING), other.get(name, _NOTHING)):
            raise _rewrapped(name)


def _rewrapped(name: str) -> CannotKeep:
    return CannotKeep(
        f"Its `{name:.80}` is not the one that it had when it was made, and would be "
        "lost. Keep what it wraps, and wrap it again after loading; or give it a name "
        "at the top level of a module."
    )


def _shown_by(obj: Any) -> dict[str, Any]:
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__")
    held = {**vars(obj), **{name: getattr(obj, name, _NOTHING) for name in names}}
    held.pop("_jit_info", None)  # its options have been compared
    return held


def _is_alike(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is dict and type(b) is dict:
        return a.keys() == b.keys() and all(_is_alike(a[name], b[name]) for name in a)
    plain = reflection.is_one_of(type(a), (bool, int, str))
    return plain and type(a) is type(b) and bool(a == b)


def _decode_transform(parts: Parts) -> Any:
    function, options = expect_children(parts, "function", "options")
    if type(options) is not dict:
        raise ValueError("a transformation has no options")
    _check_wrappable(function)
    if not all(_is_option(option) for option in options.values()):
        raise ValueError("an option of a transformation is not plain")
    return _jax.transform(parts.value, function, options)


TRANSFORM = Kind(
    "transform",
    exactly(types.FunctionType),
    _encode_transform,
    _decode_transform,
    keeps="`jax.vmap`, `jax.grad` and their kin around something that can be kept",
    shared=True,
    calls=("function",),
    attributes=None,
)


_FILTER_JIT_TYPE = _jax.filter_jit_type()
_FILTER_JIT_FIELDS = frozenset(vars_of(eqx.filter_jit(lambda: None)))


def _encode_filter_jit(obj: Any) -> Parts:
    held, inner = vars_of(obj), obj.__wrapped__
    _check_wrappable(inner)
    lent = _jax.equinox_wrapper_names()
    for name in held.keys() | set(lent):
        if name in lent:
            changed = not _is_alike(held.get(name, _NOTHING), _borrowed(inner, name))
        else:
            changed = name not in _FILTER_JIT_FIELDS
        if changed:
            raise _rewrapped(name)
    value = [held["filter_warning"], held["donate_first"], held["donate_rest"]]
    children = {"dynamic": held["_dynamic_fun"], "static": held["_static_fun"]}
    return Parts(children=children, static=("static",), value=value)


_DONATE: dict[tuple[bool, bool, bool], Any] = {
    (True, True, True): "all",
    (True, False, True): "all-except-first",
    (False, True, True): "warn",
    (False, False, True): "warn-except-first",
    (False, False, False): "none",
}


def _decode_filter_jit(parts: Parts) -> Any:
    dynamic, static = expect_children(parts, "dynamic", "static")
    donate = _DONATE[tuple(parts.value)]
    static_parts: tuple[Any, Any] = ((), None)
    if type(static) is tuple and len(static) == 2:
        static_parts = static
    leaves, treedef = static_parts
    if not type(dynamic) is type(leaves) is tuple or type(treedef) is not jtu.PyTreeDef:
        raise ValueError("a jitted function holds no partition of a function")
    if not len(dynamic) == len(leaves) == treedef.num_leaves:
        raise ValueError("a jitted function has other leaves than its treedef")
    inner, is_whole = _outline_of(treedef, dynamic, leaves)
    _check_wrappable(inner)
    wrapper = eqx.filter_jit(_namesake(inner, is_whole), donate=donate)
    held = vars_of(wrapper)
    for name in _jax.equinox_wrapper_names():
        held.pop(name, None)
        if (value := _borrowed(inner, name)) is not _NOTHING:
            held[name] = value
    # The partition into arrays and the rest is the file's, also where the arrays are
    # no more than their shapes.
    held.update(_dynamic_fun=dynamic, _static_fun=static)
    return wrapper


FILTER_JIT = Kind(
    "filter_jit",  # before "module": the compiled function inside is rebuilt
    lambda cls: cls is _FILTER_JIT_TYPE,
    _encode_filter_jit,
    _decode_filter_jit,
    keeps="`equinox.filter_jit` around something that can be kept",
    shared=True,
    calls=("dynamic", "static"),
    attributes=None,
    is_node=True,
)


class _Unbuilt:
    """Takes the place of an object that only code of its class could unflatten."""

    __slots__ = ("cls",)

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __call__(self) -> None:
        """Be callable, as the object would be."""


def _outline_of(treedef: Any, dynamic: Any, static: Any) -> tuple[Any, bool]:
    """The function of a partition as far as no code of a class runs; whether all of it.

    A wrapper needs no more: it takes over the function's name and signature.
    """
    pairs = zip(dynamic, static, strict=True)
    waiting = iter([d if s is None else s for d, s in pairs])
    is_whole = True

    def build(node: Any) -> Any:
        nonlocal is_whole
        data = node.node_data()
        if data is None:
            return next(waiting)
        below = [build(child) for child in node.children()]
        if unflattens_plainly(data[0]):
            return _jax.unflatten_once(data[0], data[1], below)
        is_whole = False
        return _Unbuilt(data[0])

    return build(treedef), is_whole


def _namesake(function: Any, is_whole: bool) -> types.FunctionType:
    """A function with the name and the signature of something callable."""
    # Never called. No `def`: a checker of annotations would wrap each of them anew, in
    # milliseconds, and the wrapper bears another name.
    namesake: Any = lambda: None  # noqa: E731
    inner = _innermost(function)
    cls = inner.cls if type(inner) is _Unbuilt else type(inner)
    for name in ("__name__", "__qualname__"):
        found = _borrowed(inner, name)
        if type(found) is not str:  # of an object, the name of its class
            found = type.__dict__[name].__get__(cls)
        setattr(namesake, name, found)
    signature = inspect.signature(function) if is_whole else _signature_of(inner, cls)
    namesake.__signature__ = signature
    return namesake


def _innermost(obj: Any) -> Any:
    """The function below wrappers and partials, as Equinox looks for a name."""
    for _ in range(2 * MAX_WRAPPERS):
        inner = None
        if is_function(obj):
            inner = getattr(obj, _WRAPPED, None)
        elif is_partial(type(obj)):
            inner = obj.func
        elif type(obj) is not _FILTER_JIT_TYPE:
            found = class_attribute(type(obj), _WRAPPED)
            if type(found) is property and type(found.fget) is types.FunctionType:
                # Of Equinox: what is wrappable has no property of another class.
                inner = found.fget(obj) if is_of_frameworks(found.fget) else None
        if inner is None:
            return obj
        obj = inner
    return obj


def _signature_of(obj: Any, cls: type) -> inspect.Signature:
    """The signature of something callable, of a class, that may be `_Unbuilt`."""
    if cls is _FILTER_JIT_TYPE:
        return vars_of(obj)["_signature"]
    if is_function(obj) or cls is types.MethodType:
        return inspect.signature(obj)
    call = class_attribute(cls, "__call__")
    if type(call) is not types.FunctionType:
        raise ValueError(f"{cls.__qualname__} has no method `__call__`")
    found = inspect.signature(call)
    return found.replace(parameters=list(found.parameters.values())[1:])


def _borrowed(inner: Any, name: str) -> Any:
    """An attribute that a wrapper takes from what it wraps, if that has one."""
    if type(inner) is types.MethodType:
        inner = inner.__func__
    if is_function(inner):
        return getattr(inner, name, _NOTHING)
    held = reflection.instance_dict(inner) or {}
    if name in held:
        return held[name]
    found = class_attribute(inner.cls if type(inner) is _Unbuilt else type(inner), name)
    return _NOTHING if found is None else found


_NOTHING = object()


# What `functools.wraps` leaves on a wrapper, beside text.
_WRAPPED = "__wrapped__"


def check_attributes(attributes: dict[str, Any]) -> None:
    """Refuse attributes of a function that make Python run something.

    `inspect.signature`, which JAX calls on what it wraps, calls a `__signature__`.

    Raises
    ------
    CannotKeep
        If an attribute has a name that means something to Python.
    """
    for name, value in attributes.items():
        plain = type(name) is str and name.isidentifier() and not is_dunder(name)
        if not plain and not (name == _WRAPPED and is_function(value)):
            raise CannotKeep(
                f"It bears an attribute {name!r:.80} that means something to Python. "
                "Remove the attribute."
            )


def plain_attributes(obj: Any) -> dict[str, Any]:
    """The attributes of a function that may be kept."""
    attributes = dict(obj.__dict__)
    check_attributes(attributes)
    return attributes


def _encode_partial(obj: functools.partial[Any]) -> Parts:
    children: dict[str, Any] = {"func": obj.func, "args": obj.args}
    children["keywords"] = obj.keywords
    if obj.__dict__:
        children["attributes"] = plain_attributes(obj)
    return Parts(children=children)


def _decode_partial(parts: Parts) -> functools.partial[Any]:
    func, args, keywords, attributes = _bound_in(parts)
    result = functools.partial(func, *args, **keywords)
    if attributes:  # one with a `__dict__` is not merged into a partial around it
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
    """The function of a partial, what it binds, and the attributes beside these."""
    children = dict(parts.children) if type(parts.children) is dict else {}
    attributes = children.pop("attributes", {})
    func, args, keywords = expect_children(
        Parts(children=children), "func", "args", "keywords"
    )
    kinds = [type(args), type(keywords), type(attributes)]
    if kinds != [tuple, dict, dict]:
        raise ValueError("a partial holds no arguments")
    if not callable(func):
        raise ValueError("a partial holds no function")
    check_attributes(attributes)
    return func, args, keywords, attributes


def _encode_unravel(obj: Any) -> Parts:
    held = vars_of(obj)
    children = {name: held[name] for name in ("f", "args", "kwargs")}
    return Parts(children=children)


def _decode_unravel(parts: Parts) -> Any:
    function, args, kwargs = expect_children(parts, "f", "args", "kwargs")
    if not is_function(function) or type(args) is not tuple or type(kwargs) is not dict:
        raise ValueError("an unravelling function holds no function")
    return _jax.unravel_type()(function, *args, **kwargs)


UNRAVEL = Kind(
    "unravel",
    lambda cls: cls is _jax.unravel_type(),
    _encode_unravel,
    _decode_unravel,
    keeps="what `jax.flatten_util.ravel_pytree` gives to go back by",
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
    children = {"args": obj.args, "keywords": obj.keywords, "func": func}
    static: tuple[str, ...] = ("func",)
    if obj.__dict__:
        children["attributes"] = plain_attributes(obj)
        static = ("func", "attributes")
    return Parts(children=children, static=static, value=value)


# What JAX puts around a partial, within a partial of its own.
_SHIM: type = type(jtu.Partial(functools.partial(abs)).func)


def _decode_jax_partial(parts: Parts) -> jtu.Partial:
    func, args, keywords, attributes = _bound_in(parts)
    if parts.value == "partial" and is_partial(type(func)):
        func = jtu.Partial(func).func
    # Past `jtu.Partial.__new__`, which would wrap a partial within a partial anew.
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
