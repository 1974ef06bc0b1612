"""Every hostile file by number, with what it taught.

A number is never given twice. `harmless` says why a file may load all the same.
"""

from __future__ import annotations

import copy
import functools
import inspect
import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import msgpack
from documents import (
    TRAILER,
    TRAILER_MAGIC,
    Checkpoint,
    companion,
    container,
    frame,
    header,
    leaf,
    named,
)

from .lab import SPECIAL

Node = dict[str, Any]


@dataclass(frozen=True)
class Trusting:
    """A hostile file whose reader trusts too much."""

    item: Any
    trusted: tuple[str, ...]


@dataclass(frozen=True)
class Attack:
    """One entry of the registry."""

    number: int
    lesson: str
    make: Callable[..., Iterator[Any]]
    harmless: str | None = None
    call: str = "deserialise"

    def files(
        self, folder: Path
    ) -> Iterator[tuple[bytes | Path, tuple[str, ...], str]]:
        """The files of the attack: bytes or a path, whom to trust, and a label."""
        given = [folder] if inspect.signature(self.make).parameters else []
        for i, item in enumerate(self.make(*given)):
            trusted: tuple[str, ...] = ()
            if isinstance(item, Trusting):
                item, trusted = item.item, item.trusted
            label = f"{self.number}.{i}"
            if isinstance(item, dict):
                label += f" {str(item)[:300]}"
                item = file_of(item)
            elif isinstance(item, Checkpoint):
                item = item.companion()
            yield item, trusted, label


ATTACKS: dict[int, Attack] = {}


def attack(
    number: int,
    lesson: str,
    harmless: str | None = None,
    call: str = "deserialise",
) -> Any:
    """Enter a generator of hostile files: nodes, checkpoints, bytes or paths."""

    def enter(make: Callable[..., Iterator[Any]]) -> Any:
        if number in ATTACKS:
            raise ValueError(f"attack {number} is there already")
        ATTACKS[number] = Attack(number, lesson, make, harmless, call)
        return make

    return enter


@functools.cache
def _empty() -> Checkpoint:
    return Checkpoint.of(None)


@functools.cache
def _array() -> Checkpoint:
    return Checkpoint.of([jnp.ones(3)])


def fresh(base: Callable[[], Checkpoint] = _empty) -> Checkpoint:
    """A checkpoint to spoil."""
    return copy.deepcopy(base())


def file_of(node: Node) -> bytes:
    """The companion of a tree without arrays."""
    checkpoint = fresh()
    checkpoint.tree = node
    return checkpoint.companion()


def body_file(body: bytes) -> bytes:
    """A companion around the bytes of a document, whatever they are."""
    return companion(b"", frame(body))


# Nodes --------------------------------------------------------------------------------

NONE = leaf("none")
SIN = named("jax.numpy:sin")
LAB = "attacks.lab"


def integer(value: int) -> Node:
    """An integer."""
    return leaf("int", value=value)


def text(value: str) -> Node:
    """A text."""
    return leaf("str", value=value)


def plain_list(*nodes: Any) -> Node:
    """A list."""
    return container("list", list(nodes))


def plain_tuple(*nodes: Any) -> Node:
    """A tuple."""
    return container("tuple", list(nodes))


def partial(func: Any, *args: Any, **attributes: Any) -> Node:
    """A `functools.partial`."""
    children = {
        "func": func,
        "args": plain_tuple(*args),
        "keywords": container("dict", {}),
    }
    if attributes:
        children["attributes"] = container("dict", attributes)
    return container("partial", children)


def jax_partial(func: Any, *args: Any, value: Any = None) -> Node:
    """A `jax.tree_util.Partial`."""
    children = {
        "args": plain_tuple(*args),
        "keywords": container("dict", {}),
        "func": func,
    }
    return container("jax_partial", children, static=["func"], value=value)


def jit(function: Any, **options: Any) -> Node:
    """A `jax.jit`."""
    return container("jit", {"function": function}, value=options)


def transform(name: Any, function: Any, **options: Any) -> Node:
    """A `jax.vmap` or its kin."""
    children = {"function": function, "options": container("dict", options)}
    return container("transform", children, value=name)


def filter_jit(dynamic: Any, static: Any = NONE) -> Node:
    """An `equinox.filter_jit`."""
    children = {"dynamic": dynamic, "static": static}
    return container("filter_jit", children, value=[False, False, False])


def method(owner: Any, name: Any) -> Node:
    """A bound method."""
    return container("method", {"self": owner}, value=name)


def defaultdict(factory: Any) -> Node:
    """A `defaultdict`."""
    items = container("dict", {})
    return container("defaultdict", {"default_factory": factory, "items": items})


def unravel(function: Any) -> Node:
    """What `ravel_pytree` gives."""
    children = {
        "f": function,
        "args": plain_tuple(),
        "keywords": NONE,
        "kwargs": container("dict", {}),
    }
    del children["keywords"]
    return container("unravel", children)


def annotation(form: str, *children: Any) -> Node:
    """A type annotation."""
    return container("annotation", list(children), value=form)


def jaxtyped(array: Any, dimensions: Any, dtype: Any = "Float") -> Node:
    """An annotation of jaxtyping."""
    key = "leaf" if dtype == "PyTree" else "array"
    value = {"dtype": dtype, "dimensions": dimensions}
    return container("jaxtyping", {key: array}, value=value)


def closure(name: str, place: str, cells: Any, index: int = 0, **parts: Any) -> Node:
    """A local function of a package."""
    children = {"cells": plain_list(*cells), "defaults": NONE, "kwdefaults": NONE}
    children |= parts.pop("children", {})
    value = {"place": place, "index": index, "signature": ["x", "/", "power"]}
    return container("closure", children, type=name, value=value | parts)


def made(name: str, cls: str = "marker") -> Node:
    """An instance of a class that holds nothing."""
    if cls == "marker":
        return named(name, "marker")
    return container(cls, {}, type=name)


def in_every_kind(name: Any) -> Iterator[Node]:
    """Every kind that names something, and that must not be had by this name."""
    for kind in ("function", "class", "singleton", "marker", "token"):
        yield named(name, kind)
    for value in ("A", 1, "__class__", "_missing_"):
        yield leaf("enum", type=name, value=value)
    yield leaf("default", type=name, value="f")
    yield leaf("default", type=name, value="args")
    for kind in ("module", "dataclass", "namedtuple", "registered"):
        yield container(kind, {}, type=name)
        yield container(kind, {"args": text("id")}, type=name, beside=["args"])
    node = {"children": plain_tuple(text("id")), "aux": NONE}
    yield container("node", node, type=name, static=["aux"])
    yield closure(name, f"{name}".partition(":")[2] + ".<locals>.f", [])
    yield container("attacks.kind", [text("id")], type=name)


def around(node: Node) -> Iterator[Node]:
    """Everything that may hold a function, or ask a value something."""
    yield plain_list(node)
    yield partial(node, text("id"))
    yield partial(partial(node), text("id"))
    yield jax_partial(node, text("id"))
    yield jax_partial(partial(node), text("id"), value="partial")
    yield jit(node)
    yield jit(partial(node, text("id")))
    yield filter_jit(node)
    yield filter_jit(NONE, node)
    yield filter_jit(partial(SIN, node))
    for name in ("vmap", "grad", "value_and_grad", "jacfwd", "jacrev", "checkpoint"):
        yield transform(name, node)
    yield transform("vectorize", node)
    yield transform("vmap", SIN, in_axes=node)
    yield transform("vmap", SIN, axis_name=node)
    yield transform("grad", SIN, argnums=node)
    yield transform("checkpoint", SIN, policy=node)
    yield transform("vectorize", SIN, signature=node)
    yield unravel(node)
    yield defaultdict(node)
    yield method(node, "__call__")
    yield method(node, "func")
    yield container("treedef", [node])
    yield container("treedef", [container("dict", [NONE, NONE], keys=[node, NONE])])
    yield container("dict", [NONE, NONE], keys=[node, integer(1)])
    yield container("ordereddict", [NONE, NONE], keys=[node, integer(1)])
    yield container("mappingproxy", [NONE, NONE], keys=[node, integer(1)])
    yield container("dict", [NONE, NONE], keys=[plain_tuple(node), integer(1)])
    yield container("set", [node, integer(1)])
    yield container("frozenset", [node, plain_tuple(node)])
    yield container("deque", [node])
    yield container("slice", {"start": node, "stop": node, "step": node})
    yield container("range", {"start": node, "stop": node, "step": node})
    yield container("namespace", {"a": node})
    yield container("partition_spec", [node, node])
    yield container("module", {"radius": node, "label": node}, type=f"{LAB}:Lens")
    yield container("dataclass", {"rate": node, "steps": node}, type=f"{LAB}:Settings")
    yield container("namedtuple", {"a": node, "b": node}, type=f"{LAB}:Pair")
    for (
        form
    ) in "Annotated Literal Union | builtin builtin* generic abc.Callable".split():
        yield annotation(form, node)
        yield annotation(form, node, node)
        yield annotation(form, named("builtins:int", "class"), node)
        yield annotation(form, node, named("builtins:int", "class"))
        yield annotation(form, plain_list(node), plain_list(node))
    for form in "Callable ClassVar Dict Final List Mapping Tuple Type Set".split():
        yield annotation(form, node)
        yield annotation(form, node, node)
        yield annotation(form, plain_list(node))
        yield annotation(form, plain_list(node), node)
    yield jaxtyped(node, "a b")
    yield jaxtyped(node, "a b", "PyTree")
    yield filter_jit(container("dict", [NONE, NONE], keys=[node, integer(1)]))


