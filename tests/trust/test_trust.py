"""What a file may name, what it may not, and that loading runs none of it."""

import contextlib
import dataclasses
import enum
import io
import os
import subprocess
import sys
import textwrap
import types
import typing
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import pytest
from documents import Checkpoint, container, leaf, load_node, named

import zodiax_io
from zodiax_io import UntrustedError, deserialise
from zodiax_io._trust import names as _names


def refusals(node, **options):
    with pytest.raises(UntrustedError) as caught:
        load_node(node, **options)
    return [refusal.name for refusal in caught.value.refusals]


# Never --------------------------------------------------------------------------------

NEVER = [
    "os:system",
    "posix:system",
    "builtins:eval",
    "builtins:exec",
    "builtins:open",
    "builtins:getattr",
    "builtins:__import__",
    "subprocess:Popen",
    "subprocess:run",
    "functools:partial",
    "functools:reduce",
    "operator:attrgetter",
    "operator:methodcaller",
    "importlib:import_module",
    "pickle:loads",
    "shutil:rmtree",
    "sys:exit",
    "types:FunctionType",
    "jax._src.config:os.system",
    "zodiax_io._files.commit:os.replace",
    "numpy:load",
    "numpy:save",
    "numpy:savez",
    "numpy:savetxt",
    "numpy:fromfile",
    "numpy:genfromtxt",
    "numpy:loadtxt",
    "numpy:memmap",
    "numpy.lib.npyio:save",
    "numpy.lib.format:open_memmap",
    "numpy:lib._npyio_impl.save",
    "jax.numpy:load",
    "jax.numpy:save",
    "jax.numpy:savez",
    "jax.numpy:fromfile",
    "jax.debug:breakpoint",
    "jax.debug:callback",
    "jax.debug:print",
    "jax:pure_callback",
    "jax.experimental:io_callback",
    "jax:clear_caches",
    "jax.profiler:start_server",
    "jax.distributed:initialize",
    "equinox:tree_deserialise_leaves",
    "equinox:tree_serialise_leaves",
    "equinox.internal:debug_backward_nan",
    "zodiax_io:serialise",
    "zodiax_io:deserialise",
    "zodiax_io._trust.names:lookup",
]
EVERYTHING = ["os", "builtins", "subprocess", "functools", "operator", "importlib"]
EVERYTHING += ["pickle", "shutil", "sys", "types", "posix"]
ROLES = ["function", "singleton", "module", "dataclass", "namedtuple", "enum", "marker"]


def node_in(role, name):
    """A node that wants to use a name as a function, a constant or a class."""
    if role in ("function", "singleton", "marker"):
        return named(name, role)
    if role == "enum":
        return leaf("enum", type=name, value="A")
    return container(role, {}, type=name)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", NEVER)
def test_name_that_no_file_may_use(name, role):
    """No role lets a file use it."""
    assert refusals(node_in(role, name)) == [name]


@pytest.mark.parametrize("name", NEVER)
def test_trust_does_not_help_the_standard_library(name):
    """Trusting the packages changes nothing for what no file may use."""
    trusted = [*EVERYTHING, "zodiax_io"]
    assert refusals(named(name), trusted=trusted) == [name]


@pytest.mark.parametrize("name", ["numpy:load", "numpy:save", "jax.debug:callback"])
def test_trust_does_not_help_the_frameworks(name):
    """A framework is not trusted as a whole: its functions come from the table."""
    for role in ("function", "singleton"):
        assert refusals(node_in(role, name), trusted=["numpy", "jax"]) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "os",
        "os:",
        ":system",
        "os:system:x",
        "os.:system",
        "os:sys tem",
        "os:system()",
        "os:__dict__",
        "__main__:__builtins__",
        "equinox.nn:MLP.__init__",
        "equinox.nn:MLP.__init__.__globals__",
        "numpy:sin\n",
        "a" * 600 + ":b",
        "é:é",
        "equinox.nn:MLP.<locals>.f",
        "../os:system",
    ],
)
def test_name_that_is_none(name):
    """What is no plain dotted name is refused before anything looks for it."""
    with pytest.raises(UntrustedError):
        load_node(named(name))


