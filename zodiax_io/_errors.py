"""Every exception and warning: one family, each also the builtin one would catch."""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Generator, KeysView, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

MAX_NAME = 120


MAX_PATH = 4096


def shown(text: object, longest: int = MAX_NAME) -> str:
    """Text from a file or a user, made safe to print: escaped, and cut when long."""
    if type(text) is str and len(text) <= longest and text.isprintable():
        return text
    escaped = "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in str(text)[: 4 * longest]
    )
    return escaped if len(escaped) <= longest else escaped[: longest - 1] + "…"


def shown_lines(text: object, longest: int = 10_000) -> str:
    """Text of several lines, each made safe to print; `longest` is of a line."""
    return "\n".join(shown(line, longest) for line in str(text).split("\n"))


class ZodiaxIOError(Exception):
    """The base of every error that zodiax_io raises on purpose."""


class SerialisationError(ZodiaxIOError, TypeError):
    """An object in the tree cannot be kept; nothing has been written.

    Attributes
    ----------
    path : str
        Where in the tree the object sits, such as ``model.psf.spline``.
    """

    def __init__(self, message: str, path: str = "model") -> None:
        super().__init__(message)
        self.path = path


class ArgumentError(ZodiaxIOError, ValueError):
    """An argument of a call is not one of the values it may have."""


class SaveError(ZodiaxIOError, OSError):
    """The operating system refused to write; a previous checkpoint is intact."""


class MissingFileError(ZodiaxIOError, FileNotFoundError):
    """The file, its companion or its folder does not exist."""


class NotAFileError(ZodiaxIOError, IsADirectoryError):
    """The path leads to a folder, a device or a pipe instead of a file."""


class ReadError(ZodiaxIOError, OSError):
    """The operating system refused to read."""


class ResourceError(ZodiaxIOError, MemoryError):
    """There was not enough memory; neither the file nor the tree is at fault."""


class RecursionLimitError(ResourceError, RecursionError):
    """Python's recursion limit was reached; neither file nor tree is at fault."""


class UnknownFormatError(ZodiaxIOError, ValueError):
    """The file is not one of ours, or is of a format newer than this release."""


class NewerFormatError(UnknownFormatError):
    """The file is whole, and of a format newer than this release reads."""


class CorruptFileError(ZodiaxIOError, ValueError):
    """The file is damaged or incomplete."""


class UntrustedError(ZodiaxIOError, ValueError):
    """A file names classes or functions that it may not use as things stand.

    Attributes
    ----------
    refusals : tuple of Verdict
        Every name in the way, with its path in the tree, the reason and the next step.
    trusted : tuple of str
        What to pass as ``trusted=`` if you trust the file; empty when trust alone
        would not help.
    """

    def __init__(
        self, message: str, refusals: Sequence[Any] = (), trusted: Sequence[str] = ()
    ) -> None:
        super().__init__(message)
        self.refusals = tuple(refusals)
        self.trusted = tuple(trusted)


