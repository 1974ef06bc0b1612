"""Parts of a model: which nodes a path or a glob means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ._errors import ArgumentError, shown
from ._survey import (
    MAX_DEPTH,
    Node,
    Path,
    Survey,
    children_of,
    cut,
    label_of,
    path_text,
    resolved,
)

# `name`, `*`, `**`; `[0]`, `[*]`, `['key']`. Dots stand between names.
_TOKEN = re.compile(
    r"""(?P<dot>\.)?(?:
        (?P<name>[^.\[\]]+)
        | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]
        | \[(?P<index>[^\[\]]+)\]
    )""",
    re.VERBOSE,
)
_ANY = "**"
_MAX_MET = 1_000_000


class _Token(NamedTuple):
    text: str
    literal: bool = False  # the key of a mapping, in quotes
    bracket: bool = False

    @property
    def is_glob(self) -> bool:
        return not self.literal and any(c in self.text for c in "*?")

    def accepts(self, label: str) -> bool:
        """Whether a step is meant: ``.weight``, ``[0]`` or ``['key']``."""
        if self.literal:
            return label == f"[{cut(self.text)!r}]"
        if label.startswith("."):
            return not self.bracket and fnmatchcase(label[1:], self.text)
        inner = label[1:-1]
        if inner[:1] in ("'", '"'):  # the key of a mapping reads like a field
            if self.bracket and not self.is_glob:
                return False
            try:
                inner = str(ast.literal_eval(inner))
            except (ValueError, SyntaxError):  # a key so long that it was cut
                return False
        return fnmatchcase(inner, self.text)


class Selection(NamedTuple):
    """What of a structure was asked for.

    Attributes
    ----------
    single : tuple of Path and Node, or None
        The one node that a plain path leads to.
    nodes : set of int
        The identities of all nodes that were chosen, and of those below them.
    """

    single: tuple[Path | str, Node] | None
    nodes: set[int]


def select(
    structure: Node, found: Survey, only: Any, root: str, file: str
) -> Selection:
    """The nodes that a path, a glob or a list of them means.

    Raises
    ------
    ArgumentError
        If there is nothing at one of them, or it is no path.
    """
    texts: Sequence[Any] = [only] if isinstance(only, str) else only
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ArgumentError(
            "`only` is a path such as `optics.layers[0]`, a glob such as "
            f"`layers[*].weight`, or a list of them, not {shown(repr(only))}."
        )
    nodes: set[int] = set()
    single: tuple[Path | str, Node] | None = None
    for text in texts:
        tokens = _parse(text)
        met = list(_meant(structure, found, tokens, root))
        if not met and tokens and tokens[0] == _Token(root):  # as messages say it
            met = list(_meant(structure, found, tokens[1:], root))
        if not met:
            raise ArgumentError(_nothing(structure, found, text, root, file))
        plain = not any(token.is_glob for token in tokens)
        single = met[0] if plain and isinstance(only, str) else None
        for _, node in met:
            _add(node, found, nodes)
    return Selection(single, nodes)


def _parse(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        follows = bool(tokens) and match is not None and match["name"] is not None
        if match is None or (follows and match["dot"] is None):
            raise ArgumentError(
                f"`only` has no path in {shown(repr(text))}: expected names with dots "
                "between them, and `[…]` for items, as in `layers[0].weight`."
            )
        if match["name"] is not None:
            tokens.append(_Token(match["name"]))
        elif match["quoted"] is not None:
            key = ast.literal_eval(match["quoted"])
            tokens.append(_Token(key, literal=True))
        else:
            tokens.append(_Token(match["index"], bracket=True))
        place = match.end()
    if not tokens:
        raise ArgumentError('`only=""` is no path. Leave it out to load everything.')
    return tokens


def _after(places: set[int], tokens: Sequence[_Token], label: str) -> set[int]:
    """Where in the pattern one may be after a step, of where one may be before."""
    result: set[int] = set()
    for place in places:
        if place == len(tokens):
            continue
        if tokens[place].text == _ANY and not tokens[place].literal:
            result.add(place)
        elif tokens[place].accepts(label):
            result.add(place + 1)
    return _skipping(result, tokens)


def _skipping(places: set[int], tokens: Sequence[_Token]) -> set[int]:
    """With the places behind each `**`, which may stand for nothing."""
    result = set(places)
    for place in sorted(places):
        while place < len(tokens) and tokens[place].text == _ANY:
            place += 1
            result.add(place)
    return result


def _meant(
    structure: Node, found: Survey, tokens: Sequence[_Token], root: str
) -> Iterator[tuple[Path | str, Node]]:
    """The outermost nodes whose paths a pattern fits."""
    waiting: list[tuple[Path | str, Node, set[int], int]] = []
    waiting.append((root, structure, _skipping({0}, tokens), 0))
    met = 0
    while waiting:
        path, node, places, depth = waiting.pop()
        met += 1
        if depth > MAX_DEPTH or met > _MAX_MET:
            raise ArgumentError(
                "`only` cannot look through this tree: it shares too much."
            )
        node = resolved(node, found.by_id)
        if node is None:
            continue
        if len(tokens) in places:
            yield path, node
            continue
        below: list[tuple[Path | str, Node, set[int], int]] = []
        for key, child in children_of(node):
            here: Path = (path, node, key)
            after = _after(places, tokens, label_of(node, key))
            if node["kind"] == "defaultdict" and key == "items":
                after |= places  # a step that only our messages know
            if after:
                below.append((here, child, after, depth + 1))
        waiting.extend(reversed(below))


def _add(node: Node, found: Survey, nodes: set[int]) -> None:
    """A node and all that it needs, also what is kept elsewhere in the tree."""
    waiting: list[Any] = [node]
    while waiting:
        node = resolved(waiting.pop(), found.by_id)
        if node is None or id(node) in nodes:
            continue
        nodes.add(id(node))
        waiting += node.get("keys", ())
        waiting += [child for _, child in children_of(node)]


def _nothing(structure: Node, found: Survey, text: str, root: str, file: str) -> str:
    """How far a path leads, and what there is at that place."""
    tokens = _parse(text)
    if tokens[:1] == [_Token(root)]:
        tokens = tokens[1:]
    path: Path | str = root
    node: Any = structure
    for length in range(len(tokens), 0, -1):
        met = next(_meant(structure, found, tokens[:length], root), None)
        if met is not None:
            path, node = met
            break
    labels = [label_of(node, key) for key, _ in children_of(node)]
    there = ", ".join(f"`{shown(label)}`" for label in labels[:20]) or "nothing"
    more = f" and {len(labels) - 20} more" if len(labels) > 20 else ""
    return (
        f"{file} has nothing at `{shown(text)}`. At `{shown(path_text(path))}` there "
        f"is {there}{more}."
    )
