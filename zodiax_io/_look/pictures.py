"""Statistics and pictures of many arrays, in few reads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from .._errors import LIMITS, ZodiaxIOError
from .._files.document import Document
from .._kinds.lookup import row_named
from .._structure.nodes import Structure
from .._tree.restore import logical
from .items import Item, statistics_and_picture
from .numbers import Picture, Statistics

_BATCH = 1 << 26  # bytes of arrays that are read together
# A notebook reads no more bytes than this for its pictures: of one array, and of all.
_MAX_ARRAY, _MAX_TOTAL = 1 << 26, 1 << 28

# Arrays by the index of their record; text says why an array could not be read.
Arrays = dict[int, NDArray[Any] | str]
Fetch = Callable[[Sequence[int]], Arrays]


def from_file(document: Document, reader: Any) -> Fetch:
    """A function that reads arrays from an open file, by the index of their record."""
    nodes = {
        node.record: node
        for node in Structure.parse(document.tree).arrays
        if node.record is not None
    }

    @functools.cache
    def entries() -> list[Any]:
        return reader.entries(document.records)

    def fetch(wanted: Sequence[int]) -> Arrays:
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


def _batches(items: Iterable[Item]) -> Iterator[list[int]]:
    """The records of the arrays among some items, except keys, to be read together."""
    batch: list[int] = []
    size = 0
    for item in items:
        if item.record is None or row_named(item.kind).array == "key":
            continue
        if batch and size + item.nbytes > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(item.record)
        size += item.nbytes
    if batch:
        yield batch


def with_statistics(root: Item, fetch: Fetch) -> Item:
    """The same items with statistics and pictures of all arrays."""
    found: dict[int, tuple[Statistics | str, Picture | None]] = {}
    for batch in _batches(root.walk()):
        for number, array in fetch(batch).items():
            found[number] = statistics_and_picture(array)
    made: dict[int, Item] = {}
    for item in reversed(list(root.walk())):
        items = tuple(made.pop(id(child)) for child in item.items)
        statistics, picture = item.statistics, item.picture  # of a list of numbers
        if item.record is not None:
            statistics, picture = found.get(item.record, (None, None))
        made[id(item)] = replace(
            item, items=items, statistics=statistics, picture=picture
        )
    return made[id(root)]


def pictures(items: Sequence[Item], fetch: Fetch) -> dict[int, Picture]:
    """Pictures of arrays by the index of their record; large arrays are left out."""
    left, small = _MAX_TOTAL, list[Item]()
    for item in items:
        if item.nbytes <= min(left, _MAX_ARRAY):
            small.append(item)
            left -= item.nbytes
    found: dict[int, Picture] = {}
    for batch in _batches(small):
        for number, array in fetch(batch).items():
            _, picture = statistics_and_picture(array)
            if picture is not None:
                found[number] = picture
    return found