def test_all_refusals_come_at_once():
    """Every refused name of a file is listed, in the order of the tree."""
    names = ["os:system", "builtins:eval", "numpy:load", "no_lab.a:f", "no_lab.b:C"]
    nodes = [*map(named, names[:-1]), container("module", {}, type=names[-1])]
    fine = [named("jax.numpy:sin"), leaf("none")]
    with pytest.raises(UntrustedError) as caught:
        load_node(container("list", [*fine, *nodes]))
    assert [r.name for r in caught.value.refusals] == names
    assert [r.path for r in caught.value.refusals] == [
        f"model[{i}]" for i in range(2, 7)
    ]
    assert all(name in str(caught.value) for name in names)


def test_names_are_judged_wherever_they_stand():
    """Keys of dictionaries and static fields hide no name."""
    bad = named("os:system")
    places = [
        container("dict", [leaf("none")], keys=[bad]),
        container("set", [bad]),
        container("partial", {"func": bad, "args": leaf("none")}),
        container("module", {"inner": bad}, type="equinox.nn:Identity", static=["x"]),
        container("list", [container("list", [bad])]),
        container("annotation", [bad], value="List"),
        container("jit", {"function": bad}, value={}),
    ]
    for node in places:
        assert refusals(node) == ["os:system"]


# Roles --------------------------------------------------------------------------------


class Lens(eqx.Module):
    radius: float


@dataclasses.dataclass
class Settings:
    rate: float


class Pair(typing.NamedTuple):
    a: int
    b: int


class Colour(enum.Enum):
    RED = 1


def own_function(x):
    return x


class Plain:
    pass


RIGHT = {
    "module": Lens,
    "dataclass": Settings,
    "namedtuple": Pair,
    "enum": Colour,
    "function": own_function,
}


@pytest.mark.parametrize("role", RIGHT)
@pytest.mark.parametrize("thing", [*RIGHT.values(), Plain], ids=lambda x: x.__name__)
def test_name_of_the_wrong_sort(role, thing):
    """A class is not used as a function, nor a function as a class."""
    name = f"{__name__}:{thing.__name__}"
    fits = RIGHT[role] is thing or (role == "dataclass" and thing is Lens)
    if not fits:
        assert refusals(node_in(role, name)) == [name]


@pytest.mark.parametrize("role", ["module", "dataclass", "namedtuple", "node"])
@pytest.mark.parametrize("name", ["builtins:dict", "builtins:type", "numpy:ndarray"])
def test_types_that_may_be_values_are_not_built(role, name):
    """A type that a file may mention is not one that it may have built."""
    assert refusals(container(role, {}, type=name)) == [name]


class Finalised(eqx.Module):
    radius: float

    def __del__(self):
        raise AssertionError


def test_class_with_a_finaliser():
    """A class whose instances run code when they go is refused, trusted or not."""
    node = container(
        "module", {"radius": leaf("none")}, type=f"{__name__}:{Finalised.__name__}"
    )
    for trusted in ([], [__name__], [Finalised]):
        assert len(refusals(node, trusted=trusted)) == 1


# Other people's packages --------------------------------------------------------------

LIBRARY = """
    import collections, dataclasses, enum, typing
    import equinox as eqx

    class Plain(eqx.Module):
        x: float

    class Delegating(eqx.Module):
        x: float
        def __getattr__(self, name):
            raise AssertionError(name)

    class Hashed(eqx.Module):
        x: float
        def __hash__(self):
            raise AssertionError

    @dataclasses.dataclass
    class Record:
        x: float

    class Pair(typing.NamedTuple):
        x: float

    class Colour(enum.Enum):
        RED = 1

    def function(x):
        return x

    class Marker:
        pass
    marker = Marker()
"""


