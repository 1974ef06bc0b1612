"""Files of `zodiax.experimental.serialise` load as what they were, as far as they tell.

They are pickles, of which nothing but plain values is read.
"""

import io
import os
import pickle
import random
import shutil
import subprocess
import sys
import textwrap
import time
import tracemalloc
import types
import warnings
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from equality import differences
from hypothesis import given, settings

import zodiax_io
from zodiax_io import (
    ClassChangedError,
    CorruptFileError,
    OldFileWarning,
    UnknownFormatError,
    UntrustedError,
    ZodiaxIOError,
    deserialise,
)
from zodiax_io._cli import main
from zodiax_io._files.legacy.pickled import Pairs, read_plain
from zodiax_io._files.sources import BytesSource

# They were zodiax's models.
models = pytest.importorskip("legacy_models")
GOLDEN = Path(__file__).parents[1] / "golden" / "legacy"
FILES = sorted(GOLDEN.glob("*/*.zdx"))
VERSIONS = ("0.3.3", "0.4.1")
WHOLE = [path for path in FILES if path.stem not in ("lost", "ambiguous")]


@pytest.fixture(autouse=True)
def classes(monkeypatch):
    """The script that wrote the files had a class, which this one has, too."""
    cls = type(
        "Script", (models.Script,), {"__module__": "__main__", "__qualname__": "Script"}
    )
    monkeypatch.setattr(sys.modules["__main__"], "Script", cls, raising=False)
    monkeypatch.setattr(models, "Script", cls)


@pytest.fixture(autouse=True)
def wide(request):
    """64 bits for the arrays that have them."""
    if not request.node.name.endswith("/arrays]"):
        yield
        return
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def identity(path):
    return f"{path.parent.name}/{path.stem}"


def old(structure, *records, protocol=4):
    """The bytes of an old file."""
    file = io.BytesIO()
    pickle.dump(structure, file, protocol)
    for record in records:
        np.save(file, record)
    return file.getvalue()


def leaf(name, **more):
    return {"node_type": "leaf", "type": name, **more}


def node(name, children):
    if type(children) is list:
        children = dict(enumerate(children))
    return {"node_type": "container", "type": name, "node": children}


def array(name="jaxlib.xla_extension.ArrayImpl", shape=(2,), dtype="float32"):
    return leaf(name, shape=shape, dtype=dtype)


def load(data, **options):
    return deserialise(io.BytesIO(data), **options)


def refusal(data, **options):
    with pytest.raises(ZodiaxIOError) as caught:
        load(data, **options)
    return caught.value


# What was saved -----------------------------------------------------------------------


def test_every_version_has_its_files():
    """Each of the old releases is represented, by every tree."""
    for version in VERSIONS:
        names = {path.stem for path in (GOLDEN / version).glob("*.zdx")}
        assert names == set(models.TREES)


@pytest.mark.parametrize("path", WHOLE, ids=identity)
def test_golden_file_loads_as_what_it_was(path):
    """All that the file holds comes back: classes, text, numbers and arrays."""
    assert differences(models.TREES[path.stem](), deserialise(path)) == []


@pytest.mark.parametrize("path", WHOLE, ids=identity)
def test_golden_file_in_memory(path):
    """A file object holds an old file as well."""
    loaded = load(path.read_bytes())
    assert differences(models.TREES[path.stem](), loaded) == []


@pytest.mark.parametrize("path", WHOLE, ids=identity)
def test_golden_file_lazily(path):
    """The arrays may stay where they are until somebody looks at them."""
    loaded, expected = deserialise(path, lazy=True), models.TREES[path.stem]()
    pairs = zip(jax.tree.leaves(loaded), jax.tree.leaves(expected), strict=True)
    assert all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


@pytest.mark.parametrize("path", WHOLE, ids=identity)
def test_golden_file_converted(path, tmp_path):
    """An old file is written again in today's format, and loads as before."""
    target = tmp_path / "new.zdx"
    zodiax_io.convert(path, target)
    assert differences(models.TREES[path.stem](), deserialise(target)) == []
    assert zodiax_io.verify(target) == []


