"""The rules one by one: each returns an answer, or None to leave it to the next rule.

`rules` lists them in their order, each with its meaning.
"""

from __future__ import annotations

import equinox as eqx
import numpy as np
from jaxtyping import AbstractDtype

from .._errors import shown
from . import names, reflection
from .answers import Accept, Answer, Refuse
from .classes import handwritten_method, has_known_metaclass, metaclass_runs_code
from .question import Question
from .reflection import has_python_layout
from .roles import (
    CODE,
    DATACLASS,
    DEFAULTS,
    FUNCTION,
    INSTANCE,
    LINEN,
    MARKER,
    MODULE,
    PARAMETRIC,
    PLAIN,
    PYTHON_MODULE,
    SUBCLASS,
    UNFLATTENED,
    is_enum,
    is_function,
    is_module_class,
    is_namedtuple,
    is_node_class,
)
from .table import CLASSES, FRAMEWORKS, LOCAL_FUNCTIONS, PACKAGES

_IN_TABLE = Accept("is in the table of names that any file may use")
_KNOWN = Accept("belongs to a known package")
_STANDARD = Refuse("belongs to Python's standard library, which no file may use")

# Any name -----------------------------------------------------------------------------


def not_a_name(question: Question) -> Answer | None:
    wrong = question.malformed
    return None if wrong is None else Refuse(f"is not a valid name: {wrong}")


def registered(question: Question) -> Answer | None:
    if not question.is_registered:
        return None
    return _does_not_fit(question) or Accept("is registered")


def in_table(question: Question) -> Answer | None:
    if not question.is_in_table:
        return None
    return question.obstacle or _does_not_fit(question) or _IN_TABLE


def standard_class(question: Question) -> Answer | None:
    if not question.is_standard_class:
        return None
    return question.obstacle or _does_not_fit(question) or _IN_TABLE


def in_module_of_role(question: Question) -> Answer | None:
    if not question.is_in_module_of_role:
        return None
    accepted = Accept(f"is {question.role.words}, which zodiax_io makes by itself")
    return question.obstacle or _does_not_fit(question) or accepted


def of_zodiax_io(question: Question) -> Answer | None:
    refused = Refuse("belongs to zodiax_io itself, which no file may use")
    return refused if question.package == "zodiax_io" else None


def of_standard_library(question: Question) -> Answer | None:
    return _STANDARD if names.is_standard(question.package) else None


def module_not_in_table(question: Question) -> Answer | None:
    """Before `not_found`: no module is imported that is refused in any case."""
    if question.role is not PYTHON_MODULE:
        return None
    if question.package in FRAMEWORKS:
        return _not_among("modules", question.package)
    if question.package not in PACKAGES or question.trust.covers(question.module):
        return None
    return Refuse("is not trusted", trust=question.package)


def not_found(question: Question) -> Answer | None:
    return question.obstacle


def code_in_metaclass(question: Question) -> Answer | None:
    cls = question.obj if reflection.is_class(question.obj) else type(question.obj)
    refused = Refuse("has a metaclass that would run code")
    return refused if metaclass_runs_code(cls) else None


def local_function_of_framework(question: Question) -> Answer | None:
    made_in_framework = question.role is CODE and question.package in FRAMEWORKS
    return _not_among("functions", question.package) if made_in_framework else None


def _not_among(objects: str, package: str) -> Refuse:
    return Refuse(
        f"is not among the {objects} of `{package}` that a file may use; to allow it, "
        "pass it to `zodiax_io.register` in your program"
    )


def imported_from_elsewhere(question: Question) -> Answer | None:
    obj = question.obj
    if names.is_defined_at(obj, question.module, question.qualname):
        return None
    # A plain value does not know where it is defined; a module has no qualified name.
    if question.qualname and not callable(obj):
        cls = shown(type(obj).__name__)
        return Refuse(
            f"is {question.role.words} in the file, but an object of type `{cls}` here"
        )
    return Refuse(f"is not defined in `{question.package}`, only imported there")


def defined_in_standard_library(question: Question) -> Answer | None:
    return _STANDARD if names.is_standard(question.defining_package) else None


def wrong_role(question: Question) -> Answer | None:
    is_callable = is_function(question.obj) or is_module_class(type(question.obj))
    if question.role is FUNCTION and not is_callable:
        return Refuse(f"is not {FUNCTION.words}")
    return _does_not_fit(question)


def _does_not_fit(question: Question) -> Refuse | None:
    refused = Refuse(f"is not {question.role.words}")
    return None if question.role.accepts(question.obj) else refused


# Classes ------------------------------------------------------------------------------


def has_finaliser(question: Question) -> Answer | None:
    spaces = map(reflection.namespace, reflection.mro(question.cls))
    if question.cls_role.builds and any("__del__" in space for space in spaces):
        return Refuse("has a `__del__`, which would run when the object is deleted")
    return None


def built_on_type_in_c(question: Question) -> Answer | None:
    by_fields = question.cls_role in (MODULE, DATACLASS, LINEN, MARKER, INSTANCE)
    refused = Refuse("derives from a type written in C")
    return refused if by_fields and not has_python_layout(question.cls) else None


def unknown_metaclass(question: Question) -> Answer | None:
    if question.trusted_because or has_known_metaclass(question.cls):
        return None
    return Refuse("has a metaclass that is not known", trust=question.home_package)


def class_in_table(question: Question) -> Answer | None:
    _, name = reflection.own_name(question.cls) or ("", "")
    modules = question.module, question.home
    return _IN_TABLE if any(name in CLASSES.get(m, ()) for m in modules) else None


