"""The packages and settings that wrote a file, and how those here differ."""

from __future__ import annotations

import enum
import functools
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import stat
import sys
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jax
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from .._errors import ArgumentError, shown
from .._trust import libraries
from .._trust.names import MAX_LENGTH, is_standard, top_level_package

# Always recorded: every file depends on them.
_ALWAYS = ("zodiax_io", "jax", "jaxlib", "equinox", "numpy")

# The settings of JAX that change the meaning of a saved state. Settings that only raise
# errors, print, or trade speed for rounding in the compiler are left out.
_SETTINGS = (
    "jax_enable_x64",  # the dtype of all results
    "jax_default_prng_impl",  # the generator of raw keys, and of `jax.random.key`
    "jax_threefry_partitionable",  # the numbers that a threefry key gives
    "jax_random_seed_offset",  # the key that an integer seed gives
    "jax_high_dynamic_range_gumbel",  # what `gumbel` and `categorical` draw
    "jax_default_matmul_precision",  # the digits of matrix products
    "jax_allow_f16_reductions",  # the digits of sums in half precision
    "jax_explicit_x64_dtypes",  # the dtype of arrays requested with 64 bits
    "jax_numpy_dtype_promotion",  # which dtypes a model may mix
)

MAIN = "__main__"


@dataclass(frozen=True)
class Difference:
    """A package or setting that differs from that of a file.

    Attributes
    ----------
    package : str
        The distribution, ``python``, or the name of a setting of JAX.
    file : str
        Its version, or value, when the file was written.
    here : str or None
        Its version, or value, here; None when it is not installed, or JAX has no such
        setting.
    kind : {"missing", "setting", "older", "newer", "other"}
        How it differs here; "other" for versions without an order.
    """

    package: str
    file: str
    here: str | None
    kind: str

    def __str__(self) -> str:
        """One line, as warnings list it."""
        name, file = shown(self.package, 100), shown(self.file)
        if self.here is None:
            absent = "no such setting" if self.kind == "setting" else "not installed"
            return f"{name}: {file} in the file, {absent} here"
        return f"{name}: {file} in the file, {shown(self.here)} here ({self.kind})"


