"""Calls made by other threads, or by this one where no thread can be started."""

from __future__ import annotations

import _thread
import queue
import sys
import weakref
from collections.abc import Callable
from typing import Any


class _Ending:
    """An event that threads wait for.

    The flag decides, and the lock only wakes them: an interrupt may leave a lock taken.
    """

    __slots__ = ("_lock", "ended")

    def __init__(self) -> None:
        self.ended = False
        self._lock = _thread.allocate_lock()
        self._lock.acquire()

    def end(self) -> None:
        """Set the flag, and wake all waiting threads."""
        self.ended = True
        self._lock.release()

    def wait(self) -> None:
        """Wait until the flag is set."""
        while not self.ended:
            if self._lock.acquire(timeout=_LONGEST_WAIT):
                self._lock.release()


_LONGEST_WAIT = 0.1  # seconds after which a thread looks again


class Job:
    """A call that one thread makes, and whose result any thread may wait for."""

    __slots__ = ("_begun", "_call", "_ending", "_error", "_value")

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self._call: Any = (function, arguments)
        self._value: Any = None
        self._error: BaseException | None = None
        self._begun = _thread.allocate_lock()
        self._ending = _Ending()

    def run(self) -> None:
        """Make the call, unless another thread has begun it."""
        if not self._begun.acquire(blocking=False):
            return
        try:
            function, arguments = self._call
            self._call = None  # a finished job must not keep the one before it alive
            self._value = function(*arguments)
        except BaseException as error:
            self._error = error
        finally:
            self._ending.end()

    def result(self) -> Any:
        """The value of the call, which is made here if no thread has begun it.

        Raises the error of the call, in whichever thread it was.
        """
        self.run()
        self._ending.wait()
        if self._error is not None:
            raise self._error
        return self._value


class _Worker:
    """A thread that may never run, as when the interpreter is ending."""

    __slots__ = ("begun", "ending")

    def __init__(self) -> None:
        self.begun = False
        self.ending = _Ending()

    def work(self, jobs: queue.SimpleQueue[Job | None], owner: Any) -> None:
        """Do jobs until one is None, or until the owner is gone."""
        self.begun = True
        try:
            while True:
                try:
                    job = jobs.get(timeout=_LONGEST_WAIT)
                except queue.Empty:
                    if owner() is None:  # an interrupt came before it could add a None
                        return
                    continue
                if job is None:
                    return
                job.run()
                del job  # and with it the memory that it has read into
        finally:
            self.ending.end()


class Threads:
    """A pool of up to `count` threads, as a context; no job runs after its end.

    A pool of `concurrent.futures` takes no work once the main thread has ended, and
    `threading.Thread.start` waits for a thread that may never start. This pool never
    waits for a thread to start: a job that no thread has begun is done by the thread
    that needs its result. So a save or load works in an `atexit` handler, in a thread
    that outlives the main one, in a `__del__` that runs then, and where a limit of
    processes or memory forbids another thread.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._workers: list[_Worker] = []
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()

    def begin(self, function: Callable[..., Any], *arguments: Any) -> Job:
        """Give a call to a thread, and start a thread if there may be one more.

        Without any thread, the first call of `result` makes it.
        """
        job = Job(function, arguments)
        if len(self._workers) < self._count:
            self._start()
        if self._workers:
            self._jobs.put(job)
        return job

    def _start(self) -> None:
        if sys.is_finalizing():  # a new thread would wait for ever
            self._count = 0
            return
        worker = _Worker()
        # Listed first: an interrupt in between would leave a thread that waits.
        self._workers.append(worker)
        try:
            _thread.start_new_thread(worker.work, (self._jobs, weakref.ref(self)))
        except Exception:  # a limit of processes or memory, or the interpreter ends
            self._workers.remove(worker)
            self._count = len(self._workers)

    def __enter__(self) -> Threads:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._end()
        finally:  # an interrupt may have cut the inner one short
            self._end()

    def _end(self) -> None:
        """Drop jobs that no thread has begun, and wait for the others."""
        try:
            while True:
                self._jobs.get_nowait()
        except queue.Empty:
            pass
        for _ in self._workers:
            self._jobs.put(None)
        for worker in self._workers:
            if worker.begun:
                worker.ending.wait()
