"""What a structure holds: paths, nodes, names and arrays, before any of it is built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ._arrays.dtypes import is_of_jax
from ._errors import (
    MAX_NAME,
    ArgumentError,
    CorruptFileError,
    UnknownFormatError,
    shown,
)
from ._kinds.base import ARRAY_NODES, Kind
from ._kinds.columns import elements_of
from ._kinds.table import kind_named
from ._trust.roles import CODE, Holder, Holders, Use, calls_with_inputs

# JAX's own limit is some 990 levels, less what the caller's stack uses of it.
MAX_DEPTH = 500
# How many nodes may be met again within something shared: to JAX each counts anew.
MAX_REPEATED = 1_000_000

Node = dict[str, Any]
# A path is built only when somebody asks: the path and the node of the parent with the
# name or index of the child; a label instead of the node of a key; or the root.
Path = tuple[Any, Any, Any]


def path_text(path: Path | str) -> str:
    """A path as the user writes it: ``model.layers[0].weight``."""
    labels: list[str] = []
    while not isinstance(path, str):
        path, node, key = path
        labels.append(f".keys[{key}]" if node is None else label_of(node, key))
    return path + "".join(reversed(labels))


def short_path(path: Path | str) -> str:
    """A path to keep: of a deep tree with long keys, many would grow large."""
    return shown(path_text(path), 512)


_MAPPINGS = frozenset({"dict", "ordereddict", "mappingproxy"})


def label_of(node: Node, key: str | int) -> str:
    """What a child adds to the path of its parent."""
    if isinstance(key, str):
        if key == "items" and node["kind"] == "defaultdict":
            return ""  # a step of ours, not of the user's
        return f"[{cut(key)!r}]" if node["kind"] in _MAPPINGS else f".{cut(key)}"
    keys = node.get("keys")
    if isinstance(keys, list) and key < len(keys):
        return _key_label(keys[key], key)
    if "." in node["kind"] and _is_wrapped(node):
        return ""
    return f"[{key}]"


def _is_wrapped(node: Node) -> bool:
    """Whether all that somebody's own kind holds is in one container, made by us."""
    children = node.get("node")
    if not isinstance(children, list) or len(children) != 1:
        return False
    return isinstance(children[0], dict) and "node" in children[0]


def cut(key: str) -> str:
    """A key short enough for a path: of many long ones, messages would grow large."""
    return key if len(key) <= MAX_NAME else key[: MAX_NAME - 1] + "…"


def _key_label(key: Any, index: int) -> str:
    if not isinstance(key, dict):
        return f"[key {index}]"
    parts = key.get("node")
    if key.get("kind") == "tuple" and isinstance(parts, list) and len(parts) < 8:
        flat = [p for p in parts if isinstance(p, dict) and "node" not in p]
        labels = [_key_label(part, -1) for part in flat]
        text = ", ".join(label[1:-1] for label in labels)
        text = f"({text}{',' * (len(parts) == 1)})"
        known = len(labels) == len(parts) and "[key -1]" not in labels
        if known and len(text) <= 60 and not set("[]*?") & set(text):
            return f"[{text}]"  # as `only=` can read it
    if key.get("kind") in ("str", "int", "float", "bool"):
        value = key.get("value")
        if type(value) is str:
            return f"[{cut(value)!r}]"
        if type(value) in (int, float, bool):
            return f"[{shown(repr(value))}]"
    return f"[key {index}]"


def walk(structure: Any, root: str = "model") -> Iterator[tuple[Path | str, Node]]:
    """Every node with its path, parents first; knows the shape of nodes, and no kind.

    Raises
    ------
    CorruptFileError
        If something in the structure is not a node.
    """
    waiting: list[tuple[Path | str, Any, int]] = [(root, structure, 0)]
    while waiting:
        path, node, depth = waiting.pop()
        if not isinstance(node, dict) or depth > MAX_DEPTH:
            raise CorruptFileError(
                f"`{shown(path_text(path))}` is not a node, or lies too deep."
            )
        yield path, node
        children = node.get("node")
        if node.get("node_type") != ("leaf" if children is None else "container"):
            raise CorruptFileError(
                f"`{shown(path_text(path))}` is neither a leaf nor a container."
            )
        if type(node.get("kind")) is not str:
            raise CorruptFileError(f"`{shown(path_text(path))}` has no kind.")
        below: list[tuple[Path | str, Any, int]] = []
        keys = node.get("keys")
        if "keys" in node and not isinstance(keys, list):
            raise CorruptFileError(
                f"`{shown(path_text(path))}` has keys that are no list."
            )
        if isinstance(keys, list):
            below += [((path, None, i), key, depth + 1) for i, key in enumerate(keys)]
        if isinstance(children, dict):
            if not all(type(name) is str for name in children):
                raise CorruptFileError(
                    f"`{shown(path_text(path))}` holds a child whose name is no text."
                )
            below += [((path, node, k), c, depth + 1) for k, c in children.items()]
        elif isinstance(children, list):
            below += [((path, node, i), c, depth + 1) for i, c in enumerate(children)]
        elif children is not None:
            raise CorruptFileError(
                f"`{shown(path_text(path))}` holds children that are no tree."
            )
        waiting.extend(reversed(below))


