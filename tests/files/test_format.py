"""The frame, the document and the records: damage and malice end in errors of ours."""

import contextlib
import io
import warnings

import jax.numpy as jnp
import msgpack
import numpy as np
import pytest
from documents import (
    FRAME,
    TRAILER,
    Checkpoint,
    checkpoint_of,
    companion,
    container,
    frame,
    header,
    leaf,
    load_node,
    named,
)
from hypothesis import HealthCheck, given, settings, strategies as st

from zodiax_io import (
    CorruptFileError,
    NewerFormatError,
    UnknownFormatError,
    ZodiaxIOError,
    deserialise,
    load_structure,
    read_metadata,
    serialise,
)

SMALL = {"a": np.arange(3, dtype="f4"), "b": [1.5, "text", None], 3: jnp.arange(2)}

# The examples of a test share the fixture that counts their outcomes.
SHARED = [HealthCheck.function_scoped_fixture]


def same(one, two):
    return (
        list(one) == list(two)
        and one["b"] == two["b"]
        and np.array_equal(one["a"], two["a"])
        and np.array_equal(one[3], two[3])
    )


def load(data, **options):
    return deserialise(io.BytesIO(data), **options)


def with_structure(structure, records=b""):
    return companion(records, structure)


def with_body(body):
    return with_structure(frame(body))


def test_the_helper_rebuilds_files_byte_for_byte():
    """What takes files apart for these tests puts them together as they were."""
    file = io.BytesIO()
    serialise(file, SMALL, metadata={"epoch": 3})
    checkpoint = Checkpoint.apart(file.getvalue())
    assert checkpoint.companion() == file.getvalue()


def test_same_tree_same_bytes():
    """Saving a tree twice gives the same bytes."""
    assert Checkpoint.of(SMALL).companion() == Checkpoint.of(SMALL).companion()


# The frame ----------------------------------------------------------------------------


def test_structure_without_magic():
    """A structure that does not begin as one is none."""
    structure = Checkpoint.of(1).structure()
    with pytest.raises(UnknownFormatError) as caught:
        load(with_structure(b"X" + structure[1:]))
    assert str(caught.value) == (
        "The file is not a zodiax_io file: it does not begin as one does."
    )


def test_newer_format_says_to_upgrade():
    """A file of a later format is no damaged one."""
    checkpoint = Checkpoint.of(1)
    known = checkpoint.document["versions"]["zodiax_io"]
    body = checkpoint.structure()[FRAME.size :]
    with pytest.raises(UnknownFormatError) as caught:
        load(with_structure(frame(body, version=2)))
    assert str(caught.value) == (
        "The file is of format 2; this release of zodiax_io reads format 1. Upgrade "
        f"zodiax_io to read it: zodiax_io {known} wrote it, and every later release "
        "does."
    )
    with pytest.raises(UnknownFormatError, match="the changelog says which release"):
        load(with_structure(frame(b"whatever that is", version=2)))


def test_wrong_checksum():
    """A changed byte of the structure is noticed."""
    structure = bytearray(Checkpoint.of(1).structure())
    structure[-1] ^= 1
    with pytest.raises(CorruptFileError) as caught:
        load(with_structure(bytes(structure)))
    assert str(caught.value) == "The file is damaged: its checksum is wrong."


def test_wrong_length():
    """Bytes missing from or added to the structure are counted."""
    structure = Checkpoint.of(1).structure()
    size = len(structure) - FRAME.size
    for changed, found in ((structure[:-1], size - 1), (structure + b"\0", size + 1)):
        with pytest.raises(CorruptFileError) as caught:
            load(with_structure(changed))
        assert str(caught.value) == (
            f"The file is damaged: expected {size} bytes of structure, got {found}."
        )


def test_structure_cut_within_the_frame():
    """A structure shorter than its frame is incomplete."""
    with pytest.raises(CorruptFileError) as caught:
        load(with_structure(Checkpoint.of(1).structure()[:30]))
    assert str(caught.value) == (
        "The file is incomplete: it ends within its first bytes."
    )


@pytest.mark.parametrize("surplus", [b"\0", b"surplus", bytes(100)])
def test_trailing_bytes(surplus):
    """Bytes after the end of a companion are noticed."""
    with pytest.raises((CorruptFileError, UnknownFormatError)):
        load(Checkpoint.of(SMALL).companion() + surplus)


