"""A pytree as a structure of plain data, and back: the library's only recursion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType, MappingProxyType
from typing import Any, Literal, NamedTuple

import jax
from jax.sharding import NamedSharding, Sharding
from numpy.typing import NDArray

from . import _environment
from ._arrays import dtypes, npy
from ._arrays.records import Record
from ._errors import (
    LIMITS,
    ArgumentError,
    ClassChangedError,
    CorruptFileError,
    SerialisationError,
    SettingsError,
    ZodiaxIOError,
    not_damage,
    resources_for,
    shown,
)
from ._evolution import Evolution
from ._jax import call_deeply, detached, enumeration_item_type
from ._kinds import base
from ._kinds.advice import advice_for
from ._kinds.arrays import Damaged, outline
from ._kinds.base import CannotKeep, CannotRebuild, Kind, Parts
from ._kinds.columns import is_column
from ._kinds.digests import SourceChanged
from ._kinds.objects import LEAVES
from ._kinds.placeholders import Placeholder, is_unnamed_function, placeholder_for
from ._kinds.table import WITH_FIELDS, kind_named, kinds_of
from ._kinds.values import MemberGone, MembersChanged
from ._opaque import UNKNOWN, Opaque, leaves_as_saved, missing_function, opaque_of
from ._placement import HOST, Target, place
from ._survey import (
    MAX_DEPTH,
    MAX_REPEATED,
    Node,
    Path,
    Survey,
    name_of_type,
    path_text,
    short_path,
    survey,
)
from ._trust import reflection
from ._trust.finding import Unresolved
from ._trust.judge import Judge, objection
from ._trust.names import is_redefined, name_of

# Frames of Python for that depth: a few a level, and twice as many under type checks.
_FRAMES = 12 * MAX_DEPTH


# Taking apart -------------------------------------------------------------------------


# The node of something kept as another file had it, and its package with the version;
# of `__main__` the name of the script.
Kept = tuple[Node, str, tuple[str, str]]


@dataclass(eq=False, repr=False)
class Encoded:
    """A tree taken apart: plain data, and the arrays in the order of their records."""

    structure: Node
    records: list[Record]
    names: dict[str, Any] = field(default_factory=dict[str, Any])
    placeholders: list[Placeholder] = field(default_factory=list[Placeholder])
    depth: int = 0
    kept: list[Kept] = field(default_factory=list[Kept])


@dataclass(slots=True, eq=False, repr=False)
class _Met:
    obj: Any  # kept alive, so that its identity stays its own
    node: Node | None = None
    size: int = 0


class _Leaf(NamedTuple):
    """An array or scalar that gets a record of the companion."""

    node: Node
    record: Record
    source: Any
    repeats: bool = False  # for plain Equinox, what another node holds


class _ContainsItself(SerialisationError):
    """An object that is within itself."""

    def __init__(self, obj: Any, path: str) -> None:
        super().__init__(
            f"Cannot serialise `{path}`: it contains itself. JAX cannot flatten a "
            "cycle either; break it, for example by an index.",
            path,
        )
        self.obj = obj


class _Encoder:
    with_columns = True  # long lists of numbers as one node

    def __init__(self, functions: str) -> None:
        self.functions = functions
        self.met: dict[int, _Met] = {}
        self.names: dict[str, Any] = {}
        self.named: dict[tuple[int, str], str] = {}
        self.leaves: list[_Leaf] = []
        self.extras: list[_Leaf] = []
        self.failures: dict[int, SerialisationError] = {}
        self.placeholders: list[Placeholder] = []
        self.kept: list[Kept] = []
        self.shared = 0
        self.size = 0
        self.repeated = 0
        self.depth = 0

    def node_of(self, obj: Any, path: Path | str, depth: int, dynamic: bool) -> Node:
        """The node of an object; `dynamic` where JAX would find it among the leaves."""
        met = self.met.get(id(obj))
        if met is not None:
            return self._again(met, path, dynamic)
        if depth > self.depth:
            self.depth = depth
            if depth > MAX_DEPTH:
                raise SerialisationError(
                    f"Cannot serialise `{shown(path_text(path))[:60]}…`: the tree is "
                    f"nested more than {MAX_DEPTH} levels deep, and JAX itself fails "
                    "soon after. Keep long chains as a list instead.",
                    path_text(path),
                )
        # The way to take it apart is one, for almost all; else it is tried again below.
        for kind in () if id(obj) in self.failures else kinds_of(type(obj)):
            if kind.gives_way:
                break
            if kind.name == "column" and not self.with_columns:
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
            if not kind.gives_way:
                return self._node(kind, parts, obj, path, depth, dynamic)
            before = self._mark()
            try:
                return self._node(kind, parts, obj, path, depth, dynamic)
            except SerialisationError as error:
                self._rewind(before)
                if type(error) is _ContainsItself and type(obj) is FunctionType:
                    if error.obj is not obj and type(error.obj) is FunctionType:
                        raise  # of two that call each other, the first is replaced
                    return self._recursive(obj, path, depth, dynamic)
                self.failures.setdefault(id(obj), error)
        raise self.failures[id(obj)]

    def _recursive(self, obj: Any, path: Path | str, depth: int, dynamic: bool) -> Node:
        """The placeholder of a local function that refers to itself.

        Raises
        ------
        SerialisationError
            If no placeholder is asked for.
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
        path: Path | str,
        depth: int,
        dynamic: bool,
    ) -> Node:
        before = self.size
        self.size += 1
        children = parts.children
        met = None
        if kind.shared:
            met = self.met[id(obj)] = _Met(obj)
        node: Node = {
            "node_type": "leaf" if children is None else "container",
            "kind": kind.name,
        }
        if parts.refers is not None:
            node["type"] = self._name(parts.refers, kind, obj, path)
        if parts.value is not None:
            node["value"] = parts.value
        if parts.extra:
            node.update(parts.extra)
        for package, version in (parts.versions or {}).items():
            self.kept.append((node, package, version))
        if parts.array is not None:
            (self.leaves if dynamic else self.extras).append(
                _Leaf(node, parts.array, obj)
            )
        elif parts.mirror is not None and dynamic:
            self.leaves.append(_Leaf(node, parts.mirror(), obj))
        if children is not None:
            if parts.keys is not None:
                node["keys"] = [
                    self.node_of(key, (path, None, i), depth + 1, False)
                    for i, key in enumerate(parts.keys)
                ]
            extras = len(self.extras)
            inside = dynamic and parts.is_node and not parts.by_leaves
            starts: list[int] = []
            nodes: dict[Any, Node] = {}
            named = isinstance(children, dict)
            static = frozenset(parts.static)
            for name, child in children.items() if named else enumerate(children):
                starts.append(len(self.leaves))
                leafy = inside and name not in static
                nodes[name] = self.node_of(child, (path, node, name), depth + 1, leafy)
            if inside and parts.order is not None:
                self._reorder(starts, parts.order)
            if dynamic and parts.by_leaves:
                self._match_leaves(obj, extras, path, node)
            told = parts.static
            if parts.by_leaves and named and kind is not UNKNOWN:
                told = _describe_leaves(obj, children, node)
            if told:
                node["static"] = list(told)
            node["node"] = nodes if named else list(nodes.values())
        if kind.name == "column":
            self.size += len(obj)
        if met is not None:
            met.node, met.size = node, self.size - before
        return node

    def _match_leaves(self, obj: Any, start: int, path: Path | str, node: Node) -> None:
        """Move what JAX finds among the leaves of an object there, in JAX's order."""
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

    def _repeat(self, node: Node, leaf: Any, path: Path | str) -> None:
        """Write what plain Equinox needs of a leaf that is kept elsewhere."""
        parts = next(iter(self._attempts(leaf, path)))[1]
        record = parts.array if parts.mirror is None else parts.mirror()
        if record is not None:
            self.leaves.append(_Leaf(node, record, leaf, repeats=True))

    def _mark(self) -> tuple[int, ...]:
        lists = (self.leaves, self.extras, self.placeholders, self.met)
        return (*map(len, lists), self.size)

    def _rewind(self, mark: tuple[int, ...]) -> None:
        """Forget what an attempt that failed has left behind."""
        leaves, extras, placeholders, met, self.size = mark
        del self.leaves[leaves:], self.extras[extras:], self.placeholders[placeholders:]
        while len(self.met) > met:
            self.met.popitem()

    def _attempts(
        self, obj: Any, path: Path | str
    ) -> Iterator[tuple[Kind, Parts, Any]]:
        """The ways to take an object apart, in the order of the table."""
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

    def _placeholder(self, obj: Any, path: Path | str) -> Placeholder:
        placeholder = placeholder_for(obj, path_text(path))
        self.placeholders.append(placeholder)
        return placeholder

    def _again(self, met: _Met, path: Path | str, dynamic: bool) -> Node:
        """A reference to an object that has been met before."""
        if met.node is None:
            raise _ContainsItself(met.obj, path_text(path))
        self.size += met.size
        self.repeated += met.size
        if self.repeated > MAX_REPEATED:
            raise SerialisationError(
                f"Cannot serialise `{path_text(path)}`: the tree shares so much that "
                f"JAX would see more than {MAX_REPEATED} nodes again.",
                path_text(path),
            )
        if "id" not in met.node:
            met.node["id"] = self.shared
            self.shared += 1
        node = {"node_type": "leaf", "kind": "same", "value": met.node["id"]}
        if dynamic:
            # Plain Equinox knows nothing of sharing: it reads each appearance anew.
            for leaf in _recorded_leaves(met.obj):
                self._repeat(node, leaf, path)
        return node

    def _reorder(self, starts: list[int], order: Sequence[int]) -> None:
        """Put the leaves of the children into the order in which JAX flattens them."""
        if not starts:
            return
        ends = [*starts[1:], len(self.leaves)]
        runs = [self.leaves[a:b] for a, b in zip(starts, ends, strict=True)]
        self.leaves[starts[0] :] = [leaf for i in order for leaf in runs[i]]

    def _name(self, refers: Any, kind: Kind, obj: Any, path: Path | str) -> str:
        key = (id(refers), kind.name)
        known = self.named.get(key)
        if known is not None:
            return known
        name = name_of(refers)
        told = reflection.own_name(refers) or ("", repr(refers))
        if name is None:
            if "<locals>" in told[1]:
                why = (
                    f"`{told[1]}` is defined inside a function, where no load finds it"
                )
                advice = "Define it at the top level of a module"
            elif is_redefined(refers):
                why = (
                    f"`{told[0]}` has another `{told[1]}` now: it was defined again "
                    "since this was made"
                )
                advice = "Make the object anew from the new one"
            else:
                why = f"`{told[0]}` has no `{told[1]}` that is this very object"
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
    """The leaves of an object; none where JAX fails, as on keys it cannot sort."""
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
    """A key that equal numbers and texts share: Python may or may not share them."""
    cls = type(leaf)
    if cls is float or cls is complex:
        return cls, leaf.real.hex(), leaf.imag.hex()
    if cls in (bool, int, str, bytes):
        return cls, leaf
    return id(leaf)


