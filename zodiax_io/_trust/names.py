"""Objects to names such as `"package.module:Qual.Name"`, and back.

A module has the name by which it is imported, `"package.module"`.

A name is accepted for an object only if looking it up leads to that very object: what
an object says about its own name may be wrong.
"""

from __future__ import annotations

import re
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from .._errors import ArgumentError, shown
from . import homes
from .reflection import (
    instance_dict,
    is_class,
    module_space,
    namespace,
    own_attribute,
    own_name,
)
from .table import FRAMEWORKS, FUNCTIONS, MODULES, PACKAGES, VALUES
from .written import places_of

MAX_LENGTH = 512
_PART = re.compile(r"[^\W\d]\w*")

# Objects that the program has registered: identity to name, and name to object.
_registered_names: dict[int, str] = {}
_registered: dict[str, Any] = {}

_TABLE: dict[str, tuple[str, ...]] = {
    module: FUNCTIONS.get(module, ()) + VALUES.get(module, ())
    for module in (*FUNCTIONS, *VALUES)
}
# Of several names of an object, the one whose module comes first in the table wins.
_ORDER = {module: rank for rank, module in enumerate(_TABLE)}
# Filled as modules are imported: identity to rank, module and name.
_table_ids: dict[int, tuple[tuple[int, bool], str, str]] = {}
_indexed: set[str] = set()
_imported = {"modules": 0}


def split(name: object) -> tuple[str, str]:
    """Split a name into its module and its qualified name.

    Raises
    ------
    ValueError
        If the text is not two dotted identifiers joined by a colon, is too long, or
        has a dunder part other than the module ``__main__`` and ``__call__``.
    """
    if type(name) is not str or len(name) > MAX_LENGTH or name.count(":") != 1:
        raise ValueError("a name has the form `package.module:Qual.Name`")
    module, qualname = name.split(":")
    for part in (*module.split("."), *qualname.split(".")):
        if _PART.fullmatch(part) is None:
            raise ValueError("each part between dots must be an identifier")
        allowed = part == "__call__" or part == module == "__main__"
        if part.startswith("__") and part.endswith("__") and not allowed:
            raise ValueError("a name must not have dunder parts")
    return module, qualname


def split_module(name: object) -> tuple[str, str]:
    """Split the name of a module, which is all of it: the qualified name is empty.

    Raises
    ------
    ValueError
        If the text is not dotted identifiers, is too long, or has a dunder part, as
        the running script has.
    """
    if type(name) is not str or name == "__main__":
        raise ValueError("the running script is not a module that others can import")
    return split(f"{name}:_")[0], ""


def is_printable_name(text: object) -> bool:
    """Whether a text may become the `__name__` of an object, which is printed as is."""
    return type(text) is str and text.isprintable()


def is_printable_text(text: object) -> bool:
    """Whether a text of several lines may become a docstring."""
    return type(text) is str and _UNPRINTABLE.search(text) is None


# Control characters other than white space, surrogates, and marks that change the
# direction of text.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def top_level_package(module: str) -> str:
    """The name of a module up to its first dot."""
    return module.partition(".")[0]


def is_standard(package: str) -> bool:
    """Whether a package belongs to Python's standard library."""
    return package in sys.stdlib_module_names and package != "__main__"


def lookup_or_none(name: str) -> Any:
    """The object under a name in an imported module, or None."""
    module, _, qualname = name.partition(":")
    try:
        return lookup(module, qualname)
    except LookupError:
        return None


def resolve_or_none(name: str) -> Any:
    """The object registered under a name, or else in an imported module, or None."""
    return _registered[name] if name in _registered else lookup_or_none(name)


