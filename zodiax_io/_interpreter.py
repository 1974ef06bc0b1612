"""Settings of the interpreter that a call changes, and sets back when it ends.

An interrupt may come between any two instructions, also within a `finally`. So each of
these steps can be repeated, and a second `finally` repeats it.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class _RecursionLimit:
    """The recursion limit, shared by all callers that recurse deeply.

    Callers take turns by a list, since an interrupt may leave a lock taken: a list
    shows whose turn it is, and to remove an entry twice does no harm.
    """

    def __init__(self) -> None:
        self._original = self._raised = 0
        self.callers: list[object] = []
        self.turns: list[object] = []

    def enter(self, caller: object, frames: int) -> None:
        """Raise the limit for a caller."""
        self._in_turn(self._enter, caller, frames)

    def leave(self, caller: object) -> None:
        """Set the limit back, unless another caller needs it."""
        self._in_turn(self._leave, caller)

    def _enter(self, caller: object, frames: int) -> None:
        if not self.callers:
            self._original = sys.getrecursionlimit()
            self._raised = self._original + frames
        self.callers.append(caller)
        self._raised = max(self._raised, self._original + frames)
        sys.setrecursionlimit(self._raised)

    def _leave(self, caller: object) -> None:
        if caller not in self.callers:
            return
        # A limit that the user's code has set in the meantime stays.
        last = len(self.callers) == 1
        if last and sys.getrecursionlimit() == self._raised:
            sys.setrecursionlimit(self._original)
        self.callers.remove(caller)

    def _in_turn(self, step: Callable[..., None], *arguments: Any) -> None:
        turn = object()
        try:
            try:
                self.turns.append(turn)
                while self.turns[0] is not turn:
                    time.sleep(0)
                step(*arguments)
            finally:
                self._end(turn)
        finally:
            self._end(turn)

    def _end(self, turn: object) -> None:
        # No suppressed error: its traceback would keep the frames alive if an interrupt
        # came at that moment.
        if turn in self.turns:
            self.turns.remove(turn)

    def forget_turns(self) -> None:
        """Start again in a forked child, which has none of the other threads."""
        self.turns.clear()


recursion_limit = _RecursionLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=recursion_limit.forget_turns)


def call_deeply(
    frames: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
) -> R:
    """Call a function with room for `frames` more frames of Python.

    Frames of Python take no C stack from Python 3.11 on: the recursion limit guards
    only against endless recursion, and our recursions have limits of their own.
    """
    caller = object()
    try:
        try:
            recursion_limit.enter(caller, frames)
            return function(*args, **kwargs)
        finally:
            recursion_limit.leave(caller)
    finally:  # an interrupt may have cut the inner one short
        recursion_limit.leave(caller)


def without_collection(function: Callable[P, R]) -> Callable[P, R]:
    """Call a function without garbage collection: nearly all that it makes stays."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        collecting = gc.isenabled()
        try:
            try:
                gc.disable()
                return function(*args, **kwargs)
            finally:
                if collecting:
                    gc.enable()
        finally:  # an interrupt may have cut the inner one short
            if collecting:
                gc.enable()

    return call