# Code by its name ---------------------------------------------------------------------

CODE = """
    os:system posix:system os:popen os:execv builtins:eval builtins:exec
    builtins:getattr builtins:__import__ builtins:open builtins:compile builtins:print
    subprocess:Popen subprocess:run functools:partial functools:reduce
    operator:attrgetter operator:methodcaller importlib:import_module pickle:loads
    shutil:rmtree sys:exit sys:setrecursionlimit types:FunctionType types:CodeType
    types:ModuleType ctypes:CDLL code:InteractiveInterpreter timeit:timeit pty:spawn
    runpy:run_path webbrowser:open tempfile:mktemp logging:FileHandler io:open
    threading:Thread multiprocessing:Process gc:get_objects inspect:getsource
    weakref:finalize contextlib:ExitStack atexit:register
""".split()


# Types that the project's own table lets a file mention as plain values.
TYPES = ("functools:partial", "types:FunctionType")


@attack(
    1, "os.system and its kin in every kind: the classic of pickle (CVE-2020-13092)"
)
def _() -> Iterator[Any]:
    for name in CODE:
        for node in in_every_kind(name):
            if node["kind"] != "class" or name not in TYPES:
                yield node


@attack(2, "Code of the standard library stays refused when its package is trusted")
def _() -> Iterator[Any]:
    for name in CODE:
        trusted = (name.partition(":")[0], "attacks", "zodiax_io", "numpy", "jax")
        for kind in ("function", "class", "singleton", "marker"):
            if name in TYPES:
                continue
            yield Trusting(named(name, kind), trusted)


@attack(3, "What wraps a function hides it no better than a list does")
def _() -> Iterator[Any]:
    for name in ("os:system", "builtins:eval", "jax.numpy:load"):
        yield from around(named(name))
        yield from around(named(name, "singleton"))
    yield from around(named("subprocess:Popen", "class"))


@attack(4, "functools.partial as a node or a class, instead of its own kind")
def _() -> Iterator[Any]:
    yield from in_every_kind("jax.tree_util:Partial")
    yield from in_every_kind("jax._src.tree_util:Partial")
    for kind in ("function", "marker", "singleton", "module", "node"):
        yield made("functools:partial", kind) | {"kind": kind}


@attack(5, "A module that a trusted package imports is not that package's own")
def _() -> Iterator[Any]:
    for name in (
        "jax._src.config:os.system",
        "jax._src.config:os",
        "numpy:os.system",
        "numpy:sys.exit",
        "equinox:jax.numpy.load",
        "equinox._module:functools.partial",
        "equinox._module._module:ft.partial",
        "jax:numpy.load",
        "optax:jnp.load",
        "zodiax:jtu",
        "dLux:np",
        "diffrax._misc:functools.partial",
        "attacks.lab:dataclasses.fields",
        "attacks.lab:eqx",
        "attacks.samples:np.load",
        "attacks.samples:pathlib.Path.unlink",
        "attacks.samples:io.open",
        "attacks.watch:subprocess.Popen",
        "attacks.watch:os.system",
        "__main__:os.system",
        "__main__:subprocess",
    ):
        yield from in_every_kind(name)


@attack(6, "zodiax_io's own machinery is not for files (`register` would trust more)")
def _() -> Iterator[Any]:
    for name in (
        "zodiax_io:register",
        "zodiax_io:register_kind",
        "zodiax_io:deserialise",
        "zodiax_io:serialise",
        "zodiax_io._trust.judge:Judge",
        "zodiax_io._trust.importing:_import",
        "zodiax_io._trust.names:lookup",
        "zodiax_io._trust.names:_registered",
        "zodiax_io._files.sources:FileSource",
        "zodiax_io._kinds.placeholders:Placeholder",
        "zodiax_io._tree.encode:Node",
        "attacks.samples:zodiax_io.register",
    ):
        yield from in_every_kind(name)
        yield Trusting(named(name), ("zodiax_io", "attacks"))


IO = """
    jax.numpy:load jax.numpy:save jax.numpy:savez jax.numpy:fromfile numpy:load
    numpy:save numpy:savez numpy:savetxt numpy:loadtxt numpy:genfromtxt numpy:fromfile
    numpy:memmap
    numpy.lib.format:open_memmap numpy.lib.npyio:NpzFile
    numpy.lib._npyio_impl:DataSource
    equinox:tree_deserialise_leaves equinox:tree_serialise_leaves
    equinox.debug:breakpoint_if equinox:error_if jax.debug:breakpoint jax.debug:callback
    jax.debug:print jax:pure_callback jax.experimental:io_callback jax:clear_caches
    jax.profiler:start_server jax.profiler:start_trace jax.distributed:initialize
    jax:config jax._src.config:config jax.monitoring:record_event
    jaxlib._jax:ArrayImpl jax._src.lib:xla_client jaxlib.xla_client:Client
    numpy.ctypeslib:load_library numpy.testing:rundocs numpy:vectorize numpy:frompyfunc
    numpy:seterrcall numpy:errstate scipy.io:loadmat
""".split()


@attack(7, "Frameworks have functions that read, write, call back and stop")
def _() -> Iterator[Any]:
    for name in IO:
        yield from in_every_kind(name)
        yield from (partial(named(name, kind)) for kind in ("function", "singleton"))
        package = name.partition(".")[0].partition(":")[0]
        for kind in ("function", "singleton", "class", "marker"):
            yield Trusting(named(name, kind), (package, "scipy"))
        yield closure(name, name.partition(":")[2] + ".<locals>.fn", [NONE])


@attack(8, "A name where a kind has none", "no kind asks for it, so nobody looks it up")
def _() -> Iterator[Any]:
    for name in ("os:system", "planted:run", "zodiax_io:register", 3, None):
        for kind in ("int", "str", "list", "partial", "jit", "none", "object", "path"):
            yield container(kind, [text("id")], type=name)
            yield leaf(kind, type=name, value="id")


# Looking at modules -------------------------------------------------------------------


@attack(10, "A lazy module loads when an attribute is asked for (importlib.util)")
def _() -> Iterator[Any]:
    for module in ("lazy_module", "getattr_module", "sly_module", "trap_module"):
        for kind in in_every_kind(f"{module}:run"):
            yield kind
            yield Trusting(kind, (module,)) if module != "lazy_module" else kind
        yield named(f"{module}.sub:run")
        yield named(f"{module}:a.b")


@attack(11, "A module of the working folder is no package, whatever it is called")
def _() -> Iterator[Any]:
    for module in (
        *("antigravity", "this", "planted", "brax", "gpjax", "blackjax", "evosax"),
        *("haiku", "jax_cosmo", "numpyro", "tinygp", "tzdata", "lazy_module2"),
    ):
        for name in (f"{module}:Model", f"{module}.sub:Model"):
            yield from in_every_kind(name)


@attack(12, "A submodule that its package does not import itself is code of its own")
def _() -> Iterator[Any]:
    for module in (
        *("numpy.f2py.crackfortran", "numpy.f2py.diagnose", "numpy.distutils.core"),
        *(
            "numpy.testing.print_coercion_tables",
            "numpy.conftest",
            "numpy._pyinstaller",
        ),
        *(
            "jax.tools.jax_to_ir",
            "jax.tools.colab_tpu",
            "jax.experimental.host_callback",
        ),
        *("jax._src.test_loader", "jaxlib.tools.build_wheel", "optax.contrib._nope"),
        *("optax._src.base_test", "equinox.__main__", "jax.example_libraries.stax"),
        *("flowjax.nope", "diffrax.__init__", "zodiax.__init__"),
    ):
        for kind in ("function", "class", "singleton"):
            yield named(f"{module}:main", kind)
        yield container("module", {}, type=f"{module}:Main")
        yield container("namedtuple", {}, type=f"{module}:Main")


