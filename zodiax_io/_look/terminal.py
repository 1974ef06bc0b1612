"""Print lines, with colours on a terminal if rich is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from .text import Line

_STYLES = {
    "label": "bold",
    "type": "cyan",
    "value": "green",
    "faint": "dim",
    "module": "dim",
    "warning": "yellow",
}


def print_lines(lines: Iterable[Line]) -> None:
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        try:
            from rich.console import Console
            from rich.text import Text
        except ImportError:
            pass
        else:
            console = Console(highlight=False, soft_wrap=True)
            for line in lines:
                spans = [(text, _STYLES.get(style, "")) for text, style in line]
                console.print(Text.assemble(*spans))
            return
    for line in lines:
        print("".join(text for text, _ in line).rstrip())
