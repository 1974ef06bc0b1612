"""A structure to the tree it describes.

Each node is built after its children, in five steps: find the class or function it
refers to, take its array, build the children, put a placeholder where something is
missing, build the object. Faults inside an object are passed up as flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from .._errors import (
    ArgumentError,
    ClassChangedError,
    CorruptFileError,
    ZodiaxIOError,
    process_error,
    shown,
)
from .._evolution.fields import Evolution
from .._evolution.opaque import Opaque
from .._evolution.opaque_nodes import UNKNOWN, missing_function, opaque_of
from .._interpreter import call_deeply
from .._kinds.arrays import Damaged
from .._kinds.base import Kind, Parts
from .._kinds.digests import SourceChanged
from .._kinds.enums import MemberGone, MembersChanged
from .._structure.nodes import FRAMES, MAX_REPEATED, Node
from .._structure.paths import path_text, short_path
from .._trust.finding import Unresolved
from .._trust.judge import Judge

# The faults in an object: an array is damaged, an array was left out by `only`, or a
# placeholder is in the place of an object.
_DAMAGED, _LEFT_OUT, _STANDS_IN = 1, 2, 4


class _Built(NamedTuple):
    """A shared object, the faults in it, and the number of nodes JAX sees in it."""

    obj: Any
    flags: int
    size: int


class _Decoder:
    def __init__(
        self,
        judge: Judge,
        arrays: Mapping[int, Any] | None,
        fill: Mapping[str, Any],
        evolution: Evolution,
        file: str,
    ) -> None:
        self.judge = judge
        self.arrays = arrays
        self.fill = fill
        self.evolution = evolution
        self.file = file
        self.shared: dict[int, _Built] = {}
        self.size = 0
        self.repeated = 0
        self.firsts: dict[int, int | None] = {}
        self.damaged: list[Damaged] = []
        self.filled: set[str] = set()
        self.places: list[str] = []

    def build(self, node: Node) -> tuple[Any, int]:
        """The object of a node, and the faults in it."""
        if not node.is_shared:
            self.size += 1
            return self._build(node)
        built = self.shared.get(id(node))
        if built is None:
            before = self.size
            self.size += 1
            obj, flags = self._build(node)
            built = _Built(obj, flags, self.size - before)
            self.shared[id(node)] = built
            return obj, flags
        self.size += built.size
        self.repeated += built.size
        if self.repeated > MAX_REPEATED:
            raise self._corrupt(node, "is shared so often that JAX cannot flatten it")
        return built.obj, built.flags

    def _build(self, node: Node) -> tuple[Any, int]:
        kind, refers, reason = self._resolved(node)
        array, mark = self._array_of(node)
        if type(array) is Damaged:
            self.damaged.append(array)
            return array, mark
        parts = Parts(
            value=node.plain.get("value"), refers=refers, extra=node.plain, array=array
        )
        inside = 0
        if node.children is not None or node.keys:
            inside = self._build_children(node, parts)
        flags = inside | mark
        missing = reason is not None and kind.placeholder == "missing"
        if self.fill and (missing or kind.placeholder == "always"):
            where = path_text(node.path)
            if where in self.fill:
                self.filled.add(where)
                return self.fill[where], flags
            self.places.append(where)
        if inside & _STANDS_IN:
            reason = _reason_around(kind, parts) or reason
        if reason is not None:
            return self._placeholder(node, kind, parts, reason), flags | _STANDS_IN
        try:
            return self._object(node, kind, parts), flags
        except Exception as error:
            where = short_path(node.path)
            lacking = process_error(error, f"build `{where}` of {self.file}")
            if lacking is not None:
                raise lacking from error
            return self._not_built(node, kind, parts, error, inside, flags)

    def _resolved(self, node: Node) -> tuple[Kind, Any, str | None]:
        """The kind of a node, the object it refers to, or why that is missing."""
        kind = node.kind
        if kind.refers_to is not None:
            refers = self.judge.resolve(node.plain["type"], kind.refers_to)
            return kind, refers, refers.reason if type(refers) is Unresolved else None
        if not node.is_known:  # which is allowed, or `check_kinds` had refused it
            return UNKNOWN, None, "is of a kind that no imported package has registered"
        return kind, None, None

    def _array_of(self, node: Node) -> tuple[Any, int]:
        """The array of a node, and its fault."""
        if self.arrays is None:
            return None, 0
        record = node.record
        array = None if record is None else self.arrays.get(record)
        if type(array) is Damaged:
            return array, _DAMAGED
        left_out = array is None and node.kind.array is not None
        return array, _LEFT_OUT if left_out else 0

    def _build_children(self, node: Node, parts: Parts) -> int:
        """Build the keys and the children of a node into its parts."""
        flags = 0
        if "keys" in node.plain:
            parts.keys = []  # an empty list, too
            for key in node.keys:
                obj, inner = self.build(key)
                parts.keys.append(obj)
                flags |= inner
        children = node.children
        if children is None:
            return flags
        if isinstance(children, dict):
            named: dict[str, Any] = {}
            for name, child in children.items():
                named[name], inner = self.build(child)
                flags |= inner
            parts.children = named
        else:
            items: list[Any] = []
            for child in children:
                obj, inner = self.build(child)
                items.append(obj)
                flags |= inner
            parts.children = items
        return flags

    def _object(self, node: Node, kind: Kind, parts: Parts) -> Any:
        """The object itself, from the parts."""
        if kind.renamed is not None:
            parts.extra = kind.renamed(node.plain, self.judge.current_member)
            parts.value = parts.extra.get("value")
        if kind.outline is not None and parts.array is None and self.arrays is not None:
            return kind.outline(node.plain)
        if kind.expand is not None:
            obj = kind.decode(parts)
            self.size += len(obj)  # each item is a leaf to JAX
            return obj
        if kind.fields is None:
            return kind.decode(parts)
        return self.evolution.build(kind, parts, node.path)

    def _placeholder(self, node: Node, kind: Kind, parts: Parts, reason: str) -> Any:
        """A `Placeholder` of a function, or an `Opaque` of any other object."""
        versions, script = self.evolution.versions, self.judge.script
        if kind.placeholder == "missing":
            return missing_function(node, versions, reason, script)
        return opaque_of(node, parts, versions, reason, self.firsts, script)

    def _not_built(
        self,
        node: Node,
        kind: Kind,
        parts: Parts,
        error: Exception,
        inside: int,
        flags: int,
    ) -> tuple[Any, int]:
        """A mark or a placeholder for an object that could not be built; or an error.

        A fault inside may be the cause, when the code of a class computes with its
        fields.
        """
        if inside & _DAMAGED:
            where = short_path(node.path)
            damaged = Damaged(where, "it cannot be built without its parts")
            self.damaged.append(damaged)
            return damaged, flags
        changed = isinstance(error, ClassChangedError)
        if isinstance(error, ZodiaxIOError) and not changed:
            raise error
        if inside & _LEFT_OUT:
            where = shown(path_text(node.path))
            raise ArgumentError(
                f"{self.file}: the object at `{where}` cannot be built without its "
                "arrays, which `only` leaves out. Add its path to `only`, or pass "
                "one path."
            ) from error
        if changed:
            raise ClassChangedError(f"{self.file}: {error}") from error
        gone = isinstance(error, (MemberGone, MembersChanged, SourceChanged))
        # An Opaque is inside, where the object itself would be needed.
        if inside & _STANDS_IN or (gone and self.judge.lenient):
            reason = f"cannot be built with what is here: {shown(error)}"
            return self._placeholder(node, kind, parts, reason), flags | _STANDS_IN
        self._refuse(node, kind, error)

    def _refuse(self, node: Node, kind: Kind, error: Exception) -> NoReturn:
        """Raise the error that says why an object cannot be built."""
        where = shown(path_text(node.path))
        if isinstance(error, (MembersChanged, SourceChanged)):
            raise ClassChangedError(
                f"{self.file}: `{where}` {shown(error, 600)}."
            ) from error
        if isinstance(error, MemberGone):
            old = f"{node.name}.{self._old_name(node, error.member)}"
            raise ClassChangedError(
                f"{self.file}: `{where}` is `{shown(old)}`, and {shown(error)}. If it "
                f"has another name now, pass "
                f'`renames={{"{shown(old)}": "{shown(node.name)}.…"}}`.'
            ) from error
        raise self._corrupt(
            node, f"cannot be built as `{kind.name}`: {shown(error)}"
        ) from error

    def _old_name(self, node: Node, member: str) -> str:
        """The name of a member of an Enum in the file."""
        plain, now = node.plain, self.judge.current_member
        value = plain["value"]
        names = [value] if type(value) is str else plain["members"]
        return next(name for name in names if now(plain["type"], name) == member)

    def _corrupt(self, node: Node, what: str) -> CorruptFileError:
        return CorruptFileError(f"{self.file}: `{shown(path_text(node.path))}` {what}.")


def _reason_around(kind: Kind, parts: Parts) -> str | None:
    """Why an object cannot be built around an `Opaque`, if its kind knows."""
    # By the type: to read `__class__` would run code of the class.
    is_around = kind.around_opaque is not None and any(
        issubclass(type(child), Opaque) for child in _values(parts)
    )
    return kind.around_opaque(parts) if kind.around_opaque and is_around else None


def _values(parts: Parts) -> Iterable[Any]:
    children = parts.children or ()
    return children.values() if isinstance(children, dict) else children


def decode(
    root: Node,
    judge: Judge,
    *,
    arrays: Mapping[int, Any] | None,
    fill: Any = None,
    evolution: Evolution | None = None,
    file: str = "The structure",
) -> tuple[Any, list[Damaged]]:
    """Build the object of a node. The judge has accepted all names in it.

    With the object come the marks of damage in it.
    """
    fill = _checked_fill(fill)
    evolution = evolution or Evolution()
    evolution.may_call = judge.may_call
    decoder = _Decoder(judge, arrays, fill, evolution, file)
    tree, _ = call_deeply(FRAMES, decoder.build, root)
    unknown = fill.keys() - decoder.filled
    if unknown:
        places = sorted({*decoder.places, *decoder.filled})[:_MAX_PLACES]
        there = ", ".join(f"`{path}`" for path in places) or "none"
        raise ArgumentError(
            f"`fill` has a function for `{shown(min(unknown))}`, where no placeholder "
            f"is. Paths of placeholders: {shown(there, 400)}."
        )
    evolution.report(file)
    return tree, decoder.damaged


_MAX_PLACES = 20


def _checked_fill(fill: Any) -> dict[str, Any]:
    if fill is not None and not isinstance(fill, Mapping):
        raise ArgumentError(
            "`fill` is a dictionary of functions by their paths, not a "
            f"`{type(fill).__qualname__}`."
        )
    checked: dict[str, Any] = dict(fill or {})
    for path, function in checked.items():
        if not callable(function):
            raise ArgumentError(
                f"`fill` has a `{type(function).__qualname__}` for `{shown(path)}`, "
                "where a function belongs."
            )
    return checked
