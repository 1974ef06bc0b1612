"""What is in a file, as a tree in a notebook that can be folded."""

from __future__ import annotations

import base64
import html
import sys
from collections.abc import Iterator, Mapping

from .._trust.libraries import find_in_libraries
from .items import Contents, Item, size_of
from .numbers import Picture
from .text import folded, head_of, text_of, totals_of, words_of
from .thumbnails import DEEPEST, THUMBNAIL, drawn, listed_of, picture_for, thumbnail_of

_FEW = 40  # so many lines are all unfolded


def html_of(summary: Contents) -> str:
    """A summary for a notebook; drawn by treescope, where that is installed."""
    if "treescope" in sys.modules or find_in_libraries("treescope") is not None:
        from .treescope import html_by_treescope

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
        line += f'&ensp;<img alt="" src="{source}" style="{THUMBNAIL}">'
    if not item.items or item.value is not None:
        yield f'<div style="margin-left: 1.2em">{line}</div>'
        return
    yield f'<details style="margin-left: 0.2em"{" open" * (few or level < 2)}>'
    yield f'<summary>{line}</summary><div style="margin-left: 1em">'
    for row in folded(item.items) if level < DEEPEST else ["…"]:
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
