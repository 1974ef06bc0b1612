"""Ctrl-C at any moment leaves a process, and its files, as they were.

ZODIAX_IO_EXHAUSTIVE=1 interrupts at every instruction instead of at a sample.
"""

import contextlib
import fcntl
import gc
import mmap
import os
import signal
import sys
import threading
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equality import differences

import zodiax_io
from zodiax_io import _interpreter, deserialise, serialise
from zodiax_io._files import commit

PACKAGE = str(Path(zodiax_io.__file__).parent)
EXHAUSTIVE = os.environ.get("ZODIAX_IO_EXHAUSTIVE", "0") != "0"
OLD = {"weight": np.arange(6.0).reshape(2, 3), "step": 3}
NEW = {"weight": np.arange(9000), "jax": jnp.arange(5000), "step": [np.int8(4), None]}

# What nobody refers to any more after an interrupt is closed by Python, which says so.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")

if not os.path.isdir("/proc/self/fd"):
    pytest.skip("needs /proc", allow_module_level=True)


def state():
    """All of a process that a save or load changes for a while."""
    return {
        "collector": gc.isenabled(),
        "recursion": sys.getrecursionlimit(),
        "path": list(sys.path),
        "descriptors": descriptors(),
        "warnings": list(warnings.filters),
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)],
        "jax": {name: getattr(jax.config, name) for name in SETTINGS},
        "folder": os.getcwd(),
        "waiting": [
            *_interpreter.recursion_limit.callers,
            *_interpreter.recursion_limit.turns,
        ],
    }


