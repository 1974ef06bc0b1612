"""Random generators of NumPy and Python go on where they were."""

import io
import random

import numpy as np
import pytest
from documents import load_node
from equality import survives
from hypothesis import given, strategies as st

import zodiax_io

BITS = [
    *(np.random.PCG64, np.random.PCG64DXSM, np.random.Philox, np.random.SFC64),
    np.random.MT19937,
]


def draws(generator):
    return [*generator.integers(0, 9, 4), *generator.normal(size=3)]


@given(
    st.sampled_from(BITS),
    st.integers(0, 2**70) | st.lists(st.integers(0, 2**40), min_size=1, max_size=3),
    st.integers(0, 700),
)
def test_it_goes_on_where_it_was(bits, seed, drawn):
    """After loading, it draws what it would have drawn, and spawns the same."""
    generator = np.random.Generator(bits(seed))
    generator.integers(0, 2, drawn, dtype=np.uint32)
    loaded = survives([generator])[0]
    assert draws(loaded) == draws(generator)
    (one,), (other,) = loaded.spawn(1), generator.spawn(1)
    assert draws(one) == draws(other)


@pytest.mark.parametrize("bits", BITS)
def test_an_old_generator_may_have_new_bits(bits):
    """What a save writes, a load accepts."""
    old = np.random.RandomState(bits(3))
    old.normal()
    loaded = survives([old])[0]
    assert [*loaded.normal(size=3)] == [*old.normal(size=3)]


def test_a_generator_without_a_seed_has_none():
    """One that was made of a state alone cannot spawn, before and after."""
    bits = np.random.PCG64(1)
    bits.__setstate__((bits.state, np.random.bit_generator.SeedlessSeedSequence()))
    loaded = survives([np.random.Generator(bits)])[0]
    with pytest.raises((TypeError, NotImplementedError)):
        loaded.spawn(1)


def test_two_generators_that_share_their_bits_do_so():
    """A draw from one moves the other on."""
    bits = np.random.PCG64(1)
    one, other = survives([np.random.Generator(bits), np.random.Generator(bits)])
    one.normal()
    assert other.bit_generator.state == one.bit_generator.state
    assert one.bit_generator is other.bit_generator


def test_old_generators_and_those_of_python_go_on():
    """Also in the middle of a pair of normal numbers."""
    old, python = np.random.RandomState(3), random.Random("a")
    old.normal()
    python.gauss(0, 1)
    one, other = survives([old, python])
    assert [*one.normal(size=3)] == [*old.normal(size=3)]
    assert [other.gauss(0, 1) for _ in range(3)] == [
        python.gauss(0, 1) for _ in range(3)
    ]


def test_a_subclass_is_refused_with_advice():
    """What it adds would be lost."""
    with pytest.raises(zodiax_io.SerialisationError, match="getstate"):
        zodiax_io.build_structure(type("Mine", (random.Random,), {})(1))


HOSTILE = {
    np.random.MT19937: [("pos", 2**31), ("pos", -1), ("pos", 625), ("key", None)],
    np.random.PCG64: [("state", 2**128), ("inc", -1), ("has_uint32", 2), ("inc", 1.0)],
    np.random.Philox: [("buffer_pos", 5), ("buffer_pos", 2**40), ("counter", "a")],
    np.random.SFC64: [("uinteger", 2**32), ("state", [1, 2])],
}
CASES = [(bits, *case) for bits, cases in HOSTILE.items() for case in cases]


@pytest.mark.parametrize(("bits", "name", "value"), CASES)
def test_a_state_out_of_range_is_refused(bits, name, value):
    """NumPy would read memory beyond its own."""
    structure = zodiax_io.build_structure({"state": bits(1).state, "wrong": value})
    state, wrong = structure["node"]["state"], structure["node"]["wrong"]
    within = state["node"]["state"]["node"]
    (within if name in within else state["node"])[name] = wrong
    node = zodiax_io.build_structure(bits(1))
    node["node"]["state"] = state
    with pytest.raises(zodiax_io.CorruptFileError, match="cannot be built"):
        zodiax_io.load_structure(node)


SEEDS = [{"pool_size": 10**9}, {"n_children_spawned": -1}, {"entropy": "a"}]


@pytest.mark.parametrize("change", [*SEEDS, {"spawn_key": 1}])
def test_a_seed_out_of_range_is_refused(change):
    """A pool of any size would take all memory."""
    node = zodiax_io.build_structure(np.random.SeedSequence(1))
    for name, value in change.items():
        node["node"][name] = zodiax_io.build_structure(value)
    with pytest.raises(zodiax_io.CorruptFileError, match="cannot be built"):
        zodiax_io.load_structure(node)


@pytest.mark.parametrize("state", [(3, (1,), None), (3, (0,) * 624 + (999,), None), 1])
def test_a_state_of_python_out_of_range_is_refused(state):
    """So does Python check its own."""
    node = zodiax_io.build_structure(random.Random(1))
    node["node"]["state"] = zodiax_io.build_structure(state)
    with pytest.raises(zodiax_io.CorruptFileError, match="cannot be built"):
        zodiax_io.load_structure(node)


@pytest.mark.parametrize("text", ["%9000000000d", "%n", "%*d"])
@pytest.mark.parametrize("version", [2, 3, True, "3"])
def test_a_state_of_python_formats_no_text(text, version):
    """Python takes the words of an old state modulo 2**32, which formats text."""
    node = zodiax_io.build_structure(random.Random(1))
    node["node"]["state"] = zodiax_io.build_structure((version, (text,) * 625, None))
    with pytest.raises(zodiax_io.CorruptFileError, match="not made of integers"):
        zodiax_io.load_structure(node)


def test_nothing_else_is_taken_for_a_generator():
    """A generator of anything but bits is no generator."""
    for obj in (np.random.default_rng(1), np.random.RandomState(1)):
        node = zodiax_io.build_structure(obj)
        node["node"]["bit_generator"] = zodiax_io.build_structure("PCG64")
        with pytest.raises(zodiax_io.CorruptFileError, match="no bit generator"):
            load_node(node)


def test_it_can_be_saved_as_the_last_of_many(tmp_path):
    """Its arrays follow those that plain Equinox reads."""
    file = io.BytesIO()
    zodiax_io.serialise(file, [np.ones(2), np.random.default_rng(1), 2.0])
    file.seek(0)
    assert draws(zodiax_io.deserialise(file)[1]) == draws(np.random.default_rng(1))
