"""Instances of plain classes, and of subclasses of built-in ones, are kept whole."""

import argparse
import collections
import copyreg
import enum
import importlib
import inspect
import io
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import pytest
from documents import container, leaf, load_node
from equality import survives
from hypothesis import given, strategies as st
from strategies import Half, Metre, Number, Plain, Steps, Table, Words, box, noted

import zodiax_io
from zodiax_io._kinds import plain
from zodiax_io._trust import judge, roles

T = TypeVar("T")
WAYS = (
    *("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__"),
    *("__getnewargs__", "__getnewargs_ex__", "__del__"),
)


class Forbidding:
    """Code that neither a save nor a load may run."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("a method of the class was called")

    __init__ = __setattr__ = __delattr__ = __getattr__ = __getattribute__ = __new__
    __eq__ = __ne__ = __lt__ = __bool__ = __len__ = __iter__ = __contains__ = __new__
    __getitem__ = __setitem__ = __repr__ = __str__ = __copy__ = __deepcopy__ = __new__
    __hash__ = __call__ = __int__ = __float__ = __index__ = __bytes__ = __new__
    __dir__ = __sizeof__ = __instancecheck__ = __format__ = __new__
    items = keys = values = update = append = extend = get = copy = pop = __new__


class Strict(Forbidding): ...


class StrictList(Forbidding, list[Any]): ...


class StrictDict(Forbidding, dict[Any, Any]): ...


class StrictOrdered(Forbidding, collections.OrderedDict[Any, Any]): ...


class StrictDefault(Forbidding, collections.defaultdict[Any, Any]): ...


class StrictTuple(Forbidding, tuple[Any, ...]): ...


class StrictDeque(Forbidding, collections.deque[Any]): ...


class StrictSet(Forbidding, set[Any]): ...


class StrictText(Forbidding, str): ...


class StrictInt(Forbidding, int): ...


class StrictFloat(Forbidding, float): ...


def strict(cls: Any, base: Any, *contents: Any, **attributes: Any) -> Any:
    """An instance of a class none of whose methods may be called."""
    made = base.__new__(cls, *contents)
    if contents and base.__init__ is not object.__init__:
        base.__init__(made, *contents)
    object.__getattribute__(made, "__dict__").update(attributes)
    return made


STRICT = {
    "an instance": lambda: strict(Strict, object, a=1, b=[jnp.ones(1)]),
    "a list": lambda: strict(StrictList, list, [1, 2], note=1),
    "a dict": lambda: strict(StrictDict, dict, {"b": 1, "a": 2}, note=1),
    "a tuple": lambda: strict(StrictTuple, tuple, (1, 2), note=1),
    "a deque": lambda: strict(StrictDeque, collections.deque, [1, 2], note=1),
    "a set": lambda: strict(StrictSet, set, {1}, note=1),
    "a text": lambda: strict(StrictText, str, "a", note=1),
    "an integer": lambda: strict(StrictInt, int, 3, note=1),
    "a float": lambda: strict(StrictFloat, float, 3.5, note=1),
    "a defaultdict": lambda: strict(
        StrictDefault, collections.defaultdict, list, {"a": [1]}, note=1
    ),
    "an ordered dict": lambda: ordered(),
}


def ordered() -> Any:
    made = collections.OrderedDict.__new__(StrictOrdered)
    for key in "bca":
        collections.OrderedDict.__setitem__(made, key, 1)
    collections.OrderedDict.move_to_end(made, "b")
    return made


def saved(tree: Any) -> io.BytesIO:
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    return file


def refusal_of(obj: Any) -> str:
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure({"here": obj})
    return str(caught.value).partition("`model['here']`. ")[2]


@pytest.mark.parametrize("name", STRICT)
def test_no_code_of_the_class_is_run(name):
    """Neither a save nor a load calls a method of the class, its own or inherited."""
    obj = STRICT[name]()
    (loaded,) = zodiax_io.deserialise(saved([obj]))
    assert type(loaded) is type(obj)
    one, other = (object.__getattribute__(x, "__dict__") for x in (obj, loaded))
    assert list(one) == list(other)
    base = next(b for b in type(obj).__mro__ if b.__module__ != __name__)
    assert contents_of(loaded, base) == contents_of(obj, base)


def contents_of(obj: Any, base: Any) -> Any:
    """The contents of a built-in base, read past the methods of the class."""
    if issubclass(base, dict):
        return list(base.items(obj))
    if issubclass(base, (list, tuple, set, collections.deque)):
        return list(base.__iter__(obj))
    return None if base is object else base.__repr__(obj)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_]{0,3}[a-z]", fullmatch=True), st.integers(), min_size=1
    )
)
def test_attributes_come_back_in_their_order(attributes):
    """Whatever is set on an instance, under any name, in the order it was set."""
    loaded = survives(Plain(**attributes))
    assert list(vars(loaded).items()) == list(attributes.items())


def test_what_was_never_set_stays_so():
    """A slot without a value has none after loading."""
    loaded = survives(Half(1))
    assert not hasattr(loaded, "shown")


def test_what_is_shared_stays_shared():
    """An object that is met twice is one object in what comes back."""
    settings = Plain(lr=0.1)
    words = noted(Words("a"), settings=settings)
    tree = {"a": [settings, words], "b": words, "c": box(settings, settings)}
    loaded = survives(tree)
    assert loaded["a"][0] is loaded["b"].settings is loaded["c"].label


class Settings:
    def __init__(self, lr: float) -> None:
        self.lr = lr

    def __eq__(self, other: object) -> bool:
        return type(other) is Settings and self.lr == other.lr

    def __hash__(self) -> int:
        return hash(self.lr)


def test_treedefs_are_equal_where_the_class_says_so():
    """A static field with an equality of its own compares as before."""
    loaded = survives(box(1, Settings(0.1)))
    assert jtu.tree_structure(loaded) == jtu.tree_structure(box(1, Settings(0.1)))
    assert jtu.tree_structure(loaded) != jtu.tree_structure(box(1, Settings(0.2)))


def test_plain_equinox_reads_the_companion(tmp_path):
    """To JAX an instance is a leaf, and a float with a unit is a number."""
    tree = [jnp.ones(2), noted(Metre(1.5), unit="m"), Plain(w=jnp.ones(3)), Number(4)]
    zodiax_io.serialise(tmp_path / "a.zdx", tree)
    loaded = eqx.tree_deserialise_leaves(tmp_path / "a.eqx", tree)
    assert loaded[1] == 1.5
    assert loaded[3] == 4
    assert loaded[2] is tree[2]


CHOICES = (
    "class Choice:\n"
    "    def __init__(self, name, rate=1): self.name, self.rate = name, [rate]\n"
    "FAST = Choice('fast')\n"
    "Choice.SLOW = Choice('slow')\n"
)


def test_a_constant_of_a_module_comes_back_as_itself(lab):
    """Code may compare it by identity, so a copy would be another value."""
    choices = lab("choices", CHOICES)
    tree = {"a": choices.FAST, "b": [choices.Choice.SLOW], "c": choices.Choice("fast")}
    loaded = zodiax_io.deserialise(saved(tree))
    assert loaded["a"] is choices.FAST
    assert loaded["b"][0] is choices.Choice.SLOW
    assert loaded["c"] is not choices.FAST


def test_a_constant_that_has_changed_keeps_its_state(lab):
    """The state is that of the file, whatever the module has now."""
    choices = lab("choices", CHOICES)
    file = saved([choices.FAST])
    choices.FAST.rate.append(2)
    other = saved([choices.FAST])
    again = lab("choices", CHOICES)
    (before,), (after,) = map(zodiax_io.deserialise, (file, other))
    assert before is again.FAST
    assert after is not again.FAST
    assert vars(after) == {"name": "fast", "rate": [1, 2]}
    lab("choices", f"{CHOICES}class Other(Choice): ...\nFAST = Other('fast')\n")
    file.seek(0)
    with pytest.raises(zodiax_io.CorruptFileError, match="object of another class"):
        zodiax_io.deserialise(file)


def test_a_registered_object_comes_back_as_itself(lab, monkeypatch):
    """Whoever registers a constant says that its name is enough."""
    names = importlib.import_module("zodiax_io._trust.names")
    monkeypatch.setattr(names, "_registered", {})
    monkeypatch.setattr(names, "_registered_names", {})
    choices = lab("choices", CHOICES)
    mine = zodiax_io.register(choices.Choice("mine"), alias="choices:MINE")
    assert zodiax_io.build_structure(mine)["kind"] == "singleton"
    file = saved([mine])
    mine.rate.append(2)
    assert zodiax_io.deserialise(file)[0] is mine
    unit = zodiax_io.register(noted(Metre(1.5), unit="m"), alias="choices:UNIT")
    assert zodiax_io.deserialise(saved([unit]))[0] is unit


@jtu.register_static
class Registered:
    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return type(other) is Registered and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


class Layout(tuple[int, ...]):
    """As the representations of e3nn: a tuple that JAX does not look into."""


class Unit(str):
    """A text that JAX takes for part of the treedef."""


for static in (Layout, Unit):
    jtu.register_static(static)


def test_a_class_that_jax_holds_static_is_kept():
    """It is a node without leaves to JAX, before and after, and to an `Opaque`."""
    objects = (Registered("a"), Layout([1, 2]), noted(Layout([3]), of=4), Unit("m"))
    loaded = survives([*objects, jnp.ones(1)])
    assert len(jax.tree.leaves(loaded)) == 1
    for obj in (*objects, Plain(a=1), noted(Metre(1.5), unit="m")):
        structure = zodiax_io.build_structure([obj])
        (node,) = structure["node"]
        node["type"] = f"gone:{type(obj).__name__}"
        opaque = zodiax_io.load_structure(structure, unknown="opaque")
        assert zodiax_io.build_structure(opaque) == structure


class Box(Generic[T]):
    def __init__(self, item: T) -> None:
        self.item = item


def test_an_instance_of_a_generic_class_knows_its_arguments():
    """`Box[int](1)` keeps the arguments of its class."""
    assert survives(Box[int](1)).__orig_class__ == Box[int]


def test_classes_of_attrs_are_kept(lab):
    """Their slots, and the methods that attrs writes for these, are understood."""
    pytest.importorskip("attrs")
    lenses = lab(
        "of_attrs",
        "import attrs\n@attrs.define\nclass Lens:\n    f: float\n    n: int = 1\n",
    )
    assert lenses.Lens.__getstate__ is not object.__getstate__
    assert survives([lenses.Lens(2.0)]) == [lenses.Lens(2.0)]


# What is refused ----------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("base", [Plain, Words, Table, Steps])
def test_a_class_with_its_own_copies_is_refused(way, base, monkeypatch):
    """Attributes may be less than the object where its class says how it is copied."""
    monkeypatch.setattr(base, way, lambda *_: {}, raising=False)
    monkeypatch.setattr(plain, "_own_way", UNCACHED)
    obj = noted(base(), a=1)
    try:
        assert refusal_of(obj) == (
            f"Its class defines `{way}`: it may be more than its attributes. Keep its "
            "parts, and make it again from them; or register a kind for it with "
            "`zodiax_io.register_kind`."
        )
    finally:
        monkeypatch.undo()


UNCACHED = inspect.unwrap(plain._own_way)


def test_a_class_that_copyreg_copies_is_refused(monkeypatch):
    """So is one whose copies a function makes."""
    monkeypatch.setitem(copyreg.dispatch_table, Settings, lambda obj: (Settings, (1,)))
    monkeypatch.setattr(plain, "_own_way", UNCACHED)
    assert "Its class is copied by a function of `copyreg`" in refusal_of(Settings(1))


class Caching:
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self._hash = hash(names)

    def __eq__(self, other: object) -> bool:
        return type(other) is Caching and self.names == other.names

    def __hash__(self) -> int:
        return self._hash

    def forward(self) -> int:
        return 1


def test_a_hash_of_this_process_is_refused():
    """A cached hash would be wrong in the next process."""
    assert refusal_of(Caching(frozenset("ab"))).startswith(
        "Its attribute '_hash' is a hash or an `id`, which is valid in one process "
        "only. Compute it where it is needed, or delete it before saving; or register"
    )
    owner = Plain(name="a")
    owner.number = id(owner)
    assert "is a hash or an `id`" in refusal_of(owner)


def test_attributes_that_are_shared_are_refused():
    """A file has what is in a `__dict__`, not that two objects have one."""
    one, other = Plain(a=1), Plain()
    object.__setattr__(other, "__dict__", vars(one))
    for tree in ([one, other], [one, vars(one)], [vars(one), one], [one, [other]]):
        with pytest.raises(zodiax_io.SerialisationError) as caught:
            zodiax_io.build_structure(tree)
        assert str(caught.value).endswith(
            "Another object of the tree is its `__dict__`, or has the same one, and "
            "would not after loading. Keep what they share as an attribute of both."
        )
    survives([one, one, {"a": 1}])


@pytest.mark.parametrize("name", ["forward", "__call__", "__class__", "a\x1bb"])
def test_an_attribute_that_hides_code_is_refused(name):
    """What is set on an instance replaces no method of its class."""
    obj = object.__new__(Caching)
    vars(obj)[name] = 1
    assert refusal_of(obj).startswith(
        f"It has an attribute {name!r} that hides one of its class, or that is special "
        "to Python. Give it another name"
    )


def test_what_no_file_can_hold_is_refused_where_it_is():
    """The path leads to the attribute that cannot be kept."""
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(Plain(log=Plain(file=io.StringIO())))
    assert caught.value.path == "model.log.file"


def test_an_object_within_itself_is_refused():
    """A tree has no cycles, and neither have the objects in it."""
    child = Plain()
    child.parent = Plain(child=child)
    with pytest.raises(zodiax_io.SerialisationError, match="it contains itself"):
        zodiax_io.build_structure(child)


# What a stranger may write ------------------------------------------------------------


class Bunch(dict[str, Any]):
    """A dictionary whose items are its attributes, as many programs write it."""

    def __init__(self, *args: Any, **items: Any) -> None:
        dict.__init__(self, *args, **items)
        self.__dict__ = self

    def run(self) -> None: ...


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(), max_size=4))
def test_a_dictionary_that_is_its_own_attributes_stays_so(items):
    """An attribute that is set after loading is an item, as before."""
    (loaded,) = survives_as_items([Bunch(items, inner=Bunch(a=1))])
    assert type(loaded) is Bunch
    assert [*loaded.items()] == [*items.items(), ("inner", {"a": 1})]
    loaded.new = loaded.inner.new = 3
    assert loaded["new"] == loaded["inner"]["new"] == 3


def survives_as_items(tree):
    return zodiax_io.load_structure(zodiax_io.build_structure(tree))


class OrderedBunch(collections.OrderedDict[str, Any]):
    def __init__(self, **items: Any) -> None:
        super().__init__(**items)
        self.__dict__ = self


class SlottedBunch(dict[str, Any]):
    __slots__ = ("__dict__", "other")

    def __init__(self, **items: Any) -> None:
        super().__init__(**items)
        self.__dict__ = self


OWN = "Cannot serialise a `test_plain.{}` at `model`. It is its own `__dict__`, "
KIND = "or register a kind for it with `zodiax_io.register_kind`."
BUNCHES = {
    "run": (
        lambda: Bunch(run=1),
        OWN.format("Bunch") + "and its item 'run' hides an attribute of its class, or "
        f"is special to Python. Give it another name; {KIND}",
    ),
    "special": (
        lambda: Bunch(__array__=1),
        OWN.format("Bunch") + "and its item '__array__' hides an attribute of its "
        f"class, or is special to Python. Give it another name; {KIND}",
    ),
    "ordered": (
        lambda: OrderedBunch(a=1),
        OWN.format("OrderedBunch") + "through which an attribute gets past the order "
        f"of its items. Convert it to a plain `dict`; {KIND}",
    ),
    "slots": (
        lambda: SlottedBunch(a=1),
        OWN.format("SlottedBunch") + f"and has slots. Remove them; {KIND}",
    ),
}


@pytest.mark.parametrize("name", BUNCHES)
def test_items_that_cannot_be_attributes_are_refused(name):
    """They would replace methods, or get lost."""
    make, message = BUNCHES[name]
    with pytest.raises(zodiax_io.SerialisationError) as error:
        zodiax_io.build_structure(make())
    assert str(error.value) == message


@pytest.mark.parametrize("key", ["run", "__array__", "__class__"])
def test_a_file_makes_no_method_of_an_item(key):
    """What a save refuses, a load refuses as well."""
    node = zodiax_io.build_structure(Bunch(a=1))
    contents = node["node"]["(contents)"]
    contents["node"] = {key: contents["node"]["a"]}
    with pytest.raises(zodiax_io.CorruptFileError, match="hides an attribute"):
        zodiax_io.load_structure(node)


class Loose: ...


class Slotted:
    __slots__ = ("a",)


class Twice(Slotted):
    __slots__ = ("a",)  # the slot of the base is still there, hidden


class WithSpace(Slotted): ...


def loose(space):
    made = Loose()
    made.__dict__ = space
    return made


def twice():
    made = Twice()
    made.a = 1
    Slotted.a.__set__(made, 2)  # type: ignore[attr-defined]
    return made


def with_space():
    made = WithSpace()
    made.a = 1
    made.__dict__["a"] = 2
    return made


HIDDEN = (
    "It has two attributes 'a', one of which hides the other: its classes declare the "
    "same slot twice, or its `__dict__` has the name of a slot. Give one of them "
    "another name."
)
SPACES = {
    "a subclass": (
        lambda: loose(Bunch(a=1)),
        "`__dict__` is of the class `Bunch`, ",
    ),
    "ordered": (
        lambda: loose(collections.OrderedDict(a=1)),
        "Its `__dict__` is of the class `OrderedDict`, of which only the items would "
        "be kept. Give it an ordinary one, `x.__dict__ = dict(x.__dict__)`, and keep "
        "what else is needed.",
    ),
    "a slot twice": (twice, HIDDEN),
    "a slot and an item": (with_space, HIDDEN),
}


@pytest.mark.parametrize("name", SPACES)
def test_an_attribute_in_an_unusual_place_is_not_dropped(name):
    """An object that would come back with one attribute for two is refused."""
    make, message = SPACES[name]
    with pytest.raises(zodiax_io.SerialisationError) as error:
        zodiax_io.build_structure(make())
    assert message in str(error.value)


class Colour(enum.IntEnum):
    RED = 1


class Point(NamedTuple):
    x: int


class Wide(np.float64): ...


HERE = f"{__name__}:"
HOSTILE = {
    "a module": container("instance", {"a": leaf("none")}, type="equinox.nn:Linear"),
    "an exception": container("instance", {}, type="builtins:ValueError"),
    "a class of Python": container("instance", {}, type="subprocess:Popen"),
    "a class of NumPy": container("instance", {}, type="numpy:ndarray"),
    "a member of an Enum": leaf("subclass", type=f"{HERE}Colour", value=2),
    "a namedtuple": container(
        "subclass", {"(contents)": container("tuple", [])}, type=f"{HERE}Point"
    ),
    "a number of NumPy": leaf("subclass", type=f"{HERE}Wide", value=1.0),
    "a plain class as a list": container(
        "subclass", {"(contents)": container("list", [])}, type="strategies:Plain"
    ),
    "a list as a plain class": container("instance", {}, type="strategies:Steps"),
    "no contents": container("subclass", {}, type="strategies:Steps"),
    "other contents": container(
        "subclass", {"(contents)": container("dict", {})}, type="strategies:Steps"
    ),
    "a text of a number": leaf("subclass", type="strategies:Number", value="1"),
    "no value": leaf("subclass", type="strategies:Words"),
    "contents of an instance": container(
        "instance",
        {"(contents)": leaf("none"), "__class__": leaf("int", value=1)},
        type="strategies:Plain",
        beside=["(contents)", "__class__"],
    ),
    "a method": container(
        "instance",
        {"forward": leaf("int", value=1)},
        type=f"{HERE}Caching",
        beside=["forward"],
    ),
    "an attribute that nobody set": container(
        "instance", {"a": leaf("int", value=1)}, type="strategies:Plain"
    ),
    "attributes in a list": container(
        "instance", [leaf("int", value=1)], type="strategies:Plain"
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_node_ends_in_an_error(name):
    """No file builds what no save could have written."""
    with pytest.raises(zodiax_io.ZodiaxIOError):
        load_node(HOSTILE[name])


def test_a_class_of_a_stranger_needs_trust(lab, monkeypatch):
    """An installed package that is not known must be trusted, as for a dataclass."""
    package = lab(
        "strange_optics", "class Lens:\n    def __init__(self, f): self.f = f\n"
    )
    monkeypatch.setattr(package, "__file__", "/site-packages/strange_optics.py")
    file = saved([package.Lens(2.0)])
    with pytest.raises(zodiax_io.UntrustedError, match="strange_optics:Lens"):
        zodiax_io.deserialise(file)
    file.seek(0)
    (loaded,) = zodiax_io.deserialise(file, trusted=["strange_optics"])
    assert loaded.f == 2.0


def test_python_builds_only_what_is_listed():
    """Of Python's own classes, files may build the few that hold data."""
    structure = zodiax_io.build_structure(argparse.Namespace(a=1))
    with pytest.raises(zodiax_io.UntrustedError, match="standard library"):
        load_node(structure | {"type": "argparse:ArgumentParser"})


