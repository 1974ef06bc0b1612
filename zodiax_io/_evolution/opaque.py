"""What stands for an object whose class is not here, and keeps all that it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

import equinox as eqx
import jax.tree_util as jtu
import msgpack
import numpy as np

from .._errors import (
    LIMITS,
    ArgumentError,
    ClassChangedError,
    PlaceholderError,
    ZodiaxIOError,
    resources_for,
    shown,
    shown_lines,
)
from .._kinds import flattening
from .._kinds.base import Kind, Parts, subclass
from .._kinds.lookup import KINDS, add_kind, row_named
from .._kinds.objects import LEAFLESS, LEAVES
from .._kinds.placeholders import Placeholder
from .._kinds.pytrees import children_held_by
from .._kinds.values import scalar_record
from .._structure.nodes import RECORDED, Node, PlainNode
from .._structure.paths import root_path, short_path
from .._trust import reflection
from .._trust.names import top_level_package
from .._trust.reflection import is_class
from .._trust.roles import CLASS
from .fields import Evolution
from .packages import MAIN, recorded_version

# What the encoder writes by itself, for any kind.
_GENERIC = {
    *("node_type", "kind", "node", "keys", "static", "record", "repeats", "id"),
    *RECORDED,
}


@dataclass(frozen=True, eq=False, repr=False)
class Origin:
    """What a node of a file says, but for what is in it.

    Attributes
    ----------
    kind : str
        The kind of object.
    name : str or None
        Its class, as the file names it.
    plain : dict
        What else the file says of it, in the file's order.
    names : tuple of str, int or None
        What its children are called, or how many there are; None for a leaf.
    static : tuple of str
        Those that are no children to JAX.
    order : tuple of int
        The others, in the order in which JAX has them.
    match_leaves_by_identity : bool
        Whether its leaves were found otherwise than child by child.
    versions : dict
        The package of its class, with its version when the file was written; of
        `__main__` the name of the script.
    reason : str
        Why the class is not used.
    """

    kind: str
    name: str | None
    plain: dict[str, Any]
    names: tuple[str, ...] | int | None
    static: tuple[str, ...]
    order: tuple[int, ...]
    match_leaves_by_identity: bool
    versions: dict[str, tuple[str, str]]
    reason: str

    def told(self) -> tuple[Any, ...]:
        """What tells it from others."""
        plain = msgpack.packb(self.plain)
        return self.kind, self.name, plain, self.names, self.static, self.order


class Opaque:
    """An object whose class is not here; all of it is kept, and comes back if saved.

    Its fields are attributes, and its arrays are leaves to JAX. What is saved again is
    what was loaded. `Opaque` objects are equal if class and content are.

    Attributes
    ----------
    type_name : str
        Its class, as the file names it: ``"package.module:Name"``.
    fields : mapping
        Its fields by name; also those that are called as something here is.
    reason : str
        Why its class is not used.

    Examples
    --------
    >>> import equinox as eqx
    >>> import zodiax_io
    >>> class Lens(eqx.Module):
    ...     radius: float
    >>> structure = zodiax_io.build_structure({"lens": Lens(2.0)})
    >>> structure["node"]["lens"]["type"] = "optics_of_old:Lens"
    >>> model = zodiax_io.load_structure(structure, unknown="opaque")
    >>> model["lens"]
    Opaque('optics_of_old:Lens', radius=2.0)
    >>> model["lens"].radius
    2.0
    >>> model["lens"].become(Lens)
    Lens(radius=2.0)
    """

    __slots__ = ("_children", "_keys", "_origin")
    _children: tuple[Any, ...]
    _keys: tuple[Any, ...]
    _origin: Origin

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("An Opaque is made by `deserialise(path, unknown='opaque')`.")

    @property
    def type_name(self) -> str:
        """The class, as the file names it."""
        return self._origin.name or self._origin.kind

    @property
    def fields(self) -> Mapping[str, Any]:
        """What it holds, by name; or by number, where there are no names."""
        names = self._origin.names or ()
        labels = map(str, range(names)) if isinstance(names, int) else names
        return MappingProxyType(dict(zip(labels, self._children, strict=True)))

    @property
    def reason(self) -> str:
        """Why the class is not used."""
        return self._origin.reason

    def become(self, cls: Any, upgrade: Any = None) -> Any:
        """An object of a class that is here, with the same fields.

        Fields that the class has gained or lost are dealt with as in a load.

        Parameters
        ----------
        cls : type
            A Module, a dataclass, a namedtuple or an Enum.
        upgrade : callable, optional
            From the dict of fields to that of the class, as for `upgraded`.

        Returns
        -------
        object
            An instance of the class; it is built as a load does, without `__init__`.

        Raises
        ------
        ArgumentError
            If the class is none of these.
        ClassChangedError
            If it has fields that are not there, and that have no default.

        Warns
        -----
        ClassChangedWarning
            If the fields are not those of the class.
        """
        return _become(self, cls, upgrade)

    def __getattr__(self, name: str) -> Any:
        """A field."""
        origin = self._origin
        # Python, NumPy and notebooks look for such names, and call what they find.
        if not name.startswith(("__", "_repr_", "_ipython_")):
            if isinstance(origin.names, tuple) and name in origin.names:
                return self._children[origin.names.index(name)]
            children = self.fields.get("children")
            if type(children) is tuple:
                for index in children_held_by(origin.plain, name):
                    if type(index) is int and 0 <= index < len(children):
                        return children[index]
        raise AttributeError(
            f"An Opaque of `{shown(self.type_name)}` has no field `{shown(name)}`."
        )

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refused, as by a Module."""
        raise AttributeError("An Opaque cannot be changed; use `equinox.tree_at`.")

    def __delattr__(self, name: str) -> NoReturn:
        """Refused, as by a Module."""
        raise AttributeError("An Opaque cannot be changed; use `equinox.tree_at`.")

    def __dir__(self) -> list[str]:
        """The fields, too."""
        return [*object.__dir__(self), *(n for n in self.fields if n.isidentifier())]

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise a `PlaceholderError`: there is no code to run."""
        raise PlaceholderError(
            f"There is nothing to call: `{shown(self.type_name)}` "
            f"{shown_lines(self.reason)}."
        )

    def __eq__(self, other: object) -> bool:
        """Equal when class and content are."""
        if not isinstance(other, Opaque):
            return NotImplemented
        return _same(_flatten(self), _flatten(other))

    def __hash__(self) -> int:
        """By the name of the class."""
        return hash((self._origin.kind, self._origin.name))

    def __repr__(self) -> str:
        """The class and its fields, as Equinox shows a Module."""
        parts = [repr(self.type_name)]
        if "value" in self._origin.plain:
            parts.append(shown(repr(self._origin.plain["value"])))
        parts += [f"{shown(k)}={eqx.tree_pformat(v)}" for k, v in self.fields.items()]
        line = f"Opaque({', '.join(parts)})"
        if len(line) <= _WIDTH and "\n" not in line:
            return line
        body = ",\n".join(parts).replace("\n", "\n  ")
        return f"Opaque(\n  {body}\n)"

    def _repr_html_(self) -> str:
        """A tree in a notebook, as of a file."""
        return _seen(self)._repr_html_()

    def __treescope_repr__(self, path: Any, render: Any) -> Any:
        """The same for treescope, which calls this."""
        return _seen(self).__treescope_repr__(path, render)

    def __reduce__(self) -> Any:
        """As any object is copied, and pickled."""
        return _made, (self._origin, self._children, self._keys)


_WIDTH = 80

# What makes a `Summary` of a tree; above this module, since it takes trees apart.
_seen: Callable[[Any], Any]


def seen_by(summarise: Callable[[Any], Any]) -> None:
    """Set what notebooks show an `Opaque` by."""
    global _seen
    _seen = summarise


class OpaqueNumber(Opaque):
    """A member of an Enum of integers: a leaf to JAX, as that is."""

    __slots__ = ()
    __hash__ = Opaque.__hash__


def _made(origin: Origin, children: tuple[Any, ...], keys: tuple[Any, ...]) -> Opaque:
    is_number = type(origin.plain.get("number")) in (int, bytes)
    obj = object.__new__(OpaqueNumber if is_number else Opaque)
    object.__setattr__(obj, "_origin", origin)
    object.__setattr__(obj, "_children", children)
    object.__setattr__(obj, "_keys", keys)
    return obj


def leaves_as_saved(tree: Any, stop: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves that JAX found in a tree before objects in it became `Opaque`.

    What holds an `Opaque` may have its class here, and its node in a file describes
    where its leaves are: it has to say the same when it is saved again.

    Raises
    ------
    Exception
        As `_trees.leaves`.
    """
    return flattening.leaves(tree, stop, _children_as_saved)


