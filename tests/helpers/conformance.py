"""What every backend must do: a class of tests that those of each backend inherit."""

import contextlib
import io
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from equality import differences
from hypothesis import HealthCheck, given, settings
from strategies import trees

import zodiax_io
from zodiax_io._arrays.backends import backend_for, backend_of
from zodiax_io._cli import main
from zodiax_io._files.checkpoint import opened
from zodiax_io._files.folders import files_below
from zodiax_io._structure.paths import path_text

TREE = {  # in the order of JAX, in which `like` gives dictionaries back
    "half": jnp.ones((3,), "bfloat16"),
    "key": jr.key(3),
    "layers": [{"bias": jnp.ones(3), "weight": jnp.arange(6.0).reshape(2, 3)}, 1.5],
    "mask": np.asfortranarray(np.arange(12).reshape(3, 4) % 2 == 0),
    "name": "telescope",
    "none": np.zeros((0, 2), "<U3"),
}
LEAVES = {
    "model['layers'][0]['weight']",
    "model['layers'][0]['bias']",
    "model['mask']",
    "model['key']",
    "model['half']",
    "model['none']",
}


class Conformance:
    """Inherit it, say which `backend`, and whether its files map into memory."""

    backend: Any
    maps: bool

    @property
    def suffix(self) -> str:
        return backend_for(self.backend).suffix

    def data(self, tree: Any, **options: Any) -> bytes:
        file = io.BytesIO()
        zodiax_io.serialise(file, tree, backend=self.backend, **options)
        return file.getvalue()

    @pytest.fixture(params=["pair", "alone"])
    def path(self, request: Any, tmp_path: Path) -> Path:
        """A checkpoint, as a pair or as a companion alone."""
        suffix = ".zdx" if request.param == "pair" else self.suffix
        path = tmp_path / f"model{suffix}"
        metadata = {"epoch": 3, "scores": np.arange(4.0)}
        zodiax_io.serialise(path, TREE, backend=self.backend, metadata=metadata)
        return path

    def companion(self, path: Path) -> Path:
        return path.with_suffix(self.suffix)

    # Each backend has an instance of its own, and no example is replayed elsewhere.
    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(tree=trees)
    def test_any_tree_comes_back(self, tree):
        """Every kind, dtype and shape, to the bit; and the same bytes each time."""
        data = self.data(tree)
        assert self.data(tree) == data
        assert differences(tree, zodiax_io.deserialise(io.BytesIO(data))) == []

    def test_names_of_the_files(self, path, tmp_path):
        """A pair is a structure file and a companion; a companion stands alone."""
        expected = {path.name, f"model{self.suffix}"}
        assert set(os.listdir(tmp_path)) == expected
        assert differences(TREE, zodiax_io.deserialise(path)) == []
        assert list(files_below(tmp_path)) == [str(path)]
        assert zodiax_io.verify(path) == []
        assert zodiax_io.read_metadata(path)["epoch"] == 3

    def test_a_companion_holds_all(self, path, tmp_path):
        """The structure file may be lost: it is loaded without, and repaired."""
        companion = self.companion(path)
        if path != companion:
            path.unlink()
        assert differences(TREE, zodiax_io.deserialise(path)) == []
        zodiax_io.repair(path)
        assert path.exists()
        assert zodiax_io.verify(path) == []

    def test_parts(self, path):
        """`only` gives what was asked for, and `like` fills a tree."""
        only = zodiax_io.deserialise(path, only="layers[0].weight")
        assert differences(TREE["layers"][0]["weight"], only) == []
        like = {**TREE, "half": jnp.zeros((3,), "bfloat16")}
        assert differences(TREE, zodiax_io.deserialise(path, like=like)) == []
        half = zodiax_io.deserialise(path, only="half", as_numpy=True)
        assert type(half) is np.ndarray

    def test_lazily(self, path):
        """Arrays are mapped, or the error says that the backend cannot."""
        if self.maps:
            loaded = zodiax_io.deserialise(path, lazy=True)
            assert np.array_equal(loaded["mask"], TREE["mask"])
            return
        with pytest.raises(zodiax_io.ArgumentError, match="maps arrays into memory"):
            zodiax_io.deserialise(path, lazy=True)

    def test_views(self, path, capsys):
        """A summary counts the arrays, a comparison finds nothing."""
        summary = zodiax_io.summarise(path, values=True)
        assert summary.root.arrays == len(LEAVES)
        assert not zodiax_io.diff(path, TREE)
        assert main.main(["show", "--values", str(path)]) == 0
        assert "telescope" in capsys.readouterr().out

    def test_a_flipped_bit_is_never_silent(self, tmp_path):
        """Whatever a changed byte does: an error of ours, or what was saved."""
        tree = {"a": jnp.arange(3.0), "b": np.int8([1])}
        data = self.data(tree)
        path = tmp_path / f"model{self.suffix}"
        for place in range(len(data)):
            changed = bytearray(data)
            changed[place] ^= 1 << (place % 8)
            path.write_bytes(changed)
            try:
                loaded = zodiax_io.deserialise(path)
            except zodiax_io.ZodiaxIOError:
                continue
            assert differences(tree, loaded) == [], place

    def test_a_damaged_leaf_is_named(self, path):
        """`verify` says which, and `damaged="skip"` loads the others."""
        companion = self.companion(path)
        data = bytearray(companion.read_bytes())
        with opened(path) as (document, reader, _):
            entry = reader.entries(document.records)[
                document.tree["node"]["mask"]["record"]
            ]
        data[entry.offset + entry.length - 1] ^= 1
        companion.write_bytes(data)
        (damage,) = zodiax_io.verify(path)
        assert damage.path == "model['mask']"
        with pytest.raises(zodiax_io.CorruptFileError, match=r"\['mask'\]"):
            zodiax_io.deserialise(path)
        with pytest.warns(zodiax_io.DamagedWarning):
            loaded = zodiax_io.deserialise(path, damaged="skip")
        assert isinstance(loaded.pop("mask"), zodiax_io.Damaged)
        rest = {name: value for name, value in TREE.items() if name != "mask"}
        assert differences(rest, loaded) == []
        before = companion.read_bytes()
        with contextlib.suppress(zodiax_io.CorruptFileError):
            zodiax_io.repair(path)
        assert companion.read_bytes() == before

    def test_a_file_that_was_cut_short(self, path):
        """Wherever it ends: an error of ours, for a pair and alone."""
        companion = self.companion(path)
        data = companion.read_bytes()
        for length in {0, 1, 15, 16, 17, len(data) // 2, len(data) - 9, len(data) - 1}:
            companion.write_bytes(data[:length])
            with pytest.raises(zodiax_io.ZodiaxIOError):
                zodiax_io.deserialise(path)

    def test_a_damaged_end_is_mended_or_left(self, tmp_path):
        """With a whole structure file beside it; a backend may say that it cannot."""
        path = tmp_path / "model.zdx"
        zodiax_io.serialise(path, TREE, backend=self.backend)
        companion = self.companion(path)
        damaged = companion.read_bytes()[:-20] + bytes(20)
        companion.write_bytes(damaged)
        try:
            zodiax_io.repair(path)
        except zodiax_io.ZodiaxIOError:
            assert companion.read_bytes() == damaged
            with pytest.warns(zodiax_io.DamagedWarning):
                loaded = zodiax_io.deserialise(path, damaged="skip")
        else:
            loaded = zodiax_io.deserialise(path)
        assert differences(TREE, loaded) == []

    @pytest.mark.parametrize("to", ["again.zdx", "again.eqx"])
    def test_it_converts_to_the_default_backend_and_back(self, path, tmp_path, to):
        """Arrays, structure and metadata are the same on the way there and back."""
        zodiax_io.convert(path, tmp_path / to)
        assert differences(TREE, zodiax_io.deserialise(tmp_path / to)) == []
        back = tmp_path / f"back{self.suffix}"
        zodiax_io.convert(tmp_path / to, back)
        assert differences(TREE, zodiax_io.deserialise(back)) == []
        assert zodiax_io.read_metadata(back)["epoch"] == 3
        assert zodiax_io.verify(back) == []

    def test_a_save_that_fails_costs_nothing(self, path, monkeypatch):
        """The checkpoint that was there loads as before."""
        row = type(backend_for(self.backend))
        write = row.write

        def fail(self: Any, file: Any, records: Any, structure: Any, **options: Any):
            write(self, file, records, structure, **options)
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(row, "write", fail)
        with pytest.raises(zodiax_io.SaveError, match="intact"):
            zodiax_io.serialise(path, [1], backend=self.backend)
        assert differences(TREE, zodiax_io.deserialise(path)) == []

    def test_options_come_back(self, path):
        """A file says with which options its arrays were written."""
        with opened(path) as (document, _, name):
            assert backend_of(document.backend, name) == backend_for(self.backend)

    def test_records_know_their_paths(self, tmp_path, monkeypatch):
        """A backend may name arrays as the user does."""
        row, found = type(backend_for(self.backend)), []
        write = row.write

        def listen(self: Any, file: Any, records: Any, structure: Any, **options: Any):
            found.extend(path_text(record.path) for record in records)
            return write(self, file, records, structure, **options)

        monkeypatch.setattr(row, "write", listen)
        self.data(TREE, metadata=[np.ones(1)])
        assert LEAVES | {"metadata[0]"} <= set(found)

    def test_another_backend_leaves_a_pair_alone(self, path, tmp_path):
        """A pair has one companion; a second one is refused."""
        if path.suffix != ".zdx":
            return
        for other in ({"name": "eqx"}, {"name": "toy"}):
            if other["name"] == backend_for(self.backend).name:
                continue
            with pytest.raises(zodiax_io.SaveError, match="another backend wrote"):
                zodiax_io.serialise(path, [1], backend=other)
        assert differences(TREE, zodiax_io.deserialise(path)) == []

    def test_a_name_of_another_backend_is_refused(self, tmp_path):
        """The suffix of a single file says which backend reads it."""
        other = ".toy" if self.suffix == ".eqx" else ".eqx"
        with pytest.raises(zodiax_io.ArgumentError, match="the files of this backend"):
            zodiax_io.serialise(tmp_path / f"x{other}", [1], backend=self.backend)
        assert os.listdir(tmp_path) == []

    def test_plain_equinox_modules(self, tmp_path):
        """A model of Equinox, saved over itself, from one folder to another."""
        model = eqx.nn.MLP(2, 2, 8, 1, key=jr.key(0))
        for _ in range(2):
            zodiax_io.serialise(tmp_path / "m.zdx", model, backend=self.backend)
        assert differences(model, zodiax_io.deserialise(tmp_path / "m.zdx")) == []
