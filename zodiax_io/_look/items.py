"""Summary of a tree as data: an `Item` for each node."""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import xxhash
from numpy.typing import NDArray

from .._arrays import dtypes
from .._errors import (
    check_numbers,
    check_text,
    shown,
)
from .._evolution.packages import Difference
from .._kinds.lookup import row_named
from .._structure.globs import start_of_texts, step_of_label, steps_of_text
from .._structure.nodes import REFERENCE, Node, Structure
from .._structure.paths import Path, label_in
from .numbers import Picture, Statistics, picture_of, statistics_of


@dataclass(frozen=True, slots=True)
class Item:
    """A node of a tree: an array, a value or a container.

    Attributes
    ----------
    path : str
        The path: ``model.layers[0].weight``.
    label : str
        The last step of the path.
    kind : str
        The kind of the node in the file; the documentation lists all kinds.
    type : str
        ``f32[3,4]`` for an array; ``package.module:Name`` for an object of a class;
        otherwise the kind.
    value : str or None
        The value as Python writes it; None for arrays and most containers.
    static : bool
        Whether it is part of the treedef and not a leaf.
    arrays, numbers, nbytes : int
        The number of arrays in it, of their elements and of their bytes.
    items : tuple of Item
        The children.
    record : int or None
        The index of the record of the companion that contains the array.
    statistics : Statistics, str or None
        Statistics of the array, if requested; text says why there are none.
    picture : Picture or None
        The array as notebooks and reports draw it.
    digest : str or None
        A checksum of an array in a file, or of a value too long to be shown in full.
    """

    path: str
    label: str
    kind: str
    type: str
    value: str | None = None
    static: bool = False
    arrays: int = 0
    numbers: int = 0
    nbytes: int = 0
    items: tuple[Item, ...] = ()
    record: int | None = None
    statistics: Statistics | str | None = None
    picture: Picture | None = None
    digest: str | None = None

    def walk(self) -> Iterator[Item]:
        """The item itself and all below it, parents first."""
        waiting: list[Item] = [self]
        while waiting:
            item = waiting.pop()
            yield item
            waiting.extend(reversed(item.items))

    def as_dict(self) -> dict[str, Any]:
        """The item as plain data, for JSON; without attributes that are empty."""
        made: dict[int, dict[str, Any]] = {}
        for item in reversed(list(self.walk())):  # not by recursion: trees are deep
            data = item._own_data()
            if item.items:
                data["items"] = [made.pop(id(child)) for child in item.items]
            made[id(item)] = data
        return made[id(self)]

    def _own_data(self) -> dict[str, Any]:
        data: dict[str, Any] = {"path": self.path, "kind": self.kind, "type": self.type}
        if self.value is not None:
            data["value"] = self.value
        if self.static:
            data["static"] = True
        if self.arrays:
            data |= {"arrays": self.arrays, "numbers": self.numbers}
            data["nbytes"] = self.nbytes
        if self.statistics is not None:
            data["statistics"] = plain_statistics(self.statistics)
        return data


def plain_statistics(statistics: Statistics | str) -> dict[str, Any] | str:
    """Statistics as plain data, for JSON."""
    return statistics if isinstance(statistics, str) else asdict(statistics)


