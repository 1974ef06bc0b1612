"""Long lists of numbers or text take some bytes for each element, and stay lists."""

import io
import json
import math
import struct

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from documents import Checkpoint, checkpoint_of, container, leaf
from hypothesis import given, strategies as st
from strategies import box

import zodiax_io
from zodiax_io._kinds.columns import SHORTEST
from zodiax_io._look.thumbnails import picture_for

NANS = [
    struct.unpack("<d", struct.pack("<Q", bits))[0]
    for bits in (0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001)
]
HISTORY = [i / 7 for i in range(300)]
ELEMENTS = {
    "float": st.one_of(st.floats(), st.sampled_from([-0.0, *NANS])),
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "str": st.text(max_size=3),
}
# With one of these among the others, a list is not of one type.
ODD = [None, 2**63, 10**400, "\ud800", 1j, b"", (), np.float64(1), np.bool_(True)]


def bits(obj):
    """A key that differs between any two elements."""
    if type(obj) is float:
        return "float", struct.pack("<d", obj)
    return type(obj).__name__, obj


def saved(tree, **options):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file, **options)


def assert_same_elements(one, two):
    assert type(one) is type(two)
    assert [*map(bits, one)] == [*map(bits, two)]


@st.composite
def long_lists(draw):
    """A list or tuple of one type, about as long as a column is at least."""
    few = draw(st.lists(draw(st.sampled_from([*ELEMENTS.values()])), min_size=1))
    length = draw(st.integers(SHORTEST - 2, SHORTEST + 20))
    elements = [few[i % len(few)] for i in range(length)]
    return draw(st.sampled_from([list, tuple]))(elements)


@given(long_lists(), st.booleans())
def test_a_long_list_comes_back(elements, static):
    """Types, order and every bit come back, as a leaf and from a static field."""
    tree = box(None, elements) if static else {"a": elements}
    again = saved(tree)
    assert_same_elements(again.label if static else again["a"], elements)


@given(long_lists(), st.sampled_from(ODD), st.integers(0, SHORTEST - 3))
def test_a_list_that_is_nearly_of_one_type_comes_back(elements, odd, where):
    """One element of another type, or too large, changes nothing of the others."""
    mixed = [*elements]
    mixed[where] = odd
    assert_same_elements(saved({"a": mixed})["a"], mixed)


@pytest.mark.parametrize("of", [bool, int, float, str])
def test_a_subclass_is_no_number(of):
    """An `IntEnum` or a subclass of a type does not pass for the type."""
    mixed = [of(i) for i in range(300)]
    mixed[7] = not mixed[7] if of is int else mixed[7]
    node = zodiax_io.build_structure(mixed)
    assert node["kind"] == ("list" if of is int else "column")


def test_a_million_numbers_take_some_bytes_each(tmp_path):
    """A number costs its eight bytes in each of the two files, and next to no more."""
    losses = np.linspace(3, 0, 100_000).tolist()
    zodiax_io.serialise(tmp_path / "run.zdx", {"losses": losses})
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert size < 17 * len(losses)
    assert zodiax_io.deserialise(tmp_path / "run.zdx")["losses"] == losses


def test_a_vocabulary_takes_its_letters():
    """A word costs its letters and a byte or two, in each of the two files."""
    words = [f"word{i:05}" for i in range(10_000)]
    assert len(Checkpoint.of({"words": words}).structure()) < 12 * len(words)


def test_a_shared_list_stays_shared():
    """Two references to one long list come back as two to one list."""
    again = saved({"a": HISTORY, "b": HISTORY})
    assert again["a"] is again["b"]
    assert again["a"] == HISTORY


@pytest.mark.parametrize("shared", [False, True])
def test_plain_equinox_reads_what_is_around(shared):
    """The companion has no record for the elements: Equinox gets None for the list."""
    arrays = {"after": jnp.arange(3.0), "before": jnp.ones(2), "number": 2.5}
    history = {"list": HISTORY, "twice": HISTORY if shared else [*HISTORY]}
    file = io.BytesIO()
    zodiax_io.serialise(file, {"arrays": arrays, "more": jnp.zeros(4)} | history)
    file.seek(0)
    like = {"arrays": arrays, "more": jnp.ones(4), "list": None, "twice": None}
    again = eqx.tree_deserialise_leaves(file, like)
    assert eqx.tree_equal(again["arrays"], arrays)
    assert eqx.tree_equal(again["more"], jnp.zeros(4))


