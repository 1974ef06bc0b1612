"""Whatever a file holds, each operation takes a time that grows as its size does.

Each row of the table makes a file that grows with a number: many objects of one kind,
or one kind in the form that costs the most. Each operation is timed on a file and on
one four times as large.
"""

import contextlib
import io
import os
import signal
import time
import warnings

import jax
import jax.random as jr
import numpy as np
import pytest
from conftest import TYPE_CHECKS
from documents import Checkpoint, checkpoint_of, container, leaf, named
from examples import APART, EXAMPLES

import zodiax_io
from zodiax_io._cli import main
from zodiax_io._kinds.lookup import KINDS, row_of

NONE = leaf("none")
P = 2**61 - 1  # the hash of an integer is what it leaves when divided by this


def integer(value):
    return leaf("int", value=value)


def big(data):
    """An integer of many bytes, positive."""
    return leaf("int", value=data + b"\x01")


def text(value):
    return leaf("str", value=value)


def listed(nodes, kind="list", **parts):
    return container(kind, list(nodes), **parts)


def same(number):
    return leaf("same", value=number)


def chain(node, depth, wrap):
    """A node within `depth` others."""
    for level in range(depth):
        node = wrap(node, level)
    return node


def forest(node, number, depth, wrap):
    """Several chains, none deeper than a tree may be."""
    return listed(chain(node, depth, wrap) for _ in range(number))


def keyed(keys, kind="dict"):
    return container(kind, [NONE] * len(keys), keys=keys)


# Many objects of each kind ------------------------------------------------------------


def copied(node, number):
    """Copies of a node, whose shared nodes are numbered anew."""
    step = 1 + max((n.get("id", -1) for n in below(node)), default=-1)

    def copy(part, offset):
        if isinstance(part, list):
            return [copy(item, offset) for item in part]
        if not isinstance(part, dict):
            return part
        made = {name: copy(value, offset) for name, value in part.items()}
        if "node_type" in made:
            if "id" in made:
                made["id"] += offset
            if made["kind"] == "same":
                made["value"] += offset
        return made

    return listed(copy(node, i * step) for i in range(number))


