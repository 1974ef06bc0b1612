"""Attributes of registered classes, which no other process may exchange."""

import io
import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from documents import Checkpoint
from unkept import UNKEPT

import zodiax_io
from zodiax_io._kinds import origins

LAB = """
import enum, functools, operator, threading
import jax, jax.numpy as jnp, numpy as np

NAMES = ("alpha", "beta", "gamma", "delta")
TABLE = dict.fromkeys((*NAMES, "lock"))
OTHER = {"lock": 0}
IN_DICT = {"deep": [{"names": {*NAMES}}]}

class Registry:
    names = {*NAMES}

class Holder:
    def __init__(self):
        self.registry = Registry()

HOLDER = Holder()

class Strange:
    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return hash(self.name)

def by_default(names=frozenset(NAMES)):
    return [n for n in names]

def by_keyword(*, names=frozenset(NAMES)):
    return [n for n in names]

def closed(names):
    return lambda: [n for n in names]

# Ways to an order of the names; all but the first are another one in each process.
ROUTES = {
    "in order": lambda: [*NAMES],
    "difference of keys": lambda: [*(TABLE.keys() - OTHER.keys())],
    "common keys": lambda: [*(TABLE.keys() & NAMES)],
    "sorted by hash": lambda: sorted(NAMES, key=hash),
    "sorted by a method": lambda: sorted(NAMES, key=lambda n: n.__hash__()),
    "hash of an object": lambda: sorted(NAMES, key=lambda n: hash(Strange(n))),
    "attribute of a class": lambda: [n for n in Registry.names],
    "attribute of an attribute": lambda: [n for n in HOLDER.registry.names],
    "attribute by its name": lambda: [n for n in getattr(Registry, "names")],
    "in a dictionary": lambda: [n for n in IN_DICT["deep"][0]["names"]],
    "default": lambda: by_default(),
    "default of a keyword": lambda: by_keyword(),
    "closure": closed({*NAMES}),
    "partial": functools.partial(sorted, NAMES, key=hash),
    "partial of a set": functools.partial(sorted, {*NAMES}, key=len),
    "method of a set": {*NAMES}.copy,
    "difference by a function": lambda: [*operator.sub(TABLE.keys(), OTHER.keys())],
}

def relu(x): return x
def tanh(x): return -x
def double(x): return 2 * x
def triple(x): return 3 * x

class Mode(enum.Enum):
    A, B, C, D = "abcd"

class Inner:
    pass

# Four values that go through the auxiliary data as they are, or are made anew from it.
VALUES = {
    "functions": [relu, tanh, double, triple],
    "functions of JAX": [jnp.sin, jnp.cos, jnp.tan, jnp.exp],
    "members": [*Mode],
    "lists": [["a"], ["b"], ["c"], ["d"]],
    "dictionaries": [{"x": f} for f in (relu, tanh, double, triple)],
    "scalars": [*np.arange(4.0)],
    "arrays": [*jnp.arange(4.0)],
    "long text": [c * 1000 for c in "abcd"],
    "bytes": [bytes([c]) for c in range(4)],
    "numbers": [1, 2, 3, 4],
}
MADE = {
    "as they are": lambda x: x,
    "in a list": lambda x: [x],
    "in a lambda": lambda x: lambda: x,
    "in a partial": lambda x: functools.partial(map, x),
}
HELD = {
    "as they are": lambda x: x,
    "in a list": lambda x: x[0],
    "in a lambda": lambda x: x(),
    "in a partial": lambda x: x.args[0],
}

class Base:
    def read(self):
        return [HELD[self.made](vars(self)[n]) for n in NAMES]

class Deep(Base):
    def read(self):
        return [vars(self.inner)[n] for n in NAMES]

class Mapping(dict):
    def read(self):
        return [dict.__getitem__(self, n) for n in NAMES]

CLASSES = {}
BASES = {"in an object": Deep, "as items": Mapping}

def define(route, values, made):
    order, cls_name = ROUTES[route], f"Class{len(CLASSES)}"
    base = BASES.get(made, Base)
    def flatten(self):
        held = self.read()
        return (), tuple(held[NAMES.index(n)] for n in order())
    def unflatten(aux, children):
        obj = base.__new__(cls)
        obj.lock = threading.Lock()
        place = obj if base is Mapping else vars(obj)
        if base is Mapping:
            place.update(dict.fromkeys(NAMES))
        if base is Deep:
            obj.inner = Inner()
            place = vars(obj.inner)
        for name, value in zip(order(), aux):
            place[name] = MADE[made](value) if made in MADE else value
        return obj
    cls = type(cls_name, (base,), {"__module__": __name__})
    cls.made = made
    globals()[cls_name] = cls
    jax.tree_util.register_pytree_node(cls, flatten, unflatten)
    def make():
        found = dict(zip(NAMES, VALUES[values]))
        return unflatten(tuple(found[n] for n in order()), ())
    CLASSES[f"{route}, {values} {made}"] = cls_name, make, VALUES[values]

for route in ROUTES:
    for values in VALUES:
        for made in (*MADE, *BASES):
            define(route, values, made)
"""
PROCESS = """
import sys, json; sys.path.insert(0, sys.argv[2])
import os, lab, zodiax_io

def same(a, b):
    if isinstance(a, (lab.jnp.ndarray, lab.np.generic)):
        return type(a) is type(b) and float(a) == float(b)
    return a == b

found = {}
for name, (file, make, values) in lab.CLASSES.items():
    path = os.path.join(sys.argv[2], file + ".zdx")
    try:
        if sys.argv[1] == "save":
            zodiax_io.serialise(path, make())
            found[name] = "saved"
        elif os.path.exists(path):
            held = zodiax_io.deserialise(path).read()
            found[name] = "same" if all(map(same, held, values)) else "exchanged"
    except zodiax_io.SerialisationError as error:
        found[name] = "refused"
    except zodiax_io.ClassChangedError as error:
        found[name] = "failed"
print(json.dumps(found))
"""


