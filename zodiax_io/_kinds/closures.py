"""Local functions, by the place in the source that defines them.

Flows and bijections contain functions that their packages make inside a function. Such
a function has no name, but its code has a place: loading finds it in the installed
package and gives it its variables. No code comes from the file. The user may edit the
source of their own local functions, so the file has a digest of the code of these.
"""

from __future__ import annotations

import dis
import functools
import types
from collections.abc import Iterator
from typing import Any, cast

from .._errors import shown
from .._trust import reflection, roles
from .._trust.names import (
    is_in_table,
    is_printable_name,
    is_printable_text,
    lookup,
    name_of,
    split,
    top_level_package,
)
from .._trust.origins import is_own_code
from .._trust.reflection import class_attribute
from .._trust.table import FRAMEWORKS
from .base import Data, Kind, Parts, children_by_name, exactly
from .digests import (
    SourceChanged,
    code_digest,
    has_same_bytecode,
    python,
    source_digest,
)
from .look import Look, type_text
from .partials import check_attributes, plain_attributes
from .values import expect

_LOCALS = ".<locals>."


class _Itself:
    """The class of the markers in the cells of a closure."""


_ITSELF = _Itself()  # the object whose rule or function the closure is
_EMPTY = _Itself()  # a variable that was not assigned


def without_itself(obj: Any, function: Any) -> Any:
    """A local function of an object, with a marker where a variable is the object.

    A rule for derivatives often calls the function whose rule it is, and no tree may
    contain itself.
    """
    if type(function) is not types.FunctionType:
        return function
    cells = function.__closure__ or ()
    found = [_is_filled(cell) and cell.cell_contents is obj for cell in cells]
    if not any(found):
        return function
    closure = tuple(
        types.CellType(_ITSELF) if is_it else cell
        for cell, is_it in zip(cells, found, strict=True)
    )
    return _with_closure(function, closure)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _with_closure(
    function: types.FunctionType, closure: tuple[types.CellType, ...]
) -> types.FunctionType:
    made = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        closure,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__annotations__ = function.__annotations__
    made.__dict__.update(function.__dict__)
    made.__module__, made.__doc__ = function.__module__, function.__doc__
    made.__qualname__ = function.__qualname__
    return made


def fill_itself(function: Any, obj: Any) -> None:
    """Put an object in the place of the marker in a function of it."""
    if type(function) is types.FunctionType:
        for cell in function.__closure__ or ():
            if _is_filled(cell) and cell.cell_contents is _ITSELF:
                cell.cell_contents = obj


def _encode_closure(obj: types.FunctionType) -> Parts | None:
    code, module = obj.__code__, obj.__globals__.get("__name__")
    place = code.co_qualname
    if _LOCALS not in place or type(module) is not str:
        return None
    package = top_level_package(module)
    own = is_own_code(module)
    if reflection.module_space(module) is not obj.__globals__:
        return None
    try:
        holder = lookup(module, place.partition(".")[0])
        maker = _maker(holder, place)
        index = _codes(maker, place).index(code)
    except (LookupError, ValueError):
        return None
    cells = [
        cell.cell_contents if _is_filled(cell) else _EMPTY
        for cell in obj.__closure__ or ()
    ]
    if package in FRAMEWORKS and not _is_curated(holder):
        return None
    if _rebinds(maker, obj, own) or (own and name_of(holder) is None):
        return None
    itself = [number for number, value in enumerate(cells) if value is _ITSELF]
    empty = [number for number, value in enumerate(cells) if value is _EMPTY]
    cells = [None if i in itself or i in empty else x for i, x in enumerate(cells)]
    children: dict[str, Any] = {"cells": cells, "defaults": obj.__defaults__}
    children["kwdefaults"] = obj.__kwdefaults__
    if obj.__dict__:
        children["attributes"] = plain_attributes(obj)
    if obj.__annotations__:
        children["annotations"] = obj.__annotations__
        if not _are_annotations(obj.__annotations__):
            return None
    value: dict[str, Any] = {
        "place": place,
        "index": index,
        "signature": _signature(code),
    }
    if itself:
        value["itself"] = itself
    if empty:
        value["empty"] = empty
    if own:
        value["python"], value["code"] = python(), code_digest(code)
        source = source_digest(code)
        if source is not None:
            value["source"] = source
    names = [obj.__module__, obj.__name__, obj.__qualname__, obj.__doc__]
    if names != [module, code.co_name, place, _doc(code)]:
        # Functions of the user may claim to be another, or be hidden by a wrapper.
        if own or not _are_printable(names):
            return None
        value["told"] = names  # as changed by `functools.wraps`
    return Parts(children=children, value=value, refers=holder)


