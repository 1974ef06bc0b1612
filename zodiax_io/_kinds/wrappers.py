"""Functions that wrap a function: `jit`, `vmap`, `filter_jit` and others."""

from __future__ import annotations

import inspect
import types
from typing import Any

import equinox as eqx
import jax.tree_util as jtu

from .. import _jax
from .._trust import reflection
from .._trust.reflection import class_attribute
from .._trust.roles import is_function
from .base import CannotKeep, Kind, Parts, exactly, expect_children
from .contents import is_partial
from .fields import borrowed, is_of_frameworks, vars_of
from .partials import WRAPPED
from .printing import MAX_WRAPPERS, is_wrappable
from .pytrees import unflattens_plainly


def check_wrappable(obj: Any) -> None:
    """Refuse an object that is no function, or that runs code when it is inspected."""
    if not is_wrappable(obj):
        raise CannotKeep(
            "The object that it wraps is not a function, is wrapped too often, or runs "
            "code of its class when it is inspected. Keep that object, and wrap it "
            "again."
        )


def _check_jittable(obj: Any) -> None:
    check_wrappable(obj)
    # jaxlib makes weak references to functions that it jits, and may crash without.
    if not type(obj).__weakrefoffset__:
        raise CannotKeep(
            f"It wraps a `{type(obj).__qualname__}`, which has no weak references, so "
            "JAX cannot call it. Wrap a function that calls it."
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
    keeps="`jax.jit` of a function that can be kept",
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
    check_wrappable(function)
    _check_as_wrapped(obj, _jax.transform(name, function, options))
    children = {"function": function, "options": options}
    return Parts(children=children, value=name)


def _check_as_wrapped(obj: Any, made: Any) -> None:
    """Refuse a wrapper whose name, text or attributes are not those of a new one."""
    one, other = _attributes_of_wrapper(obj), _attributes_of_wrapper(made)
    for name in {**one, **other}:
        if not _is_alike(one.get(name, _NOTHING), other.get(name, _NOTHING)):
            raise rewrapped(name)


def rewrapped(name: str) -> CannotKeep:
    """The refusal of a wrapper, one of whose attributes is not that of a new one."""
    return CannotKeep(
        f"Its `{name:.80}` has changed since it was made, and the change would be "
        "lost. Keep the function that it wraps, and wrap it again after loading; or "
        "give it a name at the top level of a module."
    )


def _attributes_of_wrapper(obj: Any) -> dict[str, Any]:
    names = ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__")
    attributes = {**vars(obj), **{name: getattr(obj, name, _NOTHING) for name in names}}
    attributes.pop("_jit_info", None)  # contains the options, which are the same
    return attributes


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
    check_wrappable(function)
    if not all(_is_option(option) for option in options.values()):
        raise ValueError("an option of a transformation is not plain")
    return _jax.transform(parts.value, function, options)


TRANSFORM = Kind(
    "transform",
    exactly(types.FunctionType),
    _encode_transform,
    _decode_transform,
    keeps="`jax.vmap`, `jax.grad` and others of a function that can be kept",
    shared=True,
    calls=("function",),
    attributes=None,
)


_FILTER_JIT_TYPE = _jax.filter_jit_type()
_FILTER_JIT_FIELDS = frozenset(vars_of(eqx.filter_jit(lambda: None)))


def _encode_filter_jit(obj: Any) -> Parts:
    attributes, inner = vars_of(obj), obj.__wrapped__
    check_wrappable(inner)
    names = _jax.equinox_wrapper_names()
    for name in attributes.keys() | set(names):
        if name in names:
            changed = not _is_alike(
                attributes.get(name, _NOTHING), _borrowed(inner, name)
            )
        else:
            changed = name not in _FILTER_JIT_FIELDS
        if changed:
            raise rewrapped(name)
    options = ("filter_warning", "donate_first", "donate_rest")
    value = [attributes[name] for name in options]
    dynamic, static = attributes["_dynamic_fun"], attributes["_static_fun"]
    children = {"dynamic": dynamic, "static": static}
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
        raise ValueError("a jitted function has no partition of a function")
    if not len(dynamic) == len(leaves) == treedef.num_leaves:
        raise ValueError("a jitted function has other leaves than its treedef")
    inner, is_whole = _outline_of(treedef, dynamic, leaves)
    check_wrappable(inner)
    wrapper = eqx.filter_jit(_namesake(inner, is_whole), donate=donate)
    attributes = vars_of(wrapper)
    for name in _jax.equinox_wrapper_names():
        attributes.pop(name, None)
        if (value := _borrowed(inner, name)) is not _NOTHING:
            attributes[name] = value
    # The partition into arrays and the rest is that of the file, even if no arrays were
    # read.
    attributes.update(_dynamic_fun=dynamic, _static_fun=static)
    return wrapper


FILTER_JIT = Kind(
    "filter_jit",  # before "module": the compiled function inside is built again
    lambda cls: cls is _FILTER_JIT_TYPE,
    _encode_filter_jit,
    _decode_filter_jit,
    keeps="`equinox.filter_jit` of a function that can be kept",
    shared=True,
    calls=("dynamic", "static"),
    attributes=None,
    is_node=True,
)


class _Unbuilt:
    """Placeholder for an object that only code of its class could unflatten."""

    __slots__ = ("cls",)

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __call__(self) -> None:
        """Be callable, as the object would be."""


def _outline_of(treedef: Any, dynamic: Any, static: Any) -> tuple[Any, bool]:
    """The function of a partition, and whether it is complete.

    Objects that only code of their classes could unflatten are left out. The wrapper
    needs none of them: it takes only the name and the signature of the function.
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
    """A function with the name and the signature of a callable; it is never called."""
    # Not a `def`: a checker of annotations would wrap each, in milliseconds, and the
    # wrapper would have another name.
    namesake: Any = lambda: None  # noqa: E731
    inner = _innermost(function)
    cls = _class_of(inner)
    for name in ("__name__", "__qualname__"):
        found = _borrowed(inner, name)
        if type(found) is not str:  # an object has the name of its class
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
            inner = getattr(obj, WRAPPED, None)
        elif is_partial(type(obj)):
            inner = obj.func
        elif type(obj) is not _FILTER_JIT_TYPE:
            found = class_attribute(type(obj), WRAPPED)
            if type(found) is property and type(found.fget) is types.FunctionType:
                # Wrappable objects have such a property only from Equinox.
                inner = found.fget(obj) if is_of_frameworks(found.fget) else None
        if inner is None:
            return obj
        obj = inner
    return obj


def _signature_of(obj: Any, cls: type) -> inspect.Signature:
    """The signature of a callable of a class; the callable may be `_Unbuilt`."""
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
    return borrowed(inner, name, _NOTHING, _class_of(inner))


def _class_of(obj: Any) -> type:
    return obj.cls if type(obj) is _Unbuilt else type(obj)


_NOTHING = object()
