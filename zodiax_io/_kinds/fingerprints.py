"""Fingerprints of functions in variables, to notice that a variable has another one.

A file keeps a function by its name, and loads it even if it was edited. But if the name
is that of a variable, as in `step = jax.jit(make(3))`, the variable may have another
function in the next process. The fingerprint is a digest of the code and of all values
that the function contains. It compiles, imports and calls nothing.
"""

from __future__ import annotations

import dis
import functools
import operator
import struct
import types
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np

from .. import _jax
from .._errors import LIMITS
from .._trust import names, reflection
from .._trust.origins import is_own_code
from .._trust.reflection import has_python_layout, is_one_of
from .._trust.roles import is_function
from .._trust.written import places_of
from .contents import Indescribable, Texts, is_array, is_partial, parts_of_partial
from .digests import (
    code_digest,
    digest_of_text,
    has_same_bytecode,
    python,
    source_digest,
)
from .fields import attributes_of, module_of

_MAX_DEPTH = 32
_MAX_ITEMS = 10_000
_MAX_LENGTH = 1 << 24
_LOCALS = "<locals>"
_LAMBDA = "<lambda>"
OfCode = Callable[[types.CodeType], str | None]


def fingerprint(function: Any) -> dict[str, str] | None:
    """Digests of a function and its contents, one by its code and one by its source.

    None if it contains values that cannot be compared in another process.
    """
    code = _digest(function, code_digest)
    if code is None:
        return None
    found = {"python": python(), "code": code}
    source = _digest(function, source_digest)
    return found if source is None else {**found, "source": source}


def _digest(function: Any, of_code: OfCode) -> str | None:
    try:
        return digest_of_text(_FunctionTexts(of_code).of(function))
    except (Indescribable, RecursionError):
        return None


def matches(saved: object, function: Any) -> bool:
    """Whether a function has the saved fingerprint; `ValueError` if it is not one."""
    if type(saved) is not dict or not {"python", "code"} <= saved.keys():
        raise ValueError("the value of a function is not a fingerprint")
    here = fingerprint(function)
    return here is not None and are_alike(cast("dict[str, Any]", saved), here)


def are_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two fingerprints, of any releases of Python, are of one function."""
    before, here = one.get("python"), str(other.get("python"))
    same = one.get("code") == other.get("code")
    if before == here or (same and has_same_bytecode(before, here)):
        return same
    source = one.get("source")
    return source is not None and source == other.get("source")


def is_plainly_defined(function: Any, name: str) -> bool:
    """Whether a name always leads to the function that the source defines by it.

    True for the names of packages and of `register`. In the user's code, true if no
    layer of the function is a lambda or local to a function, and no function of the
    module assigns the name.
    """
    module, qualname = names.split(name)
    if names.is_registered(name) or names.is_in_table(module, qualname):
        return True
    if not is_own_code(module):
        return True
    own_name = reflection.own_name(function)
    is_same = own_name is None or own_name[1] == qualname
    # Its code may be that of a `def` of this name, below `functools.wraps`.
    if not is_same and (module, qualname) not in places_of(function):
        return False
    return not is_rebound(name) and not any(map(_is_made, layers(function)))


def layers(function: Any) -> Iterator[Any]:
    """A function, the function that it wraps, and so on inwards."""
    for _ in range(_MAX_DEPTH):
        yield function
        function = (reflection.instance_dict(function) or {}).get("__wrapped__")
        if not is_function(function):
            return


def is_local(function: Any) -> bool:
    """Whether the innermost layer of a function is local to another function."""
    *_, last = layers(function)
    return type(last) is types.FunctionType and _LOCALS in last.__code__.co_qualname


def _is_made(layer: Any) -> bool:
    """Whether a layer of a function is the user's, and made while the code runs."""
    if type(layer) is not types.FunctionType:
        return False
    code = layer.__code__
    free = set(code.co_freevars) - {"__class__"}
    is_made = _LOCALS in code.co_qualname or code.co_name == _LAMBDA or bool(free)
    return is_made and _is_own(layer)


def _is_own(function: types.FunctionType) -> bool:
    module = function.__globals__.get("__name__")
    return type(module) is str and is_own_code(module)


# By module: its functions and classes, and the variables that they assign.
_rebound: dict[str, tuple[list[Any], frozenset[str]]] = {}


def is_rebound(name: str) -> bool:
    """Whether a function of a module assigns one of its variables, by `global`."""
    module, qualname = names.split(name)
    space = reflection.module_space(module) or {}
    code = [v for v in [*space.values()] if reflection.is_class(v) or is_function(v)]
    known = _rebound.get(module)
    if known is None or not (
        len(known[0]) == len(code) and all(map(operator.is_, known[0], code))
    ):
        assigned = (_assigned(c) for v in code for c in _codes_of(v, module))
        known = _rebound[module] = code, frozenset().union(*assigned)
    return qualname in known[1]


