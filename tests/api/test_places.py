"""Where loaded arrays lie: in a mapped file, in NumPy, on devices and across them."""

import io
import os
import socket
import subprocess
import sys
import textwrap
import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest
from documents import Checkpoint
from equality import differences
from hypothesis import given
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding
from strategies import arrays, trees

import zodiax_io
from zodiax_io import ArgumentError, deserialise, serialise

# Mapped -------------------------------------------------------------------------------


@given(trees)
def test_a_lazy_load_gives_the_same_tree(tmp_path_factory, tree):
    """But for the memory, and that NumPy arrays cannot be written to."""
    path = tmp_path_factory.mktemp("lazy") / "tree.zdx"
    serialise(path, tree)
    eager, lazy = deserialise(path), deserialise(path, lazy=True)
    found = [x for x in differences(eager, lazy) if "the flags" not in x]
    assert found == []


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "bool", "int8", "complex64"])
def test_jax_shares_the_mapping(tmp_path, dtype):
    """A JAX array lies in the mapped file; computing with it leaves the file alone."""
    tree = [jnp.ones((64, 64), dtype), jnp.zeros(3, dtype)]
    serialise(tmp_path / "m", tree)
    before = (tmp_path / "m.eqx").read_bytes()
    loaded = deserialise(tmp_path / "m", lazy=True)
    with open("/proc/self/maps") as maps:
        lines = [line for line in maps if line.rstrip().endswith("m.eqx")]
    (low, high) = (int(text, 16) for text in lines[0].split()[0].split("-"))
    for array in loaded:
        assert low <= array.unsafe_buffer_pointer() < high
    donated = jax.jit(lambda x: x + x, donate_argnums=0)(loaded[0])
    assert differences(tree[0] + tree[0], donated) == []
    assert (tmp_path / "m.eqx").read_bytes() == before


def test_numpy_arrays_of_a_mapping_are_read_only(tmp_path):
    """Writing into one is an error, and no change of the file."""
    serialise(tmp_path / "m", np.arange(5))
    loaded = deserialise(tmp_path / "m", lazy=True)
    with pytest.raises(ValueError, match="read-only"):
        loaded[0] = 7
    assert deserialise(tmp_path / "m").tolist() == [0, 1, 2, 3, 4]


def test_a_mapping_survives_what_becomes_of_the_file(tmp_path):
    """A save over it, a removal: the arrays stay what they were."""
    path = tmp_path / "m.zdx"
    serialise(path, {"a": jnp.arange(100_000), "b": np.arange(100_000)})
    loaded = deserialise(path, lazy=True)
    serialise(path, {"a": jnp.zeros(100_000, int), "b": np.zeros(100_000, int)})
    path.unlink()
    path.with_suffix(".eqx").unlink()
    for array in loaded.values():
        assert array.tolist() == list(range(100_000))


def test_a_lazy_load_reads_no_array(tmp_path):
    """Damage of an array is not seen, and `verify` finds it; that of the end is."""
    serialise(tmp_path / "m", {"a": np.arange(1000)})
    companion = tmp_path / "m.eqx"
    data = bytearray(companion.read_bytes())
    data[500] ^= 1
    companion.write_bytes(data)
    assert len(deserialise(tmp_path / "m", lazy=True)["a"]) == 1000
    assert len(zodiax_io.verify(tmp_path / "m")) == 1
    data[-100] ^= 1
    companion.write_bytes(data)
    with pytest.raises(zodiax_io.CorruptFileError):
        deserialise(tmp_path / "m", lazy=True)


def test_a_lazy_part(tmp_path):
    """`only`, `like` and `as_numpy` may be lazy, too."""
    serialise(tmp_path / "m", {"a": jnp.arange(3), "b": jnp.ones(2)})
    assert deserialise(tmp_path / "m", only="a", lazy=True).tolist() == [0, 1, 2]
    like = {"a": jnp.zeros(3, int), "b": jnp.zeros(2)}
    assert deserialise(tmp_path / "m", like=like, lazy=True)["b"].tolist() == [1, 1]
    found = deserialise(tmp_path / "m", as_numpy=True, lazy=True)["a"]
    assert type(found) is np.ndarray and not found.flags.writeable