@attack(13, "Names that are none: paths, dunders, calls, text that only looks dotted")
def _() -> Iterator[Any]:
    for name in (
        *("", ":", "os", "os:", ":system", "os:system:x", "os.:system", "os:system()"),
        *("os:__dict__", "__main__:__builtins__", "../os:system", "/etc/passwd:x"),
        *("equinox.nn:MLP.__init__.__globals__", "numpy:sin\n", "a" * 10_000 + ":b"),
        *(
            "\0:\0",
            "os\0:system",
            "\uff4f\uff53:system",
            "os:\u0455ystem",
            "__import__('os'):system",
        ),
        *(3, None, [], {}, b"os:system", True, 1.5, ["os", "system"]),
        *("attacks.lab:own_danger.__globals__", "attacks.lab:Lens.__mro__.x"),
        *("attacks.lab:Lens.__init__", "attacks.lab:Lens.power.__func__"),
        *("__main__.os:system", "__main__:__import__", "attacks.lab:__builtins__"),
        *(
            "attacks.lab:Stack.tree_unflatten.__call__",
            "builtins:object.__subclasses__",
        ),
    ):
        for kind in ("function", "class", "module", "enum", "singleton", "closure"):
            node = container(kind, {}, type=name) if kind == "module" else None
            yield node or leaf(kind, type=name, value="A")


# What a loaded class could do ---------------------------------------------------------


def _traps() -> Iterator[Node]:
    for name in SPECIAL:
        short = name.strip("_")
        yield named(f"{LAB}:Trap_{short}", "marker")
        yield container("module", {}, type=f"{LAB}:TrapModule_{short}")
    yield named(f"{LAB}:Guarded", "marker")
    yield container("module", {"x": NONE}, type=f"{LAB}:Signed")


OWN = "classes of one's own load, as documented; nothing of them may run"


@attack(20, "Special methods of one's own classes, alone and in every place", OWN)
def _() -> Iterator[Any]:
    for trap in _traps():
        yield trap
        yield from around(trap)


def _metals() -> Iterator[tuple[str, Node]]:
    for name in SPECIAL:
        if name != "__prepare__":
            short = name.strip("_")
            yield f"{LAB}:Metal_{short}", named(f"{LAB}:Metal_{short}", "class")


@attack(21, "Classes are values, too, and their metaclasses have methods", OWN)
def _() -> Iterator[Any]:
    for name, node in _metals():
        yield from in_every_kind(name)
        yield from around(node)
        yield leaf("default", type=name, value="nope")
        yield method(node, "nope")
        yield method(named(name, "marker"), "nope")
        yield from around(container("dataclass", {}, type=name))
        yield from around(named(name, "marker"))


@attack(
    22,
    "Fields that are none: dunders, properties, slots, methods, undeclared ones",
    harmless="what is no field of the class is set aside, with a warning",
)
def _() -> Iterator[Any]:
    for field in (
        *("__class__", "__dict__", "__call__", "__init__", "__weakref__", "__slots__"),
        *("__wrapped__", "__signature__", "__doc__", "__module__", "__orig_class__"),
        *("__array__", "__jax_array__", "__getattr__", "power", "tree_flatten", "a b"),
        *("secret", "_secret", "__eq__", "__hash__", "__del__", "", "radius.x"),
    ):
        for owner, kind, have in (
            ("Lens", "module", {"radius": NONE, "label": NONE}),
            ("Settings", "dataclass", {"rate": NONE, "steps": NONE}),
            ("Pair", "namedtuple", {"a": NONE, "b": NONE}),
        ):
            value = named(f"{LAB}:own_danger")
            children = {**have, field: value}
            yield container(kind, children, type=f"{LAB}:{owner}")
            if field.startswith("__") and field not in ("__orig_class__",):
                if kind == "module" and field in ("__doc__", "__module__"):
                    continue
                beside = {"beside": [field], "static": [field]}
                yield container(kind, children, type=f"{LAB}:{owner}", **beside)


@attack(23, "Members of an Enum that are none; `_missing_` would make them up")
def _() -> Iterator[Any]:
    for cls in ("Missing", "MissingFlag", "Colour", "Bits"):
        for value in (
            *("__class__", "_missing_", "_member_map_", "mro", "name", "", "B", "a"),
            *(16, -5, 2**70, 1.0, None, b"A", [1], {"A": 1}, True),
        ):
            if type(value) is int and value >= 2**64:
                continue
            yield leaf("enum", type=f"{LAB}:{cls}", value=value)


@attack(24, "`__signature__` among attributes is called by inspect.signature", OWN)
def _() -> Iterator[Any]:
    own = named(f"{LAB}:own_danger")
    for signature in (
        own,
        partial(own),
        jit(own),
        jax_partial(own),
        transform("vmap", own),
    ):
        for name in (
            *("__signature__", "__wrapped__", "__call__", "__text_signature__"),
            *(
                "__get__",
                "__class__",
                "__name__",
                "__code__",
                "__self__",
                "_partialmethod",
            ),
            *("__partialmethod__", "__defaults__", "__annotations__", "__dict__"),
        ):
            bait = partial(SIN, **{name: signature})
            yield from (bait, jit(bait), filter_jit(bait), filter_jit(NONE, bait))
            yield jit(partial(own, **{name: signature}))
            for kind in ("vmap", "grad", "checkpoint", "vectorize", "jacfwd"):
                yield transform(kind, bait)
            yield jax_partial(bait, value="partial")
            yield jit(jax_partial(bait, value="partial"))


@attack(
    25, "A local function takes its code from the package, attributes from the file"
)
def _() -> Iterator[Any]:
    own = named(f"{LAB}:own_danger")
    for name in ("__signature__", "__wrapped__", "__call__", "__globals__", "__code__"):
        children = {"attributes": container("dict", {name: partial(own)})}
        for holder, place in (
            (f"{LAB}:make", "make.<locals>.local"),
            ("optax:adam", "adam.<locals>.init_fn"),
            ("equinox:filter_jit", "filter_jit.<locals>.f"),
            ("jax:vmap", "vmap.<locals>.vmap_f"),
            ("flowjax.flows:coupling_flow", "coupling_flow.<locals>.make_layer"),
        ):
            node = closure(holder, place, [integer(2)], children=children)
            yield jit(node)
            yield jit(partial(node))


@attack(26, "Callables that claim to wrap something, in what asks for signatures", OWN)
def _() -> Iterator[Any]:
    signed = container("module", {"x": NONE}, type=f"{LAB}:Signed")
    yield from around(signed)
    for name in ("__wrapped__", "__signature__", "__call__", "x", "__name__"):
        yield method(signed, name)
    names = ["__module__", "__name__", "__qualname__", "__doc__", "__annotations__"]
    for extra in (["x", *names], ["x", "__dict__"], ["x", "__class__"], ["y"], 3, []):
        yield {**signed, "wraps": extra}
        yield jit({**signed, "wraps": extra})


@attack(
    27,
    "Bound methods of standard values: Path.unlink is no method of a model",
    "methods of a placeholder raise, or tell its own three texts",
)
def _() -> Iterator[Any]:
    path = leaf("path", value="secret", flavour="PosixPath")
    for name in (
        *("unlink", "write_text", "write_bytes", "open", "rename", "rmdir", "touch"),
        *("read_text", "chmod", "mkdir", "symlink_to", "exists", "resolve", "iterdir"),
    ):
        yield method(path, name)
        yield partial(method(path, name))
        yield jit(method(path, name))
        yield defaultdict(method(path, name))
        yield method(named("pathlib:Path", "class"), name)
    values = [integer(1), text("x"), leaf("bytes", value=b"x"), plain_list(), NONE]
    values += [container("dict", {}), leaf("uuid", value=b"0" * 16), leaf("object")]
    values += [leaf("fraction", value=[b"\1", b"\1"]), leaf("decimal", value="1")]
    values += [
        partial(SIN),
        jit(SIN),
        annotation("List", named("builtins:int", "class")),
    ]
    values += [named("builtins:type", "class"), named("numpy:ndarray", "class")]
    values += [named("builtins:str", "class"), named("typing:NamedTuple", "class")]
    values += [leaf("placeholder", value={"name": "a", "source": "b", "path": "c"})]
    for value in values:
        for name in (
            *("format", "append", "sort", "__class__", "__init__", "__reduce__", "mro"),
            *("tofile", "dump", "from_float", "fromhex", "__subclasses__", "_state"),
            *(
                "from_buffer",
                "__call__",
                "clear_cache",
                "lower",
                "func",
                "limit_denominator",
            ),
        ):
            yield method(value, name)


@attack(
    28,
    "Classes of other packages that run code when they go, or are looked at",
    "a class that is only mentioned is not built",
)
def _() -> Iterator[Any]:
    for name in ("Finalised", "Hashed", "Delegating", "Record", "function"):
        for node in in_every_kind(f"somelab:{name}"):
            if name == "Finalised" and node["kind"] != "class":
                yield Trusting(node, ("somelab",))
            if name != "Record" or node["kind"] != "default":
                yield node


