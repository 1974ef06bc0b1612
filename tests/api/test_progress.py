"""How far a save or a load is: functions of the user's, and the bar of tqdm."""

import builtins
import dataclasses
import io

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from strategies import trees

from zodiax_io import (
    ArgumentError,
    MissingPackageError,
    _progress,
    deserialise,
    serialise,
)
from zodiax_io._arrays.sizes import Sizes

TREE = [np.arange(n, dtype="i4") for n in (0, 1, 3000, 20_000, 5)] + [jnp.ones(70_000)]


def check(calls):
    """Never back, never beyond, and to the end."""
    done, totals = [d for d, _ in calls], {total for _, total in calls}
    assert done == sorted(done)
    assert len(totals) <= 1
    assert not done or {done[-1]} == totals


@given(trees)
def test_it_ends_at_the_total(tree):
    """Whatever there is to write and to read."""
    calls = []
    file = io.BytesIO()
    serialise(file, tree, progress=lambda *call: calls.append(call))
    check(calls)
    calls.clear()
    file.seek(0)
    deserialise(file, progress=lambda *call: calls.append(call))
    check(calls)


def test_it_moves_on_the_way(tmp_path, use_sizes):
    """Large records count chunk by chunk, in the thread that loads."""
    use_sizes(**{field.name: 8000 for field in dataclasses.fields(Sizes)})
    calls = []
    serialise(tmp_path / "m", TREE, progress=lambda *call: calls.append(call))
    check(calls)
    assert len(calls) > 20
    assert calls[-1][1] == sum(array.nbytes for array in TREE)
    calls.clear()
    deserialise(tmp_path / "m", progress=lambda *call: calls.append(call))
    check(calls)
    assert len(calls) > 20


def test_a_function_may_stop_it(tmp_path):
    """What it raises ends the save; what was there is there still."""
    serialise(tmp_path / "m", [1.5])

    for error in (KeyboardInterrupt, RuntimeError):

        def stop(done, total, error=error):
            raise error("enough")

        with pytest.raises(error, match="enough"):
            serialise(tmp_path / "m", TREE, progress=stop)
        assert deserialise(tmp_path / "m") == [1.5]
        assert len(list(tmp_path.iterdir())) == 2
        serialise(tmp_path / "n", TREE)
        with pytest.raises(error, match="enough"):
            deserialise(tmp_path / "n", progress=stop)
        for path in tmp_path.glob("n.*"):
            path.unlink()


def test_a_bar_shows_what_lasts(tmp_path, capsys, monkeypatch):
    """Nothing for short ones; what it is, and how much, for the others."""
    pytest.importorskip("tqdm")
    serialise(tmp_path / "model", TREE, progress=True)
    deserialise(tmp_path / "model", progress=True)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(_progress, "_DELAY", 0)
    serialise(tmp_path / "model", TREE, progress=True)
    text = capsys.readouterr().err
    assert "Saving model.eqx" in text and "100%" in text and "363k/363k" in text
    deserialise(tmp_path / "model", progress=True)
    text = capsys.readouterr().err
    assert "Loading model.eqx" in text and "100%" in text


def test_without_tqdm(tmp_path, monkeypatch):
    """Said before anything is written, with what to do."""
    load = builtins.__import__

    def without(name, *arguments, **options):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPackageError, match=r"zodiax_io\[progress\]"):
        serialise(tmp_path / "m", TREE, progress=True)
    assert list(tmp_path.iterdir()) == []
    serialise(tmp_path / "m", TREE)
    with pytest.raises(ImportError, match="tqdm"):
        deserialise(tmp_path / "m", progress=True)


@pytest.mark.parametrize("progress", [3, "yes", 1])
def test_what_is_no_progress(tmp_path, progress):
    """True, False or a function."""
    with pytest.raises(ArgumentError, match="`progress`"):
        serialise(tmp_path / "m", TREE, progress=progress)