def test_conversion_is_what_plain_equinox_reads(tmp_path):
    """The companion of a converted file is one of `tree_serialise_leaves`."""
    zodiax_io.convert(GOLDEN / "0.4.1" / "optimiser.zdx", tmp_path / "new.zdx")
    like = models.optimiser()
    loaded = eqx.tree_deserialise_leaves(tmp_path / "new.eqx", like)
    assert differences(like, loaded) == []


def test_conversion_in_place(tmp_path):
    """A file may be converted where it is."""
    path = Path(shutil.copy(GOLDEN / "0.4.1" / "models.zdx", tmp_path))
    zodiax_io.convert(path, path)
    assert path.read_bytes()[:4] == b"\x89ZDX"
    assert differences(models.models(), deserialise(path)) == []


def test_conversion_needs_no_classes(tmp_path):
    """A file is converted without the classes that it names."""
    data = old(node("absent.models.Lens", {"x": array()}), np.ones(2, np.float32))
    zodiax_io.convert(io.BytesIO(data), tmp_path / "new.zdx")
    (verdict,) = zodiax_io.names(tmp_path / "new.zdx")
    assert verdict.name == "absent.models:Lens"


def test_conversion_says_what_it_needs(tmp_path):
    """A namedtuple whose class is not there has no names for its items."""
    data = old(node("absent.Point", [array()]), np.ones(2, np.float32))
    with pytest.raises(UntrustedError, match="absent:Point"):
        zodiax_io.convert(io.BytesIO(data), tmp_path / "new.zdx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "jaxlib.xla_extension.Array",
        "jaxlib.xla_extension.ArrayImpl",
        "jaxlib.xla_extension.DeviceArray",
        "jaxlib._jax.ArrayImpl",
        "jax._src.array.ArrayImpl",
    ],
)
def test_arrays_of_any_spelling(name):
    """JAX has called its arrays by many names."""
    loaded = load(old(node("list", [array(name)]), np.ones(2, np.float32)))
    assert differences([jnp.ones(2)], loaded) == []


@pytest.mark.parametrize(
    ("old_name", "name"),
    [
        ("dLux.core.Instrument", "dLux.core:Instrument"),
        ("__main__.Lens", "__main__:Lens"),
        ("__main__.Outer.Lens", "__main__:Outer.Lens"),
        ("mylab.optics.Outer.Lens", "mylab.optics:Outer.Lens"),
        ("PIL.Image", "PIL:Image"),
        ("legacy_models.Outer.Inner", "legacy_models:Outer.Inner"),
    ],
)
def test_names_of_classes(old_name, name):
    """Old files write a dot where a class begins in its module."""
    data = old(node(old_name, {"x": array()}), np.ones(2, np.float32))
    assert [verdict.name for verdict in zodiax_io.names(io.BytesIO(data))] == [name]


def test_missing_class_is_named():
    """A file whose classes are not there says which."""
    data = old(node("absent.models.Lens", {"x": array()}), np.ones(2, np.float32))
    error = refusal(data)
    assert type(error) is UntrustedError
    assert [verdict.name for verdict in error.refusals] == ["absent.models:Lens"]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols(protocol):
    """Every protocol by which Python 3 could write such a dictionary is read."""
    tree = {"a": [1.5, "ü" * 300], "b": {(1, 2): None}, "c": {2**40: 1}}
    structure = node(
        "dict",
        {
            "a": node("list", [leaf("float"), leaf("str", value="ü" * 300)]),
            "b": node("dict", {(1, 2): leaf("NoneType")}),
            "c": node("dict", {2**40: leaf("int")}),
        },
    )
    data = old(structure, np.asarray(1.5), np.asarray(1), protocol=protocol)
    assert load(data) == tree


# Parts and places ---------------------------------------------------------------------


def test_part_of_a_file():
    """`only` reads a part, and leaves the arrays of the rest."""
    path = GOLDEN / "0.4.1" / "models.zdx"
    assert deserialise(path, only="mirrors[1].radius") == 0.0
    rest = deserialise(path, only=["mirrors[0].surface"])
    assert differences(models.models()["mirrors"][0], rest["mirrors"][0]) == []
    assert type(rest["layers"]["b"]) is jax.ShapeDtypeStruct


