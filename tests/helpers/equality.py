"""Two objects compared node by node, as strictly as a round trip must keep them.

`differences` never uses ``==`` of the objects themselves, which may lie, raise or be
missing: only that of numbers, texts, dtypes and treedefs.
"""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import operator
import pathlib
import random
import re
import struct
import sys
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.random as jr
import jax.tree_util as jtu
import numpy as np
import scipy.sparse as sp

import zodiax_io

# What a rule finds: a sentence, or two children to compare and their label.
Found = Iterator[str | tuple[Any, Any, str]]
_LIMIT = 20
_BY_IDENTITY = (object.__eq__, types.MethodType.__eq__)
_PADDED = (np.longdouble, np.clongdouble) if np.finfo("g").nmant == 63 else ()
_JIT = type(jax.jit(lambda: None))


def differences(a: Any, b: Any) -> list[str]:
    """Where `b` is not what `a` is, one sentence each; nothing if it is a true copy."""
    comparison = _Comparison()
    waiting = [(a, b, "tree")]
    while waiting and len(comparison.found) < _LIMIT:
        waiting.extend(reversed(comparison.children(*waiting.pop())))
    if not comparison.found and comparison.comparable:
        comparison.found += treedef_differences(a, b)
    return comparison.found


def survives(tree: Any, **options: Any) -> Any:
    """Save a tree, load it, insist that nothing has changed, and return the copy."""
    file = io.BytesIO()
    zodiax_io.serialise(file, tree)
    file.seek(0)
    loaded = zodiax_io.deserialise(file, **options)
    assert differences(tree, loaded) == []
    return loaded


def treedef_differences(a: Any, b: Any) -> list[str]:
    """Whether JAX takes two trees for one, as far as it can compare them at all."""
    try:
        one, other = jtu.tree_structure(a), jtu.tree_structure(b)
        same = bool(one == other)
    except Exception:  # static arrays compare element by element
        return []
    with contextlib.suppress(Exception):  # static dicts have no hash
        same = same and hash(one) == hash(other)
    return [] if same else [f"the treedef {one!s:.200} became {other!s:.200}"]


class _Comparison:
    """What has been found, and which objects stand for which."""

    def __init__(self) -> None:
        self.found: list[str] = []
        # JAX sorts not every dict, and what equals only itself makes treedefs differ.
        self.comparable = True
        self._counterpart: dict[int, int] = {}
        self._original: dict[int, int] = {}
        self._alive: list[Any] = []

    def children(self, a: Any, b: Any, path: str) -> list[tuple[Any, Any, str]]:
        """Note what differs at one node, and return its children, in pairs."""
        # sympy makes a class for each undefined function, which is equal to others.
        undefined = type(a).__module__ is None and operator.eq(type(a), type(b))
        if type(a) is not type(b) and not undefined:
            names = f"{_name(type(a))} became {_name(type(b))}"
            self.found.append(f"{path}: {names}: {b!r:.80}")
            return []
        rule, has_identity = _rule_for(type(a))
        if (has_identity and self._met(a, b, path)) or a is b:
            return []
        if type(a).__eq__ in _BY_IDENTITY or _is_nan(a) or _is_unsortable(a):
            self.comparable = False
        results = list(rule(a, b))
        if _adds_attributes(type(a)):
            results += _attributes(a, b)
        self.found += [f"{path}: {text}" for text in results if isinstance(text, str)]
        return [(x[0], x[1], path + x[2]) for x in results if isinstance(x, tuple)]

    def _met(self, a: Any, b: Any, path: str) -> bool:
        """Whether two objects were compared before; checks who stands for whom."""
        self._alive += [a, b]
        known = self._counterpart.get(id(a))
        if known is not None:
            if known != id(b):
                self.found.append(
                    f"{path}: a shared {_name(type(a))} is shared no more"
                )
            return True
        if self._original.get(id(b), id(a)) != id(a):
            self.found.append(f"{path}: two {_name(type(a))} became one")
        self._counterpart[id(a)] = id(b)
        self._original[id(b)] = id(a)
        return False