def below(node):
    """A node and all nodes in it."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.get("keys", [])
        inside = node.get("node", [])
        waiting += inside.values() if isinstance(inside, dict) else inside


def many(kind):
    """Files of many objects of a kind: of the largest of its examples that is small."""

    def make(number):
        saved = [Checkpoint.of(example) for example in EXAMPLES[kind]]
        plain = [
            c.tree
            for c in saved
            if len(c.structure()) < 4000
            and not any(row_of(n).array for n in below(c.tree))
        ]
        if plain:
            node = max(plain, key=lambda tree: len(list(below(tree))))
            return checkpoint_of(copied(node, number))
        small = min(saved, key=lambda checkpoint: len(checkpoint.structure()))
        return Checkpoint.of([small.load() for _ in range(number)])

    return make


MANY = {kind: many(kind) for kind, examples in EXAMPLES.items() if examples}
# Each of these has hundreds of numbers.
for kind in ("random", "column"):
    MANY[kind] = lambda number, make=MANY[kind]: make(number // 4)
MANY["default"] = lambda number: checkpoint_of(
    listed(
        leaf("default", type="examples:Default", value="function")
        for _ in range(number)
    )
)
MANY["jax"] = lambda number: Checkpoint.of(
    [jax.device_put(np.full(3, i)) for i in range(number)]
)
MANY["numpy"] = lambda number: Checkpoint.of([np.full(3, i) for i in range(number)])
MANY["key"] = lambda number: Checkpoint.of([*jr.split(jr.key(0), number)])
METRE = named("astropy.units:m", "named_unit")
LENGTH = container(
    "physical_type", [METRE], value=["length"], type="astropy.units:PhysicalType"
)
# These need packages that may be absent.
OF_PACKAGES = {
    "named_unit": METRE,
    "unit": container(
        "unit",
        [METRE] * 3,
        value={"scale": 2.0, "powers": [1, 2, 3]},
        type="astropy.units:CompositeUnit",
    ),
    "physical_type": LENGTH,
    "astropy_masked": container(
        "astropy_masked",
        {"data": NONE, "mask": NONE},
        type="astropy.utils.masked:Masked",
    ),
    "parametric_class": container("parametric_class", [LENGTH], type="unxt:Quantity"),
    "parametric": container("parametric", {"class": NONE}, type="unxt:Quantity"),
    "unit_system": container(
        "unit_system", [METRE], type="unxt.unitsystems:AbstractUnitSystem"
    ),
}
OF_PACKAGES["expression"] = container(
    "expression", [], type="sympy:Add", value={"commutative": True}
)
OF_PACKAGES["coordinates"] = container(
    "coordinates",
    {"_data": NONE},
    type="astropy.coordinates:ICRS",
    beside=["_data"],
)
OF_PACKAGES["scipy"] = container(
    "scipy",
    {"quaternion": NONE, "single": NONE},
    type="scipy.spatial.transform:Rotation",
)
OF_PACKAGES["frozen_distribution"] = container(
    "frozen_distribution",
    {"args": container("tuple", []), "kwds": container("dict", {})},
    type="scipy.stats:norm",
)
OF_PACKAGES["pint"] = leaf("pint", type="pint:Unit", value={"meter": 1})
OF_PACKAGES["expression_class"] = named("sympy:sin", "expression_class")
for _kind, _node in OF_PACKAGES.items():
    MANY[_kind] = lambda number, node=_node: checkpoint_of(copied(node, number))
if not EXAMPLES["token"]:
    MANY["token"] = lambda number: checkpoint_of(
        listed(named("lineax._solve:_qr_token", "token") for _ in range(number))
    )


# What costs the most ------------------------------------------------------------------


def annotation(children, form):
    return leaf_or(children, form)


def leaf_or(children, form):
    return container("annotation", list(children), value=form)


INT = named("builtins:int", "class")
LIST = named("builtins:list", "class")
ARRAY = named("jax:Array", "class")


def nested_list(node, _=0):
    return leaf_or([LIST, node], "builtin")


def jaxtyping(inner, dimensions, dtype="Float"):
    name = "leaf" if dtype == "PyTree" else "array"
    value = {"dtype": dtype, "dimensions": dimensions}
    return container("jaxtyping", {name: inner}, value=value)


def distinct(number):
    """Annotations none of which equals another."""
    for i in range(number):
        yield leaf_or([LIST, leaf_or([text(f"v{i}")], "Literal")], "builtin")


def union_of(form, size):
    def make(number):
        unions = [leaf_or(distinct(size), form) for _ in range(max(number // size, 1))]
        return listed(unions)

    return make


def shared_annotation(depth, wraps):
    """One that doubles at each level, within many that would hash all of it."""

    def make(number):
        node = container("annotation", [LIST, INT], value="builtin", id=0)
        pair = named("builtins:tuple", "class")
        for i in range(1, depth):
            node = container(
                "annotation", [pair, node, same(i - 1)], value="builtin", id=i
            )
        return chain(node, min(number, wraps), nested_list)

    return make


def shared_by_many(node, number, wrap=lambda node: node):
    return listed([node | {"id": 0}, *(wrap(same(0)) for _ in range(number))])


def module(fields, name="equinox.nn:Linear", **parts):
    return container("module", fields, type=name, **parts)


def names_of(number, prefix="f"):
    return [f"{prefix}{i:06}" for i in range(number)]


def struct(number):
    return {
        "names": names_of(number),
        "formats": ["float32"] * number,
        "offsets": [4 * i for i in range(number)],
        "itemsize": 4 * number,
        "aligned": False,
    }


def nested_struct(depth):
    dtype = "float32"
    for _ in range(depth):
        dtype = {
            "names": ["a"],
            "formats": [dtype],
            "offsets": [0],
            "itemsize": 4,
            "aligned": False,
        }
    return dtype


def folded(number):
    """A tree of which each node is packed, so that each is unpacked out of the last."""
    import msgpack

    node = {"deeper": msgpack.packb(listed([text("a" * number)]))}
    for _ in range(300):
        node = {"deeper": msgpack.packb(listed([node]))}
    return listed([node])


# By name: how large the first file is, and what makes one of that size.
ATTACKS = {
    # Large numbers, and what divides them.
    "int of many digits": (300_000, lambda n: big(b"a" * n)),
    "range of large numbers": (
        60_000,
        lambda n: container(
            "range",
            {"start": integer(0), "stop": big(b"b" * n), "step": big(b"a" * (n // 2))},
        ),
    ),
    "slice of large numbers": (
        60_000,
        lambda n: keyed(
            [container("slice", {"start": big(b"b" * n), "stop": NONE, "step": NONE})]
        ),
    ),
    "fraction of large numbers": (
        60_000,
        lambda n: leaf("fraction", value=[b"b" * n + b"\x01", b"a" * n + b"\x01"]),
    ),
    "many fractions": (
        30,
        lambda n: listed(
            leaf("fraction", value=[b"b" * 4095 + b"\x01", b"a" * 4095 + b"\x01"])
            for _ in range(n)
        ),
    ),
    "fractions as keys": (
        30,
        lambda n: keyed(
            [
                leaf(
                    "fraction",
                    value=[i.to_bytes(4095, "big") + b"\x01", b"a" * 4095 + b"\x01"],
                )
                for i in range(n)
            ]
        ),
    ),
    "decimal of many digits": (300_000, lambda n: leaf("decimal", value="7" * n)),
    "decimal of many digits as key": (
        300_000,
        lambda n: keyed([leaf("decimal", value="7" * n)]),
    ),
    "decimal beside a large number": (
        60_000,
        lambda n: listed([leaf("decimal", value="5"), integer_like(5, n)], kind="set"),
    ),
    "decimal beside many large numbers": (
        60_000,
        lambda n: listed(
            [integer_like(5, n), leaf("decimal", value="5")], kind="frozenset"
        ),
    ),
    "fraction beside a large decimal": (
        60_000,
        lambda n: listed(
            [
                leaf("fraction", value=[b"\x05", b"\x03"]),
                leaf("decimal", value="7" * n),
            ],
            kind="set",
        ),
    ),
    "decimals of large exponents": (
        400,
        lambda n: keyed(
            [leaf("decimal", value=f"1E{'9' * 17}{i % 10}") for i in range(10)]
            + [leaf("decimal", value=f"{i}E-99999999999999999") for i in range(n)]
        ),
    ),
    "large numbers as keys": (
        60_000,
        lambda n: keyed([big(bytes([i]) * (n // 100)) for i in range(100)]),
    ),
    "large numbers as elements": (
        60_000,
        lambda n: listed([big(b"a" * n), big(b"b" * n)], kind="set"),
    ),
    "large numbers within keys": (
        60_000,
        lambda n: keyed([listed([big(b"a" * n)], kind="tuple")]),
    ),
    "numbers of one hash": (
        600,
        lambda n: keyed([big((P * i).to_bytes(60, "little")) for i in range(1, n)]),
    ),
    "tuples of one hash": (
        600,
        lambda n: keyed(
            [
                listed([big((P * i).to_bytes(60, "little"))], kind="tuple")
                for i in range(1, n)
            ]
        ),
    ),
    "keys that are nan": (
        600,
        lambda n: keyed([leaf("float", value=float("nan"))] * n),
    ),
    "dates of large numbers": (
        1500,
        lambda n: listed(
            leaf("timedelta", value=[2**63, 2**63, -(2**62)]) for _ in range(n)
        ),
    ),
    "a timedelta of many numbers": (
        20_000,
        lambda n: leaf("timedelta", value=[1] * n),
    ),
    # Text and bytes.
    "text": (300_000, lambda n: text("é" * n)),
    "text that cannot be printed": (100_000, lambda n: text("\x00" * n)),
    "bytes": (300_000, lambda n: leaf("bytes", value=b"\x00" * n)),
    "text of surrogates": (
        100_000,
        lambda n: leaf("str", value=b"\xed\xa0\x80" * n),
    ),
    "a path of many parts": (
        100_000,
        lambda n: leaf("path", value="a/" * n, flavour="PurePosixPath"),
    ),
    "a path of Windows": (
        100_000,
        lambda n: leaf("path", value="c:\\" * n, flavour="PureWindowsPath"),
    ),
    "text shared by many": (2000, lambda n: shared_by_many(text("a" * 45 * n), n)),
    "text shared by many as a short tuple": (
        2000,
        lambda n: shared_by_many(listed([text("a" * 45 * n)], kind="tuple"), n),
    ),
    "a value of many parts shared by many": (
        2000,
        lambda n: shared_by_many(leaf("date", value=[1] * (45 * n)), n),
    ),
    "text shared by many keys": (
        1000,
        lambda n: listed(
            [
                text("a" * 45 * n) | {"id": 0},
                keyed([listed([same(0), integer(i)], kind="tuple") for i in range(n)]),
            ]
        ),
    ),
    "a key of long text in many dicts": (
        1000,
        lambda n: listed(
            [text("a" * 90 * n) | {"id": 0}, *(keyed([same(0)]) for _ in range(n))]
        ),
    ),
    # Annotations.
    "annotations nested": (10, lambda n: forest(INT, n, 400, nested_list)),
    "unions nested": (
        10,
        lambda n: forest(INT, n, 400, lambda node, i: leaf_or([node, NONE], "Union")),
    ),
    "unions with bars nested": (
        10,
        lambda n: forest(
            INT, n, 200, lambda node, i: leaf_or([nested_list(node), NONE], "|")
        ),
    ),
    "unions of many members": (2000, union_of("Union", 250)),
    "unions with bars of many members": (2000, union_of("|", 250)),
    "unions of too many members": (2000, union_of("Union", 2000)),
    "literals of many values": (
        4000,
        lambda n: leaf_or([text(name) for name in names_of(n)], "Literal"),
    ),
    "literals of numbers": (
        4000,
        lambda n: leaf_or([integer(i) for i in range(n)], "Literal"),
    ),
    "annotated by many values": (
        4000,
        lambda n: leaf_or([INT, *map(integer, range(n))], "Annotated"),
    ),
    "a tuple of many types": (
        4000,
        lambda n: leaf_or([named("builtins:tuple", "class"), *[INT] * n], "builtin"),
    ),
    "a tuple of typing of many types": (4000, lambda n: leaf_or([INT] * n, "Tuple")),
    "a callable of many types": (
        4000,
        lambda n: leaf_or([listed([INT] * n), INT], "Callable"),
    ),
    "an annotation that doubles": (100, shared_annotation(18, 400)),
    "annotations of jaxtyping nested": (
        3,
        lambda n: forest(
            ARRAY, n, 400, lambda node, i: jaxtyping(node, "a " * 1000 + f"a{i}")
        ),
    ),
    "annotations of jaxtyping in unions": (
        3,
        lambda n: forest(
            ARRAY,
            n,
            200,
            lambda node, i: jaxtyping(leaf_or([node, INT], "Union"), "a " * 1000),
        ),
    ),
    "trees of jaxtyping nested": (
        10,
        lambda n: forest(
            INT, n, 400, lambda node, i: jaxtyping(node, "T", dtype="PyTree")
        ),
    ),
    "a tree of jaxtyping around a union": (
        2000,
        lambda n: listed(
            jaxtyping(leaf_or(distinct(200), "Union"), f"T{i}", dtype="PyTree")
            for i in range(max(n // 200, 1))
        ),
    ),
    # Depth, and the text of paths.
    "deep lists": (20, lambda n: forest(NONE, n, 480, lambda node, i: listed([node]))),
    "deep trees of long keys": (
        3,
        lambda n: forest(
            NONE, n, 480, lambda node, i: container("dict", {"k" * 200: node})
        ),
    ),
    "many nodes below a long path": (
        2000,
        lambda n: chain(
            listed([NONE] * n),
            480,
            lambda node, i: container("dict", {"k" * 150: node}),
        ),
    ),
    "many values below a long path": (
        2000,
        lambda n: chain(
            container("dict", {name: text("a" * 300) for name in names_of(n)}),
            480,
            lambda node, i: container("dict", {"é" * 150: node}),
        ),
    ),
    "many brackets in a path": (
        500,
        lambda n: chain(
            container("namespace", {name: NONE for name in names_of(n)}),
            400,
            lambda node, i: container("namespace", {"['" * 60: node}),
        ),
    ),
    "references below a long path": (
        1000,
        lambda n: chain(
            listed([listed([NONE], id=0), *(same(0) for _ in range(n))]),
            480,
            lambda node, i: container("dict", {"k" * 150: node}),
        ),
    ),
    "names below a long path": (
        1000,
        lambda n: chain(
            listed(named(f"gone.away:f{i}") for i in range(n)),
            480,
            lambda node, i: container("dict", {"k" * 150: node}),
        ),
    ),
    "packed nodes in packed nodes": (100_000, folded),
    # Objects, and what they say of themselves.
    "a class of many fields": (
        3000,
        lambda n: module(dict.fromkeys(names_of(n), NONE)),
    ),
    "a class beside many attributes": (
        3000,
        lambda n: module(
            dict.fromkeys(names_of(n), NONE), beside=names_of(n, "g"), absent=[]
        ),
    ),
    "a class without many fields": (
        3000,
        lambda n: module(
            dict.fromkeys(names_of(n), NONE), absent=names_of(n, "g"), beside=[]
        ),
    ),
    "a class of many static fields": (
        3000,
        lambda n: module(dict.fromkeys(names_of(n), NONE), static=names_of(n)),
    ),
    "a missing class of many fields": (
        3000,
        lambda n: module(
            dict.fromkeys(names_of(n), NONE),
            "equinox.nn:Gone",
            static=names_of(n),
            beside=names_of(n),
        ),
    ),
    "a class that wraps many": (
        3000,
        lambda n: module({"func": NONE}, wraps=["func", *names_of(n)]),
    ),
    "a node that holds many names": (
        3000,
        lambda n: container(
            "node",
            {"children": listed([], kind="tuple"), "aux": NONE},
            type="jax.tree_util:Partial",
            held=dict.fromkeys(names_of(n), 0),
        ),
    ),
    "flags": (
        2000,
        lambda n: listed(leaf("enum", type="re:RegexFlag", value=i) for i in range(n)),
    ),
    # Functions.
    "jitted functions nested": (
        100,
        lambda n: forest(
            named("jax.numpy:sin"),
            n,
            8,
            lambda node, i: container("jit", {"function": node}, value={}),
        ),
    ),
    "a jitted function of many options": (
        3000,
        lambda n: container(
            "jit",
            {"function": named("jax.numpy:sin")},
            value={
                "static_argnums": list(range(n)),
                "static_argnames": names_of(n),
                "donate_argnums": [],
                "donate_argnames": [],
                "keep_unused": False,
                "inline": False,
            },
        ),
    ),
    "a mapped function of many options": (
        3000,
        lambda n: container(
            "transform",
            {
                "function": named("jax.numpy:sin"),
                "options": container(
                    "dict", {"in_axes": listed([NONE] * n, kind="tuple")}
                ),
            },
            value="vmap",
        ),
    ),
    "functions that print what is shared": (
        100,
        lambda n: listed(
            [
                listed([NONE] * 3000, id=0),
                *(
                    container(
                        "jit",
                        {
                            "function": container(
                                "partial",
                                {
                                    "func": named("jax.numpy:sin"),
                                    "args": listed([same(0)], kind="tuple"),
                                    "keywords": container("dict", {}),
                                },
                            )
                        },
                        value={},
                    )
                    for _ in range(n)
                ),
            ]
        ),
    ),
    "a closure of a place that is not there": (
        2000,
        lambda n: listed(
            container(
                "closure",
                {"cells": listed([]), "defaults": NONE, "kwdefaults": NONE},
                type="jax.nn.initializers:normal",
                value={
                    "place": "normal" + ".<locals>.f" * 10,
                    "index": i,
                    "signature": [],
                },
            )
            for i in range(n)
        ),
    ),
    # Treedefs, and what is shared.
    "treedefs nested": (
        20,
        lambda n: forest(
            listed([NONE, NONE]), n, 400, lambda node, i: container("treedef", [node])
        ),
    ),
    "treedefs of deep trees": (
        20,
        lambda n: listed(
            container("treedef", [chain(NONE, 400, lambda node, i: listed([node]))])
            for _ in range(n)
        ),
    ),
    "references to references": (
        2000,
        lambda n: listed([listed([], id=0), *(same(0) for _ in range(n))]),
    ),
    "a tree that doubles": (
        100,
        lambda n: chain(
            listed([], id=0),
            min(n, 400),
            lambda node, i: listed([node, same(i)], id=i + 1),
        ),
    ),
    # Dtypes and shapes.
    "a dtype of many fields": (1500, lambda n: leaf("dtype", dtype=struct(n))),
    "a dtype of nested fields": (
        40,
        lambda n: listed(leaf("dtype", dtype=nested_struct(60)) for _ in range(n)),
    ),
    "a scalar of many fields": (
        1500,
        lambda n: leaf("scalar", dtype=struct(n), value=b"\x00" * 4 * n),
    ),
    "a shape of many lengths": (
        20_000,
        lambda n: leaf("shape_dtype", shape=[2**62] * n, dtype="float32"),
    ),
    "an array of many lengths": (
        20_000,
        lambda n: leaf("jax", shape=[2**62] * n, dtype="float32", record=0),
    ),
    "arrays of a dtype of many fields": (
        30,
        lambda n: listed(
            leaf("numpy", shape=[3], dtype=struct(60), record=i) for i in range(n)
        ),
    ),
    "a partition of many axes": (
        3000,
        lambda n: container("partition_spec", [text(f"a{i}") for i in range(n)]),
    ),
    # Names that nothing here has.
    "unknown kinds": (
        2000,
        lambda n: listed(leaf(f"mylab.kind{i}", value=i) for i in range(n)),
    ),
    "unknown classes of many fields": (
        100,
        lambda n: listed(
            module(dict.fromkeys(names_of(20), NONE), f"equinox.nn:Gone{i}")
            for i in range(n)
        ),
    ),
    "names that are long": (
        30,
        lambda n: listed(
            named("a." * 1000 + f"b{i}:" + "c." * 1000 + "d") for i in range(n)
        ),
    ),
    "placeholders": (
        1000,
        lambda n: listed(
            leaf(
                "placeholder",
                value={"name": "f", "source": "lambda: 0\n" * 5, "path": f"model[{i}]"},
            )
            for i in range(n)
        ),
    ),
}


def integer_like(value, size):
    """An integer of many bytes with the hash of a small one."""
    number = int.from_bytes(b"a" * size, "little")
    number += value - number % P
    return leaf("int", value=number.to_bytes(size + 2, "little"))


# What is done with each ---------------------------------------------------------------


def quietly(call, *arguments, **options):
    """What a call gives; None where it ends in an error of the package."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                return call(*arguments, **options)
            except zodiax_io.ZodiaxIOError:
                return None


