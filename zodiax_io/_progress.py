"""The progress of a save or a load: a bar, or calls of the user's function."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from ._errors import ArgumentError, MissingPackageError

# The function is called with the bytes done so far, and with all bytes.
Progress = bool | Callable[[int, int], object]

_DELAY = 0.5  # seconds before a bar appears: most saves and loads are over by then


class _Counter:
    """Adds up the bytes that are done, and passes the sum to a function."""

    def __init__(self, function: Callable[[int, int], object], total: int) -> None:
        self._function = function
        self._done, self._total = 0, total

    def __call__(self, count: int) -> None:
        self._done += count
        self._function(self._done, self._total)


def check_progress(progress: Any) -> None:
    """Refuse other values than True, False, None or a function; and a bar without tqdm.

    Raises
    ------
    ArgumentError, MissingPackageError
        If the value is another one; if tqdm is not installed.
    """
    if progress is True:
        _tqdm()
    elif progress is not False and progress is not None and not callable(progress):
        raise ArgumentError(
            "`progress` is True, False or a function of two numbers, the bytes that "
            f"are done and all of them; not {progress!r:.80}."
        )


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        raise MissingPackageError(
            "`progress=True` shows a bar by tqdm, which is not installed. Run `pip "
            'install "zodiax_io[progress]"`, or pass a function `f(done, total)`.',
            name="tqdm",
        ) from None
    return tqdm


@contextmanager
def progress_counter(
    progress: Any, total: int, what: str
) -> Generator[Callable[[int], object] | None, None, None]:
    """A function to call with the bytes of each step; None without progress."""
    if progress is True:
        with _tqdm()(
            total=total,
            desc=what,
            unit="B",
            unit_scale=True,
            unit_divisor=1024,
            delay=_DELAY,
        ) as bar:
            yield bar.update
    elif progress:
        yield _Counter(progress, total)
    else:
        yield None
