"""Which names a file may use: one judge for the audit and for the load.

Nothing here calls, compares or prints what a name leads to; a module is imported only
once the whole file has been judged, and only when the caller or the table permits it.
"""

from __future__ import annotations

import abc
import dataclasses
import enum
import functools
import importlib
import importlib.util
import os
import site
import sys
import sysconfig
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

import equinox as eqx
import numpy as np

from . import _names
from ._compat import is_registered_node, jit_function_type
from ._curated import CLASSES, EXEMPT, FRAMEWORKS, PACKAGES
from ._errors import ArgumentError, UntrustedError, shown


@dataclasses.dataclass(frozen=True)
class Role:
    """What the kind of a node demands of the object its name leads to."""

    words: str
    accepts: Callable[[Any], bool]
    builds: bool = False  # whether loading makes an instance of it


def _is_module_class(obj: Any) -> bool:
    return _names.is_class(obj) and eqx.Module in _names.mro(obj)


def _is_dataclass(obj: Any) -> bool:
    fields = (
        class_attribute(obj, "__dataclass_fields__") if _names.is_class(obj) else None
    )
    return type(fields) is dict


def _is_namedtuple(obj: Any) -> bool:
    return (
        _names.is_class(obj)
        and tuple in _names.mro(obj)
        and type(class_attribute(obj, "_fields")) is tuple
    )


def _is_enum(obj: Any) -> bool:
    return _names.is_class(obj) and enum.Enum in _names.mro(obj)


def _is_node_class(obj: Any) -> bool:
    # A class known to JAX's registry; asked by type, so that nothing is built.
    return _names.is_class(obj) and is_registered_node(obj)


def is_function(obj: Any) -> bool:
    """Whether an object is a function, or what JAX and NumPy make of one."""
    return type(obj) in function_types()


@functools.cache
def function_types() -> frozenset[type]:
    import jax
    import jax.numpy as jnp

    return frozenset(
        {
            types.FunctionType,
            types.BuiltinFunctionType,
            functools._lru_cache_wrapper,
            np.ufunc,
            type(np.where),  # an array function of NumPy, overridable by others
            type(jnp.add),
            type(jax.custom_jvp(lambda x: x)),
            type(jax.custom_vjp(lambda x: x)),
            jit_function_type(),
        }
    )


MODULE = Role("an equinox Module class", _is_module_class, builds=True)
DATACLASS = Role("a dataclass", _is_dataclass, builds=True)
NAMEDTUPLE = Role("a namedtuple class", _is_namedtuple, builds=True)
ENUM = Role("an Enum class", _is_enum, builds=True)
NODE = Role("a registered pytree class", _is_node_class, builds=True)
MARKER = Role("a class", _names.is_class, builds=True)
CLASS = Role("a class (as a value)", _names.is_class)
FUNCTION = Role("a function", lambda obj: not _names.is_class(obj))
CODE = Role(
    "a class or a function", lambda obj: _names.is_class(obj) or is_function(obj)
)
CONSTANT = Role(
    "a constant of a module",
    lambda obj: not _names.is_class(obj) and not is_function(obj),
)


def class_attribute(cls: type, name: str) -> Any:
    """An attribute of a class as stored, found without running descriptors."""
    for base in _names.mro(cls):
        space = _names.namespace(base)
        if name in space:
            return space[name]
    return None


@dataclasses.dataclass(frozen=True)
class Use:
    """One name in a file: where, and in which role."""

    name: str
    path: str
    role: Role


@dataclasses.dataclass(frozen=True)
class Refusal:
    """A name that a file may not use, why, and what to do.

    Attributes
    ----------
    name : str
        The name as it stands in the file.
    path : str
        Where in the tree it is used first.
    reason : str
        Why it was refused, as the end of a sentence.
    trust : str or None
        What to add to ``trusted=``, or None when trust would not help.
    """

    name: str
    path: str
    reason: str
    trust: str | None = None


