"""Packages and settings that are not those of a file: a warning, or an error."""

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
    """Refuse what is not one of the values of `versions=`."""
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
    """Warn of packages and settings that differ from recorded ones, or refuse.

    `versions` is the argument of the call: "warn", "error" or "ignore".

    Where a load may be refused for one of the settings, the warning waits for it: the
    refusal says all that the warning would.
    """
    differences: list[Difference] = []
    if versions != "ignore":
        differences = packages.compare(versions_then, settings_then)
    if as_numpy:  # no setting of JAX narrows arrays of NumPy
        differences = [d for d in differences if d.package != "jax_enable_x64"]
    if not differences:
        yield
        return
    text = _listed(differences, settings_then, name)
    if versions == "error":
        raise VersionMismatchError(text, differences)
    warning = VersionMismatchWarning(
        f'{text}\nPass `versions="ignore"` if that is well.'
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
    what = " and ".join(kinds)
    text = f"{name} was written with {what} that differ from those here:\n"
    text += "\n".join(f"  {difference}" for difference in differences)
    for setting in settings[:1]:
        value = shown(repr(settings_then[setting.package]))
        call = f'jax.config.update("{setting.package}", {value})'
        text += f"\nSet a setting before JAX is used: `{call}`."
    return text
