"""A checkpoint taken apart and put together again, with every checksum repaired.

Written from the description of the format, not with the code of the package: what it
makes is what a stranger could make.
"""

import hashlib
import io
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import xxhash

import zodiax_io

MAGIC = b"\x89ZDX\r\n\x1a\n"
FRAME = struct.Struct("<8sIQ32s")
TRAILER = struct.Struct("<Q8s")
TRAILER_MAGIC = b"ZDXTRAIL"


def frame(body: bytes, *, version: int = 1, magic: bytes = MAGIC) -> bytes:
    """A structure file around the bytes of a document."""
    length = len(body)
    digest = hashlib.sha256(struct.pack("<IQ", version, length) + body).digest()
    return FRAME.pack(magic, version, length, digest) + body


def header(descr: str, shape: tuple[int, ...], fortran: bool, offset: int) -> bytes:
    """The canonical header of a record that begins at `offset`."""
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}"
    nbytes = int(np.prod(shape, dtype=object)) * np.dtype(descr).itemsize
    align = 4096 if nbytes >= 65536 else 64
    padding = -(offset + 10 + len(text) + 1) % align
    length = len(text) + padding + 1
    start = b"\x93NUMPY\x01\x00" + length.to_bytes(2, "little")
    return start + text.encode() + b" " * padding + b"\n"


def companion(records: bytes, structure: bytes) -> bytes:
    """A companion of these records and this structure file."""
    start = header("|u1", (len(structure),), False, len(records))
    return records + start + structure + TRAILER.pack(len(records), TRAILER_MAGIC)


@dataclass
class Checkpoint:
    """What a pair of files says, to be changed at will."""

    records: bytes = b""
    document: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Any, **options: Any) -> "Checkpoint":
        """The checkpoint of a tree, as `serialise` writes it."""
        file = io.BytesIO()
        zodiax_io.serialise(file, tree, **options)
        return cls.apart(file.getvalue())

    @classmethod
    def apart(cls, data: bytes) -> "Checkpoint":
        """A companion taken apart."""
        offset, magic = TRAILER.unpack(data[-TRAILER.size :])
        assert magic == TRAILER_MAGIC
        tail = data[offset : -TRAILER.size]
        structure = tail[10 + int.from_bytes(tail[8:10], "little") :]
        body = structure[FRAME.size :]
        assert structure == frame(body)
        return cls(data[:offset], msgpack.unpackb(body))

    @property
    def tree(self) -> dict[str, Any]:
        """The structure of the tree."""
        return self.document["tree"]

    @tree.setter
    def tree(self, node: Any) -> None:
        self.document["tree"] = node

    def repair(self) -> None:
        """Give every record the checksum that its bytes have now."""
        for record in self.document["records"]:
            offset, length = record[:2]
            data = self.records[offset : offset + length]
            record[2] = xxhash.xxh3_64_intdigest(data)

    def structure(self) -> bytes:
        """The structure file."""
        return frame(msgpack.packb(self.document))

    def companion(self) -> bytes:
        """The companion."""
        return companion(self.records, self.structure())

    def write(self, path: Path) -> None:
        """Write the pair; `path` is that of the structure file."""
        path.write_bytes(self.structure())
        path.with_suffix(".eqx").write_bytes(self.companion())

    def load(self, **options: Any) -> Any:
        """Load it from memory."""
        return zodiax_io.deserialise(io.BytesIO(self.companion()), **options)


def leaf(kind: str, **parts: Any) -> dict[str, Any]:
    """A leaf of a structure."""
    return {"node_type": "leaf", "kind": kind, **parts}


def container(kind: str, children: Any, **parts: Any) -> dict[str, Any]:
    """A container of a structure."""
    return {"node_type": "container", "kind": kind, **parts, "node": children}


def named(name: str, kind: str = "function") -> dict[str, Any]:
    """A leaf that names something."""
    return leaf(kind, type=name)


def checkpoint_of(node: Any) -> Checkpoint:
    """A checkpoint without arrays whose tree is `node`."""
    checkpoint = Checkpoint.of(None)
    checkpoint.tree = node
    return checkpoint


def load_node(node: Any, **options: Any) -> Any:
    """What a file loads as whose tree is `node`."""
    return checkpoint_of(node).load(**options)
