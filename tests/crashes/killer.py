"""Savers killed at random moments, and what is then loaded.

`python -m tests.crashes.killer --seconds N` from the root of the repository; a test
runs a short form. A process that never runs JAX forks the savers, so that a round
takes milliseconds. Savers note in shared memory what they have begun and ended.
"""

from __future__ import annotations

import argparse
import collections
import io
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import numpy as np

SAVERS = 3
_ROOT = Path(__file__).resolve().parents[2]


def tree_of(saver: int, version: int, size: int) -> dict[str, Any]:
    """A tree that says in every part which version it is."""
    number = saver << 40 | version
    return {
        "number": number,
        "text": str(number),
        "big": np.full(size, number),
        "small": [np.full(5, number), np.float64(number)],
    }


def version_of(tree: dict[str, Any]) -> tuple[int, int]:
    """Saver and version of a tree; an AssertionError if it is a mixture."""
    number = tree["number"]
    parts = [tree["text"], tree["big"], *tree["small"]]
    assert all((np.asarray(part).astype(np.int64) == number).all() for part in parts)
    return number >> 40, number & (1 << 40) - 1


class Slots:
    """For each saver the last version begun and ended, in memory that outlives it."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(bytes(SAVERS * 16))
        with open(file, "r+b") as opened:
            memory = mmap.mmap(opened.fileno(), 0)
        # Whole words: a kill between the bytes of a number would make up another.
        self._numbers = np.frombuffer(memory, np.uint64).reshape(SAVERS, 2)

    def __getitem__(self, saver: int) -> tuple[int, int]:
        begun, ended = self._numbers[saver]
        return int(begun), int(ended)

    def __setitem__(self, saver: int, numbers: tuple[int, int]) -> None:
        for i, number in enumerate(numbers):
            self._numbers[saver, i] = number


def _save_for_ever(path: str, saver: int, size: int, durable: bool, slots: Slots):
    from zodiax_io import serialise

    version = slots[saver][0]
    while True:
        version += 1
        ended = slots[saver][1]
        slots[saver] = version, ended
        serialise(path, tree_of(saver, version, size), durable=durable)
        slots[saver] = version, version


def _fork_savers(folder: Path) -> None:
    """Fork a saver for each line of standard input, or wait for a dead one."""
    from zodiax_io import serialise

    warnings.simplefilter("ignore")
    serialise(io.BytesIO(), tree_of(0, 0, 1))  # what takes long is done once for all
    slots = Slots(folder / "slots")
    print("ready", flush=True)
    for line in sys.stdin:
        words = line.split()
        if words[0] == "wait":
            os.waitpid(int(words[1]), 0)
            print("gone", flush=True)
            continue
        path, saver, size, durable = words
        pid = os.fork()
        if pid == 0:
            try:
                _save_for_ever(path, int(saver), int(size), durable == "1", slots)
            except BaseException:
                (folder / f"error-{os.getpid()}").write_text(traceback.format_exc())
            finally:
                os._exit(1)
        print(pid, flush=True)


class Killer:
    """Starts savers, kills them, loads, and counts what it has seen."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        self.folder = folder
        self.counts: collections.Counter[str] = collections.Counter()
        self._random = random.Random(seed)
        self._slots = Slots(folder / "slots")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._forker = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--fork", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        assert self._line() == "ready"

    def close(self) -> None:
        """Let the forking process go."""
        assert self._forker.stdin is not None and self._forker.stdout is not None
        self._forker.stdin.close()
        self._forker.wait()
        self._forker.stdout.close()

    def _line(self) -> str:
        assert self._forker.stdout is not None
        return self._forker.stdout.readline().strip()

    def _tell(self, *words: object) -> str:
        assert self._forker.stdin is not None
        print(*words, file=self._forker.stdin, flush=True)
        return self._line()

    def round(self) -> None:
        """Start one saver or three, on a new path or an old one, and kill them."""
        chance = self._random
        names = ("pair-0", "pair-1", "pair-2", "alone-0.eqx", "alone-1.eqx")
        path = self.folder / chance.choice(names)
        if chance.random() < 0.3:
            for file in self.folder.glob(f"{path.stem}.*"):
                file.unlink()
        was_there = path.with_suffix(".eqx").exists()
        savers = range(chance.choice([1, 1, SAVERS]))
        size = chance.choice([1, 1000, 200_000])
        durable = chance.random() < 0.5
        before = {saver: self._slots[saver][0] for saver in range(SAVERS)}
        pids = [self._tell(path, s, size, int(durable)) for s in savers]
        until = time.monotonic() + chance.uniform(0, 0.03 if size < 2000 else 0.08)
        while time.monotonic() < until and chance.random() < 0.9:
            self._load(path, "load beside savers", was_there)
        time.sleep(max(until - time.monotonic(), 0))
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        for pid in pids:
            assert self._tell("wait", pid) == "gone"
            self.counts["kill"] += 1
        self._check_errors()
        found = self._load(path, "load after kill", was_there)
        ended = [self._slots[s] for s in savers]
        if found is None:
            assert all(done <= before[s] for s, (_, done) in enumerate(ended))
        elif len(savers) == 1 and ended[0][1] > before[0]:
            saver, version = found
            assert saver == 0 and ended[0][1] <= version <= ended[0][0], (found, ended)
        if chance.random() < 0.2:
            self._check_leftovers(path)

    def _load(self, path: Path, what: str, was_there: bool) -> tuple[int, int] | None:
        from zodiax_io import MissingFileError, MixedPairWarning, deserialise

        self.counts[what] += 1
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                tree = deserialise(path)
            except MissingFileError:
                left = [*self.folder.glob(f"{path.stem}.*")]
                assert not was_there and (what != "load after kill" or not left), left
                self.counts["nothing yet"] += 1
                return None
        assert [w.category for w in caught] in ([], [MixedPairWarning]), caught
        self.counts[f"{what}: mixed"] += len(caught)
        saver, version = version_of(tree)
        assert 1 <= version <= self._slots[saver][0]
        return saver, version

    def _check_errors(self) -> None:
        for file in self.folder.glob("error-*"):
            raise AssertionError(file.read_text())

    def _check_leftovers(self, path: Path) -> None:
        from zodiax_io import deserialise, serialise

        left = [f.name for f in self.folder.glob(f".{path.stem}.*")]
        self.counts["leftovers"] += len(left)
        begun, ended = self._slots[0]
        self._slots[0] = begun + 1, ended
        serialise(path, tree_of(0, begun + 1, 10), durable=False)
        assert list(self.folder.glob(f".{path.stem}.*")) == []
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert version_of(deserialise(path)) == (0, begun + 1)


def run(seconds: float, seed: int = 0) -> collections.Counter[str]:
    """Kill savers for a while; an AssertionError says what was lost."""
    with tempfile.TemporaryDirectory() as folder:
        killer = Killer(Path(folder), seed)
        try:
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                killer.round()
        finally:
            killer.close()
    return killer.counts


def main() -> None:
    """Run for the seconds asked for, and say what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--fork", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if options.fork is not None:
        _fork_savers(options.fork)
        return
    seed = random.randrange(1 << 30) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    for what, count in sorted(run(options.seconds, seed).items()):
        print(f"{count:8} {what}")


if __name__ == "__main__":
    main()
