"""The `zodiax-io` command: look at a file without writing a script."""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import zodiax_io

from ._api.convert import convert
from ._api.integrity import repair, verify
from ._api.migrate import migration, rewritten
from ._api.names import names
from ._errors import (
    LIMITS,
    ArgumentError,
    MissingFileError,
    ZodiaxIOError,
    shown,
    shown_lines,
)
from ._files.checkpoint import pair_of
from ._files.folders import files_below
from ._jax import call_deeply
from ._look.diff import diff
from ._look.items import Item, size_of
from ._look.summary import show, summarise
from ._look.terminal import print_lines
from ._look.text import Line, columns, fitted, found_lines, lines_of
from ._structure.nodes import MAX_DEPTH
from ._trust.libraries import import_anywhere


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what it returns is the exit status of the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the terminal can show
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    # argparse takes a path that stands behind options for something it does not know.
    late = len(rest) == 1 and not rest[0].startswith("-")
    if late and getattr(given, "at", "") is None:
        given.at = rest[0]
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    before, warnings.formatwarning = warnings.formatwarning, _warning
    try:
        status = given.run(given)
        if sys.stdout is not None:
            sys.stdout.flush()
    except ZodiaxIOError as error:
        _complain(str(error))
        return 2
    except BrokenPipeError:  # as `| head` leaves it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        _complain(f"{error.strerror or error}.")
        return 2
    finally:
        warnings.formatwarning = before
    return status


def _complain(text: str) -> None:
    """Say what went wrong; a name in it cannot steer the terminal."""
    print("zodiax-io:", shown_lines(text.rstrip("\n")), file=sys.stderr)


