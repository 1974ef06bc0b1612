"""How far a save or a load is: a bar, or what a function of the user's makes of it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from ._errors import ArgumentError, MissingPackageError

# Called with the bytes that are done, and all there are.
Progress = bool | Callable[[int, int], object]

_DELAY = 0.5  # seconds before a bar appears: most saves and loads are over by then


class _Calls:
    """Adds up what is done, and tells a function."""

    def __init__(self, function: Callable[[int, int], object], total: int) -> None:
        self._function = function
        self._done, self._total = 0, total

    def __call__(self, count: int) -> None:
        self._done += count
        self._function(self._done, self._total)


def check_progress(progress: Any) -> None:
    """Refuse what is neither True, False, None nor a function; and a bar without tqdm.

    Raises
    ------
    ArgumentError, MissingPackageError
        As said.
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
    """What to call with the bytes of each step; None where nobody wants to know."""
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
        yield _Calls(progress, total)
    else:
        yield None
