"""Saves and loads where threads cannot be started, or are about to end."""

import _thread
import concurrent.futures
import gc
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from equality import differences

import zodiax_io
from zodiax_io import deserialise, serialise
from zodiax_io._arrays import eqx, threads as _threads
from zodiax_io._arrays.threads import Threads
from zodiax_io._arrays.writing import Hasher
from zodiax_io._files import sources

ROOT = Path(zodiax_io.__file__).parents[1]
TREE = {"large": jnp.arange(9000), "more": [np.arange(5000.0), 3], "step": jnp.int8(7)}


@pytest.fixture
def path(tmp_path, use_sizes):
    """A path, and threads for all that is read and hashed."""
    use_sizes(threads_from=1000, hash_thread_from=1000)
    return tmp_path / "model.zdx"


# The threads themselves ---------------------------------------------------------------


def test_jobs_are_done_in_other_threads():
    """A job whose result nobody asks for yet is done all the same."""
    done = threading.Event()
    with Threads(2) as threads:
        job = threads.begin(lambda: (done.set(), threading.get_ident())[1])
        assert done.wait(60)
        assert job.result() != threading.get_ident()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_results_come_in_the_order_in_which_they_are_asked_for(count):
    """Each job gives its own result, with any number of threads."""
    with Threads(count) as threads:
        jobs = [threads.begin(pow, number, 2) for number in range(100)]
        assert [job.result() for job in jobs] == [n * n for n in range(100)]
        assert [job.result() for job in jobs] == [n * n for n in range(100)]


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("error", [MemoryError, SystemExit, KeyboardInterrupt, OSError])
def test_what_ends_a_job_is_raised_in_the_caller(count, error):
    """An error in a thread is raised where its result is asked for; nothing waits."""

    def fail():
        raise error("in a thread")

    with Threads(count) as threads:
        jobs = [threads.begin(fail), threads.begin(abs, -3)]
        with pytest.raises(error, match="in a thread"):
            jobs[0].result()
        assert jobs[1].result() == 3


def test_what_nobody_asked_for_is_dropped():
    """At the end, what has begun is waited for, and the rest is not done any more."""
    begun, let_go, done = threading.Event(), threading.Event(), []

    def slow():
        begun.set()
        let_go.wait(60)
        done.append("slow")

    with Threads(1) as threads:
        threads.begin(slow)
        begun.wait(60)
        for _ in range(5):
            threads.begin(done.append, "late")
        threading.Timer(0.2, let_go.set).start()
    assert done == ["slow"]


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_a_limit_of_threads(monkeypatch, refused):
    """Where the system refuses a thread, those that there are do the work."""
    real, started = _thread.start_new_thread, []

    def start(*args):
        if len(started) == refused:
            raise RuntimeError("can't start new thread")
        started.append(args)
        return real(*args)

    monkeypatch.setattr(_thread, "start_new_thread", start)
    with Threads(3) as threads:
        jobs = [threads.begin(pow, number, 2) for number in range(50)]
        assert [job.result() for job in jobs] == [n * n for n in range(50)]
    assert len(started) == refused


def test_threads_that_never_run(monkeypatch):
    """A thread that is started and never comes is not waited for."""
    monkeypatch.setattr(_thread, "start_new_thread", lambda *args: 0)
    with Threads(2) as threads:
        jobs = [threads.begin(pow, number, 2) for number in range(50)]
        assert [job.result() for job in jobs] == [n * n for n in range(50)]


def test_threads_end_when_their_owner_is_gone():
    """An interrupt before the end of the block leaves no thread for ever."""
    before = _thread._count()
    threads = Threads(3)
    jobs = [threads.begin(pow, number, 2) for number in range(3)]
    assert [job.result() for job in jobs] == [0, 1, 4]
    del threads, jobs
    gc.collect()
    deadline = time.monotonic() + 60
    while _thread._count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _thread._count() <= before


def test_pieces_are_hashed_in_order(monkeypatch):
    """A checksum is that of the pieces in their order, whoever adds them."""
    added = []

    class Check:
        def update(self, piece):
            time.sleep(0.001 if piece[0] % 3 else 0.005)
            added.append(piece[0])

    check = Check()
    with Threads(1) as threads:
        hasher = Hasher(threads)
        for number in range(40):
            hasher.add(check, memoryview(bytes([number])))
        hasher.finish()
        assert added == list(range(40))
        for number in range(40, 50):
            hasher.add(check, memoryview(bytes([number])))
        hasher.finish()
    assert added == list(range(50))


# Saves and loads ----------------------------------------------------------------------


def refuse(*_, **__):
    raise RuntimeError("can't start new thread")


def test_without_threads_all_is_the_same(path, monkeypatch):
    """Where no thread can be started, files, arrays and checks are the same."""
    serialise(path, TREE)
    expected = path.with_suffix(".eqx").read_bytes()
    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    serialise(path, TREE)
    assert path.with_suffix(".eqx").read_bytes() == expected
    assert differences(TREE, deserialise(path)) == []
    assert zodiax_io.verify(path) == []
    damaged = bytearray(expected)
    damaged[5000] ^= 1
    path.with_suffix(".eqx").write_bytes(bytes(damaged))
    with pytest.raises(zodiax_io.CorruptFileError, match="wrong checksum"):
        deserialise(path)