def _codes_of(value: Any, module: str) -> Iterator[types.CodeType]:
    """The code of a function, or of the methods of a class, of a module."""
    if reflection.is_class(value):
        if module_of(value) == module:
            for inner in [*reflection.namespace(value).values()]:
                yield from _code_of_layers(getattr(inner, "__func__", inner))
    else:
        yield from _code_of_layers(value)


def _code_of_layers(value: Any) -> Iterator[types.CodeType]:
    if is_function(value):
        for layer in layers(value):
            if type(layer) is types.FunctionType:
                yield layer.__code__


@functools.lru_cache(maxsize=4096)
def _assigned(code: types.CodeType) -> frozenset[str]:
    """The global variables that a code object, or one inside it, assigns."""
    found = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL")
    }
    inside = (_assigned(c) for c in code.co_consts if type(c) is types.CodeType)
    return frozenset(found).union(*inside)


class _FunctionTexts(Texts):
    """Texts of functions with all their contents; files have digests of these texts."""

    def __init__(self, of_code: OfCode) -> None:
        super().__init__(_MAX_DEPTH, _MAX_ITEMS, _MAX_LENGTH)
        self._of_code = of_code

    def _text(self, obj: Any, depth: int) -> str:
        return repr(self._parts(obj, depth))

    def _parts(self, obj: Any, depth: int) -> Any:
        cls = type(obj)
        if is_one_of(cls, (type(None), bool, int, str, bytes, type(...))):
            return cls.__name__, f"{obj:x}" if cls is int else obj
        if is_one_of(cls, (float, complex)):
            return cls.__name__, struct.pack("<dd", obj.real, obj.imag)
        if is_array(cls) or reflection.derives(cls, np.generic):
            return _of_array(obj)
        if is_one_of(cls, (tuple, list, set, frozenset)):
            return cls.__name__, self._of_items(obj, depth)
        if cls is dict:
            texts = self._of_items(obj, depth)
            return [*zip(texts[::2], texts[1::2], strict=True)]
        if is_partial(cls):
            parts = parts_of_partial(obj)
            return cls.__name__, [self.of(part, depth) for part in parts]
        if cls is types.MethodType:
            return "method", self.of(obj.__self__, depth), obj.__func__.__qualname__
        return self._of_named(obj, depth)

    def _of_named(self, obj: Any, depth: int) -> Any:
        name = names.name_of(obj)
        if is_function(obj):
            if name is not None and is_plainly_defined(obj, name):
                return name
            return self._of_function(obj, depth)
        if name is not None and (
            reflection.is_class(obj) or not is_own_code(module_of(type(obj)))
        ):
            return name
        cls_name = names.name_of(type(obj))
        if cls_name is None or not has_python_layout(type(obj)):
            raise Indescribable
        attributes = sorted(attributes_of(obj).items())
        return cls_name, [(name, self.of(value, depth)) for name, value in attributes]

    def _of_function(self, obj: Any, depth: int) -> Any:
        transformed = _jax.transform_parts(obj)
        if transformed is not None:
            name, function, options = transformed
            return name, self.of(function, depth), self.of(options, depth)
        if type(obj) is types.FunctionType:
            return self._of_layer(obj, depth)
        attributes = reflection.instance_dict(obj) or {}
        inner = attributes.get("__wrapped__")
        if not is_function(inner):
            raise Indescribable
        options: Any = _jax.jit_options(obj)
        if options is not None:  # a release of JAX may have further ones
            options = {name: value for name, value in options.items() if value}
        if type(obj) is functools._lru_cache_wrapper:
            options = obj.cache_parameters()
        elif options is None:  # the rules of `jax.custom_jvp` and `jax.custom_vjp`
            options = {
                n: attributes[n] for n in _RULES if attributes.get(n) is not None
            }
        return self.of(inner, depth), self.of(options, depth)

    def _of_layer(self, function: types.FunctionType, depth: int) -> Any:
        code, is_own = function.__code__, _is_own(function)
        module = function.__globals__["__name__"]
        if is_own and not _is_made(function):
            name = f"{module}:{code.co_qualname}"
            if not is_rebound(name):  # the source defines it there, perhaps decorated
                return name
        described = self._of_code(code) if is_own else code.co_qualname
        if described is None:
            raise Indescribable
        parts: list[Any] = [module, described]
        cells = [_contents_of(cell) for cell in function.__closure__ or ()]
        values = (function.__defaults__, function.__kwdefaults__, function.__dict__)
        for part in (*values, *cells):
            try:
                parts.append(self.of(part, depth))
            except Indescribable:
                # The wrapper of a package, whose contents do not matter.
                if is_own or "__wrapped__" not in function.__dict__:
                    raise
                parts.append(None)
        return parts


_RULES = ("jvp", "fwd", "bwd", "nondiff_argnums", "nondiff_argnames")


def _of_array(obj: Any) -> Any:
    try:
        array = np.asarray(obj)
    except LIMITS:
        raise
    except Exception:  # a tracer, a deleted array, one of several processes
        raise Indescribable from None
    if array.dtype.hasobject:
        raise Indescribable
    return str(array.dtype), array.shape, digest_of_text(array.tobytes().hex())


def _contents_of(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        raise Indescribable from None
