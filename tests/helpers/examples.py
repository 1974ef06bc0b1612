"""Examples of every kind of object that can be kept."""

import argparse
import collections
import datetime as dt
import decimal
import enum
import fractions
import functools
import inspect
import math
import operator
import pathlib
import random
import struct
import threading
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import jax.tree_util as jtu
import ml_dtypes
import numpy as np
import pytest
import scipy.sparse as sp
from jax.flatten_util import ravel_pytree
from jax.sharding import PartitionSpec
from jaxtyping import Array, Bool, Float, Int, PyTree
from strategies import (
    EXTENDED_DTYPES,
    NUMPY_DTYPES,
    Access,
    Box,
    Colour,
    Config,
    Half,
    Labels,
    Level,
    Metre,
    Node,
    Number,
    Ordered,
    Phasor,
    Plain,
    Point,
    Recent,
    Registered,
    Route,
    Slotted,
    Steps,
    Table,
    Words,
    noted,
)

import zodiax_io
from zodiax_io import _jax


class Sentinel:
    """Holds nothing; its instances are told apart by identity alone."""


UNSET = Sentinel()


class Choice:
    """Has a state, and yet is compared by identity."""

    SLOW: "Choice"

    def __init__(self, name: str) -> None:
        self.name = name


FAST = Choice("fast")
Choice.SLOW = Choice("slow")


class Mode(enum.StrEnum):
    TRAIN = "train"


class Flags(enum.IntFlag):
    A = 4
    B = 2


class Default(eqx.Module):
    function: Callable[[Any], Any] = lambda x: x + 1


class Owner(eqx.Module):
    scale: float

    def __call__(self, x: Any) -> Any:
        return self.scale * x

    @classmethod
    def make(cls) -> Any:
        return cls(1.0)


@jtu.register_pytree_node_class
class Locked:
    """Only its flattening can be kept: nobody keeps a lock."""

    def __init__(self, items: Any) -> None:
        self.items, self._lock = items, threading.Lock()

    def tree_flatten(self) -> Any:
        return tuple(self.items.values()), tuple(self.items)

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Any:
        return cls(dict(zip(aux, children, strict=True)))


def drawn(generator: Any) -> Any:
    """A generator in the middle of its sequence."""
    for _ in range(3):
        generator.normal() if hasattr(generator, "normal") else generator.gauss(0, 1)
    return generator


def ruled(factor: float) -> Any:
    """A local function with a rule for its derivative."""

    @jax.custom_jvp
    def scaled(x: Any) -> Any:
        return factor * x

    @scaled.defjvp
    def scaled_jvp(primals: Any, tangents: Any) -> Any:
        return factor * primals[0], 2 * factor * tangents[0]

    return scaled


class Spline:
    """It says itself how it is copied, so that its attributes may not be all of it."""

    def __init__(self, knots: Any) -> None:
        self.knots = knots

    def __reduce__(self) -> Any:
        return Spline, (self.knots,)


def signed(x: float, *rest: int, key: str = "a", **more: bool) -> None:
    """A function for its signature."""


T = typing.TypeVar("T")
try:
    from lineax._solve import _qr_token  # a constant in the states of its solvers
except ModuleNotFoundError:
    TOKENS = []
else:
    TOKENS = [_qr_token]


try:
    import astropy.constants
    import astropy.units as u
    from astropy.units import imperial
    from astropy.utils.masked import Masked
except ModuleNotFoundError:
    UNITS: dict[str, list[Any]] = {
        kind: [] for kind in "named_unit unit physical_type astropy_masked".split()
    }
    QUANTITIES: list[Any] = []
else:
    UNITS = {
        "named_unit": [
            *(u.m, u.km, u.one, u.mag, u.ABmag, imperial.ft, astropy.constants.c)
        ],
        "unit": [
            u.kg * u.m / u.s**2,
            u.m ** fractions.Fraction(1, 3) / u.s**0.5,
            u.Unit(0.1 * u.m),
            u.dex(u.cm / u.s**2),
            u.StructuredUnit((u.m, (u.s, u.kg)), ("a", ["b", ("c", "d")])),
            u.Unit("furlongs", parse_strict="silent"),
            u.def_unit("cubit", 0.5 * u.m),
        ],
        "physical_type": [u.get_physical_type("length"), (u.m**7).physical_type],
        "astropy_masked": [Masked(np.arange(2.0) * u.m, mask=[True, False])],
    }
    QUANTITIES = [np.ones(2) * u.m, u.Quantity(3, "s"), u.Magnitude(2.0)]


