"""The ways by which bytes travel: joined, alone, reserved, in threads, past copies."""

import errno
import gc
import mmap
import os
import sys
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from documents import Checkpoint
from equality import differences

import zodiax_io
from zodiax_io import SaveError, _jax, deserialise, serialise
from zodiax_io._arrays import reading
from zodiax_io._arrays.backends import backend_for, options_of
from zodiax_io._arrays.eqx import EqxBackend
from zodiax_io._arrays.sizes import Sizes


def tree_of(*lengths):
    """Arrays of JAX and NumPy of some lengths, and other things between them."""
    numbers = [np.arange(length, dtype=np.int32) for length in lengths]
    return [[jnp.asarray(x), x, x[::2], len(x), x.astype("<U3")[:5]] for x in numbers]


@pytest.mark.parametrize("group", [1, 200, 5000, 1 << 22])
def test_groups_change_no_byte(tmp_path, use_sizes, group):
    """Records are the same whether they are written, and read, alone or together."""
    tree = tree_of(0, 1, 70, 3, 900, 20_000, 2, 0, 5)
    expected = Checkpoint.of(tree)
    use_sizes(join=group, join_below=group, block=group, share=group)
    assert Checkpoint.of(tree) == expected
    serialise(tmp_path / "model.zdx", tree)
    assert differences(tree, deserialise(tmp_path / "model.zdx")) == []


def test_sizes_are_no_options_of_a_file(use_sizes):
    """Neither does a file hold them, nor can one that does set them."""
    use_sizes(chunk=7)
    assert options_of(backend_for("eqx")) == {"name": "eqx"}
    checkpoint = Checkpoint.of([1.5])
    assert checkpoint.document["backend"] == {"name": "eqx"}
    checkpoint.document["backend"] = {"name": "eqx", "sizes": {"chunk": 1}}
    with pytest.raises(zodiax_io.NewerFormatError, match="has no option 'sizes'"):
        checkpoint.load()
    assert Sizes().chunk == EqxBackend.sizes.chunk == 1 << 20


@pytest.fixture
def threads(use_sizes):
    """Threads even for small files."""
    use_sizes(threads_from=1000, block=3000)


def test_threads_read_what_one_would(tmp_path, threads):
    """Large records are read in parts, and several at once, by threads."""
    tree = tree_of(1, 100, 20_000, 3, 5000, 5001)
    serialise(tmp_path / "model.zdx", tree)
    for _ in range(3):
        assert differences(tree, deserialise(tmp_path / "model.zdx")) == []


def test_threads_find_all_damage(tmp_path, threads):
    """Damage is found and told as without threads."""
    tree = {str(i): np.full(4000, i) for i in range(4)}
    serialise(tmp_path / "model.zdx", tree)
    companion = tmp_path / "model.eqx"
    data = bytearray(companion.read_bytes())
    index = Checkpoint.apart(bytes(data)).document["records"]
    for offset, length, *_ in index[1:3]:
        data[offset + length - 1] ^= 1
    companion.write_bytes(data)
    with pytest.raises(zodiax_io.CorruptFileError, match=r"\['1'\].* and 1 more"):
        deserialise(tmp_path / "model.zdx")
    with pytest.warns(zodiax_io.DamagedWarning):
        loaded = deserialise(tmp_path / "model.zdx", damaged="skip")
    marks = {k for k, v in loaded.items() if isinstance(v, zodiax_io.Damaged)}
    assert marks == {"1", "2"}


def test_files_without_positioned_reads(tmp_path, threads, monkeypatch):
    """Where a system has no `preadv`, threads take turns."""
    tree = tree_of(1, 100, 20_000, 3, 5000)
    serialise(tmp_path / "model.zdx", tree)
    monkeypatch.delattr(os, "preadv")
    assert differences(tree, deserialise(tmp_path / "model.zdx")) == []


@pytest.mark.parametrize("private", [True, False])
def test_arrays_are_shared_and_free(tmp_path, monkeypatch, private):
    """JAX shares the memory that was read, by its private function or without."""
    if not private:
        monkeypatch.setattr(_jax, "_batched_put", None)
    tree = [jnp.arange(6.0).reshape(2, 3), jnp.ones(3, int)]
    serialise(tmp_path / "model.zdx", tree)
    loaded = deserialise(tmp_path / "model.zdx")
    assert differences(tree, loaded) == []
    found = loaded[0]
    assert not found.committed
    assert found.devices() == jnp.ones(1).devices()
    assert found.unsafe_buffer_pointer() % 64 == 0
    donated = jax.jit(lambda x: x + 1, donate_argnums=0)(found)
    assert donated.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]


