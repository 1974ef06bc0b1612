"""Renames: the present names of classes and functions, by those in older files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._errors import ArgumentError, shown
from .names import MAX_LENGTH, name_of, split

_renamed: dict[str, str] = {}


def renamed(old: str, new: Any) -> None:
    """Declare the new name of a class, function or module that was renamed or moved.

    Call it next to the definition: from then on files with the old name load, and
    objects are saved under the new one.

    Parameters
    ----------
    old : str
        The name in older files, ``"package.module:Name"``; or a package or module,
        ``"package.module"``, with everything in it.
    new : str, class or function
        The new name, of the same form; or the class or function itself.

    Raises
    ------
    ArgumentError
        If one of them is not such a name, or only one of them is a module.

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
        raise ArgumentError(f"`old` must be a string, not {shown(repr(old), 80)}.")
    _renamed.update(checked_renames({old: new}))


def checked_renames(renames: Any) -> dict[str, str]:
    """New names by old ones, together with those declared by `renamed`.

    Raises
    ------
    ArgumentError
        If something is not a name, or a name is renamed to a module.
    """
    if renames is not None and not isinstance(renames, Mapping):
        raise ArgumentError(
            "`renames` must be a dictionary from old names to new ones, not a "
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
            if not _is_name_or_module(name):
                raise ArgumentError(
                    f"{shown(repr(name))} is neither a name such as "
                    '"package.module:Name" nor a module such as "package.module".'
                )
        if (":" in old) != (":" in new):
            raise ArgumentError(
                f"`{shown(old)}` and `{shown(new)}` must both be names or both modules."
            )
        if old != new:
            result[old] = new
    return result


def is_name(name: str) -> bool:
    """Whether a text has the form of a name, `package.module:Qual.Name`."""
    return ":" in name and _is_name_or_module(name)


def _is_name_or_module(name: object) -> bool:
    if type(name) is not str:
        return False
    try:
        split(name if ":" in name else f"{name}:_")
    except ValueError:
        return False
    return True


def current(name: str, renames: Mapping[str, str]) -> str:
    """The present name for a name of a file.

    Raises
    ------
    ArgumentError
        If the renames form a circle.
    """
    if not renames or len(name) > MAX_LENGTH:  # a longer one is refused by the rules
        return name
    seen, rules = {name}, set[str]()
    while (found := _rule(name, renames)) is not None and found[0] not in rules:
        rule, name = found  # each rule once: a package may have moved into itself
        if name in seen:
            raise ArgumentError(f"The renames of `{shown(name)}` form a circle.")
        seen.add(name)
        rules.add(rule)
    return name


def _rule(name: str, renames: Mapping[str, str]) -> tuple[str, str] | None:
    """The rename that applies to a name, by its old name, and the new name."""
    module, colon, qualname = name.partition(":")
    parts = qualname.split(".")
    for n in range(len(parts), 0, -1):  # the name of a class applies to its members
        old = f"{module}:{'.'.join(parts[:n])}"
        if old in renames:
            return old, ".".join([renames[old], *parts[n:]])
    parts = module.split(".")
    for n in range(len(parts), 0, -1):
        old = ".".join(parts[:n])
        if old in renames:
            return old, ".".join([renames[old], *parts[n:]]) + colon + qualname
    return None
