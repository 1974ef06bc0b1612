"""Classes that have other fields now than when a file was written."""

import copy
import warnings
from typing import Any

import equinox as eqx
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from documents import Checkpoint
from equality import differences
from hypothesis import HealthCheck, given, settings

import zodiax_io
from zodiax_io import (
    ArgumentError,
    ClassChangedError,
    ClassChangedWarning,
    deserialise,
    load_structure,
    serialise,
    upgraded,
)

HEAD = """
import dataclasses
from typing import Any, NamedTuple
import equinox as eqx
import jax
import jax.numpy as jnp
"""
LENS = HEAD + "class Lens(eqx.Module):\n"


def changed(path, **options):
    """What is loaded, and the changes that the one warning tells."""
    with pytest.warns(ClassChangedWarning) as caught:
        loaded = deserialise(path, **options)
    (warning,) = caught
    assert warning.filename == __file__
    return loaded, warning.message


def quiet(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return deserialise(path, **options)


# Defaults -----------------------------------------------------------------------------


def test_gained_and_lost_fields(lab, tmp_path):
    """New fields have their defaults; one warning lists all, with their paths."""
    old = lab("lab", LENS + "    radius: Any\n    colour: str = eqx.field(static=True)")
    tree = {"a": old.Lens(jnp.ones(2), "red"), "b": [old.Lens(2.0, "blue")]}
    serialise(tmp_path / "m", tree)
    new = lab(
        "lab",
        LENS + "    radius: Any"
        "\n    gain: Any = eqx.field(converter=jnp.asarray, default=1.5)"
        "\n    parts: list = dataclasses.field(default_factory=lambda: [1])"
        "\n    order: int = eqx.field(static=True, default=3)",
    )
    loaded, warning = changed(tmp_path / "m")
    expected = {"a": new.Lens(jnp.ones(2)), "b": [new.Lens(2.0)]}
    assert differences(expected, loaded) == []
    told = [(c.path, c.name, c.gained, c.lost) for c in warning.changes]
    gained = ("gain", "parts", "order")
    assert told == [
        ("model['a']", "lab:Lens", gained, ("colour",)),
        ("model['b'][0]", "lab:Lens", gained, ("colour",)),
    ]
    text = str(warning)
    assert text == (
        "m.eqx contains objects whose classes have changed:\n"
        "  `lab:Lens` at `model['a']`, `model['b'][0]`: "
        "new fields, set to their defaults: `gain`, `parts`, `order`; "
        "removed from the class, not loaded: `colour`\n"
        "To convert saved fields, register an upgrade: `zodiax_io.upgraded`."
    )
    assert str(warning.changes[0]).startswith("`lab:Lens` at `model['a']`: new fields")
    with pytest.raises(ClassChangedError, match="not loaded: `colour`") as caught:
        deserialise(tmp_path / "m", strict=True)
    assert caught.value.changes == warning.changes
    serialise(tmp_path / "n", loaded)
    assert differences(expected, quiet(tmp_path / "n", strict=True)) == []


@pytest.mark.parametrize(
    "head",
    [
        "class Thing(eqx.Module):\n",
        "@dataclasses.dataclass\nclass Thing:\n",
        "@dataclasses.dataclass(frozen=True, slots=True)\nclass Thing:\n",
        "class Thing(NamedTuple):\n",
        "@jax.tree_util.register_dataclass\n@dataclasses.dataclass\nclass Thing:\n",
    ],
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_fields(lab, tmp_path_factory, head, data):
    """Fields that are there still are kept, in every sort of class."""
    names = list("abcde")  # the class is written anew in each example
    before = data.draw(st.lists(st.sampled_from(names), unique=True))
    after = data.draw(st.lists(st.sampled_from(names), unique=True))
    body = "".join(f"    {n}: Any = {ord(n)}\n" for n in before) or "    pass\n"
    path = tmp_path_factory.mktemp("any") / "m"
    saved = lab("lab", HEAD + head + body).Thing(*[jnp.full(2, ord(n)) for n in before])
    serialise(path, [saved])
    body = "".join(f"    {n}: Any = {ord(n)}\n" for n in after) or "    pass\n"
    new = lab("lab", HEAD + head + body).Thing
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        (loaded,) = deserialise(path)
    values = [jnp.full(2, ord(n)) if n in before else ord(n) for n in after]
    assert differences(new(*values), loaded) == []
    changes = [c for w in caught for c in w.message.changes]
    if set(before) == set(after):
        assert changes == []
    else:
        (change,) = changes
        assert set(change.gained) == set(after) - set(before)
        assert set(change.lost) == set(before) - set(after)


def test_a_default_that_cannot_be_made(lab, tmp_path):
    """The error is ours, and tells the class's."""
    serialise(tmp_path / "m", lab("lab", LENS + "    a: int").Lens(1))
    factory = "dataclasses.field(default_factory=lambda: 1 / 0)"
    lab("lab", LENS + f"    a: int\n    b: int = {factory}")
    with pytest.raises(ClassChangedError, match="at `model`: ZeroDivisionError"):
        deserialise(tmp_path / "m")


def test_what_is_proposed_can_be_run(lab, tmp_path):
    """The error shows the upgrade to write, and it pairs names that are alike."""
    old = lab("lab", LENS + "    focal: Any\n    radius: Any\n    name: str")
    serialise(tmp_path / "m", {"lens": old.Lens(1.5, jnp.ones(2), "f")})
    new = lab("lab", LENS + "    focal_length: Any\n    radii: Any\n    name: str")
    with pytest.raises(ClassChangedError) as caught:
        deserialise(tmp_path / "m")
    text = str(caught.value)
    assert text.startswith("m.eqx: the fields of `lab:Lens` at `model['lens']` have")
    code = text.split("\n\n", 1)[1].replace("\n    ", "\n").strip()
    exec(code, {"Lens": new.Lens, "zodiax_io": zodiax_io})  # noqa: S102
    expected = {"lens": new.Lens(1.5, jnp.ones(2), "f")}
    assert differences(expected, quiet(tmp_path / "m")) == []


def test_a_field_that_is_static_now(lab, tmp_path):
    """It is kept, and told: JAX sees another tree."""
    old = lab("lab", LENS + "    n: int\n    m: int = eqx.field(static=True)")
    serialise(tmp_path / "m", old.Lens(1, 2))
    new = lab("lab", LENS + "    n: int = eqx.field(static=True)\n    m: int")
    loaded, warning = changed(tmp_path / "m")
    assert differences(new.Lens(1, 2), loaded) == []
    assert [c.moved for c in warning.changes] == [("n", "m")]
    with pytest.raises(
        ClassChangedError, match="changed between static and dynamic: `n`"
    ):
        deserialise(tmp_path / "m", strict=True)


# Upgrades -----------------------------------------------------------------------------


def test_an_upgrade_by_fields(lab, tmp_path):
    """It is for the files that have the fields, and for no others."""
    old = lab("lab", LENS + "    radius: Any")
    serialise(tmp_path / "old", [old.Lens(jnp.ones(2))])
    new = lab("lab", LENS + "    diameter: Any\n    gain: float = 1.0")
    serialise(tmp_path / "new", [new.Lens(jnp.ones(2))])
    upgraded(new.Lens, lambda f: {"diameter": f["radius"] * 2}, fields=["radius"])
    loaded, warning = changed(tmp_path / "old")
    assert differences([new.Lens(jnp.ones(2) * 2)], loaded) == []
    assert [(c.gained, c.lost) for c in warning.changes] == [(("gain",), ())]
    assert differences([new.Lens(jnp.ones(2))], quiet(tmp_path / "new")) == []


def test_upgrades_follow_one_another(lab, tmp_path):
    """Files of two ages become what is of today, by one step each."""
    first = lab("lab", LENS + "    radius: Any")
    serialise(tmp_path / "1", first.Lens(1.5))
    second = lab("lab", LENS + "    diameter: Any")
    serialise(tmp_path / "2", second.Lens(3.0))
    new = lab("lab", LENS + "    size: Any")
    upgraded(new.Lens, lambda f: {"diameter": 2 * f["radius"]}, fields=["radius"])
    upgraded(new.Lens, lambda f: {"size": f["diameter"]}, fields=["diameter"])
    for name in ("1", "2"):
        assert differences(new.Lens(3.0), quiet(tmp_path / name)) == []


def test_a_class_that_was_split(lab, tmp_path):
    """An upgrade may build new objects around fields, or be another object itself."""
    old = lab("oldlab", LENS + "    radius: Any\n    layers: Any\n    kind: str")
    tree = [old.Lens(1.0, jnp.ones(3), "lens"), old.Lens(2.0, None, "mirror")]
    serialise(tmp_path / "m", tree)
    text = (
        HEAD
        + "class Coating(eqx.Module):\n    layers: Any\n"
        + "class Lens(eqx.Module):\n    radius: Any\n    coating: Coating\n"
        + "class Mirror(eqx.Module):\n    radius: Any\n"
    )
    new = lab("newlab", text)

    def split(fields):
        if fields["kind"] == "mirror":
            return new.Mirror(fields["radius"])
        return {"radius": fields["radius"], "coating": new.Coating(fields["layers"])}

    zodiax_io.renamed("oldlab:Lens", new.Lens)
    upgraded(new.Lens, split)
    expected = [new.Lens(1.0, new.Coating(jnp.ones(3))), new.Mirror(2.0)]
    assert differences(expected, quiet(tmp_path / "m")) == []


def proposed(path):
    """The lines that the error for a file proposes, as the user would fill them in."""
    with pytest.raises(ClassChangedError) as caught:
        deserialise(path)
    code = str(caught.value).split("\n\n", 1)[1].replace("\n    ", "\n").strip()
    return code.replace("# fields", "fields").replace("...)", "1.0)")


def test_what_is_proposed_for_a_new_field_stays_right(lab, tmp_path):
    """Kept for good, it changes no file that was saved with the field."""
    serialise(tmp_path / "1", lab("lab", LENS + "    radius: Any").Lens(2.0))
    second = lab("lab", LENS + "    radius: Any\n    gain: Any")
    code = proposed(tmp_path / "1")
    assert 'fields.setdefault("gain", 1.0)' in code
    serialise(tmp_path / "2", second.Lens(2.0, 7.5))
    third = lab("lab", LENS + "    radius: Any\n    gain: Any\n    order: int = 3")
    exec(code, {"Lens": third.Lens, "zodiax_io": zodiax_io})  # noqa: S102
    for name, gain in (("1", 1.0), ("2", 7.5)):
        loaded, warning = changed(tmp_path / name)
        assert differences(third.Lens(2.0, gain), loaded) == []
        assert [(c.gained, c.replaced) for c in warning.changes] == [(("order",), ())]


def set_in_place(fields):
    fields["gain"][0] = 1.0
    return fields


@pytest.mark.parametrize(
    ("saved", "upgrade"),
    [
        (7.5, lambda fields: fields | {"gain": 1.0}),
        (7.5, lambda fields: {"radius": fields["radius"], "gain": 1}),
        (7.5, lambda fields: {"radius": fields["radius"]}),
        (1, lambda fields: fields | {"gain": True}),
        (0.0, lambda fields: fields | {"gain": -0.0}),
        (jnp.ones(2), lambda fields: fields | {"gain": 2 * fields["gain"]}),
        (np.zeros(2), set_in_place),
        ([0.0, 2.0], set_in_place),
        ({0: (0.0, [])}, lambda fields: fields["gain"][0][1].append(1) or fields),
        ({1, 2}, lambda fields: fields["gain"].clear() or fields),
    ],
)
@pytest.mark.parametrize("fields", [None, ["radius"]])
def test_an_upgrade_for_any_age_replaces_nothing_in_silence(
    lab, tmp_path, saved, upgrade, fields
):
    """A saved value that it changes is in the warning, and an error if strict."""
    old = lab("lab", LENS + "    radius: Any\n    gain: Any")
    serialise(tmp_path / "m", [old.Lens(2.0, saved)])
    new = lab("lab", LENS + "    radius: Any\n    gain: Any = 3\n    order: int = 0")
    upgraded(new.Lens, upgrade, fields=fields)
    _, warning = changed(tmp_path / "m")
    (change,) = [c for c in warning.changes if c.replaced]
    text = eqx.tree_pformat(saved)
    assert (change.path, change.replaced) == ("model[0]", (("gain", text),))
    assert f"an upgrade replaced the saved value of `gain`, {text}" in str(warning)
    assert "set new fields by `fields.setdefault`" in str(warning)
    with pytest.raises(ClassChangedError, match="replaced the saved value of `gain`"):
        deserialise(tmp_path / "m", strict=True)


def test_a_finished_object_replaces_nothing_in_silence(lab, tmp_path):
    """The same of an upgrade that returns an object of the class."""
    serialise(tmp_path / "m", lab("lab", LENS + "    a: int\n    b: int").Lens(1, 2))
    new = lab("lab", LENS + "    a: int\n    b: int\n    c: int")
    upgraded(new.Lens, lambda fields: new.Lens(fields["a"], 5, 6))
    loaded, warning = changed(tmp_path / "m")
    assert differences(new.Lens(1, 5, 6), loaded) == []
    assert [c.replaced for c in warning.changes] == [(("b", "2"),)]


@pytest.mark.parametrize(
    "value", [1.5, float("nan"), jnp.ones(2), np.ones(2), [np.ones(2), {"a": "b"}], {1}]
)
def test_an_upgrade_that_replaces_nothing_is_quiet(lab, tmp_path, value):
    """A value that is equal to the saved one is not replaced."""
    old = lab("lab", LENS + "    a: Any\n    b: Any")
    serialise(tmp_path / "m", old.Lens(value, 2))
    new = lab("lab", LENS + "    a: Any\n    c: Any")
    upgraded(new.Lens, lambda fields: {"a": copy.deepcopy(fields["a"]), "c": 1})
    assert differences(new.Lens(value, 1), quiet(tmp_path / "m")) == []


@pytest.mark.parametrize("fields", [["radius"], ["radius", "gain"]])
def test_an_upgrade_that_names_its_files_may_replace(lab, tmp_path, fields):
    """It never gets an object of today."""
    old = lab("lab", LENS + "    radius: Any\n    gain: Any")
    serialise(tmp_path / "m", old.Lens(2.0, 7.5))
    new = lab("lab", LENS + "    diameter: Any\n    gain: Any")

    def upgrade(held):
        return {"diameter": 2 * held["radius"], "gain": 1.0}

    upgraded(new.Lens, upgrade, fields=fields)
    assert differences(new.Lens(4.0, 1.0), quiet(tmp_path / "m")) == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_upgrades_by_fields_may_come_in_any_order(lab, tmp_path, newest_first):
    """Each one runs once the object has the fields that it names."""
    for name in "abc":
        serialise(tmp_path / name, lab("lab", LENS + f"    {name}: Any").Lens([name]))
    new = lab("lab", LENS + "    d: Any")
    steps = [
        (lambda f, old=old, to=to: {to: f[old] + [to]}, old)
        for old, to in ("ab", "bc", "cd")
    ]
    for step, field in reversed(steps) if newest_first else steps:
        upgraded(new.Lens, step, fields=[field])
    for i, name in enumerate("abc"):
        loaded = quiet(tmp_path / name)
        assert differences(new.Lens(list("abcd"[i:])), loaded) == []


def test_an_error_after_an_upgrade_is_about_the_file(lab, tmp_path):
    """It says which fields the file itself has."""
    serialise(tmp_path / "m", lab("lab", LENS + "    a: int").Lens(1))
    new = lab("lab", LENS + "    c: int")
    upgraded(new.Lens, lambda fields: {"b": fields["a"]}, fields=["a"])
    with pytest.raises(ClassChangedError) as caught:
        deserialise(tmp_path / "m")
    assert str(caught.value).endswith(
        "\n\nThese are the fields after the upgrades of the class; the file itself has "
        "`a`. If another upgrade must follow, pass the names of the fields it expects "
        "as `fields=`."
    )


@pytest.mark.parametrize(
    ("recorded", "applies"),
    [("0.9", True), ("1.9.9", True), ("2.0", False), ("2.0.1", False), (None, True)],
)
def test_an_upgrade_by_version(monkeypatch, recorded, applies):
    """Where the meaning has changed, not the fields."""
    monkeypatch.setattr("zodiax_io._evolution.upgrades.rules", {})
    upgraded(eqx.nn.Identity, lambda f: eqx.nn.Identity, before="2.0")
    saved = Checkpoint.of([eqx.nn.Identity()])
    saved.document["versions"].pop("equinox")
    if recorded is not None:
        saved.document["versions"]["equinox"] = recorded
    (loaded,) = saved.load(versions="ignore")
    assert (loaded is eqx.nn.Identity) == applies


class Local(eqx.Module):
    radius: Any


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((int, dict), {}, "no fields to upgrade"),
        ((3, dict), {}, "no fields to upgrade"),
        ((Local, 3), {}, "must be a function"),
        ((Local, dict), {"fields": "radius"}, "is a list of names"),
        ((Local, dict), {"before": "new"}, "is text such as"),
        ((Local, dict), {"before": 1.2}, "is text such as"),
    ],
)
def test_upgrades_that_are_none(arguments, options, message):
    """Said when they are given."""
    with pytest.raises(ArgumentError, match=message):
        upgraded(*arguments, **options)


