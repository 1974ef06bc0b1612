"""One of the processes: `python -m tests.downstream.process save|load PACKAGE DIR`.

What became of each object is written to `saved.json` and `loaded.json` in the folder.
After the objects of the table come those of `registered`, as `<class>(<arguments>)`.
"""

import importlib
import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import zodiax_io

from . import Objects, registered, table

# Functions and classes of the tables themselves.
OURS = __name__.partition(".")[0]
PREFIX = f"{__package__}."
Rows = dict[str, tuple[str, str]]


def _objects(package: str) -> tuple[Objects, dict[str, str]]:
    """Those of the table, and of every registered class; and what makes none."""
    made, unmade = registered.makers(package)
    return table(package).OBJECTS | made, unmade


def save(package: str, folder: Path) -> Rows:
    """Save every object of a package; what is refused leaves its reason."""
    objects, unmade = _objects(package)
    rows: Rows = {name: ("unmade", reason) for name, reason in unmade.items()}
    for number, (name, make) in enumerate(objects.items(), start=len(rows)):
        try:
            zodiax_io.serialise(folder / f"{number}.zdx", make())
        except (zodiax_io.SerialisationError, zodiax_io.ResourceError) as error:
            rows[name] = "refused", str(error)  # or recurses without end by itself
        except Exception as error:
            rows[name] = "failed", f"{type(error).__name__} when saved: {error}"
        else:
            rows[name] = "saved", importlib.metadata.version(package)
    return rows


def _names_in_the_way(verdicts: Iterable[Any]) -> set[str]:
    """The names that are refused, but for those of the tables, which are imported."""
    return {verdict.name for verdict in verdicts if not verdict.name.startswith(PREFIX)}


def _follow(path: Path, foreseen: set[str]) -> tuple[Any, str]:
    """A tree, and what had to be done for it: what the errors say, and no more."""
    trusted: set[str] = set()
    imports: set[str] = set()
    refused: set[str] | None = None
    while True:
        try:
            tree = zodiax_io.deserialise(path, trusted=[OURS, *sorted(trusted)])
            break
        except zodiax_io.UntrustedError as error:
            if refused is None:
                refused = _names_in_the_way(error.refusals)
            told = {v.trust for v in error.refusals if v.trust} - {OURS}
            modules = {
                module
                for verdict in error.refusals
                for module in re.findall("write `import ([^`]+)`", verdict.reason)
            }
            if told <= trusted and modules <= imports:
                raise
            trusted |= told
            imports |= modules
            for module in sorted(modules):
                importlib.import_module(module)
    surprises = (refused or set()) ^ foreseen
    if surprises:
        raise AssertionError(f"`untrusted` and the load disagree on {surprises}")
    needs = [
        f"import {module}"
        for module in sorted(imports)
        if module.partition(".")[0] != OURS
    ]
    return tree, ", ".join(needs + ([f"trusted={sorted(trusted)}"] if trusted else []))


def load(package: str, folder: Path) -> Rows:
    """Load every object, before anything else imports the package, and compare."""
    rows: Rows = {}
    trees: dict[str, Any] = {}
    saved = json.loads((folder / "saved.json").read_text(encoding="utf8"))
    foreseen = {
        number: _names_in_the_way(zodiax_io.untrusted(folder / f"{number}.zdx"))
        for number, (result, _) in enumerate(saved.values())
        if result == "saved"
    }
    for number, (name, (result, _)) in enumerate(saved.items()):
        if result != "saved":
            continue
        try:
            trees[name], needs = _follow(folder / f"{number}.zdx", foreseen[number])
            rows[name] = "kept", needs
        except zodiax_io.UntrustedError as error:
            rows[name] = "refused when loaded", str(error)
        except Exception as error:
            rows[name] = "failed", f"{type(error).__name__} when loaded: {error}"

    from equality import differences

    objects, _ = _objects(package)
    for name, tree in trees.items():
        if name not in objects:
            rows[name] = "failed", "made by the saving process only"
            continue
        found = differences(objects[name](), tree)
        if found:
            rows[name] = "failed", "; ".join(found)
    return rows


if __name__ == "__main__":
    what, package, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    rows = {"save": save, "load": load}[what](package, folder)
    file = folder / {"save": "saved.json", "load": "loaded.json"}[what]
    file.write_text(json.dumps(rows), encoding="utf8")
