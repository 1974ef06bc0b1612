"""The `zodiax-io` command: look at a file without writing a script."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

import zodiax_io

from ._errors import ZodiaxIOError, shown
from ._inspect import names
from ._integrity import repair, verify


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; what it returns is the exit status of the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # whatever the terminal can show
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        return given.run(given)
    except ZodiaxIOError as error:
        print(f"zodiax-io: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zodiax-io", description="Look into files that zodiax_io has saved."
    )
    parser.add_argument("--version", action="version", version=zodiax_io.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_names(commands)
    _add_verify(commands)
    _add_repair(commands)
    return parser


def _add_names(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "what a file names, and whether loading would accept it"
    command = commands.add_parser("names", help=words, description=f"List {words}.")
    command.add_argument("file", help="the .zdx file, or the companion alone")
    command.add_argument(
        "--trusted",
        metavar="NAME",
        action="append",
        default=[],
        help="a package to trust, as in `deserialise(path, trusted=[…])`; may be given "
        "several times",
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
            print(f"zodiax-io: {error}", file=sys.stderr)
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
