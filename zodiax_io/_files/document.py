"""The structure file: a frame with a checksum around one msgpack document."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgpack

from .._errors import (
    LIMITS,
    CorruptFileError,
    NewerFormatError,
    UnknownFormatError,
    shown,
)
from .._interpreter import call_deeply

MAGIC = b"\x89ZDX\r\n\x1a\n"
VERSION = 1
# magic, version, length of the document, SHA-256 of version, length and document
_FRAME = struct.Struct("<8sIQ32s")
FRAME_SIZE = _FRAME.size

# msgpack nests 511 levels at most, and a level of a tree takes two. Deeper subtrees are
# packed as bytes inside of the document.
_LEVELS = 100
_DEEPER = "deeper"
_MAX_DEPTH = 1000
# A structure is read into memory as a whole, and takes about a hundred times its size.
MAX_SIZE = 1 << 30
_REQUIRED = {
    "versions": dict,
    "settings": dict,
    "backend": dict,
    "records": list,
    "tree": dict,
}
_OPTIONAL = {"extras": dict}


@dataclass(frozen=True, eq=False, repr=False)
class Document:
    """The content of a structure file.

    Attributes
    ----------
    versions : dict of str to str
        Package versions at the time of writing.
    settings : dict
        Settings of JAX that change values.
    backend : dict
        The name of the array backend, and its options.
    records : list
        For each array record: offset, length, checksum, dtype, shape, Fortran order.
    metadata : dict or None
        The structure of the user's metadata.
    tree : dict
        The structure of the tree.
    extras : dict of str to dict
        Further structures by their names, packed as in the file; `unfolded` unpacks
        one. Those that are only passed on stay the same to the byte.
    """

    versions: dict[str, str]
    settings: dict[str, Any]
    backend: dict[str, Any]
    records: list[Any]
    metadata: dict[str, Any] | None
    tree: dict[str, Any]
    extras: dict[str, Any] = field(default_factory=dict[str, Any])


def pack(document: Document, depth: int) -> bytes:
    """The bytes of a structure file whose trees are `depth` levels deep."""
    plain = dict(vars(document))
    if not plain["extras"]:
        del plain["extras"]
    for name in ("metadata", "tree"):
        if plain[name] is not None:
            plain[name] = folded(plain[name], depth)
    body = _pack(plain)
    digest = _digest(VERSION, body)
    return _FRAME.pack(MAGIC, VERSION, len(body), digest) + body


def _pack(plain: Any) -> bytes:
    packed = msgpack.packb(plain, use_bin_type=True)
    assert packed is not None  # the annotation of msgpack includes None
    return packed


_MARK = _pack(_DEEPER)


def _digest(version: int, body: bytes | memoryview) -> bytes:
    check = hashlib.sha256(struct.pack("<IQ", version, len(body)))
    check.update(body)
    return check.digest()


def folded(node: dict[str, Any], depth: int) -> dict[str, Any]:
    """A node in the form of a document; its tree is at most `depth` levels deep."""
    return node if depth < _LEVELS else call_deeply(8 * depth, _fold, node, 0)


def unfolded(node: Any, file: str) -> Any:
    """The inverse of `folded`, as a copy.

    Raises
    ------
    CorruptFileError
        If `folded` packs no such node.
    """
    with _reported(file):
        return _unfold(_unpack(_pack(node)))


def _fold(node: dict[str, Any], level: int) -> dict[str, Any]:
    """A node whose descendants below some level are packed into bytes."""
    folded = dict(node)
    for part in ("keys", "node"):
        children = node.get(part)
        if isinstance(children, dict):
            folded[part] = {k: _fold(c, level + 1) for k, c in children.items()}
        elif isinstance(children, list):
            folded[part] = [_fold(c, level + 1) for c in children]
    if level % _LEVELS == 0 and level:
        return {_DEEPER: _pack(folded)}
    return folded


def _unfold(tree: Any) -> Any:
    """The inverse of `_fold`, in place and without recursion."""
    root = [tree]
    waiting: list[tuple[Any, Any, int, int]] = [(root, 0, 0, 0)]
    while waiting:
        holder, key, depth, packs = waiting.pop()
        node = holder[key]
        if depth > _MAX_DEPTH:
            raise ValueError("a tree is nested too deeply")
        if not isinstance(node, dict):
            continue  # parsing the structure reports it, with its path
        if set(node) == {_DEEPER} and isinstance(node[_DEEPER], bytes):
            packs += 1
            if packs > _MAX_DEPTH // _LEVELS:  # each unpacks all below it again
                raise ValueError("packed subtrees are nested too deeply")
            node = holder[key] = _unpack(node[_DEEPER])
            if not isinstance(node, dict) or set(node) == {_DEEPER}:
                raise ValueError("a packed subtree is not a node")
        for part in ("keys", "node"):
            children = node.get(part)
            if isinstance(children, dict):
                waiting += [(children, name, depth + 1, packs) for name in children]
            elif isinstance(children, list):
                indices = range(len(children))
                waiting += [(children, i, depth + 1, packs) for i in indices]
    return root[0]


def _refuse_extension(code: int, data: bytes) -> None:
    raise ValueError(f"extension type {code} is not part of the format")


def _unpack(body: bytes | memoryview) -> Any:
    # An element takes at least a byte, so no length can exceed the size of the body.
    size = len(body)
    plain = msgpack.unpackb(
        body,
        raw=False,
        strict_map_key=True,
        use_list=True,
        ext_hook=_refuse_extension,
        max_str_len=size,
        max_bin_len=size,
        max_array_len=size,
        max_map_len=size // 2 + 1,
        max_ext_len=0,
    )
    if _pack(plain) != body:
        # A key that occurs twice, or a number in more bytes than it needs.
        raise ValueError("it is not packed in the one form that msgpack writes")
    return plain


_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([\w.-]{0,98}[A-Za-z0-9])?", re.ASCII)
_MAX_PACKAGES = 1000


def check_versions(versions: dict[Any, Any]) -> None:
    """Check the names of packages, each of which is looked up among those installed.

    Raises
    ------
    ValueError
        If one cannot be the name of a package, has no version, or there are too many.
    """
    if len(versions) > _MAX_PACKAGES:
        raise ValueError(f"it lists more than {_MAX_PACKAGES} packages")
    for package, version in versions.items():
        if type(package) is not str or _DISTRIBUTION.fullmatch(package) is None:
            raise ValueError("a package has an invalid name")
        if type(version) is not str:
            raise ValueError("a version is not text")


_NAME = re.compile(r"!?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+")
_MAX_NAME = 128
_MAX_EXTRAS = 1000
# The extras with a name that begins with `!` which this release understands.
UNDERSTOOD: frozenset[str] = frozenset()


def is_extra_name(name: object) -> bool:
    """Whether an extra may have this name: `package.name`, perhaps with `!` before."""
    return (
        type(name) is str
        and len(name) <= _MAX_NAME
        and _NAME.fullmatch(name) is not None
    )


def _check_extras(extras: dict[Any, Any]) -> None:
    """Check the names of extras; their nodes are checked when one is read."""
    if not 0 < len(extras) <= _MAX_EXTRAS:
        raise ValueError(f"expected 1 to {_MAX_EXTRAS} extras, got {len(extras)}")
    for name, node in extras.items():
        if not is_extra_name(name):
            raise ValueError(f"{shown(repr(name))} is not a name for an extra")
        if type(node) is not dict:
            raise ValueError(f"the extra `{name}` is not a node")


_TYPES = _REQUIRED | _OPTIONAL
# The keys of nearly every document.
_USUAL_KEYS = Document.__dataclass_fields__.keys() - _OPTIONAL


def _check_keys(plain: Any) -> None:
    if type(plain) is dict and plain.keys() == _USUAL_KEYS:
        return
    if type(plain) is not dict or not all(type(key) is str for key in plain):
        raise ValueError("the document is not a map with text for keys")
    missing = [key for key in Document.__dataclass_fields__ if key not in plain]
    missing = [key for key in missing if key not in _OPTIONAL]
    if missing:
        raise ValueError(f"missing keys: {_quoted(missing)}")


def _check_is_known(plain: dict[str, Any], body: memoryview, file: str) -> None:
    """Refuse a document with keys or extras that only a later release knows.

    Raises
    ------
    NewerFormatError
        If it has any: without them, the file might be misunderstood.
    """
    if plain.keys() == _USUAL_KEYS:
        return
    unknown = [key for key in plain if key not in Document.__dataclass_fields__]
    names = f"{_quoted(unknown)}, which" if unknown else ""
    extras = [
        name
        for name in plain.get("extras", ())
        if name.startswith("!") and name not in UNDERSTOOD
    ]
    if extras and not unknown:
        names = f"{_quoted(extras)}, which a reader must understand and"
    if names:
        raise NewerFormatError(
            f"{file} holds {names} this release of zodiax_io does not know. Upgrade "
            f"zodiax_io to read it: {_release_for(body)}."
        )


def _quoted(names: list[str]) -> str:
    quoted = [f"`{shown(name)}`" for name in names[:_MAX_NAMED]]
    more = len(names) - len(quoted)
    return ", ".join(quoted) + (f" and {more} more" if more else "")


_MAX_NAMED = 5


def _release_for(body: memoryview) -> str:
    """A sentence on which release reads a document of a newer format."""
    try:
        version = _unpack(body)["versions"]["zodiax_io"]
        if type(version) is str and re.match(r"\d+(\.\d+)*", version):
            return f"zodiax_io {shown(version)} wrote it, and every later release does"
    except LIMITS:
        raise
    except Exception:  # a later format may be anything
        pass
    return "the changelog says which release came with that format"


def has_magic(start: bytes | bytearray | memoryview) -> bool:
    """Whether bytes begin as a structure file does."""
    return bytes(start[: len(MAGIC)]) == MAGIC


def unpack(data: bytes | memoryview, file: str) -> Document:
    """The document in the bytes of a structure file.

    Raises
    ------
    UnknownFormatError, NewerFormatError
        If the bytes are not a structure file, or one of a newer format.
    CorruptFileError
        If they are damaged.
    """
    if not has_magic(data):
        raise UnknownFormatError(
            f"{file} is not a zodiax_io file: it does not begin as one does."
        )
    if len(data) < FRAME_SIZE:
        raise CorruptFileError(f"{file} is incomplete: it ends within its first bytes.")
    _, version, length, digest = _FRAME.unpack(data[:FRAME_SIZE])
    body = memoryview(data)[FRAME_SIZE:]
    if len(body) != length:
        raise CorruptFileError(
            f"{file} is damaged: expected {length} bytes of structure, got {len(body)}."
        )
    if len(body) > MAX_SIZE:
        raise CorruptFileError(f"{file} holds a structure of more than 1 GiB.")
    if _digest(version, body) != digest:
        raise CorruptFileError(f"{file} is damaged: its checksum is wrong.")
    if version != VERSION:
        raise NewerFormatError(
            f"{file} is of format {version}; this release of zodiax_io reads format "
            f"{VERSION}. Upgrade zodiax_io to read it: {_release_for(body)}."
        )
    with _reported(file):
        plain = _unpack(body)
        _check_keys(plain)
        for name, expected in _TYPES.items():
            if name in plain and type(plain[name]) is not expected:
                raise ValueError(f"`{name}` is not a {expected.__name__}")
        if type(plain["metadata"]) not in (dict, type(None)):
            raise ValueError("`metadata` is not a dict")
        check_versions(plain["versions"])
        if "extras" in plain:
            _check_extras(plain["extras"])
    _check_is_known(plain, body, file)
    with _reported(file):
        if _MARK in bytes(body):
            plain["tree"] = _unfold(plain["tree"])
            plain["metadata"] = _unfold(plain["metadata"])
    return Document(**plain)


@contextmanager
def _reported(file: str) -> Generator[None, None, None]:
    """Turn errors about a document into an error about its file."""
    try:
        yield
    # Most exceptions of msgpack are ValueErrors.
    except (ValueError, TypeError, OverflowError) as error:
        raise CorruptFileError(f"{file} is damaged: {error}.") from error
    except msgpack.exceptions.UnpackException as error:
        raise CorruptFileError(f"{file} is damaged: {error}.") from error
