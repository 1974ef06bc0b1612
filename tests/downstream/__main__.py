"""What comes back in another process: `python -m tests.downstream [package …]`.

Exit status 1 if an object came back as anything else than it was, was refused though
its table does not say so, or was kept though it does.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from . import FURTHER, TESTED, TESTS, table
from .process import Rows


def results(package: str) -> Rows:
    """What became of each object of a package: its result, and the reason."""
    with tempfile.TemporaryDirectory() as folder:
        for what in ("save", "load"):
            command = [sys.executable, "-m", f"{__package__}.process", what]
            done = subprocess.run(
                [*command, package, folder],
                cwd=TESTS.parent if __package__ != TESTS.name else TESTS,
                env={"JAX_PLATFORMS": "cpu", **os.environ},
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
                return {f"({what})": ("failed", said[-1])}
        saved, loaded = (
            json.loads((Path(folder) / file).read_text(encoding="utf8"))
            for file in ("saved.json", "loaded.json")
        )
    rows = {name: tuple(loaded.get(name, row)) for name, row in saved.items()}
    for name, (result, reason) in rows.items():
        if result == "refused" and name not in table(package).REFUSED:
            rows[name] = "failed", f"refused: {reason}"
        elif result == "kept" and name in table(package).REFUSED:
            rows[name] = "failed", "its table says that it is refused"
    return rows


def main() -> int:
    """Try the packages that are asked for, or all, and print a table."""
    counts: Counter[str] = Counter()
    for package in sys.argv[1:] or (*TESTED, *FURTHER):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "absent"
        for name, (result, reason) in results(package).items():
            counts[result] += 1
            shown = f"{result}: {reason}" if reason else result
            print(f"{package:12} {version:8} {name:40} {shown}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())))
    return int(counts["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