def test_a_list_within_a_registered_class_has_no_records():
    """Nor has a long list in a class whose leaves JAX finds in its own way."""
    from strategies import Node

    zodiax_io.register(Node)
    tree = [Node((HISTORY, jnp.ones(2)), "aux"), jnp.zeros(3)]
    checkpoint = Checkpoint.of(tree)
    assert len(checkpoint.document["records"]) == 2
    again = checkpoint.load(trusted=[Node])
    assert again[0].children[0] == HISTORY


def test_a_long_list_is_a_skeleton_of_as_many_leaves():
    """Without the file, a structure has the elements themselves."""
    structure = zodiax_io.build_structure({"a": HISTORY, "b": jnp.ones(2)})
    assert zodiax_io.load_structure(structure)["a"] == HISTORY


# Element by element -------------------------------------------------------------------


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.zdx"
    zodiax_io.serialise(path, {"losses": HISTORY, "words": ["a"] * 300})
    return path


def test_one_element_is_loaded(file):
    """A path leads to an element of a long list, and a glob to all of them."""
    assert zodiax_io.deserialise(file, only="losses[3]") == HISTORY[3]
    part = zodiax_io.deserialise(file, only=["losses[3]", "words"])
    assert part["words"] == ["a"] * 300
    assert part["losses"][3] == HISTORY[3]
    assert zodiax_io.deserialise(file, only="losses") == HISTORY


def test_an_element_that_is_not_there(file):
    """A path behind the end is an error that tells what there is."""
    with pytest.raises(zodiax_io.ArgumentError, match=r"nothing at `losses\[300\]`"):
        zodiax_io.deserialise(file, only="losses[300]")


def test_like_takes_element_by_element(file):
    """A list of as many numbers is filled; differences are reported by path."""
    like = {"losses": [0.0] * 300, "words": ["a"] * 300}
    assert zodiax_io.deserialise(file, like=like)["losses"] == HISTORY
    like = {"losses": [0.0] * 299 + [0], "words": ["a"] * 299 + ["b"]}
    with pytest.warns(zodiax_io.PartialLoadWarning) as caught:
        again = zodiax_io.deserialise(file, like=like)
    assert again["losses"] == [*HISTORY[:-1], 0]
    text = str(caught[0].message)
    assert "`model['losses'][299]`: the file has `42.714285714285715` there" in text
    assert "`model['words'][299]`: `'a'`, not `'b'`" in text


def test_a_difference_is_told_by_its_path(file):
    """A changed element, and one more, are the differences of two long lists."""
    other = {"losses": [*HISTORY, 1.5], "words": ["a"] * 300}
    other["losses"][7] = -0.0
    assert str(zodiax_io.diff(file, other)).splitlines() == [
        "~ model['losses'][7]: 1.0 -> -0.0",
        "+ model['losses'][300]: 1.5",
    ]
    assert not zodiax_io.diff(file, {"losses": HISTORY, "words": ["a"] * 300})


def test_a_short_list_differs_from_a_long_one(file):
    """A list that has become short is compared with the long one it was."""
    other = {"losses": HISTORY[:2], "words": ["a"] * 300}
    changes = zodiax_io.diff(file, other).changes
    assert {change.what for change in changes} == {"removed"}
    assert len(changes) == 298


def test_a_long_list_is_one_line(file):
    """It is shown with its type, its length, its ends and the range of its numbers."""
    lines = str(zodiax_io.summarise(file)).splitlines()
    (losses,) = [line for line in lines if "losses" in line]
    assert losses.split("  ")[0] == (
        "├─ ['losses']: list of 300 float [0.0, 0.14285714285714285, …, "
        "42.714285714285715]"
    ) or losses.startswith("├─ ['losses']: list of 300 float [0.0, ")
    (words,) = [line for line in lines if "words" in line]
    assert words == "└─ ['words']: list of 300 str ['a', 'a', …, 'a']"


