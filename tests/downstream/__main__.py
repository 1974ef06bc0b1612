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
                cwd=TESTS.parent,
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
    return judged(package, {name: loaded.get(name, row) for name, row in saved.items()})


def judged(package: str, found: Rows) -> Rows:
    """What was found, failed where it is not what the table of the package says."""
    module = table(package)
    expected = dict.fromkeys(module.OBJECTS, "kept")
    expected |= dict.fromkeys(module.REFUSED, "refused")
    rows: Rows = {}
    for name, (result, reason) in found.items():
        if result not in ("failed", expected[name]):
            result, reason = "failed", f"{result}, not {expected[name]}: {reason}"
        rows[name] = result, reason
    return rows


def main() -> int:
    """Try the packages that are asked for, or all, and print a table."""
    counts: Counter[str] = Counter()
    for package in sys.argv[1:] or (*TESTED, *FURTHER):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "absent"
            if package in FURTHER and package not in sys.argv:
                counts[version] += 1
                print(f"{package:12} {version}", flush=True)
                continue
        for name, (result, reason) in results(package).items():
            counts[result] += 1
            lines = reason.splitlines()  # those of a file name each of its classes
            if result != "failed":
                lines = lines[:2]
            shown = " ".join([f"{result}:" if lines else result, *lines])
            print(f"{package:12} {version:8} {name:40} {shown}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())))
    return int(counts["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
