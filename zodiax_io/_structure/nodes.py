"""The structure of a tree: plain data of a file, parsed into checked nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .._errors import CorruptFileError, UnknownFormatError, shown
from .._kinds.base import Kind
from .._kinds.lookup import NOT_KNOWN, NOT_REGISTERED, row_named, row_of
from .paths import Path, Step, path_text, root_path

# JAX's own limit is some 990 levels, less what the caller's stack uses of it.
MAX_DEPTH = 500
# The limit of repeated visits to shared nodes: JAX flattens a shared object each time
# it appears.
MAX_REPEATED = 1_000_000
# Frames of Python for that depth: a few a level, and twice as many under type checks.
FRAMES = 12 * MAX_DEPTH

# A node as a file has it.
PlainNode = dict[str, Any]

# The kind of a plain node that refers to another one by its number. It is in no table.
REFERENCE = "same"
# Keys that `build_structure` adds to the root; a file has them in its document.
RECORDED = ("versions", "settings")
# The keys of a plain node for its place in the tree and in the file, and its content.
_PLACE = {
    *("id", "record", "repeats", "node", "keys", "static", "leaves", "leafless"),
    *("places", "texts", "held", "attributes"),  # where attributes come from
    *RECORDED,
}


@dataclass(slots=True, eq=False, repr=False)
class Node:
    """A checked node of a structure.

    Attributes
    ----------
    kind : Kind
        Its row in the table; `NOT_KNOWN` or `NOT_REGISTERED` for an unknown kind.
    plain : dict
        The node as the file has it.
    path : Path
        Its path; the first one, if several parents share it.
    record : int or None
        The number of the record that holds its array.
    children : dict of str to Node, list of Node, or None
        Its children by name or by index; None for a leaf. An object that the tree
        shares is the same node each time.
    keys : sequence of Node
        The keys of a mapping whose children are a list.
    """

    kind: Kind
    plain: PlainNode
    path: Path
    record: int | None
    children: dict[str, Node] | list[Node] | None = None
    keys: Sequence[Node] = ()

    @property
    def kind_name(self) -> str:
        """The name of its kind, which may be one that is not in the table."""
        return self.plain["kind"]

    @property
    def is_known(self) -> bool:
        """Whether its kind is in the table."""
        return self.kind is not NOT_KNOWN and self.kind is not NOT_REGISTERED

    @property
    def is_shared(self) -> bool:
        """Whether references may lead to it."""
        return "id" in self.plain

    @property
    def name(self) -> str | None:
        """The class, function or constant it refers to, as ``package.module:Name``."""
        return self.plain.get("type")

    @property
    def static(self) -> frozenset[str]:
        """The names of the children that are static."""
        return frozenset(self.plain.get("static") or ())

    def below(self) -> list[tuple[Step, Node]]:
        """The children, each with its name or index."""
        children = self.children
        if isinstance(children, dict):
            return list(children.items())
        return list(enumerate(children or ()))

    def child(self, name: str) -> Node | None:
        """The child of a name, if there is one."""
        return self.children.get(name) if isinstance(self.children, dict) else None

    def has_first(self, step: Step, child: Node) -> bool:
        """Whether a child first appears at this step, and not earlier in the tree."""
        return child.path[1] is self.plain and child.path[2] == step


class Reference(NamedTuple):
    """A plain node that refers to another one, for an object that the tree shares."""

    plain: PlainNode
    path: Path
    siblings: Any  # the children or keys of its parent, by step
    step: Step


@dataclass(slots=True, eq=False, repr=False)
class Structure:
    """The checked nodes of a tree.

    Attributes
    ----------
    root : Node
        The node of the tree itself.
    nodes : list of Node
        Every node once, parents first, in the order of the file.
    arrays : list of Node
        Those that describe an array.
    naming : list of Node
        Those that refer to a class, function or constant by its name.
    calling : list of Node
        Those whose objects call one of their children.
    unknown : list of Node
        Those of a kind that is not in the table.
    references : list of Reference
        The plain references. In `children`, the shared node itself is in their place.
    """

    root: Node
    nodes: list[Node]
    arrays: list[Node] = field(default_factory=list[Node])
    naming: list[Node] = field(default_factory=list[Node])
    calling: list[Node] = field(default_factory=list[Node])
    unknown: list[Node] = field(default_factory=list[Node])
    references: list[Reference] = field(default_factory=list[Reference])

    @classmethod
    def parse(
        cls, plain: object, root: str = "model", *, columns: bool = True
    ) -> Structure:
        """Check plain data, and make nodes of it.

        Parameters
        ----------
        plain : object
            The structure as a file has it. It stays as it is.
        root : str, optional
            What paths begin with.
        columns : bool, default True
            Whether a long list of numbers is one node, or a node for each element.

        Raises
        ------
        CorruptFileError
            If something in it is not a node, with the path.
        """
        return _Parser(columns).parse(plain, root)

    def check_kinds(self, *, unregistered: bool = False) -> None:
        """Refuse kinds that are not in the table.

        Parameters
        ----------
        unregistered : bool, default False
            Whether kinds of other packages may be missing.

        Raises
        ------
        UnknownFormatError
            If a kind is missing, with what to do.
        """
        for node in self.unknown:
            name = node.kind_name
            of_others = "." in name
            if not (unregistered and of_others):
                raise UnknownFormatError(
                    f"`{shown(path_text(node.path))}` is of the kind `{shown(name)}`, "
                    f"which {_UNREGISTERED if of_others else _NEWER}"
                )

    def part(self, node: Node, path: Path) -> Structure:
        """A node and all in it as a structure of its own.

        Parameters
        ----------
        node : Node
            The root of the part.
        path : Path
            Where it is. What is shared with nodes outside of the part gets the first
            of its paths in the part.
        """
        nodes: list[Node] = []
        copies: dict[int, Node] = {}
        top: list[Any] = [None]
        waiting: list[tuple[Node, Path, Any, Step]] = [(node, path, top, 0)]
        while waiting:
            node, path, siblings, step = waiting.pop()
            copy = copies.get(id(node))
            if copy is None:
                copy = Node(node.kind, node.plain, path, node.record)
                copies[id(node)] = copy
                nodes.append(copy)
                below: list[tuple[Node, Path, Any, Step]] = []
                if node.keys:
                    copy.keys = keys = [*node.keys]
                    below += [
                        (key, (path, None, i), keys, i) for i, key in enumerate(keys)
                    ]
                if node.children is not None:
                    copy.children = children = node.children.copy()
                    below += [
                        (child, (path, node.plain, name), children, name)
                        for name, child in node.below()
                    ]
                waiting.extend(reversed(below))
            siblings[step] = copy
        arrays = [one for one in nodes if one.kind.array is not None]
        return Structure(top[0], nodes, arrays)

    def records(self) -> dict[int, Path]:
        """Where each record belongs, by its number."""
        places = [(node.plain, node.path) for node in self.nodes]
        places += [(one.plain, one.path) for one in self.references]
        return {number: path for plain, path in places for number in _records_of(plain)}


_NEWER = "this release of zodiax_io does not know. Upgrade zodiax_io."
_UNREGISTERED = (
    "no imported package has registered. Import the package that registers the kind, "
    'or pass `unknown="opaque"`, which loads an `Opaque` in place of each object of it.'
)


def _records_of(plain: PlainNode) -> list[int]:
    """The numbers of the records that belong to a plain node."""
    record = plain.get("record")
    repeats = plain.get("repeats", [])
    return repeats if record is None else [record, *repeats]


_NOWHERE = Node(row_named(""), {}, root_path(""), None)


class _Parser:
    """One pass over plain data. Its stack is its own: a file may nest deeply."""

    def __init__(self, columns: bool) -> None:
        self._columns = columns
        self._found = Structure(_NOWHERE, [])
        self._by_id: dict[int, Node] = {}
        self._unfinished: set[int] = set()  # the shared nodes that are being parsed
        self._may_be_cyclic = False

    def parse(self, plain: object, root: str) -> Structure:
        top: list[Any] = [None]
        # A plain node with its path and depth, and the slot for its node. Or the number
        # of a shared node, which is reached when all in it has been parsed.
        waiting: list[tuple[Any, Path, int, Any, Step]] = [
            (plain, root_path(root), 0, top, 0)
        ]
        while waiting:
            plain, path, depth, siblings, step = waiting.pop()
            if siblings is None:
                self._unfinished.discard(plain)
                continue
            checked = _checked(plain, path, depth)
            if checked["kind"] == REFERENCE:
                self._refer(checked, path, siblings, step)
                continue
            node = siblings[step] = self._node(checked, path)
            plain = node.plain
            children, keys = plain.get("node"), plain.get("keys")
            if children is None and keys is None:
                continue
            if "id" in plain:
                self._unfinished.add(plain["id"])
                waiting.append((plain["id"], path, depth, None, 0))
            depth += 1
            below: list[tuple[Any, Path, int, Any, Step]] = []
            if keys is not None:
                node.keys = places = [*keys]  # each becomes a node in its turn
                below += [
                    (key, (path, None, i), depth, places, i)
                    for i, key in enumerate(keys)
                ]
            if children is not None:
                node.children = siblings = children.copy()
                below += [
                    (child, (path, plain, name), depth, siblings, name)
                    for name, child in (
                        children.items()
                        if isinstance(children, dict)
                        else enumerate(children)
                    )
                ]
            below.reverse()
            waiting += below
        self._resolve()
        root_node = top[0]
        if not isinstance(root_node, Node):
            raise _corrupt(root_path(root), "refers to a node that is not there")
        if self._may_be_cyclic:
            _check_acyclic(root_node)
        self._found.root = root_node
        return self._found

    def _node(self, plain: PlainNode, path: Path) -> Node:
        """The node of plain data, still without children."""
        found = self._found
        kind = row_named(plain["kind"])
        if kind.expand is not None and not self._columns:
            plain = _expanded(plain, kind, path)
            kind = row_of(plain)
        node = Node(kind, plain, path, plain.get("record"))
        found.nodes.append(node)
        if kind is NOT_KNOWN or kind is NOT_REGISTERED:
            found.unknown.append(node)
        elif (kind.refers_to is None) != ("type" not in plain):
            raise _corrupt(
                path,
                f"is of the kind `{kind.name}` but "
                f"{'names' if 'type' in plain else 'does not name'} a type",
            )
        elif kind.refers_to is not None:
            found.naming.append(node)
        if kind.array is not None:
            found.arrays.append(node)
        if kind.calls:
            found.calling.append(node)
        if "id" in plain:
            self._number(node)
        return node

    def _number(self, node: Node) -> None:
        number = node.plain["id"]
        if type(number) is not int:
            raise _corrupt(node.path, "has an `id` that is not a number")
        if number in self._by_id:
            raise _corrupt(node.path, "has the same `id` as another node")
        if node.is_known and not node.kind.shared:
            # Many references to one long text would be as many copies once saved.
            raise _corrupt(
                node.path,
                f"is numbered to be shared, which a `{node.kind.name}` never is",
            )
        self._by_id[number] = node

    def _refer(self, plain: PlainNode, path: Path, siblings: Any, step: Step) -> None:
        number = plain.get("value")
        if "node" in plain or "keys" in plain or type(number) is not int:
            raise _corrupt(path, "refers to a node that is not there")
        if number not in self._by_id or number in self._unfinished:
            # The target comes later, or contains this reference.
            self._may_be_cyclic = True
        self._found.references.append(Reference(plain, path, siblings, step))

    def _resolve(self) -> None:
        """Put the nodes themselves in the place of references to them."""
        for plain, path, siblings, step in self._found.references:
            target = self._by_id.get(plain["value"])
            if target is None:
                raise _corrupt(path, "refers to a node that is not there")
            siblings[step] = target


def _checked(plain: Any, path: Path, depth: int) -> PlainNode:
    """A plain node of the right shape, whatever its kind is.

    Raises
    ------
    CorruptFileError
        If it is of another shape.
    """
    if not isinstance(plain, dict) or depth > MAX_DEPTH:
        raise _corrupt(path, "is not a node, or is nested too deeply")
    children = plain.get("node")
    if plain.get("node_type") != ("leaf" if children is None else "container"):
        raise _corrupt(path, "is neither a leaf nor a container")
    if type(plain.get("kind")) is not str:
        raise _corrupt(path, "has no kind")
    if "keys" in plain and not isinstance(plain["keys"], list):
        raise _corrupt(path, "has keys that are not a list")
    if isinstance(children, dict):
        if not set(map(type, children)) <= _TEXT:
            raise _corrupt(path, "has a child whose name is not text")
    elif children is not None and not isinstance(children, list):
        raise _corrupt(path, "has children that are neither named nor a list")
    if "record" in plain and type(plain["record"]) is not int:
        raise _corrupt(path, "has a record that is not a number")
    if "repeats" in plain and not _is_list_of(int, plain["repeats"]):
        raise _corrupt(path, "has repeated records that are not numbers")
    if "type" in plain and type(plain["type"]) is not str:
        raise _corrupt(path, "refers to something by a name that is not text")
    # An old file does not say which fields were static: None.
    if plain.get("static") is not None and not _is_list_of(str, plain["static"]):
        raise _corrupt(path, "has static fields that are not names")
    return plain


_TEXT = {str}


def _is_list_of(cls: type, value: Any) -> bool:
    return type(value) is list and all(type(item) is cls for item in value)


def _expanded(plain: PlainNode, kind: Kind, path: Path) -> PlainNode:
    assert kind.expand is not None
    try:
        return kind.expand(plain)
    except ValueError as error:
        raise _corrupt(path, f"cannot be built as `{kind.name}`: {error}") from error


def _check_acyclic(root: Node) -> None:
    """Refuse a node that contains itself.

    Raises
    ------
    CorruptFileError
        If there is one.
    """
    inside: set[int] = set()
    done: set[int] = set()
    waiting: list[tuple[Node, bool]] = [(root, False)]
    while waiting:
        node, is_done = waiting.pop()
        if is_done:
            inside.discard(id(node))
            done.add(id(node))
        elif id(node) in inside:
            raise _corrupt(node.path, "contains itself")
        elif id(node) not in done:
            inside.add(id(node))
            waiting.append((node, True))
            inner = [*node.keys, *(child for _, child in node.below())]
            waiting += [(one, False) for one in reversed(inner)]


def _corrupt(path: Path, what: str) -> CorruptFileError:
    return CorruptFileError(f"`{shown(path_text(path))}` {what}.")


def reachable(node: Node, seen: set[int]) -> Iterator[Node]:
    """A node and all that it needs, each once, without those seen before."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            waiting += node.keys
            waiting += [child for _, child in node.below()]


def own_data(node: Node) -> dict[Any, Any]:
    """The plain data of a node, without its children and its place in the file."""
    plain = node.plain
    data = {name: plain[name] for name in sorted(plain.keys() - _PLACE, key=str)}
    if type(data.get("beside")) is list:  # JAX rebuilds objects in an order of its own
        data["beside"] = sorted(map(str, data["beside"]))
    return data


class Visits:
    """Counts the repeated visits of a walk: sharing may make it very long."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._again = 0

    def are_too_many(self, nodes: Iterable[Node]) -> bool:
        """Count some visits, and return whether too many were repeated."""
        for node in nodes:
            if id(node) in self._seen:
                self._again += 1
            self._seen.add(id(node))
        return self._again > _MAX_REPEATED_VISITS


_MAX_REPEATED_VISITS = 200_000
