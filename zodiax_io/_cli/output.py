"""Printing."""

from __future__ import annotations

import json
import sys
from typing import Any

from .._errors import shown_lines
from .._interpreter import call_deeply
from .._structure.nodes import MAX_DEPTH


def complain(text: str) -> None:
    """Print an error, without control characters that a file could contain."""
    print("zodiax-io:", shown_lines(text.rstrip("\n")), file=sys.stderr)


def print_json(data: Any) -> None:
    print(call_deeply(4 * MAX_DEPTH, _json, data))


def _json(data: Any) -> str:
    text = json.dumps(data, allow_nan=False)
    # In a large and deep text, most characters would be indentation.
    return json.dumps(data, indent=1) if len(text) < 1_000_000 else text
