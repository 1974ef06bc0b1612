"""Objects as `"package.module:Qual.Name"`, and back: identity decides, names lie."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from .._errors import ArgumentError, shown
from .reflection import is_class, module_and_qualname, module_space, namespace, own_name
from .table import FRAMEWORKS, FUNCTIONS, PACKAGES, VALUES

MAX_LENGTH = 512
_PART = re.compile(r"[^\W\d]\w*")

# What a program registers by `register`: identity to name, and name to object.
_registered_names: dict[int, str] = {}
_registered: dict[str, Any] = {}

_TABLE: dict[str, tuple[str, ...]] = {
    module: FUNCTIONS.get(module, ()) + VALUES.get(module, ())
    for module in (*FUNCTIONS, *VALUES)
}
# Where an object has several names, the module that comes first in the table wins.
_ORDER = {module: rank for rank, module in enumerate(_TABLE)}
# Filled as modules are imported: identity to rank, module and name.
_table_ids: dict[int, tuple[tuple[int, bool], str, str]] = {}
_indexed: set[str] = set()
_imported = {"modules": 0}


def split(name: object) -> tuple[str, str]:
    """Module and qualified name.

    Raises
    ------
    ValueError
        If the text is not two dotted identifiers joined by a colon, is too long, or
        has a dunder part other than the module ``__main__`` and ``__call__``.
    """
    if type(name) is not str or len(name) > MAX_LENGTH or name.count(":") != 1:
        raise ValueError("a name must read `package.module:Qual.Name`")
    module, qualname = name.split(":")
    for part in (*module.split("."), *qualname.split(".")):
        if _PART.fullmatch(part) is None:
            raise ValueError("each part of a name must be an identifier")
        allowed = part == "__call__" or part == module == "__main__"
        if part.startswith("__") and part.endswith("__") and not allowed:
            raise ValueError("a name may not have dunder parts")
    return module, qualname


def is_printable_name(text: object) -> bool:
    """Whether a text may become the name of something, which is printed as it is."""
    return type(text) is str and text.isprintable()


def is_printable_text(text: object) -> bool:
    """Whether a text of several lines may become a docstring."""
    return type(text) is str and _STEERING.search(text) is None


# Controls other than white space, halves of characters, and what turns the direction.
_STEERING = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def top_level_package(module: str) -> str:
    """The package of a module: all up to the first dot."""
    return module.partition(".")[0]


def is_standard(package: str) -> bool:
    """Whether a package is of Python's standard library."""
    return package in sys.stdlib_module_names and package != "__main__"


def lookup_or_none(name: str) -> Any:
    """What an imported module has under a name; None if there is no such thing."""
    module, _, qualname = name.partition(":")
    try:
        return lookup(module, qualname)
    except LookupError:
        return None


def resolve_or_none(name: str) -> Any:
    """What `register` or an imported module has under a name; None if nothing has."""
    return _registered[name] if name in _registered else lookup_or_none(name)


def lookup(module: str, qualname: str) -> Any:
    """The object under a name, found by walking dictionaries, through classes only.

    Raises
    ------
    LookupError
        If the module is not imported, or nothing has that name.
    """
    space = module_space(module)
    if space is None:
        raise LookupError(f"module {module} is not imported")
    *owners, last = qualname.split(".")
    for owner in owners:
        cls = space.get(owner)
        if not is_class(cls):
            raise LookupError(f"{module} has no class {owner}")
        space = namespace(cls)
    if last not in space:
        raise LookupError(f"{module} has no {qualname}")
    found = space[last]
    if owners and type(found) in (staticmethod, classmethod):
        found = found.__func__
    return found


def owner_class(module: str, qualname: str) -> type | None:
    """The class in which a name is defined, or None if it is not in a class."""
    owner, _, _ = qualname.rpartition(".")
    found = lookup_or_none(f"{module}:{owner}") if owner else None
    return found if is_class(found) else None