def _children_as_saved(obj: Any) -> list[Any] | None:
    if not reflection.derives(type(obj), Opaque):
        return flattening.children_of(obj)
    origin = obj._origin
    if not _was_node(origin):
        return None
    below = origin.plain.get(LEAVES)
    if type(below) is list:
        inside = [leaf for child in obj._children for leaf in leaves_as_saved(child)]
        known = [i for i in below if type(i) is int and 0 <= i < len(inside)]
        if len(set(known)) == len(below):
            return [inside[i] for i in known]
    return [obj._children[i] for i in origin.order]


def _was_node(origin: Origin) -> bool:
    """Whether JAX saw a node, not a leaf, in the object that became `Opaque`."""
    is_node = row_named(origin.kind).is_node
    if is_node == "registered":  # which shows in its fields
        names = origin.names if isinstance(origin.names, tuple) else ()
        return LEAFLESS in origin.plain or len(origin.static) < len(names)
    return is_node


def missing_function(
    node: Node,
    versions: Mapping[str, str],
    reason: str,
    script: str | None,
) -> Placeholder:
    """What stands for a function that is not here."""
    assert node.name is not None
    version = _own_version(node, versions, script)
    path, value = short_path(node.path), node.plain.get("value")
    return Placeholder(node.name, reason, path, version, value)


