"""Functions by reference, and what wraps a function by what is inside."""

from __future__ import annotations

import enum
import functools
import inspect
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np

from .. import _jax, _trees
from .._errors import MAX_PATH, PlaceholderError, shown, shown_lines
from .._trust import reflection
from .._trust.classes import is_tame
from .._trust.names import constant_like, is_standard, name_of, top
from .._trust.origins import is_own_code
from .._trust.reflection import class_attribute, has_python_layout
from .._trust.roles import CONSTANT, DEFAULTS, FUNCTION, function_types, is_function
from .._trust.table import EXEMPT, FRAMEWORKS, FUNCTIONS
from ._base import CannotKeep, Kind, Parts, exactly, refusal, subclass
from ._containers import (
    Default,
    find_default,
    is_dunder,
    is_of_frameworks,
    method,
    method_names,
    reads_plainly,
    state_of,
    unflattens_plainly,
    vars_of,
)
from ._digests import SourceChanged
from ._fingerprints import (
    fingerprint,
    is_local,
    is_plainly_defined,
    is_rebound,
    matches,
)


def _expect_named(parts: Parts, *names: str) -> list[Any]:
    children = parts.children
    if type(children) is not dict or set(children) != set(names):
        raise ValueError(f"expected the children {', '.join(names)}")
    return [children[name] for name in names]


# By name ------------------------------------------------------------------------------


def _is_nameable(cls: type) -> bool:
    return reflection.derives(cls, eqx.Module) or _is_function_type(cls)


def _is_function_type(cls: type) -> bool:
    return reflection.is_one_of(cls, function_types())


def _encode_function(obj: Any) -> Parts | None:
    # Wrappers such as `eqx.filter_jit` bear the name of what they wrap.
    if reflection.derives(type(obj), eqx.Module) and "__qualname__" not in vars_of(obj):
        return None
    name = name_of(obj)
    if name is None or is_plainly_defined(obj, name):
        return None if name is None else Parts(refers=obj)
    # A variable, or below a decorator of the user's: it may hold another one later.
    if reflection.derives(type(obj), eqx.Module) or (
        is_local(obj) and is_rebound(name)
    ):
        return None  # kept by what it holds
    found = fingerprint(obj)
    return None if found is None else Parts(refers=obj, value=found)


def _decode_function(parts: Parts) -> Any:
    if parts.value is not None and not matches(parts.value, parts.refers):
        told = ":".join(reflection.own_name(parts.refers) or ("", ""))
        name = name_of(parts.refers) or told
        raise SourceChanged(
            f"is the function in the variable `{name:.200}`, which is not as it was "
            "when it was saved, or cannot be compared under another release of Python. "
            "Load the file where the variable holds the function of that time, or "
            "write the function by `def` at the top level of a module and save again"
        )
    return parts.refers


def _decode_reference(parts: Parts) -> Any:
    return parts.refers


def _encode_default(obj: Default) -> Parts:
    return Parts(refers=obj.cls, value=obj.parameter)


def _decode_default(parts: Parts) -> Any:
    if type(parts.value) is not str:
        raise ValueError("a default belongs to no parameter")
    try:
        found = find_default(parts.refers, parts.value)
    except LookupError as error:
        raise ValueError(str(error)) from None
    if type(found) is not types.FunctionType or name_of(found) is not None:
        raise ValueError(
            f"the default of {parts.value!r:.80} is not a function without a name"
        )
    return found


def _encode_constant(obj: Any) -> Parts | None:
    if name_of(obj) is None:
        return None
    home = reflection.own_name(type(obj))
    if home is None or not is_own_code(home[0]):
        return Parts(refers=obj)
    if _has_state(obj):
        return None  # it would come back with whatever state it has by then
    return Parts(refers=obj, value=home[1])  # a variable may change what it holds


