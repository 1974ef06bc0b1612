"""Containers taken apart and put together, without running their constructors."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import types
from collections.abc import Callable, Container, Iterable, Iterator
from decimal import Decimal
from typing import Any

import equinox as eqx
import jax.tree_util as jtu
import numpy as np

from .. import _jax, _trees
from .._errors import LIMITS, ClassChangedError
from .._trust import reflection
from .._trust.classes import is_tame
from .._trust.names import (
    is_printable_name,
    is_printable_text,
    is_standard,
    name_of,
    top,
)
from .._trust.origins import is_own_code
from .._trust.reflection import class_attribute, has_python_layout
from .._trust.roles import (
    DATACLASS,
    MARKER,
    MODULE,
    NAMEDTUPLE,
    NODE,
    PARTIAL,
    UNFLATTENED,
    is_function,
)
from .._trust.table import FRAMEWORKS
from ._base import CannotKeep, Kind, Parts, exactly, refusal, subclass
from ._unflattened import (
    Watch,
    check_unflattening,
    hashes_of,
    is_large,
    may_be_hash,
)


def _items(parts: Parts) -> list[Any]:
    if type(parts.children) is not list:
        raise ValueError("a sequence has no list of children")
    return parts.children


def _named(parts: Parts) -> dict[str, Any]:
    if type(parts.children) is not dict:
        raise ValueError("an object has no fields")
    return parts.children


# Sequences and sets -------------------------------------------------------------------


def _encode_sequence(obj: Any) -> Parts:
    return Parts(children=list(obj))


def _encode_deque(obj: collections.deque[Any]) -> Parts:
    return Parts(children=list(obj), is_node=False, value=obj.maxlen)


def _decode_deque(parts: Parts) -> collections.deque[Any]:
    maxlen, children = parts.value, _items(parts)
    if maxlen is not None and (type(maxlen) is not int or maxlen < len(children)):
        raise ValueError("a deque is longer than its own limit")
    return collections.deque(children, maxlen)


def _encode_set(obj: Any) -> Parts:
    check_keys(list(obj))
    # The order of a set depends on the process; that of its contents' text does not.
    return Parts(children=sorted(obj, key=_text_of), is_node=False)


def _text_of(obj: Any) -> str:
    """A text of a vetted key that is the same in every process, and tells it apart."""
    cls = type(obj)
    named = name_of(obj)
    of = ":".join(reflection.own_name(cls) or ("", cls.__name__))
    if named is not None:
        return f"{of} {named}"
    if reflection.derives(cls, enum.Enum):
        return f"{of} {obj._name_} {obj._value_!r}"
    if reflection.derives(cls, np.generic):
        return f"{of} {obj.dtype.str} {obj.tobytes().hex()}"
    if cls is frozenset:
        inside = sorted(_text_of(item) for item in frozenset.__iter__(obj))
    elif reflection.derives(cls, tuple):
        inside = [_text_of(item) for item in tuple.__iter__(obj)]
    elif cls is slice:
        inside = [_text_of(item) for item in (obj.start, obj.stop, obj.step)]
    elif cls is types.MethodType:
        inside = [_text_of(obj.__self__), obj.__func__.__qualname__]
    elif has_python_layout(cls):
        held = _attributes_of(obj)
        inside = [f"{name}={_text_of(held[name])}" for name in sorted(held)]
    elif cls is int and not -_LARGE < obj < _LARGE:
        return f"{of} {obj:x}"  # digits take the square of the time, or fail
    else:  # written in C, and a value: a number, a text, a date, a dtype
        return f"{of} {obj!r}"
    return f"{of} {inside}"


def _hashed(children: list[Any], into: Callable[[list[Any]], Any]) -> Any:
    check_keys(children)
    result = into(children)
    if len(result) != len(children):
        raise ValueError("a set holds an element twice")
    return result


_LARGE = 10**4300  # digits that Python writes at most
_MAX_COLLISIONS = 64
_AS_LISTS = "Keep the keys as a list, and the values as another."
_MAX_COMPARED = 4096  # bytes of an integer that may be compared with other numbers


def check_keys(keys: list[Any]) -> None:
    """Refuse keys whose hash would run a class's own code, or that collide by design.

    Raises
    ------
    CannotKeep
        If a key's hash is not Python's own, or too many keys share one hash value.
    """
    counts: dict[int, int] = {}
    large: set[int] = set()
    for key in keys:
        if type(key) is str:
            continue  # the hash of a string is seeded, so it cannot be designed
        if type(key) in (list, dict):
            continue  # unhashable: what needs a hash says so itself
        _check_key(key, 0)
        value = hash(key)
        counts[value] = counts.get(value, 0) + 1
        if counts[value] > _MAX_COLLISIONS:
            raise CannotKeep(f"Too many of its keys share one hash value. {_AS_LISTS}")
        if _is_large(key, 0):
            large.add(value)
    if any(counts[value] > 1 for value in large):
        # To compare an integer with a `Decimal` takes the square of its length.
        raise CannotKeep(
            f"A number among its keys is longer than {_MAX_COMPARED} bytes, and has "
            f"the hash value of another key. {_AS_LISTS}"
        )


def _is_large(key: Any, depth: int) -> bool:
    """Whether a key is, or holds, a number of many digits."""
    if type(key) is int:
        return key.bit_length() > 8 * _MAX_COMPARED
    if type(key) is Decimal:
        return key.__sizeof__() > _MAX_COMPARED
    return (
        type(key) in (tuple, frozenset)
        and depth < _MAX_KEY_DEPTH
        and any(_is_large(item, depth + 1) for item in key)
    )


def _check_key(key: Any, depth: int) -> None:
    cls = type(key)
    if depth > _MAX_KEY_DEPTH:
        raise CannotKeep(f"One of its keys is nested too deeply. {_AS_LISTS}")
    if reflection.is_class(key):
        if not is_tame(key):
            raise CannotKeep(
                f"One of its keys is a class that hashes itself. {_AS_LISTS}"
            )
        return
    for name in ("__hash__", "__eq__", "__lt__", "__gt__"):
        if not _is_vetted(class_attribute(cls, name)):
            raise CannotKeep(
                f"A key of type `{cls.__module__}.{cls.__qualname__}` writes its own "
                f"`{name}`, which loading would have to run. Use plain values as keys."
            )
    # By type: `isinstance` asks the object, too, and what it says is its own code; so
    # is an `__iter__` of a namedtuple's own.
    if issubclass(cls, tuple):
        _check_inside(tuple.__iter__(key), depth)
    elif issubclass(cls, frozenset):
        _check_inside(frozenset.__iter__(key), depth)
    elif cls is slice:
        _check_inside((key.start, key.stop, key.step), depth)
    elif cls is _jax.unravel_type():
        raise CannotKeep(f"A function that hashes its arguments is no key. {_AS_LISTS}")
    elif class_attribute(cls, "__dataclass_fields__") is not None:
        _check_fields(key, depth)


def _check_inside(items: Iterator[Any] | tuple[Any, ...], depth: int) -> None:
    for item in items:
        _check_key(item, depth + 1)


def _check_fields(key: Any, depth: int) -> None:
    """What a generated hash reads: fields that are there, and nothing that computes."""
    cls = type(key)
    fields = _declared(cls)
    present = state_of(key, fields)[0]
    if len(present) != len(fields) or not reads_plainly(cls, fields):
        raise CannotKeep(
            f"A key of type `{cls.__module__}.{cls.__qualname__}` runs code of its own "
            "when its fields are read. Use plain values as keys."
        )
    for item in present.values():
        # Equinox takes pytrees apart to hash a Module, and compares what is inside.
        of = type(item)
        kept = item is None or any(
            reflection.derives(of, c) for c in (tuple, eqx.Module)
        )
        if not kept and _jax.is_registered_node(of):
            raise CannotKeep("A field of one of its keys is a pytree. Make it plain.")
        _check_key(item, depth + 1)


def reads_plainly(cls: type, fields: Iterable[str]) -> bool:
    """Whether reading fields that are there runs no code of a class."""
    for name in ("__getattr__", "__getattribute__"):
        method = class_attribute(cls, name)
        if type(method) is types.FunctionType and not is_of_frameworks(method):
            return False
    return has_plain_fields(cls, fields)


def has_plain_fields(cls: type, fields: Iterable[str]) -> bool:
    """Whether no field of a class is kept by a descriptor, which runs when set."""
    found = [class_attribute(cls, name) for name in fields]
    return not any(
        type(value) is not types.MemberDescriptorType
        and any(
            "__set__" in reflection.namespace(base)
            for base in reflection.mro(type(value))
        )
        for value in found
    )


_MAX_KEY_DEPTH = 16
# Written in C, and hashing nothing but what they hold themselves, or by identity; the
# contents of those that hold others have been looked at.
_C_KEYS = (
    *(object, str, bytes, int, float, complex, type(None), range, tuple, frozenset),
    *(dt.date, dt.time, dt.datetime, dt.timedelta, dt.timezone, Decimal, slice),
    *(np.dtype, np.generic, types.MethodType, types.BuiltinFunctionType),
    *(types.GenericAlias, types.UnionType),
)


def _is_vetted(method: Any) -> bool:
    """Whether a method is Python's, a framework's, or generated by `dataclasses`."""
    if type(method) is types.WrapperDescriptorType:
        return issubclass(method.__objclass__, _C_KEYS)
    if type(method) is not types.FunctionType:
        return False
    return is_of_frameworks(method) or method.__code__.co_filename == "<string>"


def is_of_frameworks(method: types.FunctionType) -> bool:
    """Whether a function was written in a framework, or in Python's library."""
    module = method.__globals__.get("__name__")
    package = top(module) if type(module) is str else ""
    return package in FRAMEWORKS or is_standard(package)


