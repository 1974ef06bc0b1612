"""Library folders, and imports that never search the working folder.

At a prompt, in a notebook and with `python -c`, Python searches the working folder
first. A module next to a stranger's file would be found before an installed one. While
a file is loaded, neither this package nor a library that it calls may import from
there, however late the import. A finder, `_Guard`, prevents it. It has no state: it
reads from the call stack for which code a module is imported. So threads do not
disturb each other, and an interrupt leaves nothing to restore.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import os
import site
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType
from typing import Any

# Installers such as pip use folders of these names.
_NAMES = {"site-packages", "dist-packages"}


@functools.cache
def _folders() -> tuple[str, ...]:
    """The folders of this interpreter: its standard library and site-packages."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    found = [
        os.path.dirname(os.__file__),
        os.path.join(sys.exec_prefix, sys.platlibdir, version, "lib-dynload"),
        os.path.join(sys.base_exec_prefix, "DLLs"),
        *site.getsitepackages(),
        site.getusersitepackages(),
    ]
    return tuple(os.path.realpath(folder) + os.sep for folder in found)


def is_library_folder(folder: str) -> bool:
    """Whether an entry of `sys.path` is a library folder, not one of the user's.

    A library folder belongs to this interpreter, has the name that installers use, or
    contains the list of files (`RECORD`) of an installed package, as `pip --target`,
    PEX and bundlers leave it. For the working folder and the folder of the script the
    last two prove nothing: a stranger's archive may have been unpacked there.
    """
    return _is_library(folder, _folders_of_the_user())


@functools.lru_cache(maxsize=1024)
def _is_library(folder: str, of_the_user: tuple[str, ...]) -> bool:
    if not os.path.isabs(folder):
        return False
    real = os.path.realpath(folder)
    if f"{real}{os.sep}".startswith(_folders()):
        return True
    if real in of_the_user:
        return False
    return bool(_NAMES & set(real.split(os.sep))) or _has_record(real)


def _folders_of_the_user() -> tuple[str, ...]:
    """The working folder and the folder of the script."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    found = [os.path.dirname(_real(main))] if type(main) is str else []
    with contextlib.suppress(OSError):  # the folder may have been removed
        found.append(_real(os.getcwd()))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)


def _has_record(folder: str) -> bool:
    """Whether a package was installed straight into a folder."""
    try:
        with os.scandir(folder) as entries:
            return any(
                entry.name.endswith(".dist-info")
                and os.path.isfile(os.path.join(entry.path, "RECORD"))
                for entry in entries
            )
    except OSError:
        return False


def search_path() -> list[str]:
    """The entries of `sys.path` that are library folders, in order."""
    return [p for p in list(sys.path) if type(p) is str and is_library_folder(p)]


def is_library_file(file: str) -> bool:
    """Whether a file is in a library folder."""
    real = os.path.realpath(file)
    if real.startswith(_folders()) or _NAMES & set(real.split(os.sep)):
        return True
    above = {os.path.realpath(folder) + os.sep for folder in search_path()}
    return real.startswith(tuple(above.difference(_folders())))


def find_in_libraries(package: str) -> ModuleSpec | None:
    """The spec of a top-level module in a library, or None; nothing is imported.

    Finders of other packages, such as those of editable installs, are used as well.
    Their result counts if it is outside of the user's folders.
    """
    for finder in list(sys.meta_path):
        find_spec: Any = getattr(finder, "find_spec", None)
        if type(finder) is _Guard or find_spec is None:
            continue
        if finder is importlib.machinery.PathFinder:
            found = find_spec(package, search_path())
            if found is not None and found.submodule_search_locations is not None:
                # The list that Python makes for a namespace package would search the
                # working folder again whenever `sys.path` changes.
                found.submodule_search_locations = [*found.submodule_search_locations]
        else:
            found = find_spec(package, None)
            counts = type(finder) is type or found is None or _is_apart(found)
            found = found if counts else None
        if found is not None:
            return found
    return None


def _is_apart(spec: ModuleSpec) -> bool:
    """Whether a module is outside of the user's folders."""
    if spec.origin is None or not os.path.isabs(spec.origin):
        return False
    if is_library_file(spec.origin):
        return True
    above = tuple(folder + os.sep for folder in _folders_of_the_user())
    return not os.path.realpath(spec.origin).startswith(above)