@pytest.mark.parametrize("role", [roles.CODE, roles.FUNCTION, roles.CONSTANT])
@pytest.mark.parametrize("name", ["string:Template", "collections:UserDict"])
def test_code_of_python_is_not_listed_with_its_class(name, role):
    """No file makes the functions within the methods of such a class."""
    assert judge.objection(name, roles.INSTANCE) is None
    assert judge.objection(name, role) is not None


# Beside a load ------------------------------------------------------------------------


def test_it_is_compared_and_selected_by_its_attributes():
    """`like=`, `only=` and `diff` go by the attributes."""
    tree = {"a": Plain(w=jnp.ones(2)), "b": noted(Steps([1, 2]), unit="m"), "c": 1.0}
    other = {"a": Plain(w=jnp.zeros(2)), "b": noted(Steps([0, 0]), unit="s"), "c": 2.0}
    paths = {change.path for change in zodiax_io.diff(saved(tree), other).changes}
    steps = {f"model['b']{step}" for step in ("[0]", "[1]", ".unit")}
    assert paths == {"model['a'].w", "model['c']", *steps}
    assert not zodiax_io.diff(saved(tree), tree)
    part = zodiax_io.deserialise(saved(tree), only="['a'].w")
    assert np.array_equal(part, jnp.ones(2))
    like = tree | {"c": 0.0}
    assert zodiax_io.deserialise(saved(tree), like=like)["c"] == 1.0
