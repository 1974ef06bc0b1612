"""Extras: further trees of a file, which a release passes on without knowing them."""

import io
import json
import sys
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import msgpack
import numpy as np
import pytest
import reader as plain_reader
from documents import (
    Checkpoint,
    container,
    leaf,
    named,
)
from equality import differences
from hypothesis import given, settings, strategies as st
from strategies import trees

import zodiax_io
from zodiax_io import (
    ArgumentError,
    CorruptFileError,
    NewerFormatError,
    UnknownFormatError,
    UntrustedError,
    ZodiaxIOError,
    deserialise,
    read_metadata,
    serialise,
)
from zodiax_io._api.load import read_extra
from zodiax_io._api.migrate import rewritten
from zodiax_io._api.save import save_with_extras, write
from zodiax_io._cli import main
from zodiax_io._tree.snapshot import snapshot

# With the commit, in a checkout.
VERSION = Checkpoint.of(None).document["versions"]["zodiax_io"]
TREE = {"a": jnp.arange(3.0), "b": [1.5, None]}
SERIES = {"steps": [0, 10], "losses": np.arange(4.0), "mean": jnp.ones(2)}
NAMES = st.from_regex(r"\A[A-Za-z0-9_-]{1,8}(\.[A-Za-z0-9_-]{1,8}){1,3}\Z")


def nested(levels, inside):
    for _ in range(levels):
        inside = [inside]
    return inside


def saved(tree, extras, **options):
    file = io.BytesIO()
    save_with_extras(file, tree, extras, **options)
    return file.getvalue()


def with_extras(extras, tree=TREE):
    """A file with extras as a stranger may write them."""
    checkpoint = Checkpoint.of(tree)
    checkpoint.document["extras"] = extras
    return checkpoint.companion()


def packed_extras(data):
    return msgpack.packb(Checkpoint.apart(data).document.get("extras"))


# What is saved comes back -------------------------------------------------------------


@given(trees, st.dictionaries(NAMES, trees, max_size=3))
@settings(max_examples=50)
def test_extras_come_back_and_change_nothing_else(tree, extras):
    """Each extra loads as it was saved; the tree and its bytes are as without them."""
    data, alone = saved(tree, extras, metadata=[1]), saved(tree, {}, metadata=[1])
    for name, extra in extras.items():
        assert differences(extra, read_extra(io.BytesIO(data), name)) == []
    assert differences(tree, deserialise(io.BytesIO(data))) == []
    assert read_metadata(io.BytesIO(data)) == [1]
    assert zodiax_io.verify(io.BytesIO(data)) == []
    with_them, without = Checkpoint.apart(data), Checkpoint.apart(alone)
    assert with_them.tree == without.tree
    assert with_them.records.startswith(without.records)


@given(trees)
@settings(max_examples=30)
def test_a_file_without_extras_is_as_before(tree):
    """Without extras the document has no key for them, and the bytes are the same."""
    file = io.BytesIO()
    serialise(file, tree)
    assert saved(tree, {}) == file.getvalue()
    assert "extras" not in Checkpoint.apart(file.getvalue()).document


def test_a_snapshot_has_its_extras():
    """Extras are taken with the tree, and stay as they were at that moment."""
    series = {"losses": np.arange(4.0), "steps": [0]}
    taken = snapshot(TREE, extras={"mylab.series": series})
    series["losses"][0] = 9
    series["steps"].append(1)
    file = io.BytesIO()
    write(taken, file)
    expected = {"losses": np.arange(4.0), "steps": [0]}
    file.seek(0)
    assert differences(expected, read_extra(file, "mylab.series")) == []


def test_a_deep_extra(tmp_path):
    """An extra deeper than one msgpack document nests comes back, and is passed on."""
    deep = nested(150, jnp.arange(3))
    save_with_extras(tmp_path / "a", TREE, {"mylab.deep": deep})
    assert differences(deep, read_extra(tmp_path / "a", "mylab.deep")) == []
    zodiax_io.convert(tmp_path / "a", tmp_path / "b")
    for suffix in (".zdx", ".eqx"):
        one, other = (tmp_path / f"{name}{suffix}" for name in "ab")
        assert one.read_bytes() == other.read_bytes()


