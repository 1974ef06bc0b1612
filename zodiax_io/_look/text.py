"""Lines of text of a summary, which fit the width of a terminal."""

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

# Text, and its style: "label", "type", "value", "module", "faint" or "warning".
Line = list[tuple[str, str]]

_MAX_ALIKE = 4  # more consecutive items that are alike are shown as one and counted
_MAX_ITEMS = 40  # of one container
_MAX_LINES = 2000


def lines_of(
    summary: Contents,
    *,
    width: int = 80,
    depth: int | None = None,
    everything: bool = False,
    head: bool = True,
    digests: bool = False,
) -> Iterator[Line]:
    """The lines of a summary: facts about the file, the tree, and totals.

    Parameters
    ----------
    summary : Contents
        The summary.
    width : int, default 80
        The most columns of a line.
    depth : int, optional
        How many levels to show.
    everything : bool, default False
        Whether to show each of many similar items.
    head : bool, default True
        Whether to begin with the facts about the file.
    digests : bool, default False
        Whether to show checksums of arrays and of values that are cut.
    """
    if head:
        yield from head_of(summary, width)
    lines = _tree(summary.root, width, depth, everything=everything, digests=digests)
    for number, line in enumerate(lines):
        if number == _MAX_LINES and not everything:
            yield [("… and more. Give a path, a `--depth`, or `--all`.", "faint")]
            break
        yield line
    yield [(totals_of(summary.root), "faint")]


def totals_of(item: Item) -> str:
    """The numbers of arrays, elements and bytes in an item."""
    arrays, numbers = counted(item.arrays, "array"), counted(item.numbers, "number")
    return f"{arrays}, {numbers}, {size_of(item.nbytes)}"


def text_of(lines: Iterable[Line]) -> str:
    """Lines as one text, without styles."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in lines)


def found_lines(items: Sequence[Item], *, width: int = 80) -> Iterator[Line]:
    """A line for each item, with its whole path."""
    for item in items:
        left = [(item.path, "label"), *description_of(item)]
        yield fitted(left, _right_column(item), width)


def head_of(summary: Contents, width: int) -> Iterator[Line]:
    """Name, size and date of a file, the packages that wrote it, and its metadata."""
    if summary.file:
        facts = [summary.file]
        if summary.size is not None:
            facts.append(size_of(summary.size))
        if summary.saved is not None:
            facts.append(f"saved {date_of(summary.saved)}")
        yield fitted([(", ".join(facts), "label")], [], width)
    here = {difference.package: _here(difference) for difference in summary.differences}
    packages = [
        f"{shown(package, 60)} {shown(version, 60)}{here.get(package, '')}"
        for package, version in summary.versions.items()
    ]
    settings = [
        f"{difference.package} {shown(difference.file, 60)}{_here(difference)}"
        for difference in summary.differences
        if difference.kind == "setting"
    ]
    extras = [shown(name) for name in summary.extras]
    for first, words in (("with", packages), ("set", settings), ("extras", extras)):
        yield from ([(line, "faint")] for line in _wrapped(first, words, width))
    if summary.metadata is not None:
        yield from _tree(summary.metadata, width, 2, everything=False)
    if summary.file:
        yield []


def _here(difference: Difference) -> str:
    here = "not" if difference.here is None else shown(difference.here, 60)
    return f" ({here} here)"


def _wrapped(first: str, words: Sequence[str], width: int) -> Iterator[str]:
    """A list of words in lines; the first line begins with another word."""
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
    # Each with the branch before it, and the indent of the items below it.
    waiting: list[tuple[str, str, Item | str, int]] = [("", "", root, 0)]
    while waiting:
        branch, indent, item, level = waiting.pop()
        if isinstance(item, str):
            yield fitted([(branch, "faint"), (item, "faint")], [], width)
            continue
        left = [(branch, "faint"), (item.label, "label"), *description_of(item)]
        is_cut = (
            depth is not None and level >= depth and item.items and item.value is None
        )
        if is_cut:
            left.append((f"  … {counted(len(item.items), 'item')}", "faint"))
        if digests and item.digest is not None:
            left.append((f"  #{item.digest}", "faint"))
        yield fitted(left, _right_column(item), width)
        if is_cut or (item.value is not None and not everything):
            continue
        rows: list[Item | str] = [*(item.items if everything else folded(item.items))]
        for i, row in reversed(list(enumerate(rows))):
            ends = ("└─ ", "   ") if i == len(rows) - 1 else ("├─ ", "│  ")
            # The indents of a deep tree would grow beyond what a line can show.
            first, others = (f"{indent}{end}"[: width + 1] for end in ends)
            waiting.append((first, others, row, level + 1))


def folded(items: Sequence[Item]) -> Iterator[Item | str]:
    """Items to list; text replaces many that are alike, and those beyond a limit."""
    start = count = 0
    while start < len(items):
        end = start + 1
        shape = _shape_of(items[start])
        while end < len(items) and _shape_of(items[end]) == shape:
            end += 1
        few = end - start <= _MAX_ALIKE
        for item in items[start:end] if few else items[start : start + 1]:
            if count == _MAX_ITEMS:
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


def _shape_of(item: Item, depth: int = 4) -> tuple[object, ...]:
    """The attributes that are equal for items that are alike, such as equal layers."""
    label = re.sub(r"\d+", "0", item.label)
    below = tuple(_shape_of(i, depth - 1) for i in item.items[:8]) if depth else ()
    return label, item.type, item.static, item.arrays, item.nbytes, below


def description_of(item: Item) -> Line:
    """The type, value and statistics of an item, to follow its label."""
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
        style = "value" if isinstance(item.statistics, Statistics) else "warning"
        line.append((f"  {statistics_text(item)}", style))
    return line


def statistics_text(item: Item) -> str:
    """Statistics of an array in short, or the reason why there are none."""
    found = item.statistics
    if not isinstance(found, Statistics) or found.least is None:
        return str(found)
    if found.nans or found.infinities or found.least != found.greatest:
        return str(found)
    return f"{'' if item.numbers == 1 else 'all '}{found.least:.4g}"


def is_literal(item: Item) -> bool:
    """Whether the value of an item shows its type: ``3``, but not a path or a date."""
    return item.value is not None and row_named(item.kind).look.literal


def _right_column(item: Item) -> Line:
    line: Line = []
    if item.static:
        line.append(("static", "faint"))
    if item.nbytes:
        line.append((f"{'  ' * bool(line)}{size_of(item.nbytes):>8}", "faint"))
    return line


def fitted(left: Line, right: Line, width: int) -> Line:
    """A line with right-aligned text; modules are left out, or it is cut, to fit."""
    room = width - sum(columns(text) for text, _ in right) - bool(right)
    if sum(columns(text) for text, _ in left) > room:
        left = [(text, style) for text, style in left if style != "module"]
    line: Line = []
    for text, style in left:
        if columns(text) > room:
            line.append((f"{_cut(text, max(room - 1, 0))}…", style))
            room = 0
            break
        line.append((text, style))
        room -= columns(text)
    if right:
        line.append((" " * (room + 1), ""))
    return line + right


def columns(text: str) -> int:
    """The number of columns of a terminal that a text needs."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, room: int) -> str:
    """The beginning of a text that fits into some columns."""
    for i, width in enumerate(itertools.accumulate(map(_columns, text))):
        if width > room:
            return text[:i]
    return text
