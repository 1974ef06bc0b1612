"""Long lists and tuples of plain numbers or text as one node: a column of values.

A history of losses is a list of Python numbers, each of which is a leaf to JAX. A node
for each would take about a hundred bytes, and a record as many again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import shown
from .base import Kind, Parts, exactly
from .look import Look, in_brackets, in_parentheses

# Shorter ones are kept element by element, which plain Equinox can read.
SHORTEST = 256
_DTYPES = {"float": "<f8", "int": "<i8", "bool": "|b1"}
_CLASSES: dict[str, type] = {"float": float, "int": int, "bool": bool, "str": str}
_CONTAINERS: dict[str, Callable[[list[Any]], Any]] = {"list": list, "tuple": tuple}


def is_column(obj: Any) -> bool:
    """Whether an object is kept as a column, whose elements have no records."""
    return _encode_column(obj) is not None


def _encode_column(obj: Any) -> Parts | None:
    if type(obj) not in (list, tuple) or len(obj) < SHORTEST:
        return None
    classes = set(map(type, obj))
    name = classes.pop().__name__
    if classes or _CLASSES.get(name) is not type(obj[0]):
        return None
    data: Any = None
    try:
        if name == "str":
            "".join(obj).encode()  # fails for lone surrogates
            data = list(obj)
        else:
            data = np.array(obj, _DTYPES[name]).tobytes()
    except (UnicodeEncodeError, OverflowError):
        return None
    return Parts(value={"container": type(obj).__name__, "of": name, "data": data})


def elements_of(value: Any) -> list[Any]:
    """The elements of a column, from the value of its node; `ValueError` if invalid."""
    values = _values_of(value)
    return values if isinstance(values, list) else values.tolist()


def _values_of(value: Any) -> list[Any] | NDArray[Any]:
    """The texts of a column, or its numbers as an array."""
    if type(value) is not dict or set(value) != {"container", "of", "data"}:
        raise ValueError("a column has no data")
    if value["container"] not in ("list", "tuple"):
        raise ValueError("a column is neither a list nor a tuple")
    name, data = value["of"], value["data"]
    if name == "str":
        if type(data) is not list or not all(type(text) is str for text in data):
            raise ValueError("a column of text contains something else")
        values: Any = data
    else:
        values = _numbers_of(name, data)
    if len(values) < SHORTEST:
        raise ValueError(f"a column contains fewer than {SHORTEST} elements")
    return values


def _numbers_of(name: Any, data: Any) -> NDArray[Any]:
    if name not in ("float", "int", "bool") or type(data) is not bytes:
        raise ValueError("a column contains neither numbers nor text")
    dtype = np.dtype(_DTYPES[name])
    if len(data) % dtype.itemsize or (name == "bool" and max(data, default=0) > 1):
        raise ValueError(f"the bytes of a column are not those of its {name}s")
    return np.frombuffer(data, dtype)


def _decode_column(parts: Parts) -> Any:
    found = elements_of(parts.value)
    return _CONTAINERS[parts.value["container"]](found)


def _expand(node: dict[str, Any]) -> dict[str, Any]:
    """The list or tuple of a column, with a node for each element."""
    value: Any = node.get("value")
    elements = elements_of(value)
    children = [
        {"node_type": "leaf", "kind": value["of"], "value": element}
        for element in elements
    ]
    rest = {name: part for name, part in node.items() if name != "value"}
    container = {"node_type": "container", "kind": value["container"]}
    return rest | container | {"node": children}


def _words(node: dict[str, Any]) -> str:
    value: Any = node.get("value")
    try:
        return f"{value['container']} of {len(_values_of(value))} {value['of']}"
    except ValueError:
        return "column"


_FORMS = {"list": in_brackets, "tuple": in_parentheses}


def _ends(node: dict[str, Any]) -> str | None:
    """The first elements of a column and the last."""
    try:
        values = _values_of(node.get("value"))
    except ValueError:
        return None
    ends = [*values[:2], *values[-1:]]
    if not isinstance(values, list):
        ends = np.array(ends).tolist()
    first, second, last = (shown(repr(end), 40) for end in ends)
    return _FORMS[node["value"]["container"]]([first, second, "…", last])


def _numbers(node: dict[str, Any]) -> NDArray[Any] | None:
    """The numbers of a column as an array, for statistics; None for text."""
    try:
        values = _values_of(node.get("value"))
    except ValueError:
        return None
    return None if isinstance(values, list) else values


COLUMN = Kind(
    "column",  # before "tuple" and "list": most of them are short, or mixed
    exactly(list, tuple),
    _encode_column,
    _decode_column,
    keeps=f"`list` and `tuple` of {SHORTEST} or more plain numbers of one type, or "
    "of text",
    shared=True,
    expand=_expand,
    look=Look(value=_ends, type=_words, numbers=_numbers),
)