def _run(what: str, seed: int, folder: Any) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, what, str(folder)],
        env={**os.environ, "PYTHONHASHSEED": str(seed), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_no_process_exchanges_attributes(tmp_path):
    """By whatever way a class comes to its order, it is refused, or fails, or is kept.

    What is flattened in its own order is kept always.
    """
    (tmp_path / "lab.py").write_text(LAB)
    saved = _run("save", 1, tmp_path)
    loads = [_run("load", seed, tmp_path) for seed in (1, 2)]
    everywhere = [result for load in loads for result in load.items()]
    assert [name for name, result in everywhere if result == "exchanged"] == []
    assert [name for name, result in loads[0].items() if result != "same"] == []
    in_order = {name for name in saved if name.startswith("in order")}
    assert {saved[name] for name in in_order} == {"saved"}
    assert {load[name] for load in loads for name in in_order} == {"same"}
    # The promise is put to the test: orders do differ, and both answers are given.
    assert Counter(saved.values())["refused"] > 50
    assert Counter(result for _, result in everywhere)["failed"] > 100


# What the classes below flatten and unflatten in the order of, as if from a set.
ORDER = ["alpha", "beta"]


class Swapping:
    """Kept by its flattening, for its helper."""

    def __init__(self, **held: Any) -> None:
        self.helper = UNKEPT[0]
        self.__dict__.update(held)


class Nested(Swapping):
    """Holds what it flattens in a list of its own."""


class Hashing:
    """Makes functions of what it flattens."""

    def __init__(self, **held: Any) -> None:
        self.__dict__.update(held)
        self.helper = UNKEPT[0]


class Rows(Swapping):
    """Makes a list anew of what it flattens."""


def _flatten(obj: Any) -> Any:
    return (), tuple(vars(obj)[name] for name in ORDER)


def _flatten_nested(obj: Any) -> Any:
    return (), tuple(obj.table[ORDER.index(name)][0] for name in sorted(ORDER))


def _unflatten_nested(aux: Any, _: Any) -> Any:
    held = dict(zip(sorted(ORDER), aux, strict=True))
    return Nested(table=[(held[name],) for name in ORDER])


jtu.register_pytree_node(
    Swapping, _flatten, lambda aux, _: Swapping(**dict(zip(ORDER, aux, strict=True)))
)
jtu.register_pytree_node(
    Rows, lambda r: ((), tuple(r.table)), lambda aux, _: Rows(table=[*aux])
)
jtu.register_pytree_node(Nested, _flatten_nested, _unflatten_nested)


class Sharing(Swapping):
    """Holds each of two lists of its own twice."""


def _sharing(aux: Any, _: Any) -> Any:
    one, two = [aux[0]], [aux[1]]
    beta, delta = (one, two) if ORDER[0] == "alpha" else (two, one)
    return Sharing(alpha=one, beta=beta, gamma=two, delta=delta)


jtu.register_pytree_node(Sharing, lambda s: ((), (s.alpha[0], s.gamma[0])), _sharing)


def _function(value: Any) -> Any:
    return lambda: value


def _hash_order() -> list[str]:
    return sorted(("alpha", "beta"), key=hash)


jtu.register_pytree_node(
    Hashing,
    lambda h: ((), tuple(vars(h)[name]() for name in _hash_order())),
    lambda aux, _: Hashing(
        **{n: _function(v) for n, v in zip(_hash_order(), aux, strict=True)}
    ),
)


class Holding(Swapping):
    """Flattens two attributes as children, in the order of `ORDER`, and its size."""


def _holding(aux: Any, children: Any) -> Any:
    return Holding(**dict(zip(ORDER, children, strict=True)), size=aux[0])


jtu.register_pytree_node(
    Holding, lambda h: (tuple(vars(h)[name] for name in ORDER), (h.size,)), _holding
)


def _file(obj: Any) -> io.BytesIO:
    file = io.BytesIO()
    zodiax_io.serialise(file, obj)
    return io.BytesIO(file.getvalue())


LISTS = [1.0], [2.0]
ARRAYS = jnp.ones(2), jnp.zeros(2)
EXCHANGED = {
    "alpha": lambda: Swapping(alpha=LISTS[0], beta=LISTS[1]),
    "beta": lambda: _sharing(ARRAYS, ()),
    "table[0][0]": lambda: Nested(table=[(ARRAYS[0],), (ARRAYS[1],)]),
}


@pytest.mark.parametrize("name", EXCHANGED)
def test_an_exchanged_part_is_named(name, monkeypatch):
    """A class whose order changed fails to load, with the first part that differs."""
    obj = EXCHANGED[name]()
    file = _file(obj)
    zodiax_io.deserialise(io.BytesIO(file.getvalue()))
    monkeypatch.setattr(sys.modules[__name__], "ORDER", ORDER[::-1])
    with pytest.raises(zodiax_io.ClassChangedError) as caught:
        zodiax_io.deserialise(file)
    assert str(caught.value) == (
        f"The file: the unflatten function of {type(obj).__name__} put another value "
        f"into {name!r} than its flatten function had taken out of it. Save the object "
        "again with a kind for its class, registered by `zodiax_io.register_kind`."
    )


def test_what_no_load_can_check_is_refused():
    """If a hash may order values that are made anew, the message names both."""
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.serialise(
            io.BytesIO(), Hashing(alpha=_function(1), beta=_function(2))
        )
    assert str(caught.value) == (
        "Cannot serialise a `test_origins.Hashing` at `model`. `test_origins.Hashing` "
        "may flatten in the order of a set or of hashes (in `_hash_order`), which "
        "changes from process to process, and no load can check values that its "
        "unflatten function computes, such as `alpha`. Register a kind for it with "
        "`zodiax_io.register_kind`."
    )


NOTES: dict[str, Any] = {
    "no pair": {"places": [[["alpha"]]]},
    "no steps": {"places": [["alpha", [1, 0]]]},
    "no place": {"places": [[["alpha"], 0]]},
    "an absent place": {"places": [[["alpha"], [1, 7]]]},
    "a place of another class": {"places": [[["alpha"], [1, None]]]},
    "no pair of text": {"texts": [7]},
}


@pytest.mark.parametrize("name", NOTES)
def test_an_invalid_note_is_damage(name):
    """An invalid note in a file raises a `CorruptFileError`."""
    structure = zodiax_io.build_structure(Swapping(alpha=LISTS[0], beta=LISTS[1]))
    with pytest.raises(zodiax_io.CorruptFileError, match="cannot be built as `node`"):
        zodiax_io.load_structure(structure | NOTES[name])


def test_files_without_notes_load():
    """Files of older releases have none."""
    structure = zodiax_io.build_structure(Swapping(alpha=LISTS[0], beta=LISTS[1]))
    bare = {k: v for k, v in structure.items() if k not in ("places", "texts")}
    assert bare != structure
    assert zodiax_io.load_structure(bare).beta == LISTS[1]


def _in_old_notes(obj: Any, **changed: Any) -> dict[str, Any]:
    """The structure of an object with the notes that releases before 0.5 wrote."""
    structure = zodiax_io.build_structure(obj)
    notes = {"held": {"alpha": 0, "beta": 1}, "attributes": {"size": "3"}}
    bare = {k: v for k, v in structure.items() if k not in ("places", "texts")}
    return bare | notes | changed


def test_two_notes_are_written():
    """The places of attributes, and the texts of plain ones, and nothing twice."""
    structure = zodiax_io.build_structure(_holding((3,), ARRAYS))
    assert structure["places"] == [[["alpha"], [0, 0]], [["beta"], [0, 1]]]
    assert structure["texts"] == [[["size"], "0x3"]]
    assert not structure.keys() & {"held", "attributes"}


def test_old_notes_are_read(monkeypatch):
    """A file with them loads, and fails where a child or a plain value is exchanged."""
    obj = _holding((3,), ARRAYS)
    structure = _in_old_notes(obj)
    assert zodiax_io.load_structure(structure).size == 3
    with pytest.raises(zodiax_io.ClassChangedError, match="put another value into 's"):
        zodiax_io.load_structure(_in_old_notes(obj, attributes={"size": "4"}))
    with pytest.raises(zodiax_io.CorruptFileError, match="cannot be built as `node`"):
        zodiax_io.load_structure(_in_old_notes(obj, held={"alpha": 7}))
    monkeypatch.setattr(sys.modules[__name__], "ORDER", ORDER[::-1])
    with pytest.raises(zodiax_io.ClassChangedError, match="put another value into 'al"):
        zodiax_io.load_structure(structure)


@pytest.mark.parametrize("old", [False, True])
def test_an_equal_child_is_another_one(old, monkeypatch):
    """Children of equal values are not exchanged: the tree may share one of them."""
    equal = jnp.ones(2), jnp.ones(2)
    obj = _holding((3,), equal)
    structure = _in_old_notes(obj) if old else zodiax_io.build_structure(obj)
    zodiax_io.load_structure(structure)
    monkeypatch.setattr(sys.modules[__name__], "ORDER", ORDER[::-1])
    with pytest.raises(zodiax_io.ClassChangedError, match="another value into 'alpha'"):
        zodiax_io.load_structure(structure)


def test_notes_are_no_part_of_the_value(tmp_path):
    """A file with old notes is equal to one with those of today."""
    obj = _holding((3,), ARRAYS)
    checkpoint = Checkpoint.of(obj)
    checkpoint.tree |= _in_old_notes(obj) | {"node": checkpoint.tree["node"]}
    del checkpoint.tree["places"], checkpoint.tree["texts"]
    checkpoint.write(tmp_path / "old.zdx")
    zodiax_io.serialise(tmp_path / "new.zdx", obj)
    assert not zodiax_io.diff(tmp_path / "old.zdx", tmp_path / "new.zdx")


@pytest.mark.parametrize("old", [False, True])
def test_an_opaque_has_the_attributes_that_are_children(old):
    """By the notes that a file has, of this release or of an older one."""
    obj = _holding((3,), (1, 2))
    structure = zodiax_io.build_structure(obj)
    notes = [[["alpha"], [0, 0]], [["beta"], [0, 1]]]
    structure |= {"type": "gone.x:C", "places": notes}
    if old:
        structure |= {"held": {"alpha": 0, "beta": 1}, "places": None}
    found = zodiax_io.load_structure(structure, unknown="opaque")
    assert (found.alpha, found.beta) == (1, 2)
    assert not hasattr(found, "gamma")


FORMS = {
    "None": None,
    "0x3": 3,
    "'\\xe9'": "é",
    "0x1.8000000000000p+1": 3.0,
    "0x0.0p+0 0x1.0000000000000p+0j": 1j,
    "tuple['0x1', \"'a'\"]": (1, "a"),
    "set['0x1', '0x2']": {1, 2},
    "dict[\"'a'\", 'True']": {"a": True},
    "slicetuple['0x1', 'None', 'None']": slice(1, None),
    "dtype float32": jnp.dtype("float32"),
    "float32 00004040": jnp.float32(3).dtype.type(3),
}


@pytest.mark.parametrize("text", FORMS)
def test_the_form_of_texts_never_changes(text):
    """Files hold these texts, and a load compares them."""
    assert origins.text_of(FORMS[text]) == text


@pytest.mark.parametrize("share", [False, True])
def test_notes_grow_with_the_object_only(share):
    """Twice the parts have twice the notes at most, however much they share."""

    def notes(size: int) -> int:
        rows = [ARRAYS if share else (*ARRAYS,) for _ in range(size)]
        structure = zodiax_io.build_structure(Rows(table=rows))
        return len(str([structure["places"], structure.get("texts")]))

    assert notes(400) <= 2.5 * notes(200)
