"""What is in a file, as one page for a browser: it needs no network, and no library."""

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
from .items import Contents, Item, date_of, size_of
from .numbers import Picture, Statistics
from .text import is_literal, lines_of, text_of

_DRAWN = 4000  # arrays that are drawn: the largest


def page_of(summary: Contents) -> str:
    """The page.

    What the file says is in it as JSON, and becomes text; nothing but the script of the
    page itself is allowed to run.
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
        data=data.replace("<", "\\u003c"),  # else `</script>` would end it
        script=script,
    )


def _resource(name: str) -> str:
    return resources.files("zodiax_io._look").joinpath(name).read_text("utf8")


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data_of(summary: Contents) -> dict[str, Any]:
    items = list(summary.root.walk())
    largest = sorted(items, key=lambda item: -item.nbytes)
    drawn = {id(i) for i in [i for i in largest if i.picture is not None][:_DRAWN]}
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
        "notes": _notes_of(summary.metadata),
        "packages": [
            [shown(name), shown(value), here.get(name)]
            for name, value in (summary.versions | summary.settings).items()
        ],
    }


def _path_below(path: str, label: str) -> str:
    """The path of a child, as the page makes it of its parent's."""
    if path.endswith("…"):
        return path
    return path + (label if label.startswith("[") else f".{label}")


# The names are short because there may be a hundred thousand of them: parent, label,
# type, value, plain, static, arrays, numbers, bytes, statistics, drawing, path.
def _row_of(item: Item, types: dict[str, int], *, drawn: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "l": item.label,
        "t": types.setdefault(item.type, len(types)),
        "v": item.value,
        "k": int(is_literal(item)),
        "s": int(item.static),
        "a": item.arrays,
        "n": item.numbers,
        "b": item.nbytes,
    }
    if isinstance(item.statistics, Statistics):
        told = item.statistics
        row["x"] = {name: getattr(told, name) for name in Statistics.__slots__}
    else:
        row["x"] = item.statistics
    if drawn and item.picture is not None:
        row["d"] = _drawing_of(item.picture)
    return {name: value for name, value in row.items() if value or value == ""}


def _drawing_of(picture: Picture) -> dict[str, Any]:
    line = [_short(value) for value in picture.line]
    image = base64.b64encode(picture.image).decode()
    drawing = {"h": list(picture.counts), "c": line, "i": image, "w": picture.part}
    return {name: value for name, value in drawing.items() if value}


def _short(number: float) -> float | None:
    """A number in four digits; JSON knows no infinity, to which the largest round."""
    short = float(f"{number:.4g}")
    if math.isfinite(short):
        return short
    return number if math.isfinite(number) else None


def _notes_of(metadata: Item | None) -> list[tuple[int, str, str]]:
    """The metadata, line by line: how deep, what it is called, what it is."""
    notes: list[tuple[int, str, str]] = []
    waiting = [] if metadata is None else [(0, metadata)]
    while waiting and len(notes) < 400:
        level, item = waiting.pop()
        told = item.value if item.value is not None else item.type
        plain = is_literal(item)
        notes.append((min(level, 12), item.label, f"{' = ' if plain else ': '}{told}"))
        waiting.extend((level + 1, child) for child in reversed(item.items))
    return notes
