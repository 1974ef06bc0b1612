"""List the names in a file, without importing or building any of its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._errors import resources_for, shown
from .._evolution.packages import script_of
from .._files.checkpoint import PathOrFile, opened
from .._structure.nodes import Structure
from .._structure.paths import short_path
from .._structure.uses import uses_of
from .._trust.advice import Verdict
from .._trust.judge import Judge


@resources_for("find the names in the file")
def names(
    path_or_file: PathOrFile,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
) -> list[Verdict]:
    """List each class, function and constant in a file, and whether it may be loaded.

    Nothing is imported and nothing is built, so this is safe with any file.

    Parameters
    ----------
    path_or_file : str, path or binary file
        The path or file that was passed to `serialise`; or the companion alone.
    trusted, renames : optional
        As for `deserialise`: the verdicts are those of a load with these arguments.

    Returns
    -------
    list of Verdict
        For each name the first path that refers to it, whether a load would accept it,
        and why. A name that is used in several roles has a verdict for each.

    Raises
    ------
    CorruptFileError, UnknownFormatError
        If the file is damaged, or not a zodiax_io file.
    MissingFileError, NotAFileError, ReadError
        If there is no such file, or it cannot be read.

    Examples
    --------
    >>> import jax, zodiax_io
    >>> zodiax_io.serialise("layer.zdx", {"activation": jax.nn.relu})
    >>> for verdict in zodiax_io.names("layer.zdx"):
    ...     print(verdict.name, verdict.path, verdict.status)
    jax.nn:relu model['activation'] trusted
    """
    judge = Judge(trusted, renames)
    with opened(path_or_file) as (document, _, _):
        structures = [Structure.parse(document.tree)]
        if document.metadata is not None:
            structures.append(Structure.parse(document.metadata, "metadata"))
        for structure in structures:
            structure.check_kinds(unregistered=True)
        uses = [use for structure in structures for use in uses_of(structure)]
        judge.script = script_of(document.settings)
        kinds = [kind for each in structures for kind in _missing_kinds(each)]
    return judge.verdicts(uses) + kinds


def _missing_kinds(structure: Structure) -> list[Verdict]:
    """The kinds that no imported package has registered, each at its first path."""
    found: dict[str, Verdict] = {}
    for node in structure.nodes:
        if not node.is_known:
            kind = shown(node.kind_name)
            reason = "not registered: import the package that registers this kind"
            path = short_path(node.path)
            found.setdefault(kind, Verdict(kind, path, "a kind", "missing", reason))
    return list(found.values())


@resources_for("find the names in the file")
def untrusted(
    path_or_file: PathOrFile,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
) -> list[Verdict]:
    """List the names in a file that a load would refuse, because of trust or absence.

    Parameters
    ----------
    path_or_file : str, path or binary file
        The path or file that was passed to `serialise`; or the companion alone.
    trusted, renames : optional
        As for `deserialise`.

    Returns
    -------
    list of Verdict
        The verdicts of `names` whose status is not ``"trusted"``; empty for a file that
        loads with these arguments. If you trust the file, pass ``verdict.trust`` as
        ``trusted=``, where it is set. Names in known packages that are installed but
        not imported are not listed, although a load may still refuse them.

    Raises
    ------
    CorruptFileError, UnknownFormatError, MissingFileError, NotAFileError, ReadError
        As `names` does.

    Examples
    --------
    >>> import jax, zodiax_io
    >>> zodiax_io.serialise("layer.zdx", {"activation": jax.nn.relu})
    >>> zodiax_io.untrusted("layer.zdx")
    []
    """
    return [
        verdict
        for verdict in names(path_or_file, trusted=trusted, renames=renames)
        if verdict.status != "trusted"
    ]
