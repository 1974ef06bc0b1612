"""The row of a kind: how to recognise an object, take it apart and build it again."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NoReturn

from .._trust.reflection import class_attribute, derives, is_one_of
from .._trust.roles import Role
from .look import PLAIN, Look

_Node = dict[str, Any]


@dataclass(slots=True, eq=False, repr=False)
class Parts:
    """An object taken apart: returned by `encode`, and passed to `decode`.

    When saving, the parts are the objects themselves; when loading, the objects that
    were built from the file. A kind does not recurse, knows no paths, and does not
    turn a class into a name: the encoder and the decoder of trees do.

    Attributes
    ----------
    children : dict, list or None
        The children of a container, by name or by index. None for a leaf.
    keys : list or None
        The keys of a mapping whose children are a list.
    static : tuple of str
        Which named children are static: part of the treedef rather than leaves.
    is_node : bool or None
        Whether the object is a pytree node to JAX, so that plain Equinox writes its
        leaves. None: as `Kind.is_node` says.
    order : sequence of int or None
        The order in which JAX flattens the children, where it differs from theirs.
    match_leaves_by_identity : bool
        Whether JAX does not flatten the object child by child, so that its leaves
        must be matched with those of the children one by one.
    refers : object
        The class, function or constant that the node's ``type`` names.
    name : str or None
        The name of `refers`, where the kind knows it and the object does not.
    value : plain data
        The value of a leaf.
    extra : dict
        Further plain data of the node, such as a shape.
    array : Record, ndarray, jax.Array or None
        When saving, the record to write; when loading, the array that was read.
    equinox_record : callable or None
        Makes the record that plain Equinox reads for the object. It may be inexact;
        `value` is exact.
    owned : dict or None
        The `__dict__` of an instance, which no other object of the tree may be or have:
        the file has what is in it, not that it is shared.
    versions : dict
        For a node that is copied from another file: by package, the distribution and
        version that wrote that file. For `__main__`, the name of the script.
    """

    children: dict[str, Any] | list[Any] | None = None
    keys: list[Any] | None = None
    static: tuple[str, ...] = ()
    is_node: bool | None = None
    order: Sequence[int] | None = None
    match_leaves_by_identity: bool = False
    refers: Any = None
    name: str | None = None
    value: Any = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    array: Any = None
    equinox_record: Callable[[], Any] | None = None
    owned: dict[str, Any] | None = None
    versions: dict[str, tuple[str, str]] | None = None


def children_by_name(parts: Parts) -> dict[str, Any]:
    """The children of an object with fields; `ValueError` if they have no names."""
    if type(parts.children) is not dict:
        raise ValueError("the children have no names")
    return parts.children


def children_in_order(parts: Parts) -> list[Any]:
    """The children of a sequence; `ValueError` if they are not a list."""
    if type(parts.children) is not list:
        raise ValueError("the children are not a list")
    return parts.children


def expect_children(parts: Parts, *names: str) -> list[Any]:
    """The children of these names, in this order; `ValueError` if there are others."""
    children = children_by_name(parts)
    if set(children) != set(names):
        raise ValueError(f"expected the children {', '.join(names)}")
    return [children[name] for name in names]


class CannotKeep(Exception):
    """A recognised object cannot be kept: the text says why, and what to do."""


class CannotRebuild(CannotKeep):
    """An object could be kept only by its flattened leaves, and not rebuilt exactly."""


class Data(enum.IntEnum):
    """How far an argument can control the function that is called with it."""

    NONE = 0
    NUMBERS = 1
    TEXT = 2


@dataclass(frozen=True, slots=True)
class Declaration:
    """How the classes of a kind declare their fields.

    Attributes
    ----------
    names : callable
        From a class to the names of its fields, in order; raises `TypeError` if it
        declares none.
    has_default : callable
        From a class and a field to whether the field has a default.
    runs_code : callable
        From a class and a field to whether code of the class makes the default.
    default : callable
        From a class and a field to the default, as ``__init__`` would set it.
    """

    names: Callable[[type], tuple[str, ...]]
    has_default: Callable[[type, str], bool]
    runs_code: Callable[[type, str], bool]
    default: Callable[[type, str], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of kinds: all that the library knows about a kind.

    The first four attributes and `keeps` are required. The defaults of the others suit
    a kind that is a leaf to JAX, and neither an array nor a function.

    Attributes
    ----------
    name : str
        The name of the kind in files. It never changes once released.
    matches : callable
        From a class to whether its instances may be of this kind.
    encode : callable
        From an object to its `Parts`; None to leave it to a later row; raises
        `CannotKeep` when the object can be recognised but not kept.
    decode : callable
        From `Parts` to the object.
    refers_to : Role or None
        The role of the object that the node's ``type`` names. The judge checks it
        before anything is built.
    keeps : str
        One line for the table in the documentation.
    shared : bool
        Whether an object that appears twice in a tree is loaded as one object.
    may_fail_inside : bool
        Whether a later row is tried if a child of the object cannot be kept.
    attributes : tuple of str or None
        The entries of an instance's `__dict__` that `encode` keeps or leaves out on
        purpose: an instance with another entry is refused. None: `encode` checks all.
    array : {"jax", "key", "numpy"} or None
        The array of the companion that the node describes: an array of JAX, random
        keys of JAX, or an array of NumPy. None for other kinds.
    outline : callable or None
        From the node of an array to its shape and dtype, for an array that is not read.
    is_node : bool or "registered"
        Whether JAX sees a container, whose leaves Equinox writes. "registered": only
        if the class is registered as a pytree.
    match_leaves_by_identity : bool
        Whether JAX does not flatten an instance child by child (see `Parts`).
    in_order : bool
        Whether JAX flattens the children in the order that they have in the file.
    expand : callable or None
        From a node that keeps many leaves of JAX to one with a child for each.
    steps : {"field", "key"}
        How a path spells a named child: ``.name``, or ``['name']``.
    unseen : tuple of str
        The named children that add no step to a path: the user does not see them.
    hides_child : bool
        Whether its only child, if that is a container, adds no step to a path: it is
        the tree that a registered kind made of the object.
    is_function : bool
        Whether the object may be a function that is kept without its parts.
    calls, binds_arguments : tuple of str
        The children that are called when the object is, and those that are passed as
        arguments: a function that is called with arguments from the file needs trust.
    data : Data or callable
        How far a leaf of this kind can control a function that it is passed to; or a
        callable from the node to that.
    fields : Declaration or None
        How a class declares the fields of its instances. If they are not the fields in
        the file, `decode` raises `FieldsChanged`, and is called again with the parts
        brought up to date.
    is_module : bool
        Whether the class is an `equinox.Module`, whose fields may be static.
    may_become : bool
        Whether an `Opaque` can become an object of this kind.
    renamed : callable or None
        Takes a node and a function from a class and the old name of a member to its
        present name. Returns the node with the present names.
    around_opaque : callable or None
        From parts that contain an `Opaque` to the reason why no object can be built of
        them, or to None if it can be tried.
    placeholder : {"", "missing", "always"}
        When the node becomes a `Placeholder`. ``""``: never. ``"missing"``: if its
        function is missing. ``"always"``: each time. The caller may pass a function
        for it.
    identity : callable or None
        From the `value` of a node to the part of it that is compared.
    comparable : callable or None
        From the nodes of a file and of a tree, both of this kind, to the node that is
        compared in place of the file's.
    look : Look
        How objects of the kind are shown.
    """

    name: str
    matches: Callable[[type], bool]
    encode: Callable[[Any], Parts | None]
    decode: Callable[[Parts], Any]
    refers_to: Role | None = None
    keeps: str = ""
    shared: bool = False
    may_fail_inside: bool = False
    attributes: tuple[str, ...] | None = ()
    array: Literal["jax", "key", "numpy"] | None = None
    outline: Callable[[_Node], Any] | None = None
    is_node: bool | Literal["registered"] = False
    match_leaves_by_identity: bool = False
    in_order: bool = False
    expand: Callable[[_Node], _Node] | None = None
    steps: Literal["field", "key"] = "field"
    unseen: tuple[str, ...] = ()
    hides_child: bool = False
    is_function: bool = False
    calls: tuple[str, ...] = ()
    binds_arguments: tuple[str, ...] = ()
    data: Data | Callable[[_Node], Data] = Data.TEXT
    fields: Declaration | None = None
    is_module: bool = False
    may_become: bool = False
    renamed: Callable[[_Node, Callable[[str, Any], Any]], _Node] | None = None
    around_opaque: Callable[[Parts], str | None] | None = None
    placeholder: Literal["", "missing", "always"] = ""
    identity: Callable[[Any], Any] | None = None
    comparable: Callable[[_Node, _Node], _Node] | None = None
    look: Look = PLAIN