def without_columns(structure: Any, root: str = "model") -> None:
    """Turn each column of a structure into a list or tuple of leaves, in place.

    Who looks at elements one by one sees nodes of one shape.

    Raises
    ------
    CorruptFileError
        If something in the structure is not a node, or a column holds something else.
    """
    columns = [
        (path, node) for path, node in walk(structure, root) if node["kind"] == "column"
    ]
    for path, node in columns:
        value: Any = node.get("value")
        try:
            elements = elements_of(value)
        except ValueError as error:
            raise CorruptFileError(
                f"`{shown(path_text(path))}` cannot be built as `column`: {error}."
            ) from error
        container, of = value["container"], value["of"]
        del node["value"]
        node |= {
            "node_type": "container",
            "kind": container,
            "node": [
                {"node_type": "leaf", "kind": of, "value": element}
                for element in elements
            ],
        }


# What a node says of its place in the tree and in the file, and what is in it.
_PLACE = {"id", "record", "repeats", "node", "keys", "static", "leaves", "leafless"}


def said(node: Node) -> dict[Any, Any]:
    """What a node says of itself, without its children and its place in the file."""
    return {name: node[name] for name in sorted(node.keys() - _PLACE, key=str)}


def children_of(node: Node) -> list[tuple[str | int, Any]]:
    """The children of a node, by name or by index."""
    children = node.get("node")
    if isinstance(children, dict):
        return list(children.items())
    return list(enumerate(children)) if isinstance(children, list) else []


def step_of(node: Node, key: str | int) -> tuple[str, str]:
    """A step of a path in full, however long: what it is, and its text."""
    if isinstance(key, str) and label_of(node, key):
        return ("key" if node["kind"] in _MAPPINGS else "name"), key
    keys = node.get("keys")
    if isinstance(key, int) and isinstance(keys, list) and key < len(keys):
        inner = keys[key] if isinstance(keys[key], dict) else {}
        if inner.get("kind") == "str" and type(inner.get("value")) is str:
            return "key", inner["value"]
    return "item", label_of(node, key)[1:-1]


def steps_of(path: Path | str) -> tuple[tuple[str, str], ...]:
    """The steps of a path, without those that only we know."""
    steps: list[tuple[str, str]] = []
    while not isinstance(path, str):
        path, node, key = path
        if node is None:
            steps.append(("keys", str(key)))
        elif label_of(node, key):
            steps.append(step_of(node, key))
    return tuple(reversed(steps))


class Repeats:
    """Counts how often a walk comes to nodes again: a file may make it never end."""

    def __init__(self, message: str) -> None:
        self._message = message
        self._seen: set[int] = set()
        self._count = 0

    def note(
        self, children: Iterable[Any], by_id: Mapping[int, Node], depth: int
    ) -> None:
        """Note the children that a walk will come to.

        Raises
        ------
        ArgumentError
            If they are too many, or too deep.
        """
        for child in children:
            node = resolved(child, by_id)
            if id(node) in self._seen:
                self._count += 1
            self._seen.add(id(node))
        if self._count > _MAX_REPEATED_VISITS or depth > MAX_DEPTH:
            raise ArgumentError(self._message)


_MAX_REPEATED_VISITS = 200_000


@dataclass(eq=False, repr=False)
class Survey:
    """What a structure needs before anything of it is built."""

    uses: list[Use]
    arrays: list[tuple[Path | str, Node]]
    by_id: dict[int, Node]
    naming: list[Node] = field(default_factory=list[Node])  # those of the uses

    def within(self, nodes: set[int]) -> Survey:
        """What some of the nodes need."""
        uses = [
            (use, node)
            for use, node in zip(self.uses, self.naming, strict=True)
            if id(node) in nodes
        ]
        return Survey(
            [use for use, _ in uses],
            [(path, node) for path, node in self.arrays if id(node) in nodes],
            self.by_id,
            [node for _, node in uses],
        )


