"""Which names a file may use: one judge for the audit and for the load.

Nothing here calls, compares or prints what a name leads to; a module is imported only
once the whole file has been judged, and only when the caller or the table permits it.
"""

from __future__ import annotations

import abc
import collections.abc
import dataclasses
import difflib
import enum
import functools
import importlib.machinery
import sys
import types
import typing
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from importlib.machinery import ModuleSpec
from typing import Any, NamedTuple

import equinox as eqx
import numpy as np

from . import _libraries, _modules, _names
from ._curated import (
    CALL_WITH_HELD,
    CALL_WITH_INPUTS,
    CLASSES,
    EXEMPT,
    FRAMEWORKS,
    LOCAL_FUNCTIONS,
    PACKAGES,
)
from ._errors import LIMITS, MAX_NAME, ArgumentError, UntrustedError, shown
from ._jax import is_registered_node, jit_function_type


# By identity: two roles may be described by the same words.
@dataclasses.dataclass(frozen=True, eq=False)
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
    Whether the objects around a `node` may call it with data of the file depends on
    what their classes are: `holders` finds it out, once these are known.
    """

    name: str
    path: Callable[[], str]
    role: Role
    bound: bool = False
    node: int = 0
    holders: Holders | None = None


class Holder(NamedTuple):
    """How the objects of a class may call what they hold.

    `passes` is true where they call it with the inputs of their own calls only. If
    they are `free`, they have fields for arguments of any kind; `calls` are the fields
    that are declared to be callables. `own` code calls as its author meant it to.
    """

    own: bool = False
    passes: bool = False
    free: bool = False
    calls: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, eq=False)
class Holders:
    """The objects of one structure that hold others: the names of their classes.

    `called` gives the nodes that they may call with data of the file.
    """

    names: frozenset[str]
    called: Callable[[Mapping[str, Holder]], set[int]]


def calls_with_inputs(name: str) -> bool:
    """Whether instances of a class pass only their inputs to what they hold."""
    module = name.partition(":")[0]
    known = any(_is_of(module, prefix) for prefix in CALL_WITH_INPUTS)
    return known and name not in CALL_WITH_HELD


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


def _all_of(refusals: list[_Refused]) -> _Refused:
    """One refusal for every reason; trust helps only where it helps against each."""
    reasons = list(dict.fromkeys(refusal.reason for refusal in refusals))
    trust = [refusal.trust for refusal in refusals]
    return _Refused(
        ", and ".join(reasons),
        None if None in trust else trust[0],
        missing=any(refusal.status == "missing" for refusal in refusals),
    )


_BOUND = "would be called with arguments that the file chooses"


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
        self._resolved: dict[tuple[str, Role], Any] = {}
        self._failures: dict[str, str] = {}  # why imports of this call have failed
        self._searches = 0
        self._always: list[tuple[str, Any]] | None = None
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
        self._idle_renames = set(renames or ())  # those of this call

    def audit(
        self, uses: Iterable[Use], file: str, needed: Container[str] | None = None
    ) -> None:
        """Judge every name; import what may be imported; refuse all at once.

        If only some names are `needed`, what is missing of the others is no matter.

        Raises
        ------
        UntrustedError
            With every refused name, its path and what to do.
        """
        uses = list(uses)
        heard, waiting = self._hear(uses)
        # The whole file is judged: now import, and judge by what has been imported.
        if waiting and self._may_import(heard, needed):
            self._import_all(waiting)
            heard, still = self._hear(uses)
            waiting = []
            heard += [(use, "missing", _is_behind(name), None) for use, name in still]
        refused = [
            one for one in _refused(heard) if needed is None or one[0].name in needed
        ]
        if self.lenient:
            for use, _, reason, _ in refused:
                self._resolved[use.name, use.role] = Unresolved(reason)
        elif refused:
            raise _untrusted(
                [_verdict(*one) for one in refused],
                file,
                waiting,
                idle=self._idle,
                idle_renames=self._idle_renames,
            )

    def prepare(self, uses: Iterable[Use]) -> None:
        """Import what may be imported, unless a name of the file is refused."""
        heard, waiting = self._hear(list(uses))
        if waiting and self._may_import(heard):
            self._import_all(waiting)

    def _may_import(
        self, heard: Iterable[_Heard], needed: Container[str] | None = None
    ) -> bool:
        """Whether nothing in a file stands against an import for it."""
        return self.lenient or not any(
            needed is None or status == "refused" or use.name in needed
            for use, status, *_ in _refused(heard)
        )

    def _import_all(self, waiting: Iterable[tuple[Use, str]]) -> None:
        for module in dict.fromkeys(module for _, module in waiting):
            self._import(module)

    def _import(self, module: str) -> None:
        """Import a module; if that fails, remember why until the end of this call."""
        spec = _spec(_names.top(module))
        library = spec is not None and _modules.is_in_library(spec)
        try:
            if self._trusts(module) and not library:
                _libraries.import_anywhere(module)
            elif _is_beside_library(spec, module):
                self._failures[module] = "it is not in a library folder"
                return
            else:
                _libraries.import_library(module)
        except LIMITS:
            raise
        except (Exception, SystemExit) as error:
            self._failures[module] = _modules.failure(error)
        else:
            if _names.module_space(module) is None:
                self._failures[module] = "it puts nothing of that name there"

    def verdicts(self, uses: Iterable[Use]) -> list[Verdict]:
        """What becomes of each name, without importing anything."""
        uses = list(uses)
        heard, waiting = self._hear(uses)
        heard += [(use, "trusted", _is_behind(module), None) for use, module in waiting]
        order = {id(use): rank for rank, use in enumerate(uses)}
        return [_verdict(*one) for one in sorted(heard, key=lambda h: order[id(h[0])])]

    def resolve(self, name: str, role: Role) -> Any:
        """The object under a name that `audit` has accepted."""
        return self._resolved[name, role]

    def _hear(self, uses: Iterable[Use]) -> tuple[list[_Heard], list[tuple[Use, str]]]:
        """What is to be said of each, and those whose modules were to be imported."""
        heard: list[_Heard] = []
        waiting: list[tuple[Use, str]] = []
        for use, bound in self._distinct(uses):
            self._idle -= {t for t in self._idle if _is_of(use.name, t)}
            name = _names.current(use.name, self._renames)
            self._idle_renames -= {
                old
                for old in self._idle_renames
                # A member of an Enum lies below the name of its class.
                if _is_of(use.name, old) or _is_of(name, old) or _is_of(old, use.name)
            }
            moved = f"is called `{name}` now, which " if name != use.name else ""
            try:
                if use.name in self._names:
                    self._names.add(name)
                found, reason = self._judge(name, use.role, bound)
            except _NotYetImported as absent:
                waiting.append((use, absent.module))
            except _Refused as refused:
                told = moved + refused.reason
                heard.append((use, refused.status, told, refused.trust))
            else:
                self._resolved[use.name, use.role] = found
                heard.append((use, "trusted", moved + reason, None))
        return heard, waiting

    def _distinct(self, uses: Iterable[Use]) -> list[tuple[Use, bool]]:
        """The first use of each name in each role, and whether the file calls it."""
        first: dict[tuple[str, Role, bool], Use] = {}
        called: dict[int, set[int]] = {}
        for use in uses:
            bound = use.bound
            if use.holders is not None and not bound:
                if id(use.holders) not in called:
                    holders = {name: self._holder(name) for name in use.holders.names}
                    called[id(use.holders)] = use.holders.called(holders)
                bound = use.node in called[id(use.holders)]
            first.setdefault((use.name, use.role, bound), use)
        return [(use, bound) for (_, _, bound), use in first.items()]

    def _holder(self, name: str) -> Holder:
        """How objects of a class, by its name in the file, may call what they hold."""
        given, name = name, _names.current(name, self._renames)
        try:
            module, qualname = _names.split(name)
        except ValueError:
            return Holder()  # refused for its name
        if module == "__main__":
            module, qualname = self._in_main(qualname)
        found = _names.find(f"{module}:{qualname}")
        if (
            {given, name} & self._names
            or _names.is_registered(name)
            or self._trusts(module)
            or id(found) in self._objects
            or _is_own(module)
        ):
            return Holder(own=True)
        if calls_with_inputs(name):
            return Holder(passes=True)
        return _declared(found) if _names.is_class(found) else Holder()

    def member_now(self, name: str, member: Any) -> Any:
        """What a member, or several, of an Enum of the file is called now."""
        if type(member) is list:
            return [self.member_now(name, each) for each in member]
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
        try:
            found = self._find(module, qualname, package, curated=False)
        except _Refused as refused:
            if bound and not self._may_be_bound(None, module):
                trust = refused.trust
                raise _all_of([refused, _Refused(_BOUND, trust=trust)]) from None
            raise
        if name in self._names:
            self._objects[id(found)] = found
        if not is_tame(found if _names.is_class(found) else type(found)):
            raise _Refused("has a metaclass that runs code of its own")
        if role is CODE and package in FRAMEWORKS:
            raise _Refused(_of_framework(package))
        if not _names.is_honest(found, module, qualname):
            if not callable(found):  # a plain value, which is imported from nowhere
                raise _Refused(
                    f"is {role.words} in the file, and a value of the type "
                    f"`{shown(type(found).__name__)}` here"
                )
            raise _Refused(
                f"is not defined in `{package}`, only imported there, "
                "so it is not what it claims to be"
            )
        told = _names.own_name(found)
        home = told[0] if told is not None else module
        if _names.is_standard(_names.top(home)):
            raise _Refused(_STANDARD)
        _fitting(found, role)
        reason, refusals = "", list[_Refused]()
        try:
            if _names.is_class(found):
                reason = self._judge_class(found, module, home, role)
            else:
                reason = self._judge_value(found, module, qualname, home, role)
        except _Refused as refused:
            refusals.append(refused)
        if bound and not self._may_be_bound(found, home):
            refusals.append(_Refused(_BOUND, trust=_names.top(home)))
        if refusals:
            raise _all_of(refusals)
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
        trusted = {_names.top(name) for name in self._packages}
        package = _names.top(module)
        if self._always is None:  # the same for every name of a file
            self._always = [
                item
                for name in list(sys.modules)
                if _names.top(name) in trusted or _is_own(name)
                for item in _definitions(name)
            ]
        yield from self._always
        for name in list(sys.modules):
            if _names.top(name) == package not in trusted and not _is_own(name):
                yield from _definitions(name)

    def _absent(
        self, module: str, qualname: str, package: str, curated: bool
    ) -> Exception:
        """Whether a module that is not imported may be; if not, what to do about it.

        Of a package that the caller trusts, the module that the file names may be. Of a
        known package, only a public one in a library folder that mentions the name; of
        a framework, only those of the table.
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
        spec = _spec(package) if trusted else _installed_spec(package)
        if spec is None and not (trusted and _is_present(package)):
            return _Refused(
                f"needs the package `{package}`, which is not installed", missing=True
            )
        wanted: str | None = module
        if not trusted and not curated and module not in CLASSES:
            assert spec is not None
            try:
                wanted = self._public_part(spec, module, qualname)
            except _Refused as refused:
                return refused
        why = None if wanted is None else self._failures.get(wanted)
        if why is not None:
            return _Refused(
                f"needs `{wanted}`, which cannot be imported ({why})", missing=True
            )
        if wanted is not None and _names.module_space(wanted) is None:
            return _NotYetImported(wanted)
        if package in FRAMEWORKS:
            advice = f"is not imported: write `import {module}` first"
            return _Refused(advice, missing=True)
        return _Refused(
            f"is not imported: trust it, or write `import {module}` first",
            trust=package,
            missing=True,
        )

    def _public_part(self, spec: ModuleSpec, module: str, qualname: str) -> str | None:
        """What to import of a known package for the sake of a name, if anything.

        Never a private module, but the public one above it; never one of the tests, nor
        one that is a program.
        """
        package, *parts = module.split(".")
        if package in FRAMEWORKS:
            return package
        if any(_is_tool(part) for part in parts):
            return None
        found = spec
        for part in parts:
            child = _modules.find_in(found, part)
            if child is None:
                text = f"does not exist here: `{found.name}` has no module `{part}`"
                raise _Refused(text + self._near(module, qualname), missing=True)
            found = child
        if not _modules.mentions(found, qualname.partition(".")[0]):
            if _modules.may_fill_itself(found):
                return None  # only an import tells, which is for the caller to decide
            raise _Refused(
                f"does not exist here: `{module}` has no `{qualname}`"
                f"{self._near(module, qualname)}",
                missing=True,
            )
        private = [n for n, part in enumerate(parts) if part.startswith("_")]
        public = parts[: private[0]] if private else parts
        return ".".join([package, *public])

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


