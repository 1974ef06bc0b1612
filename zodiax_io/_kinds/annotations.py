"""Classes and annotations as values."""

from __future__ import annotations

import collections.abc
import enum
import functools
import operator
import types
import typing
from typing import Any

import jaxtyping
import numpy as np
from jaxtyping import AbstractDtype, Float, PyTree

from .._trust import reflection, roles
from .._trust.classes import metaclass_runs_code
from .._trust.names import (
    is_printable_name,
    is_union,
    name_of,
    unions_of_known_packages,
)
from .._trust.reflection import class_attribute
from .base import (
    CannotKeep,
    Data,
    Kind,
    Parts,
    children_by_name,
    decode_reference,
    exactly,
    subclass,
)
from .keys import check_keys
from .look import Look
from .values import expect

# Classes as values --------------------------------------------------------------------


CLASS = Kind(
    "class",
    subclass(type),
    lambda obj: None if name_of(obj) is None else Parts(refers=obj),
    decode_reference,
    roles.CLASS,
    keeps="classes as values, by name",
    attributes=None,
    data=Data.NUMBERS,
    look=Look(words="the class"),
)


_CALLABLE_ALIAS = type(collections.abc.Callable[[int], int])
_ALIAS_TYPES: tuple[Any, ...] = (
    _CALLABLE_ALIAS,
    types.GenericAlias,
    types.UnionType,
    type(list[int]),
    type(typing.List[int]),  # noqa: UP006
    type(typing.Union[int, str]),  # noqa: UP007
    type(typing.Literal[1]),
    type(typing.Callable[[int], int]),
    type(typing.Annotated[int, 1]),
    typing.ForwardRef,
)


def _encode_alias(obj: Any) -> Parts | None:
    _check_size([obj])
    if is_union(obj) and _is_forward(obj) and name_of(obj) is not None:
        return None  # by name, since no load makes a forward reference
    if type(obj) is typing.ForwardRef:
        raise CannotKeep(
            "A forward reference is text, which Python compiles. Name the class itself."
        )
    found = _taken_apart(obj)
    if found is None:
        return None
    form, children = found
    if form == "Literal" and not all(map(_is_literal, children)):
        raise CannotKeep(
            "One of its values is not plain. Keep `typing.get_args(x)` instead."
        )
    try:
        check_keys(children)
        is_same = _is_same_annotation(_alias(children, form), obj)
    except CannotKeep as error:
        raise CannotKeep(f"Python hashes its parts. {error} {_AS_PARTS}") from error
    except (ValueError, TypeError) as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_AS_PARTS}") from error
    if not is_same:
        raise CannotKeep(f"Its parts make another annotation. {_AS_PARTS}")
    return Parts(children=children, value=form)


def _is_forward(part: Any) -> bool:
    """Whether an annotation contains a forward reference."""
    return type(part) is typing.ForwardRef or any(
        map(_is_forward, typing.get_args(part))
    )


def _with_named_union(members: list[Any]) -> list[Any]:
    """The members of a union, with a union of a known package in place of its own.

    `Optional[Params]` has the members of `Params`, which may be forward references.
    """
    if not any(map(_is_forward, members)):
        return members
    for union in unions_of_known_packages():
        inside = list(typing.get_args(union))
        if inside == members[: len(inside)] and any(map(_is_forward, inside)):
            return [union, *members[len(inside) :]]
    return members


_AS_PARTS = (
    "Keep `typing.get_origin(x)` and `typing.get_args(x)`, as far as these can be "
    "saved, and make it again from both."
)


def _taken_apart(obj: Any) -> tuple[str, list[Any]] | None:
    """The form of an annotation, and its parts."""
    origin, args = typing.get_origin(obj), list(typing.get_args(obj))
    if origin is typing.Annotated:
        return "Annotated", [obj.__origin__, *obj.__metadata__]
    if type(obj) is types.UnionType:
        return "|", args
    if type(obj) is _CALLABLE_ALIAS:
        return "abc.Callable", args
    if type(obj) is types.GenericAlias:
        form = "builtin*" if obj.__unpacked__ else "builtin"
        return form, [obj.__origin__, *obj.__args__]
    if origin is typing.Union:
        return "Union", _with_named_union(args)
    if origin is typing.Literal:
        return "Literal", args
    form = _special_form(obj)
    if form is not None:
        return form, args
    if reflection.is_class(origin) and _is_plain_generic(origin):
        return "generic", [origin, *args]
    return None


def _is_same_annotation(made: Any, obj: Any) -> bool:
    """Whether two annotations are of one form, and their parts the same to the bit."""
    one, other = _taken_apart(made), _taken_apart(obj)
    if type(made) is not type(obj) or one is None or other is None:
        return False
    same = typing.get_origin(made) is typing.get_origin(obj) and one[0] == other[0]
    return same and _same_members(one[1], other[1]) and bool(made == obj)