@pytest.fixture
def library(monkeypatch, tmp_path):
    """A package as pip installs it, imported."""
    folder = tmp_path / "site-packages" / "somelab"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "models.py").write_text(textwrap.dedent(LIBRARY))
    monkeypatch.syspath_prepend(str(folder.parent))
    import somelab.models

    yield somelab.models
    for name in ("somelab", "somelab.models"):
        sys.modules.pop(name, None)


NEED_TRUST = {
    "Delegating": "module",
    "Hashed": "module",
    "Record": "dataclass",
    "Pair": "namedtuple",
    "function": "function",
    "marker": "singleton",
}


def theirs(name, role):
    node = node_in(role, f"somelab.models:{name}")
    if "node" in node:
        node["node"] = {"x": leaf("float", value=1.0)}
    if role == "enum":
        node["value"] = "RED"
    return node


@pytest.mark.parametrize(("name", "role"), NEED_TRUST.items())
def test_other_peoples_code_needs_trust(library, name, role):
    """What could run code when looked at, and functions, need to be trusted."""
    with pytest.raises(UntrustedError) as caught:
        load_node(theirs(name, role))
    assert caught.value.trusted == ("somelab",)


@pytest.mark.parametrize("how", ["package", "module", "text", "object"])
@pytest.mark.parametrize(("name", "role"), NEED_TRUST.items())
def test_trusted_code_loads(library, name, role, how):
    """A package, a module of it, or the very class or function may be trusted."""
    thing = getattr(library, name)
    if how == "object" and role == "singleton":
        pytest.skip("an object that is neither class nor function is trusted by module")
    trusted = {
        "package": "somelab",
        "module": library,
        "text": ["somelab.models"],
        "object": [thing],
    }[how]
    trusted = [trusted] if isinstance(trusted, types.ModuleType) else trusted
    loaded = load_node(theirs(name, role), trusted=trusted)
    assert loaded is thing or type(loaded) is thing


def test_trust_in_one_is_no_trust_in_another(library):
    """Trust covers what was named, and no neighbour whose name begins alike."""
    for trusted in ("some", "somela", "somelab.model", "somelab.models.sub", "lab"):
        assert refusals(theirs("Record", "dataclass"), trusted=trusted)
    assert refusals(theirs("Record", "dataclass"), trusted=[library.function])


def test_plain_modules_of_any_package_load(library):
    """An imported Equinox Module without tricks needs no trust."""
    assert type(load_node(theirs("Plain", "module"))) is library.Plain


def test_trust_lasts_for_one_call(library):
    """Trust is given to a call, and never remembered."""
    load_node(theirs("Record", "dataclass"), trusted="somelab")
    assert refusals(theirs("Record", "dataclass"))


def test_module_that_is_not_imported_is_not_imported(library):
    """Without trust a file has nothing imported."""
    del sys.modules["somelab.models"]
    with pytest.raises(UntrustedError, match=r"write `import somelab\.models` first"):
        load_node(theirs("Plain", "module"))
    assert "somelab.models" not in sys.modules
    loaded = load_node(theirs("Plain", "module"), trusted="somelab")
    assert type(loaded).__name__ == "Plain"
    assert "somelab.models" in sys.modules


def test_nothing_is_imported_for_a_file_that_is_refused(library):
    """Trusted modules are imported only once the whole file has been judged."""
    del sys.modules["somelab.models"]
    node = container("list", [theirs("Plain", "module"), named("os:system")])
    assert refusals(node, trusted="somelab") == ["os:system"]
    assert "somelab.models" not in sys.modules


def test_module_that_fails_to_import(library, tmp_path):
    """A trusted module that cannot be imported is an error of ours."""
    broken = tmp_path / "site-packages" / "somelab" / "broken.py"
    broken.write_text("raise RuntimeError")
    assert refusals(named("somelab.broken:f"), trusted="somelab") == [
        "somelab.broken:f"
    ]
    assert refusals(named("somelab.missing:f"), trusted="somelab")
    assert refusals(named("no_such_package:f"), trusted="no_such_package")


