"""Statistics and pictures of many arrays, in few reads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from .._errors import (
    LIMITS,
    ZodiaxIOError,
)
from .._files.document import Document
from .._kinds.lookup import row_named
from .._structure.nodes import Structure
from .._tree.restore import logical
from .items import Item, numbers_of
from .numbers import Picture, Statistics

_TOGETHER = 1 << 26  # bytes of arrays that are read at a time
# Bytes that are read for the sake of pictures: of one array, and of all together.
_QUICK, _QUICKLY = 1 << 26, 1 << 28

# Arrays by the number of their record; text says why there is none.
Arrays = dict[int, NDArray[Any] | str]
Fetch = Callable[[Sequence[Item]], Arrays]


def from_file(document: Document, reader: Any) -> Fetch:
    nodes = {
        node.record: node
        for node in Structure.parse(document.tree).arrays
        if node.record is not None
    }

    @functools.cache
    def entries() -> list[Any]:
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
        if item.record is None or row_named(item.kind).array == "key":
            continue
        if group and size + item.nbytes > _TOGETHER:
            yield group
            group, size = [], 0
        group.append(item)
        size += item.nbytes
    if group:
        yield group


def with_numbers(root: Item, fetch: Fetch) -> Item:
    """The same items, with what their arrays are like; few are held at a time."""
    found: dict[int, tuple[Statistics | str, Picture | None]] = {}
    for group in _in_groups(root.walk()):
        for number, array in fetch(group).items():
            found[number] = numbers_of(array)
    made: dict[int, Item] = {}
    for item in reversed(list(root.walk())):
        items = tuple(made.pop(id(child)) for child in item.items)
        told = None if item.record is None else found.get(item.record)
        statistics, picture = (None, None) if told is None else told
        made[id(item)] = replace(
            item, items=items, statistics=statistics, picture=picture
        )
    return made[id(root)]


def pictures(items: Sequence[Item], fetch: Fetch) -> dict[int, Picture]:
    """Pictures of those that are soon read."""
    left, few = _QUICKLY, list[Item]()
    for item in items:
        if item.nbytes <= min(left, _QUICK):
            few.append(item)
            left -= item.nbytes
    found: dict[int, Picture] = {}
    for group in _in_groups(few):
        for number, array in fetch(group).items():
            _, picture = numbers_of(array)
            if picture is not None:
                found[number] = picture
    return found