def test_default_device_is_respected(tmp_path):
    """Arrays go where `jax.default_device` says."""
    device = jax.devices("cpu")[-1]
    serialise(tmp_path / "model.zdx", jnp.ones(3))
    for asked in (device, "cpu"):
        with jax.default_device(asked):
            assert deserialise(tmp_path / "model.zdx").devices() == {device}


LARGE = np.arange(1 << 21, dtype=np.float64)  # room is reserved from 16 MiB on


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_no_room_to_reserve(tmp_path, monkeypatch, code):
    """A disk that is full is told before anything is written; what was there stays."""
    serialise(tmp_path / "model.zdx", [1.5])

    def refuse(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    with pytest.raises(SaveError, match="intact"):
        serialise(tmp_path / "model.zdx", LARGE)
    assert deserialise(tmp_path / "model.zdx") == [1.5]
    assert sorted(os.listdir(tmp_path)) == ["model.eqx", "model.zdx"]


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_room_that_cannot_be_reserved(tmp_path, monkeypatch, code):
    """A file system, or a system, that cannot reserve room saves without."""
    if code is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:

        def refuse(*_):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(os, "posix_fallocate", refuse)
    serialise(tmp_path / "model.zdx", LARGE)
    assert np.array_equal(deserialise(tmp_path / "model.zdx"), LARGE)


def test_reserved_files_are_as_long_as_what_is_in_them(tmp_path, monkeypatch):
    """What was reserved is filled to the last byte."""
    reserved = []
    reserve = os.posix_fallocate
    monkeypatch.setattr(
        os, "posix_fallocate", lambda *a: reserved.append(a) or reserve(*a)
    )
    serialise(tmp_path / "reserved.zdx", LARGE)
    assert len(reserved) == 1
    monkeypatch.delattr(os, "posix_fallocate")
    serialise(tmp_path / "plain.zdx", LARGE)
    one, other = (tmp_path / f"{n}.eqx" for n in ("reserved", "plain"))
    assert one.read_bytes() == other.read_bytes()


@pytest.fixture
def memory(monkeypatch):
    """How many bytes that were taken for records are still in use."""
    taken = []

    def watched(*arguments, make=reading.aligned_memory):
        made = make(*arguments)
        taken.append((weakref.ref(made.base), made.base.nbytes))
        return made

    monkeypatch.setattr(reading, "aligned_memory", watched)

    def in_use():
        return sum(size for kept, size in taken if kept() is not None)

    return in_use


@pytest.mark.parametrize("arguments", [{}, {"as_numpy": True}])
@pytest.mark.parametrize(
    ("length", "pages"), [(100_000, True), (100_000, False), (18_000, True), (9, True)]
)
def test_what_is_kept_keeps_only_itself(
    tmp_path, monkeypatch, memory, arguments, length, pages
):
    """Who keeps an array of a load keeps it, and at most 64 KiB of small ones."""
    if not pages:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)

    def layer(number):
        one = np.full(length, number, np.float32)
        others = {"step": np.float32(number), "key": jax.random.key(number)}
        return others | {"host": one, "device": jnp.asarray(one)}

    serialise(tmp_path / "model.zdx", [layer(number) for number in range(12)])
    for name in ("step", "key", "host", "device"):
        loaded = deserialise(tmp_path / "model.zdx", **arguments)
        kept = loaded[7][name]
        assert memory() > 12 * 4 * length
        del loaded
        gc.collect()
        assert memory() <= getattr(kept, "nbytes", 16) + (64 << 10) + 1024
        del kept


@pytest.mark.skipif(
    sys.version_info < (3, 13) or not os.path.isdir("/proc/self/fd"),
    reason="mappings keep a descriptor",
)
def test_mapped_models_hold_no_descriptor(tmp_path):
    """Many lazily loaded models do not reach the limit of open files."""
    serialise(tmp_path / "model.zdx", np.ones(9))
    before = len(os.listdir("/proc/self/fd"))
    models = [deserialise(tmp_path / "model.zdx", lazy=True) for _ in range(20)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert all(model.sum() == 9 for model in models)
