"""What is in a file, as a tree in a notebook that can be folded."""

from __future__ import annotations

import base64
import html
import sys
from collections.abc import Iterable, Iterator, Mapping

from .._trust.libraries import find
from ._items import Item, Summary, size_of
from ._numbers import Picture
from ._text import folded, head_of, text_of, totals_of, words_of

_DEEPEST = 60
_FEW = 40  # so many lines are all unfolded
_DRAWN = 200  # arrays that are drawn, of those that are listed


def html_of(summary: Summary) -> str:
    """A summary for a notebook; drawn by treescope, where that is installed."""
    if "treescope" in sys.modules or find("treescope") is not None:
        from ._treescope import html_by_treescope

        return html_by_treescope(summary)
    facts = html.escape(text_of(head_of(summary, 100)).strip())
    listed = list(listed_of(summary.root))
    pictures = summary.pictures(drawn(listed))
    few = len(listed) <= _FEW
    return (
        f'<div style="font-family: monospace; line-height: 1.5"><pre>{facts}</pre>'
        f"{''.join(_tree(summary.root, pictures, 0, few=few))}"
        f'<div style="{_STYLES["faint"]}">{", ".join(totals_of(summary.root))}</div>'
        "</div>"
    )


def drawn(listed: Iterable[Item]) -> list[Item]:
    """The arrays among what is listed, but not too many."""
    return [item for item in listed if item.record is not None][:_DRAWN]


def listed_of(item: Item, level: int = 0) -> Iterator[Item]:
    """An item and all below it that gets a line of its own."""
    yield item
    for row in folded(item.items) if level < _DEEPEST and not item.value else ():
        if not isinstance(row, str):
            yield from listed_of(row, level + 1)


def _tree(
    item: Item, pictures: Mapping[int, Picture], level: int, *, few: bool
) -> Iterator[str]:
    line = "".join(
        f'<span style="{_STYLES.get(style, "")}">{html.escape(text)}</span>'
        for text, style in [(item.label, "label"), *words_of(item)]
    )
    size = f"{size_of(item.nbytes)} " if item.nbytes else ""
    right = html.escape(f"{size}{'static' if item.static else ''}".strip())
    line += f' <span style="{_STYLES["faint"]}">&ensp;{right}</span>'
    picture = picture_for(item, pictures)
    if picture is not None:
        kind, data = thumbnail_of(picture)
        source = f"data:{kind};base64,{base64.b64encode(data).decode()}"
        line += f'&ensp;<img alt="" src="{source}" style="{_THUMBNAIL}">'
    if not item.items or item.value is not None:
        yield f'<div style="margin-left: 1.2em">{line}</div>'
        return
    yield f'<details style="margin-left: 0.2em"{" open" * (few or level < 2)}>'
    yield f'<summary>{line}</summary><div style="margin-left: 1em">'
    for row in folded(item.items) if level < _DEEPEST else ["…"]:
        if isinstance(row, str):
            yield f'<div style="margin-left: 1.2em">{html.escape(row)}</div>'
        else:
            yield from _tree(row, pictures, level + 1, few=few)
    yield "</div></details>"


# Colours that stand out on white and on black.
_STYLES = {
    "label": "font-weight: bold",
    "type": "color: #2f8fd6",
    "value": "color: #2e9e52",
    "faint": "opacity: 0.6",
    "module": "opacity: 0.6",
    "warning": "color: #d9822b",
}


# Pixels stay squares, and a matrix keeps its proportions.
_THUMBNAIL = (
    "height: 1.6em; min-width: 0.4em; max-width: 12em; image-rendering: pixelated; "
    "vertical-align: middle"
)


def picture_for(item: Item, pictures: Mapping[int, Picture]) -> Picture | None:
    """The picture of an array that was read, or of a list that needs no reading."""
    return item.picture if item.record is None else pictures.get(item.record)


def thumbnail_of(picture: Picture) -> tuple[str, bytes]:
    """A picture as a file: an image of a matrix, a curve of a vector."""
    if picture.image:
        return "image/png", picture.image
    curve = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="26" '
        'viewBox="-0.02 -0.06 1.04 1.12" preserveAspectRatio="none">'
        f'<path d="{_curve(picture.line)}" fill="none" stroke="#2f8fd6" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )
    return "image/svg+xml", curve.encode()


def _curve(values: tuple[float, ...]) -> str:
    """The path of a curve in the unit square; it breaks where there is no number."""
    finite = [value for value in values if abs(value) < float("inf")]
    if not finite:
        return ""
    least, span = min(finite), max(finite) - min(finite)
    path, joined = [], False
    for i, value in enumerate(values):
        if not abs(value) < float("inf"):
            joined = False
            continue
        x = i / max(len(values) - 1, 1)
        y = 1 - (value - least) / span if 0 < span < float("inf") else 0.5
        path.append(f"{'L' if joined else 'M'}{x:.3f} {y:.3f}")
        joined = True
    return "".join(path)
