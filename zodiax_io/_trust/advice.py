"""Verdicts on the names of a file, and the error that lists the next steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from .._errors import UntrustedError, shown
from .names import MAX_LENGTH, top_level_package
from .roles import Use


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether a file may use one of its names, and why.

    Attributes
    ----------
    name : str
        The name as the file spells it.
    path : str
        The first path in the tree where it is used.
    role : str
        What the file uses it as, such as ``"an equinox Module class"``.
    status : {"trusted", "missing", "refused"}
        Whether the file may use it; "missing" if it is not imported, not installed,
        or gone.
    reason : str
        Why: the end of a sentence that begins with the name.
    trust : str or None
        What to add to ``trusted=``; None if that is not needed or would not help.
    """

    name: str
    path: str
    role: str
    status: str
    reason: str
    trust: str | None = None


class Decision(NamedTuple):
    """The decision on one use of a name, with the fields of `Verdict`."""

    use: Use
    status: str
    reason: str
    trust: str | None = None


def verdict(decision: Decision) -> Verdict:
    """A decision, with all that the file says escaped to be printed."""
    use, status, reason, trust = decision
    name, path = (shown(text, MAX_LENGTH) for text in (use.name, use.path()))
    return Verdict(name, path, use.role.words, status, reason, trust)


_MAX_SHOWN = 50


def untrusted(
    refusals: list[Verdict],
    file: str,
    waiting: Iterable[str],
    *,
    unused_trust: Iterable[str],
    unused_renames: Iterable[str],
) -> UntrustedError:
    """The error that lists what is refused, with the next step for each."""
    trust = tuple(dict.fromkeys(r.trust for r in refusals if r.trust is not None))
    helped = all(refusal.trust is not None for refusal in refusals)
    text = f"{file} refers to names that are missing or not trusted:\n"
    text += "\n".join(_lines(refusals))
    if trust:
        names = ", ".join(f'"{name}"' for name in trust[:_MAX_SHOWN])
        which = "If you trust this file" if helped else "For the names that need trust"
        text += f"\n{which}, pass `trusted=[{names}]`."
    text += '\nTo look at the file without them, pass `unknown="opaque"`.'
    modules = list(dict.fromkeys(map(shown, waiting)))
    if modules:
        listed = ", ".join(f"`{module}`" for module in modules[:_MAX_ALSO])
        more = len(modules) - _MAX_ALSO
        text += (
            f"\nNames in modules that are not imported yet were not checked: {listed}"
            f"{f' and {more} more' if more > 0 else ''}."
        )
    for name in sorted(unused_trust):
        text += f"\nNo name in it belongs to `{shown(name)}`, which is in `trusted`."
    for name in sorted(unused_renames):
        text += f"\nNo name in it belongs to `{shown(name)}`, which is in `renames`."
    return UntrustedError(text, refusals, trust)


def _lines(refusals: list[Verdict]) -> list[str]:
    """One line for each reason in a package, and one with other names it applies to."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for refusal in refusals:
        module = refusal.name.partition(":")[0]
        reason = refusal.reason.replace(module, top_level_package(module))
        groups.setdefault((top_level_package(module), reason), []).append(refusal)
    lines: list[str] = []
    for first, *others in list(groups.values())[:_MAX_SHOWN]:
        lines.append(f"  {_name_and_path(first)} {first.reason}.")
        also = [_name_and_path(refusal) for refusal in others[:_MAX_ALSO]]
        also += [f"{len(others) - _MAX_ALSO} more"] * (len(others) > _MAX_ALSO)
        if also:
            lines.append(f"    The same applies to {', '.join(also)}.")
    if len(groups) > _MAX_SHOWN:
        lines.append(f"  … and {len(groups) - _MAX_SHOWN} more.")
    return lines


_MAX_ALSO = 8


def _name_and_path(refusal: Verdict) -> str:
    return f"`{shown(refusal.name)}` at `{shown(refusal.path)}`"
