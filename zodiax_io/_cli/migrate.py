"""`zodiax-io convert` and `migrate`."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from .._api.convert import convert
from .._api.migrate import migration, rewritten
from .._errors import LIMITS, ArgumentError, MissingFileError, ZodiaxIOError, shown
from .._files.checkpoint import pair_of
from .._files.folders import files_below
from .._trust.libraries import import_anywhere
from .names import add_trusted
from .output import complain


def add_convert(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
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
        help="the file to write; for a folder, a folder for files with the same names",
    )
    add_trusted(
        command,
        "a package to import, for an old file that is unclear without its classes",
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
        except (ZodiaxIOError, OSError) as error:  # the others are still written
            complain(str(error))
            status = 2
        else:
            print(f"{shown(file, 400)} -> {shown(target, 400)}")
    return status


def add_migrate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "match files with code that has changed since they were written"
    command = commands.add_parser(
        "migrate",
        help=words,
        description=f"{words.capitalize()}. Without --with, print what does not match, "
        "and the lines of Python to look over and keep; with it, run them, and save "
        "the files again.",
    )
    command.add_argument("path", nargs="+", help="a file, or a folder of files")
    add_trusted(
        command,
        "a package to import and to search for classes; may be given again",
    )
    command.add_argument(
        "--like",
        metavar="MODULE:CALLABLE",
        help="a function that makes a model as it is now; its package is imported",
    )
    command.add_argument(
        "--with",
        dest="lines",
        metavar="SCRIPT",
        help="the edited lines: they are run, and the files are saved again",
    )
    command.add_argument(
        "--dry-run", action="store_true", help="with --with: load, and save nothing"
    )
    command.set_defaults(run=_migrate)


def _migrate(given: argparse.Namespace) -> int:
    sys.path.insert(0, "")  # as `python` does: the user names the modules here
    for path in given.path:
        if not os.path.isdir(path) and not any(
            file is not None and os.path.lexists(file) for file in pair_of(path)
        ):
            raise MissingFileError(f"There is no file or folder {shown(path, 400)}.")
    if given.lines is not None:
        return _rewrite(given)
    if given.dry_run:
        raise ArgumentError("--dry-run needs --with: without it, nothing is written.")
    like = None if given.like is None else _called(given.like)
    found = migration(given.path, like=like, trusted=given.trusted)
    report, _, lines = str(found).partition("\n\n")
    # The report as comments, so that the output is a script.
    print("\n".join(f"# {line}" for line in report.splitlines()))
    if lines:
        print(f"\n{lines}")
    return 1 if any(found.mismatches.values()) else 0


def _rewrite(given: argparse.Namespace) -> int:
    try:
        spec = importlib.util.spec_from_file_location("migrations", given.lines)
        assert spec is not None and spec.loader is not None, "it is not a Python file"
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except LIMITS:
        raise
    except Exception as error:
        raise ArgumentError(
            f"{given.lines} cannot be run: {type(error).__name__}: {error}"
        ) from error
    status = 0
    for file, outcome, messages in rewritten(
        given.path, given.trusted, dry_run=given.dry_run
    ):
        for text in messages:
            print(f"{shown(file, 400)}: {text}", file=sys.stderr)
        would = "would be " if given.dry_run else ""
        words = f"{would}saved again" if outcome == "changed" else outcome
        print(f"{shown(file, 400)}: {words}")
        status = max(status, 2 if outcome == "failed" else 0)
    return status


def _called(name: str) -> object:
    """The result of a callable of the user, or an object that is not callable."""
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
