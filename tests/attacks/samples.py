"""A dozen honest files, to be changed into hostile ones."""

import collections
import contextlib
import datetime as dt
import decimal
import fractions
import functools
import io
import pathlib
import types
import typing
import uuid
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

import zodiax_io
from zodiax_io._api.save import save_with_extras

from . import lab

TREES: dict[str, Any] = {
    "mlp": lambda: eqx.nn.MLP(1, 1, 2, 1, jax.nn.relu, key=jax.random.key(0)),
    "records": lambda: [
        lab.Settings(1.0),
        lab.Pair(1, jnp.ones(1)),
        lab.Colour.RED,
        lab.Bits.ONE | lab.Bits.TWO,
        lab.Stack(jnp.ones(1)),
    ],
    "wrappers": lambda: [
        functools.partial(jnp.sum, axis=0),
        jtu.Partial(jnp.sum, jnp.ones(2)),
        jax.jit(jnp.sin),
        jax.jit(functools.partial(jnp.sum, axis=0), static_argnums=(0,)),
        jax.vmap(jnp.dot, in_axes=(0, None)),
        jax.grad(jnp.sin),
        eqx.filter_jit(jnp.cos),
        ravel_pytree([jnp.ones(1)])[1],
    ],
    "keys": lambda: {
        "key": jax.random.key(1),
        "old": jax.random.PRNGKey(2),
        "batch": jax.random.split(jax.random.key(3), 2),
        "dtype": jnp.dtype("bfloat16"),
        "scalar": np.float32(2),
        "type": jnp.float32,
        "shape": jax.ShapeDtypeStruct((2,), jnp.float32),
        "spec": jax.sharding.PartitionSpec("x", None),
    },
    "mappings": lambda: {
        "numbered": {1: "one", (2, "b"): [2], None: 3.0},
        "ordered": collections.OrderedDict(a=1),
        "default": collections.defaultdict(list, a=[1]),
        "proxy": types.MappingProxyType({"a": 1}),
        "set": {1, "two", 3.0},
        "frozen": frozenset({b"x"}),
        "deque": collections.deque([1], 3),
        "space": types.SimpleNamespace(a=1),
    },
    "values": lambda: [
        dt.date(2026, 1, 2),
        dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC),
        dt.time(1, 2),
        dt.timedelta(1),
        dt.timezone(dt.timedelta(hours=1), "somewhere"),
        uuid.UUID(int=5),
        fractions.Fraction(1, 3),
        decimal.Decimal("1.5"),
        pathlib.PurePosixPath("a/b"),
        pathlib.Path("c"),
        slice(1, 2),
        range(3),
        2**70,
        1j,
        "text",
        b"bytes",
        bytearray(b"x"),
        ...,
        "\ud800",
    ],
    "annotations": lambda: [
        Float[Array, "batch dim"],
        list[int],
        int | None,
        typing.Callable[[int], float],
        typing.Literal["a", 1],
        typing.Annotated[int, "note"],
        dict[str, tuple[int, ...]],
        float,
        lab.Lens,
    ],
    "functions": lambda: [
        jnp.tanh,
        lab.activation,
        lab.Lens(2.0).power,
        eqx.nn.Lambda(jax.nn.gelu),
        jtu.tree_structure([1, {"a": 2}]),
        eqx.nn.State(eqx.nn.BatchNorm(1, "batch", mode="batch")),
    ],
    "arrays": lambda: [
        np.ones((2, 2), order="F"),
        jnp.ones(2, jnp.bfloat16),
        np.zeros(2, [("a", "<f4"), ("b", "<i2", (2,))]),
        np.array(["2026-01-01"], "M8[D]"),
        np.zeros(0),
        np.array(["text"]),
    ],
}

TREES["extras"] = lambda: {"weight": jnp.ones(3), "epoch": 3}


def _deep() -> Any:
    tree: Any = [jnp.tanh, np.arange(3.0)]
    for _ in range(120):
        tree = [tree]
    return tree


# Further trees, by the sample that has them.
EXTRAS: dict[str, Any] = {
    "extras": lambda: {
        "mylab.series": {"steps": [0, 10], "losses": np.arange(4.0)},
        "mylab.deep": _deep(),
        "mylab.lens": lab.Lens(2.0),
    }
}

# Attacks need no package of the field; where they are, they are attacked, too.
with contextlib.suppress(ModuleNotFoundError):
    from . import field

    TREES |= field.TREES

# What a file of a package outside the table needs.
TRUST = {"flow": ["flowjax"]}


def save(tree: Any, extras: Any = None, **options: Any) -> bytes:
    """The companion of a tree: a checkpoint by itself."""
    file = io.BytesIO()
    save_with_extras(file, tree, extras or {}, functions="warn", **options)
    return file.getvalue()


def samples() -> dict[str, bytes]:
    """Every sample as a file; those that cannot be kept here are left out."""
    files: dict[str, bytes] = {}
    for name, make in TREES.items():
        if name == "flow":
            try:
                files[name] = save(make())
            except Exception:
                continue
        else:
            try:
                extras = EXTRAS.get(name, dict)()
                notes = {"note": name, "epoch": 3}
                files[name] = save(make(), extras, metadata=notes)
            except zodiax_io.ZodiaxIOError:
                # One refused value must not cost the others.
                kept = []
                tree = make()
                for item in tree if isinstance(tree, list) else [tree]:
                    try:
                        save(item)
                    except zodiax_io.ZodiaxIOError:
                        continue
                    kept.append(item)
                files[name] = save(kept)
    return files