@attack(29, "Instances are never made of a type in C (NumPy crashed on such ones)")
def _() -> Iterator[Any]:
    for name in (
        *(
            "builtins:dict",
            "builtins:list",
            "builtins:type",
            "builtins:str",
            "builtins:int",
        ),
        *("builtins:memoryview", "builtins:BaseException", "builtins:property"),
        *("numpy:ndarray", "numpy:dtype", "numpy:float32", "numpy:void", "numpy:ufunc"),
        *("jaxlib._jax:ArrayImpl", "jaxlib._jax.pytree:PyTreeDef", "jax:Array"),
        *(
            "jax._src.array:ArrayImpl",
            "jaxlib._jax:PjitFunction",
            "jax:ShapeDtypeStruct",
        ),
        *("types:FunctionType", "types:CellType", "collections:deque", "re:Pattern"),
        *("functools:partial", "jax.sharding:PartitionSpec", "jaxtyping:PyTree"),
        *("ml_dtypes:bfloat16", "msgpack:ExtType", "msgpack:Packer", "xxhash:xxh3_64"),
    ):
        for kind in ("module", "dataclass", "namedtuple", "registered"):
            yield container(kind, {}, type=name)
        yield named(name, "marker")
        node = {"children": plain_tuple(), "aux": NONE}
        yield container("node", node, type=name, static=["aux"])
        yield leaf("enum", type=name, value="A")


@attack(30, "An own function as what a partial calls, or a jit compiles", OWN)
def _() -> Iterator[Any]:
    yield from around(named(f"{LAB}:own_danger"))
    yield from around(container("module", {"x": NONE}, type=f"{LAB}:Signed"))


@attack(
    31,
    "Options of jax.jit and its kin that a file made up",
    "options that are one's own objects or plain values are not looked at when made",
)
def _() -> Iterator[Any]:
    own = named(f"{LAB}:own_danger")
    for option, value in (
        *(("backend", "tpu"), ("device", "cpu"), ("compiler_options", {"a": "b"})),
        *(("in_shardings", []), ("out_shardings", [1]), ("abstracted_axes", {"a": 1})),
        *(("fun", "x"), ("static_argnums", [2**62]), ("static_argnums", "x")),
        *(
            ("static_argnames", ["__class__"]),
            ("static_argnames", 3),
            ("inline", "yes"),
        ),
        *(
            ("donate_argnums", [-1]),
            ("donate_argnums", {}),
            ("nope", 1),
            ("__class__", 1),
        ),
        *(("keep_unused", [1, [2]]), ("debug_info", "x"), ("static_argnums", [[1]])),
    ):
        yield jit(SIN, **{option: value})
    for option, value in (
        *(("in_axes", own), ("axis_size", own), ("spmd_axis_name", text("x"))),
        *(
            ("policy", own),
            ("fun", own),
            ("excluded", own),
            ("signature", text("(" * 9)),
        ),
        *(("prevent_cse", own), ("static_argnums", own), ("has_aux", own)),
    ):
        for name in ("vmap", "grad", "checkpoint", "vectorize"):
            yield transform(name, SIN, **{option: value})
    for name in ("__class__", "os:system", "", None, 3, [], {}, "jit", "pmap"):
        yield transform(name, SIN)


# Text that would be compiled ----------------------------------------------------------

EVIL = """__import__("os").system("echo x > ran")"""
TEXTS = (
    EVIL,
    "os.system",
    "os",
    "List[int]",
    "a if b else c",
    "(lambda: 0)()",
    "[x for x in y]",
    "[" * 90,
    "[" * 5000 + "]" * 5000,
    "{" + EVIL + "}",
    "a{" + EVIL + "}",
    "*a *b",
    "... ...",
    "a*b-c",
    "#a *#b",
    "?a",
    "a=" + EVIL,
    "_",
    "1" * 100,
    "9" * 5000,
    "a" * 100_000,
    "a\0b",
    "\n",
    "or_(a)",
    "x" * 10 + " " * 100_000,
    "def f(): pass",
    "a.b.c.d",
    "1.__class__",
    "0o777 | 1",
    "1_000",
    "None, None",
    " " * 5000,
)
COMPILED = "text of names and dimensions is data; it may load, but nothing compiles it"


@attack(40, "Text of annotations is never compiled: no ForwardRef, no braces", COMPILED)
def _() -> Iterator[Any]:
    number = named("builtins:int", "class")
    for words in TEXTS:
        yield annotation("'" + words)
        yield annotation("'" + words, number)
        for form in ("List", "Union", "|", "Literal", "Annotated", "Callable", "Final"):
            yield annotation(form, text(words))
            yield annotation(form, number, text(words))
            yield annotation(form, plain_list(text(words)), number)
        yield annotation("builtin", named("builtins:list", "class"), text(words))
        yield annotation(words, number)


@attack(41, "jaxtyping evaluates its dimensions as f-strings and expressions", COMPILED)
def _() -> Iterator[Any]:
    for words in TEXTS:
        for array in ("numpy:ndarray", "jax:Array", "builtins:float"):
            yield jaxtyped(named(array, "class"), words)
        yield jaxtyped(named("builtins:int", "class"), words, "PyTree")
        yield jaxtyped(named("numpy:ndarray", "class"), "a", words)
        yield jaxtyped(text(words), "a")
        yield jaxtyped(text(words), "a", "PyTree")
        yield jaxtyped(text(words), words, "PyTree")


@attack(42, "A time zone's key is a path to open and a package to import (tzdata)")
def _() -> Iterator[Any]:
    for key in (
        *("../../etc/passwd", "/etc/passwd", "os", "foo/bar", "..", ".", "", "a\0b"),
        *(
            "Mars/Phobos",
            "Mars",
            "planted_zone",
            "Etc/../../../etc/passwd",
            "a/" * 5000,
        ),
        *(
            "localtime",
            "posixrules",
            "Europe",
            "Europe/",
            "posix/Europe/Oslo",
            "right/UTC",
        ),
        *("zone.tab", "tzdata.zi", "leapseconds", "Europe/Oslo/x", "x" * 300, "ÿ/é"),
        *(3, None, [], {}, b"UTC"),
    ):
        yield leaf("timezone", zone={"key": key})
        yield leaf("time", value=[1, 2, 3, 4, 0], zone={"key": key})
        yield leaf("datetime", value=[2026, 1, 1, 1, 2, 3, 4, 0], zone={"key": key})
    for offset in (
        [0, 10**9, 0],
        [10**12, 0, 0],
        [0, 0],
        [2**70],
        "x",
        None,
        [0.5, 0, 0],
    ):
        if offset == [2**70]:
            continue
        yield leaf("timezone", zone={"offset": offset})
        yield leaf("timezone", zone={"offset": offset, "name": 3})


@attack(
    43,
    "Dtypes are guessed by NumPy from text that may mean anything",
    "odd dtypes are dtypes, too; none holds an object or is guessed",
)
def _() -> Iterator[Any]:
    for dtype in (
        *(
            "O",
            "|O",
            "object",
            "O8",
            "f4,(1e9)f8",
            "f4, O",
            "<U999999999",
            "|V999999999",
        ),
        *("|S2147483647", "<M8[999999999Y]", "<M8[0s]", "<m8[s/7]", "T", "StringDType"),
        *(
            "datetime64",
            "numpy.ndarray",
            "os:system",
            "float128x",
            "",
            "\0",
            "<i3",
            "<f3",
        ),
        *(3, None, [], {}, {"base": "O", "shape": [1]}, {"base": "f4", "shape": []}),
        {"base": "float32", "shape": [2**20, 2**20]},
        {"base": "float32", "shape": [1] * 100},
        {"base": "float32", "shape": [0] * 33},
        {"base": "float32", "shape": [2**62]},
        *_structs(),
    ):
        yield leaf("dtype", dtype=dtype)
        yield leaf("scalar", dtype=dtype, value=b"\0" * 8)
        yield leaf("shape_dtype", dtype=dtype, shape=[2])
        checkpoint = fresh(_array)
        checkpoint.tree["node"][0]["dtype"] = dtype
        yield checkpoint
        checkpoint = fresh(_array)
        checkpoint.document["records"][0][3] = dtype
        checkpoint.tree["node"][0] |= {"dtype": dtype, "kind": "numpy"}
        yield checkpoint


def _structs() -> Iterator[Any]:
    base: dict[str, Any] = {
        "names": ["a"],
        "formats": ["float32"],
        "offsets": [0],
        "itemsize": 4,
        "aligned": False,
    }
    yield base | {"itemsize": 2**31 - 1}
    yield base | {"itemsize": 2**63}
    yield base | {"itemsize": -1}
    yield base | {"itemsize": 1}
    yield base | {"offsets": [2**31 - 1]}
    yield base | {"offsets": [-4]}
    yield base | {"formats": ["|O"]}
    yield base | {"names": ["a", "a"], "formats": ["float32"] * 2, "offsets": [0, 0]}
    yield base | {"names": [3]}
    yield base | {"names": "a", "titles": [{}]}
    yield base | {"titles": ["a"]}
    yield base | {"titles": [[1]]}
    yield base | {"titles": [None, None]}
    yield base | {"names": ["__class__"], "titles": ["__dict__"]}
    many = 20_000
    yield base | {
        "names": [f"f{i}" for i in range(many)],
        "formats": ["int8"] * many,
        "offsets": [0] * many,
    }
    nested: Any = "int8"
    for _ in range(200):
        nested = {"base": nested, "shape": [1]}
    yield nested
    nested = "int8"
    for _ in range(31):
        nested = {"base": nested, "shape": [2]}
    yield nested
    nested = base
    for _ in range(150):
        nested = base | {"formats": [nested]}
    yield nested


