"""The packages and settings that a file is written with, and how others differ."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import pathlib
import platform
import re
import sys
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from . import _names
from ._errors import ArgumentError

# Always recorded: what every file depends on.
_ALWAYS = ("zodiax_io", "jax", "jaxlib", "equinox", "numpy")


@dataclass(frozen=True)
class Difference:
    """One package that is not what it was when the file was written.

    Attributes
    ----------
    package : str
        The distribution, or ``python``.
    file : str
        Its version when the file was written.
    here : str or None
        Its version here, None when it is not installed.
    kind : {"missing", "older", "newer", "other"}
        What is here, compared with the file; the worst comes first.
    """

    package: str
    file: str
    here: str | None
    kind: str

    def __str__(self) -> str:
        """One line, as warnings list it."""
        here = "not installed" if self.here is None else self.here
        note = "" if self.kind == "missing" else f" ({self.kind})"
        return f"{self.package}: {self.file} in the file, {here} here{note}"


def versions_of(
    names: Iterable[str], kept: Mapping[str, tuple[str, str]]
) -> dict[str, str]:
    """Versions of Python, of what we stand on, and of what the names belong to.

    Those that are `kept`, by package, are of what comes from another file as it is.
    """
    versions = {"python": platform.python_version()}
    packages = {_names.top(name.partition(":")[0]) for name in names}
    for package in (*_ALWAYS, *sorted(packages | kept.keys())):
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
    """The settings of JAX that change values."""
    config: Any = jax.config
    return {
        "jax_enable_x64": bool(config.jax_enable_x64),
        "jax_default_prng_impl": str(config.jax_default_prng_impl),
    }


def script() -> dict[str, str]:
    """What the running script is called when it is imported; nothing in a notebook."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    try:
        if spec is not None:  # `python -m package.module`
            name = spec.name.removesuffix(".__main__")
        else:
            name = pathlib.Path(getattr(main, "__file__", None) or "").stem
    except (AttributeError, TypeError):  # of a `__main__` that somebody has made
        return {}
    return {"script": name} if _is_module_name(name) else {}


def _is_module_name(name: object) -> bool:
    return (
        type(name) is str
        and len(name) < _names.MAX_LENGTH
        and all(part.isidentifier() for part in name.split("."))
        and not name.startswith("__")
    )


def script_of(settings: dict[str, Any]) -> str | None:
    """The same of the script that wrote a file, as the file tells it."""
    name = settings.get("script")
    return name if _is_module_name(name) else None


@functools.cache
def _distribution(package: str) -> str | None:
    """The distribution that installs a package; None for a script of one's own."""
    if _names.is_standard(package) or package == "__main__":
        return None
    try:
        return importlib.metadata.distribution(package).metadata["Name"]
    except importlib.metadata.PackageNotFoundError:
        if package == "zodiax_io":
            return package
        place = _place(package)
        if place is not None and not _LIBRARIES & set(place.parts):
            return _checkout_with(place)
        # The slow way, for packages such as `PIL` of Pillow.
        found = importlib.metadata.packages_distributions().get(package)
        return found[0] if found else None


_LIBRARIES = {"site-packages", "dist-packages"}


def _place(package: str) -> pathlib.Path | None:
    """The file or folder of a package that has been imported."""
    module = sys.modules.get(package)
    try:
        spec: Any = module.__dict__["__spec__"]
        places = [spec.origin] if spec.has_location else spec.submodule_search_locations
        return pathlib.Path(next(iter(places))).resolve()
    # What stands in for a module may hold anything.
    except (AttributeError, KeyError, TypeError, ValueError, StopIteration, OSError):
        return None


def _checkout_with(file: pathlib.Path) -> str | None:
    """The distribution that is installed from a folder which holds a file, if any."""
    for distribution in importlib.metadata.distributions():
        folder = _checkout(distribution)
        if folder is not None and file.is_relative_to(folder.resolve()):
            return distribution.metadata["Name"]
    return None


