"""Propose an upgrade for a class whose fields changed: Python lines for the user."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence

from .._errors import shown
from .._kinds.declared import has_default
from .._kinds.fields import FieldsChanged
from .._trust.names import top_level_package
from .._trust.reflection import own_name

MAX_LISTED = 20
_MAX_PAIRED = 100


def listed(names: Sequence[str]) -> str:
    """Names for a message, at most `MAX_LISTED` of them."""
    more = len(names) - MAX_LISTED
    text = ", ".join(f"`{shown(name)}`" for name in names[:MAX_LISTED])
    return f"{text} and {more} more" if more > 0 else text


def literal(text: str) -> str:
    """Text from a file as a literal of Python, so that it cannot end its quotes."""
    plain = ascii(text)
    simple = '"' not in plain and "\\" not in plain
    return f'"{plain[1:-1]}"' if simple else plain


def untrusted_default_text(cls: type, name: str, path: str, gained: str) -> str:
    """The message for a default that only code of an untrusted class can make."""
    package = top_level_package((own_name(cls) or ("",))[0])
    return (
        f"the default of the new field `{gained}` of `{shown(name)}` at "
        f"`{shown(path)}` is made by code of the class, which an untrusted file may "
        f'not run. If you trust this file, pass `trusted=["{package}"]`.'
    )


def fields_changed_text(cls: type, name: str, path: str, changed: FieldsChanged) -> str:
    """The message for a class whose fields differ from the saved ones."""
    clauses: list[str] = []
    if changed.missing:
        clauses.append(f"only the class has {listed(changed.missing)}")
    if changed.surplus:
        clauses.append(f"only the file has {listed(changed.surplus)}")
    text = (
        f"the fields of `{shown(name)}` at `{shown(path)}` have changed since they "
        f"were saved: {'; '.join(clauses)}. "
    )
    if not changed.missing:
        return text + "Load it with the release of the package that wrote the file."
    try:
        defaults = [name for name in changed.missing if has_default(cls, name)]
    except (LookupError, TypeError):
        defaults = []
    few = FieldsChanged(changed.missing[:MAX_LISTED], changed.surplus[:MAX_LISTED])
    _, upgrade = proposal(cls.__name__, few, defaults=defaults)
    lines = "\n".join(f"    {line}" for line in upgrade).rstrip()
    return (
        f"{text}A new field without a default must be made from the saved fields. "
        f"Write an upgrade next to the class, and load again:\n\n{lines}"
    )


def proposal(
    cls: str,
    changed: FieldsChanged,
    closeness: Callable[[str, str], float] = lambda lost, gained: 0.0,
    defaults: Collection[str] = (),
) -> tuple[dict[str, str], list[str]]:
    """Match new fields with lost ones, and write an upgrade that renames them.

    It is a guess, for the author of the class to check. `closeness` takes the names of
    a lost and a new field, and returns a number from -1 to 1, which is added to the
    similarity of the names.
    """
    scores = {
        (gained, lost): difflib.SequenceMatcher(None, gained, lost).ratio()
        + closeness(lost, gained)
        + 0.5 * (len(changed.missing) == len(changed.surplus) == 1)
        for gained in changed.missing[:_MAX_PAIRED]
        for lost in changed.surplus[:_MAX_PAIRED]
    }
    pairs: dict[str, str] = {}
    for gained, lost in sorted(scores, key=lambda pair: -scores[pair]):
        alike = scores[gained, lost] >= _ALIKE
        if alike and gained not in pairs and lost not in pairs.values():
            pairs[gained] = lost
    lines = ["def upgrade(fields):"]
    for gained in changed.missing:
        if gained in pairs:
            new, old = literal(gained), literal(pairs[gained])
            lines.append(f"    fields[{new}] = fields.pop({old})")
        elif gained in defaults:
            lines.append(f"    # `{shown(gained)}` is new, and gets its default.")
        else:
            lines.append(f"    # `{shown(gained)}` is new: give it a value, such as by")
            lines.append(f"    # fields.setdefault({literal(gained)}, ...)")
    unknown = [g for g in changed.missing if g not in pairs and g not in defaults]
    maybe = f", or renamed to `{shown(unknown[0])}`?" if unknown else ""
    for lost in changed.surplus:
        if lost not in pairs.values():
            lines.append(f"    fields.pop({literal(lost)})  # removed{maybe}")
    names = ", ".join(map(literal, changed.surplus))
    key = f", fields=[{names}]" if names else ""
    lines += ["    return fields", "", f"zodiax_io.upgraded({cls}, upgrade{key})"]
    return pairs, lines


_ALIKE = 0.5
