"""How objects are shown, from their nodes alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .._errors import shown


def value_text(node: dict[str, Any]) -> str | None:
    """The value of a leaf as Python prints it; None if it has no value."""
    value = node.get("value")
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return beginning(value)


def beginning(value: Any) -> str | None:
    """The repr of plain data, shortened; None for None."""
    return None if value is None else shown(_beginning(value))


def _beginning(value: Any, most: int = 500) -> str:
    """The repr of plain data, no longer than is shown.

    Many nodes may share a long value, and each shows it.
    """
    if isinstance(value, (str, bytes)):
        return repr(value[:500])
    if not isinstance(value, (list, dict)):
        return repr(value)
    within = most // 8
    parts = [_beginning(item, within) for item in itertools.islice(value, most)]
    if isinstance(value, dict):
        pairs = zip(parts, value.values(), strict=False)
        parts = [f"{key}: {_beginning(held, within)}" for key, held in pairs]
    text = ", ".join(parts + ["…"] * (len(value) > most))
    return f"{{{text}}}" if isinstance(value, dict) else f"[{text}]"


def type_text(node: dict[str, Any]) -> str:
    """The class or function that a node names, or its kind."""
    named = type(node.get("type")) is str
    return shown(node["type"], 400) if named else str(node["kind"])


def in_parentheses(items: Sequence[str]) -> str:
    """Items as Python prints a tuple."""
    return f"({', '.join(items)}{',' * (len(items) == 1)})"


def in_brackets(items: Sequence[str]) -> str:
    """Items as Python prints a list."""
    return f"[{', '.join(items)}]"


@dataclass(frozen=True, slots=True)
class Look:
    """How the objects of a kind are shown, from their nodes alone.

    Attributes
    ----------
    value : callable
        From a node without children to the object as Python prints it, or to None if
        that would say nothing.
    type : callable
        From a node to the class or function that it names, or to its kind.
    literal : bool
        Whether the text of the value is shown without the kind, because Python reads
        the text as this object and no other.
    inline : bool
        Whether the text is short enough for a tuple, a list or a path.
    items : callable or None
        From the texts of the items to the text of the sequence on one line.
    numbers : callable or None
        From a node to the numbers in its `value`, as an array.
    words : str
        The noun for the object in an error, before its name: ``the class``.
    """

    value: Callable[[dict[str, Any]], str | None] = value_text
    type: Callable[[dict[str, Any]], str] = type_text
    literal: bool = False
    inline: bool = False
    items: Callable[[Sequence[str]], str] | None = None
    numbers: Callable[[dict[str, Any]], NDArray[Any] | None] | None = None
    words: str = ""


PLAIN = Look()