def _special_form(obj: Any) -> str | None:
    """The name in `typing` that an annotation subscripts: `List` for `List[int]`."""
    name = getattr(obj, "_name", None) or getattr(typing.get_origin(obj), "_name", None)
    form = typing.__dict__.get(name) if type(name) is str else None
    if form is None or name not in _TYPING_FORMS:
        return None
    # A generic class of the user's may have such a name, too.
    is_form = getattr(form, "__origin__", form) is typing.get_origin(obj)
    return name if is_form else None


_TYPING_FORMS = frozenset(
    """
    Callable ClassVar DefaultDict Deque Dict Final FrozenSet Iterable Iterator List
    Mapping MutableMapping OrderedDict Sequence Set Tuple Type
    """.split()
)


def _is_plain_generic(origin: Any) -> bool:
    method = class_attribute(origin, "__class_getitem__")
    own = typing.Generic.__dict__["__class_getitem__"]
    # Made in C since Python 3.13, without a `__func__`.
    function = getattr(own, "__func__", own)
    return method is own or getattr(method, "__func__", None) is function


# `typing` compares each member of a union with each other.
_MAX_UNION = 256
# `typing` hashes an annotation again for each one around it.
_MAX_ANNOTATION = 256


def _check_size(children: list[Any]) -> None:
    """Refuse too many annotations inside each other; shared ones count each time."""
    waiting, count = list(children), 0
    while waiting:
        child = waiting.pop()
        if type(child) is list:  # the parameters of a `Callable`
            waiting += child
        elif reflection.is_one_of(type(child), _ALIAS_TYPES):
            count += 1
            waiting += typing.get_args(child)
        elif type(child) is _TREE_ANNOTATION and child is not PyTree:
            count += 1
            waiting.append(child.leaftype)
        if count > _MAX_ANNOTATION:
            raise CannotKeep(
                f"It contains more than {_MAX_ANNOTATION} annotations. "
                "Give a part of it a class of its own."
            )


def _decode_alias(parts: Parts) -> Any:
    children, form = expect(parts.children, list), expect(parts.value, str)
    _check_size(children)
    check_keys(children)  # `typing` hashes them
    made = _alias(children, form)
    # `typing` caches annotations by equality: `Literal[-0.0]` may be `Literal[0.0]`.
    if form in ("Literal", "Annotated"):
        found = _taken_apart(made)
        if found is None or not _same_members(found[1], children):
            raise ValueError("Python has cached an equal annotation of other values")
    return made


ANNOTATION = Kind(
    "annotation",  # before "class": some of these are instances of `type`
    exactly(*_ALIAS_TYPES),
    _encode_alias,
    _decode_alias,
    keeps="`list[int]`, `int | None`, `Callable[[int], int]` and the like",
    attributes=None,
)


