"""Where files go, what may lie in their way, and what is left behind."""

import contextlib
import errno
import fcntl
import gzip
import io
import os
import pickle
import shutil
import socket
import stat
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path
from unittest import mock

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from documents import Checkpoint
from equality import differences
from hypothesis import example, given, strategies as st

import zodiax_io
from zodiax_io import (
    ArgumentError,
    CorruptFileError,
    MissingFileError,
    MixedPairWarning,
    NotAFileError,
    ReadError,
    SaveError,
    SerialisationError,
    UnknownFormatError,
    ZodiaxIOError,
    deserialise,
    read_metadata,
    serialise,
)
from zodiax_io._files import commit, sources

TREE = {"weight": np.arange(6.0).reshape(2, 3), "step": 3}
OTHER = {"weight": np.zeros(2), "step": 4}


def same(one, two):
    return one["step"] == two["step"] and np.array_equal(one["weight"], two["weight"])


def listing(folder):
    return sorted(os.listdir(folder))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Names --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, Path], ids=["str", "pathlib"])
def test_path_is_text_or_a_path(tmp_path, kind):
    """A path may be text or a `pathlib.Path`."""
    serialise(kind(tmp_path / "model.zdx"), TREE)
    assert same(deserialise(kind(tmp_path / "model.zdx")), TREE)


def test_path_like_objects_are_paths(tmp_path):
    """Anything that `os.fspath` understands is a path."""

    class Run:
        def __fspath__(self):
            return str(tmp_path / "run.zdx")

    serialise(Run(), TREE)
    assert same(deserialise(Run()), TREE)


def test_saving_writes_a_pair(tmp_path):
    """`model.zdx` gets its companion `model.eqx`, and nothing else appears."""
    serialise(tmp_path / "model.zdx", TREE)
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]


def test_suffix_is_added_where_there_is_none(tmp_path):
    """`model` means `model.zdx`, when saving and when loading."""
    serialise(tmp_path / "model", TREE)
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]
    assert same(deserialise(tmp_path / "model"), TREE)
    assert same(deserialise(tmp_path / "model.zdx"), TREE)


def test_relative_paths_start_at_the_working_folder(tmp_path, monkeypatch):
    """A bare name is a file in the working folder."""
    monkeypatch.chdir(tmp_path)
    serialise("model", TREE)
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]
    assert same(deserialise("model"), TREE)


def test_numbers_in_names_do_not_share_a_companion(tmp_path):
    """`step_0.5` and `step_0.6` are two checkpoints."""
    serialise(tmp_path / "step_0.5", TREE)
    serialise(tmp_path / "step_0.6", OTHER)
    assert len(listing(tmp_path)) == 4
    assert same(deserialise(tmp_path / "step_0.5"), TREE)
    assert same(deserialise(tmp_path / "step_0.6"), OTHER)


@pytest.mark.parametrize(
    "name",
    ["model.v2", "model.tar.gz", ".hidden", "model.", "Größe", "a b", "模型.zdx"],
)
def test_any_name_loads_under_the_name_it_was_saved(tmp_path, name):
    """Whatever the name, the same name loads."""
    serialise(tmp_path / name, TREE)
    assert same(deserialise(tmp_path / name), TREE)


def test_eqx_path_is_a_single_file(tmp_path):
    """A path that ends in `.eqx` gets one file, which is complete."""
    serialise(tmp_path / "model.eqx", TREE)
    assert listing(tmp_path) == ["model.eqx"]
    assert same(deserialise(tmp_path / "model.eqx"), TREE)


def test_single_file_loads_under_the_name_of_a_pair(tmp_path):
    """`model` and `model.zdx` find a lone `model.eqx`."""
    serialise(tmp_path / "model.eqx", TREE)
    assert same(deserialise(tmp_path / "model"), TREE)
    assert same(deserialise(tmp_path / "model.zdx"), TREE)


def test_single_file_loads_under_any_name(tmp_path):
    """A companion that somebody renamed still loads."""
    serialise(tmp_path / "model.eqx", TREE)
    (tmp_path / "model.eqx").rename(tmp_path / "best.checkpoint")
    assert same(deserialise(tmp_path / "best.checkpoint"), TREE)


LONG = {
    "ascii": "lr=0.001,wd=0.0001,bs=256_" * 10,
    "two bytes": "ü" * 200,
    "three bytes": "望" * 200,
    "four bytes": "🔭" * 200,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG.keys())
@pytest.mark.parametrize("suffix", [".zdx", ".eqx", ".run", ""])
def test_names_up_to_the_limit(tmp_path, text, suffix):
    """Each name that the file system takes can be saved, and saved again."""
    added = {".run": 4, "": 4}.get(suffix, 0)  # bytes of the suffix that we add
    limit = os.pathconf(tmp_path, "PC_NAME_MAX") - len(suffix) - added
    for size in (limit, limit - 5, limit - 26, limit - 30, limit - 40):
        name = text.encode()[:size].decode(errors="ignore") + suffix
        serialise(tmp_path / name, TREE)
        serialise(tmp_path / name, OTHER)
        assert same(deserialise(tmp_path / name), OTHER)
        assert len(listing(tmp_path)) == (1 if suffix == ".eqx" else 2)
        for file in tmp_path.iterdir():
            file.unlink()


def test_limit_of_the_file_system_is_asked_for(tmp_path, monkeypatch):
    """A file system with shorter names gets shorter temporaries."""
    monkeypatch.setattr(os, "pathconf", lambda folder, name: 143)
    seen, opening = [], commit.FileIO

    def spy(file, mode):
        if "x" in mode:
            seen.append(len(os.path.basename(file)))
        return opening(file, mode)

    monkeypatch.setattr(commit, "FileIO", spy)
    serialise(tmp_path / ("x" * 139 + ".zdx"), TREE)
    assert len(seen) == 2
    assert max(seen) <= 143
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / ("x" * 140 + ".zdx"), TREE)
    assert caught.value.errno == errno.ENAMETOOLONG
    assert str(caught.value).endswith(
        "takes 144 bytes, and the file system allows 143."
    )


def test_leftovers_of_long_names_are_removed(tmp_path):
    """What a killed saver left goes, though names that differ begin alike."""
    long = ["x" * 240 + end for end in ("1.zdx", "2.zdx")]
    left = []
    for name in long:
        start = commit._start_of_temporaries(tmp_path / name)
        left.append(f"{start}1234-00aabbcc")
        (tmp_path / left[-1]).write_bytes(b"half")
    serialise(tmp_path / long[0], TREE)
    assert left[0] not in listing(tmp_path)
    assert left[1] in listing(tmp_path)


def test_message_of_a_name_that_is_too_long(tmp_path):
    """The message says which name it is, and what the limit is."""
    limit = os.pathconf(tmp_path, "PC_NAME_MAX")
    name = "x" * limit
    shown = "x" * 119 + "…"
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / name, TREE)
    companion = tmp_path / f"{name}.eqx"
    assert str(caught.value) == (
        f"[Errno {errno.ENAMETOOLONG}] Cannot save to {companion}: the name {shown} "
        f"takes {limit + 4} bytes, and the file system allows {limit}."
    )
    with pytest.raises(zodiax_io.ReadError) as caught:
        deserialise(tmp_path / f"{name}.zdx")
    assert str(caught.value) == (
        f"[Errno {errno.ENAMETOOLONG}] Cannot open {tmp_path / name}.zdx: the name "
        f"{shown} takes {limit + 4} bytes, and the file system allows {limit}."
    )


# File objects -------------------------------------------------------------------------


def test_bytes_in_memory():
    """A `BytesIO` is saved to and loaded from."""
    file = io.BytesIO()
    serialise(file, TREE)
    file.seek(0)
    assert same(deserialise(file), TREE)


def test_open_file(tmp_path):
    """A file that the caller opened is saved to and loaded from, and stays open."""
    with open(tmp_path / "any.name", "wb") as file:
        serialise(file, TREE)
        assert not file.closed
    with open(tmp_path / "any.name", "rb") as file:
        assert same(deserialise(file), TREE)
        assert not file.closed


def test_file_object_holds_what_a_path_holds(tmp_path):
    """A file object gets byte for byte the companion."""
    file = io.BytesIO()
    serialise(file, TREE)
    serialise(tmp_path / "model", TREE)
    assert file.getvalue() == (tmp_path / "model.eqx").read_bytes()


def test_file_object_is_read_from_where_it_stands():
    """Bytes before the position of a file object belong to somebody else."""
    file = io.BytesIO(b"preface")
    file.seek(7)
    serialise(file, TREE)
    file.seek(7)
    assert same(deserialise(file), TREE)


def test_named_temporary_file():
    """A wrapped file, as `tempfile` gives, is a file."""
    with tempfile.NamedTemporaryFile() as file:
        serialise(file, TREE)
        file.seek(0)
        assert same(deserialise(file), TREE)


def gz(data):
    return gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(data)))


def zipped(data):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", data)
    return zipfile.ZipFile(held).open("member")


def spooled(data):
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(data)
    file.seek(0)
    return file


