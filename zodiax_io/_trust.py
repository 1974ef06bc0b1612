"""Which names a file may use: one judge for the audit and for the load.

Nothing here calls, compares or prints what a name leads to; a module is imported only
once the whole file has been judged, and only when the caller or the table permits it.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import difflib
import enum
import functools
import importlib
import importlib.machinery
import importlib.util
import os
import site
import sys
import sysconfig
import types
import typing
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from . import _names
from ._compat import is_registered_node, jit_function_type
from ._curated import CLASSES, EXEMPT, FRAMEWORKS, LOCAL_FUNCTIONS, PACKAGES
from ._errors import MAX_NAME, ArgumentError, UntrustedError, shown


@dataclasses.dataclass(frozen=True)
class Role:
    """What the kind of a node demands of the object its name leads to."""

    words: str
    accepts: Callable[[Any], bool]
    builds: bool = False  # whether loading makes an instance of it


def _is_module_class(obj: Any) -> bool:
    return _names.is_class(obj) and _names.derives(obj, eqx.Module)


def _is_dataclass(obj: Any) -> bool:
    fields = (
        class_attribute(obj, "__dataclass_fields__") if _names.is_class(obj) else None
    )
    return type(fields) is dict


def _is_namedtuple(obj: Any) -> bool:
    return (
        _names.is_class(obj)
        and _names.derives(obj, tuple)
        and type(class_attribute(obj, "_fields")) is tuple
    )


def _is_enum(obj: Any) -> bool:
    return _names.is_class(obj) and _names.derives(obj, enum.Enum)


def _is_node_class(obj: Any) -> bool:
    # A class known to JAX's registry; asked by type, so that nothing is built.
    return _names.is_class(obj) and is_registered_node(obj)


def is_function(obj: Any) -> bool:
    """Whether an object is a function, or what JAX and NumPy make of one."""
    return _names.is_one_of(type(obj), function_types())


@functools.cache
def function_types() -> tuple[type, ...]:
    import jax
    import jax.numpy as jnp

    def same(x: Any) -> Any:
        return x

    return (
        types.FunctionType,
        types.BuiltinFunctionType,
        functools._lru_cache_wrapper,
        np.ufunc,
        type(np.where),  # an array function of NumPy, overridable by others
        type(jnp.add),
        type(jax.custom_jvp(same)),
        type(jax.custom_vjp(same)),
        eqx.filter_custom_jvp,
        eqx.filter_custom_vjp,
        jit_function_type(),
    )


MODULE = Role(
    "an equinox Module class",
    lambda obj: _is_module_class(obj) and obj is not eqx.Partial,
    builds=True,
)
PARTIAL = Role("`equinox.Partial`", lambda obj: obj is eqx.Partial, builds=True)
DATACLASS = Role("a dataclass", _is_dataclass, builds=True)
NAMEDTUPLE = Role("a namedtuple class", _is_namedtuple, builds=True)
ENUM = Role("an Enum class", _is_enum, builds=True)
NODE = Role("a registered pytree class", _is_node_class, builds=True)
UNFLATTENED = Role(
    "a pytree class that unflattens itself",
    # Those with fields are kept by their fields.
    lambda obj: (
        _is_node_class(obj) and not _is_module_class(obj) and not _is_dataclass(obj)
    ),
    builds=True,
)
MARKER = Role("a class", _names.is_class, builds=True)
CLASS = Role("a class (as a value)", _names.is_class)
FUNCTION = Role("a function", lambda obj: not _names.is_class(obj))
DEFAULTS = Role("a class that declares defaults", _names.is_class, builds=True)
_PLAIN = (MODULE, DATACLASS, NAMEDTUPLE, ENUM, NODE, UNFLATTENED, DEFAULTS)
CODE = Role(
    "the maker of a local function",
    lambda obj: _names.is_class(obj) or is_function(obj),
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
    """One name in a file: where, in which role, and whether the file calls it.

    `bound` says that the file chooses arguments for it, as a `functools.partial` does.
    """

    name: str
    path: Callable[[], str]
    role: Role
    bound: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of one name of a file, and why.

    Attributes
    ----------
    name : str
        The name as it stands in the file.
    path : str
        Where in the tree it is used first.
    role : str
        What the file wants it for, such as ``"an equinox Module class"``.
    status : {"trusted", "missing", "refused"}
        Whether the file may use it; "missing" if it is not there to be used: not
        imported, not installed, or gone.
    reason : str
        Why, as the end of a sentence that begins with the name.
    trust : str or None
        What to add to ``trusted=``; None when nothing is needed, or nothing would help.
    """

    name: str
    path: str
    role: str
    status: str
    reason: str
    trust: str | None = None