def test_what_cannot_be_lazy(tmp_path):
    """A file object, and a load that looks at everything."""
    serialise(tmp_path / "m", [1])
    with pytest.raises(ArgumentError, match="it needs a path"):
        deserialise(io.BytesIO((tmp_path / "m.eqx").read_bytes()), lazy=True)
    with pytest.raises(ArgumentError, match="which reads all data"):
        deserialise(tmp_path / "m", lazy=True, damaged="skip")


def test_a_file_that_cannot_be_mapped(tmp_path, monkeypatch):
    """Some file systems map nothing: an error that says what to do."""
    serialise(tmp_path / "m", jnp.ones(3))

    def refuse(*_, **__):
        raise OSError(19, "No such device")

    monkeypatch.setattr(zodiax_io._files.sources.mmap, "mmap", refuse)
    with pytest.raises(zodiax_io.ReadError, match="Load it without `lazy=True`"):
        deserialise(tmp_path / "m", lazy=True)


# NumPy --------------------------------------------------------------------------------


@given(arrays)
def test_arrays_as_numpy(array):
    """The same values, shape and dtype, in memory of their own; keys stay keys."""
    file = io.BytesIO()
    serialise(file, [array])
    file.seek(0)
    (found,) = deserialise(file, as_numpy=True)
    if jnp.issubdtype(array.dtype, jax.dtypes.prng_key):
        assert differences(array, found) == []
        return
    assert type(found) is np.ndarray
    expected = array if type(array) is np.ndarray else np.array(array)
    assert differences(expected, found) == []


def test_numpy_needs_no_wide_jax(tmp_path):
    """64-bit JAX arrays load as NumPy's where JAX is set to 32 bits."""
    with jax.enable_x64(True):
        serialise(tmp_path / "m", jnp.arange(2.0))
    with pytest.raises(zodiax_io.SettingsError):
        deserialise(tmp_path / "m")
    assert deserialise(tmp_path / "m", as_numpy=True).dtype == np.float64


# Devices ------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["cpu", jax.devices("cpu")[0]])
def test_a_device(tmp_path, device):
    """All JAX arrays are committed to it, static ones and keys as well; no other."""
    tree = {"a": jnp.ones(3), "k": jr.key(0), "n": np.ones(2), "w": jnp.asarray(1)}
    serialise(tmp_path / "m", tree)
    loaded = deserialise(tmp_path / "m", device=device)
    assert [loaded[name].committed for name in "akw"] == [True] * 3
    assert type(loaded["n"]) is np.ndarray
    assert loaded["w"].weak_type


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "abacus"}, "no device 'abacus'"),
        ({"device": 3}, "one of `jax.devices"),
        ({"sharding": 3}, "not a `int`"),
        ({"sharding": {"a": None}}, "without any"),
        ({"device": "cpu", "as_numpy": True}, "`as_numpy` and `device`"),
        ({"sharding": 3, "device": "cpu"}, "`device` and `sharding`"),
        ({"sharding": jnp.ones(3)}, "without any"),
        ({"device": np.ones(3)}, "one of `jax.devices"),
        ({"device": ""}, "one of `jax.devices"),
        ({"lazy": "no"}, "`lazy` is True or False"),
        ({"as_numpy": 1}, "`as_numpy` is True or False"),
        ({"verify": None}, "`verify` is True or False"),
    ],
)
def test_places_that_are_none(tmp_path, options, message):
    """Said before anything is read."""
    serialise(tmp_path / "m", {"a": jnp.ones(3)})
    with pytest.raises(ArgumentError, match=message):
        deserialise(tmp_path / "m", **options)