def lookup(module: str, qualname: str) -> Any:
    """The object under a name in an imported module; the module for an empty name.

    The name is followed through the dictionaries of the module and of classes only, so
    that no code runs and no module leads to another.

    Raises
    ------
    LookupError
        If the module is not imported, or has no such name.
    """
    space = module_space(module)
    if space is None:
        raise LookupError(f"module {module} is not imported")
    if not qualname:
        return sys.modules[module]
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
    """Whether an object is defined under a name, rather than only imported there.

    It is if its `__module__` says so; if the package exports the object of one of its
    own modules under the same qualified name, or that of a private module under any
    name; or if the name is registered or in the table.
    """
    if _registered_names.get(id(obj)) == f"{module}:{qualname}":
        return True
    if is_in_table(module, qualname):
        return True
    if not qualname:  # another package may be in `sys.modules` under this name
        own_module = _own_name_of_module(obj)
        return top_level_package(own_module or "") == top_level_package(module)
    own = own_name(obj)
    if own is None:
        # A bare `object()` does nothing, whichever module has it.
        return type(obj) is object or any(
            top_level_package(home) == top_level_package(module)
            for home in homes_of(obj)
        )
    if own[0] == module:
        return True
    if homes.public_package(own[0]) != homes.public_package(module):
        return is_written_in(obj, module, own)
    if homes.is_public(module) and not homes.is_public(own[0]):
        return True
    if own[1] != qualname:
        return False
    try:
        return lookup(*own) is obj
    except LookupError:
        return True  # its own module has it under another name


def is_written_in(obj: object, module: str, own: tuple[str, str]) -> bool:
    """Whether a function says that it is of another package, but has code of a module.

    `own` is the name that it says, at which there is another object, or none.
    """
    elsewhere = homes.public_package(own[0]) != homes.public_package(module)
    if not elsewhere or is_class(obj) or is_at(obj, *own):
        return False
    return any(
        module == ("__main__" if home == "__mp_main__" else home)
        for home, _ in places_of(obj)
    )


def is_at(obj: object, module: str, qualname: str) -> bool:
    """Whether a name leads to this very object."""
    try:
        return lookup(module, qualname) is obj
    except LookupError:
        return False


def is_redefined(cls: Any) -> bool:
    """Whether another class of the same name has replaced a class, as in a notebook."""
    own = own_name(cls)
    found = None if own is None else lookup_or_none(":".join(own))
    return is_class(cls) and is_class(found) and own_name(found) == own


def is_in_table(module: str, qualname: str) -> bool:
    """Whether the table of names that any file may use has a name."""
    if not qualname:
        return module in MODULES
    return qualname in _TABLE.get(module, ())


def _index() -> None:
    """Add the objects of table modules that were imported since the last call."""
    if _imported["modules"] == len(sys.modules):
        return
    _imported["modules"] = len(sys.modules)
    for module in _TABLE.keys() - _indexed:
        space = module_space(module)
        if space is not None:
            _indexed.add(module)
            for name in _TABLE[module]:
                if name in space:
                    own = getattr(space[name], "__name__", None)
                    rank = (_ORDER[module], own != name)
                    known = _table_ids.get(id(space[name]))
                    if known is None or rank < known[0]:
                        _table_ids[id(space[name])] = (rank, module, name)


def _name_in_table(obj: object) -> str | None:
    _index()
    found = _table_ids.get(id(obj))
    if found is not None and _leads_to(*found[1:], obj):
        return f"{found[1]}:{found[2]}"
    return None


def _candidates(module: str, qualname: str, obj: object) -> Iterator[tuple[str, str]]:
    """Names that an object may have: public ones first, that of its own module last."""
    for above in homes.modules_above(module):
        yield above, qualname
    yield from homes.names_in_package(module, obj)
    yield module, qualname


def name_of(obj: Any) -> str | None:
    """The name by which an object can be found again, or None when it has none.

    Parameters
    ----------
    obj : object
        A class, a function, a module, or any object that is a global of a module.

    Returns
    -------
    str or None
        ``"package.module:Qual.Name"``, public where there is a public name; looking it
        up leads to this very object. Of a module ``"package.module"``.
    """
    registered = registered_name(obj)
    if registered is not None:
        return registered
    if is_module(obj):
        return _name_of_module(obj)
    curated = _name_in_table(obj)
    if curated is not None:
        return curated
    own = own_name(obj)
    if own is not None:
        for module, qualname in _candidates(*own, obj):
            if _leads_to(module, qualname, obj):
                return f"{module}:{qualname}"
        # The variables of a running script change: a lambda in a loop.
        if own[0] == "__main__" and not is_class(obj):
            return None
        return _global_name(own[0], obj) or _name_where_written(obj)
    for home in homes_of(obj):
        name = _global_name(home, obj)
        if name is not None:
            return name
    return _name_in_own_class(obj)