def _warning(message: Warning | str, *_: object) -> str:
    return f"zodiax-io: {shown_lines(message)}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zodiax-io", description="Look into files that zodiax_io has saved."
    )
    parser.add_argument("--version", action="version", version=zodiax_io.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_show(commands)
    _add_diff(commands)
    _add_find(commands)
    _add_names(commands)
    _add_verify(commands)
    _add_repair(commands)
    _add_convert(commands)
    _add_migrate(commands)
    return parser


def _add_trusted(
    command: argparse.ArgumentParser, words: str, metavar: str = "PACKAGE"
) -> None:
    command.add_argument(
        "--trusted", metavar=metavar, action="append", default=[], help=words
    )


def _add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
        "--values", action="store_true", help="read the arrays, and say what is in them"
    )
    command.add_argument(
        "--all", action="store_true", help="show each of many things that are alike"
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
    find.add_argument("--find", metavar="GLOB", help='paths, such as "*.bias"')
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
        lines = lines_of(summary, width=400, everything=True, head=False, digests=True)
        print_lines(line for line in lines)
        return 0
    searched = (given.find, given.dtype, given.type, given.larger)
    width = shutil.get_terminal_size().columns
    if any(part is not None for part in searched):
        size = 0 if given.larger is None else _bytes(given.larger)
        items = summary.found(
            given.find, dtype=given.dtype, cls=given.type, larger=size
        )
        if given.json:
            _print_json([item.as_dict() for item in items])
        else:
            print_lines(found_lines(items, width=width))
            if not items:
                _complain("nothing fits.")
        return 0 if items else 1
    if given.json:
        _print_json(summary.as_dict())
    else:
        print_lines(
            lines_of(summary, width=width, depth=given.depth, everything=given.all)
        )
    return 0


def _add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "show how two files differ; the exit status is 1 if they do"
    command = commands.add_parser("diff", help=words, description=f"{words}.")
    command.add_argument("first", help="a .zdx file, or a companion alone")
    command.add_argument("second", help="another one")
    command.add_argument(
        "--ignore",
        metavar="GLOB",
        action="append",
        default=[],
        help='paths that may differ, such as "*.count"; may be given again',
    )
    command.add_argument("--atol", type=float, default=0.0, help="absolute tolerance")
    command.add_argument("--rtol", type=float, default=0.0, help="relative tolerance")
    command.add_argument("--json", action="store_true", help="print data, not text")
    command.set_defaults(run=_diff)


def _diff(given: argparse.Namespace) -> int:
    found = diff(
        given.first,
        given.second,
        ignore=given.ignore,
        atol=given.atol,
        rtol=given.rtol,
    )
    if given.json:
        _print_json(found.as_dict())
    elif str(found):
        print(found)
    return 1 if found else 0


def _add_find(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "list the checkpoints in a folder and those below it"
    command = commands.add_parser("find", help=words, description=f"{words}.")
    command.add_argument("folder", nargs="?", default=".", help="where to look")
    command.add_argument("--json", action="store_true", help="print data, not text")
    command.set_defaults(run=_find)


def _find(given: argparse.Namespace) -> int:
    if not os.path.isdir(given.folder):
        raise ArgumentError(f"{shown(given.folder, 400)} is no folder.")
    rows: list[dict[str, Any]] = []
    for file in files_below(given.folder):
        name = os.path.relpath(file, given.folder)
        try:
            summary = summarise(file)
        except (ZodiaxIOError, OSError) as error:  # of another program, or damaged
            rows.append({"file": name, "error": str(error)})
            continue
        told = summary.as_dict()
        metadata = told["metadata"]
        rows.append(
            {
                "file": name,
                "class": summary.root.type,
                "arrays": summary.root.arrays,
                "size": summary.size,
                "saved": told["saved"],
                "versions": summary.versions,
                "metadata": None if metadata is None else _briefly(summary.metadata),
            }
        )
    if given.json:
        _print_json(rows)
    else:
        print_lines(_table(rows, shutil.get_terminal_size().columns))
    return 0 if rows else 1


def _briefly(item: Item | None, depth: int = 3) -> str:
    """Notes in a line."""
    if item is None:
        return ""
    if not item.items or not depth:
        return item.value or item.type
    parts = [
        f"{part.label.strip('[]')}: {_briefly(part, depth - 1)}"
        for part in item.items[:8]
    ]
    return ", ".join(parts) + ", …" * (len(item.items) > 8)


def _table(rows: Sequence[dict[str, Any]], width: int) -> Iterable[Line]:
    """A line for each checkpoint: file, class, size, date, who wrote it, notes."""
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


def _print_json(data: Any) -> None:
    print(call_deeply(4 * MAX_DEPTH, _json, data))


def _json(data: Any) -> str:
    text = json.dumps(data, allow_nan=False)
    # Deep and large at once, most of the text would be its indentation.
    return json.dumps(data, indent=1) if len(text) < 1_000_000 else text


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?) *([kMGT]?)i?B?", text)
    if match is None:
        raise ArgumentError(f'A size is text such as "10MB", not {shown(text)!r}.')
    factor = 1024 if "i" in text else 1000
    if len(match[1]) > 30:
        raise ArgumentError("No array has so many bytes.")
    return int(float(match[1]) * factor ** " kMGT".index(match[2] or " "))


def _add_names(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "what a file names, and whether loading would accept it"
    command = commands.add_parser("names", help=words, description=f"List {words}.")
    command.add_argument("file", help="the .zdx file, or the companion alone")
    _add_trusted(
        command,
        "a package to trust, as in `deserialise(path, trusted=[…])`; may be given "
        "several times",
        metavar="NAME",
    )
    command.set_defaults(run=_names)


def _names(given: argparse.Namespace) -> int:
    verdicts = names(given.file, trusted=given.trusted)
    width = max((len(verdict.name) for verdict in verdicts), default=0)
    for verdict in verdicts:
        print(
            f"{verdict.status:<8} {verdict.name:<{width}}  "
            f"{verdict.path}: {verdict.reason}"
        )
    trust = dict.fromkeys(v.trust for v in verdicts if v.trust is not None)
    if trust:
        listed = ", ".join(f'"{name}"' for name in trust)
        print(f"If you trust this file, load it with `trusted=[{listed}]`.")
    return 0 if all(verdict.status == "trusted" for verdict in verdicts) else 1


def _add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "check every byte against its checksum, and list all damage"
    command = commands.add_parser("verify", help=words, description=f"{words}.")
    command.add_argument("file", nargs="+", help="a .zdx file, or a companion alone")
    command.set_defaults(run=_verify)


def _verify(given: argparse.Namespace) -> int:
    status = 0
    for file in given.file:
        try:
            damage = verify(file)
        except ZodiaxIOError as error:  # the other files are looked at all the same
            _complain(str(error))
            status = 2
            continue
        for found in damage:
            print(found)
        if damage:
            status = max(status, 1)
        else:
            print(f"{shown(file)}: intact")
    return status


def _add_repair(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "write the pair of files whole again, as far as nothing is lost"
    command = commands.add_parser("repair", help=words, description=f"{words}.")
    command.add_argument("file", help="the .zdx file, or its companion")
    command.set_defaults(run=_repair)


def _repair(given: argparse.Namespace) -> int:
    for mended in repair(given.file):
        print(f"mended: {mended}")
    print(f"{shown(given.file)}: intact")
    return 0


def _add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "write files again in today's format"
    command = commands.add_parser(
        "convert",
        help=words,
        description=f"{words.capitalize()}: files of zodiax up to 0.4, or files of "
        "zodiax_io as one file (OUT ends in .eqx) or two. The code of their classes is "
        "not needed.",
    )
    command.add_argument("source", metavar="IN", help="a file, or a folder of files")
    command.add_argument(
        "target",
        metavar="OUT",
        help="the file to write; for a folder another one, which gets the same names",
    )
    _add_trusted(
        command,
        "a package to import, where an old file is understood by its classes only",
    )
    command.set_defaults(run=_convert)


def _convert(given: argparse.Namespace) -> int:
    if not os.path.isdir(given.source):
        convert(given.source, given.target, trusted=given.trusted)
        print(f"{shown(given.source, 400)} -> {shown(given.target, 400)}")
        return 0
    status = 0
    for file in files_below(given.source):
        target = os.path.join(given.target, os.path.relpath(file, given.source))
        try:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            convert(file, target, trusted=given.trusted)
        except (ZodiaxIOError, OSError) as error:  # the others are written all the same
            _complain(str(error))
            status = 2
        else:
            print(f"{shown(file, 400)} -> {shown(target, 400)}")
    return status


def _add_migrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "match files with code that has changed since they were written"
    command = commands.add_parser(
        "migrate",
        help=words,
        description=f"{words.capitalize()}. Without --with, print what does not match, "
        "and the lines of Python to look over and keep; with it, run them, and save "
        "the files again.",
    )
    command.add_argument("path", nargs="+", help="a file, or a folder of files")
    _add_trusted(
        command,
        "a package to import and to search for classes; may be given again",
    )
    command.add_argument(
        "--like",
        metavar="MODULE:CALLABLE",
        help="what makes a model as it is now; its package is imported",
    )
    command.add_argument(
        "--with",
        dest="lines",
        metavar="SCRIPT",
        help="the lines, as you want them: they are run, and the files saved again",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="with --with: load, and save nothing"
    )
    command.set_defaults(run=_migrate)


def _migrate(given: argparse.Namespace) -> int:
    sys.path.insert(0, "")  # as `python` does: what is named here is the user's own
    for path in given.path:
        if not os.path.isdir(path) and not any(
            file is not None and os.path.lexists(file) for file in pair_of(path)
        ):
            raise MissingFileError(f"There is no file or folder {shown(path, 400)}.")
    if given.lines is not None:
        return _rewrite(given)
    if given.dry_run:
        raise ArgumentError("--dry-run is about --with: without that nothing is saved.")
    like = None if given.like is None else _called(given.like)
    found = migration(given.path, like=like, trusted=given.trusted)
    report, _, lines = str(found).partition("\n\n")
    # The report beside the lines, so that those alone go into a file.
    print("\n".join(f"# {line}" for line in report.splitlines()))
    if lines:
        print(f"\n{lines}")
    return 1 if any(found.mismatches.values()) else 0


def _rewrite(given: argparse.Namespace) -> int:
    try:
        spec = importlib.util.spec_from_file_location("migrations", given.lines)
        assert spec is not None and spec.loader is not None, "it is no Python file"
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except LIMITS:
        raise
    except Exception as error:
        raise ArgumentError(
            f"{given.lines} cannot be run: {type(error).__name__}: {error}"
        ) from error
    status = 0
    for file, outcome, told in rewritten(
        given.path, given.trusted, dry_run=given.dry_run
    ):
        for text in told:
            print(f"{shown(file, 400)}: {text}", file=sys.stderr)
        would = "would be " if given.dry_run else ""
        words = f"{would}saved again" if outcome == "changed" else outcome
        print(f"{shown(file, 400)}: {words}")
        status = max(status, 2 if outcome == "failed" else 0)
    return status


def _called(name: str) -> object:
    """What a callable of the user's gives."""
    module, _, qualname = name.partition(":")
    try:
        made = import_anywhere(module)
        for part in qualname.split("."):
            made = getattr(made, part)
        return made() if callable(made) else made
    except LIMITS:
        raise
    except Exception as error:
        raise ArgumentError(
            f"--like {shown(name)} cannot be used: {type(error).__name__}: {error}"
        ) from error
