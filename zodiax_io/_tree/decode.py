"""A structure to the tree it describes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .._errors import (
    ArgumentError,
    ClassChangedError,
    CorruptFileError,
    ZodiaxIOError,
    process_error,
    shown,
)
from .._evolution.fields import Evolution
from .._evolution.opaque import UNKNOWN, Opaque, missing_function, opaque_of
from .._interpreter import call_deeply
from .._kinds.arrays import Damaged
from .._kinds.base import CannotKeep, Parts
from .._kinds.digests import SourceChanged
from .._kinds.enums import MemberGone, MembersChanged
from .._kinds.lookup import kind_named
from .._structure.nodes import (
    FRAMES,
    MAX_REPEATED,
    REFERENCE,
    Node,
    name_of_type,
)
from .._structure.paths import Path, path_text, short_path
from .._structure.survey import Survey
from .._trust.finding import Unresolved
from .._trust.judge import Judge


class _Decoder:
    def __init__(
        self,
        by_id: dict[int, Node],
        judge: Judge,
        arrays: Mapping[int, Any] | None,
        fill: Mapping[str, Any],
        evolution: Evolution,
        file: str,
    ) -> None:
        self.by_id = by_id
        self.judge = judge
        self.arrays = arrays
        self.fill = fill
        self.evolution = evolution
        self.file = file
        # The object, its number of nodes, and what `_inside` counted in it.
        self.built: dict[int, tuple[Any, int, tuple[int, ...]]] = {}
        self.building: set[int] = set()
        self.size = 0
        self.repeated = 0
        self.hurt = 0
        self.left_out = 0
        self.stood_in = 0
        self.firsts: dict[int, int | None] = {}
        self.damaged: list[Damaged] = []
        self.filled: set[str] = set()
        self.places: list[str] = []

    def object_of(self, node: Node, path: Path | str) -> Any:
        if node["kind"] == REFERENCE:
            value = node.get("value")
            target = self.by_id.get(value) if type(value) is int else None
            if target is None or target["kind"] == REFERENCE:
                raise self._corrupt(path, "refers to a node that is not there")
            node = target
        number = node.get("id")
        if number is not None:
            if number in self.built:
                obj, size, inside = self.built[number]
                self.hurt += inside[0]
                self.left_out += inside[1]
                self.stood_in += inside[2]
                self.size += size
                self.repeated += size
                if self.repeated > MAX_REPEATED:
                    raise self._corrupt(path, "shares so much that JAX would not end")
                return obj
            if number in self.building:
                raise self._corrupt(path, "contains itself")
            self.building.add(number)
        before, counts = self.size, self._inside()
        self.size += 1
        obj = self._build(node, path)
        if number is not None:
            inside = tuple(
                now - then for now, then in zip(self._inside(), counts, strict=True)
            )
            self.built[number] = obj, self.size - before, inside
        return obj

    def _inside(self) -> tuple[int, int, int]:
        """Marks of damage, arrays left out and objects stood in for, so far."""
        return self.hurt, self.left_out, self.stood_in

    def _build(self, node: Node, path: Path | str) -> Any:
        kind = kind_named(node["kind"])
        parts = Parts(value=node.get("value"), extra=node)
        reason = None  # why an Opaque stands for it, if one does
        if kind is None:  # the survey has seen to it that this is asked for
            kind, reason = UNKNOWN, "is of a kind that no package here has registered"
        elif kind.refers_to is not None:
            parts.refers = self.judge.resolve(name_of_type(node), kind.refers_to)
            if type(parts.refers) is Unresolved:
                reason = parts.refers.reason
        if self.arrays is not None:
            record = node.get("record")
            parts.array = self.arrays.get(record) if type(record) is int else None
            if type(parts.array) is Damaged:
                return self._mark(parts.array)
            if parts.array is None and kind.array is not None:
                self.left_out += 1
        hurt, left_out, stood_in = self.hurt, self.left_out, self.stood_in
        keys = node.get("keys")
        if isinstance(keys, list):
            parts.keys = [
                self.object_of(key, (path, None, i)) for i, key in enumerate(keys)
            ]
        children = node.get("node")
        if isinstance(children, dict):
            parts.children = {
                name: self.object_of(child, (path, node, name))
                for name, child in children.items()
            }
        elif isinstance(children, list):
            parts.children = [
                self.object_of(child, (path, node, i))
                for i, child in enumerate(children)
            ]
        missing = reason is not None and kind.placeholder == "missing"
        if self.fill and (missing or kind.placeholder == "always"):
            where = path_text(path)
            if where in self.fill:
                self.filled.add(where)
                return self.fill[where]
            self.places.append(where)
        # By its type: what looks at `__class__` runs code of the class.
        around_opaque = kind.around_opaque if self.stood_in > stood_in else None
        if around_opaque is not None and any(
            issubclass(type(child), Opaque) for child in _values(parts)
        ):
            reason = around_opaque(parts) or reason
        if kind.renamed is not None and reason is None:
            parts.extra = kind.renamed(node, self.judge.current_member)
            parts.value = parts.extra.get("value")
        if reason is not None:
            self.stood_in += 1
            versions = self.evolution.versions
            if missing:
                return missing_function(
                    node, short_path(path), versions, reason, self.judge.script
                )
            return opaque_of(
                node, parts, versions, reason, self.firsts, self.judge.script
            )
        try:
            left = parts.array is None and self.arrays is not None
            if left and kind.outline is not None:
                return kind.outline(node)
            if kind.expand is not None:
                obj = kind.decode(parts)
                self.size += len(obj)  # each item is a leaf to JAX
                return obj
            if kind.fields is None:
                return kind.decode(parts)
            return self.evolution.build(kind, parts, path)
        except (CannotKeep, Exception) as error:
            lacking = process_error(error, f"build `{short_path(path)}` of {self.file}")
            if lacking is not None:
                raise lacking from error
            if self.hurt > hurt:  # some code wants to compute with what is inside
                reason = "it cannot be built without its parts"
                return self._mark(Damaged(short_path(path), reason))
            changed = isinstance(error, ClassChangedError)
            if isinstance(error, ZodiaxIOError) and not changed:
                raise
            if self.left_out > left_out:
                where = shown(path_text(path))
                raise ArgumentError(
                    f"{self.file}: what is at `{where}` cannot be built without its "
                    "arrays, which `only` leaves out. Add it, or ask for one path."
                ) from error
            if changed:
                raise ClassChangedError(f"{self.file}: {error}") from error
            gone = isinstance(error, (MemberGone, MembersChanged, SourceChanged))
            # An Opaque, where the real thing would be needed.
            if self.stood_in > stood_in or (gone and self.judge.lenient):
                self.stood_in += 1
                reason = f"cannot be built with what is here: {shown(error)}"
                versions = self.evolution.versions
                if kind.placeholder == "missing":
                    return missing_function(
                        node, short_path(path), versions, reason, self.judge.script
                    )
                return opaque_of(
                    node, parts, versions, reason, self.firsts, self.judge.script
                )
            if isinstance(error, (MembersChanged, SourceChanged)):
                where = shown(path_text(path))
                raise ClassChangedError(
                    f"{self.file}: `{where}` {shown(error, 600)}."
                ) from error
            if isinstance(error, MemberGone):
                old = f"{node['type']}.{self._old_name(node, error.member)}"
                raise ClassChangedError(
                    f"{self.file}: `{shown(path_text(path))}` is "
                    f"`{shown(old)}`, and {shown(error)}. If it has another name now, "
                    f'pass `renames={{"{shown(old)}": "{shown(node["type"])}.…"}}`.'
                ) from error
            raise self._corrupt(
                path, f"cannot be built as `{kind.name}`: {shown(error)}"
            ) from error

    def _old_name(self, node: Node, member: str) -> str:
        """What the file calls a member of an Enum."""
        value, now = node["value"], self.judge.current_member
        names = [value] if type(value) is str else node["members"]
        return next(name for name in names if now(node["type"], name) == member)

    def _mark(self, mark: Damaged) -> Damaged:
        self.damaged.append(mark)
        self.hurt += 1
        return mark

    def _corrupt(self, path: Path | str, what: str) -> CorruptFileError:
        return CorruptFileError(f"{self.file}: `{shown(path_text(path))}` {what}.")


def _values(parts: Parts) -> Iterable[Any]:
    children = parts.children or ()
    return children.values() if isinstance(children, dict) else children


def decode(
    structure: Any,
    found: Survey,
    judge: Judge,
    *,
    arrays: Mapping[int, Any] | None,
    fill: Any = None,
    evolution: Evolution | None = None,
    file: str = "The structure",
    root: Path | str = "model",
) -> tuple[Any, list[Damaged]]:
    """Put together a structure whose names `judge` has accepted.

    With the object come the marks of damage in it.
    """
    if fill is not None and not isinstance(fill, Mapping):
        raise ArgumentError(
            "`fill` is a dictionary of functions by their paths, not a "
            f"`{type(fill).__qualname__}`."
        )
    fill = dict(fill or {})
    for path, function in fill.items():
        if not callable(function):
            raise ArgumentError(
                f"`fill` has a `{type(function).__qualname__}` for `{shown(path)}`, "
                "where a function belongs."
            )
    evolution = evolution or Evolution()
    evolution.may_call = judge.may_call
    decoder = _Decoder(found.by_id, judge, arrays, fill, evolution, file)
    tree = call_deeply(FRAMES, decoder.object_of, structure, root)
    unknown = fill.keys() - decoder.filled
    if unknown:
        places = sorted({*decoder.places, *decoder.filled})[:_MAX_PLACES]
        there = ", ".join(f"`{path}`" for path in places) or "none"
        raise ArgumentError(
            f"`fill` names `{shown(min(unknown))}`, where no function is missing. "
            f"Places to fill: {shown(there, 400)}."
        )
    evolution.report(file)
    return tree, decoder.damaged


_MAX_PLACES = 20