def test_a_tree_of_shardings(tmp_path):
    """Beside the model, or one for a subtree; elsewhere arrays are free."""
    model = eqx.nn.MLP(2, 2, 4, 1, key=jr.key(0))
    serialise(tmp_path / "m", {"model": model, "state": (jnp.ones(2), {"n": 3})})
    where = SingleDeviceSharding(jax.devices("cpu")[0])
    committed = {
        "all": where,
        "model": {"model": where},
        "weights": {
            "model": eqx.tree_at(
                lambda m: [layer.weight for layer in m.layers],
                jtu.tree_map(lambda _: None, model),
                [where, where],
                is_leaf=lambda x: x is None,
            )
        },
        "state": {"model": None, "state": (where, None)},
    }
    found = {}
    for name, sharding in committed.items():
        loaded = deserialise(tmp_path / "m", sharding=sharding)
        layer, state = loaded["model"].layers[0], loaded["state"][0]
        found[name] = [a.committed for a in (layer.weight, layer.bias, state)]
    assert found == {
        "all": [True, True, True],
        "model": [True, True, False],
        "weights": [True, False, False],
        "state": [False, False, True],
    }
    part = deserialise(tmp_path / "m", only="state", sharding=(where,))
    assert part[0].committed
    with pytest.raises(ArgumentError, match=r"model\['nowhere'\]`, where m.eqx has no"):
        deserialise(tmp_path / "m", sharding={"nowhere": where})


def test_a_shared_array_has_one_sharding(tmp_path):
    """One array cannot be at two places; twice the same is well."""
    shared = jnp.ones(4)
    serialise(tmp_path / "m", {"a": shared, "b": shared})
    device = jax.devices("cpu")[0]
    one, same = SingleDeviceSharding(device), SingleDeviceSharding(device)
    mesh = Mesh(np.array([device]), ("x",))
    other = NamedSharding(mesh, PartitionSpec("x"))
    loaded = deserialise(tmp_path / "m", sharding={"a": one, "b": same})
    assert loaded["a"] is loaded["b"]
    with pytest.raises(ArgumentError, match="another place than"):
        deserialise(tmp_path / "m", sharding={"a": one, "b": other})


def test_a_dictionary_stands_for_an_object(tmp_path):
    """A sharding for one field of a Module needs no Module of shardings."""
    serialise(tmp_path / "m", {"net": eqx.nn.Linear(2, 2, key=jr.key(0))})
    where = SingleDeviceSharding(jax.devices("cpu")[0])
    net = deserialise(tmp_path / "m", sharding={"net": {"weight": where}})["net"]
    assert net.weight.committed and not net.bias.committed


def test_random_keys_are_placed_by_their_own_shape(tmp_path):
    """Not by that of their data, which has one dimension more."""
    serialise(tmp_path / "m", jr.split(jr.key(0), 4))
    mesh = Mesh(np.array(jax.devices("cpu")[:1]).reshape(1, 1), ("x", "y"))
    good = NamedSharding(mesh, PartitionSpec("x"))
    assert deserialise(tmp_path / "m", sharding=good).sharding == good
    like = jax.ShapeDtypeStruct((4,), jr.key(0).dtype, sharding=good)
    assert deserialise(tmp_path / "m", like=like).sharding == good
    wrong = NamedSharding(mesh, PartitionSpec("x", "y"))
    with pytest.raises(ArgumentError, match=r"random keys at `model` of shape \(4,\)"):
        deserialise(tmp_path / "m", sharding=wrong)


def test_a_sharding_that_an_array_cannot_have(tmp_path):
    """The error says which array it is."""
    serialise(tmp_path / "m", {"a": jnp.ones((4, 2)), "b": jnp.ones(())})
    mesh = Mesh(np.array(jax.devices("cpu")[:1]), ("x",))
    sharding = NamedSharding(mesh, PartitionSpec("x", None))
    with pytest.raises(ArgumentError, match=r"array at `model\['b'\]` of shape \(\)"):
        deserialise(tmp_path / "m", sharding=sharding)


