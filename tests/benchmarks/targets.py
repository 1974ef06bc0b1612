"""What must be so fast, and so small: `python -m tests.benchmarks.targets FILE.json`.

The file is what `tests.benchmarks.compare --json FILE.json` wrote. A ratio is the
median of the ratios within each repeat; a time is a median, a memory the highest.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BIG = ("ONE_BIG", "TRANSFORMER")
MIB = 1 << 20
Results = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """At most so many times a peer, or so many seconds or bytes.

    Attributes
    ----------
    text : str
        What is measured.
    workloads : tuple of str
        Where it must hold.
    field : str
        Which number of a measurement it is about.
    limit : float
        What it may be at most.
    peer : str or None
        Of whom; None for a number of our own.
    ours : str
        Which of our peers is meant.
    """

    text: str
    workloads: tuple[str, ...]
    field: str
    limit: float
    peer: str | None = None
    ours: str = "zodiax_io"


def _ratios(
    text: str, workloads: tuple[str, ...], field: str, ours: str = "zodiax_io", **limits
) -> list[Target]:
    return [
        Target(text, workloads, field, limit, peer.replace("_", "-"), ours)
        for peer, limit in limits.items()
    ]


TARGETS = [
    *_ratios("save", BIG, "save", equinox=0.9, safetensors=0.75, bare_reserved=1.1),
    *_ratios("save with fsync", BIG, "save", "zodiax_io-durable", bare_fsync=1.1),
    *_ratios(
        "load, verified and touched",
        BIG,
        "touched",
        equinox=0.3,
        safetensors=0.3,
        bare_reserved=1.4,
    ),
    Target("lazy open", ("TRANSFORMER",), "lazy", 0.020),
    *_ratios("save", ("MANY_SMALL",), "save", equinox=0.4, safetensors=0.6),
    *_ratios(
        "load", ("MANY_SMALL",), "load", equinox=0.25, safetensors=0.6, pickle=0.4
    ),
    *_ratios("save", ("TINY",), "save", equinox=3.0),
    *_ratios("load", ("TINY",), "load", equinox=3.0),
    Target("save", ("TINY",), "save", 0.005),
    Target("load", ("TINY",), "load", 0.005),
    Target("memory above the tree, save", BIG, "save_peak", 64 * MIB),
    Target("memory above the tree, load", BIG, "load_peak", 64 * MIB),
]
IMPORT_LIMIT = 0.040


def paired(
    results: Results, workload: str, field: str, ours: str, peer: str
) -> list[float]:
    """The ratio of ours to theirs in each repeat in which both were measured."""
    measured = results["workloads"].get(workload, {})
    runs = [
        {run["repeat"]: run[field] for run in measured.get(name, []) if run.get(field)}
        for name in (ours, peer)
    ]
    both = sorted(set(runs[0]) & set(runs[1]))
    return [runs[0][repeat] / runs[1][repeat] for repeat in both]


def report(results: Results) -> Iterator[str]:
    """The lines of a Markdown table with what holds, what fails and what is unknown."""
    yield "| Target | Workload | At most | Measured | |"
    yield "|---|---|---|---|---|"
    for target in TARGETS:
        for workload in target.workloads:
            yield _line(results, target, workload)
    imports = [run["zodiax_io"] for run in results["imports"]]
    found = statistics.median(imports) if imports else None
    yield _row("import above JAX and Equinox", "", IMPORT_LIMIT, found, "seconds")


def _line(results: Results, target: Target, workload: str) -> str:
    if target.peer is not None:
        ratios = paired(results, workload, target.field, target.ours, target.peer)
        found = statistics.median(ratios) if ratios else None
        text = f"{target.text}: {target.ours} ÷ {target.peer}"
        return _row(text, workload, target.limit, found, "times")
    runs = results["workloads"].get(workload, {}).get(target.ours, [])
    numbers = [run[target.field] for run in runs if run.get(target.field) is not None]
    if target.field.endswith("_peak"):
        found = max(numbers, default=None)
        return _row(target.text, workload, target.limit, found, "bytes")
    found = statistics.median(numbers) if numbers else None
    return _row(target.text, workload, target.limit, found, "seconds")


def _row(text: str, workload: str, limit: float, found: float | None, unit: str) -> str:
    verdict = "not measured"
    if found is not None:
        verdict = "pass" if found <= limit else "**FAIL**"
    return (
        f"| {text} | {workload} | {_shown(limit, unit)} | {_shown(found, unit)} "
        f"| {verdict} |"
    )


def _shown(number: float | None, unit: str) -> str:
    if number is None:
        return "-"
    if unit == "times":
        return f"{number:.2f}"
    if unit == "bytes":
        return f"{number / MIB:.0f} MiB"
    return f"{number * 1e3:.3g} ms"


def main() -> None:
    """Print the checklist for measurements that were kept."""
    print("\n".join(report(json.loads(Path(sys.argv[1]).read_text()))))


if __name__ == "__main__":
    main()