def is_defined_at(obj: object, module: str, qualname: str) -> bool:
    """Whether an object belongs under a name, rather than being imported there.

    It does when it says so itself, when a package re-exports under the same qualified
    name what one of its own modules defines, and when it is curated or registered.
    """
    if _registered_names.get(id(obj)) == f"{module}:{qualname}":
        return True
    if is_in_table(module, qualname):
        return True
    told = own_name(obj)
    if told is None:
        # A bare object is nothing but itself, wherever it is kept.
        homes = homes_of(obj)
        return type(obj) is object or any(
            top_level_package(home) == top_level_package(module) for home in homes
        )
    if told[0] == module:
        return True
    if top_level_package(told[0]) != top_level_package(module) or told[1] != qualname:
        return False
    try:
        return lookup(*told) is obj
    except LookupError:
        return True  # its own module keeps it under another name


def is_at(obj: object, module: str, qualname: str) -> bool:
    """Whether a name leads to this very object."""
    try:
        return lookup(module, qualname) is obj
    except LookupError:
        return False


def is_redefined(cls: Any) -> bool:
    """Whether a class has given its place to one of the same name, as in a notebook."""
    told = own_name(cls)
    try:
        found = None if told is None else lookup(*told)
    except LookupError:
        return False
    return is_class(cls) and is_class(found) and own_name(found) == told


def is_in_table(module: str, qualname: str) -> bool:
    """Whether a name stands in the project's own table."""
    return qualname in _TABLE.get(module, ())


def _index() -> None:
    """Look through the modules of the table that have been imported since."""
    if _imported["modules"] == len(sys.modules):
        return
    _imported["modules"] = len(sys.modules)
    for module in _TABLE.keys() - _indexed:
        space = module_space(module)
        if space is not None:
            _indexed.add(module)
            for name in _TABLE[module]:
                if name in space:
                    told = getattr(space[name], "__name__", None)
                    rank = (_ORDER[module], told != name)
                    known = _table_ids.get(id(space[name]))
                    if known is None or rank < known[0]:
                        _table_ids[id(space[name])] = (rank, module, name)


def _name_in_table(obj: object) -> str | None:
    _index()
    found = _table_ids.get(id(obj))
    if found is not None and _leads_to(*found[1:], obj):
        return f"{found[1]}:{found[2]}"
    return None


def _candidates(module: str, qualname: str) -> Iterator[tuple[str, str]]:
    """Where to look for an object: public packages first, its own module last."""
    parts = module.split(".")
    private = [i for i, part in enumerate(parts) if part.startswith("_")]
    if private and parts[0] != "__main__":
        for end in range(private[0], 0, -1):
            yield ".".join(parts[:end]), qualname
    yield module, qualname


def name_of(obj: Any) -> str | None:
    """The name by which an object can be found again, or None when it has none.

    Parameters
    ----------
    obj : object
        A class, a function, or any object that a module keeps under a name.

    Returns
    -------
    str or None
        ``"package.module:Qual.Name"``, public where there is a public name; looking it
        up leads to this very object.
    """
    registered = _registered_names.get(id(obj))
    if registered is not None and _registered.get(registered) is obj:
        return registered
    curated = _name_in_table(obj)
    if curated is not None:
        return curated
    told = own_name(obj)
    if told is not None:
        for module, qualname in _candidates(*told):
            if _leads_to(module, qualname, obj):
                return f"{module}:{qualname}"
        # While a script runs, what its variables hold may change: a lambda in a loop.
        if told[0] == "__main__" and not is_class(obj):
            return None
        return _global_name(told[0], obj)
    for home in homes_of(obj):
        name = _global_name(home, obj)
        if name is not None:
            return name
    return None


def homes_of(obj: object) -> list[str]:
    """The modules to which an object without a name of its own may belong."""
    homes: list[str] = []
    told = module_and_qualname(obj, "__module__")
    cls_name = own_name(type(obj))
    for module in (told, None if cls_name is None else cls_name[0]):
        if type(module) is str and module not in homes:
            homes.append(module)
    if cls_name is not None and cls_name[0] == "equinox.internal._str2jax":
        homes += _homeless(type(obj))
    if type(obj) is object:
        homes += _homes_of_bare(obj)
    return homes


# Bare objects among the globals of modules: identity to module, while no more modules
# are imported. Scripts change, and are looked at each time.
_bare: dict[int, str] = {}
_bare_among = {"modules": 0}


