"""Kinds that users and other packages add to the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._errors import ArgumentError, check_callable, check_flags, shown
from .._trust.reflection import derives, is_class
from .._trust.roles import CLASS, Role
from .base import Kind, Parts, exactly, subclass
from .lookup import add_kind


def register_kind(
    name: str,
    cls: type,
    encode: Callable[[Any], Parts | Any],
    decode: Callable[..., Any],
    *,
    subclasses: bool = False,
) -> None:
    """Teach zodiax_io to keep the instances of a class.

    Parameters
    ----------
    name : str
        What files call the kind: ``"mypackage.thing"``. With a dot, so that it never
        meets one of ours.
    cls : type
        The class.
    encode : callable
        From an instance to what it is made of: any tree that can be kept, for example
        a dict of arrays and numbers. It must not change the instance.
    decode : callable
        From ``(cls, tree)`` to the instance, where `cls` is the instance's own class.
    subclasses : bool, default False
        Whether the two functions keep all of an instance of a subclass, too. What it
        adds would be lost otherwise without a word, so it is refused unless you say so.

    Raises
    ------
    ArgumentError
        If the name has no dot, or is taken by a class of another name, or an argument
        is of another type than these. A class that is defined again takes the place of
        the old one.

    Examples
    --------
    >>> import zodiax_io
    >>> class Mirror:
    ...     def __init__(self, radius):
    ...         self.radius = radius
    >>> zodiax_io.register_kind(
    ...     "mylab.mirror",
    ...     Mirror,
    ...     encode=lambda mirror: {"radius": mirror.radius},
    ...     decode=lambda cls, tree: cls(tree["radius"]),
    ... )
    >>> zodiax_io.register(Mirror, alias="mylab.optics:Mirror")
    <class '...Mirror'>
    >>> zodiax_io.build_structure(Mirror(2.5))["kind"]
    'mylab.mirror'
    """
    if type(name) is not str or "." not in name:
        raise ArgumentError(
            'A kind needs a name with a dot, such as "mypackage.thing", not '
            f"{name!r:.80}."
        )
    if not is_class(cls):
        raise ArgumentError(f"`cls` is a class, not {shown(repr(cls), 80)}.")
    check_callable(encode=encode, decode=decode)
    check_flags(subclasses=subclasses)
    known = _registered.get(name)
    if known is not None and _own_name(known) != _own_name(cls):
        told = ".".join(_own_name(known))
        raise ArgumentError(f"The kind {name!r} is registered already, for `{told}`.")

    def take_apart(obj: Any) -> Parts:
        return Parts(children=[encode(obj)], refers=type(obj))

    def put_together(parts: Parts) -> Any:
        if type(parts.children) is not list or len(parts.children) != 1:
            raise ValueError("a registered kind holds one tree")
        return decode(parts.refers, parts.children[0])

    def accepts(obj: Any) -> bool:
        return CLASS.accepts(obj) and ((subclasses and derives(obj, cls)) or obj is cls)

    words = f"`{'.'.join(_own_name(cls))}`" + " or a subclass" * subclasses
    matches = subclass(cls) if subclasses else exactly(cls)
    kind = Kind(
        name,
        matches,
        take_apart,
        put_together,
        Role(words, accepts),
        shared=True,
        attributes=None,
        hides_child=True,
    )
    _registered[name] = cls
    add_kind(kind)  # in the place of the old one, if its class was defined again


_registered: dict[str, type] = {}


def _own_name(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__