def test_the_packages_of_an_extra_are_recorded():
    """The versions of a file are those of its extras as well."""
    pytest.importorskip("optax")
    import optax

    data = saved(TREE, {"mylab.loss": optax.l2_loss})
    assert "optax" in Checkpoint.apart(data).document["versions"]


def test_plain_equinox_reads_the_companion():
    """Arrays of extras lie behind all that plain Equinox reads."""
    model = eqx.nn.MLP(2, 2, 4, 1, key=jr.key(0))
    like = eqx.nn.MLP(2, 2, 4, 1, key=jr.key(1))
    file = io.BytesIO(saved(model, {"mylab.series": SERIES}, metadata=np.ones(2)))
    assert eqx.tree_equal(eqx.tree_deserialise_leaves(file, like), model)


def test_a_reader_of_the_format_page_reads_extras():
    """`reader.py`, which knows nothing of zodiax_io, reads extras as trees."""
    extras = {"mylab.deep": nested(150, SERIES), "mylab.series": SERIES}
    document, arrays = plain_reader.read(saved(TREE, extras))
    found = plain_reader.plain(document["extras"]["mylab.series"], arrays)
    assert found["steps"] == [0, 10]
    assert np.array_equal(found["losses"], SERIES["losses"])
    deep = plain_reader.plain(document["extras"]["mylab.deep"], arrays)
    for _ in range(150):
        (deep,) = deep
    assert np.array_equal(deep["mean"], np.ones(2))


def test_an_extra_that_is_not_there():
    """The message lists the extras of the file."""
    data = saved(TREE, {"mylab.series": 1, "mylab.notes": 2})
    with pytest.raises(ArgumentError) as caught:
        read_extra(io.BytesIO(data), "mylab.other")
    assert str(caught.value) == (
        "The file has no extra `mylab.other`. It has: `mylab.series`, `mylab.notes`."
    )
    with pytest.raises(ArgumentError, match="It has: none"):
        read_extra(io.BytesIO(saved(TREE, {})), "mylab.other")


BAD_NAMES = ["", "a", ".", "a.", ".a", "a..b", "a b.c", "a.b!", "!!a.b", "a.ä", "a.b\n"]
BAD_NAMES += ["a." + "b" * 127]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names(name):
    """A name that no extra may have is refused when saving, and damage when loading."""
    with pytest.raises(ArgumentError) as caught:
        saved(TREE, {name: 1})
    assert str(caught.value).startswith(
        "The name of an extra is `package.name` in letters, digits, `_` and `-`, 128 "
        "characters at most, not '"
    )
    with pytest.raises(CorruptFileError, match="is not a name for an extra"):
        deserialise(io.BytesIO(with_extras({name: leaf("none")})))


# What a release does not know is passed on --------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["deeper", "node", "keys", "kind"]), inner)
    ),
)


@given(st.dictionaries(NAMES, st.dictionaries(st.text(max_size=4), JSON), min_size=1))
@settings(max_examples=50)
def test_whatever_an_extra_holds_stays_to_the_byte(extras):
    """Loading, converting and repairing need not understand what an extra holds."""
    data = with_extras(extras)
    assert differences(TREE, deserialise(io.BytesIO(data))) == []
    again = io.BytesIO()
    zodiax_io.convert(io.BytesIO(data), again)
    assert packed_extras(again.getvalue()) == packed_extras(data)


def test_repair_keeps_extras(tmp_path):
    """A structure or a companion's end that is written again has the extras."""
    save_with_extras(tmp_path / "m", TREE, {"mylab.series": SERIES})
    structure, companion = tmp_path / "m.zdx", tmp_path / "m.eqx"
    whole = structure.read_bytes(), companion.read_bytes()
    structure.unlink()
    zodiax_io.repair(structure)
    assert (structure.read_bytes(), companion.read_bytes()) == whole
    companion.write_bytes(whole[1][:-5])
    zodiax_io.repair(structure)
    assert (structure.read_bytes(), companion.read_bytes()) == whole


def renamed_model(lab, path, extras):
    """A file whose class has another field now; loading says so, and adds a record."""
    code = "import equinox as eqx, jax.numpy as jnp\nfrom typing import Any\n"
    old = lab("oldlab", f"{code}class Lens(eqx.Module):\n    radius: Any\n")
    save_with_extras(path, [old.Lens(jnp.ones(2))], extras, metadata={"epoch": 3})
    Path(sys.modules.pop("oldlab").__file__).unlink()
    lab(
        "oldlab",
        f"{code}class Lens(eqx.Module):\n    radius: Any\n    gain: Any = 1.5\n",
    )