@pytest.mark.parametrize("offset", [0, 1, 64, 2**31, 2**63, 2**64 - 1])
def test_trailer_that_points_elsewhere(offset):
    """A trailer that points anywhere but to the structure is noticed."""
    data = Checkpoint.of(SMALL).companion()
    with pytest.raises(CorruptFileError):
        load(data[: -TRAILER.size] + TRAILER.pack(offset, b"ZDXTRAIL"))


# The document -------------------------------------------------------------------------

BODIES = {
    "empty": b"",
    "no map": msgpack.packb([1, 2]),
    "empty map": b"\x80",
    "not msgpack": b"\xc1",
    "cut": msgpack.packb({"tree": [1, 2, 3]})[:-1],
    "trailing": b"\x80\x80",
    "key twice": b"\x82\xa1a\x01\xa1a\x02",
    "key that is no text": b"\x81\x01\x02",
    "invalid text": b"\x81\xa1\xff\x01",
    "extension": b"\x81\xa1a" + msgpack.packb(msgpack.ExtType(5, b"xy")),
    "timestamp": b"\x81\xa1a" + msgpack.packb(msgpack.Timestamp(1, 2)),
    "huge list": b"\xdd\xff\xff\xff\xff",
    "huge map": b"\xdf\xff\xff\xff\xff",
    "huge text": b"\xdb\xff\xff\xff\xff",
    "huge bytes": b"\xc6\xff\xff\xff\xff",
    "nested lists": b"\x91" * 5000,
    "nested maps": b"\x81\xa1a" * 5000,
    "nested wide": b"\x81\xa1a" * 400 + b"\xdd\x7f\xff\xff\xff",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_document_that_is_none(body):
    """What msgpack may hold and a document may not is a damaged file."""
    with pytest.raises(CorruptFileError):
        load(with_body(body))


@pytest.mark.parametrize("value", [msgpack.ExtType(1, b""), msgpack.Timestamp(0, 0)])
def test_extension_types_are_refused_anywhere(value):
    """No extension type, a timestamp included, is part of the format."""
    with pytest.raises(CorruptFileError):
        load_node(leaf("none", value=value))


def test_key_twice_in_a_whole_document():
    """Of two values under one key, none is chosen: the file is damaged."""
    body = Checkpoint.of(1).structure()[FRAME.size :]
    count, pair = body[0] + 1, msgpack.packb("metadata") + msgpack.packb(None)
    with pytest.raises(CorruptFileError) as caught:
        load(with_body(bytes([count]) + body[1:] + pair))
    assert str(caught.value) == (
        "The file is damaged: it is not packed in the one form that msgpack writes."
    )


PARTS = ["versions", "settings", "backend", "records", "metadata", "tree"]


@pytest.mark.parametrize("part", [*PARTS, "extras"])
@pytest.mark.parametrize("value", [0, True, "x", b"x", 1.5, [], [0], {}, {"a": 0}])
def test_part_of_a_wrong_type(part, value):
    """A part of the document that is something else never does more than fail."""
    checkpoint = Checkpoint.of(SMALL, metadata={"epoch": 3})
    checkpoint.document[part] = value
    data = checkpoint.companion()
    for call in (load, lambda data: read_metadata(io.BytesIO(data))):
        try:
            call(data)
        except ZodiaxIOError:
            continue


@pytest.mark.parametrize("part", PARTS)
def test_part_that_is_missing(part):
    """A document without one of its parts is damaged."""
    checkpoint = Checkpoint.of(SMALL)
    del checkpoint.document[part]
    with pytest.raises(CorruptFileError):
        checkpoint.load()


def test_part_too_many():
    """A document with a part that this release does not know is of a newer format."""
    checkpoint = Checkpoint.of(SMALL)
    checkpoint.document["surplus"] = 1
    with pytest.raises(NewerFormatError):
        checkpoint.load()


@pytest.mark.parametrize("version", [None, 3, ["1.0"], {}])
def test_version_that_is_no_text(version):
    """A package version is text."""
    checkpoint = Checkpoint.of(1)
    checkpoint.document["versions"]["jax"] = version
    with pytest.raises(CorruptFileError):
        checkpoint.load()


NODES = {
    "number": 3,
    "text": "x",
    "list": [],
    "empty": {},
    "no kind": {"node_type": "leaf"},
    "kind is a number": {"node_type": "leaf", "kind": 3},
    "kind is a list": {"node_type": "leaf", "kind": []},
    "leaf with children": {"node_type": "leaf", "kind": "list", "node": []},
    "container without": {"node_type": "container", "kind": "list"},
    "children are a number": {"node_type": "container", "kind": "list", "node": 3},
    "child is a number": container("list", [3]),
    "child is none": container("list", [None]),
    "list of fields": container("list", {"a": leaf("none")}),
    "surplus type": leaf("none", type="builtins:list"),
    "type is missing": leaf("function"),
    "type is a list": leaf("function", type=["os", "system"]),
    "type is a map": leaf("function", type={"os": "system"}),
    "int of text": leaf("int", value="3"),
    "int of bool": leaf("int", value=True),
    "bool of int": leaf("bool", value=1),
    "float of int": leaf("float", value=1),
    "str of list": leaf("str", value=[]),
    "complex of one": leaf("complex", value=[1.0]),
    "complex of text": leaf("complex", value=["1", "2"]),
    "slice without": container("slice", {}),
    "range of text": container(
        "range", {n: leaf("str", value="1") for n in ("start", "stop", "step")}
    ),
    "date of text": leaf("date", value="2020-01-01"),
    "date out of range": leaf("date", value=[0, 0, 0]),
    "date too large": leaf("date", value=[2**63, 1, 1]),
    "timedelta too large": leaf("timedelta", value=[2**62, 0, 0]),
    "zone outside": leaf("timezone", zone={"key": "../../../etc/passwd"}),
    "zone without": leaf("timezone"),
    "fraction by zero": leaf("fraction", value=[b"\x01", b"\x00"]),
    "decimal of words": leaf("decimal", value="words"),
    "uuid too short": leaf("uuid", value=b"x"),
    "path of another kind": leaf("path", value="/", flavour="Path"),
    "dtype of objects": leaf("dtype", dtype="|O"),
    "dtype of code": leaf("dtype", dtype="f4,(1e9)f8"),
    "dtype is a list": leaf("dtype", dtype=["f4"]),
    "scalar of no bytes": leaf("scalar", dtype="float32", value=b""),
    "scalar type of text": leaf("scalar_type", value="load"),
    "scalar type of a list": leaf("scalar_type", value=[]),
    "key of nothing": leaf("key", impl="nothing", shape=[2], dtype="uint32"),
    "array without record": leaf("jax", shape=[2], dtype="float32"),
    "array with wrong record": leaf("jax", shape=[2], dtype="float32", record=7),
    "array with text record": leaf("numpy", shape=[2], dtype="float32", record="0"),
    "array with list record": leaf("numpy", shape=[2], dtype="float32", record=[]),
    "array with a map for dtype": leaf("jax", shape=[2], dtype={}, record=0),
    "same as nothing": leaf("same", value=0),
    "same as a list": leaf("same", value=[]),
    "same as a map": leaf("same", value={}),
    "same as itself": leaf("same", value=0, id=0),
    "same as another same": container(
        "list", [leaf("same", value=1, id=0), leaf("same", value=0, id=1)]
    ),
    "same as its parent": container("list", [leaf("same", value=0)], id=0),
    "id twice": container("list", [container("list", [], id=0) for _ in range(2)]),
    "id of text": container("list", [], id="0"),
    "id of bool": container("list", [], id=True),
    "set of lists": container("set", [container("list", [])]),
    "set twice": container("set", [leaf("int", value=1), leaf("int", value=1)]),
    "dict of lists": container(
        "dict", [leaf("none")], keys=[container("list", [], id=0)]
    ),
    "dict key twice": container(
        "dict", [leaf("none")] * 2, keys=[leaf("int", value=1)] * 2
    ),
    "dict without keys": container("dict", [leaf("none")]),
    "dict of too few keys": container("dict", [leaf("none")], keys=[]),
    "dict of keys that are none": container("dict", [leaf("none")], keys=[3]),
    "deque over its limit": container("deque", [leaf("none")] * 3, value=2),
    "deque of negative limit": container("deque", [], value=-1),
    "annotation of values": container(
        "annotation", [leaf("int", value=1)], value="List"
    ),
    "annotation of nothing": container("annotation", [], value="|"),
    "annotation of code": container("annotation", [], value="'__import__('os')"),
    "unknown annotation": container("annotation", [], value="Any"),
    "dimensions of code": container(
        "jaxtyping",
        {"array": named("numpy:ndarray", "class")},
        value={"dtype": "Float", "dimensions": "{__import__('os')}"},
    ),
    "dtype of jaxtyping": container(
        "jaxtyping",
        {"array": named("numpy:ndarray", "class")},
        value={"dtype": "jaxtyped", "dimensions": "n"},
    ),
    "partial of nothing": container("partial", {}),
    "partial of a number": container(
        "partial",
        {
            "func": leaf("int", value=1),
            "args": container("tuple", []),
            "keywords": container("dict", {}),
        },
    ),
    "jit of nothing": container("jit", {}, value={}),
    "jit of a number": container("jit", {"function": leaf("int", value=1)}, value={}),
    "jit of bad options": container(
        "jit", {"function": named("jax.numpy:sin")}, value={"surprise": 1}
    ),
    "jit of wrong options": container(
        "jit", {"function": named("jax.numpy:sin")}, value={"static_argnums": "x"}
    ),
    "transform of nothing": container("transform", {}, value="vmap"),
    "transform of a list": container(
        "transform",
        {"function": named("jax.numpy:sin"), "options": container("dict", {})},
        value=["vmap"],
    ),
    "filter_jit of nothing": container("filter_jit", {}, value=[]),
    "method of nothing": container("method", {}, value="x"),
    "method of dunder": container(
        "method", {"self": leaf("int", value=1)}, value="__init__"
    ),
    "placeholder of nothing": leaf("placeholder"),
    "module of a list": container("module", [], type="equinox.nn:Identity"),
    "default of nothing": leaf("default", type="equinox.nn:MLP"),
    "treedef of two": container("treedef", [leaf("none")] * 2),
    "missing with value": container("singleton", [], type="equinox:Module"),
}


@pytest.mark.parametrize("node", NODES.values(), ids=NODES.keys())
def test_node_that_is_none(node):
    """A node that no tree can have ends in an error of ours, in a file and without."""
    with pytest.raises(ZodiaxIOError):
        load_node(node)


@pytest.mark.parametrize("node", NODES.values(), ids=NODES.keys())
def test_structure_that_is_none(node):
    """`load_structure` raises nothing but errors of ours either."""
    try:
        load_structure(node)
    except ZodiaxIOError:
        pass
    else:
        assert isinstance(node, dict) and node["kind"] in ("jax", "numpy")


@pytest.mark.parametrize(
    "dtype", ["M8[s]", ">f4", ">f8", "S3", "U2", "V4", "f4,i4", "f2,f2", "longdouble"]
)
@pytest.mark.parametrize("kind", ["jax", "key"])
def test_array_of_a_dtype_that_jax_does_not_have(kind, dtype):
    """A file that gives JAX an array it cannot hold is damaged."""
    checkpoint = Checkpoint.of(np.zeros(3, dtype))
    checkpoint.tree.update(kind=kind, impl="threefry2x32")
    with pytest.raises(ZodiaxIOError):
        checkpoint.load()


def test_shared_nodes_do_not_explode():
    """A file whose sharing would make a tree of billions of nodes is refused."""
    node = container("list", [leaf("none")], id=0)
    for i in range(1, 60):
        node = container("list", [node, leaf("same", value=i - 1)], id=i)
    with pytest.raises(ZodiaxIOError):
        load_node(node)


def test_colliding_keys_are_refused():
    """Keys made to share one hash value do not make loading slow."""
    keys = [leaf("int", value=(2**61 - 1) * n) for n in range(7)]
    keys += [
        leaf("int", value=((2**61 - 1) * n).to_bytes(10, "little"))
        for n in range(7, 100)
    ]
    with pytest.raises(CorruptFileError):
        load_node(container("dict", [leaf("none")] * len(keys), keys=keys))


# Deep trees ---------------------------------------------------------------------------


def nested(depth, inner=None):
    tree = inner
    for _ in range(depth):
        tree = [tree]
    return tree


def depth_of(tree):
    depth = 0
    while isinstance(tree, list):
        (tree,), depth = tree, depth + 1
    return depth


@pytest.mark.parametrize("depth", [98, 99, 100, 101, 102, 199, 200, 201, 300, 400])
def test_deep_tree_comes_back(depth):
    """A deep tree, deeper than msgpack nests, comes back."""
    checkpoint = Checkpoint.of(nested(depth, "end"), metadata=nested(depth, "note"))
    assert depth_of(checkpoint.load()) == depth
    data = io.BytesIO(checkpoint.companion())
    assert depth_of(read_metadata(data)) == depth


def test_shallow_trees_are_not_folded():
    """Only deep trees are packed within the document."""
    assert b"deeper" not in Checkpoint.of(nested(50)).structure()
    assert b"deeper" in Checkpoint.of(nested(150)).structure()


@pytest.mark.parametrize("depth", [0, 150])
def test_data_may_be_called_as_the_mark_of_folding(depth):
    """A user's own key `deeper` is data."""
    tree = {"deeper": b"\x80", "a": {"deeper": {"deeper": "deeper"}}}
    checkpoint = Checkpoint.of(nested(depth, tree))
    loaded = checkpoint.load()
    for _ in range(depth):
        (loaded,) = loaded
    assert loaded == tree


def fold(node, times):
    for _ in range(times):
        node = {"deeper": msgpack.packb(node)}
    return node


FOLDED = {
    "not bytes": {"deeper": 3},
    "not msgpack": {"deeper": b"\xc1"},
    "not a node": {"deeper": msgpack.packb([1])},
    "twice": fold(leaf("none"), 2),
    "often": fold(leaf("none"), 50),
    "with more": {"deeper": msgpack.packb(leaf("none")), "kind": "list"},
    "extension": {"deeper": msgpack.packb({"a": msgpack.Timestamp(0, 0)})},
    "key twice": {"deeper": b"\x82\xa1a\x01\xa1a\x02"},
}


@pytest.mark.parametrize("node", FOLDED.values(), ids=FOLDED.keys())
def test_folded_node_that_is_none(node):
    """What is packed within the document is judged like the document."""
    for tree in (node, container("list", [node])):
        with pytest.raises((CorruptFileError, UnknownFormatError)):
            load_node(tree)


def test_folded_tree_that_never_ends():
    """Folding does not get around the limit on depth."""
    node = leaf("none")
    for level in range(3000):
        node = container("list", [node])
        if level % 50 == 0:
            node = {"deeper": msgpack.packb(node)}
    with pytest.raises(CorruptFileError):
        load_node(node)


def test_names_in_folded_trees_are_judged():
    """A name does not hide in a packed part of the document."""
    node = {"deeper": msgpack.packb(named("os:system"))}
    with pytest.raises(ZodiaxIOError, match="os:system"):
        load_node(container("list", [node]))


# Damage -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    serialise(folder / "model", SMALL)
    assert same(deserialise(folder / "model"), SMALL)
    return folder / "model.zdx", folder / "model.eqx"


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_flipped_byte_of_the_companion_is_noticed_or_harmless(pair, flip):
    """A changed byte of the companion changes nothing that is loaded.

    What goes unnoticed is the copy that plain Equinox reads of a Python number.
    """
    data = pair[1].read_bytes()
    for i in range(len(data)):
        damaged = data[:i] + bytes([data[i] ^ flip]) + data[i + 1 :]
        try:
            loaded = load(damaged)
        except ZodiaxIOError:
            continue
        assert same(loaded, SMALL), i


def test_flipped_byte_of_the_structure_is_noticed_or_harmless(pair):
    """A changed byte of the structure file costs a warning at most, or is refused."""
    structure = pair[0]
    data = structure.read_bytes()
    try:
        for i in range(len(data)):
            structure.write_bytes(data[:i] + bytes([data[i] ^ 0xFF]) + data[i + 1 :])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    loaded = deserialise(structure)
                except ZodiaxIOError:
                    continue
            assert same(loaded, SMALL), i
    finally:
        structure.write_bytes(data)


def test_companion_cut_anywhere_is_refused(pair):
    """A companion that ends too early is an error of ours, wherever it ends."""
    data = pair[1].read_bytes()
    for length in range(len(data)):
        with pytest.raises((CorruptFileError, UnknownFormatError)):
            load(data[:length])


def test_structure_cut_anywhere_is_noticed_or_harmless(pair):
    """A structure file that ends too early is refused, or the companion stands in."""
    structure = pair[0]
    data = structure.read_bytes()
    try:
        for length in range(len(data)):
            structure.write_bytes(data[:length])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    loaded = deserialise(structure)
                except (CorruptFileError, UnknownFormatError):
                    continue
            assert same(loaded, SMALL), length
    finally:
        structure.write_bytes(data)


def test_checksums_of_arrays_can_be_left_out():
    """`verify=False` skips the checksums of the arrays, and only those."""
    checkpoint = Checkpoint.of(np.zeros(3, "u1"))
    offset, length = checkpoint.document["records"][0][:2]
    damaged = bytearray(checkpoint.records)
    damaged[offset + length - 1] = 7
    data = companion(bytes(damaged), checkpoint.structure())
    with pytest.raises(CorruptFileError) as caught:
        load(data)
    assert str(caught.value) == (
        "The file is damaged: `model`: record 0 (at byte 0) has a wrong checksum. "
        "`zodiax_io.verify` lists all damage, and `deserialise(path, "
        'damaged="skip")` loads the intact arrays.'
    )
    assert load(data, verify=False).tolist() == [0, 0, 7]
    damaged[8] ^= 1  # the header
    with pytest.raises(CorruptFileError):
        load(companion(bytes(damaged), checkpoint.structure()), verify=False)


# Records ------------------------------------------------------------------------------


def two_arrays():
    return Checkpoint.of([np.arange(4, dtype="i4"), np.arange(3, dtype="f4")])


OFFSET, LENGTH, CHECKSUM, DTYPE, SHAPE, FORTRAN = range(6)


def change(number, part, value):
    def edit(checkpoint):
        checkpoint.document["records"][number][part] = value

    return edit


def overlap(checkpoint):
    records = checkpoint.document["records"]
    records[1] = records[0]


def hole(checkpoint):
    start = checkpoint.document["records"][1][OFFSET]
    checkpoint.records = (
        checkpoint.records[:start] + bytes(64) + checkpoint.records[start:]
    )
    checkpoint.document["records"][1][OFFSET] += 64


def swap(checkpoint):
    checkpoint.document["records"].reverse()


def surplus(checkpoint):
    checkpoint.records += bytes(64)


def drop(checkpoint):
    checkpoint.document["records"].pop()


RECORDS = {
    "overlap": overlap,
    "hole": hole,
    "swapped": swap,
    "surplus bytes": surplus,
    "record missing": drop,
    "offset": change(1, OFFSET, 64),
    "negative offset": change(0, OFFSET, -1),
    "offset is true": change(0, OFFSET, False),
    "offset is huge": change(1, OFFSET, 2**63),
    "length": change(0, LENGTH, 100),
    "length is huge": change(1, LENGTH, 2**63),
    "length is a float": change(0, LENGTH, 144.0),
    "checksum": change(0, CHECKSUM, 1),
    "checksum is text": change(0, CHECKSUM, "x"),
    "dtype": change(0, DTYPE, "float32"),
    "narrower dtype": change(0, DTYPE, "int16"),
    "dtype is unknown": change(0, DTYPE, "float31"),
    "dtype is of objects": change(0, DTYPE, "|O"),
    "dtype is a list": change(0, DTYPE, ["f4"]),
    "dtype is none": change(0, DTYPE, None),
    "dtype is a map": change(0, DTYPE, {"names": "ab"}),
    "shape": change(0, SHAPE, [2, 2]),
    "shape is larger": change(0, SHAPE, [5]),
    "shape is huge": change(0, SHAPE, [2**40]),
    "shape overflows": change(0, SHAPE, [2**63, 2**63, 4]),
    "shape is negative": change(0, SHAPE, [-4]),
    "shape is twice negative": change(0, SHAPE, [-2, -2]),
    "shape is of floats": change(0, SHAPE, [4.0]),
    "shape is a number": change(0, SHAPE, 4),
    "shape is text": change(0, SHAPE, "4"),
    "shape has many axes": change(0, SHAPE, [4] + [1] * 100),
    "shape is empty and huge": change(0, SHAPE, [0, 2**62]),
    "order": change(0, FORTRAN, True),
    "too few parts": lambda c: c.document["records"][0].pop(),
    "too many parts": lambda c: c.document["records"][0].append(0),
    "no record": lambda c: c.document["records"].insert(0, 3),
}


@pytest.mark.parametrize("edit", RECORDS.values(), ids=RECORDS.keys())
def test_record_that_does_not_fit(edit):
    """The index of the records fits the file exactly, or the file is damaged."""
    checkpoint = two_arrays()
    edit(checkpoint)
    with pytest.raises(CorruptFileError):
        checkpoint.load()


def one_record(descr, shape, data, *, dtype=None, node_shape=None, start=None):
    """A checkpoint of one array with a header and a shape of our choosing."""
    start = header(descr, shape, False, 0) if start is None else start
    checkpoint = Checkpoint.of(np.zeros(1, "u1"))
    checkpoint.records = start + data
    checkpoint.document["records"] = [
        [0, len(checkpoint.records), 0, dtype or descr, list(shape), False]
    ]
    checkpoint.tree.update(dtype=dtype or descr, shape=list(node_shape or shape))
    checkpoint.repair()
    return checkpoint


def test_one_record_of_our_own_loads():
    """The reader accepts what the description of the format allows."""
    loaded = one_record("<i2", (2,), b"\1\0\2\0", dtype="int16").load()
    assert loaded.tolist() == [1, 2]


@pytest.mark.parametrize("dtype", ["<i2", "=i2", "short", "i2", "int16 "])
def test_a_dtype_has_one_description(dtype):
    """Two descriptions of one dtype would be judged apart, as "<f8" in 32 bits."""
    with pytest.raises(CorruptFileError):
        one_record("<i2", (2,), b"\1\0\2\0", dtype=dtype).load()


HEADERS = {
    "objects": header("|O", (1,), False, 0),
    "code": header("|u1", (1,), False, 0).replace(b"(1,)", b"f()."),
    "other spelling": header("|u1", (1,), False, 0).replace(b"'|u1'", b'"|u1"'),
    "version 2": b"\x93NUMPY\x02\x00" + header("|u1", (1,), False, 0)[8:],
    "no magic": bytes(128),
    "other padding": header("|u1", (1,), False, 0)[:-2] + b"\n\n",
}


@pytest.mark.parametrize("start", HEADERS.values(), ids=HEADERS.keys())
def test_header_is_never_parsed(start):
    """A header is the canonical one, byte for byte; its checksum does not matter."""
    checkpoint = one_record("|u1", (1,), b"\7", dtype="uint8", start=start)
    with pytest.raises(CorruptFileError):
        checkpoint.load()


@pytest.mark.parametrize(
    "shape", [(0, 2**62), (2**62, 0), (0,) * 64, (0,) * 65, (2**31, 2**31, 0)]
)
def test_empty_shapes_cost_nothing(shape):
    """An empty array of a huge shape is an array or an error of ours."""
    checkpoint = one_record("|u1", shape, b"", dtype="uint8")
    with contextlib.suppress(ZodiaxIOError):
        assert checkpoint.load().shape == shape


@pytest.mark.parametrize("shape", [[3], [2, 1], [1, 2], [], [2**40], [-2], "2", None])
def test_node_of_another_shape(shape):
    """A node describes its record, or the file is damaged."""
    checkpoint = one_record("|u1", (2,), b"\1\2", dtype="uint8")
    checkpoint.tree["shape"] = shape
    with pytest.raises(CorruptFileError):
        checkpoint.load()


def test_two_nodes_do_not_share_a_record():
    """Each array has a record of its own."""
    checkpoint = two_arrays()
    first, second = checkpoint.tree["node"]
    second.update(record=first["record"], shape=first["shape"], dtype=first["dtype"])
    with pytest.raises(CorruptFileError):
        checkpoint.load()


DTYPES = st.recursive(
    st.one_of(
        st.sampled_from(["float32", "bool", "<f4", ">i8", "bfloat16", "float0"]),
        st.from_regex(r"[<>|=][biufcSUVmMO]\d{0,10}(\[\d{0,5}\w{0,3}\])?"),
        st.text(max_size=6),
        st.integers(-(2**63), 2**64 - 1),
        st.none(),
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"base": inner, "shape": st.lists(st.integers(0, 2**33), max_size=3)}
        ),
        st.fixed_dictionaries(
            {
                "names": st.lists(st.text(max_size=2), max_size=2),
                "formats": st.lists(inner, max_size=2),
                "offsets": st.lists(st.integers(0, 40), max_size=2),
                "itemsize": st.integers(0, 100),
                "aligned": st.booleans(),
            }
        ),
    ),
    max_leaves=3,
)


