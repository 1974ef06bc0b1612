"""A summary as a self-contained HTML page, without a network or libraries."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from importlib import resources
from string import Template
from typing import Any

from .._errors import shown
from .items import Contents, Item, date_of, plain_statistics, size_of
from .numbers import Picture
from .text import is_literal, lines_of, text_of

_MAX_PICTURES = 4000  # of the largest arrays


def page_of(summary: Contents) -> str:
    """The page as HTML.

    It contains the data of the file as JSON, which its script shows as text. Its policy
    (CSP) lets no other script run.
    """
    style, script = (_resource(name) for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}"
    )
    data = json.dumps(_data_of(summary), separators=(",", ":"), allow_nan=False)
    return Template(_resource("page.html")).substitute(
        policy=policy,
        title=html.escape(summary.file or summary.root.type),
        style=style,
        text=html.escape(text_of(lines_of(summary, width=120))),
        data=data.replace("<", "\\u003c"),  # `</script>` would end the element
        script=script,
    )


def _resource(name: str) -> str:
    return resources.files("zodiax_io._look").joinpath(name).read_text("utf8")


def _digest(text: str) -> str:
    """The hash by which the policy of the page allows a style or a script."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data_of(summary: Contents) -> dict[str, Any]:
    items = list(summary.root.walk())
    largest = sorted(items, key=lambda item: -item.nbytes)
    with_picture = [item for item in largest if item.picture is not None]
    drawn = {id(item) for item in with_picture[:_MAX_PICTURES]}
    numbers = {id(item): number for number, item in enumerate(items)}
    parents = {id(child): item for item in items for child in item.items}
    types: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for item in items:
        row = _row_of(item, types, drawn=id(item) in drawn)
        parent = parents.get(id(item))
        if parent is not None:
            row["p"] = numbers[id(parent)]
        if parent is None or item.path != _path_below(parent.path, item.label):
            row["u"] = item.path
        rows.append(row)
    facts = [summary.root.type.replace(":", ".")]
    if summary.saved is not None:
        facts.append(f"saved {date_of(summary.saved)}")
    if summary.size is not None:
        facts.append(f"{size_of(summary.size)} on disk")
    if summary.extras:
        facts.append(f"extras {shown(', '.join(summary.extras), 400)}")
    here = {d.package: shown(d.here or "not") for d in summary.differences}
    return {
        "facts": facts,
        "types": list(types),
        "items": rows,
        "metadata": _metadata_lines(summary.metadata),
        "packages": [
            [shown(name), shown(value), here.get(name)]
            for name, value in (summary.versions | summary.settings).items()
        ],
    }


def _path_below(path: str, label: str) -> str:
    """The path of a child, as the page derives it from the path of the parent."""
    if path.endswith("…"):
        return path
    return path + (label if label.startswith("[") else f".{label}")


# The names are short because there may be a hundred thousand rows. Two more are set by
# `_data_of`: "p", the index of the parent, and "u", a path that is not derived from it.
def _row_of(item: Item, types: dict[str, int], *, drawn: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "l": item.label,
        "t": types.setdefault(item.type, len(types)),  # an index into the list of types
        "v": item.value,
        "k": int(is_literal(item)),
        "s": int(item.static),
        "a": item.arrays,
        "n": item.numbers,
        "b": item.nbytes,
    }
    if item.statistics is not None:
        row["x"] = plain_statistics(item.statistics)
    if drawn and item.picture is not None:
        row["d"] = _picture_data(item.picture)
    return {name: value for name, value in row.items() if value or value == ""}


def _picture_data(picture: Picture) -> dict[str, Any]:
    data = {
        "h": list(picture.counts),
        "c": [_rounded(value) for value in picture.line],
        "i": base64.b64encode(picture.image).decode(),
        "w": picture.part,
    }
    return {name: value for name, value in data.items() if value}


def _rounded(number: float) -> float | None:
    """A number with four digits; None for NaN and infinity, which JSON lacks."""
    if not math.isfinite(number):
        return None
    short = float(f"{number:.4g}")
    return short if math.isfinite(short) else number  # the largest float rounds to inf


def _metadata_lines(metadata: Item | None) -> list[tuple[int, str, str]]:
    """The level, label, and value or type of each item of the metadata."""
    lines: list[tuple[int, str, str]] = []
    waiting = [] if metadata is None else [(0, metadata)]
    while waiting and len(lines) < 400:
        level, item = waiting.pop()
        text = item.value if item.value is not None else item.type
        text = f"{' = ' if is_literal(item) else ': '}{text}"
        lines.append((min(level, 12), item.label, text))
        waiting.extend((level + 1, child) for child in reversed(item.items))
    return lines