EIGHT = textwrap.dedent(
    """
    import sys, warnings
    import jax, jax.numpy as jnp, numpy as np
    import zodiax_io
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

    warnings.simplefilter("error")
    step, path, *count = sys.argv[1:]
    devices = jax.devices("cpu")
    mesh = Mesh(np.array(devices).reshape(-1, 2 if len(devices) > 1 else 1), ("x", "y"))
    values = np.arange(64, dtype=np.float32).reshape(8, 8)
    specs = {
        "rows": P("x"), "both": P("x", "y"), "columns": P(None, "y"), "copies": P(),
    }
    shardings = {name: NamedSharding(mesh, spec) for name, spec in specs.items()}
    if step == "save":
        tree = {n: jax.device_put(values + i, s) for i, (n, s) in
                enumerate(shardings.items())}
        tree["half"] = jax.device_put(tree["both"].astype(jnp.bfloat16))
        tree["keys"] = jax.device_put(
            jax.random.split(jax.random.key(0), 8), NamedSharding(mesh, P("x")))
        zodiax_io.serialise(path, tree)
        tree["keys"] = jax.random.key_data(tree["keys"])
        plain = {name: np.asarray(array) for name, array in tree.items()}
        zodiax_io.serialise(path + ".plain", plain)
        sys.exit()
    plain = zodiax_io.deserialise(path + ".plain")
    def same(loaded):
        found = {**loaded, "keys": jax.random.key_data(loaded["keys"])}
        for name, array in plain.items():
            assert np.asarray(found[name]).tobytes() == array.tobytes(), name
        return loaded
    loaded = same(zodiax_io.deserialise(path))
    assert all(a.devices() == {devices[0]} for a in loaded.values())
    for lazy in (False, True):
        loaded = same(zodiax_io.deserialise(path, sharding=shardings, lazy=lazy))
        for name, sharding in shardings.items():
            assert loaded[name].sharding == sharding
    one = same(zodiax_io.deserialise(path, sharding=NamedSharding(mesh, P("x"))))
    assert len(one["keys"].devices()) == len(one["rows"].devices()) == len(devices)
    last = same(zodiax_io.deserialise(path, device=devices[-1]))
    assert all(a.devices() == {devices[-1]} for a in last.values())
    again = same(zodiax_io.deserialise(path, like=one))
    assert again["keys"].sharding == one["keys"].sharding
    zodiax_io.serialise(path + ".again", again)
    same(zodiax_io.deserialise(path + ".again"))
    """
)