def changed(path):
    """The same file, with one more item and another first one."""
    return path.with_name("changed.zdx")


def _show(path):
    summary = quietly(zodiax_io.summarise, path)
    if summary is not None:
        quietly(summary._repr_html_)
        quietly(str, summary)


def _like(path):
    tree = quietly(zodiax_io.deserialise, path)
    if tree is not None:
        quietly(zodiax_io.deserialise, path, like=tree)


def _save(path):
    tree = quietly(zodiax_io.deserialise, path)
    if tree is not None:
        quietly(zodiax_io.serialise, path.with_name("again.zdx"), tree, durable=False)


def _save_opaque(path):
    tree = quietly(zodiax_io.deserialise, path, unknown="opaque")
    if tree is not None:
        quietly(zodiax_io.serialise, path.with_name("again.zdx"), tree, durable=False)
        if type(tree) is zodiax_io.Opaque:
            quietly(repr, tree)


def command(*arguments):
    return lambda path: quietly(main.main, [arguments[0], str(path), *arguments[1:]])


OPERATIONS = {
    "load": lambda path: quietly(zodiax_io.deserialise, path),
    "lazy": lambda path: quietly(zodiax_io.deserialise, path, lazy=True),
    "part": lambda path: quietly(zodiax_io.deserialise, path, only="**.f*0"),
    "like": _like,
    "save": _save,
    "opaque": _save_opaque,
    "names": lambda path: quietly(zodiax_io.names, path),
    "show": _show,
    "all": command("show", "--all"),
    "json": command("show", "--json"),
    "find": command("show", "--find", "*a*b*"),
    "textconv": command("show", "--textconv"),
    "html": lambda path: quietly(
        zodiax_io.show, path, html=path.with_name("page.html")
    ),
    "diff": lambda path: quietly(zodiax_io.diff, path, path),
    "changes": lambda path: quietly(zodiax_io.diff, path, changed(path)),
    "ignoring": lambda path: quietly(
        zodiax_io.diff, path, changed(path), ignore=["*a*b*"]
    ),
    "verify": lambda path: quietly(zodiax_io.verify, path),
    "repair": lambda path: quietly(zodiax_io.repair, path),
    "convert": lambda path: quietly(
        zodiax_io.convert, path, path.with_name("other.eqx")
    ),
}

