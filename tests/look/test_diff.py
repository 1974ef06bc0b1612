"""How two trees differ, in files and alive."""

import collections
import contextlib
import io
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from documents import Checkpoint
from hypothesis import given
from strategies import flattenable_trees, trees

import zodiax_io
from zodiax_io import ArgumentError, assert_same, diff, serialise
from zodiax_io._cli import main


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
            np.array([1.0, 2.0]),
            np.array([np.nan, 2.0]),
            "f64[2] numpy, by inf at most (inf relative)",
        ),
        (np.array([0.0]), np.array([-0.0]), "f64[1] numpy 0.0 -> f64[1] numpy -0.0"),
        (
            np.array([3j] * 2),
            np.array([4j] * 2),
            "c128[2] numpy, by 1 at most (0.25 relative)",
        ),
        (np.array(["a"]), np.array(["b"]), "<U1[1] numpy, other bytes"),
        (np.array([1]), np.array([3]), "i64[1] numpy 1 -> i64[1] numpy 3"),
        (
            np.array([np.inf, 0.0]),
            np.array([1.0, 0.0]),
            "f64[2] numpy, by inf at most (nan relative)",
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
    assert told([nested, nested], [nested, [1]]) == ["~ model[1]: list, shared -> list"]
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
    with pytest.raises(AssertionError) as caught:
        assert_same([1, 2], [2, 1])
    assert str(caught.value) == (
        "the trees differ at 2 paths:\n~ model[0]: 1 -> 2\n~ model[1]: 2 -> 1"
    )
    with pytest.raises(AssertionError, match=r"… and 60 more$"):
        assert_same(list(range(100)), list(range(1, 101)))
    with pytest.raises(ArgumentError, match=r"such as \['x'\]"):
        assert_same(1, 2, ignore="x")


def test_a_damaged_array_is_an_error():
    """It is not compared; the error has its path and the reason."""
    data = bytearray(file_of([jnp.ones(100)]).getvalue())
    data[200] ^= 1
    with pytest.raises(zodiax_io.CorruptFileError) as caught:
        diff(io.BytesIO(data), [jnp.ones(100)])
    assert str(caught.value) == (
        "The file is damaged: `model[0]`: record 0 (at byte 0) has a wrong checksum."
    )


def test_an_array_without_a_record_is_an_error():
    """Also where the node refers to a record that the file does not have."""
    checkpoint = Checkpoint.of([np.ones(3)])
    checkpoint.tree["node"][0]["record"] = 7
    data = checkpoint.companion()
    with pytest.raises(zodiax_io.CorruptFileError) as caught:
        diff(io.BytesIO(data), io.BytesIO(data))
    assert str(caught.value) == (
        "The file is damaged: `model[0]`: the file has no record of this array."
    )


def test_the_command(tmp_path, capsys):
    """Exit status 0 and 1 as of `diff`, and 2 for errors; text or data."""
    serialise(tmp_path / "a", {"x": jnp.ones(2), "n": 1})
    serialise(tmp_path / "b", {"x": jnp.ones(2), "n": 2})
    a, b = str(tmp_path / "a.zdx"), str(tmp_path / "b.zdx")
    assert main.main(["diff", a, a]) == 0
    assert capsys.readouterr().out == ""
    assert main.main(["diff", a, b]) == 1
    assert capsys.readouterr().out == "~ model['n']: 1 -> 2\n"
    assert main.main(["diff", a, b, "--ignore", "*['n']"]) == 0
    assert main.main(["diff", a, b, "--json"]) == 1
    (change,) = json.loads(capsys.readouterr().out)["changes"]
    assert change["path"] == "model['n']"
    assert main.main(["diff", a, str(tmp_path / "c.zdx")]) == 2


def test_what_is_not_equal_to_itself():
    """A nan among plain values is the same as itself."""
    assert told({"a": float("nan")}, {"a": float("nan")}) == []
    assert told({"a": float("nan")}, {"a": 1.0}) == ["~ model['a']: nan -> 1.0"]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (
            {"a" * 200 + "1": 1, "a" * 200 + "2": 2},
            {"a" * 200 + "1": 5, "a" * 200 + "2": 2},
        ),
        ({float("nan"): 1, -float("nan"): 2}, {float("nan"): 5, -float("nan"): 2}),
        (collections.defaultdict(list, {"a": 1}), {"a": 1}),
        ({(1, 2): 1}, {(1, 3): 1}),
        ({True: 1}, {1: 1}),
        ([np.array([2**53])], [np.array([2**53 + 1])]),
        (["a" * 300], ["a" * 299 + "b"]),
    ],
)
def test_paths_and_values_are_told_apart(a, b):
    """However long or odd keys and values are."""
    assert len(told(a, b)) == len(told(b, a)) >= 1
    assert told(a, a) == []


def test_deep_trees():
    """Each place is compared, however long its path."""
    one, two = [1, 2], [9, 2]
    for _ in range(200):
        one, two = [one], [two]
    (line,) = told(one, two)
    assert line.endswith(": 1 -> 9")


def test_what_is_shared_with_another():
    """To share something else is a change, even where that is alike."""
    one, two = [1], [2]
    assert told([one, two, one], [one, two, two]) == [
        "~ model[2]: the same as model[0] -> the same as model[1]"
    ]
    x, y = jnp.ones(2), jnp.zeros(2)
    assert len(told([x, y, x], [x, y, y])) == 1
    assert told([x, x], [jnp.zeros(2)] * 2)[0].startswith("~ model[0]: f32[2], by 1")