# Mappings -----------------------------------------------------------------------------


def _encode_mapping(obj: Any, sorts: bool) -> Parts:
    keys, children = list(obj.keys()), list(obj.values())
    order = _sorted_order(keys) if sorts else None
    if all(type(key) is str for key in keys) and _is_text(keys):
        return Parts(children=dict(zip(keys, children, strict=True)), order=order)
    check_keys(keys)
    return Parts(children=children, keys=keys, order=order)


def _is_text(keys: list[str]) -> bool:
    try:
        "".join(keys).encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _sorted_order(keys: list[Any]) -> list[int] | None:
    """Where JAX looks for each child: it sorts keys, and fails where Python cannot."""
    try:
        order = sorted(range(len(keys)), key=keys.__getitem__)
    except MemoryError:
        raise
    except Exception:  # comparison is the keys' own code
        return None
    return None if order == list(range(len(keys))) else order


def _pairs(parts: Parts) -> dict[Any, Any]:
    if type(parts.children) is dict:
        return parts.children
    children = _items(parts)
    if type(parts.keys) is not list or len(parts.keys) != len(children):
        raise ValueError("a mapping has not as many keys as values")
    check_keys(parts.keys)
    result = dict(zip(parts.keys, children, strict=True))
    if len(result) != len(children):
        raise ValueError("a mapping holds a key twice")
    return result