def test_into_a_tree():
    """`like` takes the arrays and numbers, and needs no name of the file."""
    like = jax.tree.map(lambda x: x * 0, models.optimiser())
    loaded = deserialise(GOLDEN / "0.4.1" / "optimiser.zdx", like=like)
    assert differences(models.optimiser(), loaded) == []


def test_as_numpy_and_device():
    """JAX arrays go where they are asked to."""
    path = GOLDEN / "0.4.1" / "optimiser.zdx"
    leaves = jax.tree.leaves(deserialise(path, as_numpy=True))
    assert {type(x) for x in leaves} == {np.ndarray, int}
    assert differences(models.optimiser(), deserialise(path, device="cpu")) == []


def test_progress_counts_all():
    """A function is told how far loading is."""
    seen = []
    path = GOLDEN / "0.4.1" / "optimiser.zdx"
    deserialise(path, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_whole_file_verifies(path):
    """A whole file has no damage, needs no repair, and no metadata is in it."""
    assert zodiax_io.verify(path) == []
    assert zodiax_io.repair(path) == []
    assert zodiax_io.read_metadata(path) is None


def test_beside_a_file_of_equinox(tmp_path):
    """An old file counts, whatever is called as its companion would be."""
    path = Path(shutil.copy(GOLDEN / "0.4.1" / "models.zdx", tmp_path))
    eqx.tree_serialise_leaves(path.with_suffix(".eqx"), jnp.ones(3))
    assert differences(models.models(), deserialise(path)) == []


def test_beside_a_companion(tmp_path):
    """A save that was cut short between its files has replaced the old one."""
    zodiax_io.serialise(tmp_path / "models.zdx", [1])
    shutil.copy(GOLDEN / "0.4.1" / "models.zdx", tmp_path)
    with pytest.warns(zodiax_io.MixedPairWarning):
        assert deserialise(tmp_path / "models.zdx") == [1]


def test_saved_over(tmp_path):
    """A new save replaces an old file."""
    path = Path(shutil.copy(GOLDEN / "0.4.1" / "models.zdx", tmp_path))
    zodiax_io.serialise(path, [1])
    assert deserialise(path) == [1]


# What was lost ------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_static_numbers_are_missed(version):
    """Static fields without text are not in the file, and that is said."""
    with pytest.raises(ClassChangedError, match="`pixels`, `shape`, `flat`"):
        deserialise(GOLDEN / version / "lost.zdx")
    part = deserialise(GOLDEN / version / "lost.zdx", only="name")
    assert part == "ccd"


def test_class_tells_whose_number_it_is():
    """Of two fields that a number may be, the class knows which was static."""
    path = GOLDEN / "0.4.1" / "ambiguous.zdx"
    with pytest.raises(ClassChangedError, match="`most`"):
        deserialise(path)


def test_number_that_may_be_of_two_fields():
    """Without the class nobody can tell, and no number is guessed."""
    path = GOLDEN / "0.4.1" / "ambiguous.zdx"
    data = path.read_bytes().replace(b"legacy_models", b"absent_models")
    assert type(refusal(data)) is UntrustedError
    error = refusal(data, like=models.ambiguous())
    assert str(error) == (
        "The file was written by zodiax 0.4 or before, which did not keep which fields "
        "were static: its numbers could belong to several fields. Import "
        "`absent_models:Counter` first."
    )


def test_fields_are_told_apart_by_what_they_hold():
    """Where the records fit in one way only, no class is needed."""

    def child():
        arrays = {"w": array(), "s": array(shape=(3,))}
        return node("absent.A", {"n": leaf("int"), **arrays, "m": leaf("int")})

    structure = node("list", [child(), child()])
    one, three = np.ones(2, np.float32), np.ones(3, np.float32)
    data = old(structure, one, three, one, three)
    like = [{"w": jnp.zeros(2), "s": jnp.zeros(3)}] * 2
    with pytest.warns(zodiax_io.PartialLoadWarning):
        loaded = load(data, like=like)
    assert loaded[1]["s"].tolist() == [1, 1, 1]


@pytest.fixture
def late(tmp_path, monkeypatch):
    """A module with the classes, which nobody has imported."""
    shutil.copy(models.__file__, tmp_path / "later__models.py")
    monkeypatch.syspath_prepend(tmp_path)
    yield "later__models"
    sys.modules.pop("later__models", None)


def renamed(stem, module):
    """A golden file that names another module, as long as its own."""
    data = (GOLDEN / "0.4.1" / f"{stem}.zdx").read_bytes()
    assert len(module) == len("legacy_models")
    return data.replace(b"legacy_models", module.encode())


def test_class_that_loading_imports_tells_what_it_is(late):
    """Namedtuples, and classes without fields, are known once they are imported."""
    loaded = load(renamed("models", late), trusted=[late])
    assert loaded["point"]._fields == ("x", "y")
    assert type(loaded["outer"].empty).__qualname__ == "Outer.Empty"
    assert loaded["mirrors"][0].tags == ("primary", "é")


def test_class_that_loading_imports_tells_what_is_static(late):
    """A number goes to the field that is not static, not to the first one."""
    data = renamed("ambiguous", late)
    assert "`most`" in str(refusal(data, trusted=[late]))
    assert load(data, trusted=[late], only="[1].count") == 2


def test_what_no_field_is_missing_for():
    """Losses that leave no gap are told in one warning."""
    structure = node(
        "list",
        [
            node("collections.defaultdict", {"b": leaf("int"), "a": leaf("int")}),
            leaf("Colour"),
            array("numpy.matrix", (1, 1), "float64"),
        ],
    )
    data = old(structure, 1, 2, 3, np.ones((1, 1)))
    with pytest.warns(OldFileWarning) as caught:
        loaded = load(data)
    assert loaded == [{"b": 2, "a": 1}, 3, np.ones((1, 1))]
    assert [str(warning.message) for warning in caught] == [
        "The file was written by zodiax 0.4 or before, which did not keep:\n"
        "  the default of a `defaultdict`\n"
        "  that a number was a `Colour`\n"
        "  that an array was a `numpy.matrix`"
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert zodiax_io.names(io.BytesIO(data)) == []


def test_records_that_fit_nowhere():
    """Arrays that the structure does not describe are damage."""
    data = old(node("list", [array()]), np.ones(3, np.float32))
    assert str(refusal(data)) == (
        "The file is damaged: its arrays are not those that its structure describes."
    )


def test_large_integer():
    """NumPy pickled an `int` of more than 64 bits, which is not read."""
    data = old(node("list", [leaf("int")]), np.asarray(2**70))
    error = refusal(data)
    assert type(error) is CorruptFileError
    assert "holds Python objects, such as an `int` of more than 64 bits" in str(error)


# What a stranger writes ---------------------------------------------------------------


class Call:
    """What pickle calls when it loads this."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


class State:
    def __setstate__(self, state):
        os.environ["ZODIAX_IO_PWNED"] = "1"

    def __getstate__(self):
        return {"x": 1}


_PAIR = b"h%ch%c\x86\x94"  # a tuple of the last one, twice
HOSTILE = {
    "reduce": pickle.dumps(Call(os.system, "touch pwned")),
    "in a node": old(leaf("str", value=Call(os.system, "touch pwned"))),
    "protocol 2": pickle.dumps(Call(os.system, "touch pwned"), 2),
    "build": pickle.dumps(State()),
    "global": b"\x80\x02cos\nsystem\n.",
    "stack global": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "instance": b"\x80\x02(S'touch pwned'\nios\nsystem\n.",
    "obj": b"\x80\x02(cos\nsystem\nS'touch pwned'\no.",
    "persistent": b"\x80\x02Pname\n.",
    "persistent, binary": b"\x80\x04\x8c\x04nameQ.",
    "extension": b"\x80\x02\x82\x01.",
    "buffer": b"\x80\x05\x97.",
    "newobj": b"\x80\x04\x8c\x08builtins\x8c\x04dict\x93)\x81.",
    "set": b"\x80\x04\x8f.",
    "text in lines": b"\x80\x02I01\n.",
    "plain list": pickle.dumps([1, 2, 3]),
    "plain dict": pickle.dumps({"a": 1}),
    "plain text": pickle.dumps("a"),
    "none": pickle.dumps(None),
    "nothing": b"\x80\x04.",
    "two": b"\x80\x04NN.",
    "marks": b"\x80\x04" + b"(" * 1000 + b".",
    "mark across": b"\x80\x04N(\x86.",
    "no mark": b"\x80\x04t.",
    "set on text": b"\x80\x04NNNs.",
    "odd items": b"\x80\x04}(Nu.",
    "holds itself": b"\x80\x04}\x94\x8c\x01ah\x00s.",
    "mapping as key": b"\x80\x04}}Ns.",
    "memo that is not there": b"\x80\x04h\x09.",
    "laughs": b"\x80\x04)\x94" + b"".join(_PAIR % (i, i) for i in range(99)) + b".",
    "deep tuples": b"\x80\x04)" + b"\x85" * 5000 + b".",
    "long text": b"\x80\x04\x8d" + (2**62).to_bytes(8, "little") + b"a.",
    "long number": b"\x80\x04\x8b\xff\xff\xff\x7f\x01.",
    "long bytes": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"a.",
    "long bytearray": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b"a.",
    "length below zero": b"\x80\x04T\xff\xff\xff\xffa.",
    "long line": b"\x80\x04I" + b"9" * 100_000 + b"\n.",
    "escapes": b"\x80\x04S'\\x41'\n.",
    "bad text": b"\x80\x04\x8c\x01\xff.",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickle(name, tmp_path, monkeypatch):
    """Whatever a pickle says, nothing runs, and it ends in one of our errors."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.zdx"
    path.write_bytes(HOSTILE[name])
    for data in (path, io.BytesIO(HOSTILE[name])):
        for call in (deserialise, zodiax_io.names):
            with pytest.raises((UnknownFormatError, CorruptFileError)):
                call(data if data is path else io.BytesIO(HOSTILE[name]))
    assert [file.name for file in tmp_path.iterdir()] == ["file.zdx"]
    assert "ZODIAX_IO_PWNED" not in os.environ


def test_class_in_a_pickle_is_named():
    """A pickle that holds more than plain values is said to."""
    assert str(refusal(pickle.dumps(Call(os.system, "touch pwned")))) == (
        "The file is a pickle, and zodiax_io never unpickles: it reads the pickles of "
        "`zodiax.experimental.serialise`, which hold plain values, but this one holds "
        f"an object of `{os.system.__module__}.system` (at byte 29)."
    )


@pytest.mark.parametrize(
    "opcodes, reason",
    [
        (b"I01\n.", "this one holds other objects (opcode b'I') (at byte 3)"),
        (b"cos\nsystem\n.", "this one holds other objects (opcode b'c') (at byte 3)"),
        (b"].", "this one holds other objects (opcode b']') (at byte 3)"),
        (b"}\x85.", "this one holds mappings in a tuple (at byte 4)"),
        (b"}\x94h\x00.", "this one holds a mapping at several places (at byte 6)"),
        (b"\xff.", "this one is damaged (at byte 3)"),
    ],
)
def test_reason_why_a_pickle_is_refused(opcodes, reason):
    """It names the opcode, or the values, that no old file holds."""
    assert str(refusal(b"\x80\x04" + opcodes)) == (
        "The file is a pickle, and zodiax_io never unpickles: it reads the pickles of "
        f"`zodiax.experimental.serialise`, which hold plain values, but {reason}."
    )


@pytest.mark.parametrize(
    "opcode, width", [("X", 4), ("B", 4), ("\x8d", 8), ("\x96", 8)]
)
def test_a_length_takes_no_memory(opcode, width):
    """Bytes that a file does not have are never made room for."""
    length = (2**31 - 1).to_bytes(width, "little")
    data = b"\x80\x05" + opcode.encode("latin1") + length + b"a."
    tracemalloc.start()
    try:
        assert type(refusal(data)) is CorruptFileError
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_pickle_of_python_2():
    """The text pickles of old Pythons are no files of ours."""
    for protocol in (0, 1):
        error = refusal(pickle.dumps({"node_type": "leaf"}, protocol))
        assert type(error) is UnknownFormatError


def deep(levels):
    """A pickle of nested lists."""
    part = b"}(\x8c\x09node_type\x8c\x09container\x8c\x04type\x8c\x04list\x8c\x04node"
    return b"\x80\x04" + (part + b"}K\x00") * levels + b"N" + b"su" * levels + b"."


def test_deep_structures():
    """A tree deeper than any that zodiax could write is refused."""
    for levels in (600, 3000):
        assert type(refusal(deep(levels))) is UnknownFormatError


def test_depth_that_zodiax_wrote():
    """A tree as deep as Python let zodiax write it is loaded."""
    structure, levels = leaf("int"), 150
    for _ in range(levels):
        structure = node("list", [structure])
    loaded = load(old(structure, np.asarray(5)))
    for _ in range(levels):
        (loaded,) = loaded
    assert loaded == 5


def test_many_ways():
    """Classes that could be read in very many ways take no longer for it."""
    fields = {f"f{i}": leaf("int") for i in range(40)}
    data = old(node("absent.A", fields), *[np.asarray(1)] * 20)
    assert type(refusal(data, like={"f0": 1})) is CorruptFileError


def test_long_name():
    """A name that is longer than any class has is refused, without being looked for."""
    data = old(node("a." * 500_000 + "B", {"x": leaf("NoneType")}))
    assert type(refusal(data)) is UntrustedError


@pytest.mark.parametrize("name", ["script", "lost"])
def test_truncated_everywhere(name):
    """A file that ends early, wherever, ends in one of our errors."""
    data = (GOLDEN / "0.4.1" / f"{name}.zdx").read_bytes()
    for end in range(len(data)):
        with pytest.raises(ZodiaxIOError):
            load(data[:end])


@pytest.mark.parametrize("seed", range(4))
def test_mutated(seed):
    """Changed bytes give a tree or one of our errors, and nothing else."""
    rng = random.Random(seed)
    files = [path.read_bytes() for path in (GOLDEN / "0.4.1").glob("*.zdx")]
    for _ in range(150):
        data = bytearray(rng.choice(files))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            how = rng.randrange(3)
            if how == 0:
                data[at] = rng.randrange(256)
            elif how == 1:
                del data[at : at + rng.randint(1, 9)]
            else:
                data[at:at] = rng.randbytes(rng.randint(1, 9))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                load(bytes(data))
            except ZodiaxIOError:
                continue


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.tuples(inner, inner)
        | st.tuples(inner)
        | st.dictionaries(st.text() | st.integers() | st.tuples(st.floats()), inner)
    ),
    max_leaves=20,
)


