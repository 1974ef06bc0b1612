"""Modules, dataclasses and namedtuples, built without calling their constructors."""

from __future__ import annotations

import functools
import types
from collections.abc import Collection, Iterator
from typing import Any

import equinox as eqx

from .. import _jax
from .._errors import LIMITS
from .._trust import reflection, roles
from .._trust.names import is_printable_name, is_printable_text
from .._trust.origins import is_own_code
from .._trust.reflection import class_attribute
from .._trust.roles import is_dataclass, is_function, is_namedtuple
from . import flattening
from .base import CannotKeep, Kind, Parts, children_by_name, exactly, subclass
from .fields import (
    OF_DATACLASSES,
    OF_NAMEDTUPLES,
    FieldsChanged,
    attributes_of,
    borrowed,
    declared_fields,
    defines,
    is_dunder,
    is_method,
    layout,
    method,
    module_of,
    or_default,
    slots_of,
    state_of,
    vars_of,
)
from .unflattened import hashes_of, is_large, may_be_hash

_WRAPPER_NAMES = _jax.equinox_wrapper_names()
_MISSING = _jax.equinox_missing()


def encode_object(
    obj: Any,
    fields: dict[str, Any],
    static: tuple[str, ...],
    left_out: Collection[str] = (),
) -> Parts:
    """The parts of an object with fields, and with the attributes besides them."""
    cls = type(obj)
    present, rest = state_of(obj, fields)
    rest = {name: value for name, value in rest.items() if name not in left_out}
    children = {k: or_default(cls, k, v) for k, v in present.items()}
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
            if not _may_be_borrowed(name, value):
                raise CannotKeep(
                    f"Its {name!r} is not text that can be printed. Change it."
                )
        elif not hides_no_code(cls, name, value):
            advice = "Declare it as a field."
            if not is_own_code(module_of(cls)):
                advice = (
                    "Keep its parts, and make it again from them; or register a kind "
                    "for it with `zodiax_io.register_kind`."
                )
            raise CannotKeep(
                f"It has an attribute {name!r} that hides one of its class. {advice}"
            )
    if rest:
        extra["beside"] = list(rest)
    static += tuple(rest)
    return Parts({**children, **rest}, static=static, extra=extra, refers=cls)


def _wrapped_field(present: dict[str, Any], rest: dict[str, Any]) -> str | None:
    """The field whose function gave its name and text to a wrapper, as `wraps` does."""
    names = [name for name in _WRAPPER_NAMES if name in rest]
    if not names:
        return None
    for field, value in present.items():
        is_callable = is_function(value) or reflection.derives(type(value), eqx.Module)
        if is_callable and all(
            borrowed(value, name, _MISSING) is rest[name] for name in names
        ):
            return field
    return None


def hides_no_code(cls: type, name: str, value: Any) -> bool:
    """Whether an undeclared attribute replaces no code of the class."""
    found = class_attribute(cls, name)
    if is_dunder(name) or (found is None and reflection.derives(cls, eqx.Module)):
        return False  # Equinox forbids a Module attributes unknown to its class
    if not name.isidentifier():  # such as an option of a parser, `data-path`
        return found is None and name.isprintable()
    if reflection.is_one_of(type(found), _PLAIN_ATTRIBUTES):
        return True
    if not defines(type(found), "__get__"):  # a default of the class
        return not reflection.is_class(found) and not is_function(found)
    if is_method(found):  # it may be replaced by that of another object, as in distrax
        return type(value) is types.MethodType and _has_name(value.__func__, name)
    # A property that caches its value in the instance, as `cached_property` does.
    return not defines(type(found), "__set__")


def is_of_wrapped(name: str, value: Any, attributes: dict[str, Any]) -> bool:
    """Whether `functools.update_wrapper` gives an instance such an attribute.

    Python reads none of them from an instance by itself. The wrapped object must be
    another attribute.
    """
    if name == "__wrapped__":
        return any(value is v for n, v in attributes.items() if n != name)
    if name == "__type_params__":
        return value == ()
    return name in _WRAPPER_NAMES and _may_be_borrowed(name, value)


def _has_name(function: Any, name: str) -> bool:
    return type(function) is types.FunctionType and function.__name__ == name


# Attributes of a class that an instance may hide: defaults, slots, cached properties.
_PLAIN_ATTRIBUTES = (
    *(type(None), bool, int, float, complex, str, bytes, tuple, list, dict, set),
    *(functools.cached_property, types.MemberDescriptorType),
)


