"""Summarise a file or a tree: import nothing, and build none of its objects."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._arrays.records import on_host
from .._errors import (
    ArgumentError,
    MissingFileError,
    ZodiaxIOError,
    check_flags,
    check_numbers,
    check_text,
    resources_for,
    shown,
)
from .._evolution.opaque import display_with
from .._evolution.packages import compare, settings_of
from .._files import commit
from .._files.checkpoint import (
    belongs_to_checkpoint,
    is_file,
    opened,
    pair_of,
    read_structure,
)
from .._files.document import Document, unpack
from .._files.path_argument import is_path
from .._interpreter import without_collection
from .._jax import without_tracing
from .._structure.globs import parse_glob
from .._structure.nodes import Structure
from .._tree.locate import locate
from .items import Contents, Item, item_of, items_matching
from .numbers import Picture
from .page import page_of
from .pictures import Arrays, from_file, pictures, with_statistics
from .terminal import print_lines
from .text import lines_of, text_of


@dataclass(frozen=True, repr=False)
class Summary(Contents):
    """Summary of a file or a tree, as data; printed, it is the tree as text.

    Attributes
    ----------
    file : str
        The name of the file.
    root : Item
        The root of the tree, or of the subtree at the given path.
    metadata : Item or None
        The metadata that was saved with the tree.
    versions : dict of str to str
        The versions of Python and of the packages that wrote the file.
    differences : tuple of Difference
        The packages and settings that differ between the file and this process.
    size : int or None
        Bytes on the disk, of the structure file and the companion together.
    saved : float or None
        The time of the last change of the file, in seconds since 1970.
    settings : dict
        The settings of JAX when the file was written.
    extras : tuple of str
        The names of the extras in the file.
    """

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return text_of(lines_of(self, width=shutil.get_terminal_size().columns))

    def _repr_html_(self) -> str:
        from .notebook import html_of

        return html_of(self)

    def __treescope_repr__(self, path: Any, render: Any) -> Any:
        from .treescope import rendering_of

        return rendering_of(self, path)


@resources_for("summarise the tree or file")
@without_tracing()
@without_collection
def summarise(
    path_or_tree: Any, at: str | None = None, *, values: bool = False
) -> Summary:
    """Summarise a file without loading it, or a pytree as it would be saved.

    It imports no module and builds no object that a file names: this is safe with any
    file, and works without its packages. Without `values` no array is read, so the size
    of the file does not matter.

    Parameters
    ----------
    path_or_tree : str, path, binary file or pytree
        A path or file as for `serialise`, a companion alone, a file of zodiax up to
        0.4, or a pytree in memory. Text is a path.
    at : str, optional
        The path of a subtree to summarise: ``"optics.layers[0]"``.
    values : bool, default False
        Whether to read the arrays, one after another, for their `Statistics`. If the
        companion of a structure file is missing, there are none.

    Returns
    -------
    Summary
        The tree as data. Printed, it is text. In a notebook it is a foldable tree with
        a small picture of each listed array, which treescope draws if it is installed.
        A notebook reads arrays of up to 64 MiB for the pictures when it shows them.

    Raises
    ------
    ArgumentError
        If the tree has no node at the path `at`.
    MissingFileError, NotAFileError, ReadError, UnknownFormatError, CorruptFileError
        If there is no such file, or it cannot be understood.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> zodiax_io.serialise("lens.zdx", {"radius": 2.0, "mask": jnp.ones((3, 4))})
    >>> print(zodiax_io.summarise("lens.zdx").root.items[1].type)
    f32[3,4]
    """
    check_text(at=at)
    check_flags(values=values)
    if is_file(path_or_tree):
        return _summarise_file(path_or_tree, at, values)
    return _summarise_tree(path_or_tree, at, values)


def _summarise_file(path_or_file: Any, at: str | None, values: bool) -> Summary:
    with ExitStack() as stack:
        try:
            document, reader, name = stack.enter_context(
                opened(path_or_file, salvage=True)
            )
        except MissingFileError:
            (document, name), reader = _without_companion(path_or_file), None
        # The path may lead to an element of a list that is saved as one array.
        structure = Structure.parse(document.tree, columns=at is None)
        root = item_of(structure, document.records)
        metadata = None
        if document.metadata is not None:
            metadata = item_of(Structure.parse(document.metadata, "metadata"))
        if at is not None:
            root = _item_at(root, at, name)
        if values and reader is not None:
            root = with_statistics(root, from_file(document, reader))
    size, saved = _size_and_time(path_or_file)
    can_read_again = reader is not None and is_path(path_or_file)
    return Summary(
        _display_name(path_or_file, name),
        root,
        metadata,
        dict(document.versions),
        tuple(compare(document.versions, document.settings)),
        size,
        saved,
        _picture_reader(path_or_file) if can_read_again else None,
        settings=settings_of(document.settings),
        extras=tuple(document.extras),
    )


def _summarise_tree(tree: Any, at: str | None, values: bool) -> Summary:
    found = locate(tree, {}, with_columns=at is None)
    arrays: list[Any] = []
    for node in found.structure.nodes:
        if id(node.plain) in found.sources:
            node.record = len(arrays)
            arrays.append(found.sources[id(node.plain)])

    def fetch(wanted: Sequence[int]) -> Arrays:
        read: Arrays = {}
        for number in wanted:
            try:
                read[number] = on_host(arrays[number])
            except RuntimeError as error:  # deleted, or donated to a computation
                read[number] = f"cannot be read: {shown(error)}"
        return read

    root = item_of(found.structure)
    if at is not None:
        root = _item_at(root, at, "The tree")
    if values:
        root = with_statistics(root, fetch)
    return Summary("", root, look=lambda items: pictures(items, fetch))


def show(
    path_or_tree: Any,
    at: str | None = None,
    *,
    values: bool = False,
    depth: int | None = None,
    everything: bool = False,
    html: str | os.PathLike[str] | None = None,
) -> None:
    """Print the summary of a file or a tree, or write it as an HTML page.

    Parameters
    ----------
    path_or_tree, at, values : optional
        As for `summarise`.
    depth : int, optional
        How many levels to print.
    everything : bool, default False
        Whether to print each of many similar items.
    html : str or path, optional
        Write a page to this file instead of printing: ``"report.html"``. It contains
        statistics and pictures of all arrays, which are read for it. It needs no
        network, and its policy lets no script run except its own.

    Raises
    ------
    ArgumentError
        If the tree has no node at the path `at`, or `html` does not end in ``.html`` or
        is the name of a checkpoint, which is never overwritten.
    MissingFileError, NotAFileError, ReadError, UnknownFormatError, CorruptFileError
        If there is no such file, or it cannot be understood.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> import zodiax_io
    >>> zodiax_io.show({"radius": 2.0, "mask": jnp.ones((3, 4))})
    model: dict                                                                 48 B
    ├─ ['radius'] = 2.0
    └─ ['mask']: f32[3,4]                                                       48 B
    1 array, 12 numbers, 48 B
    """
    check_flags(values=values, everything=everything)
    if depth is not None:
        check_numbers(0, depth=depth)
    if html is not None and not is_path(html):
        raise ArgumentError(f"`html` is the path of a file, not {shown(repr(html))}.")
    if html is not None and Path(html).suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(
            f"A page is written to a file that ends in `.html`, not to {shown(html)}."
        )
    if html is not None and belongs_to_checkpoint(Path(html)):
        raise ArgumentError(f"{shown(html, 400)} is a checkpoint: give another name.")
    summary = summarise(path_or_tree, at, values=values or html is not None)
    if html is None:
        width = shutil.get_terminal_size().columns
        print_lines(lines_of(summary, width=width, depth=depth, everything=everything))
    else:
        page = page_of(summary).encode()
        commit.commit(None, Path(html), lambda f: f.write(page) and b"", durable=False)


def _without_companion(path_or_file: Any) -> tuple[Document, str]:
    """The document of a structure file whose companion is missing.

    Raises
    ------
    MissingFileError
        If the structure file is missing as well.
    """
    structure, companion = pair_of(path_or_file)
    if structure is None or not structure.exists():
        raise MissingFileError(f"There is no {shown(structure or companion, 400)}.")
    return unpack(read_structure(structure), structure.name), structure.name


def _display_name(path_or_file: Any, companion: str) -> str:
    """The name of the structure file if there is one, else of the companion."""
    structure = pair_of(path_or_file)[0] if is_path(path_or_file) else None
    if structure is not None and structure.exists():
        return shown(structure.name, 400)
    return shown(companion, 400)


def _size_and_time(path_or_file: Any) -> tuple[int | None, float | None]:
    if not isinstance(path_or_file, (str, os.PathLike)):
        return None, None
    found = _stats_of(path_or_file)
    return sum(s.st_size for s in found), max((s.st_mtime for s in found), default=None)


def _stats_of(path: str | os.PathLike[str]) -> list[os.stat_result]:
    """The `os.stat` of each existing file of a pair."""
    return [os.stat(p) for p in pair_of(path) if p and os.path.exists(p)]


def _item_at(root: Item, at: str, name: str) -> Item:
    if any(token.is_glob for token in parse_glob(at, "at")):
        raise ArgumentError(f"`at` is one path, not a glob: {shown(repr(at))}.")
    found = items_matching(root, at, "at")
    if found:
        # The root comes last: a key may have the same name.
        return next((item for item in found if item is not root), root)
    labels = ", ".join(f"`{shown(item.label)}`" for item in root.items[:20])
    raise ArgumentError(
        f"{name} has nothing at `{shown(at)}`. `model` contains {labels or 'nothing'}."
    )


def _picture_reader(path: str | os.PathLike[str]) -> Callable[[Sequence[Item]], Any]:
    """A function that opens a file again for its pictures, if it is unchanged."""
    stamp = _stamp(path)

    def read_pictures(items: Sequence[Item]) -> dict[int, Picture]:
        try:
            with warnings.catch_warnings(), opened(path, salvage=True) as found:
                warnings.simplefilter("ignore")  # issued when the summary was made
                if _stamp(path) != stamp:
                    return {}
                return pictures(items, from_file(found[0], found[1]))
        except (ZodiaxIOError, OSError):  # deleted or damaged since
            return {}

    return read_pictures


def _stamp(path: str | os.PathLike[str]) -> list[tuple[int, ...]]:
    return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in _stats_of(path)]


display_with(summarise)