def _describe_leaves(
    obj: Any, children: Mapping[str, Any], node: Node
) -> tuple[str, ...]:
    """Write where the leaves of an object are, for readers without its class.

    Returns the children in which JAX finds none of them.
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


def _cannot(obj: Any, path: Path | str, why: str) -> SerialisationError:
    cls = type(obj)
    where = path_text(path)
    return SerialisationError(
        f"Cannot serialise a `{cls.__module__}.{cls.__qualname__}` at "
        f"`{shown(where)}`. {why}",
        where,
    )


def encode(tree: Any, *, functions: str = "error", root: str = "model") -> Encoded:
    """Take a tree apart into plain data and the records of its arrays."""
    return encode_all({root: tree}, functions=functions)[root]


def encode_all(trees: Mapping[str, Any], *, functions: str) -> dict[str, Encoded]:
    """Take several trees apart; their records follow one another in the same order.

    Each tree is named by the root of its paths.
    """
    if functions not in ("error", "warn"):
        raise ArgumentError(f'`functions` is "error" or "warn", not {functions!r:.80}.')
    result: dict[str, Encoded] = {}
    offset = 0
    for i, (root, tree) in enumerate(trees.items()):
        encoder = _Encoder(functions)
        structure = call_deeply(_FRAMES, encoder.node_of, tree, root, 0, dynamic=i == 0)
        records = [*encoder.leaves, *encoder.extras]
        for index, leaf in enumerate(records, start=offset):
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


@resources_for("describe the tree")
@detached()
def build_structure(tree: Any, *, functions: str = "error") -> dict[str, Any]:
    """Turn a pytree, static fields included, into a structure of plain data.

    Parameters
    ----------
    tree : pytree
        Any tree of the objects listed in the table of kinds.
    functions : {"error", "warn"}, default "error"
        What to do about a function without a name (a lambda, a local function):
        refuse it, or keep its source text in a placeholder.

    Returns
    -------
    dict
        Dictionaries, lists, text, numbers and bytes only: what `msgpack` packs. The
        arrays are not in it, only their shapes and dtypes and the number of the
        record that holds them in the companion. The same tree gives the same
        structure.

    Raises
    ------
    SerialisationError
        If the tree holds something that cannot be kept; the message names its path.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> structure = zodiax_io.build_structure({"weight": jnp.zeros((2, 3))})
    >>> structure["node"]["weight"]["shape"]
    [2, 3]
    """
    return encode(tree, functions=functions).structure


class Probe:
    """What stands for a leaf of a tree, to see where it is."""

    def __init__(self, index: int) -> None:
        self.index = index


class _Locator(_Encoder):
    """Takes apart what could not be saved, too: it is only looked at."""

    def __init__(self, wanted: Mapping[int, int], *, with_columns: bool) -> None:
        super().__init__("warn")
        self.with_columns = with_columns
        self.wanted = wanted
        # With their nodes, which stay so: another would get the identity of one that
        # was given up.
        self.odd: list[tuple[Node, Any]] = []

    def node_of(self, obj: Any, path: Path | str, depth: int, dynamic: bool) -> Node:
        index = obj.index if type(obj) is Probe else self.wanted.get(id(obj))
        if index is not None:
            return {"node_type": "leaf", "kind": "probe", "value": index}
        before = self._mark()
        try:
            node = super().node_of(obj, path, depth, dynamic)
        except SerialisationError:
            self._rewind(before)
            node = {"node_type": "leaf", "kind": "unknown"}
        if node["kind"] in ("unknown", "placeholder") and type(obj) is not Placeholder:
            self.odd.append((node, obj))
        return node

    def _match_leaves(self, obj: Any, start: int, path: Path | str, node: Node) -> None:
        """Nothing is written, so nothing need be in order."""

    def _repeat(self, node: Node, leaf: Any, path: Path | str) -> None:
        """Nothing is written."""

    def _name(self, refers: Any, kind: Kind, obj: Any, path: Path | str) -> str:
        own = ":".join(reflection.own_name(refers) or ("", ""))
        return name_of(refers) or own


class Located(NamedTuple):
    """The structure of a tree that is only looked at.

    Attributes
    ----------
    structure : dict
        Each `Probe` is a leaf of its own kind; what no file can hold is "unknown".
    by_id : dict
        Its nodes that are referred to.
    sources : dict
        By the identity of a node, the array that it describes.
    odd : dict
        By the identity of a node, what no file can hold.
    """

    structure: Node
    by_id: dict[int, Node]
    sources: dict[int, Any]
    odd: dict[int, Any]


def locate(
    tree: Any, wanted: Mapping[int, int], *, with_columns: bool = False
) -> Located:
    """Where things are in a tree, whatever is in it.

    The `wanted` stand for probes: objects by their identity. Long lists of numbers are
    taken apart, unless they are asked for as columns.
    """
    encoder = _Locator(wanted, with_columns=with_columns)
    structure = call_deeply(_FRAMES, encoder.node_of, tree, "model", 0, dynamic=True)
    nodes = [met.node for met in encoder.met.values() if met.node is not None]
    return Located(
        structure,
        {node["id"]: node for node in nodes if "id" in node},
        {id(leaf.node): leaf.source for leaf in (*encoder.leaves, *encoder.extras)},
        {id(node): obj for node, obj in encoder.odd},
    )


# Putting together ---------------------------------------------------------------------


class _Decoder:
    def __init__(
        self,
        by_id: dict[int, Node],
        judge: Judge,
        arrays: Mapping[int, Any] | None,
        fill: Mapping[str, Any],
        evolution: Evolution,
        file: str,
    ) -> None:
        self.by_id = by_id
        self.judge = judge
        self.arrays = arrays
        self.fill = fill
        self.evolution = evolution
        self.file = file
        # The object, its number of nodes, and what `_inside` counted in it.
        self.built: dict[int, tuple[Any, int, tuple[int, ...]]] = {}
        self.building: set[int] = set()
        self.size = 0
        self.repeated = 0
        self.hurt = 0
        self.left_out = 0
        self.stood_in = 0
        self.firsts: dict[int, int | None] = {}
        self.damaged: list[Damaged] = []
        self.filled: set[str] = set()
        self.places: list[str] = []

    def object_of(self, node: Node, path: Path | str) -> Any:
        if node["kind"] == "same":
            value = node.get("value")
            target = self.by_id.get(value) if type(value) is int else None
            if target is None or target["kind"] == "same":
                raise self._corrupt(path, "refers to a node that is not there")
            node = target
        number = node.get("id")
        if number is not None:
            if number in self.built:
                obj, size, inside = self.built[number]
                self.hurt += inside[0]
                self.left_out += inside[1]
                self.stood_in += inside[2]
                self.size += size
                self.repeated += size
                if self.repeated > MAX_REPEATED:
                    raise self._corrupt(path, "shares so much that JAX would not end")
                return obj
            if number in self.building:
                raise self._corrupt(path, "contains itself")
            self.building.add(number)
        before, counts = self.size, self._inside()
        self.size += 1
        obj = self._build(node, path)
        if node["kind"] == "column" and type(obj) in (list, tuple):
            self.size += len(obj)  # each of them a leaf to JAX
        if number is not None:
            inside = tuple(
                now - then for now, then in zip(self._inside(), counts, strict=True)
            )
            self.built[number] = obj, self.size - before, inside
        return obj

    def _inside(self) -> tuple[int, int, int]:
        """Marks of damage, arrays left out and objects stood in for, so far."""
        return self.hurt, self.left_out, self.stood_in

    def _build(self, node: Node, path: Path | str) -> Any:
        kind = kind_named(node["kind"])
        parts = Parts(value=node.get("value"), extra=node)
        reason = None  # why an Opaque stands for it, if one does
        if kind is None:  # the survey has seen to it that this is asked for
            kind, reason = UNKNOWN, "is of a kind that no package here has registered"
        elif kind.refers_to is not None:
            parts.refers = self.judge.resolve(name_of_type(node), kind.refers_to)
            if type(parts.refers) is Unresolved:
                reason = parts.refers.reason
        if self.arrays is not None:
            record = node.get("record")
            parts.array = self.arrays.get(record) if type(record) is int else None
            if type(parts.array) is Damaged:
                return self._mark(parts.array)
            if parts.array is None and kind.name in base.ARRAY_NODES:
                self.left_out += 1
        hurt, left_out, stood_in = self.hurt, self.left_out, self.stood_in
        keys = node.get("keys")
        if isinstance(keys, list):
            parts.keys = [
                self.object_of(key, (path, None, i)) for i, key in enumerate(keys)
            ]
        children = node.get("node")
        if isinstance(children, dict):
            parts.children = {
                name: self.object_of(child, (path, node, name))
                for name, child in children.items()
            }
        elif isinstance(children, list):
            parts.children = [
                self.object_of(child, (path, node, i))
                for i, child in enumerate(children)
            ]
        missing = reason is not None and kind.name == "function"
        if self.fill and (missing or kind.name == "placeholder"):
            where = path_text(path)
            if where in self.fill:
                self.filled.add(where)
                return self.fill[where]
            self.places.append(where)
        # By its type: what looks at `__class__` runs code of the class.
        if self.stood_in > stood_in and any(
            issubclass(type(child), Opaque) for child in _values(parts)
        ):
            if kind.name == "method":
                reason = "belongs to an object whose class is not here"
            elif parts.refers is enumeration_item_type():
                reason = "is a member of an enumeration that is not here"
        if kind.name == "enum" and reason is None:
            parts.value = self.judge.member_now(node["type"], parts.value)
            if "members" in node:
                now = self.judge.member_now(node["type"], node["members"])
                parts.extra = node | {"members": now}
        if reason is not None:
            self.stood_in += 1
            versions = self.evolution.versions
            if missing:
                return missing_function(
                    node, short_path(path), versions, reason, self.judge.script
                )
            return opaque_of(
                node, parts, versions, reason, self.firsts, self.judge.script
            )
        try:
            if parts.array is None and kind.name == "numpy" and self.arrays is not None:
                return outline(node)
            if kind.name not in WITH_FIELDS:
                return kind.decode(parts)
            return self.evolution.build(kind, parts, path)
        except (CannotKeep, Exception) as error:
            lacking = not_damage(error, f"build `{short_path(path)}` of {self.file}")
            if lacking is not None:
                raise lacking from error
            if self.hurt > hurt:  # some code wants to compute with what is inside
                reason = "it cannot be built without its parts"
                return self._mark(Damaged(short_path(path), reason))
            changed = isinstance(error, ClassChangedError)
            if isinstance(error, ZodiaxIOError) and not changed:
                raise
            if self.left_out > left_out:
                where = shown(path_text(path))
                raise ArgumentError(
                    f"{self.file}: what is at `{where}` cannot be built without its "
                    "arrays, which `only` leaves out. Add it, or ask for one path."
                ) from error
            if changed:
                raise ClassChangedError(f"{self.file}: {error}") from error
            gone = isinstance(error, (MemberGone, MembersChanged, SourceChanged))
            # An Opaque, where the real thing would be needed.
            if self.stood_in > stood_in or (gone and self.judge.lenient):
                self.stood_in += 1
                reason = f"cannot be built with what is here: {shown(error)}"
                versions = self.evolution.versions
                if kind.name == "function":
                    return missing_function(
                        node, short_path(path), versions, reason, self.judge.script
                    )
                return opaque_of(
                    node, parts, versions, reason, self.firsts, self.judge.script
                )
            if isinstance(error, (MembersChanged, SourceChanged)):
                where = shown(path_text(path))
                raise ClassChangedError(
                    f"{self.file}: `{where}` {shown(error, 600)}."
                ) from error
            if isinstance(error, MemberGone):
                old = f"{node['type']}.{self._old_name(node, error.member)}"
                raise ClassChangedError(
                    f"{self.file}: `{shown(path_text(path))}` is "
                    f"`{shown(old)}`, and {shown(error)}. If it has another name now, "
                    f'pass `renames={{"{shown(old)}": "{shown(node["type"])}.…"}}`.'
                ) from error
            raise self._corrupt(
                path, f"cannot be built as `{kind.name}`: {shown(error)}"
            ) from error

    def _old_name(self, node: Node, member: str) -> str:
        """What the file calls a member of an Enum."""
        value, now = node["value"], self.judge.member_now
        names = [value] if type(value) is str else node["members"]
        return next(name for name in names if now(node["type"], name) == member)

    def _mark(self, mark: Damaged) -> Damaged:
        self.damaged.append(mark)
        self.hurt += 1
        return mark

    def _corrupt(self, path: Path | str, what: str) -> CorruptFileError:
        return CorruptFileError(f"{self.file}: `{shown(path_text(path))}` {what}.")


def _values(parts: Parts) -> Iterable[Any]:
    children = parts.children or ()
    return children.values() if isinstance(children, dict) else children


def decode(
    structure: Any,
    found: Survey,
    judge: Judge,
    *,
    arrays: Mapping[int, Any] | None,
    fill: Any = None,
    evolution: Evolution | None = None,
    file: str = "The structure",
    root: Path | str = "model",
) -> tuple[Any, list[Damaged]]:
    """Put together a structure whose names `judge` has accepted.

    With the object come the marks of damage in it.
    """
    if fill is not None and not isinstance(fill, Mapping):
        raise ArgumentError(
            "`fill` is a dictionary of functions by their paths, not a "
            f"`{type(fill).__qualname__}`."
        )
    fill = dict(fill or {})
    for path, function in fill.items():
        if not callable(function):
            raise ArgumentError(
                f"`fill` has a `{type(function).__qualname__}` for `{shown(path)}`, "
                "where a function belongs."
            )
    evolution = evolution or Evolution()
    evolution.may_call = judge.may_call
    decoder = _Decoder(found.by_id, judge, arrays, fill, evolution, file)
    tree = call_deeply(_FRAMES, decoder.object_of, structure, root)
    unknown = fill.keys() - decoder.filled
    if unknown:
        places = sorted({*decoder.places, *decoder.filled})[:_MAX_PLACES]
        there = ", ".join(f"`{path}`" for path in places) or "none"
        raise ArgumentError(
            f"`fill` names `{shown(min(unknown))}`, where no function is missing. "
            f"Places to fill: {shown(there, 400)}."
        )
    evolution.report(file)
    return tree, decoder.damaged


_MAX_PLACES = 20


def check_settings(arrays: Iterable[tuple[Path | str, Node]], file: str) -> None:
    """Refuse JAX arrays that the settings of this process would silently narrow.

    Raises
    ------
    SettingsError
        If a 64-bit JAX array is to be loaded while JAX works with 32 bits.
    """
    if _environment.settings()["jax_enable_x64"]:
        return
    wide = [
        (path, node["dtype"]) for path, node in arrays if node.get("dtype") in _WIDE
    ]
    if wide:
        path, dtype = wide[0]
        more = "" if len(wide) == 1 else f" and {len(wide) - 1} more"
        raise SettingsError(
            f"{file} holds 64-bit JAX arrays ({dtype} at `{shown(path_text(path))}`"
            f"{more}), which JAX would narrow to 32 bits as it is set here. Call "
            '`jax.config.update("jax_enable_x64", True)` before loading.'
        )


_WIDE = ("float64", "int64", "uint64", "complex128")


def logical(raw: NDArray[Any], node: Node) -> NDArray[Any]:
    """An array as the node describes it, from the bytes that its record holds.

    Raises
    ------
    ValueError
        If the record does not hold such an array.
    """
    dtype = dtypes.parse(node["dtype"])
    shape = tuple(node["shape"])
    if raw.shape != shape or raw.dtype != npy.storage(dtype):
        raise ValueError("its record holds another shape or dtype")
    return raw if raw.dtype is dtype else raw.view(dtype)


def checked(
    arrays: Iterable[tuple[Path | str, Node]],
    raw: Mapping[int, NDArray[Any]],
    file: str,
    faults: Mapping[int, Exception] = MappingProxyType({}),
) -> dict[int, Any]:
    """Arrays by record, as their nodes describe them.

    A mark of damage stands for each record with a fault.

    Raises
    ------
    CorruptFileError
        If a node describes no array, or another than its record holds.
    """
    result: dict[int, Any] = {}
    for path, node in arrays:
        try:
            index = node.get("record")
            if type(index) is not int or index in result:
                raise ValueError("it has no record of its own")
            if index in faults:
                dtype, shape = (
                    dtypes.parse(node["dtype"]),
                    dtypes.plain_shape(node["shape"]),
                )
                reason = shown(faults[index])
                result[index] = Damaged(short_path(path), reason, shape, dtype)
                continue
            if index not in raw:
                raise ValueError("its record is not there")
            result[index] = logical(raw[index], node)
            if node["kind"] != "numpy" and not dtypes.is_of_jax(node["dtype"]):
                raise ValueError("JAX has no arrays of its dtype")
        except (ValueError, TypeError, KeyError) as error:
            raise CorruptFileError(
                f"{file}: the array at `{shown(path_text(path))}` cannot be read: "
                f"{shown(error)}."
            ) from error
    return result


def restore(
    found: Survey,
    raw: Mapping[int, NDArray[Any]],
    file: str,
    faults: Mapping[int, Exception] = MappingProxyType({}),
    target: Target | Mapping[int, Target] = None,
) -> dict[int, Any]:
    """Arrays by record, where they belong if they are JAX's; and marks of damage."""
    result = checked(found.arrays, raw, file, faults)
    placed: list[int] = []
    goals: list[Target] = []
    paths: list[Path | str] = []
    for path, node in found.arrays:
        index = node["record"]
        if node["kind"] == "numpy" or index in faults:
            continue
        where = target.get(index) if type(target) is dict else target
        if node["kind"] == "key" and where is not None:
            where = key_target(where, node, path, file)
        placed.append(index)
        goals.append(where)
        paths.append(path)
    arrays = place([result[i] for i in placed], goals, paths, file)
    result.update(zip(placed, arrays, strict=True))
    return result