def _may_be_borrowed(name: str, value: Any) -> bool:
    """Whether a wrapper may have this value as its name, text or annotations."""
    if value is None or type(value) is type(_MISSING):
        return True
    if name == "__annotations__":
        return type(value) is dict and all(map(is_printable_name, value))
    if name == "__doc__":
        return is_printable_text(value)
    return is_printable_name(value)


def decode_object(parts: Parts, fields: dict[str, Any], made: Any = None) -> Any:
    """The object of these attributes; `made` is a new instance, without any."""
    cls, children = parts.refers, children_by_name(parts)
    absent, beside = (set(parts.extra.get(name, ())) for name in ("absent", "beside"))
    missing = [name for name in fields if name not in children and name not in absent]
    surplus = [name for name in parts.extra.get("absent", ()) if name not in fields]
    # An attribute that was saved as undeclared may still be so. A field may not.
    allowed = {"__orig_class__"}
    if reflection.derives(cls, eqx.Module):
        allowed.update(_WRAPPER_NAMES)
    for name, value in children.items():
        undeclared = name in beside and (
            name in allowed
            or hides_no_code(cls, name, value)
            or (not fields and is_of_wrapped(name, value, children))
        )
        if name not in fields and not undeclared:
            surplus.append(name)
    if missing or surplus:
        raise FieldsChanged(missing, surplus)
    try:
        obj = object.__new__(cls) if made is None else made
    except TypeError as error:
        raise ValueError(str(error)) from None
    attributes = reflection.instance_dict(obj)
    for name in _WRAPPER_NAMES if reflection.derives(cls, eqx.Module) else ():
        if name not in fields and not _may_be_borrowed(name, children.get(name)):
            raise ValueError(f"{name} of a wrapper is not text that can be printed")
    slots = slots_of(cls)
    for name, value in children.items():
        slot = slots.get(name)
        if slot is not None:
            slot.__set__(obj, value)
        elif attributes is not None:
            attributes[name] = value
        else:
            raise FieldsChanged([], [name])
    borrows_from = parts.extra.get("wraps")
    if borrows_from is not None and attributes is not None:
        field, *names = borrows_from
        for name in names:
            if name not in _WRAPPER_NAMES:
                raise ValueError("a wrapper borrows an attribute that is not allowed")
            attributes[name] = borrowed(children[field], name, _MISSING)
    return obj


def _encode_module(obj: Any) -> Parts:
    fields, static = layout(type(obj))
    if type(obj) is _jax.bound_method_type() and not _is_bound(obj):
        raise CannotKeep(
            "It binds a function that is not a method of its object. Keep the function "
            "and the object, and bind them again."
        )
    return encode_object(obj, fields, static)


def _decode_module(parts: Parts) -> Any:
    obj = decode_object(parts, layout(parts.refers)[0])
    if type(obj) is _jax.bound_method_type() and not _is_bound(obj):
        raise ValueError("a method does not belong to the object it is bound to")
    return obj


EQUINOX_PARTIAL = Kind(
    "equinox_partial",  # before "module": it binds arguments from the file
    exactly(eqx.Partial),
    _encode_module,
    _decode_module,
    roles.PARTIAL,
    keeps="`equinox.Partial`",
    shared=True,
    calls=("func",),
    binds_arguments=("args", "keywords"),
    attributes=None,
    is_node=True,
    fields=OF_DATACLASSES,
)


def _of_enumeration(parts: Parts) -> str | None:
    is_member = parts.refers is _jax.enumeration_item_type()
    return "is a member of an enumeration that is missing" if is_member else None


MODULE = Kind(
    "module",
    subclass(eqx.Module),
    _encode_module,
    _decode_module,
    roles.MODULE,
    keeps="`equinox.Module` and `zodiax.Base`, static fields included",
    shared=True,
    attributes=None,
    is_node=True,
    in_order=True,
    fields=OF_DATACLASSES,
    is_module=True,
    may_become=True,
    around_opaque=_of_enumeration,
)


def _is_bound(obj: Any) -> bool:
    attributes = vars_of(obj)
    return any(method_names(attributes["__self__"], attributes["__func__"]))


def method_names(owner: Any, function: Any) -> Iterator[str]:
    """The names under which a function is a method of an object, or of a class."""
    cls = owner if reflection.is_class(owner) else type(owner)
    for base in reflection.mro(cls):
        for name in reflection.namespace(base):
            if method(cls, name) is function:
                yield name


