"""What is in a file, as data, and as lines of text that fit the terminal."""

from __future__ import annotations

import fnmatch
import html
import math
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from . import _dtypes
from ._environment import Difference
from ._errors import shown


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the numbers of an array are like.

    Attributes
    ----------
    least, greatest, mean : float or None
        Of those that are finite; None if none is, or if they have no order.
    nans : int
        How many are no numbers.
    """

    least: float | None
    greatest: float | None
    mean: float | None
    nans: int

    def __str__(self) -> str:
        """Few words, as `zodiax-io show --values` prints them."""
        if self.mean is None:
            text = "no finite numbers"
        else:
            text = f"{self.least:.4g} to {self.greatest:.4g}, mean {self.mean:.4g}"
        return f"{text}, {self.nans} nan" if self.nans else text


@dataclass(frozen=True, slots=True)
class Item:
    """One thing in a file: an array, a value, or what holds others.

    Attributes
    ----------
    path : str
        Where it is: ``model.layers[0].weight``.
    label : str
        The last step of it.
    kind : str
        What the file calls it; the page of kinds lists all.
    type : str
        ``f32[3,4]`` for an array; a class as ``package.module:Name``; the kind of
        anything else.
    value : str or None
        What it is, in Python's words; None for arrays and what holds others.
    static : bool
        Whether it is no leaf to JAX, but part of the treedef.
    arrays, nbytes : int
        How many arrays are in it, and how many bytes these have.
    items : tuple of Item
        What is in it.
    record : int or None
        Which record of the companion holds the array.
    statistics : Statistics, str or None
        What the numbers of the array are like, if asked for; or why that is not known.
    """

    path: str
    label: str
    kind: str
    type: str
    value: str | None = None
    static: bool = False
    arrays: int = 0
    nbytes: int = 0
    items: tuple[Item, ...] = ()
    record: int | None = None
    statistics: Statistics | str | None = None

    def walk(self) -> Iterator[Item]:
        """The item itself, and all in it."""
        waiting: list[Item] = [self]
        while waiting:
            item = waiting.pop()
            yield item
            waiting.extend(reversed(item.items))

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON; without what it has not."""
        told: dict[str, Any] = {"path": self.path, "kind": self.kind, "type": self.type}
        if self.value is not None:
            told["value"] = self.value
        if self.static:
            told["static"] = True
        if self.arrays:
            told |= {"arrays": self.arrays, "nbytes": self.nbytes}
        if isinstance(self.statistics, Statistics):
            told["statistics"] = {
                name: getattr(self.statistics, name) for name in Statistics.__slots__
            }
        elif self.statistics is not None:
            told["statistics"] = self.statistics
        if self.items:
            told["items"] = [item.as_dict() for item in self.items]
        return told


