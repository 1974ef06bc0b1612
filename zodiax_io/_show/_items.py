"""What is in a file, as data: an item for each thing in the tree."""

from __future__ import annotations

import fnmatch
import itertools
import math
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .._arrays import dtypes
from .._errors import LIMITS, check_numbers, check_text, shown
from .._evolution.packages import Difference
from .._kinds import base
from ._numbers import Picture, Statistics


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
class Summary:
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
    """

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

    def __repr__(self) -> str:
        """The tree, as at a prompt somebody wants to see it."""
        return str(self)

    def __str__(self) -> str:
        """The tree, as `zodiax-io show` prints it."""
        from ._text import lines_of, text_of

        return text_of(lines_of(self, width=shutil.get_terminal_size().columns))

    def _repr_html_(self) -> str:
        """The same for a notebook: what holds others can be folded."""
        from ._notebook import html_of

        return html_of(self)

    def __treescope_repr__(self, path: Any, render: Any) -> Any:
        """The same for treescope, which calls this."""
        from ._treescope import rendering_of

        return rendering_of(self, path)

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
