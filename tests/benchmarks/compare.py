"""Our times, memory and sizes beside those of others, as Markdown tables.

`python -m tests.benchmarks.compare --workloads TINY,MANY_SMALL --repeats 7` from the
root of the repository; `--help` tells the rest. Each repeat measures every peer in a
fresh process, in random order, so that whatever else the machine does meets all alike;
ratios are taken within a repeat. Peers that are not installed are left out and named.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import targets
from .peers import PEERS
from .targets import MIB, Results, paired
from .workloads import WORKLOADS

_ROOT = Path(__file__).resolve().parents[2]
_ROUNDS = {"TINY": 30, "MANY_SMALL": 7}
_HOW = """\
A fresh process for each measurement, the peers of a repeat in random order. Times are
medians over the repeats, with the fastest and the slowest; ratios are medians of the
ratios within each repeat. A save is to a path where nothing is; a load is from the page
cache and ends with a tree of JAX arrays that are ready.

TINY and MANY_SMALL: the median of up to {tiny} and {many} rounds in the process (as
many as begin within five seconds), after one that is not timed. ONE_BIG and
TRANSFORMER: one save and one load, after those of a tree of one array, in memory that
the machine has at hand (three times the tree is touched and freed just before); a byte
of each page is read before the clock of the load stops. Memory is how far the process
rises above what it was before the save, and above that and the tree in a load."""
_IMPORT = """\
import time
start = time.perf_counter()
import jax, equinox
middle = time.perf_counter()
{}
end = time.perf_counter()
{}
used = time.perf_counter()
print(middle - start, end - middle, used - end)
"""


def run(options: argparse.Namespace) -> Results:
    """Measure everything, and tell on standard error how far it is."""
    chance = random.Random(options.seed)
    workloads: dict[str, Any] = {name: {} for name in options.workloads}
    errors: dict[str, Any] = {name: {} for name in options.workloads}
    results: Results = {
        "about": about(options),
        "workloads": workloads,
        "errors": errors,
        "imports": [],
    }
    for repeat in range(options.repeats):
        results["imports"].append(_import_times(chance))
        for workload in options.workloads:
            for peer in chance.sample(options.peers, len(options.peers)):
                if peer in errors[workload]:
                    continue
                found = _measured(options, peer, workload)
                if "error" in found:
                    errors[workload][peer] = found["error"]
                else:
                    found["repeat"] = repeat
                    workloads[workload].setdefault(peer, []).append(found)
                print(repeat, workload, peer, found, file=sys.stderr, flush=True)
                if options.json is not None:  # hours may end before their time
                    options.json.write_text(json.dumps(results, indent=1))
    return results


def _measured(options: argparse.Namespace, peer: str, workload: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        inner = Path(folder) / "files"
        inner.mkdir()
        job = {
            "peer_name": peer,
            "workload": workload,
            "scale": options.scale,
            "folder": str(inner),
            "rounds": _ROUNDS.get(workload, 5),
        }
        try:
            ended = _python(
                "-m",
                "tests.benchmarks.measure",
                json.dumps(job),
                seconds=options.timeout,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {options.timeout:g} s"}
    if ended.returncode < 0:
        return {"error": f"killed by {signal.Signals(-ended.returncode).name}"}
    if ended.returncode:
        lines = ended.stderr.strip().splitlines() or ["it ended without a word"]
        return {"error": lines[-1]}
    return json.loads(ended.stdout.splitlines()[-1])


def _import_times(chance: random.Random) -> dict[str, float]:
    """Seconds that imports take: of JAX and Equinox alone, and of us after them."""
    times: dict[str, float] = {}
    programs = {
        "alone": ("pass", "pass"),
        "with": ("import zodiax_io", "zodiax_io.serialise"),
    }
    for name, program in chance.sample(list(programs.items()), 2):
        ended = _python("-c", _IMPORT.format(*program), seconds=600)
        ended.check_returncode()
        before, after, used = map(float, ended.stdout.split())
        times[name] = before + after
        if name == "with":
            times["zodiax_io"], times["used"] = after, used
    return times


def _python(*arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=_ROOT,
        env={"JAX_PLATFORMS": "cpu", **os.environ},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


# What was measured, and where --------------------------------------------------------


def about(options: argparse.Namespace) -> dict[str, str]:
    """The machine, the packages and the command, without any path."""
    packages = {"jax", "jaxlib", "equinox", "numpy", "msgpack", "xxhash", "optax"}
    for name in options.peers:
        packages.update(PEERS[name].packages)
    versions = [f"{p} {importlib.metadata.version(p)}" for p in sorted(packages)]
    command = (
        "python -m tests.benchmarks.compare "
        f"--workloads {','.join(options.workloads)} --repeats {options.repeats} "
        f"--peers {','.join(options.peers)}"
    )
    if options.scale != 1:
        command += f" --scale {options.scale:g}"
    return {
        "Date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "Processor": f"{_processor()}, {os.cpu_count()} cores",
        "Memory": f"{_memory()}; transparent huge pages: {_huge_pages()}",
        "File system": _file_system(Path(options.folder)),
        "System": f"{platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}",
        "Packages": ", ".join(versions),
        "Scale": f"{options.scale:g}",
        "Command": f"`{command}`",
    }


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / (1 << 20):.0f} GiB"
    return "unknown"


def _huge_pages() -> str:
    text = "".join(_lines("/sys/kernel/mm/transparent_hugepage/enabled"))
    return text.partition("[")[2].partition("]")[0] or "unknown"


def _file_system(folder: Path) -> str:
    best, kind = "", "unknown"
    place = str(folder.resolve())
    for line in _lines("/proc/mounts"):
        _, point, found, *_ = line.split()
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, found
    return kind


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


# Tables ------------------------------------------------------------------------------


def tables(results: Results) -> Iterator[str]:
    """All that was found, line by line."""
    yield "# How fast it is"
    yield ""
    for name, value in results["about"].items():
        yield f"- {name}: {value}"
    yield ""
    yield _HOW.format(tiny=_ROUNDS["TINY"], many=_ROUNDS["MANY_SMALL"])
    for workload in results["workloads"]:
        yield from _workload(results, workload)
    yield from _imports(results["imports"])
    yield ""
    yield "## Targets"
    yield ""
    if results["about"]["Scale"] != "1":
        yield "The big workloads were scaled: what is said of them means little."
        yield ""
    yield from targets.report(results)
    yield ""
    yield from _peers(results)


def _workload(results: Results, workload: str) -> Iterator[str]:
    measured = results["workloads"][workload]
    sizes = [run["size"] for runs in measured.values() for run in runs]
    yield ""
    yield f"## {workload}"
    yield ""
    if sizes:
        yield f"{sizes[0] / 1e6:,.3f} MB in arrays."
    for action, field in (("Save", "save"), ("Load", "load")):
        # The load of a big workload is only done when it has been touched.
        touched = any("touched" in run for runs in measured.values() for run in runs)
        shown = "touched" if field == "load" and touched else field
        yield ""
        yield (
            f"| {action} | ms | range | zodiax_io ÷ | durable ÷ "
            "| memory, MiB | file, MB |"
        )
        yield "|---|--:|--:|--:|--:|--:|--:|"
        ordered = sorted(measured, key=lambda p: _median(measured[p], shown))
        for peer in ordered:
            runs = measured[peer]
            times = [run[shown] * 1e3 for run in runs]
            ours = [
                _ratio(results, workload, shown, name, peer)
                for name in ("zodiax_io", "zodiax_io-durable")
            ]
            peaks = [run[f"{field}_peak"] for run in runs if f"{field}_peak" in run]
            peak = f"{max(peaks) / MIB:.0f}" if peaks else "-"
            yield (
                f"| {peer} | {_digits(statistics.median(times))} "
                f"| {_digits(min(times))} to {_digits(max(times))} "
                f"| {ours[0]} | {ours[1]} "
                f"| {peak} | {runs[0]['file'] / 1e6:,.3f} |"
            )
    failed = results["errors"][workload]
    if failed:
        yield ""
        yield "Could not:"
        yield ""
        for peer, error in failed.items():
            yield f"- {peer}: {error}"


def _digits(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _median(runs: list[dict[str, Any]], field: str) -> float:
    return statistics.median(run[field] for run in runs)


def _ratio(results: Results, workload: str, field: str, ours: str, peer: str) -> str:
    ratios = paired(results, workload, field, ours, peer)
    if not ratios or ours == peer:
        return "-"
    return f"{statistics.median(ratios):.2f}"


def _imports(times: list[dict[str, float]]) -> Iterator[str]:
    yield ""
    yield "## Import"
    yield ""
    yield "| | ms | range |"
    yield "|---|--:|--:|"
    labels = {
        "alone": "`import jax, equinox`",
        "with": "`import jax, equinox, zodiax_io`",
        "zodiax_io": "`import zodiax_io` after the others",
        "used": "the first use of it, `zodiax_io.serialise`, after that",
    }
    for name, label in labels.items():
        found = [run[name] * 1e3 for run in times]
        if found:
            yield (
                f"| {label} | {_digits(statistics.median(found))} "
                f"| {_digits(min(found))} to {_digits(max(found))} |"
            )


def _peers(results: Results) -> Iterator[str]:
    yield "## Peers"
    yield ""
    used = {
        p for part in ("workloads", "errors") for w in results[part].values() for p in w
    }
    for name, peer in PEERS.items():
        if name in used:
            yield f"- {name}: {peer.title}"
        elif not _installed(peer.packages):
            yield f"- {name}: not installed, left out"


def _installed(packages: tuple[str, ...]) -> bool:
    for package in packages:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return False
    return True


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    installed = [name for name in PEERS if _installed(PEERS[name].packages)]
    parser.add_argument("--workloads", type=_names, default=list(WORKLOADS))
    parser.add_argument("--peers", type=_names, default=installed)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of the workloads")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where to save")
    parser.add_argument("--timeout", type=float, default=600, help="of each process, s")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--out", type=Path, help="where to write the tables")
    parser.add_argument("--json", type=Path, help="where to write all measurements")
    options = parser.parse_args()
    for given, known in ((options.workloads, WORKLOADS), (options.peers, PEERS)):
        for name in given:
            if name not in known:
                parser.error(f"{name} is none of {', '.join(known)}")
    for name in options.peers:
        if not _installed(PEERS[name].packages):
            parser.error(f"{name} is not installed")
    results = run(options)
    text = "\n".join(tables(results)) + "\n"
    if options.out is not None:
        options.out.write_text(text)
    print(text)


def _names(text: str) -> list[str]:
    return text.split(",")


if __name__ == "__main__":
    main()