def on_disk(buffering):
    def opened(data):
        file = tempfile.TemporaryFile(buffering=buffering)  # noqa: SIM115
        file.write(data)
        file.seek(0)
        return file

    return opened


SEEKABLE = {
    "BytesIO": io.BytesIO,
    "buffered": on_disk(-1),
    "raw": on_disk(0),
    "gzip": gz,
    "zip": zipped,
    "spooled": spooled,
}


@pytest.mark.parametrize("make", SEEKABLE.values(), ids=SEEKABLE.keys())
@pytest.mark.parametrize("size", [3, 200_000])
def test_several_in_one_file_object(make, size):
    """Saved one after another, they load one after another, and end where they end."""
    trees = [{"a": np.arange(float(size))}, TREE, {"c": [1, "x"]}, OTHER]
    file = io.BytesIO()
    ends = []
    for tree in trees:
        serialise(file, tree, metadata=len(ends))
        ends.append(file.tell())
    with make(file.getvalue()) as read:
        for tree, end in zip(trees, ends, strict=True):
            assert differences(tree, deserialise(read)) == []
            assert read.tell() == end
        assert read.read() == b""
        read.seek(ends[0])
        assert read_metadata(read) == 1
        assert zodiax_io.verify(read) == []
        assert read.tell() == ends[2]


def test_several_behind_each_other_in_append_mode(tmp_path):
    """A file that is opened to append to takes another checkpoint each time."""
    for tree in (TREE, OTHER):
        with open(tmp_path / "many", "ab") as file:
            serialise(file, tree)
    with open(tmp_path / "many", "rb") as file:
        assert same(deserialise(file), TREE)
        assert same(deserialise(file), OTHER)


def test_path_of_several_is_not_called_damaged(tmp_path):
    """A path loads one checkpoint; the message says how to load each of several."""
    path = tmp_path / "many.eqx"
    with open(path, "wb") as file:
        serialise(file, TREE)
        place = file.tell()
        serialise(file, OTHER)
    for call in (deserialise, read_metadata, zodiax_io.names, zodiax_io.verify):
        with pytest.raises(UnknownFormatError) as caught:
            call(path)
        assert str(caught.value) == (
            "many.eqx holds more than one checkpoint: the last one begins "
            f"at byte {place}. Open the file, and load one after another: `with open("
            'path, "rb") as file: first = zodiax_io.deserialise(file)`.'
        )


def test_several_that_cannot_be_gone_back_to():
    """A pipe with more than a checkpoint is refused, and nothing is lost unnoticed."""

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise io.UnsupportedOperation("seek")

        tell = seek

    file = io.BytesIO()
    serialise(file, TREE)
    end = file.tell()
    assert same(deserialise(Pipe(file.getvalue())), TREE)
    serialise(file, OTHER)
    more = len(file.getvalue()) - end
    with pytest.raises(zodiax_io.ReadError) as caught:
        deserialise(Pipe(file.getvalue()))
    assert str(caught.value) == (
        f"The file object holds {more} more bytes after a checkpoint, and cannot "
        "seek back to them. Load from `io.BytesIO(file.read())`."
    )


@pytest.mark.parametrize("size", [3, 200_000])
def test_shorter_one_saved_over_a_longer_one(size):
    """What is left of the longer one is noticed, and the message says so."""
    file = io.BytesIO()
    serialise(file, [np.zeros(size + 300), "x" * 500])
    file.seek(0)
    serialise(file, [np.ones(size), "y"])
    file.seek(0)
    with pytest.raises(CorruptFileError) as caught:
        deserialise(file)
    if size == 3:
        assert str(caught.value) == (
            "The file object is damaged: the bytes after the checkpoint are not "
            "another one. If a shorter checkpoint was saved over a longer one, call "
            "`truncate` before saving."
        )


