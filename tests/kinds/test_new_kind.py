"""A kind of object with children and fields is added by one file and one row."""

import io
import pathlib
from typing import ClassVar

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import new_kind
import numpy as np
import pytest
from new_kind import OPTIC, REQUIRED, Optic

import zodiax_io
from zodiax_io._kinds import lookup
from zodiax_io._kinds.base import Kind


class Lens(Optic):
    FIELDS: ClassVar = {"radius": REQUIRED, "coating": (), "name": "lens"}


class Pair(Optic):
    FIELDS: ClassVar = {"first": REQUIRED, "second": REQUIRED}


class Other:
    pass


@pytest.fixture(autouse=True)
def _added():
    """The row is there for a test, and gone after it."""
    lookup.add_kind(OPTIC)
    yield
    lookup.KINDS.remove(OPTIC)
    del lookup.by_name["optic"]
    lookup._by_class.clear()


def model(radius=2.0):
    lens = Lens(radius=jnp.asarray(radius), coating=(jnp.ones(3), {"n": 1.5}))
    return {"pair": Pair(first=lens, second=lens), "scale": 1.0}


def emptied(tree):
    """A tree with zeros in the place of its numbers."""
    return jax.tree.map(lambda leaf: leaf if type(leaf) is str else leaf * 0, tree)


def same_leaves(one, other):
    """Whether two trees have the same structure and equal leaves."""
    return jax.tree.all(jax.tree.map(np.array_equal, one, other))


@pytest.fixture
def path(tmp_path):
    zodiax_io.serialise(tmp_path / "optics.zdx", model())
    return tmp_path / "optics.zdx"


def test_it_is_loaded_as_it_was_saved(path):
    """With its class, its arrays, its fields in order, and what it shares."""
    loaded = zodiax_io.deserialise(path)
    pair = loaded["pair"]
    assert type(pair) is Pair and type(pair.first) is Lens
    assert pair.first is pair.second
    assert list(vars(pair.first)) == ["radius", "coating", "name"]
    zodiax_io.assert_same(model(), loaded)
    assert jtu.tree_structure(loaded) == jtu.tree_structure(model())


def test_plain_equinox_reads_its_arrays(path):
    """Its leaves are those of JAX, in the order of JAX."""
    import equinox as eqx

    like = emptied(model())
    loaded = eqx.tree_deserialise_leaves(path.with_suffix(".eqx"), like)
    assert same_leaves(loaded, model())


def test_it_is_shown(path):
    """With its class, and its fields as steps of the path."""
    root = zodiax_io.summarise(path).root
    assert root.items[0].type == "test_new_kind:Pair"
    assert [item.path for item in root.items[0].items[0].items] == [
        "model['pair'].first.radius",
        "model['pair'].first.coating",
        "model['pair'].first.name",
    ]
    assert "radius: f32[]" in str(zodiax_io.summarise(path))


def test_a_difference_in_it_is_found(path):
    """By its path."""
    (change,) = zodiax_io.diff(path, model(radius=3.0)).changes
    assert change.path == "model['pair'].first.radius"
    assert change.largest == 1.0


def test_a_part_of_it_is_loaded(path):
    """By the path of a field."""
    only = "model['pair'].first.radius"
    assert zodiax_io.deserialise(path, only=only) == jnp.asarray(2.0)


def test_it_is_filled(path):
    """By what the file has, where `like` has one."""
    like = emptied(model())
    assert same_leaves(zodiax_io.deserialise(path, like=like), model())


def test_it_is_verified(path):
    """As any other file."""
    assert zodiax_io.verify(path) == []


def test_it_is_kept_where_its_class_is_missing():
    """As an Opaque with its fields, which becomes what it was."""
    structure = zodiax_io.build_structure(Lens(radius=2.0))
    named = structure | {"type": "optics_of_old:Lens"}
    found = zodiax_io.load_structure(named, unknown="opaque")
    assert isinstance(found, zodiax_io.Opaque)
    assert dict(found.fields) == {"radius": 2.0, "coating": (), "name": "lens"}
    assert jax.tree.leaves(found) == [2.0, "lens"]
    assert zodiax_io.build_structure(found) == named | {
        key: value
        for key, value in zodiax_io.build_structure(found).items()
        if key == "version"
    }
    assert vars(found.become(Lens)) == vars(Lens(radius=2.0))


def test_an_opaque_of_it_is_saved_with_its_arrays():
    """A loaded tree is saved again as it was, arrays included."""
    file = io.BytesIO()
    zodiax_io.serialise(file, {"lens": Lens(radius=jnp.ones(2))})
    file.seek(0)
    renames = {"test_new_kind:Lens": "optics_of_old:Lens"}
    loaded = zodiax_io.deserialise(file, unknown="opaque", renames=renames)
    assert isinstance(loaded["lens"], zodiax_io.Opaque)
    again = io.BytesIO()
    zodiax_io.serialise(again, loaded)
    again.seek(0)
    zodiax_io.assert_same(
        zodiax_io.deserialise(again, unknown="opaque", renames=renames), loaded
    )


def test_its_class_may_change(monkeypatch):
    """A new field gets its default; one that is gone is left out, with a warning."""
    structure = zodiax_io.build_structure(Lens(radius=2.0))
    now = {"radius": REQUIRED, "name": "lens", "tilt": 0.5}
    monkeypatch.setattr(Lens, "FIELDS", now)
    with pytest.warns(zodiax_io.ClassChangedWarning, match="tilt"):
        loaded = zodiax_io.load_structure(structure)
    assert vars(loaded) == {"radius": 2.0, "name": "lens", "tilt": 0.5}
    monkeypatch.setattr(Lens, "FIELDS", now | {"index": REQUIRED})
    with pytest.raises(zodiax_io.ClassChangedError, match="index"):
        zodiax_io.load_structure(structure)


def test_an_upgrade_may_rename_its_fields():
    """As those of a Module."""
    structure = zodiax_io.build_structure(Lens(radius=2.0))
    structure["node"]["r"] = structure["node"].pop("radius")

    def upgrade(fields):
        return {"radius": fields.pop("r"), **fields}

    zodiax_io.upgraded(Lens, upgrade, fields=["r"])
    try:
        assert zodiax_io.load_structure(structure).radius == 2.0
    finally:
        from zodiax_io._evolution import upgrades

        del upgrades.rules[id(Lens)]


def test_what_is_no_field_is_refused():
    """Nothing is lost without a word."""
    lens = Lens(radius=2.0)
    lens.mark = 1
    with pytest.raises(zodiax_io.SerialisationError, match="List them in `FIELDS`"):
        zodiax_io.build_structure(lens)


def test_another_class_is_refused():
    """The name in a file must lead to a class of this kind."""
    structure = zodiax_io.build_structure(Lens(radius=2.0))
    structure["type"] = "test_new_kind:Other"
    with pytest.raises(zodiax_io.UntrustedError, match="is not a subclass of `Optic`"):
        zodiax_io.load_structure(structure)


def test_the_page_shows_it():
    """The row in docs/architecture.md is the one that is tested here."""
    page = pathlib.Path(__file__).parents[2] / "docs" / "architecture.md"
    text = pathlib.Path(new_kind.__file__).read_text(encoding="utf8")
    kind = text.partition("# The kind -")[2].partition("\n")[2].strip()
    assert kind in page.read_text(encoding="utf8")


def test_every_fact_is_described():
    """Each field of a row is in the docstring of `Kind`."""
    described = Kind.__doc__.replace(", ", "\n    ")
    for name in Kind.__dataclass_fields__:
        assert f"\n    {name} : " in described or f"\n    {name}\n" in described, name
