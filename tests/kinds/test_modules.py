"""Modules, dataclasses and registered pytrees, built without running their code."""

import abc
import collections
import dataclasses
import functools
import io
import types
from collections.abc import Callable
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import pytest
from clients import optax
from conftest import TYPE_CHECKS
from equality import differences, survives
from jaxtyping import Array, Float
from strategies import box
from unkept import UNKEPT

import zodiax_io
from zodiax_io._structure.nodes import Structure

KEY = jr.key(0)
CALLS: collections.Counter[str] = collections.Counter()
T = TypeVar("T")


def plain(x: Any, a: float = 2.0) -> Any:
    return a * x


# Equinox ------------------------------------------------------------------------------


class Linear(eqx.Module):
    weight: Float[Array, "n n"]
    bias: Any
    size: int = eqx.field(static=True)
    name: str = eqx.field(default="linear", static=True)

    def __init__(self, size: int) -> None:
        self.weight, self.bias, self.size = jnp.ones((size, size)), None, size
        self.name = "layer"

    def __call__(self, x: Any) -> Any:
        return self.weight @ x


class Converted(eqx.Module):
    array: Array = eqx.field(converter=jnp.asarray)
    pair: tuple[int, ...] = eqx.field(converter=tuple, static=True, default=(1, 2))
    number: float = eqx.field(converter=float, default=3)


class NotInitialised(eqx.Module):
    a: Array
    double: int = eqx.field(init=False, static=True)
    none: Any = eqx.field(init=False, default=None)

    def __post_init__(self) -> None:
        self.double = 2 * len(self.a)


class WithInitVar(eqx.Module):
    a: Array
    scale: dataclasses.InitVar[float]
    scaled: Any = eqx.field(init=False)

    def __post_init__(self, scale: float) -> None:
        self.scaled = str(scale)


class Checked(eqx.Module):
    a: Array
    size: int = eqx.field(static=True, default=2)

    def __check_init__(self) -> None:
        CALLS["check"] += 1
        if self.a.shape != (self.size,):
            raise ValueError("not the right shape")


class Item(eqx.Module, Generic[T]):
    item: T
    label: str = eqx.field(static=True, default="")


class Items(Item[T]):
    other: Any = None


class Abstract(eqx.Module):
    n: eqx.AbstractVar[int]
    kind: eqx.AbstractClassVar[str]

    @abc.abstractmethod
    def __call__(self, x: Any) -> Any: ...


class Concrete(Abstract):
    w: Array
    kind: ClassVar[str] = "concrete"

    @property
    def n(self) -> int:
        return 7

    def __call__(self, x: Any) -> Any:
        return x


class Base(eqx.Module):
    a: Array
    name: str = eqx.field(static=True)


class Child(Base):
    b: list[Any]

    def __init__(self, n: int) -> None:
        super().__init__(jnp.zeros(n), "child")
        self.b = [Linear(1), {"x": Linear(2)}]


class Mixin:
    def hello(self) -> str:
        return "hello"


class Mixed(Mixin, Base):
    pass


class Absent(eqx.Module):
    a: Any
    b: Any = 3
    c: Any = eqx.field(default="c", static=True)

    def __init__(self, a: Any) -> None:
        self.a = a

    def __call__(self, x: Any) -> Any:
        return self.a * x


class Delegating(eqx.Module):
    inner: Any
    layers: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        if name in self.layers:  # recurses for ever until `layers` is set
            return self.layers[name]
        return getattr(self.inner, name)


class Private(eqx.Module):
    _x: Array
    __hidden: int = eqx.field(static=True)

    def __init__(self, x: Array) -> None:
        self._x, self.__hidden = x, 5

    @property
    def x(self) -> Array:
        return self._x


class Hostile(eqx.Module):
    """Reading any attribute raises an error."""

    a: Any

    def _raise(self, *args: Any) -> Any:
        raise RuntimeError("must not be called")

    __eq__ = __hash__ = __repr__ = __bool__ = __len__ = __iter__ = _raise
    __array__ = __reduce__ = __getstate__ = __copy__ = __deepcopy__ = _raise


