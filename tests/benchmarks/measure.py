"""One measurement: this process builds a workload, saves it once or more, loads it.

`compare` starts a fresh process for each; what it prints last is one line of JSON.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .peers import PEERS, Peer
from .workloads import SMALL, WORKLOADS, arrays_of, size_of, template_of

_SECONDS = 5.0  # after so long, a small workload is not repeated any more
_PAGE = 4096


def measure(
    peer_name: str, workload: str, scale: float, folder: Path, rounds: int
) -> dict[str, Any]:
    """Times in seconds and sizes in bytes of one peer with one workload.

    Before anything is timed, a small workload is saved and loaded once, a big one
    stays untouched while a tree of one array is: so imports and compilations are done,
    and the page cache is as it would be. A save is always to a path where nothing is,
    and a load is of what has just been saved, from the page cache.
    """
    peer = PEERS[peer_name]()
    tree = WORKLOADS[workload](scale)
    template = template_of(tree)
    expected = _fingerprint(tree)
    size = size_of(tree)
    result: dict[str, Any] = {"size": size}
    if size < SMALL:
        _round_trip(peer, folder, tree, template)
        saves = _times(lambda: peer.save(folder / peer.file, tree), rounds, folder)
        loads = _times(lambda: _loaded(peer, folder / peer.file, template), rounds)
        result["save"] = statistics.median(saves)
        result["load"] = statistics.median(loads)
    else:
        small = {"array": jnp.ones(3)}
        _round_trip(peer, folder, small, template_of(small))
        _clear(folder)
        os.sync()  # nobody's pages wait for the disk at its expense
        _back(3 * size)
        with _peak() as peak:
            start = time.perf_counter()
            peer.save(folder / peer.file, tree)
            result["save"] = time.perf_counter() - start
        if "bytes" in peak:
            result["save_peak"] = peak["bytes"]
        del tree
        _back(3 * size)
        with _peak() as peak:
            start = time.perf_counter()
            loaded = _loaded(peer, folder / peer.file, template)
            result["load"] = time.perf_counter() - start
            _touch(loaded)
            result["touched"] = time.perf_counter() - start
        if "bytes" in peak:
            result["load_peak"] = peak["bytes"] - size
        del loaded
        if peer_name == "zodiax_io":
            result["lazy"] = _lazy(folder / peer.file)
    found = _fingerprint(_loaded(peer, folder / peer.file, template))
    if found != expected:
        raise AssertionError("what was loaded is not what was saved")
    result["file"] = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return result


def _round_trip(peer: Peer, folder: Path, tree: Any, template: Any) -> None:
    peer.save(folder / peer.file, tree)
    _loaded(peer, folder / peer.file, template)


def _loaded(peer: Peer, path: Path, template: Any) -> Any:
    return jax.block_until_ready(peer.load(path, template))


def _times(
    call: Callable[[], Any], rounds: int, folder: Path | None = None
) -> list[float]:
    """The times of several calls, each in an empty folder if one is given."""
    times: list[float] = []
    while len(times) < rounds and sum(times) < _SECONDS:
        if folder is not None:
            _clear(folder)
        gc.collect()
        start = time.perf_counter()
        kept = call()  # letting go of it is not what is timed
        times.append(time.perf_counter() - start)
        del kept
    return times


def _back(size: int) -> None:
    """Let the machine have so much free memory at hand.

    A virtual machine may have given what is free back to its host, and waits long for
    it to return: whoever comes first would pay for all.
    """
    pages = np.empty(size, np.uint8)  # in huge pages, where there are some
    pages[::_PAGE] = 1


def _clear(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _touch(tree: Any) -> int:
    """Read a byte of each page, as whoever uses the arrays would."""
    views = (np.asarray(array).reshape(-1).view(np.uint8) for array in arrays_of(tree))
    return sum(int(view[::_PAGE].sum()) for view in views)


def _fingerprint(tree: Any) -> int:
    """A number that any changed bit of an array changes; all items have four bytes."""
    result = 0
    for array in arrays_of(tree):
        words = np.asarray(array).reshape(-1).view(np.uint32)
        result ^= int(np.bitwise_xor.reduce(words))
    return result


def _lazy(path: Path) -> float:
    """How long it takes to open a checkpoint without reading it."""
    import zodiax_io

    gc.collect()  # JAX lets go of what was loaded before
    start = time.perf_counter()
    kept = zodiax_io.deserialise(path, lazy=True)
    seconds = time.perf_counter() - start
    del kept
    return seconds


@contextlib.contextmanager
def _peak() -> Iterator[dict[str, int]]:
    """How far the memory rises above what it was; Linux only, elsewhere unknown."""
    found: dict[str, int] = {}
    gc.collect()
    if sys.platform != "linux":
        yield found
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed does not hide what is taken
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls
    except OSError:
        with _sampled(found):
            yield found
        return
    before = _status("VmRSS")
    yield found
    found["bytes"] = _status("VmHWM") - before


@contextlib.contextmanager
def _sampled(found: dict[str, int]) -> Iterator[None]:
    """The same, by looking every millisecond."""
    before = highest = _status("VmRSS")
    ended = threading.Event()

    def look() -> None:
        nonlocal highest
        while not ended.wait(0.001):
            highest = max(highest, _status("VmRSS"))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    found["bytes"] = highest - before


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"the kernel does not tell {name}")


def main() -> None:
    """Measure what the one argument says, in JSON."""
    job = json.loads(sys.argv[1])
    folder = Path(job.pop("folder"))
    try:
        result = measure(folder=folder, **job)
    except Exception as error:  # a peer that cannot is reported, not hidden
        lines = str(error).strip().splitlines() or [""]
        result = {"error": f"{type(error).__name__}: {lines[0]}"}
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
