"""The fields that classes declare, and the attributes of their instances."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from .._trust import reflection
from .._trust.names import is_standard, name_of, top_level_package
from .._trust.reflection import class_attribute
from .._trust.roles import is_function
from .._trust.table import FRAMEWORKS
from .base import CannotKeep, Declaration, Parts

_MAX_CLASSES = 4096
_T = TypeVar("_T")


def cached_by_class(function: Callable[[type], _T]) -> Callable[[type], _T]:
    """Cache a function of a class by identity: a metaclass can define `__eq__`."""
    known: dict[int, tuple[type, _T]] = {}

    @functools.wraps(function)
    def cached(cls: type) -> _T:
        found = known.get(id(cls))
        if found is None:
            if len(known) >= _MAX_CLASSES:  # classes made in a loop
                known.clear()
            found = known[id(cls)] = cls, function(cls)
        return found[1]

    return cached


def reads_plainly(cls: type, fields: Iterable[str]) -> bool:
    """Whether reading fields that an instance has runs no code of the class."""
    for name in ("__getattr__", "__getattribute__"):
        method = class_attribute(cls, name)
        if type(method) is types.FunctionType and not is_of_frameworks(method):
            return False
    return has_plain_fields(cls, fields)


def has_plain_fields(cls: type, fields: Iterable[str]) -> bool:
    """Whether no field of a class is a descriptor, which runs code when it is set."""
    found = [type(class_attribute(cls, name)) for name in fields]
    return not any(
        kind is not types.MemberDescriptorType and defines(kind, "__set__")
        for kind in found
    )


def defines(cls: type, name: str) -> bool:
    """Whether a class or a base has an attribute of its own."""
    return any(name in reflection.namespace(base) for base in reflection.mro(cls))


def module_of(cls: type) -> str:
    """The module that a class names as its own."""
    return (reflection.own_name(cls) or ("builtins", ""))[0]


def package_of(cls: type) -> str:
    """The top-level package that a class names as its own."""
    return top_level_package(module_of(cls))


def is_of_frameworks(method: types.FunctionType) -> bool:
    """Whether a function was written in a framework, or in Python's library."""
    module = method.__globals__.get("__name__")
    package = top_level_package(module) if type(module) is str else ""
    return package in FRAMEWORKS or is_standard(package)


@dataclasses.dataclass(frozen=True)
class Default:
    """A nameless function, to be found as the default of a parameter of a class."""

    cls: type
    parameter: str


def find_default(cls: type, parameter: str) -> Any:
    """The default that a class declares for a field or a parameter of `__init__`.

    `LookupError` if it declares no such default.
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


def or_default(cls: type, name: str, value: Any) -> Any:
    """The value, or a `Default` for a nameless function that the class declares."""
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
    """The `__dict__` of an instance, past any `__getattribute__`; not a copy."""
    attributes = reflection.instance_dict(obj)
    if attributes is None:
        raise AttributeError("it has no `__dict__`")
    return attributes


@cached_by_class
def _slots(cls: type) -> list[tuple[str, types.MemberDescriptorType]]:
    return [
        (name, member)
        for base in reversed(reflection.mro(cls))
        # Their members, such as `complex.real`, are contents.
        if not reflection.is_one_of(base, reflection.BUILT_IN)
        for name, member in reflection.namespace(base).items()
        if type(member) is types.MemberDescriptorType
    ]


@cached_by_class
def slots_of(cls: type) -> dict[str, types.MemberDescriptorType]:
    """The slots of a class that no subclass overrides."""
    return {
        name: member
        for name, member in _slots(cls)
        if class_attribute(cls, name) is member
    }


_OTHER_SPACE = (
    "Its `__dict__` is of the class `{:.80}`, of which only the items would be kept. "
    "Give it an ordinary one, `x.__dict__ = dict(x.__dict__)`, and keep what else is "
    "needed."
)
_TWICE = (
    "It has two attributes {!r:.80}, one of which hides the other: its classes declare "
    "the same slot twice, or its `__dict__` has the name of a slot. Give one of them "
    "another name."
)


def state_of(obj: Any, fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes of an object: its declared fields in order, and all others.

    `CannotKeep` if it has two of one name, or keeps them in no ordinary dictionary.
    """
    cls = type(obj)
    try:
        space = vars_of(obj)
    except AttributeError:
        space = {}
    if type(space) is not dict:
        raise CannotKeep(_OTHER_SPACE.format(type(space).__qualname__))
    attributes = dict(space)
    for name, member in _slots(cls):
        try:
            value = member.__get__(obj, cls)
        except AttributeError:
            continue  # a slot that was never set
        if name in attributes:
            raise CannotKeep(_TWICE.format(name))
        attributes[name] = value
    present = {name: attributes.pop(name) for name in fields if name in attributes}
    return present, attributes