class Clashing(eqx.Module):
    node: Any
    kind: Any
    value: Any
    type: Any
    static: Any = eqx.field(static=True)
    é: Any = None


class Outer:
    class Inner(eqx.Module):
        a: Any

        class Deep(eqx.Module):
            b: Any

    class Pair(NamedTuple):
        a: Any
        b: Any = 5


class Empty(eqx.Module):
    pass


class Holder(eqx.Module):
    function: Any
    static: Any = eqx.field(static=True, default=None)


class Result(eqx.Enumeration):
    successful = "fine"
    failed = "it failed"


class Result2(Result):
    worse = "it failed more"


MODULES: dict[str, Callable[[], Any]] = {
    "static fields": lambda: Linear(3),
    "converters": lambda: [Converted([1.0]), Converted(3, [4, 5], 6)],
    "fields outside of __init__": lambda: NotInitialised(jnp.ones(3)),
    "InitVar": lambda: WithInitVar(jnp.ones(2), 3.0),
    "__check_init__": lambda: Checked(jnp.ones(2)),
    "generic": lambda: [Item(1), Item[int](2), Item[Item[int]](Item[int](3), "x")],
    "generic child": lambda: Items(1, "label", jnp.ones(2)),
    "abstract base": lambda: Concrete(jnp.ones(2)),
    "inherited": lambda: [Child(2), Mixed(jnp.ones(1), "m")],
    "absent fields": lambda: Absent(jnp.ones(1)),
    "absent after tree_map": lambda: jtu.tree_map(lambda x: x, Absent(jnp.ones(1))),
    "__getattr__": lambda: Delegating(Linear(2), {"a": jnp.ones(2)}),
    "__getattr__ nested": lambda: Delegating(Delegating(Linear(1), {}), {"b": 1}),
    "private fields": lambda: Private(jnp.ones(2)),
    "hostile": lambda: {"x": Hostile(jnp.ones(1)), "y": [Hostile(None)]},
    "clashing names": lambda: Clashing(Linear(1), "same", 3, "os:system", ["a"], 1),
    "nested classes": lambda: [Outer.Inner(1), Outer.Inner.Deep(2), Outer.Pair(1)],
    "empty": lambda: [Empty(), {"x": Empty()}],
    "module in a static field": lambda: Holder(1, (Empty(), Item(1))),
    "arrays in a static field": lambda: box(jnp.ones(2), {"a": [jnp.ones(1), KEY]}),
    "numpy in a static field": lambda: box(1, (np.arange(3), np.float32(2))),
    "filter_jit of a function": lambda: Holder(eqx.filter_jit(plain)),
    "filter_jit of a module": lambda: eqx.filter_jit(Linear(2)),
    "filter_jit of a module with absent fields": lambda: eqx.filter_jit(Absent(1.0)),
    "filter_jit with donation": lambda: eqx.filter_jit(Linear(2), donate="all"),
    "filter_jit of a method": lambda: eqx.filter_jit(Linear(2).__call__),
    "filter_vmap": lambda: eqx.filter_vmap(Linear(2), in_axes=(0,), axis_size=3),
    "filter_grad": lambda: eqx.filter_grad(Linear(2)),
    "filter_checkpoint": lambda: eqx.filter_checkpoint(Linear(2)),
    "wrappers of wrappers": lambda: eqx.filter_jit(eqx.filter_vmap(Linear(2))),
    "eqx.Partial": lambda: eqx.Partial(jnp.dot, jnp.ones(3), precision="highest"),
    "module_update_wrapper": lambda: eqx.nn.Lambda(eqx.filter_jit(jax.nn.softmax)),
    "enumeration": lambda: [
        Result.failed,
        Result2.worse,
        Result2.promote(Result.failed),
    ],
    "partitioned": lambda: eqx.partition(Child(2), eqx.is_array),
    "filter with replacement": lambda: eqx.filter(
        Child(2), eqx.is_array, replace="gone"
    ),
    "filter_spec": lambda: jtu.tree_map(lambda _: False, Child(2)),
    "shapes": lambda: eqx.filter_eval_shape(Child, 2),
    "leaf replaced by None": lambda: eqx.tree_at(lambda m: m.weight, Linear(2), None),
    "ensemble": lambda: eqx.filter_vmap(
        lambda k: eqx.nn.MLP(2, 3, 4, 2, jax.nn.gelu, key=k)
    )(jr.split(KEY, 4)),
    "gradient": lambda: eqx.filter_grad(lambda m: m(jnp.ones(2)).sum())(Linear(2)),
}


