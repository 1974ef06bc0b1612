"""Hostile files: each is loaded in a watched process, and must do nothing there."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
# So that `python -m tests.attacks.fuzz` finds what pytest finds by itself.
for folder in (TESTS, TESTS / "helpers"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