# Documents ----------------------------------------------------------------------------


@attack(
    50,
    "msgpack of other sorts: extensions, timestamps, duplicate and binary keys",
    "a name or a setting that nobody asks for",
)
def _() -> Iterator[Any]:
    good = fresh().document
    for value in (
        msgpack.ExtType(1, b"x"),
        msgpack.ExtType(127, b"x" * 100),
        msgpack.Timestamp(0, 0),
        msgpack.Timestamp(2**34, 999),
    ):
        for place in ("versions", "settings", "tree", "records", "metadata", "backend"):
            yield body_file(msgpack.packb({**good, place: value}))
        yield file_of(leaf("bytes", value=value))
        yield body_file(msgpack.packb(value))
    for key in (b"tree", 1, None, True, 1.5):
        yield body_file(msgpack.packb({**good, key: {}}))
        yield file_of({**NONE, key: "x"})
    entry = msgpack.packb("tree") + msgpack.packb(NONE)
    packed = msgpack.packb(good)
    yield body_file(bytes([packed[0] + 1]) + packed[1:] + entry)
    for value in (None, [], 3, "x", b"x", {}, {"tree": NONE}, [[]], float("nan")):
        yield body_file(msgpack.packb(value))
        for place in good:
            yield body_file(msgpack.packb({**good, place: value}))
    yield body_file(b"")
    yield body_file(b"\xc1")
    yield body_file(packed + b"\xc0")
    yield body_file(packed[:-1])
    yield body_file(packed.replace(b"tree", b"tr\xff\xfe"))
    yield file_of({**NONE, "x": float("inf"), "y": -0.0})


@attack(51, "Declared lengths of 4 GiB in a tiny file (CVE-2026-57585 of msgpack)")
def _() -> Iterator[Any]:
    for code in (0xDD, 0xDF, 0xDB, 0xC6, 0xC9):  # array32 map32 str32 bin32 ext32
        for length in (2**32 - 1, 2**31, 2**31 - 1, 2**28, 10**6):
            bomb = struct.pack(">BI", code, length)
            yield body_file(bomb)
            yield body_file(b"\x81\xa4tree" + bomb)
            yield body_file(bomb * 100)
            yield body_file(b"\x91" * 400 + bomb)
            yield file_of({"deeper": bomb, "kind": "list", "node_type": "container"})
            checkpoint = fresh()
            checkpoint.tree = plain_list({"deeper": bomb})
            yield checkpoint


