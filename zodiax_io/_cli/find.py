"""`zodiax-io find`."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterable, Sequence
from typing import Any

from .._errors import ArgumentError, ZodiaxIOError, shown
from .._files.folders import files_below
from .._look.items import Item, size_of
from .._look.summary import summarise
from .._look.terminal import print_lines
from .._look.text import Line, columns, fitted
from .output import print_json


def add_find(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "list the checkpoints in a folder and those below it"
    command = commands.add_parser("find", help=words, description=f"{words}.")
    command.add_argument("folder", nargs="?", default=".", help="where to look")
    command.add_argument("--json", action="store_true", help="print data, not text")
    command.set_defaults(run=_find)


def _find(given: argparse.Namespace) -> int:
    if not os.path.isdir(given.folder):
        raise ArgumentError(f"{shown(given.folder, 400)} is not a folder.")
    rows: list[dict[str, Any]] = []
    for file in files_below(given.folder):
        name = os.path.relpath(file, given.folder)
        try:
            summary = summarise(file)
        except (ZodiaxIOError, OSError) as error:  # of another program, or damaged
            rows.append({"file": name, "error": str(error)})
            continue
        data = summary.as_dict()
        rows.append(
            {
                "file": name,
                "class": summary.root.type,
                "arrays": summary.root.arrays,
                "size": summary.size,
                "saved": data["saved"],
                "versions": summary.versions,
                "metadata": None
                if data["metadata"] is None
                else _briefly(summary.metadata),
            }
        )
    if given.json:
        print_json(rows)
    else:
        print_lines(_table(rows, shutil.get_terminal_size().columns))
    return 0 if rows else 1


def _briefly(item: Item | None, depth: int = 3) -> str:
    """Metadata in one line."""
    if item is None:
        return ""
    if not item.items or not depth:
        return item.value or item.type
    entries = [
        f"{inner.label.strip('[]')}: {_briefly(inner, depth - 1)}"
        for inner in item.items[:8]
    ]
    return ", ".join(entries) + ", …" * (len(item.items) > 8)


def _table(rows: Sequence[dict[str, Any]], width: int) -> Iterable[Line]:
    """A line for each checkpoint: file, class, size, date, metadata, versions."""
    longest = max((columns(shown(row["file"], 400)) for row in rows), default=0)
    room = min(longest, max(width // 3, 20))
    for row in rows:
        file = shown(row["file"], room)
        line: Line = [(file + " " * (room - columns(file)), "label")]
        if "error" in row:
            line.append((f"  {shown(row['error'], 400)}", "warning"))
        else:
            name = row["class"].rpartition(":")[2]
            writers = ("zodiax_io", "jax")
            versions = [
                f"{w} {shown(row['versions'][w].partition(' ')[0], 20)}"
                for w in writers
                if w in row["versions"]
            ]
            line += [
                (f"  {shown(name, 24):<12}", "type"),
                (f" {size_of(row['size'] or 0):>8}", ""),
                (f"  {row['saved']}", "faint"),
                (f"  {row['metadata']}" if row["metadata"] else "", "value"),
                (f"  {', '.join(versions)}", "faint"),
            ]
        yield fitted(line, [], width)
