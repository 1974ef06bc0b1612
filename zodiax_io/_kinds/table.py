"""The table of kinds: every sort of object that can be kept, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._errors import ArgumentError, check_callable, check_flags, shown
from .._trust.reflection import derives, is_class
from .._trust.roles import CLASS, Role
from .advice import ADVISED_KINDS, advice_for as advice_for
from .annotations import TYPE_KINDS
from .arrays import ARRAY_KINDS, Damaged as Damaged, outline as outline
from .base import (
    CannotKeep as CannotKeep,
    CannotRebuild as CannotRebuild,
    Kind as Kind,
    Parts as Parts,
    exactly as exactly,
    guarded,
    subclass as subclass,
)
from .closures import CLOSURE_KINDS
from .columns import (
    COLUMN_KINDS,
    array_of as array_of,
    elements_of as elements_of,
    is_column as is_column,
)
from .containers import MAPPING_KINDS, SEQUENCE_KINDS
from .digests import SourceChanged as SourceChanged
from .fields import (
    FieldsChanged as FieldsChanged,
    default_of as default_of,
    fields_of as fields_of,
    has_default as has_default,
    moved_fields as moved_fields,
    runs_code as runs_code,
)
from .fingerprints import are_alike as are_alike
from .functions import FUNCTION_KINDS, LAST_KINDS, NAME_KINDS, UNNAMED_KINDS
from .objects import LEAFLESS as LEAFLESS, LEAVES as LEAVES
from .placeholders import (
    Placeholder as Placeholder,
    is_unnamed_function as is_unnamed_function,
    placeholder_for as placeholder_for,
)
from .pytrees import MARKER_KINDS, OBJECT_KINDS
from .values import (
    NAMESPACE_KINDS,
    VALUE_KINDS,
    MemberGone as MemberGone,
    MembersChanged as MembersChanged,
    mirror_of as mirror_of,
)

# Exact types come first within each group; a row that matches more says so itself.
# Between the groups: arrays before values (`np.float64` is a float), named functions
# before objects (a decorated function may be a Module), columns before the sequences
# that they are, advice before objects (a module
# of flax is a dataclass), types before objects (an annotation may be registered), and
# constants last.
_BUILT_IN: tuple[Kind, ...] = (
    *ARRAY_KINDS,
    *VALUE_KINDS,
    *NAME_KINDS,
    *ADVISED_KINDS,
    *FUNCTION_KINDS,
    *CLOSURE_KINDS,
    *UNNAMED_KINDS,
    *TYPE_KINDS,
    *COLUMN_KINDS,
    *SEQUENCE_KINDS,
    *MAPPING_KINDS,
    *NAMESPACE_KINDS,
    *OBJECT_KINDS,
    *LAST_KINDS,
    *MARKER_KINDS,
)
KINDS: list[Kind] = list(_BUILT_IN)
# Rows that only refuse keep nothing, so no file may name them.
_by_name: dict[str, Kind] = {kind.name: kind for kind in KINDS if kind.keeps}
# The kinds of objects whose fields a class declares, and may declare otherwise later.
WITH_FIELDS = frozenset(
    {"module", "equinox_partial", "dataclass", "namedtuple", "registered"}
)
# By identity, with the class: a metaclass may say that two classes are equal.
_by_class: dict[int, tuple[type, tuple[Kind, ...]]] = {}
_MAX_CLASSES = 10_000


def kinds_of(cls: type) -> tuple[Kind, ...]:
    """The kinds whose row matches a class, in the order of the table."""
    found = _by_class.get(id(cls))
    if found is None:
        found = cls, tuple(guarded(kind, cls) for kind in KINDS if kind.matches(cls))
        if len(_by_class) >= _MAX_CLASSES:  # classes made in a loop
            _by_class.clear()
        _by_class[id(cls)] = found
    return found[1]


def kind_named(name: object) -> Kind | None:
    """The kind that wrote a node, or None when this release does not know it."""
    return _by_name.get(name) if type(name) is str else None


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
        return Parts(children=[encode(obj)], is_node=False, refers=type(obj))

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
    )
    if known is not None:  # its class was defined again, as in a notebook
        KINDS.remove(_by_name[name])
    _registered[name] = cls
    add_kind(kind)
    _by_name[name] = kind


_registered: dict[str, type] = {}


def _own_name(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def add_kind(kind: Kind) -> None:
    """Put a row before all others."""
    KINDS.insert(0, kind)
    _by_class.clear()