@attack(
    52,
    "Nesting: of msgpack, of nodes, of packed subtrees",
    "up to 500 levels are no error",
)
def _() -> Iterator[Any]:
    for opening in (b"\x91", b"\x81\xa1a", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01"):
        for depth in (400, 511, 512, 1100, 100_000):
            yield body_file(opening * depth + b"\xc0")
            good = msgpack.packb(fresh().document)
            yield body_file(
                good.replace(msgpack.packb("tree") + msgpack.packb(NONE), b"")
            )
            yield body_file(
                b"\x81\xa4tree\x83\xa9node_type\xa9container\xa4kind\xa4list\xa4node"
                + opening * depth
                + b"\xc0"
            )
    for kind in ("list", "tuple", "set", "treedef", "partition_spec", "deque"):
        for depth in (200, 499, 505, 5000):
            yield _deep(depth, lambda node, kind=kind: container(kind, [node]))
    for depth in (200, 499):
        yield _deep(depth, partial)
        yield _deep(depth, jit)
        yield _deep(depth, filter_jit)
        yield _deep(depth, jax_partial)
        yield _deep(depth, lambda node: transform("vmap", node))
        yield _deep(depth, lambda node: method(node, "power"))
        yield _deep(depth, lambda node: annotation("List", node))
        yield _deep(depth, lambda node: annotation("Annotated", node, text("x")))
        yield _deep(depth, lambda node: annotation("Literal", node))
        yield _deep(depth, lambda node: jaxtyped(node, "a"))
        yield _deep(depth, lambda node: container("dict", [NONE], keys=[node]))
        yield _deep(depth, lambda node: container("set", [plain_tuple(node)]))
    packed: Any = NONE
    for _ in range(2000):
        packed = plain_list({"deeper": msgpack.packb(packed)})
    yield packed
    yield plain_list({"deeper": msgpack.packb({"deeper": msgpack.packb(NONE)})})
    yield plain_list({"deeper": b""})
    yield plain_list({"deeper": "x"}, {"deeper": b"\xc0"})


def _deep(depth: int, around_it: Callable[[Any], Node]) -> Any:
    """A deep tree, packed as the format packs deep trees."""
    node: Any = SIN if depth < 500 else NONE
    for level in range(depth, 0, -1):
        node = around_it(node)
        if level % 50 == 0 and level > 50:
            node = {"deeper": msgpack.packb(node)}
    return node


@attack(
    53,
    "Billions of laughs: nodes that are met again, doubling at each level",
    "what is bounded may load",
)
def _() -> Iterator[Any]:
    for kind in ("list", "tuple", "treedef", "frozenset", "partition_spec", "deque"):
        yield _laughs(lambda a, b, kind=kind: container(kind, [a, b]))
    yield _laughs(lambda a, b: container("dict", [a, b], keys=[integer(1), integer(2)]))
    yield _laughs(lambda a, b: container("dict", [NONE], keys=[plain_tuple(a, b)]))
    yield _laughs(lambda a, b: partial(SIN, a, b))
    yield _laughs(lambda a, b: container("treedef", [plain_tuple(a, b)]))
    yield container("set", [_laughs(lambda a, b: plain_tuple(a, b), levels=14)])
    yield container("dict", [NONE], keys=[_laughs(plain_tuple, levels=40)])
    yield container("treedef", [_laughs(plain_list, levels=60)])
    # Loops, and references to what comes later or is not there.
    for value in (0, 1, 99, -1, "x", None, 1.0, True, [0], 2**63):
        yield {**plain_list(leaf("same", value=value)), "id": 0}
        yield plain_list(leaf("same", value=value), {**plain_list(), "id": 1})
        yield plain_list({**plain_list(), "id": value}, {**plain_list(), "id": value})
    yield plain_list({**leaf("same", value=0), "id": 0})
    yield plain_list(
        {**plain_list(), "id": 0},
        {**leaf("same", value=0), "id": 1},
        leaf("same", value=1),
    )


def _laughs(join: Callable[[Any, Any], Node], levels: int = 60) -> Node:
    node: Any = {**plain_tuple(NONE, NONE), "id": 0}
    for i in range(1, levels):
        node = {**join(node, leaf("same", value=i - 1)), "id": i}
    if levels >= 50:
        return _packed(node)
    return node


def _packed(node: Any, level: int = 0) -> Any:
    """A deep node with every hundredth level packed, as the format has it."""
    children = node.get("node")
    folded = dict(node)
    if isinstance(children, list):
        folded["node"] = [_packed(child, level + 1) for child in children]
    elif isinstance(children, dict):
        folded["node"] = {k: _packed(c, level + 1) for k, c in children.items()}
    if "keys" in node:
        folded["keys"] = [_packed(key, level + 1) for key in node["keys"]]
    return {"deeper": msgpack.packb(folded)} if level and level % 50 == 0 else folded


MANY = "keys that a dictionary bears; the time limit decides"


@attack(54, "Keys whose hashes collide by design (CVE-2012-1150)", MANY)
def _() -> Iterator[Any]:
    modulus = 2**61 - 1
    count = 4_000

    def big(value: int) -> Node:
        size = value.bit_length() // 8 + 1
        return leaf("int", value=value.to_bytes(size, "little", signed=True))

    same = [big(i * modulus + 7) for i in range(count)]
    shifted = [big(i << 45) for i in range(count)]
    tuples = [plain_tuple(node) for node in same]
    halves = [
        leaf("fraction", value=[b"\1", bytes([1]) * (i + 1)]) for i in range(2000)
    ]
    floats = [leaf("float", value=float(i << 40)) for i in range(count)]
    twins = [leaf("complex", value=[float(i), -float(i)]) for i in range(count)]
    for keys in (same, shifted, tuples, halves, floats, twins):
        yield container("dict", [NONE] * len(keys), keys=keys)
        yield container("set", keys)
        yield container("frozenset", keys)
        yield annotation("Literal", *keys[:2000])
        dictionary = container("dict", [NONE] * len(keys), keys=keys)
        yield container("treedef", [dictionary])


GIANT = "a big number is a number"


@attack(
    55,
    "Giant numbers: quadratic in gcd, in text, and in powers (CVE-2020-10735)",
    GIANT,
)
def _() -> Iterator[Any]:
    for size in (10_000, 1_000_000, 8_000_000):
        yield leaf("int", value=b"\x7f" * size)
        numbers = [random.Random(i).randbytes(size) + b"\1" for i in range(2)]
        yield leaf("fraction", value=numbers)
        yield leaf("fraction", value=[b"\x7f" * size, b"\x01"])
        yield leaf("decimal", value="7" * size)
        yield leaf("decimal", value="0." + "7" * size)
        yield container("set", [leaf("decimal", value="7" * size), integer(1)])
        yield container("set", [leaf("fraction", value=[b"\x7f" * size, b"\x01"])])
    for words in (
        "1E+999999999999999999",
        "1E-999999999999999999",
        "sNaN",
        "NaN" + "1" * 99,
    ):
        number = leaf("decimal", value=words)
        yield number
        yield container("set", [number, integer(0)])
        yield container("dict", [NONE, NONE], keys=[number, leaf("float", value=1.0)])
        yield annotation("Literal", number, leaf("fraction", value=[b"\1", b"\3"]))
    for words in ("1E+99999999", "1E-99999999", "1E+999999"):
        keys = [leaf("decimal", value=words), leaf("fraction", value=[b"\1", b"\3"])]
        yield container("set", [*keys, leaf("float", value=1e308), integer(1)])
    yield leaf("fraction", value=[b"\1", b"\0"])
    yield leaf("fraction", value=[b"\1", b""])
    yield leaf("fraction", value=[b"\1"])
    yield leaf("fraction", value=3)
    for values in ([10**6, 1, 1], [2026, 13, 1], [2026, 1, 1, 5], [2**62] * 3, [[]], 3):
        yield leaf("date", value=values)
        yield leaf("timedelta", value=values)
    yield leaf("deque", value=2**62)
    yield container("deque", [NONE], value=2**63)
    yield container("deque", [NONE], value=-1)
    wide = dict.fromkeys(("start", "stop", "step"), leaf("int", value=b"\x7f" * 10_000))
    yield container("range", wide)
    yield container("slice", wide)
    yield container("range", {**wide, "step": integer(0)})


# The companion ------------------------------------------------------------------------


@attack(
    60,
    "Shapes that overflow, or promise more than there is",
    "a shape alone takes no memory",
)
def _() -> Iterator[Any]:
    for shape in (
        *([2**40], [0, 2**62], [2**62, 2**62], [2**63 - 1], [2**63], [2**64 - 1]),
        *([0] * 100_000, [1] * 100_000, [1] * 64, [1] * 65, [0, 2**63, 2**63]),
        *(
            [2**32, 2**32],
            [2**21] * 3 + [2],
            [-1],
            [1.0],
            ["3"],
            [[3]],
            "3",
            3,
            None,
            {},
        ),
        *([True, 3], [3, -1, -1], [2**31] * 2 + [0]),
    ):
        for where in ("node", "record", "both"):
            for kind in ("jax", "numpy", "key"):
                checkpoint = fresh(_array)
                node = checkpoint.tree["node"][0]
                node["kind"] = kind
                node["impl"] = "threefry2x32"
                if where != "record":
                    node["shape"] = shape
                if where != "node":
                    checkpoint.document["records"][0][4] = shape
                yield checkpoint
        yield leaf("shape_dtype", dtype="float32", shape=shape)


def _zero(
    shape: Any, dtype: str, kind: str = "numpy", descr: str = "<f4"
) -> Checkpoint:
    """A checkpoint of an array without bytes."""
    checkpoint = fresh()
    head = header(descr, tuple(shape), False, 0)
    checkpoint.records = head
    checkpoint.document["records"] = [[0, len(head), 0, dtype, list(shape), False]]
    checkpoint.tree = leaf(kind, shape=list(shape), dtype=dtype, record=0)
    checkpoint.repair()
    return checkpoint


EMPTY = "an array without elements has no bytes, whatever its other lengths"


@attack(61, "Arrays without bytes: 2^62 times nothing, and 100,000 dimensions", EMPTY)
def _() -> Iterator[Any]:
    for shape in (
        [0, 2**62],
        [2**62, 0],
        [0] * 64,
        [0] * 65,
        [0] * 4000,
        [2**63, 0],
        [0],
    ):
        for kind in ("numpy", "jax"):
            with_header = shape if len(shape) < 3000 else shape[:3000]
            yield _zero(with_header, "float32", kind)
    for dtype, descr in (
        ("|V0", "|V0"),
        ("<U0", "<U0"),
        ("|S0", "|S0"),
        ("float0", "|V0"),
    ):
        for shape in ([2**40], [2**62], [2**31, 2**31], [3]):
            for kind in ("numpy", "jax"):
                yield _zero(shape, dtype, kind, descr)


@attack(
    62,
    "Records that overlap, leave holes, are missing, negative or elsewhere",
    "a boolean or zero may be the right number",
)
def _() -> Iterator[Any]:
    values = (
        -1,
        0,
        1,
        64,
        2**31,
        2**32,
        2**63 - 1,
        2**63,
        2**64 - 1,
        None,
        "0",
        1.5,
        [],
    )
    for place in range(6):
        for value in values:
            checkpoint = fresh(_array)
            checkpoint.document["records"][0][place] = value
            yield checkpoint
    for index in (*values, True, 2, 10**6):
        checkpoint = fresh(_array)
        checkpoint.tree["node"][0]["record"] = index
        if index not in (0, True) or type(index) is bool:
            yield checkpoint
    for records in ([], [[]], [None], ["x"], {}, [[0]], [[0] * 7], 3):
        checkpoint = fresh(_array)
        checkpoint.document["records"] = records
        yield checkpoint
    checkpoint = fresh(_array)
    checkpoint.document["records"] *= 2
    yield checkpoint
    checkpoint = fresh(_array)
    checkpoint.tree["node"] *= 2  # two arrays of one record
    yield checkpoint
    checkpoint = fresh(_array)
    checkpoint.records += b"\0" * 64
    yield checkpoint
    checkpoint = fresh(_array)
    checkpoint.records = b"\0" * len(checkpoint.records)
    checkpoint.repair()
    yield checkpoint
    checkpoint = fresh(_array)
    checkpoint.records = checkpoint.records.replace(b"'<f4'", b"'|O8'")[: 2**10]
    checkpoint.repair()
    yield checkpoint


@attack(63, "Trailers that point nowhere")
def _() -> Iterator[Any]:
    good = fresh(_array).companion()
    for offset in (0, 1, 64, len(good), len(good) - 16, 2**31, 2**63, 2**64 - 1):
        yield good[: -TRAILER.size] + TRAILER.pack(offset, TRAILER_MAGIC)
    yield TRAILER.pack(0, TRAILER_MAGIC)
    yield b""
    yield good[:-1]
    yield good[:-16]
    yield good + b"\0"
    yield b"\x93NUMPY" + good
    yield good[-16:] * 1000
    structure = fresh(_array).structure()
    yield structure
    for size in (0, 1, 8, 51, 52, 60):
        yield companion(b"", structure[:size])
    for version in (0, 2, 2**32 - 1):
        yield companion(b"", frame(structure[52:], version=version))
    for length in (0, 2**63, 2**64 - 1):
        yield companion(
            b"", structure[:12] + struct.pack("<Q", length) + structure[20:]
        )


@attack(
    64,
    "Scalars, keys and types with bytes and names that do not fit",
    "text of a NumPy scalar may be anything",
)
def _() -> Iterator[Any]:
    for impl in ("os:system", "", "rbg2", 3, None, [], "__class__", "threefry2x32\0"):
        yield leaf("dtype", impl=impl)
        yield leaf("shape_dtype", impl=impl, shape=[2])
        checkpoint = fresh(_array)
        checkpoint.tree["node"][0] |= {"kind": "key", "impl": impl}
        yield checkpoint
    for name in ("os", "load", "ndarray", "__class__", "jax", "np", "", 3, None, "sin"):
        yield leaf("scalar_type", value=name)
    for value in (b"", b"\0" * 3, b"\0" * 4000, "x", 3, None, []):
        for dtype in ("float32", "bfloat16", "int4", "<U5", "str", "float0"):
            if (dtype, value) not in (("<U5", b""), ("float0", b"")):
                yield leaf("scalar", dtype=dtype, value=value)
    for value in (b"\xff", b"\xed\xa0\x80" * 10, 3, None, []):
        yield leaf("path", value=value, flavour="PosixPath")
        yield leaf("path", value="x", flavour=value)
    for flavour in ("Path", "__class__", "os:system", "WindowsPath", ""):
        yield leaf("path", value="x", flavour=flavour)
    for value in (b"", b"x" * 15, "x" * 16, 3):
        yield leaf("uuid", value=value)


VERSIONS = "versions are compared and shown, and decide nothing"


@attack(65, "Versions of packages with hostile names: a look-up reads files", VERSIONS)
def _() -> Iterator[Any]:
    for names in (
        *(["../../x"], ["/etc"], ["os"], [""], ["\0"], ["a" * 100_000], ["planted"]),
        *(
            ["\ud7ff\n\x1b[31m"],
            ["*"],
            ["[a-z]"],
            ["../secret"],
            ["__main__"],
            ["x/.."],
        ),
        [f"package{i}" for i in range(10_000)],
        [f"../{i}/x" for i in range(1000)],
    ):
        for version in ("1.0", "9" * 100_000, "", "\x1b]0;x\x07", "1." * 20_000):
            checkpoint = fresh()
            checkpoint.document["versions"] = dict.fromkeys(names, version)
            yield checkpoint
            if len(names) > 1:
                break
    for value in (3, None, [], {}, b"1"):
        checkpoint = fresh()
        checkpoint.document["versions"] = {"jax": value}
        yield checkpoint
        for place in ("settings", "backend"):
            checkpoint = fresh()
            checkpoint.document[place] = {"name": value, "jax_enable_x64": value}
            yield checkpoint
    for name in ("os:system", "../x", "pickle", "orbax", "eqx\0", "__class__"):
        checkpoint = fresh()
        checkpoint.document["backend"] = {"name": name}
        yield checkpoint


@attack(
    66,
    "Nodes that are none, and keys that no node has",
    "keys that a kind does not know are passed over",
)
def _() -> Iterator[Any]:
    for node in (None, 3, "x", [], b"", True, 1.5):
        yield plain_list(node)
        yield container("dict", [NONE], keys=[node])
        yield container("dict", node)
        yield container("list", [NONE], keys=node)
    for kind in (
        "__class__",
        "os:system",
        "",
        "unnamed",
        "subclass",
        "a.b",
        "x" * 1000,
    ):
        yield leaf(kind)
        yield container(kind, [])
        yield container(kind, {}, type="os:system")
    for kind in (None, 3, [], {}, b"int"):
        yield leaf(kind)
    for children in ([], {}, [NONE], {"a": NONE}, {"__class__": NONE}):
        for kind in (
            *("int", "str", "jax", "numpy", "key", "partial", "jit", "filter_jit"),
            *("method", "closure", "treedef", "range", "slice", "defaultdict", "node"),
            *(
                "unravel",
                "transform",
                "jax_partial",
                "annotation",
                "jaxtyping",
                "scalar",
            ),
            *(
                "namespace",
                "deque",
                "dict",
                "set",
                "partition_spec",
                "same",
                "placeholder",
            ),
        ):
            if (kind, children) not in (("dict", []), ("set", []), ("dict", {})):
                yield container(kind, children)
                yield container(kind, children, value={}, static=3, id="x")
    yield {**plain_list(), "node_type": "leaf"}
    yield {"kind": "none"}
    yield {**NONE, "type": "os:system", "call": "os:system", "__reduce__": "os:system"}


# Folders ------------------------------------------------------------------------------


@attack(
    70,
    "A companion that is a link, a device, a pipe or a folder",
    "a link within a folder, and a whole companion, load",
)
def _(folder: Path) -> Iterator[Any]:
    good = fresh(_array)
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    good.write(outside / "other.zdx")
    plans: dict[str, Callable[[Path], object]] = {
        "link": lambda path: path.symlink_to(outside / "other.eqx"),
        "passwd": lambda path: path.symlink_to("/etc/passwd"),
        "loop": lambda path: path.symlink_to(path),
        "zero": lambda path: path.symlink_to("/dev/zero"),
        "random": lambda path: path.symlink_to("/dev/urandom"),
        "stdin": lambda path: path.symlink_to("/dev/stdin"),
        "mem": lambda path: path.symlink_to("/proc/self/mem"),
        "pipe": os.mkfifo,
        "folder": lambda path: path.mkdir(),
        "nothing": lambda path: path.symlink_to(folder / "nowhere"),
    }
    for name, plan in plans.items():
        structure, beside = folder / f"{name}.zdx", folder / f"{name}.eqx"
        structure.write_bytes(good.structure())
        plan(beside)
        yield structure
        yield beside
        turned = folder / f"turned_{name}.zdx"
        plan(turned)
        turned.with_suffix(".eqx").symlink_to(turned)
        yield turned
    sparse = folder / "sparse.eqx"
    with open(sparse, "wb") as file:
        file.truncate(1 << 40)
    yield sparse
    with open(sparse, "r+b") as file:
        file.seek((1 << 40) - 16)
        file.write(TRAILER.pack(0, TRAILER_MAGIC))
    yield sparse
    with open(sparse, "r+b") as file:
        file.seek((1 << 40) - 16)
        file.write(TRAILER.pack((1 << 40) - (1 << 33), TRAILER_MAGIC))
    yield sparse


@attack(
    71,
    "A structure file of another save: the companion decides",
    "the honest one loads",
)
def _(folder: Path) -> Iterator[Any]:
    good, bad = fresh(_array), fresh()
    bad.tree = named("os:system")
    good.write(folder / "mixed.zdx")
    (folder / "mixed.zdx").write_bytes(bad.structure())
    yield folder / "mixed.zdx"
    for i, data in enumerate((b"", b"x", bad.structure()[:40], b"\0" * 100)):
        path = folder / f"mixed{i}.zdx"
        good.write(path)
        path.write_bytes(data)
        yield path


@attack(72, "The metadata is a tree, too", call="read_metadata")
def _() -> Iterator[Any]:
    for name in ("os:system", "planted:run", "jax.numpy:load", "zodiax_io:register"):
        for node in (named(name), jit(named(name)), partial(named(name))):
            checkpoint = fresh(_array)
            checkpoint.document["metadata"] = node
            yield checkpoint


# Found by reading the code ------------------------------------------------------------


def trap(name: str) -> Node:
    """An instance without attributes of a class of traps."""
    return named(f"{LAB}:{name}", "marker")


def called(function: Node, *args: Node) -> Iterator[Node]:
    """Calls prepared in each way that a file can."""
    tree = {"args": container("tuple", list(args)), "keywords": container("dict", {})}
    yield container("partial", {"func": function, **tree})
    yield container("jax_partial", {**tree, "func": function}, static=["func"])
    yield container(
        "equinox_partial", {"func": function, **tree}, type="equinox:Partial"
    )


def module(name: str, *parts: str, **children: Node) -> Node:
    """A Module of the lab's."""
    return container("module", children, type=f"{LAB}:{name}", beside=list(parts))


HUGE = 2**31 - 1


@attack(73, "NumPy adds in 32 bits: fields of a dtype that lie outside of it")
def _() -> Iterator[Any]:
    floats: Node = {"formats": ["float32"], "offsets": [HUGE], "itemsize": 4}
    wide = [{"base": "uint8", "shape": [HUGE]}]
    texts: Node = {"formats": wide, "offsets": [1], "itemsize": 8}
    none: Node = {"formats": ["float32"], "offsets": [HUGE], "itemsize": 0}
    for plain in (floats, texts, none, {**floats, "offsets": []}):
        for aligned in (False, True):
            dtype = {"names": ["a"], **plain, "aligned": aligned}
            yield leaf("dtype", dtype=dtype)
            yield leaf("scalar", dtype=dtype, value=bytes(plain["itemsize"]))
    for dimensions in (65, 60_000):
        yield leaf("dtype", dtype={"base": "int8", "shape": [HUGE] * dimensions})


@attack(74, "A generated hash reads fields; Equinox takes Modules apart to hash them")
def _() -> Iterator[Any]:
    hashing = trap("Trap_hash")
    unravel = container(
        "unravel",
        {
            "f": named("jax._src.flatten_util:unravel_pytree"),
            "args": container("tuple", [hashing]),
            "kwargs": container("dict", {}),
        },
    )
    (_, by_jax, _) = called(SIN, hashing)
    stack = container("registered", {"items": hashing}, type=f"{LAB}:Stack")
    pair = container("namedtuple", {"a": hashing, "b": NONE}, type=f"{LAB}:Iterated")
    absent = [
        container("dataclass", {}, type=f"{LAB}:Delegating", absent=["inner"]),
        container("module", {}, type=f"{LAB}:DelegatingModule", absent=["inner"]),
        container("dataclass", {"x": NONE}, type=f"{LAB}:WithDescriptor"),
    ]
    lenses = [module("Lens", radius=inside, label=NONE) for inside in (by_jax, stack)]
    for key in (unravel, pair, *absent, *lenses):
        yield container("dict", [NONE], keys=[key])
        yield container("set", [key])
        yield annotation("Annotated", named("builtins:int", "class"), key)


@attack(75, "JAX prints what it wraps, and asks it for all that functions tell", OWN)
def _() -> Iterator[Any]:
    for name in ("repr", "str", "format", "bool"):
        inside = trap(f"Trap_{name}")
        yield from around(module("Holding", x=inside))
        yield from around(container("module", {"fn": inside}, type="equinox.nn:Lambda"))
        for function in called(SIN, inside):
            yield from around(function)
        for told in ("__name__", "__doc__", "__annotations__"):
            yield from around(module("Holding", told, x=NONE, **{told: inside}))
    yield from around(trap("Asked"))
    yield from around(module("WithCallDescriptor", x=NONE))
    yield from around(named(f"{LAB}:METALLIC", "singleton"))


@attack(
    76,
    "What is printed of shared parts doubles with each level",
    "shared parts load where nothing prints them",
)
def _() -> Iterator[Any]:
    node = container("tuple", [NONE], id=0)
    for level in range(1, 16):
        again = leaf("same", value=level - 1)
        node = container("tuple", [node, again], id=level)
    yield from around(container("module", {"fn": node}, type="equinox.nn:Lambda"))
    yield from around(module("Holding", x=node))


@attack(77, "Text that costs more than its length: dimensions, paths, unions")
def _() -> Iterator[Any]:
    for dimensions in ("_" * 8000 + "!", "*#?_" * 2000 + "!", "a" * 100_000):
        yield jaxtyped(named("numpy:ndarray", "class"), dimensions)
    names = [named("a:b", "class"), *(named(f"a:b{i}", "class") for i in range(1000))]
    yield container("dict", {"\0" * 150_000: container("list", names)})
    integer = named("builtins:int", "class")
    members = [annotation("Annotated", integer, text(str(i))) for i in range(3000)]
    for form in ("|", "Union"):
        yield annotation(form, *members)


@attack(78, "One's own function is called through what holds it")
def _() -> Iterator[Any]:
    danger = named(f"{LAB}:own_danger")
    holders = [
        container("module", {"fn": danger}, type="equinox.nn:Lambda"),
        module("Holding", x=danger),
        container("method", {"self": module("Holding", x=danger)}, value="__call__"),
    ]
    for holder in holders:
        for node in called(holder, text("/home")):
            yield node
            items = container("dict", {})
            yield container("defaultdict", {"default_factory": node, "items": items})


@attack(79, "A class that unflattens itself gets auxiliary data of the file's choice")
def _() -> Iterator[Any]:
    own = module("Holding", x=NONE)
    danger = named(f"{LAB}:own_danger")
    borrowed = container("tuple", [container("tuple", [danger] * 5), NONE])
    for name in (f"{LAB}:Lens", "equinox.nn:Linear", "jax.experimental.sparse:BCOO"):
        for aux in (own, borrowed, trap("Trap_iter"), trap("Trap_getitem")):
            children = {"children": container("tuple", [NONE, NONE]), "aux": aux}
            yield container("node", children, type=name, static=["aux"])


@attack(80, "A metaclass is asked when classes are compared or hashed")
def _() -> Iterator[Any]:
    for kind in ("singleton", "function", "token", "class"):
        yield named(f"{LAB}:METALLIC", kind)
        yield container("dict", [NONE], keys=[named(f"{LAB}:METALLIC", kind)])
    for kind in ("class", "marker"):
        yield named(f"{LAB}:Metallic", kind)
    for value in (3, 0, "A|B"):
        yield leaf("enum", type=f"{LAB}:MadeFlag", value=value)


@attack(81, "Kinds that only refuse on saving keep nothing that could be loaded")
def _() -> Iterator[Any]:
    checkpoint = fresh(_array)
    for kind in ("unnamed", "subclass", "damaged"):
        yield leaf(kind)
        yield leaf(kind, type="os:system")
    for kind in ("tracer", "ndarray"):
        twice = copy.deepcopy(checkpoint)
        (array,) = twice.tree["node"]
        twice.tree = plain_list({**array, "kind": kind}, {**array, "kind": kind})
        yield twice


@attack(82, "Dtypes that JAX takes for others, and such as it fails on")
def _() -> Iterator[Any]:
    for dtype in ("<f8", "=f8", ">f8", "<i8", "longlong", "float6_e2m3fn"):
        for kind in ("jax", "key"):
            checkpoint = fresh(_array)
            (array,) = checkpoint.tree["node"]
            array.update(kind=kind, dtype=dtype, impl="threefry2x32")
            checkpoint.document["records"][0][3] = dtype
            yield checkpoint


def _with_extras(extras: Any) -> Checkpoint:
    checkpoint = fresh(_array)
    checkpoint.document["extras"] = extras
    return checkpoint


def _hostile_extras() -> Iterator[Any]:
    danger = named("os:system")
    planted = named("planted:run")
    array = leaf("numpy", shape=[2**40], dtype="uint8")
    nodes = [danger, planted, leaf("nothing"), container("list", 3), {}, {"kind": []}]
    nodes += [{**array, "record": number} for number in (0, 1, -1, 2**63)]
    nodes += [{"deeper": value} for value in (b"", b"\xc1", 3, msgpack.packb([1]))]
    nodes += [container("list", [leaf("same", value=0)] * 2, id=0)]
    wide = container("tuple", [NONE] * 2, id=0)
    for level in range(1, 40):
        wide = container("tuple", [wide, leaf("same", value=level - 1)], id=level)
    nodes.append(wide)
    often: Node = NONE
    for _ in range(40):
        often = {"deeper": msgpack.packb(often)}
    nodes.append(often)
    for levels in (400, 900, 3000):
        node: Node = danger
        for level in range(levels):
            node = plain_list(node)
            if level % 100 == 99:
                node = {"deeper": msgpack.packb(node)}
        nodes.append(node)
    for node in nodes:
        yield _with_extras({"mylab.series": node})


PASSED = "a load of the tree passes over extras"
DATA = "what is neither a name nor damaged is plain data"


@attack(83, "Extras: reading one judges its names, and no more is built of it", PASSED)
def _() -> Iterator[Any]:
    yield from _hostile_extras()
    for name in ("!", "!mylab.capsule", "", "a.b\n", "\x1b[31m.a", "a" * 10**6, "é.a"):
        yield _with_extras({name: NONE})
    yield _with_extras({f"mylab.x{i}": NONE for i in range(100_000)})
    for value in (0, None, [], "x", {}, {"a.b": 0}, {"a.b": []}, {"a.b": {}}):
        yield _with_extras(value)


@attack(84, "The same where the extras are asked for", DATA, call="extras")
def _() -> Iterator[Any]:
    yield from _hostile_extras()


@attack(85, "The same where every record is given its path", DATA, call="verify")
def _() -> Iterator[Any]:
    yield from _hostile_extras()


# Modules, and functions below decorators ----------------------------------------------

MODULES = """
    os posix sys subprocess builtins importlib ctypes pickle shutil socket code runpy io
    numpy.ctypeslib numpy.testing numpy.f2py jax.experimental jax._src.api scipy.io
    zodiax_io zodiax_io._trust.names __main__ __mp_main__ planted os.path functools
    operator types gc inspect optax._src.base nowhere jax.numpy.os numpy.os
""".split()


@attack(86, "A module as a value: none of Python's, of files or of code")
def _() -> Iterator[Any]:
    for module in MODULES:
        for kind in ("python_module", "function", "class", "singleton", "marker"):
            yield named(module, kind)
        yield Trusting(named(module, "python_module"), ("numpy", "jax", "scipy", "os"))
    for name in ("os:path", "jax.numpy:", ":jax", "", ".", "jax..numpy", "a" * 10**6):
        yield named(name, "python_module")
    for value in (None, 3, b"jax", ["jax"]):
        yield named("jax", "python_module") | {"type": value}
    yield from around(named("os", "python_module"))


@attack(87, "A decorator: its options and functions are of the file, not its code")
def _() -> Iterator[Any]:
    decorators = "jax.custom_jvp jax.custom_vjp functools.lru_cache os.system".split()
    for decorator in (*decorators, "equinox.filter_custom_vjp", "", 3, None):
        value = {"decorator": decorator, "nondiff_argnums": [], "symbolic_zeros": False}
        for danger in (named("os:system"), NONE, integer(1), named("os", "class")):
            yield container("decorated", {"fun": danger}, value=value)
            yield container(
                "decorated", {"fun": danger}, value={"decorator": decorator}
            )
            for rule in ("jvp", "jvps", "fwd", "bwd", "rule", "__init__", "maxsize"):
                functions = {"fun": named("jax.nn:relu"), rule: danger}
                yield container("decorated", functions, value=value)


# States of generators -----------------------------------------------------------------


@attack(88, "The state of a generator of Python: an old one formats text of any length")
def _() -> Iterator[Any]:
    word = text("%9000000000d")
    words = container("tuple", [word] * 625)
    for version in (text("3"), *map(integer, (1, 2, 3, 4, 2**63))):
        for rest in ([words, NONE], [words], [NONE, words], [words, SIN]):
            state = container("tuple", [version, *rest])
            yield container("random", {"state": state})
    for state in (NONE, word, container("tuple", []), container("dict", [], keys=[])):
        yield container("random", {"state": state})