def _decode_constant(parts: Parts) -> Any:
    told = reflection.own_name(type(parts.refers))
    if parts.value is not None and (told is None or parts.value != told[1]):
        raise ValueError("its name belongs to an object of another class now")
    return parts.refers


def _encode_token(obj: eqx.Module) -> Parts | None:
    if type(obj).__module__ != "equinox.internal._str2jax":
        return None
    # A token passed through `tree_map` is another instance of the same lone class.
    constant = None if vars_of(obj) else constant_like(obj)
    return None if constant is None else Parts(refers=constant)


def _has_state(obj: Any) -> bool:
    """Whether an object holds anything, be it in C, as an exception its arguments."""
    return not has_python_layout(type(obj)) or any(state_of(obj, {}))


# Wrappers around functions ------------------------------------------------------------


# JAX's own cost of wrapping grows with a power of the depth.
_MAX_WRAPPERS = 8
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
    if depth > _MAX_WRAPPERS or reflection.is_class(function) or not callable(function):
        return False
    obj: Any = function
    if type(obj) is Placeholder:
        return True
    if type(obj) is types.MethodType:
        inner = _callable_is_quiet(obj.__func__, depth + 1, left)
        return inner and _is_quiet(obj.__self__, left)
    if type(obj) in (functools.partial, jtu.Partial):
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
            for of, aux in _trees.nodes_of(obj):
                if not unflattens_plainly(of):
                    return False
                waiting.append(aux)
            continue
        if reflection.is_class(obj):
            if not is_tame(obj):
                return False
        elif cls is dict:
            waiting += [*obj.keys(), *obj.values()]
        elif reflection.is_one_of(cls, (list, tuple, set, frozenset)):
            waiting += obj
        elif reflection.is_one_of(cls, (functools.partial, jtu.Partial)):
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
    package = top((reflection.own_name(cls) or ("builtins", ""))[0])
    return package in EXEMPT or package in FRAMEWORKS or is_standard(package)


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
    return Parts(children={"function": inner}, value=options, is_node=False)


def _decode_jit(parts: Parts) -> Any:
    (inner,) = _expect_named(parts, "function")
    options = parts.value
    if type(options) is not dict:
        raise ValueError("a jitted function has no options")
    _check_jittable(inner)
    return _jax.jit(inner, options)


def _is_option(option: Any) -> bool:
    if type(option) in (tuple, list, frozenset):
        return all(_is_option(item) for item in option)
    if type(option) is dict:
        return all(type(k) is str and _is_option(v) for k, v in option.items())
    plain = (type(None), bool, int, str, object)
    return type(option) in plain or is_function(option)


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
    return Parts(children=children, value=name, is_node=False)


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
    return type(a) is type(b) and type(a) in (bool, int, str) and bool(a == b)


def _decode_transform(parts: Parts) -> Any:
    function, options = _expect_named(parts, "function", "options")
    if type(options) is not dict:
        raise ValueError("a transformation has no options")
    _check_wrappable(function)
    if not all(_is_option(option) for option in options.values()):
        raise ValueError("an option of a transformation is not plain")
    return _jax.transform(parts.value, function, options)


_FILTER_JIT = _jax.filter_jit_type()
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
    dynamic, static = _expect_named(parts, "dynamic", "static")
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
    for _ in range(2 * _MAX_WRAPPERS):
        inner = None
        if is_function(obj):
            inner = getattr(obj, _WRAPPED, None)
        elif type(obj) in (functools.partial, jtu.Partial):
            inner = obj.func
        elif type(obj) is not _FILTER_JIT:
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
    if cls is _FILTER_JIT:
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
    return Parts(children=children, is_node=False)


def _decode_partial(parts: Parts) -> functools.partial[Any]:
    func, args, keywords, attributes = _bound_in(parts)
    result = functools.partial(func, *args, **keywords)
    if attributes:  # one with a `__dict__` is not merged into a partial around it
        result.__dict__.update(attributes)
    return result