def _adds_attributes(cls: type) -> bool:
    """Whether instances of a subclass of a built-in class may have attributes."""
    bases = (int, float, complex, str, bytes, bytearray, set, frozenset)
    return issubclass(cls, bases) and not (
        cls in bases or issubclass(cls, (enum.Enum, np.generic))
    )


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _is_nan(x: Any) -> bool:
    numbers = (float, complex, decimal.Decimal, np.number, np.datetime64)
    # Of a static array, JAX compares one element as a number.
    arrays = isinstance(x, (np.ndarray, jax.Array)) and x.size == 1
    is_number = arrays or isinstance(x, numbers)
    return is_number and re.search("(?i)nan|nat", repr(x)) is not None


def _is_unsortable(x: Any) -> bool:
    try:
        return isinstance(x, dict) and sorted(x) is None
    except (TypeError, ValueError):
        return True


# Rules: what two objects of one type, which are not one object, may differ in -------


def _same(key: Callable[[Any], Any]) -> Callable[[Any, Any], Found]:
    def rule(a: Any, b: Any) -> Found:
        if key(a) != key(b):
            yield f"{a!r:.120} became {b!r:.120}"

    return rule


def _fields(*names: str) -> Callable[[Any, Any], Found]:
    def rule(a: Any, b: Any) -> Found:
        for name in names:
            yield getattr(a, name), getattr(b, name), f".{name}"

    return rule


def _sequence(a: Any, b: Any) -> Found:
    base = next(t for t in (tuple, list, collections.deque) if isinstance(a, t))
    limits = [vars(base)["maxlen"].__get__(x) for x in (a, b) if "maxlen" in vars(base)]
    if limits and limits[0] != limits[1]:
        yield f"the limits are {limits}"
    if base.__len__(a) != base.__len__(b):
        yield f"{base.__len__(a)} items became {base.__len__(b)}"
    for i, (x, y) in enumerate(zip(base.__iter__(a), base.__iter__(b), strict=False)):
        yield x, y, f"[{i}]"
    yield from _attributes(a, b)


def _mapping(a: Any, b: Any) -> Found:
    bases = (types.MappingProxyType, collections.OrderedDict, dict)
    base = next(t for t in bases if isinstance(a, t))
    if base.__len__(a) != base.__len__(b):
        yield f"{base.__len__(a)} keys became {base.__len__(b)}"
    if isinstance(a, collections.defaultdict):
        yield a.default_factory, b.default_factory, ".default_factory"
    for (key, x), (other, y) in zip(base.items(a), base.items(b), strict=False):
        yield key, other, f".keys[{key!r:.40}]"
        yield x, y, f"[{key!r:.40}]"
    yield from _attributes(a, b)


def _set(a: Any, b: Any) -> Found:
    yield sorted(a, key=_sortable), sorted(b, key=_sortable), ".sorted"


def _sortable(x: Any) -> tuple[str, Any]:
    if isinstance(x, (tuple, frozenset)):
        inner = [_sortable(item) for item in x]
        return _name(type(x)), sorted(inner) if isinstance(x, frozenset) else inner
    return _name(type(x)), re.sub(r"0x[0-9a-f]+", "", repr(x))


def _layout(dtype: Any) -> Any:
    """All that a dtype says: its text has byte order, offsets, titles and padding."""
    more = [getattr(dtype, name, None) for name in ("char", "isalignedstruct")]
    return type(dtype), repr(dtype), more


def _numpy(a: Any, b: Any) -> Found:
    if _layout(a.dtype) != _layout(b.dtype):
        yield f"dtype {a.dtype!r} became {b.dtype!r}"
    elif a.shape != b.shape:
        yield f"shape {a.shape} became {b.shape}"
    else:
        # Views without an order in memory come back in that of C.
        one, other = (x.flags.f_contiguous > x.flags.c_contiguous for x in (a, b))
        if one != other or a.flags.writeable != b.flags.writeable:
            yield f"the flags {a.flags} became {b.flags}"
        if a.dtype == object:  # the rows of a sparse array
            yield a.tolist(), b.tolist(), ".tolist()"
        elif not _same_data(a, b):
            yield f"the data {a!r:.120} became {b!r:.120}"
    if type(a) is not np.ndarray:
        yield from _attributes(a, b)


