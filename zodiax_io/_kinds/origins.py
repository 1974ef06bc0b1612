"""Notes on where the attributes of a registered object come from, to check on a load.

The class of the object flattens and unflattens it, perhaps in the order of a set or of
hashes, which changes from process to process. So a file notes for each attribute which
child or which part of the auxiliary data it is, by identity. If the class makes the
value anew, the file notes a text of the value. Other attributes cannot be checked.
"""

from __future__ import annotations

import collections
import enum
import functools
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import jax.tree_util as jtu
import numpy as np

from .. import _jax
from .._trust import names, reflection
from .._trust.reflection import derives, has_python_layout
from .._trust.roles import is_function
from .contents import Indescribable, Texts, contents_of, is_set, items_of
from .digests import digest_of_text
from .fields import attributes_of, is_dunder
from .unflattened import Comparison, is_without_state

# A step is the name of an attribute or the number of an item. In a dictionary, keys and
# values are counted alternately.
Steps = list[Any]
_CONTENTS = ""  # the step to the number or set in an instance of a subclass of these
_ITSELF = 2  # the first step to another part of the same object
_MAX_SEEN = 100_000
_MAX_NOTES = 10_000
_MAX_STEPS = 16
_MAX_TEXT = 100
_MAX_LENGTH = 1 << 24


@dataclass
class Origins:
    """Notes on the parts of an object.

    Attributes
    ----------
    places : list
        Pairs of the steps to a part of the object and the steps to its origin, which
        begin with 0 for the children, 1 for the auxiliary data, or 2 for the object.
    texts : list
        Pairs of the steps to a part of the object and the text of its value.
    unknown : list of str
        The parts that cannot be checked, as paths.
    """

    places: list[list[Any]] = field(default_factory=list[Any])
    texts: list[list[Any]] = field(default_factory=list[Any])
    unknown: list[str] = field(default_factory=list[str])


def origins_of(
    obj: Any, fresh: Any, flat: tuple[Any, Any], hashes: set[str]
) -> Origins:
    """Note where each part of an object comes from, except the attributes in `hashes`.

    `fresh` is the object that its class builds from `flat`, which is its children, as a
    tuple, and its auxiliary data.
    """
    found, notes = Origins(), _Parts()
    waiting = collections.deque(
        ([step], value) for step, value in notes.of(obj).items() if step not in hashes
    )
    places = _places_in(flat, notes) if waiting else {}
    seen: dict[int, Steps] = {id(obj): []}
    while waiting:
        steps, value = waiting.popleft()
        full = len(found.places) + len(found.texts) >= _MAX_NOTES
        if full or len(seen) > _MAX_SEEN:
            found.unknown.append(path_of(steps))
            break
        made = notes.at(fresh, steps)
        if made is _ABSENT and len(steps) == 1:
            continue  # cached by this instance, and computed when it is read
        place = places.get(id(value))
        text = text_of(value) if has_short_text(value) else None
        if not all(map(_is_plain_step, steps)):
            found.unknown.append(path_of(steps))
        elif text is not None and text_of(made) == text:
            found.texts.append([steps, text])
        # A new comparison each time: a failed one still assumes that parts are alike.
        elif place is not None and Comparison().same(made, value):
            found.places.append([steps, place])
        elif (text := text_of(value)) is not None and text_of(made) == text:
            found.texts.append([steps, text])
        elif is_without_state(type(value)):
            continue
        elif id(value) in seen:
            found.places.append([steps, [_ITSELF, *seen[id(value)]]])
        else:
            seen[id(value)] = steps
            inside = notes.of(value) if len(steps) < _MAX_STEPS else {}
            if not inside:
                found.unknown.append(path_of(steps))
            waiting.extend(([*steps, step], part) for step, part in inside.items())
    return found


def _is_plain_step(step: object) -> bool:
    return type(step) is int or (type(step) is str and step.isprintable())


def first_exchanged(
    obj: Any, flat: tuple[Any, Any], places: object, texts: object
) -> str | None:
    """The first part of an object whose origin is not the one when it was saved.

    `ValueError` if the notes are not such as `origins_of` makes.
    """
    parts, same = _Parts(), Comparison()
    sources = (*flat, obj)
    children = {id(child) for child in flat[0] if not has_short_text(child)}
    for steps, place in _pairs(places):
        if type(place) is not list:
            raise ValueError("the origin of a part is not a list")
        source = parts.at(sources, cast("Steps", place))
        if source is _ABSENT:
            raise ValueError("the origin of a part is missing")
        value = parts.at(obj, steps)
        # An equal child is not enough: the tree may share one of the two.
        is_other_child = place[:1] == [0] and id(value) in children
        if value is not source and (is_other_child or not same.same(value, source)):
            return path_of(steps)
    for steps, text in _pairs(texts):
        if text_of(parts.at(obj, steps)) != text:
            return path_of(steps)
    return None


def _pairs(notes: object) -> Iterator[tuple[Steps, Any]]:
    for note in cast("list[Any]", notes) if type(notes) is list else ():
        if type(note) is not list or len(note) != 2 or type(note[0]) is not list:
            raise ValueError("a note on a part is not a pair")
        yield note[0], note[1]


def path_of(steps: Steps) -> str:
    """Steps as a path."""
    first, *rest = steps or [_CONTENTS]
    text = first if type(first) is str else f"[{first}]"
    return text + "".join(
        f"[{step}]" if type(step) is int else f".{step}" for step in rest
    )