def as_dicts(value):
    return {k: as_dicts(v) for k, v in value} if type(value) is Pairs else value


def flat(value):
    """Whether no tuple holds a mapping: old files have none."""
    if type(value) is dict:
        return all(map(flat, value.values()))
    if type(value) is tuple:
        return all(type(item) is not dict and flat(item) for item in value)
    return True


@given(PLAIN.filter(flat), st.integers(2, 5), st.binary())
def test_plain_values(value, protocol, rest):
    """Plain values come out of a pickle as Python reads them, and no byte more."""
    try:
        data = pickle.dumps(value, protocol)
        read, end = read_plain(BytesSource(data + rest, "x"), "x")
    except UnknownFormatError:
        # A number of more than 255 bytes, or one that is met again.
        assert max(map(len, str(value).split())) > 60
        return
    assert repr(as_dicts(read)) == repr(value)
    assert end == len(data)


@given(st.binary(max_size=200))
def test_any_bytes(data):
    """Any bytes behind the beginning of a pickle end in one of our errors."""
    with pytest.raises(ZodiaxIOError):
        load(b"\x80\x04" + data)


SCALARS = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text()
TREES = st.recursive(
    SCALARS | st.none() | st.complex_numbers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=3)
        | st.dictionaries(st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
).filter(lambda tree: type(tree) in (list, tuple, dict))