def _own_version(
    node: Node, versions: Mapping[str, str], script: str | None
) -> dict[str, tuple[str, str]]:
    package = (
        "" if node.name is None else top_level_package(node.name.partition(":")[0])
    )
    if package == MAIN:
        return {MAIN: ("script", script or "")}
    if not package.isidentifier():
        return {}
    found = recorded_version(versions, package)
    version = node.plain.get("version")
    if found is not None and type(version) is str:
        found = (found[0], version)
    return {} if found is None else {package: found}


def opaque_of(
    node: Node,
    parts: Parts,
    versions: Mapping[str, str],
    reason: str,
    firsts: dict[int, int | None],
    script: str | None,
) -> Opaque:
    """What stands for the object of a node, whose children are there.

    The first records in nodes that are known by now are in `firsts`. The `script` was
    `__main__` when the file was written.
    """
    children, keys = parts.children, parts.keys or ()
    named = isinstance(children, dict)
    values = tuple(children.values() if named else children or ())
    static = tuple(node.plain.get("static") or ()) if named else ()
    plain = {key: value for key, value in node.plain.items() if key not in _GENERIC}
    if node.plain.get("static", ()) is None:  # an old file, which does not tell
        plain["static"] = None
    origin = Origin(
        kind=node.kind_name,
        name=node.name,
        plain=plain,
        names=tuple(children) if named else None if children is None else len(values),
        static=static,
        order=_order(node, static, firsts),
        match_leaves_by_identity="repeats" in node.plain
        or node.kind.match_leaves_by_identity,
        versions=_own_version(node, versions, script),
        reason=reason,
    )
    return _made(origin, values, tuple(keys))