@pytest.mark.parametrize("size", [0, 300_000])
def test_checkpoint_within_a_checkpoint(size):
    """An array that holds the bytes of a checkpoint is not taken for the end."""
    inner = io.BytesIO()
    serialise(inner, {"inner": np.zeros(size)})
    data = np.frombuffer(inner.getvalue(), np.uint8)
    outer = [data, {"a": data[: len(data) // 2]}, data.tobytes()]
    file = io.BytesIO()
    for _ in range(2):
        serialise(file, outer)
    file.seek(0)
    for _ in range(2):
        assert differences(outer, deserialise(file)) == []


def test_each_of_many_is_read_once_or_so(tmp_path):
    """To load a checkpoint costs what it holds, however many follow it."""
    counts = {}
    for number in (4, 8):
        with open(tmp_path / "many", "wb", buffering=0) as file:
            for _ in range(number):
                serialise(file, np.zeros(1 << 18))
        with Counting(tmp_path / "many") as file:
            for _ in range(number):
                deserialise(file)
            counts[number] = file.count
    assert counts[8] < 2.5 * counts[4]


class Counting(io.FileIO):
    """A file that counts the bytes which are read of it."""

    count = 0

    def read(self, size=-1):
        data = super().read(size)
        self.count += len(data)
        return data


@pytest.mark.parametrize("which", [0, 1])
def test_damage_among_several_is_damage(which):
    """A damaged checkpoint is never passed over for the one behind it."""
    file = io.BytesIO()
    ends = [0]
    for tree in (TREE, OTHER):
        serialise(file, tree)
        ends.append(file.tell())
    whole = file.getvalue()
    for place in (*range(ends[which], ends[which + 1], 41), ends[which + 1] - 1):
        data = bytearray(whole)
        data[place] ^= 1
        read = io.BytesIO(data)
        try:
            damage = [*zodiax_io.verify(read), *zodiax_io.verify(read)]
        except (CorruptFileError, UnknownFormatError):
            damage = True
        assert damage, place
        read.seek(0)
        with contextlib.suppress(CorruptFileError, UnknownFormatError):
            assert same(deserialise(read), TREE), place
            assert same(deserialise(read), OTHER), place


def test_file_object_without_data_yet():
    """A file that does not wait for its data is an error that says so."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with (
        os.fdopen(reading, "rb", buffering=0) as file,
        os.fdopen(writing, "wb"),
        pytest.raises(zodiax_io.ReadError) as caught,
    ):
        deserialise(file)
    assert str(caught.value) == (
        "Cannot read the file object: it is non-blocking, and has no data yet."
    )


# Content stores -----------------------------------------------------------------------


def _hub(folder, names):
    """The Hugging Face hub: blobs beside each other, called after their hashes."""
    (folder / "blobs").mkdir()
    return [folder / "blobs" / f"{number:08x}" for number, _ in enumerate(names)]


def _annex(folder, names):
    """git-annex: a folder for each object, which keeps the suffix; read-only."""
    objects = []
    for number, name in enumerate(names):
        key = f"SHA256E-s12--{number:08x}{name.suffix}"
        (folder / "objects" / key).mkdir(parents=True)
        objects.append(folder / "objects" / key / key)
    return objects


def _dvc(folder, names):
    """DVC: hashes as folders and names; read-only."""
    (folder / "files" / "md5" / "ab").mkdir(parents=True)
    return [folder / f"files/md5/ab/{n:08x}" for n, _ in enumerate(names)]


STORES = [_hub, _annex, _dvc]


@pytest.fixture(params=STORES, ids=["hub", "annex", "dvc"])
def store(request, tmp_path):
    """A folder with links `model.zdx` and `model.eqx`, and the files they lead to."""
    here = tmp_path / "here"
    here.mkdir()
    serialise(here / "model.zdx", TREE, metadata={"epoch": 1})
    names = [here / "model.zdx", here / "model.eqx"]
    targets = request.param(tmp_path, names)
    for name, target in zip(names, targets, strict=True):
        name.rename(target)
        if request.param is not _hub:
            target.chmod(0o444)
        name.symlink_to(os.path.relpath(target, here))
    return here, {target: target.read_bytes() for target in targets}


@pytest.mark.parametrize("name", ["model", "model.zdx", "model.eqx"])
def test_links_into_a_store_load(store, name):
    """Both names are links in one folder: each call finds the pair, without a word."""
    here, _ = store
    path = here / name
    assert same(deserialise(path), TREE)
    assert read_metadata(path) == {"epoch": 1}
    assert zodiax_io.verify(path) == []
    assert zodiax_io.repair(path) == []
    assert not zodiax_io.diff(path, TREE)
    assert zodiax_io.untrusted(path) == []
    assert zodiax_io.summarise(path).root.arrays == 1


def test_link_to_a_link_into_a_store(store, tmp_path):
    """The companion may be beside any link on the way."""
    assert store[0] == tmp_path / "here"
    (tmp_path / "best.zdx").symlink_to("here/model.zdx")
    assert same(deserialise(tmp_path / "best"), TREE)


def test_structure_without_companion_in_a_store(store):
    """A companion that was not downloaded is missed where its name would be."""
    here, _ = store
    (here / "model.eqx").unlink()
    with pytest.raises(MissingFileError, match="Move both files together"):
        deserialise(here / "model.zdx")
    (here / "model.zdx").unlink()
    with pytest.raises(MissingFileError):
        deserialise(here / "model.zdx")


@pytest.mark.parametrize("name", ["model", "model.zdx", "model.eqx"])
def test_saving_leaves_a_store_alone(store, name):
    """A save replaces the links: the contents of a store belong to other names, too."""
    here, contents_of_store = store
    if name == "model.eqx":
        (here / "model.zdx").unlink()
    files = listing(here)
    for tree in (OTHER, TREE, OTHER):
        serialise(here / name, tree)
        assert same(deserialise(here / name), tree)
    assert listing(here) == files
    assert not any(file.is_symlink() for file in here.iterdir())
    assert {path: path.read_bytes() for path in contents_of_store} == contents_of_store


def test_old_file_in_a_store_is_left_alone(tmp_path):
    """The same for one file that is a checkpoint by itself."""
    (tmp_path / "0a1b").write_bytes(pickle.dumps({}))
    (tmp_path / "fit.zdx").symlink_to("0a1b")
    serialise(tmp_path / "fit.zdx", TREE)
    assert (tmp_path / "0a1b").read_bytes() == pickle.dumps({})
    assert same(deserialise(tmp_path / "fit.zdx"), TREE)


def test_stopped_save_over_links_of_a_store(store, monkeypatch):
    """A structure that stays a link to the old one costs a warning, until the next."""
    here, contents_of_store = store
    replacing = os.replace

    def refuse(source, target):
        if str(target).endswith(".zdx"):
            raise OSError(errno.EIO, "EIO")
        replacing(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(SaveError, match="holds the new checkpoint"):
        serialise(here / "model.zdx", OTHER)
    monkeypatch.undo()
    with pytest.warns(MixedPairWarning):
        assert same(deserialise(here / "model.zdx"), OTHER)
    serialise(here / "model.zdx", TREE)
    assert same(deserialise(here / "model.zdx"), TREE)
    assert listing(here) == ["model.eqx", "model.zdx"]
    assert {path: path.read_bytes() for path in contents_of_store} == contents_of_store


def test_link_to_a_pair_beside_another_checkpoint(tmp_path):
    """`latest.zdx` means the pair it leads to, and not `latest.eqx` beside it."""
    (tmp_path / "runs").mkdir()
    serialise(tmp_path / "runs" / "a", TREE)
    (tmp_path / "latest.zdx").symlink_to("runs/a.zdx")
    shutil.copy(tmp_path / "runs" / "a.eqx", tmp_path / "b.eqx")
    serialise(tmp_path / "b.eqx", OTHER)
    (tmp_path / "b.eqx").rename(tmp_path / "latest.eqx")
    assert same(deserialise(tmp_path / "latest"), TREE)
    serialise(tmp_path / "latest", OTHER)
    assert same(deserialise(tmp_path / "runs" / "a"), OTHER)
    serialise(tmp_path / "latest", TREE)
    assert same(deserialise(tmp_path / "latest.eqx"), OTHER)
    (tmp_path / "runs" / "a.eqx").unlink()
    with pytest.raises(SaveError, match=ALONE):
        serialise(tmp_path / "latest", TREE)
    assert same(deserialise(tmp_path / "latest.eqx"), OTHER)


# A name without a suffix --------------------------------------------------------------


@pytest.mark.parametrize("name", ["blob", "tmp8zk2f_", ".hidden", "0a1b2c"])
def test_file_without_a_suffix_loads(tmp_path, name):
    """A checkpoint that is there under the very name is the one that is meant."""
    with open(tmp_path / name, "wb") as file:
        serialise(file, TREE, metadata={"epoch": 1})
    path = tmp_path / name
    assert same(deserialise(path), TREE)
    assert read_metadata(str(path)) == {"epoch": 1}
    assert zodiax_io.verify(path) == []
    assert zodiax_io.summarise(path).root.arrays == 1
    zodiax_io.convert(path, tmp_path / "again.zdx")
    assert same(deserialise(tmp_path / "again"), TREE)


def test_pair_without_a_suffix_loads(tmp_path):
    """A structure file without a suffix has its companion beside it."""
    serialise(tmp_path / "run", TREE)
    (tmp_path / "run.zdx").rename(tmp_path / "run")
    assert same(deserialise(tmp_path / "run"), TREE)


@pytest.mark.parametrize("what", ["folder", "text", "empty"])
def test_name_of_something_else_means_the_pair(tmp_path, what):
    """`run` is `run.zdx`, where a folder or a foreign file is called `run`."""
    make = {
        "folder": Path.mkdir,
        "text": lambda p: p.write_text("x"),
        "empty": Path.touch,
    }
    serialise(tmp_path / "run", TREE)
    make[what](tmp_path / "run")
    assert same(deserialise(tmp_path / "run"), TREE)
    if what != "folder":
        serialise(tmp_path / "run", OTHER)
        assert same(deserialise(tmp_path / "run"), OTHER)


def test_foreign_file_without_a_suffix_is_called_what_it_is(tmp_path):
    """A file of the very name is there, so it is not missed."""
    (tmp_path / "notes").write_text("some notes")
    with pytest.raises(UnknownFormatError) as caught:
        deserialise(tmp_path / "notes")
    assert str(caught.value) == (
        "notes is not a zodiax_io file: it does not begin as one does."
    )
    (tmp_path / "runs").mkdir()
    with pytest.raises(NotAFileError, match="is a folder"):
        deserialise(tmp_path / "runs")


def test_save_that_the_same_name_would_not_load_is_refused(tmp_path):
    """Where a checkpoint has the name without a suffix, that is what it loads."""
    with open(tmp_path / "fit", "wb") as file:
        serialise(file, TREE)
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / "fit", OTHER)
    assert str(caught.value) == (
        f"[Errno {errno.EEXIST}] Cannot save to {tmp_path / 'fit.zdx'}: there is a "
        "checkpoint called fit, without a suffix, which would be loaded instead. "
        "Choose another name, or give the suffix: fit.zdx."
    )
    assert listing(tmp_path) == ["fit"]
    serialise(tmp_path / "fit.zdx", OTHER)
    assert same(deserialise(tmp_path / "fit.zdx"), OTHER)
    assert same(deserialise(tmp_path / "fit"), TREE)


# Text that is no path -----------------------------------------------------------------

URLS = {
    "s3://bucket/run.zdx": "s3://bucket/run.zdx",
    "gs://bucket/run": "gs://bucket/run",
    "hf://datasets/me/run.eqx": "hf://datasets/me/run.eqx",
    "https://example.org/run.zdx": "https://example.org/run.zdx",
    "memory://run.zdx": "memory://run.zdx",
    "simplecache::s3://bucket/run.zdx": "simplecache::s3://bucket/run.zdx",
    "s3:/bucket/run.zdx": "s3://bucket/run.zdx",  # as `Path` makes it
}

CALLS = {
    "serialise": lambda path: serialise(path, TREE),
    "deserialise": deserialise,
    "read_metadata": read_metadata,
    "names": zodiax_io.names,
    "untrusted": zodiax_io.untrusted,
    "verify": zodiax_io.verify,
    "repair": zodiax_io.repair,
    "summarise": zodiax_io.summarise,
    "show": zodiax_io.show,
    "diff": lambda path: zodiax_io.diff(path, TREE),
    "convert from": lambda path: zodiax_io.convert(path, "x.zdx"),
    "convert to": lambda path: zodiax_io.convert(io.BytesIO(WHOLE), path),
}


def _bytes_of(tree):
    file = io.BytesIO()
    serialise(file, tree)
    return file.getvalue()


WHOLE = _bytes_of(TREE)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("kind", [str, Path])
def test_text_that_is_no_path_is_called_what_it_is(tmp_path, monkeypatch, call, kind):
    """URLs, `~`, variables and folders are refused by all calls, in one way."""
    monkeypatch.chdir(tmp_path)
    for text in URLS:
        with pytest.raises(ArgumentError, match="is a URL, not a path"):
            call(kind(text))
    for text in (
        "~/run.zdx",
        "~me/run",
        "$HOME/run.zdx",
        "${X}/a/run",
        r"C:\me\run.zdx",
    ):
        with pytest.raises(ArgumentError, match="Cannot use"):
            call(kind(text))
    assert listing(tmp_path) == []


@pytest.mark.parametrize("text", URLS)
def test_message_of_a_url(text):
    """The message has the lines that work."""
    with pytest.raises(ArgumentError) as caught:
        deserialise(text)
    assert str(caught.value) == (
        f"{text} is a URL, not a path. Open it, by fsspec for example, and pass the "
        "file object:\n"
        f'  with fsspec.open("{URLS[text]}", "wb") as file:\n'
        "      zodiax_io.serialise(file, tree)\n"
        'To load, open it with "rb" and call `zodiax_io.deserialise(file)`.'
    )


MESSAGES = {
    "file:///data/my%20run.zdx": (
        "file:///data/my%20run.zdx is a URL, not a path. Pass the path of the file: "
        '"/data/my run.zdx".'
    ),
    "~/runs/run.zdx": (
        "Cannot use ~/runs/run.zdx: `~` is not expanded, and there is no folder "
        'with that name. Pass `os.path.expanduser("~/runs/run.zdx")`.'
    ),
    "$SCRATCH/run.zdx": (
        "Cannot use $SCRATCH/run.zdx: variables are not expanded, and there is no "
        'such folder. Pass `os.path.expandvars("$SCRATCH/run.zdx")`.'
    ),
    r"D:\runs\run.zdx": (
        r"Cannot use D:\runs\run.zdx: it is a path of Windows, and this system "
        "separates folders by `/`."
    ),
    "runs/": (
        "runs/ ends like the name of a folder. Name a file in it, such as "
        "runs/model.zdx."
    ),
}


@pytest.mark.parametrize("text", MESSAGES)
def test_messages_of_text_that_is_no_path(tmp_path, monkeypatch, text):
    """Each message says what it is, and what to write instead."""
    monkeypatch.chdir(tmp_path)
    for call in (lambda path: serialise(path, TREE), deserialise):
        with pytest.raises((ArgumentError, NotAFileError)) as caught:
            call(text)
        assert str(caught.value) == MESSAGES[text]


@pytest.mark.parametrize(
    "text", ["~", "~me", "s3:", "$X", "%X%", "a:b", "exp::1", "~run", "$Y/z"]
)
def test_folders_and_names_that_look_odd_are_used(tmp_path, monkeypatch, text):
    """What is there is used, whatever it looks like; and a name may hold any mark."""
    monkeypatch.chdir(tmp_path)
    Path(text).mkdir(parents=True)
    for path in (f"{text}/run.zdx", f"x{text.replace('/', '')}.zdx"):
        serialise(path, TREE)
        assert same(deserialise(path), TREE)


# Pairs --------------------------------------------------------------------------------


def test_structure_file_ends_the_companion(tmp_path):
    """The companion holds a byte-identical copy of the structure file."""
    serialise(tmp_path / "model", TREE)
    companion = (tmp_path / "model.eqx").read_bytes()
    assert (
        Checkpoint.apart(companion).structure() == (tmp_path / "model.zdx").read_bytes()
    )


def test_companion_alone_loads(tmp_path):
    """One file to mail: the companion is a complete checkpoint."""
    serialise(tmp_path / "model", TREE, metadata={"epoch": 1})
    (tmp_path / "model.zdx").unlink()
    assert same(deserialise(tmp_path / "model.eqx"), TREE)
    assert same(deserialise(tmp_path / "model.zdx"), TREE)
    assert read_metadata(tmp_path / "model.eqx") == {"epoch": 1}


def test_pair_moves_together(tmp_path):
    """A pair moved to another folder is a pair there."""
    serialise(tmp_path / "model", TREE)
    (tmp_path / "elsewhere").mkdir()
    for name in ("model.zdx", "model.eqx"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    assert same(deserialise(tmp_path / "elsewhere" / "model.zdx"), TREE)


def test_pair_is_renamed_together(tmp_path):
    """A pair renamed is a pair under its new name."""
    serialise(tmp_path / "model", TREE)
    (tmp_path / "model.zdx").rename(tmp_path / "best.zdx")
    (tmp_path / "model.eqx").rename(tmp_path / "best.eqx")
    assert same(deserialise(tmp_path / "best"), TREE)


def test_missing_companion_is_an_error(tmp_path):
    """A structure file without its companion says what is missing and where."""
    serialise(tmp_path / "model", TREE)
    (tmp_path / "model.eqx").unlink()
    with pytest.raises(MissingFileError) as caught:
        deserialise(tmp_path / "model")
    assert str(caught.value) == (
        "model.eqx, which holds the arrays of model.zdx, is missing in "
        f"{tmp_path}. Move both files together."
    )


def test_missing_file_is_an_error(tmp_path):
    """A checkpoint that is not there is named in full."""
    with pytest.raises(FileNotFoundError) as caught:
        deserialise(tmp_path / "model")
    assert isinstance(caught.value, MissingFileError)
    assert str(caught.value) == f"There is no file {tmp_path / 'model.zdx'}."


def test_mixed_pair_loads_the_companion(tmp_path):
    """Of two files of different saves the companion is believed, with a warning."""
    serialise(tmp_path / "old", TREE)
    serialise(tmp_path / "new", OTHER)
    shutil.copy(tmp_path / "old.zdx", tmp_path / "new.zdx")
    with pytest.warns(MixedPairWarning) as caught:
        loaded = deserialise(tmp_path / "new")
    assert same(loaded, OTHER)
    assert len(caught) == 1
    assert str(caught[0].message) == (
        "new.zdx does not belong to new.eqx: a save was interrupted, or copies were "
        "mixed. The companion is whole, and was loaded."
    )


def test_interrupted_save_leaves_something_to_load(tmp_path, monkeypatch):
    """A crash between the two renames costs a warning and nothing else."""
    serialise(tmp_path / "model", TREE)
    replace, calls = os.replace, []

    def crash(source, target):
        if calls:
            raise KeyboardInterrupt
        calls.append(target)
        replace(source, target)

    monkeypatch.setattr(commit.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        serialise(tmp_path / "model", OTHER)
    monkeypatch.undo()
    with pytest.warns(MixedPairWarning):
        assert same(deserialise(tmp_path / "model"), OTHER)
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]


def test_saving_again_mends_a_mixed_pair(tmp_path):
    """After another save the pair is whole, and nothing warns."""
    serialise(tmp_path / "model", TREE)
    serialise(tmp_path / "other.eqx", OTHER)
    shutil.copy(tmp_path / "other.eqx", tmp_path / "model.eqx")
    with pytest.warns(MixedPairWarning):
        deserialise(tmp_path / "model")
    serialise(tmp_path / "model", OTHER)
    assert same(deserialise(tmp_path / "model"), OTHER)


def test_saving_replaces(tmp_path):
    """A second save under one name replaces the first."""
    serialise(tmp_path / "model", TREE)
    serialise(tmp_path / "model", OTHER)
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]
    assert same(deserialise(tmp_path / "model"), OTHER)


def test_replacing_leaves_an_open_reader_alone(tmp_path):
    """Who has the old file open reads the old file to its end."""
    serialise(tmp_path / "model.eqx", TREE)
    with open(tmp_path / "model.eqx", "rb") as file:
        serialise(tmp_path / "model.eqx", OTHER)
        assert same(deserialise(file), TREE)


def test_loaded_arrays_do_not_depend_on_the_file(tmp_path):
    """What was loaded stays as it is when the file is replaced or removed."""
    serialise(tmp_path / "model", TREE)
    loaded = deserialise(tmp_path / "model")
    serialise(tmp_path / "model", OTHER)
    for name in listing(tmp_path):
        (tmp_path / name).unlink()
    assert same(loaded, TREE)
    loaded["weight"][0, 0] = 7.0  # and may be changed


@pytest.mark.parametrize("durable", [True, False])
def test_durable_syncs_files_and_folder(tmp_path, monkeypatch, durable):
    """`durable=True` waits for both files and the folder; `False` for nothing."""
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        commit.os,
        "fsync",
        lambda fd: (synced.append(stat.S_ISDIR(os.fstat(fd).st_mode)), fsync(fd)),
    )
    # The first time the folder again: a companion alone is another checkpoint's unless
    # a temporary lies beside it, and a structure alone would be neither old nor new.
    for expected in ([False, False, True, True, True], [False, False, True]):
        serialise(tmp_path / "model", TREE, durable=durable)
        assert synced == (expected if durable else [])
        synced.clear()


# Metadata -----------------------------------------------------------------------------


def test_metadata_comes_back(tmp_path):
    """`read_metadata` gives what `serialise` was given."""
    serialise(tmp_path / "model", TREE, metadata={"loss": [0.5, 0.25], "epoch": 2})
    assert read_metadata(tmp_path / "model") == {"loss": [0.5, 0.25], "epoch": 2}


def test_metadata_may_hold_arrays(tmp_path):
    """Metadata is a pytree as good as any."""
    serialise(tmp_path / "model", TREE, metadata={"loss": jnp.arange(3.0)})
    assert read_metadata(tmp_path / "model")["loss"].tolist() == [0.0, 1.0, 2.0]
    assert same(deserialise(tmp_path / "model"), TREE)


def test_metadata_is_none_where_there_is_none(tmp_path):
    """A checkpoint without metadata has None."""
    serialise(tmp_path / "model", TREE)
    assert read_metadata(tmp_path / "model") is None


def test_metadata_is_read_from_file_objects():
    """`read_metadata` takes what `deserialise` takes."""
    file = io.BytesIO()
    serialise(file, TREE, metadata="notes")
    file.seek(0)
    assert read_metadata(file) == "notes"


def test_metadata_is_read_without_the_arrays_of_the_tree():
    """Damaged arrays do not keep the metadata from being read."""
    checkpoint = Checkpoint.of(TREE, metadata={"scores": np.arange(3)})
    record = checkpoint.tree["node"]["weight"]["record"]
    offset, length = checkpoint.document["records"][record][:2]
    damaged = bytearray(checkpoint.records)
    damaged[offset + length - 1] ^= 1
    checkpoint.records = bytes(damaged)
    with pytest.raises(CorruptFileError):
        checkpoint.load()
    found = read_metadata(io.BytesIO(checkpoint.companion()))
    assert found["scores"].tolist() == [0, 1, 2]


def test_metadata_is_read_without_the_classes_of_the_tree():
    """A tree that may not be loaded here still has metadata."""
    checkpoint = Checkpoint.of(eqx.nn.Identity(), metadata={"epoch": 2})
    checkpoint.tree["type"] = "no_such_package.models:Lens"
    assert read_metadata(io.BytesIO(checkpoint.companion())) == {"epoch": 2}


def test_plain_equinox_reads_the_arrays_beside_metadata(tmp_path):
    """Metadata comes after the tree, where Equinox stops reading."""
    serialise(tmp_path / "model", TREE, metadata={"loss": np.arange(3)})
    assert same(eqx.tree_deserialise_leaves(tmp_path / "model.eqx", TREE), TREE)


# Links, rights, leftovers -------------------------------------------------------------


def test_symlinked_structure_file_is_written_through(tmp_path):
    """A link stays a link: the file that it means is replaced."""
    store = tmp_path / "store"
    store.mkdir()
    serialise(store / "model", TREE)
    (tmp_path / "latest.zdx").symlink_to(store / "model.zdx")
    serialise(tmp_path / "latest", OTHER)
    assert (tmp_path / "latest.zdx").is_symlink()
    assert same(deserialise(store / "model"), OTHER)
    assert same(deserialise(tmp_path / "latest"), OTHER)


def test_symlinked_companion_is_written_through(tmp_path):
    """The same for a checkpoint of one file."""
    serialise(tmp_path / "model.eqx", TREE)
    (tmp_path / "latest.eqx").symlink_to("model.eqx")
    serialise(tmp_path / "latest.eqx", OTHER)
    assert (tmp_path / "latest.eqx").is_symlink()
    assert same(deserialise(tmp_path / "model.eqx"), OTHER)


def test_symlinked_folder(tmp_path):
    """A folder may be a link."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to("disk")
    serialise(tmp_path / "runs" / "model", TREE)
    assert listing(tmp_path / "disk") == ["model.eqx", "model.zdx"]
    assert same(deserialise(tmp_path / "runs" / "model"), TREE)


def test_link_to_a_file_that_is_not_there_yet(tmp_path):
    """A dangling link says where the file is to go."""
    (tmp_path / "store").mkdir()
    (tmp_path / "latest.zdx").symlink_to(tmp_path / "store" / "model.zdx")
    serialise(tmp_path / "latest.zdx", TREE)
    assert listing(tmp_path / "store") == ["model.eqx", "model.zdx"]


def test_companion_that_links_out_of_its_folder_is_refused(tmp_path):
    """A companion is found by rule, and no link leads the rule elsewhere."""
    serialise(tmp_path / "model", TREE)
    store = tmp_path / "store"
    store.mkdir()
    (tmp_path / "model.eqx").rename(store / "secret")
    (tmp_path / "model.eqx").symlink_to(store / "secret")
    with pytest.raises(zodiax_io.NotAFileError, match="leaves its folder"):
        deserialise(tmp_path / "model")


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640)])
def test_new_files_follow_the_umask(tmp_path, mask, mode):
    """New files have the rights that `open` would give them."""
    with umask(mask):
        serialise(tmp_path / "model", TREE)
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == mode


