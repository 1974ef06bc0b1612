"""How two trees differ, in files and alive."""

import io
import json

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from documents import Checkpoint
from hypothesis import given
from strategies import flattenable_trees, trees

import zodiax_io
from zodiax_io import ArgumentError, _cli, assert_same, diff, serialise


class Lens(eqx.Module):
    radius: object
    name: str = eqx.field(static=True)


def file_of(tree):
    file = io.BytesIO()
    serialise(file, tree)
    file.seek(0)
    return file


def told(a, b, **options):
    """The lines of a difference, the same whether trees are in files or alive."""
    lines = str(diff(a, b, **options)).splitlines()
    assert str(diff(file_of(a), file_of(b), **options)).splitlines() == lines
    assert str(diff(file_of(a), b, **options)).splitlines() == lines
    return lines


@given(tree=trees)
def test_a_tree_is_like_itself(tree):
    """Alive, in a file, and between the two."""
    assert not diff(file_of(tree), file_of(tree))
    assert not diff(tree, file_of(tree))
    assert_same(tree, tree)


@given(a=flattenable_trees, b=flattenable_trees)
def test_different_files_differ(a, b):
    """Where the structures or the bytes differ, something is said."""
    first, second = Checkpoint.of(a), Checkpoint.of(b)
    for one in (first, second):
        one.document["versions"] = {}
    if first.companion() != second.companion():
        assert diff(io.BytesIO(first.companion()), io.BytesIO(second.companion()))


def test_what_was_added_removed_and_changed():
    """One line for each; of what is gone with all in it, one."""
    a = {"lens": Lens(1.0, "thin"), "old": [1, [2]], "x": jnp.ones(3), "n": 3}
    b = {"lens": Lens(1.0, "thick"), "new": {"a": 1}, "x": jnp.ones(4), "n": 3.0}
    assert told(a, b) == [
        "~ model['lens'].name: 'thin' -> 'thick'",
        "- model['old']: list",
        "~ model['x']: f32[3] -> f32[4]",
        "~ model['n']: 3 -> 3.0",
        "+ model['new']: dict",
    ]


def test_numbers():
    """The largest difference, alone and in proportion; and tolerances."""
    a, b = {"x": jnp.array([1.0, 2.0, 4.0])}, {"x": jnp.array([1.0, 2.5, 4.0])}
    assert told(a, b) == ["~ model['x']: f32[3], by 0.5 at most (0.2 relative)"]
    (change,) = diff(a, b).changes
    assert (change.path, change.what, change.largest) == ("model['x']", "changed", 0.5)
    assert change.relative == pytest.approx(0.2)
    assert told(a, b, atol=0.6) == []
    assert told(a, b, rtol=0.2) == []
    assert told(a, b, rtol=0.1) != []
    assert told(a, b, ignore=["*['x']"]) == told(a, b, ignore=["*.x"]) == []


@pytest.mark.parametrize(
    ("x", "y", "text"),
    [
        (
            np.array([1.0]),
            np.array([np.nan]),
            "f64[1] numpy, by inf at most (inf relative)",
        ),
        (np.array([0.0]), np.array([-0.0]), "f64[1] numpy, by 0 at most (0 relative)"),
        (np.array([3j]), np.array([4j]), "c128[1] numpy, by 1 at most (0.25 relative)"),
        (np.array(["a"]), np.array(["b"]), "<U1[1] numpy, other bytes"),
        (np.array([1]), np.array([3]), "i64[1] numpy, by 2 at most (0.67 relative)"),
        (
            np.array([np.inf]),
            np.array([1.0]),
            "f64[1] numpy, by inf at most (nan relative)",
        ),
    ],
)
def test_odd_numbers(x, y, text):
    """Not a number, signs of zero, complex numbers, text."""
    (line,) = told([x], [y])
    assert line.startswith("~ model[0]: ")
    assert line.endswith(text.replace("(nan relative)", "(inf relative)"))


def test_what_is_no_number():
    """Keys, functions, sharing, static fields, classes, the order of a dict."""
    shared = jnp.ones(2)
    assert told([jr.key(0)], [jr.key(1)])[0].startswith(
        "~ model[0]: key<threefry2x32>[]"
    )
    assert told([jnp.tanh], [jnp.sin]) == ["~ model[0]: jax.nn:tanh -> jax.numpy:sin"]
    assert told([shared, shared], [shared, jnp.ones(2)]) == []
    nested = [1]
    assert told([nested, nested], [nested, [1]]) == [
        "~ model[1]: list, shared -> list",
        "+ model[1][0]: 1",
    ]
    assert told({"a": 1, "b": 2}, {"b": 2, "a": 1}) == [
        "~ model: dict -> dict in another order"
    ]
    assert told([Lens(1, "a")], [eqx.nn.Identity()])[0].startswith("~ model[0]: ")


def test_versions_are_told_and_are_no_difference():
    """They are beside the point of what is in the tree."""
    one, two = Checkpoint.of([1]), Checkpoint.of([1])
    two.document["versions"]["equinox"] = "9.0"
    found = diff(io.BytesIO(one.companion()), io.BytesIO(two.companion()))
    assert not found
    assert str(found) == f"  equinox: {eqx.__version__} -> 9.0"


def test_assert_same():
    """The failure lists where trees differ, as far as one wants to read."""
    with pytest.raises(
        AssertionError, match=r"differ at 2 places:\n~ model\[0\]: 1 -> 2"
    ):
        assert_same([1, 2], [2, 1])
    with pytest.raises(AssertionError, match=r"… and 60 more$"):
        assert_same(list(range(100)), list(range(1, 101)))
    with pytest.raises(ArgumentError, match=r"such as \['x'\]"):
        assert_same(1, 2, ignore="x")


def test_a_damaged_array_is_an_error():
    """It is not compared."""
    data = bytearray(file_of([jnp.ones(100)]).getvalue())
    data[200] ^= 1
    with pytest.raises(zodiax_io.ZodiaxIOError, match="damaged"):
        diff(io.BytesIO(data), [jnp.ones(100)])


def test_the_command(tmp_path, capsys):
    """Exit status 0 and 1 as of `diff`, and 2 for errors; text or data."""
    serialise(tmp_path / "a", {"x": jnp.ones(2), "n": 1})
    serialise(tmp_path / "b", {"x": jnp.ones(2), "n": 2})
    a, b = str(tmp_path / "a.zdx"), str(tmp_path / "b.zdx")
    assert _cli.main(["diff", a, a]) == 0
    assert capsys.readouterr().out == ""
    assert _cli.main(["diff", a, b]) == 1
    assert capsys.readouterr().out == "~ model['n']: 1 -> 2\n"
    assert _cli.main(["diff", a, b, "--ignore", "*['n']"]) == 0
    assert _cli.main(["diff", a, b, "--json"]) == 1
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["path"] == "model['n']"
    assert _cli.main(["diff", a, str(tmp_path / "c.zdx")]) == 2


def test_what_is_not_equal_to_itself():
    """A nan among plain values is the same as itself."""
    assert told({"a": float("nan")}, {"a": float("nan")}) == []
    assert told({"a": float("nan")}, {"a": 1.0}) == ["~ model['a']: nan -> 1.0"]