def test_a_version_that_nobody_records(lab):
    """Files know no version of a script: no upgrade could tell their age by it."""
    cls = lab("lab", LENS + "    a: int").Lens
    with pytest.raises(ArgumentError, match="belongs to no installed package"):
        upgraded(cls, dict, before="1.2")


def test_an_upgrade_that_fails(lab, tmp_path):
    """The error names the object, and what was raised."""
    serialise(tmp_path / "m", lab("lab", LENS + "    a: int").Lens(1))
    new = lab("lab", LENS + "    b: int")
    upgraded(new.Lens, lambda fields: fields["c"])
    with pytest.raises(ClassChangedError, match="at `model` failed: KeyError: 'c'"):
        deserialise(tmp_path / "m")


def test_an_upgrade_that_leaves_fields_out(lab, tmp_path):
    """What it makes is looked at like what a file has."""
    serialise(tmp_path / "m", lab("lab", LENS + "    a: int").Lens(1))
    new = lab("lab", LENS + "    b: int")
    upgraded(new.Lens, lambda fields: {})
    with pytest.raises(ClassChangedError, match="the class has `b`"):
        deserialise(tmp_path / "m")


# Checks -------------------------------------------------------------------------------


class Positive(eqx.Module):
    value: Any

    def __check_init__(self):
        if not self.value > 0:
            raise ValueError("it is not positive")


