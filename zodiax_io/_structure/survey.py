"""What a structure holds: paths, nodes, names and arrays, before any of it is built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._errors import (
    CorruptFileError,
    UnknownFormatError,
    shown,
)
from .._kinds.base import Data, Kind
from .._kinds.lookup import kind_named, row_of
from .._trust.roles import CODE, Holder, Holders, Use, calls_with_inputs
from .nodes import (
    MAX_DEPTH,
    REFERENCE,
    Node,
    child_at,
    children_of,
    is_reference,
    name_of_type,
    resolved,
)
from .paths import Path, path_text


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
    columns: list[tuple[Path | str, Node, Kind]] = []
    for path, node in walk(structure, root):
        kind = row_of(node)
        if kind.expand is not None:
            columns.append((path, node, kind))
    for path, node, kind in columns:
        assert kind.expand is not None
        try:
            expanded = kind.expand(node)
        except ValueError as error:
            raise CorruptFileError(
                f"`{shown(path_text(path))}` cannot be built as `{kind.name}`: {error}."
            ) from error
        node.clear()
        node.update(expanded)


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
        if name == REFERENCE:
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
        if kind.binds_arguments:
            binding.append((node, kind))
        if kind.array is not None:
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


def _called(binding: list[tuple[Node, Kind]], by_id: Mapping[int, Node]) -> set[int]:
    """Which nodes are called with arguments of the file, below what wraps them."""
    seen: set[int] = set()
    _mark_called(
        [
            child_at(node, called)
            for node, kind in binding
            for called in kind.calls
            # Without arguments the file adds nothing to the function.
            if any(
                (resolved(child_at(node, name), by_id) or {}).get("node")
                for name in kind.binds_arguments
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
    text = Data.TEXT
    return {id(node) for node in made if data().get(id(node), text) >= text}


def _mark_called(waiting: list[Any], by_id: Mapping[int, Node], seen: set[int]) -> None:
    """Add what is called when some nodes are: a Module may call what it holds."""
    while waiting:
        node = resolved(waiting.pop(), by_id)
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen.add(id(node))
        calls = row_of(node).calls
        if calls:
            waiting += [child_at(node, name) for name in calls]
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
                and data().get(id(node), 0)
                >= (Data.NUMBERS if holders[name].free else Data.TEXT)
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
        wrapped += [child_at(node, name) for name in sorted(holder.calls)]
    seen: set[int] = set()
    while waiting:
        node = resolved(waiting.pop(), by_id)
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen.add(id(node))
        kind = row_of(node)
        if kind.is_function or kind.calls:
            wrapped.append(node)
        if id(node) not in own:
            waiting += [child for _, child in children_of(node)]
    _mark_called(wrapped, by_id, called)


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
    return dict.fromkeys(found, Data.TEXT)


_MAX_ROUNDS = 8


def _data_of(node: Node, found: Mapping[int, int], by_id: Mapping[int, Node]) -> int:
    if is_reference(node):
        return found.get(id(resolved(node, by_id)), Data.NONE)
    if "node" in node:
        # Settings of layers, such as a padding, are no arguments.
        most = Data.TEXT
        if "type" in node and calls_with_inputs(name_of_type(node)):
            most = Data.NUMBERS
        return max(
            (
                found.get(id(child), Data.NONE)
                if "node" in child
                else min(found.get(id(child), Data.NONE), most)
                for _, child in children_of(node)
            ),
            default=Data.NONE,
        )
    data = row_of(node).data
    return data if isinstance(data, Data) else data(node)
