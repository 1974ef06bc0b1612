"""What a kind is: how to recognise an object, take it apart, and put it back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

from .._trust.reflection import class_attribute, derives, is_one_of
from .._trust.roles import Role


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
    is_node : bool
        Whether JAX, too, sees a container here. Where it sees a leaf, Equinox writes
        nothing of what is inside.
    order : sequence of int or None
        The order in which JAX flattens the children, where it is not their own.
    by_leaves : bool
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
    mirror : callable or None
        Makes the record that repeats for plain Equinox what `value` holds exactly.
    versions : dict
        By package, its distribution and version, of what is kept as a file had it; of
        `__main__`, the name of the script that wrote that file.
    """

    children: dict[str, Any] | list[Any] | None = None
    keys: list[Any] | None = None
    static: tuple[str, ...] = ()
    is_node: bool = True
    order: Sequence[int] | None = None
    by_leaves: bool = False
    refers: Any = None
    value: Any = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    array: Any = None
    mirror: Callable[[], Any] | None = None
    versions: dict[str, tuple[str, str]] | None = None


class CannotKeep(Exception):
    """An object that a kind recognises but cannot keep: why, and what to do."""


class CannotRebuild(CannotKeep):
    """An object that could be kept by its flattening only, which is not faithful."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table of kinds.

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
    gives_way : bool
        Whether a later row may try where this one meets something inside that cannot
        be kept.
    calls, binds : tuple of str
        The children that are called when the object is, and those that it passes on as
        arguments: what is called with arguments of the file's choice needs trust.
    attributes : tuple of str or None
        The entries of an instance's `__dict__` that `encode` accounts for: an instance
        with another is refused. None where it looks through all of them itself.
    """

    name: str
    matches: Callable[[type], bool]
    encode: Callable[[Any], Parts | None]
    decode: Callable[[Parts], Any]
    refers_to: Role | None = None
    keeps: str = ""
    shared: bool = False
    gives_way: bool = False
    calls: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    attributes: tuple[str, ...] | None = ()


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


# The kinds of nodes that describe an array of the companion.
ARRAY_NODES = ("jax", "key", "numpy")
