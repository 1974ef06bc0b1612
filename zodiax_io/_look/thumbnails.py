"""Small pictures and curves in a notebook."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping

from .items import Contents, Item
from .numbers import Picture
from .text import folded

MAX_DEPTH = 60
_MAX_PICTURES = 200


def listed_items(item: Item, level: int = 0) -> Iterator[Item]:
    """An item and all below it that get a line of their own."""
    yield item
    for row in folded(item.items) if level < MAX_DEPTH and not item.value else ():
        if not isinstance(row, str):
            yield from listed_items(row, level + 1)


def pictures_of(summary: Contents) -> dict[int, Picture]:
    """Pictures of the listed arrays, by the index of their record."""
    arrays = [item for item in listed_items(summary.root) if item.record is not None]
    return summary.pictures(arrays[:_MAX_PICTURES])


def picture_for(item: Item, pictures: Mapping[int, Picture]) -> Picture | None:
    """The picture of an item: among those read from records, or its own."""
    return item.picture if item.record is None else pictures.get(item.record)


def thumbnail_url(picture: Picture) -> str:
    """A picture as a data URL: an image of a matrix, a curve of a vector."""
    if picture.image:
        return f"data:image/png;base64,{base64.b64encode(picture.image).decode()}"
    curve = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="26" '
        'viewBox="-0.02 -0.06 1.04 1.12" preserveAspectRatio="none">'
        f'<path d="{_curve(picture.line)}" fill="none" stroke="#2f8fd6" '
        'stroke-width="1.5" vector-effect="non-scaling-stroke"/></svg>'
    )
    return f"data:image/svg+xml;base64,{base64.b64encode(curve.encode()).decode()}"


def _curve(values: tuple[float, ...]) -> str:
    """The SVG path of a curve in the unit square, with gaps at NaN and infinity."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    least, span = min(finite), max(finite) - min(finite)
    path, joined = [], False
    for i, value in enumerate(values):
        if not math.isfinite(value):
            joined = False
            continue
        x = i / max(len(values) - 1, 1)
        y = 1 - (value - least) / span if 0 < span < math.inf else 0.5
        path.append(f"{'L' if joined else 'M'}{x:.3f} {y:.3f}")
        joined = True
    return "".join(path)
