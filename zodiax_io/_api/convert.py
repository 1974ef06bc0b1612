"""Convert a file of an older format to the present one, without building its tree."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .._arrays.backend import Sink, read_whole
from .._arrays.backends import backend_for_suffix, options_of
from .._arrays.records import record_of
from .._errors import CorruptFileError, resources_for
from .._files.checkpoint import PathOrFile, loaded_file, opened, paths_of
from .._files.document import pack
from .._files.extras import paths_in
from .._files.path_argument import is_path
from .._files.saving import check_writable, commit_checkpoint
from .._structure.nodes import MAX_DEPTH, Structure
from .._structure.paths import root_path
from .._structure.uses import uses_of
from .._trust.judge import Judge


@resources_for("convert the file")
def convert(
    source: PathOrFile,
    target: PathOrFile,
    *,
    trusted: Sequence[Any] | str = (),
    renames: Mapping[str, Any] | None = None,
) -> None:
    """Write a file again in the present format, with the same structure and arrays.

    The classes in the file need not be importable, except those that an old file of
    zodiax does not describe fully: namedtuples, and classes whose static fields it does
    not list.

    Parameters
    ----------
    source : str, path or binary file
        A file of zodiax 0.4 or before, or a checkpoint of zodiax_io.
    target : str, path or binary file
        The file to write, as for `serialise`. It may be the source itself:
        ``convert("fit.eqx", "fit.zdx")`` turns a single file into a pair.
    trusted, renames : optional
        As for `deserialise`.

    Raises
    ------
    ZodiaxIOError
        As `deserialise` and `serialise` do.

    Warns
    -----
    OldFileWarning
        If the file lacks data that loading will not report as a missing field.

    Examples
    --------
    >>> import zodiax_io
    >>> zodiax_io.serialise("state.zdx", [1.5])
    >>> zodiax_io.convert("state.zdx", "again.zdx")
    >>> zodiax_io.deserialise("again.zdx")
    [1.5]
    """
    suffix = Path(target).suffix if is_path(target) else ""
    backend = backend_for_suffix(suffix)
    if not is_path(target):
        check_writable(target)
    with opened(source) as (document, reader, name):
        file = os.stat(loaded_file(source)) if is_path(source) else None
        if reader.needs:
            judge = Judge(trusted, renames)
            document = reader.complete_document(document, judge)
            uses = uses_of(Structure.parse(document.tree))
            judge.audit(uses, name, needed=reader.needs)
        entries = reader.entries(document.records)
        arrays = read_whole(reader, entries, range(len(entries)), name)
    paths = paths_of(document)
    for extra in document.extras:
        with contextlib.suppress(CorruptFileError):  # it is copied unchanged
            paths |= paths_in(document, extra, name)
    records = [record_of(arrays[number]) for number in range(len(entries))]
    for number, record in enumerate(records):
        record.path = paths.get(number, root_path(f"[{number}]"))

    def structure(index: list[Any]) -> bytes:
        updated = dataclasses.replace(
            document, records=index, backend=options_of(backend)
        )
        return pack(updated, MAX_DEPTH)

    def write(sink: Sink) -> bytes:
        return backend.write(sink, records, structure)

    size = sum(record.nbytes for record in records)
    commit_checkpoint(
        target, write, durable=True, suffix=backend.suffix, size=size, source=file
    )
