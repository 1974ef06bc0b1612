"""What a kind is: how to recognise an object, take it apart, and put it back."""

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
    """An object taken apart: what `encode` returns, and what `decode` gets back.

    On the way out the parts hold the objects themselves; on the way in, the objects
    that were made of them. No kind recurses, knows a path, or turns a class into a
    name: the structure does.

    Attributes
    ----------
    children : dict, list or None
        The children of a container, by name or by index. None for a leaf.
    keys : list or None
        The keys of a mapping whose children are a list.
    static : tuple of str
        Which named children are static: part of the treedef rather than leaves.
    is_node : bool or None
        Whether Equinox writes the leaves inside, which it does where JAX, too, sees a
        container. None for what the row says.
    order : sequence of int or None
        The order in which JAX flattens the children, where it is not their own.
    match_leaves_by_identity : bool
        Whether JAX finds leaves in the object some other way than child by child, so
        that they must be matched one by one.
    refers : object
        The class, function or constant to name.
    value : plain data
        What a leaf holds.
    extra : dict
        Further plain data of the node, such as a shape.
    array : Record, ndarray, jax.Array or None
        Out: the record to write. In: the array that was read.
    equinox_record : callable or None
        Makes the record in which plain Equinox keeps the object; `value` is exact.
    versions : dict
        By package, its distribution and version, of what is kept as a file had it; of
        `__main__`, the name of the script that wrote that file.
    """

    children: dict[str, Any] | list[Any] | None = None
    keys: list[Any] | None = None
    static: tuple[str, ...] = ()
    is_node: bool | None = None
    order: Sequence[int] | None = None
    match_leaves_by_identity: bool = False
    refers: Any = None
    value: Any = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    array: Any = None
    equinox_record: Callable[[], Any] | None = None
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
    """An object that a kind recognises but cannot keep: why, and what to do."""


class CannotRebuild(CannotKeep):
    """An object that could be kept by its flattening only, which is not faithful."""


class Data(enum.IntEnum):
    """How far an argument may steer the function that is called with it."""

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
        From a class and a field to the default, as ``__init__`` would have it.
    """

    names: Callable[[type], tuple[str, ...]]
    has_default: Callable[[type, str], bool]
    runs_code: Callable[[type, str], bool]
    default: Callable[[type, str], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of kinds: all that the library knows about a kind.

    The first four attributes and `keeps` are needed. The defaults of the others suit a
    kind that JAX sees as a leaf, and that is neither an array nor a function.

    Attributes
    ----------
    name : str
        What the file calls it. Never changed once released.
    matches : callable
        From a class to whether its instances may be of this kind.
    encode : callable
        From an object to its `Parts`; None to leave it to a later row; raises
        `CannotKeep` when the object can be recognised but not kept.
    decode : callable
        From `Parts` to the object.
    refers_to : Role or None
        What the name in the node's ``type`` must lead to, judged before anything is
        built.
    keeps : str
        One line for the table in the documentation.
    shared : bool
        Whether two references to one object come back as two references to one.
    may_fail_inside : bool
        Whether a later row may try where this one meets something inside that cannot
        be kept.
    attributes : tuple of str or None
        The entries of an instance's `__dict__` that `encode` accounts for: an instance
        with another is refused. None where it looks through all of them itself.
    array : {"jax", "key", "numpy"} or None
        Whether the node describes an array of the companion, and which: an array of
        JAX, random keys of JAX, or an array of NumPy.
    outline : callable or None
        From the node of an array to its shape and dtype, for an array that is not read.
    is_node : bool or "registered"
        Whether JAX sees a container, whose leaves Equinox writes; or whether that
        depends on its class being registered.
    match_leaves_by_identity : bool
        Whether the leaves of an instance are found one by one, not child by child.
    in_order : bool
        Whether JAX flattens the children in the order in which the file has them.
    expand : callable or None
        From a node that holds many leaves of JAX to one with a child for each.
    steps : {"field", "key"}
        How a child is written in a path: ``.name``, or ``['name']`` as the key of a
        mapping.
    unseen : tuple of str
        The children that are no step of a path: the user does not see them.
    hides_child : bool
        Whether its one child, if that is a container, was made by the kind, and is no
        step of a path either.
    is_function : bool
        Whether the object is a function, or may be one, that is not made of parts.
    calls, binds_arguments : tuple of str
        The children that are called when the object is, and those that it passes on as
        arguments: what is called with arguments of the file's choice needs trust.
    data : Data or callable
        What a leaf of this kind is as the argument of a function; or the function that
        tells it from the node.
    fields : Declaration or None
        How a class declares the fields of its instances, which it may declare otherwise
        later. Where they differ from those of the file, `decode` raises
        `FieldsChanged`, and is called again with the fields of today.
    is_module : bool
        Whether its class is an `equinox.Module` with fields that may be static.
    may_become : bool
        Whether an `Opaque` can become an object of this kind.
    renamed : callable or None
        From a node, and a function from its class and a member to the present name of
        that member, to the node with the present names.
    around_opaque : callable or None
        From parts among which there is an `Opaque` to the reason why the object cannot
        be built of them; None to try it.
    placeholder : {"", "missing", "always"}
        Whether a `Placeholder` is built of the node: where the function is missing, or
        always. A caller may fill its place.
    identity : callable or None
        From the `value` of a node to what is compared of it, where that is not all.
    comparable : callable or None
        From the nodes of a file and of a tree, both of this kind, to the node of the
        file as it is compared.
    look : Look
        How it is shown.
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
    """The very object that a node refers to."""
    return parts.refers


def guarded(kind: Kind, cls: type) -> Kind:
    """A row that refuses instances with attributes that its `encode` leaves out."""
    known = kind.attributes
    if known is None or not _offset_of_dict(cls):
        return kind

    def encode(obj: Any) -> Parts | None:
        parts = kind.encode(obj)
        for name in object.__getattribute__(obj, "__dict__") if parts else ():
            # What a class remembers under the name of a property is made again.
            descriptor = type(class_attribute(cls, name))
            remembered = descriptor in (functools.cached_property, property)
            if name not in known and not remembered:
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
    """A row that recognises what cannot be kept, and says why; no file holds one."""

    def decode(parts: Parts) -> NoReturn:
        raise ValueError(f"no file holds what is {name}")

    return Kind(name, matches, refuse, decode, attributes=None)


def exactly(*classes: type) -> Callable[[type], bool]:
    """A predicate for these classes themselves, without their subclasses."""
    return lambda cls: is_one_of(cls, classes)


def subclass(*classes: type) -> Callable[[type], bool]:
    """A predicate for these classes and all below them.

    Python's `issubclass` would call the `__subclasshook__` of every class below them.
    """
    return lambda cls: any(derives(cls, base) for base in classes)