def test_replaced_files_keep_their_rights(tmp_path):
    """Saving again changes nobody's rights."""
    serialise(tmp_path / "model", TREE)
    (tmp_path / "model.zdx").chmod(0o604)
    (tmp_path / "model.eqx").chmod(0o640)
    serialise(tmp_path / "model", OTHER)
    assert stat.S_IMODE((tmp_path / "model.zdx").stat().st_mode) == 0o604
    assert stat.S_IMODE((tmp_path / "model.eqx").stat().st_mode) == 0o640


def test_leftovers_of_dead_savers_are_removed(tmp_path):
    """What a killed saver left goes with the next save of that name."""
    for name in ("model.eqx", "model.zdx"):
        (tmp_path / f".{name}.zdxtmp-1234-00aabbcc").write_bytes(b"half")
    serialise(tmp_path / "model", TREE)
    assert listing(tmp_path) == ["model.eqx", "model.zdx"]


def test_temporaries_of_living_savers_stay(tmp_path):
    """A saver at work is left alone."""
    temporary = tmp_path / ".model.eqx.zdxtmp-1234-00aabbcc"
    with open(temporary, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        serialise(tmp_path / "model", TREE)
        assert temporary.exists()


def test_leftovers_of_other_names_stay(tmp_path):
    """Only leftovers of the file that is being saved are removed."""
    other = tmp_path / ".model2.eqx.zdxtmp-1234-00aabbcc"
    other.write_bytes(b"half")
    serialise(tmp_path / "model", TREE)
    assert other.exists()


def test_leftover_that_is_a_link_is_not_followed(tmp_path):
    """A planted link among the leftovers harms no other file."""
    (tmp_path / "precious").write_bytes(b"keep")
    link = tmp_path / ".model.eqx.zdxtmp-1234-00aabbcc"
    link.symlink_to("precious")
    serialise(tmp_path / "model", TREE)
    assert (tmp_path / "precious").read_bytes() == b"keep"


def _pipe(path):
    os.mkfifo(path)


def _socket(path):
    # The path of a socket may be of some hundred bytes only.
    with socket.socket(socket.AF_UNIX) as end, contextlib.chdir(path.parent):
        end.bind(path.name)


def _folder(path):
    path.mkdir()


def _link(path):
    path.symlink_to("nowhere")


def _link_to_itself(path):
    path.symlink_to(path.name)


def _device(path):
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
    except OSError:
        pytest.skip("only root can make a device")


ODD = [_pipe, _socket, _folder, _link, _link_to_itself, _device]


@contextlib.contextmanager
def observed_opening(opened):
    """Note every path that a save or load opens for reading."""
    real = sources._open_descriptor

    def opening(path, flags):
        opened.append(str(path))
        return real(path, flags)

    with mock.patch.object(sources, "_open_descriptor", opening):
        yield


@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("mode", [0o000, 0o444, 0o666])
def test_odd_things_among_the_leftovers(tmp_path, make, mode):
    """What no saver made is neither opened nor removed, however it is called."""
    odd = tmp_path / ".model.eqx.zdxtmp-1-00aabbcc"
    make(odd)
    if not odd.is_symlink():
        odd.chmod(mode)
    os.utime(odd, (0, 0), follow_symlinks=False)
    opened = []
    with observed_opening(opened):
        serialise(tmp_path / "model", TREE)
    assert str(odd) not in opened
    assert os.path.lexists(odd)
    assert same(deserialise(tmp_path / "model"), TREE)


@pytest.mark.parametrize("make", [_pipe, _socket, _folder, _device])
@pytest.mark.parametrize("name", ["model.zdx", "model.eqx"])
@pytest.mark.parametrize("given", ["model", "model.zdx", "model.eqx"])
def test_odd_things_in_the_place_of_a_file(tmp_path, make, name, given):
    """A pipe, socket, folder or device is refused at once, and never opened."""
    serialise(tmp_path / "model", TREE)
    (tmp_path / name).unlink()
    make(tmp_path / name)
    opened = []
    with observed_opening(opened):
        for call in (
            lambda: serialise(tmp_path / given, OTHER),
            lambda: deserialise(tmp_path / given),
            lambda: zodiax_io.verify(tmp_path / given),
            lambda: zodiax_io.repair(tmp_path / given),
        ):
            with contextlib.suppress(ZodiaxIOError), warnings.catch_warnings():
                warnings.simplefilter("ignore", zodiax_io.ZodiaxIOWarning)
                call()
    assert str(tmp_path / name) not in opened
    assert not stat.S_ISREG((tmp_path / name).lstat().st_mode)


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    """Between a look at a file and opening it, a pipe may have come."""
    path = tmp_path / "model.eqx"
    serialise(path, TREE)
    look = os.stat

    def swap(file, *args, **options):
        status = look(file, *args, **options)
        if str(file) == str(path) and stat.S_ISREG(status.st_mode):
            path.unlink()
            os.mkfifo(path)
        return status

    monkeypatch.setattr(commit.os, "stat", swap)
    with pytest.raises(NotAFileError):
        deserialise(path)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "/dev/stdin"])
