"""Writes the golden files of the current format; refuses to touch those that exist.

python tests/golden/write.py
python tests/golden/write.py extras    (one that a format has got since)

A golden file is never written again: it is what a release wrote, and every later
release reads it. A new format gets a new folder.
"""

import collections
import datetime
import decimal
import enum
import fractions
import functools
import math
import os
import pathlib
import sys
import types
import uuid

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import ml_dtypes
import numpy as np

from zodiax_io._api.save import save_with_extras
from zodiax_io._files import document

FOLDER = pathlib.Path(__file__).parent / f"format-{document.VERSION}"


def _numbered(tree):
    """A tree with plain numbers for its weights: no release draws others."""
    return jax.tree_util.tree_map(
        lambda x: jnp.arange(x.size, dtype=x.dtype).reshape(x.shape) / 8, tree
    )


def training():
    """A network, its optimiser's state, the step and the random key."""
    import optax

    # Of classes whose fields have not changed for years.
    one, two = (eqx.nn.Linear(2, 2, key=jr.key(seed)) for seed in (0, 1))
    model = eqx.nn.Sequential([one, eqx.nn.Lambda(jax.nn.gelu), two])
    weights, rest = eqx.partition(model, eqx.is_array)
    model = eqx.combine(_numbered(weights), rest)
    state = optax.adam(1e-3).init(eqx.filter(model, eqx.is_array))
    return {"model": model, "state": state, "step": 3, "key": jr.key(7)}


def layers():
    """Modules of Equinox, one of them shared."""
    linear = _numbered(eqx.nn.Linear(2, 2, key=jr.key(1)))
    chain = eqx.nn.Sequential([linear, eqx.nn.Lambda(jnp.tanh), linear])
    return [chain, eqx.nn.Identity(), eqx.nn.Lambda(jax.nn.relu)]


def dtypes():
    """Arrays and scalars of every dtype that a 32-bit JAX and NumPy have."""
    numpy = {
        name: np.arange(6).reshape(2, 3).astype(name)
        for name in (
            "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 "
            "float64 complex64 complex128 >i4 >f8 S3 U3"
        ).split()
    }
    extended = {
        name: np.arange(4).astype(getattr(ml_dtypes, name))
        for name in "bfloat16 float8_e4m3fn float8_e5m2 int4 uint4".split()
    }
    return {
        "numpy": numpy,
        "extended": extended,
        "times": [np.array(["2020-01-02"], "M8[D]"), np.array([3], "m8[us]")],
        "struct": np.array([(1, 2.5)], [("a", "<i4"), ("b", "<f8")]),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3), "float32"),
        "scalars": [np.float64(0.1), np.int8(-3), np.bool_(True), np.str_("text")],
        "jax": {
            name: jnp.arange(3).astype(name)
            for name in (
                "bool int8 int16 int32 uint8 uint16 uint32 float16 bfloat16 float32 "
                "complex64 float8_e4m3fn int4"
            ).split()
        },
        "weak": jnp.asarray(1.5),
        "keys": [jr.key(1), jr.key(2, impl="rbg"), jr.wrap_key_data(jnp.ones((4, 2), "uint32"))],
        "dtypes": [np.dtype("float32"), jnp.bfloat16, jr.key(0).dtype],
        "large": np.arange(20_000, dtype="float32"),
    }


def containers():
    """The containers of Python, with odd keys, shared parts and nothing in them."""
    shared = [1, 2]
    return {
        "tuple": (1, (2, ()), []),
        "dict": {1: "a", None: "b", (1, "x"): "c", False: "d", 2.5: {}},
        "order": {"z": 1, "a": 2},
        "ordered": collections.OrderedDict(b=1, a=2),
        "default": collections.defaultdict(list, {"a": [1]}),
        "proxy": types.MappingProxyType({"a": 1}),
        "sets": [{1, "a"}, frozenset({(1, 2)}), set()],
        "deque": collections.deque([1, 2], maxlen=3),
        "namespace": types.SimpleNamespace(a=1, b=[2]),
        "shared": [shared, shared],
    }


def values():
    """Plain values, to the bit."""
    return {
        "none": None,
        "bools": [True, False],
        "ints": [0, -1, 2**63, -(2**63), 2**200, -(2**200)],
        "floats": [0.1, -0.0, math.inf, -math.inf, math.nan, 5e-324],
        "complex": [1 + 2j, complex(-0.0, math.inf)],
        "text": ["", "Größe", "日本", "\ud800", "a\0b"],
        "bytes": [b"", b"\x00\xff", bytearray(b"x")],
        "constants": [..., NotImplemented],
        "slices": [slice(1, None, 2), range(1, 9, 2)],
        "dates": [datetime.date(2020, 1, 2), datetime.time(1, 2, 3, fold=1)],
        "moments": [
            datetime.datetime(2020, 1, 2, 3, 4, 5, 6),
            datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC),
            datetime.timedelta(1, 2, 3),
        ],
        "numbers": [fractions.Fraction(1, 3), decimal.Decimal("1.50")],
        "others": [uuid.UUID(int=5), pathlib.PurePosixPath("/a/b")],
    }


def functions():
    """Functions by name, what wraps them, and types."""
    import optax

    return {
        "jax": [jnp.sin, jax.nn.relu, jax.lax.add, jax.scipy.special.erf],
        "others": [np.sin, math.cos, optax.l2_loss, abs],
        "partial": functools.partial(jnp.add, 1.0, y=2.0),
        "Partial": jax.tree_util.Partial(jnp.multiply, jnp.ones(2)),
        "transformed": [jax.jit(jnp.tanh), jax.vmap(jnp.dot), jax.grad(jnp.sin)],
        "types": [int, float, dict, np.ndarray, jax.Array, eqx.nn.MLP, enum.Enum],
        "annotations": [list[int], int | None, dict[str, float]],
        "struct": jax.ShapeDtypeStruct((2, 3), "float32"),
        "treedef": jax.tree_util.tree_structure([1, {"a": (2, None)}]),
    }


def deep():
    """A tree deeper than one msgpack document nests."""
    tree = jnp.arange(3)
    for _ in range(150):
        tree = [tree]
    return tree


def extras():
    """A tree beside which the file has others."""
    return {"weights": jnp.arange(3.0), "step": 3}


TREES = {
    tree.__name__: tree
    for tree in (training, layers, dtypes, containers, values, functions, deep, extras)
}
EXTRAS = {
    "extras": {
        "mylab.series": {"steps": [0, 10], "losses": np.arange(4.0)},
        "mylab.deep": deep(),
        "mylab.nothing": None,
    }
}
METADATA = {
    "training": {"epoch": 3, "loss": [0.5, 0.25], "scores": np.arange(3.0)},
    "extras": {"epoch": 3},
}


def main(names: list[str]) -> None:
    """Write a new folder, or files that an existing one lacks."""
    there = [FOLDER] if not names else [FOLDER / f"{name}.zdx" for name in names]
    for path in there:
        if path.exists():
            sys.exit(f"{path} exists, and golden files are never written again.")
    FOLDER.mkdir(exist_ok=bool(names))
    for name in names or TREES:
        save_with_extras(
            FOLDER / name,
            TREES[name](),
            EXTRAS.get(name, {}),
            metadata=METADATA.get(name),
        )


if __name__ == "__main__":
    main(sys.argv[1:])