def _are_printable(names: Any) -> bool:
    """Whether these are the module, names and text that a function may have."""
    if type(names) is not list or len(names) != 4:
        return False
    module, name, qualname, doc = names
    return (
        (module is None or is_printable_name(module))
        and is_printable_name(name)
        and is_printable_name(qualname)
        and (doc is None or is_printable_text(doc))
    )


def _are_annotations(annotations: object) -> bool:
    return type(annotations) is dict and all(map(is_printable_name, annotations))


def _rebinds(maker: Any, function: types.FunctionType, own: bool) -> bool:
    """Whether another local function may assign a variable that this one reads.

    Each function is loaded with its own variables, and would not see the assignment.
    The functions of an installed package assign their own variables alone.
    """
    names = set(function.__code__.co_freevars)
    if not names:
        return False
    others = [*_nested(maker.__code__)]
    if not own:
        within = [function.__code__, *_nested(function.__code__)]
        others = [code for code in others if not any(code is one for one in within)]
        names &= {name for code in others for name in code.co_freevars}
        others += within
    return any(
        step.argval in names and step.argval in code.co_freevars
        for code in others
        for step in dis.get_instructions(code)
        if step.opname in ("STORE_DEREF", "DELETE_DEREF")
    )


def _is_curated(holder: Any) -> bool:
    name = name_of(holder)
    return name is not None and is_in_table(*split(name))


def _doc(code: types.CodeType) -> str | None:
    first = code.co_consts[0] if code.co_consts else None
    return first if type(first) is str else None


def _signature(code: types.CodeType) -> list[str]:
    count = code.co_argcount + code.co_kwonlyargcount
    return [*code.co_varnames[:count], "/", *code.co_freevars]


def _codes(maker: types.FunctionType | None, place: str) -> list[types.CodeType]:
    """The code objects at a place in the source, in the order of the source."""
    nested = () if maker is None else _nested(maker.__code__)
    return [code for code in nested if code.co_qualname == place]


def _maker(holder: Any, place: str) -> types.FunctionType | None:
    """The function around a local function, which a function or class contains."""
    owner: Any = holder
    for name in place.partition(_LOCALS)[0].split(".")[1:]:
        if not reflection.is_class(owner):
            return None
        owner = class_attribute(owner, name)
    return _plain(owner)


def _plain(owner: Any) -> types.FunctionType | None:
    """The plain function that decorators wrap."""
    for _ in range(8):
        if type(owner) is types.FunctionType and "__wrapped__" not in vars(owner):
            return owner
        owner = cast(Any, owner)
        if reflection.is_one_of(type(owner), (staticmethod, classmethod)):
            owner = owner.__func__
        elif type(owner) is property:
            owner = owner.fget
        elif type(owner) is functools.cached_property:
            owner = owner.func
        else:
            owner = (reflection.instance_dict(owner) or {}).get("__wrapped__")
    return None


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if type(constant) is types.CodeType:
            yield constant
            yield from _nested(constant)


