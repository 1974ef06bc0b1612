"""The checkpoints below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from .._arrays.backends import suffixes
from .checkpoint import STRUCTURE_SUFFIX


def files_below(path: Any) -> Iterator[Any]:
    """The checkpoints in a folder and those below it; or the one file."""
    if not isinstance(path, (str, os.PathLike)) or not os.path.isdir(path):
        yield path
        return
    for folder, _, names in sorted(os.walk(path)):
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            alone = suffix in suffixes() and f"{stem}{STRUCTURE_SUFFIX}" not in names
            if suffix == STRUCTURE_SUFFIX or alone:
                yield os.path.join(folder, name)
