"""A pytree to a structure of plain data and the records of its arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, NamedTuple

import jax

from .._arrays.records import Record
from .._errors import (
    LIMITS,
    ArgumentError,
    SerialisationError,
    ZodiaxIOError,
    shown,
)
from .._evolution.opaque_nodes import UNKNOWN, leaves_as_saved
from .._interpreter import call_deeply
from .._kinds.advice import advice_for
from .._kinds.base import CannotKeep, CannotRebuild, Kind, Parts
from .._kinds.columns import is_column
from .._kinds.lookup import kinds_of
from .._kinds.objects import LEAVES
from .._kinds.placeholders import Placeholder, is_unnamed_function, placeholder_for
from .._structure.nodes import FRAMES, MAX_DEPTH, MAX_REPEATED, REFERENCE, PlainNode
from .._structure.paths import Path, path_text, root_path
from .._trust import reflection
from .._trust.judge import objection
from .._trust.names import is_redefined, name_of

# A node that is copied from another file, one of its packages, and the entry of that
# package in `Parts.versions`.
Kept = tuple[PlainNode, str, tuple[str, str]]


@dataclass(eq=False, repr=False)
class Encoded:
    """An encoded tree: plain data, and the arrays in the order of their records."""

    structure: PlainNode
    records: list[Record]
    names: dict[str, Any] = field(default_factory=dict[str, Any])
    placeholders: list[Placeholder] = field(default_factory=list[Placeholder])
    depth: int = 0
    kept: list[Kept] = field(default_factory=list[Kept])


@dataclass(slots=True, eq=False, repr=False)
class _Seen:
    """An object that the encoder has visited; its node once that is complete.

    The `__dict__` of an instance is one as well, which nothing may refer to.
    """

    obj: Any  # kept alive, so that no other object gets its identity
    node: PlainNode | None = None
    size: int = 0
    is_owned: bool = False


_SHARED_DICT = (
    "Another object of the tree is its `__dict__`, or has the same one, and would not "
    "after loading. Keep what they share as an attribute of both."
)


class _Leaf(NamedTuple):
    """An array or scalar that gets a record of the companion."""

    node: PlainNode
    record: Record
    source: Any
    path: Path
    repeats: bool = False  # written again for plain Equinox: another node has it


class _ContainsItself(SerialisationError):
    """The refusal of an object that contains itself."""

    def __init__(self, obj: Any, path: str) -> None:
        super().__init__(
            f"Cannot serialise `{path}`: it contains itself. JAX cannot flatten a "
            "cycle either; break it, for example by an index.",
            path,
        )
        self.obj = obj


class Encoder:
    """Makes the nodes of one tree, and collects its arrays and names on the way."""

    with_columns = True  # long lists of numbers as one node

    def __init__(self, functions: str) -> None:
        self.functions = functions
        self.seen: dict[int, _Seen] = {}
        self.names: dict[str, Any] = {}
        self.named: dict[tuple[int, str], str] = {}
        self.leaves: list[_Leaf] = []
        self.extras: list[_Leaf] = []
        self.failures: dict[int, SerialisationError] = {}
        self.failed: list[Any] = []  # kept alive: `failures` has their identities
        self.placeholders: list[Placeholder] = []
        self.kept: list[Kept] = []
        self.shared = 0
        self.size = 0
        self.repeated = 0
        self.depth = 0

    def node_of(self, obj: Any, path: Path, depth: int, dynamic: bool) -> PlainNode:
        """The node of an object; `dynamic` where JAX would find it among the leaves."""
        seen = self.seen.get(id(obj))
        if seen is not None:
            return self._reference_to(seen, path, dynamic)
        if depth > self.depth:
            self.depth = depth
            if depth > MAX_DEPTH:
                raise SerialisationError(
                    f"Cannot serialise `{shown(path_text(path))[:60]}…`: the tree is "
                    f"nested more than {MAX_DEPTH} levels deep, and JAX itself fails "
                    "soon after. Keep long chains as a list instead.",
                    path_text(path),
                )
        # The fast path: the first kind encodes almost every object. The loop below it
        # tries all.
        for kind in () if id(obj) in self.failures else kinds_of(type(obj)):
            if kind.may_fail_inside:
                break
            if kind.expand is not None and not self.with_columns:
                continue
            try:
                parts = kind.encode(obj)
            except LIMITS:
                raise
            except Exception:
                break
            if parts is not None:
                return self._node(kind, parts, obj, path, depth, dynamic)
        for attempt in self._attempts(obj, path):
            kind, parts, obj = attempt
            if not kind.may_fail_inside:
                return self._node(kind, parts, obj, path, depth, dynamic)
            before = self._mark()
            try:
                return self._node(kind, parts, obj, path, depth, dynamic)
            except SerialisationError as error:
                self._rewind(before)
                if type(error) is _ContainsItself and type(obj) is FunctionType:
                    if error.obj is not obj and type(error.obj) is FunctionType:
                        raise  # if two call each other, the outer is the placeholder
                    return self._recursive(obj, path, depth, dynamic)
                self.failures.setdefault(id(obj), error)
                self.failed.append(obj)
        raise self.failures[id(obj)]

    def _recursive(self, obj: Any, path: Path, depth: int, dynamic: bool) -> PlainNode:
        """The placeholder of a local function that refers to itself.

        Raises
        ------
        SerialisationError
            If ``functions="error"``.
        """
        if self.functions == "warn":
            return self.node_of(self._placeholder(obj, path), path, depth, dynamic)
        raise _cannot(
            obj,
            path,
            f"The local function `{obj.__qualname__}` refers to itself, as recursive "
            "functions do, so that it would contain itself. Write it by `def` at the "
            "top level of a module, or keep its source text only by "
            '`functions="warn"`.',
        )

    def _node(
        self,
        kind: Kind,
        parts: Parts,
        obj: Any,
        path: Path,
        depth: int,
        dynamic: bool,
    ) -> PlainNode:
        before = self.size
        self.size += 1
        children = parts.children
        seen = None
        if kind.shared:
            seen = self.seen[id(obj)] = _Seen(obj)
        if parts.owned is not None:
            if id(parts.owned) in self.seen:
                raise _cannot(obj, path, _SHARED_DICT)
            self.seen[id(parts.owned)] = _Seen(parts.owned, is_owned=True)
        node: PlainNode = {
            "node_type": "leaf" if children is None else "container",
            "kind": kind.name,
        }
        if parts.refers is not None:
            node["type"] = self._name(parts, kind, obj, path)
        if parts.value is not None:
            node["value"] = parts.value
        if parts.extra:
            node.update(parts.extra)
        for package, version in (parts.versions or {}).items():
            self.kept.append((node, package, version))
        if parts.array is not None:
            (self.leaves if dynamic else self.extras).append(
                _Leaf(node, parts.array, obj, path)
            )
        elif parts.equinox_record is not None and dynamic:
            self.leaves.append(_Leaf(node, parts.equinox_record(), obj, path))
        if children is not None:
            self._add_children(node, kind, parts, obj, path, depth, dynamic)
        if kind.expand is not None:
            self.size += len(obj)
        if seen is not None:
            seen.node, seen.size = node, self.size - before
        return node

    def _add_children(
        self,
        node: PlainNode,
        kind: Kind,
        parts: Parts,
        obj: Any,
        path: Path,
        depth: int,
        dynamic: bool,
    ) -> None:
        """Add the nodes of keys and children, with their leaves in JAX's order."""
        depth += 1
        if parts.keys is not None:
            node["keys"] = [
                self.node_of(key, (path, None, i), depth, False)
                for i, key in enumerate(parts.keys)
            ]
        extras = len(self.extras)
        children: Any = parts.children
        is_node = kind.is_node if parts.is_node is None else parts.is_node
        by_identity = parts.match_leaves_by_identity or kind.match_leaves_by_identity
        inside = bool(dynamic and is_node and not by_identity)
        starts: list[int] = []
        nodes: dict[Any, PlainNode] = {}
        named = isinstance(children, dict)
        static = frozenset(parts.static)
        for name, child in children.items() if named else enumerate(children):
            starts.append(len(self.leaves))
            leafy = inside and name not in static
            nodes[name] = self.node_of(child, (path, node, name), depth, leafy)
        if inside and parts.order is not None:
            self._reorder(starts, parts.order)
        if dynamic and by_identity:
            self._match_leaves(obj, extras, path, node)
        names = parts.static
        if by_identity and named and kind is not UNKNOWN:
            names = _describe_leaves(obj, children, node)
        if names:
            node["static"] = list(names)
        node["node"] = nodes if named else list(nodes.values())

    def _match_leaves(self, obj: Any, start: int, path: Path, node: PlainNode) -> None:
        """Move the leaves of an object from `extras` to `leaves`, in JAX's order."""
        inside = self.extras[start:]
        sources = [entry.source for entry in inside]
        moved: set[int] = set()
        for leaf, found in _matched(_recorded_leaves(obj), sources):
            if found is None:
                self._repeat(node, leaf, path)
            else:
                self.leaves.append(inside[found])
                moved.add(found)
        self.extras[start:] = [x for i, x in enumerate(inside) if i not in moved]

    def _repeat(self, node: PlainNode, leaf: Any, path: Path) -> None:
        """Add another record for a leaf: plain Equinox reads one at each appearance."""
        parts = next(iter(self._attempts(leaf, path)))[1]
        record = parts.array if parts.equinox_record is None else parts.equinox_record()
        if record is not None:
            self.leaves.append(_Leaf(node, record, leaf, path, repeats=True))

    def _mark(self) -> tuple[int, ...]:
        lists = (self.leaves, self.extras, self.placeholders, self.seen)
        return (*map(len, lists), self.size)

    def _rewind(self, mark: tuple[int, ...]) -> None:
        """Undo all that a failed attempt has added."""
        leaves, extras, placeholders, seen, self.size = mark
        del self.leaves[leaves:], self.extras[extras:], self.placeholders[placeholders:]
        while len(self.seen) > seen:
            self.seen.popitem()

    def _attempts(self, obj: Any, path: Path) -> Iterator[tuple[Kind, Parts, Any]]:
        """The kinds and parts by which an object can be kept, in the table's order."""
        if id(obj) in self.failures:
            return
        tried = False
        for kind in kinds_of(type(obj)):
            try:
                parts = kind.encode(obj)
            except CannotKeep as error:
                if tried and type(error) is not CannotRebuild:
                    return
                if self.functions == "warn" and is_unnamed_function(obj):
                    yield from self._attempts(self._placeholder(obj, path), path)
                    return
                raise _cannot(obj, path, str(error)) from None
            except ZodiaxIOError:
                raise
            except jax.errors.UnexpectedTracerError as error:
                raise _cannot(
                    obj,
                    path,
                    "Taking it apart computes with a tracer, whose values do not exist "
                    "yet. Save outside of `jax.jit`, `jax.grad` and `jax.vmap`.",
                ) from error
            except LIMITS:
                raise
            except Exception as error:
                raise _cannot(
                    obj,
                    path,
                    f"Taking it apart failed with {type(error).__name__}: {error}",
                ) from error
            if parts is not None:
                tried = True
                yield kind, parts, obj
        if not tried:
            raise _cannot(obj, path, advice_for(obj))

    def _placeholder(self, obj: Any, path: Path) -> Placeholder:
        placeholder = placeholder_for(obj, path_text(path))
        self.placeholders.append(placeholder)
        return placeholder

    def _reference_to(self, seen: _Seen, path: Path, dynamic: bool) -> PlainNode:
        """A reference to an object that was visited before."""
        if seen.is_owned:
            raise _cannot(seen.obj, path, _SHARED_DICT)
        if seen.node is None:
            raise _ContainsItself(seen.obj, path_text(path))
        self.size += seen.size
        self.repeated += seen.size
        if self.repeated > MAX_REPEATED:
            raise SerialisationError(
                f"Cannot serialise `{path_text(path)}`: the tree shares so much that "
                f"JAX would see more than {MAX_REPEATED} nodes again.",
                path_text(path),
            )
        if "id" not in seen.node:
            seen.node["id"] = self.shared
            self.shared += 1
        node = {"node_type": "leaf", "kind": REFERENCE, "value": seen.node["id"]}
        if dynamic:
            # Plain Equinox knows no sharing: it reads the leaves at every appearance.
            for leaf in _recorded_leaves(seen.obj):
                self._repeat(node, leaf, path)
        return node

    def _reorder(self, starts: list[int], order: Sequence[int]) -> None:
        """Put the leaves of the children into the order in which JAX flattens them."""
        if not starts:
            return
        ends = [*starts[1:], len(self.leaves)]
        runs = [self.leaves[a:b] for a, b in zip(starts, ends, strict=True)]
        self.leaves[starts[0] :] = [leaf for i in order for leaf in runs[i]]

    def _name(self, parts: Parts, kind: Kind, obj: Any, path: Path) -> str:
        refers = parts.refers
        key = (id(refers), kind.name)
        known = self.named.get(key)
        if known is not None:
            return known
        name = parts.name or name_of(refers)
        module, qualname = reflection.own_name(refers) or ("", repr(refers))
        if name is None:
            if "<locals>" in qualname:
                why = (
                    f"`{qualname}` is defined inside a function, where no load finds it"
                )
                advice = "Define it at the top level of a module"
            elif is_redefined(refers):
                why = (
                    f"`{module}` has another `{qualname}` now: it was defined again "
                    "since this was made"
                )
                advice = "Make the object anew from the new one"
            else:
                why = f"`{module}` has no `{qualname}` that is this very object"
                advice = "Give it a name of its own"
            raise _cannot(
                obj,
                path,
                f"{why}. {advice}, or name it by "
                '`zodiax_io.register(obj, alias="package.module:Name")`.',
            )
        assert kind.refers_to is not None
        reason = objection(name, kind.refers_to)
        if reason is not None:
            raise _cannot(
                obj,
                path,
                f"`{name}` {reason}, so no file could be loaded. If it does no harm "
                "when a file asks for it, pass it to `zodiax_io.register` where you "
                "save and where you load.",
            )
        self.named[key] = name
        self.names[name] = refers
        return name


