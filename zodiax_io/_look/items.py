"""What is in a file, as data: an item for each thing in the tree."""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """One thing in a file: an array, a value, or what holds others.

    Attributes
    ----------
    path : str
        Where it is: ``model.layers[0].weight``.
    label : str
        The last step of it.
    kind : str
        What the file calls it; the page of kinds lists all.
    type : str
        ``f32[3,4]`` for an array; a class as ``package.module:Name``; the kind of
        anything else.
    value : str or None
        What it is, in Python's words; None for arrays and what holds others.
    static : bool
        Whether it is no leaf to JAX, but part of the treedef.
    arrays, numbers, nbytes : int
        How many arrays are in it, how many numbers these have, and how many bytes.
    items : tuple of Item
        What is in it.
    record : int or None
        Which record of the companion holds the array.
    statistics : Statistics, str or None
        What the numbers of the array are like, if asked for; or why that is not known.
    picture : Picture or None
        The array as notebooks and reports draw it.
    digest : str or None
        What tells an array of a file, or a value that is cut, from another one.
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
        """The item itself, and all in it."""
        waiting: list[Item] = [self]
        while waiting:
            item = waiting.pop()
            yield item
            waiting.extend(reversed(item.items))

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON; without what it has not."""
        made: dict[int, dict[str, Any]] = {}
        for item in reversed(list(self.walk())):  # not by recursion: trees are deep
            told = item._alone()
            if item.items:
                told["items"] = [made.pop(id(child)) for child in item.items]
            made[id(item)] = told
        return made[id(self)]

    def _alone(self) -> dict[str, Any]:
        told: dict[str, Any] = {"path": self.path, "kind": self.kind, "type": self.type}
        if self.value is not None:
            told["value"] = self.value
        if self.static:
            told["static"] = True
        if self.arrays:
            told |= {name: getattr(self, name) for name in _TOTALS}
        if isinstance(self.statistics, Statistics):
            told["statistics"] = {
                name: getattr(self.statistics, name) for name in Statistics.__slots__
            }
        elif self.statistics is not None:
            told["statistics"] = self.statistics
        return told


_TOTALS = ("arrays", "numbers", "nbytes")


@dataclass(frozen=True, repr=False)
class Contents:
    """What a `Summary` holds, without the forms in which it is shown."""

    file: str
    root: Item
    metadata: Item | None = None
    versions: dict[str, str] = field(default_factory=dict[str, str])
    differences: tuple[Difference, ...] = ()
    size: int | None = None
    saved: float | None = None
    # Pictures of arrays by record, for who looks at them: soon made, or not at all.
    look: Callable[[Sequence[Item]], Mapping[int, Picture]] | None = field(
        default=None, repr=False, compare=False
    )
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    extras: tuple[str, ...] = ()

    def pictures(self, items: Sequence[Item]) -> dict[int, Picture]:
        """Pictures of the arrays among some items, by the number of their record."""
        found = {i.record: i.picture for i in items if i.record is not None}
        if self.look is not None and None in found.values():
            found |= self.look([item for item in items if item.record is not None])
        return {number: picture for number, picture in found.items() if picture}

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
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
        """The items that fit all that is given.

        Parameters
        ----------
        pattern : str, optional
            A glob for paths, as for ``only=`` in `deserialise`: ``"**.bias"``.
        dtype : str, optional
            Of arrays: ``"f32"``, or ``"float32"``.
        cls : str, optional
            A glob for the class, or the last part of its name: ``"Linear"``.
        larger : int, default 0
            Bytes that the arrays in it have at least.

        Returns
        -------
        list of Item
            In the order of the tree, without what they hold.

        Raises
        ------
        ArgumentError
            If an argument is of another type than these, or a glob is not a path.
        """
        check_text(pattern=pattern, dtype=dtype, cls=cls)
        check_numbers(0, larger=larger)
        items: Iterable[Item] = self.root.walk()
        if pattern is not None:
            items = items_fitting(self.root, pattern, "pattern")
        result: list[Item] = []
        for item in items:
            name = item.type.rpartition(":")[2]
            if (
                (dtype is None or _is_of_dtype(item, dtype))
                and (cls is None or any(map(_globbing(cls), (item.type, name))))
                and item.nbytes >= larger
            ):
                result.append(replace(item, items=()) if item.items else item)
        return result


def items_fitting(root: Item, glob: str, argument: str) -> list[Item]:
    """The items whose paths a glob fits, in the order of the tree.

    Raises
    ------
    ArgumentError
        If it is not a path; the error names the argument it was given for.
    """
    position = start_of_texts([glob], "model", argument)
    for step in steps_of_text(root.path)[1:]:  # the root may be a part of the tree
        position = position.after(step)
    found: list[Item] = []
    waiting = [(root, position)]
    while waiting:
        item, position = waiting.pop()
        if position.ends:
            found.append(item)
        for one in reversed(item.items if position else ()):
            waiting.append((one, position.after(step_of_label(one.label))))
    return found


