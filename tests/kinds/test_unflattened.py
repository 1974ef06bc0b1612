"""Objects that only their own unflatten function can rebuild; and JAX's recursion."""

import collections
import contextlib
import datetime as dt
import decimal
import fractions
import io
import os
import struct
import subprocess
import sys
import types
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from hypothesis import given, settings, strategies as st
from unkept import UNKEPT

import zodiax_io
from zodiax_io._kinds import containers

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


def element(**attributes: Any) -> Any:
    """An object that is hashed by identity."""
    made = types.new_class("Element")()
    vars(made).update(attributes)
    return made


def test_elements_of_sets_are_sorted_by_their_contents():
    """Containers in their attributes have a text item by item, whatever their order."""
    names = [f"name{i}" for i in range(50)]
    texts = {
        containers._sort_key(element(names=set(order), table={1: [set(order)]}))
        for order in (names, names[::-1], sorted(names, key=hash))
    }
    assert len(texts) == 1
    other = element(names={*names, "another"}, table={1: [set(names)]})
    assert containers._sort_key(other) not in texts


def test_a_sort_key_ends():
    """An element that contains itself, or very much, has a short text."""
    own = element()
    own.inner = [own]
    assert "above 0" in containers._sort_key(own)
    deep: Any = ()
    for _ in range(60):
        deep = (deep, deep)  # 2 ** 60 items
    assert len(containers._sort_key(element(deep=deep))) < 10**6


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
        "and unflatten functions of `test_unflattened.Forgetful` do not keep the "
        "attribute 'n'. Register a kind for it with `zodiax_io.register_kind`."
    )


