"""What is in a file, as data and as text, without importing or building any of it."""

from __future__ import annotations

import functools
import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import xxhash
from numpy.typing import NDArray

from ._arrays.backend import Entry
from ._arrays.records import on_host
from ._errors import (
    LIMITS,
    ArgumentError,
    MissingFileError,
    ZodiaxIOError,
    check_flags,
    check_numbers,
    check_text,
    resources_for,
    shown,
)
from ._evolution.opaque import seen_by
from ._evolution.packages import compare, settings_of
from ._files import commit
from ._files.checkpoint import (
    holds_checkpoint,
    is_file,
    opened,
    pair_of,
    read_structure,
)
from ._files.document import Document, unpack
from ._files.path_argument import is_path
from ._jax import detached, without_collection
from ._kinds import base
from ._kinds.columns import array_of, elements_of
from ._show import (
    Item,
    Picture,
    Statistics,
    Summary,
    dotted,
    lines_of,
    notation,
    page_of,
    picture_of,
    print_lines,
    statistics_of,
    value_of,
)
from ._structure.nodes import Node, children_of
from ._structure.paths import label_of
from ._structure.survey import walk, without_columns
from ._tree.locate import locate
from ._tree.restore import logical


@resources_for("summarise the tree or file")
@detached()
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
        if at is not None:  # it may be an element
            without_columns(document.tree)
        root = _item_of(document.tree, "model", document.records)
        metadata = None
        if document.metadata is not None:
            metadata = _item_of(document.metadata, "metadata")
        if at is not None:
            root = _at(root, at, name)
        if values and reader is not None:
            root = _with_numbers(root, _from_file(document, reader))
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
    )


def _of_tree(tree: Any, at: str | None, values: bool) -> Summary:
    found = locate(tree, {}, with_columns=at is None)
    arrays: list[Any] = []
    for _, node in walk(found.structure):
        if id(node) in found.sources:
            node["record"] = len(arrays)
            arrays.append(found.sources[id(node)])

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

    root = _item_of(found.structure, "model")
    if at is not None:
        root = _at(root, at, "The tree")
    if values:
        root = _with_numbers(root, fetch)
    return Summary("", root, look=lambda items: _pictures(items, fetch))


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
    if html is not None and holds_checkpoint(Path(html)):
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
    # What is below the root comes first: a key may be called as the root is.
    wanted = dotted(at) if at.startswith("[") else f".{dotted(at)}"
    whole = f".{root.path}"
    for item in root.walk():
        below = dotted(item.path)[len(root.path) :]
        if item is not root and wanted in (below, f"{whole}{below}"):
            return item
    if wanted == whole:
        return root
    held = ", ".join(f"`{shown(item.label)}`" for item in root.items[:20])
    raise ArgumentError(f"{name} has nothing at `{shown(at)}`. `model` holds {held}.")


# Nodes as items -----------------------------------------------------------------------


_LONGEST = 2048


def _item_of(structure: Node, root: str, records: Sequence[Any] = ()) -> Item:
    """The items of a structure; children first, without recursion."""
    nodes = list(walk(structure, root))
    static = {id(child) for _, node in nodes for child in _static_of(node)}
    # The text of each path is made once: of its parent's, and a label. It is cut, for
    # in a deep tree with long keys all of them would take far more than the file.
    texts: dict[int, tuple[str, str]] = {}
    for path, _ in nodes:
        if isinstance(path, str):
            texts[id(path)] = path, path
            continue
        above, node, key = path
        label = f".keys[{key}]" if node is None else label_of(node, key)
        texts[id(path)] = f"{texts[id(above)][0]}{label}"[:_LONGEST], label
    by_id = {
        node["id"]: (texts[id(path)][0], node)
        for path, node in nodes
        if type(node.get("id")) is int
    }
    made: dict[int, list[Item]] = {}  # of one node; of a step of ours, what is below
    for path, node in reversed(nodes):
        items = [item for _, child in children_of(node) for item in made.pop(id(child))]
        text, label = texts[id(path)]
        if label:
            label = f"key {path[2]}" if path[1] is None else label.removeprefix(".")
            made[id(node)] = [
                _item(text, label, node, items, by_id, records, id(node) in static)
            ]
        else:
            made[id(node)] = items
    return made[id(structure)][0]


