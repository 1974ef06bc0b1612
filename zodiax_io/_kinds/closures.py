"""Local functions, by the place in the source that defines them.

Flows and bijections carry functions that their packages make inside a function. Such a
function has no name, but its code has a place: it is found again in the package that is
installed here, and given its variables back. No code comes from the file. The place of
one's own local functions may hold another function after the next edit, so that a
digest of the code goes with it.
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
from .base import Data, Kind, Parts, exactly
from .digests import (
    SourceChanged,
    code_digest,
    has_same_bytecode,
    python,
    source_digest,
)
from .look import Look, type_text
from .wrappers import check_attributes, plain_attributes

# An optimiser is made anew by its own call; what is worth keeping is its state.
_REBUILT = frozenset({"optax"})
_LOCALS = ".<locals>."


def _encode_closure(obj: types.FunctionType) -> Parts | None:
    code, module = obj.__code__, obj.__globals__.get("__name__")
    place = code.co_qualname
    if _LOCALS not in place or type(module) is not str:
        return None
    package = top_level_package(module)
    own = is_own_code(module)
    if package in _REBUILT:
        return None
    if reflection.module_space(module) is not obj.__globals__:
        return None
    try:
        holder = lookup(module, place.partition(".")[0])
        index = _codes(holder, place).index(code)
        cells = [cell.cell_contents for cell in obj.__closure__ or ()]
    except (LookupError, ValueError):
        return None
    if package in FRAMEWORKS and not _is_curated(holder):
        return None
    if _rebinds(holder, obj) or (own and name_of(holder) is None):
        return None
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
    if own:
        value["python"], value["code"] = python(), code_digest(code)
        source = source_digest(code)
        if source is not None:
            value["source"] = source
    told = [obj.__module__, obj.__name__, obj.__qualname__, obj.__doc__]
    if told != [module, code.co_name, place, _doc(code)]:
        # One's own may claim to be another, or be hidden below a wrapper.
        if own or not _may_be_told(told):
            return None
        value["told"] = told  # as `functools.wraps` leaves it
    return Parts(children=children, value=value, refers=holder)


def _may_be_told(told: Any) -> bool:
    """Whether module, name, qualified name and text may be those of a function."""
    if type(told) is not list or len(told) != 4:
        return False
    module, name, qualname, doc = told
    return (
        (module is None or is_printable_name(module))
        and is_printable_name(name)
        and is_printable_name(qualname)
        and (doc is None or is_printable_text(doc))
    )


def _are_annotations(annotations: object) -> bool:
    return type(annotations) is dict and all(map(is_printable_name, annotations))


def _rebinds(holder: Any, function: types.FunctionType) -> bool:
    """Whether another local function may assign a variable that this one reads.

    Each function comes back with variables of its own, and would not see that.
    """
    names = set(function.__code__.co_freevars)
    if not names:
        return False
    outer = _plain_of(holder, function.__code__.co_qualname).__code__
    return any(
        step.argval in names and step.argval in code.co_freevars
        for code in _nested(outer)
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


def _codes(holder: Any, place: str) -> list[types.CodeType]:
    """The code objects at a place in the source, in their order there."""
    outer = place.partition(_LOCALS)[0]
    owner: Any = holder
    for name in outer.split(".")[1:]:
        if not reflection.is_class(owner):
            return []
        owner = class_attribute(owner, name)
    function = _plain(owner)
    if function is None:
        return []
    return [c for c in _nested(function.__code__) if c.co_qualname == place]


def _plain(owner: Any) -> types.FunctionType | None:
    """The plain function below decorators."""
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
    children, value = parts.children, parts.value
    if type(children) is not dict or type(value) is not dict:
        raise ValueError("a local function has no variables")
    place, index = value["place"], value["index"]
    if type(place) is not str or type(index) is not int or _LOCALS not in place:
        raise ValueError("a local function has no place")
    code = _code_of(parts.refers, place, index, value)
    cells = children["cells"]
    if type(cells) is not list or len(cells) != len(code.co_freevars):
        raise ValueError("a local function has not its variables")
    defaults, kwdefaults = children["defaults"], children["kwdefaults"]
    if type(defaults) not in (tuple, type(None)):
        raise ValueError("a local function has no tuple of defaults")
    if type(kwdefaults) not in (dict, type(None)):
        raise ValueError("a local function has no keyword defaults")
    owner = _plain_of(parts.refers, place)
    closure = tuple(types.CellType(value) for value in cells)
    made = types.FunctionType(code, owner.__globals__, code.co_name, defaults, closure)
    made.__kwdefaults__ = kwdefaults
    attributes = children.get("attributes", {})
    if type(attributes) is not dict:
        raise ValueError("a local function has no attributes")
    check_attributes(attributes)
    made.__dict__.update(attributes)
    annotations = children.get("annotations", {})
    if not _are_annotations(annotations):
        raise ValueError("a local function has no annotations")
    made.__annotations__ = annotations
    made.__module__ = owner.__globals__["__name__"]
    if "told" in value:
        if not _may_be_told(value["told"]):
            raise ValueError("a local function bears a name or a text that is none")
        made.__module__, made.__name__, made.__qualname__, made.__doc__ = value["told"]
    return made


def _place_in_source(node: dict[str, Any]) -> str:
    """Module and place of a local function, whose node names what made it."""
    maker, value = type_text(node), node.get("value")
    place = value.get("place") if isinstance(value, dict) else None
    module = maker.partition(":")[0]
    return f"{module}:{shown(place)}" if type(place) is str else maker


CLOSURE = Kind(
    "closure",  # after "transform": `jax.vmap(f)` is one of these, too
    exactly(types.FunctionType),
    _encode_closure,
    _decode_closure,
    roles.CODE,
    keeps="local functions, by their place in the source; one's own with a digest",
    shared=True,
    may_fail_inside=True,
    attributes=None,
    is_function=True,
    data=Data.NONE,
    look=Look(type=_place_in_source),
)


def _code_of(
    holder: Any, place: str, index: int, value: dict[str, Any]
) -> types.CodeType:
    codes = _codes(holder, place)
    known = 0 <= index < len(codes) and _signature(codes[index]) == value["signature"]
    if "code" in value:
        # Lambdas of one function may have changed places.
        for code in [*codes[index : index + 1], *codes] if known else codes:
            if _is_as_saved(code, value):
                return code
        raise SourceChanged(_changed(place, codes, value))
    if codes and is_own_code(_plain_of(holder, place).__globals__["__name__"]):
        raise SourceChanged(
            f"is the local function `{place:.80}`, which was saved from an installed "
            "package, and is your own code now. Install the package again"
        )
    if not known:
        raise ValueError(
            f"the package here has no function `{place:.80}` as it was when saved"
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


def _plain_of(holder: Any, place: str) -> types.FunctionType:
    owner: Any = holder
    for name in place.partition(_LOCALS)[0].split(".")[1:]:
        owner = class_attribute(owner, name)
    found = _plain(owner)
    assert found is not None  # its code has been found
    return found