def survey(structure: Any, root: str = "model", *, opaque: bool = False) -> Survey:
    """Names, arrays and shared nodes of a structure; judged before anything is built.

    Of a kind that nobody has registered, a node is passed by if it may stay `opaque`.

    Raises
    ------
    CorruptFileError, UnknownFormatError
        If the structure is not one that `build_structure` can give.
    """
    found = Survey([], [], {})
    naming: list[tuple[Path | str, Node, Kind]] = []
    binding: list[tuple[Node, Kind]] = []
    for path, node in walk(structure, root):
        name = node.get("kind")
        if "id" in node:
            if type(node["id"]) is not int or node["id"] in found.by_id:
                raise CorruptFileError(
                    f"`{shown(path_text(path))}` is numbered like another node."
                )
            found.by_id[node["id"]] = node
        if name == "same":
            continue
        kind = kind_named(name)
        if kind is None:
            of_others = type(name) is str and "." in name
            if opaque and of_others:
                continue
            raise UnknownFormatError(
                f"`{shown(path_text(path))}` is of the kind `{shown(name)}`, which "
                + (_UNREGISTERED if of_others else _NEWER)
            )
        if "id" in node and not kind.shared:
            # Many references to one long text would be as many copies once saved.
            raise CorruptFileError(
                f"`{shown(path_text(path))}` is numbered to be shared, which a "
                f"`{kind.name}` never is."
            )
        if (kind.refers_to is None) != ("type" not in node):
            raise CorruptFileError(
                f"`{shown(path_text(path))}` is of the kind `{kind.name}` but "
                f"{'names' if 'type' in node else 'does not name'} a type."
            )
        if kind.refers_to is not None:
            naming.append((path, node, kind))
        if kind.binds:
            binding.append((node, kind))
        if kind.name in ARRAY_NODES:
            found.arrays.append((path, node))
    bound = _called(binding, found.by_id)
    # It is asked for several times, or not at all.
    data = functools.cache(lambda: _data(structure, found.by_id))
    bound |= _made_with_data(naming, data)
    holders = _holders(naming, data, found.by_id)
    for path, node, kind in naming:
        name = name_of_type(node)
        assert kind.refers_to is not None
        text = functools.partial(path_text, path)
        called = id(node) in bound
        found.uses.append(Use(name, text, kind.refers_to, called, id(node), holders))
        found.naming.append(node)
    return found


_NEWER = "this release of zodiax_io does not know. Upgrade zodiax_io."
_UNREGISTERED = (
    "nothing here has registered. Import the package that registers the kind, or load "
    'the file without it by `unknown="opaque"`.'
)


def name_of_type(node: Node) -> str:
    """What the type of a node is called, where it has one."""
    return node["type"] if type(node["type"]) is str else "(no text)"


def _child(node: Node, name: str) -> Any:
    children = node.get("node")
    return children.get(name) if isinstance(children, dict) else None


def resolved(node: Any, by_id: Mapping[int, Node]) -> Any:
    """A node, or the one that it refers to; None if that is not there."""
    same = isinstance(node, dict) and node.get("kind") == "same"
    value = node.get("value") if same else None
    return by_id.get(value) if type(value) is int else node


def reachable(node: Node, by_id: Mapping[int, Node], seen: set[int]) -> Iterator[Node]:
    """A node and all that it needs, but for what has been seen; each once."""
    waiting: list[Any] = [node]
    while waiting:
        node = resolved(waiting.pop(), by_id)
        if node is not None and id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting += node.get("keys", ())
            waiting += [child for _, child in children_of(node)]


def _called(binding: list[tuple[Node, Kind]], by_id: Mapping[int, Node]) -> set[int]:
    """Which nodes are called with arguments of the file, below what wraps them."""
    seen: set[int] = set()
    _mark_called(
        [
            _child(node, called)
            for node, kind in binding
            for called in kind.calls
            # Without arguments the file adds nothing to the function.
            if any(
                (resolved(_child(node, name), by_id) or {}).get("node")
                for name in kind.binds
            )
        ],
        by_id,
        seen,
    )
    return seen


def _made_with_data(
    naming: Sequence[tuple[Path | str, Node, Kind]], data: Callable[[], dict[int, int]]
) -> set[int]:
    """The local functions whose variables the file fills with more than numbers."""
    made = [node for _, node, kind in naming if kind.refers_to is CODE]
    if not any(children_of(node) for node in made):
        return set()
    return {id(node) for node in made if data().get(id(node), _TEXT) >= _TEXT}


