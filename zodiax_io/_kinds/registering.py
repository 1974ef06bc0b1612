"""Add kinds of users and of other packages to the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._errors import ArgumentError, check_callable, check_flags, shown
from .._trust.reflection import derives, is_class
from .._trust.roles import CLASS, Role
from .base import Kind, Parts, children_in_order, exactly, subclass
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
        The name of the kind in files, such as ``"mypackage.thing"``. It contains a dot,
        which the kinds of zodiax_io do not.
    cls : type
        The class.
    encode : callable
        From an instance to its content: any tree that can be saved, such as a dict of
        arrays and numbers. It must not change the instance.
    decode : callable
        From ``(cls, tree)`` to the instance, where `cls` is the class of the instance.
    subclasses : bool, default False
        Whether the two functions also keep instances of subclasses completely. By
        default these are not of the kind: what a subclass adds could be lost silently.

    Raises
    ------
    ArgumentError
        If the name has no dot, belongs to a class of another name, or an argument has
        the wrong type. A class that is defined again replaces the old one.

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
        other = ".".join(_own_name(known))
        raise ArgumentError(f"The kind {name!r} is already registered, for `{other}`.")

    def encode_tree(obj: Any) -> Parts:
        return Parts(children=[encode(obj)], refers=type(obj))

    def decode_tree(parts: Parts) -> Any:
        (tree,) = children_in_order(parts)
        return decode(parts.refers, tree)

    def accepts(obj: Any) -> bool:
        return CLASS.accepts(obj) and ((subclasses and derives(obj, cls)) or obj is cls)

    words = f"`{'.'.join(_own_name(cls))}`" + " or a subclass" * subclasses
    matches = subclass(cls) if subclasses else exactly(cls)
    kind = Kind(
        name,
        matches,
        encode_tree,
        decode_tree,
        Role(words, accepts),
        shared=True,
        attributes=None,
        hides_child=True,
    )
    _registered[name] = cls
    add_kind(kind)  # replaces the old one if the class was defined again


_registered: dict[str, type] = {}


def _own_name(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__