try:
    import sympy
except ModuleNotFoundError:
    EXPRESSIONS: list[Any] = []
    FUNCTIONS: list[Any] = []
else:
    X, Y = sympy.symbols("x y", positive=True)
    EXPRESSIONS = [
        2 * X + sympy.sin(Y) ** sympy.Rational(2, 3) - sympy.pi,
        sympy.Function("f")(X, sympy.Dummy("d")),
        sympy.Float("0.1", 50),
        sympy.Matrix([[X, 1], [0, Y]]),
        sympy.Piecewise((X, X > 1), (Y, True)),
    ]
    FUNCTIONS = [sympy.sin, sympy.Function("f", real=True)]


class Tagged(np.ndarray):
    """An array with an attribute."""


def tagged() -> Any:
    made = np.arange(3.0).view(Tagged)
    made.unit = "m"  # type: ignore[attr-defined]
    return made


def double(x: Any) -> Any:
    return 2 * x


def nan(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def bits(*values: int, dtype: Any, to: Any) -> Any:
    return np.array(values, dtype).view(to)


NANS = (0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001)
HUGE = 10**5000
STRUCT = np.dtype(
    [("a", "<f4"), ("b", ">i2", (2, 3)), ("p", [("x", "f8"), ("u", "U2")])]
)
ALIGNED = np.dtype([("a", "i1"), ("b", "f8")], align=True)
PADDED = np.dtype(
    {"names": ["x", "y"], "formats": ["f4", "i8"], "offsets": [4, 16], "itemsize": 32}
)
SUMMER = dt.timezone(dt.timedelta(hours=2, seconds=7), "CEST")
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
KEYS = ("threefry2x32", "rbg", "unsafe_rbg")


def read_only(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array.flags.writeable = False
    return array


SPARSE = ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")


# For each kind, objects that only this kind keeps.
EXAMPLES: dict[str, list[Any]] = {
    "none": [None],
    "bool": [True, False],
    "int": [0, -1, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1, HUGE, -HUGE],
    "float": [-0.0, 0.1, 5e-324, float("inf"), *map(nan, NANS)],
    "complex": [1j, complex(-0.0, -0.0), complex(nan(NANS[0]), float("-inf"))],
    "str": ["", "日本 🦊", "a\x00b", "\ud800", "x\udfffy", "\ufeffé", "a" * 70_000],
    "bytes": [b"", bytes(range(256)), b"a" * 70_000],
    "bytearray": [bytearray(), bytearray(b"\x00\xff")],
    "constant": [..., NotImplemented],
    "slice": [slice(None), slice(1, None, -2), slice("a", (1, 2), 0.5)],
    "range": [range(0), range(5, -5, -2), range(10**20)],
    "enum": [
        *Colour,
        *Level,
        Mode.TRAIN,
        *Access,
        Access.READ | Access.RUN,
        Access(0),
        Flags.A | Flags.B,
        Flags(9),
        jax.lax.Precision.HIGH,
    ],
    "date": [dt.date.min, dt.date(2024, 2, 29)],
    "time": [dt.time(23, 59, 59, 999_999, fold=1), dt.time(1, tzinfo=dt.UTC)],
    "datetime": [
        dt.datetime(2024, 10, 27, 2, 30, 0, 5, fold=1),
        dt.datetime(2024, 7, 1, tzinfo=SUMMER),
        dt.datetime(2024, 7, 1, tzinfo=BERLIN),
    ],
    "timedelta": [dt.timedelta(-1, 5, 7), dt.timedelta.max],
    "timezone": [dt.UTC, SUMMER, dt.timezone(-dt.timedelta(hours=3)), BERLIN],
    "uuid": [uuid.UUID(int=2**128 - 1)],
    "fraction": [fractions.Fraction(-3, 10**25)],
    "decimal": [decimal.Decimal(x) for x in ("1.10", "-0E-7", "sNaN123", "-Infinity")],
    "path": [
        pathlib.Path("a/b.txt"),
        pathlib.PurePosixPath("/x/../y"),
        pathlib.PureWindowsPath("C:\\a"),
        pathlib.PurePosixPath("\udcff"),
    ],
    "jax": [
        jnp.arange(6.0).reshape(2, 3),
        jnp.zeros((3, 0)),
        jnp.asarray(1.5),  # weakly typed
        jnp.asarray(2) + 1,
        jnp.asarray(1j),
        jnp.full(3, 2.0) * 1,
        jax.lax.bitcast_convert_type(
            jnp.array([0x7FC00001, 0xFFC00000, 0x7F800001, 0x80000000], jnp.uint32),
            jnp.float32,
        ),
        jax.device_put(jnp.arange(3), jax.devices()[0]),
        jnp.arange(100_000),
    ],
    "key": [jr.key(3, impl=impl) for impl in KEYS]
    + [jr.split(jr.key(4, impl=impl), (2, 3))[:n] for impl in KEYS for n in (0, 2)],
    "numpy": [
        np.array(1.5),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(20)[::-3],
        np.broadcast_to(np.float32(1.5), (3, 2)),
        read_only(np.arange(4)),
        np.frombuffer(bytearray(33), np.uint8)[1:].view(np.float64),
        bits(*NANS, 1 << 63, dtype=np.uint64, to=np.float64),
        np.arange(5, dtype=">c16"),
        np.array([1.1, np.inf], np.longdouble) / 3,
        np.array([1, 2], np.longlong),
        np.array(["2020-01-01", "NaT"], "M8[25s]"),
        np.array([3, "NaT"], "m8[25s]"),
        np.array(["a\x00", "日本", "🦊"]),
        np.array([b"a", b"bc\x00d"]),
        np.zeros(3, "U0"),
        np.array([b"abc"], "V3"),
        np.zeros((3, 2), STRUCT),
        np.ones(2, ALIGNED),
        np.ones(2, PADDED),
        np.zeros(2, [(("a title", "a"), "f4"), ("b", "i4")]),
        np.zeros(2, [("é", "f4"), ("a b", "i4")]),
        np.zeros(3, [("a", ml_dtypes.bfloat16), ("b", "f4")]),
        np.zeros(3, np.dtype([])),
        np.zeros(3, jax.dtypes.float0),
        np.ones((1,) * 64),
        np.zeros((0, 3), ml_dtypes.int4),
    ],
    "masked": [
        np.ma.array([1.0, 2.0], mask=[0, 1], fill_value=-1.0, hard_mask=True),
        np.ma.array(np.arange(6).reshape(2, 3)),
        np.ma.array([(1, 2.0)], mask=[(0, 1)], dtype=[("a", "i4"), ("b", "f8")]),
    ],
    "scalar": [
        *(np.dtype(name).type(1) for name in "?bhilqBHILQefdgFDG"),
        *(np.ones(1, dtype)[0] for dtype in EXTENDED_DTYPES),
        np.float64(-0.0),
        np.float64(nan(NANS[0])),
        np.datetime64("NaT", "s"),
        np.datetime64("2024-01-01T00:00", "25m"),
        np.timedelta64(5, "D"),
        np.str_("é\ud800"),
        np.bytes_(b"a\x00b"),
        np.void(b"abc"),
        np.ones(1, STRUCT)[0],
    ],
    "dtype": [
        *NUMPY_DTYPES,
        *EXTENDED_DTYPES,
        *(STRUCT, ALIGNED, PADDED, np.dtype(("f4", (2, 3))), np.dtype(np.longdouble)),
        *(jr.key(0, impl=impl).dtype for impl in KEYS),
    ],
    "scalar_type": [jnp.float32, jnp.bfloat16, jnp.int4, jnp.bool_],
    "shape_dtype": [
        jax.ShapeDtypeStruct((2, 3), jnp.bfloat16),
        jax.ShapeDtypeStruct((), jnp.float32, weak_type=True),
        jax.ShapeDtypeStruct((4,), jr.key(0).dtype),
    ],
    "partition_spec": [PartitionSpec(), PartitionSpec(("x", "y"), None, "z")],
    "function": [jnp.sin, jax.nn.relu, np.tanh, double, len],
    "filter_jit": [eqx.filter_jit(Owner(2.0)), eqx.filter_jit(eqx.nn.Identity())],
    "jit": [jax.jit(double), jax.jit(jnp.sum, static_argnames="axis", inline=True)],
    "transform": [
        jax.vmap(jnp.sin, in_axes=(0,), axis_name="batch"),
        jax.grad(double),
        jax.value_and_grad(double, has_aux=True),
        jax.jacfwd(jax.jacrev(double)),
        jax.checkpoint(double),
        jnp.vectorize(double, signature="(n)->()"),
        jax.vmap(jax.jit(jax.grad(double))),
    ],
    "closure": [jax.nn.initializers.normal(0.1), jax.nn.initializers.he_normal()],
    "unravel": [ravel_pytree({"a": jnp.ones(2), "b": (1.0, 2)})[1]],
    "equinox_partial": [
        eqx.Partial(jnp.add, jnp.ones(2)),
        eqx.Partial(jnp.clip, min=0.0),
    ],
    "jax_partial": [
        jtu.Partial(jnp.power, jnp.ones(2)),
        jtu.Partial(functools.partial(jnp.sum, axis=1), keepdims=True),
    ],
    "partial": [
        functools.partial(jnp.sum, axis=0),
        functools.partial(jnp.add, jnp.ones(2)),
        functools.partial(functools.partial(jnp.clip, min=0), max=1),
    ],
    "method": [Owner.make],
    "placeholder": [zodiax_io.Placeholder("f", "lambda x: x", "model.f")],
    "jaxtyping": [
        Float[Array, "a b"],
        Int[np.ndarray, "..."],
        Bool[Array, ""],
        PyTree[Float[Array, "*batch 3"]],
        PyTree[int],
    ],
    "annotation": [
        *(list[int], dict[str, list[int]], tuple[int, ...], int | None, type[int]),
        *(typing.Optional[int], typing.Union[int, str], typing.Literal["a", 3, None]),  # noqa: UP007, UP045
        *(typing.List[int], typing.Tuple[int, str], typing.ClassVar[int]),  # noqa: UP006
        *(typing.Callable[[int, str], float], Callable[..., Any]),
        typing.Annotated[int, "unit"],
    ],
    "class": [int, dict, Box, Colour, np.float32, np.ndarray, jax.Array, ValueError],
    "namedtuple": [Point(jnp.ones(2), Point(1)), jnp.linalg.eigh(jnp.eye(2))],
    "tuple": [(), (1, (2, None))],
    "list": [[], [1, [jnp.ones(1)]]],
    "column": [
        [*map(nan, NANS), *[-0.0] * 300],
        tuple(range(2**63 - 300, 2**63)),
        [True, False] * 200,
        ["日本", "", "a\x00"] * 100,
    ],
    "deque": [
        collections.deque(),
        collections.deque([1, 2], maxlen=5),
        collections.deque(maxlen=0),
    ],
    "set": [set(), {1, "a", None, (1, 2), 2.5, Colour.RED}],
    "frozenset": [frozenset(), frozenset([1, frozenset([2])])],
    "dict": [
        {},
        dict.fromkeys("zyxab", 1),
        {"node_type": "leaf", "kind": "same", "value": 0, "": 1, "\ud800": 2},
        {2: 1, 1: 2},
        {(1, "b"): 1, (1, "a"): 2},
        {1.5: 1, float("inf"): 2, -0.0: 3},
        {Level.HIGH: 1, Level.LOW: 2},
    ],
    "ordereddict": [collections.OrderedDict([("z", 1), ("a", jnp.ones(2))])],
    "defaultdict": [
        collections.defaultdict(list, {"b": [1], "a": [jnp.ones(1)]}),
        collections.defaultdict(None, {1: 2}),
        collections.defaultdict(functools.partial(collections.defaultdict, int)),
    ],
    "mappingproxy": [types.MappingProxyType({"b": 1, "a": 2})],
    "namespace": [types.SimpleNamespace(b=1, a=[2])],
    "missing": [_jax.equinox_missing()],
    "module": [Box(1, "a"), eqx.nn.Linear(2, 3, key=jr.key(0)), Default(jnp.sin)],
    "dataclass": [Config(1, [2]), Slotted({"a": 1}), Registered(jnp.ones(2), "n")],
    "token": TOKENS,
    **UNITS,
    "expression": EXPRESSIONS,
    "expression_class": FUNCTIONS,
    "masked_constant": [np.ma.masked],
    "sparse": [
        *(getattr(sp, f"{name}_array")(np.eye(2)) for name in SPARSE),
        sp.csr_matrix(np.arange(6).reshape(2, 3)),
    ],
    "subarray": [
        np.rec.array([(1, 2.0)], dtype=[("a", int), ("b", float)]),
        np.char.array(["a", "bc"]),
        tagged(),
        *QUANTITIES,
    ],
    "registered": [Node((1, jnp.ones(2)), "aux")],
    "node": [Locked({"a": jnp.ones(2)})],
    "treedef": [
        jtu.tree_structure({"b": 1, "a": [2, None]}),
        jtu.tree_structure(Box(1, "x")),
        jtu.tree_structure(Point(1, collections.OrderedDict(b=1, a=2))),
    ],
    "object": [object()],
    "singleton": [UNSET, T],
    "python_module": [jnp, np.linalg],
    "shaped_array": [jax.core.ShapedArray((2, 3), jnp.float32, weak_type=True)],
    "typed_literal": [
        cls(number, np.dtype(dtype))
        for name, number, dtype in (("TypedInt", 3, "i1"), ("TypedFloat", -0.0, "f4"))
        for cls in filter(None, [_jax.typed_literals().get(name)])
    ],
    "tree_key": [jtu.DictKey(("a", 1)), jtu.GetAttrKey("a"), jtu.SequenceKey(2)],
    "itemgetter": [operator.itemgetter(1), operator.itemgetter("a", slice(1, 2))],
    "limits": [np.finfo(np.float32), jnp.finfo(jnp.bfloat16), np.iinfo(np.int8)],
    "decorated": [ruled(2.0), functools.lru_cache(maxsize=8)(double)],
    "seed_sequence": [
        np.random.SeedSequence([1, 2**70], spawn_key=(3,)),
        np.random.SeedSequence(5).spawn(2)[1],
    ],
    "bit_generator": [
        *(np.random.PCG64(1), np.random.PCG64DXSM(1), np.random.SFC64(1)),
        *(np.random.Philox(1), np.random.MT19937(1)),
    ],
    "generator": [drawn(np.random.default_rng(1))],
    "random_state": [drawn(np.random.RandomState(1))],
    "random": [drawn(random.Random(1))],
    "named_instance": [FAST, Choice.SLOW],
    "instance": [
        Plain(lr=0.1, weights=jnp.ones(2), more=[Plain(a=1)]),
        Half(1, shown=np.ones(2)),
        argparse.Namespace(**{"lr": 1e-3, "data-path": "here"}),
        inspect.signature(signed),
        collections.UserDict(a=1),
        collections.ChainMap({"a": 1}, {"b": 2}),
    ],
    "subclass": [
        Words("text"),
        noted(Words("\ud800"), unit=1),
        *(Number(2**64), noted(Number(-1), of=[1])),
        *(noted(Metre(nan(NANS[0])), unit="m"), Phasor(-0.0, math.inf)),
        noted(Steps([1, jnp.ones(2)]), note="n"),
        noted(Route((1, (2,))), note=np.ones(1)),
        noted(Table({1: 2, "a": jnp.ones(1)}), note=1),
        *(Ordered(b=1, a=2), Recent([1, 2], maxlen=3), Labels("ab")),
        collections.Counter("abca"),
    ],
    "marker": [Sentinel()],
}
# Kinds whose rows are there to refuse, with advice; and those met only within others.
REFUSING = {"advised", "tracer", "damaged", "unnamed"}
# Some need flax, OmegaConf, pint or unxt (test_flax.py, test_configurations.py,
# test_pint.py, test_parametric.py).
APART = {
    "frozen_distribution",
    "scipy",
    "coordinates",
    "default",
    "linen",
    "omegaconf",
    "parametric",
    "pint",
    "parametric_class",
    "unit_system",
}
# And one whose objects go by the kind of what they stand for (test_opaque.py).
STANDING_IN = {"opaque"}

CASES = [
    pytest.param(name, example, id=f"{name}-{i}")
    for name, examples in EXAMPLES.items()
    for i, example in enumerate(examples)
]