@functools.cache
def _version(distribution: str) -> str | None:
    try:
        found = importlib.metadata.distribution(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        if distribution == "zodiax_io":  # run from a checkout, without installation
            return sys.modules["zodiax_io"].__version__
        return None
    commit = _commit(found)
    return found.version if commit is None else f"{found.version} (commit {commit})"


def _commit(distribution: importlib.metadata.Distribution) -> str | None:
    """The git commit of a package that is installed from a checkout."""
    try:
        vcs = _origin(distribution).get("vcs_info")
        if vcs is not None:
            return str(vcs["commit_id"])[:12]
        folder = _checkout(distribution)
        return None if folder is None else _head(folder)
    except (ValueError, KeyError, TypeError, OSError, AttributeError):
        return None


def _origin(distribution: importlib.metadata.Distribution) -> dict[str, Any]:
    """Where a package was installed from, as installers write it down."""
    return json.loads(distribution.read_text("direct_url.json") or "{}")


def _checkout(distribution: importlib.metadata.Distribution) -> pathlib.Path | None:
    """The folder of a package that is installed to be edited."""
    try:
        origin = _origin(distribution)
        url = urllib.parse.urlparse(origin.get("url", ""))
        if url.scheme != "file" or not origin.get("dir_info", {}).get("editable"):
            return None
    except (ValueError, TypeError, AttributeError, OSError):
        return None
    from urllib.request import url2pathname  # it brings all of HTTP along

    return pathlib.Path(url2pathname(url.path))


def _head(folder: pathlib.Path) -> str | None:
    git = folder / ".git"
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head[:12]
    reference = head[5:]
    loose = git / reference
    if loose.is_file():
        return loose.read_text().strip()[:12]
    for line in (git / "packed-refs").read_text().splitlines():
        if line.endswith(" " + reference):
            return line[:12]
    return None


def has_version(package: str) -> bool:
    """Whether files know the version of a package that is here."""
    distribution = _distribution(package)
    return distribution is not None and _version(distribution) is not None


def recorded(versions: Mapping[str, str], package: str) -> tuple[str, str] | None:
    """The distribution and version of a package that wrote a file, if it says so."""
    wanted = {_normal(package), _normal(_distribution(package) or package)}
    return next((item for item in versions.items() if _normal(item[0]) in wanted), None)


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def check_version(version: object) -> None:
    """Refuse what does not begin as a version does.

    Raises
    ------
    ArgumentError
        If it does not.
    """
    if type(version) is not str or not re.match(r"\d", version):
        raise ArgumentError(f'A version is text such as "1.2", not {version!r:.80}.')


def is_before(version: str, other: str) -> bool:
    """Whether a release is older than another one."""
    return _release(version) < _release(other)


_RANK = {"missing": 0, "older": 1, "other": 2, "newer": 3}


def compare(recorded: dict[str, str]) -> list[Difference]:
    """How the packages here differ from those of a file, the worst first."""
    differences: list[Difference] = []
    for package, then in recorded.items():
        now = platform.python_version() if package == "python" else _version(package)
        if now != then:
            differences.append(Difference(package, then, now, _kind(then, now)))
    return sorted(differences, key=lambda d: (_RANK[d.kind], d.package))


def changes_between(
    first: Mapping[str, str], second: Mapping[str, str]
) -> list[Difference]:
    """How the packages of two files differ, where both tell theirs."""
    if not first or not second:
        return []
    return [
        Difference(
            package, version, second.get(package), _kind(version, second.get(package))
        )
        for package, version in first.items()
        if second.get(package) != version
    ]


def _kind(then: str, now: str | None) -> str:
    if now is None:
        return "missing"
    before, after = _release(then), _release(now)
    if before == after:
        return "other"
    return "older" if after < before else "newer"


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d{1,9}(\.\d{1,9})*", version)
    numbers = [int(n) for n in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