def _leaves(obj: Any) -> list[Any]:
    """The leaves of an object; none where JAX fails, such as on keys it cannot sort."""
    try:
        return leaves_as_saved(obj)
    except LIMITS:
        raise
    except Exception:  # the keys' own code
        return []


def _recorded_leaves(obj: Any) -> list[Any]:
    """The leaves outside of columns, whose elements get no records."""
    try:
        found = leaves_as_saved(obj, is_column)
    except LIMITS:
        raise
    except Exception:  # the keys' own code
        return []
    return [leaf for leaf in found if not is_column(leaf)]


def _matched(
    leaves: Iterable[Any], sources: Iterable[Any]
) -> list[tuple[Any, int | None]]:
    """Each leaf with the number of its source: the first that no other leaf has."""
    waiting: dict[Any, list[int]] = {}
    for number, source in enumerate(sources):
        waiting.setdefault(_identity(source), []).append(number)
    for numbers in waiting.values():
        numbers.reverse()
    return [
        (leaf, numbers.pop() if (numbers := waiting.get(_identity(leaf))) else None)
        for leaf in leaves
    ]


def _identity(leaf: Any) -> Any:
    """A key for a leaf: by value for numbers and text, which Python may share."""
    cls = type(leaf)
    if cls is float or cls is complex:
        return cls, leaf.real.hex(), leaf.imag.hex()
    if cls in (bool, int, str, bytes):
        return cls, leaf
    return id(leaf)