SLOW = OPERATIONS.keys() - {"load", "names", "verify", "diff"}
# All operations on large files take an hour: the ordinary run has some, on small ones.
EXHAUSTIVE = os.environ.get("ZODIAX_IO_EXHAUSTIVE") == "1"
ENDLESS = 10  # seconds, after which an operation is stopped
FLOOR = 0.4  # seconds: what takes less is not judged
RATIO = 9  # of a file four times as large
SLOWEST = 8  # seconds for a MB
# Checks of annotations cost more than what they check, where functions make functions.
# Of a small file that shares as many nodes as it may, each a node again to JAX.
BEYOND = 4


def written(path, checkpoint):
    """The file, beside one that differs in every leaf of text and in its length."""
    checkpoint.write(path)
    tree = checkpoint.tree
    other = Checkpoint(checkpoint.records, dict(checkpoint.document))
    other.tree = (
        listed([*tree["node"], NONE])
        if tree["kind"] == "list"
        else (listed([NONE, tree]))
    )
    if tree["kind"] == "list":
        other.tree["node"][0] = text("another")
    other.write(changed(path))
    return path.stat().st_size


class Endless(BaseException):
    """No error that the package could take for one of its own."""


def _stop(*_):
    raise Endless


def seconds(operation, path):
    """The time of the processor that an operation takes; stopped, where it is long."""
    timed = hasattr(signal, "ITIMER_VIRTUAL")
    before = signal.signal(signal.SIGVTALRM, _stop) if timed else None
    start = time.process_time()
    try:
        if timed:
            signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS)
        operation(path)
    except Endless:
        pass
    finally:
        if timed:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)
    return time.process_time() - start


