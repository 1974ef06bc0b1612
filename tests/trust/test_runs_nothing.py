"""Loading runs no code of the classes in a file, wherever in it they stand.

Every method that Python, JAX or Equinox could call is a trap here. The one that a load
may call is the flatten function of a class in a `PyTreeDef` (docs/security.md).
"""

import collections
import dataclasses
import enum
import functools
import io
import sys
import types
import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from attacks.files import (
    NONE,
    SIN,
    around,
    file_of,
    filter_jit,
    integer,
    jax_partial,
    jit,
    partial,
    plain_list,
    plain_tuple,
    text,
    transform,
)
from documents import container, leaf, named
from jax.flatten_util import ravel_pytree
from unkept import UNKEPT

import zodiax_io

ran: list[str] = []
_HOOKS = """
__new__ __init__ __post_init__ __check_init__ __call__ __repr__ __str__ __format__
__bytes__ __hash__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __bool__ __len__
__length_hint__ __iter__ __next__ __reversed__ __contains__ __getitem__ __setitem__
__missing__ __getattr__ __getattribute__ __setattr__ __delattr__ __dir__ __set_name__
__int__ __float__ __complex__ __index__ __add__ __mul__ __array__ __jax_array__
__copy__ __deepcopy__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __enter__
__exit__ __fspath__ __sizeof__ __replace__ __tree_pp__ __pdoc__
""".split()
_CLASS_HOOKS = ["__init_subclass__", "__class_getitem__", "__subclasshook__"]
_OF_ENUMS = {"__new__", "__init__", "__getattribute__", "__setattr__", "__get__"}


def trapped(cls: Any, leave: Any = ()) -> Any:
    """The class with a trap in each of its special methods."""

    def trap(name: str, inner: Any) -> Any:
        def method(*args: Any, **kwargs: Any) -> Any:
            ran.append(f"{cls.__name__}.{name}")
            if inner is None:
                raise TypeError(name)
            return inner(*args, **kwargs)

        return method

    for name in _HOOKS:
        if name in leave:
            continue
        inner = getattr(cls, name, None)
        if name == "__new__" and inner is object.__new__:
            hook = trap(name, lambda kind, *_, **__: object.__new__(kind))
            cls.__new__ = staticmethod(hook)
        elif name == "__getattr__":
            setattr(cls, name, trap(name, _no_attribute))
        else:
            setattr(cls, name, trap(name, inner))
    for name in _CLASS_HOOKS:
        setattr(cls, name, classmethod(trap(name, lambda *_, **__: NotImplemented)))
    return cls


def _no_attribute(obj: Any, name: str) -> Any:
    raise AttributeError(name)


class _Loud:
    """A property that records each look at it."""

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        ran.append("property")
        return 0

    def __set__(self, obj: Any, value: Any) -> None:
        ran.append("setter")


@dataclasses.dataclass
class Plain:
    x: Any = None
    loud = _Loud()


@jtu.register_dataclass
@dataclasses.dataclass
class Registered:
    x: Any = None
    loud = _Loud()


class Node:
    loud = _Loud()

    def __init__(self, x: Any = None) -> None:
        self.x = x


@dataclasses.dataclass
class Job:
    x: Any = None


class Sealed:
    """Registered as static: JAX would compare and hash it."""

    def __init__(self, x: Any = None) -> None:
        self.x = x


class Slots:
    __slots__ = ("x",)

    def __init__(self, x: Any = None) -> None:
        self.x = x


class Model(eqx.Module):
    x: Any = None
    s: Any = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        ran.append("check")


class Pair(NamedTuple):
    x: Any = None


class Loaded(Pair):
    __slots__ = ()


class Empty:
    """A marker."""


class Colour(enum.Enum):
    RED = 1

    @classmethod
    def _missing_(cls, value: object) -> Any:
        ran.append("missing")


class Unpacked:
    """Kept by its flattening only, for it holds what no file can hold."""

    def __init__(self, x: Any = None) -> None:
        self.x = x
        self.helper = UNKEPT[0]


def _flatten(obj: Any) -> Any:
    return (object.__getattribute__(obj, "x"),), None


