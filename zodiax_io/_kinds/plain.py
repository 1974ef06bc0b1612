"""Instances of ordinary classes, and of subclasses of built-in ones, by attributes.

Such a class is neither a dataclass nor a pytree, and declares no fields. An instance
has its attributes and nothing else, or what its built-in base holds besides. It is
built without a call of its class. So a class that says how its instances are copied, by
`__reduce__` and the like, is refused: its attributes may be less than the object.
"""

from __future__ import annotations

import collections
import copyreg
import struct
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import _jax
from .._trust import reflection, roles
from .._trust.judge import objection
from .._trust.names import (
    is_standard,
    name_of,
    registered_name,
    top_level_package,
)
from .._trust.origins import is_own
from .._trust.reflection import has_python_layout
from .._trust.table import (
    COPIED_BY_ATTRIBUTES,
    FRAMEWORKS,
    PACKAGES,
    STANDARD_CLASSES,
)
from . import values
from .base import CannotKeep, Kind, Parts, children_by_name, subclass
from .contents import bits, factory_of, limit_of
from .fields import (
    COMPUTED_AGAIN,
    UNDECLARED,
    attributes_of,
    cached_by_class,
    is_dunder,
    kept_attributes,
    module_of,
    slots_of,
)
from .objects import LEAFLESS, decode_object, hides_no_code, is_of_wrapped
from .unflattened import Comparison, hashes_of, may_be_hash

_ADVICE = "register a kind for it with `zodiax_io.register_kind`."
# The methods by which a class says what a copy of an instance consists of.
_OWN_WAYS = (
    *("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"),
    *("__getnewargs__", "__getnewargs_ex__", "__del__"),
)
# They write such methods for classes with slots, and keep the attributes by them.
_GENERATORS = frozenset({"attr._make", "dataclasses"})


@cached_by_class
def _own_way(cls: type) -> str | None:
    """How a class copies its instances, if not by their attributes alone."""
    if any(known is cls for known in copyreg.dispatch_table):
        return "is copied by a function of `copyreg`"
    for name in _OWN_WAYS:
        for base in reflection.mro(cls):
            method = reflection.namespace(base).get(name)
            if method is None:
                continue
            if not _is_understood(base, method):
                return f"defines `{name}`"
            break
    return None


def _is_understood(cls: type, method: Any) -> bool:
    """Whether a class is known to keep attributes and contents alone by a method."""
    if reflection.is_one_of(cls, (object, *_BASES)):
        return True
    module, name = reflection.own_name(cls) or ("", "")
    if any(name in t.get(module, ()) for t in (STANDARD_CLASSES, COPIED_BY_ATTRIBUTES)):
        return True
    if f"{module}:{name}" in COMPUTED_AGAIN:
        return True
    made_by = getattr(method, "__globals__", {}).get("__name__")
    return type(method) is types.FunctionType and made_by in _GENERATORS


def _check(obj: Any, attributes: dict[str, Any]) -> None:
    """Refuse an object that is more, or less, than its attributes and contents."""
    cls = type(obj)
    way = _own_way(cls)
    if way is not None:
        raise CannotKeep(
            f"Its class {way}: it may be more than its attributes. Keep its parts, "
            f"and make it again from them; or {_ADVICE}"
        )
    check_attributes(obj, attributes)


def check_attributes(obj: Any, attributes: dict[str, Any]) -> None:
    """Refuse attributes that a load would not set, or that are hashes."""
    cls = type(obj)
    for name, value in attributes.items():
        if not (_may_set(cls, name, value) or is_of_wrapped(name, value, attributes)):
            raise CannotKeep(
                f"It has an attribute {name!r:.80} that hides one of its class, or "
                f"that is special to Python. Give it another name; or {_ADVICE}"
            )
    if any(map(may_be_hash, attributes, attributes.values())):
        known = hashes_of(obj, attributes) | set(map(id, (obj, *attributes.values())))
        for name, value in attributes.items():
            if may_be_hash(name, value) and value in known:
                raise CannotKeep(
                    f"Its attribute {name!r:.80} is a hash or an `id`, which is valid "
                    "in one process only. Compute it where it is needed, or delete it "
                    f"before saving; or {_ADVICE}"
                )


def _may_set(cls: type, name: Any, value: Any) -> bool:
    is_origin = name == "__orig_class__"  # of a generic class, as `Box[int](1)` has it
    return type(name) is str and (is_origin or hides_no_code(cls, name, value))


def _is_off_limits(cls: type, role: roles.Role) -> bool:
    """Whether a class is one of Python or a framework that no file may use so."""
    module = module_of(cls)
    package = top_level_package(module)
    if not is_standard(package) and package not in FRAMEWORKS:
        return False
    name = name_of(cls)
    return name is not None and objection(name, role) is not None


def _is_static_node(obj: Any) -> bool | None:
    """Whether JAX sees a node without leaves; None for one with children."""
    if not _jax.is_registered_node(type(obj)):
        return False
    flat = _jax.flatten_once(obj)
    if flat is None:
        return False
    return True if not flat[0] and flat[1] is obj else None


