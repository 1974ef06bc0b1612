"""Renew the table of functions for new packages: `python -m tests.trust.functions`.

For each module of the table this prints the functions that are new and those that are
gone. Every new one is called under an audit hook, which stops whatever it does besides
computing. Read what passed before you put it into `zodiax_io/_trust/functions.txt`,
and put what does more than compute into `left_out.txt`, so that it is not new again.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zodiax_io._trust.roles import is_function
from zodiax_io._trust.table import FUNCTIONS, sections

ROOT = Path(__file__).parents[2]
LEFT_OUT = sections((Path(__file__).parent / "left_out.txt").read_text("utf8"))
SECONDS = 30  # for one function

PASSED, NOT_CALLED = "passed", "could not be called"


def changes(
    table: Mapping[str, Sequence[str]], left_out: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, list[str], list[str]]]:
    """Each module that is installed, with the names that are new and that are gone."""
    spaces: dict[str, dict[str, Any]] = {}
    for module in table:
        try:
            spaces[module] = vars(importlib.import_module(module))
        except ImportError:
            print(f"[{module}] is not installed")
    known = {
        id(space[name])
        for module, space in spaces.items()
        for name in (*table[module], *left_out.get(module, ()))
        if name in space
    }
    for module, space in spaces.items():
        new = [
            name
            for name, obj in sorted(space.items())
            if not name.startswith("_")
            and is_function(obj)
            and id(obj) not in known
            # Of a private module the table has single functions that models hold.
            and "._" not in module
            # What a module imports from another package is not its own.
            and _package(getattr(obj, "__module__", None)) == _package(module)
        ]
        yield module, new, [name for name in table[module] if name not in space]


def _package(module: object) -> str:
    return str(module).partition(".")[0]


def tried(module: str, names: Sequence[str]) -> dict[str, str]:
    """What each function does when it is called, in a process of its own."""
    found: dict[str, str] = {}
    while waiting := [name for name in names if name not in found]:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.trust.functions", "--try", module]
            path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
            process = subprocess.run(
                [*command, *waiting],
                cwd=folder,
                env=os.environ | {"PYTHONPATH": path},
                capture_output=True,
                text=True,
            )
        lines = [x for x in process.stdout.splitlines() if x.startswith("{")]
        for line in lines:
            found.update(json.loads(line))
        if len(lines) < len(waiting):  # the next one brought the process down
            reason = (process.stderr.strip().splitlines() or ["no message"])[-1]
            found[waiting[len(lines)]] = f"ended the process: {reason[:200]}"
    return found


# The process that calls ---------------------------------------------------------------

_STOPPED = re.compile(
    r"(os|shutil|subprocess|socket|tempfile|signal|mmap|urllib|webbrowser|sqlite3|ftplib"
    r"|http|smtplib|pty|syslog|fcntl|resource|glob|pathlib)\."
    r"|ctypes\.dlopen|builtins\.(input|breakpoint)|pickle\.find_class|cpython\.run"
)
# JAX asks for them while it compiles.
_HARMLESS = {"os.listdir", "os.scandir"}


class Stopped(BaseException):
    """Stops a function that does more than compute; `except Exception` lets it pass."""


def call_each(module: str, names: Sequence[str]) -> None:
    """Call functions, and print what each has done as one line of JSON."""
    import signal

    space = vars(importlib.import_module(module))
    samples = _samples()
    seen: list[str] = []
    watching = False

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if watching and _is_more_than_computing(event, args):
            seen.append(f"{event} {ascii(args)[:100]}")
            raise Stopped

    sys.addaudithook(hook)
    report = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        for name in names:
            seen.clear()
            signal.alarm(SECONDS)
            start = printed.seek(0, os.SEEK_END)
            watching = True
            try:
                called = _called(space[name], samples)
            except BaseException:  # SystemExit, too
                called = False
            watching = False
            signal.alarm(0)
            sys.stdout.flush()
            outcome = PASSED if called else NOT_CALLED
            if seen:
                outcome = f"did {seen[0]}"
            elif printed.seek(0, os.SEEK_END) > start:
                outcome = "printed"
            report.write(json.dumps({name: outcome}) + "\n")
            report.flush()


def _is_more_than_computing(event: str, args: tuple[Any, ...]) -> bool:
    if event == "open":
        path, _, flags = args
        if type(flags) is int and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return True
        # Imports and tracebacks read source; libraries of C read what the system is.
        known = (sys.prefix, sys.base_prefix, str(ROOT), "/proc/", "/sys/")
        return type(path) is str and not path.startswith(known)
    return event not in _HARMLESS and _STOPPED.match(event) is not None


def _samples() -> list[Any]:
    import jax
    import jax.numpy as jnp

    square = jnp.array([[2.0, 0.5], [0.5, 1.0]])
    jax.jit(lambda x: x @ x)(square).block_until_ready()  # start JAX, and its compiler
    return [
        square,
        jnp.arange(3.0),
        jnp.arange(3),
        0.5,
        2,
        (2, 2),
        jax.random.key(0),
        jnp.sin,
        [square, square],
        "same",
        jnp.float32,
        square > 1,
    ]


def _called(function: Any, samples: list[Any]) -> bool:
    """Whether a function returns for some arguments."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    needed = sum(
        one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, _EITHER)
        for one in parameters
    )
    for count in range(needed, max(needed, 3) + 1):
        combinations = itertools.product(samples, repeat=count)
        for arguments in itertools.islice(combinations, _MAX_CALLS):
            try:
                with warnings.catch_warnings(action="ignore"):
                    result = function(*arguments)
                _call_result(result, samples)
            except Exception:
                continue
            return True
    return False


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
_MAX_CALLS = 2000


def _call_result(result: Any, samples: list[Any]) -> None:
    """Call what a function such as `jax.jit` returns, once."""
    if callable(result) and not isinstance(result, type):
        try:
            result(samples[0])
        except Exception:
            return


# The command --------------------------------------------------------------------------


def main() -> None:
    """Print what is new and what is gone, module by module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("modules", nargs="*", help="of the table; by default all")
    parser.add_argument("--all", action="store_true", help="call the known ones again")
    parser.add_argument("--try", dest="attempt", metavar="MODULE", help="call names of")
    options = parser.parse_args()
    if options.attempt:
        call_each(options.attempt, options.modules)
        return
    table = {m: FUNCTIONS[m] for m in options.modules or FUNCTIONS}
    for module, new, gone in changes(table, LEFT_OUT):
        known = [n for n in table[module] if n not in gone] if options.all else []
        outcomes = tried(module, [*new, *known])
        by_outcome: dict[str, list[str]] = {"gone": gone}
        for name, outcome in outcomes.items():
            if name in new or outcome != PASSED:
                label = "new and " * (name in new) + outcome
                by_outcome.setdefault(label, []).append(name)
        for outcome, names in by_outcome.items():
            if names:
                print(f"[{module}] {outcome}:")
                print(textwrap.indent(textwrap.fill(" ".join(names), 84), "    "))


if __name__ == "__main__":
    main()