def _unflatten(cls: Any, aux: Any, children: Any) -> Any:
    ran.append(f"{cls.__name__} unflattened")
    return cls(*children)


for _cls in (Node, Job, Slots, Unpacked):
    jtu.register_pytree_node(_cls, _flatten, functools.partial(_unflatten, _cls))
jtu.register_static(Sealed)

CLASSES = (Plain, Registered, Node, Job, Sealed, Slots, Loaded, Empty, Unpacked)
for _cls in CLASSES:
    trapped(_cls)
trapped(Model, {"__new__", "__init__", "__hash__", "__eq__", "__getattribute__"})
trapped(Colour, _OF_ENUMS | {"__repr__", "__hash__", "__reduce_ex__", "__dir__"})


def free(x: Any) -> Any:
    """A function that would say so if it were called."""
    ran.append("function")
    return x


def _name(cls: Any, module: str = __name__) -> str:
    return f"{module}:{cls.__name__}"


def _nodes(module: str = __name__, item: Any = None) -> dict[str, Any]:
    """A node for each sort of class, as a file may have it."""
    x = {"x": text("chosen by the file") if item is None else item}
    made: dict[str, Any] = {}
    for cls in (Plain, Registered, Job):
        made[cls.__name__] = container("dataclass", x, type=_name(cls, module))
    for cls in (Node, Job, Slots, Sealed, Plain):
        extra = {"type": _name(cls, module), "beside": ["x"]}
        made[f"registered {cls.__name__}"] = container("registered", x, **extra)
    made["Loaded"] = container("namedtuple", x, type=_name(Loaded, module))
    made["Empty"] = named(_name(Empty, module), "marker")
    made["Model"] = container(
        "module", {**x, "s": NONE}, type=_name(Model, module), static=["s"]
    )
    made["Colour"] = leaf("enum", type=_name(Colour, module), value="RED")
    made["no Colour"] = leaf("enum", type=_name(Colour, module), value="BLUE")
    made["class"] = named(_name(Node, module), "class")
    made["function"] = named(f"{module}:free")
    made["Default"] = leaf("default", type=_name(Plain, module), value="x")
    return made


def _treedef(node: Any, *more: Any) -> Any:
    return container("treedef", [plain_tuple(node, *more) if more else node])


def _jitted(treedef: Any, *leaves: Any) -> Any:
    """A `filter_jit` whose function is to be unflattened from a treedef."""
    nones = plain_tuple(*[NONE] * len(leaves))
    node = filter_jit(plain_tuple(*leaves), plain_tuple(nones, treedef))
    node["static"] = ["static"]
    return node


def _around(node: Any) -> Any:
    """A node in all places of a file from which a load might reach its class."""
    yield node
    yield from around(node)
    chosen = text("chosen by the file")
    for held in (node, container("dict", {"a": node}), plain_list(node)):
        for leaves in ([], [chosen], [SIN]):
            jitted = _jitted(_treedef(held), *leaves)
            yield jitted
            yield jit(jitted)
            yield jit(partial(jitted, chosen))
            yield jit(jax_partial(jitted, chosen))
            yield transform("vmap", jitted)
            yield transform("checkpoint", partial(jitted))
            yield partial(jitted, chosen)
            yield _jitted(_treedef(integer(0)), jitted)
            yield _jitted(_treedef(jitted), *leaves)
            fields = {"radius": jitted, "label": held}
            lens = {"type": "attacks.lab:Lens", "static": ["label"]}
            yield container("module", fields, **lens)
    yield container("set", [_treedef(node), integer(1)])
    yield container("dict", [NONE, NONE], keys=[_treedef(node), integer(1)])
    children = {
        "f": SIN,
        "args": plain_tuple(_treedef(node)),
        "kwargs": container("dict", {}),
    }
    yield container("unravel", children)
    yield jit(container("unravel", children))


def _run_by(data: bytes, **options: Any) -> tuple[list[str], bool]:
    """The traps that are sprung while a file loads; and whether it did load."""
    ran.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            loaded = zodiax_io.deserialise(io.BytesIO(data), **options)
        except zodiax_io.ZodiaxIOError as error:
            return [*ran, *_words(error)], False
    found = list(ran)
    del loaded
    return found, True