def _encode_instance(obj: Any) -> Parts | None:
    cls = type(obj)
    static_node = _is_static_node(obj)
    if not has_python_layout(cls) or static_node is None:
        return None
    if _is_off_limits(cls, roles.INSTANCE):
        return None
    attributes = kept_attributes(obj)
    if not attributes:
        return None
    _check(obj, attributes)
    parts = Parts(attributes, static=tuple(attributes), refers=cls)
    parts.owned = reflection.instance_dict(obj)
    parts.extra["beside"] = list(attributes)
    parts.is_node = static_node
    if static_node:  # registered by `jax.tree_util.register_static`
        parts.extra[LEAFLESS] = True
    return parts


INSTANCE = Kind(
    "instance",  # after "singleton": a constant of a package loads as itself
    subclass(object),  # a class may be registered after its rows were looked up
    _encode_instance,
    lambda parts: decode_object(parts, {}),
    roles.INSTANCE,
    keeps="instances of ordinary classes, by their attributes",
    shared=True,
    attributes=None,
    is_node="registered",
    fields=UNDECLARED,
)


# Instances that a module has as constants ---------------------------------------------


def _encode_constant(obj: Any) -> Parts | None:
    """An instance that its own module, or its class, has under a name.

    Code may compare it by identity, as a sentinel; or its state may have changed since
    the module was imported. The file has its name and its state.
    """
    module = module_of(type(obj))
    # What a script or a notebook has in a variable is not meant as a constant.
    if module == "__main__" or not is_own(module) or name_of(obj) is None:
        return None
    parts = _encode_instance(obj)
    if parts is not None:
        parts.refers, parts.value = obj, (reflection.own_name(type(obj)) or ("", ""))[1]
    return parts


def _decode_constant(parts: Parts) -> Any:
    constant, cls = parts.refers, type(parts.refers)
    module, qualname = reflection.own_name(cls) or ("", "")
    of_others = (
        top_level_package(module) in PACKAGES or registered_name(constant) is not None
    )
    if qualname != parts.value or of_others or not roles.INSTANCE.accepts(cls):
        raise ValueError("its name now belongs to an object of another class")
    made = decode_object(Parts(parts.children, refers=cls, extra=parts.extra), {})
    return constant if Comparison().same(made, constant) else made


NAMED_INSTANCE = Kind(
    "named_instance",
    subclass(object),
    _encode_constant,
    _decode_constant,
    roles.CONSTANT,
    keeps="instances that their own module has as constants: where it still has an "
    "equal one, that very object",
    shared=True,
    attributes=None,
    is_node="registered",
    fields=UNDECLARED,
)


# Subclasses of built-in classes -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Base:
    """How the contents that a built-in base holds are read, and put back.

    `read` gives them as an instance of the base itself, past all methods of the
    subclass. `make` puts them into a new instance of the subclass. `row` is the kind
    that turns contents without items into the value of a node.
    """

    read: Callable[[Any], Any]
    make: Callable[[type, Any], Any]
    row: Kind | None = None


def _filled(cls: type, base: Any, *how: Any) -> Any:
    """A new instance of a class, filled by the `__init__` of its built-in base."""
    made = base.__new__(cls)
    base.__init__(made, *how)
    return made


def _float(obj: Any) -> float:
    return struct.unpack("<d", bits(obj))[0]


def _complex(obj: Any) -> complex:
    return complex(*struct.unpack("<dd", bits(obj)))


def _make_ordered(cls: type, contents: Any) -> Any:
    made = collections.OrderedDict.__new__(cls)
    for key, value in contents.items():
        # Its `update` would call a `__setitem__` of the subclass.
        collections.OrderedDict.__setitem__(made, key, value)
    return made


def _make_default(cls: type, contents: Any) -> Any:
    return _filled(cls, collections.defaultdict, contents.default_factory, contents)


# The first that a class derives from counts, so derived ones come first.
_BASES: dict[type, _Base] = {
    collections.OrderedDict: _Base(
        lambda obj: collections.OrderedDict(collections.OrderedDict.items(obj)),
        _make_ordered,
    ),
    collections.defaultdict: _Base(
        lambda obj: collections.defaultdict(factory_of(obj), dict.items(obj)),
        _make_default,
    ),
    dict: _Base(
        lambda obj: dict(dict.items(obj)),
        lambda cls, contents: _filled(cls, dict, contents),
    ),
    list: _Base(
        lambda obj: [*list.__iter__(obj)],
        lambda cls, contents: _filled(cls, list, contents),
    ),
    tuple: _Base(lambda obj: tuple(tuple.__iter__(obj)), tuple.__new__),
    collections.deque: _Base(
        lambda obj: collections.deque(collections.deque.__iter__(obj), limit_of(obj)),
        lambda cls, contents: _filled(
            cls, collections.deque, contents, contents.maxlen
        ),
    ),
    set: _Base(
        lambda obj: {*set.__iter__(obj)},
        lambda cls, contents: _filled(cls, set, contents),
    ),
    frozenset: _Base(lambda obj: frozenset(frozenset.__iter__(obj)), frozenset.__new__),
    str: _Base(str.__str__, str.__new__, values.STR),
    bytes: _Base(
        lambda obj: bytes.__getitem__(obj, slice(None)), bytes.__new__, values.BYTES
    ),
    bytearray: _Base(
        lambda obj: bytearray(memoryview(obj)),
        lambda cls, contents: _filled(cls, bytearray, contents),
        values.BYTEARRAY,
    ),
    int: _Base(int.__int__, int.__new__, values.INT),
    float: _Base(_float, float.__new__, values.FLOAT),
    complex: _Base(_complex, complex.__new__, values.COMPLEX),
}
# The child that is not an attribute: no attribute has such a name.
_CONTENTS = "(contents)"
# In the node of a dictionary that is its own `__dict__`, by `self.__dict__ = self`.
_ITS_OWN_SPACE = "items_are_attributes"


