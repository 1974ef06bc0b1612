"""What we are compared with: each a save and a load, as its documentation shows them.

A load ends with a whole tree of JAX arrays that are ready to be used. Those that keep
arrays only get a template with the structure of the tree, in which shapes stand for
the arrays, and so does whoever keeps a flat dict: putting the tree together again is
a part of their load. What takes a dict gets short names (`"0"`, `"1"`, …), the
cheapest there are. A package is imported when its peer is made, before any timing.
"""

from __future__ import annotations

import os
import pickle
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.tree_util as jtu
import numpy as np

from .workloads import arrays_of, size_of, with_arrays

_MOST = 0x7FFFF000  # what Linux reads or writes in one call
_VECTORS = 1024  # and the number of buffers that it takes


class Peer:
    """One way to save a tree and load it again.

    Attributes
    ----------
    title : str
        What it does, for the reader of a table.
    packages : tuple of str
        The distributions that it needs.
    file : str
        How it names what it saves.
    durable : bool
        Whether the disk has it all when a save returns.
    """

    title = ""
    packages: tuple[str, ...] = ()
    file = "tree"
    durable = False

    def save(self, path: Path, tree: Any) -> None:
        """Save a tree where there is nothing yet."""
        raise NotImplementedError

    def load(self, path: Path, template: Any) -> Any:
        """Load it again."""
        raise NotImplementedError


class ZodiaxIO(Peer):
    title = "`serialise(…, durable=False)`, `deserialise`, with checksums"
    packages = ("zodiax_io",)
    file = "tree.zdx"

    def __init__(self) -> None:
        import zodiax_io

        self._module = zodiax_io

    def save(self, path: Path, tree: Any) -> None:
        self._module.serialise(path, tree, durable=self.durable)

    def load(self, path: Path, template: Any) -> Any:
        return self._module.deserialise(path)


class DurableZodiaxIO(ZodiaxIO):
    title = "`serialise`, `deserialise`, with checksums and fsync"
    durable = True


class Equinox(Peer):
    title = "`tree_serialise_leaves`, `tree_deserialise_leaves`"
    packages = ("equinox",)
    file = "tree.eqx"

    def save(self, path: Path, tree: Any) -> None:
        eqx.tree_serialise_leaves(path, tree)

    def load(self, path: Path, template: Any) -> Any:
        return eqx.tree_deserialise_leaves(path, template)


class Safetensors(Peer):
    title = "`safetensors.flax.save_file`, `load_file`; a flat dict"
    packages = ("safetensors",)
    file = "tree.safetensors"

    def __init__(self) -> None:
        from safetensors import flax

        self._module = flax

    def save(self, path: Path, tree: Any) -> None:
        self._module.save_file(_named(arrays_of(tree)), str(path))

    def load(self, path: Path, template: Any) -> Any:
        return with_arrays(template, _listed(self._module.load_file(str(path))))


class NumPySafetensors(Safetensors):
    title = "`safetensors.numpy.save_file`, `load_file`; a flat dict"

    def __init__(self) -> None:
        import safetensors.numpy

        self._module = safetensors.numpy

    def save(self, path: Path, tree: Any) -> None:
        self._module.save_file(_named(_on_host(tree)), str(path))

    def load(self, path: Path, template: Any) -> Any:
        arrays = _listed(self._module.load_file(str(path)))
        return with_arrays(template, jax.device_put(arrays))


class Pickle(Peer):
    title = "`pickle.dump`, protocol 5, of the whole tree with NumPy arrays"
    file = "tree.pickle"

    def save(self, path: Path, tree: Any) -> None:
        with open(path, "wb") as file:
            self._dump(jax.device_get(tree), file)

    def _dump(self, tree: Any, file: Any) -> None:
        pickle.dump(tree, file, protocol=5)

    def load(self, path: Path, template: Any) -> Any:
        with open(path, "rb") as file:
            return _put(pickle.load(file))