def _encode_dict(obj: dict[Any, Any]) -> Parts:
    return _encode_mapping(obj, sorts=True)


def _encode_ordered(obj: collections.OrderedDict[Any, Any]) -> Parts:
    return _encode_mapping(obj, sorts=False)


def _decode_ordered(parts: Parts) -> collections.OrderedDict[Any, Any]:
    return collections.OrderedDict(_pairs(parts))


def _encode_proxy(obj: Any) -> Parts:
    parts = _encode_mapping(obj, sorts=False)
    parts.is_node = False
    return parts


def _decode_proxy(parts: Parts) -> Any:
    return types.MappingProxyType(_pairs(parts))


def _encode_defaultdict(obj: collections.defaultdict[Any, Any]) -> Parts:
    children = {"default_factory": obj.default_factory, "items": dict(obj)}
    return Parts(children=children, static=("default_factory",))


def _decode_defaultdict(parts: Parts) -> collections.defaultdict[Any, Any]:
    children = _named(parts)
    factory, items = children["default_factory"], children["items"]
    if factory is not None and not callable(factory):
        raise ValueError("a defaultdict has a factory that is no function")
    if type(items) is not dict:
        raise ValueError("a defaultdict has no items")
    return collections.defaultdict(factory, items)


def _refuse_subclass(obj: Any) -> Parts:
    base = next(b.__name__ for b in reflection.mro(type(obj)) if b in _SUBCLASSED)
    if any(state_of(obj, {})):
        raise CannotKeep(
            f"It is a `{base}` with attributes. Keep both, `({base}(x), vars(x))`, and "
            "make it again from them; or register a kind for it with "
            "`zodiax_io.register_kind`."
        )
    raise CannotKeep(
        f"A subclass of `{base}` may hold more than its items. Convert it to a plain "
        f"`{base}`, or register a kind for it with `zodiax_io.register_kind`."
    )


_SUBCLASSED = (
    *(dict, list, set, frozenset, collections.deque, tuple),
    *(str, bytes, bytearray, int, float, complex),
)


# Objects with fields ------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Default:
    """A function without a name, found again as the default of a class's parameter."""

    cls: type
    parameter: str


def find_default(cls: type, parameter: str) -> Any:
    """What a class declares as the default of a field or of a parameter of `__init__`.

    Raises
    ------
    LookupError
        If it declares none.
    """
    for base in reflection.mro(cls):
        space = reflection.namespace(base)
        fields = space.get("__dataclass_fields__")
        if type(fields) is dict and parameter in fields:
            default = fields[parameter].default
            if default is not dataclasses.MISSING:
                return default
        init = space.get("__init__")
        if type(init) is types.FunctionType:
            for name, value in _init_defaults(init):
                if name == parameter:
                    return value
    raise LookupError(f"{cls.__qualname__} declares no default for {parameter!r}")


def _init_defaults(init: types.FunctionType) -> Iterator[tuple[str, Any]]:
    code = init.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = init.__defaults__ or ()
    yield from zip(names[len(names) - len(defaults) :], defaults, strict=True)
    yield from (init.__kwdefaults__ or {}).items()


def _or_default(cls: type, name: str, value: Any) -> Any:
    """The value, or where to find it again if it is a nameless default of its class."""
    if type(value) is not types.FunctionType or name_of(value) is not None:
        return value
    for base in reflection.mro(cls):
        space = reflection.namespace(base)
        candidates = [name]
        init = space.get("__init__")
        if type(init) is types.FunctionType:
            candidates += [n for n, default in _init_defaults(init) if default is value]
        for candidate in candidates:
            try:
                if find_default(base, candidate) is value:
                    return Default(base, candidate)
            except LookupError:
                continue
    return value


def vars_of(obj: Any) -> dict[str, Any]:
    """The attributes of an instance, past any `__getattribute__`; the very dict."""
    held = reflection.instance_dict(obj)
    if held is None:
        raise AttributeError("it has no `__dict__`")
    return held


@functools.lru_cache(maxsize=4096)
def _slots(cls: type) -> list[tuple[str, types.MemberDescriptorType]]:
    return [
        (name, member)
        for base in reversed(reflection.mro(cls))
        for name, member in reflection.namespace(base).items()
        if type(member) is types.MemberDescriptorType
    ]


@functools.lru_cache(maxsize=4096)
def _slots_of(cls: type) -> dict[str, types.MemberDescriptorType]:
    """The slots of a class that nothing below them hides."""
    return {
        name: member
        for name, member in _slots(cls)
        if class_attribute(cls, name) is member
    }