def versions_of(
    names: Iterable[str], kept: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """Versions of Python, of the dependencies, and of the packages of names.

    `kept` holds versions by package, for objects that another file wrote.
    """
    versions = {"python": platform.python_version()}
    packages = {top_level_package(name.partition(":")[0]) for name in names}
    for package in (*_ALWAYS, *sorted((packages | kept.keys()) - {MAIN})):
        if package in kept and package not in packages and package not in _ALWAYS:
            distribution, version = kept[package]
            versions.setdefault(distribution, version)
            continue
        distribution = _distribution(package)
        if distribution is not None and distribution not in versions:
            version = _version(distribution)
            if version is not None:
                versions[distribution] = version
    return versions


def settings() -> dict[str, Any]:
    """The settings of JAX that change the meaning of a saved state, as plain data."""
    # Another release of JAX may lack some.
    return {
        name: _plain(getattr(jax.config, name))
        for name in _SETTINGS
        if hasattr(jax.config, name)
    }


def _plain(value: Any) -> bool | int | str | None:
    if value is None or type(value) in (
        bool,
        str,
    ):  # almost all
        return value
    if isinstance(value, enum.Enum):
        value = value.name.lower()  # as `jax.config.update` takes it
    return value if isinstance(value, (bool, int)) or value is None else str(value)


def settings_of(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of JAX among those that a file records."""
    found = {name: recorded[name] for name in _SETTINGS if name in recorded}
    return {
        name: value
        for name, value in found.items()
        if value is None or type(value) in (bool, str) or _is_short(value)
    }


def _is_short(value: Any) -> bool:
    # Python refuses to print an integer of many digits.
    return type(value) is int and -(2**63) <= value < 2**64


def script() -> dict[str, str]:
    """The name of the running script when it is imported; nothing in a notebook."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    try:
        if spec is not None:  # `python -m package.module`
            name = spec.name.removesuffix(".__main__")
        else:
            name = pathlib.Path(getattr(main, "__file__", None) or "").stem
    except (AttributeError, TypeError):  # the user has replaced `__main__`
        return {}
    return {"script": name} if _is_module_name(name) else {}


def _is_module_name(name: object) -> bool:
    return (
        type(name) is str
        and len(name) < MAX_LENGTH
        and all(part.isidentifier() for part in name.split("."))
        and not name.startswith("__")
    )


def script_of(settings: dict[str, Any]) -> str | None:
    """The name of the script that wrote a file, if the file records one."""
    name = settings.get("script")
    return name if _is_module_name(name) else None


def script_setting(settings: dict[str, Any]) -> dict[str, str]:
    """The setting for the script of a file alone, if it has one."""
    name = script_of(settings)
    return {} if name is None else {"script": name}


# Installed packages -------------------------------------------------------------------

# Each file may contain names that no other file has, so the number is limited.
_cached = functools.lru_cache(maxsize=4096)


@_cached
def _distribution(package: str) -> str | None:
    """The distribution that installs a package; None for the user's own scripts."""
    if is_standard(package) or package == "__main__":
        return None
    if _installed(package) is not None:
        return _name(_installed(package)) or package
    if package == "zodiax_io":
        return package
    file = _file_of(package)
    if file is not None and not libraries.is_library_file(str(file)):
        return _checkout_with(file)
    return _tables().packages.get(package)  # such as `PIL`, of Pillow


def _installed(distribution: str) -> importlib.metadata.Distribution | None:
    """The distribution with a name, if it is installed in a library folder."""
    try:
        found = importlib.metadata.distributions(
            name=distribution, path=libraries.search_path()
        )
        return next(iter(found), None)
    except (ValueError, OSError):  # not the name of a distribution
        return None


@dataclass(frozen=True)
class _Tables:
    """Facts that take a search of all installed distributions."""

    packages: dict[str, str]  # the distribution of each importable package
    checkouts: tuple[tuple[pathlib.Path, str], ...]  # folders of editable installs


def _tables() -> _Tables:
    """The tables of installed distributions, made again when a library has changed."""
    folders = libraries.search_path()
    return _tables_of(tuple((folder, _changed_at(folder)) for folder in folders))


def _changed_at(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=1)
def _tables_of(folders: tuple[tuple[str, int], ...]) -> _Tables:
    packages: dict[str, str] = {}
    checkouts: list[tuple[pathlib.Path, str]] = []
    for found in importlib.metadata.distributions(path=[path for path, _ in folders]):
        name = _name(found)
        if name is None:
            continue
        for package in _top_level(found):
            packages.setdefault(package, name)
        folder = _checkout(found)
        if folder is not None:
            checkouts.append((folder.resolve(), name))
    return _Tables(packages, tuple(checkouts))


def _top_level(distribution: importlib.metadata.Distribution) -> Iterator[str]:
    """The packages and modules that a distribution has installed."""
    declared = _text(distribution, "top_level.txt")
    if declared is not None:
        yield from declared.split()
        return
    for line in (_text(distribution, "RECORD") or "").splitlines():
        first, _, rest = line.partition(",")[0].strip('"').partition("/")
        name = first if rest else first.partition(".")[0]
        if name.isidentifier() and (rest or first.endswith((".py", ".so", ".pyd"))):
            yield name


def _file_of(package: str) -> pathlib.Path | None:
    """The file or folder of a package that has been imported."""
    module = sys.modules.get(package)
    try:
        spec: Any = module.__dict__["__spec__"]
        paths = [spec.origin] if spec.has_location else spec.submodule_search_locations
        return pathlib.Path(next(iter(paths))).resolve()
    # An object in place of a module may have any attributes.
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration, OSError):
        return None


def _checkout_with(file: pathlib.Path) -> str | None:
    """The editable distribution whose folder contains a file, if any."""
    for folder, name in _tables().checkouts:
        if file.is_relative_to(folder):
            return name
    return None


_UNKNOWN = "unknown"


@_cached
def _version(distribution: str) -> str | None:
    """The installed version, with the commit of a checkout."""
    found = _installed(distribution)
    if found is None:
        if distribution == "zodiax_io":  # run from a checkout, without installation
            return sys.modules["zodiax_io"].__version__
        return None
    version = _header(found, "Version") or _UNKNOWN
    commit = _commit(found)
    return version if commit is None else f"{version} (commit {commit})"


def _name(distribution: importlib.metadata.Distribution | None) -> str | None:
    return None if distribution is None else _header(distribution, "Name")


def _header(distribution: importlib.metadata.Distribution, field: str) -> str | None:
    """A field of the metadata of a distribution; None if it cannot be read."""
    text = _text(distribution, "METADATA") or _text(distribution, "PKG-INFO") or ""
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if not line.strip():
            break
        if colon and name.strip().lower() == field.lower():
            return value.strip() or None
    return None


def _text(distribution: importlib.metadata.Distribution, name: str) -> str | None:
    """A file of the metadata of a distribution; None if it cannot be read."""
    folder = getattr(distribution, "_path", None)
    try:
        if not isinstance(folder, pathlib.Path):  # in an archive
            return distribution.read_text(name)
        # The metadata of old packages is one file, not a folder.
        path = folder if folder.is_file() and name == "PKG-INFO" else folder / name
        return _read(path)
    except (ValueError, OSError, KeyError):
        return None


_MAX_SIZE = 1 << 24  # bytes; lists of files and descriptions may be long


def _read(path: pathlib.Path) -> str:
    """The text of a regular file.

    Raises
    ------
    OSError, ValueError
        If it is not a regular file of moderate size, or not text.
    """
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    if not stat.S_ISREG(os.stat(path).st_mode):  # opening a device has effects
        raise OSError(f"{path} is not a regular file")
    descriptor = os.open(path, flags)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_SIZE:
            raise OSError(f"{path} is not a regular file of moderate size")
        return file.read(_MAX_SIZE).decode("utf8")


def _commit(distribution: importlib.metadata.Distribution) -> str | None:
    """The git commit of a distribution that is installed from a checkout."""
    try:
        vcs = _origin(distribution).get("vcs_info")
        if vcs is not None:
            return _hexadecimal(vcs["commit_id"])
        folder = _checkout(distribution)
        return None if folder is None else _head(folder / ".git")
    except (ValueError, KeyError, TypeError, OSError, AttributeError):
        return None


def _hexadecimal(commit: str) -> str | None:
    """The beginning of a commit hash; None for any other text."""
    return commit[:12] if re.fullmatch(r"[0-9a-f]{7,64}", commit) else None


def _origin(distribution: importlib.metadata.Distribution) -> Any:
    """The origin of an installation, as JSON; a dict, if it is valid."""
    return json.loads(_text(distribution, "direct_url.json") or "{}")


def _checkout(distribution: importlib.metadata.Distribution) -> pathlib.Path | None:
    """The folder of a distribution with an editable installation."""
    try:
        origin = _origin(distribution)
        url = urllib.parse.urlparse(origin.get("url", ""))
        if url.scheme != "file" or not origin.get("dir_info", {}).get("editable"):
            return None
        # As `urllib.request.url2pathname`, which would import all of HTTP.
        path = urllib.parse.unquote(url.path)
        return pathlib.Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)
    except (ValueError, TypeError, AttributeError, OSError, RecursionError):
        return None