class Cloudpickle(Pickle):
    title = "`cloudpickle.dump` of the whole tree with NumPy arrays"
    packages = ("cloudpickle",)

    def __init__(self) -> None:
        import cloudpickle

        self._module = cloudpickle

    def _dump(self, tree: Any, file: Any) -> None:
        self._module.dump(tree, file, protocol=5)


class Joblib(Peer):
    title = "`joblib.dump`, `load`, of the whole tree with NumPy arrays"
    packages = ("joblib",)
    file = "tree.joblib"

    def __init__(self) -> None:
        import joblib

        self._module = joblib

    def save(self, path: Path, tree: Any) -> None:
        self._module.dump(jax.device_get(tree), path)

    def load(self, path: Path, template: Any) -> Any:
        return _put(self._module.load(path))


class Orbax(Peer):
    title = "`StandardCheckpointer`, waiting until it has finished; arrays only"
    packages = ("orbax-checkpoint",)

    def __init__(self) -> None:
        import orbax.checkpoint

        self._checkpointer = orbax.checkpoint.StandardCheckpointer()

    def save(self, path: Path, tree: Any) -> None:
        self._checkpointer.save(path.absolute(), _tree_of_arrays(tree))
        self._checkpointer.wait_until_finished()

    def load(self, path: Path, template: Any) -> Any:
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        wanted = jtu.tree_map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here),
            _tree_of_arrays(template),
        )
        arrays = self._checkpointer.restore(path.absolute(), wanted)
        return with_arrays(template, arrays_of(arrays))


class Flax(Peer):
    title = "`flax.serialization.to_bytes`, `msgpack_restore`; a flat dict"
    packages = ("flax",)
    file = "tree.msgpack"

    def __init__(self) -> None:
        import flax.serialization

        self._module = flax.serialization

    def save(self, path: Path, tree: Any) -> None:
        path.write_bytes(self._module.to_bytes(_named(_on_host(tree))))

    def load(self, path: Path, template: Any) -> Any:
        arrays = _listed(self._module.msgpack_restore(path.read_bytes()))
        return with_arrays(template, jax.device_put(arrays))


class H5py(Peer):
    title = "`h5py`, a dataset for each array"
    packages = ("h5py",)
    file = "tree.h5"

    def __init__(self) -> None:
        import h5py

        self._module = h5py

    def save(self, path: Path, tree: Any) -> None:
        with self._module.File(path, "w") as file:
            for name, array in _named(_on_host(tree)).items():
                file.create_dataset(name, data=array)

    def load(self, path: Path, template: Any) -> Any:
        with self._module.File(path, "r") as file:
            arrays = [file[str(i)][()] for i in range(len(file))]
        return with_arrays(template, jax.device_put(arrays))


class Asdf(Peer):
    title = "`asdf.AsdfFile.write_to`, `asdf.open`; a list of arrays"
    packages = ("asdf",)
    file = "tree.asdf"

    def __init__(self) -> None:
        import asdf

        self._module = asdf

    def save(self, path: Path, tree: Any) -> None:
        self._module.AsdfFile({"arrays": _on_host(tree)}).write_to(path)

    def load(self, path: Path, template: Any) -> Any:
        with self._module.open(path, lazy_load=False, memmap=False) as file:
            arrays = [np.asarray(array) for array in file["arrays"]]
        return with_arrays(template, jax.device_put(arrays))


class Npz(Peer):
    title = "`np.savez`, `np.load`; a flat dict"
    packages = ("numpy",)
    file = "tree.npz"

    def save(self, path: Path, tree: Any) -> None:
        np.savez(path, **_named(_on_host(tree)))

    def load(self, path: Path, template: Any) -> Any:
        with np.load(path) as file:
            arrays = [file[str(i)] for i in range(len(file.files))]
        return with_arrays(template, jax.device_put(arrays))


class Jaxon(Peer):
    title = "`jaxon.save`, `load`, of the whole tree; functions by dill"
    packages = ("jaxon",)
    file = "tree.hdf5"

    def __init__(self) -> None:
        import jaxon

        self._module = jaxon

    def save(self, path: Path, tree: Any) -> None:
        self._module.save(str(path), tree, allow_dill=True)

    def load(self, path: Path, template: Any) -> Any:
        return self._module.load(str(path), allow_dill=True)