def _order(
    node: Node, static: tuple[str, ...], firsts: dict[int, int | None]
) -> tuple[int, ...]:
    """The children that JAX has, in its order, which the numbers of records show."""
    kind = node.kind
    if not kind.is_node:
        return ()
    below = _plain_children(node.plain)
    places = [i for i, (name, _) in enumerate(below) if name not in static]
    if kind.in_order:
        return tuple(places)
    first = {i: _first_record(below[i][1], firsts) for i in places}
    known = sorted((n, i) for i, n in first.items() if n is not None)
    # Those without a record stay where they are.
    return tuple(i if first[i] is None else known.pop(0)[1] for i in places)


def _plain_children(plain: PlainNode) -> list[tuple[Any, PlainNode]]:
    """The children as the file has them: a reference has records of its own."""
    children: Any = plain.get("node") or ()
    return list(children.items() if isinstance(children, dict) else enumerate(children))


def _first_record(plain: PlainNode, firsts: dict[int, int | None]) -> int | None:
    """The least record in a node; each node is visited once in a load."""
    waiting: list[tuple[PlainNode, bool]] = [(plain, False)]
    while waiting:
        one, below_is_known = waiting.pop()
        if id(one) in firsts:
            continue
        children = [child for _, child in _plain_children(one)]
        if not below_is_known:
            waiting += [(one, True), *((child, False) for child in children)]
            continue
        found = [one.get("record"), *one.get("repeats", ())]
        found += [firsts.get(id(child)) for child in children]
        firsts[id(one)] = min((n for n in found if n is not None), default=None)
    return firsts.get(id(plain))


# As a pytree --------------------------------------------------------------------------


class _Rest:
    """What is no leaf of an Opaque; JAX compares it."""

    __slots__ = ("aside", "keys", "origin")

    def __init__(
        self, origin: Origin, aside: tuple[Any, ...], keys: tuple[Any, ...]
    ) -> None:
        self.origin, self.aside, self.keys = origin, aside, keys

    def __eq__(self, other: object) -> bool:
        if type(other) is not _Rest or self.origin.told() != other.origin.told():
            return False
        return _same(((self.aside, self.keys), None), ((other.aside, other.keys), None))

    def __hash__(self) -> int:
        return hash((self.origin.kind, self.origin.name))

    def __repr__(self) -> str:
        """The class, as a treedef shows it."""
        return shown(self.origin.name or self.origin.kind)


def _same(ours: Any, theirs: Any) -> bool:
    """Whether two objects, taken apart, are equal, arrays bit for bit."""
    (a, rest), (b, other_rest) = ours, theirs
    if rest != other_rest:
        return False
    try:
        (a, a_def), (b, b_def) = flattening.flatten(a), flattening.flatten(b)
        if a_def != b_def or len(a) != len(b):
            return False
    except LIMITS:
        raise
    except Exception:  # of a class, or keys that JAX cannot sort
        return all(x is y for x, y in zip(a, b, strict=True))
    return all(x is y or _same_leaf(x, y) for x, y in zip(a, b, strict=True))