_REFERENCE = re.compile(r"refs(/(?!\.)[A-Za-z0-9._-]+)+", re.ASCII)


def _head(git: pathlib.Path) -> str | None:
    """The commit that is checked out; only files in the `.git` folder are read.

    Raises
    ------
    OSError, ValueError
        If the folder was not written by git.
    """
    head = _within(git, "HEAD").strip()
    if not head.startswith("ref: "):
        return _hexadecimal(head)
    reference = head[5:].strip()
    if _REFERENCE.fullmatch(reference) is None:
        return None
    if (git / reference).is_file():
        return _hexadecimal(_within(git, reference).strip())
    for line in _within(git, "packed-refs").splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return _hexadecimal(commit)
    return None


def _within(folder: pathlib.Path, name: str) -> str:
    """The text of a file in a folder; links that leave the folder are refused."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise OSError(f"{name} leads out of {folder}")
    return _read(path)


def has_version(package: str) -> bool:
    """Whether files record the version of an installed package."""
    distribution = _distribution(package)
    return distribution is not None and _version(distribution) is not None


def recorded_version(
    versions: Mapping[str, str], package: str
) -> tuple[str, str] | None:
    """The distribution and version of a package in a file, if it records them."""
    known = _by_name(tuple(versions.items()))
    found = known.get(canonicalize_name(package))
    if found is None:
        distribution = _distribution(package)
        found = distribution and known.get(canonicalize_name(distribution))
    return found or None


@functools.lru_cache(maxsize=8)
def _by_name(versions: tuple[tuple[str, str], ...]) -> dict[str, tuple[str, str]]:
    """The versions of a file, by the canonical name of each distribution."""
    return {canonicalize_name(item[0]): item for item in reversed(versions)}


# Comparing ----------------------------------------------------------------------------


def check_version(version: object) -> None:
    """Refuse text that does not begin with a digit, as versions do.

    Raises
    ------
    ArgumentError
        If it is no such text.
    """
    if type(version) is not str or not re.match(r"\d", version):
        raise ArgumentError(f'A version is text such as "1.2", not {version!r:.80}.')


def is_before(version: str, other: str) -> bool:
    """Whether a version is older than another one, in the order of PEP 440."""
    return _order(version, other) < 0


_RANK = {"missing": 0, "setting": 1, "older": 2, "other": 3, "newer": 4}


def compare(
    recorded: Mapping[str, str], file_settings: Mapping[str, Any] | None = None
) -> list[Difference]:
    """How the packages and settings here differ from a file's, the worst first."""
    differences: list[Difference] = []
    for package, file in recorded.items():
        here = platform.python_version() if package == "python" else _version(package)
        if here != file:
            differences.append(Difference(package, file, here, _kind(file, here)))
    differences += _settings_between(settings_of(file_settings or {}), settings())
    return sorted(differences, key=lambda d: (_RANK[d.kind], d.package))


