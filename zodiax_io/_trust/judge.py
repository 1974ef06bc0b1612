"""Which names a file may use: one judge for the audit and for the load.

Nothing here calls, compares or prints what a name leads to; a module is imported only
once the whole file has been judged, and only when the caller or the table permits it.
"""

from __future__ import annotations

import difflib
import sys
import types
import typing
from collections.abc import Container, Iterable, Iterator
from importlib.machinery import ModuleSpec
from typing import Any

from .._errors import LIMITS, MAX_NAME, ArgumentError, shown
from . import libraries, modules, names, reflection
from .advice import (
    ALIKE,
    MAX_ALIKE,
    MAX_SEARCHES,
    Heard,
    Verdict,
    not_trusted,
    untrusted,
    verdict,
)
from .classes import handwritten_part, has_known_metaclass, is_tame
from .finding import NotYetImported, Refused, Unresolved, all_of, owner_class
from .origins import (
    installed_spec,
    is_beside_library,
    is_own,
    is_own_code,
    is_present,
    spec_of,
    without_child,
)
from .renames import checked_renames, current, is_name
from .roles import (
    CODE,
    CONSTANT,
    FUNCTION,
    MODULE,
    PLAIN,
    Holder,
    Role,
    Use,
    calls_with_inputs,
    is_function,
    is_module_class,
)
from .rules import (
    KNOWN,
    STANDARD,
    TOKENS,
    declared,
    definitions,
    fitting,
    is_behind,
    is_tool,
    not_among_functions_of,
    refuse_dangerous,
    safe_because,
)
from .table import (
    CLASSES,
    FRAMEWORKS,
    LOCAL_FUNCTIONS,
    PACKAGES,
)
from .trusted import is_below, is_well_formed

