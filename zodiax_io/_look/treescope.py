"""What is in a file, as treescope draws it: an expression that can be folded."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from .items import Contents, Item, size_of
from .numbers import Picture
from .text import folded, head_of, is_literal, text_of, told_of, totals_of
from .thumbnails import drawn, listed_of, picture_for, thumbnail_of

# treescope calls a dozen functions for each level of what it draws.
_DEEPEST = 30


def html_by_treescope(summary: Contents) -> str:
    """The summary as HTML that treescope makes."""
    import treescope

    html: str = treescope.render_to_html(_Drawn(summary))
    return html


class _Drawn:
    """A summary without HTML of its own, which treescope would draw beside it."""

    def __init__(self, summary: Contents) -> None:
        self.summary = summary

    def __treescope_repr__(self, path: str | None, render: Any) -> Any:
        return rendering_of(self.summary, path)


def rendering_of(summary: Contents, path: str | None) -> Any:
    """The summary as a part of a rendering, for treescope to put together."""
    from treescope import rendering_parts as parts

    facts = text_of(head_of(summary, 100)).strip().splitlines()
    lines = [parts.comment_color(parts.text(f"# {fact}")) for fact in facts]
    totals = parts.text(f"# {', '.join(totals_of(summary.root))}")
    pictures = summary.pictures(drawn(listed_of(summary.root)))
    tree = _node(parts, summary.root, pictures, 0)
    whole = parts.on_separate_lines(
        [*lines, tree.renderable, parts.comment_color(totals)]
    )
    return parts.RenderableAndLineAnnotations(whole, parts.build_copy_button(path))


def _node(parts: Any, item: Item, pictures: Mapping[int, Picture], level: int) -> Any:
    name = item.label if level else ""
    before = parts.siblings(
        parts.text(f"{name}{'=' if name else ''}"),
        *([parts.comment_color(parts.text("static "))] if item.static else []),
    )
    if item.items and item.value is None:
        rows = list(folded(item.items)) if level < _DEEPEST else ["…"]
        return parts.build_foldable_tree_node_from_children(
            prefix=parts.siblings(before, _type(parts, item), parts.text("(")),
            children=[
                parts.comment_color(parts.text(f"# {row}"))
                if isinstance(row, str)
                else _node(parts, row, pictures, level + 1)
                for row in rows
            ],
            suffix=")",
            comma_separated=True,
            path=item.path,
            expand_state=_expanded(parts, level),
            first_line_annotation=(
                parts.comment_color(parts.text(f"  # {size_of(item.nbytes)}"))
                if item.nbytes
                else None
            ),
        )
    if is_literal(item):
        line = [before, parts.text(item.value)]
    else:
        words = "" if item.value is None else f" {item.value}"
        line = [before, parts.text("<"), _type(parts, item), parts.text(f"{words}>")]
    notes = [] if item.statistics is None else [told_of(item)]
    if item.nbytes:
        notes.append(size_of(item.nbytes))
    if notes:
        line.append(parts.comment_color(parts.text(f"  # {', '.join(notes)}")))
    picture = picture_for(item, pictures)
    if picture is not None:
        line.append(_picture(parts, picture))
    return parts.build_one_line_tree_node(parts.siblings(*line), item.path)


def _type(parts: Any, item: Item) -> Any:
    module, _, name = item.type.rpartition(":")
    if not module:
        return parts.text(name)
    qualifier = parts.qualified_type_name_style(parts.text(f"{module}."))
    return parts.siblings(parts.fold_condition(expanded=qualifier), parts.text(name))


def _expanded(parts: Any, level: int) -> Any:
    states = parts.ExpandState
    return states.EXPANDED if level < 2 else states.WEAKLY_COLLAPSED


def _picture(parts: Any, picture: Picture) -> Any:
    """A picture behind a stretch of spaces: a part of treescope's own has none."""
    kind, data = thumbnail_of(picture)
    url = f"url(data:{kind};base64,{base64.b64encode(data).decode()})"
    style = (
        f"background: {url} left / contain no-repeat; image-rendering: pixelated; "
        "padding: 0.3em 0; margin-left: 1ch"
    )
    return parts.custom_style(parts.text(" " * 10), style)