def _definitions(module: str) -> Iterator[tuple[str, Any]]:
    """The classes and functions that an imported module defines, by their names."""
    for key, value in list((_names.module_space(module) or {}).items()):
        if type(key) is str and _names.own_name(value) == (module, key):
            yield f"{module}:{key}", value


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


def _is_behind(module: str) -> str:
    return f"will be looked for once `{module}` is imported"


def _declared(cls: type) -> Holder:
    """What the fields that a class declares say of what it calls with what."""
    fields = class_attribute(cls, "__dataclass_fields__")
    types_of = {
        name: found.type
        for name, found in (fields if type(fields) is dict else {}).items()
        if type(name) is str and type(found) is dataclasses.Field
    }
    calls = {name for name, form in types_of.items() if _is_callable_form(form)}
    free = any(_is_free_form(form) for form in types_of.values())
    return Holder(free=bool(calls) and free, calls=frozenset(calls))


_FORMS = ("typing", "types", "collections.abc", "_collections_abc")


def _parts_of_form(form: Any) -> tuple[Any, tuple[Any, ...]]:
    """Origin and arguments of a generic annotation of Python's own."""
    told = _names.own_name(type(form))
    if told is None or told[0] not in _FORMS:
        return form, ()
    arguments = getattr(form, "__args__", ())
    origin = getattr(form, "__origin__", form)
    return origin, arguments if type(arguments) is tuple else ()