def decode_reference(parts: Parts) -> Any:
    """The object that a node refers to."""
    return parts.refers


def guarded(kind: Kind, cls: type) -> Kind:
    """The row, made to refuse instances with attributes that it would not keep."""
    known = kind.attributes
    if known is None or not _offset_of_dict(cls):
        return kind

    def encode(obj: Any) -> Parts | None:
        parts = kind.encode(obj)
        for name in object.__getattribute__(obj, "__dict__") if parts else ():
            # A value that a property has cached is computed again.
            descriptor = type(class_attribute(cls, name))
            cached = is_one_of(descriptor, (functools.cached_property, property))
            if name not in known and not cached:
                raise CannotKeep(
                    f"It has an attribute {name!r:.80}, which files do not keep with a "
                    f"`{cls.__qualname__}`. Keep it as another item of the tree, and "
                    "remove it here by `delattr`."
                )
        return parts

    return replace(kind, encode=encode)


_offset_of_dict = type.__dict__["__dictoffset__"].__get__  # past any metaclass


def refusal(
    name: str, matches: Callable[[type], bool], refuse: Callable[[Any], Any]
) -> Kind:
    """A row for objects that are refused, with the reason; no file has its name."""

    def decode(parts: Parts) -> NoReturn:
        raise ValueError(f"objects of the kind {name!r} are never saved")

    return Kind(name, matches, refuse, decode, attributes=None)


def exactly(*classes: type) -> Callable[[type], bool]:
    """A predicate for these classes, without their subclasses."""
    return lambda cls: is_one_of(cls, classes)


def subclass(*classes: type) -> Callable[[type], bool]:
    """A predicate for these classes and their subclasses.

    Python's `issubclass` would call the `__subclasscheck__` of a metaclass.
    """
    return lambda cls: any(derives(cls, base) for base in classes)
