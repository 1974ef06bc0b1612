"""Files written by earlier releases: they load for ever, as what they were."""

import importlib.util
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import Checkpoint
from equality import differences

import zodiax_io
from zodiax_io import deserialise, read_metadata
from zodiax_io._api.load import read_extra
from zodiax_io._api.save import save_with_extras
from zodiax_io._files import document

GOLDEN = Path(__file__).parents[1] / "golden"
_spec = importlib.util.spec_from_file_location("golden_write", GOLDEN / "write.py")
write = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(write)

FILES = sorted(GOLDEN.glob("format-*/*.zdx"))


def load(path, **options):
    if path.stem in ("training", "functions"):
        pytest.importorskip("optax")
    return deserialise(path, versions="ignore", **options)


def structure(tree):
    """All of a tree but the contents of its arrays, as text: a NaN is itself there."""
    return repr(zodiax_io.build_structure(tree))


def records(tree):
    """The contents of its arrays, those of static fields included."""
    return Checkpoint.of(tree).records


def shown(tree):
    """A tree as text, without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(tree))


def identity(path):
    return f"{path.parent.name}/{path.stem}"


def test_every_format_has_its_files():
    """Each format up to the current one is represented, by every tree."""
    for version in range(1, document.VERSION + 1):
        names = {path.stem for path in (GOLDEN / f"format-{version}").glob("*.zdx")}
        assert names == set(write.TREES)


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_golden_file_loads_as_what_it_was(path):
    """What a release saved comes back: classes, static fields, values, arrays."""
    loaded, expected = load(path), write.TREES[path.stem]()
    assert structure(loaded) == structure(expected)
    assert records(loaded) == records(expected)


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_golden_file_prints_as_it_did(path):
    """Python prints the loaded tree as it prints the tree, signs of zero included."""
    assert shown(load(path)) == shown(write.TREES[path.stem]())


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_golden_metadata(path):
    """The metadata of old files reads as it was."""
    expected = write.METADATA.get(path.stem)
    assert repr(read_metadata(path)) == repr(expected)


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_golden_companion_alone(path):
    """The companion of an old file is a whole checkpoint."""
    assert structure(load(path.with_suffix(".eqx"))) == structure(load(path))


@pytest.mark.parametrize(
    ("path", "name"),
    [(path, name) for path in FILES for name in write.EXTRAS.get(path.stem, ())],
    ids=str,
)
def test_golden_extras(path, name):
    """Each extra of an old file reads as it was."""
    expected = write.EXTRAS[path.stem][name]
    assert differences(expected, read_extra(path, name)) == []


OURS = [
    path
    for path in FILES
    if path.parent.name == f"format-{document.VERSION}"
    and path.stem in ("dtypes", "containers", "values", "deep", "extras")
]


@pytest.mark.parametrize("path", OURS, ids=identity)
def test_current_format_is_still_written(path):
    """What belongs to no package is written today as when its golden file was."""
    golden = Checkpoint.apart(path.with_suffix(".eqx").read_bytes())
    file = io.BytesIO()
    save_with_extras(
        file,
        write.TREES[path.stem](),
        write.EXTRAS.get(path.stem, {}),
        metadata=write.METADATA.get(path.stem),
    )
    today = Checkpoint.apart(file.getvalue())
    assert today.document.keys() == golden.document.keys()
    for part in {*golden.document} - {"versions", "settings"}:
        assert repr(today.document[part]) == repr(golden.document[part])
    assert today.records == golden.records


def test_writing_again_is_refused(tmp_path):
    """The script that wrote the golden files overwrites none of them."""
    copy = tmp_path / "write.py"
    shutil.copy(GOLDEN / "write.py", copy)
    (tmp_path / f"format-{document.VERSION}").mkdir()
    done = subprocess.run(
        [sys.executable, copy],
        cwd=Path(zodiax_io.__file__).parents[1],
        env=None,
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert list((tmp_path / f"format-{document.VERSION}").iterdir()) == []