def _is_callable_form(form: Any, depth: int = 0) -> bool:
    if type(form) is str:
        return "Callable" in form
    origin, arguments = _parts_of_form(form)
    if origin is collections.abc.Callable or origin is types.FunctionType:
        return True
    return depth < _MAX_FORM and any(
        _is_callable_form(argument, depth + 1) for argument in arguments
    )


def _is_free_form(form: Any) -> bool:
    """Whether a field may hold arguments of any kind, as those of a partial do."""
    if type(form) is str:
        bare = form.replace("typing.", "").replace("t.", "")
        return bare in _FREE or bare.startswith(_FREE_ITEMS)
    if form is Any or form is object or form is tuple or form is dict or form is list:
        return True
    origin, arguments = _parts_of_form(form)
    if origin is not tuple and origin is not dict and origin is not list:
        return False
    return any(argument is Any or argument is object for argument in arguments)


_FREE_ITEMS = ("tuple[Any", "dict[str, Any", "list[Any")
_FREE = {"Any", "object", "tuple", "dict", "list"}
_MAX_FORM = 4


def _is_tool(part: str) -> bool:
    """Whether a module is part of a program or of the tests, by its name."""
    plain = part.strip("_").lower()
    return plain in _TOOLS or plain.startswith("test_") or plain.endswith("_test")