def test_what_cannot_be_unflattened_is_refused():
    """When it is saved, and not only when it is loaded."""
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(io.BytesIO(), Failing(1))
    assert str(caught.value) == (
        "Cannot serialise a `test_unflattened.Failing` at `model`. The unflatten "
        "function of `test_unflattened.Failing` failed on the object's own children: "
        "IndexError: tuple index out of range. Register a kind for it with "
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


class Table:
    """Kept by its attributes; its unflatten function knows one of them."""

    def __init__(self, table: Any, **settings: int) -> None:
        self.table, self.n_hashes = table, 4
        self.__dict__.update(settings)

    def tree_flatten(self) -> Any:
        return (self.table,), None

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Any:
        return cls(*children)


class Helped(Table):
    """Kept by its unflatten function, for its helper."""

    def __init__(self, table: Any, **settings: int) -> None:
        super().__init__(table, **settings)
        self.helper = UNKEPT[0]


for _class in (Table, Helped):
    jtu.register_pytree_node_class(_class)


def _kept_or_refused(obj: Any) -> Any:
    """The object as it is loaded; itself where a save refuses it."""
    try:
        return _kept(obj)
    except zodiax_io.SerialisationError:
        return obj


FEW = settings(max_examples=25)
NAMES = st.sampled_from(["n_hashes", "hash", "_hash", "seed"])


@FEW
@given(NAMES, st.integers() | st.integers(-20, 20))
def test_a_number_is_data_whatever_it_is_called(name, value):
    """Kept exactly, though the class does not flatten it."""
    loaded = _kept_or_refused(Table((2,), **{name: value}))
    assert vars(loaded) == {"table": (2,), "n_hashes": 4} | {name: value}


@FEW
@given(NAMES, st.integers() | st.integers(-20, 20))
def test_a_number_that_unflattening_loses_is_refused(name, value):
    """A number is kept, whatever its name and size."""
    loaded = _kept_or_refused(Helped((2,), **{name: value}))
    assert {"table": (2,), "n_hashes": 4, name: value}.items() <= vars(loaded).items()


HASHING = """
import jax

UNKEPT = [lambda: None]

class Base:
    def __init__(self, name, n_hashes=4):
        self.name, self.n_hashes = name, n_hashes

    def __eq__(self, other):
        return type(self) is type(other) and self.name == other.name

    def tree_flatten(self):
        return (), (self.name, self.n_hashes)

    @classmethod
    def tree_unflatten(cls, aux, children):
        return cls(*aux)

@jax.tree_util.register_pytree_node_class
class Lazy(Base):
    def __init__(self, *given):
        super().__init__(*given)
        self._cached = self._hash = None

    def __hash__(self):
        if self._hash is None:
            self._cached = self._hash = hash((self.name, "lazy"))
        return self._hash

@jax.tree_util.register_pytree_node_class
class Absent(Base):
    def __hash__(self):
        if "_hash" not in vars(self):
            self._hash = hash((self.name, "absent"))
        return self._hash

@jax.tree_util.register_pytree_node_class
class Eager(Base):
    def __init__(self, *given):
        super().__init__(*given)
        self._cached = hash((self.name, "eager"))
        self._hash_of_name = hash(self.name)

    def __hash__(self):
        return self._cached

@jax.tree_util.register_pytree_node_class
class HelpedLazy(Lazy):
    def __init__(self, *given):
        super().__init__(*given)
        self.helper = UNKEPT[0]

CLASSES = [Lazy, Absent, Eager, HelpedLazy]

def made():
    objects = [cls("a name", 8) for cls in CLASSES]
    for obj in objects:
        hash(obj)
    return objects
"""
SAVE_HASHING = """
import sys; sys.path.insert(0, sys.argv[1])
import hashing, zodiax_io
zodiax_io.serialise(sys.argv[2], hashing.made())
"""
LOAD_HASHING = """
import sys; sys.path.insert(0, sys.argv[1])
import hashing, zodiax_io
for loaded, made in zip(zodiax_io.deserialise(sys.argv[2]), hashing.made()):
    assert hash(loaded) == hash(made), type(made)
    assert vars(loaded) == vars(made), (vars(loaded), vars(made))
"""


def test_a_hash_is_that_of_the_process_that_loads(tmp_path):
    """A hash that an object computed and keeps, early or late, is computed again."""
    (tmp_path / "hashing.py").write_text(HASHING)
    _run(SAVE_HASHING, 1, tmp_path, tmp_path / "h.zdx")
    _run(LOAD_HASHING, 2, tmp_path, tmp_path / "h.zdx")


class StaleHash(Table):
    """Its unflatten function fails, so that no fresh copy can be had."""

    def __hash__(self) -> int:
        return hash("a name")

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Any:
        raise TypeError


jtu.register_pytree_node_class(StaleHash)


def test_a_hash_that_cannot_be_computed_again_is_refused():
    """Another number is not a hash, and is kept."""
    zodiax_io.serialise(io.BytesIO(), StaleHash(0))
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(io.BytesIO(), StaleHash(0, seed=hash("a name")))
    assert str(caught.value) == (
        "Cannot serialise a `test_unflattened.StaleHash` at `model`. It keeps a hash, "
        "which is valid in one process only, and its unflatten function cannot build "
        "it again. Register a kind for it with `zodiax_io.register_kind`."
    )


BASES: dict[type, st.SearchStrategy[Any]] = {
    float: st.floats(),
    complex: st.complex_numbers(),
    int: st.integers(),
    str: st.text(),
    bytes: st.binary(),
    bytearray: st.binary(),
    set: st.sets(st.integers()),
    frozenset: st.frozensets(st.integers()),
    list: st.lists(st.integers()),
    tuple: st.lists(st.integers()),
    dict: st.dictionaries(st.integers(), st.integers()),
    collections.deque: st.lists(st.integers()),
    decimal.Decimal: st.decimals(),
    dt.date: st.dates(),
    dt.timedelta: st.timedeltas(),
    fractions.Fraction: st.fractions(),
}


def _losing(base: type) -> type:
    """A registered subclass that flattens into nothing, and is unflattened empty."""
    name = f"Losing_{base.__name__}"
    cls = globals()[name] = type(name, (base,), {"__module__": __name__})
    jtu.register_pytree_node(cls, lambda _: ((), None), lambda *_: _instance(base))
    return cls


def _instance(base: type, value: Any = None) -> Any:
    if base is dt.date:
        value = dt.date(1, 1, 1) if value is None else value
        return LOSING[base](value.year, value.month, value.day)
    if base is dt.timedelta and value is not None:
        return LOSING[base](value.days, value.seconds, value.microseconds)
    return LOSING[base]() if value is None else LOSING[base](value)


LOSING = {base: _losing(base) for base in BASES}


@pytest.mark.parametrize("base", BASES)
@FEW
@given(st.data())
def test_what_a_registered_subclass_holds_is_never_lost(base, data):
    """A number, a text or a set with no attributes comes back to the bit."""
    assert _text(_kept(_instance(base))) == _text(_instance(base))
    obj = _instance(base, data.draw(BASES[base]))
    assert _text(_kept_or_refused(obj)) == _text(obj)


def _kept(obj: Any) -> Any:
    file = io.BytesIO()
    zodiax_io.serialise(file, obj)
    return zodiax_io.deserialise(io.BytesIO(file.getvalue()))


def _text(obj: Any) -> Any:
    """A text that tells all values of one class from each other."""
    if isinstance(obj, float):
        return struct.pack("d", obj)
    if isinstance(obj, complex):
        return struct.pack("dd", obj.real, obj.imag)
    return repr(obj)
