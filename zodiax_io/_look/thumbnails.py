"""Small pictures and curves in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from .items import Item
from .numbers import Picture
from .text import folded

DEEPEST = 60
_DRAWN = 200  # arrays that are drawn, of those that are listed


def drawn(listed: Iterable[Item]) -> list[Item]:
    """The arrays among what is listed, but not too many."""
    return [item for item in listed if item.record is not None][:_DRAWN]


def listed_of(item: Item, level: int = 0) -> Iterator[Item]:
    """An item and all below it that gets a line of its own."""
    yield item
    for row in folded(item.items) if level < DEEPEST and not item.value else ():
        if not isinstance(row, str):
            yield from listed_of(row, level + 1)


# Pixels stay squares, and a matrix keeps its proportions.
THUMBNAIL = (
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
