"""What comes back in another process: `python -m tests.downstream [package …]`.

Each process has another `PYTHONHASHSEED`, so that sets have another order. Exit status
1 if an object came back as anything else than it was, was refused though its table does
not say so, or was kept though it does. Instances of the registered classes of a package
may be refused when saved; classes of which none can be made are listed as `unmade`.
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

SEEDS = (("save", "1"), ("load", "2"), ("load", "3"))


def results(package: str) -> Rows:
    """What became of each object of a package: its result, and the reason."""
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for what, seed in SEEDS:
            command = [sys.executable, "-m", f"{__package__}.process", what]
            done = subprocess.run(
                [*command, package, folder],
                cwd=TESTS.parent,
                env={"JAX_PLATFORMS": "cpu", **os.environ, "PYTHONHASHSEED": seed},
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
                return {f"({what})": ("failed", said[-1])}
            file = Path(folder) / {"save": "saved.json", "load": "loaded.json"}[what]
            rows = merged(rows, json.loads(file.read_text(encoding="utf8")))
    return judged(package, rows)


def merged(rows: Rows, more: Rows) -> Rows:
    """The worst of each object so far: what one process found stays found."""
    return {
        name: more.get(name, row) if row[0] in ("saved", "kept") else row
        for name, row in (more | rows).items()
    }


def judged(package: str, found: Rows) -> Rows:
    """What was found, failed where it is not what the table of the package says."""
    module = table(package)
    expected: dict[str, tuple[str, ...]] = dict.fromkeys(module.OBJECTS, ("kept",))
    expected |= dict.fromkeys(module.REFUSED, ("refused",))
    rows: Rows = {}
    for name, (result, reason) in found.items():
        right = expected.get(name, ("kept", "refused", "unmade"))
        if result not in ("failed", *right):
            result = "failed"
            reason = f"{found[name][0]}, not {' or '.join(right[:2])}: {reason}"
        rows[name] = result, reason
    return rows


def of_classes(package: str, rows: Rows) -> str:
    """How many registered classes there are, and what became of their instances."""
    ours = {
        name: row for name, row in rows.items() if name not in table(package).OBJECTS
    }
    made = {name.partition("(")[0] for name, row in ours.items() if row[0] != "unmade"}
    counts = Counter(result for result, _ in ours.values())
    shown = ", ".join(f"{count} {result}" for result, count in sorted(counts.items()))
    return f"instances of {len(made)} registered classes: {shown}"


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
        rows = results(package)
        counts.update(result for result, _ in rows.values())
        for name, (result, reason) in rows.items():
            if result == "kept" and name not in table(package).OBJECTS:
                continue  # one of many
            lines = reason.splitlines()  # those of a file name each of its classes
            if result != "failed":
                lines = lines[:2]
            shown = " ".join([f"{result}:" if lines else result, *lines])
            print(f"{package:12} {version:8} {name:40} {shown}", flush=True)
        print(f"{package:12} {version:8} {of_classes(package, rows)}", flush=True)
    print(", ".join(f"{count} {result}" for result, count in sorted(counts.items())))
    return int(counts["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
