"""All exceptions and warnings, each also a subclass of the builtin that fits."""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Generator, KeysView, Sequence
from contextlib import contextmanager
from numbers import Real
from typing import Any

MAX_NAME = 120
MAX_PATH = 4096


def shown(text: object, longest: int = MAX_NAME) -> str:
    """Text from a file or a user, made safe to print: escaped, and shortened."""
    plain = str(text)
    if type(plain) is str and len(plain) <= longest and plain.isprintable():
        return plain
    escaped = "".join(
        character if character.isprintable() else ascii(character)[1:-1]
        for character in plain[: 4 * longest]
    )
    return escaped if len(escaped) <= longest else escaped[: longest - 1] + "…"


def shown_lines(text: object, longest: int = 10_000) -> str:
    """Text of several lines, each made safe to print and at most `longest` long."""
    return "\n".join(shown(line, longest) for line in str(text).split("\n"))


class ZodiaxIOError(Exception):
    """The base of all errors that zodiax_io raises on purpose."""


class SerialisationError(ZodiaxIOError, TypeError):
    """An object in the tree cannot be saved; nothing has been written.

    Attributes
    ----------
    path : str
        Where in the tree the object sits, such as ``model.psf.spline``.
    """

    def __init__(self, message: str, path: str = "model") -> None:
        super().__init__(message)
        self.path = path


class ArgumentError(ZodiaxIOError, ValueError):
    """An argument of a call has a value that is not allowed."""


class SaveError(ZodiaxIOError, OSError):
    """The operating system refused to write; a previous checkpoint is intact."""


class MissingFileError(ZodiaxIOError, FileNotFoundError):
    """The file, its companion or its folder does not exist."""


class NotAFileError(ZodiaxIOError, IsADirectoryError):
    """The path leads to a folder, a device or a pipe instead of a file."""


class ReadError(ZodiaxIOError, OSError):
    """The operating system refused to read."""


class ResourceError(ZodiaxIOError, MemoryError):
    """There was not enough memory; file and tree may be intact."""


class RecursionLimitError(ResourceError, RecursionError):
    """Python's recursion limit was reached; file and tree may be intact."""


class UnknownFormatError(ZodiaxIOError, ValueError):
    """The file was not written by zodiax_io, or has a format that is too new."""


class NewerFormatError(UnknownFormatError):
    """The file is whole, and has a newer format than this release reads."""


class CorruptFileError(ZodiaxIOError, ValueError):
    """The file is damaged or incomplete."""


class UntrustedError(ZodiaxIOError, ValueError):
    """A file refers to classes or functions that are not trusted.

    Attributes
    ----------
    refusals : tuple of Verdict
        Every refused name, with its path in the tree, the reason and the next step.
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
    """The fields of a class differ from those in the file.

    Attributes
    ----------
    changes : tuple of FieldChange
        With ``strict=True``, all changes: each object, the fields it gained and lost.
    """

    def __init__(self, message: str, changes: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.changes = tuple(changes)


class SettingsError(ZodiaxIOError, RuntimeError):
    """A setting of JAX would change what is loaded, or forbids to load or save it."""


class VersionMismatchError(ZodiaxIOError, RuntimeError):
    """The installed packages differ from those of the file (``versions="error"``).

    Attributes
    ----------
    differences : tuple of Difference
        One for each package, the worst first.
    """

    def __init__(self, message: str, differences: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class MissingPackageError(ZodiaxIOError, ImportError):
    """A feature needs a package that is not installed."""


class PlaceholderError(ZodiaxIOError, NotImplementedError):
    """A function that could not be saved was called after loading."""


# Errors of a disk that can no longer read its data. Any other error of a system
# (rights, a limit of open files, a server that is away) may be temporary.
_UNREADABLE = {
    getattr(errno, name)
    for name in ("EIO", "EILSEQ", "EBADMSG", "EUCLEAN", "EREMOTEIO")
    if hasattr(errno, name)
}


def is_damage(error: BaseException) -> bool:
    """Whether an error is caused by the bytes of a file, on whichever machine."""
    if isinstance(error, ReadError):
        return error.errno in _UNREADABLE
    return isinstance(error, (CorruptFileError, UnknownFormatError)) and not isinstance(
        error, NewerFormatError
    )


# Errors about this process. A handler that concludes from any other error that a file,
# a tree or a class is at fault lets these pass.
LIMITS = (MemoryError, RecursionError)


def process_error(error: BaseException, doing: str) -> ZodiaxIOError | None:
    """The `ZodiaxIOError` for an error about this process; None for any other error.

    Code that turns errors into errors about a file or an object calls this first: a
    lack of memory says nothing about either.
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
    """Turn a lack of memory into an error that says what it was needed for."""
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
    """The installed packages differ from those that wrote the file."""


class MixedPairWarning(ZodiaxIOWarning):
    """The structure file and its companion come from different saves."""


class DamagedWarning(ZodiaxIOWarning):
    """Parts of a damaged file were left out (``damaged="skip"``)."""


class ClassChangedWarning(ZodiaxIOWarning):
    """Fields of the file were dropped, or new fields have their defaults.

    Attributes
    ----------
    changes : tuple of FieldChange
        All changes: each object, the fields it gained and lost.
    """

    def __init__(self, message: str, changes: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.changes = tuple(changes)


class OldFileWarning(ZodiaxIOWarning):
    """A file of zodiax 0.4 or before did not keep all of what was saved."""


class PartialLoadWarning(ZodiaxIOWarning):
    """Parts of the file are not in ``like``, or parts of ``like`` not in the file.

    Attributes
    ----------
    differences : tuple of str
        All differences, which the message may shorten.
    """

    def __init__(self, message: str, differences: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.differences = tuple(differences)


class PlaceholderWarning(ZodiaxIOWarning):
    """A function could not be saved; its source text was saved instead."""


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
    """Refuse arguments that are not numbers, or below the least one."""
    for name, value in numbers.items():
        try:
            # An array of NumPy or JAX may be a number.
            is_number = isinstance(value, Real) or value.shape == ()
            number: Any = value
            fits = is_number and bool(number >= least)
        except LIMITS:
            raise
        except Exception:  # raised by the class of the value
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
    # `skip_file_prefixes` does the same, from Python 3.12 on.
    frame, level = sys._getframe(1), 2
    prefixes = tuple(skipped_files)
    while frame is not None and frame.f_code.co_filename.startswith(prefixes):
        frame, level = frame.f_back, level + 1
    warnings.warn(warning, stacklevel=level)


# The files whose frames are not the caller's, by the beginnings of their names: those
# of this package, and that of the context managers between its frames.
skipped_files = [
    os.path.join(os.path.dirname(__file__), ""),
    contextmanager.__code__.co_filename,
]
