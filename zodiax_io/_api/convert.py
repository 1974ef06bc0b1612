"""A file of an older format to the two files of today's, without building its tree."""

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
    """Write a file again in today's format: structure and arrays, as they are.

    The classes that the file names need not be there, but for those without which an
    old file of zodiax cannot be understood: namedtuples, and classes of which it does
    not tell which fields were static.

    Parameters
    ----------
    source : str, path or binary file
        A file of zodiax 0.4 or before, or a checkpoint of zodiax_io.
    target : str, path or binary file
        Where to save, as for `serialise`. It may be the source, and make a pair of a
        companion alone (``convert("fit.eqx", "fit.zdx")``).
    trusted, renames : optional
        As for `deserialise`.

    Raises
    ------
    ZodiaxIOError
        As `deserialise` and `serialise` do.

    Warns
    -----
    OldFileWarning
        If the file did not keep something that no missing field will tell of.

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
        with contextlib.suppress(CorruptFileError):  # it is passed on as it is
            paths |= paths_in(document, extra, name)
    records = [record_of(arrays[number]) for number in range(len(entries))]
    for number, record in enumerate(records):
        record.path = paths.get(number, root_path(f"[{number}]"))

    def structure(index: list[Any]) -> bytes:
        again = dataclasses.replace(
            document, records=index, backend=options_of(backend)
        )
        return pack(again, MAX_DEPTH)

    def write(sink: Sink) -> bytes:
        return backend.write(sink, records, structure)

    size = sum(record.nbytes for record in records)
    commit_checkpoint(
        target, write, durable=True, suffix=backend.suffix, size=size, source=file
    )
