"""What is in a file, as data: an item for each thing in the tree."""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from .._arrays import dtypes
from .._errors import (
    LIMITS,
    check_numbers,
    check_text,
    shown,
)
from .._evolution.packages import Difference
from .._kinds import base
from .._kinds.columns import array_of, elements_of
from .._structure.nodes import Node, children_of
from .._structure.paths import label_of
from .._structure.survey import walk
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
            A glob for paths: ``"*.bias"``; keys and indices read like fields in it.
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
            If an argument is of another type than these.
        """
        check_text(pattern=pattern, dtype=dtype, cls=cls)
        check_numbers(0, larger=larger)
        result: list[Item] = []
        for item in self.root.walk():
            name = item.type.rpartition(":")[2]
            if (
                (pattern is None or matches(item.path, pattern))
                and (dtype is None or _is_of_dtype(item, dtype))
                and (cls is None or any(map(_globbing(cls), (item.type, name))))
                and item.nbytes >= larger
            ):
                result.append(replace(item, items=()) if item.items else item)
        return result


def matches(path: str, glob: str) -> bool:
    """Whether a path fits a glob, which may leave out the root.

    Keys and indices read like fields: ``*.bias`` means ``model['bias']``, too.
    """
    wanted, whole = dotted(glob).replace("[", "[[]"), dotted(path)
    below = whole.partition(".")[2]
    return any(fnmatch.fnmatchcase(text, wanted) for text in (whole, below))


def dotted(path: str) -> str:
    """A path or a glob with a dot before each step, whatever sort of step it is."""
    return _STEP.sub(lambda found: f".{found[1] or found[2] or found[3] or ''}", path)


_STEP = re.compile(
    r"""\['((?:[^'\\]|\\.)*)'\] | \["((?:[^"\\]|\\.)*)"\] | \[([^\[\]]*)\]""",
    re.VERBOSE,
)


def _globbing(pattern: str) -> Callable[[str], bool]:
    return lambda text: fnmatch.fnmatchcase(text, pattern)


def _is_of_dtype(item: Item, dtype: str) -> bool:
    name = item.type.partition("[")[0]
    return item.kind in base.ARRAY_NODES and name in (dtype, short_dtype(dtype))


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


def value_of(node: dict[str, Any]) -> str | None:
    """The value of a leaf, in Python's words."""
    kind = node["kind"]
    if kind == "none":
        return "None"
    value = node.get("value")
    if kind == "complex" and isinstance(value, list) and len(value) == 2:
        return shown(repr(complex(*value))) if all(map(_is_real, value)) else None
    if kind == "bytes" or not isinstance(value, bytes):
        return None if value is None else shown(_beginning(value))
    if kind == "scalar":
        try:
            dtype = dtypes.parse(node.get("dtype"))
            return shown(repr(np.frombuffer(value, dtype)[0]))
        except LIMITS:
            raise
        except Exception:  # NumPy knows more ways than can be listed
            return None
    return f"{len(value)} bytes"


def _beginning(value: Any, most: int = 500) -> str:
    """The repr of plain data; of long data its beginning, which is all that is shown.

    A value that many nodes share is shown for each of them.
    """
    if isinstance(value, (str, bytes)):
        return repr(value[:500])
    if not isinstance(value, (list, dict)):
        return repr(value)
    within = most // 8
    parts = [_beginning(item, within) for item in itertools.islice(value, most)]
    if isinstance(value, dict):
        pairs = zip(parts, value.values(), strict=False)
        parts = [f"{key}: {_beginning(held, within)}" for key, held in pairs]
    text = ", ".join(parts + ["…"] * (len(value) > most))
    return f"{{{text}}}" if isinstance(value, dict) else f"[{text}]"


def _is_real(value: Any) -> bool:
    return type(value) in (int, float)


def notation(node: dict[str, Any]) -> tuple[str, int, int]:
    """An array as JAX shows its type, how many numbers it has, and how many bytes."""
    dtype, shape = node.get("dtype"), node.get("shape")
    try:
        lengths = dtypes.plain_shape(shape)
        numbers = math.prod(lengths)
        nbytes = numbers * dtypes.parse(dtype).itemsize
    except (ValueError, TypeError):
        return "an array", 0, 0
    if nbytes >= 2**63:
        return "an array that no machine can hold", 0, 0
    if node["kind"] == "key":
        text = f"key<{shown(node.get('impl'))}>[{_listed(lengths[:-1])}]"
    else:
        text = f"{short_dtype(dtype)}[{_listed(lengths)}]"
    return f"{text} numpy" if node["kind"] == "numpy" else text, numbers, nbytes


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


def item_of(structure: Node, root: str, records: Sequence[Any] = ()) -> Item:
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
    statistics, picture = numbers_of(array)
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
        text = value_of(child) if child["kind"] in _INLINE_KINDS else None
        if text is None:
            return None
        parts.append(text)
    comma = "," * (len(parts) == 1 and node["kind"] == "tuple")
    text = f"{brackets[0]}{', '.join(parts)}{comma}{brackets[1]}"
    return text if len(text) <= 40 else None


_INLINE_KINDS = ("none", "bool", "int", "float", "complex", "str")


def numbers_of(array: NDArray[Any] | str) -> tuple[Statistics | str, Picture | None]:
    if isinstance(array, str):
        return array, None
    statistics = statistics_of(array)
    if isinstance(statistics, str):
        return statistics, None
    return statistics, picture_of(array, statistics)