@pytest.mark.parametrize(
    "where, call", [(eqx, "read_and_hash"), (sources.FileSource, "read_into")]
)
def test_a_thread_that_runs_out_of_memory(path, monkeypatch, where, call):
    """Memory that a thread lacks is an error of the load, and no damage."""
    serialise(path, TREE)

    def fail(*arguments):
        if threading.get_ident() != main:
            raise MemoryError
        return real(*arguments)

    main = threading.get_ident()
    real = getattr(where, call)
    monkeypatch.setattr(where, call, fail)
    # The reader may do all itself before a thread comes to it.
    monkeypatch.setattr(_threads.Job, "result", wait_for_a_thread)
    for options in ({}, {"damaged": "skip"}):
        with pytest.raises(zodiax_io.ResourceError):
            deserialise(path, **options)


def wait_for_a_thread(job):
    job._ending.wait()
    if job._error is not None:
        raise job._error
    return job._value


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_a_forked_child_saves_and_loads(path):
    """A child that was forked has none of its parent's threads."""
    serialise(path, TREE)
    pid = os.fork()
    if pid == 0:
        try:
            serialise(path, TREE)
            os._exit(0 if differences(TREE, deserialise(path)) == [] else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_full_pool_saves_and_loads(path):
    """Saves in all the threads of a pool wait for none of its threads."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        paths = [path.with_name(f"{number}.zdx") for number in range(6)]
        list(pool.map(lambda one: serialise(one, TREE), paths))
        assert [differences(TREE, t) for t in pool.map(deserialise, paths)] == [[]] * 6


# The end of the interpreter -----------------------------------------------------------

PRELUDE = """
import atexit, gc, os, sys, threading, time, weakref
import numpy as np
{imports}

def tree(step):
    return {{"w": np.full((1500, 1500), step), "step": step{jax}}}

def work():
    import zodiax_io
    zodiax_io.serialise("last.zdx", tree(2){options})
    loaded = zodiax_io.deserialise("last.zdx"{options})
    assert loaded["w"].sum() == 2 * 1500 * 1500, loaded
    assert zodiax_io.verify("last.zdx") == []
    print("saved", flush=True)
"""

ENDS = {
    "atexit": "atexit.register(work)",
    "interrupt": "atexit.register(work)\nraise KeyboardInterrupt",
    "exit": "atexit.register(work)\nsys.exit(3)",
    "thread": """
def wait():
    threading.main_thread().join()
    time.sleep(0.1)
    work()
threading.Thread(target=wait).start()
""",
    "finalize": """
class Model: pass
model = Model()
weakref.finalize(model, work)
""",
    "threading atexit": "threading._register_atexit(work)",
    "del in a cycle": """
class Model:
    def __init__(self):
        self.me = self
    def __del__(self, work=work):
        work()
gc.disable()
Model()
atexit.register(gc.collect)
""",
    "in a forked child": """
def child():
    pid = os.fork()
    if pid == 0:
        work()
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
atexit.register(child)
""",
}
IMPORTS = {
    "used before": ("import jax.numpy as jnp, zodiax_io\nzodiax_io.serialise", True),
    "imported": ("import jax.numpy as jnp, zodiax_io", True),
    "not imported": ("import jax.numpy as jnp", True),
    "without jax": ("import zodiax_io", False),
}


def run(folder, script):
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("imports", IMPORTS)
@pytest.mark.parametrize("end", ENDS)
def test_the_last_save_of_a_run(tmp_path, end, imports):
    """A checkpoint saved at the end of a program is there, however it ends."""
    text, jax = IMPORTS[imports]
    script = PRELUDE.format(
        imports=text,
        jax=', "x": jnp.full((1500, 1500), step), "k": jnp.bfloat16(1)' if jax else "",
        options="",
    )
    out, err = run(tmp_path, script + ENDS[end])
    assert out.splitlines() == ["saved"], err


LAST = """
class Model:
    def __del__(self):
        for call in (
            lambda: zodiax_io.serialise("last.zdx", {"w": 1}),
            lambda: zodiax_io.deserialise("first.zdx"),
            lambda: zodiax_io.read_metadata("first.zdx"),
        ):
            try:
                call()
            except Exception as error:
                print(type(error).__name__, error, flush=True)

model = Model()
"""


@pytest.mark.parametrize("used", [True, False])
def test_a_save_when_modules_are_taken_apart(tmp_path, used):
    """Once Python can import no more, each call ends at once, and says when to save."""
    first = 'zodiax_io.serialise("first.zdx", {"w": np.arange(3)})' if used else ""
    out, err = run(tmp_path, f"import numpy as np, zodiax_io\n{first}\n{LAST}")
    when = "earlier, or in a function registered with `atexit.register`."
    if used:
        why = "Python is shutting down, and its modules are being removed."
        expected = [
            f"SaveError Cannot save: {why} Save {when}",
            f"ReadError Cannot load: {why} Load {when}",
            f"ReadError Cannot load: {why} Load {when}",
        ]
    else:
        expected = [
            f"ImportError Cannot use `zodiax_io.{name}`: Python is shutting down, and "
            f"can no longer import modules. Save {when}"
            for name in ("serialise", "deserialise", "read_metadata")
        ]
    assert out.splitlines() == expected, err
    assert not (tmp_path / "last.zdx").exists()
