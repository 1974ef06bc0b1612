"""Objects whose classes plum makes from type parameters come back as these classes."""

import io
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from documents import checkpoint_of, container, leaf, named
from equality import survives

import zodiax_io

unxt = pytest.importorskip("unxt")

QUANTITIES = {
    "length": lambda: unxt.Quantity(jnp.ones(2), "m"),
    "speed": lambda: unxt.Quantity(np.ones(2), "km / s"),
    "a dimension without a name": lambda: unxt.Quantity(jnp.ones(2), "m7 kg(1/3)"),
    "no dimension": lambda: unxt.Quantity(1.0, ""),
    "angle": lambda: unxt.Angle(jnp.ones(2), "rad"),
    "bare": lambda: unxt.quantity.BareQuantity(jnp.ones(2), "m"),
    "static": lambda: unxt.quantity.StaticQuantity(np.ones(2), "m"),
}


@pytest.mark.parametrize("name", QUANTITIES)
def test_a_quantity_comes_back_as_its_class(name):
    """The class is the very class, so that functions of plum take it."""
    quantity = QUANTITIES[name]()
    again = survives(quantity)
    assert type(again) is type(quantity)
    assert again.unit == quantity.unit
    assert jax.tree.structure(again) == jax.tree.structure(quantity)


def test_a_quantity_needs_no_trust_and_no_import():
    """A fresh process makes the class again from its parameter."""
    file = io.BytesIO()
    zodiax_io.serialise(file, [make() for make in QUANTITIES.values()])
    script = (
        "import io, sys, zodiax_io\n"
        "tree = zodiax_io.deserialise(io.BytesIO(sys.stdin.buffer.read()))\n"
        "import unxt\n"
        "print(type(tree[0]) is unxt.Quantity['length'], tree[1].unit)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=file.getvalue(), capture_output=True
    )
    assert done.stdout == b"True km / s\n", done.stderr


def test_a_class_with_parameters_is_a_value():
    """A field may hold the class itself."""
    length = unxt.Quantity["length"]
    assert survives({"kind": length})["kind"] is length
    assert survives(unxt.Quantity) is unxt.Quantity


@pytest.mark.parametrize("name", ["galactic", "si", "solarsystem", "dimensionless"])
def test_a_unit_system_comes_back(name):
    """Class and units are the same."""
    system = unxt.unitsystem(name)
    again = survives(system)
    assert again == system
    assert type(again) is type(system)


def test_a_unit_system_of_own_units_comes_back():
    """A class is made for each set of dimensions, which no module has."""
    system = unxt.unitsystem("m", "kpc / s3", "erg")
    again = survives(system)
    assert again == system
    assert type(again) is type(system)


def test_a_quantity_is_read_in_part():
    """The parameter adds no step to a path."""
    file = io.BytesIO()
    zodiax_io.serialise(file, {"a": unxt.Quantity(jnp.ones(2), "m"), "b": jnp.ones(3)})
    file.seek(0)
    found = zodiax_io.deserialise(file, only="model['a'].value")
    assert found.shape == (2,)


def test_a_quantity_loads_into_another_of_its_unit():
    """The values come from the file; class and unit are the same, without a warning."""
    file = io.BytesIO()
    zodiax_io.serialise(file, {"a": unxt.Quantity(jnp.ones(2), "km / s")})
    file.seek(0)
    like = {"a": unxt.Quantity(jnp.zeros(2), "km / s")}
    found = zodiax_io.deserialise(file, like=like)["a"]
    assert type(found) is type(like["a"])
    assert found.value.tolist() == [1.0, 1.0]


METRE = leaf("named_unit", type="astropy.units:m")
LENGTH = container(
    "physical_type", [METRE], value=["length"], type="astropy.units:PhysicalType"
)
CLASS = container("parametric_class", [LENGTH], type="unxt:Quantity")
OTHER = container("parametric_class", [LENGTH], type="unxt.quantity:StaticQuantity")


def instance(cls, **children):
    fields = {"value": leaf("float", value=1.0), "unit": METRE, **children}
    if cls is not None:
        fields["class"] = cls
    return container(
        "parametric", fields, type="unxt:Quantity", static=["unit", "class"]
    )


def test_the_documents_of_these_tests_are_read():
    """The hostile ones differ from these by what they say alone."""
    assert checkpoint_of(CLASS).load() is unxt.Quantity["length"]
    assert checkpoint_of(instance(CLASS)).load().unit == unxt.unit("m")


HOSTILE = {
    "no class": instance(None),
    "a number as class": instance(leaf("int", value=1)),
    "a class without parameters": instance(named("unxt:Quantity", "class")),
    "the class of others": instance(OTHER),
    "a list as parameter": container(
        "parametric_class", [container("list", [])], type="unxt:Quantity"
    ),
    "a number among fields": container("parametric", [METRE], type="unxt:Quantity"),
    "a unit system of numbers": container(
        "unit_system",
        [leaf("int", value=1)],
        type="unxt.unitsystems:AbstractUnitSystem",
    ),
    "a unit system of one unit twice": container(
        "unit_system", [METRE, METRE], type="unxt.unitsystems:AbstractUnitSystem"
    ),
    "a unit system of nothing": container(
        "unit_system", [], type="unxt.unitsystems:AbstractUnitSystem"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_class_is_corrupt(name):
    """Whatever a stranger writes in place of a class ends in one error."""
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint_of(HOSTILE[name]).load()


UNTRUSTED = {
    "a class without parameters": container("parametric_class", [], type="unxt:Angle"),
    "a function": container("parametric_class", [], type="unxt:unit"),
    "a Module without parameters": container("parametric", {}, type="unxt:Angle"),
}


@pytest.mark.parametrize("name", UNTRUSTED)
def test_only_classes_with_parameters_are_trusted(name):
    """No file may use anything else in their place."""
    with pytest.raises(zodiax_io.UntrustedError):
        checkpoint_of(UNTRUSTED[name]).load()


def test_a_class_of_others_takes_no_parameters_without_trust(tmp_path, monkeypatch):
    """Making a class may run code of the class above it, so it needs trust."""
    (tmp_path / "elsewhere.py").write_text(
        "import equinox as eqx, plum\n"
        "@plum.parametric\n"
        "class Field(eqx.Module):\n"
        "    x: float\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("zodiax_io._trust.origins.is_own_code", lambda module: False)
    import elsewhere

    file = io.BytesIO()
    zodiax_io.serialise(file, elsewhere.Field(1.0))
    file.seek(0)
    assert (
        type(zodiax_io.deserialise(file, trusted=["elsewhere"]))
        is (elsewhere.Field[float])
    )