@dataclass(frozen=True)
class Summary:
    """What is in a file; printed, it is the tree.

    Attributes
    ----------
    file : str
        What the file is called.
    root : Item
        The tree, or the part of it that was asked for.
    metadata : Item or None
        The notes that were saved beside it.
    versions : dict of str to str
        The packages that wrote the file.
    differences : tuple of Difference
        How those here differ from them.
    size : int or None
        Bytes on the disk, of both files.
    saved : float or None
        When, in seconds since 1970.
    """

    file: str
    root: Item
    metadata: Item | None = None
    versions: dict[str, str] = field(default_factory=dict[str, str])
    differences: tuple[Difference, ...] = ()
    size: int | None = None
    saved: float | None = None

    def __str__(self) -> str:
        """The tree, as `zodiax-io show` prints it."""
        return text_of(lines_of(self, width=shutil.get_terminal_size().columns))

    def _repr_html_(self) -> str:
        """The same for a notebook: what holds others can be folded."""
        facts = text_of(_head(self, 100)).strip()
        return (
            f'<div style="font-family: monospace"><pre>{html.escape(facts)}</pre>'
            f"{''.join(_html_of(self.root))}</div>"
        )

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        return {
            "file": self.file,
            "size": self.size,
            "saved": None if self.saved is None else date_of(self.saved),
            "versions": self.versions,
            "differences": [vars(difference) for difference in self.differences],
            "metadata": None if self.metadata is None else self.metadata.as_dict(),
            "tree": self.root.as_dict(),
        }

    def found(
        self,
        pattern: str | None = None,
        *,
        dtype: str | None = None,
        cls: str | None = None,
        larger: int = 0,
    ) -> list[Item]:
        """The items that fit all that is given.

        Parameters
        ----------
        pattern : str, optional
            A glob for paths: ``"*.bias"``.
        dtype : str, optional
            Of arrays: ``"f32"``, or ``"float32"``.
        cls : str, optional
            A glob for the class, or the last part of its name: ``"Linear"``.
        larger : int, default 0
            Bytes that the arrays in it have at least.

        Returns
        -------
        list of Item
            In the order of the tree, without what they hold.
        """
        result: list[Item] = []
        for item in self.root.walk():
            name = item.type.rpartition(":")[2]
            if (
                (pattern is None or matches(item.path, pattern))
                and (dtype is None or _is_of_dtype(item, dtype))
                and (cls is None or any(map(_globbing(cls), (item.type, name))))
                and item.nbytes >= larger
            ):
                result.append(replace(item, items=()) if item.items else item)
        return result


def matches(path: str, glob: str) -> bool:
    """Whether a path fits a glob, in which brackets are brackets."""
    return fnmatch.fnmatchcase(path, glob.replace("[", "[[]"))


def _globbing(pattern: str) -> Callable[[str], bool]:
    return lambda text: fnmatch.fnmatchcase(text, pattern)


def _is_of_dtype(item: Item, dtype: str) -> bool:
    name = item.type.partition("[")[0]
    return item.kind in _dtypes.ARRAY_NODES and name in (dtype, short_dtype(dtype))


_SHORT = {
    f"{kind}{bits}": f"{kind[0]}{bits}"
    for kind in ("int", "uint", "float", "complex")
    for bits in (2, 4, 8, 16, 32, 64, 128)
} | {"bfloat16": "bf16"}


def short_dtype(dtype: Any) -> str:
    """A dtype as JAX shortens it: ``f32`` for ``float32``."""
    if type(dtype) is not str:
        return "struct"
    return _SHORT.get(dtype, shown(dtype, 40))


def long_dtype(short: str) -> str:
    """The name of a dtype that was shortened."""
    return next((long for long, known in _SHORT.items() if known == short), short)


def value_of(node: dict[str, Any]) -> str | None:
    """The value of a leaf, in Python's words."""
    kind = node["kind"]
    if kind == "none":
        return "None"
    value = node.get("value")
    if kind == "complex" and isinstance(value, list) and len(value) == 2:
        return shown(repr(complex(*value))) if all(map(_is_real, value)) else None
    if kind == "bytes" or not isinstance(value, bytes):
        return None if value is None else shown(repr(value))
    if kind == "scalar":
        try:
            dtype = _dtypes.parse(node.get("dtype"))
            return shown(repr(np.frombuffer(value, dtype)[0]))
        except (ValueError, TypeError, IndexError):
            return None
    return f"{len(value)} bytes"


def _is_real(value: Any) -> bool:
    return type(value) in (int, float)


def notation(node: dict[str, Any]) -> tuple[str, int]:
    """An array as JAX shows its type, and the bytes that it has."""
    dtype, shape = node.get("dtype"), node.get("shape")
    lengths = shape if isinstance(shape, list) else []
    try:
        nbytes = math.prod(lengths) * _dtypes.parse(dtype).itemsize
    except (ValueError, TypeError):
        return "an array", 0
    if node["kind"] == "key":
        return f"key<{shown(node.get('impl'))}>[{_listed(lengths[:-1])}]", nbytes
    text = f"{short_dtype(dtype)}[{_listed(lengths)}]"
    return f"{text} numpy" if node["kind"] == "numpy" else text, nbytes