def _words(error: Exception) -> list[str]:
    str(error)  # an error prints nothing of the classes that it is about
    return list(ran)


@pytest.fixture(autouse=True)
def traps():
    """Traps that work, and whose finds end with the test."""
    ran.clear()
    Plain()
    jtu.tree_unflatten(jtu.tree_structure(Node(1)), [2])
    assert "Plain.__init__" in ran
    assert "Node unflattened" in ran
    yield
    ran.clear()


@pytest.mark.parametrize("sort", _nodes())
def test_a_class_of_ones_own_is_not_run(sort):
    """Whatever is built around it: no constructor, no comparison, no unflattening."""
    loaded = 0
    for node in _around(_nodes()[sort]):
        for unknown in ("error", "opaque"):
            found, ended = _run_by(file_of(node), unknown=unknown)
            assert found == [], node
            loaded += ended
    assert loaded > 5 or sort == "no Colour"


@pytest.fixture
def packaged(tmp_path, monkeypatch):
    """The classes of this file, as if a known package of the field had them."""
    module = types.ModuleType("tinygp")
    module.__file__ = str(tmp_path / "site-packages" / "tinygp.py")
    monkeypatch.setitem(sys.modules, "tinygp", module)
    for cls in (*CLASSES, Model, Colour):
        monkeypatch.setattr(cls, "__module__", "tinygp")
        setattr(module, cls.__name__, cls)
    return module


@pytest.mark.parametrize("trusted", [(), "tinygp"])
@pytest.mark.parametrize("sort", _nodes())
def test_a_class_of_a_known_package_is_not_run(sort, trusted, packaged):
    """Nor is one of the field's packages, whether a file may use it or not."""
    for node in _around(_nodes("tinygp")[sort]):
        assert _run_by(file_of(node), trusted=trusted)[0] == [], node


def test_only_trust_has_a_class_unflattened(packaged):
    """What can be kept by its flattening only: refused, wherever a file puts it."""
    children = {"children": plain_tuple(integer(1)), "aux": NONE}
    node = container("node", children, type="tinygp:Unpacked", static=["aux"])
    for held in _around(node):
        assert _run_by(file_of(held)) == ([], False), held
    found, loaded = _run_by(file_of(node), trusted="tinygp")
    assert loaded
    assert "Unpacked unflattened" in found


OBJECTS = {
    "plain": lambda: Plain([1]),
    "registered": lambda: Registered([1]),
    "node": lambda: Node([1]),
    "slots": lambda: Slots([1]),
    "static": lambda: Sealed([1]),
    "namedtuple": lambda: tuple.__new__(Loaded, [1]),
    "marker": Empty,
    "module": lambda: Model([1], "a"),
    "method": lambda: Model([1], "a").__call__,
    "member": lambda: Colour.RED,
    "a model of them": lambda: Model([Plain(1), Node(2)], Registered(3)),
}
HOLDERS = {
    "alone": lambda x: x,
    "in containers": lambda x: {"a": [x, (x,)], 1: collections.deque([x])},
    "static": lambda x: Model(1, x),
    "in a partial": lambda x: functools.partial(jnp.add, x),
    "in a Partial": lambda x: jtu.Partial(jnp.add, x),
    "in a treedef": lambda x: jtu.tree_structure([x]),
    "jitted by Equinox": eqx.filter_jit,
    "jitted by Equinox in a partial": lambda x: eqx.filter_jit(jtu.Partial(jnp.add, x)),
    "jitted": jax.jit,
    "vectorised": jax.vmap,
    "in what ravels": lambda x: ravel_pytree((x, jnp.ones(2)))[1],
}


@pytest.mark.parametrize("holder", HOLDERS)
@pytest.mark.parametrize("what", OBJECTS)
def test_an_honest_file_runs_nothing(what, holder):
    """What a save accepts comes back without a call of its class."""
    file = io.BytesIO()
    try:
        zodiax_io.serialise(file, HOLDERS[holder](OBJECTS[what]()))
    except Exception:  # no function, or nothing that can be kept: no file
        return
    assert _run_by(file.getvalue(), trusted=__name__) == ([], True)
