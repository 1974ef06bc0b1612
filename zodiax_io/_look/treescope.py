"""A summary as treescope draws it: a foldable expression with small pictures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .items import Contents, Item, size_of
from .numbers import Picture
from .text import folded, head_of, is_literal, statistics_text, text_of, totals_of
from .thumbnails import picture_for, pictures_of, thumbnail_url

# treescope recurses through a dozen functions for each level that it draws.
_MAX_DEPTH = 30


def html_by_treescope(summary: Contents) -> str:
    """The summary as HTML made by treescope."""
    import treescope

    html: str = treescope.render_to_html(_WithoutHTML(summary))
    return html


class _WithoutHTML:
    """A summary without `_repr_html_`, which treescope would show as well."""

    def __init__(self, summary: Contents) -> None:
        self.summary = summary

    def __treescope_repr__(self, path: str | None, render: Any) -> Any:
        return rendering_of(self.summary, path)


def rendering_of(summary: Contents, path: str | None) -> Any:
    """The summary as a result of `__treescope_repr__`."""
    from treescope import rendering_parts as parts

    facts = text_of(head_of(summary, 100)).strip().splitlines()
    lines = [parts.comment_color(parts.text(f"# {fact}")) for fact in facts]
    totals = parts.text(f"# {totals_of(summary.root)}")
    tree = _node(parts, summary.root, pictures_of(summary), 0)
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
        rows = list(folded(item.items)) if level < _MAX_DEPTH else ["…"]
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
        value = "" if item.value is None else f" {item.value}"
        line = [before, parts.text("<"), _type(parts, item), parts.text(f"{value}>")]
    comments = [] if item.statistics is None else [statistics_text(item)]
    if item.nbytes:
        comments.append(size_of(item.nbytes))
    if comments:
        line.append(parts.comment_color(parts.text(f"  # {', '.join(comments)}")))
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
    """A picture as the background of spaces: treescope has no element for images."""
    style = (
        f"background: url({thumbnail_url(picture)}) left / contain no-repeat; "
        "image-rendering: pixelated; padding: 0.3em 0; margin-left: 1ch"
    )
    return parts.custom_style(parts.text(" " * 10), style)