class Small(Positive):
    def __check_init__(self):
        if not self.value < 9:
            raise ValueError("it is not small")


@pytest.mark.parametrize(("value", "message"), [(-1, "positive"), (10, "small")])
def test_check_init(value, message):
    """Not called unless asked for; then of every class of the object."""
    saved = Checkpoint.of({"a": Small(3)})
    saved.tree["node"]["a"]["node"]["value"]["value"] = value
    assert saved.load()["a"].value == value
    with pytest.raises(ClassChangedError, match=rf"at `model\['a'\]`.*not {message}"):
        saved.load(check_init=True)
    assert Checkpoint.of({"a": Small(3)}).load(check_init=True)["a"].value == 3


def test_load_structure_knows_upgrades(monkeypatch):
    """A structure is built in the same way as a file."""
    monkeypatch.setattr("zodiax_io._evolution.upgrades.rules", {})
    structure = zodiax_io.build_structure([Local(jnp.ones(2))])
    structure["node"][0]["node"] = {"size": structure["node"][0]["node"]["radius"]}
    upgraded(Local, lambda fields: {"radius": fields["size"]})
    (loaded,) = load_structure(structure)
    assert loaded.radius == jax.ShapeDtypeStruct((2,), np.float32)


@pytest.mark.parametrize(
    "field",
    ["dataclasses.field(default_factory=mark)", "eqx.field(default=1, converter=mark)"],
)
def test_a_default_that_runs_code_needs_trust(lab, tmp_path, monkeypatch, field):
    """A stranger could leave any field out, to have the code of its class run."""
    text = "ran = []\ndef mark(*x):\n    ran.append(x)\n    return 7\n"
    serialise(tmp_path / "m", lab("lab", LENS + "    a: int").Lens(1))
    text += f"class Lens(eqx.Module):\n    a: int\n    b: int = {field}"
    new = lab("lab", HEAD + text)
    monkeypatch.setattr("zodiax_io._trust.trusted.is_own_code", lambda module: False)
    with pytest.raises(ClassChangedError, match=r'pass `trusted=\["lab"\]`'):
        deserialise(tmp_path / "m")
    assert new.ran == []
    loaded, _ = changed(tmp_path / "m", trusted=["lab"])
    assert loaded.b == 7


