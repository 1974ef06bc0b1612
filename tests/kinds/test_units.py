"""Units of astropy and what has them come back exactly, or are refused."""

import io
import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from documents import checkpoint_of, container, leaf
from equality import differences, survives
from hypothesis import given, strategies as st

import zodiax_io

u = pytest.importorskip("astropy.units")
coordinates = pytest.importorskip("astropy.coordinates")
cds = pytest.importorskip("astropy.units.cds")
imperial = pytest.importorskip("astropy.units.imperial")

BASES = [u.m, u.km, u.s, u.kg, u.mag, u.Msun, u.erg, u.percent, imperial.ft, u.rad]
POWERS = st.one_of(
    st.integers(-9, 9).filter(bool),
    st.fractions(-9, 9, max_denominator=97).filter(bool),
    st.floats(0.01, 9),
)
SCALES = st.floats(1e-30, 1e30)


def saved(tree):
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return zodiax_io.deserialise(file)


@st.composite
def composites(draw):
    bases = draw(st.lists(st.sampled_from(BASES), max_size=4, unique=True))
    powers = [draw(POWERS) for _ in bases]
    return u.CompositeUnit(draw(SCALES), bases, powers)


def described(unit):
    """Every part of a unit to the bit, with its class."""
    powers = [(type(power), power) for power in unit.powers]
    return type(unit.scale), unit.scale.hex(), [*map(id, unit.bases)], powers


@given(composites())
def test_a_composite_unit_comes_back_to_the_bit(unit):
    """Scale, bases and powers are the same, where the text of a unit would round."""
    again = survives(unit)
    assert described(again) == described(unit)
    assert again == unit


@given(composites(), st.sampled_from([u.dex, u.mag, u.dB]))
def test_a_logarithmic_unit_comes_back(unit, function):
    """A magnitude, dex or decibel of a unit has the same unit inside."""
    logarithmic = function(unit)
    again = survives(logarithmic)
    assert type(again) is type(logarithmic)
    assert described(again.physical_unit) == described(logarithmic.physical_unit)
    assert again.function_unit is logarithmic.function_unit


NAMED = {
    f"{module.__name__}:{name}": value
    for module in (u, cds, imperial)
    for name, value in vars(module).items()
    if isinstance(value, (u.UnitBase, u.FunctionUnitBase)) and name.isidentifier()
}


def test_every_named_unit_loads_as_itself():
    """Each unit of astropy, with each prefix, is the very object."""
    units = [*NAMED.values()]
    again = survives(units)
    assert [*map(id, again)] == [*map(id, units)]


def test_a_unit_needs_no_trust_and_no_import():
    """A process that has imported nothing gets the units, and `names` says so."""
    file = io.BytesIO()
    zodiax_io.serialise(file, {"q": np.ones(2) * cds.km, "u": imperial.ft**2})
    script = (
        "import io, sys, zodiax_io\n"
        "data = sys.stdin.buffer.read()\n"
        "found = zodiax_io.names(io.BytesIO(data))\n"
        "assert 'astropy' not in sys.modules\n"
        "tree = zodiax_io.deserialise(io.BytesIO(data))\n"
        "import json\n"
        "names = [[one.name, one.status] for one in found]\n"
        "print(json.dumps([repr(tree), names]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=file.getvalue(), capture_output=True
    )
    assert done.stderr == b""
    text, names = json.loads(done.stdout)
    assert text == "{'q': <Quantity [1., 1.] km>, 'u': Unit(\"ft2\")}"
    assert names == [
        ["astropy.units:Quantity", "trusted"],
        ["astropy.units.cds:km", "trusted"],
        ["astropy.units:CompositeUnit", "trusted"],
        ["astropy.units.imperial:ft", "trusted"],
    ]


