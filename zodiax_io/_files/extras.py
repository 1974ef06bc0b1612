"""Extras: further trees of a file, by name, for features that store more in it.

An extra that a reader does not know stays packed: no name in it is judged, and it is
written again to the byte.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .._arrays.backend import read_whole
from .._arrays.records import Record, record_of
from .._errors import ArgumentError, CorruptFileError, shown
from .._structure.nodes import MAX_DEPTH, PlainNode, Structure
from .._structure.paths import Path
from .document import Document, folded, is_extra_name, unfolded


def path_of(name: str) -> str:
    """The path of an extra in messages."""
    return f"extras[{name!r}]"


def check_names(names: Iterable[Any]) -> None:
    """Refuse invalid names of extras.

    Raises
    ------
    ArgumentError
        If a name is invalid.
    """
    for name in names:
        if not is_extra_name(name):
            raise ArgumentError(
                "The name of an extra is `package.name` in letters, digits, `_` and "
                f"`-`, 128 characters at most, not {shown(repr(name))}."
            )


def extra_of(document: Document, name: str, file: str) -> PlainNode:
    """The node of an extra, unpacked.

    Raises
    ------
    CorruptFileError
        If it is nested too deeply, or packed in another way than `folded` does.
    """
    return unfolded(document.extras[name], f"{file}: `{path_of(name)}`")


def paths_in(document: Document, name: str, file: str) -> dict[int, Path]:
    """The paths of the records in an extra.

    Raises
    ------
    CorruptFileError
        If the extra is not a structure.
    """
    return Structure.parse(extra_of(document, name, file), path_of(name)).records()


@dataclass(frozen=True, eq=False, repr=False)
class KeptExtras:
    """The extras of a file, to be written into another file unchanged.

    Attributes
    ----------
    nodes : dict of str to dict
        The extras, as in `Document`.
    paths : dict of str to dict of int to Path
        The records of each extra, by their numbers in the old file.
    arrays : dict of int to array
        Those records.
    versions, settings : dict
        The packages and settings of the old file.
    """

    nodes: dict[str, Any]
    paths: dict[str, dict[int, Path]]
    arrays: dict[int, NDArray[Any]]
    versions: dict[str, str]
    settings: dict[str, Any]

    def placed(self, first: int) -> tuple[dict[str, Any], list[Record]]:
        """The extras, with their records numbered from `first` on, and the records."""
        order = [number for name in self.nodes for number in self.paths[name]]
        new = {number: first + i for i, number in enumerate(order)}
        moved = any(old != number for old, number in new.items())
        nodes = {
            name: _renumbered(node, new, name)
            if moved and self.paths[name]
            else node  # it stays the same to the byte
            for name, node in self.nodes.items()
        }
        records: list[Record] = []
        for name in self.nodes:
            for number, path in self.paths[name].items():
                records.append(record_of(self.arrays[number]))
                records[-1].path = path
        return nodes, records


def _renumbered(node: Any, new: dict[int, int], name: str) -> PlainNode:
    plain = unfolded(node, path_of(name))
    structure = Structure.parse(plain, path_of(name))
    for one in (*structure.nodes, *structure.references):
        if "record" in one.plain:
            one.plain["record"] = new[one.plain["record"]]
        if "repeats" in one.plain:
            one.plain["repeats"] = [new[number] for number in one.plain["repeats"]]
    return folded(plain, MAX_DEPTH)


def kept_extras(document: Document, reader: Any, file: str) -> KeptExtras:
    """The extras of an open file, with the arrays of their records.

    Raises
    ------
    CorruptFileError
        If an extra, or a record of one, is damaged.
    """
    paths = {name: paths_in(document, name, file) for name in document.extras}
    wanted = [number for found in paths.values() for number in found]
    entries = reader.entries(document.records)
    if len(set(wanted)) < len(wanted) or not all(
        0 <= number < len(entries) for number in wanted
    ):
        raise CorruptFileError(
            f"{file} is damaged: an extra refers to a record of another extra, or to "
            "one that does not exist."
        )
    return KeptExtras(
        document.extras,
        paths,
        read_whole(reader, entries, wanted, file),
        document.versions,
        document.settings,
    )