@pytest.mark.parametrize("result", [None, {1: 2}])
def test_an_upgrade_that_returns_nothing_of_use(lab, tmp_path, result):
    """As one does that forgets its `return`."""
    serialise(tmp_path / "m", [lab("lab", LENS + "    a: int").Lens(1)])
    new = lab("lab", LENS + "    b: int")
    upgraded(new.Lens, lambda fields: result)
    with pytest.raises(ClassChangedError, match="must return a dict of fields by name"):
        deserialise(tmp_path / "m")


def test_an_upgrade_that_needs_what_is_left_out(lab, tmp_path):
    """The error says what to ask for."""
    old = lab("lab", LENS + "    x: Any\n    y: Any")
    serialise(tmp_path / "m", {"lens": old.Lens(jnp.ones(2), jnp.ones(2)), "c": 1.0})
    new = lab("lab", LENS + "    z: Any")
    upgraded(new.Lens, lambda fields: {"z": fields["x"] * fields["y"]})
    with pytest.raises(ArgumentError, match="which `only` leaves out"):
        deserialise(tmp_path / "m", only="**.x")
    assert deserialise(tmp_path / "m", only="lens").z.tolist() == [1, 1]


def test_many_fields_make_no_long_message(lab, tmp_path):
    """And no long search."""
    body = "".join(f"    a{i}: int\n" for i in range(400))
    serialise(tmp_path / "m", lab("lab", LENS + body).Lens(*range(400)))
    lab("lab", LENS + body.replace("    a", "    b"))
    with pytest.raises(ClassChangedError, match="and 380 more") as caught:
        deserialise(tmp_path / "m")
    assert len(str(caught.value)) < 8000