def test_registered_object_needs_no_trust(library):
    """`register` lets every file of the program use an object."""
    name = "registered.by.test:function"
    zodiax_io.register(library.function, alias=name)
    assert load_node(named(name)) is library.function
    assert refusals(container("module", {}, type=name)) == [name]


def test_module_of_lazy_attributes_runs_nothing():
    """A module that computes its attributes is not asked for them."""
    lazy = types.ModuleType("lazy_lab")

    def explode(name):
        raise AssertionError(name)

    lazy.__getattr__ = explode
    sys.modules["lazy_lab"] = lazy
    try:
        assert refusals(named("lazy_lab:f"), trusted="lazy_lab") == ["lazy_lab:f"]
    finally:
        del sys.modules["lazy_lab"]


def test_object_in_the_place_of_a_module_runs_nothing():
    """What stands in `sys.modules` and is no module is not asked anything."""

    class Trap:
        def __getattribute__(self, name):
            raise AssertionError(name)

    sys.modules["trap_lab"] = Trap()
    try:
        with pytest.raises(UntrustedError):
            load_node(named("trap_lab:f"))
    finally:
        del sys.modules["trap_lab"]


# Processes of their own ---------------------------------------------------------------


def run(folder, code, *options):
    script = folder / "script.py"
    script.write_text(textwrap.dedent(code))
    done = subprocess.run(
        [sys.executable, *options, "script.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(zodiax_io.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


def test_own_code_needs_no_argument(tmp_path):
    """Classes and functions of a script and of the modules beside it just load."""
    (tmp_path / "mymodels.py").write_text(
        textwrap.dedent(
            """
            import dataclasses, equinox as eqx
            class Mirror(eqx.Module):
                radius: float
                def __getattr__(self, name):
                    raise AttributeError(name)
            @dataclasses.dataclass
            class Config:
                rate: float
            def activation(x):
                return x
            """
        )
    )
    assert run(
        tmp_path,
        """
        import dataclasses, enum, typing
        import equinox as eqx, zodiax_io
        from mymodels import Mirror, Config, activation
        class Lens(eqx.Module):
            f: object
            g: object = eqx.field(static=True)
        class Pair(typing.NamedTuple):
            a: object
        class Colour(enum.Enum):
            RED = 1
        def own(x):
            return x
        tree = [Lens(own, activation), Pair(Colour.RED), Mirror(1.0), Config(2.0)]
        zodiax_io.serialise("model", tree)
        loaded = zodiax_io.deserialise("model")
        print([type(x).__name__ for x in loaded])
        print(loaded[0].f is own, loaded[0].g is activation, loaded[3] == Config(2.0))
        """,
    ) == ["['Lens', 'Pair', 'Mirror', 'Config']", "True True True"]


PLANTED = """
    raise_if_imported = open("imported", "w").close()
    import equinox as eqx
    class Model(eqx.Module):
        pass
"""


@pytest.mark.parametrize("package", ["gpjax", "blackjax"])
def test_planted_module_is_not_imported(tmp_path, package):
    """A file beside the script, named like a known package, is not that package."""
    (tmp_path / f"{package}.py").write_text(textwrap.dedent(PLANTED))
    checkpoint = Checkpoint.of(eqx.nn.Identity())
    checkpoint.tree["type"] = f"{package}:Model"
    checkpoint.write(tmp_path / "model.zdx")
    out = run(
        tmp_path,
        """
        import sys, zodiax_io
        try:
            zodiax_io.deserialise("model")
        except zodiax_io.UntrustedError as error:
            print("refused")
        """,
    )
    assert out == ["refused"]
    assert not (tmp_path / "imported").exists()


def test_known_package_is_imported(tmp_path):
    """A known package from site-packages needs no import: a fresh notebook loads."""
    optax = pytest.importorskip("optax")
    state = optax.adam(1e-3).init({"w": jnp.ones(2)})
    zodiax_io.serialise(tmp_path / "state", state)
    out = run(
        tmp_path,
        """
        import sys, zodiax_io
        assert "optax" not in sys.modules
        print(type(zodiax_io.deserialise("state")[0]).__name__)
        """,
    )
    assert out == ["ScaleByAdamState"]


HOSTILE = [
    named("os:system"),
    named("builtins:eval"),
    named("numpy:save", "singleton"),
    named("jax.debug:breakpoint"),
    named("antigravity:x"),
    named("this:s"),
    named("no_such_lab.models:f"),
    container("module", {}, type="subprocess:Popen"),
    container(
        "partial",
        {
            "func": named("builtins:exec"),
            "args": container("tuple", [leaf("str", value="import os")]),
            "keywords": container("dict", {}),
        },
    ),
    container("annotation", [], value='\'open("/tmp/x", "w")'),
    container(
        "jaxtyping",
        {"array": named("numpy:ndarray", "class")},
        value={"dtype": "Float", "dimensions": "{open('x','w')}"},
    ),
    leaf("timezone", zone={"key": "../../etc/passwd"}),
    leaf("path", value="/etc/passwd", flavour="PosixPath"),
    leaf("dtype", dtype="f4,(1e9)f8"),
]


def test_hostile_files_run_nothing(tmp_path):
    """Python's own audit sees no code, import, process or file of a hostile file."""
    good = Checkpoint.of([jnp.ones(2), eqx.nn.Identity(), jnp.sin, float])
    good.write(tmp_path / "good.zdx")
    for i, node in enumerate(HOSTILE):
        checkpoint = Checkpoint.of(None)
        checkpoint.tree = node
        checkpoint.write(tmp_path / f"hostile{i}.zdx")
    out = run(
        tmp_path,
        f"""
        import os, sys, warnings
        import equinox, zodiax_io
        zodiax_io.deserialise("good")          # whatever is imported late, is now
        try:
            zodiax_io.deserialise("hostile0")
        except zodiax_io.ZodiaxIOError:
            pass
        seen, watching = [], False
        def hook(event, args):
            if not watching:
                return
            if event in ("exec", "compile", "import", "os.system", "os.exec",
                         "subprocess.Popen", "os.posix_spawn", "os.fork",
                         "socket.connect", "ctypes.dlopen", "os.remove", "os.rename"):
                seen.append((event, str(args)[:100]))
            if event == "open":
                path, mode, flags = args
                if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                    seen.append((event, str(args)))
        sys.addaudithook(hook)
        for i in range({len(HOSTILE)}):
            watching = True
            try:
                zodiax_io.deserialise(f"hostile{{i}}")
            except zodiax_io.ZodiaxIOError:
                pass
            watching = False
            for event in seen:
                print(i, *event)
            seen.clear()
        """,
    )
    assert out == []


# Nothing of a class runs --------------------------------------------------------------


@pytest.fixture
def calls():
    """What ran of the classes below since the test began to load."""
    _CALLS.clear()
    yield _CALLS
    _CALLS.clear()


_CALLS = []


def note(name):
    _CALLS.append(name)


def _convert(x):
    note("converter")
    return x


class Noisy(eqx.Module):
    x: float = eqx.field(converter=_convert)
    y: float = 0.0

    def __init__(self, x):
        note("__init__")
        self.x = x
        self.y = x

    def __new__(cls, *args):
        note("__new__")
        return super().__new__(cls)

    def __check_init__(self):
        note("__check_init__")

    def __getattr__(self, name):
        note(f"__getattr__ {name}")
        raise AttributeError(name)

    def __eq__(self, other):
        note("__eq__")
        return self is other

    def __hash__(self):
        note("__hash__")
        return 0

    def __repr__(self):
        note("__repr__")
        return ""

    def __bool__(self):
        note("__bool__")
        return True


@dataclasses.dataclass
class NoisyRecord:
    x: float
    y: float = 0.0

    def __post_init__(self):
        note("__post_init__")

    def __setattr__(self, name, value):
        note("__setattr__")
        object.__setattr__(self, name, value)

    def __getattribute__(self, name):
        note("__getattribute__")
        return object.__getattribute__(self, name)

    def __setstate__(self, state):
        note("__setstate__")

    def __reduce__(self):
        note("__reduce__")
        return (NoisyRecord, ())

    def __hash__(self):
        note("__hash__")
        return 0

    def __eq__(self, other):
        note("__eq__")
        return self is other


class NoisyPair(typing.NamedTuple("NoisyPair", [("a", int)])):
    __slots__ = ()

    def __new__(cls, a):
        note("__new__")
        return super().__new__(cls, a)

    def __hash__(self):
        note("__hash__")
        return 0

    def __eq__(self, other):
        note("__eq__")
        return True


class NoisyEnum(enum.Enum):
    A = 1

    @classmethod
    def _missing_(cls, value):
        note("_missing_")
        return cls.A


class NoisyFlag(enum.Flag):
    A = 1
    B = 2

    @classmethod
    def _missing_(cls, value):
        note("_missing_")
        return cls.A


class Guarded(eqx.Module):
    x: float

    @property
    def secret(self):
        note("getter")

    @secret.setter
    def secret(self, value):
        note("setter")


OBJECTS = {
    "module": lambda: Noisy(1.0),
    "dataclass": lambda: NoisyRecord(1.0),
    "namedtuple": lambda: NoisyPair(1),
    "enum": lambda: NoisyEnum.A,
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS.keys())
def test_loading_runs_no_method_of_a_class(calls, make):
    """No constructor, converter, hook or comparison of a class runs when it loads."""
    obj = make()
    checkpoint = Checkpoint.of({"a": [obj, 1], "b": obj})
    calls.clear()
    loaded = checkpoint.load()
    assert calls == []
    assert type(loaded["a"][0]) is type(obj)
    assert loaded["a"][0] is loaded["b"]


def test_property_setter_does_not_run(calls):
    """A child named like a property is a changed class, not an assignment."""
    checkpoint = Checkpoint.of(Guarded(1.0))
    checkpoint.tree["node"]["secret"] = leaf("int", value=1)
    with pytest.warns(zodiax_io.ClassChangedWarning, match="not loaded: `secret`"):
        checkpoint.load()
    with pytest.raises(zodiax_io.ClassChangedError):
        checkpoint.load(strict=True)
    assert calls == []


@pytest.mark.parametrize("cls", [NoisyEnum, NoisyFlag])
@pytest.mark.parametrize("value", ["C", 8, -1, 1.0, None, "_missing_", "__class__"])
def test_unknown_member_of_an_enum(calls, cls, value):
    """A member that does not exist is an error, and `_missing_` is not asked."""
    node = leaf("enum", type=f"{__name__}:{cls.__name__}", value=value)
    expected = zodiax_io.CorruptFileError, zodiax_io.ClassChangedError
    with pytest.raises(expected):
        load_node(node)
    assert calls == []


def as_child(obj):
    return Checkpoint.of(obj).tree


KEYS = {
    "module": lambda: Noisy(1.0),
    "dataclass": lambda: NoisyRecord(1.0),
    "namedtuple": lambda: NoisyPair(1),
}


def around(key):
    """Places in a file that make Python hash or compare a value."""
    plain = [leaf("int", value=1), leaf("int", value=2)]
    return {
        "dict": container("dict", plain, keys=[key, plain[0]]),
        "ordereddict": container("ordereddict", plain, keys=[key, plain[0]]),
        "mappingproxy": container("mappingproxy", plain, keys=[key, plain[0]]),
        "set": container("set", [key, plain[0]]),
        "frozenset": container("frozenset", [key, plain[0]]),
        "tuple in a set": container("set", [container("tuple", [key])]),
        "frozen in a set": container("set", [container("frozenset", [key])]),
        "partial in a set": container(
            "set",
            [
                container(
                    "partial",
                    {
                        "func": named("jax.numpy:sin"),
                        "args": container("tuple", [key]),
                        "keywords": container("dict", {}),
                    },
                )
            ],
        ),
        "Literal": container("annotation", [key], value="Literal"),
        "Annotated": container(
            "annotation", [named("builtins:int", "class"), key], value="Annotated"
        ),
        "Literal in a set": container(
            "set", [container("annotation", [key], value="Literal")]
        ),
        "treedef": container("treedef", [container("list", [key])]),
        "jit": container(
            "jit",
            {
                "function": container(
                    "partial",
                    {
                        "func": named("jax.numpy:sin"),
                        "args": container("tuple", [key]),
                        "keywords": container("dict", {}),
                    },
                )
            },
            value={},
        ),
        "vmap": container(
            "transform",
            {
                "function": named("jax.numpy:sin"),
                "options": container("dict", {"in_axes": key}),
            },
            value="vmap",
        ),
        "default_factory": container(
            "defaultdict", {"default_factory": key, "items": container("dict", {})}
        ),
        "partition_spec": container("partition_spec", [key]),
    }


@pytest.mark.parametrize("place", around(leaf("none")))
@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS.keys())
def test_no_place_makes_a_class_compare_itself(calls, make, place):
    """Wherever a file puts an object, its `__hash__` and `__eq__` do not run."""
    node = around(as_child(make()))[place]
    calls.clear()
    with contextlib.suppress(zodiax_io.ZodiaxIOError):
        load_node(node)
    assert calls == []


class Meta(type):
    def __getattribute__(cls, name):
        note(f"Meta.__getattribute__ {name}")
        return super().__getattribute__(name)

    def __call__(cls, *args, **options):
        note("Meta.__call__")

    def __instancecheck__(cls, obj):
        note("Meta.__instancecheck__")
        return True

    def __or__(cls, other):
        note("Meta.__or__")
        return cls

    def __hash__(cls):
        note("Meta.__hash__")
        return 0


class WithMeta(metaclass=Meta):
    pass


def test_metaclass_runs_nothing(calls):
    """A class is looked at past its metaclass."""
    name = f"{__name__}:WithMeta"
    plain = named("builtins:int", "class")
    nodes = [
        node_in(role, name) for role in ("module", "dataclass", "namedtuple", "marker")
    ]
    nodes += [
        named(name, "class"),
        container("annotation", [named(name, "class"), plain], value="|"),
        container("annotation", [named(name, "class")], value="List"),
    ]
    calls.clear()
    for node in nodes:
        try:
            load_node(node)
        except zodiax_io.ZodiaxIOError:
            continue
    assert calls == []


def test_loaded_module_is_frozen_and_whole():
    """What is built past its constructor is as good as what was saved."""
    (loaded,) = Checkpoint.of([Lens(2.0)]).load()
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.radius = 3.0
    assert jtu.tree_structure(loaded) == jtu.tree_structure(Lens(2.0))


def test_file_of_another_program_is_refused_before_it_is_built(calls, tmp_path):
    """One refused name keeps every other object from being built."""
    checkpoint = Checkpoint.of([Noisy(1.0), jnp.ones(2)])
    checkpoint.tree["node"].append(named("os:system"))
    checkpoint.write(tmp_path / "model.zdx")
    calls.clear()
    with pytest.raises(UntrustedError):
        deserialise(tmp_path / "model")
    assert calls == []


def test_functions_of_the_table_need_nothing():
    """Pure functions of JAX load without a word, as the very same objects."""
    functions = [jax.nn.relu, jnp.tanh, jax.lax.add, jax.scipy.special.erf]
    assert Checkpoint.of(functions).load() == functions


# What the caller says -----------------------------------------------------------------


def test_trusted_names_as_messages_print_them():
    """`trusted` takes a name as it stands in the file, and that one only."""
    node = container("partial", {"func": named(f"{__name__}:own"), **EMPTY})
    node["node"]["args"] = container("tuple", [leaf("none")])
    assert refusals(node) == [f"{__name__}:own"]
    assert load_node(node, trusted=f"{__name__}:own").func is own
    assert refusals(node, trusted=f"{__name__}:other") == [f"{__name__}:own"]


def own(x):
    """A function of one's own."""
    return x


EMPTY = {"args": container("tuple", []), "keywords": container("dict", {})}


def test_trust_that_meets_nothing_is_told():
    """A slip of the pen in `trusted` is pointed out."""
    with pytest.raises(UntrustedError) as caught:
        load_node(named("no_such_lab:f"), trusted=["no_such_lap", "no_such_lab"])
    message = str(caught.value)
    assert "No name in it belongs to `no_such_lap`" in message
    assert "to `no_such_lab`" not in message


def test_a_name_given_to_another_object_is_lost():
    """What `register` has renamed cannot be saved under the name it had."""

    class New:
        pass

    name = f"{__name__}:Given"
    zodiax_io.register(New, alias=name)
    try:
        assert zodiax_io.build_structure([New])["node"][0]["type"] == name
        with pytest.raises(zodiax_io.SerialisationError):
            zodiax_io.build_structure([Given])
    finally:
        del _names._registered[name], _names._registered_names[id(New)]


class Given:
    """A class whose name is given away."""


@pytest.mark.parametrize(
    "alias", ["jax.nn:relu", "os:system", "zodiax_io:x", "builtins:int"]
)
def test_aliases_that_mean_something_to_all(alias):
    """No alias takes the place of what every file may name, or may never."""
    with pytest.raises(zodiax_io.ArgumentError):
        zodiax_io.register(own, alias=alias)


SENTINEL = object()


class Optional(eqx.Module):
    """A Module with sentinels."""

    a: typing.Any = SENTINEL
    b: typing.Any = eqx.field(static=True, default=SENTINEL)


def test_sentinels_of_a_module_stay_themselves():
    """`x is SENTINEL` holds after loading, with and without a field."""
    structure = zodiax_io.build_structure([Optional(), SENTINEL, object()])
    module, sentinel, bare = zodiax_io.load_structure(structure)
    assert module.a is module.b is sentinel is SENTINEL
    assert type(bare) is object
    assert bare is not SENTINEL
    assert jax.tree.structure(module) == jax.tree.structure(Optional())


@eqx.filter_custom_jvp
def cubed(x):
    """A function with a rule of its own."""
    return x**3


def test_functions_with_rules_of_their_own():
    """What Equinox makes of a function is kept by its name, as what JAX makes."""
    assert zodiax_io.load_structure(zodiax_io.build_structure(cubed)) is cubed


def test_packages_are_not_completed_from_the_working_folder(tmp_path):
    """What a known package tries to import is not looked for beside the file."""
    pytest.importorskip("diffrax")
    pytest.importorskip("dLux")
    (tmp_path / "optimistix.py").write_text("print('planted')")
    (tmp_path / "jaxkd_cuda.py").write_text("print('planted')")
    script = f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parents[1] / "helpers")!r})
        from documents import container, load_node
        for name in ("diffrax:Tsit5", "dLux:Telescope"):
            try:
                load_node(container("module", {{}}, type=name))
            except Exception as error:
                print(type(error).__name__)
        import os
        assert os.getcwd() in map(os.path.realpath, sys.path)
    """
    (tmp_path / "load.py").write_text(textwrap.dedent(script))
    root = Path(zodiax_io.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "load.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert "planted" not in done.stdout
    assert done.stdout == "ClassChangedError\n"  # fields without defaults


def test_verdicts_are_safe_to_print():
    """What a file is called and names does not command the terminal."""
    hostile = "os:system\x1b[2K\x1b[31mtrusted\nos:path"
    checkpoint = Checkpoint.of(None)
    checkpoint.tree = container("dict", {hostile: named(hostile)})
    (verdict,) = zodiax_io.names(io.BytesIO(checkpoint.companion()))
    for text in (verdict.name, verdict.path, verdict.reason):
        assert text.isprintable()


@pytest.mark.parametrize("kind", ["tracer", "ndarray", "advised", "unnamed", "damaged"])
def test_kinds_that_refuse_are_unknown_to_files(kind):
    """A row that keeps nothing loads nothing."""
    with pytest.raises(zodiax_io.UnknownFormatError):
        load_node(leaf(kind))
