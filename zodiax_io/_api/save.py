"""Save a tree, step by step."""

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
        The file to write. A path without a suffix gets ``.zdx``. The arrays are
        written to a companion with the same name, ``model.eqx`` for ``model.zdx``. A
        path that ends in ``.eqx``, or a binary file object open for writing, gets the
        companion alone: it includes a copy of the structure, and is a complete
        checkpoint. A file object can hold several checkpoints, one after another.
    tree : pytree
        The tree to save. It is not changed.
    backend : str or dict, default "eqx"
        The writer of the arrays: its name, or ``{"name": …}`` with its options.
    metadata : pytree, optional
        Your own notes (times, settings, scores), which `read_metadata` loads without
        the arrays of the tree.
    durable : bool, default True
        Whether to wait until the data is on the disk, so that it survives a power loss.
        False is faster, and still safe against a crash of the program.
    functions : {"error", "warn"}, default "error"
        For functions that cannot be found again by name (a lambda, a local function):
        refuse to save, or keep the source text in a placeholder, which
        ``deserialise(path, fill={…})`` replaces by a function.
    progress : bool or callable, default False
        True shows a bar, by tqdm, when saving takes longer than half a second. A
        function is called as ``progress(done, total)``, in bytes of the arrays.

    Raises
    ------
    SerialisationError
        If an object in the tree cannot be saved; the message gives its path. No file
        was written.
    SaveError, MissingFileError, NotAFileError
        If the files cannot be written, or would replace files of another checkpoint.
        An earlier checkpoint at this path is intact.
    ArgumentError
        If an argument has an invalid value.
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
    """Save a tree as `serialise` does, with further trees by name.

    `read_extra` loads one of them. A release that does not know the name loads the file
    without it, but refuses the file if the name begins with ``!``.

    Parameters
    ----------
    path_or_file, tree, backend, metadata, durable, functions, progress
        As for `serialise`.
    extras : dict of str to pytree
        The trees by name, such as ``"zodiax_io.series"``.
    kept : KeptExtras, optional
        Extras of another file, which are copied unchanged.
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
    """Write a snapshot to the files that `serialise` would write.

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
            "Functions that cannot be found again by name were replaced by "
            "placeholders. When loading, pass them to `deserialise(path, fill={…})`:\n"
            f"{lines}"
        )
        warn(PlaceholderWarning(text))
