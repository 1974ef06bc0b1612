"""The lines of an upgrade that an error proposes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Sequence

from .._errors import (
    shown,
)
from .._kinds.declared import has_default
from .._kinds.fields import FieldsChanged
from .._trust.names import top_level_package
from .._trust.reflection import own_name


def names_listed(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED
    listed = ", ".join(f"`{shown(name)}`" for name in names[:MAX_LISTED])
    return f"{listed} and {more} more" if more > 0 else listed


MAX_LISTED = 20
_MAX_PAIRED = 100


def literal(text: str) -> str:
    """A text of a file as Python would write it: code is made of it."""
    plain = ascii(text)
    simple = '"' not in plain and "\\" not in plain
    return f'"{plain[1:-1]}"' if simple else plain


def untrusted(cls: type, name: str, path: str, gained: str) -> str:
    package = top_level_package((own_name(cls) or ("",))[0])
    return (
        f"`{shown(name)}` at `{shown(path)}` has gained the field `{gained}`, whose "
        "default is made by code of the class, and a file may run none. If you trust "
        f'this file, pass `trusted=["{package}"]`.'
    )


def unlike(cls: type, name: str, path: str, changed: FieldsChanged) -> str:
    sentences: list[str] = []
    if changed.missing:
        new = names_listed(changed.missing)
        sentences.append(f"the class has {new}, which the file has not")
    if changed.surplus:
        old = names_listed(changed.surplus)
        sentences.append(f"the file has {old}, which the class has not")
    text = (
        f"the fields of `{shown(name)}` at `{shown(path)}` are not those that were "
        f"saved: {'; '.join(sentences)}. "
    )
    if not changed.missing:
        return text + "Load it with the release that wrote the file."
    try:
        defaults = [name for name in changed.missing if has_default(cls, name)]
    except (LookupError, TypeError):
        defaults = []
    few = FieldsChanged(changed.missing[:MAX_LISTED], changed.surplus[:MAX_LISTED])
    found = proposal(cls.__name__, few, defaults=defaults)[1]
    lines = "\n".join(f"    {line}" for line in found).rstrip()
    return (
        f"{text}What has no default must be made of what the file has. Say so beside "
        f"the class, and load again:\n\n{lines}"
    )


def proposal(
    cls: str,
    changed: FieldsChanged,
    closeness: Callable[[str, str], float] = lambda lost, gained: 0.0,
    defaults: Collection[str] = (),
) -> tuple[dict[str, str], list[str]]:
    """Which lost field is which new one, as it seems; and the lines that say so.

    They are for the owner of the class to look over. The closeness of two fields, from
    -1 to 1, adds to that of their names.
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
            lines.append(f"    # `{shown(gained)}` is new, and has its default.")
        else:
            lines.append(f"    # `{shown(gained)}` is new: say what it was then, as")
            lines.append(f"    # fields.setdefault({literal(gained)}, ...)")
    unknown = [g for g in changed.missing if g not in pairs and g not in defaults]
    maybe = f"; or is it `{shown(unknown[0])}` now?" if unknown else ""
    for lost in changed.surplus:
        if lost not in pairs.values():
            lines.append(f"    fields.pop({literal(lost)})  # it is gone{maybe}")
    told = ", ".join(map(literal, changed.surplus))
    key = f", fields=[{told}]" if told else ""
    lines += ["    return fields", "", f"zodiax_io.upgraded({cls}, upgrade{key})"]
    return pairs, lines


_ALIKE = 0.5
