"""A structure has the versions and settings that a file of its tree would record."""

import contextlib
import copy
import warnings

import equinox as eqx
import jax.numpy as jnp
import msgpack
import pytest
from documents import Checkpoint, leaf
from equality import differences
from hypothesis import given, settings, strategies as st
from strategies import trees

from zodiax_io import (
    ArgumentError,
    CorruptFileError,
    VersionMismatchError,
    VersionMismatchWarning,
    ZodiaxIOError,
    ZodiaxIOWarning,
    build_structure,
    load_structure,
)

TREE = {"a": jnp.ones(2), "b": [1, None]}


def with_recorded(**recorded):
    """A structure with other versions or settings than those of here."""
    structure = build_structure(TREE)
    for key, value in recorded.items():
        structure[key] = structure[key] | value
    return structure


def warned(call):
    """The texts of the warnings of a call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ZodiaxIOWarning)
        call()
    return [str(warning.message) for warning in caught]


@given(trees)
@settings(max_examples=50)
def test_a_structure_records_what_a_file_does(tree):
    """Its tree, versions and settings are those of a file; the file has them once."""
    document = Checkpoint.of(tree).document
    structure = build_structure(tree)
    recorded = {key: structure.pop(key) for key in ("versions", "settings")}
    assert recorded == {key: document[key] for key in ("versions", "settings")}
    assert msgpack.packb(structure) == msgpack.packb(document["tree"])


@given(trees)
@settings(max_examples=30)
def test_a_structure_without_versions_loads_in_silence(tree):
    """One of an earlier release, and a part of one, has nothing to compare."""
    structure = build_structure(tree)
    whole = load_structure(structure)
    del structure["versions"], structure["settings"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ZodiaxIOWarning)
        bare = load_structure(structure, versions="error")
    assert differences(whole, bare) == []


VERSIONS = st.dictionaries(
    st.sampled_from(["jax", "numpy", "equinox", "mylab"]),
    st.sampled_from(["0.0.1", "99.0", "odd"]),
)
SETTINGS = st.dictionaries(
    st.sampled_from(["jax_enable_x64", "jax_default_prng_impl", "script"]),
    st.sampled_from([True, "rbg", 3, None]),
)


@given(VERSIONS, SETTINGS)
@settings(max_examples=50)
def test_it_warns_as_a_file_does(versions, then):
    """The comparison, its words and its strictness are those of `deserialise`."""
    checkpoint = Checkpoint.of(TREE)
    checkpoint.document["versions"] |= versions
    checkpoint.document["settings"] |= then
    structure = with_recorded(versions=versions, settings=then)

    def of_file():
        checkpoint.load(versions="warn")

    expected = [
        text.replace("The file was", "The structure was") for text in warned(of_file)
    ]
    assert warned(lambda: load_structure(structure)) == expected
    assert warned(lambda: load_structure(structure, versions="ignore")) == []
    if expected:
        with pytest.raises(VersionMismatchError) as caught:
            load_structure(structure, versions="error")
        assert expected[0].startswith(str(caught.value))
        assert caught.value.differences


def test_the_words():
    """What was there, what is here, and what to do."""
    structure = with_recorded(versions={"mylab": "1.0"})
    with pytest.warns(VersionMismatchWarning) as caught:
        load_structure(structure)
    assert str(caught[0].message) == (
        "The structure was written with packages that differ from those here:\n"
        "  mylab: 1.0 in the file, not installed here\n"
        'To load without this warning, pass `versions="ignore"`.'
    )
    assert caught[0].filename == __file__


@pytest.mark.parametrize("value", ["no", "", None, 1])
def test_the_argument(value):
    """It is one of three texts."""
    with pytest.raises(ArgumentError) as caught:
        load_structure(build_structure(TREE), versions=value)
    assert str(caught.value) == (
        f'`versions` is "warn", "error" or "ignore", not {value!r}.'
    )


class Lens(eqx.Module):
    radius: float


def test_an_opaque_object_brings_no_versions_into_a_file():
    """What a structure records of all is not saved as if it were of the root."""
    structure = build_structure(Lens(2.0)) | {"type": "lost_lab:Lens"}
    inner = build_structure([Lens(2.0)])
    inner["node"][0] = structure
    for one in (structure, inner):
        opaque = load_structure(one, unknown="opaque")
        nodes = [Checkpoint.of(opaque).tree]
        nodes += nodes[0]["node"] if isinstance(nodes[0]["node"], list) else []
        for node in nodes:
            assert not {"versions", "settings"} & node.keys()


def test_an_opaque_object_keeps_the_version_of_its_package():
    """As one that a file brings: it is written into the file that it is saved into."""
    structure = build_structure(Lens(2.0)) | {"type": "lost_lab:Lens"}
    structure["versions"]["lost_lab"] = "3.1"
    opaque = load_structure(structure, unknown="opaque", versions="ignore")
    assert Checkpoint.of(opaque).document["versions"]["lost_lab"] == "3.1"


def test_what_is_given_stays_as_it_was():
    """Neither call changes the structure, or shares its dictionaries with another."""
    structure, other = build_structure(TREE), build_structure(TREE)
    before = copy.deepcopy(structure)
    other["versions"].clear()
    other["settings"].clear()
    load_structure(structure)
    assert structure == before


HOSTILE = {
    "versions none": {"versions": None},
    "versions a list": {"versions": ["jax", "1.0"]},
    "versions a number": {"versions": {"jax": 1}},
    "versions a path": {"versions": {"../../etc/passwd": "1"}},
    "versions a bytes key": {"versions": {b"jax": "1"}},
    "too many packages": {"versions": {f"p{i}": "1" for i in range(10**6)}},
    "settings none": {"settings": None},
    "settings text": {"settings": "jax_enable_x64"},
    "settings a list": {"settings": [["jax_enable_x64", True]]},
}


@pytest.mark.parametrize("recorded", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("versions", ["warn", "error", "ignore"])
def test_hostile_records_are_damage(recorded, versions):
    """What is not names with versions, or no map, is refused whatever is asked for."""
    with pytest.raises(CorruptFileError, match="The structure is damaged: "):
        load_structure(build_structure(TREE) | recorded, versions=versions)


STRANGE = {
    "endless integer": {"settings": {"jax_enable_x64": 10**5000}},
    "negative": {"settings": {"jax_random_seed_offset": -(10**5000)}},
    "list": {"settings": {"jax_enable_x64": [1] * 1000}},
    "long text": {"settings": {"jax_enable_x64": "x" * 10**6}},
    "control characters": {"settings": {"jax_enable_x64": "\x1b[31m\ud800\n"}},
    "script": {"settings": {"script": "os; import os"}},
    "script a list": {"settings": {"script": []}},
    "endless version": {"versions": {"jax": "1" * 10**6}},
    "odd version": {"versions": {"jax": "\x1b[31m\ud800\n"}},
    "many": {"versions": {f"p{i}": "1" for i in range(900)}},
}


@pytest.mark.parametrize("recorded", STRANGE.values(), ids=STRANGE.keys())
@pytest.mark.parametrize("versions", ["warn", "error", "ignore"])
def test_strange_records_are_compared_in_safety(recorded, versions):
    """A warning about them is short enough to read and safe to print."""
    structure = with_recorded(**recorded)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            load_structure(structure, versions=versions)
            texts = [str(warning.message) for warning in caught]
        except ZodiaxIOError as error:
            texts = [str(error)]
    for text in texts:
        assert len(text) < 100_000
        assert all(line.isprintable() for line in text.split("\n"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["jax", "jax_enable_x64", "script"]), inner)
    ),
)


@given(JSON, JSON, st.sampled_from(["warn", "error", "ignore"]))
def test_any_records_end_in_our_errors(versions, then, asked):
    """Whatever a structure says of versions and settings, no other error comes."""
    structure = leaf("none", versions=versions, settings=then)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZodiaxIOWarning)
        with contextlib.suppress(ZodiaxIOError):
            assert load_structure(structure, versions=asked) is None
