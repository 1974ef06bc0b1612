"""Reads format 1 by docs/format.md, without zodiax_io or JAX: reader.py model.eqx"""

import hashlib
import io
import pprint
import struct
import sys

import msgpack
import numpy as np
import xxhash

MAGIC, TRAILER = b"\x89ZDX\r\n\x1a\n", b"ZDXTRAIL"
KEYS = {"versions", "settings", "backend", "records", "metadata", "tree"}


def read_structure(frame: bytes) -> dict:
    """Read the document in the bytes of a structure file."""
    magic, version, length, digest = struct.unpack("<8sIQ32s", frame[:52])
    body = frame[52:]
    assert magic == MAGIC and version == 1 and len(body) == length
    assert hashlib.sha256(frame[8:20] + body).digest() == digest
    document = msgpack.unpackb(body)
    assert KEYS <= set(document) <= {*KEYS, "extras"}  # others are of a newer format
    assert not any(name.startswith("!") for name in document.get("extras", {}))
    return document


def read_record(data: bytes) -> np.ndarray:
    """Read one `.npy` record."""
    return np.lib.format.read_array(io.BytesIO(data), max_header_size=1 << 20)


def read(companion: bytes) -> tuple[dict, list[np.ndarray]]:
    """Read the document and the arrays of all records, as they are stored."""
    end, magic = struct.unpack("<Q8s", companion[-16:])
    assert magic == TRAILER
    document = read_structure(read_record(companion[end:-16]).tobytes())
    arrays, expected = [], 0
    for offset, length, checksum, _, shape, fortran in document["records"]:
        record = companion[offset : offset + length]
        assert offset == expected and xxhash.xxh3_64_intdigest(record) == checksum
        array = read_record(record)
        start = offset + length - array.nbytes
        assert start % (4096 if array.nbytes >= 65536 else 64) == 0
        assert list(array.shape) == shape and (array.flags.f_contiguous or not fortran)
        arrays.append(array)
        expected += length
    assert expected == end
    return document, arrays


def plain(node: dict, arrays: list[np.ndarray], met: dict | None = None) -> object:
    """Turn a tree into dicts, lists, values and stored arrays; classes stay out."""
    met = {} if met is None else met
    if set(node) == {"deeper"}:
        node = msgpack.unpackb(node["deeper"])
    if node["kind"] == "same":
        return met[node["value"]]
    children = node.get("node")
    if "keys" in node:
        keys = [plain(key, arrays, met) for key in node["keys"]]
        values = [plain(child, arrays, met) for child in children]
        result = list(zip(keys, values, strict=True))
    elif isinstance(children, dict):
        result = {name: plain(child, arrays, met) for name, child in children.items()}
    elif isinstance(children, list):
        result = [plain(child, arrays, met) for child in children]
    elif node["kind"] in ("jax", "numpy", "key"):
        result = arrays[node["record"]]
    else:
        result = node.get("value", node.get("type"))
    met[node.get("id")] = result
    return result


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as file:
        document, arrays = read(file.read())
    pprint.pprint(plain(document["tree"], arrays), sort_dicts=False)
