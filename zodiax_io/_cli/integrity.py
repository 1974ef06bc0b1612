"""`zodiax-io verify` and `repair`."""

from __future__ import annotations

import argparse

from .._api.integrity import repair, verify
from .._errors import ZodiaxIOError, shown
from .output import complain


def add_verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "check every byte against its checksum, and list all damage"
    command = commands.add_parser("verify", help=words, description=f"{words}.")
    command.add_argument("file", nargs="+", help="a .zdx file, or a companion alone")
    command.set_defaults(run=_verify)


def _verify(given: argparse.Namespace) -> int:
    status = 0
    for file in given.file:
        try:
            damage = verify(file)
        except ZodiaxIOError as error:  # the other files are still checked
            complain(str(error))
            status = 2
            continue
        for found in damage:
            print(found)
        if damage:
            status = max(status, 1)
        else:
            print(f"{shown(file)}: intact")
    return status


def add_repair(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    words = "write damaged files of a pair again, if nothing is lost"
    command = commands.add_parser("repair", help=words, description=f"{words}.")
    command.add_argument("file", help="the .zdx file, or its companion")
    command.set_defaults(run=_repair)


def _repair(given: argparse.Namespace) -> int:
    for mended in repair(given.file):
        print(f"mended: {mended}")
    print(f"{shown(given.file)}: intact")
    return 0