def _mark_called(waiting: list[Any], by_id: Mapping[int, Node], seen: set[int]) -> None:
    """Add what is called when some nodes are: a Module may call what it holds."""
    while waiting:
        node = resolved(waiting.pop(), by_id)
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen.add(id(node))
        kind = kind_named(node.get("kind"))
        if kind is not None and kind.calls:
            waiting += [_child(node, name) for name in kind.calls]
        else:
            waiting += [child for _, child in children_of(node)]


# Objects that call what they hold with what they hold ---------------------------------


def _holders(
    naming: Sequence[tuple[Path | str, Node, Kind]],
    data: Callable[[], dict[int, int]],
    by_id: Mapping[int, Node],
) -> Holders | None:
    """The named containers of a structure; None if no function could be called."""
    named = [
        (name_of_type(node), node, kind)
        for _, node, kind in naming
        if children_of(node)
    ]
    if not named:
        return None
    by_node = {id(node): name for name, node, _ in named}

    def called(holders: Mapping[str, Holder]) -> set[int]:
        binding = {name for name, one in holders.items() if not (one.own or one.passes)}
        found: set[int] = set()
        if binding:
            starts = [
                (node, holders[name])
                for name, node, kind in named
                if name in binding
                and not kind.calls
                and data().get(id(node), 0) >= (_ANY if holders[name].free else _TEXT)
            ]
            own = {n for n, name in by_node.items() if holders[name].own}
            _mark_held(starts, own, by_id, found)
        return found

    return Holders(frozenset(by_node.values()), called)


def _mark_held(
    starts: Iterable[tuple[Node, Holder]],
    own: set[int],
    by_id: Mapping[int, Node],
    called: set[int],
) -> None:
    """Add the functions in some objects, and what lies in fields that are called.

    Within objects of the user's own classes, these decide what is called with what.
    """
    waiting: list[Any] = []
    wrapped: list[Any] = []
    for node, holder in starts:
        waiting += [child for _, child in children_of(node)]
        wrapped += [_child(node, name) for name in sorted(holder.calls)]
    seen: set[int] = set()
    while waiting:
        node = resolved(waiting.pop(), by_id)
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen.add(id(node))
        kind = kind_named(node.get("kind"))
        if node.get("kind") in _FUNCTIONS or (kind is not None and kind.calls):
            wrapped.append(node)
        if id(node) not in own:
            waiting += [child for _, child in children_of(node)]
    _mark_called(wrapped, by_id, called)


_FUNCTIONS = frozenset({"function", "closure", "default", "method", "singleton"})
_NONE, _ANY, _TEXT = range(3)
# Leaves that a function is called with in any model, and such as say nothing.
_NUMBERS = frozenset(
    """
    bool class complex constant dtype enum float fraction int jax key missing range
    scalar scalar_type shape_dtype slice token
    """.split()
)
_NO_DATA = _FUNCTIONS | {"none", "bool", "object", "missing", "token"}


def _data(structure: Node, by_id: Mapping[int, Node]) -> dict[int, int]:
    """By node, the data in it beside functions: none, only numbers, or text, too."""
    order = [node for _, node in walk(structure)]
    order.reverse()  # children first
    found: dict[int, int] = {}
    # A reference to what comes later, or to what holds it, takes another round.
    for _ in range(_MAX_ROUNDS):
        before = len(found), sum(found.values())
        for node in order:
            found[id(node)] = _data_of(node, found, by_id)
        if before == (len(found), sum(found.values())):
            return found
    return dict.fromkeys(found, _TEXT)


_MAX_ROUNDS = 8


def _data_of(node: Node, found: Mapping[int, int], by_id: Mapping[int, Node]) -> int:
    kind = node["kind"]
    if kind == "same":
        return found.get(id(resolved(node, by_id)), _NONE)
    if "node" in node:
        # Settings of layers, such as a padding, are no arguments.
        most = _TEXT
        if "type" in node and calls_with_inputs(name_of_type(node)):
            most = _ANY
        return max(
            (
                found.get(id(child), _NONE)
                if "node" in child
                else min(found.get(id(child), _NONE), most)
                for _, child in children_of(node)
            ),
            default=_NONE,
        )
    if kind in _NO_DATA:
        return _NONE
    if kind == "numpy":
        return _ANY if is_of_jax(node.get("dtype")) else _TEXT
    return _ANY if kind in _NUMBERS else _TEXT