def _describe_leaves(
    obj: Any, children: Mapping[str, Any], node: PlainNode
) -> tuple[str, ...]:
    """Write where the leaves of an object are, for readers without its class.

    Returns the names of the children in which JAX finds no leaf.
    """
    inside = {name: _leaves(child) for name, child in children.items()}
    owners = [name for name, below in inside.items() for _ in below]
    sources = [leaf for below in inside.values() for leaf in below]
    found = [number for _, number in _matched(_leaves(obj), sources)]
    places = [number for number in found if number is not None]
    used = {owners[number] for number in places}
    static = tuple(name for name in children if name not in used)
    usual = [number for number, name in enumerate(owners) if name in used]
    if places != usual and len(places) == len(found):
        node[LEAVES] = places
    return static


def _cannot(obj: Any, path: Path, why: str) -> SerialisationError:
    cls = type(obj)
    where = path_text(path)
    return SerialisationError(
        f"Cannot serialise a `{cls.__module__}.{cls.__qualname__}` at "
        f"`{shown(where)}`. {why}",
        where,
    )


def encode(tree: Any, *, functions: str = "error", root: str = "model") -> Encoded:
    """Encode a tree as plain data and the records of its arrays."""
    return encode_all({root: tree}, functions=functions)[root]


def encode_all(trees: Mapping[str, Any], *, functions: str) -> dict[str, Encoded]:
    """Encode several trees, whose records follow one another in the same order.

    The key of each tree is the root of its paths.
    """
    if functions not in ("error", "warn"):
        raise ArgumentError(f'`functions` is "error" or "warn", not {functions!r:.80}.')
    result: dict[str, Encoded] = {}
    offset = 0
    for i, (root, tree) in enumerate(trees.items()):
        encoder = Encoder(functions)
        structure = call_deeply(
            FRAMES, encoder.node_of, tree, root_path(root), 0, dynamic=i == 0
        )
        records = [*encoder.leaves, *encoder.extras]
        for index, leaf in enumerate(records, start=offset):
            leaf.record.path = leaf.path
            if leaf.repeats:
                leaf.node.setdefault("repeats", []).append(index)
            else:
                leaf.node["record"] = index
        offset += len(records)
        result[root] = Encoded(
            structure,
            [leaf.record for leaf in records],
            encoder.names,
            encoder.placeholders,
            encoder.depth,
            encoder.kept,
        )
    return result
