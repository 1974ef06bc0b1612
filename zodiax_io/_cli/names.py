"""`zodiax-io names`."""

from __future__ import annotations

import argparse

from .._api.names import names


def add_trusted(
    command: argparse.ArgumentParser, words: str, metavar: str = "PACKAGE"
) -> None:
    command.add_argument(
        "--trusted", metavar=metavar, action="append", default=[], help=words
    )


def add_names(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "the names in a file, and whether loading would accept them"
    command = commands.add_parser("names", help=words, description=f"List {words}.")
    command.add_argument("file", help="the .zdx file, or the companion alone")
    add_trusted(
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