@pytest.mark.parametrize("what", MODULES)
def test_a_module_comes_back(what):
    """Modules of every sort come back, each field where it was."""
    survives(MODULES[what]())


def test_no_constructor_runs_on_load():
    """No `__new__`, `__init__`, `__post_init__`, check or converter is called."""
    tree = [Counted(1), CountedData(2), CountedPair(3, 4), Checked(jnp.ones(2))]
    CALLS.clear()
    loaded = survives(tree)
    assert loaded[0].converted == [1]
    assert CALLS == {}


def _counted(what: str) -> Callable[..., Any]:
    def count(value: Any) -> Any:
        CALLS[what] += 1
        return [value]

    return count


class Counted(eqx.Module):
    converted: Any = eqx.field(converter=_counted("converter"))
    made: Any = eqx.field(default_factory=lambda: _counted("factory")(0))

    def __new__(cls, *args: Any) -> Any:
        CALLS["new"] += 1
        return super().__new__(cls)

    def __post_init__(self) -> None:
        CALLS["post_init"] += 1

    def __check_init__(self) -> None:
        CALLS["check_init"] += 1


@dataclasses.dataclass
class CountedData:
    a: Any

    def __post_init__(self) -> None:
        CALLS["post_init"] += 1

    def __setattr__(self, name: str, value: Any) -> None:
        CALLS["setattr"] += 1
        object.__setattr__(self, name, value)

    def __setstate__(self, state: Any) -> None:
        CALLS["setstate"] += 1


class CountedPair(collections.namedtuple("CountedPair", "a b")):
    __slots__ = ()

    def __new__(cls, a: Any, b: Any) -> Any:
        CALLS["new"] += 1
        return super().__new__(cls, a, b)


def test_a_model_that_its_own_check_would_refuse_loads():
    """`tree_at` may have made what `__check_init__` refuses; it loads as it is."""
    survives(eqx.tree_at(lambda m: m.a, Checked(jnp.ones(2)), jnp.ones(5)))