def described(tree):
    """The structure of a tree of plain containers, as zodiax wrote it."""
    name = type(tree).__name__
    if type(tree) is dict:
        return node(name, {key: described(child) for key, child in tree.items()})
    if type(tree) in (list, tuple):
        return node(name, [described(child) for child in tree])
    return leaf(name, value=tree) if type(tree) is str else leaf(name)


@settings(max_examples=60)
@given(TREES)
def test_trees_of_containers(tree):
    """Any tree of containers and numbers comes back as it was, to the bit."""
    numbers = [x for x in jax.tree.leaves(tree) if type(x) is not str]
    data = old(described(tree), *map(np.asarray, numbers))
    assert differences(tree, load(data)) == []


def test_golden_files_are_written_once():
    """The script that wrote the golden files overwrites none of them."""
    text = (GOLDEN.parent / "write_legacy.py").read_text(encoding="utf8")
    assert "folder.mkdir(parents=True)\n" in text


# The command --------------------------------------------------------------------------


def test_convert_a_file_and_a_folder(tmp_path, capsys):
    """Each old file becomes two new ones that say the same; what fails is told."""
    folder = tmp_path / "old"
    (folder / "deep").mkdir(parents=True)
    for name, where in (("containers", folder), ("values", folder / "deep")):
        shutil.copy(GOLDEN / "0.4.1" / f"{name}.zdx", where)
    (folder / "wrong.zdx").write_bytes(b"nothing of ours")
    assert main.main(["convert", str(folder), str(tmp_path / "new")]) == 2
    printed = capsys.readouterr()
    assert printed.out.count(" -> ") == 2
    assert "wrong.zdx" in printed.err
    for name in ("containers", "deep/values"):
        old = deserialise(folder / f"{name}.zdx")
        assert differences(old, deserialise(tmp_path / "new" / f"{name}.zdx")) == []
    source = str(folder / "containers.zdx")
    assert main.main(["convert", source, str(tmp_path / "one.eqx")]) == 0
    assert not (tmp_path / "one.zdx").exists()
    one = deserialise(tmp_path / "one.eqx")
    assert differences(deserialise(folder / "containers.zdx"), one) == []


