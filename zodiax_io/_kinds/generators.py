"""Random generators of NumPy and Python, by their states.

A state that is wrong would let NumPy read memory beyond its own, so each part of it is
checked here first.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from .base import CannotKeep, Kind, Parts, exactly, expect_children
from .values import expect

_Checks = dict[str, Callable[[Any], bool]]


def _words(dtype: Any, length: int) -> Callable[[Any], bool]:
    """Whether a value is an array of so many words."""
    return lambda x: type(x) is np.ndarray and (x.dtype, x.shape) == (dtype, (length,))


def _below(limit: int) -> Callable[[Any], bool]:
    """Whether a value is an integer from 0 up to a limit, exclusive."""
    return lambda x: type(x) is int and 0 <= x < limit


_LEFT_OVER: _Checks = {"has_uint32": _below(2), "uinteger": _below(2**32)}
_PCG: _Checks = {"state": _below(2**128), "inc": _below(2**128)}
# By the name of a bit generator: the parts of its state, and those that are beside it.
_STATES: dict[str, tuple[_Checks, _Checks]] = {
    "MT19937": ({"key": _words(np.uint32, 624), "pos": _below(625)}, {}),
    "PCG64": (_PCG, _LEFT_OVER),
    "PCG64DXSM": (_PCG, _LEFT_OVER),
    "Philox": (
        {"counter": _words(np.uint64, 4), "key": _words(np.uint64, 2)},
        {
            "buffer": _words(np.uint64, 4),
            "buffer_pos": _below(5),
            **_LEFT_OVER,
        },
    ),
    "SFC64": ({"state": _words(np.uint64, 4)}, _LEFT_OVER),
}
_CLASSES: dict[str, Any] = {name: getattr(np.random, name) for name in _STATES}


def _check_state(state: Any) -> str:
    """The bit generator of a state; `ValueError` if NumPy has no such state."""
    name = state.get("bit_generator") if type(state) is dict else None
    if type(name) is not str or name not in _STATES:
        raise ValueError("a state is of no generator of NumPy")
    inside, beside = _STATES[name]
    if state.keys() != {"bit_generator", "state", *beside}:
        raise ValueError(f"a state of {name} lacks a part")
    within = state["state"]
    if type(within) is not dict or within.keys() != inside.keys():
        raise ValueError(f"a state of {name} has other parts")
    for part, checks in ((within, inside), (state, beside)):
        for key, is_right in checks.items():
            if not is_right(part[key]):
                raise ValueError(f"`{key}` of a state of {name} is out of range")
    return name


# Seeds --------------------------------------------------------------------------------

_SEED = np.random.SeedSequence
_UNSEEDED: Any = np.random.bit_generator.SeedlessSeedSequence
_MAX_POOL = 1024
_SEED_PARTS = ("entropy", "spawn_key", "pool_size", "n_children_spawned")


def _encode_seed(obj: Any) -> Parts:
    if type(obj) is _UNSEEDED:
        return Parts(children={})
    parts = Parts(children={name: obj.state[name] for name in _SEED_PARTS})
    try:
        same = np.array_equal(_decode_seed(parts).pool, obj.pool)
    except (ValueError, TypeError):
        same = False
    if not same:
        raise CannotKeep("Keep its `state`, and make it again from that.")
    return parts


def _decode_seed(parts: Parts) -> Any:
    if parts.children == {}:
        return _UNSEEDED()
    entropy, key, size, count = expect_children(parts, *_SEED_PARTS)
    entropies = entropy if type(entropy) in (list, tuple) else [entropy]
    numbers = [*entropies, *expect(key, tuple)]
    if entropy is None or not all(type(n) is int and n >= 0 for n in numbers):
        raise ValueError("a seed is not made of integers")
    if not _below(_MAX_POOL)(size) or not _below(2**32)(count):
        raise ValueError("the sizes of a seed are out of range")
    return _SEED(entropy, spawn_key=key, pool_size=size, n_children_spawned=count)


SEED = Kind(
    "seed_sequence",
    exactly(_SEED, _UNSEEDED),
    _encode_seed,
    _decode_seed,
    keeps="`numpy.random.SeedSequence`",
    shared=True,
)


# Generators ---------------------------------------------------------------------------


def _encode_bits(obj: Any) -> Parts:
    state, seed = obj.__getstate__()
    _check_state(state)
    return Parts(children={"state": state, "seed": seed})


def _decode_bits(parts: Parts) -> Any:
    state, seed = expect_children(parts, "state", "seed")
    name = _check_state(state)
    if type(seed) not in (_SEED, _UNSEEDED, type(None)):
        raise ValueError("a generator has no seed")
    made = _CLASSES[name](0)
    made.__setstate__((state, seed))
    return made


BIT_GENERATOR = Kind(
    "bit_generator",
    exactly(*_CLASSES.values()),
    _encode_bits,
    _decode_bits,
    keeps="`numpy.random.PCG64` and the other bit generators, by state and seed",
    shared=True,
)


def _decode_generator(parts: Parts) -> Any:
    (bits,) = expect_children(parts, "bit_generator")
    if type(bits) not in _CLASSES.values():
        raise ValueError("a generator has no bit generator")
    return np.random.Generator(bits)


GENERATOR = Kind(
    "generator",
    exactly(np.random.Generator),
    lambda obj: Parts(children={"bit_generator": obj.bit_generator}),
    _decode_generator,
    keeps="`numpy.random.Generator`, with its state",
    shared=True,
)


def _encode_legacy(obj: Any) -> Parts:
    state = obj.get_state(legacy=False)
    children = {"bit_generator": obj._bit_generator}
    return Parts(children=children, value=[state["has_gauss"], state["gauss"]])


def _decode_legacy(parts: Parts) -> Any:
    (bits,) = expect_children(parts, "bit_generator")
    has_gauss, gauss = expect(parts.value, list)
    if type(bits) not in _CLASSES.values() or not _below(2)(has_gauss):
        raise ValueError("a generator has no bit generator, or no state")
    made = np.random.RandomState(bits)
    gauss = {"has_gauss": has_gauss, "gauss": expect(gauss, float)}
    made.set_state({**made.get_state(legacy=False), **gauss})
    return made


LEGACY_GENERATOR = Kind(
    "random_state",
    exactly(np.random.RandomState),
    _encode_legacy,
    _decode_legacy,
    keeps="`numpy.random.RandomState`",
    shared=True,
)


def _decode_random(parts: Parts) -> Any:
    (state,) = expect_children(parts, "state")
    # Older states go through `%`, which formats text to any length.
    version, words, gauss = expect(state, tuple)
    if version != random.Random.VERSION or not all(
        map(_below(2**32), expect(words, tuple))
    ):
        raise ValueError("the state of a generator is not made of integers")
    expect(gauss, float, type(None))
    made = random.Random(0)
    made.setstate(state)
    return made


PYTHON_GENERATOR = Kind(
    "random",
    exactly(random.Random),
    lambda obj: Parts(children={"state": obj.getstate()}),
    _decode_random,
    keeps="`random.Random`, with its state",
    shared=True,
    attributes=("gauss_next",),  # it is in the state
)
