"""Units and quantities of pint come back in the registry of the application."""

import io
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from documents import checkpoint_of, container, leaf
from hypothesis import given, strategies as st

import zodiax_io

pint = pytest.importorskip("pint")
ureg = pint.application_registry


def saved(tree):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file)


NAMES = (
    "meter",
    "kilometer",
    "second",
    "degree_Celsius",
    "delta_degree_Celsius",
    "bit",
)
POWERS = st.one_of(
    st.integers(-9, 9), st.floats(0.01, 9), st.fractions(-9, 9, max_denominator=50)
).filter(bool)


@given(st.dictionaries(st.sampled_from(NAMES), POWERS, max_size=4))
def test_a_unit_comes_back(powers):
    """Names and powers are the same, with the types of the powers."""
    unit = ureg.Unit(pint.util.UnitsContainer(powers))
    again = saved(unit)
    assert type(again) is type(unit)
    assert type(saved(pint.Unit("m"))) is pint.Unit
    assert again == unit
    found = [(name, type(p), p) for name, p in again._units._d.items()]
    assert found == [(name, type(p), p) for name, p in unit._units._d.items()]


MAGNITUDES = {
    "a number": 3,
    "a fraction": Fraction(1, 3),
    "an array": np.arange(3.0),
    "a masked array": np.ma.array([1.0, 2.0], mask=[0, 1]),
}


@pytest.mark.parametrize("make", [ureg.Quantity, pint.Quantity], ids=["own", "general"])
@pytest.mark.parametrize("name", MAGNITUDES)
def test_a_quantity_comes_back(name, make):
    """Its magnitude is of the same type, and it computes with others."""
    quantity = make(MAGNITUDES[name], "km / s")
    one, other = saved([quantity, quantity])
    assert one is other
    assert type(one) is type(quantity)
    assert type(one.magnitude) is type(quantity.magnitude)
    assert one.units == quantity.units
    assert np.all(one + quantity == 2 * quantity)


def test_a_quantity_needs_no_trust_and_no_import():
    """A fresh process gets it in the registry of its application."""
    file = io.BytesIO()
    zodiax_io.serialise(file, {"a": ureg.Quantity(2.0, "km"), "u": ureg.Unit("m**0.5")})
    script = (
        "import io, sys, zodiax_io\n"
        "tree = zodiax_io.deserialise(io.BytesIO(sys.stdin.buffer.read()))\n"
        "import pint\n"
        "print(tree['a'] == pint.Quantity(2000.0, 'm'), tree['u'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=file.getvalue(), capture_output=True
    )
    assert done.stdout == b"True meter ** 0.5\n", done.stderr


def test_the_advice_on_another_registry_is_right():
    """Once the application has the registry, its quantities are kept."""
    own = pint.UnitRegistry()
    own.define("smoot = 1.7 * meter")
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(own.Quantity(2, "smoot"))
    assert str(caught.value).endswith(
        "It belongs to another registry than that of the application. Let the "
        "application have that registry, by `pint.set_application_registry(registry)`, "
        "where you save and where you load; or keep `x.magnitude` and `str(x.units)`, "
        "and make it again from both."
    )
    before = ureg.get()
    pint.set_application_registry(own)
    try:
        assert saved(own.Quantity(2, "smoot")) == own.Quantity(2, "smoot")
        file = io.BytesIO()
        zodiax_io.serialise(file, own.Unit("smoot"))
    finally:
        pint.set_application_registry(before)
    file.seek(0)
    with pytest.raises(zodiax_io.CorruptFileError, match="has no unit 'smoot'"):
        zodiax_io.deserialise(file)


def unit(value, **more):
    return leaf("pint", type="pint:Unit", value=value, **more)


HOSTILE = {
    "no powers": unit(None),
    "a program as a unit": unit({"__import__('os').system('id')": 1}),
    "an alias": unit({"m": 1}),
    "no unit": unit({"": 1}),
    "a long name": unit({"kilo" * 1000 + "meter": 1}),
    "a power of text": unit({"meter": "2"}),
    "a huge power": unit({"meter": 2**62}),
    "a power of zero": unit({"meter": 0}),
    "a complex power": unit({"meter": {"complex": [1.0, 1.0]}}),
    "a quantity of nothing": leaf("pint", type="pint:Quantity", value={"meter": 1}),
    "a unit with a magnitude": container(
        "pint", {"magnitude": leaf("int", value=1)}, type="pint:Unit", value={}
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_unit_is_corrupt(name):
    """Whatever a stranger writes in place of a unit ends in one error."""
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint_of(HOSTILE[name]).load()


@pytest.mark.parametrize(
    "name", ["pint:UnitRegistry", "pint:Measurement", "pint:get_application_registry"]
)
def test_only_units_are_trusted(name):
    """No file may use anything else of pint."""
    with pytest.raises(zodiax_io.UntrustedError):
        checkpoint_of(leaf("pint", type=name, value={})).load()
