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
    """One rule, with its meaning for the table; it has no answer where it is None."""

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
ANY, CLASS, CONST, OTHER = "any name", "a class", "a constant", "a function"

RULES = (
    Rule(ANY, checks.not_a_name, "refused: not of the form `package.module:Qual.Name`"),
    Rule(ANY, checks.registered, "accepted: your program has registered the object"),
    Rule(ANY, checks.in_the_table, "accepted: a pure function, or a type as a value"),
    Rule(ANY, checks.of_zodiax_io, "refused: no file has a use for zodiax_io itself"),
    Rule(ANY, checks.of_the_standard_library, "refused: `os`, `subprocess`, …"),
    Rule(ANY, checks.not_found, "refused, or imported first: nothing imported has it"),
    Rule(ANY, checks.code_in_metaclass, "refused: to look at the class runs code"),
    Rule(ANY, checks.local_function_of_framework, "refused: not one of the table"),
    Rule(ANY, checks.imported_from_elsewhere, "refused: another package defines it"),
    Rule(ANY, checks.defined_in_standard_library, "refused: it is Python's own"),
    Rule(ANY, checks.wrong_role, "refused: not what the file uses it as"),
    # The next six, too, hold for what the caller trusts.
    Rule(CLASS, checks.has_finaliser, "refused: its `__del__` would run"),
    Rule(CLASS, checks.built_on_type_in_c, "refused: fields alone do not make one"),
    Rule(CONST, checks.bare_object, "accepted: made by `object()`, and does nothing"),
    Rule(CONST, checks.constant_of_standard_library, "refused: it is Python's own"),
    Rule(CONST, checks.constant_of_framework, "refused: of JAX, NumPy, Equinox, …"),
    Rule(OTHER, checks.function_of_framework, "refused: not one of the table"),
    Rule(ANY, checks.trusted, "accepted: you trust it, or it is your own code"),
    # From here on it is the code of others, which the caller does not trust.
    Rule(CLASS, checks.has_metaclass, "refused: its metaclass is not a known one"),
    Rule(CLASS, checks.class_in_the_table, "accepted: one of a few of JAX and Equinox"),
    Rule(CLASS, checks.special_methods, "refused: a Module with its own `__eq__`, …"),
    Rule(CLASS, checks.equinox_module, "accepted: it is built by its fields alone"),
    Rule(CLASS, checks.class_as_value, "accepted: known, and nothing is built of it"),
    Rule(CLASS, checks.namedtuple_or_enum, "accepted: of a known package, only values"),
    Rule(CLASS, checks.class_of_the_field, "accepted: built by its fields alone"),
    Rule(CLASS, checks.class_of_framework, "refused: may do anything when called"),
    Rule(CONST, checks.constant_of_the_field, "accepted: not callable, known package"),
    Rule(ANY, checks.local_function, "accepted: made by a package whose code was read"),
    Rule(ANY, checks.not_trusted, "refused: all else needs your trust"),
)

# Asked as well about what is called with arguments that the file chooses.
CALL_RULES = (
    Rule(ANY, checks.arguments_from_the_file, "refused: neither known nor trusted"),
)


def decide(question: Question) -> Answer:
    """Whether a file may use a name, by the rules."""
    answer = _first_answer(RULES, question)
    assert answer is not None  # the last rule always answers
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