_TOOLS = frozenset(
    """
    benchmark benchmarks cli command commands conftest demo docs example examples main
    script scripts setup test testing tests
    """.split()
)


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
    refusals: list[Verdict],
    file: str,
    waiting: Iterable[tuple[Use, str]],
    *,
    idle: Iterable[str],
    idle_renames: Iterable[str],
) -> UntrustedError:
    trust = tuple(dict.fromkeys(r.trust for r in refusals if r.trust is not None))
    helped = all(refusal.trust is not None for refusal in refusals)
    text = f"{file} names what it may not use:\n" + "\n".join(_lines(refusals))
    if trust:
        names = ", ".join(f'"{name}"' for name in trust[:_MAX_SHOWN])
        what = "If you trust this file" if helped else "For those that trust would help"
        text += f"\n{what}, pass `trusted=[{names}]`."
    text += '\nTo look at the file without them, pass `unknown="opaque"`.'
    modules = list(dict.fromkeys(shown(module) for _, module in waiting))
    if modules:
        listed = ", ".join(f"`{module}`" for module in modules[:_MAX_ALSO])
        more = len(modules) - _MAX_ALSO
        text += (
            f"\nNot imported for it, and so not looked at yet: {listed}"
            f"{f' and {more} more' if more > 0 else ''}."
        )
    for name in sorted(idle):
        text += f"\nNothing in it belongs to `{shown(name)}`, which you trust."
    for name in sorted(idle_renames):
        text += f"\nNothing in it is called `{shown(name)}`, which you rename."
    return UntrustedError(text, refusals, trust)


