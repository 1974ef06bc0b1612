"""Verdicts, and what to do about the refused ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from .._errors import UntrustedError, shown
from .names import MAX_LENGTH, top_level_package
from .roles import Use


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of one name of a file, and why.

    Attributes
    ----------
    name : str
        The name as it stands in the file.
    path : str
        Where in the tree it is used first.
    role : str
        What the file wants it for, such as ``"an equinox Module class"``.
    status : {"trusted", "missing", "refused"}
        Whether the file may use it; "missing" if it is not there to be used: not
        imported, not installed, or gone.
    reason : str
        Why, as the end of a sentence that begins with the name.
    trust : str or None
        What to add to ``trusted=``; None when nothing is needed, or nothing would help.
    """

    name: str
    path: str
    role: str
    status: str
    reason: str
    trust: str | None = None


class Decision(NamedTuple):
    """What is decided about a use of a name; the fields are those of `Verdict`."""

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
    text = f"{file} names what it may not use:\n" + "\n".join(_lines(refusals))
    if trust:
        names = ", ".join(f'"{name}"' for name in trust[:_MAX_SHOWN])
        what = "If you trust this file" if helped else "For those that trust would help"
        text += f"\n{what}, pass `trusted=[{names}]`."
    text += '\nTo look at the file without them, pass `unknown="opaque"`.'
    modules = list(dict.fromkeys(map(shown, waiting)))
    if modules:
        listed = ", ".join(f"`{module}`" for module in modules[:_MAX_ALSO])
        more = len(modules) - _MAX_ALSO
        text += (
            f"\nNot imported for it, and so not looked at yet: {listed}"
            f"{f' and {more} more' if more > 0 else ''}."
        )
    for name in sorted(unused_trust):
        text += f"\nNothing in it belongs to `{shown(name)}`, which you trust."
    for name in sorted(unused_renames):
        text += f"\nNothing in it is called `{shown(name)}`, which you rename."
    return UntrustedError(text, refusals, trust)


def _lines(refusals: list[Verdict]) -> list[str]:
    """One line for each reason in a package, and one for the others it holds for."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for refusal in refusals:
        module = refusal.name.partition(":")[0]
        reason = refusal.reason.replace(module, top_level_package(module))
        groups.setdefault((top_level_package(module), reason), []).append(refusal)
    lines: list[str] = []
    for first, *others in list(groups.values())[:_MAX_SHOWN]:
        lines.append(f"  {_placed(first)} {first.reason}.")
        also = [_placed(refusal) for refusal in others[:_MAX_ALSO]]
        also += [f"{len(others) - _MAX_ALSO} more"] * (len(others) > _MAX_ALSO)
        if also:
            lines.append(f"    The same holds for {', '.join(also)}.")
    if len(groups) > _MAX_SHOWN:
        lines.append(f"  … and {len(groups) - _MAX_SHOWN} more.")
    return lines


_MAX_ALSO = 8


def _placed(refusal: Verdict) -> str:
    return f"`{shown(refusal.name)}` at `{shown(refusal.path)}`"