def run_on(devices, *arguments):
    """A process of so many devices."""
    environment = {
        **os.environ,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", EIGHT, *map(str, arguments)],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("there", "here"), [(8, 1), (1, 8), (8, 2)])
def test_from_some_devices_to_others(tmp_path, there, here):
    """Eight devices, one, and back, without a word; the bytes are the same."""
    run_on(there, "save", tmp_path / "model")
    run_on(here, "load", tmp_path / "model")
    if there == 1:
        run_on(8, "save", tmp_path / "other")
        mine, other = (
            Checkpoint.apart((tmp_path / f"{name}.eqx").read_bytes()).records
            for name in ("model", "other")
        )
        assert mine == other


PROCESSES = textwrap.dedent(
    """
    import io, sys, warnings
    import jax
    rank, port, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    import jax.numpy as jnp, numpy as np
    import zodiax_io
    from jax.experimental.multihost_utils import sync_global_devices
    from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
    from jax.sharding import SingleDeviceSharding

    warnings.simplefilter("error", zodiax_io.ZodiaxIOWarning)
    devices = sorted(jax.devices(), key=lambda device: device.process_index)
    mesh = Mesh(np.array(devices).reshape(2, 2), ("hosts", "devices"))
    values = np.arange(8, dtype=np.float32).reshape(4, 2)
    keys = jax.random.key_data(jax.random.split(jax.random.key(0), 4))
    def over(make, *axes):
        return jax.jit(make, out_shardings=NamedSharding(mesh, P(*axes)))()
    def split():
        return jax.random.split(jax.random.key(0), 4)
    tree = {
        "copies": over(lambda: jnp.asarray(values)),
        "rows": over(lambda: jnp.asarray(values), "devices"),
        "columns": over(lambda: jnp.asarray(values), None, "devices"),
        "half": over(lambda: jnp.asarray(values, jnp.bfloat16), "devices"),
        "nibbles": over(lambda: jnp.asarray(values, jnp.int4)),
        "weak": over(lambda: jnp.asarray(1.5)),
        "nothing": over(lambda: jnp.zeros((0, 4)), None, "devices"),
        "keys": over(split, "devices"),
        "key": over(lambda: jax.random.key(0)),
    }
    plain = {name: values for name in ("copies", "rows", "columns", "half", "nibbles")}
    plain |= {"weak": np.float32(1.5), "nothing": np.zeros((0, 4), np.float32)}
    plain |= {"keys": keys, "key": jax.random.key_data(jax.random.key(0))}
    path = f"{folder}/{rank}.zdx"
    zodiax_io.serialise(path, tree)
    alone = zodiax_io.deserialise(path)
    assert alone["weak"].weak_type
    for name, array in alone.items():
        if "key" in name:
            array = jax.random.key_data(array)
        found = np.asarray(array).astype(plain[name].dtype)
        assert found.tobytes() == plain[name].tobytes(), name
    assert not zodiax_io.diff(path, tree)
    zodiax_io.summarise(tree, values=True)
    for name, make, axes, words in [
        ("hosts", lambda: jnp.asarray(values), ("hosts",), "Parts of it are on"),
        ("both", lambda: jnp.asarray(values), ("devices", "hosts"), "Parts of it are"),
        ("keys", split, ("hosts",), "Parts of it are on"),
    ]:
        array = over(make, *axes)
        try:
            zodiax_io.serialise(f"{folder}/no", {"a": array})
            raise SystemExit(f"saved {name}")
        except zodiax_io.SerialisationError as error:
            assert f"at `model['a']`. {words}" in str(error), error
    one = SingleDeviceSharding(devices[0])
    there = jax.make_array_from_callback(
        (2,), one, lambda index: values[0][index], dtype=np.float32)
    try:
        zodiax_io.serialise(io.BytesIO(), there)
        assert rank == 0
    except zodiax_io.SerialisationError as error:
        assert rank == 1 and "`model`. It is on other hosts. Gather it" in str(error)
    # One process may load onto the devices of all, without the others.
    for turn in range(2):
        if turn == rank:
            places = {name: array.sharding for name, array in tree.items()}
            for options in ({"like": tree}, {"sharding": places}):
                loaded = zodiax_io.deserialise(path, **options)
                assert {n: a.sharding for n, a in loaded.items()} == places
                assert not zodiax_io.diff(path, {n: loaded[n] for n in tree})
        sync_global_devices(f"turn {turn}")
    print("done")
    """
)


def test_several_processes_each_save_what_they_hold(tmp_path):
    """Arrays of which each process has all values save and load in any of them.

    Those of which a part lives elsewhere are refused.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESSES, str(rank), str(port), str(tmp_path)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        ends = [process.communicate(timeout=120) for process in running]
    finally:
        for process in running:
            process.kill()
    assert all(out.endswith("done\n") for out, _ in ends), [err for _, err in ends]
    first, second = ((tmp_path / f"{rank}.eqx").read_bytes() for rank in range(2))
    assert first == second


def test_an_empty_array_over_several_devices(tmp_path):
    """It has no values, whatever JAX makes of its shards."""
    code = """
import sys, jax, jax.numpy as jnp, zodiax_io
from jax.sharding import NamedSharding, PartitionSpec as P
place = NamedSharding(jax.make_mesh((2,), ("x",)), P(None, "x"))
tree = {"empty": jax.jit(lambda: jnp.zeros((0, 4)), out_shardings=place)()}
zodiax_io.serialise(sys.argv[1], tree)
assert zodiax_io.deserialise(sys.argv[1])["empty"].shape == (0, 4)
"""
    environment = {
        **os.environ,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-c", code, tmp_path / "m"]
    done = subprocess.run(
        command, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_saving_keeps_no_copy_on_the_host(tmp_path):
    """What NumPy made of an array is not kept with it: a save is no leak."""
    array = jnp.arange(6.0).reshape(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        serialise(tmp_path / "m", array)
    assert getattr(array, "_npy_value", None) is None
