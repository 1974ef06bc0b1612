"""Warnings and errors for packages and settings that differ from those of a file."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from .._errors import (
    ArgumentError,
    SettingsError,
    VersionMismatchError,
    VersionMismatchWarning,
    shown,
    warn,
)
from .._evolution import packages
from .._evolution.packages import Difference


def check_versions_argument(versions: object) -> None:
    """Refuse a value that `versions=` does not take."""
    if versions not in ("warn", "error", "ignore"):
        raise ArgumentError(
            f'`versions` is "warn", "error" or "ignore", not {versions!r:.80}.'
        )


@contextmanager
def differences_reported(
    versions_then: Mapping[str, str],
    settings_then: Mapping[str, Any],
    versions: str,
    name: str,
    *,
    as_numpy: bool = False,
) -> Generator[None, None, None]:
    """Warn of packages and settings that differ from the recorded ones, or refuse.

    `versions` is the argument of the call: "warn", "error" or "ignore". If a setting
    may make the load fail, the warning comes after it: the error has the same advice.
    """
    differences: list[Difference] = []
    if versions != "ignore":
        differences = packages.compare(versions_then, settings_then)
    if as_numpy:  # 64-bit NumPy arrays do not depend on this setting
        differences = [d for d in differences if d.package != "jax_enable_x64"]
    if not differences:
        yield
        return
    text = _listed(differences, settings_then, name)
    if versions == "error":
        raise VersionMismatchError(text, differences)
    warning = VersionMismatchWarning(
        f'{text}\nTo load without this warning, pass `versions="ignore"`.'
    )
    late = any(difference.package == "jax_enable_x64" for difference in differences)
    if not late:
        warn(warning)
    try:
        yield
    except SettingsError:
        late = False
        raise
    finally:
        if late:
            warn(warning)


def _listed(
    differences: Sequence[Difference], settings_then: Mapping[str, Any], name: str
) -> str:
    settings = [d for d in differences if d.kind == "setting"]
    kinds = ["packages"] * (len(settings) < len(differences))
    kinds += ["settings of JAX"] * bool(settings)
    subject = " and ".join(kinds)
    text = f"{name} was written with {subject} that differ from those here:\n"
    text += "\n".join(f"  {difference}" for difference in differences)
    for setting in settings[:1]:
        value = shown(repr(settings_then[setting.package]))
        call = f'jax.config.update("{setting.package}", {value})'
        text += f"\nChange a setting before JAX is first used: `{call}`."
    return text