def descriptors():
    """What is open, but for the folder that lists it."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


SETTINGS = ("jax_enable_x64", "jax_debug_nans", "jax_transfer_guard", "jax_platforms")


@pytest.fixture
def path(tmp_path, use_sizes):
    """A pair, small groups of it, and threads for all that is read and hashed."""
    use_sizes(threads_from=1000, hash_thread_from=1000)
    serialise(tmp_path / "model.zdx", OLD)
    serialise(tmp_path / "new.zdx", NEW)
    deserialise(tmp_path / "new.zdx")
    gc.collect()
    gc.freeze()  # what JAX has made need not be looked at each time
    yield tmp_path / "model.zdx"
    gc.unfreeze()


def save(path):
    """Replace a checkpoint."""
    serialise(path, NEW)


def load(path):
    """Load one that is there."""
    deserialise(path.with_name("new.zdx"))


def map_file(path):
    """Load one lazily."""
    deserialise(path.with_name("new.zdx"), lazy=True)


def check(path):
    """Look at all of one."""
    assert zodiax_io.verify(path.with_name("new.zdx")) == []


ACTIONS = [save, load, map_file, check]


def assert_as_before(before, path, where):
    gc.collect()
    assert state() == before, where
    left = [name for name in os.listdir(path.parent) if name.startswith(".")]
    assert left == [], where
    with warnings.catch_warnings():  # the first of two files may be the new one
        warnings.simplefilter("ignore", zodiax_io.MixedPairWarning)
        loaded = deserialise(path)
    assert any(differences(tree, loaded) == [] for tree in (OLD, NEW)), where


class Tracer:
    """Calls a function before each instruction of zodiax_io that runs first."""

    def __init__(self, each):
        self.each = each
        self.seen = set()

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            place = (frame.f_code, frame.f_lasti)
            if place not in self.seen:
                self.seen.add(place)
                self.each(frame)
        return self

    @contextlib.contextmanager
    def tracing(self):
        """Trace this thread for as long as the block runs."""
        before = sys.gettrace()
        sys.settrace(self)
        try:
            yield
        finally:
            sys.settrace(before)


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_interrupt_between_any_two_instructions(path, action):
    """Wherever Ctrl-C comes, nothing stays changed, open, locked or half written."""
    places, functions = [], []

    def note(frame):
        places.append(frame.f_code.co_filename)
        functions.append(frame.f_code.co_name)

    with Tracer(note).tracing():
        action(path)
    assert len(places) > 1000
    # What opens, locks and sets is looked at more closely than what computes.
    chosen = range(len(places))
    if not EXHAUSTIVE:
        close = ("commit.py", "sources.py", "_interpreter.py", "threads.py")
        near = [i for i in chosen if places[i].endswith(close)]
        chosen = sorted(
            {*near[:: max(1, len(near) // 60)], *range(0, len(places), 199)}
            | {i for i in chosen if functions[i] in ("ends_of", "_end")}
        )
    gc.collect()
    before = state()
    for number in chosen:
        count = iter(range(10**9))
        where = []

        def interrupt(frame, number=number, count=count, where=where):
            if next(count) == number:
                where.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
                raise KeyboardInterrupt

        serialise(path, OLD, durable=False)
        with Tracer(interrupt).tracing(), contextlib.suppress(KeyboardInterrupt):
            action(path)
        assert_as_before(before, path, where)


# Functions written in C, after which Python looks for signals.
CALLS = {
    "gc.disable": (gc, "disable"),
    "gc.enable": (gc, "enable"),
    "sys.setrecursionlimit": (sys, "setrecursionlimit"),
    "io.FileIO": (commit, "FileIO"),
    "os.replace": (os, "replace"),
    "os.unlink": (os, "unlink"),
    "os.fstat": (os, "fstat"),
    "os.stat": (os, "stat"),
    "os.fsync": (os, "fsync"),
    "os.fchmod": (os, "fchmod"),
    "os.preadv": (os, "preadv"),
    "fcntl.flock": (fcntl, "flock"),
    "mmap.mmap": (mmap, "mmap"),
    "threading.Lock": (threading, "Lock"),
}


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_interrupt_right_after_a_call(path, monkeypatch, action):
    """Ctrl-C that comes during a function of C is raised as soon as it returns."""
    before, interrupted = state(), set()
    for name, (module, attribute) in CALLS.items():
        real = getattr(module, attribute)
        for number in range(50 if EXHAUSTIVE else 5):
            count = iter(range(10**9))

            def call(*args, real=real, count=count, place=(name, number), **options):
                result = real(*args, **options)
                mine = threading.current_thread() is threading.main_thread()
                if mine and next(count) == place[1]:
                    interrupted.add(place)
                    raise KeyboardInterrupt
                return result

            serialise(path, OLD, durable=False)
            monkeypatch.setattr(module, attribute, call)
            try:
                with contextlib.suppress(KeyboardInterrupt):
                    action(path)
            finally:
                monkeypatch.setattr(module, attribute, real)
            if (name, number) not in interrupted:
                break
            assert_as_before(before, path, (name, number))
    assert len(interrupted) > 8


def test_interrupts_by_a_real_signal(path):
    """A signal at random moments, as the keyboard sends it."""
    before = state()
    for number in range(60):
        serialise(path, OLD, durable=False)
        action = ACTIONS[number % len(ACTIONS)]
        # The signal may also come when the action has ended: caught outside of that.
        with contextlib.suppress(KeyboardInterrupt):
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 * (number % 20 + 1))
                action(path)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        assert_as_before(before, path, number)


@pytest.fixture(autouse=True)
def alarm():
    """An alarm is an interrupt."""
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGALRM, before)


def test_a_limit_that_code_of_the_user_sets_stays():
    """The recursion limit that a kind or a class sets while it is saved is kept."""
    limit = sys.getrecursionlimit()
    try:
        _interpreter.call_deeply(100, sys.setrecursionlimit, limit + 7)
        assert sys.getrecursionlimit() == limit + 7
    finally:
        sys.setrecursionlimit(limit)


def test_threads_share_one_recursion_limit():
    """The limit goes back when the last of several threads has ended, and no sooner."""
    limit, errors = sys.getrecursionlimit(), []
    barrier = threading.Barrier(4)

    def deep(frames):
        return 0 if frames == 0 else 1 + deep(frames - 1)

    def work():
        try:
            for _ in range(200):
                assert _interpreter.call_deeply(3000, deep, 2500) == 2500
            barrier.wait(60)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sys.getrecursionlimit() == limit