def test_devices_are_refused_by_name(path):
    """The name of a device is no name to which a suffix is added."""
    if not os.path.exists(path) or os.path.isfile(path):
        pytest.skip(f"{path} is no device here")
    with pytest.raises(NotAFileError) as caught:
        serialise(path, TREE)
    assert str(caught.value) == f"Cannot save to {path}: it is not a regular file."
    with pytest.raises(ZodiaxIOError):
        deserialise(path)


# Failing saves ------------------------------------------------------------------------


@pytest.fixture(params=["new", "existing"])
def before(request, tmp_path):
    """A folder with or without an earlier checkpoint, and what it holds."""
    if request.param == "existing":
        serialise(tmp_path / "model", TREE)
    return contents(tmp_path)


class _Failing:
    """A file that fails once `room` bytes have been written to it."""

    def __init__(self, file, room, error):
        self._file, self._room, self._error = file, room, error

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self._file.close()

    def write(self, data):
        self._room -= len(memoryview(data).cast("B"))
        if self._room < 0:
            raise self._error
        return self._file.write(data)


def fail_when_writing(monkeypatch, error, room):
    real = commit.FileIO
    monkeypatch.setattr(
        commit, "FileIO", lambda *args: _Failing(real(*args), room, error)
    )


FULL = OSError(errno.ENOSPC, "No space left on device")


