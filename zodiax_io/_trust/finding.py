"""Why a name was not found, or may not be used."""

from __future__ import annotations

from typing import NamedTuple

from . import names, reflection


class Refused(Exception):
    """The end of a case: `reason` completes a sentence that begins with the name."""

    def __init__(
        self, reason: str, trust: str | None = None, *, missing: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trust = trust
        self.status = "missing" if missing else "refused"


def all_of(refusals: list[Refused]) -> Refused:
    """One refusal for every reason; trust helps only where it helps against each."""
    reasons = list(dict.fromkeys(refusal.reason for refusal in refusals))
    trust = [refusal.trust for refusal in refusals]
    return Refused(
        ", and ".join(reasons),
        None if None in trust else trust[0],
        missing=any(refusal.status == "missing" for refusal in refusals),
    )


class NotYetImported(Exception):
    """The name belongs to a module that may be imported once all else is accepted."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


class Unresolved(NamedTuple):
    """What a name leads to that is not there, or may not be used; and why."""

    reason: str


def owner_class(module: str, qualname: str) -> type | None:
    owner, _, _ = qualname.rpartition(".")
    if not owner:
        return None
    try:
        found = names.lookup(module, owner)
    except LookupError:
        return None
    return found if reflection.is_class(found) else None