@dataclass(frozen=True, repr=False)
class Contents:
    """The attributes of a `Summary`, without its methods that show them."""

    file: str
    root: Item
    metadata: Item | None = None
    versions: dict[str, str] = field(default_factory=dict[str, str])
    differences: tuple[Difference, ...] = ()
    size: int | None = None
    saved: float | None = None
    # Makes pictures of arrays when a notebook shows them, by the index of the record.
    look: Callable[[Sequence[Item]], Mapping[int, Picture]] | None = field(
        default=None, repr=False, compare=False
    )
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    extras: tuple[str, ...] = ()

    def pictures(self, items: Sequence[Item]) -> dict[int, Picture]:
        """Pictures of the arrays among some items, by the index of their record."""
        found = {i.record: i.picture for i in items if i.record is not None}
        if self.look is not None and None in found.values():
            found |= self.look([item for item in items if item.record is not None])
        return {number: picture for number, picture in found.items() if picture}

    def as_dict(self) -> dict[str, Any]:
        """The summary as plain data, for JSON."""
        return {
            "file": self.file,
            "size": self.size,
            "saved": None if self.saved is None else date_of(self.saved),
            "versions": self.versions,
            "settings": self.settings,
            "differences": [vars(difference) for difference in self.differences],
            "metadata": None if self.metadata is None else self.metadata.as_dict(),
            "extras": list(self.extras),
            "tree": self.root.as_dict(),
        }

    def found(
        self,
        pattern: str | None = None,
        *,
        dtype: str | None = None,
        cls: str | None = None,
        larger: int = 0,
    ) -> list[Item]:
        """The items that match all given criteria.

        Parameters
        ----------
        pattern : str, optional
            A glob for paths, as for ``only=`` in `deserialise`: ``"**.bias"``.
        dtype : str, optional
            The dtype of an array: ``"f32"``, or ``"float32"``.
        cls : str, optional
            A glob for the class, with or without its module: ``"Linear"``.
        larger : int, default 0
            The least number of bytes of the arrays in an item.

        Returns
        -------
        list of Item
            In the order of the tree, without their children.

        Raises
        ------
        ArgumentError
            If an argument has another type than these, or a glob is not a path.
        """
        check_text(pattern=pattern, dtype=dtype, cls=cls)
        check_numbers(0, larger=larger)
        items: Iterable[Item] = self.root.walk()
        if pattern is not None:
            items = items_matching(self.root, pattern, "pattern")
        result: list[Item] = []
        for item in items:
            name = item.type.rpartition(":")[2]
            if (
                (dtype is None or _is_of_dtype(item, dtype))
                and (cls is None or _matches(cls, item.type, name))
                and item.nbytes >= larger
            ):
                result.append(replace(item, items=()) if item.items else item)
        return result


def items_matching(root: Item, glob: str, argument: str) -> list[Item]:
    """The items whose paths match a glob, in the order of the tree.

    Raises
    ------
    ArgumentError
        If the glob is not a path; the error names the argument.
    """
    position = start_of_texts([glob], "model", argument)
    for step in steps_of_text(root.path)[1:]:  # the root may be a subtree
        position = position.after(step)
    found: list[Item] = []
    waiting = [(root, position)]
    while waiting:
        item, position = waiting.pop()
        if position.ends:
            found.append(item)
        for child in reversed(item.items if position else ()):
            waiting.append((child, position.after(step_of_label(child.label))))
    return found


def _matches(pattern: str, *texts: str) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for text in texts)


def _is_of_dtype(item: Item, dtype: str) -> bool:
    name = item.type.partition("[")[0]
    is_array = row_named(item.kind).array is not None
    return is_array and name in (dtype, short_dtype(dtype))


_SHORT = {
    f"{kind}{bits}": f"{kind[0]}{bits}"
    for kind in ("int", "uint", "float", "complex")
    for bits in (2, 4, 8, 16, 32, 64, 128)
} | {"bfloat16": "bf16"}


def short_dtype(dtype: Any) -> str:
    """A dtype in JAX's short form: ``f32`` for ``float32``."""
    if type(dtype) is not str:
        return "struct"
    return _SHORT.get(dtype, shown(dtype, 40))


def notation(node: Node) -> tuple[str, int, int]:
    """An array in JAX's notation, its number of elements and its number of bytes."""
    dtype, shape = node.plain.get("dtype"), node.plain.get("shape")
    try:
        lengths = dtypes.plain_shape(shape)
        numbers = math.prod(lengths)
        nbytes = numbers * dtypes.parse(dtype).itemsize
    except (ValueError, TypeError):
        return "an array", 0, 0
    if nbytes >= 2**63:
        return "an array too large for any memory", 0, 0
    array = node.kind.array
    if array == "key":
        name, lengths = f"key<{shown(node.plain.get('impl'))}>", lengths[:-1]
    else:
        name = short_dtype(dtype)
    text = f"{name}[{','.join(map(str, lengths))}]"
    return f"{text} numpy" if array == "numpy" else text, numbers, nbytes


def date_of(seconds: float) -> str:
    """A time in seconds since 1970 as ``2026-11-21 23:43``, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def counted(number: int, word: str) -> str:
    """A number with its noun: ``1 array``, ``1,200 arrays``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def size_of(nbytes: int) -> str:
    """A number of bytes with three digits and a unit: ``1.49 GB``."""
    size = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{nbytes} B"
        size /= 1000
    return f"{size:.3g} TB"


# Nodes as items -----------------------------------------------------------------------

# Longer paths are cut: in a deep tree with long keys, all of them would take far more
# memory than the file.
_MAX_PATH = 2048