def test_refused_object_writes_nothing(tmp_path, before):
    """An object that cannot be kept is refused before the disk is touched."""
    with pytest.raises(SerialisationError):
        serialise(tmp_path / "model", {"weight": np.ones(3), "lock": iter([])})
    assert contents(tmp_path) == before


def test_refused_metadata_writes_nothing(tmp_path, before):
    """The same for metadata."""
    with pytest.raises(SerialisationError) as caught:
        serialise(tmp_path / "model", TREE, metadata={"lock": iter([])})
    assert caught.value.path == "metadata['lock']"
    assert contents(tmp_path) == before


@pytest.mark.parametrize("room", [0, 100, 300])
def test_full_disk_leaves_everything_as_it_was(tmp_path, before, monkeypatch, room):
    """A disk that is full at any point is a `SaveError`, and nothing is lost."""
    fail_when_writing(monkeypatch, FULL, room)
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / "model", TREE)
    assert caught.value.errno == errno.ENOSPC
    assert str(caught.value) == (
        f"[Errno {errno.ENOSPC}] Cannot save to {tmp_path}: No space left on device. "
        "What was there before is intact."
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("room", [0, 100, 300])
def test_interruption_leaves_everything_as_it_was(tmp_path, before, monkeypatch, room):
    """Ctrl-C during a save stays a KeyboardInterrupt, and nothing is lost."""
    fail_when_writing(monkeypatch, KeyboardInterrupt(), room)
    with pytest.raises(KeyboardInterrupt):
        serialise(tmp_path / "model", TREE)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("module", "call"),
    [(commit.os, "fsync"), (commit.os, "replace"), (commit, "FileIO")],
    ids=["fsync", "replace", "open"],
)
def test_failing_system_call_leaves_everything_as_it_was(
    tmp_path, before, monkeypatch, module, call
):
    """When the system refuses a step, the save fails as a whole."""

    def refuse(*args, **options):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module, call, refuse)
    with pytest.raises(SaveError):
        serialise(tmp_path / "model", TREE)
    monkeypatch.undo()
    assert contents(tmp_path) == before


def test_failing_save_closes_its_files(tmp_path, monkeypatch):
    """A save that fails leaves no file descriptor open."""
    count = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    if count is None:
        pytest.skip("needs /proc")
    fail_when_writing(monkeypatch, FULL, 0)
    for _ in range(5):
        with pytest.raises((OSError, RuntimeError)):
            serialise(tmp_path / "model", TREE)
    assert len(os.listdir("/proc/self/fd")) <= count


def test_full_file_object_is_a_save_error():
    """A file object that refuses to be written to is a `SaveError` too."""
    with pytest.raises(SaveError):
        serialise(_Failing(io.BytesIO(), 100, FULL), TREE)


@pytest.mark.parametrize("buffering", [0, -1])
def test_file_objects_that_are_not_open_for_it(tmp_path, buffering):
    """The message says that the object is closed, or open for the other thing."""
    with open(tmp_path / "new", "wb", buffering=buffering) as file:
        with pytest.raises(ReadError) as caught:
            deserialise(file)
        assert str(caught.value) == (
            "Cannot read the file object: it is not open for reading."
        )
    for call, error, doing in (
        (lambda: deserialise(file), ReadError, "read"),
        (lambda: serialise(file, TREE), SaveError, "save to"),
    ):
        with pytest.raises(error) as caught:
            call()
        assert str(caught.value) == f"Cannot {doing} the file object: it is closed."
    with (
        open(tmp_path / "new", "rb", buffering=buffering) as file,
        pytest.raises(SaveError) as caught,
    ):
        serialise(file, TREE)
    assert str(caught.value) == (
        "Cannot save to the file object: it is not open for writing."
    )


def test_a_companion_with_both_suffixes_is_a_checkpoint_of_its_own(tmp_path):
    """`fit.zdx` keeps its arrays in `fit.eqx`, so that `fit.zdx.eqx` is free."""
    serialise(tmp_path / "fit.zdx", [1.0])
    serialise(tmp_path / "fit.zdx.eqx", [2.0])
    serialise(tmp_path / "fit.zdx", [3.0])
    assert deserialise(tmp_path / "fit.zdx") == [3.0]
    assert deserialise(tmp_path / "fit.zdx.eqx") == [2.0]
    assert listing(tmp_path) == ["fit.eqx", "fit.zdx", "fit.zdx.eqx"]


# Bad input ----------------------------------------------------------------------------


def test_existing_folder_is_not_saved_to(tmp_path):
    """The path of a folder is refused, with and without a suffix."""
    for name in ("runs", "runs.zdx", "runs.eqx"):
        (tmp_path / name).mkdir()
        with pytest.raises(NotAFileError):
            serialise(tmp_path / name, TREE)
        (tmp_path / name).rmdir()
    assert listing(tmp_path) == []


@pytest.mark.parametrize("name", ["runs.zdx", "runs.eqx"])
def test_message_when_saving_to_a_folder(tmp_path, name):
    """The message says that it is a folder."""
    (tmp_path / name).mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        serialise(tmp_path / name, TREE)
    assert str(caught.value) == f"Cannot save to {tmp_path / name}: it is a folder."
    assert listing(tmp_path) == [name]


@pytest.mark.parametrize("name", ["runs", "runs.zdx", "runs.eqx", "runs.other"])
def test_folder_is_not_loaded(tmp_path, name):
    """Loading a folder is an error of ours."""
    (tmp_path / name).mkdir()
    with pytest.raises((NotAFileError, MissingFileError)):
        deserialise(tmp_path / name)
    with pytest.raises((NotAFileError, MissingFileError)):
        read_metadata(tmp_path / name)


@pytest.mark.parametrize("names", [("x.foo", "x.foo.zdx"), ("x.foo.zdx", "x.foo")])
def test_companion_is_never_shared(tmp_path, names):
    """Two structures that would keep their arrays in one file are refused."""
    first, second = (tmp_path / name for name in names)
    serialise(first, TREE)
    with pytest.raises(SaveError, match=f"{names[0]} exists already, and both"):
        serialise(second, OTHER)
    assert listing(tmp_path) == sorted([names[0], "x.foo.eqx"])
    assert same(deserialise(first), TREE)


def test_file_of_plain_equinox_is_not_overwritten(tmp_path):
    """The arrays that somebody kept with Equinox are not replaced by a companion."""
    theirs = tmp_path / "model.eqx"
    eqx.tree_serialise_leaves(theirs, TREE)
    before = theirs.read_bytes()
    with pytest.raises(SaveError, match=r"model\.eqx.*another program wrote it"):
        serialise(tmp_path / "model.zdx", TREE)
    assert theirs.read_bytes() == before
    assert listing(tmp_path) == ["model.eqx"]


@pytest.mark.parametrize("content", [b"", b"cut"])
def test_companion_that_a_crash_left_is_overwritten(tmp_path, content):
    """A damaged pair is no obstacle to the next save."""
    serialise(tmp_path / "model.zdx", TREE)
    (tmp_path / "model.eqx").write_bytes(content)
    serialise(tmp_path / "model.zdx", OTHER)
    assert same(deserialise(tmp_path / "model.zdx"), OTHER)


# Each is saved or written first, and then the other is saved.
ALONE = "a checkpoint by itself"
REFUSED = [
    ("fit.eqx", "fit.zdx", ALONE),
    ("fit.eqx", "fit", ALONE),
    ("fit.tar.eqx", "fit.tar.zdx", ALONE),
    ("fit.tar.eqx", "fit.tar", ALONE),
    ("step_0.5.eqx", "step_0.5", ALONE),
    ("fit.zdx", "fit.eqx", "it holds the arrays of fit.zdx"),
    ("fit", "fit.eqx", "it holds the arrays of fit.zdx"),
    ("step_0.5", "step_0.5.eqx", "it holds the arrays of step_0.5,"),
    ("fit.tar.zdx", "fit.tar.eqx", "it holds the arrays of fit.tar.zdx"),
]


@pytest.mark.parametrize(("first", "second", "reason"), REFUSED)
def test_another_checkpoint_is_not_replaced(tmp_path, first, second, reason):
    """Of two names that would share a file, the second is refused; saving over does."""
    serialise(tmp_path / first, TREE)
    before = contents(tmp_path)
    with pytest.raises(SaveError, match=reason) as caught:
        serialise(tmp_path / second, OTHER)
    assert caught.value.errno == errno.EEXIST
    assert contents(tmp_path) == before
    serialise(tmp_path / first, OTHER)
    assert same(deserialise(tmp_path / first), OTHER)
    assert listing(tmp_path) == sorted(before)