def _listed(lengths: Sequence[Any]) -> str:
    return ",".join(map(str, lengths))


def date_of(seconds: float) -> str:
    """A time as people write it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


# As lines -----------------------------------------------------------------------------

# A piece of a line, and what it is: "label", "type", "value", "faint", "warning".
Piece = tuple[str, str]
Line = list[Piece]

_LIKE = 3  # so many more of a sort are not shown one by one
_MOST = 40  # of what one thing holds
MAX_LINES = 2000


def lines_of(
    summary: Summary,
    *,
    width: int = 80,
    depth: int | None = None,
    everything: bool = False,
    head: bool = True,
) -> Iterator[Line]:
    """The lines of a summary: what the file is, the tree, and what it comes to.

    Parameters
    ----------
    summary : Summary
        What to show.
    width : int, default 80
        Columns that a line has at most.
    depth : int, optional
        How many levels to show.
    everything : bool, default False
        Whether to show each of many things that are alike.
    head : bool, default True
        Whether to say first what the file is.
    """
    if head:
        yield from _head(summary, width)
    lines = _tree(summary.root, width, depth, everything=everything)
    for number, line in enumerate(lines):
        if number == MAX_LINES and not everything:
            yield [("… and more. Give a path, a `--depth`, or `--all`.", "faint")]
            break
        yield line
    root = summary.root
    total = f"{_counted(root.arrays, 'array')}, {size_of(root.nbytes)}"
    yield [(total, "faint")]


def text_of(lines: Iterable[Line]) -> str:
    """Lines without their colours."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def found_lines(items: Sequence[Item], *, width: int = 80) -> Iterator[Line]:
    """A line for each item, with its whole path."""
    for item in items:
        yield fitted([(item.path, "label"), *_words(item)], _right(item), width)


def _head(summary: Summary, width: int) -> Iterator[Line]:
    facts = [summary.file]
    if summary.size is not None:
        facts.append(size_of(summary.size))
    if summary.saved is not None:
        facts.append(f"saved {date_of(summary.saved)}")
    yield fitted([(", ".join(facts), "label")], [], width)
    differ = {difference.package: difference for difference in summary.differences}
    texts = [
        f"{package} {version}"
        + ("" if package not in differ else f" ({differ[package].here or 'not'} here)")
        for package, version in summary.versions.items()
    ]
    yield from ([(line, "faint")] for line in _wrapped("with", texts, width))
    if summary.metadata is not None:
        yield from _tree(summary.metadata, width, 2, everything=False)
    yield []


def _wrapped(first: str, words: Sequence[str], width: int) -> Iterator[str]:
    line = first
    for i, word in enumerate(words):
        word += "," * (i + 1 < len(words))
        if len(line) + 1 + len(word) > width and line != first:
            yield line
            line = "    "
        line += " " + word
    if words:
        yield line


def _tree(
    root: Item, width: int, depth: int | None, *, everything: bool
) -> Iterator[Line]:
    waiting: list[tuple[str, str, Item | str, int]] = [("", "", root, 0)]
    while waiting:
        before, below, item, level = waiting.pop()
        if isinstance(item, str):
            yield fitted([(before, "faint"), (item, "faint")], [], width)
            continue
        left = [(before, "faint"), (item.label, "label"), *_words(item)]
        deep = depth is not None and level >= depth and item.items
        if deep:
            left.append((f"  … {_counted(len(item.items), 'item')}", "faint"))
        yield fitted(left, _right(item), width)
        if deep:
            continue
        rows: list[Item | str] = [*(item.items if everything else _folded(item.items))]
        for i, row in reversed(list(enumerate(rows))):
            last = i == len(rows) - 1
            branch = "└─ " if last else "├─ "
            under = "   " if last else "│  "
            waiting.append((below + branch, below + under, row, level + 1))


