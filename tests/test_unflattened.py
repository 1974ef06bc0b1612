"""Objects that only their own unflatten function can rebuild; and JAX's recursion."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from unkept import UNKEPT

import zodiax_io

HERE = Path(__file__).parent
LAB = """
import jax

UNKEPT = [lambda: None]

class Base:
    FIELDS = ("alpha", "beta", "gamma", "delta")
    support = object()  # a default that instances hide

    def __init__(self, *values, helper=None):
        self.__dict__.update(zip(self.FIELDS, values))
        self.support = "own"
        if helper:
            self.helper = UNKEPT[0]

    @classmethod
    def names(cls):
        return tuple(set(cls.FIELDS))

    def tree_flatten(self):
        names = self.names()
        return (self.__dict__[names[0]],), tuple(self.__dict__[n] for n in names[1:])

    @classmethod
    def tree_unflatten(cls, aux, children):
        made = cls(helper=cls.helped)
        made.__dict__.update(zip(cls.names(), (*children, *aux)))
        return made

@jax.tree_util.register_pytree_node_class
class Plain(Base):
    helped = False

@jax.tree_util.register_pytree_node_class
class Helped(Base):
    helped = True
"""
SAVE = """
import sys; sys.path.insert(0, sys.argv[1])
import lab, zodiax_io
zodiax_io.serialise(sys.argv[2], lab.Plain((2,), True, "text", 1.5))
try:
    zodiax_io.serialise(sys.argv[2] + "h", lab.Helped((2,), 1, "x", 1.5, helper=True))
except zodiax_io.SerialisationError as error:
    assert str(error) == (
        "Cannot serialise a `lab.Helped` at `model`. `lab.Helped` flattens by way of a "
        "set (in `Base.names`), whose order changes from process to process: its "
        "attributes could be exchanged. Register a kind for it with "
        "`zodiax_io.register_kind`."
    )
else:
    raise AssertionError("kept, though its attributes could change places")
"""
LOAD = """
import sys; sys.path.insert(0, sys.argv[1])
import lab, zodiax_io
for path in sys.argv[2:]:
    held = vars(zodiax_io.deserialise(path))
    assert [held[n] for n in lab.Base.FIELDS] == [(2,), True, "text", 1.5], held
    assert type(held["beta"]) is bool and held["support"] == "own"
"""


def _run(script: str, seed: int, *args: Any) -> str:
    env = {**os.environ, "PYTHONHASHSEED": str(seed), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, args)],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain_values_keep_their_places_in_every_process(tmp_path):
    """A class that flattens through a set comes back, or is refused when saved."""
    (tmp_path / "lab.py").write_text(LAB)
    paths = [tmp_path / f"{seed}.zdx" for seed in (1, 2, 3)]
    for seed, path in enumerate(paths, start=1):
        _run(SAVE, seed, tmp_path, path)
    for seed in (1, 2, 3):
        _run(LOAD, seed, tmp_path, *paths)


SETS = """
import collections, dataclasses, enum, functools, hashlib, io, sys
from typing import Any, NamedTuple
import equinox as eqx, jax.numpy as jnp, numpy as np, zodiax_io

@dataclasses.dataclass(frozen=True)
class Key:
    name: Any

@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    name: Any

class Pair(NamedTuple):
    one: Any
    two: Any = 0

class Model(eqx.Module):
    name: Any = eqx.field(static=True)

class Mode(enum.Enum):
    A, B, C, D = "abcd"