@settings(max_examples=150, suppress_health_check=SHARED)
@given(dtype=DTYPES, kind=st.sampled_from(["numpy", "jax", "key", "dtype", "scalar"]))
def test_dtype_of_any_description(outcomes, dtype, kind):
    """Whatever is given as a dtype, errors are ours."""
    checkpoint = Checkpoint.of(np.zeros(4, "u1"))
    checkpoint.tree.update(kind=kind, dtype=dtype, value=b"\0\0\0\0", impl="rbg")
    outcomes.of(checkpoint.load)
    checkpoint.document["records"][0][DTYPE] = dtype
    outcomes.of(checkpoint.load)


# Documents changed at random ----------------------------------------------------------


def _everything():
    import collections
    import datetime
    import enum
    import fractions
    import functools
    import pathlib

    import equinox as eqx
    import jax
    import jax.random as jr

    return {
        "mlp": eqx.nn.MLP(1, 1, 2, 1, key=jr.key(0)),
        "arrays": [jnp.ones(2, "bfloat16"), np.arange(3), np.float32(1), jr.key(1)],
        "values": [1, 2**70, 1.5, 1j, "s", b"b", None, ..., slice(1), range(3)],
        "sets": [{1, 2}, frozenset({"a"}), (1,), collections.deque([1], 3)],
        "maps": [collections.OrderedDict(a=1), collections.defaultdict(list, {1: 2})],
        "times": [datetime.date(2020, 1, 2), datetime.timedelta(3)],
        "times with zones": datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
        "numbers": [fractions.Fraction(1, 3), pathlib.PurePosixPath("/a")],
        "functions": [jnp.sin, functools.partial(jnp.add, 1), jax.jit(jnp.cos)],
        "transforms": [jax.vmap(jnp.sin), jax.tree_util.Partial(jnp.add, 1.0)],
        "types": [float, list[int], int | None, np.dtype("f4"), jnp.float32],
        "treedef": jax.tree_util.tree_structure([1, {"a": 2}]),
        "struct": jax.ShapeDtypeStruct((2,), "float32"),
        "shared": [x := [1, 2], x],
        "enum": enum.Enum.__name__,
    }


