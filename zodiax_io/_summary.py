"""What is in a file, as data and as text, without importing or building any of it."""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import _dtypes, _format
from ._compat import without_collection
from ._environment import compare
from ._errors import ArgumentError, MissingFileError, ZodiaxIOError, shown
from ._pair import PathOrFile, opened, pair_of, read_structure
from ._render import Item, Statistics, Summary, long_dtype, notation, value_of
from ._survey import Node, Path, children_of, label_of, short_path, walk


@without_collection()
def summarise(
    path_or_file: PathOrFile, at: str | None = None, *, values: bool = False
) -> Summary:
    """What is in a file, without loading it.

    Nothing is imported and nothing built, so this is safe with any file, and needs none
    of its classes. Without `values` no array is read, so it is quick with any size.

    Parameters
    ----------
    path_or_file : str, path or binary file
        What was given to `serialise`; the companion alone; or a file of zodiax 0.4 or
        before.
    at : str, optional
        The path of the part to look at: ``"optics.layers[0]"``.
    values : bool, default False
        Whether to read the arrays, one after another, for their `Statistics`. Of a
        structure file whose companion is missing there are none.

    Returns
    -------
    Summary
        The tree as data. Printed, it is text; in a notebook it is shown as a tree.

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
    with ExitStack() as stack:
        try:
            document, reader, name = stack.enter_context(
                opened(path_or_file, salvage=True)
            )
        except MissingFileError:
            (document, name), reader = _alone(path_or_file), None
        root = _item_of(document.tree, "model")
        metadata = None
        if document.metadata is not None:
            metadata = _item_of(document.metadata, "metadata")
        if at is not None:
            root = _at(root, at, name)
        if values and reader is not None:
            root = _with_statistics(root, document, reader)
    size, saved = _on_disk(path_or_file)
    return Summary(
        name,
        root,
        metadata,
        dict(document.versions),
        tuple(compare(document.versions)),
        size,
        saved,
    )


def _alone(path_or_file: Any) -> tuple[_format.Document, str]:
    """The document of a structure file whose companion is not there.

    Raises
    ------
    MissingFileError
        If there is no structure file either.
    """
    structure, companion = pair_of(path_or_file)
    if structure is None or not structure.exists():
        raise MissingFileError(f"There is no {structure or companion}.")
    return _format.unpack(read_structure(structure), structure.name), structure.name


def _on_disk(path_or_file: Any) -> tuple[int | None, float | None]:
    if not isinstance(path_or_file, (str, os.PathLike)):
        return None, None
    found = [os.stat(p) for p in pair_of(path_or_file) if p and os.path.exists(p)]
    return sum(s.st_size for s in found), max((s.st_mtime for s in found), default=None)


def _at(root: Item, at: str, name: str) -> Item:
    wanted = {at, f"{root.path}.{at}", f"{root.path}{at}"}
    for item in root.walk():
        if item.path in wanted:
            return item
    held = ", ".join(f"`{shown(item.label)}`" for item in root.items[:20])
    raise ArgumentError(f"{name} has nothing at `{shown(at)}`. `model` holds {held}.")


# Nodes as items -----------------------------------------------------------------------


def _item_of(structure: Node, root: str) -> Item:
    """The items of a structure; children first, without recursion."""
    nodes = list(walk(structure, root))
    by_id = {node["id"]: path for path, node in nodes if type(node.get("id")) is int}
    made: dict[int, list[Item]] = {}  # of one node; of a step of ours, what is below
    static = {id(child) for _, node in nodes for child in _static_of(node)}
    for path, node in reversed(nodes):
        items = [item for _, child in children_of(node) for item in made.pop(id(child))]
        if not isinstance(path, str) and path[1] and label_of(path[1], path[2]) == "":
            made[id(node)] = items
        else:
            item = _item(path, node, tuple(items), by_id, static=id(node) in static)
            made[id(node)] = [item]
    return made[id(structure)][0]


def _static_of(node: Node) -> list[Any]:
    names, children = node.get("static"), node.get("node")
    if not isinstance(names, list) or not isinstance(children, dict):
        return []
    return [children[name] for name in names if type(name) is str and name in children]


def _item(
    path: Path | str,
    node: Node,
    items: tuple[Item, ...],
    by_id: dict[int, Path | str],
    *,
    static: bool,
) -> Item:
    kind, words, value = str(node["kind"]), "", None
    arrays, nbytes = sum(i.arrays for i in items), sum(i.nbytes for i in items)
    if kind in _dtypes.ARRAY_NODES:
        words, nbytes = notation(node)
        arrays = 1
    elif kind == "same":
        number = node.get("value")
        seen = by_id.get(number) if type(number) is int else None
        words, value = "the same as", "" if seen is None else short_path(seen)
    elif type(node.get("type")) is str:
        words = shown(node["type"], 400)
    else:
        words = shown(kind)
    if value is None and "node" not in node and kind not in _dtypes.ARRAY_NODES:
        value = value_of(node)
    record = node.get("record")
    return Item(
        short_path(path),
        shown(path if isinstance(path, str) else _last(path), 200),
        kind,
        words,
        value,
        static,
        arrays,
        nbytes,
        items,
        record if type(record) is int and kind in _dtypes.ARRAY_NODES else None,
    )


def _last(path: Path) -> str:
    _, node, key = path
    return (f"key {key}" if node is None else label_of(node, key)).removeprefix(".")


# Statistics ---------------------------------------------------------------------------


def _with_statistics(root: Item, document: _format.Document, reader: Any) -> Item:
    """The same items, with what their arrays are like; each array is read alone."""
    entries = reader.entries(document.records)
    found: dict[int, Statistics | str] = {}
    for item in root.walk():
        number = item.record
        if number is None or item.kind == "key" or not 0 <= number < len(entries):
            continue
        try:
            arrays, faults = reader.read(entries, [number], verify=True)
            if number in faults:
                found[number] = f"damaged: {faults[number]}"
            else:
                found[number] = statistics_of(_plain(arrays[number], item))
        except (ZodiaxIOError, ValueError, TypeError) as error:
            found[number] = f"cannot be read: {error}"
    return _marked(root, found)


def _plain(array: NDArray[Any], item: Item) -> NDArray[Any]:
    """The numbers of a record under the dtype of its array."""
    try:
        return array.view(_dtypes.parse(long_dtype(item.type.partition("[")[0])))
    except (ValueError, TypeError):
        return array


def statistics_of(array: NDArray[Any]) -> Statistics | str:
    """What the numbers of an array are like."""
    if array.dtype.fields is not None or array.dtype.kind in "SUOM":
        return "no numbers"
    if array.dtype.kind == "m":
        return "durations"
    values = np.abs(array) if array.dtype.kind == "c" else array
    if values.dtype.kind not in "fiu":
        values = values.astype(np.float64 if values.dtype.kind != "b" else np.uint8)
    if values.dtype.kind == "f":
        nans = int(np.isnan(values).sum())
        values = values[np.isfinite(values)]
    else:
        nans = 0
    if values.size == 0:
        return Statistics(None, None, None, nans)
    mean = float(values.mean(dtype=np.float64))
    return Statistics(float(values.min()), float(values.max()), mean, nans)


def _marked(root: Item, found: dict[int, Statistics | str]) -> Item:
    made: dict[int, Item] = {}
    for item in reversed(list(root.walk())):
        items = tuple(made.pop(id(child)) for child in item.items)
        told = None if item.record is None else found.get(item.record)
        made[id(item)] = replace(item, items=items, statistics=told)
    return made[id(root)]
