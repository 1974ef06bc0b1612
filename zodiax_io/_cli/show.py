"""`zodiax-io show`."""

from __future__ import annotations

import argparse
import re
import shutil

from .._errors import ArgumentError, shown
from .._look.summary import show, summarise
from .._look.terminal import print_lines
from .._look.text import found_lines, lines_of
from .output import complain, print_json


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "show what is in a file: the tree, sizes, versions, notes"
    command = commands.add_parser(
        "show",
        help=words,
        description=f"{words.capitalize()}. Nothing that the file names is imported.",
    )
    command.add_argument("file", help="a .zdx file, or a companion alone")
    command.add_argument("at", nargs="?", help="where to begin, as `model.layers[0]`")
    command.add_argument("--depth", type=int, help="how many levels to show")
    command.add_argument(
        "--values", action="store_true", help="read the arrays, and show statistics"
    )
    command.add_argument(
        "--all", action="store_true", help="show each of many similar items"
    )
    command.add_argument("--json", action="store_true", help="print data, not text")
    command.add_argument(
        "--textconv",
        action="store_true",
        help="print all of it, without what changes with the file's name and time",
    )
    command.add_argument(
        "--html",
        metavar="REPORT",
        help="write a page for a browser instead, with pictures of all arrays",
    )
    find = command.add_argument_group("to search, as a list of paths")
    find.add_argument("--find", metavar="GLOB", help='paths, such as "**.bias"')
    find.add_argument("--dtype", help='arrays, such as "f32" or "float32"')
    find.add_argument("--type", metavar="GLOB", help='classes, such as "Linear"')
    find.add_argument("--larger", metavar="SIZE", help='arrays, such as "10MB"')
    command.set_defaults(run=_show)


def _show(given: argparse.Namespace) -> int:
    if given.html is not None:
        show(given.file, given.at, html=given.html)
        print(f"{shown(given.file, 400)} -> {shown(given.html, 400)}")
        return 0
    values = given.values or given.textconv
    summary = summarise(given.file, given.at, values=values)
    if given.textconv:
        print_lines(
            lines_of(summary, width=400, everything=True, head=False, digests=True)
        )
        return 0
    criteria = (given.find, given.dtype, given.type, given.larger)
    width = shutil.get_terminal_size().columns
    if any(criterion is not None for criterion in criteria):
        size = 0 if given.larger is None else _bytes(given.larger)
        items = summary.found(
            given.find, dtype=given.dtype, cls=given.type, larger=size
        )
        if given.json:
            print_json([item.as_dict() for item in items])
        else:
            print_lines(found_lines(items, width=width))
            if not items:
                complain(f"nothing matches.{_advice(given.find)}")
        return 0 if items else 1
    if given.json:
        print_json(summary.as_dict())
    else:
        print_lines(
            lines_of(summary, width=width, depth=given.depth, everything=given.all)
        )
    return 0


def _advice(glob: str | None) -> str:
    """A hint for a glob of one step where any number may have been meant."""
    if glob is None or not glob.startswith("*") or glob.startswith("**"):
        return ""
    deeper = f"*{glob}" if glob.startswith("*.") else f"**.{glob}"
    return f" A `*` stays within one step: `{shown(deeper)}` looks at any depth."


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([kMGT]?)i?B?", text)
    if match is None:
        raise ArgumentError(f'A size is text such as "10MB", not {shown(text)!r}.')
    factor = 1024 if "i" in text else 1000
    if len(match[1]) > 30:
        raise ArgumentError("No array is that large.")
    return int(float(match[1]) * factor ** " kMGT".index(match[2] or " "))