class ClassChangedError(ZodiaxIOError, TypeError):
    """The fields of a class are not those that the file holds.

    Attributes
    ----------
    changes : tuple of FieldChange
        With ``strict=True``, all changes: the object, what it gained and lost.
    """

    def __init__(self, message: str, changes: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.changes = tuple(changes)


class SettingsError(ZodiaxIOError, RuntimeError):
    """A setting of JAX would change what is loaded, or forbids to load or save it."""


class VersionMismatchError(ZodiaxIOError, RuntimeError):
    """The packages here are not those that wrote the file (``versions="error"``).

    Attributes
    ----------
    differences : tuple of Difference
        One for each package, the worst first.
    """

    def __init__(self, message: str, differences: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class MissingPackageError(ZodiaxIOError, ImportError):
    """Something was asked for that needs a package which is not installed."""


class PlaceholderError(ZodiaxIOError, NotImplementedError):
    """A function that could not be saved was called after loading."""


# What a disk answers that no longer reads what it holds. Whatever else a system
# refuses to read (rights, a limit of open files, a server that is away) may pass.
_UNREADABLE = {
    getattr(errno, name)
    for name in ("EIO", "EILSEQ", "EBADMSG", "EUCLEAN", "EREMOTEIO")
    if hasattr(errno, name)
}


def is_damage(error: BaseException) -> bool:
    """Whether an error is about the bytes of a file, and would come again elsewhere."""
    if isinstance(error, ReadError):
        return error.errno in _UNREADABLE
    return isinstance(error, (CorruptFileError, UnknownFormatError)) and not isinstance(
        error, NewerFormatError
    )


# Errors about this process. They say nothing about a file, a tree or a class, so that a
# handler that draws a conclusion from any error lets them pass.
LIMITS = (MemoryError, RecursionError)


def process_error(error: BaseException, doing: str) -> ZodiaxIOError | None:
    """An error that is about this process, as one of ours; None for any other.

    Every boundary that turns foreign errors into errors about a file, or about an
    object, asks this first: a lack of memory says nothing about either.
    """
    if isinstance(error, (ResourceError, SettingsError)):
        return error
    text = shown(error, 400)
    if isinstance(error, MemoryError):
        return ResourceError(f"There is not enough memory to {doing}.")
    if isinstance(error, RecursionError):
        return RecursionLimitError(
            f"Python's recursion limit does not suffice to {doing}. Call it with fewer "
            "calls around it, or raise the limit by `sys.setrecursionlimit`."
        )
    if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" in text:
        return ResourceError(f"JAX has not enough memory to {doing}: {text}")
    if isinstance(error, RuntimeError) and "Disallowed" in text and "transfer" in text:
        return SettingsError(
            f"`jax.transfer_guard` does not allow to {doing}: {text}. Do it outside of "
            'the guard, or with `jax.transfer_guard("disallow")`, which allows it.'
        )
    return None


@contextmanager
def resources_for(doing: str) -> Generator[None, None, None]:
    """Say of a lack of memory what could not be done for it."""
    try:
        yield
    except ZodiaxIOError:
        raise
    except (MemoryError, RuntimeError) as error:
        ours = process_error(error, doing)
        if ours is None:
            raise
        raise ours from error


class ZodiaxIOWarning(UserWarning):
    """The base of every warning of zodiax_io."""


class VersionMismatchWarning(ZodiaxIOWarning):
    """The packages here are not those that wrote the file."""


class MixedPairWarning(ZodiaxIOWarning):
    """The structure file and its companion stem from different saves."""


class DamagedWarning(ZodiaxIOWarning):
    """Parts of a damaged file were left out (``damaged="skip"``)."""


class ClassChangedWarning(ZodiaxIOWarning):
    """Fields of the file were set aside, or have the defaults of their class.

    Attributes
    ----------
    changes : tuple of FieldChange
        What the message lists: each object, what it gained and lost.
    """

    def __init__(self, message: str, changes: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.changes = tuple(changes)


class OldFileWarning(ZodiaxIOWarning):
    """A file of zodiax 0.4 or before did not keep all of what was saved."""


class PartialLoadWarning(ZodiaxIOWarning):
    """Not all of a file went into ``like``, or not all of ``like`` was in the file.

    Attributes
    ----------
    differences : tuple of str
        What the message lists, all of it.
    """

    def __init__(self, message: str, differences: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class PlaceholderWarning(ZodiaxIOWarning):
    """A function could not be saved; its source text was kept in its place."""


# Arguments ----------------------------------------------------------------------------


def check_flags(**flags: Any) -> None:
    """Refuse arguments that are neither True nor False."""
    for name, value in flags.items():
        if type(value) is not bool:
            raise ArgumentError(f"`{name}` is True or False, not {value!r:.80}.")


def check_text(**texts: Any) -> None:
    """Refuse arguments that are neither text nor None."""
    for name, value in texts.items():
        if value is not None and not isinstance(value, str):
            raise ArgumentError(f"`{name}` is text, not {_brief(value)}.")


def check_numbers(least: int, **numbers: Any) -> None:
    """Refuse arguments that are no numbers, or below the least one."""
    for name, value in numbers.items():
        try:
            # An array of NumPy or JAX may be one number.
            is_number = isinstance(value, Real) or value.shape == ()
            number: Any = value
            fits = is_number and bool(number >= least)
        except LIMITS:
            raise
        except Exception:  # of a class
            fits = False
        if not fits:
            raise ArgumentError(
                f"`{name}` is a number from {least} on, not {_brief(value)}."
            )


def check_callable(**functions: Any) -> None:
    """Refuse arguments that cannot be called."""
    for name, value in functions.items():
        if not callable(value):
            raise ArgumentError(f"`{name}` is a function, not {_brief(value)}.")


def list_of_text(name: str, values: Any, words: str, example: str) -> list[str]:
    """The texts in a list, tuple or set of them; anything else is refused."""
    if isinstance(values, (list, tuple, set, frozenset, KeysView)):
        listed: list[Any] = list(values)
        if all(isinstance(value, str) for value in listed):
            return listed
    if isinstance(values, str):
        raise ArgumentError(f"`{name}` is a list of {words}, such as [{values!r:.80}].")
    raise ArgumentError(
        f'`{name}` is a list of {words}, such as ["{example}"], not {_brief(values)}.'
    )


def _brief(value: object) -> str:
    """A value in a message, on one line."""
    return shown(repr(value), 80)


# Warnings -----------------------------------------------------------------------------


def warn(warning: ZodiaxIOWarning) -> None:
    """Warn at the line of the caller's code, however deep in the package we are."""
    frame, level = sys._getframe(1), 2
    # Context managers, and type checkers under test, put frames between ours.
    while frame is not None and (
        frame.f_globals.get("__name__", "").partition(".")[0] in _OURS
        or frame.f_code.co_filename.startswith("<@beartype(")
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level)


_OURS = ("zodiax_io", "contextlib")
