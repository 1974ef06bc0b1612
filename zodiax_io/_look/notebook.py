"""HTML of a summary in a notebook: a foldable tree with small pictures."""

from __future__ import annotations

import html
import sys
from collections.abc import Iterator, Mapping

from .._trust.libraries import find_in_libraries
from .items import Contents, Item, size_of
from .numbers import Picture
from .text import description_of, folded, head_of, text_of, totals_of
from .thumbnails import MAX_DEPTH, listed_items, picture_for, pictures_of, thumbnail_url

_ALL_OPEN = 40  # a tree with at most this many lines is unfolded


def html_of(summary: Contents) -> str:
    """HTML of a summary, by treescope if it is installed."""
    if "treescope" in sys.modules or find_in_libraries("treescope") is not None:
        from .treescope import html_by_treescope

        return html_by_treescope(summary)
    facts = html.escape(text_of(head_of(summary, 100)).strip())
    pictures = pictures_of(summary)
    all_open = len(list(listed_items(summary.root))) <= _ALL_OPEN
    return (
        f'<div style="font-family: monospace; line-height: 1.5"><pre>{facts}</pre>'
        f"{''.join(_tree(summary.root, pictures, 0, all_open=all_open))}"
        f'<div style="{_STYLES["faint"]}">{totals_of(summary.root)}</div>'
        "</div>"
    )


def _tree(
    item: Item, pictures: Mapping[int, Picture], level: int, *, all_open: bool
) -> Iterator[str]:
    line = "".join(
        f'<span style="{_STYLES.get(style, "")}">{html.escape(text)}</span>'
        for text, style in [(item.label, "label"), *description_of(item)]
    )
    size = f"{size_of(item.nbytes)} " if item.nbytes else ""
    right = html.escape(f"{size}{'static' if item.static else ''}".strip())
    line += f' <span style="{_STYLES["faint"]}">&ensp;{right}</span>'
    picture = picture_for(item, pictures)
    if picture is not None:
        url = thumbnail_url(picture)
        line += f'&ensp;<img alt="" src="{url}" style="{_STYLES["picture"]}">'
    if not item.items or item.value is not None:
        yield f'<div style="margin-left: 1.2em">{line}</div>'
        return
    yield f'<details style="margin-left: 0.2em"{" open" * (all_open or level < 2)}>'
    yield f'<summary>{line}</summary><div style="margin-left: 1em">'
    for row in folded(item.items) if level < MAX_DEPTH else ["…"]:
        if isinstance(row, str):
            yield f'<div style="margin-left: 1.2em">{html.escape(row)}</div>'
        else:
            yield from _tree(row, pictures, level + 1, all_open=all_open)
    yield "</div></details>"


# Colours that are readable on white and on black.
_STYLES = {
    "label": "font-weight: bold",
    "type": "color: #2f8fd6",
    "value": "color: #2e9e52",
    "faint": "opacity: 0.6",
    "module": "opacity: 0.6",
    "warning": "color: #d9822b",
    # No width: it follows from the height, so that pixels are square.
    "picture": "height: 1.6em; min-width: 0.4em; max-width: 12em; "
    "image-rendering: pixelated; vertical-align: middle",
}
