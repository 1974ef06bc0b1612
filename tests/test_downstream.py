"""What `python -m tests.downstream` calls kept, refused and failed is so."""

import json
from types import SimpleNamespace

import jax.numpy as jnp
import pytest
from downstream import __main__ as runner, process


@pytest.fixture
def packages(monkeypatch):
    """The tables of packages that are made up."""
    tables = {}

    def write(package, **table):
        tables[package] = SimpleNamespace(**table)

    for module in (process, runner):
        monkeypatch.setattr(module, "table", tables.__getitem__)
    return write


def test_an_object_that_came_back_otherwise_has_failed(tmp_path, packages):
    """The second process makes each object anew, and compares."""
    packages("jax", OBJECTS={"a": lambda: jnp.ones(2), "f": lambda: [lambda x: x]})
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