def _homes_of_bare(obj: object) -> Iterator[str]:
    """Where a sentinel, made by `object()`, is a global of somebody's module."""
    if _bare_among["modules"] != len(sys.modules):
        _bare.clear()
        for module in sorted(
            sys.modules, key=lambda m: (m.count("."), m), reverse=True
        ):
            package = top_level_package(module)
            skipped = package in {"__main__", *FRAMEWORKS} or is_standard(package)
            space = None if skipped else module_space(module)
            for value in list(space.values()) if space is not None else ():
                if type(value) is object:
                    _bare[id(value)] = module
        _bare_among["modules"] = len(sys.modules)
    for module in (_bare.get(id(obj)), "__main__"):
        if module is not None and _holds(module, obj):
            yield module


def _holds(module: str, obj: object) -> bool:
    space = module_space(module) or {}
    return any(value is obj for value in list(space.values()))


def constant_like(obj: object) -> Any:
    """The constant of a package of the field that is of this object's own class."""
    for module in sorted(sys.modules):
        space = module_space(module) if top_level_package(module) in PACKAGES else None
        for value in list(space.values()) if space is not None else ():
            if type(value) is type(obj):
                return value
    return None


def _homeless(cls: type) -> Iterator[str]:
    """Where a constant may be whose class was made inside a function."""
    told = own_name(cls)
    try:
        if told is not None and lookup(*told) is cls:
            return
    except LookupError:
        pass
    for module in sorted(sys.modules):
        space = module_space(module) if top_level_package(module) in PACKAGES else None
        if space is not None and any(type(v) is cls for v in list(space.values())):
            yield module


def _global_name(module: str, obj: object) -> str | None:
    """A global of a module, or of the packages above it, that is this very object."""
    for candidate, _ in (*_candidates(module, ""),):
        space = module_space(candidate)
        for key, value in list(space.items()) if space is not None else ():
            if value is obj and _leads_to(candidate, key, obj):
                return f"{candidate}:{key}"
    return None


def _leads_to(module: str, qualname: str, obj: object) -> bool:
    if _registered.get(f"{module}:{qualname}", obj) is not obj:
        return False  # the name has been given to another object
    try:
        split(f"{module}:{qualname}")
        found = lookup(module, qualname)
    except (LookupError, ValueError):
        return False
    return found is obj and is_defined_at(obj, module, qualname)


def resolve(name: str) -> Any:
    """The object under a registered or ordinary name, already judged.

    Raises
    ------
    LookupError
        If nothing has that name.
    """
    if name in _registered:
        return _registered[name]
    return lookup(*split(name))


def register(obj: Any, alias: str | None = None) -> Any:
    """Let every file of this program use a class, a function or a constant.

    Parameters
    ----------
    obj : object
        What files may name: a class, a function, or a constant without equality.
    alias : str, optional
        The name to store, ``"package.module:Name"``. By default the object's own;
        a lambda or a local function needs one.

    Returns
    -------
    object
        `obj` itself, so that `register` serves as a decorator.

    Raises
    ------
    ArgumentError
        If the alias is not a name, or belongs to another object already.

    Examples
    --------
    >>> import zodiax_io
    >>> def make(power):
    ...     return lambda x: x**power
    >>> cube = zodiax_io.register(make(3), alias="mylab.functions:cube")
    >>> zodiax_io.build_structure(cube)["type"]
    'mylab.functions:cube'
    """
    name = alias if alias is not None else name_of(obj)
    if name is None:
        raise ArgumentError(
            f"{shown(repr(obj))} has no name of its own to come back by. Pass one: "
            '`register(obj, alias="package.module:Name")`.'
        )
    try:
        split(name)
    except ValueError as error:
        raise ArgumentError(f"{shown(repr(name))} is not a name: {error}.") from None
    if _registered.get(name, obj) is not obj:
        raise ArgumentError(f"{shown(repr(name))} is registered for another object.")
    module, qualname = split(name)
    taken = is_in_table(module, qualname) and not is_at(obj, module, qualname)
    if (
        taken
        or top_level_package(module) == "zodiax_io"
        or (alias and is_standard(top_level_package(module)))
    ):
        raise ArgumentError(
            f"{shown(repr(name))} means something to every file. Choose an alias in a "
            "package of your own."
        )
    _registered[name] = obj
    _registered_names[id(obj)] = name
    return obj


def is_registered(name: str) -> bool:
    """Whether `register` knows a name."""
    return name in _registered