def test_message_of_a_companion_that_stands_alone(tmp_path):
    """The message says what would be lost, and the ways out."""
    serialise(tmp_path / "fit.eqx", TREE)
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / "fit.zdx", OTHER)
    assert str(caught.value) == (
        f"[Errno {errno.EEXIST}] Cannot save to {tmp_path / 'fit.zdx'}: its arrays "
        "would replace fit.eqx, which is a checkpoint by itself. Choose another name, "
        "or remove fit.eqx first. If only fit.zdx is missing, `zodiax_io.repair` "
        "writes it again."
    )
    zodiax_io.repair(tmp_path / "fit.zdx")
    serialise(tmp_path / "fit.zdx", OTHER)
    assert same(deserialise(tmp_path / "fit.zdx"), OTHER)


def test_message_of_a_companion_that_a_pair_needs(tmp_path):
    """The message says whose it is, and the ways out."""
    serialise(tmp_path / "run.zdx", TREE)
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / "run.eqx", OTHER)
    assert str(caught.value) == (
        f"[Errno {errno.EEXIST}] Cannot save to {tmp_path / 'run.eqx'}: it holds the "
        "arrays of run.zdx, which would be lost. Save to run.zdx, choose another name, "
        "or remove run.zdx first."
    )
    (tmp_path / "run.zdx").unlink()
    serialise(tmp_path / "run.eqx", OTHER)
    assert same(deserialise(tmp_path / "run.eqx"), OTHER)


def test_companion_of_any_origin_is_not_replaced(tmp_path):
    """A whole checkpoint counts, even if a file object or a download brought it."""
    with open(tmp_path / "fit.eqx", "wb") as file:
        serialise(file, TREE)
    with pytest.raises(SaveError, match=ALONE):
        serialise(tmp_path / "fit", OTHER)
    serialise(tmp_path / "one", TREE)
    (tmp_path / "two").mkdir()
    shutil.copy(tmp_path / "one.eqx", tmp_path / "two")
    with pytest.raises(SaveError, match=ALONE):
        serialise(tmp_path / "two" / "one", OTHER)
    assert same(deserialise(tmp_path / "two" / "one"), TREE)


def test_checkpoint_under_the_name_of_a_structure_shares_nothing(tmp_path):
    """A single file called `.zdx` may be saved over, but not the one beside it."""
    serialise(tmp_path / "a.eqx", TREE)
    (tmp_path / "a.eqx").rename(tmp_path / "fit.zdx")
    serialise(tmp_path / "fit.eqx", OTHER)
    assert same(deserialise(tmp_path / "fit.zdx"), TREE)
    with pytest.raises(SaveError, match=ALONE):
        serialise(tmp_path / "fit.zdx", OTHER)
    (tmp_path / "fit.eqx").unlink()
    serialise(tmp_path / "fit.zdx", OTHER)
    assert same(deserialise(tmp_path / "fit.zdx"), OTHER)


def test_old_file_is_not_hidden_by_a_companion(tmp_path):
    """An old file is saved over under its own name, and no other way."""
    (tmp_path / "fit.zdx").write_bytes(pickle.dumps({}))
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / "fit.eqx", TREE)
    assert str(caught.value) == (
        f"[Errno {errno.EEXIST}] Cannot save to {tmp_path / 'fit.eqx'}: it would be "
        "loaded instead of fit.zdx, an old file. Save to fit.zdx, choose another name, "
        "or move fit.zdx away."
    )
    serialise(tmp_path / "fit.zdx", TREE)
    assert same(deserialise(tmp_path / "fit"), TREE)


@pytest.mark.parametrize("write", ["equinox", "npz", "pickle"])
def test_a_file_of_another_program_makes_no_pair(tmp_path, write):
    """What lies under the name of a structure does not make a checkpoint its own."""
    serialise(tmp_path / "fit.eqx", TREE)
    FOREIGN[write](tmp_path / "fit.zdx")
    before = contents(tmp_path)
    with pytest.raises(SaveError, match=ALONE):
        serialise(tmp_path / "fit", OTHER)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("write", ["equinox", "npz", "pickle"])
def test_arrays_written_over_a_companion_are_not_replaced(tmp_path, write):
    """A file of another program stays, even where a structure file claims its name."""
    serialise(tmp_path / "fit.zdx", TREE)
    theirs = tmp_path / "fit.eqx"
    theirs.unlink()
    FOREIGN[write](theirs)
    before = contents(tmp_path)
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / "fit.zdx", OTHER)
    assert str(caught.value) == (
        f"[Errno {errno.EEXIST}] Cannot save to {tmp_path / 'fit.zdx'}: its arrays "
        "would replace fit.eqx, which another program has written since. Choose "
        "another name, or move that file away."
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("length", [1, 100, 200, 400, -1])
def test_companion_that_was_cut_short_is_overwritten(tmp_path, length):
    """What is left of a companion is told apart from a file of plain Equinox."""
    serialise(tmp_path / "fit.zdx", TREE)
    whole = (tmp_path / "fit.eqx").read_bytes()
    (tmp_path / "fit.eqx").write_bytes(whole[:length])
    serialise(tmp_path / "fit.zdx", OTHER)
    assert same(deserialise(tmp_path / "fit.zdx"), OTHER)


def test_case_of_a_suffix_on_a_file_system_that_ignores_it(tmp_path, monkeypatch):
    """`fit.ZDX` is refused where it is the file `fit.zdx` with another companion."""
    serialise(tmp_path / "fit.zdx", TREE)
    os.link(tmp_path / "fit.zdx", tmp_path / "fit.ZDX")  # as such a system sees it
    with pytest.raises(SaveError) as caught:
        serialise(tmp_path / "fit.ZDX", OTHER)
    assert str(caught.value) == (
        f"[Errno {errno.EEXIST}] Cannot save to {tmp_path / 'fit.ZDX'}: on this "
        "file system it is the same file as fit.zdx, which exists already. Write the "
        "suffix as `.zdx`."
    )
    (tmp_path / "fit.ZDX").unlink()
    serialise(tmp_path / "fit.ZDX", OTHER)
    assert same(deserialise(tmp_path / "fit.zdx"), TREE)
    assert same(deserialise(tmp_path / "fit.ZDX"), OTHER)


SHARING = [
    stem + suffix
    for stem in ("fit", "Fit", "fit.tar", "fit.zdx", "fit.eqx")
    for suffix in ("", ".zdx", ".eqx", ".ZDX", ".EQX")
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["save", "save", "save", "object", "equinox"]),
            st.sampled_from(SHARING),
        ),
        max_size=8,
    )
)
@example([("save", "fit.eqx"), ("equinox", "fit.zdx"), ("save", "fit")])
def test_no_save_changes_what_another_name_loads(steps):
    """Whatever was saved under which names: a save changes its own, or is refused."""
    loads, files = {}, {}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, (how, name) in enumerate(steps):
            path = Path(folder, name)
            if how == "save":
                named = name if path.suffix else f"{name}.zdx"
                with contextlib.suppress(SaveError):
                    serialise(path, number, durable=False)
                    loads[named] = number
                    files.pop(named, None)
                    assert deserialise(path) == number
            elif not path.exists():  # what the user opens is the user's to replace
                with open(path, "wb") as file:
                    if how == "object":
                        serialise(file, number)
                        loads[name] = number
                    else:
                        eqx.tree_serialise_leaves(file, np.ones(3))
                        files[name] = path.read_bytes()
            for other, expected in loads.items():
                assert deserialise(Path(folder, other)) == expected, other
            for other, data in files.items():
                assert Path(folder, other).read_bytes() == data


def test_companion_that_links_elsewhere_is_not_saved_to(tmp_path):
    """What could not be loaded again is not saved."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "model.eqx").symlink_to(tmp_path / "elsewhere" / "model.eqx")
    with pytest.raises(NotAFileError, match="leaves its folder"):
        serialise(tmp_path / "model.zdx", TREE)
    assert listing(tmp_path) == ["elsewhere", "model.eqx"]


def test_folder_as_companion(tmp_path):
    """A folder in the place of the companion is neither read nor replaced."""
    serialise(tmp_path / "model", TREE)
    (tmp_path / "model.eqx").unlink()
    (tmp_path / "model.eqx").mkdir()
    with pytest.raises(NotAFileError):
        deserialise(tmp_path / "model")
    with pytest.raises(NotAFileError):
        serialise(tmp_path / "model", TREE)


def test_missing_folder(tmp_path):
    """A folder that is not there is not made, and the message says what to do."""
    with pytest.raises(MissingFileError) as caught:
        serialise(tmp_path / "runs" / "model", TREE)
    assert str(caught.value) == (
        f"Cannot save model.zdx: the folder {tmp_path / 'runs'} does not exist. "
        "Create it first."
    )
    assert listing(tmp_path) == []
    with pytest.raises(MissingFileError):
        deserialise(tmp_path / "runs" / "model")


def test_file_in_the_place_of_a_folder(tmp_path):
    """A path through a file is an error of ours."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ZodiaxIOError):
        serialise(tmp_path / "file" / "model", TREE)
    with pytest.raises(ZodiaxIOError):
        deserialise(tmp_path / "file" / "model")