@pytest.mark.parametrize("values", [False, True])
def test_a_long_list_is_one_curve(file, values):
    """A notebook and a page, which reads all arrays, draw its numbers as a vector."""
    summary = zodiax_io.summarise(file, values=values)
    (item,) = [item for item in summary.root.items if "losses" in item.path]
    assert item.picture is not None
    assert item.picture.line[0] == pytest.approx(0, abs=0.5)
    assert item.picture.line[-1] == pytest.approx(HISTORY[-1], abs=0.5)
    assert picture_for(item, {}) is item.picture
    assert item.statistics.greatest == max(HISTORY)
    json.dumps(summary.as_dict(), allow_nan=False)


def test_an_element_is_shown(file):
    """`show` finds an element of a long list by its path."""
    found = zodiax_io.summarise(file, at="losses[3]").root
    assert found.value == repr(HISTORY[3])
    alive = zodiax_io.summarise({"losses": HISTORY}, at="losses[3]").root
    assert alive.value == repr(HISTORY[3])


def test_a_live_tree_is_shown_as_its_file(file):
    """A tree that is alive is shown as it would be saved."""
    alive = zodiax_io.summarise({"losses": HISTORY, "words": ["a"] * 300})
    assert [i.value for i in alive.root.walk()] == [
        i.value for i in zodiax_io.summarise(file).root.walk()
    ]


def test_an_object_without_its_class_keeps_its_long_lists(tmp_path):
    """A file opened without a class, and saved again, is the same to the byte."""
    checkpoint = Checkpoint.of(box(HISTORY, ["a"] * 300))
    checkpoint.tree["type"] = "gone.away:Box"
    held = checkpoint.load(unknown="opaque")
    again = Checkpoint.of(held)
    assert again.tree == checkpoint.tree


# Hostile columns ----------------------------------------------------------------------


def column(of="float", data=None, within="list", **more):
    data = struct.pack("<300d", *HISTORY) if data is None else data
    return leaf("column", value={"container": within, "of": of, "data": data, **more})


def test_a_column_of_our_own_loads():
    assert checkpoint_of(column()).load() == HISTORY
    assert checkpoint_of(column(within="tuple")).load() == tuple(HISTORY)


BAD = {
    "another container": column(within="set"),
    "another type": column(of="complex"),
    "a type that is not text": column(of=["float"]),
    "half a number": column(data=b"\x00" * 2401),
    "too few": column(data=b"\x00" * 80),
    "no bytes": column(data="a" * 2400),
    "bytes that are not bools": column(of="bool", data=b"\x02" * 300),
    "elements that are not text": column(of="str", data=[1] * 300),
    "bytes for text": column(of="str", data=b"a" * 300),
    "something more": column(more=1),
    "nothing": leaf("column"),
    "children": container("column", [leaf("none")] * 300),
}


@pytest.mark.parametrize("what", BAD)
@pytest.mark.parametrize("options", [{}, {"only": "**"}, {"like": [1.0]}])
def test_a_column_that_is_none(what, options):
    """A column that no list could give is damage, for every kind of load."""
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint_of(BAD[what]).load(**options)


def test_shared_columns_do_not_explode():
    """To JAX each reference to a column is as many leaves again."""
    one = column(data=b"\x00" * 8 * 100_000) | {"id": 0}
    many = container("list", [one, *[leaf("same", value=0)] * 20])
    with pytest.raises(
        zodiax_io.CorruptFileError, match="shared so often that JAX cannot flatten it"
    ):
        checkpoint_of(many).load()


def test_numbers_are_those_of_the_machine():
    """A column is in little-endian order, whatever machine it is read on."""
    data = struct.pack("<300q", *range(300))
    assert checkpoint_of(column(of="int", data=data)).load() == [*range(300)]
    assert math.copysign(1, checkpoint_of(column()).load()[0]) == 1