def _name_where_written(obj: object) -> str | None:
    """The name of a function that says it is another's, by where its code is."""
    places = [] if is_class(obj) else places_of(obj)
    for module in dict.fromkeys(module for module, _ in places):
        if module in ("__main__", "__mp_main__"):
            # Only what a `def` has defined there, not what is in a variable.
            names = [qualname for home, qualname in places if home == module]
            found = [n for n in names if _leads_to("__main__", n, obj)]
            name = f"__main__:{found[0]}" if found else None
        else:
            name = _global_name(module, obj)
        if name is not None:
            return name
    return None


def _name_in_own_class(obj: object) -> str | None:
    """The name of an attribute of a class that is an instance of it: `Mode.TRAIN`."""
    module, qualname = own_name(type(obj)) or ("", "")
    for key, value in list(namespace(type(obj)).items()):
        if value is obj and _leads_to(module, f"{qualname}.{key}", obj):
            return f"{module}:{qualname}.{key}"
    return None


def _own_name_of_module(obj: object) -> str | None:
    """The name that a module was imported by, if it still says so."""
    space = instance_dict(obj) if is_module(obj) else None
    own = None if space is None else space.get("__name__")
    return own if type(own) is str else None


def is_module(obj: object) -> bool:
    """Whether an object is a module, and not of a class that may run code."""
    return type(obj) is types.ModuleType


def _name_of_module(obj: types.ModuleType) -> str | None:
    """The name of a module in `sys.modules`, public where it has a public one."""
    own = _own_name_of_module(obj)
    if own is None or own in ("__main__", "__mp_main__"):
        return None
    names = [own]
    if not homes.is_public(own) or sys.modules.get(own) is not obj:
        # Another name in the same package, as `numpy.core` for `numpy._core`.
        others = [name for name, found in [*sys.modules.items()] if found is obj]
        public = [name for name in others if homes.is_public(name)]
        names = [*sorted(public, key=lambda name: (name.count("."), name)), own]
    for name in names:
        try:
            module, qualname = split_module(name)
        except ValueError:
            continue
        if is_at(obj, module, qualname) and is_defined_at(obj, module, qualname):
            return module
    return None


def registered_name(obj: object) -> str | None:
    """The name under which the program has registered an object, or None."""
    name = _registered_names.get(id(obj))
    return name if name is not None and _registered.get(name) is obj else None


def homes_of(obj: object) -> list[str]:
    """The modules that may have an object that does not know its own name."""
    found: list[str] = []
    home = own_attribute(obj, "__module__")
    cls_name = own_name(type(obj))
    for module in (home, None if cls_name is None else cls_name[0]):
        if type(module) is str and module not in found:
            found.append(module)
    if cls_name is not None and cls_name[0] == "equinox.internal._str2jax":
        found += _homes_of_local_class(type(obj))
    if type(obj) is object or is_union(obj):
        found += _homes_of_nameless(obj)
    return found


# Objects that do not know their module, among the globals of modules: identity to
# module. Filled again when more modules are imported; `__main__` is searched each time,
# since scripts change.
_nameless: dict[int, str] = {}
_nameless_among = {"modules": 0}


_UNION: Any = typing.Union[int, str]  # noqa: UP007


def is_union(obj: object) -> bool:
    """Whether an object is a union of types, such as `int | None`."""
    return type(obj) is types.UnionType or type(obj) is type(_UNION)


def unions_of_known_packages() -> list[Any]:
    """The unions among the globals of known packages, the largest first."""
    found = {id(x): x for _, x in _globals_of_known_packages() if is_union(x)}
    return sorted(found.values(), key=lambda union: -len(typing.get_args(union)))