def changes_between(
    first: Mapping[str, str],
    second: Mapping[str, str],
    first_settings: Mapping[str, Any],
    second_settings: Mapping[str, Any],
) -> list[Difference]:
    """How the packages and settings of two files differ, if both record them."""
    if not first or not second:
        return []
    theirs = settings_of(second_settings)
    ours = {n: v for n, v in settings_of(first_settings).items() if n in theirs}
    return [
        Difference(
            package, version, second.get(package), _kind(version, second.get(package))
        )
        for package, version in first.items()
        if second.get(package) != version
    ] + _settings_between(ours, theirs)


def _settings_between(
    file: Mapping[str, Any], here: Mapping[str, Any]
) -> list[Difference]:
    """The settings of a file that differ here."""
    return [
        Difference(
            name, str(value), str(here[name]) if name in here else None, "setting"
        )
        for name, value in file.items()
        if name not in here
        or here[name] != value
        or type(here[name]) is not type(value)
    ]


def _kind(file: str, here: str | None) -> str:
    if here is None:
        return "missing"
    if not _leading(here):
        return "other"
    order = _order(here, file)
    return "other" if order == 0 else "older" if order < 0 else "newer"


def _order(version: str, other: str) -> int:
    """Below 0 if a version is before another, 0 if neither is before the other."""
    ours, theirs = _parsed(version), _parsed(other)
    if ours is None or theirs is None:
        # Not a version of PEP 440: the numbers that it begins with are compared.
        first, second = _leading(version), _leading(other)
        return (first > second) - (first < second)
    return (ours > theirs) - (ours < theirs)


_MAX_VERSION = 100  # characters: very long integers would take their time


@functools.lru_cache(maxsize=1024)
def _parsed(version: str) -> Version | None:
    """A version of PEP 440, without its local part, which differs between builds."""
    text = version.partition(" (commit ")[0]
    if len(text) > _MAX_VERSION:
        return None
    try:
        return Version(Version(text).public)
    except InvalidVersion:
        return None


def _leading(version: str) -> tuple[int, ...]:
    """The numbers at the beginning of a text, up to the length of a release."""
    match = re.match(r"[0-9]{1,9}(\.[0-9]{1,9}){0,9}", version)
    numbers = [int(n) for n in match[0].split(".")] if match else []
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
