"""What is in a file, as lines of text that fit the terminal."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

from .._errors import shown
from .._evolution.packages import Difference
from .._kinds.lookup import row_named
from .items import Contents, Item, counted, date_of, size_of
from .numbers import Statistics

# A piece of a line, and what it is: "label", "type", "value", "module", "faint",
# "warning".
Piece = tuple[str, str]
Line = list[Piece]

_LIKE = 3  # so many more of a sort are not shown one by one
_MOST = 40  # of what one thing holds
MAX_LINES = 2000


def lines_of(
    summary: Contents,
    *,
    width: int = 80,
    depth: int | None = None,
    everything: bool = False,
    head: bool = True,
    digests: bool = False,
) -> Iterator[Line]:
    """The lines of a summary: what the file is, the tree, and what it comes to.

    Parameters
    ----------
    summary : Contents
        What to show.
    width : int, default 80
        Columns that a line has at most.
    depth : int, optional
        How many levels to show.
    everything : bool, default False
        Whether to show each of many things that are alike.
    head : bool, default True
        Whether to say first what the file is.
    digests : bool, default False
        Whether to tell arrays apart that look the same, and values that are cut.
    """
    if head:
        yield from head_of(summary, width)
    lines = _tree(summary.root, width, depth, everything=everything, digests=digests)
    for number, line in enumerate(lines):
        if number == MAX_LINES and not everything:
            yield [("… and more. Give a path, a `--depth`, or `--all`.", "faint")]
            break
        yield line
    root = summary.root
    yield [(", ".join(totals_of(root)), "faint")]


def totals_of(item: Item) -> list[str]:
    """What an item comes to: arrays, numbers, bytes."""
    return [
        counted(item.arrays, "array"),
        counted(item.numbers, "number"),
        size_of(item.nbytes),
    ]


def text_of(lines: Iterable[Line]) -> str:
    """Lines without their colours."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def found_lines(items: Sequence[Item], *, width: int = 80) -> Iterator[Line]:
    """A line for each item, with its whole path."""
    for item in items:
        yield fitted([(item.path, "label"), *words_of(item)], _right(item), width)


def head_of(summary: Contents, width: int) -> Iterator[Line]:
    """What the file is, who wrote it, and its notes."""
    if summary.file:
        facts = [summary.file]
        if summary.size is not None:
            facts.append(size_of(summary.size))
        if summary.saved is not None:
            facts.append(f"saved {date_of(summary.saved)}")
        yield fitted([(", ".join(facts), "label")], [], width)
    differ = {difference.package: difference for difference in summary.differences}
    texts = [
        f"{shown(package, 60)} {shown(version, 60)}"
        + ("" if package not in differ else f" ({_here(differ[package])} here)")
        for package, version in summary.versions.items()
    ]
    yield from ([(line, "faint")] for line in _wrapped("with", texts, width))
    set_otherwise = [
        f"{d.package} {shown(d.file, 60)} ({_here(d)} here)"
        for d in summary.differences
        if d.kind == "setting"
    ]
    yield from ([(line, "faint")] for line in _wrapped("set", set_otherwise, width))
    extras = _wrapped("extras", [shown(name) for name in summary.extras], width)
    yield from ([(line, "faint")] for line in extras)
    if summary.metadata is not None:
        yield from _tree(summary.metadata, width, 2, everything=False)
    if summary.file:
        yield []


def _here(difference: Difference) -> str:
    return "not" if difference.here is None else shown(difference.here, 60)


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
    root: Item,
    width: int,
    depth: int | None,
    *,
    everything: bool,
    digests: bool = False,
) -> Iterator[Line]:
    waiting: list[tuple[str, str, Item | str, int]] = [("", "", root, 0)]
    while waiting:
        before, below, item, level = waiting.pop()
        if isinstance(item, str):
            yield fitted([(before, "faint"), (item, "faint")], [], width)
            continue
        left = [(before, "faint"), (item.label, "label"), *words_of(item)]
        deep = (
            depth is not None and level >= depth and item.items and item.value is None
        )
        if deep:
            left.append((f"  … {counted(len(item.items), 'item')}", "faint"))
        if digests and item.digest is not None:
            left.append((f"  #{item.digest}", "faint"))
        yield fitted(left, _right(item), width)
        if deep or (item.value is not None and not everything):
            continue
        rows: list[Item | str] = [*(item.items if everything else folded(item.items))]
        for i, row in reversed(list(enumerate(rows))):
            last = i == len(rows) - 1
            branch = "└─ " if last else "├─ "
            under = "   " if last else "│  "
            # Of a deep tree, no more than a line can show.
            ahead, after = (f"{below}{x}"[: width + 1] for x in (branch, under))
            waiting.append((ahead, after, row, level + 1))


def folded(items: Sequence[Item]) -> Iterator[Item | str]:
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
                yield f"… {counted(len(more), 'more item')}{_sizes(more)}"
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


def words_of(item: Item) -> Line:
    """What an item is, behind its name."""
    line: Line = [(": ", "faint")]
    if item.value is not None and is_literal(item):
        line = [(" = ", "faint"), (item.value, "value")]
    else:
        name = item.type.rpartition(":")[2] if ":" in item.type else item.type
        line.append((name, "type"))
        if item.value is not None:
            line.append((f" {item.value}", "value"))
        module = item.type.rpartition(":")[0]
        if module:
            line.append((f"  {module}", "module"))
    if item.statistics is not None:
        fine = isinstance(item.statistics, Statistics)
        line.append((f"  {told_of(item)}", "value" if fine else "warning"))
    return line


def told_of(item: Item) -> str:
    """What the numbers of an array are like, or why that is not known."""
    found = item.statistics
    if not isinstance(found, Statistics):
        return str(found)
    odd = found.nans or found.infinities or found.least is None
    if odd or found.least != found.greatest:
        return str(found)
    return f"{'' if item.numbers == 1 else 'all '}{found.least:.4g}"


def is_literal(item: Item) -> bool:
    """Whether an item has a value that says all, so that its type is not shown."""
    return item.value is not None and row_named(item.kind).look.literal


def _right(item: Item) -> Line:
    line: Line = []
    if item.static:
        line.append(("static", "faint"))
    if item.nbytes:
        line.append((f"{'  ' * bool(line)}{size_of(item.nbytes):>8}", "faint"))
    return line


def fitted(left: Line, right: Line, width: int) -> Line:
    """A line with something at its end; if too long, without modules, or its rest."""
    room = width - sum(columns(text) for text, _ in right) - bool(right)
    if sum(columns(text) for text, _ in left) > room:
        left = [piece for piece in left if piece[1] != "module"]
    line: Line = []
    for text, style in left:
        if columns(text) > room:
            line.append((f"{_first(text, max(room - 1, 0))}…", style))
            room = 0
            break
        line.append((text, style))
        room -= columns(text)
    if right:
        line.append((" " * (room + 1), ""))
    return line + right


def columns(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _first(text: str, room: int) -> str:
    """As much of a text as fits."""
    for i, taken in enumerate(itertools.accumulate(map(_columns, text))):
        if taken > room:
            return text[:i]
    return text