def _places_in(flat: tuple[Any, Any], parts: _Parts) -> dict[int, Steps]:
    """The shortest steps to each object in the children and auxiliary data, by id."""
    found: dict[int, Steps] = {}
    waiting = collections.deque[tuple[Any, Steps]](zip(flat, ([0], [1]), strict=True))
    while waiting and len(found) < _MAX_SEEN:
        obj, steps = waiting.popleft()
        if id(obj) in found:
            continue
        if all(map(_is_plain_step, steps)):
            found[id(obj)] = steps
        # A child is a pytree, and has notes in its own node.
        within = steps[0] == 1 or reflection.is_one_of(type(obj), _WITH_ITEMS)
        if within and len(steps) < _MAX_STEPS:
            inside = parts.of(obj).items()
            waiting.extend((part, [*steps, step]) for step, part in inside)
    return found


class _Absent:
    """The class of the marker for a missing part."""


_ABSENT = _Absent()
_LEAVES = (
    *(type(None), bool, int, float, complex, str, bytes, bytearray, type(...)),
    *(np.ndarray, _jax.array_type(), types.ModuleType, jtu.PyTreeDef),
)


class _Parts:
    """The parts of objects by the steps to them; each object is read once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, dict[Any, Any]]] = {}

    def of(self, obj: Any) -> dict[Any, Any]:
        known = self._known.get(id(obj))
        if known is None:
            known = self._known[id(obj)] = obj, _parts_of(obj)
        return known[1]

    def at(self, obj: Any, steps: Steps) -> Any:
        """The part at the end of some steps; a marker if it is missing."""
        for step in steps:
            if type(step) not in (str, int):
                return _ABSENT
            obj = self.of(obj).get(step, _ABSENT)
        return obj


def _parts_of(obj: Any) -> dict[Any, Any]:
    cls = type(obj)
    if reflection.is_one_of(cls, _LEAVES) or reflection.is_class(obj):
        return {}
    if cls is types.MethodType:
        return {"__self__": obj.__self__, "__func__": obj.__func__}
    if is_function(obj):
        return {}
    items = [] if is_set(obj) else items_of(obj) or []
    found: dict[Any, Any] = dict(enumerate(items))
    if derives(cls, functools.partial):
        found |= {"func": obj.func, "args": obj.args, "keywords": obj.keywords}
    elif not reflection.is_one_of(cls, _WITH_ITEMS) and not has_python_layout(cls):
        contents = contents_of(obj)
        found |= {} if contents is None else {_CONTENTS: contents}
    # Classes made in C have members such as `__vectorcalloffset__`, an address.
    attributes = attributes_of(obj).items()
    return found | {name: value for name, value in attributes if not is_dunder(name)}


_WITH_ITEMS = (tuple, list, dict, collections.deque)


# Texts ------------------------------------------------------------------------------


def text_of(value: Any) -> str | None:
    """A text of a plain value, the same in every process; None for other objects."""
    # A name may change, and values in a container have notes of their own.
    is_container = reflection.is_one_of(type(value), (tuple, list, dict))
    try:
        text = _PlainTexts(with_names=not is_container).of(value)
    except Indescribable:
        return None
    return text if len(text) <= _MAX_TEXT else digest_of_text(text)


_MAX_SHORT = 100
_MAX_NESTED = 4


def has_short_text(value: Any, depth: int = 0) -> bool:
    """Whether a value is plain and short, so that a text is enough to compare it."""
    cls = type(value)
    if cls is tuple:
        return len(value) <= _MAX_SHORT and all(
            depth < _MAX_NESTED and has_short_text(item, depth + 1) for item in value
        )
    if cls is int:
        return value.bit_length() <= _MAX_SHORT
    if cls is str:
        return len(value) <= _MAX_SHORT and value.isascii()
    return reflection.is_one_of(cls, (type(None), bool, float))


class _PlainTexts(Texts):
    """Texts of plain values, as files hold them."""

    def __init__(self, with_names: bool) -> None:
        super().__init__(_MAX_STEPS, _MAX_SEEN, _MAX_LENGTH)
        self._with_names = with_names

    def _text(self, obj: Any, depth: int) -> str:
        cls = type(obj)
        if reflection.is_one_of(cls, _PLAIN):
            return repr(obj)
        if cls is str:
            return ascii(obj)
        if cls is int:  # `repr` refuses thousands of digits
            return f"{obj:#x}"
        if cls is float:
            return obj.hex()
        if cls is complex:
            return f"{obj.real.hex()} {obj.imag.hex()}j"
        if reflection.is_one_of(cls, (tuple, list, set, frozenset, dict)):
            return f"{cls.__name__}{self._of_items(obj, depth)}"
        if cls is slice:
            return "slice" + self.of((obj.start, obj.stop, obj.step), depth)
        if derives(cls, np.dtype):
            return f"dtype {obj!s}"
        if derives(cls, np.generic) and not obj.dtype.hasobject:
            return f"{obj.dtype!s} {obj.tobytes().hex()}"
        if self._with_names:
            return _text_of_named(obj)
        raise Indescribable


_PLAIN = (type(None), bool, bytes, type(...), range)


def _text_of_named(value: Any) -> str:
    cls = type(value)
    if reflection.is_class(value) or is_function(value):
        if names.name_of(value) is not None:
            return f"named {(reflection.own_name(value) or ('', ''))[1]}"
    elif derives(type(cls), enum.EnumMeta):
        attributes = reflection.instance_dict(value) or {}
        name = (reflection.own_name(cls) or ("", ""))[1]
        if type(attributes.get("_name_")) is str:
            return f"{name}.{attributes['_name_']}"
    raise Indescribable