def check(folder, row, make, number):
    """Time every operation on two files, the second four times as large."""
    small, large = folder / "small" / "a.zdx", folder / "large" / "a.zdx"
    for path in (small, large):
        path.parent.mkdir()
    written(small, make(number))
    size = written(large, make(4 * number))
    slow = []
    for name, operation in OPERATIONS.items():
        if not EXHAUSTIVE and name in SLOW:
            continue
        taken = seconds(operation, large)
        if taken < FLOOR:
            continue
        # Whatever else the machine does, the least of several is the cost.
        before = min(seconds(operation, small) for _ in range(2))
        taken = min(taken, seconds(operation, large))
        if taken > RATIO * max(before, 0.01) and taken > FLOOR:
            slow.append(f"{name}: {before:.2f} s, and {taken:.2f} s for four times it")
        elif not TYPE_CHECKS and taken > BEYOND + SLOWEST * size / 1e6:
            slow.append(f"{name}: {taken:.2f} s for {size} bytes")
    assert not slow, f"{row}\n" + "\n".join(slow)


def numbered(make):
    return lambda number: (
        made if isinstance(made := make(number), Checkpoint) else checkpoint_of(made)
    )


@pytest.mark.parametrize("kind", MANY)
def test_many_objects_of_a_kind(tmp_path, kind):
    """Many objects of any kind take a time that grows as their number does."""
    check(tmp_path, kind, MANY[kind], 200 if EXHAUSTIVE else 50)


@pytest.mark.parametrize("attack", ATTACKS)
def test_what_costs_the_most(tmp_path, attack):
    """The worst that a stranger can write takes a time that grows with its size."""
    number, make = ATTACKS[attack]
    if number < 20_000 and not EXHAUSTIVE:
        number = max(number // 6, 1)
    check(tmp_path, attack, numbered(make), number)


def test_every_kind_is_in_the_table():
    """No kind joins the table of kinds without a row here."""
    assert {kind.name for kind in KINDS if kind.keeps and "." not in kind.name} <= (
        MANY.keys() | {"opaque"} | APART
    )


def test_the_table_sees_what_is_quadratic(tmp_path, monkeypatch):
    """An operation whose time grows with the square of the size fails."""
    monkeypatch.setattr(
        "test_linear.OPERATIONS",
        {
            "square": lambda path: [
                None for _ in range((path.stat().st_size // 10) ** 2)
            ]
        },
    )
    with pytest.raises(AssertionError, match="square"):
        check(tmp_path, "square", numbered(lambda n: text("a" * n)), 20_000)