def key_target(target: Target, node: Node, path: Path | str, file: str) -> Target:
    """Where the data of random keys goes, which has a dimension that they have not.

    Raises
    ------
    ArgumentError
        If keys of that shape cannot lie so.
    """
    if target is HOST:  # no array of NumPy's is a key
        return None
    if isinstance(target, Sharding):
        struct = _key_outline(node)
        try:
            if isinstance(target, NamedSharding):
                target.check_compatible_aval(struct.shape)
            target.shard_shape(struct.shape)
        except LIMITS:
            raise
        except Exception as error:  # JAX's own
            raise ArgumentError(
                f"{file}: the random keys at `{shown(path_text(path))}` of shape "
                f"{struct.shape} cannot be placed as asked: {shown(error, 400)}"
            ) from error
    return target


def _key_outline(node: Node) -> Any:
    kind = kind_named("key")
    assert kind is not None
    return kind.decode(Parts(extra=node))


@resources_for("build the tree")
@detached()
def load_structure(
    structure: Any,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
    unknown: Literal["error", "opaque"] = "error",
    fill: Mapping[str, Any] | None = None,
) -> Any:
    """Rebuild a pytree from its structure, with shapes where the arrays belong.

    Parameters
    ----------
    structure : dict
        What `build_structure` gave.
    trusted : sequence of str, module, class or function, optional
        Packages, or the very objects, that the structure may name beside those it may
        name anyway.
    renames : dict of str to str, class or function, optional
        What is called otherwise now: new names by those of the structure.
    unknown : {"error", "opaque"}, default "error"
        What to do about classes and functions that are not there to be used: refuse to
        load, or put an `Opaque` or a `Placeholder` in the place of each.
    fill : dict of str to function, optional
        Functions to put where placeholders are, by path.

    Returns
    -------
    pytree
        The tree with a `jax.ShapeDtypeStruct` for each JAX array, and for each NumPy
        array one of zeros that takes no memory: the ``like`` with which
        `equinox.tree_deserialise_leaves` reads the companion file.

    Raises
    ------
    UntrustedError
        If the structure names what it may not use.
    CorruptFileError
        If it is not a structure that `build_structure` can give.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> structure = zodiax_io.build_structure({"weight": jnp.zeros((2, 3))})
    >>> zodiax_io.load_structure(structure)
    {'weight': ShapeDtypeStruct(shape=(2, 3), dtype=float32)}
    """
    judge = Judge(trusted, renames, unknown)
    found = survey(structure, opaque=judge.lenient)
    judge.audit(found.uses, "The structure")
    return decode(structure, found, judge, arrays=None, fill=fill)[0]
