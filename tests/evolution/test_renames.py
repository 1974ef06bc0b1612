"""Classes and functions that are called otherwise now than when a file was written."""

import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import pytest
from documents import Checkpoint
from equality import differences

import zodiax_io
from zodiax_io import ArgumentError, UntrustedError, deserialise, serialise

OLD = """
import enum
from typing import Any, NamedTuple
import equinox as eqx

class Lens(eqx.Module):
    radius: Any
    class Coating(eqx.Module):
        index: float

class State(NamedTuple):
    count: Any

class Mode(enum.Enum):
    NEAR = 1

def widen(x):
    return 2 * x
"""


def tree_of(module):
    return {
        "lens": module.Lens(jnp.arange(3.0)),
        "coating": module.Lens.Coating(1.5),
        "state": module.State(jnp.ones(2)),
        "mode": module.Mode.NEAR,
        "function": module.widen,
        "class": module.Lens,
    }


def test_a_module_that_moved(lab, tmp_path):
    """All that was in a module is found in another: classes, functions, members."""
    old = lab("oldlab_optics", OLD)
    serialise(tmp_path / "m", tree_of(old))
    del sys.modules["oldlab_optics"]
    with pytest.raises(UntrustedError):
        deserialise(tmp_path / "m")
    new = lab("newlab_lenses", OLD)
    loaded = deserialise(tmp_path / "m", renames={"oldlab_optics": "newlab_lenses"})
    assert differences(tree_of(new), loaded) == []
    serialise(tmp_path / "n", loaded)
    assert differences(tree_of(new), deserialise(tmp_path / "n")) == []


def test_a_package_that_moved_into_itself(lab, tmp_path):
    """A rename is applied once."""
    serialise(tmp_path / "m", lab("lab_of_old", OLD).Lens(1.5))
    new = lab("lab_of_old.core", OLD)
    loaded = deserialise(tmp_path / "m", renames={"lab_of_old": "lab_of_old.core"})
    assert differences(new.Lens(1.5), loaded) == []


def test_names_that_changed(lab, tmp_path):
    """Name by name, a class with those inside of it, and through two renames."""
    old = lab("oldlab_optics", OLD)
    serialise(tmp_path / "m", tree_of(old))
    text = OLD.replace("Lens", "ThickLens").replace("Mode", "Regime")
    new = lab("oldlab_optics", text.replace("widen", "spread"))
    renames = {
        "oldlab_optics:Lens": "oldlab_optics:RoundLens",
        "oldlab_optics:RoundLens": new.ThickLens,
        "oldlab_optics:Mode": "oldlab_optics:Regime",
        "oldlab_optics:widen": new.spread,
    }
    new.Lens, new.Mode, new.widen = new.ThickLens, new.Regime, new.spread
    expected = tree_of(new)
    del new.Lens, new.Mode, new.widen
    assert differences(expected, deserialise(tmp_path / "m", renames=renames)) == []
    for old_name, new_name in renames.items():
        zodiax_io.renamed(old_name, new_name)
    assert differences(expected, deserialise(tmp_path / "m")) == []
    assert zodiax_io.untrusted(tmp_path / "m") == []
    reasons = {v.name: v.reason for v in zodiax_io.names(tmp_path / "m")}
    assert (
        "was renamed to `oldlab_optics:ThickLens`, which"
        in reasons["oldlab_optics:Lens"]
    )


def test_the_error_proposes_what_is_called_alike(lab, tmp_path):
    """What it proposes can be passed as it is."""
    old = lab("oldlab_optics", OLD)
    serialise(tmp_path / "m", old.Lens(1.5))
    lab("oldlab_optics", OLD.replace("Lens", "Lenses"))
    with pytest.raises(UntrustedError) as caught:
        deserialise(tmp_path / "m")
    advice = 'renames={"oldlab_optics:Lens": "oldlab_optics:Lenses"}'
    assert advice in str(caught.value)
    found = eval(f"dict({advice})")  # noqa: S307
    assert deserialise(tmp_path / "m", **found).radius == 1.5
    path = sys.modules.pop("oldlab_optics").__file__
    Path(path).unlink()
    lab("newlab_optics", OLD)
    with pytest.raises(
        UntrustedError, match="if it was renamed to `newlab_optics:Lens`"
    ):
        deserialise(tmp_path / "m")


def test_like_knows_what_is_called_otherwise(lab, tmp_path):
    """No difference is reported where there is a new name only."""
    old = lab("oldlab_optics", OLD)
    serialise(tmp_path / "m", tree_of(old))
    new = lab("newlab_lenses", OLD)
    zodiax_io.renamed("oldlab_optics", "newlab_lenses")
    like = tree_of(new) | {"lens": new.Lens(jnp.zeros(3))}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = deserialise(tmp_path / "m", like=like)
    assert loaded["lens"].radius.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    "target", ["os:system", "subprocess:Popen", "builtins:eval", "zodiax_io:serialise"]
)
def test_a_rename_gives_no_trust(target):
    """What something is called now is judged as if the file named it."""
    saved = Checkpoint.of(jnp.tanh)
    saved.document["tree"]["type"] = "lab:function"
    with pytest.raises(UntrustedError, match=f"was renamed to `{target}`, which"):
        saved.load(renames={"lab:function": target})


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        (3, "must be a dictionary"),
        ({"a:B": "c"}, "must both be names or both modules"),
        ({"a": "c:D"}, "must both be names or both modules"),
        ({"a b": "c"}, "neither a name"),
        ({3: "c"}, "neither a name"),
        ({"a:B": "c:D:E"}, "neither a name"),
        ({"a:B": lambda x: x}, "no name of its own"),
        ({"lab:A": "lab:B", "lab:B": "lab:A"}, "circle"),
    ],
)
def test_renames_that_are_none(renames, message):
    """Said before anything is loaded."""
    saved = Checkpoint.of(jnp.tanh)
    saved.document["tree"]["type"] = "lab:A"
    with pytest.raises(ArgumentError, match=message):
        saved.load(renames=renames)


def test_a_rename_of_nothing_in_the_file_is_mentioned(lab, tmp_path):
    """A refusal says so, as of trust; one that is used, for a member too, is not."""
    lab("lab", "import enum\nclass Mode(enum.Enum):\n    NEAR = 1\n")
    serialise(tmp_path / "m", [sys.modules["lab"].Mode.NEAR])
    sys.modules["lab"].Mode = 3
    renames = {"lab:Mood": "lab:Mode", "lab:Mode.NEAR": "lab:Mode.FAR", "labs": "lab"}
    with pytest.raises(UntrustedError) as caught:
        deserialise(tmp_path / "m", renames=renames)
    assert str(caught.value) == (
        "m.eqx refers to names that are missing or not trusted:\n"
        "  `lab:Mode` at `model[0]` is an Enum class in the file, but an object of "
        "type `int` here.\n"
        'To look at the file without them, pass `unknown="opaque"`.\n'
        "No name in it belongs to `lab:Mood`, which is in `renames`.\n"
        "No name in it belongs to `labs`, which is in `renames`."
    )


def test_a_function_that_is_a_plain_value_now(lab, tmp_path):
    """It is not said to be imported there."""
    own = lab("lab", "def function(x):\n    return x\n")
    serialise(tmp_path / "m", [own.function])
    own.function = 3
    with pytest.raises(UntrustedError, match="but an object of type `int` here"):
        deserialise(tmp_path / "m")