class Plain:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        return Plain, (self.value,)


def times(factor):
    return lambda x: x * factor


def test_what_no_file_can_hold_is_the_same_only_if_it_is():
    """No two of them can be compared."""
    thing, function, gone = Plain(1), times(2), jnp.ones(2)
    gone.delete()
    for odd in (thing, function, gone):
        assert not diff([odd], [odd])
    for a, b in ((Plain(1), Plain(1)), (times(1), times(2)), (gone, jnp.ones(2))):
        assert diff([a], [b])
    with pytest.raises(AssertionError, match="at 1 path"):
        jax.jit(lambda x: assert_same({"x": x}, {"x": x + 1}))(jnp.ones(2))


@pytest.mark.parametrize(
    ("x", "y", "far", "near"),
    [
        (1.0, 1.0000001, 1e-8, 1e-6),
        (3, 4, 0.5, 1),
        (1 + 1j, 1 + 2j, 0.5, 1),
        (np.float32(1), np.float32(1.5), 0.4, 0.5),
        (np.array([2**53]), np.array([2**53 + 1]), 0.5, 1),
        (np.array([0], np.uint64), np.array([2**64 - 1], np.uint64), 1e18, 2e19),
        (np.array([-(2**63)]), np.array([2**63 - 1]), 1e18, 2e19),
        (np.longdouble([1]), np.longdouble([2]), 0.5, 1),
        (jnp.array([1.0], jnp.bfloat16), jnp.array([1.5], jnp.bfloat16), 0.4, 0.5),
        (np.array([True]), np.array([False]), 0.5, 1),
    ],
)
def test_tolerances(x, y, far, near):
    """Of numbers in arrays and alone, however large."""
    assert told([x], [y], atol=far)
    assert told([x], [y], atol=near) == []
    assert told([x], [y]) != []


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.array(["1.0 "]), np.array(["1.00"])),
        (
            np.array(["2020-01-01"], "datetime64[D]"),
            np.array(["2020-01-02"], "datetime64[D]"),
        ),
        (jr.key(0), jr.key(1)),
        ("a", "b"),
        (True, False),
    ],
)
def test_what_is_no_number_has_no_tolerance(x, y):
    """Text, dates, keys and truth are the same or not."""
    assert told([x], [y], atol=1e9, rtol=1e9)


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_tolerance_is_no_less_than_nothing(value):
    """What would make all different, or all the same, is refused."""
    with pytest.raises(ArgumentError, match="`rtol` is a number from 0 on"):
        diff(1, 1, rtol=value)


def test_padding_is_no_difference():
    """Bytes that belong to no field do not count."""
    dtype = np.dtype([("a", "u1"), ("b", "f8")], align=True)
    a, b = np.zeros(2, dtype), np.zeros(2, dtype)
    b.view(np.uint8)[1] = 7
    assert told([a], [b]) == []


class Reader(eqx.Module):
    x: object

    def read(self):
        raise NotImplementedError


def test_a_model_that_reads_is_a_model():
    """A method called `read` makes no file of it."""
    assert told(Reader(1), Reader(2)) == ["~ model.x: 1 -> 2"]
    assert zodiax_io.summarise(Reader(1)).root.items[0].value == "1"


def test_what_is_ignored_is_ignored_with_all_below():
    """A glob that means a container means what is in it."""
    a, b = {"opt": {"mu": 1, "nu": [2]}, "x": 1}, {"opt": {"mu": 2, "nu": [3]}, "x": 1}
    for glob in ("opt", "model.opt", "model['opt']", "opt.*"):
        assert told(a, b, ignore=[glob]) == []


def test_json_knows_no_infinity(tmp_path, capsys):
    """What is not finite is text there."""
    serialise(tmp_path / "a", np.array([1.0, 2.0]))
    serialise(tmp_path / "b", np.array([np.nan, 2.0]))
    assert main.main(["diff", str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 1
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert data["changes"][0]["largest"] == "inf"


class Incomparable:
    """An object that no file can keep, and that nothing may be compared with."""

    def __init__(self):
        self.function = lambda: None

    def __eq__(self, other):
        raise RuntimeError("not to be compared")

    def __reduce__(self):
        return Incomparable, ()

    __hash__ = None


def test_objects_that_no_file_can_keep_are_compared_by_identity():
    """Their own `__eq__` is never called."""
    one, other = Incomparable(), Incomparable()
    assert not diff([one], [one])
    (change,) = diff([one], [other]).changes
    assert change.path == "model[0]"


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree["node"][0].update(shape=["x"]),
        lambda tree: tree["node"][0].update(dtype="no"),
        lambda tree: tree["node"][0].pop("dtype"),
        lambda tree: tree["node"][0].update(record=7),
        lambda tree: tree["node"].append(
            {"node_type": "leaf", "kind": "same", "value": 9}
        ),
        lambda tree: tree["node"].append(
            {"node_type": "leaf", "kind": "same", "value": 9, "id": 9}
        ),
        lambda tree: tree.update(static=[["x"], 3]),
        lambda tree: tree["node"][0].update({b"odd": 1}),
    ],
)
def test_what_a_crafted_file_says_is_compared_or_refused(change):
    """By one of our errors; a file that can be compared is like itself."""
    checkpoint = Checkpoint.of([np.ones(3), 1])
    change(checkpoint.tree)
    data = checkpoint.companion()
    with contextlib.suppress(zodiax_io.ZodiaxIOError):
        assert not diff(io.BytesIO(data), io.BytesIO(data))
