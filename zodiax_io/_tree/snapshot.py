"""A tree as it is at one moment, to be written then or later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .._arrays.records import Record
from .._errors import resources_for
from .._evolution import packages
from .._evolution.packages import MAIN, script_setting
from .._files.document import Document, folded, pack
from .._files.extras import KeptExtras, check_names, path_of
from .._kinds.placeholders import Placeholder
from .._structure.nodes import PlainNode
from .encode import Kept, encode_all


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Snapshot:
    """A tree as it will be written, to one file or to several, now or later.

    It is immutable: it has none of the tree's containers. Its arrays are immutable,
    too, if they were copied; without copies they are those of the tree.

    Attributes
    ----------
    tree : dict
        The structure of the tree.
    metadata : dict or None
        The structure of the user's metadata.
    extras : mapping of str to dict
        Further structures by their names, packed as `Document` has them.
    records : tuple of Record
        All arrays, in the order of the companion.
    versions, settings : mapping
        The packages whose objects are in it, and the settings of this process.
    placeholders : tuple of Placeholder
        Those in the place of functions that could not be kept.
    depth : int
        The depth of the deepest structure.
    """

    tree: PlainNode
    metadata: PlainNode | None
    extras: Mapping[str, PlainNode]
    records: tuple[Record, ...]
    versions: Mapping[str, str]
    settings: Mapping[str, Any]
    placeholders: tuple[Placeholder, ...]
    depth: int

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays, without headers."""
        return sum(record.nbytes for record in self.records)

    def document(self, backend: Mapping[str, Any], index: list[Any]) -> bytes:
        """The bytes of the structure file, for records at the offsets in `index`."""
        document = Document(
            versions=dict(self.versions),
            settings=dict(self.settings),
            backend=dict(backend),
            records=index,
            metadata=self.metadata,
            tree=self.tree,
            extras=dict(self.extras),
        )
        return pack(document, self.depth)


def snapshot(
    tree: Any,
    *,
    metadata: Any = None,
    extras: Mapping[str, Any] | None = None,
    kept: KeptExtras | None = None,
    functions: str = "error",
    copy: bool = True,
) -> Snapshot:
    """Encode a tree as it is now, with all that a file records about it.

    Parameters
    ----------
    tree : pytree
        What to save.
    metadata : pytree, optional
        The metadata that the user gives.
    extras : dict of str to pytree, optional
        Further trees, by names such as ``"zodiax_io.series"``.
    kept : KeptExtras, optional
        Extras of another file, which are written as they are there.
    functions : {"error", "warn"}, default "error"
        What to do about a function without a name.
    copy : bool, default True
        Whether the arrays must stay as they are now, whatever the caller does next:
        NumPy arrays are copied, and arrays on other devices are fetched. JAX arrays in
        the memory of the host are shared: a later donation does not touch shared
        memory. A snapshot that is written before the caller goes on needs no copies.

    Raises
    ------
    SerialisationError
        If something in the tree cannot be kept; the message names its path.
    ArgumentError
        If the name of an extra is not allowed.
    """
    extras = extras or {}
    check_names(extras)
    trees = {"model": tree}
    if metadata is not None:
        trees["metadata"] = metadata
    trees |= {path_of(name): extra for name, extra in extras.items()}
    with resources_for("take the tree apart"):
        encoded = encode_all(trees, functions=functions)
    names = {name for part in encoded.values() for name in part.names}
    opaque = [one for part in encoded.values() for one in part.kept]
    versions = packages.versions_of(names, {p: v for _, p, v in reversed(opaque)})
    for node, package, (distribution, version) in opaque:
        if package != MAIN and versions.get(distribution) != version:
            node["version"] = version  # one file, two releases
    settings = packages.settings() | _script(names, opaque)
    records = [record for part in encoded.values() for record in part.records]
    nodes = {
        name: folded(part.structure, part.depth)
        for name, part in ((name, encoded[path_of(name)]) for name in extras)
    }
    if kept is not None and kept.nodes:
        others, further = kept.placed(len(records))
        nodes |= others
        records += further
        versions = {**kept.versions, **versions}
        settings = {**script_setting(kept.settings), **settings}
    if copy:
        with resources_for("copy the arrays of the tree"):
            # All transfers start before the first is waited for.
            records = [record.fetched() for record in records]
            records = [record.with_copy() for record in records]
    return Snapshot(
        tree=encoded["model"].structure,
        metadata=encoded["metadata"].structure if "metadata" in encoded else None,
        extras=MappingProxyType(nodes),
        records=tuple(records),
        versions=MappingProxyType(versions),
        settings=MappingProxyType(settings),
        placeholders=tuple(p for part in encoded.values() for p in part.placeholders),
        depth=max(part.depth for part in encoded.values()),
    )


def _script(names: set[str], kept: Sequence[Kept]) -> dict[str, str]:
    """The setting for the script that is `__main__` in the file, if it is known.

    An object that is kept as another file had it may be of another script. A file
    names one script only: a class of another is named as if imported, `script:Class`.
    """
    from_files = [(node, name) for node, package, (_, name) in kept if package == MAIN]
    scripts = {name for _, name in from_files}
    if any(name.startswith(f"{MAIN}:") for name in names):
        setting = packages.script()
    else:
        setting = {"script": min(scripts)} if scripts and min(scripts) else {}
    for node, script in from_files:
        if script and script != setting.get("script"):
            node["type"] = script + node["type"].removeprefix(MAIN)
    return setting