def item_of(structure: Structure, records: Sequence[Any] = ()) -> Item:
    """The item of the root of a structure, made children first, without recursion."""
    # The text and the label of each path, from those of its parent.
    texts: dict[int, tuple[str, str]] = {}
    for node in structure.nodes:
        texts[id(node.path)] = _text_of(node.path, texts)
    # The item of each node; the items of its children, if it has no label.
    made: dict[int, list[Item]] = {}
    for node in reversed(structure.nodes):
        static = node.static
        items: list[Item] = []
        for step, child in node.below():
            is_static = step in static
            if node.has_first(step, child):
                below = made.pop(id(child))
                if texts[id(child.path)][1] and is_static:
                    below = [replace(below[0], static=True)]
                items += below
            else:
                text, label = _text_of((node.path, node.plain, step), texts)
                if label:
                    first = texts[id(child.path)][0]
                    items.append(_repeated(text, label, child, first, is_static))
        text, label = texts[id(node.path)]
        if label:
            items = [_item_of_node(text, label, node, items, records)]
        made[id(node)] = items
    return made[id(structure.root)][0]


def _text_of(path: Path, texts: dict[int, tuple[str, str]]) -> tuple[str, str]:
    """The text of a path, and the label of its last step; "" if that is not shown."""
    above, node, step = path
    if above is None:
        return step, step
    label = label_in(node, step)
    text = f"{texts[id(above)][0]}{label}"[:_MAX_PATH]
    if label:
        label = f"key {step}" if node is None else label.removeprefix(".")
    return text, label


def _repeated(path: str, label: str, node: Node, first: str, static: bool) -> Item:
    """The item of a shared node at a path that is not its first."""
    value = _inline(node)
    if value is not None:  # Python shares constants, so this says nothing
        kind = text = node.kind_name
    else:
        kind, text, value = REFERENCE, "the same as", shown(first, 512)
    return Item(shown(path, 512), shown(label, 200), kind, text, value, static)


def _digest_of(record: int | None, records: Sequence[Any]) -> str | None:
    """The checksum of a record as text, if the file has a valid one."""
    if record is None or not 0 <= record < len(records):
        return None
    entry = records[record]
    check = entry[2] if isinstance(entry, list) and len(entry) > 2 else None
    return f"{check:016x}" if type(check) is int and 0 <= check < 2**64 else None


def _item_of_node(
    path: str, label: str, node: Node, items: Sequence[Item], records: Sequence[Any]
) -> Item:
    value, record, digest = None, None, None
    statistics, picture = None, None
    arrays = numbers = nbytes = 0
    look, plain = node.kind.look, node.plain
    if node.kind.array is not None:
        arrays = 1
        text, numbers, nbytes = notation(node)
        record = node.record
        digest = _digest_of(record, records)
    else:
        text = look.type(plain)
        value = look.value(plain) if node.children is None else _inline(node)
        is_column = node.kind.expand is not None
        if is_column and look.numbers is not None:
            column = look.numbers(plain)
            if column is not None:
                statistics, picture = statistics_and_picture(column)
        if is_column or (value is not None and value.endswith("…")):
            digest = xxhash.xxh3_64_hexdigest(repr(plain.get("value")).encode())
    for item in items:
        arrays += item.arrays
        numbers += item.numbers
        nbytes += item.nbytes
    return Item(
        shown(path, 512),
        shown(label, 200),
        node.kind_name,
        shown(text, 400),
        value,
        False,
        arrays,
        numbers,
        nbytes,
        tuple(items),
        record,
        statistics,
        picture,
        digest,
    )


def _inline(node: Node) -> str | None:
    """A short tuple or list of plain values as Python writes it; None for others."""
    children, items = node.children, node.kind.look.items
    if items is None or not isinstance(children, list) or len(children) > 8:
        return None
    values: list[str] = []
    for index, child in enumerate(children):
        look = child.kind.look
        is_inline = look.inline and node.has_first(index, child)
        text = look.value(child.plain) if is_inline else None
        if text is None:
            return None
        values.append(text)
    text = items(values)
    return text if len(text) <= 40 else None


def statistics_and_picture(
    array: NDArray[Any] | str,
) -> tuple[Statistics | str, Picture | None]:
    """Statistics and picture of an array, or the reason why there are none."""
    if isinstance(array, str):
        return array, None
    statistics = statistics_of(array)
    if isinstance(statistics, str):
        return statistics, None
    return statistics, picture_of(array, statistics)