def _lines(refusals: list[Verdict]) -> list[str]:
    """One line for each reason in a package, and one for the others it holds for."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for refusal in refusals:
        module = refusal.name.partition(":")[0]
        reason = refusal.reason.replace(module, _names.top(module))
        groups.setdefault((_names.top(module), reason), []).append(refusal)
    lines: list[str] = []
    for first, *others in list(groups.values())[:_MAX_SHOWN]:
        lines.append(f"  {_placed(first)} {first.reason}.")
        also = [_placed(refusal) for refusal in others[:_MAX_ALSO]]
        also += [f"{len(others) - _MAX_ALSO} more"] * (len(others) > _MAX_ALSO)
        if also:
            lines.append(f"    The same holds for {', '.join(also)}.")
    if len(groups) > _MAX_SHOWN:
        lines.append(f"  … and {len(groups) - _MAX_SHOWN} more.")
    return lines


_MAX_ALSO = 8


def _placed(refusal: Verdict) -> str:
    return f"`{shown(refusal.name)}` at `{shown(refusal.path)}`"


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
        if "__slots__" in _names.namespace(base)  # C has members too, as `complex`
        for value in _names.namespace(base).values()
    )
    for name in ("__dictoffset__", "__weakrefoffset__"):
        members += _layout(cls, name) > 0
    return _layout(cls, "__basicsize__") <= object.__basicsize__ + 8 * members


def _layout(cls: type, name: str) -> int:
    return type.__dict__[name].__get__(cls)  # past the metaclass


def is_own_code(module: str) -> bool:
    """Whether a module is the user's: `__main__`, or a file outside every library."""
    if module == "__main__":
        return True
    if _names.top(module) == "zodiax_io":
        return False
    space = _names.module_space(module)
    file = None if space is None else space.get("__file__")
    return type(file) is str and not _libraries.is_library_file(file)


def _spec(package: str) -> importlib.machinery.ModuleSpec | None:
    if package in sys.modules:  # `find_spec` would ask the module, which may be lazy
        space = _names.module_space(package)
        spec = None if space is None else space.get("__spec__")
        return spec if type(spec) is importlib.machinery.ModuleSpec else None
    try:
        return _libraries.find_anywhere(package)
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
        except LIMITS:
            raise
        except Exception:  # what a package says of itself may be anything
            return None
        return (parent, parts[n]) if spec is None else None
    return None


def _installed_spec(package: str) -> ModuleSpec | None:
    """Where a package of a library lies: as it is imported, or as it would be."""
    try:
        spec = _spec(package) if package in sys.modules else _libraries.find(package)
    except (ImportError, ValueError):
        return None
    return spec if spec is not None and _modules.is_in_library(spec) else None


def _is_beside_library(spec: ModuleSpec | None, module: str) -> bool:
    """Whether a module of a namespace package would come from the working folder.

    One that is imported already is searched in all of its folders.
    """
    package, *parts = module.split(".")
    if spec is None or spec.origin is not None:
        return False
    for part in parts:
        found = _modules.find_in(spec, part, anywhere=package in sys.modules)
        if found is None or not _modules.is_in_library(found):
            return True
        spec = found
    return False


def is_installed(package: str) -> bool:
    """Whether a package lies in a library, not merely in the working folder."""
    return _names.is_standard(package) or _installed_spec(package) is not None
