"""A tree to its files, step by step."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any, Literal

from .._arrays.backend import ArrayBackend, Sink, no_tick
from .._arrays.backends import backend_for, default_backend, options_of
from .._errors import (
    NotAFileError,
    PlaceholderWarning,
    SaveError,
    check_flags,
    resources_for,
    warn,
)
from .._files.checkpoint import PathOrFile, pair_of
from .._files.extras import KeptExtras
from .._files.path_argument import is_path
from .._files.saving import check_writable, commit_checkpoint
from .._interpreter import without_collection
from .._jax import without_tracing
from .._progress import Progress, check_progress, progress_counter
from .._tree.snapshot import Snapshot, snapshot
from .arguments import check_not_ending


@resources_for("save the tree")
def serialise(
    path_or_file: PathOrFile,
    tree: Any,
    *,
    backend: str | Mapping[str, Any] = "eqx",
    metadata: Any = None,
    durable: bool = True,
    functions: Literal["error", "warn"] = "error",
    progress: Progress | None = False,
) -> None:
    """Save a whole pytree: its classes, static fields, functions and arrays.

    Parameters
    ----------
    path_or_file : str, path or binary file
        Where to save. A path without a suffix gets ``.zdx``; beside ``model.zdx``
        comes its companion ``model.eqx``, which holds the arrays. A path that ends in
        ``.eqx``, or a binary file object open for writing, gets the companion alone:
        it holds a copy of the structure, and is a complete checkpoint by itself.
        Several may be saved one behind another into a file object.
    tree : pytree
        What to save. Nothing in it is changed.
    backend : str or dict, default "eqx"
        What writes the arrays: its name, or ``{"name": …}`` with its options.
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
    progress : bool or callable, default False
        True shows a bar, by tqdm, when saving takes longer than half a second. A
        function is called ``progress(done, total)``, in bytes of the arrays.

    Raises
    ------
    SerialisationError
        If something in the tree cannot be kept; the message names its path. Nothing
        has been written.
    SaveError, MissingFileError, NotAFileError
        If the files cannot be written, or the save would replace another checkpoint
        than that of this path. A previous checkpoint is intact.
    ArgumentError
        If an argument is not one of the values it may have.
    MissingPackageError
        If ``progress=True``, and tqdm is not installed.

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
    save_with_extras(
        path_or_file,
        tree,
        {},
        backend=backend,
        metadata=metadata,
        durable=durable,
        functions=functions,
        progress=progress,
    )


@resources_for("save the tree")
@without_tracing()
@without_collection
def save_with_extras(
    path_or_file: PathOrFile,
    tree: Any,
    extras: Mapping[str, Any],
    *,
    kept: KeptExtras | None = None,
    backend: str | Mapping[str, Any] = "eqx",
    metadata: Any = None,
    durable: bool = True,
    functions: Literal["error", "warn"] = "error",
    progress: Progress | None = False,
) -> None:
    """Save a tree as `serialise` does, with further trees by their names.

    Each comes back by `read_extra`. A release that does not know the name loads the
    file without it, unless the name begins with ``!``: it refuses the file then.

    Parameters
    ----------
    path_or_file, tree, backend, metadata, durable, functions, progress
        As for `serialise`.
    extras : dict of str to pytree
        By name, such as ``"zodiax_io.series"``.
    kept : KeptExtras, optional
        Extras of another file, which are written as they are there.
    """
    check_not_ending(SaveError, "save")
    chosen = backend_for(backend)
    _check_destination(path_or_file, tree)
    check_flags(durable=durable)
    check_progress(progress)
    taken = snapshot(
        tree,
        metadata=metadata,
        extras=extras,
        kept=kept,
        functions=functions,
        copy=False,
    )
    write(taken, path_or_file, chosen, durable=durable, progress=progress)
    _warn_of_placeholders(taken.placeholders)


def write(
    taken: Snapshot,
    path_or_file: PathOrFile,
    backend: ArrayBackend | None = None,
    *,
    durable: bool = True,
    progress: Progress | None = False,
) -> None:
    """Write a snapshot where `serialise` would write its tree.

    Raises
    ------
    SaveError, MissingFileError, NotAFileError, ArgumentError
        As `serialise` does.
    """
    chosen = backend or default_backend()
    name, size = "", taken.nbytes
    if progress and is_path(path_or_file):
        name = pair_of(path_or_file, saving=True, suffix=chosen.suffix)[1].name
    structure = functools.partial(taken.document, options_of(chosen))

    def write_arrays(file: Sink) -> bytes:
        with progress_counter(progress, size, f"Saving {name}".rstrip()) as tick:
            return chosen.write(file, taken.records, structure, tick=tick or no_tick)

    with resources_for(f"save {name or 'to the file object'}"):
        commit_checkpoint(
            path_or_file, write_arrays, durable=durable, suffix=chosen.suffix, size=size
        )


def _check_destination(path_or_file: Any, tree: Any) -> None:
    if is_path(path_or_file):
        path = FilePath(path_or_file)
        if path.suffix == "" and os.path.isdir(path):  # never raises
            raise NotAFileError(
                f"Cannot save to {path}: it is a folder. Name a file in it, such as "
                f"{path / 'model.zdx'}."
            )
        if path.suffix == "" and os.path.exists(path) and not os.path.isfile(path):
            # `/dev/stdout` names no `/dev/stdout.zdx`.
            raise NotAFileError(f"Cannot save to {path}: it is not a regular file.")
    else:
        hint = ""
        if isinstance(tree, (str, os.PathLike)):
            hint = " The path comes first: `serialise(path, tree)`."
        check_writable(path_or_file, hint)


def _warn_of_placeholders(placeholders: Sequence[Any]) -> None:
    if placeholders:
        lines = "\n".join(f"  `{p.path}`: {p.name}" for p in placeholders)
        text = (
            "Functions without a name to come back by were replaced by placeholders. "
            f"Put them back by `deserialise(path, fill={{…}})`:\n{lines}"
        )
        warn(PlaceholderWarning(text))