def migrated(path):
    ((_, outcome, told),) = rewritten([str(path)], ["oldlab"], dry_run=False)
    return outcome, told


@pytest.mark.filterwarnings("ignore::zodiax_io.ZodiaxIOWarning")
def test_migrating_keeps_extras(lab, tmp_path):
    """A file that is saved again has its extras, their arrays, packages and script."""
    shared = jnp.arange(3.0)
    extras = {
        "mylab.plain": {"kept": "as it is"},
        "mylab.deep": nested(150, SERIES),
        "mylab.twice": [shared, shared],
    }
    path = tmp_path / "m.zdx"
    renamed_model(lab, path, extras)
    checkpoint = Checkpoint.apart(path.with_suffix(".eqx").read_bytes())
    checkpoint.document["versions"]["mylab"] = "1.0"
    checkpoint.document["settings"]["script"] = "train"
    checkpoint.write(path)
    before = len(checkpoint.document["records"])
    assert migrated(path)[0] == "changed"
    after = Checkpoint.apart(path.with_suffix(".eqx").read_bytes())
    assert len(after.document["records"]) > before
    for name, extra in extras.items():
        assert differences(extra, read_extra(path, name)) == []
    now, then = after.document["extras"], checkpoint.document["extras"]
    assert now["mylab.plain"] == then["mylab.plain"]
    assert after.document["versions"]["mylab"] == "1.0"
    assert after.document["settings"]["script"] == "train"
    assert zodiax_io.verify(path) == []


@pytest.mark.parametrize("number", [0, 99, -1])
@pytest.mark.filterwarnings("ignore::zodiax_io.ZodiaxIOWarning")
def test_migrating_takes_no_record_twice(lab, tmp_path, number):
    """An extra whose record is another's, or is not there, is not saved again."""
    path = tmp_path / "m.zdx"
    renamed_model(lab, path, {"mylab.one": np.ones(2), "mylab.two": np.ones(2)})
    checkpoint = Checkpoint.apart(path.with_suffix(".eqx").read_bytes())
    used = checkpoint.document["extras"]["mylab.one"]
    used["record"] = number or checkpoint.document["extras"]["mylab.two"]["record"]
    checkpoint.write(path)
    before = path.read_bytes()
    outcome, told = migrated(path)
    assert (outcome, told[0]) == (
        "failed",
        "m.eqx is damaged: an extra refers to a record of another extra, or to one "
        "that does not exist.",
    )
    assert path.read_bytes() == before


# What is shown of them ----------------------------------------------------------------


