"""One of the two processes: `python -m tests.downstream.process save|load PACKAGE DIR`.

What became of each object is written to `saved.json` and `loaded.json` in the folder.
"""

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import zodiax_io

from . import table

# Functions and classes of the tables themselves.
OURS = __name__.partition(".")[0]
Rows = dict[str, tuple[str, str]]


def save(package: str, folder: Path) -> Rows:
    """Save every object of a package; what is refused leaves its reason."""
    rows: Rows = {}
    for number, (name, make) in enumerate(table(package).OBJECTS.items()):
        try:
            zodiax_io.serialise(folder / f"{number}.zdx", make())
        except zodiax_io.SerialisationError as error:
            rows[name] = "refused", str(error)
        except Exception as error:
            rows[name] = "failed", f"{type(error).__name__} when saved: {error}"
        else:
            rows[name] = "saved", importlib.metadata.version(package)
    return rows


def load(package: str, folder: Path) -> Rows:
    """Load every object, before anything else imports the package, and compare."""
    rows: Rows = {}
    trees: dict[str, Any] = {}
    saved = json.loads((folder / "saved.json").read_text(encoding="utf8"))
    for number, (name, (result, _)) in enumerate(saved.items()):
        if result != "saved":
            continue
        path = folder / f"{number}.zdx"
        try:
            wanted = {v.name for v in zodiax_io.untrusted(path, trusted=[OURS])}
            trusted = sorted({name.partition(":")[0].split(".")[0] for name in wanted})
            trees[name] = zodiax_io.deserialise(path, trusted=[OURS, *trusted])
        except Exception as error:
            rows[name] = "failed", f"{type(error).__name__} when loaded: {error}"
        else:
            rows[name] = "kept", f"trusted={trusted}" if trusted else ""

    from equality import differences

    for name, tree in trees.items():
        found = differences(table(package).OBJECTS[name](), tree)
        if found:
            rows[name] = "failed", "; ".join(found)
    return rows


if __name__ == "__main__":
    what, package, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    rows = {"save": save, "load": load}[what](package, folder)
    file = folder / {"save": "saved.json", "load": "loaded.json"}[what]
    file.write_text(json.dumps(rows), encoding="utf8")