def special_methods(question: Question) -> Answer | None:
    method = handwritten_method(question.cls)
    if method is None or not is_module_class(question.cls):
        return None
    return Refuse(f"defines its own `{method}`", trust=question.home_package)


def equinox_module(question: Question) -> Answer | None:
    # To make a class of type parameters may run code of the class.
    makes_classes = question.cls_role in (CODE, PARAMETRIC)
    fits = not makes_classes and is_module_class(question.cls)
    return Accept("is an equinox Module") if fits else None


def class_as_value(question: Question) -> Answer | None:
    if question.cls_role is CODE or question.cls_role.builds:
        return None
    package = question.home_package
    data = package in FRAMEWORKS and _is_of_data(question.cls)
    enumeration = type(question.cls) is type(eqx.Enumeration)
    return _KNOWN if data or enumeration or _is_known(package) else None


def _is_of_data(cls: type) -> bool:
    """Whether a call of a class does no more than make or find a small value."""
    bases = (np.generic, BaseException, AbstractDtype)
    is_plain = is_enum(cls) or is_namedtuple(cls)
    return is_plain or any(reflection.derives(cls, base) for base in bases)


def _is_known(package: str) -> bool:
    """Whether all of a package is known; frameworks have functions no file may use."""
    return package in PACKAGES and package not in FRAMEWORKS


def namedtuple_or_enum(question: Question) -> Answer | None:
    if not _is_built_without_code(question):
        return None
    return _KNOWN if is_namedtuple(question.cls) or is_enum(question.cls) else None


def class_of_known_package(question: Question) -> Answer | None:
    if not _is_built_without_code(question) or question.cls_role is UNFLATTENED:
        return None
    fits = is_node_class(question.cls) or question.cls_role in _BY_ATTRIBUTES
    return _KNOWN if fits and _is_known(question.home_package) else None


_BY_ATTRIBUTES = (DATACLASS, LINEN, MARKER, DEFAULTS, INSTANCE, SUBCLASS)


def _is_built_without_code(question: Question) -> bool:
    """Whether a load builds instances of a known class without running any method."""
    known = question.cls_role.builds and question.home_package in PACKAGES
    return known and handwritten_method(question.cls) is None


def class_of_framework(question: Question) -> Answer | None:
    package = question.home_package
    refused = package in FRAMEWORKS and question.cls_role not in PLAIN
    return _not_among("classes", package) if refused else None


# Constants ----------------------------------------------------------------------------


def bare_object(question: Question) -> Answer | None:
    accepted = Accept("is an `object()`, which does nothing")
    return accepted if type(question.obj) is object else None


def constant_of_standard_library(question: Question) -> Answer | None:
    refused = Refuse("is a constant of Python's standard library")
    return refused if names.is_standard(question.home_package) else None


def constant_of_framework(question: Question) -> Answer | None:
    package = question.home_package
    refused = Refuse(f"is a constant of `{package}` that no file may use")
    return refused if package in FRAMEWORKS and question.home != _TOKENS else None


# Each is a token for one function of lineax or optimistix in the states of solvers.
_TOKENS = "equinox.internal._str2jax"


def constant_of_known_package(question: Question) -> Answer | None:
    known = _is_known(question.home_package)
    may_be_called = callable(question.obj) and not names.is_union(question.obj)
    return _KNOWN if known and not may_be_called else None


# Functions and other objects ----------------------------------------------------------


def function_of_framework(question: Question) -> Answer | None:
    package = question.home_package
    return _not_among("functions", package) if package in FRAMEWORKS else None


# Anything -----------------------------------------------------------------------------


def trusted(question: Question) -> Answer | None:
    # A class of a framework may do anything when it is called, as `numpy.memmap`.
    framework_class = question.cls is not None and question.home_package in FRAMEWORKS
    if framework_class and question.cls_role not in PLAIN:
        return None
    reason = question.trusted_because
    return None if reason is None else Accept(reason)


def local_function(question: Question) -> Answer | None:
    known = question.role is CODE and question.home_package in LOCAL_FUNCTIONS
    return _KNOWN if known else None


def not_trusted(question: Question) -> Answer | None:
    return Refuse("is not trusted", trust=question.home_package)


# Before an import ---------------------------------------------------------------------


def refused_once_imported(question: Question) -> Refuse | None:
    """The refusal that is certain before the module of a name is imported, or None.

    Trust, the table, the role and the package decide about most names, whatever the
    module defines. So a file is refused for all of them at once.
    """
    package = question.package
    trusted_or_own = question.trust.covers(question.module) or package not in PACKAGES
    named = question.name in question.trust.names
    if trusted_or_own or named or package in FRAMEWORKS or question.is_in_table:
        return None
    is_global = "." not in question.qualname  # a method is judged by its class
    if question.qualname in CLASSES.get(question.module, ()):
        return None
    certain = question.role is UNFLATTENED or (
        is_global
        and (
            question.role is FUNCTION
            or (question.role is CODE and package not in LOCAL_FUNCTIONS)
        )
    )
    return Refuse("is not trusted", trust=package) if certain else None


# Calls --------------------------------------------------------------------------------


def arguments_from_file(question: Question) -> Answer | None:
    package, trust = question.defining_package, question.trust
    if question.is_registered or question.is_in_table or package in PACKAGES:
        return None
    found = None if question.obstacle else question.obj
    if trust.covers(question.defined_in) or trust.has_object(found):
        return None
    return Refuse("would be called with arguments that the file chooses", trust=package)