class _Refused(Exception):
    """The end of a case: `reason` completes a sentence that begins with the name."""

    def __init__(
        self, reason: str, trust: str | None = None, *, missing: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trust = trust
        self.status = "missing" if missing else "refused"


_Heard = tuple[Use, str, str, str | None]  # status, reason, what to trust


class _NotYetImported(Exception):
    """The name belongs to a module that may be imported once all else is accepted."""

    def __init__(self, module: str) -> None:
        super().__init__(module)
        self.module = module


class Unresolved(NamedTuple):
    """What a name leads to that is not there, or may not be used; and why."""

    reason: str


_STANDARD = "belongs to Python's standard library, which no file may use"


class Judge:
    """Decides about every name of one file, for one call.

    Parameters
    ----------
    trusted : sequence of str, module, class or function
        Packages or modules by name, names as a file spells them, or the very objects.
    renames : dict of str to str, class or function, optional
        What names of the file are called now, beside what `renamed` knows.
    unknown : {"error", "opaque"}
        Whether names that may not be used are refused, or lead to `Unresolved`.

    Raises
    ------
    ArgumentError
        If `trusted` holds something else, or an empty name; or a rename is none.
    """

    def __init__(
        self, trusted: Any = (), renames: Any = None, unknown: Any = "error"
    ) -> None:
        if unknown not in ("error", "opaque"):
            raise ArgumentError(
                f'`unknown` is "error" or "opaque", not {unknown!r:.80}.'
            )
        self.lenient = unknown == "opaque"
        self._packages: set[str] = set()
        self._names: set[str] = set()
        # What the script that wrote the file is called when it is imported.
        self.script: str | None = None
        self._objects: dict[int, Any] = {}
        self._resolved: dict[tuple[str, str], Any] = {}
        self._searches = 0
        given: Any = () if trusted is None else trusted
        if not isinstance(given, (list, tuple, set, frozenset)):
            given = [given]
        for item in given:
            if isinstance(item, types.ModuleType):
                self._packages.add(item.__name__)
            elif isinstance(item, str) and _is_name(item):
                self._names.add(item)
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
        self._idle = self._packages | self._names  # what no name has met yet
        self._renames = _names.checked_renames(renames)

    def audit(self, uses: Iterable[Use], file: str) -> None:
        """Judge every name; import what may be imported; refuse all at once.

        Raises
        ------
        UntrustedError
            With every refused name, its path and what to do.
        """
        heard, waiting = self._hear(_distinct(uses))
        # The whole file is judged: now import.
        if waiting and (self.lenient or not _refused(heard)):
            self._import_all(waiting)
            again, still = self._hear([use for use, _ in waiting])
            heard += again
            heard += [(use, "missing", _UNIMPORTABLE, None) for use, _ in still]
        refused = _refused(heard)
        if self.lenient:
            for use, _, reason, _ in refused:
                self._resolved[use.name, use.role.words] = Unresolved(reason)
        elif refused:
            raise _untrusted([_verdict(*one) for one in refused], file, self._idle)

    def prepare(self, uses: Iterable[Use]) -> None:
        """Import what may be imported, where roles are known by the classes only."""
        self._import_all(self._hear(_distinct(uses))[1])

    def _import_all(self, waiting: Iterable[tuple[Use, str]]) -> None:
        for module in dict.fromkeys(module for _, module in waiting):
            _import(module, from_libraries=not self._trusts(module))

    def verdicts(self, uses: Iterable[Use]) -> list[Verdict]:
        """What becomes of each name, without importing anything."""
        distinct = _distinct(uses)
        heard, waiting = self._hear(distinct)
        heard += [
            (use, "trusted", f"will be looked for once `{module}` is imported", None)
            for use, module in waiting
        ]
        order = {id(use): rank for rank, use in enumerate(distinct)}
        return [_verdict(*one) for one in sorted(heard, key=lambda h: order[id(h[0])])]

    def resolve(self, name: str, role: Role) -> Any:
        """The object under a name that `audit` has accepted."""
        return self._resolved[name, role.words]

    def _hear(self, uses: Iterable[Use]) -> tuple[list[_Heard], list[tuple[Use, str]]]:
        """What is to be said of each, and those whose modules were to be imported."""
        heard: list[_Heard] = []
        waiting: list[tuple[Use, str]] = []
        for use in uses:
            self._idle -= {t for t in self._idle if _is_of(use.name, t)}
            name = _names.current(use.name, self._renames)
            moved = f"is called `{name}` now, which " if name != use.name else ""
            try:
                found, reason = self._judge(name, use.role, use.bound)
            except _NotYetImported as absent:
                waiting.append((use, absent.module))
            except _Refused as refused:
                told = moved + refused.reason
                heard.append((use, refused.status, told, refused.trust))
            else:
                self._resolved[use.name, use.role.words] = found
                heard.append((use, "trusted", moved + reason, None))
        return heard, waiting

    def member_now(self, name: str, member: Any) -> Any:
        """What a member of an Enum of the file is called now."""
        if type(member) is not str or not self._renames:
            return member
        cls, _, now = _names.current(f"{name}.{member}", self._renames).rpartition(".")
        return now if cls == _names.current(name, self._renames) else member

    def may_call(self, cls: type) -> bool:
        """Whether code of a class may run: your own, trusted, or of the field."""
        home = (_names.own_name(cls) or ("",))[0]
        return self._vouched(cls, home) is not None or _names.top(home) in PACKAGES

    def now(self, name: str) -> str:
        """What a name of the file is called now, where it can be told by the name."""
        name = _names.current(name, self._renames)
        module, _, qualname = name.partition(":")
        if module != "__main__":
            return name
        module, qualname = self._in_main(qualname)
        if module == "__main__" and _names.find(name) is None:
            module = self.script or module
        return f"{module}:{qualname}"

    def _judge(self, name: str, role: Role, bound: bool) -> tuple[Any, str]:
        """The object under a name, and why a file may use it so."""
        try:
            module, qualname = _names.split(name)
        except ValueError as error:
            raise _Refused(f"is not a name that a file may hold: {error}") from None
        if _names.is_registered(name):
            return _fitting(_names.resolve(name), role), "is registered"
        if module == "__main__":
            module, qualname = self._in_main(qualname)
        package = _names.top(module)
        if _names.is_curated(module, qualname) and not role.builds:
            found = self._find(module, qualname, package, curated=True)
            return _fitting(found, role), "is in the table of what any file may use"
        if package == "zodiax_io":
            raise _Refused("belongs to zodiax_io itself, which no file may use")
        if _names.is_standard(package):
            raise _Refused(_STANDARD)
        found = self._find(module, qualname, package, curated=False)
        if name in self._names:
            self._objects[id(found)] = found
        if not is_tame(found if _names.is_class(found) else type(found)):
            raise _Refused("has a metaclass that runs code of its own")
        if role is CODE and package in FRAMEWORKS:
            raise _Refused(_of_framework(package))
        if not _names.is_honest(found, module, qualname):
            raise _Refused(
                f"is not defined in `{package}`, only imported there, "
                "so it is not what it claims to be"
            )
        _fitting(found, role)
        told = _names.own_name(found)
        home = told[0] if told is not None else module
        if _names.is_standard(_names.top(home)):
            raise _Refused(_STANDARD)
        if _names.is_class(found):
            reason = self._judge_class(found, module, home, role)
        else:
            reason = self._judge_value(found, module, qualname, home, role)
        if bound and not self._may_be_bound(found, home):
            raise _Refused(
                "would be called with arguments that the file chooses",
                trust=_names.top(home),
            )
        return found, reason

    def _in_main(self, qualname: str) -> tuple[str, str]:
        """Where something is now that was defined in the script which wrote the file.

        In this script; where this one imports it from; or in the module that the
        script is when it is imported.
        """
        try:
            found = _names.lookup("__main__", qualname)
        except LookupError:
            script = self.script
            if script is not None and is_own_code(script):
                return script, qualname
            return "__main__", qualname
        told = _names.own_name(found)
        if told is not None and told[1] == qualname and _names.is_at(found, *told):
            return told
        return "__main__", qualname

    def _find(self, module: str, qualname: str, package: str, curated: bool) -> Any:
        if _names.module_space(module) is None:
            raise self._absent(module, qualname, package, curated)
        try:
            return _names.lookup(module, qualname)
        except LookupError:
            advice = ""
            if module == "__main__":
                script = self.script or "the_script"
                first = qualname.partition(".")[0]
                advice = (
                    "; it was defined in the script or notebook that saved it: define "
                    f"it, or write `from {script} import {first}`"
                )
            raise _Refused(
                f"does not exist here: `{module}` has no `{qualname}`"
                f"{advice or self._near(module, qualname)}",
                missing=True,
            ) from None

    def _near(self, module: str, qualname: str) -> str:
        """What is called alike in the same package, a trusted one or one's own."""
        if _names.top(module) in FRAMEWORKS:  # of thousands of names some are alike
            return ""
        alike = self.alike(module, qualname)
        if not alike or not _names.is_name(f"{module}:{qualname}"):
            return ""
        listed = " or ".join(f"`{name}`" for name in alike)
        return (
            f"; if it is {listed} now, pass "
            f'`renames={{"{module}:{qualname}": "{alike[0]}"}}`'
        )

    def alike(self, module: str, qualname: str) -> list[str]:
        """Names of imported classes and functions that resemble one, the best first."""
        wanted = qualname.rpartition(".")[2]
        self._searches += 1
        if self._searches > _MAX_SEARCHES or len(wanted) > MAX_NAME:
            return []  # a file may name any number of things that are not there
        scores: dict[str, float] = {}
        matcher = difflib.SequenceMatcher(b=wanted)
        for name, _ in self.known(module):
            home, _, key = name.partition(":")
            matcher.set_seq1(key)
            if matcher.real_quick_ratio() < _ALIKE or matcher.quick_ratio() < _ALIKE:
                continue
            ratio = matcher.ratio()
            if ratio >= _ALIKE:
                near = difflib.SequenceMatcher(None, module[:MAX_NAME], home).ratio()
                scores[name] = ratio + 0.5 * near
        return sorted(scores, key=lambda name: -scores[name])[:_MAX_ALIKE]

    def known(self, module: str) -> Iterator[tuple[str, Any]]:
        """What is imported of a module's package, of trusted ones, and of one's own."""
        packages = {_names.top(name) for name in (module, *self._packages)}
        for name in list(sys.modules):
            if _names.top(name) in packages or _is_own(name):
                for key, value in list((_names.module_space(name) or {}).items()):
                    if type(key) is str and _names.own_name(value) == (name, key):
                        yield f"{name}:{key}", value

    def _absent(
        self, module: str, qualname: str, package: str, curated: bool
    ) -> Exception:
        """What to do about a module that is not imported: nothing, unless it is known.

        A package that the caller trusts is imported as the file names it. A package of
        the field is imported as `import package` does it, never a module of the file's
        choice, and from site-packages only.
        """
        parent = _without_child(module)
        if parent is not None:
            text = f"does not exist here: `{parent[0]}` has no module `{parent[1]}`"
            return _Refused(text + self._near(module, qualname), missing=True)
        trusted = self._trusts(module) and package not in FRAMEWORKS
        if not trusted and not (package in PACKAGES or curated):
            if not _is_present(package):
                near = self._near(module, qualname)
                return _Refused(
                    f"needs `{package}`, which is neither imported nor installed"
                    f"{near or '; `renames=` says if it is called otherwise now'}",
                    missing=True,
                )
            return _Refused(
                f"is not imported: trust it, or write `import {module}` first if it is "
                "your own",
                trust=package,
                missing=True,
            )
        if not _is_present(package) if trusted else not is_installed(package):
            return _Refused(
                f"needs the package `{package}`, which is not installed", missing=True
            )
        wanted = module if trusted or curated or module in CLASSES else package
        if wanted in _failed:
            return _Refused(f"needs `{wanted}`, which cannot be imported", missing=True)
        if _names.module_space(wanted) is None:
            return _NotYetImported(wanted)
        return _Refused(f"is not imported: write `import {module}` first", missing=True)

    def _trusts(self, module: str) -> bool:
        parts = module.split(".")
        return any(
            ".".join(parts[:n]) in self._packages for n in range(1, len(parts) + 1)
        )

    def _vouched(self, obj: Any, home: str) -> str | None:
        """Who answers for an object: the caller, or the user who wrote it."""
        if self._trusts(home) or id(obj) in self._objects:
            return "is trusted by the caller"
        return "is your own code" if is_own_code(home) else None

    def _judge_class(self, cls: type, module: str, home: str, role: Role) -> str:
        if role.builds:
            _refuse_dangerous(cls, role)
        package = _names.top(home)
        vouched = self._vouched(cls, home)
        if vouched is None and not _has_known_metaclass(cls):
            raise _Refused("has a metaclass of its own", trust=package)
        if role is CODE and is_own_code(home):
            raise _Refused("is your own code, whose local functions are not kept")
        # A class of a framework may do anything when it is called, as `numpy.memmap`.
        if vouched is not None and (package not in FRAMEWORKS or role in _PLAIN):
            return vouched
        told = _names.own_name(cls)
        name = "" if told is None else told[1]
        if name in CLASSES.get(module, ()) + CLASSES.get(home, ()):
            return "is in the table of what any file may use"
        handwritten = _handwritten(cls)
        if _is_module_class(cls) and handwritten is not None:
            raise _Refused(f"writes its own `{handwritten}`", trust=package)
        reason = _harmless(cls, package, role, handwritten)
        if reason is None and package in FRAMEWORKS and role not in _PLAIN:
            raise _Refused(
                f"belongs to `{package}`, whose classes are trusted one by one, by "
                "`zodiax_io.register`"
            )
        if reason is None:
            raise _Refused("is not trusted", trust=package)
        return reason

    def _judge_value(
        self, obj: Any, module: str, qualname: str, home: str, role: Role
    ) -> str:
        package = _names.top(home)
        if (
            role is FUNCTION
            and not is_function(obj)
            and not _is_module_class(type(obj))
        ):
            raise _Refused("is not a function")
        owner = _owner_class(module, qualname)
        if owner is not None and _is_module_class(owner):
            # A method is as trustworthy as its class; calling it is the caller's doing.
            told = _names.own_name(owner)
            return self._judge_class(owner, module, told[0] if told else home, MODULE)
        if role is CONSTANT:
            return self._judge_constant(obj)
        if package in FRAMEWORKS:
            raise _Refused(_of_framework(package))
        if role is CODE and is_own_code(home):
            raise _Refused("is your own code, whose local functions are not kept")
        vouched = self._vouched(obj, home)
        if vouched is not None:
            return vouched
        if role is CODE and package in LOCAL_FUNCTIONS:
            return _KNOWN
        raise _Refused("is not trusted", trust=package)

    def _judge_constant(self, obj: Any) -> str:
        if type(obj) is object:
            return "is a bare object, which does nothing"
        homes = _names.homes_of(obj)
        home = homes[0] if type(obj) is typing.TypeVar else homes[-1]
        package = _names.top(home)
        if _names.is_standard(package):
            raise _Refused("is an object of Python's standard library")
        if package in FRAMEWORKS and home != _TOKENS:
            raise _Refused(f"is an object of `{package}` that a file may not use")
        vouched = self._vouched(obj, home)
        if vouched is not None:
            return vouched
        if package in PACKAGES - FRAMEWORKS and not callable(obj):
            return _KNOWN
        raise _Refused("is not trusted", trust=package)

    def _may_be_bound(self, obj: Any, home: str) -> bool:
        """Whether a file may choose the arguments of a call that it prepares.

        Your own functions are trusted to be called by your own code, as they are.
        """
        known = _names.top(home) in PACKAGES
        return known or self._trusts(home) or id(obj) in self._objects


def _is_own(module: str) -> bool:
    """Whether an imported module is the user's; each is looked at once."""
    found = sys.modules.get(module)
    known = _looked_at.get(module)
    if known is None or known[0] is not found:
        known = _looked_at[module] = found, is_own_code(module)
    return known[1]


_looked_at: dict[str, tuple[Any, bool]] = {}
_ALIKE = 0.75
_MAX_ALIKE = 3
_MAX_SEARCHES = 10


class _Everything(Judge):
    """A judge who trusts all packages, and so finds only what no trust would help."""

    def _trusts(self, module: str) -> bool:
        return True

    def objection(self, name: str, role: Role) -> str | None:
        try:
            self._judge(name, role, False)
        except _Refused as refused:
            return refused.reason
        return None


def objection(name: str, role: Role) -> str | None:
    """Why no file may use a name in a role, however much it is trusted; or None."""
    return _Everything().objection(name, role)


_KNOWN = "belongs to a known package of the field"
_UNIMPORTABLE = "cannot be imported"


def _distinct(uses: Iterable[Use]) -> list[Use]:
    """The first use of each name in each role."""
    first: dict[tuple[str, str, bool], Use] = {}
    for use in uses:
        first.setdefault((use.name, use.role.words, use.bound), use)
    return list(first.values())


def _verdict(use: Use, status: str, reason: str, trust: str | None = None) -> Verdict:
    # Escaped, for these are to be printed.
    name, path = (shown(text, _names.MAX_LENGTH) for text in (use.name, use.path()))
    return Verdict(name, path, use.role.words, status, reason, trust)


def _refused(heard: Iterable[_Heard]) -> list[_Heard]:
    """Those that stand in the way of loading."""
    return [one for one in heard if one[1] != "trusted"]


def _is_of(name: str, trusted: str) -> bool:
    """Whether a name belongs to what a caller trusts."""
    return name == trusted or name.startswith((f"{trusted}.", f"{trusted}:"))


def _fitting(found: Any, role: Role) -> Any:
    if not role.accepts(found):
        raise _Refused(f"is not {role.words}")
    return found


def _of_framework(package: str) -> str:
    return (
        f"is not among the functions of `{package}` that a file may use; your program "
        "may allow it by `zodiax_io.register`"
    )


_failed: set[str] = set()


def _import(module: str, *, from_libraries: bool) -> None:
    with _working_folder_hidden() if from_libraries else contextlib.nullcontext():
        try:
            importlib.import_module(module)
        except (Exception, SystemExit):
            _failed.add(module)


@contextlib.contextmanager
def _working_folder_hidden() -> Generator[None, None, None]:
    """What a package of the field looks for is not found beside a stranger's file."""
    before = list(sys.path)
    with contextlib.suppress(FileNotFoundError):
        here = os.path.realpath(os.getcwd())
        sys.path[:] = [p for p in before if p and os.path.realpath(p) != here]
    try:
        yield
    finally:
        sys.path[:] = before


def _owner_class(module: str, qualname: str) -> type | None:
    owner, _, _ = qualname.rpartition(".")
    if not owner:
        return None
    try:
        found = _names.lookup(module, owner)
    except LookupError:
        return None
    return found if _names.is_class(found) else None


# Tokens that stand for functions of lineax and optimistix in their states.
_TOKENS = "equinox.internal._str2jax"
_MAX_SHOWN = 50


def _is_name(text: str) -> bool:
    try:
        _names.split(text)
    except ValueError:
        return False
    return True


def _untrusted(
    refusals: list[Verdict], file: str, idle: Iterable[str]
) -> UntrustedError:
    trust = tuple(dict.fromkeys(r.trust for r in refusals if r.trust is not None))
    helped = all(refusal.trust is not None for refusal in refusals)
    lines = [
        f"  `{shown(r.name)}` at `{shown(r.path)}` {r.reason}."
        for r in refusals[:_MAX_SHOWN]
    ]
    if len(refusals) > _MAX_SHOWN:
        lines.append(f"  … and {len(refusals) - _MAX_SHOWN} more.")
    text = f"{file} names what it may not use:\n" + "\n".join(lines)
    if trust:
        names = ", ".join(f'"{name}"' for name in trust[:_MAX_SHOWN])
        what = "If you trust this file" if helped else "For those that trust would help"
        text += f"\n{what}, pass `trusted=[{names}]`."
    text += '\nTo look at the file without them, pass `unknown="opaque"`.'
    for name in sorted(idle):
        text += f"\nNothing in it belongs to `{shown(name)}`, which you trust."
    return UntrustedError(text, refusals, trust)


def _harmless(
    cls: type, package: str, role: Role, handwritten: str | None
) -> str | None:
    """Why a class of somebody else needs no trust; None where it does."""
    known = package in PACKAGES
    field = known and package not in FRAMEWORKS
    if role is CODE:
        return _KNOWN if package in LOCAL_FUNCTIONS else None
    if _is_module_class(cls):
        return "is an equinox Module"
    if not role.builds:  # a value: nothing is made of it
        harmless = field or _is_enumeration(cls) or _is_scalar_type(cls, package)
        return _KNOWN if harmless else None
    if not known or handwritten is not None:
        return None
    if _is_namedtuple(cls) or _is_enum(cls):
        return _KNOWN  # nothing but their values
    if role is UNFLATTENED:  # code of the class would run
        return None
    harmless = _is_node_class(cls) or role in (DATACLASS, MARKER, DEFAULTS)
    return _KNOWN if field and harmless else None


def _is_enumeration(cls: type) -> bool:
    return type(cls) is type(eqx.Enumeration)


def _is_scalar_type(cls: type, package: str) -> bool:
    return package in FRAMEWORKS and _names.derives(cls, np.generic)


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
        if base is object or package in EXEMPT or _names.is_standard(package):
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
# What a metaclass may define: it runs when a class is made or called, never on a load.
_META_HARMLESS = frozenset({"__new__", "__init__", "__call__", "__prepare__"})


def _refuse_dangerous(cls: type, role: Role) -> None:
    for base in _names.mro(cls):
        if "__del__" in _names.namespace(base):
            raise _Refused("has a `__del__`, which would run when the object goes")
    if role in (MODULE, DATACLASS, MARKER) and not has_python_layout(cls):
        raise _Refused("is built on a type written in C")


def is_tame(cls: type) -> bool:
    """Whether a class can be looked at and compared without its metaclass's code."""
    for base in _names.mro(type(cls)):
        told = _names.own_name(base)
        package = "" if told is None else _names.top(told[0])
        known = _names.is_one_of(base, _METACLASSES)
        if known or _names.is_standard(package) or package in PACKAGES:
            continue
        space = _names.namespace(base)
        for name, value in space.items():
            special = name.startswith("__") and name not in _META_HARMLESS
            if special and (type(value) is types.FunctionType or _is_descriptor(value)):
                return False
    return True


def _is_descriptor(value: object) -> bool:
    cls = type(value)
    wrappers = (property, staticmethod, classmethod, functools.partial)
    c_made = (types.GetSetDescriptorType, types.MemberDescriptorType)
    return _names.is_one_of(cls, wrappers) or (
        "__get__" in _names.namespace(cls) and not _names.is_one_of(cls, c_made)
    )


def _has_known_metaclass(cls: type) -> bool:
    told = _names.own_name(type(cls))
    package = "" if told is None else _names.top(told[0])
    return (
        _names.is_one_of(type(cls), _METACLASSES)
        or package in PACKAGES
        or package in {"abc", "typing", "typing_extensions"}
    )


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


def _spec(package: str) -> importlib.machinery.ModuleSpec | None:
    if package in sys.modules:  # `find_spec` would ask the module, which may be lazy
        space = _names.module_space(package)
        spec = None if space is None else space.get("__spec__")
        return spec if type(spec) is importlib.machinery.ModuleSpec else None
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def _is_present(package: str) -> bool:
    """Whether a package can be found anywhere."""
    return package in sys.modules or _spec(package) is not None


def _without_child(module: str) -> tuple[str, str] | None:
    """The first imported package on the way to a module that it has not; and that."""
    parts = module.split(".")
    for n in range(1, len(parts)):
        parent, child = ".".join(parts[:n]), ".".join(parts[: n + 1])
        space = _names.module_space(parent)
        if space is None or _names.module_space(child) is not None:
            continue
        places = space.get("__path__", [])
        try:
            spec = importlib.machinery.PathFinder.find_spec(child, [*places])
        except Exception:  # what a package says of itself may be anything
            return None
        return (parent, parts[n]) if spec is None else None
    return None


def is_installed(package: str) -> bool:
    """Whether a package lies in a library, not merely in the working folder."""
    if _names.is_standard(package):
        return True
    spec = _spec(package)
    if spec is None:
        return False
    origin = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return origin is not None and _is_library_file(origin)