def find_anywhere(package: str) -> ModuleSpec | None:
    """The spec that the user's own code would find; nothing is imported."""
    for finder in list(sys.meta_path):
        find_spec: Any = getattr(finder, "find_spec", None)
        found = None if find_spec is None else find_spec(package, None)
        if found is not None:
            return found
    return None


def import_library(module: str) -> ModuleType:
    """Import a module from library folders, or use the one that is imported already.

    Raises
    ------
    ImportError
        If no library has it, or it cannot be imported.
    """
    return importlib.import_module(module)  # `_Guard` recognises this function


def import_anywhere(module: str) -> ModuleType:
    """Import a module as the user's own code would, since the caller trusts it.

    Raises
    ------
    ImportError
        If it cannot be found or imported.
    """
    return importlib.import_module(module)  # `_Guard` recognises this function


# The guard ----------------------------------------------------------------------------

_FILE = sys._getframe().f_code.co_filename
_PACKAGE = os.path.dirname(os.path.dirname(_FILE)) + os.sep
_ANYWHERE = (import_anywhere.__name__, find_anywhere.__name__)


class _Guard:
    """The finder for modules that are imported while a file is loaded."""

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> ModuleSpec | None:
        """The spec of the module in a library; None leaves it to the next finder."""
        if path is not None:  # a submodule is found in the folder of its package
            return None
        importer = _importer(sys._getframe(1))
        if importer is None:
            return None
        found = find_in_libraries(name)
        if found is None and _is_only_search(sys._getframe(1)):
            return None
        # `import zodiax_io` is the user's own import: what it needs may be anywhere,
        # but libraries come first.
        if found is None and importer.f_code.co_name != "<module>":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return found

    def find_distributions(self, context: Any = None) -> Iterable[Any]:
        """Nothing, but let the finders after this one search libraries only."""
        # `importlib.metadata` passes one context to all finders in turn.
        attributes = getattr(context, "__dict__", {})
        if "path" not in attributes and _importer(sys._getframe(1)) is not None:
            attributes["path"] = search_path()
        return ()


def _is_only_search(caller: FrameType | None) -> bool:
    """Whether `importlib.util.find_spec` searches, which must not raise an error.

    It imports nothing. An import of a module that it finds elsewhere is an error later.
    """
    while caller is not None and caller.f_code.co_filename.startswith("<"):  # frozen
        if caller.f_code is _FIND_SPEC:
            return True
        caller = caller.f_back
    return False


_FIND_SPEC = importlib.util.find_spec.__code__


def _importer(frame: FrameType | None) -> FrameType | None:
    """The function of this package for which a module is imported, if any.

    The user's code may import from anywhere, even if this package has called it.
    """
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        if file == _FILE:
            if name in _ANYWHERE:
                return None
            if name == import_library.__name__:
                return frame
        elif file.startswith(_PACKAGE):
            return frame
        elif not _is_of_library(file, frame.f_globals):
            return None
        frame = frame.f_back
    return None


def _is_of_library(file: str, space: dict[str, Any]) -> bool:
    """Whether code belongs to a library, by its file or else that of its module."""
    if file.startswith("<"):  # frozen, or compiled from text
        if space.get("__name__") == "__main__":
            return False
        found = space.get("__file__")
        if type(found) is not str or found.startswith(_PACKAGE):
            return True  # such as a run-time type check around a function of zodiax_io
        return _is_code_of_library(found)
    return _is_code_of_library(file)


# One answer for each file, however often its code imports something.
_is_code_of_library = functools.lru_cache(maxsize=4096)(is_library_file)


def _put_guard() -> None:
    if not any(type(finder) is _Guard for finder in sys.meta_path):
        sys.meta_path.insert(0, _Guard())


_put_guard()