def test_a_unit_is_saved_without_importing_astropy():
    """A program without units never imports astropy."""
    script = (
        "import io, sys, zodiax_io, numpy as np\n"
        "file = io.BytesIO()\n"
        "zodiax_io.serialise(file, {'a': np.ones(2), 'b': [1.0, None]})\n"
        "file.seek(0); zodiax_io.deserialise(file)\n"
        "print([m for m in sys.modules if m.startswith(('astropy', 'scipy.sparse'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert b"astropy" not in done.stdout


# Units of the user ------------------------------------------------------------------


def test_a_unit_defined_by_others_keeps_its_definition():
    """Names, formats, text and value of a unit of the user come back."""
    cubit = u.def_unit(
        ["cubit", "cubits"], 0.4572 * u.m, doc="An arm.", format={"latex": r"\odot"}
    )
    again = survives(cubit)
    assert again.names == ["cubit", "cubits"]
    assert again.to_string("latex_inline") == cubit.to_string("latex_inline")
    assert again == cubit
    assert survives(cubit**2) == cubit**2


def test_a_base_unit_of_the_user_needs_a_name():
    """A unit that is defined by no other equals only itself."""
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(u.def_unit("flurb"))
    assert str(caught.value) == (
        "Cannot serialise a `astropy.units.core.IrreducibleUnit` at `model`. It is a "
        "unit that no other unit defines, which equals only itself. Give it a name in "
        'files, by `zodiax_io.register(unit, alias="package.module:name")`, where you '
        "save and where you load; or keep its definition, and make it again by "
        "`astropy.units.def_unit`."
    )


def test_a_registered_unit_loads_as_itself():
    """The advice of the refusal works, also within another unit."""
    grue = zodiax_io.register(u.def_unit("grue"), alias="mylab.units:grue")
    assert survives(grue) is grue
    assert survives(grue / u.s).bases[0] is grue


def test_a_unit_with_an_attribute_is_refused():
    """Nothing that the user has put on a unit is lost in silence."""
    unit = u.m / u.s
    unit.note = "mine"
    with pytest.raises(zodiax_io.SerialisationError, match="an attribute 'note'"):
        zodiax_io.build_structure(unit)


# Quantities ---------------------------------------------------------------------------

LENGTHS = np.array([[1.0, 2.0], [3.0, np.nan]]) * u.kpc
QUANTITIES = {
    "array": lambda: LENGTHS,
    "scalar": lambda: u.Quantity(3, "km / s"),
    "single": lambda: u.Quantity(np.float32(2.5), "s", dtype="f4"),
    "integers": lambda: u.Quantity([1, 2], "ct", dtype=int),
    "no unit": lambda: u.Quantity([1.0, 2.0]),
    "fields": lambda: u.Quantity(
        [(1.0, 2.0)], u.StructuredUnit((u.m, u.s), ("a", "b"))
    ),
    "angle": lambda: coordinates.Angle([1.0, 2.0], "deg"),
    "latitude": lambda: coordinates.Latitude([1.0, -2.0], "deg"),
    "longitude": lambda: coordinates.Longitude([1, 350], "deg", wrap_angle="180d"),
    "distance": lambda: coordinates.Distance([1, 2], "kpc"),
    "magnitude": lambda: u.Magnitude([1.0], u.mag(u.ct / u.s)),
    "dex": lambda: u.Dex([1.0], u.dex(u.cm / u.s**2)),
    "decibel": lambda: u.Decibel([1.0], u.dB(u.mW)),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_comes_back(name):
    """Class, values, dtype, unit and further attributes come back."""
    quantity = QUANTITIES[name]()
    again = survives({"a": quantity, "b": [quantity]})
    assert again["a"] is again["b"][0]
    assert type(again["a"]) is type(quantity)
    assert again["a"].unit == quantity.unit
    assert again["a"].dtype == quantity.dtype
    assert repr(again["a"]) == repr(quantity)


def test_a_constant_of_astropy_loads_as_itself():
    """A constant has an uncertainty and a reference, which its name leads to."""
    constants = pytest.importorskip("astropy.constants")
    assert survives([constants.c, constants.G, constants.M_sun])[1] is constants.G


def test_the_info_of_a_quantity_is_refused_if_it_says_anything():
    """What only a table would show is not lost in silence."""
    quantity = [1.0] * u.m
    assert quantity.info.name is None
    assert vars(saved(quantity)) == {"_unit": u.m}
    quantity.info.name = "depth"
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(quantity)
    assert str(caught.value).endswith(
        "Its `info` has a 'name', which files do not keep. Keep `x.info.name` as "
        "another item of the tree, and set it again; and remove it here by "
        "`vars(x).pop('info')`."
    )
    vars(quantity).pop("info")
    assert saved(quantity).unit is u.m


def test_a_masked_quantity_comes_back():
    """Unit, values and mask come back, also what the mask hides."""
    Masked = pytest.importorskip("astropy.utils.masked").Masked
    masked = Masked(LENGTHS, mask=[[True, False], [False, True]])
    again = survives(masked)
    assert type(again) is type(masked)
    assert again.unit == u.kpc
    assert differences(again.unmasked, LENGTHS) == []
    assert again.mask.tolist() == masked.mask.tolist()


# Hostile files ------------------------------------------------------------------------


METRE = leaf("named_unit", type="astropy.units:m")


def composite(scale=1.0, powers=(2,), bases=(METRE,)):
    value = {"scale": scale, "powers": list(powers)}
    return container(
        "unit", list(bases), value=value, type="astropy.units:CompositeUnit"
    )


def unit(name, children=None, **parts):
    made = container if children is not None else leaf
    arguments = () if children is None else (children,)
    return made("unit", *arguments, type=f"astropy.units:{name}", **parts)


HUGE = 10**4000
HOSTILE = {
    "an infinite scale": composite(float("inf")),
    "no scale": composite(0.0),
    "a scale that is text": composite("1"),
    "a scale that is an integer": composite(2),
    "a complex scale of text": composite({"complex": ["1", 2.0]}),
    "a form of a number": composite({"decimal": [1, 2]}),
    "a huge power": composite(powers=[2**62]),
    "a fraction by zero": composite(powers=[{"fraction": [1, 0]}]),
    "a huge fraction": composite(powers=[{"fraction": [1, 2**62]}]),
    "a fraction of three": composite(powers=[{"fraction": [1, 2, 3]}]),
    "a power that is nothing": composite(powers=[None]),
    "a power that is not a number": composite(powers=[float("nan")]),
    "a complex power": composite(powers=[{"complex": [1.0, 1.0]}]),
    "too few powers": composite(powers=[]),
    "a composite in a composite": composite(bases=[composite()]),
    "a base that is no unit": composite(bases=[leaf("int", value=1)]),
    "very many bases": composite(powers=[1] * 1000, bases=[METRE] * 1000),
    "no value": container("unit", [METRE], type="astropy.units:CompositeUnit"),
    "a definition by text": unit(
        "Unit", [leaf("str", value="m")], value=[["a"], [], [], {}, ""]
    ),
    "a name that cannot be printed": unit(
        "Unit", [composite()], value=[["a\x1b[0m"], [], [], {}, ""]
    ),
    "formats that are no text": unit(
        "Unit", [composite()], value=[["a"], [], [], {"latex": 1}, ""]
    ),
    "no name": unit("Unit", [composite()], value=[[], [], [], {}, ""]),
    "an unknown unit of bytes": unit("UnrecognizedUnit", value=b"m"),
    "an unknown unit with an escape": unit("UnrecognizedUnit", value="\x1b[0m"),
    "a logarithm of a number": unit(
        "MagUnit",
        {"physical_unit": leaf("int", value=1), "function_unit": METRE},
    ),
    "a logarithm of nothing": unit("MagUnit", {}),
    "fields that are no units": unit("StructuredUnit", {"a": leaf("int", value=1)}),
    "no fields": unit("StructuredUnit", {}),
    "a physical type of text": container(
        "physical_type", [METRE], value="length", type="astropy.units:PhysicalType"
    ),
    "a physical type of nothing": container(
        "physical_type", [METRE], value=[], type="astropy.units:PhysicalType"
    ),
    "a quantity without a unit": container(
        "subarray", {"data": leaf("int", value=1)}, type="astropy.units:Quantity"
    ),
    "a mask of nothing": container(
        "astropy_masked",
        {"data": leaf("int", value=1), "mask": leaf("none")},
        type="astropy.utils.masked:Masked",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_unit_is_corrupt(name):
    """Whatever a stranger writes in place of a unit ends in one error."""
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint_of(HOSTILE[name]).load()


UNTRUSTED = {
    "a function": leaf("named_unit", type="astropy.units:def_unit"),
    "a class as a unit": leaf("named_unit", type="astropy.units:Quantity"),
    "a module of other code": leaf("named_unit", type="astropy.utils.data:conf"),
    "another class": unit("Quantity"),
    "a mapped file": container("subarray", {}, type="numpy:memmap"),
    "a masked array": container("subarray", {}, type="numpy.ma:MaskedArray"),
    "no array": container("subarray", {}, type="numpy:dtype"),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_only_units_are_trusted(name):
    """No file may use anything else of these modules."""
    with pytest.raises(zodiax_io.UntrustedError):
        checkpoint_of(UNTRUSTED[name]).load()


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**64 - 1)
        | st.floats()
        | st.text(max_size=5)
        | st.binary(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["scale", "powers", "fraction", "complex"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    ),
    st.sampled_from(
        ["CompositeUnit", "Unit", "UnrecognizedUnit", "DexUnit", "StructuredUnit"]
    ),
)
def test_any_value_of_a_unit_is_a_unit_or_corrupt(value, name):
    """No value leads to any other error than ours."""
    for node in (unit(name, value=value), unit(name, [METRE], value=value)):
        try:
            checkpoint_of(node).load()
        except zodiax_io.CorruptFileError:
            continue


def test_exact_fractions_are_told_from_floats():
    """A third is a fraction, a half is a float, as astropy has them."""
    assert type(survives(u.m ** Fraction(1, 3)).powers[0]) is Fraction
    assert type(survives(u.m**0.5).powers[0]) is float