def _bound_in(parts: Parts) -> tuple[Any, tuple[Any, ...], dict[str, Any], Any]:
    """The function of a partial, what it binds, and the attributes beside these."""
    children = dict(parts.children) if type(parts.children) is dict else {}
    attributes = children.pop("attributes", {})
    func, args, keywords = _expect_named(
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
    return Parts(children=children, is_node=False)


def _decode_unravel(parts: Parts) -> Any:
    function, args, kwargs = _expect_named(parts, "f", "args", "kwargs")
    if not is_function(function) or type(args) is not tuple or type(kwargs) is not dict:
        raise ValueError("an unravelling function holds no function")
    return _jax.unravel_type()(function, *args, **kwargs)


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
    if parts.value == "partial" and type(func) in (functools.partial, jtu.Partial):
        func = jtu.Partial(func).func
    # Past `jtu.Partial.__new__`, which would wrap a partial within a partial anew.
    made = functools.partial.__new__(jtu.Partial, func, *args, **keywords)
    if attributes:
        made.__dict__.update(attributes)
    return made


def _encode_method(obj: types.MethodType) -> Parts | None:
    owner, function = obj.__self__, obj.__func__
    for name in method_names(owner, function):
        if _method_of(owner, name) is function:
            return Parts(children={"self": owner}, value=name, is_node=False)
    return None


def _method_of(owner: Any, name: str) -> Any:
    """The function that a file may bind to an object under a name, or None."""
    cls = owner if reflection.is_class(owner) else type(owner)
    function = None if is_dunder(name) and name != "__call__" else method(cls, name)
    return function if is_function(function) and _may_bind(owner, function) else None


_UFUNC = type(jnp.add)


def _may_bind(owner: Any, function: Any) -> bool:
    """Whether a method of this owner is kept: one of a class that can be judged.

    What Python's library makes callable of a plain value, such as the `unlink` of a
    path, is no part of a model.
    """
    if type(owner) is _UFUNC:
        return True  # `jnp.add.reduce`
    if type(owner) is _jax.array_type():
        return getattr(function, "__name__", None) in FUNCTIONS["jax.numpy"]
    of_class = reflection.is_class(owner)
    cls = owner if of_class else type(owner)
    if type(function) is types.FunctionType and _is_foreign(function):
        return False
    module, _ = reflection.own_name(cls) or ("builtins", "")
    if reflection.derives(cls, eqx.Module) or is_own_code(module):
        return True
    package = top(module)
    return not (of_class or package in FRAMEWORKS or is_standard(package))


def _is_foreign(function: types.FunctionType) -> bool:
    for _ in range(_MAX_WRAPPERS):  # as `jax.named_scope` around a method of Equinox's
        inner = function.__dict__.get("__wrapped__")
        if type(inner) is not types.FunctionType:
            break
        function = inner
    module = function.__globals__.get("__name__")
    return type(module) is not str or is_standard(top(module))


def _decode_method(parts: Parts) -> Any:
    (owner,) = _expect_named(parts, "self")
    if type(parts.value) is not str:
        raise ValueError("a method has no name")
    function = _method_of(owner, parts.value)
    if function is None:
        raise ValueError(f"a file may not use the method {parts.value!r:.80} of it")
    return types.MethodType(function, owner)


# Functions that cannot be kept --------------------------------------------------------


class Placeholder:
    """Stands where a function was that could not be saved, and says so when called.

    Or where one is named that is not here (``unknown="opaque"``).

    Attributes
    ----------
    name : str
        What the function was called, for example ``make.<locals>.<lambda>``; of one
        that is not here, its name in the file.
    source : str
        Its source text as far as Python could tell it; never run. Of a function that
        is not here, why.
    path : str
        Where in the tree it sits, which is also its key in ``fill=``.
    """

    # What wraps functions needs both: Equinox copies the dict, which stays empty, and
    # jaxlib crashes where it cannot make a weak reference.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_digest",
        "_versions",
        "name",
        "path",
        "source",
    )

    def __init__(
        self,
        name: str,
        source: str,
        path: str,
        versions: dict[str, tuple[str, str]] | None = None,
        digest: Any = None,
    ) -> None:
        self.name, self.source, self.path = name, source, path
        self._digest = digest  # of a function in a variable, as the file has it
        self._versions = versions  # of its package; None for what was never saved

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise a `PlaceholderError` that names the function."""
        path, source = shown(self.path, MAX_PATH), shown_lines(self.source)
        where = f"The function `{shown(self.name)}` at `{path}`"
        advice = (
            "so there is nothing to call. Put it back by "
            f'`zodiax_io.deserialise(path, fill={{"{path}": function}})`.'
        )
        if self._versions is not None:
            raise PlaceholderError(f"{where} {source}, {advice}")
        raise PlaceholderError(
            f"{where} could not be saved, {advice} Its source was:\n{source}"
        )

    def __repr__(self) -> str:
        """The name and the path."""
        return f"<placeholder for {shown(self.name)} at {shown(self.path, MAX_PATH)}>"

    def _state(self) -> tuple[Any, ...]:
        if self._versions is not None:  # it has a name to be known by
            return self.name, repr(self._digest)
        return self.name, self.source, self.path

    def __eq__(self, other: object) -> bool:
        """Equal when name, source and path are."""
        return type(other) is Placeholder and self._state() == other._state()

    def __hash__(self) -> int:
        """As `__eq__`."""
        return hash(self._state())


def placeholder_for(obj: Any, path: str) -> Placeholder:
    """What is kept of a function that has no name to come back by."""
    name = getattr(obj, "__qualname__", None) or type(obj).__qualname__
    return Placeholder(str(name), source_of(obj) or "(not available)", path)


def source_of(obj: Any) -> str | None:
    """The source text of a function, or None."""
    try:
        return inspect.getsource(inspect.unwrap(obj)).rstrip()
    except (OSError, TypeError, ValueError):
        return None


def place_of(obj: Any) -> str | None:
    """File and line where a function was written, or None."""
    code = getattr(obj, "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _encode_placeholder(obj: Placeholder) -> Parts:
    versions = obj._versions
    if versions is not None:
        extra = {"kind": "function", "type": obj.name}
        return Parts(value=obj._digest, extra=extra, versions=versions)
    return Parts(value={"name": obj.name, "source": obj.source, "path": obj.path})


def _decode_placeholder(parts: Parts) -> Placeholder:
    value = parts.value
    if type(value) is not dict or not all(
        type(value.get(k)) is str for k in ("name", "source", "path")
    ):
        raise ValueError("a placeholder has no name")
    return Placeholder(value["name"], value["source"], value["path"])


def is_unnamed_function(obj: Any) -> bool:
    """Whether an object is a function, so that a placeholder may stand for it."""
    return callable(obj) and not reflection.is_class(obj)


def _refuse_function(obj: Any) -> Parts:
    module = getattr(obj, "__module__", None)
    if type(module) is str and top(module) == "optax":
        raise CannotKeep(
            "It is a local function of optax, as optimisers and schedules are made of. "
            "Keep the optimiser's state and settings, and make it again by its call."
        )
    owner = getattr(obj, "__self__", None)
    if owner is not None and type(owner) is not types.ModuleType:
        cls = owner if reflection.is_class(owner) else type(owner)
        raise CannotKeep(
            f"It is a method of a `{cls.__module__}.{cls.__qualname__}`, which files "
            "do not bind. Keep the object itself, and take the method from it again."
        )
    decorator = _jax.derivative_rule(obj)
    if decorator is not None:
        raise CannotKeep(
            f"It was made by `{decorator}` and has no name to come back by: no file "
            "keeps a rule for derivatives. Decorate a function at the top level of a "
            'module. If a library made it, save with `functions="warn"`, which keeps '
            "all else, make the whole object again by its constructor, and load into "
            "that by `like=`."
        )
    place = place_of(obj)
    where = "" if place is None else f" (written at {place})"
    raise CannotKeep(
        f"It has no name to come back by{where}: it is a lambda, a local function or a "
        "wrapper. Write it by `def` at the top level of a module, give it a name by "
        '`zodiax_io.register(function, alias="package.module:name")`, or keep its '
        'source text only by `functions="warn"`.'
    )


NAME_KINDS = (
    Kind(
        "token",  # before "module": each is the one instance of a class of its own
        subclass(eqx.Module),
        _encode_token,
        _decode_reference,
        CONSTANT,
        keeps="the tokens in the states of lineax's solvers, by name",
        attributes=None,
    ),
    Kind(
        "function",  # before "module": a decorated function may be a Module
        _is_nameable,
        _encode_function,
        _decode_function,
        FUNCTION,
        keeps="functions with a name, by their public name; those in variables of "
        "one's own modules with a digest of their code",
        attributes=None,
    ),
)

FUNCTION_KINDS = (
    Kind(
        "default",
        exactly(Default),
        _encode_default,
        _decode_default,
        DEFAULTS,
        keeps="nameless functions that are a default of their class",
        attributes=None,
    ),
    Kind(
        "filter_jit",  # before "module": the compiled function inside is rebuilt
        lambda cls: cls is _FILTER_JIT,
        _encode_filter_jit,
        _decode_filter_jit,
        keeps="`equinox.filter_jit` around something that can be kept",
        shared=True,
        calls=("dynamic", "static"),
        attributes=None,
    ),
    Kind(
        "jit",
        lambda cls: cls is _jax.jit_function_type(),
        _encode_jit,
        _decode_jit,
        keeps="`jax.jit` around something that can be kept",
        shared=True,
        calls=("function",),
        attributes=None,
    ),
    Kind(
        "transform",
        exactly(types.FunctionType),
        _encode_transform,
        _decode_transform,
        keeps="`jax.vmap`, `jax.grad` and their kin around something that can be kept",
        shared=True,
        calls=("function",),
        attributes=None,
    ),
    Kind(
        "unravel",
        lambda cls: cls is _jax.unravel_type(),
        _encode_unravel,
        _decode_unravel,
        keeps="what `jax.flatten_util.ravel_pytree` gives to go back by",
        shared=True,
        calls=("f",),
        binds=("args", "kwargs"),
        attributes=("f", "args", "kwargs"),
    ),
    Kind(
        "jax_partial",
        exactly(jtu.Partial),
        _encode_jax_partial,
        _decode_jax_partial,
        keeps="`jax.tree_util.Partial`",
        shared=True,
        calls=("func",),
        binds=("args", "keywords"),
        attributes=None,
    ),
    Kind(
        "partial",
        exactly(functools.partial),
        _encode_partial,
        _decode_partial,
        keeps="`functools.partial`",
        shared=True,
        calls=("func",),
        binds=("args", "keywords"),
        attributes=None,
    ),
    Kind(
        "method",
        exactly(types.MethodType),
        _encode_method,
        _decode_method,
        keeps="methods bound to something that can be kept",
    ),
    Kind(
        "placeholder",
        exactly(Placeholder),
        _encode_placeholder,
        _decode_placeholder,
        keeps="placeholders of functions, to be filled",
    ),
)

UNNAMED_KINDS = (
    refusal(
        "unnamed",
        lambda cls: _is_function_type(cls) or cls is types.MethodType,
        _refuse_function,
    ),
)

LAST_KINDS = (
    Kind(
        "singleton",  # last: whatever can be taken apart has been
        subclass(object),
        _encode_constant,
        _decode_constant,
        CONSTANT,
        keeps="constants of a module that are compared by identity, by name",
        attributes=None,
    ),
)