def _same_leaf(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if not eqx.is_array_like(a) or isinstance(a, (bool, int)):
        try:
            return bool(a == b)
        except LIMITS:
            raise
        except Exception:  # that of the class
            return False
    return bool(eqx.tree_equal(a, b)) or _same_bits(a, b)


def _same_bits(a: Any, b: Any) -> bool:
    """For what is not equal to itself."""
    try:
        left, right = np.asarray(a), np.asarray(b)
    except LIMITS:
        raise
    except Exception:  # a tracer, or a random key
        return False
    same = left.dtype == right.dtype and left.shape == right.shape
    return same and left.tobytes() == right.tobytes()


def _flatten(obj: Opaque) -> tuple[tuple[Any, ...], _Rest]:
    origin, children = obj._origin, obj._children
    leafy = set(origin.order)
    aside = tuple(c for i, c in enumerate(children) if i not in leafy)
    return tuple(children[i] for i in origin.order), _Rest(origin, aside, obj._keys)


def _flatten_with_keys(obj: Opaque) -> tuple[Any, _Rest]:
    children, rest = _flatten(obj)
    names = tuple(obj.fields)
    labels = [jtu.GetAttrKey(names[i]) for i in obj._origin.order]
    return tuple(zip(labels, children, strict=True)), rest


def _unflatten(rest: _Rest, children: Any) -> Opaque:
    origin = rest.origin
    inside = dict(zip(origin.order, children, strict=True))
    aside = iter(rest.aside)
    count = len(inside) + len(rest.aside)
    values = tuple(inside[i] if i in inside else next(aside) for i in range(count))
    return _made(origin, values, rest.keys)


jtu.register_pytree_with_keys(Opaque, _flatten_with_keys, _unflatten, _flatten)


# To and from files --------------------------------------------------------------------


def _encode(obj: Opaque) -> Parts:
    origin = obj._origin
    children: Any = None
    if origin.names is not None:
        named = isinstance(origin.names, tuple)
        children = dict(obj.fields) if named else list(obj._children)
    number = origin.plain.get("number")  # an Enum that is an int to JAX
    leafy = set(origin.order)
    rank = [i for i in range(len(obj._children)) if i not in leafy]
    return Parts(
        children=children,
        keys=list(obj._keys) or None,
        static=origin.static,
        is_node=bool(row_named(origin.kind).is_node),
        order=None if origin.match_leaves_by_identity else (*origin.order, *rank),
        match_leaves_by_identity=origin.match_leaves_by_identity,
        extra={"kind": origin.kind, **origin.plain},
        equinox_record=(lambda: scalar_record(number))
        if type(number) in (int, bytes)
        else None,
        versions=origin.versions,
    )


def _refuse(parts: Parts) -> NoReturn:
    raise ValueError("no file holds what is opaque: it holds what that stands for")


UNKNOWN = Kind(
    "opaque",
    subclass(Opaque),
    _encode,
    _refuse,
    keeps='what `unknown="opaque"` has loaded, as the kind that it was in its file',
    shared=True,
)
add_kind(UNKNOWN, in_files=False)


_ROOT = root_path("model")


@resources_for("build the object")
def _become(obj: Opaque, cls: Any, upgrade: Any) -> Any:
    kind = _kind_for(cls)
    if kind is None:
        raise ArgumentError(
            f"{shown(repr(cls))} is not a Module, a dataclass, a namedtuple or an Enum."
        )
    origin = obj._origin
    if row_named(origin.kind).refers_to is CLASS:
        return cls
    if upgrade is not None and not callable(upgrade):
        raise ArgumentError("An upgrade is a function of the dictionary of fields.")
    extra = {**origin.plain, "type": obj.type_name, "node": dict(obj.fields)}
    # A class of another sort had no static fields to tell of.
    extra["static"] = list(origin.static) if origin.kind == kind.name else None
    parts = Parts(dict(obj.fields), refers=cls, extra=extra, value=extra.get("value"))
    evolution = Evolution(dict(origin.versions.values()))
    try:
        if kind.fields is None:
            return kind.decode(parts)
        if upgrade is not None:
            parts, made = evolution.apply(upgrade, parts, _ROOT)
            if made is not None:
                return made[0]
        result = evolution.build(kind, parts, _ROOT)
    except (ZodiaxIOError, *LIMITS):
        raise
    except Exception as error:
        raise ClassChangedError(
            f"What was `{shown(obj.type_name)}` cannot become a `{cls.__qualname__}`: "
            f"{shown(error, 400)}."
        ) from error
    evolution.report(f"What was `{shown(obj.type_name)}`")
    return result


def _kind_for(cls: Any) -> Kind | None:
    if not is_class(cls):
        return None
    for kind in KINDS:
        role = kind.refers_to if kind.may_become else None
        if role is not None and role.accepts(cls):
            return kind
    return None