def _same_members(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(map(_same, one, other))


def _same(a: Any, b: Any) -> bool:
    """Whether two equal members are the same to the bit."""
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return len(a) == len(b) and all(map(_same, a, b))
    return a is b or type(a) not in (float, complex) or repr(a) == repr(b)


def _alias(children: list[Any], form: str) -> Any:
    """The annotation of a form with these parts.

    `ValueError` or `TypeError` if there is none, or if making it would run code.
    """
    if form == "Annotated":
        _expect_annotations(children[:1] or [""])  # an error if there is none
        return typing.Annotated[tuple(children)]
    if form == "Literal":
        if not all(map(_is_literal, children)):
            raise ValueError("a literal is not a plain value")
        return typing.Literal[tuple(children)]
    if form in ("builtin", "builtin*"):
        return _builtin(form, *children)
    _expect_annotations(children)
    if form in ("|", "Union"):
        return _union(form, children)
    if form == "generic":
        return _generic(*children)
    if form == "abc.Callable" and len(children) == 2:
        return collections.abc.Callable[tuple(children)]  # type: ignore[misc]
    if form not in _TYPING_FORMS:
        raise ValueError(f"unknown annotation {form!r:.80}")
    special = typing.__dict__[form]
    return special[tuple(children)] if len(children) != 1 else special[children[0]]


def _expect_annotations(children: list[Any]) -> None:
    if not all(map(_is_annotation, children)):  # `typing` compiles text
        raise ValueError("an annotation refers to an object that is not a type")


def _builtin(form: str, origin: Any, *args: Any) -> Any:
    _expect_annotations([arg for arg in args if type(arg) is not str])
    if not reflection.is_class(origin):
        raise ValueError("an annotation subscripts an object that is not a class")
    alias = types.GenericAlias(origin, args)
    return next(iter(alias)) if form == "builtin*" else alias


def _union(form: str, members: list[Any]) -> Any:
    if sum(max(len(typing.get_args(m)), 1) for m in members) > _MAX_UNION:
        raise ValueError(f"a union has more than {_MAX_UNION} members")
    return _either(members) if form == "|" else typing.Union[tuple(members)]  # noqa: UP007


def _generic(origin: Any, *args: Any) -> Any:
    if not reflection.is_class(origin) or not _is_plain_generic(origin):
        raise ValueError("an annotation subscripts a class that is not generic")
    subscript = typing.Generic.__dict__["__class_getitem__"]
    return subscript.__get__(None, origin)(args)


def _either(members: list[Any]) -> Any:
    """A union of halves, since Python compares all members again at each `|`."""
    if len(members) < 3:
        return functools.reduce(operator.or_, members)
    middle = len(members) // 2
    return _either(members[:middle]) | _either(members[middle:])


def _is_literal(obj: Any) -> bool:
    cls = type(obj)
    if reflection.is_one_of(cls, (str, bytes, int, float, bool, type(None))):
        return True
    looks = [class_attribute(cls, name) for name in ("__getattr__", "__getattribute__")]
    return type(cls) is enum.EnumMeta and looks == [None, object.__getattribute__]


_ANNOTATION_TYPES = (*_ALIAS_TYPES, typing.TypeVar, type(typing.Any))


def _is_annotation(obj: Any) -> bool:
    if type(obj) is list:  # the parameters of a `Callable`
        return all(map(_is_annotation, obj))
    if reflection.is_class(obj):
        return not metaclass_runs_code(obj)
    return (
        obj is ... or obj is None or reflection.is_one_of(type(obj), _ANNOTATION_TYPES)
    )


# Annotations of jaxtyping -------------------------------------------------------------

_ARRAY_ANNOTATION: Any = type(Float[np.ndarray, ""])
_TREE_ANNOTATION: Any = type(PyTree[int])


def _are_plain(dimensions: str) -> bool:
    """Whether these are names and numbers: jaxtyping evaluates all other text."""
    return (
        len(dimensions) <= _MAX_DIMENSIONS_TEXT
        and is_printable_name(dimensions)
        and all(map(_is_plain_dimension, dimensions.split()))
    )


_MAX_DIMENSIONS_TEXT = 4096


def _is_plain_dimension(text: str) -> bool:
    if text == "...":
        return True
    name = text.lstrip("*#?_")
    number = name.isascii() and name.isdigit() and len(name) <= 18
    return name == "" or name.isidentifier() or number


def _encode_jaxtyping(obj: Any) -> Parts | None:
    if type(obj) is _TREE_ANNOTATION:
        if obj is PyTree:
            return None
        name, inner, compared = "leaf", obj.leaftype, ("leaftype", "structure")
        value = {"dtype": "PyTree", "dimensions": obj.structure or ""}
    else:
        if jaxtyping.__dict__.get(obj.dtype.__name__) is not obj.dtype:
            raise CannotKeep(f"Its dtype is not jaxtyping's own. {_AS_THREE}")
        name, inner, compared = "array", obj.array_type, _COMPARED
        value = {"dtype": obj.dtype.__name__, "dimensions": obj.dim_str}
    try:
        made = _annotated(inner, value["dtype"], value["dimensions"])
    except (ValueError, TypeError) as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_AS_THREE}") from error
    if type(made) is not type(obj) or any(
        getattr(made, each) != getattr(obj, each) for each in compared
    ):
        raise CannotKeep(f"Its parts make another annotation. {_AS_THREE}")
    return Parts(children={name: inner}, value=value)


_COMPARED = ("dtype", "array_type", "dim_str", "dims", "dtypes")
_AS_THREE = (
    "Keep its dtype, the type of its array and its dimensions, "
    "`(x.dtype, x.array_type, x.dim_str)`, and make it again from these."
)


def _decode_jaxtyping(parts: Parts) -> Any:
    (inner,) = children_by_name(parts).values()
    value = expect(parts.value, dict)
    name, dimensions = expect(value["dtype"], str), expect(value["dimensions"], str)
    return _annotated(inner, name, dimensions)


JAXTYPING = Kind(
    "jaxtyping",  # before "class": these are classes, made anew at each mention
    exactly(_ARRAY_ANNOTATION, _TREE_ANNOTATION),
    _encode_jaxtyping,
    _decode_jaxtyping,
    keeps='`Float[Array, "batch dim"]` and the like of jaxtyping',
    attributes=None,
)


def _annotated(inner: Any, name: str, dimensions: str) -> Any:
    """An annotation of jaxtyping with these parts, if making it runs no code."""
    if not _are_plain(dimensions):
        raise CannotKeep(
            "Its dimensions are computed, or are more than names between spaces. Use "
            "plain names in them."
        )
    _expect_annotations([inner])
    _check_size([inner])
    if name == "PyTree":
        return PyTree[inner, dimensions] if dimensions else PyTree[inner]
    dtype: Any = jaxtyping.__dict__.get(name)
    if not reflection.is_class(dtype) or not reflection.derives(dtype, AbstractDtype):
        raise ValueError(f"jaxtyping has no dtype {name!r:.80}")
    # jaxtyping merges the dimensions of an annotation with those of one inside it, so
    # no annotation that it has made contains another.
    if not (inner is typing.Any or reflection.is_class(inner)) or (
        type(inner) is _ARRAY_ANNOTATION
    ):
        raise ValueError("an annotation of an array contains another annotation")
    make: Any = dtype
    return make[inner, dimensions]
