"""Classes and trees of the golden files in `golden/legacy`, as their writers had them.

Imported by `golden/write_legacy.py`, which runs with zodiax 0.4 or before, and by the
tests, which run without: so it needs nothing of ours.
"""

import collections
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import optax
import zodiax


class Mirror(zodiax.Base):
    """Nothing is static but text, so nothing is lost."""

    UNIT: ClassVar[str] = "m"
    COUNT: ClassVar[int] = 3
    surface: Any
    radius: float
    material: str = eqx.field(static=True)
    tags: tuple = eqx.field(static=True)


class Outer(zodiax.Base):
    """Holds a class within a class, which holds no field."""

    class Empty(zodiax.Base):
        pass

    class Inner(zodiax.Base):
        x: Any

    inner: Any
    empty: Any


class Detector(zodiax.Base):
    """Its static numbers are lost; the file says only that there were some."""

    gain: Any
    pixels: int = eqx.field(static=True)
    shape: tuple = eqx.field(static=True)
    name: str = eqx.field(static=True)
    flat: Any = eqx.field(static=True)


class Counter(zodiax.Base):
    """Only its class tells which of the two numbers a file holds."""

    most: int = eqx.field(static=True)
    count: int


class Point(NamedTuple):
    x: Any
    y: Any


class Script(zodiax.Base):
    """What the writer has in its `__main__`."""

    x: Any


def models():
    """Modules within lists, tuples and dictionaries."""

    def mirror(radius):
        # In NumPy, since releases of JAX divide by a constant each in its own way.
        sevenths = np.arange(6, dtype=np.float32) * np.float32(1 / 7)
        surface = jnp.asarray(sevenths.reshape(2, 3))
        return Mirror(surface, radius, "glass", ("primary", "é"))

    return {
        "mirrors": [mirror(0.1), mirror(-0.0)],
        "outer": Outer(Outer.Inner((1, (2.5, None))), Outer.Empty()),
        "layers": collections.OrderedDict(b=jnp.ones(2), a=jnp.int32(3)),
        "none": None,
        "point": Point(jnp.float32(1.5), [True]),
    }


def containers():
    """Keys of all kinds, in an order that is not JAX's."""
    return {
        "numbered": {3: 1.0, 1: jnp.arange(2), 2: "two"},
        "pairs": {(2, "b"): 1, (1, "a"): 2.0},
        "halves": {0.5: (), -1.5: []},
        "flags": {True: 1j, False: {}},
        "one": {None: 1},
        "": {"ü": {"z": 1, "a": 2.0}},
        "nested": ((((1,),),), [[[2.0]]]),
    }


def values():
    """Numbers of Python and NumPy, to the bit."""
    return [
        *(True, False, 0, -1, 2**62, -(2**63), 2**63, 0.1, -0.0, 1e-320),
        *(float("nan"), float("inf"), 1j, complex(-0.0, float("nan")), None, "", "ü\n"),
        *(np.float32(0.1), np.float64(0.1), np.int8(-3), np.uint16(9), np.bool_(True)),
        *(np.complex64(1j), np.float16(2), np.int64(5), np.complex128(-1j)),
    ]


def arrays():
    """Arrays of all dtypes that could be kept, in 64 bits."""
    names = ("bool", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
    names += ("complex64", "complex128")
    return {
        "jax": [jnp.asarray(np.arange(3).astype(name)) for name in names],
        "numpy": [np.arange(4).astype(name).reshape(2, 2) for name in names],
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">f4"),
        "empty": [np.zeros((0, 3)), jnp.zeros((2, 0))],
        "scalar": jnp.float64(0.1),
    }


def optimiser():
    """The state of an optimiser, of namedtuples and one without fields."""
    state = optax.adam(1e-3).init({"b": jnp.zeros(()), "w": jnp.ones(2)})
    return [state, {"b": jnp.zeros(()), "w": jnp.ones(2)}, 7]


def lost():
    """Static fields of which the file holds nothing but that they were there."""
    return Detector(jnp.ones(2), 5, (4, 4), "ccd", np.ones(3))


def ambiguous():
    """A number of which the file alone does not tell whose it is."""
    return [Counter(5, 1), Counter(6, 2)]


def script():
    """A class of the script that wrote the file."""
    return [Script(jnp.ones(1)), 2]


TREES = {
    tree.__name__: tree
    for tree in (
        *(models, containers, values, arrays, optimiser, lost, ambiguous, script),
    )
}