class _Refused(Exception):
    def __init__(self, reason: str, trust: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trust = trust


class _NotYetImported(Exception):
    pass


class Judge:
    """Decides about every name of one file, for one call.

    Parameters
    ----------
    trusted : sequence of str, module, class or function
        Packages or modules by name, or the very objects.

    Raises
    ------
    ArgumentError
        If `trusted` holds something else, or an empty name.
    """

    def __init__(self, trusted: Any = ()) -> None:
        self._packages: set[str] = set()
        self._objects: dict[int, Any] = {}
        self._resolved: dict[tuple[str, str], Any] = {}
        given: Any = () if trusted is None else trusted
        if not isinstance(given, (list, tuple, set, frozenset)):
            given = [given]
        for item in given:
            if isinstance(item, types.ModuleType):
                self._packages.add(item.__name__)
            elif isinstance(item, str):
                if not item or not all(p.isidentifier() for p in item.split(".")):
                    raise ArgumentError(
                        f'`trusted` takes names of packages such as "mylab", '
                        f"classes and functions, not {shown(repr(item))}."
                    )
                self._packages.add(item)
            elif _names.is_class(item) or callable(item):
                self._objects[id(item)] = item
            else:
                raise ArgumentError(
                    f'`trusted` takes names of packages such as "mylab", classes '
                    f"and functions, not a {type(item).__name__}."
                )

    def audit(self, uses: Iterable[Use], file: str) -> None:
        """Judge every name; import what may be imported; refuse all at once.

        Raises
        ------
        UntrustedError
            With every refused name, its path and what to do.
        """
        first: dict[tuple[str, str], Use] = {}
        for use in uses:
            first.setdefault((use.name, use.role.words), use)
        refusals: list[Refusal] = []
        waiting: list[Use] = []
        for use in first.values():
            self._try(use, refusals, waiting)
        if waiting and not refusals:  # the whole file has been judged: now import
            for use in waiting:
                _import(_names.split(use.name)[0])
            still: list[Use] = []
            for use in waiting:
                self._try(use, refusals, still)
            refusals += [Refusal(u.name, u.path, "cannot be imported") for u in still]
        if refusals:
            raise _untrusted(refusals, file)

    def resolve(self, name: str, role: Role) -> Any:
        """The object under a name that `audit` has accepted."""
        return self._resolved[name, role.words]

    def _try(self, use: Use, refusals: list[Refusal], waiting: list[Use]) -> None:
        try:
            self._resolved[use.name, use.role.words] = self._judge(use.name, use.role)
        except _NotYetImported:
            waiting.append(use)
        except _Refused as refused:
            refusals.append(Refusal(use.name, use.path, refused.reason, refused.trust))

    def _judge(self, name: str, role: Role) -> Any:
        try:
            module, qualname = _names.split(name)
        except ValueError as error:
            raise _Refused(f"is not a name that a file may hold: {error}") from None
        if _names.is_registered(name):
            found = _names.resolve(name)
            if not role.accepts(found):
                raise _Refused(f"is not {role.words}")
            return found
        package = _names.top(module)
        curated = _names.is_curated(module, qualname) and not role.builds
        if not curated:
            if package == "zodiax_io":
                raise _Refused("belongs to zodiax_io itself, which no file may use")
            if package in sys.stdlib_module_names and package != "__main__":
                raise _Refused(
                    "belongs to Python's standard library, which no file may use"
                )
        found = self._find(module, qualname, package, curated)
        if curated:
            if not role.accepts(found):
                raise _Refused(f"is not {role.words}")
            return found
        if role is CODE and package in FRAMEWORKS:
            raise _Refused(
                f"is not among the functions of `{package}` that a file may use"
            )
        if not _names.is_honest(found, module, qualname):
            raise _Refused(
                f"is not defined in `{package}`, only imported there, "
                "so it is not what it claims to be"
            )
        if not role.accepts(found):
            raise _Refused(f"is not {role.words}")
        if _names.is_class(found):
            self._judge_class(found, module, role)
        else:
            self._judge_value(found, module, qualname, role)
        return found

    def _find(self, module: str, qualname: str, package: str, curated: bool) -> Any:
        if _names.module_space(module) is None:
            if curated:
                raise _NotYetImported
            if self._trusts(module) or package in PACKAGES:
                if not _is_installed(package) and not self._trusts(module):
                    raise _Refused(
                        f"needs the package `{package}`, which is not installed",
                    )
                if importlib.util.find_spec(package) is None:
                    raise _Refused(
                        f"needs the package `{package}`, which is not installed"
                    )
                if sys.modules.get(package) is not None and module in _failed:
                    raise _Refused(f"needs `{module}`, which cannot be imported")
                raise _NotYetImported
            raise _Refused(
                f"is not imported: write `import {module}` first, or trust it",
                trust=package,
            )
        try:
            return _names.lookup(module, qualname)
        except LookupError:
            raise _Refused(
                f"does not exist here: `{module}` has no `{qualname}`"
            ) from None

    def _trusts(self, module: str) -> bool:
        parts = module.split(".")
        return any(
            ".".join(parts[:n]) in self._packages for n in range(1, len(parts) + 1)
        )

    def _judge_class(self, cls: type, module: str, role: Role) -> None:
        told = _names.own_name(cls)
        home = told[0] if told is not None else module
        package = _names.top(home)
        if package in sys.stdlib_module_names and package != "__main__":
            raise _Refused(
                "belongs to Python's standard library, which no file may use"
            )
        if role.builds:
            _refuse_dangerous(cls, role, self._trusts)
        if self._trusts(home) or id(cls) in self._objects or is_own_code(home):
            return
        name = "" if told is None else told[1]
        if name in CLASSES.get(module, ()) + CLASSES.get(home, ()):
            return
        handwritten = _handwritten(cls)
        if _is_module_class(cls) and handwritten is not None:
            raise _Refused(f"writes its own `{handwritten}`", trust=package)
        if not _is_harmless(cls, package, role, handwritten):
            raise _Refused("is not trusted", trust=package)

    def _judge_value(self, obj: Any, module: str, qualname: str, role: Role) -> None:
        told = _names.own_name(obj)
        home = told[0] if told is not None else module
        package = _names.top(home)
        if package in sys.stdlib_module_names and package != "__main__":
            raise _Refused(
                "belongs to Python's standard library, which no file may use"
            )
        if id(obj) in self._objects:
            return
        if (
            role is FUNCTION
            and not is_function(obj)
            and not _is_module_class(type(obj))
        ):
            raise _Refused("is not a function")
        owner = _owner_class(module, qualname)
        if owner is not None and _is_module_class(owner):
            # A method is as trustworthy as its class; calling it is the caller's doing.
            self._judge_class(owner, module, MODULE)
            return
        if role is CONSTANT:
            home = _names.homes_of(obj)[-1]
            if type(obj) is typing.TypeVar:
                home = _names.homes_of(obj)[0]
            package = _names.top(home)
            if package in sys.stdlib_module_names and package != "__main__":
                raise _Refused("is an object of Python's standard library")
            if package in FRAMEWORKS and callable(obj):
                raise _Refused("is a callable of a framework, not a constant")
            if self._trusts(home) or is_own_code(home):
                return
            if package in PACKAGES - FRAMEWORKS and not callable(obj):
                return
            raise _Refused("is not trusted", trust=package)
        if package in FRAMEWORKS:
            raise _Refused(
                f"is not among the functions of `{package}` that a file may use"
            )
        if self._trusts(home) or is_own_code(home):
            return
        raise _Refused("is not trusted", trust=package)


class _Everything(Judge):
    """A judge who trusts all packages, and so finds only what no trust would help."""

    def _trusts(self, module: str) -> bool:
        return True

    def objection(self, name: str, role: Role) -> str | None:
        try:
            self._judge(name, role)
        except _Refused as refused:
            return refused.reason
        return None


def objection(name: str, role: Role) -> str | None:
    """Why no file may use a name in a role, however much it is trusted; or None."""
    return _Everything().objection(name, role)


_failed: set[str] = set()


def _import(module: str) -> None:
    try:
        importlib.import_module(module)
    except Exception:
        _failed.add(module)


def _owner_class(module: str, qualname: str) -> type | None:
    owner, _, _ = qualname.rpartition(".")
    if not owner:
        return None
    try:
        found = _names.lookup(module, owner)
    except LookupError:
        return None
    return found if _names.is_class(found) else None


def _untrusted(refusals: list[Refusal], file: str) -> UntrustedError:
    trust = tuple(dict.fromkeys(r.trust for r in refusals if r.trust is not None))
    helped = all(refusal.trust is not None for refusal in refusals)
    lines = [f"  `{shown(r.name)}` at `{shown(r.path)}` {r.reason}." for r in refusals]
    text = f"{file} names what it may not use:\n" + "\n".join(lines)
    if trust:
        names = ", ".join(f'"{name}"' for name in trust)
        what = "If you trust this file" if helped else "For those that trust would help"
        text += f"\n{what}, pass `trusted=[{names}]`."
    return UntrustedError(text, refusals, trust)


def _is_harmless(cls: type, package: str, role: Role, handwritten: str | None) -> bool:
    """Whether a class of somebody else needs no trust."""
    if _is_module_class(cls):
        return True
    field = package in PACKAGES and package not in FRAMEWORKS
    if not role.builds:  # a value: nothing is made of it
        return field or _is_enumeration(cls) or _is_scalar_type(cls, package)
    if package not in PACKAGES or handwritten is not None:
        return False
    if _is_namedtuple(cls) or _is_enum(cls):
        return True  # nothing but their values
    return field and (_is_node_class(cls) or role in (DATACLASS, MARKER))


def _is_enumeration(cls: type) -> bool:
    return type(cls) is type(eqx.Enumeration)


def _is_scalar_type(cls: type, package: str) -> bool:
    return package in FRAMEWORKS and np.generic in _names.mro(cls)


_SPECIAL = (
    "__getattr__",
    "__getattribute__",
    "__setattr__",
    "__delattr__",
    "__hash__",
    "__eq__",
)


def _handwritten(cls: type) -> str | None:
    """The first method by which a class could run code when it is merely looked at."""
    for base in _names.mro(cls):
        told = _names.own_name(base)
        package = _names.top(told[0]) if told is not None else ""
        if base is object or package in EXEMPT or package in sys.stdlib_module_names:
            continue
        space = _names.namespace(base)
        for name in _SPECIAL:
            method = space.get(name)
            if type(method) is not types.FunctionType:
                continue
            # What `dataclasses` generates has no source file.
            if method.__code__.co_filename != "<string>":
                return name
    return None


_METACLASSES = (type, abc.ABCMeta, enum.EnumMeta, type(eqx.Module))


def _refuse_dangerous(cls: type, role: Role, trusts: Callable[[str], bool]) -> None:
    for base in _names.mro(cls):
        if "__del__" in _names.namespace(base):
            raise _Refused("has a `__del__`, which would run when the object goes")
    meta = type(cls)
    if meta not in _METACLASSES:
        told = _names.own_name(meta)
        home = told[0] if told is not None else ""
        known = PACKAGES | {"abc", "typing", "typing_extensions"}
        if not (_names.top(home) in known or is_own_code(home) or trusts(home)):
            raise _Refused("has a metaclass of its own")
    if role in (MODULE, DATACLASS, MARKER) and not has_python_layout(cls):
        raise _Refused("is built on a type written in C")


def has_python_layout(cls: type) -> bool:
    """Whether instances consist of a `__dict__` and slots, and of nothing made in C."""
    members = sum(
        type(value) is types.MemberDescriptorType
        for base in _names.mro(cls)
        for value in _names.namespace(base).values()
    )
    for name in ("__dictoffset__", "__weakrefoffset__"):
        members += _layout(cls, name) > 0
    return _layout(cls, "__basicsize__") <= object.__basicsize__ + 8 * members


def _layout(cls: type, name: str) -> int:
    return type.__dict__[name].__get__(cls)  # past the metaclass


@functools.cache
def _library_folders() -> tuple[str, ...]:
    folders = {sysconfig.get_path(key) for key in ("stdlib", "platstdlib")}
    folders |= {sysconfig.get_path(key) for key in ("purelib", "platlib")}
    folders |= set(site.getsitepackages()) | {site.getusersitepackages()}
    return tuple(os.path.realpath(f) + os.sep for f in folders if f)


def _is_library_file(file: str) -> bool:
    real = os.path.realpath(file)
    parts = real.split(os.sep)
    return real.startswith(_library_folders()) or bool(
        {"site-packages", "dist-packages"} & set(parts)
    )


def is_own_code(module: str) -> bool:
    """Whether a module is the user's: `__main__`, or a file outside every library."""
    if module == "__main__":
        return True
    if _names.top(module) == "zodiax_io":
        return False
    space = _names.module_space(module)
    file = None if space is None else space.get("__file__")
    return type(file) is str and not _is_library_file(file)


@functools.cache
def _is_installed(package: str) -> bool:
    """Whether a package lies in site-packages, not merely in the working folder."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    origin = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return origin is not None and _is_library_file(origin)