names = "abcdef"
sets = [{make(n) for n in names} for make in (
    Key, Slotted, Pair, Model, lambda n: (n, Key(n)), lambda n: Key(Pair(n, Key(n))),
    lambda n: frozenset([n, Key(n)]), np.str_, lambda n: Key(frozenset([n, "x"])),
)]
sets += [{np.float32(i) for i in range(9)}, {*Mode}, {Key(m) for m in Mode}]
sets += [{jnp.sin, jnp.cos, jnp.tan, np.ndarray, int, str, 1, "a", None, 2.5, b"x"}]
file = io.BytesIO()
zodiax_io.serialise(file, sets)
loaded = zodiax_io.deserialise(io.BytesIO(file.getvalue()), trusted="numpy")
assert loaded == sets
print(hashlib.sha256(file.getvalue()).hexdigest())
"""


def test_sets_have_one_order_in_every_process():
    """The same set gives the same bytes, whatever the hashes of its members are."""
    assert len({_run(SETS, seed) for seed in (1, 2, 3)}) == 1


class Forgetful:
    """Its unflatten function makes one attribute anew."""

    def __init__(self, x: Any, n: Any = 0) -> None:
        self.x, self.n, self.helper = x, n, UNKEPT[0]


class Failing(Forgetful):
    pass


jtu.register_pytree_node(
    Forgetful, lambda f: ((f.x,), None), lambda _, c: Forgetful(*c)
)
jtu.register_pytree_node(Failing, lambda f: ((f.x,), None), lambda _, c: c[3])


def test_what_unflattening_loses_is_refused():
    """The message names the class, the attribute, and what to do."""
    zodiax_io.serialise(io.BytesIO(), Forgetful(1))
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(io.BytesIO(), [Forgetful(1, 2)])
    assert str(caught.value) == (
        "Cannot serialise a `test_unflattened.Forgetful` at `model[0]`. The flatten "
        "and unflatten functions of `test_unflattened.Forgetful` do not give back the "
        "attribute 'n' as it is. Register a kind for it with "
        "`zodiax_io.register_kind`."
    )


def test_what_cannot_be_unflattened_is_refused():
    """When it is saved, and not only when it is loaded."""
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(io.BytesIO(), Failing(1))
    assert str(caught.value) == (
        "Cannot serialise a `test_unflattened.Failing` at `model`. The unflatten "
        "function of `test_unflattened.Failing` failed on what the object flattens "
        "into: IndexError: tuple index out of range. Register a kind for it with "
        "`zodiax_io.register_kind`."
    )


class Box:
    def __init__(self, held: Any) -> None:
        self.held = held


jtu.register_pytree_node(Box, lambda b: ((b.held,), None), lambda _, c: Box(*c))


def _depth() -> int:
    try:
        return 1 + _depth()
    except RecursionError:
        return 0


UNSORTABLE = {1: jnp.ones(2), "a": 2.0}
CALLS = {
    "serialise": lambda: zodiax_io.serialise(io.BytesIO(), Box([[UNSORTABLE]])),
    "build_structure": lambda: zodiax_io.build_structure([Box((UNSORTABLE,)), Box(1)]),
    "like": lambda: zodiax_io.deserialise(_file(), like=[[Box([UNSORTABLE])]]),
    "sharding": lambda: zodiax_io.deserialise(_file(), sharding=[[[UNSORTABLE]]]),
    "diff": lambda: zodiax_io.diff(Box([[UNSORTABLE]]), [[UNSORTABLE]]),
    "summarise": lambda: zodiax_io.summarise(Box([[UNSORTABLE]])),
}


def _file() -> io.BytesIO:
    file = io.BytesIO()
    zodiax_io.serialise(file, [jnp.ones(2)])
    return io.BytesIO(file.getvalue())


@pytest.mark.parametrize("call", CALLS)
def test_keys_that_jax_cannot_sort_cost_no_recursion_depth(call):
    """JAX gives no level of recursion back where it fails below a node."""
    before = _depth()
    for _ in range(15):
        with contextlib.suppress(zodiax_io.ZodiaxIOError):
            CALLS[call]()
    assert abs(before - _depth()) <= 5


def test_a_profiler_goes_on_through_a_save():
    """A save that watches what an unflatten function calls can be profiled."""
    import cProfile
    import pstats

    profiler = cProfile.Profile()
    profiler.enable()
    try:
        file = io.BytesIO()
        zodiax_io.serialise(file, eqx.filter_jit(jnp.sin))
        sum([1])
    finally:
        profiler.disable()
    called = {name for _, _, name in pstats.Stats(profiler).stats}
    assert "serialise" in called and "<built-in method builtins.sum>" in called
