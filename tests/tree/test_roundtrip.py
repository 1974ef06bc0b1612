"""What holds of every tree: it comes back, to the bit, and the same each time."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import msgpack
import numpy as np
from equality import differences, survives, treedef_differences
from hypothesis import given
from strategies import arrays, flattenable_trees, trees

import zodiax_io


def saved(tree: Any) -> bytes:
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    return file.getvalue()


@given(trees)
def test_what_is_loaded_is_what_was_saved(tree):
    """A tree comes back the same in every node, static fields and sharing included."""
    survives(tree)


@given(arrays)
def test_every_array_comes_back(array):
    """Arrays come back by their bits, whatever their dtype, shape and order."""
    survives([array, array])


@given(trees)
def test_a_second_round_trip_gives_the_same_bytes(tree):
    """Saving what was loaded writes the very same file."""
    first = saved(tree)
    assert saved(zodiax_io.deserialise(io.BytesIO(first))) == first


@given(trees)
def test_a_structure_is_plain_data_and_the_same_each_time(tree):
    """A structure depends on its tree alone, and msgpack gives it back as it was."""
    structure = zodiax_io.build_structure(tree)
    packed = msgpack.packb(structure)
    assert msgpack.packb(zodiax_io.build_structure(tree)) == packed
    assert differences(structure, msgpack.unpackb(packed, strict_map_key=True)) == []


def described(leaf: Any) -> Any:
    if isinstance(leaf, (jax.Array, np.ndarray, jax.ShapeDtypeStruct)):
        return leaf.shape, leaf.dtype
    return type(leaf)


@given(flattenable_trees)
def test_a_structure_loads_as_a_skeleton(tree):
    """`load_structure` gives the same tree, with shapes where its arrays were."""
    skeleton = zodiax_io.load_structure(zodiax_io.build_structure(tree))
    expected = [described(leaf) for leaf in jtu.tree_leaves(tree)]
    assert [described(leaf) for leaf in jtu.tree_leaves(skeleton)] == expected


def test_a_skeleton_has_the_treedef_of_its_tree():
    """What `load_structure` gives can be combined with the tree by `jax.tree.map`."""
    model = eqx.nn.MLP(2, 2, 4, 2, key=jax.random.key(0))
    skeleton = zodiax_io.load_structure(zodiax_io.build_structure(model))
    assert treedef_differences(model, skeleton) == []
    assert differences(eqx.filter_eval_shape(lambda: model), skeleton) == []


def test_saving_changes_nothing():
    """The tree that was saved is the same after it."""
    array = np.arange(6.0).reshape(2, 3).T
    tree = {"b": [array, jnp.ones(2)], "a": {1, 2}}
    before = {"b": [array.copy(order="F"), jnp.ones(2)], "a": {1, 2}}
    saved(tree)
    assert differences(before, tree) == []


ROOT = str(Path(zodiax_io.__file__).parents[1])
HASHED = """
import hashlib, io
import jax.numpy as jnp, msgpack
import zodiax_io

words = ["wavelength", "flux", "aperture", "basis", "detector", "noise"]
tree = {"set": set(words), "frozen": frozenset([(w, 1) for w in words] + [None, 2.5]),
        "types": {int, str, jnp.sin}, "dict": dict.fromkeys(words), "x": jnp.ones(3)}
file = io.BytesIO()
zodiax_io.serialise(file, tree)
print(hashlib.sha256(msgpack.packb(zodiax_io.build_structure(tree))).hexdigest())
print(hashlib.sha256(file.getvalue()).hexdigest())
"""


def test_bytes_do_not_depend_on_the_process():
    """Two processes whose strings hash otherwise write the same bytes."""
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", HASHED],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ROOT},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    one, other = (run.communicate(timeout=120)[0].split() for run in runs)
    assert [run.returncode for run in runs] == [0, 0]
    assert len(one) == 2 and len(one[0]) == hashlib.sha256().digest_size * 2
    assert one == other
