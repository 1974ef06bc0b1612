"""Parts of a model: which nodes a path or a glob means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from .._errors import ArgumentError, shown
from .nodes import Node, Structure, Visits, reachable
from .paths import Path, label_of, path_text, step_of

# `name`, `*`, `**`; `[0]`, `[*]`, `['key']`. Dots stand between names.
_TOKEN = re.compile(
    r"""(?P<dot>\.)?(?:
        (?P<name>[^.\[\]]+)
        | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]
        | \[(?P<index>[^\[\]]+)\]
    )""",
    re.VERBOSE,
)


class _Token(NamedTuple):
    text: str
    literal: bool = False  # the key of a mapping, in quotes
    bracket: bool = False

    @property
    def is_deep(self) -> bool:
        return self.text == "**" and not self.literal

    @property
    def is_glob(self) -> bool:
        return not self.literal and any(c in self.text for c in "*?")

    def steps(self) -> list[tuple[str, str]]:
        """The steps that a token means which is no glob."""
        if self.literal:
            return [("key", self.text)]
        if self.bracket:
            return [("item", self.text)]
        # The key of a mapping reads like a field, and digits like an index.
        index = [("item", self.text)] if self.text.isdigit() else []
        return [("name", self.text), ("key", self.text), *index]

    def accepts(self, step: tuple[str, str]) -> bool:
        """Whether a glob means a step."""
        what, text = step
        return (what != "name" or not self.bracket) and fnmatchcase(text, self.text)


class _Place:
    """How far some patterns have come: a trie of their tokens."""

    def __init__(self) -> None:
        self.ends: list[int] = []  # the numbers of the patterns that end here
        self.loops = False  # behind a `**`, which takes any step and stays
        self.exact: dict[tuple[str, str], list[_Place]] = {}
        self.globs: list[tuple[_Token, _Place]] = []
        self.deep: _Place | None = None
        self._known: dict[_Token, _Place] = {}

    def add(self, tokens: Sequence[_Token], number: int) -> None:
        """Let a pattern go on from here."""
        place = self
        for token in tokens:
            place = place._next(token)
        place.ends.append(number)

    def _next(self, token: _Token) -> _Place:
        known = self._known.get(token)
        if known is not None:
            return known
        place = self._known[token] = _Place()
        if token.is_deep:
            place.loops = True
            self.deep = place
        elif token.is_glob:
            self.globs.append((token, place))
        else:
            for step in token.steps():
                self.exact.setdefault(step, []).append(place)
        return place

    def after(self, step: tuple[str, str]) -> Iterator[_Place]:
        """Where a step leads to."""
        if self.loops:
            yield self
        yield from self.exact.get(step, ())
        for token, place in self.globs:
            if token.accepts(step):
                yield place


def _closed(places: Iterable[_Place]) -> dict[int, _Place]:
    """With the places behind each `**`, which may stand for nothing."""
    result: dict[int, _Place] = {}
    waiting = list(places)
    while waiting:
        place = waiting.pop()
        if id(place) not in result:
            result[id(place)] = place
            waiting += [] if place.deep is None else [place.deep]
    return result


class Selection(NamedTuple):
    """What of a structure was asked for.

    Attributes
    ----------
    single : tuple of Path and Node, or None
        The one node that a plain path leads to.
    nodes : set of int
        The identities of all nodes that were chosen, and of those below them.
    places : list of Path and Node
        What was chosen.
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
        If there is nothing at one of them, or more than one thing; or it is no path.
    """
    texts: Sequence[Any] = [only] if isinstance(only, str) else only
    if not isinstance(texts, (list, tuple, set, frozenset)) or not all(
        isinstance(text, str) for text in texts
    ):
        raise ArgumentError(
            "`only` is a path such as `optics.layers[0]`, a glob such as "
            f"`layers[*].weight`, or a list of them, not {shown(repr(only))}."
        )
    patterns = [_parse(text) for text in texts]
    root = path_text(structure.root.path)
    # As a user writes it; and as messages do, with the name of the root before it.
    plain = _meant(structure, patterns)
    rooted = [tokens[1:] if tokens[0] == _Token(root) else None for tokens in patterns]
    whole = _meant(structure, rooted)
    nodes: set[int] = set()
    places: list[_Found] = []
    single: _Found | None = None
    for text, tokens, one, two in zip(texts, patterns, plain, whole, strict=True):
        met = one or two
        if not met:
            raise ArgumentError(_nothing(structure, text, file))
        is_glob = any(token.is_glob for token in tokens)
        # A field with the name of the root is meant by that name alone.
        twice = bool(one and two) and len(tokens) > 1
        if twice or (len(met) > 1 and not is_glob):
            both = (one[:1] + two[:1]) if twice else met[:3]
            paths = " and ".join(f"`{shown(path_text(path))}`" for path, _ in both)
            raise ArgumentError(
                f"`only={shown(repr(text))}` means more than one thing in {file}: "
                f"{paths}. Write keys as `['key']`, without `{root}` before them."
            )
        single = None if is_glob or not isinstance(only, str) else met[0]
        places += met
        for _, node in met:  # with what is kept elsewhere in the tree
            for _ in reachable(node, nodes):
                pass
    return Selection(single, nodes, places)


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
            tokens.append(_Token(_unquoted(match["quoted"], text), literal=True))
        else:
            tokens.append(_Token(match["index"], bracket=True))
        place = match.end()
    if not tokens:
        raise ArgumentError('`only=""` is no path. Leave it out to load everything.')
    return tokens


def _unquoted(quoted: str, text: str) -> str:
    try:
        return ast.literal_eval(quoted)
    except (ValueError, SyntaxError) as error:
        raise ArgumentError(
            f"`only` has a key in {shown(repr(text))} that is no text of Python: "
            f"{error}."
        ) from None


def _meant(
    structure: Structure, patterns: Sequence[Sequence[_Token] | None]
) -> list[list[_Found]]:
    """The outermost nodes whose paths each pattern fits, in one walk for all."""
    start = _Place()
    for number, tokens in enumerate(patterns):
        if tokens is not None:
            start.add(tokens, number)
    result: list[list[_Found]] = [[] for _ in patterns]
    visits = Visits()
    root = structure.root
    waiting: list[tuple[Path, Node, dict[int, _Place], frozenset[int]]] = []
    waiting.append((root.path, root, _closed([start]), frozenset()))
    while waiting:
        path, node, places, inside = waiting.pop()
        ends = {number for place in places.values() for number in place.ends}
        for number in ends - inside:
            result[number].append((path, node))
        inside |= ends
        below: list[tuple[Path, Node, dict[int, _Place], frozenset[int]]] = []
        for step, child in node.below():
            after = places
            if label_of(node.plain, step):
                taken = step_of(node.plain, step)
                after = _closed(p for at in places.values() for p in at.after(taken))
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
    tokens = _parse(text)
    path, node = structure.root.path, structure.root
    if tokens[:1] == [_Token(path_text(path))]:
        tokens = tokens[1:]
    for length in range(len(tokens), 0, -1):
        found = _meant(structure, [tokens[:length]])[0]
        if found:
            path, node = found[0]
            break
    labels = [shown(label_of(node.plain, step), 40) for step, _ in node.below()]
    there = ", ".join(f"`{label}`" for label in labels[:20]) or "nothing"
    more = f" and {len(labels) - 20} more" if len(labels) > 20 else ""
    deeper = ""
    if text.startswith("*."):
        deeper = (
            f" A `*` stands for one step: `{shown('*' + text)}` looks at any depth."
        )
    return (
        f"{file} has nothing at `{shown(text)}`. At `{shown(path_text(path))}` there "
        f"is {there}{more}.{deeper}"
    )
