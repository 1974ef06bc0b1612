"""Every view of every dtype: no array that can be saved breaks what shows it."""

import contextlib
import io
import sys

import jax
import jax.numpy as jnp
import jax.random as jr
import ml_dtypes
import numpy as np
import pytest
from strategies import EXTENDED_DTYPES, JAX_DTYPES, NUMPY_DTYPES

import zodiax_io
from zodiax_io._arrays.distance import is_numeric
from zodiax_io._cli import main

# All that ml_dtypes has here, also what JAX and older releases lack.
FOUND = {
    np.dtype(getattr(ml_dtypes, name))
    for name in dir(ml_dtypes)
    if isinstance(getattr(ml_dtypes, name), type)
    and issubclass(getattr(ml_dtypes, name), np.generic)
    and "complex" not in name  # refused when saving
}
MORE = [np.dtype(code) for code in "gG"]  # of 80 bits or 128, where there are such
DTYPES = [
    *NUMPY_DTYPES,
    *MORE,
    *dict.fromkeys([*EXTENDED_DTYPES, *sorted(FOUND, key=str)]),
]
SHAPES = [(0, 3), (), (5,), (3, 4), (2, 3, 9)]


def test_all_dtypes_of_ml_dtypes_are_tried():
    """The table of the other tests lacks none."""
    assert set(DTYPES) >= FOUND and len(FOUND) > 10
    assert {np.dtype("g"), np.dtype("G"), np.dtype("?")} <= set(DTYPES)
    assert {dtype.kind for dtype in DTYPES} >= set("biufcSUVmM")


def arrays_of(dtype):
    """Zeros, ones, the largest values, and those that are no numbers, in all shapes."""
    for shape in SHAPES:
        yield np.zeros(shape, dtype)
    if dtype.names is None and (is_numeric(dtype) or dtype.kind == "b"):
        with np.errstate(all="ignore"):
            yield np.ones((3, 4), np.int8).astype(dtype)
            for odd in (np.nan, np.inf, -np.inf):
                if dtype.kind not in "biu" and "int" not in dtype.name:
                    yield np.full((2, 3), odd, np.float32).astype(dtype)
        if dtype.kind in "fV" and hasattr(ml_dtypes, "finfo"):
            with contextlib.suppress(ValueError):
                largest = ml_dtypes.finfo(dtype).max
                yield np.array([largest, -largest, largest]).astype(dtype)
    if dtype.kind != "U":  # not every four bytes are a character
        raw = np.random.default_rng(0).bytes(12 * dtype.itemsize)
        bits = {"2": 3, "4": 15}.get(dtype.name.rpartition("int")[2], 255)
        if dtype.name.startswith("float4"):
            bits = 15
        if dtype.name.startswith("float6"):
            bits = 63
        if dtype.kind == "b":
            bits = 1
        if dtype.names is None:
            raw = (np.frombuffer(raw, "u1") & bits).tobytes()
        yield np.ndarray((3, 4), dtype, raw)


def view(tree, folder):
    """Everything that shows a file, or a tree; and what is the same in both."""
    first, second = str(folder / "a.zdx"), str(folder / "b.zdx")
    zodiax_io.serialise(first, tree, durable=False)
    other = jax.tree.map(lambda leaf: leaf, tree)
    zodiax_io.serialise(second, {**other, "more": 1}, durable=False)
    for source in (first, tree):
        summary = zodiax_io.summarise(source, values=True)
        assert str(summary) and summary.as_dict() and summary.found("*")
        for item in summary.root.walk():
            if item.arrays == 1 and not item.items and item.kind != "key":
                assert item.statistics is not None
        assert zodiax_io.summarise(source)._repr_html_()
        with contextlib.redirect_stdout(io.StringIO()) as text:
            zodiax_io.show(source, values=True)
        assert "array" in text.getvalue()
        zodiax_io.show(source, html=folder / "page.html")
    for options in ({}, {"atol": 1e-3}, {"rtol": 1e-3}):
        found = zodiax_io.diff(first, second, **options)
        assert [change.path for change in found.changes] == ["model['more']"]
        assert not zodiax_io.diff(tree, first, **options)
    for words in ("show A --values", "show A --json --values", "show A --textconv"):
        with contextlib.redirect_stdout(io.StringIO()):
            assert main.main([first if w == "A" else w for w in words.split()]) == 0
    with contextlib.redirect_stdout(io.StringIO()):
        assert main.main(["diff", first, second, "--atol", "1e-3", "--json"]) == 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_every_view_of_every_dtype(dtype, tmp_path, monkeypatch):
    """Statistics, pictures, pages, lists and differences are made of any array."""
    monkeypatch.setattr("zodiax_io._look.notebook.find_in_libraries", lambda name: None)
    monkeypatch.delitem(sys.modules, "treescope", raising=False)
    view({f"a{i}": array for i, array in enumerate(arrays_of(dtype))}, tmp_path)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_differences_of_every_dtype(dtype):
    """Two arrays of a dtype differ, with tolerances or without, or are the same."""
    arrays = [array for array in arrays_of(dtype) if array.shape == (3, 4)]
    for x in arrays:
        for y in arrays:
            same = x.tobytes() == y.tobytes()
            assert bool(zodiax_io.diff({"a": x}, {"a": y})) != same
            assert str(zodiax_io.diff({"a": x}, {"a": y}, atol=1e-3)) is not None


@pytest.mark.parametrize("dtype", JAX_DTYPES, ids=str)
def test_treescope_draws_every_dtype(dtype, tmp_path):
    """The tree that treescope draws has the pictures of any array."""
    pytest.importorskip("treescope")
    arrays = {f"a{i}": jnp.ones(shape, dtype) for i, shape in enumerate(SHAPES)}
    zodiax_io.serialise(tmp_path / "m.zdx", arrays)
    html = zodiax_io.summarise(tmp_path / "m.zdx", values=True)._repr_html_()
    assert "treescope" in html


def test_views_of_random_keys(tmp_path):
    """Keys have no numbers to show, of whatever shape."""
    keys = {"one": jr.key(0), "many": jr.split(jr.key(1), (2, 3)), "raw": jr.PRNGKey(0)}
    keys |= {name: jr.key(0, impl=name) for name in ("rbg", "unsafe_rbg")}
    view(keys, tmp_path)
