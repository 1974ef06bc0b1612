"""Parts of a model: which nodes a path or a glob means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .._errors import ArgumentError, shown
from .globs import Position, Token, parse_glob, start_of, without_root
from .nodes import Node, Structure, Visits, reachable
from .paths import Path, label_of, path_text, step_of


class Selection(NamedTuple):
    """The nodes of a structure that were asked for.

    Attributes
    ----------
    single : tuple of Path and Node, or None
        The one node that a plain path leads to.
    nodes : set of int
        The identities of all nodes that were chosen, and of those below them.
    places : list of Path and Node
        The nodes that were chosen, each with the path at which it was found.
    """

    single: _Found | None
    nodes: set[int]
    places: list[_Found]


_Found = tuple[Path, Node]


def select(structure: Structure, only: Any, file: str) -> Selection:
    """The nodes that a path, a glob or a list of them means.

    Raises
    ------
    ArgumentError
        If there is nothing at one of them, or several nodes at a path; or if it is not
        a path.
    """
    texts: Sequence[Any] = [only] if isinstance(only, str) else only
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ArgumentError(
            "`only` is a path such as `optics.layers[0]`, a glob such as "
            f"`layers[*].weight`, or a list of them, not {shown(repr(only))}."
        )
    globs = [parse_glob(text, "only") for text in texts]
    root = path_text(structure.root.path)
    # Each is tried as it is written, and without the name of the root. A glob may match
    # both ways; a plain path that does is ambiguous.
    numbered: list[tuple[int, Sequence[Token]]] = [*enumerate(globs)]
    for number, tokens in enumerate(globs):
        rooted = without_root(tokens, root)
        if rooted is not None:
            other = 0 if tokens[0].is_glob else len(globs)
            numbered.append((number + other, rooted))
    found = _found(structure, numbered, 2 * len(globs))
    nodes: set[int] = set()
    places: list[_Found] = []
    single: _Found | None = None
    for i, (text, tokens) in enumerate(zip(texts, globs, strict=True)):
        one, two = found[i], found[i + len(globs)]
        fitting = one or two
        if not fitting:
            raise ArgumentError(_nothing(structure, text, file))
        is_glob = any(token.is_glob for token in tokens)
        # The name of the root alone means the field of that name, if there is one.
        twice = bool(one and two) and len(tokens) > 1
        if twice or (len(fitting) > 1 and not is_glob):
            both = (one[:1] + two[:1]) if twice else fitting[:3]
            paths = " and ".join(f"`{shown(path_text(path))}`" for path, _ in both)
            raise ArgumentError(
                f"`only={shown(repr(text))}` means several nodes of {file}: "
                f"{paths}. Write keys as `['key']`, without `{root}` before them."
            )
        single = None if is_glob or not isinstance(only, str) else fitting[0]
        places += fitting
        for _, node in fitting:  # with shared nodes that are elsewhere in the tree
            for _ in reachable(node, nodes):
                pass
    return Selection(single, nodes, places)


def _found(
    structure: Structure, globs: Sequence[tuple[int, Sequence[Token]]], count: int
) -> list[list[_Found]]:
    """The outermost nodes whose paths each glob fits, in one walk for all."""
    result: list[list[_Found]] = [[] for _ in range(count)]
    visits = Visits()
    root = structure.root
    waiting: list[tuple[Path, Node, Position, frozenset[int]]] = []
    waiting.append((root.path, root, start_of(globs), frozenset()))
    while waiting:
        path, node, position, inside = waiting.pop()
        for number in position.ends - inside:
            result[number].append((path, node))
        inside |= position.ends
        below: list[tuple[Path, Node, Position, frozenset[int]]] = []
        for step, child in node.below():
            after = position
            if label_of(node.plain, step):
                after = position.after(step_of(node.plain, step))
            if after:
                below.append(((path, node.plain, step), child, after, inside))
        if visits.are_too_many(child for _, child, _, _ in below):
            raise ArgumentError(
                "`only` cannot look through this tree: it shares too much."
            )
        waiting.extend(reversed(below))
    return result


def _nothing(structure: Structure, text: str, file: str) -> str:
    """How far a path leads, and what there is at that place."""
    tokens: Sequence[Token] = parse_glob(text, "only")
    path, node = structure.root.path, structure.root
    rest = without_root(tokens, path_text(path))
    tokens = tokens if rest is None else rest
    for length in range(len(tokens), 0, -1):
        found = _found(structure, [(0, tokens[:length])], 1)[0]
        if found:
            path, node = found[0]
            break
    labels = [shown(label_of(node.plain, step), 40) for step, _ in node.below()]
    there = ", ".join(f"`{label}`" for label in labels[:20]) or "nothing"
    more = f" and {len(labels) - 20} more" if len(labels) > 20 else ""
    deeper = ""
    if text.startswith("*."):
        deeper = (
            f" A `*` stays within one step: `{shown('*' + text)}` looks at any depth."
        )
    return (
        f"{file} has nothing at `{shown(text)}`. At `{shown(path_text(path))}` there "
        f"is {there}{more}.{deeper}"
    )
