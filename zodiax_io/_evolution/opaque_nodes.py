"""Nodes of a file to `Opaque` objects and placeholders, and back to the same nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from .._kinds import flattening
from .._kinds.base import Kind, Parts, subclass
from .._kinds.lookup import add_kind, row_named
from .._kinds.objects import LEAFLESS, LEAVES
from .._kinds.placeholders import Placeholder
from .._kinds.values import scalar_record
from .._structure.nodes import RECORDED, Node, PlainNode
from .._structure.paths import short_path
from .._trust import reflection
from .._trust.names import top_level_package
from .opaque import Opaque, Origin, make_opaque, number_of
from .packages import MAIN, recorded_version

# Keys that the encoder writes for every kind.
_GENERIC = {
    *("node_type", "kind", "node", "keys", "static", "record", "repeats", "id"),
    *RECORDED,
}


def missing_function(
    node: Node,
    versions: Mapping[str, str],
    reason: str,
    script: str | None,
) -> Placeholder:
    """The placeholder for a function that is missing."""
    assert node.name is not None
    version = _own_version(node, versions, script)
    path, value = short_path(node.path), node.plain.get("value")
    return Placeholder(node.name, reason, path, version, value)


def _own_version(
    node: Node, versions: Mapping[str, str], script: str | None
) -> dict[str, tuple[str, str]]:
    """The package of a node's class or function, with the version that saved it."""
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
    """The `Opaque` object of a node, made of children that were built already.

    `firsts` caches the first record in each node, by the identity of its plain data.
    `script` is the file that was `__main__` when the checkpoint was saved.
    """
    children, keys = parts.children, parts.keys or ()
    named = isinstance(children, dict)
    values = tuple(children.values() if named else children or ())
    static = tuple(node.plain.get("static") or ()) if named else ()
    plain = {key: value for key, value in node.plain.items() if key not in _GENERIC}
    if node.plain.get("static", ()) is None:  # a file of zodiax 0.4 does not say which
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
    return make_opaque(origin, values, tuple(keys))


def _order(
    node: Node, static: tuple[str, ...], firsts: dict[int, int | None]
) -> tuple[int, ...]:
    """The indices of the dynamic children, in the order in which JAX flattens them.

    Records are numbered in that order.
    """
    kind = node.kind
    if not kind.is_node:
        return ()
    below = _plain_children(node.plain)
    dynamic = [i for i, (name, _) in enumerate(below) if name not in static]
    if kind.in_order:
        return tuple(dynamic)
    first = {i: _first_record(below[i][1], firsts) for i in dynamic}
    known = sorted((n, i) for i, n in first.items() if n is not None)
    # Children without a record keep their position.
    return tuple(i if first[i] is None else known.pop(0)[1] for i in dynamic)


def _plain_children(plain: PlainNode) -> list[tuple[Any, PlainNode]]:
    """The children in the plain data, where a reference has its own records."""
    children: Any = plain.get("node") or ()
    return list(children.items() if isinstance(children, dict) else enumerate(children))


def _first_record(plain: PlainNode, firsts: dict[int, int | None]) -> int | None:
    """The least record in a node; a load visits each node once."""
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


def _encode(obj: Opaque) -> Parts:
    origin = obj._origin
    children: Any = None
    if origin.names is not None:
        named = isinstance(origin.names, tuple)
        children = dict(obj.fields) if named else list(obj._children)
    number = number_of(origin)
    dynamic = set(origin.order)
    static = [i for i in range(len(obj._children)) if i not in dynamic]
    return Parts(
        children=children,
        keys=list(obj._keys) or None,
        static=origin.static,
        is_node=bool(row_named(origin.kind).is_node),
        order=None if origin.match_leaves_by_identity else (*origin.order, *static),
        match_leaves_by_identity=origin.match_leaves_by_identity,
        extra={"kind": origin.kind, **origin.plain},
        equinox_record=None if number is None else lambda: scalar_record(number),
        versions=origin.versions,
    )


def _refuse(parts: Parts) -> NoReturn:
    raise ValueError("an `Opaque` is saved as the object that it replaces")


UNKNOWN = Kind(
    "opaque",
    subclass(Opaque),
    _encode,
    _refuse,
    keeps='an `Opaque`, loaded by `unknown="opaque"`, as the kind it had in its file',
    shared=True,
)
add_kind(UNKNOWN, in_files=False)


def leaves_as_saved(tree: Any, stop: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves that JAX found in a tree when its `Opaque` objects were first saved.

    An object that contains an `Opaque` may be of a known class. Its node lists the
    positions of its leaves, and must list the same ones when it is saved again.

    Raises
    ------
    Exception
        As `flattening.leaves`.
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
    """Whether the original object was a node to JAX, not a leaf."""
    is_node = row_named(origin.kind).is_node
    if is_node == "registered":  # a node has this key, or a dynamic child
        names = origin.names if isinstance(origin.names, tuple) else ()
        return LEAFLESS in origin.plain or len(origin.static) < len(names)
    return is_node