def _decode_closure(parts: Parts) -> types.FunctionType:
    children, value = children_by_name(parts), expect(parts.value, dict)
    place, index = value["place"], value["index"]
    if type(place) is not str or type(index) is not int or _LOCALS not in place:
        raise ValueError("a local function has no place in the source")
    maker = _maker(parts.refers, place)
    code = _code_of(maker, place, index, value)
    assert maker is not None  # its code was found
    cells = children["cells"]
    if type(cells) is not list or len(cells) != len(code.co_freevars):
        raise ValueError("a local function has other variables than its code")
    defaults = expect(children["defaults"], tuple, type(None))
    kwdefaults = expect(children["kwdefaults"], dict, type(None))
    itself = expect(value.get("itself", []), list)
    empty = expect(value.get("empty", []), list)
    held = [_ITSELF if i in itself else cell for i, cell in enumerate(cells)]
    closure = tuple(
        types.CellType() if i in empty else types.CellType(cell)
        for i, cell in enumerate(held)
    )
    made = types.FunctionType(code, maker.__globals__, code.co_name, defaults, closure)
    made.__kwdefaults__ = kwdefaults
    attributes = expect(children.get("attributes", {}), dict)
    check_attributes(attributes)
    made.__dict__.update(attributes)
    annotations = children.get("annotations", {})
    if not _are_annotations(annotations):
        raise ValueError("the annotations of a local function have no names")
    made.__annotations__ = annotations
    made.__module__ = maker.__globals__["__name__"]
    if "told" in value:
        if not _are_printable(value["told"]):
            raise ValueError("the name or text of a local function is not printable")
        made.__module__, made.__name__, made.__qualname__, made.__doc__ = value["told"]
    return made


def _place_in_source(node: dict[str, Any]) -> str:
    """Module and place of a local function, whose node names the function around it."""
    maker, value = type_text(node), node.get("value")
    place = value.get("place") if isinstance(value, dict) else None
    module = maker.partition(":")[0]
    return f"{module}:{shown(place)}" if type(place) is str else maker


CLOSURE = Kind(
    "closure",  # after "transform": `jax.vmap(f)` is also a local function
    exactly(types.FunctionType),
    _encode_closure,
    _decode_closure,
    roles.CODE,
    keeps="local functions, by their place in the source; the user's with a digest",
    shared=True,
    may_fail_inside=True,
    attributes=None,
    is_function=True,
    data=Data.NONE,
    look=Look(type=_place_in_source),
)


def _code_of(
    maker: types.FunctionType | None, place: str, index: int, value: dict[str, Any]
) -> types.CodeType:
    codes = _codes(maker, place)
    known = 0 <= index < len(codes) and _signature(codes[index]) == value["signature"]
    if "code" in value:
        # Lambdas of one function may have changed places.
        for code in [*codes[index : index + 1], *codes] if known else codes:
            if _is_as_saved(code, value):
                return code
        raise SourceChanged(_changed(place, codes, value))
    if maker and codes and is_own_code(maker.__globals__["__name__"]):
        raise SourceChanged(
            f"is the local function `{place:.80}`, which was saved from an installed "
            "package, and is now your own code. Install the package again"
        )
    if not known:
        raise ValueError(
            f"the installed package has no function `{place:.80}` as it was when saved"
        )
    return codes[index]


def _is_as_saved(code: types.CodeType, value: dict[str, Any]) -> bool:
    if _signature(code) != value["signature"]:
        return False
    same = value["code"] == code_digest(code)
    if value["python"] == python():
        return same
    if same and has_same_bytecode(value["python"], python()):
        return True
    source = value.get("source")
    return type(source) is str and source == source_digest(code)


def _changed(place: str, codes: list[types.CodeType], value: dict[str, Any]) -> str:
    what = f"is the local function `{place:.80}`, "
    if codes and value["python"] != python():
        seen = all(source_digest(code) is not None for code in codes)
        if "source" not in value or not seen:
            return (
                f"{what}which was saved by another release of Python, and its source "
                "cannot be compared. Load it with the Python that saved it, or write "
                "it by `def` at the top level of a module and save again"
            )
    return (
        f"{what}which was edited since it was saved. Load the file with the source of "
        "that time, or write the function by `def` at the top level of a module and "
        "save again"
    )
