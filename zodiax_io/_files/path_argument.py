"""Checks of the path that a caller passes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import unquote

from .._errors import MAX_PATH, ArgumentError, NotAFileError, shown


def is_path(path_or_file: Any) -> TypeGuard[str | os.PathLike[str]]:
    """Whether an argument is a path; a path that cannot be a file's is an error.

    Raises
    ------
    ArgumentError, NotAFileError
        If it is bytes, a URL, a path that only a shell expands, or the name of a
        folder.
    """
    if isinstance(path_or_file, bytes):
        raise ArgumentError("A path must be text, not bytes.")
    if not isinstance(path_or_file, (str, os.PathLike)):
        return False
    try:
        text = os.fspath(path_or_file)
    except TypeError as error:  # from a class of the user
        raise ArgumentError(f"The path object gives no path: {error}.") from None
    if not isinstance(text, str):
        raise ArgumentError("A path must be text, not bytes.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise ArgumentError(f"{shown(repr(text))} is not the path of a file.") from None
    if "\0" in text or Path(text).name in ("", ".."):
        raise ArgumentError(f"{shown(repr(text))} is not the path of a file.")
    _check_form(text)
    return True


# At least two letters, unlike a drive. `Path` makes one slash of two.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+:)(?=/|:\w[^/]*:/)")
_VARIABLE = re.compile(r"\$\w+|\$\{\w+\}|%\w+%")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\\w")


def _check_form(text: str) -> None:
    """Refuse text that would otherwise create folders with odd names."""
    # Most paths contain none of these.
    if not any(mark in text for mark in ":~$%\\") and text[-1] not in "/.":
        return
    path = shown(text, MAX_PATH)
    scheme = _SCHEME.match(text)
    if scheme is not None and not os.path.isdir(scheme[1]):
        raise ArgumentError(_about_url(path, scheme[1].lower()))
    first, *rest = Path(text).parts
    if first[0] == "~" and (rest or first == "~") and not os.path.lexists(first):
        raise ArgumentError(
            f"Cannot use {path}: `~` is not expanded, and there is no folder with that "
            f'name. Pass `os.path.expanduser("{path}")`.'
        )
    if os.sep == "/" and _DRIVE.match(text) and not os.path.lexists(first):
        raise ArgumentError(
            f"Cannot use {path}: it is a path of Windows, and this system separates "
            "folders by `/`."
        )
    folder = os.path.dirname(text)
    if _VARIABLE.search(folder) and not os.path.isdir(folder):
        raise ArgumentError(
            f"Cannot use {path}: variables are not expanded, and there is no such "
            f'folder. Pass `os.path.expandvars("{path}")`.'
        )
    if re.split(r"[/\\]" if os.sep == "\\" else "/", text)[-1] in ("", "."):
        raise NotAFileError(
            f"{path} ends like the name of a folder. Name a file in it, such as "
            f"{shown(Path(text) / 'model.zdx', MAX_PATH)}."
        )


def _about_url(path: str, scheme: str) -> str:
    about = f"{path} is a URL, not a path."
    if scheme == "file:":
        local = unquote(re.sub(r"^file:/*(?=/)", "", path, flags=re.IGNORECASE))
        return f'{about} Pass the path of the file: "{local}".'
    # `Path` has made one slash of two.
    url = re.sub(r"(?<=:)/(?!/)", "//", path, count=1)
    return (
        f"{about} Open it, by fsspec for example, and pass the file object:\n"
        f'  with fsspec.open("{url}", "wb") as file:\n'
        "      zodiax_io.serialise(file, tree)\n"
        'To load, open it with "rb" and call `zodiax_io.deserialise(file)`.'
    )
