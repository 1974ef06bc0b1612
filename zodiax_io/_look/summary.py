"""What is in a file, as data and as text, without importing or building any of it."""

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
from .._evolution.opaque import seen_by
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
from .items import Contents, Item, item_of, items_fitting
from .numbers import Picture
from .page import page_of
from .pictures import Arrays, from_file, pictures, with_numbers
from .terminal import print_lines
from .text import lines_of


@dataclass(frozen=True, repr=False)
class Summary(Contents):
    """What is in a file; printed, it is the tree.

    Attributes
    ----------
    file : str
        What the file is called.
    root : Item
        The tree, or the part of it that was asked for.
    metadata : Item or None
        The notes that were saved beside it.
    versions : dict of str to str
        The packages that wrote the file.
    differences : tuple of Difference
        How the packages and settings here differ from those of the file.
    size : int or None
        Bytes on the disk, of both files.
    saved : float or None
        When, in seconds since 1970.
    settings : dict
        The settings of JAX under which it was written.
    extras : tuple of str
        Names of what else is in the file, beside the tree and the notes.
    """

    def __repr__(self) -> str:
        """The tree, as at a prompt somebody wants to see it."""
        return str(self)

    def __str__(self) -> str:
        """The tree, as `zodiax-io show` prints it."""
        from .text import lines_of, text_of

        return text_of(lines_of(self, width=shutil.get_terminal_size().columns))

    def _repr_html_(self) -> str:
        """The same for a notebook: what holds others can be folded."""
        from .notebook import html_of

        return html_of(self)

    def __treescope_repr__(self, path: Any, render: Any) -> Any:
        """The same for treescope, which calls this."""
        from .treescope import rendering_of

        return rendering_of(self, path)


@resources_for("summarise the tree or file")
@without_tracing()
@without_collection
def summarise(
    path_or_tree: Any, at: str | None = None, *, values: bool = False
) -> Summary:
    """What is in a file, without loading it; or in a tree, as it would be saved.

    Nothing is imported and nothing built, so this is safe with any file, and needs none
    of its classes. Without `values` no array is read, so it is quick with any size.

    Parameters
    ----------
    path_or_tree : str, path, binary file or pytree
        What was given to `serialise`; the companion alone; a file of zodiax 0.4 or
        before; or a tree that is alive. Text is a path.
    at : str, optional
        The path of the part to look at: ``"optics.layers[0]"``.
    values : bool, default False
        Whether to read the arrays, one after another, for their `Statistics`. Of a
        structure file whose companion is missing there are none.

    Returns
    -------
    Summary
        The tree as data. Printed, it is text. In a notebook it is a tree that can be
        folded, with a small picture of each array that is listed; treescope draws it
        if that is installed. These pictures are made when they are seen, of arrays of
        up to 64 MiB.

    Raises
    ------
    ArgumentError
        If there is nothing at that path.
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
        return _of_file(path_or_tree, at, values)
    return _of_tree(path_or_tree, at, values)


def _of_file(path_or_file: Any, at: str | None, values: bool) -> Summary:
    with ExitStack() as stack:
        try:
            document, reader, name = stack.enter_context(
                opened(path_or_file, salvage=True)
            )
        except MissingFileError:
            (document, name), reader = _alone(path_or_file), None
        # `at` may be an element of a long list.
        structure = Structure.parse(document.tree, columns=at is None)
        root = item_of(structure, document.records)
        metadata = None
        if document.metadata is not None:
            metadata = item_of(Structure.parse(document.metadata, "metadata"))
        if at is not None:
            root = _at(root, at, name)
        if values and reader is not None:
            root = with_numbers(root, from_file(document, reader))
    size, saved = _on_disk(path_or_file)
    return Summary(
        _called(path_or_file, name),
        root,
        metadata,
        dict(document.versions),
        tuple(compare(document.versions, document.settings)),
        size,
        saved,
        _later(path_or_file) if reader is not None and is_path(path_or_file) else None,
        settings=settings_of(document.settings),
        extras=tuple(document.extras),
    )


def _of_tree(tree: Any, at: str | None, values: bool) -> Summary:
    found = locate(tree, {}, with_columns=at is None)
    arrays: list[Any] = []
    for node in found.structure.nodes:
        if id(node.plain) in found.sources:
            node.record = len(arrays)
            arrays.append(found.sources[id(node.plain)])

    def fetch(items: Sequence[Item]) -> Arrays:
        held: Arrays = {}
        for item in items:
            if item.record is None:
                continue
            try:
                held[item.record] = on_host(arrays[item.record])
            except RuntimeError as error:  # deleted, or given away to a computation
                held[item.record] = f"cannot be read: {shown(error)}"
        return held

    root = item_of(found.structure)
    if at is not None:
        root = _at(root, at, "The tree")
    if values:
        root = with_numbers(root, fetch)
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
    """Print what is in a file; or write it as one page for a browser.

    Parameters
    ----------
    path_or_tree, at, values : optional
        As for `summarise`.
    depth : int, optional
        How many levels to print.
    everything : bool, default False
        Whether to print each of many things that are alike.
    html : str or path, optional
        Where to write a page, instead of printing: ``"report.html"``. It needs no
        network and runs nothing but its own search; in it are the statistics and the
        pictures of all arrays, which are read for it.

    Raises
    ------
    ArgumentError
        If there is nothing at that path, or `html` does not end in ``.html``: a
        checkpoint is never written over.
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