def _same_data(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a.dtype.names is not None:  # padding is not data
        return all(_same_data(a[name], b[name]) for name in a.dtype.names)
    one, other = (np.ascontiguousarray(x).tobytes() for x in (a, b))
    if a.dtype.type in _PADDED:  # 10 bytes of each number carry it
        size = np.dtype("g").itemsize
        one, other = (
            [x[i : i + 10] for i in range(0, len(x), size)] for x in (one, other)
        )
    return one == other


def _alone(scalar: np.generic) -> np.ndarray[Any, Any]:
    return np.array([scalar], scalar.dtype)


def _jax(a: jax.Array, b: jax.Array) -> Found:
    one, other = ((x.dtype, x.shape, getattr(x, "weak_type", None)) for x in (a, b))
    if one != other:
        yield f"{one} became {other}"
        return
    if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jr.key_data(a), jr.key_data(b)
    if np.asarray(a).tobytes() != np.asarray(b).tobytes():
        yield f"the data {a!r:.120} became {b!r:.120}"


def _function(a: Any, b: Any) -> Found:
    """A function with a name comes back as itself; others by what they are made of."""
    if _has_name(a):
        yield from _same(id)(a, b)
    elif type(a) is _JIT:
        yield a.__wrapped__, b.__wrapped__, ".__wrapped__"
        for name in ("static_argnums", "static_argnames", "donate_argnums", "inline"):
            yield getattr(a._jit_info, name), getattr(b._jit_info, name), f".{name}"
    elif getattr(a, "__code__", None) is not getattr(b, "__code__", None):
        yield from _same(id)(a, b)
    else:
        one, other = a.__closure__ or (), b.__closure__ or ()
        for x, y in zip(one, other, strict=True):
            yield _in_cell(x), _in_cell(y), ".__closure__"
        yield from _fields("__defaults__", "__kwdefaults__")(a, b)


def _in_cell(cell: Any) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # a variable that was not assigned
        return ()


def _has_name(function: Any) -> bool:
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    return module is not None and any(v is function for v in vars(module).values())


def _annotation(a: Any, b: Any) -> Found:
    if repr(a) != repr(b):
        yield f"{a!r} became {b!r}"
    yield typing.get_origin(a), typing.get_origin(b), ".origin"
    yield typing.get_args(a), typing.get_args(b), ".args"


def _bits(generator: Any) -> str:
    state, seed = generator.__getstate__()
    return f"{state} {type(seed)} {getattr(seed, 'state', None)}"


def _class(a: Any, b: Any) -> Found:
    if a.__module__ is None:  # an undefined function of sympy
        yield from _same(lambda x: x)(a, b)
        return
    if hasattr(a, "dim_str"):  # jaxtyping makes a class at each mention
        yield from _fields("dtype", "array_type", "dim_str")(a, b)
    elif not (hasattr(a, "leaftype") and repr(a) == repr(b)):
        yield from _same(id)(a, b)


def _attributes(a: Any, b: Any) -> Found:
    one, other = _held(a), _held(b)
    if one.keys() != other.keys():
        yield f"the attributes {list(one)} became {list(other)}"
    for name in one.keys() & other.keys():
        yield one[name], other[name], f".{name}"


def _held(x: Any) -> dict[str, Any]:
    """What an object holds in its `__dict__` and its slots, past all descriptors."""
    try:
        held = dict(object.__getattribute__(x, "__dict__"))
    except AttributeError:
        held = {}
    for cls in type(x).__mro__:
        for name, member in vars(cls).items():
            if isinstance(member, types.MemberDescriptorType):
                with contextlib.suppress(AttributeError):  # never set
                    held[name] = member.__get__(x, type(x))
    if "_mhash" in held:  # sympy's
        return {name: held[name] for name in held.keys() - {"_mhash", "_assumptions"}}
    if type(x).__name__ == "StructuredUnit":  # in an array of objects
        return dict(x.items())
    if type(x).__module__.startswith("astropy.units"):
        return {name: held[name] for name in held.keys() - _CACHED_BY_ASTROPY}
    for base, names in _OF_ONE_PROCESS.items():
        if base in map(_name, type(x).__mro__):
            held = {n: v for n, v in held.items() if n not in names.split()}
    return held


# Attributes that each process makes anew, by class: running numbers and caches.
_OF_ONE_PROCESS = {
    "flax.linen.module.Module": "_id",
    "numpyro.distributions.transforms.Transform": "_inv",
    "numpyro.infer.autoguide.AutoGuide": "plates",
    "numpyro.infer.hmc.HMC": "_sample_fn _init_fn",
    "numpyro.infer.mcmc.MCMC": "_cache",
    "omegaconf.base.Node": "_flags_cache",
    "penzai.core.variables.AutoStateVarLabel": "var_id",
}


_CACHED_BY_ASTROPY = {"_hash", "_type_id", "_physical_type_id", "_decomposed_cache"} | {
    "_default_function_unit"
}


def _object(a: Any, b: Any) -> Found:
    yield from _attributes(a, b)
    if isinstance(a, eqx.Module):
        yield _freedom(a), _freedom(b), ".<assignment>"
    elif not _held(a):
        one, other = map(jtu.default_registry.flatten_one_level, (a, b))
        if one is not None and other is not None:
            yield (list(one[0]), one[1]), (list(other[0]), other[1]), ".<children>"


def _freedom(module: eqx.Module) -> str:
    """What comes of an attempt to change a Module."""
    try:
        for name, value in object.__getattribute__(module, "__dict__").items():
            type(module).__setattr__(module, name, value)
    except Exception as error:
        return type(error).__name__
    return "nothing"


_PLAIN = (bool, int, str, bytes, type(None))
_TOLD = (slice, range, uuid.UUID, fractions.Fraction, decimal.Decimal, pathlib.PurePath)
_TIMES = (dt.date, dt.time, dt.timedelta, dt.timezone, zoneinfo.ZoneInfo)
_SPECS = (jax.ShapeDtypeStruct, jax.sharding.PartitionSpec)
_FORMS = (typing.List[int], typing.Optional[int], typing.Literal[1], typing.Any)  # noqa: UP006, UP045
_ALIASES = (types.GenericAlias, types.UnionType, *map(type, _FORMS))
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, np.ufunc, _JIT)
# Types, their rule, and whether identity matters: whether sharing can be seen.
_RULES: tuple[tuple[tuple[type, ...], Callable[[Any, Any], Found], bool], ...] = (
    ((sp.sparray, sp.spmatrix), _attributes, True),  # one of them is a dict
    ((np.generic,), lambda a, b: _numpy(_alone(a), _alone(b)), False),
    ((np.ndarray,), _numpy, True),
    ((jax.Array,), _jax, True),
    ((np.dtype,), _same(_layout), False),
    ((enum.Enum, typing.TypeVar), _same(id), False),
    ((float,), _same(lambda x: struct.pack("<d", x)), False),
    ((complex,), _same(lambda x: struct.pack("<dd", x.real, x.imag)), False),
    (_PLAIN, _same(lambda x: x), False),
    ((bytearray,), _same(bytes), True),
    ((*_TOLD, *_TIMES, *_SPECS), _same(repr), False),
    ((jtu.PyTreeDef,), _same(lambda x: x), False),
    (_ALIASES, _annotation, False),
    ((np.random.SeedSequence,), _same(lambda x: repr(x.state)), True),
    ((np.random.Generator,), _fields("bit_generator"), True),
    ((np.random.RandomState,), _same(lambda x: repr(x.__reduce__()[2])), True),
    ((np.random.BitGenerator,), _same(_bits), True),
    ((random.Random,), _same(lambda x: x.getstate()), True),
    ((type,), _class, False),
    ((functools.partial,), _fields("func", "args", "keywords", "__dict__"), True),
    ((types.MethodType,), _fields("__func__", "__self__"), False),
    (_FUNCTIONS, _function, True),
    ((tuple,), _sequence, False),
    ((list, collections.deque), _sequence, True),
    ((dict, types.MappingProxyType), _mapping, True),
    ((set,), _set, True),
    ((frozenset,), _set, False),
    ((object,), _object, True),
)


@functools.cache
def _rule_for(cls: type) -> tuple[Callable[[Any, Any], Found], bool]:
    return next(row[1:] for row in _RULES if issubclass(cls, row[0]))
