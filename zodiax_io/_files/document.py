"""The structure file: a checked frame around one msgpack document."""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from typing import Any

import msgpack

from .._errors import (
    LIMITS,
    CorruptFileError,
    NewerFormatError,
    UnknownFormatError,
    shown,
)
from .._jax import call_deeply

MAGIC = b"\x89ZDX\r\n\x1a\n"
VERSION = 1
# magic, version, length of the document, SHA-256 of version, length and document
_FRAME = struct.Struct("<8sIQ32s")
FRAME_SIZE = _FRAME.size

# msgpack nests 511 levels at most; a level of a tree takes two. What lies deeper is
# packed as bytes within the document.
_LEVELS = 100
_DEEPER = "deeper"
_MAX_DEPTH = 1000
# A structure is read into memory as a whole, and grows there some hundredfold.
MAX_SIZE = 1 << 30
_REQUIRED = {
    "versions": dict,
    "settings": dict,
    "backend": dict,
    "records": list,
    "tree": dict,
}


@dataclass(frozen=True, eq=False, repr=False)
class Document:
    """What a structure file says.

    Attributes
    ----------
    versions : dict of str to str
        Package versions at the time of writing.
    settings : dict
        Settings of JAX that change values.
    backend : dict
        Name of the array backend, and its options.
    records : list
        For each array record: offset, length, checksum, dtype, shape, Fortran order.
    metadata : dict or None
        The structure of the user's metadata.
    tree : dict
        The structure of the tree.
    """

    versions: dict[str, str]
    settings: dict[str, Any]
    backend: dict[str, Any]
    records: list[Any]
    metadata: dict[str, Any] | None
    tree: dict[str, Any]


def pack(document: Document, depth: int) -> bytes:
    """The bytes of a structure file whose trees are `depth` levels deep."""
    plain = dict(vars(document))
    if depth >= _LEVELS:
        for name in ("metadata", "tree"):
            if plain[name] is not None:
                plain[name] = call_deeply(8 * depth, _fold, plain[name], 0)
    body = _pack(plain)
    digest = _digest(VERSION, body)
    return _FRAME.pack(MAGIC, VERSION, len(body), digest) + body


def _pack(plain: Any) -> bytes:
    packed = msgpack.packb(plain, use_bin_type=True)
    assert packed is not None  # msgpack's annotations allow for a stream
    return packed


_MARK = _pack(_DEEPER)


def _digest(version: int, body: bytes | memoryview) -> bytes:
    check = hashlib.sha256(struct.pack("<IQ", version, len(body)))
    check.update(body)
    return check.digest()


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
    """The opposite of `_fold`, in place and without recursion."""
    root = [tree]
    waiting: list[tuple[Any, Any, int, int]] = [(root, 0, 0, 0)]
    while waiting:
        holder, key, depth, packs = waiting.pop()
        node = holder[key]
        if depth > _MAX_DEPTH:
            raise ValueError("a tree is nested too deeply")
        if not isinstance(node, dict):
            continue  # the survey of the structure says where and what
        if set(node) == {_DEEPER} and isinstance(node[_DEEPER], bytes):
            packs += 1
            if packs > _MAX_DEPTH // _LEVELS:  # each would unpack all below it anew
                raise ValueError("packed subtrees lie within one another too often")
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
    # An element takes a byte at least, so no length can exceed what is there.
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
        # A key that is there twice, or a number in more bytes than it takes.
        raise ValueError("it is not packed as it should be")
    return plain


_DISTRIBUTION = re.compile(r"[A-Za-z0-9]([\w.-]{0,98}[A-Za-z0-9])?", re.ASCII)
_MAX_PACKAGES = 1000


def _check_versions(versions: dict[Any, Any]) -> None:
    """Refuse what names no package: each is looked for among those installed."""
    if len(versions) > _MAX_PACKAGES:
        raise ValueError(f"it names more than {_MAX_PACKAGES} packages")
    for package, version in versions.items():
        if type(package) is not str or _DISTRIBUTION.fullmatch(package) is None:
            raise ValueError("the name of a package is not one")
        if type(version) is not str:
            raise ValueError("a version is not text")


def _release_for(body: memoryview) -> str:
    """Which release reads a document of a newer format, as far as that says so."""
    try:
        version = _unpack(body)["versions"]["zodiax_io"]
        if type(version) is str and re.match(r"\d+(\.\d+)*", version):
            return f"zodiax_io {shown(version)} wrote it, and every later release does"
    except LIMITS:
        raise
    except Exception:  # whatever a later format is
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
    try:
        plain = _unpack(body)
        fields = Document.__dataclass_fields__
        if type(plain) is not dict or set(plain) != set(fields):
            raise ValueError("the document has not the parts that it should")
        for name, expected in _REQUIRED.items():
            if type(plain[name]) is not expected:
                raise ValueError(f"`{name}` is not a {expected.__name__}")
        if type(plain["metadata"]) not in (dict, type(None)):
            raise ValueError("`metadata` is not a dict")
        _check_versions(plain["versions"])
        if _MARK in bytes(body):
            plain["tree"] = _unfold(plain["tree"])
            plain["metadata"] = _unfold(plain["metadata"])
    except (ValueError, TypeError, OverflowError) as error:
        # msgpack's own exceptions are ValueErrors, but for a few.
        raise CorruptFileError(f"{file} is damaged: {error}.") from error
    except msgpack.exceptions.UnpackException as error:
        raise CorruptFileError(f"{file} is damaged: {error}.") from error
    return Document(**plain)
