"""Combinations of flags: kept by the names of their members, whatever their numbers."""

import enum
import re
import sys
import warnings

import numpy as np
import pytest
from documents import Checkpoint
from equality import survives
from hypothesis import HealthCheck, given, settings, strategies as st

import zodiax_io
from zodiax_io import ClassChangedError, deserialise, serialise

NAMES = ("TIP", "TILT", "FOCUS", "COMA")
BOUNDARIES = ("STRICT", "CONFORM", "EJECT", "KEEP")


def text_of(members, base="Flag", boundary="STRICT"):
    body = "".join(f"    {name} = {number}\n" for name, number in members.items())
    head = f"class Mode(enum.{base}, boundary=enum.{boundary}):\n"
    return f"import enum\n{head}{body or '    pass'}\n"


def combined(cls, names):
    result = cls(0)
    for name in names:
        result |= cls[name]
    return result


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.permutations(NAMES),
    after=st.permutations(NAMES),
    count=st.integers(1, 4),
    chosen=st.sets(st.sampled_from(NAMES), min_size=2),
    base=st.sampled_from(["Flag", "IntFlag"]),
    boundary=st.sampled_from(BOUNDARIES),
)
def test_a_combination_is_one_of_names(
    lab, tmp_path_factory, before, after, count, chosen, base, boundary
):
    """The same members come back, however the class numbers them; or an error does."""
    numbers = {name: 1 << i for i, name in enumerate(before)}
    old = lab("lab", text_of(numbers, base, boundary))
    path = tmp_path_factory.mktemp("flags") / "m"
    serialise(path, [combined(old.Mode, chosen)])
    numbers = {name: 1 << i for i, name in enumerate(after[:count])}
    new = lab("lab", text_of(numbers, base, boundary))
    if chosen <= set(after[:count]):
        assert deserialise(path)[0] is combined(new.Mode, chosen)
    else:
        with pytest.raises(ClassChangedError, match="and Mode has no member"):
            deserialise(path)


@pytest.mark.parametrize("base", ["Flag", "IntFlag"])
def test_an_inserted_member_moves_no_other(lab, tmp_path, base):
    """A member that comes to stand before others takes none of their places."""
    old = lab("lab", text_of({"TILT": 1, "FOCUS": 2}, base)).Mode
    serialise(tmp_path / "m", [old.TILT | old.FOCUS, old(0)])
    new = lab("lab", text_of({"TIP": 1, "TILT": 2, "FOCUS": 4}, base)).Mode
    loaded = deserialise(tmp_path / "m", strict=True)
    assert loaded == [new.TILT | new.FOCUS, new(0)]


def test_a_member_of_a_combination_is_renamed(lab, tmp_path):
    """A combination that holds a member without a place says so, and takes renames."""
    old = lab("lab", text_of({"TILT": 1, "FOCUS": 2})).Mode
    serialise(tmp_path / "m", {"mode": old.TILT | old.FOCUS, "gain": np.ones(1)})
    new = lab("lab", text_of({"TILT": 1, "DEFOCUS": 2})).Mode
    with pytest.raises(ClassChangedError) as caught:
        deserialise(tmp_path / "m")
    assert str(caught.value) == (
        "m.eqx: `model['mode']` is `lab:Mode.FOCUS`, and Mode has no member 'FOCUS'. "
        'If it has another name now, pass `renames={"lab:Mode.FOCUS": "lab:Mode.…"}`.'
    )
    renames = {"lab:Mode.FOCUS": "lab:Mode.DEFOCUS"}
    expected = {"mode": new.TILT | new.DEFOCUS, "gain": np.ones(1)}
    assert deserialise(tmp_path / "m", renames=renames) == expected
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # `like` has nothing else there
        deserialise(tmp_path / "m", renames=renames, like=expected)
    found = deserialise(tmp_path / "m", unknown="opaque")["mode"]
    assert type(found) is zodiax_io.Opaque


def test_an_opaque_combination_is_saved_again(lab, tmp_path, monkeypatch):
    """A combination whose class is away keeps the names of its members."""
    old = lab("lab", text_of({"TILT": 1, "FOCUS": 2}, "IntFlag", "KEEP")).Mode
    serialise(tmp_path / "m", [old.TILT | old.FOCUS | old(8), old(2**70 + 1)])
    monkeypatch.delitem(sys.modules, "lab")
    (tmp_path / "code" / "lab.py").unlink()
    serialise(tmp_path / "n", deserialise(tmp_path / "m", unknown="opaque"))
    assert (tmp_path / "m.zdx").read_bytes() == (tmp_path / "n.zdx").read_bytes()