def state_of(obj: Any, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What an object holds: its declared fields in their order, and all the rest."""
    cls = type(obj)
    try:
        held = dict(vars_of(obj))
    except AttributeError:
        held = {}
    for name, member in _slots(cls):
        try:
            held[name] = member.__get__(obj, cls)
        except AttributeError:
            continue  # a slot that was never set
    present = {name: held.pop(name) for name in fields if name in held}
    return present, held


_WRAPPER_NAMES = _jax.equinox_wrapper_names()


def _encode_object(
    obj: Any, fields: dict[str, Any], static: tuple[str, ...], is_node: bool
) -> Parts:
    cls = type(obj)
    present, rest = state_of(obj, fields)
    children = {k: _or_default(cls, k, v) for k, v in present.items()}
    extra: dict[str, Any] = {}
    absent = [name for name in fields if name not in present]
    if absent:
        extra["absent"] = absent
    wrapped = _wrapped_field(present, rest)
    if wrapped is not None:
        extra["wraps"] = [wrapped, *(n for n in _WRAPPER_NAMES if n in rest)]
        rest = {k: v for k, v in rest.items() if k not in _WRAPPER_NAMES}
    for name, value in rest.items():
        if name in fields or name == "__orig_class__":
            continue
        if name in _WRAPPER_NAMES and reflection.derives(cls, eqx.Module):
            if not _may_tell(name, value):
                raise CannotKeep(
                    f"Its {name!r} is no text that can be printed. Give it another."
                )
        elif not _may_hold(cls, name, value):
            advice = "Declare it as a field."
            if not is_own_code((reflection.own_name(cls) or ("",))[0]):
                advice = (
                    "Keep what it is made of, and make it again from that; or register "
                    "a kind for it with `zodiax_io.register_kind`."
                )
            raise CannotKeep(
                f"It holds an attribute {name!r} that hides one of its class. {advice}"
            )
    if rest:
        extra["beside"] = list(rest)
    static += tuple(rest)
    return Parts(
        {**children, **rest}, static=static, is_node=is_node, extra=extra, refers=cls
    )


def _wrapped_field(present: dict[str, Any], rest: dict[str, Any]) -> str | None:
    """The field whose function lent its name and text to a wrapper, as `wraps` does."""
    names = [name for name in _WRAPPER_NAMES if name in rest]
    if not names:
        return None
    for field, value in present.items():
        wraps = is_function(value) or reflection.derives(type(value), eqx.Module)
        if wraps and all(_lent(value, name) is rest[name] for name in names):
            return field
    return None


_NOTHING = object()


def _lent(wrapped: Any, name: str) -> Any:
    """An attribute of a function as its wrapper has it; a marker where it has none."""
    if is_function(wrapped):
        value = getattr(wrapped, name, _NOTHING)
    else:
        held = vars_of(wrapped)
        value = held.get(name, class_attribute(type(wrapped), name) or _NOTHING)
    return _jax.equinox_missing() if value is _NOTHING else value


def _may_hold(cls: type, name: str, value: Any) -> bool:
    """Whether an undeclared attribute is harmless: it replaces no code of its class."""
    if not name.isidentifier() or is_dunder(name):
        return False
    found = class_attribute(cls, name)
    if found is None and eqx.Module in reflection.mro(cls):
        return False  # Equinox lets no Module set what its class does not know
    if type(found) in _PLAIN_ATTRIBUTES:
        return True
    space = [
        s for base in reflection.mro(type(found)) for s in reflection.namespace(base)
    ]
    if "__get__" not in space:  # a default of the class, which does nothing by itself
        return not reflection.is_class(found) and not is_function(found)
    if _is_method(found):  # the method of that name of what it wraps, as in distrax
        return type(value) is types.MethodType and _is_called(value.__func__, name)
    # A property that remembers its value in the instance, as `cached_property` does.
    return "__set__" not in space


def _is_called(function: Any, name: str) -> bool:
    return type(function) is types.FunctionType and function.__name__ == name


def is_dunder(name: str) -> bool:
    """Whether a name means something to Python."""
    return name.startswith("__") and name.endswith("__")


def _is_method(found: Any) -> bool:
    return is_function(found) or type(found) in (staticmethod, classmethod)


# What an instance may hold in place of its class: defaults, slots, cached properties.
_PLAIN_ATTRIBUTES = (
    *(type(None), bool, int, float, complex, str, bytes, tuple, list, dict, set),
    *(functools.cached_property, types.MemberDescriptorType),
)


def _may_tell(name: str, value: Any) -> bool:
    """Whether a wrapper may bear this as its name, text or annotations."""
    if type(value) in (type(None), type(_jax.equinox_missing())):
        return True
    if name == "__annotations__":
        return type(value) is dict and all(map(is_printable_name, value))
    if name == "__doc__":
        return is_printable_text(value)
    return is_printable_name(value)


def _decode_object(parts: Parts, fields: dict[str, Any]) -> Any:
    cls, children = parts.refers, _named(parts)
    absent, beside = (set(parts.extra.get(name, ())) for name in ("absent", "beside"))
    missing = [name for name in fields if name not in children and name not in absent]
    surplus = [name for name in parts.extra.get("absent", ()) if name not in fields]
    # What was no field when saved may be none now; what was one must be one still.
    allowed = {"__orig_class__"}
    if reflection.derives(cls, eqx.Module):
        allowed.update(_WRAPPER_NAMES)
    for name, value in children.items():
        undeclared = name in beside and (name in allowed or _may_hold(cls, name, value))
        if name not in fields and not undeclared:
            surplus.append(name)
    if missing or surplus:
        raise FieldsChanged(missing, surplus)
    try:
        obj = object.__new__(cls)
    except TypeError as error:
        raise ValueError(str(error)) from None
    held = reflection.instance_dict(obj)
    for name in _WRAPPER_NAMES if reflection.derives(cls, eqx.Module) else ():
        if name not in fields and not _may_tell(name, children.get(name)):
            raise ValueError(f"{name} of a wrapper is no text that can be printed")
    slots = _slots_of(cls)
    for name, value in children.items():
        slot = slots.get(name)
        if slot is not None:
            slot.__set__(obj, value)
        elif held is not None:
            held[name] = value
        else:
            raise FieldsChanged([], [name])
    wraps = parts.extra.get("wraps")
    if wraps is not None and held is not None:
        field, *names = wraps
        for name in names:
            if name not in _WRAPPER_NAMES:
                raise ValueError("a wrapper borrows an attribute that none may borrow")
            held[name] = _lent(children[field], name)
    return obj


class FieldsChanged(Exception):
    """A class whose fields are not those of the file."""

    def __init__(self, missing: list[str], surplus: list[str]) -> None:
        super().__init__(missing, surplus)
        self.missing = missing
        self.surplus = surplus


def _declared(cls: type) -> dict[str, Any]:
    return {field.name: field for field in dataclasses.fields(cls)}


@functools.lru_cache(maxsize=4096)
def _layout(cls: type) -> tuple[dict[str, Any], tuple[str, ...]]:
    fields = _declared(cls)
    static = tuple(n for n, f in fields.items() if f.metadata.get("static", False))
    return fields, static


def _encode_module(obj: Any) -> Parts:
    fields, static = _layout(type(obj))
    if type(obj) is _jax.bound_method_type() and not _is_bound(obj):
        raise CannotKeep(
            "It binds a function that is no method of its object. Keep the function "
            "and the object, and bind them again."
        )
    return _encode_object(obj, fields, static, is_node=True)


def _decode_module(parts: Parts) -> Any:
    obj = _decode_object(parts, _layout(parts.refers)[0])
    if type(obj) is _jax.bound_method_type() and not _is_bound(obj):
        raise ValueError("a method is not one of the object it is bound to")
    return obj


def _is_bound(obj: Any) -> bool:
    held = vars_of(obj)
    return any(method_names(held["__self__"], held["__func__"]))


def method_names(owner: Any, function: Any) -> Iterator[str]:
    """Under which names a function is a method of an object, or of a class."""
    cls = owner if reflection.is_class(owner) else type(owner)
    for base in reflection.mro(cls):
        for name in reflection.namespace(base):
            if method(cls, name) is function:
                yield name


def method(cls: type, name: str) -> Any:
    """The function behind a method of a class."""
    found = class_attribute(cls, name)
    return found.__func__ if type(found) is classmethod else found


def fields_of(cls: object) -> tuple[str, ...]:
    """The fields that a class declares.

    Raises
    ------
    TypeError
        If it is not a class that declares fields.
    """
    if not reflection.is_class(cls):
        raise TypeError("it is no class")
    if _is_namedtuple_class(cls):
        return class_attribute(cls, "_fields")
    if not _is_dataclass(cls):
        raise TypeError("it declares no fields")
    return tuple(_declared(cls))


def has_default(cls: type, name: str) -> bool:
    """Whether a class declares a default for one of its fields."""
    if _is_namedtuple_class(cls):
        return name in class_attribute(cls, "_field_defaults")
    declared = _declared(cls)[name]
    return not (declared.default is declared.default_factory is dataclasses.MISSING)


def runs_code(cls: type, name: str) -> bool:
    """Whether the default of a field is made by code of the class."""
    if _is_namedtuple_class(cls):
        return False
    declared = _declared(cls)[name]
    plain = (dataclasses.MISSING, list, dict, set, tuple)
    made = not any(declared.default_factory is factory for factory in plain)
    return made or "converter" in declared.metadata


def default_of(cls: type, name: str) -> Any:
    """What a field is of which nothing is said, as the class's own `__init__` has it.

    Raises
    ------
    LookupError
        If the class declares no default for it.
    """
    if _is_namedtuple_class(cls):
        return class_attribute(cls, "_field_defaults")[name]
    if not has_default(cls, name):
        raise LookupError(f"{cls.__qualname__} declares no default for {name!r}")
    declared = _declared(cls)[name]
    value = declared.default
    if declared.default_factory is not dataclasses.MISSING:
        value = declared.default_factory()
    converter = declared.metadata.get("converter")  # Equinox's
    return value if converter is None else converter(value)


def moved_fields(parts: Parts) -> list[str]:
    """The fields of a Module that were static and are not, or the other way round."""
    fields, static = _layout(parts.refers)
    told = parts.extra.get("static", [])
    children = parts.extra["node"]  # those of the file, whatever became of them
    if told is None:  # by a format that did not keep it
        return []
    if told == [name for name in static if name in children]:
        return []
    then = set(told)
    return [n for n in fields if n in children and (n in then) != (n in static)]


def _is_dataclass(cls: type) -> bool:
    return class_attribute(cls, "__dataclass_fields__") is not None


def _encode_dataclass(obj: Any) -> Parts | None:
    cls = type(obj)
    fields = _declared(cls)
    flat = _jax.flatten_once(obj)
    if flat is None:
        return _encode_object(obj, fields, tuple(fields), is_node=False)
    present = state_of(obj, fields)[0]
    order = _positions(present, flat[0])
    static = tuple(
        name for i, name in enumerate(present) if order is not None and i not in order
    )
    parts = _encode_object(obj, fields, static, is_node=True)
    parts.order, parts.by_leaves = order, order is None
    if not _may_have_leaves(obj, order):
        parts.extra[LEAFLESS] = True
    return parts


# Of a dataclass whose fields are all static: JAX sees a node in it, and not a leaf.
LEAFLESS = "leafless"
# Of an object that JAX flattens in another way than child by child: where its leaves
# are among those of its children.
LEAVES = "leaves"


def _may_have_leaves(obj: Any, order: list[int] | None) -> bool:
    """Whether a registered dataclass has children where JAX may find leaves."""
    if order is not None:
        return bool(order)
    try:
        return bool(_trees.leaves(obj))
    except LIMITS:
        raise
    except Exception:  # a node in it that cannot be flattened
        return False


def _positions(present: dict[str, Any], flat: list[Any]) -> list[int] | None:
    """Which fields, in order, are the children that JAX sees; by identity."""
    values = list(present.values())
    order: list[int] = []
    for child in flat:
        for i, value in enumerate(values):
            if value is child and i not in order:
                order.append(i)
                break
        else:
            return None
    return order


def _decode_dataclass(parts: Parts) -> Any:
    return _decode_object(parts, _declared(parts.refers))


def _is_namedtuple_class(cls: type) -> bool:
    return issubclass(cls, tuple) and type(class_attribute(cls, "_fields")) is tuple


def _encode_namedtuple(obj: Any) -> Parts:
    cls = type(obj)
    names, values = class_attribute(cls, "_fields"), list(tuple.__iter__(obj))
    if len(names) != len(values):
        raise CannotKeep(
            "It has not as many items as its class has fields. Keep `tuple(x)` instead."
        )
    if reflection.instance_dict(obj):
        raise CannotKeep("It holds attributes beside its fields. Make them fields.")
    return Parts(children=dict(zip(names, values, strict=True)), refers=cls)


def _decode_namedtuple(parts: Parts) -> Any:
    cls, children = parts.refers, _named(parts)
    names = class_attribute(cls, "_fields")
    missing = [name for name in names if name not in children]
    surplus = [name for name in children if name not in names]
    if missing or surplus:
        raise FieldsChanged(missing, surplus)
    return tuple.__new__(cls, [children[name] for name in names])


# Registered pytree classes, and treedefs ----------------------------------------------


def _encode_registered(obj: Any) -> Parts | None:
    """By what the instance holds: some classes flatten in the order of a set."""
    cls = type(obj)
    if not _jax.is_registered_node(cls) or not has_python_layout(cls):
        return None
    held = state_of(obj, {})[1]
    if not all(_may_hold(cls, name, value) for name, value in held.items()):
        return None
    if any(map(may_be_hash, held, held.values())) and not _renew_hashes(obj, held):
        return None
    extra = {"beside": list(held)} if held else {}
    return Parts(children=held, by_leaves=True, refers=cls, extra=extra)


def _renew_hashes(obj: Any, held: dict[str, Any]) -> bool:
    """Replace hashes of this process by what a fresh copy holds; whether that serves.

    It does not where the class computes them when it is built: then only its unflatten
    function gives another process its own.
    """
    try:
        children, aux = _jax.flatten_once(obj) or ([], None)
        fresh = _jax.unflatten_once(type(obj), aux, children)
    except LIMITS:
        raise
    except Exception:
        known = hashes_of(obj, held)
        if any(may_be_hash(n, v) and v in known for n, v in held.items()):
            raise CannotKeep(
                "It keeps a hash, which holds for one process only, and its unflatten "
                "function cannot build it again. Register a kind for it with "
                "`zodiax_io.register_kind`."
            ) from None
        return True
    renewed = _attributes_of(fresh)
    known = hashes_of(fresh, renewed)
    for name, value in [*held.items()]:
        if not may_be_hash(name, value):
            continue
        is_hash = value in known
        if type(renewed.get(name)) is int and renewed[name] == value:
            if is_hash or ("hash" in name and is_large(value)):
                return False
        elif is_hash and name in renewed:
            held[name] = renewed[name]
        elif is_hash:
            del held[name]
    return True


def _decode_registered(parts: Parts) -> Any:
    return _decode_object(parts, {})


def _encode_node(obj: Any) -> Parts | None:
    if not _jax.is_registered_node(type(obj)):
        return None
    flat = _jax.flatten_once(obj)
    if flat is None:
        return None
    children, aux = flat
    if aux is obj:  # registered as static: there is nothing else to it
        return None
    if _is_of(type(obj), FRAMEWORKS) and not _is_plain(aux):
        raise CannotKeep(
            "Its auxiliary data is not made of plain values. Keep what it is made of, "
            "and make it again from that."
        )
    check_unflattening(obj, children, aux, _attributes_of)
    names = _names_of_children(obj, children)
    extra: dict[str, Any] = {"held": names} if names else {}
    if plain := _plain_attributes(obj):
        extra["attributes"] = plain
    return Parts(
        children={"children": tuple(children), "aux": aux},
        static=("aux",),
        refers=type(obj),
        extra=extra,
    )


def _attributes_of(obj: Any) -> dict[str, Any]:
    return state_of(obj, {})[1]


def _names_of_children(obj: Any, children: list[Any]) -> dict[str, int]:
    """Which attribute holds which child, as far as that is plain to see."""
    by_id = {id(value): name for name, value in _attributes_of(obj).items()}
    plain = (type(None), bool, int, float, str, tuple)
    return {
        by_id[id(child)]: i
        for i, child in enumerate(children)
        if id(child) in by_id and type(child) not in plain
    }


def _plain_attributes(obj: Any) -> dict[str, str]:
    """The attributes whose text is all there is to them, to compare after a load."""
    held = _attributes_of(obj)
    maybe = any(map(may_be_hash, held, held.values()))
    known = hashes_of(obj, held) if maybe else set[int]()
    return {
        name: repr(value)
        for name, value in held.items()
        if _has_short_text(value, 0)
        and not (may_be_hash(name, value) and (value in known or "hash" in name))
    }


_MAX_TEXT = 100
_MAX_NESTED = 4


def _has_short_text(value: Any, depth: int) -> bool:
    cls = type(value)
    if cls is tuple:
        return len(value) <= _MAX_TEXT and all(
            depth < _MAX_NESTED and _has_short_text(item, depth + 1) for item in value
        )
    if cls is int:
        return value.bit_length() <= _MAX_TEXT
    if cls is str:
        return len(value) <= _MAX_TEXT and value.isascii()
    return cls in (type(None), bool, float)


def _decode_node(parts: Parts) -> Any:
    children = _named(parts)
    if set(children) != {"children", "aux"} or type(children["children"]) is not tuple:
        raise ValueError("a registered pytree node has no children and auxiliary data")
    cls = parts.refers
    if _is_of(cls, FRAMEWORKS) and not _is_plain(children["aux"]):
        raise ValueError(f"{cls.__qualname__} has auxiliary data that is not plain")
    try:
        obj = _jax.unflatten_once(cls, children["aux"], children["children"])
    except LIMITS:
        raise
    except Exception as error:
        raise ValueError(
            f"the unflatten function of {cls.__qualname__} failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    _check_attributes(obj, children["children"], parts)
    return obj


def _check_attributes(obj: Any, children: tuple[Any, ...], parts: Parts) -> None:
    """Refuse an object whose class put its attributes in other places than they had."""
    held, cls = _attributes_of(obj), type(obj)
    names, plain = parts.extra.get("held"), parts.extra.get("attributes")
    for name, index in names.items() if type(names) is dict else ():
        if held.get(name) is not children[index]:
            raise ClassChangedError(_exchanged(cls, name, "another child"))
    for name, text in plain.items() if type(plain) is dict else ():
        value = held.get(name, ...)
        if not _has_short_text(value, 0) or repr(value) != text:
            raise ClassChangedError(_exchanged(cls, name, "another value"))


def _exchanged(cls: type, name: str, what: str) -> str:
    return (
        f"the unflatten function of {cls.__qualname__} put {what} into {name!r:.80} "
        "than its flatten function had taken out of it. Save the object again with a "
        "kind for its class, registered by `zodiax_io.register_kind`."
    )


def _is_plain(aux: Any) -> bool:
    """Whether a class may look at its auxiliary data, however it likes to."""
    cls = type(aux)
    known = _is_of(cls, FRAMEWORKS) and _is_namedtuple_class(cls)
    if cls is tuple or known:
        return all(map(_is_plain, tuple.__iter__(aux)))
    if cls is list:
        return all(map(_is_plain, aux))
    if cls is dict:
        return all(type(k) is str and _is_plain(v) for k, v in aux.items())
    return is_function(aux) or any(cls is known for known in _PLAIN_AUX)


_PLAIN_AUX = (
    *(type(None), bool, int, float, complex, str, bytes, type(...), range),
    *(type(np.dtype(code)) for code in "?bhilBHILefdFD"),
    *(type(jtu.tree_structure(0)), object, np.ndarray),
)


def _is_of(cls: type, packages: Container[str]) -> bool:
    return top((reflection.own_name(cls) or ("", ""))[0]) in packages


def _encode_treedef(obj: Any) -> Parts:
    try:
        with Watch() as watch:
            tree = jtu.tree_unflatten(obj, range(obj.num_leaves))
            leaves, again = _trees.flatten(tree, _is_looked_at)
        same = leaves == [*range(obj.num_leaves)] and _is_same_treedef(again, obj)
    except (CannotKeep, *LIMITS):
        raise
    except Exception as error:
        raise CannotKeep(
            f"A class in it cannot be built around numbers: {error}. Keep the tree "
            "itself, and take its treedef by `jax.tree.structure` again."
        ) from error
    if not same:
        raise CannotKeep(
            "A class in it does not flatten into what it was unflattened from, as one "
            "does whose flattening depends on the values of its leaves. Keep the tree "
            "itself, and take its treedef by `jax.tree.structure` again."
        )
    found = watch.uses_of_sets()
    if found is not None:
        raise CannotKeep(
            f"A class in it flattens by way of a set (in `{found}`), whose order "
            "changes from process to process: its leaves could be exchanged. Keep the "
            "tree itself, and take its treedef by `jax.tree.structure` again."
        )
    return Parts(children=[tree], is_node=False)


def _is_same_treedef(one: Any, other: Any) -> bool:
    pairs = zip(_trees.nodes_of(one), _trees.nodes_of(other), strict=True)
    return one.num_leaves == other.num_leaves and all(
        a[0] is b[0] and (a[1] is b[1] or bool(a[1] == b[1])) for a, b in pairs
    )


def _decode_treedef(parts: Parts) -> Any:
    (tree,) = _items(parts)
    leaves, treedef = _trees.flatten(tree, _is_looked_at)
    if all(type(leaf) is int for leaf in leaves) and leaves != sorted(leaves):
        raise ClassChangedError(
            "a class in a PyTreeDef flattens in another order than when it was saved. "
            "Save what holds the PyTreeDef again, without it."
        )
    return treedef


_BUILT_IN_NODES = (
    *(tuple, list, dict, type(None), collections.OrderedDict, collections.defaultdict),
    *(jtu.Partial, type(_jax.equinox_missing())),
)


def unflattens_plainly(cls: type) -> bool:
    """Whether to unflatten an instance runs code of Python, JAX and Equinox only.

    Of other classes a registered function runs; and of a dataclass, the constructor.
    """
    if reflection.is_one_of(cls, _BUILT_IN_NODES):
        return True
    if reflection.derives(cls, eqx.Module):
        return has_plain_fields(cls, _layout(cls)[0])
    made_by = class_attribute(cls, "__new__")
    return (
        reflection.derives(cls, tuple)
        and _is_namedtuple_class(cls)
        and class_attribute(cls, "__init__") is object.__init__
        and type(made_by) in (types.FunctionType, staticmethod)
        and _is_vetted(getattr(made_by, "__func__", made_by))
    )


def _is_looked_at(obj: Any) -> bool:
    """Stop JAX before it flattens what runs code of its own at every look."""
    look = class_attribute(type(obj), "__getattribute__")
    if type(look) is types.FunctionType and not is_of_frameworks(look):
        raise CannotKeep(
            "A class in it writes its own `__getattribute__`, which runs when JAX "
            "takes the tree apart. Keep the tree itself, and take its treedef by "
            "`jax.tree.structure` again."
        )
    return False


def _encode_bare(obj: object) -> Parts | None:
    # A sentinel of a module is a constant: `is` must hold for it.
    return Parts() if name_of(obj) is None else None


def _encode_marker(obj: Any) -> Parts | None:
    cls = type(obj)
    if not has_python_layout(cls) or any(state_of(obj, {})):
        return None
    return Parts(refers=cls)


def _decode_marker(parts: Parts) -> Any:
    return object.__new__(parts.refers)


SEQUENCE_KINDS = (
    Kind(
        "namedtuple",  # a namedtuple is a tuple, so it comes first
        _is_namedtuple_class,
        _encode_namedtuple,
        _decode_namedtuple,
        NAMEDTUPLE,
        keeps="namedtuples",
        shared=True,
        attributes=None,
    ),
    Kind(
        "tuple",
        exactly(tuple),
        _encode_sequence,
        lambda parts: tuple(_items(parts)),
        keeps="`tuple`",
        shared=True,
    ),
    Kind("list", exactly(list), _encode_sequence, _items, keeps="`list`", shared=True),
    Kind(
        "deque",
        exactly(collections.deque),
        _encode_deque,
        _decode_deque,
        keeps="`deque`, with its limit",
        shared=True,
    ),
    Kind(
        "set",
        exactly(set),
        _encode_set,
        lambda parts: _hashed(_items(parts), set),
        keeps="`set`",
        shared=True,
    ),
    Kind(
        "frozenset",
        exactly(frozenset),
        _encode_set,
        lambda parts: _hashed(_items(parts), frozenset),
        keeps="`frozenset`",
        shared=True,
    ),
)

MAPPING_KINDS = (
    Kind(
        "dict",
        exactly(dict),
        _encode_dict,
        _pairs,
        keeps="`dict`, any keys, in their order",
        shared=True,
    ),
    Kind(
        "ordereddict",
        exactly(collections.OrderedDict),
        _encode_ordered,
        _decode_ordered,
        keeps="`OrderedDict`",
        shared=True,
    ),
    Kind(
        "defaultdict",
        exactly(collections.defaultdict),
        _encode_defaultdict,
        _decode_defaultdict,
        keeps="`defaultdict`, with its factory",
        shared=True,
    ),
    Kind(
        "mappingproxy",
        exactly(types.MappingProxyType),
        _encode_proxy,
        _decode_proxy,
        keeps="`MappingProxyType`",
        shared=True,
    ),
)

OBJECT_KINDS = (
    Kind(
        "missing",
        lambda cls: cls is type(_jax.equinox_missing()),
        lambda obj: Parts(),
        lambda parts: _jax.equinox_missing(),
        keeps="Equinox's marker of an absent attribute",
    ),
    Kind(
        "equinox_partial",  # before "module": it binds arguments of the file's choice
        exactly(eqx.Partial),
        _encode_module,
        _decode_module,
        PARTIAL,
        keeps="`equinox.Partial`",
        shared=True,
        calls=("func",),
        binds=("args", "keywords"),
        attributes=None,
    ),
    Kind(
        "module",
        subclass(eqx.Module),
        _encode_module,
        _decode_module,
        MODULE,
        keeps="`equinox.Module` and `zodiax.Base`, static fields included",
        shared=True,
        attributes=None,
    ),
    Kind(
        "dataclass",  # before "node": a registered dataclass is kept by its fields
        _is_dataclass,
        _encode_dataclass,
        _decode_dataclass,
        DATACLASS,
        keeps="dataclasses, frozen and with slots, registered or not",
        shared=True,
        attributes=None,
    ),
    Kind(
        "registered",
        subclass(object),  # registration can come after this table was asked
        _encode_registered,
        _decode_registered,
        NODE,
        keeps="classes registered as pytree nodes, by the attributes of the instance",
        shared=True,
        gives_way=True,
        attributes=None,
    ),
    Kind(
        "node",
        subclass(object),
        _encode_node,
        _decode_node,
        UNFLATTENED,
        keeps="classes registered as pytree nodes, by children and auxiliary data",
        shared=True,
        attributes=None,
    ),
    Kind(
        "treedef",
        exactly(jtu.PyTreeDef),
        _encode_treedef,
        _decode_treedef,
        keeps="`PyTreeDef`",
    ),
    Kind(
        "object",
        exactly(object),
        _encode_bare,
        lambda parts: object(),
        keeps="bare `object()` markers, by identity",
        shared=True,
    ),
    refusal("subclass", subclass(*_SUBCLASSED), _refuse_subclass),
)

MARKER_KINDS = (
    Kind(
        "marker",  # after "singleton": what has a name comes back as itself
        subclass(object),
        _encode_marker,
        _decode_marker,
        MARKER,
        keeps="instances that hold nothing, such as sentinels",
        shared=True,
        attributes=None,
    ),
)