def test_show_names_extras(tmp_path, capsys):
    """The names are listed, as text, as data and on the page."""
    path = tmp_path / "m.zdx"
    save_with_extras(path, TREE, {"mylab.series": SERIES, "mylab.notes": None})
    summary = zodiax_io.summarise(path)
    assert summary.extras == ("mylab.series", "mylab.notes")
    assert "\nextras mylab.series, mylab.notes\n" in str(summary)
    main.main(["show", str(path), "--json"])
    assert json.loads(capsys.readouterr().out)["extras"] == list(summary.extras)
    zodiax_io.show(path, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf8")
    assert page.count("extras mylab.series, mylab.notes") == 2
    serialise(path, TREE)
    assert "extras" not in str(zodiax_io.summarise(path))


# What must be understood --------------------------------------------------------------

CALLS = {
    "deserialise": deserialise,
    "read_metadata": read_metadata,
    "verify": zodiax_io.verify,
    "names": zodiax_io.names,
    "summarise": zodiax_io.summarise,
    "convert": lambda file: zodiax_io.convert(file, io.BytesIO()),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_an_extra_that_must_be_understood(call):
    """A name that begins with `!` is refused by a release that does not know it."""
    data = saved(TREE, {"mylab.series": SERIES, "!mylab.capsule": 1})
    with pytest.raises(UnknownFormatError) as caught:
        call(io.BytesIO(data))
    assert type(caught.value) is NewerFormatError
    assert str(caught.value) == (
        "The file holds `!mylab.capsule`, which a reader must understand and this "
        "release of zodiax_io does not know. Upgrade zodiax_io to read it: zodiax_io "
        f"{VERSION} wrote it, and every later release does."
    )


def test_an_extra_that_must_be_understood_and_is(monkeypatch):
    """A release that knows such a name reads the file."""
    from zodiax_io._files import document

    data = saved(TREE, {"!mylab.capsule": 1})
    monkeypatch.setattr(document, "UNDERSTOOD", frozenset({"!mylab.capsule"}))
    assert differences(TREE, deserialise(io.BytesIO(data))) == []
    assert read_extra(io.BytesIO(data), "!mylab.capsule") == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@given(keys=st.sets(st.from_regex(r"\A[a-z]{1,9}\Z"), min_size=1, max_size=3))
@settings(max_examples=10)
def test_an_unknown_key_is_of_a_newer_format(call, keys):
    """A document with a key that no format up to now has is newer, not damaged."""
    checkpoint = Checkpoint.of(TREE)
    unknown = sorted(keys - {*checkpoint.document, "extras"})
    checkpoint.document |= dict.fromkeys(unknown, 1)
    if unknown:
        with pytest.raises(NewerFormatError) as caught:
            call(io.BytesIO(checkpoint.companion()))
        assert str(caught.value) == (
            f"The file holds {', '.join(f'`{key}`' for key in unknown)}, which this "
            "release of zodiax_io does not know. Upgrade zodiax_io to read it: "
            f"zodiax_io {VERSION} wrote it, and every later release does."
        )


def test_many_unknown_keys():
    """A message lists a few of many, and shortens long ones."""
    checkpoint = Checkpoint.of(TREE)
    checkpoint.document |= {f"{i}" * 1000: 1 for i in range(10, 10_010)}
    with pytest.raises(NewerFormatError, match="and 9995 more") as caught:
        checkpoint.load()
    assert len(str(caught.value)) < 1000


def test_a_key_that_is_missing_is_damage():
    """A key of another name in the place of one that must be there is no news."""
    checkpoint = Checkpoint.of(TREE)
    del checkpoint.document["records"], checkpoint.document["tree"]
    checkpoint.document["surplus"] = 1
    with pytest.raises(CorruptFileError) as caught:
        checkpoint.load()
    assert str(caught.value) == (
        "The file is damaged: missing keys: `records`, `tree`."
    )


def test_an_unknown_option_of_the_backend_is_of_a_newer_format(tmp_path):
    """An option may change how arrays lie, so a release that lacks it reads none."""
    checkpoint = Checkpoint.of(TREE)
    checkpoint.document["backend"]["compression"] = "zstd"
    for call in (deserialise, zodiax_io.verify):
        with pytest.raises(NewerFormatError) as caught:
            call(io.BytesIO(checkpoint.companion()))
        assert str(caught.value) == (
            "The file holds arrays of the backend 'eqx', which, in this release of "
            "zodiax_io, has no option 'compression'. Upgrade zodiax_io to read it."
        )


@given(st.dictionaries(st.text(min_size=1, max_size=9), JSON, max_size=3))
@settings(max_examples=30)
def test_unknown_settings_and_keys_of_nodes_mean_nothing(further):
    """A reader passes over settings and keys of nodes that it does not know."""
    checkpoint = Checkpoint.of(TREE)
    checkpoint.document["settings"] |= {f"x_{key}": v for key, v in further.items()}
    for node in (checkpoint.tree, checkpoint.tree["node"]["a"]):
        node |= {f"x_{key}": value for key, value in further.items()}
    assert differences(TREE, checkpoint.load()) == []


# Hostile ones -------------------------------------------------------------------------


def packed(node, times=1):
    for _ in range(times):
        node = {"deeper": msgpack.packb(node)}
    return node


def chain(levels):
    """A tree of so many levels, of which each hundredth is packed."""
    node = leaf("none")
    for level in range(levels):
        node = container("list", [node])
        if level % 100 == 99:
            node = packed(node)
    return node


HOSTILE = {
    "packed in packed": packed(leaf("none"), 2),
    "packed often": packed(leaf("none"), 50),
    "deep": chain(600),
    "too deep to unpack": chain(2000),
    "packed list": {"deeper": msgpack.packb([1])},
    "packed nothing": {"deeper": b""},
    "packed extension": {"deeper": msgpack.packb(msgpack.Timestamp(1, 2))},
    "no node": {},
    "not a kind": leaf(3),
    "children": {"node_type": "container", "kind": "list", "node": 3},
    "unknown kind": leaf("nothing"),
    "record outside": leaf("numpy", shape=[2], dtype="float32", record=10**6),
    "record below": leaf("numpy", shape=[2], dtype="float32", record=-1),
    "huge record": leaf("numpy", shape=[2], dtype="float32", record=2**63),
    "record of the tree": leaf("numpy", shape=[9], dtype="float32", record=0),
    "record twice": container(
        "list", [leaf("numpy", shape=[3], dtype="float32", record=0)] * 2
    ),
    "same": leaf("same", value=1),
    "name": named("os:system"),
    "class": container("dataclass", {}, type="os:system"),
}


@pytest.mark.parametrize("node", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_in_an_extra_matters_to_its_readers_only(node):
    """A hostile extra harms no load of the tree, and reading it fails by our errors."""
    data = with_extras({"mylab.x": node})
    assert differences(TREE, deserialise(io.BytesIO(data))) == []
    assert zodiax_io.summarise(io.BytesIO(data)).extras == ("mylab.x",)
    assert zodiax_io.untrusted(io.BytesIO(data)) == []
    zodiax_io.verify(io.BytesIO(data))  # raises nothing
    with pytest.raises(ZodiaxIOError):
        read_extra(io.BytesIO(data), "mylab.x")


def test_verify_reports_what_is_wrong_with_an_extra():
    """An extra that is not packed as it should be is damage, by its name."""
    (damage,) = zodiax_io.verify(
        io.BytesIO(with_extras({"mylab.x": HOSTILE["packed list"]}))
    )
    assert str(damage) == (
        "The file: The file: `extras['mylab.x']` is damaged: a packed subtree is not a "
        "node"
    )


def test_names_in_an_extra_are_judged_when_it_is_read():
    """A load of the tree asks for no trust in names of extras; a read of one does."""
    data = with_extras({"mylab.x": container("list", [named("os:system")])})
    assert zodiax_io.names(io.BytesIO(data)) == []
    with pytest.raises(UntrustedError) as caught:
        read_extra(io.BytesIO(data), "mylab.x")
    assert "`os:system` at `extras['mylab.x'][0]`" in str(caught.value)
    opaque = read_extra(io.BytesIO(data), "mylab.x", unknown="opaque")
    assert isinstance(opaque[0], zodiax_io.Placeholder)


@pytest.mark.parametrize("extras", [{}, 0, None, [], "x", {"a.b": 1}, {"a.b": []}])
def test_extras_of_a_wrong_type(extras):
    """What cannot be extras is damage."""
    with pytest.raises(CorruptFileError, match="The file is damaged: "):
        deserialise(io.BytesIO(with_extras(extras)))


def test_too_many_extras():
    """More than 1000 are damage."""
    most = {f"a.x{i}": leaf("none") for i in range(1000)}
    assert len(zodiax_io.summarise(io.BytesIO(with_extras(most))).extras) == 1000
    with pytest.raises(CorruptFileError) as caught:
        deserialise(io.BytesIO(with_extras(most | {"a.b": leaf("none")})))
    assert str(caught.value) == (
        "The file is damaged: expected 1 to 1000 extras, got 1001."
    )


def test_damage_to_an_array_of_an_extra():
    """It is listed by its path, costs no load of the tree, and the extra is refused."""
    data = saved(TREE, {"mylab.series": SERIES})
    checkpoint = Checkpoint.apart(data)
    number = checkpoint.document["extras"]["mylab.series"]["node"]["losses"]["record"]
    offset, length = checkpoint.document["records"][number][:2]
    hurt = bytearray(data)
    hurt[offset + length - 1] ^= 1
    (damage,) = zodiax_io.verify(io.BytesIO(bytes(hurt)))
    assert damage.path == "extras['mylab.series']['losses']"
    assert differences(TREE, deserialise(io.BytesIO(bytes(hurt)))) == []
    with pytest.raises(CorruptFileError, match=r"`extras\['mylab.series'\]\['loss"):
        read_extra(io.BytesIO(bytes(hurt)), "mylab.series")