def borrowed(wrapped: Any, name: str, missing: Any, cls: type | None = None) -> Any:
    """The attribute that a wrapper takes from an object, which may be of a class."""
    if type(wrapped) is types.MethodType:
        wrapped = wrapped.__func__
    if is_function(wrapped):
        return getattr(wrapped, name, missing)
    attributes = reflection.instance_dict(wrapped) or {}
    if name in attributes:
        return attributes[name]
    found = class_attribute(type(wrapped) if cls is None else cls, name)
    return missing if found is None else found


def is_dunder(name: str) -> bool:
    """Whether a name is special to Python."""
    return name.startswith("__") and name.endswith("__")


def is_method(found: Any) -> bool:
    methods = (staticmethod, classmethod)
    return is_function(found) or reflection.is_one_of(type(found), methods)


class FieldsChanged(Exception):
    """The fields of a class are not the fields in the file."""

    def __init__(self, missing: list[str], surplus: list[str]) -> None:
        super().__init__(missing, surplus)
        self.missing = missing
        self.surplus = surplus


def declared_fields(cls: type) -> dict[str, Any]:
    return {field.name: field for field in dataclasses.fields(cls)}


@cached_by_class
def layout(cls: type) -> tuple[dict[str, Any], tuple[str, ...]]:
    fields = declared_fields(cls)
    static = tuple(n for n, f in fields.items() if f.metadata.get("static", False))
    return fields, static


def method(cls: type, name: str) -> Any:
    """The function of a method of a class, also of a class method."""
    found = class_attribute(cls, name)
    return found.__func__ if type(found) is classmethod else found


def _names(cls: type) -> tuple[str, ...]:
    return tuple(declared_fields(cls))


def _has_default(cls: type, name: str) -> bool:
    declared = declared_fields(cls)[name]
    return not (declared.default is declared.default_factory is dataclasses.MISSING)


def _runs_code(cls: type, name: str) -> bool:
    declared = declared_fields(cls)[name]
    plain = (dataclasses.MISSING, list, dict, set, tuple)
    made = not any(declared.default_factory is factory for factory in plain)
    return made or "converter" in declared.metadata


def _default(cls: type, name: str) -> Any:
    declared = declared_fields(cls)[name]
    value = declared.default
    if declared.default_factory is not dataclasses.MISSING:
        value = declared.default_factory()
    converter = declared.metadata.get("converter")  # Equinox's
    return value if converter is None else converter(value)


OF_DATACLASSES = Declaration(_names, _has_default, _runs_code, _default)

OF_NAMEDTUPLES = Declaration(
    lambda cls: class_attribute(cls, "_fields"),
    lambda cls, name: name in class_attribute(cls, "_field_defaults"),
    lambda cls, name: False,
    lambda cls, name: class_attribute(cls, "_field_defaults")[name],
)


def _no_names(cls: type) -> tuple[str, ...]:
    raise TypeError("it declares no fields")


# For classes that do not declare the attributes of their instances.
UNDECLARED = Declaration(
    _no_names, lambda cls, name: False, lambda cls, name: False, lambda cls, name: None
)


def moved_fields(parts: Parts) -> list[str]:
    """The fields of a Module that changed between static and dynamic."""
    fields, static = layout(parts.refers)
    static_in_file = parts.extra.get("static", [])
    children = parts.extra["node"]  # as the file has them
    if static_in_file is None:  # a file of zodiax 0.4 does not say
        return []
    if static_in_file == [name for name in static if name in children]:
        return []
    then = set(static_in_file)
    return [n for n in fields if n in children and (n in then) != (n in static)]


def attributes_of(obj: Any) -> dict[str, Any]:
    return state_of(obj, {})[1]


# Attributes that classes compute again when they need them, and what takes their place
# in a file, as their own `__getstate__` says where they have one: `...` is nothing.
COMPUTED_AGAIN: dict[str, dict[str, Any]] = {
    "immutabledict:immutabledict": {"_hash": None},
    "numpyro.distributions.transforms:Transform": {"_inv": ...},  # a weak reference
    "numpyro.infer.autoguide:AutoGuide": {"plates": ...},
    "numpyro.infer.barker:BarkerMH": {"_wa_update": None},
    "numpyro.infer.gibbs:DiscreteGibbs": {"_prepared_model": None},
    "numpyro.infer.gibbs:Gibbs": {"_sample_fn": None},
    "numpyro.infer.hmc:HMC": {"_sample_fn": None, "_init_fn": None},
    "numpyro.infer.hmc_gibbs:HMCECS": {"_sample_fn": None},
    "numpyro.infer.mcmc:MCMC": {"_cache": {}},
    "numpyro.infer.mixed_hmc:MixedHMC": {"_wa_update": None},
    "numpyro.infer.sa:SA": {"_sample_fn": None, "_init_fn": None},
}


def kept_attributes(obj: Any) -> dict[str, Any]:
    """The attributes that a file keeps, without those that the class makes anew."""
    kept = attributes_of(obj)
    for base in reflection.mro(type(obj)):
        full_name = ":".join(reflection.own_name(base) or ("", ""))
        for name, value in COMPUTED_AGAIN.get(full_name, {}).items():
            if name in kept and value is ...:
                del kept[name]
            elif name in kept:
                kept[name] = value
    return kept
