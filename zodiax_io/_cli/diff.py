"""`zodiax-io diff`."""

from __future__ import annotations

import argparse

from .._look.diff import diff
from .output import print_json


def add_diff(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "show how two files differ; the exit status is 1 if they do"
    command = commands.add_parser("diff", help=words, description=f"{words}.")
    command.add_argument("first", help="a .zdx file, or a companion alone")
    command.add_argument("second", help="another one")
    command.add_argument(
        "--ignore",
        metavar="GLOB",
        action="append",
        default=[],
        help='paths that may differ, such as "**.count"; may be given again',
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
        print_json(found.as_dict())
    elif str(found):
        print(found)
    return 1 if found else 0