EVERYTHING = Checkpoint.of(_everything(), metadata={"epoch": 3}).companion()

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(0, 5),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from(
        [
            "leaf",
            "container",
            "same",
            "module",
            "jax",
            "numpy",
            "list",
            "os:system",
            "numpy:load",
            "jax.numpy:sin",
            "equinox.nn:MLP",
            "builtins:int",
        ]
    ),
    st.sampled_from([[], {}, [0], {"a": 0}, leaf("none"), [leaf("none")]]),
)


def places(plain, found):
    """Every container of a document with each of its keys."""
    keys = plain if isinstance(plain, dict) else range(len(plain))
    for key in keys:
        found.append((plain, key))
        if isinstance(plain[key], (dict, list)):
            places(plain[key], found)
    return found


@settings(max_examples=400, suppress_health_check=SHARED)
@given(data=st.data())
def test_document_changed_anywhere(outcomes, data):
    """A document changed at will, its checksums repaired, ends in errors of ours."""
    checkpoint = Checkpoint.apart(EVERYTHING)
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(checkpoint.document, [])
        holder, key = found[data.draw(st.integers(0, len(found) - 1))]
        how = data.draw(st.sampled_from(["replace", "copy", "drop", "rename"]))
        if how == "replace":
            holder[key] = data.draw(VALUES)
        elif how == "copy":
            other, name = found[data.draw(st.integers(0, len(found) - 1))]
            holder[key] = msgpack.unpackb(msgpack.packb(other[name]))
        elif how == "drop":
            del holder[key]
        elif isinstance(holder, dict):
            holder[data.draw(st.text(max_size=5))] = holder.pop(key)
    loaded = checkpoint.companion()
    for call in (deserialise, read_metadata):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcomes.of(call, io.BytesIO(loaded))


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes(data):
    """Bytes of any kind, framed and bare, end in errors of ours."""
    for file in (data, with_body(data), with_structure(data), frame(data)):
        with pytest.raises(ZodiaxIOError):
            load(file)


JSON = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["node_type", "kind", "node", "keys", "value", "type"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


# The shape of nodes, with any kind and any content.
NODE = st.recursive(
    st.builds(
        leaf,
        st.sampled_from(["none", "bool", "int", "str", "function", "same"]),
        value=VALUES,
    ),
    lambda inner: st.builds(
        container,
        st.sampled_from(["list", "tuple", "dict", "module"]),
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    ),
    max_leaves=8,
)


@settings(max_examples=200, suppress_health_check=SHARED)
@given(JSON | NODE)
def test_any_tree(outcomes, node):
    """Plain data of any shape in the place of a tree ends in errors of ours."""
    outcomes.of(lambda: checkpoint_of(node).load())
    outcomes.of(load_structure, node)
