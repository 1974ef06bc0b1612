"""The rules by which a file may use a name.

They are asked in this order, and the first that answers decides. `checks` has the code
of each, and docs/security.md shows them as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import checks
from .answers import Accept, Answer, ImportFirst, Refuse
from .question import Question
from .roles import CONSTANT


class Rule(NamedTuple):
    """One rule. `answer` gives None if the rule does not decide the question."""

    about: str
    answer: Callable[[Question], Answer | None]
    meaning: str

    def applies(self, question: Question) -> bool:
        """Whether the rule is about the object that a name leads to."""
        if self.about == ANY:
            return True
        if question.cls is not None:
            return self.about == CLASS
        return self.about == (CONST if question.role is CONSTANT else OTHER)


# A method of an Equinox Module is judged by its class.
ANY, CLASS, CONST, OTHER = "any name", "a class", "a constant", "other objects"

RULES = (
    Rule(ANY, checks.not_a_name, "refused: not of the form `package.module:Qual.Name`"),
    Rule(ANY, checks.registered, "accepted: your program has registered the object"),
    Rule(ANY, checks.in_table, "accepted: a pure function, or a type as a value"),
    Rule(ANY, checks.standard_class, "accepted: one of Python's that hold data only"),
    Rule(ANY, checks.in_module_of_role, "accepted: a unit, … that zodiax_io makes"),
    Rule(ANY, checks.of_zodiax_io, "refused: code that could load and import"),
    Rule(ANY, checks.of_standard_library, "refused: `os.system`, `builtins.eval`, …"),
    Rule(ANY, checks.module_not_in_table, "refused: a module outside of the table"),
    Rule(ANY, checks.not_found, "refused, or its package is imported first"),
    Rule(ANY, checks.code_in_metaclass, "refused: to read the class would run code"),
    Rule(ANY, checks.local_function_of_framework, "refused: made in JAX, NumPy, …"),
    Rule(ANY, checks.imported_from_elsewhere, "refused: another package defines it"),
    Rule(ANY, checks.defined_in_standard_library, "refused: Python defines it"),
    Rule(ANY, checks.wrong_role, "refused: a class used as a function, and the like"),
    # The next six apply even if the caller trusts the name.
    Rule(CLASS, checks.has_finaliser, "refused: its `__del__` would run"),
    Rule(CLASS, checks.built_on_type_in_c, "refused: its state is not all in fields"),
    Rule(CONST, checks.bare_object, "accepted: made by `object()`, it does nothing"),
    Rule(CONST, checks.constant_of_standard_library, "refused: its class is Python's"),
    Rule(CONST, checks.constant_of_framework, "refused: its class is of JAX, NumPy, …"),
    Rule(OTHER, checks.function_of_framework, "refused: not in the table of functions"),
    Rule(ANY, checks.trusted, "accepted: you trust it, or it is your own code"),
    # From here on the name belongs to other people's code, which is not trusted.
    Rule(CLASS, checks.unknown_metaclass, "refused: not of Python or a known package"),
    Rule(CLASS, checks.class_in_table, "accepted: one of the few listed by name"),
    Rule(CLASS, checks.special_methods, "refused: a Module with its own `__eq__`, …"),
    Rule(CLASS, checks.equinox_module, "accepted: built by setting its fields"),
    Rule(CLASS, checks.class_as_value, "accepted: known, and used only as a value"),
    Rule(CLASS, checks.namedtuple_or_enum, "accepted: of a known package, no code"),
    Rule(CLASS, checks.class_of_known_package, "accepted: built by setting its fields"),
    Rule(CLASS, checks.class_of_framework, "refused: a call of it may do anything"),
    Rule(CONST, checks.constant_of_known_package, "accepted: it cannot be called"),
    Rule(ANY, checks.local_function, "accepted: of a package that we have reviewed"),
    Rule(ANY, checks.not_trusted, "refused: everything else needs your trust"),
)

# Asked as well if the object is called with arguments that the file chooses.
CALL_RULES = (
    Rule(ANY, checks.arguments_from_file, "refused: such a call needs your trust"),
)


def decide(question: Question) -> Answer:
    """Whether a file may use a name, by the rules."""
    answer = _first_answer(RULES, question)
    assert answer is not None  # the last rule always answers
    if isinstance(answer, ImportFirst):
        answer = checks.refused_once_imported(question) or answer
    if isinstance(answer, ImportFirst) or not question.bound:
        return answer
    if isinstance(answer, Refuse) and answer.trust is None and not answer.missing:
        return answer  # trust in the call would not help
    refused = _first_answer(CALL_RULES, question)
    if not isinstance(refused, Refuse):
        return answer
    if isinstance(answer, Accept):
        return refused
    return answer._replace(reason=f"{answer.reason}, and {refused.reason}")


def _first_answer(rules: Iterable[Rule], question: Question) -> Answer | None:
    for rule in rules:
        if rule.applies(question):
            answer = rule.answer(question)
            if answer is not None:
                return answer
    return None