def test_convert_one_file_to_two_and_back(tmp_path, capsys, monkeypatch):
    """One file becomes two beside it, since nothing is lost; another's stays."""
    monkeypatch.chdir(tmp_path)
    tree, other = {"a": jnp.arange(3.0)}, {"b": 1}
    zodiax_io.serialise("fit.eqx", tree)
    assert main.main(["convert", "fit.eqx", "fit.zdx"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fit.eqx", "fit.zdx"]
    zodiax_io.serialise("run.zdx", other)
    assert main.main(["convert", "run.zdx", "fit.eqx"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "fit.eqx -> fit.zdx\n"
    assert "it holds the arrays of fit.zdx, which would be lost" in printed.err
    zodiax_io.serialise("alone.eqx", other)
    assert main.main(["convert", "fit.zdx", "alone.zdx"]) == 2
    assert "a checkpoint by itself" in capsys.readouterr().err
    assert main.main(["convert", "fit.zdx", "fit.eqx"]) == 0
    assert main.main(["convert", "fit.zdx", "one.eqx"]) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("fit.zdx", "fit.eqx", "one.eqx"):
            assert differences(tree, deserialise(name)) == []
        for name in ("run.zdx", "alone.eqx"):
            assert deserialise(name) == other


def test_an_old_file_converted_to_one_file_beside_it(tmp_path):
    """It would hide the old one; the message says where to convert it to."""
    path = Path(shutil.copy(GOLDEN / "0.4.1" / "containers.zdx", tmp_path / "old.zdx"))
    with pytest.raises(zodiax_io.SaveError, match=r"Save to old\.zdx"):
        zodiax_io.convert(path, tmp_path / "old.eqx")
    before = deserialise(path)
    zodiax_io.convert(path, path)
    assert differences(before, deserialise(path)) == []


def test_an_old_file_in_a_new_process():
    """Packages of the field are imported, and tell what their objects are."""
    path = GOLDEN / "0.4.1" / "optimiser.zdx"
    script = f"""
        import sys
        import zodiax_io
        state = zodiax_io.deserialise({str(path)!r})[0]
        assert type(state[1]) is sys.modules["optax"].EmptyState
        assert zodiax_io.deserialise({str(path)!r}, unknown="opaque")[0][1] == state[1]
    """
    root = Path(zodiax_io.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
    )


# What went wrong once -----------------------------------------------------------------


def module_of(monkeypatch, **classes):
    """Classes of a module that old files name."""
    made = types.ModuleType("oldmod")
    made.__file__ = __file__
    for name, cls in classes.items():
        cls.__module__, cls.__qualname__, cls.__name__ = "oldmod", name, name
        setattr(made, name, cls)
    monkeypatch.setitem(sys.modules, "oldmod", made)


def test_a_file_that_lacks_a_record(monkeypatch):
    """A leaf that the class declares is never left out for want of its record."""

    class Det(eqx.Module):
        gain: jax.Array
        flat: object = None

    module_of(monkeypatch, Det=Det)
    structure = node("oldmod.Det", {"gain": array(), "flat": array(shape=(3,))})
    whole = old(structure, np.ones(2, np.float32), np.ones(3, np.float32))
    assert load(whole).flat.tolist() == [1, 1, 1]
    with pytest.raises(CorruptFileError):
        load(old(structure, np.ones(2, np.float32)))


def test_a_class_that_has_lost_a_field_tells_nothing(monkeypatch):
    """The number could be that of the other field, so nobody guesses."""

    class Sw(eqx.Module):
        a: float

    module_of(monkeypatch, Sw=Sw)
    structure = node("oldmod.Sw", {"a": leaf("float"), "b": leaf("float")})
    with pytest.raises(CorruptFileError, match="could belong to several fields"):
        load(old(structure, np.float64(1.5)))


def test_a_function_has_no_number(monkeypatch):
    """What is no number takes none of another's."""

    class Lens(eqx.Module):
        radius: float = 9.0

    module_of(monkeypatch, Lens=Lens)
    lens = node("oldmod.Lens", {"radius": leaf("float")})
    structure = node("dict", {"act": leaf("builtins.function"), "lens": lens})
    with pytest.raises(ZodiaxIOError):
        load(old(structure, np.float64(1.5)))


def test_a_module_that_is_a_namedtuple_now(monkeypatch):
    """Its fields go by their names, not by their places."""

    class P(NamedTuple):
        x: float
        y: float

    module_of(monkeypatch, P=P)
    structure = node("oldmod.P", {"y": leaf("float"), "x": leaf("float")})
    found = load(old(structure, np.float64(1.0), np.float64(2.0)))
    assert found == (2.0, 1.0)


def test_what_the_old_format_lost_is_not_called_new(monkeypatch):
    """A static number has its default, and the warning says that it may be wrong."""

    class Grid(eqx.Module):
        x: jax.Array
        n: int = eqx.field(static=True, default=32)

    module_of(monkeypatch, Grid=Grid)
    structure = node("oldmod.Grid", {"x": array(), "n": leaf("int")})
    with pytest.warns(
        zodiax_io.ClassChangedWarning, match="did not save numbers in static"
    ):
        assert load(old(structure, np.ones(2, np.float32))).n == 32


def test_long_names_take_no_time():
    """Each name is looked up once."""
    name = "a." * 250 + "C"
    data = old(node("list", [node(name, {}) for _ in range(2_000)]))
    start = time.perf_counter()
    with pytest.raises(UntrustedError):
        load(data)
    assert time.perf_counter() - start < 20


def test_nothing_is_imported_for_an_old_file_with_a_refused_name(late):
    """An old file is judged before anything of it is imported, as any other is."""
    start, _, end = renamed("models", late).rpartition(late.encode())
    hostile = start + b"subprocess.ab" + end
    assert "standard library" in str(refusal(hostile, trusted=[late]))
    assert late not in sys.modules
