"""The names in a structure, for the judge to decide on before anything is built."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

from .._kinds.base import Data
from .._trust.roles import CODE, Holder, Holders, Use, calls_with_inputs
from .nodes import Node, Structure
from .paths import path_text


def uses_of(structure: Structure) -> list[Use]:
    """Every name in a structure, with its role and whether the file calls it.

    `Use.node` is the identity of the `Node` that refers to the name.
    """
    naming = structure.naming
    # It is needed several times, or not at all.
    data = functools.cache(lambda: _data(structure))
    called = _called(structure.calling) | _made_with_data(naming, data)
    called |= _bound_beside_data(structure.calling, data)
    holders = _holders(naming, data)
    uses: list[Use] = []
    for node in naming:
        assert node.kind.refers_to is not None
        text = functools.partial(path_text, node.path)
        one = id(node)
        uses.append(
            Use(_name_of(node), text, node.kind.refers_to, one in called, one, holders)
        )
    return uses


def _name_of(node: Node) -> str:
    assert node.name is not None
    return node.name


def _called(nodes: Iterable[Node]) -> set[int]:
    """The nodes that are called with arguments of the file, inside wrappers too."""
    called: set[int] = set()
    _mark_called(
        [
            node.child(name)
            for node in nodes
            # Without arguments the file adds nothing to the function.
            if any(_has_children(node.child(n)) for n in node.kind.binds_arguments)
            for name in node.kind.calls
        ],
        called,
    )
    return called


def _bound_beside_data(
    nodes: Iterable[Node], data: Callable[[], dict[int, int]]
) -> set[int]:
    """The functions that a partial passes on, with data of the file beside them.

    What it calls may call them with that data, as `jax.tree.map` does.
    """
    called: set[int] = set()
    for node in nodes:
        bound = [node.child(name) for name in node.kind.binds_arguments]
        given = [child for child in bound if child is not None and child.children]
        if any(data()[id(child)] > Data.NONE for child in given):
            _mark_called([*given], called)
    return called


def _has_children(node: Node | None) -> bool:
    return node is not None and bool(node.children)


def _made_with_data(
    naming: Sequence[Node], data: Callable[[], dict[int, int]]
) -> set[int]:
    """The local functions whose variables the file fills with more than numbers."""
    made = [node for node in naming if node.kind.refers_to is CODE]
    if not any(node.children for node in made):
        return set()
    return {id(node) for node in made if data()[id(node)] >= Data.TEXT}


def _mark_called(waiting: list[Node | None], seen: set[int]) -> None:
    """Add all that is called when some nodes are: a Module may call its fields."""
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.kind.calls:
            inside = (*node.kind.calls, *node.kind.binds_arguments)
            waiting += [node.child(name) for name in inside]
        else:
            waiting += [child for _, child in node.below()]


# Objects that may call one of their fields with another as argument ------------------


def _holders(
    naming: Sequence[Node], data: Callable[[], dict[int, int]]
) -> Holders | None:
    """The classes in a structure, and how to find the functions that these may call.

    None if no object contains anything that could be called.
    """
    named = [(_name_of(node), node) for node in naming if node.children]
    if not named:
        return None
    by_node = {id(node): name for name, node in named}

    # By the facts about each class (`Holder`): its own code calls as its author meant;
    # one that passes only the inputs of its own calls adds nothing from the file.
    def called(holders: Mapping[str, Holder]) -> set[int]:
        binding = {name for name, one in holders.items() if not (one.own or one.passes)}
        found: set[int] = set()
        if binding:
            starts = [
                (node, holders[name])
                for name, node in named
                if name in binding
                and not node.kind.calls
                and data()[id(node)]
                >= (Data.NUMBERS if holders[name].free else Data.TEXT)
            ]
            own = {n for n, name in by_node.items() if holders[name].own}
            _mark_held(starts, own, found)
        return found

    return Holders(frozenset(by_node.values()), called)


def _mark_held(
    starts: Iterable[tuple[Node, Holder]], own: set[int], called: set[int]
) -> None:
    """Add the functions inside some objects, and all in fields that their classes call.

    The search stops at objects of the user's own classes: such a class decides itself
    which function it calls, and with which arguments.
    """
    waiting: list[Node] = []
    wrapped: list[Node | None] = []
    for node, holder in starts:
        waiting += [child for _, child in node.below()]
        wrapped += [node.child(name) for name in sorted(holder.calls)]
    seen: set[int] = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if node.kind.is_function or node.kind.calls:
            wrapped.append(node)
        if id(node) not in own:
            waiting += [child for _, child in node.below()]
    _mark_called(wrapped, called)


def _data(structure: Structure) -> dict[int, int]:
    """By node, the data in it beside functions: none, only numbers, or text, too."""
    found: dict[int, int] = {}
    waiting = structure.nodes.copy()  # the last first: children before their parents
    while waiting:
        node = waiting[-1]
        if id(node) in found:
            waiting.pop()
            continue
        children = [child for _, child in node.below()]
        unknown = [child for child in children if id(child) not in found]
        if unknown:  # shared with a node that comes earlier
            waiting += unknown
        else:
            found[id(node)] = _data_of(node, children, found)
    return found


def _data_of(node: Node, children: list[Node], found: Mapping[int, int]) -> int:
    if node.children is None:
        data = node.kind.data
        return data if isinstance(data, Data) else data(node.plain)
    # Settings of layers, such as a padding, are not arguments.
    is_layer = node.name is not None and calls_with_inputs(node.name)
    most = Data.NUMBERS if is_layer else Data.TEXT
    return max(
        (
            min(found[id(child)], most) if child.children is None else found[id(child)]
            for child in children
        ),
        default=Data.NONE,
    )
