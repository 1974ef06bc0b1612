"""Judges all names of a file.

Nothing here calls, compares or prints the object under a name. A module is imported
only once every name of the file is judged.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

from .._errors import ArgumentError
from . import names, reflection
from .advice import Decision, Verdict, untrusted, verdict
from .answers import Accept, ImportFirst, Refuse
from .finding import Finder, Unresolved
from .holding import declared_holder
from .importing import import_modules
from .origins import is_own
from .question import Question
from .renames import checked_renames, current
from .roles import Holder, Role, Use, calls_with_inputs
from .rules import decide
from .table import PACKAGES
from .trusted import Trust, TrustInAll, is_below


class Judge:
    """Decides about every name of one file, for one call.

    Parameters
    ----------
    trusted : sequence of str, module, class or function
        Packages or modules by name, names as a file spells them, or the very objects.
    renames : dict of str to str, class or function, optional
        New names by those in the file, as well as those declared by `renamed`.
    unknown : {"error", "opaque"}
        Whether names that may not be used raise an error or become `Unresolved`.

    Attributes
    ----------
    lenient : bool
        Whether `unknown` is "opaque".

    Raises
    ------
    ArgumentError
        If `trusted` or `renames` contains anything else, or an empty name.
    """

    def __init__(
        self, trusted: Any = (), renames: Any = None, unknown: Any = "error"
    ) -> None:
        if unknown not in ("error", "opaque"):
            raise ArgumentError(
                f'`unknown` is "error" or "opaque", not {unknown!r:.80}.'
            )
        self.lenient = unknown == "opaque"
        self._trust = Trust(trusted)
        self._finder = Finder(self._trust)
        self._renames = checked_renames(renames)
        self._unused_renames = set(renames or ())  # those of this call
        self._objects: dict[tuple[str, Role], Any] = {}

    @property
    def script(self) -> str | None:
        """The module name of the script that wrote the file."""
        return self._finder.script

    @script.setter
    def script(self, module: str | None) -> None:
        self._finder.script = module

    def audit(
        self, uses: Iterable[Use], file: str, needed: Container[str] | None = None
    ) -> None:
        """Judge every name, and import the modules that names wait for.

        One error lists all refused names; a lenient judge replaces them by
        `Unresolved`. If only some names are `needed`, no other causes an error.

        Raises
        ------
        UntrustedError
            With every refused name, its path and what to do.
        """
        uses = list(uses)
        decisions, waiting = self._decide_each(uses)
        if waiting and self._may_import(decisions, needed):
            self._import(waiting)
            decisions, still_waiting = self._decide_each(uses)
            decisions += [_not_imported_yet(each, "missing") for each in still_waiting]
            waiting = []
        refused = [
            one
            for one in decisions
            if one.status != "trusted" and (needed is None or one.use.name in needed)
        ]
        if needed is not None:  # it is not known yet whether these are refused
            refused += [
                _not_imported_yet(each, "missing")
                for each in waiting
                if each.use.name in needed
            ]
        if self.lenient:
            for use, _, reason, _ in refused:
                self._objects[use.name, use.role] = Unresolved(reason)
        elif refused:
            raise untrusted(
                [verdict(one) for one in refused],
                file,
                [module for _, module in waiting],
                unused_trust=self._trust.unused,
                unused_renames=self._unused_renames,
            )

    def prepare(self, uses: Iterable[Use]) -> None:
        """Import the modules that names wait for, if no name is refused or missing."""
        decisions, waiting = self._decide_each(list(uses))
        if waiting and self._may_import(decisions):
            self._import(waiting)

    def _may_import(
        self, decisions: Iterable[Decision], needed: Container[str] | None = None
    ) -> bool:
        """Whether no name is refused, and none that is needed is missing.

        A lenient judge imports in any case. Without `needed`, all names are needed.
        """
        return self.lenient or not any(
            needed is None or one.status == "refused" or one.use.name in needed
            for one in decisions
            if one.status != "trusted"
        )

    def _import(self, waiting: Iterable[_Waiting]) -> None:
        failures = import_modules([module for _, module in waiting], self._trust)
        self._finder.failures.update(failures)

    def verdicts(self, uses: Iterable[Use]) -> list[Verdict]:
        """The verdict on each name, without importing anything."""
        uses = list(uses)
        decisions, waiting = self._decide_each(uses)
        decisions += [_not_imported_yet(each, "trusted") for each in waiting]
        order = {id(use): rank for rank, use in enumerate(uses)}
        decisions.sort(key=lambda one: order[id(one.use)])
        return [verdict(one) for one in decisions]

    def resolve(self, name: str, role: Role) -> Any:
        """The object under a name that `audit` has accepted."""
        return self._objects[name, role]

    def _decide_each(
        self, uses: Iterable[Use]
    ) -> tuple[list[Decision], list[_Waiting]]:
        """The decisions, and the uses that wait for a module to be imported."""
        decisions: list[Decision] = []
        waiting: list[_Waiting] = []
        for use, bound in self._distinct(uses):
            name = current(use.name, self._renames)
            self._mark_used(use.name, name)
            moved = f"was renamed to `{name}`, which " if name != use.name else ""
            question = Question(name, use.role, bound, self._finder)
            answer = decide(question)
            if isinstance(answer, ImportFirst):
                waiting.append(_Waiting(use, answer.module))
                continue
            reason = moved + answer.reason
            if isinstance(answer, Accept):
                self._objects[use.name, use.role] = question.obj
                decisions.append(Decision(use, "trusted", reason))
            else:
                status = "missing" if answer.missing else "refused"
                decisions.append(Decision(use, status, reason, answer.trust))
        return self._wait_with_others(decisions, waiting), waiting

    def _wait_with_others(
        self, decisions: list[Decision], waiting: list[_Waiting]
    ) -> list[Decision]:
        """The decisions that no import for another name of the package can change.

        A public module may import the private one that defines a name, although the
        package itself, imported before, did not.
        """
        coming = {names.top_level_package(each.module): each.module for each in waiting}
        decided: list[Decision] = []
        for one in decisions:
            module = current(one.use.name, self._renames).partition(":")[0]
            wanted = coming.get(names.top_level_package(module))
            is_absent = "._" in module and reflection.module_space(module) is None
            if wanted is not None and one.status == "missing" and is_absent:
                waiting.append(_Waiting(one.use, wanted))
            else:
                decided.append(one)
        return decided

    def _mark_used(self, in_file: str, current_name: str) -> None:
        """Note the trusted names and renames that apply to a name of the file."""
        self._trust.mark_used(in_file)
        if in_file in self._trust.names:
            self._trust.names.add(current_name)
        self._unused_renames -= {
            old
            for old in self._unused_renames
            # A rename may be of a member of an Enum, which is below its class.
            if any(is_below(n, old) for n in (in_file, current_name))
            or is_below(old, in_file)
        }

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

    def _holder(self, in_file: str) -> Holder:
        """How objects of a class, by its name in the file, call what they contain."""
        name = current(in_file, self._renames)
        try:
            module, qualname = names.split(name)
        except ValueError:
            return Holder()  # the rules refuse the name
        if module == "__main__":
            module, qualname = self._finder.home_of_main(qualname)
        found = names.lookup_or_none(f"{module}:{qualname}")
        if (
            {in_file, name} & self._trust.names
            or names.is_registered(name)
            or self._trust.covers(module)
            or self._trust.has_object(found)
            or is_own(module)
        ):
            return Holder(own=True)
        if calls_with_inputs(name):
            return Holder(passes=True)
        return declared_holder(found) if reflection.is_class(found) else Holder()

    def current_member(self, name: str, member: Any) -> Any:
        """The present name of a member of an Enum; for a list, the list of names."""
        if type(member) is list:
            return [self.current_member(name, each) for each in member]
        if type(member) is not str or not self._renames:
            return member
        cls, _, new = current(f"{name}.{member}", self._renames).rpartition(".")
        return new if cls == current(name, self._renames) else member

    def may_call(self, cls: type) -> bool:
        """Whether code of a class may run: it is own, trusted or of a known package."""
        home = (reflection.own_name(cls) or ("",))[0]
        reason = self._trust.trusted_because(cls, home)
        return reason is not None or names.top_level_package(home) in PACKAGES

    def current_name(self, name: str) -> str:
        """The present name for a name of the file; nothing is imported for it."""
        name = current(name, self._renames)
        module, _, qualname = name.partition(":")
        if module != "__main__":
            return name
        module, qualname = self._finder.home_of_main(qualname)
        if module == "__main__" and names.lookup_or_none(name) is None:
            module = self.script or module
        return f"{module}:{qualname}"

    def candidates(self, module: str) -> Iterator[tuple[str, Any]]:
        """Imported classes and functions that a missing name may have become."""
        return self._finder.suggestions.candidates(module)


class _Waiting(NamedTuple):
    """A name that is judged once a module is imported."""

    use: Use
    module: str


def _not_imported_yet(waiting: _Waiting, status: str) -> Decision:
    reason = f"will be checked once `{waiting.module}` is imported"
    return Decision(waiting.use, status, reason)


def objection(name: str, role: Role) -> str | None:
    """Why no file may use a name in a role, even if the caller trusts it; or None."""
    answer = decide(Question(name, role, False, Finder(TrustInAll())))
    return answer.reason if isinstance(answer, Refuse) else None