def _digest_of(record: int | None, records: Sequence[Any]) -> str | None:
    if record is None or not 0 <= record < len(records):
        return None
    entry = records[record]
    check = entry[2] if isinstance(entry, list) and len(entry) > 2 else None
    return f"{check:016x}" if type(check) is int and 0 <= check < 2**64 else None


def _static_of(node: Node) -> list[Any]:
    names, children = node.get("static"), node.get("node")
    if not isinstance(names, list) or not isinstance(children, dict):
        return []
    return [children[name] for name in names if type(name) is str and name in children]


def _item(
    path: str,
    label: str,
    node: Node,
    items: Sequence[Item],
    by_id: dict[int, tuple[str, Node]],
    records: Sequence[Any],
    static: bool,
) -> Item:
    kind, value, record, digest = str(node["kind"]), None, None, None
    statistics, picture = None, None
    arrays = numbers = nbytes = 0
    if kind in base.ARRAY_NODES:
        arrays = 1
        words, numbers, nbytes = notation(node)
        record = node["record"] if type(node.get("record")) is int else None
        digest = _digest_of(record, records)
    elif kind == "same":
        number = node.get("value")
        seen = by_id.get(number) if type(number) is int else None
        plain = None if seen is None else _inline(seen[1])
        if seen is not None and plain is not None:  # that it is shared means nothing
            kind = words = str(seen[1]["kind"])
            value = plain
        else:
            words, value = "the same as", "" if seen is None else shown(seen[0], 512)
    elif kind == "column":
        words, value, statistics, picture = _of_column(node)
        digest = xxhash.xxh3_64_hexdigest(repr(node.get("value")).encode())
    else:
        words = shown(node["type"], 400) if type(node.get("type")) is str else kind
        if kind == "closure":
            words = _of_local_function(node, words)
        value = _inline(node) if "node" in node else value_of(node)
        if value is not None and value.endswith("…"):
            digest = xxhash.xxh3_64_hexdigest(repr(node.get("value")).encode())
    for item in items:
        arrays += item.arrays
        numbers += item.numbers
        nbytes += item.nbytes
    return Item(
        shown(path, 512),
        shown(label, 200),
        kind,
        shown(words, 400),
        value,
        static,
        arrays,
        numbers,
        nbytes,
        tuple(items),
        record,
        statistics,
        picture,
        digest,
    )


def _of_local_function(node: Node, maker: str) -> str:
    """Module and place of a local function, whose node names what made it."""
    value = node.get("value")
    place = value.get("place") if isinstance(value, dict) else None
    module = maker.partition(":")[0]
    return f"{module}:{shown(place)}" if type(place) is str else maker


def _of_column(
    node: Node,
) -> tuple[str, str | None, Statistics | str | None, Picture | None]:
    """A long list as one item: its type, its ends, and the curve of its numbers."""
    try:
        elements = elements_of(node.get("value"))
        array = array_of(node["value"])
    except ValueError:
        return "column", None, None, None
    ends = [shown(repr(x), 40) for x in (*elements[:2], *elements[-1:])]
    brackets = _BRACKETS[node["value"]["container"]]
    text = f"{brackets[0]}{ends[0]}, {ends[1]}, …, {ends[2]}{brackets[1]}"
    words = f"{node['value']['container']} of {len(elements)} {node['value']['of']}"
    if array is None:
        return words, text, None, None
    statistics, picture = _numbers(array)
    return words, text, statistics, picture


_BRACKETS = {"tuple": "()", "list": "[]"}


def _inline(node: Node) -> str | None:
    """A short tuple or list of plain values, as Python writes it."""
    children = node.get("node")
    brackets = _BRACKETS.get(str(node["kind"]))
    if brackets is None or not isinstance(children, list) or len(children) > 8:
        return None
    parts: list[str] = []
    for child in children:
        text = value_of(child) if child["kind"] in _SHORT else None
        if text is None:
            return None
        parts.append(text)
    comma = "," * (len(parts) == 1 and node["kind"] == "tuple")
    text = f"{brackets[0]}{', '.join(parts)}{comma}{brackets[1]}"
    return text if len(text) <= 40 else None