class Bare(Peer):
    """The bytes of the arrays and system calls only: what nobody can be faster than.

    A load fills one array in fresh and aligned memory, in which nothing is found yet.
    """

    title = "`write` of the same bytes; `readinto` a fresh array, one thread"
    file = "tree.bytes"
    reserve = False
    threads = 1

    def save(self, path: Path, tree: Any) -> None:
        buffers = [_bytes_of(array) for array in arrays_of(tree)]
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            if self.reserve:
                size = sum(len(buffer) for buffer in buffers)
                os.posix_fallocate(descriptor, 0, size)
            _write(descriptor, buffers)
            if self.durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def load(self, path: Path, template: Any) -> Any:
        size = size_of(template)
        array = _aligned(size)
        whole = memoryview(array)
        piece = -(-size // self.threads // 4096) * 4096
        descriptor = os.open(path, os.O_RDONLY)
        try:
            readers = [
                threading.Thread(target=_read, args=(descriptor, whole, start, piece))
                for start in range(piece, size, piece)
            ]
            for reader in readers:
                reader.start()
            _read(descriptor, whole, 0, piece)
            for reader in readers:
                reader.join()
        finally:
            os.close(descriptor)
        return array


class ReservedBare(Bare):
    title = "`posix_fallocate` and `write`; `readinto` a fresh array, two threads"
    reserve = True
    threads = 2


class DurableBare(Bare):
    title = "`write` and `fsync`; `readinto` a fresh array, one thread"
    durable = True


PEERS: dict[str, type[Peer]] = {
    "zodiax_io": ZodiaxIO,
    "zodiax_io-durable": DurableZodiaxIO,
    "equinox": Equinox,
    "safetensors": Safetensors,
    "safetensors-numpy": NumPySafetensors,
    "pickle": Pickle,
    "cloudpickle": Cloudpickle,
    "joblib": Joblib,
    "orbax": Orbax,
    "flax": Flax,
    "h5py": H5py,
    "asdf": Asdf,
    "npz": Npz,
    "jaxon": Jaxon,
    "bare": Bare,
    "bare-reserved": ReservedBare,
    "bare-fsync": DurableBare,
}


def _named(arrays: Iterable[Any]) -> dict[str, Any]:
    return {str(number): array for number, array in enumerate(arrays)}


def _listed(arrays: dict[str, Any]) -> list[Any]:
    return [arrays[str(number)] for number in range(len(arrays))]


def _on_host(tree: Any) -> list[np.ndarray]:
    """The arrays of a tree as NumPy's; on a CPU they share their memory."""
    return [np.asarray(array) for array in arrays_of(tree)]


def _put(tree: Any) -> Any:
    """The tree with JAX arrays for those of NumPy."""
    return with_arrays(tree, jax.device_put(arrays_of(tree)))


def _tree_of_arrays(tree: Any) -> Any:
    kinds = (jax.Array, jax.ShapeDtypeStruct)
    return eqx.filter(tree, lambda leaf: isinstance(leaf, kinds))


def _bytes_of(array: Any) -> memoryview:
    return memoryview(np.asarray(array).reshape(-1).view(np.uint8))


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size]


def _write(descriptor: int, buffers: list[memoryview]) -> None:
    waiting = buffers[::-1]
    while waiting:
        batch = [waiting.pop() for _ in range(min(_VECTORS, len(waiting)))]
        done = os.writev(descriptor, batch)
        while batch and done >= len(batch[0]):
            done -= len(batch.pop(0))
        if batch:  # a part of them was taken
            batch[0] = batch[0][done:]
            waiting += batch[::-1]


def _read(descriptor: int, whole: memoryview, start: int, length: int) -> None:
    end = min(start + length, len(whole))
    while start < end:
        piece = whole[start : min(start + _MOST, end)]
        count = os.preadv(descriptor, [piece], start)
        if count == 0:
            raise EOFError("the file is too short")
        start += count
