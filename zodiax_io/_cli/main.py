"""The `zodiax-io` command."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence

import zodiax_io

from .._errors import ZodiaxIOError, shown_lines
from .diff import add_diff
from .find import add_find
from .integrity import add_repair, add_verify
from .migrate import add_convert, add_migrate
from .names import add_names
from .output import complain
from .show import add_show


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return the exit status of the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # for terminals without Unicode
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    given, rest = parser.parse_known_args(arguments)
    # argparse does not accept an optional argument after the options.
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
        complain(str(error))
        return 2
    except BrokenPipeError:  # as `| head` leaves it
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        complain(f"{error.strerror or error}.")
        return 2
    finally:
        warnings.formatwarning = before
    return status


def _warning(message: Warning | str, *_: object) -> str:
    return f"zodiax-io: {shown_lines(message)}\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="zodiax-io", description="Look into files that zodiax_io has saved."
    )
    parser.add_argument("--version", action="version", version=zodiax_io.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_show(commands)
    add_diff(commands)
    add_find(commands)
    add_names(commands)
    add_verify(commands)
    add_repair(commands)
    add_convert(commands)
    add_migrate(commands)
    return parser
