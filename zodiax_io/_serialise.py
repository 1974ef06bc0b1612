"""A tree to its two files, and back: the two flows, step by step."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

from . import _commit, _environment, _format
from ._backends import ArrayReader, Faults, Sink, backend_named
from ._compat import without_collection
from ._errors import (
    ArgumentError,
    CorruptFileError,
    DamagedWarning,
    NotAFileError,
    PlaceholderWarning,
    ReadError,
    VersionMismatchError,
    VersionMismatchWarning,
    shown,
    warn,
)
from ._kinds import Damaged
from ._pair import PathOrFile, check_free, copied_structure, is_path, opened, pair_of
from ._structure import (
    Survey,
    check_settings,
    decode,
    encode_all,
    path_text,
    restore,
    survey,
)
from ._trust import Judge


@without_collection()
def serialise(
    path_or_file: PathOrFile,
    tree: Any,
    *,
    backend: str = "eqx",
    metadata: Any = None,
    durable: bool = True,
    functions: Literal["error", "warn"] = "error",
) -> None:
    """Save a whole pytree: its classes, static fields, functions and arrays.

    Parameters
    ----------
    path_or_file : str, path or binary file
        Where to save. A path without a suffix gets ``.zdx``; beside ``model.zdx``
        comes its companion ``model.eqx``, which holds the arrays. A path that ends in
        ``.eqx``, or a binary file object open for writing, gets the companion alone:
        it holds a copy of the structure, and is a complete checkpoint by itself.
    tree : pytree
        What to save. Nothing in it is changed.
    backend : str, default "eqx"
        What writes the arrays.
    metadata : pytree, optional
        Notes of your own (times, settings, scores), which `read_metadata` gives back
        without loading the arrays of the tree.
    durable : bool, default True
        Whether to return only once the disk has it all, so that a power loss costs
        nothing. False is faster, and still safe against a crash of the program.
    functions : {"error", "warn"}, default "error"
        What to do about a function without a name to come back by (a lambda, a local
        function): refuse to save, or keep its source text in a placeholder that
        ``deserialise(path, fill={…})`` fills.

    Raises
    ------
    SerialisationError
        If something in the tree cannot be kept; the message names its path. Nothing
        has been written.
    SaveError, MissingFileError, NotAFileError
        If the files cannot be written. A previous checkpoint is intact.
    ArgumentError
        If an argument is not one of the values it may have.

    Warns
    -----
    PlaceholderWarning
        If ``functions="warn"`` replaced functions by placeholders.

    Examples
    --------
    >>> import equinox as eqx, jax
    >>> import zodiax_io
    >>> model = eqx.nn.MLP(2, 2, 32, 2, key=jax.random.key(0))
    >>> zodiax_io.serialise("model.zdx", model, metadata={"epoch": 3})
    >>> zodiax_io.deserialise("model.zdx").activation is model.activation
    True
    """
    chosen = backend_named(backend)
    _check_destination(path_or_file, tree)
    trees = (
        {"model": tree} if metadata is None else {"model": tree, "metadata": metadata}
    )
    encoded = encode_all(trees, functions=functions)
    names = {name for part in encoded.values() for name in part.names}
    records = [record for part in encoded.values() for record in part.records]
    versions = _environment.versions_of(names)
    settings = _environment.settings()
    if any(name.startswith("__main__:") for name in names):
        settings |= _environment.script()

    def structure(index: list[Any]) -> bytes:
        document = _format.Document(
            versions=versions,
            settings=settings,
            backend={"name": chosen.name},
            records=index,
            metadata=encoded["metadata"].structure if "metadata" in encoded else None,
            tree=encoded["model"].structure,
        )
        return _format.pack(document, max(part.depth for part in encoded.values()))

    def write(file: Sink) -> bytes:
        return chosen.write(file, records, structure)

    if is_path(path_or_file):
        structure_path, companion = pair_of(path_or_file)
        if structure_path is not None:
            check_free(structure_path, companion)
        _commit.commit(
            structure_path,
            companion,
            write,
            durable=durable,
            copy=copied_structure,
            size=sum(record.nbytes for record in records),
        )
    else:
        _commit.write_to(path_or_file, write)
    _warn_of_placeholders([p for part in encoded.values() for p in part.placeholders])


def _check_destination(path_or_file: Any, tree: Any) -> None:
    if is_path(path_or_file):
        folder = Path(path_or_file)
        if folder.suffix == "" and os.path.isdir(folder):  # never raises
            raise NotAFileError(
                f"Cannot save to {folder}: it is a folder. Name a file in it, such as "
                f"{folder / 'model.zdx'}."
            )
    elif not _commit.is_writable(path_or_file):
        hint = ""
        if isinstance(tree, (str, os.PathLike)):
            hint = " The path comes first: `serialise(path, tree)`."
        raise ArgumentError(
            "Expected a path or a binary file open for writing, got a "
            f"`{type(path_or_file).__qualname__}`.{hint}"
        )


def _warn_of_placeholders(placeholders: Sequence[Any]) -> None:
    if placeholders:
        lines = "\n".join(f"  `{p.path}`: {p.name}" for p in placeholders)
        warn(
            "Functions without a name to come back by were replaced by placeholders. "
            f"Put them back by `deserialise(path, fill={{…}})`:\n{lines}",
            PlaceholderWarning,
        )


@without_collection()
def deserialise(
    path_or_file: PathOrFile,
    *,
    trusted: Sequence[Any] | str = (),
    versions: Literal["warn", "error", "ignore"] = "warn",
    fill: Mapping[str, Any] | None = None,
    verify: bool = True,
    damaged: Literal["error", "skip"] = "error",
) -> Any:
    """Load what `serialise` saved: the whole object, without a template.

    Nothing that the file names is called, except the unflatten functions of registered
    pytree classes that you use, and nothing is imported that you do not trust.

    Parameters
    ----------
    path_or_file : str, path or binary file
        What was given to `serialise`; or the companion alone.
    trusted : sequence of str, module, class or function, optional
        What the file may name beside what every file may: packages (``"mylab"``, which
        also lets their modules be imported), classes or functions. Your own code,
        every imported `equinox.Module`, and the functions of JAX need no trust.
    versions : {"warn", "error", "ignore"}, default "warn"
        What to do when the packages here are not those that wrote the file.
    fill : dict of str to function, optional
        Functions to put where placeholders are, by path:
        ``{"model.activation": f}``.
    verify : bool, default True
        Whether to check the arrays against their checksums. The structure is checked
        in any case.
    damaged : {"error", "skip"}, default "error"
        What to do about arrays whose bytes are not those that were saved: refuse to
        load, or load all that is intact, with a `Damaged` in the place of each other.
        With "skip" everything is checked, and a structure file stands in for a damaged
        end of its companion.

    Returns
    -------
    pytree
        The object that was saved.

    Raises
    ------
    UntrustedError
        If the file names what it may not use, with what to pass or to import.
    CorruptFileError, UnknownFormatError
        If the file is damaged, or not one of ours.
    MissingFileError, NotAFileError, ReadError
        If there is no such file, or it cannot be read.
    ClassChangedError
        If a class has other fields than it had.
    SettingsError
        If the file holds 64-bit JAX arrays and JAX is set to 32 bits.
    VersionMismatchError
        If packages differ and ``versions="error"``.

    Warns
    -----
    VersionMismatchWarning
        If packages differ and ``versions="warn"``.
    MixedPairWarning
        If the two files stem from different saves; the companion is believed.
    DamagedWarning
        If ``damaged="skip"`` left something out; it lists all of it.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> zodiax_io.serialise("state.zdx", {"step": 3, "rate": jnp.float32(0.1)})
    >>> zodiax_io.deserialise("state.zdx")["step"]
    3
    """
    if versions not in ("warn", "error", "ignore"):
        raise ArgumentError(
            f'`versions` is "warn", "error" or "ignore", not {versions!r:.80}.'
        )
    if damaged not in ("error", "skip"):
        raise ArgumentError(f'`damaged` is "error" or "skip", not {damaged!r:.80}.')
    skip = damaged == "skip"
    judge = Judge(trusted)
    with opened(path_or_file, salvage=skip) as (document, reader, name):
        _compare_versions(document.versions, versions, name)
        tree, marks = _load(
            document,
            reader,
            judge,
            name,
            "model",
            fill=fill,
            verify=verify or skip,
            skip=skip,
        )
    if marks:
        lines = "\n".join(f"  `{shown(m.path)}`: {m.reason}" for m in marks)
        warn(f"{name} is damaged. This was left out:\n{lines}", DamagedWarning)
    return tree


def read_metadata(
    path_or_file: PathOrFile, *, trusted: Sequence[Any] | str = ()
) -> Any:
    """The metadata given to `serialise`, without loading the arrays of the tree.

    Parameters
    ----------
    path_or_file : str, path or binary file
        What was given to `serialise`; or the companion alone.
    trusted : sequence of str, module, class or function, optional
        As for `deserialise`.

    Returns
    -------
    pytree or None
        The metadata; None if there is none.

    Raises
    ------
    ZodiaxIOError
        As `deserialise` does.

    Examples
    --------
    >>> import zodiax_io
    >>> zodiax_io.serialise("fit.zdx", [1.0, 2.0], metadata={"epoch": 3})
    >>> zodiax_io.read_metadata("fit.zdx")
    {'epoch': 3}
    """
    judge = Judge(trusted)
    with opened(path_or_file) as (document, reader, name):
        if document.metadata is None:
            return None
        return _load(document, reader, judge, name, "metadata")[0]


def _load(
    document: _format.Document,
    reader: ArrayReader,
    judge: Judge,
    name: str,
    root: Literal["model", "metadata"],
    *,
    fill: Mapping[str, Any] | None = None,
    verify: bool = True,
    skip: bool = False,
) -> tuple[Any, list[Damaged]]:
    structure = document.tree if root == "model" else document.metadata
    found = survey(structure, root)
    entries = reader.entries(document.records)
    judge.script = _environment.script_of(document.settings)
    judge.audit(found.uses, name)
    # Importing a package may switch 64 bits on, so the settings are looked at after it.
    check_settings(found, name)
    wanted = [node.get("record") for _, node in found.arrays]
    known = [n for n in wanted if type(n) is int and 0 <= n < len(entries)]
    raw, faults = reader.read(entries, known, verify=verify)
    if faults and not skip:
        _raise_first(faults, found, name)
    arrays = restore(found, raw, name, faults)
    return decode(
        structure, found, judge, arrays=arrays, fill=fill, file=name, root=root
    )


def _raise_first(faults: Faults, found: Survey, name: str) -> NoReturn:
    number, fault = min(faults.items())
    if isinstance(fault, ReadError):
        raise fault
    paths = [path for path, node in found.arrays if node.get("record") == number]
    where = "".join(f"`{shown(path_text(path))}`: " for path in paths[:1])
    more = len(faults) - 1
    also = f", and {more} more {'is' if more == 1 else 'are'} damaged" if more else ""
    raise CorruptFileError(
        f"{name} is damaged: {where}{fault}{also}. `zodiax_io.verify` lists all "
        'damage, and `deserialise(path, damaged="skip")` loads what is intact.'
    )


def _compare_versions(recorded: dict[str, str], versions: str, name: str) -> None:
    if versions == "ignore":
        return
    differences = _environment.compare(recorded)
    if not differences:
        return
    lines = "\n".join(f"  {shown(difference)}" for difference in differences)
    text = f"{name} was written with other packages than those here:\n{lines}"
    if versions == "error":
        raise VersionMismatchError(text, differences)
    warn(
        f'{text}\nPass `versions="ignore"` if that is well.',
        VersionMismatchWarning,
    )