def _folded(items: Sequence[Item]) -> Iterator[Item | str]:
    """Items of which one stands for many that are alike, and the rest is counted."""
    start = count = 0
    while start < len(items):
        end = start + 1
        like = _sort_of(items[start])
        while end < len(items) and _sort_of(items[end]) == like:
            end += 1
        few = end - start <= _LIKE + 1
        for item in items[start:end] if few else items[start : start + 1]:
            if count == _MOST:
                more = items[items.index(item) :]
                yield f"… {_counted(len(more), 'more item')}{_sizes(more)}"
                return
            count += 1
            yield item
        if not few:
            more = items[start + 1 : end]
            last = more[-1].label
            yield f"… {len(more)} more like it, to {last}{_sizes(more)}"
        start = end


def _sizes(items: Sequence[Item]) -> str:
    nbytes = sum(item.nbytes for item in items)
    return f", {size_of(nbytes)}" if nbytes else ""


def _sort_of(item: Item, deep: int = 4) -> tuple[object, ...]:
    """What items have in common that are shown once."""
    label = re.sub(r"\d+", "0", item.label)
    below = tuple(_sort_of(i, deep - 1) for i in item.items[:8]) if deep else ()
    return label, item.type, item.static, item.arrays, item.nbytes, below


def _words(item: Item) -> Line:
    line: Line = [(": ", "faint")]
    if item.value is not None and item.kind in _PLAIN:
        line = [(" = ", "faint"), (item.value, "value")]
    else:
        name = item.type.rpartition(":")[2] if ":" in item.type else item.type
        line.append((name, "type"))
        if item.value is not None:
            line.append((f" {item.value}", "value"))
        module = item.type.rpartition(":")[0]
        if module:
            line.append((f"  {module}", "faint"))
    if isinstance(item.statistics, Statistics):
        line.append((f"  {item.statistics}", "value"))
    elif item.statistics is not None:
        line.append((f"  {item.statistics}", "warning"))
    return line


_PLAIN = ("none", "bool", "int", "float", "complex", "str", "bytes")


def _right(item: Item) -> Line:
    line: Line = []
    if item.static:
        line.append(("static", "faint"))
    if item.nbytes:
        line.append((f"{'  ' * bool(line)}{size_of(item.nbytes):>8}", "faint"))
    return line


def fitted(left: Line, right: Line, width: int) -> Line:
    """A line with something at its end, cut where it is too long."""
    room = width - sum(len(text) for text, _ in right) - bool(right)
    line: Line = []
    for text, style in left:
        if len(text) > room:
            line.append((text[: max(room - 1, 0)] + "…", style))
            room = 0
            break
        line.append((text, style))
        room -= len(text)
    if right:
        line.append((" " * (room + 1), ""))
    return line + right


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def size_of(nbytes: int) -> str:
    """Bytes as people say it."""
    size = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{nbytes} B"
        size /= 1000
    return f"{size:.3g} TB"


def _html_of(item: Item, level: int = 0) -> Iterator[str]:
    words = "".join(
        f'<span style="{_STYLES.get(style, "")}">{html.escape(text)}</span>'
        for text, style in [(item.label, "label"), *_words(item)]
    )
    size = f"{size_of(item.nbytes)} " if item.nbytes else ""
    right = html.escape(f"{size}{'static' if item.static else ''}".strip())
    line = f'{words} <span style="{_STYLES["faint"]}">&ensp;{right}</span>'
    if not item.items:
        yield f'<div style="margin-left: 1.2em">{line}</div>'
        return
    yield f'<details style="margin-left: 0.2em"{" open" * (level < 2)}>'
    yield f'<summary>{line}</summary><div style="margin-left: 1em">'
    for row in _folded(item.items) if level < _DEEPEST else ["…"]:
        if isinstance(row, str):
            yield f'<div style="margin-left: 1.2em">{html.escape(row)}</div>'
        else:
            yield from _html_of(row, level + 1)
    yield "</div></details>"


_DEEPEST = 60
_STYLES = {
    "label": "font-weight: bold",
    "type": "color: #0969a2",
    "value": "color: #1a7f37",
    "faint": "opacity: 0.6",
    "warning": "color: #b35900",
}