def _alone(path_or_file: Any) -> tuple[Document, str]:
    """The document of a structure file whose companion is not there.

    Raises
    ------
    MissingFileError
        If there is no structure file either.
    """
    structure, companion = pair_of(path_or_file)
    if structure is None or not structure.exists():
        raise MissingFileError(f"There is no {shown(structure or companion, 400)}.")
    return unpack(read_structure(structure), structure.name), structure.name


def _called(path_or_file: Any, companion: str) -> str:
    """What a file is called by who gave its name."""
    structure = pair_of(path_or_file)[0] if is_path(path_or_file) else None
    if structure is not None and structure.exists():
        return shown(structure.name, 400)
    return shown(companion, 400)


def _on_disk(path_or_file: Any) -> tuple[int | None, float | None]:
    if not isinstance(path_or_file, (str, os.PathLike)):
        return None, None
    found = _stats_of(path_or_file)
    return sum(s.st_size for s in found), max((s.st_mtime for s in found), default=None)


def _stats_of(path: str | os.PathLike[str]) -> list[os.stat_result]:
    """What the system says of those files of a pair that are there."""
    return [os.stat(p) for p in pair_of(path) if p and os.path.exists(p)]


def _at(root: Item, at: str, name: str) -> Item:
    if any(token.is_glob for token in parse_glob(at, "at")):
        raise ArgumentError(f"`at` is one path, not a glob: {shown(repr(at))}.")
    found = items_fitting(root, at, "at")
    # A part comes before the whole: a key may be called as the root is.
    for item in [*(item for item in found if item is not root), *found]:
        return item
    held = ", ".join(f"`{shown(item.label)}`" for item in root.items[:20])
    raise ArgumentError(f"{name} has nothing at `{shown(at)}`. `model` holds {held}.")


def _later(path: str | os.PathLike[str]) -> Callable[[Sequence[Item]], Any]:
    """What reads a file again for its pictures, if it still is what it was."""
    stamp = _stamp(path)

    def look(items: Sequence[Item]) -> dict[int, Picture]:
        try:
            with warnings.catch_warnings(), opened(path, salvage=True) as found:
                warnings.simplefilter("ignore")  # said when the summary was made
                if _stamp(path) != stamp:
                    return {}
                return pictures(items, from_file(found[0], found[1]))
        except (ZodiaxIOError, OSError):  # gone, since
            return {}

    return look


def _stamp(path: str | os.PathLike[str]) -> list[tuple[int, ...]]:
    return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in _stats_of(path)]


seen_by(summarise)