def _check_items(cls: type, contents: Any) -> None:
    """Refuse items that would hide code of the class if they were attributes."""
    if reflection.built_in_base(cls) not in (dict, collections.defaultdict):
        raise CannotKeep(
            "It is its own `__dict__`, through which an attribute gets past the order "
            f"of its items. Convert it to a plain `dict`; or {_ADVICE}"
        )
    if slots_of(cls):
        raise CannotKeep(
            f"It is its own `__dict__`, and has slots. Remove them; or {_ADVICE}"
        )
    for key, value in contents.items():
        if not reflection.derives(type(key), str):
            continue  # which no attribute has
        name = str.__str__(key)
        is_new = reflection.class_attribute(cls, name) is None and not is_dunder(name)
        if not is_new and not hides_no_code(cls, name, value):
            raise CannotKeep(
                f"It is its own `__dict__`, and its item {name!r:.80} hides an "
                "attribute of its class, or is special to Python. Give it another "
                f"name; or {_ADVICE}"
            )


def _encode_subclass(obj: Any) -> Parts | None:
    if registered_name(obj) is not None:
        return None  # it loads as itself
    cls = type(obj)
    base = reflection.built_in_base(cls)
    static_node = _is_static_node(obj)
    if base is None or static_node is None or _is_off_limits(cls, roles.SUBCLASS):
        name = next(base.__name__ for base in _BASES if reflection.derives(cls, base))
        raise CannotKeep(
            f"It may be more than the contents of a `{name}` and its attributes. "
            f"Convert it to a plain `{name}`; or {_ADVICE}"
        )
    own_space = reflection.instance_dict(obj) is obj
    attributes = {} if own_space else attributes_of(obj)
    _check(obj, attributes)
    how = _BASES[base]
    contents = how.read(obj)
    if own_space:
        _check_items(cls, contents)
    if how.row is None:
        parts = Parts({_CONTENTS: contents, **attributes})
    else:  # with the record of a number, which it is to plain Equinox
        parts = how.row.encode(contents) or Parts()
        parts.children = attributes or None
        if parts.equinox_record is not None:
            parts.extra["number"] = parts.value
    parts.refers, parts.static = cls, tuple(parts.children or ())
    if attributes:
        parts.owned = reflection.instance_dict(obj)
        parts.extra["beside"] = list(attributes)
    if own_space:
        parts.extra[_ITS_OWN_SPACE] = True
    if static_node:
        parts.is_node, parts.extra[LEAFLESS] = True, True
    return parts


def _decode_subclass(parts: Parts) -> Any:
    children = {} if parts.children is None else dict(children_by_name(parts))
    base = reflection.built_in_base(parts.refers)
    if base is None:
        raise ValueError("its class derives from no built-in class now")
    row = _BASES[base].row
    contents = children.pop(_CONTENTS, None) if row is None else row.decode(parts)
    if type(contents) is not base:
        raise ValueError(f"its contents are not those of a `{base.__name__}`")
    try:
        made = _BASES[base].make(parts.refers, contents)
    except TypeError as error:  # of a class in C between the two
        raise ValueError(str(error)) from None
    if _ITS_OWN_SPACE in parts.extra:
        return _made_its_own_space(made, children)
    return decode_object(
        Parts(children, refers=parts.refers, extra=parts.extra), {}, made
    )


def _made_its_own_space(made: Any, attributes: dict[str, Any]) -> Any:
    if attributes or reflection.instance_dict(made) is None:
        raise ValueError("its items cannot be its attributes")
    try:
        _check_items(type(made), dict(dict.items(made)))
    except CannotKeep as error:
        raise ValueError(str(error)) from None
    object.__setattr__(made, "__dict__", made)
    return made


SUBCLASS = Kind(
    "subclass",
    subclass(*_BASES),
    _encode_subclass,
    _decode_subclass,
    roles.SUBCLASS,
    keeps="subclasses of `str`, `int`, `float`, `dict`, `list`, `tuple` and the like, "
    "by contents and attributes",
    shared=True,
    attributes=None,
    unseen=(_CONTENTS,),
    fields=UNDECLARED,
)