_SHORT = ("none", "bool", "int", "float", "complex", "str")


# Numbers and pictures -----------------------------------------------------------------

_TOGETHER = 1 << 26  # bytes of arrays that are read at a time
# Bytes that are read for the sake of pictures: of one array, and of all together.
_QUICK, _QUICKLY = 1 << 26, 1 << 28

# Arrays by the number of their record; text says why there is none.
Arrays = dict[int, NDArray[Any] | str]
Fetch = Callable[[Sequence[Item]], Arrays]


def _from_file(document: Document, reader: Any) -> Fetch:
    nodes = {
        node["record"]: node
        for _, node in walk(document.tree)
        if type(node.get("record")) is int and node["kind"] in base.ARRAY_NODES
    }

    @functools.cache
    def entries() -> list[Entry]:
        return reader.entries(document.records)

    def fetch(items: Sequence[Item]) -> Arrays:
        wanted = [item.record for item in items if item.record is not None]
        try:
            known = [n for n in wanted if n in nodes and 0 <= n < len(entries())]
            arrays, faults = reader.read(entries(), known, verify=True)
        except LIMITS:
            raise
        except (ZodiaxIOError, ValueError, TypeError) as error:
            return dict.fromkeys(wanted, f"cannot be read: {error}")
        found: Arrays = {number: f"damaged: {faults[number]}" for number in faults}
        for number, array in arrays.items():
            try:
                found[number] = logical(array, nodes[number])
            except (ValueError, TypeError, KeyError) as error:
                found[number] = f"cannot be read: {error}"
        return found

    return fetch


def _in_groups(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The arrays among the items, as many as are read at a time."""
    group: list[Item] = []
    size = 0
    for item in items:
        if item.record is None or item.kind == "key":
            continue
        if group and size + item.nbytes > _TOGETHER:
            yield group
            group, size = [], 0
        group.append(item)
        size += item.nbytes
    if group:
        yield group


def _with_numbers(root: Item, fetch: Fetch) -> Item:
    """The same items, with what their arrays are like; few are held at a time."""
    found: dict[int, tuple[Statistics | str, Picture | None]] = {}
    for group in _in_groups(root.walk()):
        for number, array in fetch(group).items():
            found[number] = _numbers(array)
    made: dict[int, Item] = {}
    for item in reversed(list(root.walk())):
        items = tuple(made.pop(id(child)) for child in item.items)
        told = None if item.record is None else found.get(item.record)
        statistics, picture = (None, None) if told is None else told
        made[id(item)] = replace(
            item, items=items, statistics=statistics, picture=picture
        )
    return made[id(root)]


def _numbers(array: NDArray[Any] | str) -> tuple[Statistics | str, Picture | None]:
    if isinstance(array, str):
        return array, None
    statistics = statistics_of(array)
    if isinstance(statistics, str):
        return statistics, None
    return statistics, picture_of(array, statistics)


def _pictures(items: Sequence[Item], fetch: Fetch) -> dict[int, Picture]:
    """Pictures of those that are soon read."""
    left, few = _QUICKLY, list[Item]()
    for item in items:
        if item.nbytes <= min(left, _QUICK):
            few.append(item)
            left -= item.nbytes
    found: dict[int, Picture] = {}
    for group in _in_groups(few):
        for number, array in fetch(group).items():
            _, picture = _numbers(array)
            if picture is not None:
                found[number] = picture
    return found


def _later(path: str | os.PathLike[str]) -> Callable[[Sequence[Item]], Any]:
    """What reads a file again for its pictures, if it still is what it was."""
    stamp = _stamp(path)

    def look(items: Sequence[Item]) -> dict[int, Picture]:
        try:
            with warnings.catch_warnings(), opened(path, salvage=True) as found:
                warnings.simplefilter("ignore")  # said when the summary was made
                if _stamp(path) != stamp:
                    return {}
                return _pictures(items, _from_file(found[0], found[1]))
        except (ZodiaxIOError, OSError):  # gone, since
            return {}

    return look


def _stamp(path: str | os.PathLike[str]) -> list[tuple[int, ...]]:
    return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in _stats_of(path)]


seen_by(summarise)
