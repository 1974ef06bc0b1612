"""A snapshot is a tree at one moment: what becomes of the tree does not change it."""

import dataclasses
import io

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from equality import differences
from hypothesis import given
from strategies import trees

import zodiax_io
from zodiax_io._api.save import write
from zodiax_io._tree.snapshot import snapshot

BIG = 300_000  # elements: written by threads, and hashed beside that


class Plain(eqx.Module):
    names: dict = eqx.field(static=True)


def written(taken):
    file = io.BytesIO()
    write(taken, file)
    return file.getvalue()


@given(tree=trees, metadata=trees)
def test_a_snapshot_writes_what_a_save_writes(tree, metadata):
    """Whether arrays are copied or not, the files are the same to the byte."""
    file = io.BytesIO()
    zodiax_io.serialise(file, tree, metadata=metadata)
    for copy in (True, False):
        taken = snapshot(tree, metadata=metadata, copy=copy)
        assert written(taken) == file.getvalue()


def numpy_arrays(size):
    return {
        "c": np.arange(size, dtype=np.float32),
        "f": np.asfortranarray(np.arange(2 * size).reshape(2, size)),
        "strided": np.arange(2 * size)[::2],
        "struct": np.zeros(size, [("a", "i1"), ("b", "f8")]),
        "read only": np.broadcast_to(np.arange(size), (2, size)),
    }


@pytest.mark.parametrize("size", [3, BIG])
def test_a_numpy_array_that_is_changed_afterwards(size):
    """The snapshot has the values of its moment, and bytes that stay the same."""
    tree, before = numpy_arrays(size), numpy_arrays(size)
    base = np.arange(size)
    tree["read only"] = np.broadcast_to(base, (2, size))
    taken = snapshot(tree)
    for array in (*tree.values(), base):
        if array.flags.writeable:
            array.view(np.ndarray)[...] = np.ones((), array.dtype)
    first = written(taken)
    assert written(taken) == first
    assert not differences(zodiax_io.deserialise(io.BytesIO(first)), before)


def test_containers_that_are_changed_afterwards():
    """Lists, dictionaries and the fields of objects are taken as they are."""
    tree = [1.5, {"a": [jnp.ones(3)]}, Plain({"x": [1]})]
    taken = snapshot(tree)
    before = written(taken)
    tree[1]["a"].append(3)
    tree[2].names["x"].append(2)
    tree.pop()
    assert written(taken) == before


@pytest.mark.parametrize("size", [3, BIG])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8", "bool"])
def test_an_array_that_is_donated_afterwards(dtype, size):
    """JAX computes in other memory while a snapshot holds that of an array.

    Nothing is copied for that on a CPU. Should a release of JAX overwrite shared
    memory, the snapshot would have to copy.
    """
    change = jax.jit(lambda x: ~x if x.dtype == bool else x + 1, donate_argnums=0)
    array = jr.normal(jr.key(0), (size,)).astype(dtype)
    before = np.array(array)
    alone = jnp.copy(array)
    change(alone).block_until_ready()
    assert alone.is_deleted()  # it was donated, with nothing that holds its memory
    taken = snapshot(array)
    assert not np.array_equal(change(array).block_until_ready(), before)
    loaded = zodiax_io.deserialise(io.BytesIO(written(taken)))
    assert np.array_equal(loaded, before)


def test_a_key_that_is_donated_afterwards():
    """A random key is kept as its data, which the snapshot holds."""
    key = jr.key(7)
    before = jr.key_data(key).copy()
    taken = snapshot(key)
    jax.jit(jr.fold_in, donate_argnums=0)(key, 3).block_until_ready()
    loaded = zodiax_io.deserialise(io.BytesIO(written(taken)))
    assert np.array_equal(jr.key_data(loaded), before)


def test_an_array_of_the_host_is_shared():
    """A snapshot of JAX arrays takes no memory on a CPU."""
    array = jnp.arange(BIG)
    (record,) = snapshot(array).records
    assert record.source.ctypes.data == array.unsafe_buffer_pointer()


def test_a_snapshot_is_immutable():
    """Its attributes cannot be set, nor its versions and settings changed."""
    taken = snapshot([1.5])
    with pytest.raises(dataclasses.FrozenInstanceError):
        taken.depth = 3
    with pytest.raises(TypeError):
        taken.versions["jax"] = "0"
    with pytest.raises(TypeError):
        taken.settings["x"] = 0
    with pytest.raises(AttributeError):
        taken.records.append(None)


def test_what_cannot_be_kept_is_refused_when_it_is_taken():
    """Not when it is written, which may be later and elsewhere."""
    with pytest.raises(zodiax_io.SerialisationError, match=r"model\[0\]"):
        snapshot([iter(())])