def _encode_dataclass(obj: Any) -> Parts | None:
    cls = type(obj)
    fields = declared_fields(cls)
    flat = _jax.flatten_once(obj)
    if flat is None:
        parts = encode_object(obj, fields, tuple(fields))
        parts.is_node = False
        return parts
    present = state_of(obj, fields)[0]
    order = _positions(present, flat[0])
    static = tuple(
        name for i, name in enumerate(present) if order is not None and i not in order
    )
    parts = encode_object(obj, fields, static)
    parts.is_node = True
    parts.order, parts.match_leaves_by_identity = order, order is None
    if not _may_have_leaves(obj, order):
        parts.extra[LEAFLESS] = True
    return parts


# The key of a dataclass whose fields are all static: to JAX it is a node, not a leaf.
LEAFLESS = "leafless"
# The key of an object that JAX does not flatten child by child: for each of its leaves,
# the index among all leaves of its children.
LEAVES = "leaves"


def _may_have_leaves(obj: Any, order: list[int] | None) -> bool:
    """Whether a registered dataclass has children in which JAX may find leaves."""
    if order is not None:
        return bool(order)
    try:
        return bool(flattening.leaves(obj))
    except LIMITS:
        raise
    except Exception:  # a node in it that cannot be flattened
        return False


def _positions(present: dict[str, Any], flat: list[Any]) -> list[int] | None:
    """The numbers of the fields that are the children in JAX, in order, by identity."""
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


DATACLASS = Kind(
    "dataclass",  # before "node": a registered dataclass is kept by its fields
    is_dataclass,
    _encode_dataclass,
    lambda parts: decode_object(parts, declared_fields(parts.refers)),
    roles.DATACLASS,
    keeps="dataclasses, frozen and with slots, registered or not",
    shared=True,
    attributes=None,
    is_node="registered",
    fields=OF_DATACLASSES,
    may_become=True,
)


def _encode_namedtuple(obj: Any) -> Parts:
    cls = type(obj)
    names, values = class_attribute(cls, "_fields"), list(tuple.__iter__(obj))
    if len(names) != len(values):
        raise CannotKeep(
            "Its class has more or fewer fields than it has items. Keep `tuple(x)` "
            "instead."
        )
    if reflection.instance_dict(obj):
        raise CannotKeep("It has attributes that are not fields. Make them fields.")
    return Parts(children=dict(zip(names, values, strict=True)), refers=cls)


def _decode_namedtuple(parts: Parts) -> Any:
    cls, children = parts.refers, children_by_name(parts)
    names = class_attribute(cls, "_fields")
    missing = [name for name in names if name not in children]
    surplus = [name for name in children if name not in names]
    if missing or surplus:
        raise FieldsChanged(missing, surplus)
    return tuple.__new__(cls, [children[name] for name in names])


NAMEDTUPLE = Kind(
    "namedtuple",  # a namedtuple is a tuple, so it comes first
    is_namedtuple,
    _encode_namedtuple,
    _decode_namedtuple,
    roles.NAMEDTUPLE,
    keeps="namedtuples",
    shared=True,
    attributes=None,
    is_node=True,
    fields=OF_NAMEDTUPLES,
    may_become=True,
)


def renew_hashes(obj: Any, attributes: dict[str, Any]) -> bool:
    """Replace stored hashes, which only this process has, by those of a fresh copy.

    Returns False if the class computes hashes when it builds an instance: then a load
    must call the unflatten function.
    """
    try:
        children, aux = _jax.flatten_once(obj) or ([], None)
        fresh = _jax.unflatten_once(type(obj), aux, children)
    except LIMITS:
        raise
    except Exception:
        known = hashes_of(obj, attributes)
        if any(may_be_hash(n, v) and v in known for n, v in attributes.items()):
            raise CannotKeep(
                "It keeps a hash, which is valid in one process only, and its "
                "unflatten function cannot build it again. Register a kind for it with "
                "`zodiax_io.register_kind`."
            ) from None
        return True
    renewed = attributes_of(fresh)
    known = hashes_of(fresh, renewed)
    for name, value in [*attributes.items()]:
        if not may_be_hash(name, value):
            continue
        is_hash = value in known
        if type(renewed.get(name)) is int and renewed[name] == value:
            if is_hash or ("hash" in name and is_large(value)):
                return False
        elif is_hash and name in renewed:
            attributes[name] = renewed[name]
        elif is_hash:
            del attributes[name]
    return True