def _homes_of_nameless(obj: object) -> Iterator[str]:
    """The modules that have a sentinel, made by `object()`, or a union as a global."""
    if _nameless_among["modules"] != len(sys.modules):
        _nameless.clear()
        for module in sorted(
            sys.modules, key=lambda m: (m.count("."), m), reverse=True
        ):
            package = top_level_package(module)
            skipped = package in {"__main__", *FRAMEWORKS} or is_standard(package)
            space = None if skipped else module_space(module)
            for value in list(space.values()) if space is not None else ():
                if type(value) is object or (package in PACKAGES and is_union(value)):
                    _nameless[id(value)] = module
        _nameless_among["modules"] = len(sys.modules)
    for module in (_nameless.get(id(obj)), "__main__"):
        if module is not None and _has_global(module, obj):
            yield module


def _has_global(module: str, obj: object) -> bool:
    space = module_space(module) or {}
    return any(value is obj for value in list(space.values()))


def constant_like(obj: object) -> Any:
    """A constant of a known package that has the class of this object, or None."""
    for _, value in _globals_of_known_packages():
        if type(value) is type(obj):
            return value
    return None


def _globals_of_known_packages() -> Iterator[tuple[str, Any]]:
    for module in sorted(sys.modules):
        space = module_space(module) if top_level_package(module) in PACKAGES else None
        for value in list(space.values()) if space is not None else ():
            yield module, value


def _homes_of_local_class(cls: type) -> Iterator[str]:
    """The modules with constants of a class that was made inside a function."""
    own = own_name(cls)
    if own is None or not is_at(cls, *own):
        found = [m for m, value in _globals_of_known_packages() if type(value) is cls]
        yield from dict.fromkeys(found)


def _global_name(module: str, obj: object) -> str | None:
    """A global of a module, or of the packages above it, that is this very object."""
    for candidate, _ in (*_candidates(module, "", obj),):
        space = module_space(candidate)
        for key, value in list(space.items()) if space is not None else ():
            if value is obj and _leads_to(candidate, key, obj):
                return f"{candidate}:{key}"
    return None


def _leads_to(module: str, qualname: str, obj: object) -> bool:
    if _registered.get(f"{module}:{qualname}", obj) is not obj:
        return False  # another object is registered under the name
    try:
        split(f"{module}:{qualname}")
    except ValueError:
        return False
    return is_at(obj, module, qualname) and is_defined_at(obj, module, qualname)


def resolve(name: str) -> Any:
    """The object under a registered or ordinary name.

    Raises
    ------
    LookupError
        If there is no such object.
    """
    if name in _registered:
        return _registered[name]
    return lookup(*(split(name) if ":" in name else split_module(name)))


def register(obj: Any, alias: str | None = None) -> Any:
    """Let every file of this program use a class, a function, a module or a constant.

    Parameters
    ----------
    obj : object
        A class, a function, a module, or a constant that is compared by identity.
    alias : str, optional
        The name in files, ``"package.module:Name"``. By default the object's own;
        required for a lambda or a local function.

    Returns
    -------
    object
        `obj` itself, so that `register` serves as a decorator.

    Raises
    ------
    ArgumentError
        If the alias is not a name, or is the name of another object.

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
            f"{shown(repr(obj))} has no name by which it can be found again. Pass one: "
            '`register(obj, alias="package.module:Name")`.'
        )
    is_of_module = alias is None and is_module(obj)
    try:
        module, qualname = split_module(name) if is_of_module else split(name)
    except ValueError as error:
        raise ArgumentError(f"{shown(repr(name))} is not valid: {error}.") from None
    if _registered.get(name, obj) is not obj:
        raise ArgumentError(f"{shown(repr(name))} is registered for another object.")
    taken = is_in_table(module, qualname) and not is_at(obj, module, qualname)
    if (
        taken
        or top_level_package(module) == "zodiax_io"
        or (alias and is_standard(top_level_package(module)))
    ):
        raise ArgumentError(
            f"{shown(repr(name))} is reserved: any file may use it, or it belongs to "
            "zodiax_io or Python. Choose an alias in a package of your own."
        )
    _registered[name] = obj
    _registered_names[id(obj)] = name
    return obj


def is_registered(name: str) -> bool:
    """Whether the program has registered an object under a name."""
    return name in _registered
