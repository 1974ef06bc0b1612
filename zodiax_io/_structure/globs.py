"""Globs of paths: one meaning wherever a path or a glob is given.

A path is written as in messages: ``layers[0].weight``, ``['key']``. Keys of text
and indices may be written like fields: ``layers.0.key``. In a glob, ``*`` and ``?`` are
characters of one step, and ``**`` is any number of steps. A glob fits a path if it fits
all of it, with or without the name of the root before it. ``**`` does not match the
root: ``**.model`` means every node of that name, not the whole tree.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from .._errors import ArgumentError, shown

# What a step is ("name", "key" or "item"), and its text.
LabelledStep = tuple[str, str]

# `name`, `*`, `**`; `[0]`, `[*]`, `['key']`. Dots stand between names.
_TOKEN = re.compile(
    r"""(?P<dot>\.)?(?:
        (?P<name>[^.\[\]]+)
        | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]
        | \[(?P<index>[^\[\]]+)\]
    )""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A step of a glob."""

    text: str
    literal: bool = False  # the key of a mapping, in quotes
    bracket: bool = False

    @property
    def is_deep(self) -> bool:
        """Whether it means any number of steps."""
        return self.text == "**" and not self.literal

    @property
    def is_glob(self) -> bool:
        """Whether it may mean several steps."""
        return not self.literal and any(c in self.text for c in "*?")

    def steps(self) -> list[LabelledStep]:
        """The steps that a token matches; only for one without ``*`` or ``?``."""
        if self.literal:
            return [("key", self.text)]
        if self.bracket:
            return [("item", self.text)]
        # The key of a mapping reads like a field, and digits like an index.
        index = [("item", self.text)] if self.text.isdigit() else []
        return [("name", self.text), ("key", self.text), *index]

    def accepts(self, step: LabelledStep) -> bool:
        """Whether a glob means a step."""
        what, text = step
        return (what != "name" or not self.bracket) and fnmatchcase(text, self.text)


def parse_glob(text: str, argument: str) -> list[Token]:
    """The steps of a path or a glob.

    Parameters
    ----------
    text : str
        The path or glob.
    argument : str
        The argument it was given for, as errors call it.

    Raises
    ------
    ArgumentError
        If it is not a path.
    """
    tokens: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        follows = bool(tokens) and match is not None and match["name"] is not None
        if match is None or (follows and match["dot"] is None):
            raise ArgumentError(
                f"`{argument}` has no path in {shown(repr(text))}: expected names with "
                "dots between them, and `[…]` for items, as in `layers[0].weight`."
            )
        if match["name"] is not None:
            tokens.append(Token(match["name"]))
        elif match["quoted"] is not None:
            key = _unquoted(match["quoted"], text, argument)
            tokens.append(Token(key, literal=True))
        else:
            tokens.append(Token(match["index"], bracket=True))
        place = match.end()
    if not tokens:
        raise ArgumentError(f"`{argument}` has an empty path. Leave it out.")
    return tokens


def _unquoted(quoted: str, text: str, argument: str) -> str:
    try:
        return ast.literal_eval(quoted)
    except (ValueError, SyntaxError) as error:
        raise ArgumentError(
            f"`{argument}` has a key in {shown(repr(text))} that is not text in "
            f"Python: {error}."
        ) from None


def step_of_label(label: str) -> LabelledStep:
    """The step that a label of a path shows: ``weight``, ``['key']`` or ``[0]``."""
    if not label.startswith("["):
        return "name", label
    match = _TOKEN.fullmatch(label)
    if match is not None and match["quoted"] is not None:
        return "key", ast.literal_eval(match["quoted"])
    return "item", label[1:-1]


def steps_of_text(path: str) -> list[LabelledStep]:
    """The steps of a path as it is shown; none if it was shortened too much."""
    try:
        tokens = parse_glob(path, "path")
    except ArgumentError:
        return []
    return [
        ("key" if one.literal else "item" if one.bracket else "name", one.text)
        for one in tokens
    ]


class _TrieNode:
    """How far some globs have come: a node of the trie of their tokens."""

    def __init__(self) -> None:
        self.ends: list[int] = []  # the numbers of the globs that end here
        self.loops = False  # behind a `**`, which takes any step and stays
        self.exact: dict[LabelledStep, list[_TrieNode]] = {}
        self.globs: list[tuple[Token, _TrieNode]] = []
        self.deep: _TrieNode | None = None
        self._known: dict[Token, _TrieNode] = {}

    def add(self, tokens: Iterable[Token], number: int) -> None:
        """Add the tokens of a glob below this node."""
        node = self
        for token in tokens:
            node = node._next(token)
        node.ends.append(number)

    def _next(self, token: Token) -> _TrieNode:
        known = self._known.get(token)
        if known is not None:
            return known
        node = self._known[token] = _TrieNode()
        if token.is_deep:
            node.loops = True
            self.deep = node
        elif token.is_glob:
            self.globs.append((token, node))
        else:
            for step in token.steps():
                self.exact.setdefault(step, []).append(node)
        return node

    def after(self, step: LabelledStep) -> Iterator[_TrieNode]:
        """Where a step leads to."""
        if self.loops:
            yield self
        yield from self.exact.get(step, ())
        for token, node in self.globs:
            if token.accepts(step):
                yield node


class Position:
    """How far a walk has come in several globs at once."""

    __slots__ = ("_nodes", "ends")

    def __init__(self, nodes: Iterable[_TrieNode]) -> None:
        found: dict[int, _TrieNode] = {}
        waiting = list(nodes)
        while waiting:
            node = waiting.pop()
            if id(node) not in found:
                found[id(node)] = node
                # A `**` matches zero steps, too.
                waiting += [] if node.deep is None else [node.deep]
        self._nodes = list(found.values())
        self.ends = {number for node in self._nodes for number in node.ends}

    def __bool__(self) -> bool:
        """Whether any glob may still end at or below this position."""
        return bool(self._nodes)

    def after(self, step: LabelledStep) -> Position:
        """The position after another step."""
        return Position(next_ for node in self._nodes for next_ in node.after(step))


def start_of(globs: Iterable[tuple[int, Sequence[Token]]]) -> Position:
    """The position at the root, for globs with their numbers; some may share one."""
    start = _TrieNode()
    for number, tokens in globs:
        start.add(tokens, number)
    return Position([start])


def without_root(tokens: Sequence[Token], root: str) -> Sequence[Token] | None:
    """A glob without its first step, if that may be the root; None if it may not."""
    first = tokens[0]
    is_root = first == Token(root) or (first.is_glob and first.accepts(("name", root)))
    return tokens[1:] if is_root and not first.is_deep else None


def start_of_texts(texts: Iterable[str], root: str, argument: str) -> Position:
    """The position at the root for globs as the user writes them.

    Parameters
    ----------
    texts : iterable of str
        The globs, each with or without the name of the root before it.
    root : str
        That name.
    argument : str
        The argument they were given for, as errors call it.

    Raises
    ------
    ArgumentError
        If one of them is not a path.
    """
    globs = [parse_glob(text, argument) for text in texts]
    rooted = [without_root(tokens, root) for tokens in globs]
    return start_of((0, one) for one in (*globs, *rooted) if one is not None)
