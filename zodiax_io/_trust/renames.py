"""What names are called now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import ArgumentError, shown
from .names import MAX_LENGTH, name_of, split

_renamed: dict[str, str] = {}


def renamed(old: str, new: Any) -> None:
    """Say what something is called now, for files that know it under another name.

    Call it beside what was renamed, or moved: from then on files with the old name
    load, and what is saved again has the new one.

    Parameters
    ----------
    old : str
        The name as files hold it, ``"package.module:Name"``; or a package or module,
        ``"package.module"``, with all that is in it.
    new : str, class or function
        The name now, of the same form; or the class or function itself.

    Raises
    ------
    ArgumentError
        If one of them is not such a name, or they are not of one form.

    Examples
    --------
    >>> import equinox as eqx
    >>> import zodiax_io
    >>> class Lens(eqx.Module):
    ...     radius: float
    >>> structure = zodiax_io.build_structure(Lens(2.0))
    >>> structure["type"] = "optics.old:RoundLens"
    >>> zodiax_io.renamed("optics.old:RoundLens", Lens)
    >>> zodiax_io.load_structure(structure)
    Lens(radius=2.0)
    """
    if not isinstance(old, str):
        raise ArgumentError(f"The old name is text, not {shown(repr(old), 80)}.")
    _renamed.update(checked_renames({old: new}))


def checked_renames(renames: Any) -> dict[str, str]:
    """New names by old ones, with those that `renamed` knows.

    Raises
    ------
    ArgumentError
        If something is not a name, or two names are not of one form.
    """
    if renames is not None and not isinstance(renames, Mapping):
        raise ArgumentError(
            "`renames` is a dictionary of new names by old ones, not a "
            f"`{type(renames).__qualname__}`."
        )
    result = dict(_renamed)
    for old, given in (renames or {}).items():
        new = given if isinstance(given, str) else name_of(given)
        if new is None:
            raise ArgumentError(
                f"{shown(repr(given))} has no name of its own. Define it at the top "
                "level of a module."
            )
        for name in (old, new):
            if not _is_place(name):
                raise ArgumentError(
                    f"{shown(repr(name))} is neither a name, "
                    '"package.module:Name", nor that of a module, "package.module".'
                )
        if (":" in old) != (":" in new):
            raise ArgumentError(
                f"`{shown(old)}` and `{shown(new)}` are not both names, or modules."
            )
        if old != new:
            result[old] = new
    return result


def is_name(name: str) -> bool:
    """Whether a text is a name that a file may hold."""
    return ":" in name and _is_place(name)


def _is_place(name: object) -> bool:
    if type(name) is not str:
        return False
    try:
        split(name if ":" in name else f"{name}:_")
    except ValueError:
        return False
    return True


def current(name: str, renames: Mapping[str, str]) -> str:
    """What a name of a file is called now.

    Raises
    ------
    ArgumentError
        If the renames go round in a circle.
    """
    if not renames or len(name) > MAX_LENGTH:  # that is none, and will be refused
        return name
    seen, rules = {name}, set[str]()
    while (found := _rule(name, renames)) is not None and found[0] not in rules:
        rule, name = found  # each once: a package may have moved into itself
        if name in seen:
            raise ArgumentError(f"The renames of `{shown(name)}` go round in a circle.")
        seen.add(name)
        rules.add(rule)
    return name


def _rule(name: str, renames: Mapping[str, str]) -> tuple[str, str] | None:
    """The rename that a name falls under, and what it is then."""
    module, colon, qualname = name.partition(":")
    parts = qualname.split(".")
    for n in range(len(parts), 0, -1):  # a class, with the classes in it
        old = f"{module}:{'.'.join(parts[:n])}"
        if old in renames:
            return old, ".".join([renames[old], *parts[n:]])
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        old = ".".join(parts[:n])
        if old in renames:
            return old, ".".join([renames[old], *parts[n:]]) + colon + qualname
    return None
