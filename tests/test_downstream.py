"""What `python -m tests.downstream` calls kept, refused and failed is so."""

import json
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import pytest
from downstream import __main__ as runner, process, registered
from equality import differences
from unkept import UNKEPT


@pytest.fixture
def packages(monkeypatch):
    """The tables of packages that are made up."""
    tables = {}

    def write(package, **table):
        tables[package] = SimpleNamespace(**table)

    for module in (process, runner, registered):
        monkeypatch.setattr(module, "table", tables.__getitem__)
    return write


@pytest.fixture
def nothing_registered(monkeypatch):
    """The walk through a package finds no class."""
    monkeypatch.setattr(registered, "makers", lambda package: ({}, {}))


@pytest.mark.usefixtures("nothing_registered")
def test_an_object_that_came_back_otherwise_has_failed(tmp_path, packages):
    """The second process makes each object anew, and compares."""
    packages("jax", OBJECTS={"a": lambda: jnp.ones(2), "f": lambda: list(UNKEPT)})
    rows = process.save("jax", tmp_path)
    assert {name: result for name, (result, _) in rows.items()} == {
        "a": "saved",
        "f": "refused",
    }
    (tmp_path / "saved.json").write_text(json.dumps(rows))
    assert process.load("jax", tmp_path) == {"a": ("kept", "")}
    packages("jax", OBJECTS={"a": lambda: jnp.zeros(2), "f": None})
    result, reason = process.load("jax", tmp_path)["a"]
    assert result == "failed"
    assert "the data" in reason


@pytest.mark.parametrize(
    ("found", "refused", "result"),
    [
        ("kept", (), "kept"),
        ("kept", ("a",), "failed"),
        ("refused", ("a",), "refused"),
        ("refused", (), "failed"),
        ("failed", ("a",), "failed"),
    ],
)
def test_what_is_not_expected_has_failed(packages, found, refused, result):
    """What a table says of an object must hold, whether it is kept or refused."""
    packages("jax", OBJECTS={"a": None}, REFUSED=refused)
    assert runner.judged("jax", {"a": (found, "")})["a"][0] == result


def test_each_process_has_another_order_of_sets(monkeypatch, packages):
    """One hash seed saves, two others load, and what one of them finds stays found."""
    seeds = []
    found = {
        "1": {name: ("saved", "") for name in "abc"} | {"d": ("unmade", "abstract")},
        "2": {"a": ("failed", "at once"), "b": ("kept", ""), "c": ("kept", "")},
        "3": {"a": ("kept", ""), "b": ("failed", "later"), "c": ("kept", "")},
    }

    def run(command, *, env, **options):
        seed = env["PYTHONHASHSEED"]
        seeds.append((command[-3], seed))
        file = Path(command[-1]) / {"save": "saved", "load": "loaded"}[command[-3]]
        file.with_suffix(".json").write_text(json.dumps(found[seed]))
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(runner.subprocess, "run", run)
    packages("jax", OBJECTS=dict.fromkeys("abc"), REFUSED=())
    assert runner.results("jax") == {
        "a": ("failed", "at once"),
        "b": ("failed", "later"),
        "c": ("kept", ""),
        "d": ("unmade", "abstract"),
    }
    assert seeds == [("save", "1"), ("load", "2"), ("load", "3")]


@pytest.mark.parametrize(
    ("found", "result"),
    [
        ("kept", "kept"),
        ("refused", "refused"),
        ("unmade", "unmade"),
        ("refused when loaded", "failed"),
        ("failed", "failed"),
    ],
)
def test_an_instance_of_a_registered_class_is_kept_or_refused_when_saved(
    packages, found, result
):
    """The table need not say which; what is refused only when loaded has failed."""
    packages("jax", OBJECTS={}, REFUSED=())
    assert runner.judged("jax", {"jax.A(x)": (found, "")})["jax.A(x)"][0] == result


PACKAGE = """
import jax

@jax.tree_util.register_pytree_node_class
class Free:
    def __init__(self, batch, scale=None):
        if batch is None: raise ValueError("no batch")
        self.batch, self.scale = batch, scale
    def tree_flatten(self): return (self.batch,), self.scale
    @classmethod
    def tree_unflatten(cls, aux, children): return cls(*children, aux)

@jax.tree_util.register_pytree_node_class
class Choosy(Free):
    def __init__(self, batch):
        raise ValueError("it wants another batch")

def local():
    @jax.tree_util.register_pytree_node_class
    class Inner(Free):
        pass
    return Inner

local()

class Plain:
    pass
"""


def test_every_registered_class_is_made_or_listed(tmp_path, monkeypatch, packages):
    """Also one within a function; none is passed by in silence, nor is a module."""
    folder = tmp_path / "registering"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "inner.py").write_text(PACKAGE)
    (folder / "wants.py").write_text("import absent_from_here")
    monkeypatch.syspath_prepend(tmp_path)
    packages("registering", OBJECTS={}, RECIPES={})
    made, unmade = registered.makers("registering")
    assert {name.partition("(")[0] for name in made} == {
        "registering.inner.Free",
        "registering.inner.local.<locals>.Inner",
    }
    assert {type(make()).__name__ for make in made.values()} == {"Free", "Inner"}
    assert unmade == {
        "registering.wants": "ModuleNotFoundError: No module named 'absent_from_here'",
        "registering.inner.Choosy": "ValueError: it wants another batch",
    }
    recipe = {"registering.inner.Choosy": lambda: None}
    packages("registering", OBJECTS={}, RECIPES=recipe)
    assert registered.makers("registering")[1]["registering.inner.Choosy"] == (
        "NoneType is made instead"
    )


@pytest.mark.parametrize(
    "exchanged",
    [
        ("_batch_shape", "_event_shape"),
        ("_batch_shape", "_validate_args"),
        ("_event_shape", "_validate_args"),
    ],
)
def test_attributes_that_changed_places_are_seen(exchanged):
    """Auxiliary data is compared by name, attribute by attribute."""
    dist = pytest.importorskip("numpyro.distributions")
    kept = {"_batch_shape": (2,), "_event_shape": (), "_validate_args": True}
    made = [dist.Normal(jnp.zeros(2), 1.0, validate_args=True) for _ in range(2)]
    assert differences(made[0], made[1]) == []
    one, other = exchanged
    vars(made[1]).update({one: kept[other], other: kept[one]})
    assert len(differences(made[0], made[1])) == 2