KEPT = {"FOCUS": 4, "TILT": 2}


def kept(lab):
    return lab("lab", text_of(KEPT, "IntFlag", "KEEP")).Mode


@pytest.mark.parametrize("number", [0, 1, 6, 9, 15, 2**70, 2**70 + 7])
def test_bits_without_a_name_are_kept(lab, number):
    """Where a class keeps bits that no member has, a file does."""
    loaded = survives([kept(lab)(number)])
    assert int(loaded[0]) == number


@pytest.mark.parametrize(
    ("base", "boundary", "members", "number", "words"),
    [
        ("IntFlag", "STRICT", KEPT, 9, "`0x9`, for which `Mode` now has nothing"),
        ("IntFlag", "CONFORM", KEPT, 13, "`FOCUS|0x9`, for which `Mode` now has FOCUS"),
        ("IntFlag", "EJECT", KEPT, 13, "for which `Mode` now has an integer"),
        ("IntFlag", "KEEP", KEPT | {"TIP": 1}, 3, "`TILT|0x1`, for which `Mode` now"),
        ("IntFlag", "KEEP", {"TILT": 8, "FOCUS": 4}, 10, "`TILT|0x8`, for which"),
    ],
)
def test_bits_without_a_name_mean_what_they_did(
    lab, tmp_path, base, boundary, members, number, words
):
    """Bits that no member had, and that a class drops or names now, are an error."""
    serialise(tmp_path / "m", [kept(lab)(number)])
    lab("lab", text_of(members, base, boundary))
    with pytest.raises(ClassChangedError, match=re.escape(words)):
        deserialise(tmp_path / "m")


def test_the_error_of_a_changed_combination(lab, tmp_path):
    """It says what was saved, what there would be instead, and what to do."""
    serialise(tmp_path / "m", [kept(lab)(3)])
    lab("lab", text_of(KEPT | {"TIP": 1}, "IntFlag", "KEEP"))
    with pytest.raises(ClassChangedError) as caught:
        deserialise(tmp_path / "m")
    assert str(caught.value) == (
        "m.eqx: `model[0]` was saved as `TILT|0x1`, for which `Mode` now has TILT|TIP. "
        "Give the class the members and the boundary that it had, load the object, and "
        "save `x.value` instead."
    )


def test_members_that_combine_others(lab, tmp_path):
    """Members of several bits count for the bits that only they have."""
    members = {"READ": 1, "WRITE": 2, "ALL": 7, "FAR": 24}
    old = lab("lab", text_of(members, "IntFlag", "KEEP")).Mode
    tree = [old.READ | old.WRITE, old.READ | old.FAR, old.READ | old(4), old.ALL]
    saved = Checkpoint.of(tree)
    assert [node.get("members") for node in saved.tree["node"]] == [
        ["READ", "WRITE"],
        ["READ", "FAR"],
        ["READ"],
        None,
    ]
    survives(tree)
    # What `ALL` is by now is no matter of a combination of two others.
    new = lab("lab", text_of(members | {"ALL": 3}, "IntFlag", "KEEP")).Mode
    loaded = saved.load(trusted=["lab"])
    assert [int(x) for x in loaded] == [3, 25, 5, 3]
    assert loaded[3] is new.ALL


class Old(enum.Flag):
    READ = 1
    WRITE = 2


def test_files_that_know_no_members_load():
    """Files of before hold the number alone."""
    saved = Checkpoint.of([Old.READ | Old.WRITE])
    (node,) = saved.tree["node"]
    del node["members"]
    assert saved.load() == [Old.READ | Old.WRITE]
    node["value"] = 4
    with pytest.raises(ClassChangedError, match="was saved as `the number 0x4`"):
        saved.load()


@pytest.mark.parametrize(
    "broken",
    [
        {"members": 3},
        {"members": [3]},
        {"members": {"READ": 1}},
        {"members": [["READ"]]},
        {"rest": "x"},
        {"rest": -1},
        {"rest": 1},
        {"value": None},
        {"value": [3]},
    ],
)
def test_members_that_are_none(broken):
    """A file with an inconsistent combination raises a `ZodiaxIOError`."""
    saved = Checkpoint.of([Old.READ | Old.WRITE])
    saved.tree["node"][0].update(broken)
    with pytest.raises(zodiax_io.ZodiaxIOError):
        saved.load()


class Far(enum.IntFlag):
    A = 2**70
    B = 1


class Long(enum.IntEnum):
    HIGH = 2**70


def test_members_beyond_64_bits():
    """Numbers of any length are kept."""
    survives([Far.A, Far.A | Far.B, Long.HIGH])