def test_a_loaded_module_is_frozen():
    """A loaded Module can no more be changed than the one that was saved."""
    loaded = survives(Linear(2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.size = 3


def test_a_field_that_was_absent_is_absent():
    """A field that only the class has is not copied to the instance."""
    loaded = survives(Absent(1))
    assert "b" not in vars(loaded)
    assert loaded.b == 3


def test_a_bound_method_belongs_to_the_loaded_module():
    """A method kept as a leaf is bound to the copy, and shares its arrays."""
    model = Linear(2)
    loaded = survives({"call": model.__call__, "model": model})
    assert loaded["call"].__self__.weight is loaded["model"].weight


def test_a_loaded_model_does_not_compile_again():
    """To `jax.jit` a loaded model is the model that it has compiled for."""
    compiled = collections.Counter()

    @eqx.filter_jit
    def call(model, x):
        compiled["calls"] += 1
        return model(x)

    model = eqx.nn.MLP(2, 2, 4, 2, jax.nn.gelu, key=KEY)
    result = call(model, jnp.ones(2))
    assert jnp.array_equal(call(survives(model), jnp.ones(2)), result)
    assert compiled["calls"] == 1


def test_tied_weights_stay_tied():
    """A layer used in two places is one layer after loading."""
    embedding = eqx.nn.Embedding(5, 3, key=KEY)
    loaded = survives({"in": embedding, "out": [embedding], "w": embedding.weight})
    assert loaded["in"] is loaded["out"][0]
    assert loaded["w"] is loaded["in"].weight


def _embedding(pair: Any) -> Any:
    return pair[0].weight


def _head(pair: Any) -> Any:
    return pair[1].weight


def test_shared_layers_of_equinox_come_back():
    """`eqx.nn.Shared` keeps its functions by name and its sharing as it was."""
    layers = (eqx.nn.Linear(2, 2, key=KEY), eqx.nn.Linear(2, 2, key=jr.key(1)))
    loaded = survives(eqx.nn.Shared(layers, _head, _embedding))
    one, other = loaded()
    assert one.weight is other.weight


def test_wrapped_jax_functions_keep_their_text():
    """The name and text that a wrapper borrows come back without being stored twice."""
    wrapper = eqx.filter_jit(jax.nn.softmax)
    assert survives(Holder(wrapper)).function.__doc__ == jax.nn.softmax.__doc__


# State --------------------------------------------------------------------------------


class Network(eqx.Module):
    norm: eqx.nn.BatchNorm
    counter: eqx.nn.StateIndex
    linear: eqx.nn.Linear

    def __init__(self, key: Array) -> None:
        self.norm = eqx.nn.BatchNorm(3, axis_name="batch", mode="batch")
        self.counter = eqx.nn.StateIndex(jnp.zeros(()))
        self.linear = eqx.nn.Linear(3, 3, key=key)

    def __call__(self, x: Array, state: eqx.nn.State) -> Any:
        x, state = self.norm(self.linear(x), state)
        return x, state.set(self.counter, state.get(self.counter) + 1)


def _used() -> tuple[Network, eqx.nn.State, Any]:
    model, state = eqx.nn.make_with_state(Network)(KEY)
    batch = jnp.arange(12.0).reshape(4, 3)
    call = functools.partial(
        jax.vmap, axis_name="batch", in_axes=(0, None), out_axes=(0, None)
    )
    _, state = call(model)(batch, state)
    return model, state, lambda m, s: call(m)(batch, s)


def test_model_and_state_go_on_together():
    """The markers by which a model finds its state are the same on both sides."""
    model, state, call = _used()
    loaded = survives((model, state))
    assert differences(call(model, state), call(*loaded)) == []
    assert loaded[1].get(loaded[0].counter) == 1


def test_substates_and_inference_models_come_back():
    """The stateful models of Equinox are kept."""
    model, state, _ = _used()
    survives((eqx.nn.inference_mode(model), state, state.substate(model.norm)))
    survives(eqx.partition((model, state), eqx.is_inexact_array))


def test_an_ensemble_with_state_comes_back():
    """Models and states made by `filter_vmap` come back, batch and all."""
    survives(
        eqx.filter_vmap(eqx.nn.make_with_state(Network))(jr.split(jr.key(1), 3)),
    )


def test_a_whole_checkpoint_comes_back():
    """Model, state, optimiser, step, key and history: one tree, one file."""
    model, state, _ = _used()
    optimiser = optax.chain(optax.clip(1.0), optax.adamw(1e-3))
    survives(
        {
            "model": model,
            "state": state,
            "optimiser": optimiser.init(eqx.filter(model, eqx.is_inexact_array)),
            "step": jnp.int32(7),
            "key": KEY,
            "history": {"loss": [0.5, float("inf")]},
        }
    )


# Dataclasses and registered nodes -----------------------------------------------------


@dataclasses.dataclass
class Plain:
    a: Any
    items: list[Any] = dataclasses.field(default_factory=list)
    hidden: Any = dataclasses.field(default=None, init=False, repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: Any


@dataclasses.dataclass(slots=True)
class Slots:
    a: Any
    b: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FrozenSlots:
    a: Any


@dataclasses.dataclass(eq=False)
class ByIdentity:
    a: Any


@dataclasses.dataclass
class GenericData(Generic[T]):
    x: T


class SlotsChild(Slots):
    """With a `__dict__` beside the slots."""


def _with_attributes() -> list[Any]:
    first, second = Plain(1), SlotsChild(1)
    first.late = second.late = "added later"
    del second.b
    return [first, second]


@jtu.register_dataclass
@dataclasses.dataclass
class Registered:
    x: Array
    y: Any
    meta: str = dataclasses.field(default="m", metadata={"static": True})


@functools.partial(jtu.register_dataclass, data_fields=["z", "x"], meta_fields=["n"])
@dataclasses.dataclass(frozen=True)
class Reordered:
    x: Any
    n: Any
    z: Any


@jtu.register_pytree_node_class
class NodeClass:
    def __init__(self, a: Any, b: Any, name: Any) -> None:
        self.a, self.b, self.name = a, b, name
        self.derived = (a, name)

    def tree_flatten(self) -> Any:
        return (self.a, self.b), self.name

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Any:
        return cls(*children, aux)


@jtu.register_pytree_with_keys_class
class WithKeys:
    def __init__(self, a: Any, aux: Any) -> None:
        self.a, self.aux = a, aux

    def tree_flatten_with_keys(self) -> Any:
        return ((jtu.GetAttrKey("a"), self.a),), self.aux

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Any:
        return cls(children[0], aux)


class Node:
    def __init__(self, *children: Any) -> None:
        self.children = children


class SlotNode:
    __slots__ = ("_b", "a")

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self._b = a, b


class DictNode(dict[str, Any]):
    """A dict that is a node of its own."""


@jtu.register_static
class Setting:
    def __init__(self, a: Any) -> None:
        self.a = a

    def __eq__(self, other: object) -> bool:
        return type(other) is Setting and self.a == other.a

    def __hash__(self) -> int:
        return hash(self.a)


@jtu.register_static
@dataclasses.dataclass(frozen=True)
class StaticData:
    a: int
    b: str = "x"


jtu.register_pytree_node(Node, lambda n: (n.children, None), lambda _, c: Node(*c))
jtu.register_pytree_with_keys(
    SlotNode,
    lambda n: (((jtu.GetAttrKey("a"), n.a),), n._b),
    lambda aux, children: SlotNode(children[0], aux),
)
jtu.register_pytree_node(
    DictNode,
    lambda d: (tuple(d[k] for k in sorted(d)), tuple(sorted(d))),
    lambda names, values: DictNode(zip(names, values, strict=True)),
)

OBJECTS: dict[str, Callable[[], Any]] = {
    "dataclass": lambda: Plain(jnp.ones(2), [np.ones(2)]),
    "frozen dataclass": lambda: Frozen((1, Frozen(2))),
    "dataclass with slots": lambda: [Slots(1), FrozenSlots(a=jnp.ones(1))],
    "dataclass by identity": lambda: ByIdentity([1]),
    "generic dataclass": lambda: [GenericData(1), GenericData[int](2)],
    "attributes added later": _with_attributes,
    "register_dataclass": lambda: Registered(jnp.ones(2), [1, {"x": 2}]),
    "register_dataclass in another order": lambda: Reordered(jnp.ones(1), (1,), 2.0),
    "register_pytree_node_class": lambda: NodeClass(jnp.ones(1), [2], "name"),
    "register_pytree_with_keys_class": lambda: WithKeys(jnp.ones(1), ("aux", 3)),
    "register_pytree_node": lambda: Node(1, jnp.ones(1), Node()),
    "register_pytree_with_keys": lambda: SlotNode(jnp.ones(1), "b"),
    "a subclass of dict": lambda: DictNode(a=1, b=jnp.ones(1)),
    "register_static": lambda: [Setting(3), {"x": Setting("y")}],
    "register_static of a dataclass": lambda: StaticData(1),
    "an array as auxiliary data": lambda: WithKeys(jnp.ones(1), np.arange(3)),
    "a function as auxiliary data": lambda: NodeClass(1, 2, jnp.sin),
}


@pytest.mark.parametrize("what", OBJECTS)
def test_an_object_comes_back(what):
    """Dataclasses and registered nodes come back, as leaves and as static values."""
    survives({"leaf": OBJECTS[what](), "static": box(1, OBJECTS[what]())})


def test_a_failing_unflatten_names_the_class():
    """An exception of a user's unflatten function becomes a `ZodiaxIOError`."""
    file = io.BytesIO()
    zodiax_io.serialise(file, [Guarded(1)])
    file.seek(0)
    Guarded.broken = True
    try:
        with pytest.raises(zodiax_io.CorruptFileError, match="of Guarded failed: Key"):
            zodiax_io.deserialise(file)
    finally:
        Guarded.broken = False


class Guarded:
    broken = False

    def __init__(self, child: Any) -> None:
        self.child = child
        self.helper = UNKEPT  # so that only its flattening can be kept

    @staticmethod
    def unflatten(_: Any, children: Any) -> Any:
        if Guarded.broken:
            raise KeyError("broken")
        return Guarded(children[0])


jtu.register_pytree_node(Guarded, lambda g: ((g.child,), None), Guarded.unflatten)


# Size and depth -----------------------------------------------------------------------


def _nested(depth: int, wrap: Callable[[Any], Any]) -> Any:
    return functools.reduce(lambda tree, _: wrap(tree), range(depth), 1.0)


def _bare(item: Any) -> Item[Any]:
    """An `Item` as no `__init__` could make it: Equinox cannot build deep ones."""
    made = object.__new__(Item)
    object.__setattr__(made, "item", item)
    object.__setattr__(made, "label", "")
    return made


WRAPS: dict[str, Callable[[Any], Any]] = {
    "list": lambda x: [x],
    "tuple": lambda x: (x,),
    "dict": lambda x: {"a": x},
    "module": _bare,
    "namespace": lambda x: types.SimpleNamespace(a=x),
    "dataclass": Frozen,
    "node": Node,
}


@pytest.mark.parametrize("what", WRAPS)
def test_deep_trees_come_back(what):
    """Trees as deep as JAX can handle come back whole."""
    # Each of these nodes holds a tuple of children: two levels.
    survives(_nested(249 if what == "node" else 499, WRAPS[what]))


@pytest.mark.parametrize("what", WRAPS)
def test_too_deep_trees_are_refused(what):
    """Beyond 500 levels the tree is refused, in our words and with Python unharmed."""
    tree = _nested(2_000, WRAPS[what])
    with pytest.raises(zodiax_io.SerialisationError, match="more than 500 levels deep"):
        zodiax_io.build_structure(tree)


def test_a_deep_tree_is_no_trouble_for_a_deep_caller():
    """How much of Python's recursion limit the caller has used does not matter."""

    def below(levels: int) -> Any:
        return below(levels - 1) if levels else zodiax_io.build_structure(tree)

    tree = _nested(499, lambda x: [x])
    kinds = [node.kind_name for node in Structure.parse(below(800)).nodes]
    assert kinds == ["list"] * 499 + ["float"]


def _list_in_itself() -> Any:
    tree: list[Any] = [1]
    tree.append({"again": tree})
    return tree


def _module_in_itself() -> Any:
    items: dict[str, Any] = {}
    items["self"] = Item(items)
    return items


@pytest.mark.parametrize("make", [_list_in_itself, _module_in_itself])
def test_a_cycle_is_refused(make):
    """An object that contains itself is refused with the path where it closes."""
    with pytest.raises(zodiax_io.SerialisationError, match="it contains itself"):
        zodiax_io.build_structure(make())


def test_wide_trees_come_back():
    """A hundred thousand leaves are no trouble."""
    # Where every call is checked, a few of them must do.
    size = 5_000 if TYPE_CHECKS else 100_000
    survives({"floats": [0.5] * size, "arrays": [np.float32(i) for i in range(1_000)]})


def test_many_arrays_come_back():
    """Thousands of small JAX arrays are read in groups, and none is confused."""
    survives([jnp.asarray(np.full(3, i, np.float32)) for i in range(3_000)])


def test_a_field_that_the_class_has_lost_is_told():
    """A field of the file that the class lacks is never set, or left out, silently."""
    structure = zodiax_io.build_structure(eqx.nn.Identity())
    structure["node"]["gain"] = zodiax_io.build_structure(2.0)
    with pytest.warns(zodiax_io.ClassChangedWarning) as caught:
        loaded = zodiax_io.load_structure(structure)
    assert str(caught[0].message) == (
        "The structure contains objects whose classes have changed:\n"
        "  `equinox.nn:Identity` at `model`: removed from the class, not loaded: "
        "`gain`\n"
        "To convert saved fields, register an upgrade: `zodiax_io.upgraded`."
    )
    assert vars(loaded) == {}