@pytest.mark.parametrize("name", ["pipe.zdx", "pipe.eqx"])
def test_pipe_is_not_waited_for(tmp_path, name):
    """A named pipe is refused at once, by both calls."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(NotAFileError) as caught:
        serialise(tmp_path / name, TREE)
    assert str(caught.value) == (
        f"Cannot save to {tmp_path / name}: it is not a regular file."
    )
    with pytest.raises(NotAFileError) as caught:
        deserialise(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name} is not a regular file."
    assert listing(tmp_path) == [name]


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: io.StringIO(),
        lambda folder: (folder / "text").open("w+"),
        lambda folder: tempfile.NamedTemporaryFile("w+", dir=folder),  # noqa: SIM115,
    ],
    ids=["StringIO", "open", "tempfile"],
)
def test_text_file_is_refused(tmp_path, make):
    """A file that is open as text is refused by both calls."""
    with make(tmp_path) as file:
        with pytest.raises(ArgumentError):
            serialise(file, TREE)
        file.seek(0)
        assert file.read() == ""
        with pytest.raises(ArgumentError):
            deserialise(file)


def test_file_open_in_the_wrong_direction(tmp_path):
    """A file open for reading is not saved to, one for writing not loaded from."""
    path = tmp_path / "file"
    path.write_bytes(b"")
    with open(path, "rb") as file, pytest.raises(ZodiaxIOError):
        serialise(file, TREE)
    with open(path, "wb") as file, pytest.raises(ZodiaxIOError):
        deserialise(file)


def test_closed_file():
    """A closed file is an error of ours."""
    file = io.BytesIO()
    file.close()
    with pytest.raises(ZodiaxIOError):
        serialise(file, TREE)
    with pytest.raises(ZodiaxIOError):
        deserialise(file)


def test_bytes_are_no_path(tmp_path):
    """A path as bytes, and bytes for a file, are refused."""
    path = os.fsencode(tmp_path / "model")
    with pytest.raises(ArgumentError) as caught:
        serialise(path, TREE)
    assert str(caught.value) == "A path must be text, not bytes."
    with pytest.raises(ArgumentError) as caught:
        deserialise(path)
    assert str(caught.value) == "A path must be text, not bytes."
    assert listing(tmp_path) == []


def test_path_like_bytes_are_no_path(tmp_path):
    """A path object made of bytes is refused."""
    with os.scandir(os.fsencode(tmp_path)) as entries:
        assert list(entries) == []
    (tmp_path / "model.zdx").write_bytes(b"")
    with os.scandir(os.fsencode(tmp_path)) as entries:
        entry = next(entries)
    for call in (lambda: serialise(entry, TREE), lambda: deserialise(entry)):
        with pytest.raises(ArgumentError) as caught:
            call()
        assert str(caught.value) == "A path must be text, not bytes."


def test_swapped_arguments(tmp_path):
    """`serialise(tree, path)` says which comes first, and writes nothing."""
    with pytest.raises(ArgumentError) as caught:
        serialise(TREE, str(tmp_path / "model"))
    assert str(caught.value) == (
        "Expected a path or a binary file open for writing, got a `dict`. "
        "The path comes first: `serialise(path, tree)`."
    )
    assert listing(tmp_path) == []


@pytest.mark.parametrize("path", ["", ".", "/", ".."])
def test_path_without_a_name(tmp_path, monkeypatch, path):
    """A path that names no file is an error of ours, and nothing is written."""
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    with pytest.raises(ZodiaxIOError):
        serialise(path, TREE)
    with pytest.raises(ZodiaxIOError):
        deserialise(path)
    assert listing(inner) == []
    assert listing(tmp_path) == ["inner"]


@pytest.mark.parametrize(
    "name", ["a\0b", "x" * 300, "x" * 252], ids=["null", "long", "long with suffix"]
)
def test_name_that_the_system_refuses(tmp_path, name):
    """A name that no file can have is an error of ours."""
    with pytest.raises(ZodiaxIOError):
        serialise(tmp_path / name, TREE)
    with pytest.raises(ZodiaxIOError):
        deserialise(tmp_path / name)
    assert listing(tmp_path) == []


def test_loop_of_links(tmp_path):
    """A link to itself is an error of ours."""
    (tmp_path / "model.zdx").symlink_to("model.zdx")
    with pytest.raises(ZodiaxIOError):
        serialise(tmp_path / "model", TREE)
    with pytest.raises(ZodiaxIOError):
        deserialise(tmp_path / "model")


def _npy(path):
    with open(path, "wb") as file:
        np.save(file, np.arange(3))


def _npz(path):
    with open(path, "wb") as file:
        np.savez(file, a=np.arange(3))


def _zip(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a", "b")


def _equinox(path):
    with open(path, "wb") as file:
        eqx.tree_serialise_leaves(file, [np.arange(3), 1.0])


FOREIGN = {
    "empty": lambda path: path.write_bytes(b""),
    "short": lambda path: path.write_bytes(b"\x89ZDX"),
    "text": lambda path: path.write_text("{}"),
    "pickle": lambda path: path.write_bytes(pickle.dumps([1, 2])),
    "npy": _npy,
    "npz": _npz,
    "zip": _zip,
    "equinox": _equinox,
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "magic only": lambda path: path.write_bytes(b"\x89ZDX\r\n\x1a\n"),
    "trailer only": lambda path: path.write_bytes(bytes(8) + b"ZDXTRAIL"),
}


@pytest.mark.parametrize("suffix", [".zdx", ".eqx", ".npy"])
@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN.keys())
def test_other_formats_are_refused(tmp_path, make, suffix):
    """A file of another format ends in an error of ours, as path and as file."""
    path = tmp_path / f"model{suffix}"
    make(path)
    data = path.read_bytes()
    expected = (UnknownFormatError, CorruptFileError, MissingFileError)
    for call in (deserialise, read_metadata):
        with pytest.raises(expected):
            call(path)
        with pytest.raises((UnknownFormatError, CorruptFileError)):
            call(io.BytesIO(data))
    assert contents(tmp_path) == {path.name: data}


def test_plain_equinox_file_says_what_loads_it(tmp_path):
    """A file of plain Equinox is told apart from a damaged one of ours."""
    _equinox(tmp_path / "model.eqx")
    with pytest.raises(CorruptFileError) as caught:
        deserialise(tmp_path / "model.eqx")
    assert str(caught.value) == (
        "model.eqx holds arrays but does not end as a companion does: it is "
        "incomplete, or was written by `equinox.tree_serialise_leaves`, which "
        "`equinox.tree_deserialise_leaves` loads."
    )


def test_foreign_file_says_that_it_is_not_ours(tmp_path):
    """Anything else is called by name."""
    (tmp_path / "model.zdx").write_bytes(b"PK\x03\x04")
    with pytest.raises(UnknownFormatError) as caught:
        deserialise(tmp_path / "model.zdx")
    assert str(caught.value) == (
        "model.zdx is not a zodiax_io file: it does not begin as one does."
    )


def test_loading_writes_nothing(tmp_path):
    """Loading leaves the folder as it is."""
    serialise(tmp_path / "model", TREE, metadata={"epoch": 1})
    before = contents(tmp_path)
    deserialise(tmp_path / "model")
    zodiax_io.read_metadata(tmp_path / "model")
    assert contents(tmp_path) == before


def test_loading_closes_its_files(tmp_path):
    """No file stays open after a load, whether it succeeds or not."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    serialise(tmp_path / "model", TREE)
    (tmp_path / "broken.zdx").write_bytes(b"nothing")
    (tmp_path / "folder.zdx").mkdir()
    deserialise(tmp_path / "model")
    count = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        deserialise(tmp_path / "model")
        for name in ("broken", "folder"):
            with pytest.raises((ZodiaxIOError, OSError)):
                deserialise(tmp_path / name)
    assert len(os.listdir("/proc/self/fd")) <= count


# Odd arguments ------------------------------------------------------------------------


class Unpathlike:
    """What claims to be a path."""

    def __fspath__(self):
        return 3


def test_paths_that_are_none():
    """A path that is none is an error of ours, whatever is wrong with it."""
    for path in (Unpathlike(), "x\0y.zdx", "x/\ud800.zdx"):
        for function in (deserialise, zodiax_io.names, zodiax_io.verify):
            with pytest.raises(zodiax_io.ArgumentError):
                function(path)
        with pytest.raises(zodiax_io.ArgumentError):
            serialise(path, TREE)


@pytest.mark.parametrize("error", [EOFError, RuntimeError, zlib.error])
def test_file_objects_that_fail_in_their_own_way(error):
    """What `gzip` and its kin raise becomes an error of ours."""

    class Failing(io.BytesIO):
        def read(self, *_):
            raise error("it ends too soon")

    with pytest.raises(zodiax_io.ReadError, match="it ends too soon"):
        deserialise(Failing())


def test_names_of_files_do_not_command_the_terminal(tmp_path):
    """An escape sequence in a file's name is shown, not sent."""
    path = tmp_path / "\x1b[31mx.eqx"
    path.write_bytes(b"x" * 50)
    with pytest.raises(UnknownFormatError) as caught:
        deserialise(path)
    with pytest.raises(MissingFileError) as missing:
        deserialise(tmp_path / "\x1b[32mx.eqx")
    assert str(caught.value).isprintable()
    assert str(missing.value).isprintable()