def _globbing(pattern: str) -> Callable[[str], bool]:
    return lambda text: fnmatch.fnmatchcase(text, pattern)


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
    """A dtype as JAX shortens it: ``f32`` for ``float32``."""
    if type(dtype) is not str:
        return "struct"
    return _SHORT.get(dtype, shown(dtype, 40))


def notation(node: Node) -> tuple[str, int, int]:
    """An array as JAX shows its type, how many numbers it has, and how many bytes."""
    dtype, shape = node.plain.get("dtype"), node.plain.get("shape")
    try:
        lengths = dtypes.plain_shape(shape)
        numbers = math.prod(lengths)
        nbytes = numbers * dtypes.parse(dtype).itemsize
    except (ValueError, TypeError):
        return "an array", 0, 0
    if nbytes >= 2**63:
        return "an array that no machine can hold", 0, 0
    array = node.kind.array
    if array == "key":
        text = f"key<{shown(node.plain.get('impl'))}>[{_listed(lengths[:-1])}]"
    else:
        text = f"{short_dtype(dtype)}[{_listed(lengths)}]"
    return f"{text} numpy" if array == "numpy" else text, numbers, nbytes


def _listed(lengths: Sequence[Any]) -> str:
    return ",".join(map(str, lengths))


def date_of(seconds: float) -> str:
    """A time as people write it."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def counted(number: int, word: str) -> str:
    """A number with its word."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def size_of(nbytes: int) -> str:
    """Bytes as people say it."""
    size = float(nbytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}" if unit != "B" else f"{nbytes} B"
        size /= 1000
    return f"{size:.3g} TB"


# Nodes as items -----------------------------------------------------------------------


_LONGEST = 2048


def item_of(structure: Structure, records: Sequence[Any] = ()) -> Item:
    """The items of a structure; children first, without recursion."""
    # The text of each path is made once: of its parent's, and a label. It is cut, for
    # in a deep tree with long keys all of them would take far more than the file.
    texts: dict[int, tuple[str, str]] = {}
    for node in structure.nodes:
        texts[id(node.path)] = _text_of(node.path, texts)
    made: dict[int, list[Item]] = {}  # of one node; or, without a label, those below it
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
                    items.append(_again(text, label, child, first, is_static))
        text, label = texts[id(node.path)]
        made[id(node)] = [_item(text, label, node, items, records)] if label else items
    return made[id(structure.root)][0]


def _text_of(path: Path, texts: dict[int, tuple[str, str]]) -> tuple[str, str]:
    """The text of a path, and the label of its last step; "" if it is not shown."""
    above, node, step = path
    if above is None:
        return step, step
    label = label_in(node, step)
    text = f"{texts[id(above)][0]}{label}"[:_LONGEST]
    if label:
        label = f"key {step}" if node is None else label.removeprefix(".")
    return text, label


def _again(path: str, label: str, node: Node, first: str, static: bool) -> Item:
    """The item of a node that another parent has had before."""
    value = _inline(node)
    if value is not None:  # that it is shared means nothing
        kind = words = node.kind_name
    else:
        kind, words, value = REFERENCE, "the same as", shown(first, 512)
    return Item(shown(path, 512), shown(label, 200), kind, words, value, static)


def _digest_of(record: int | None, records: Sequence[Any]) -> str | None:
    if record is None or not 0 <= record < len(records):
        return None
    entry = records[record]
    check = entry[2] if isinstance(entry, list) and len(entry) > 2 else None
    return f"{check:016x}" if type(check) is int and 0 <= check < 2**64 else None


def _item(
    path: str, label: str, node: Node, items: Sequence[Item], records: Sequence[Any]
) -> Item:
    value, record, digest = None, None, None
    statistics, picture = None, None
    arrays = numbers = nbytes = 0
    look, plain = node.kind.look, node.plain
    if node.kind.array is not None:
        arrays = 1
        words, numbers, nbytes = notation(node)
        record = node.record
        digest = _digest_of(record, records)
    else:
        words = look.type(plain)
        value = look.value(plain) if node.children is None else _inline(node)
        is_column = node.kind.expand is not None
        if is_column and look.numbers is not None:
            held = look.numbers(plain)
            statistics, picture = (None, None) if held is None else numbers_of(held)
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
        shown(words, 400),
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
    """A short tuple or list of plain values, as Python writes it."""
    children, items = node.children, node.kind.look.items
    if items is None or not isinstance(children, list) or len(children) > 8:
        return None
    parts: list[str] = []
    for index, child in enumerate(children):
        look = child.kind.look
        is_inline = look.inline and node.has_first(index, child)
        text = look.value(child.plain) if is_inline else None
        if text is None:
            return None
        parts.append(text)
    text = items(parts)
    return text if len(text) <= 40 else None


def numbers_of(array: NDArray[Any] | str) -> tuple[Statistics | str, Picture | None]:
    if isinstance(array, str):
        return array, None
    statistics = statistics_of(array)
    if isinstance(statistics, str):
        return statistics, None
    return statistics, picture_of(array, statistics)