_BOUND = "would be called with arguments that the file chooses"


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
            elif isinstance(item, str) and is_well_formed(item):
                self._names.add(item)
            elif isinstance(item, str):
                if not item or not all(p.isidentifier() for p in item.split(".")):
                    raise ArgumentError(
                        f'`trusted` takes names of packages such as "mylab", '
                        f"classes and functions, not {shown(repr(item))}."
                    )
                self._packages.add(item)
            elif reflection.is_class(item) or callable(item):
                self._objects[id(item)] = item
            else:
                raise ArgumentError(
                    f'`trusted` takes names of packages such as "mylab", classes '
                    f"and functions, not a {type(item).__name__}."
                )
        self._idle = self._packages | self._names  # what no name has met yet
        self._renames = checked_renames(renames)
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
            heard += [(use, "missing", is_behind(name), None) for use, name in still]
        refused = [
            one for one in not_trusted(heard) if needed is None or one[0].name in needed
        ]
        if self.lenient:
            for use, _, reason, _ in refused:
                self._resolved[use.name, use.role] = Unresolved(reason)
        elif refused:
            raise untrusted(
                [verdict(*one) for one in refused],
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
        self, heard: Iterable[Heard], needed: Container[str] | None = None
    ) -> bool:
        """Whether nothing in a file stands against an import for it."""
        return self.lenient or not any(
            needed is None or status == "refused" or use.name in needed
            for use, status, *_ in not_trusted(heard)
        )

    def _import_all(self, waiting: Iterable[tuple[Use, str]]) -> None:
        for module in dict.fromkeys(module for _, module in waiting):
            self._import(module)

    def _import(self, module: str) -> None:
        """Import a module; if that fails, remember why until the end of this call."""
        spec = spec_of(names.top(module))
        library = spec is not None and modules.is_in_library(spec)
        try:
            if self._trusts(module) and not library:
                libraries.import_anywhere(module)
            elif is_beside_library(spec, module):
                self._failures[module] = "it is not in a library folder"
                return
            else:
                libraries.import_library(module)
        except LIMITS:
            raise
        except (Exception, SystemExit) as error:
            self._failures[module] = modules.failure(error)
        else:
            if reflection.module_space(module) is None:
                self._failures[module] = "it puts nothing of that name there"

    def verdicts(self, uses: Iterable[Use]) -> list[Verdict]:
        """What becomes of each name, without importing anything."""
        uses = list(uses)
        heard, waiting = self._hear(uses)
        heard += [(use, "trusted", is_behind(module), None) for use, module in waiting]
        order = {id(use): rank for rank, use in enumerate(uses)}
        return [verdict(*one) for one in sorted(heard, key=lambda h: order[id(h[0])])]

    def resolve(self, name: str, role: Role) -> Any:
        """The object under a name that `audit` has accepted."""
        return self._resolved[name, role]

    def _hear(self, uses: Iterable[Use]) -> tuple[list[Heard], list[tuple[Use, str]]]:
        """What is to be said of each, and those whose modules were to be imported."""
        heard: list[Heard] = []
        waiting: list[tuple[Use, str]] = []
        for use, bound in self._distinct(uses):
            self._idle -= {t for t in self._idle if is_below(use.name, t)}
            name = current(use.name, self._renames)
            self._idle_renames -= {
                old
                for old in self._idle_renames
                # A member of an Enum lies below the name of its class.
                if is_below(use.name, old)
                or is_below(name, old)
                or is_below(old, use.name)
            }
            moved = f"is called `{name}` now, which " if name != use.name else ""
            try:
                if use.name in self._names:
                    self._names.add(name)
                found, reason = self._judge(name, use.role, bound)
            except NotYetImported as absent:
                waiting.append((use, absent.module))
            except Refused as refused:
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
        given, name = name, current(name, self._renames)
        try:
            module, qualname = names.split(name)
        except ValueError:
            return Holder()  # refused for its name
        if module == "__main__":
            module, qualname = self._in_main(qualname)
        found = names.find(f"{module}:{qualname}")
        if (
            {given, name} & self._names
            or names.is_registered(name)
            or self._trusts(module)
            or id(found) in self._objects
            or is_own(module)
        ):
            return Holder(own=True)
        if calls_with_inputs(name):
            return Holder(passes=True)
        return declared(found) if reflection.is_class(found) else Holder()

    def member_now(self, name: str, member: Any) -> Any:
        """What a member, or several, of an Enum of the file is called now."""
        if type(member) is list:
            return [self.member_now(name, each) for each in member]
        if type(member) is not str or not self._renames:
            return member
        cls, _, now = current(f"{name}.{member}", self._renames).rpartition(".")
        return now if cls == current(name, self._renames) else member

    def may_call(self, cls: type) -> bool:
        """Whether code of a class may run: your own, trusted, or of the field."""
        home = (reflection.own_name(cls) or ("",))[0]
        return self._vouched(cls, home) is not None or names.top(home) in PACKAGES

    def now(self, name: str) -> str:
        """What a name of the file is called now, where it can be told by the name."""
        name = current(name, self._renames)
        module, _, qualname = name.partition(":")
        if module != "__main__":
            return name
        module, qualname = self._in_main(qualname)
        if module == "__main__" and names.find(name) is None:
            module = self.script or module
        return f"{module}:{qualname}"

    def _judge(self, name: str, role: Role, bound: bool) -> tuple[Any, str]:
        """The object under a name, and why a file may use it so."""
        try:
            module, qualname = names.split(name)
        except ValueError as error:
            raise Refused(f"is not a name that a file may hold: {error}") from None
        if names.is_registered(name):
            return fitting(names.resolve(name), role), "is registered"
        if module == "__main__":
            module, qualname = self._in_main(qualname)
        package = names.top(module)
        if names.is_curated(module, qualname) and not role.builds:
            found = self._find(module, qualname, package, curated=True)
            return fitting(found, role), "is in the table of what any file may use"
        if package == "zodiax_io":
            raise Refused("belongs to zodiax_io itself, which no file may use")
        if names.is_standard(package):
            raise Refused(STANDARD)
        try:
            found = self._find(module, qualname, package, curated=False)
        except Refused as refused:
            if bound and not self._may_be_bound(None, module):
                trust = refused.trust
                raise all_of([refused, Refused(_BOUND, trust=trust)]) from None
            raise
        if name in self._names:
            self._objects[id(found)] = found
        if not is_tame(found if reflection.is_class(found) else type(found)):
            raise Refused("has a metaclass that runs code of its own")
        if role is CODE and package in FRAMEWORKS:
            raise Refused(not_among_functions_of(package))
        if not names.is_honest(found, module, qualname):
            if not callable(found):  # a plain value, which is imported from nowhere
                raise Refused(
                    f"is {role.words} in the file, and a value of the type "
                    f"`{shown(type(found).__name__)}` here"
                )
            raise Refused(
                f"is not defined in `{package}`, only imported there, "
                "so it is not what it claims to be"
            )
        told = reflection.own_name(found)
        home = told[0] if told is not None else module
        if names.is_standard(names.top(home)):
            raise Refused(STANDARD)
        fitting(found, role)
        reason, refusals = "", list[Refused]()
        try:
            if reflection.is_class(found):
                reason = self._judge_class(found, module, home, role)
            else:
                reason = self._judge_value(found, module, qualname, home, role)
        except Refused as refused:
            refusals.append(refused)
        if bound and not self._may_be_bound(found, home):
            refusals.append(Refused(_BOUND, trust=names.top(home)))
        if refusals:
            raise all_of(refusals)
        return found, reason

    def _in_main(self, qualname: str) -> tuple[str, str]:
        """Where something is now that was defined in the script which wrote the file.

        In this script; where this one imports it from; or in the module that the
        script is when it is imported.
        """
        try:
            found = names.lookup("__main__", qualname)
        except LookupError:
            script = self.script
            if script is not None and is_own_code(script):
                return script, qualname
            return "__main__", qualname
        told = reflection.own_name(found)
        if told is not None and told[1] == qualname and names.is_at(found, *told):
            return told
        return "__main__", qualname

    def _find(self, module: str, qualname: str, package: str, curated: bool) -> Any:
        if reflection.module_space(module) is None:
            raise self._absent(module, qualname, package, curated)
        try:
            return names.lookup(module, qualname)
        except LookupError:
            advice = ""
            if module == "__main__":
                script = self.script or "the_script"
                first = qualname.partition(".")[0]
                advice = (
                    "; it was defined in the script or notebook that saved it: define "
                    f"it, or write `from {script} import {first}`"
                )
            raise Refused(
                f"does not exist here: `{module}` has no `{qualname}`"
                f"{advice or self._near(module, qualname)}",
                missing=True,
            ) from None

    def _near(self, module: str, qualname: str) -> str:
        """What is called alike in the same package, a trusted one or one's own."""
        if names.top(module) in FRAMEWORKS:  # of thousands of names some are alike
            return ""
        alike = self.alike(module, qualname)
        if not alike or not is_name(f"{module}:{qualname}"):
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
        if self._searches > MAX_SEARCHES or len(wanted) > MAX_NAME:
            return []  # a file may name any number of things that are not there
        scores: dict[str, float] = {}
        matcher = difflib.SequenceMatcher(b=wanted)
        for name, _ in self.known(module):
            home, _, key = name.partition(":")
            matcher.set_seq1(key)
            if matcher.real_quick_ratio() < ALIKE or matcher.quick_ratio() < ALIKE:
                continue
            ratio = matcher.ratio()
            if ratio >= ALIKE:
                near = difflib.SequenceMatcher(None, module[:MAX_NAME], home).ratio()
                scores[name] = ratio + 0.5 * near
        return sorted(scores, key=lambda name: -scores[name])[:MAX_ALIKE]

    def known(self, module: str) -> Iterator[tuple[str, Any]]:
        """What is imported of a module's package, of trusted ones, and of one's own."""
        trusted = {names.top(name) for name in self._packages}
        package = names.top(module)
        if self._always is None:  # the same for every name of a file
            self._always = [
                item
                for name in list(sys.modules)
                if names.top(name) in trusted or is_own(name)
                for item in definitions(name)
            ]
        yield from self._always
        for name in list(sys.modules):
            if names.top(name) == package not in trusted and not is_own(name):
                yield from definitions(name)

    def _absent(
        self, module: str, qualname: str, package: str, curated: bool
    ) -> Exception:
        """Whether a module that is not imported may be; if not, what to do about it.

        Of a package that the caller trusts, the module that the file names may be. Of a
        known package, only a public one in a library folder that mentions the name; of
        a framework, only those of the table.
        """
        parent = without_child(module)
        if parent is not None:
            text = f"does not exist here: `{parent[0]}` has no module `{parent[1]}`"
            return Refused(text + self._near(module, qualname), missing=True)
        trusted = self._trusts(module) and package not in FRAMEWORKS
        if not trusted and not (package in PACKAGES or curated):
            if not is_present(package):
                near = self._near(module, qualname)
                return Refused(
                    f"needs `{package}`, which is neither imported nor installed"
                    f"{near or '; `renames=` says if it is called otherwise now'}",
                    missing=True,
                )
            return Refused(
                f"is not imported: trust it, or write `import {module}` first if it is "
                "your own",
                trust=package,
                missing=True,
            )
        spec = spec_of(package) if trusted else installed_spec(package)
        if spec is None and not (trusted and is_present(package)):
            return Refused(
                f"needs the package `{package}`, which is not installed", missing=True
            )
        wanted: str | None = module
        if not trusted and not curated and module not in CLASSES:
            assert spec is not None
            try:
                wanted = self._public_part(spec, module, qualname)
            except Refused as refused:
                return refused
        why = None if wanted is None else self._failures.get(wanted)
        if why is not None:
            return Refused(
                f"needs `{wanted}`, which cannot be imported ({why})", missing=True
            )
        if wanted is not None and reflection.module_space(wanted) is None:
            return NotYetImported(wanted)
        if package in FRAMEWORKS:
            advice = f"is not imported: write `import {module}` first"
            return Refused(advice, missing=True)
        return Refused(
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
        if any(is_tool(part) for part in parts):
            return None
        found = spec
        for part in parts:
            child = modules.find_in(found, part)
            if child is None:
                text = f"does not exist here: `{found.name}` has no module `{part}`"
                raise Refused(text + self._near(module, qualname), missing=True)
            found = child
        if not modules.mentions(found, qualname.partition(".")[0]):
            if modules.may_fill_itself(found):
                return None  # only an import tells, which is for the caller to decide
            raise Refused(
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
            refuse_dangerous(cls, role)
        package = names.top(home)
        vouched = self._vouched(cls, home)
        if vouched is None and not has_known_metaclass(cls):
            raise Refused("has a metaclass of its own", trust=package)
        # A class of a framework may do anything when it is called, as `numpy.memmap`.
        if vouched is not None and (package not in FRAMEWORKS or role in PLAIN):
            return vouched
        told = reflection.own_name(cls)
        name = "" if told is None else told[1]
        if name in CLASSES.get(module, ()) + CLASSES.get(home, ()):
            return "is in the table of what any file may use"
        handwritten = handwritten_part(cls)
        if is_module_class(cls) and handwritten is not None:
            raise Refused(f"writes its own `{handwritten}`", trust=package)
        reason = safe_because(cls, package, role, handwritten)
        if reason is None and package in FRAMEWORKS and role not in PLAIN:
            raise Refused(
                f"belongs to `{package}`, whose classes are trusted one by one, by "
                "`zodiax_io.register`"
            )
        if reason is None:
            raise Refused("is not trusted", trust=package)
        return reason

    def _judge_value(
        self, obj: Any, module: str, qualname: str, home: str, role: Role
    ) -> str:
        package = names.top(home)
        if role is FUNCTION and not is_function(obj) and not is_module_class(type(obj)):
            raise Refused("is not a function")
        owner = owner_class(module, qualname)
        if owner is not None and is_module_class(owner):
            # A method is as trustworthy as its class; calling it is the caller's doing.
            told = reflection.own_name(owner)
            return self._judge_class(owner, module, told[0] if told else home, MODULE)
        if role is CONSTANT:
            return self._judge_constant(obj)
        if package in FRAMEWORKS:
            raise Refused(not_among_functions_of(package))
        vouched = self._vouched(obj, home)
        if vouched is not None:
            return vouched
        if role is CODE and package in LOCAL_FUNCTIONS:
            return KNOWN
        raise Refused("is not trusted", trust=package)

    def _judge_constant(self, obj: Any) -> str:
        if type(obj) is object:
            return "is a bare object, which does nothing"
        homes = names.homes_of(obj)
        home = homes[0] if type(obj) is typing.TypeVar else homes[-1]
        package = names.top(home)
        if names.is_standard(package):
            raise Refused("is an object of Python's standard library")
        if package in FRAMEWORKS and home != TOKENS:
            raise Refused(f"is an object of `{package}` that a file may not use")
        vouched = self._vouched(obj, home)
        if vouched is not None:
            return vouched
        if package in PACKAGES - FRAMEWORKS and not callable(obj):
            return KNOWN
        raise Refused("is not trusted", trust=package)

    def _may_be_bound(self, obj: Any, home: str) -> bool:
        """Whether a file may choose the arguments of a call that it prepares.

        Your own functions are trusted to be called by your own code, as they are.
        """
        known = names.top(home) in PACKAGES
        return known or self._trusts(home) or id(obj) in self._objects


class _Everything(Judge):
    """A judge who trusts all packages, and so finds only what no trust would help."""

    def _trusts(self, module: str) -> bool:
        return True

    def objection(self, name: str, role: Role) -> str | None:
        try:
            self._judge(name, role, False)
        except Refused as refused:
            return refused.reason
        return None


def objection(name: str, role: Role) -> str | None:
    """Why no file may use a name in a role, however much it is trusted; or None."""
    return _Everything().objection(name, role)
