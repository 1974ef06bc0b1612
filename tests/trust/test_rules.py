"""The rules that decide which names a file may use, one by one and in their order."""

import importlib
import json
import sys
import textwrap

import equinox as eqx
import pytest
from hypothesis import example, given, strategies as st

import zodiax_io
from zodiax_io._kinds.units import NAMED_UNIT
from zodiax_io._trust import names, roles
from zodiax_io._trust.answers import Accept, ImportFirst, Refuse
from zodiax_io._trust.classes import handwritten_method
from zodiax_io._trust.finding import Finder
from zodiax_io._trust.judge import Judge
from zodiax_io._trust.question import Question
from zodiax_io._trust.roles import Use
from zodiax_io._trust.rules import CALL_RULES, RULES, decide
from zodiax_io._trust.trusted import Trust, TrustInAll

LIBRARY = """
    import typing
    from collections import OrderedDict
    import equinox as eqx
    from equinox.nn import MLP

    def function(x):
        return x

    class Plain(eqx.Module):
        x: float

        def method(self):
            return self.x

    class Equal(eqx.Module):
        def __eq__(self, other):
            raise AssertionError

    class Finalised(eqx.Module):
        def __del__(self):
            raise AssertionError

    class Nosy(type):
        def __getattribute__(cls, name):
            raise AssertionError(name)

    class Watched(metaclass=Nosy):
        pass

    class Maker(type):
        def __new__(cls, *args):
            return super().__new__(cls, *args)

    class Made(metaclass=Maker):
        pass

    class Marker:
        pass

    marker = Marker()
    bare = object()
    parameters = typing.ParamSpec("parameters")

    class Table(dict):
        pass
"""


@pytest.fixture(scope="module", autouse=True)
def library(tmp_path_factory):
    """A package as pip installs it, imported."""
    folder = tmp_path_factory.mktemp("lab") / "site-packages"
    folder.mkdir()
    (folder / "rulelab.py").write_text(textwrap.dedent(LIBRARY))
    sys.path.insert(0, str(folder))
    import rulelab

    zodiax_io.register(rulelab.function, alias="rulelab.registered:function")
    names._TABLE["rulelab"] = ("OrderedDict",)
    yield
    del names._TABLE["rulelab"]
    del names._registered_names[id(rulelab.function)]
    del names._registered["rulelab.registered:function"]
    sys.path.remove(str(folder))
    del sys.modules["rulelab"]


def ask(name, role, trusted=(), *, bound=False):
    trust = trusted if isinstance(trusted, Trust) else Trust(trusted)
    return Question(name, role, bound, Finder(trust))


def test_a_special_method_is_judged_by_who_wrote_it():
    """A decorator of a package that was read may put its methods into a class."""
    space = {"__module__": "rulelab", "__eq__": eqx.Module.__eq__}
    assert handwritten_method(type("Decorated", (), space)) is None
    for other in (textwrap.dedent, json.loads):
        assert handwritten_method(type("Other", (), space | {"__eq__": other})) is None
    space["__eq__"] = sys.modules["rulelab"].Equal.__eq__
    assert handwritten_method(type("Written", (), space)) == "__eq__"


def own_function(x):
    return x


KNOWN = Accept("belongs to a known package")

# For each rule: a name, its role, and the answer.
EXAMPLES = {
    "not_a_name": (
        "os.system",
        roles.FUNCTION,
        Refuse("is not a valid name: a name has the form `package.module:Qual.Name`"),
    ),
    "registered": (
        "rulelab.registered:function",
        roles.FUNCTION,
        Accept("is registered"),
    ),
    "in_table": (
        "jax.numpy:sin",
        roles.FUNCTION,
        Accept("is in the table of names that any file may use"),
    ),
    "standard_class": (
        "argparse:Namespace",
        roles.INSTANCE,
        Accept("is in the table of names that any file may use"),
    ),
    "in_module_of_role": (
        "astropy.units:m",
        NAMED_UNIT.refers_to,
        Accept("is a unit or a constant of astropy, which zodiax_io makes by itself"),
    ),
    "of_zodiax_io": (
        "zodiax_io:serialise",
        roles.FUNCTION,
        Refuse("belongs to zodiax_io itself, which no file may use"),
    ),
    "of_standard_library": (
        "os:system",
        roles.FUNCTION,
        Refuse("belongs to Python's standard library, which no file may use"),
    ),
    "not_found": (
        "rulelab:Nothing",
        roles.MODULE,
        Refuse("does not exist here: `rulelab` has no `Nothing`", missing=True),
    ),
    "code_in_metaclass": (
        "rulelab:Watched",
        roles.MARKER,
        Refuse("has a metaclass that would run code"),
    ),
    "local_function_of_framework": (
        "equinox.nn:MLP",
        roles.CODE,
        Refuse(
            "is not among the functions of `equinox` that a file may use; to allow it, "
            "pass it to `zodiax_io.register` in your program"
        ),
    ),
    "imported_from_elsewhere": (
        "rulelab:MLP",
        roles.MODULE,
        Refuse("is not defined in `rulelab`, only imported there"),
    ),
    "defined_in_standard_library": (
        "rulelab:OrderedDict",  # which the fixture puts into the table
        roles.MARKER,
        Refuse("belongs to Python's standard library, which no file may use"),
    ),
    "wrong_role": ("rulelab:Plain", roles.ENUM, Refuse("is not an Enum class")),
    "has_finaliser": (
        "rulelab:Finalised",
        roles.MODULE,
        Refuse("has a `__del__`, which would run when the object is deleted"),
    ),
    "built_on_type_in_c": (
        "rulelab:Table",
        roles.MARKER,
        Refuse("derives from a type written in C"),
    ),
    "bare_object": (
        "rulelab:bare",
        roles.CONSTANT,
        Accept("is an `object()`, which does nothing"),
    ),
    "constant_of_standard_library": (
        "rulelab:parameters",
        roles.CONSTANT,
        Refuse("is a constant of Python's standard library"),
    ),
    "constant_of_framework": (
        "jax.lax:add_p",
        roles.CONSTANT,
        Refuse("is a constant of `jax` that no file may use"),
    ),
    "function_of_framework": (
        "numpy:load",
        roles.FUNCTION,
        Refuse(
            "is not among the functions of `numpy` that a file may use; to allow it, "
            "pass it to `zodiax_io.register` in your program"
        ),
    ),
    "trusted": (f"{__name__}:own_function", roles.FUNCTION, Accept("is your own code")),
    "unknown_metaclass": (
        "rulelab:Made",
        roles.MARKER,
        Refuse("has a metaclass that is not known", trust="rulelab"),
    ),
    "class_in_table": (
        "equinox.nn:State",
        roles.NODE,
        Accept("is in the table of names that any file may use"),
    ),
    "special_methods": (
        "rulelab:Equal",
        roles.MODULE,
        Refuse("defines its own `__eq__`", trust="rulelab"),
    ),
    "equinox_module": ("rulelab:Plain", roles.MODULE, Accept("is an equinox Module")),
    "class_as_value": ("numpy:float32", roles.CLASS, KNOWN),
    "namedtuple_or_enum": ("optax:ScaleByAdamState", roles.NAMEDTUPLE, KNOWN),
    "class_of_known_package": ("optimistix:RESULTS", roles.MARKER, KNOWN),
    "class_of_framework": (
        "numpy:memmap",
        roles.CLASS,
        Refuse(
            "is not among the classes of `numpy` that a file may use; to allow it, "
            "pass it to `zodiax_io.register` in your program"
        ),
    ),
    "module_not_in_table": (
        "numpy.ctypeslib",
        roles.PYTHON_MODULE,
        Refuse(
            "is not among the modules of `numpy` that a file may use; to allow it, "
            "pass it to `zodiax_io.register` in your program"
        ),
    ),
    "constant_of_known_package": ("lineax:unit_diagonal_tag", roles.CONSTANT, KNOWN),
    "local_function": ("lineax:AbstractLinearOperator", roles.CODE, KNOWN),
    "not_trusted": (
        "rulelab:function",
        roles.FUNCTION,
        Refuse("is not trusted", trust="rulelab"),
    ),
}


def question_of(rule):
    name, role, answer = EXAMPLES[rule.answer.__name__]
    module = name.partition(":")[0]
    pytest.importorskip(module.partition(".")[0])
    if module.startswith("astropy."):
        importlib.import_module(module)  # or the answer is to import it first
    return ask(name, role), answer


each_rule = pytest.mark.parametrize(
    "rule", RULES, ids=lambda rule: rule.answer.__name__
)


@each_rule
def test_each_rule_decides_about_some_name(rule):
    """No rule is dead, and each gives its reason in these words."""
    question, answer = question_of(rule)
    assert deciding(question) is rule
    assert decide(question) == answer


def deciding(question):
    """The first rule that answers."""
    return next(
        rule
        for rule in RULES
        if rule.applies(question) and rule.answer(question) is not None
    )


@each_rule
def test_each_meaning_begins_with_the_answer(rule):
    """The table in the documentation says of each rule what the rule does."""
    question, _ = question_of(rule)
    answer = {Accept: "accepted: ", Refuse: "refused"}[type(decide(question))]
    assert rule.meaning.startswith(answer)


def test_names_of_a_module_that_may_be_imported_wait_for_it():
    """The function of a framework that the table has is imported from where it is."""
    question = ask("jax.scipy.cluster.vq:vq", roles.FUNCTION)
    saved = {m: sys.modules.pop(m) for m in [*sys.modules] if m.startswith(_VQ)}
    try:
        assert decide(question) == ImportFirst("jax.scipy.cluster.vq")
    finally:
        sys.modules.update(saved)


_VQ = "jax.scipy.cluster"


@pytest.mark.parametrize("name", ["pathlib:Path", "enum:Enum", "jax:Array"])
def test_no_type_of_the_table_is_searched_for_local_functions(name):
    """A type is in the table as a value, not for the code of its methods."""
    assert decide(ask(name, roles.CLASS)) == ACCEPTED_FROM_TABLE
    assert isinstance(decide(ask(name, roles.CODE)), Refuse)


ACCEPTED_FROM_TABLE = Accept("is in the table of names that any file may use")


# Calls --------------------------------------------------------------------------------

CALLED = "would be called with arguments that the file chooses"


def test_arguments_of_the_file_need_trust_in_the_function():
    """What is accepted by itself may still be refused as what a file calls."""
    (rule,) = CALL_RULES
    name = f"{__name__}:own_function"
    question = ask(name, roles.FUNCTION, bound=True)
    assert (
        rule.answer(question) == decide(question) == Refuse(CALLED, trust="test_rules")
    )
    for trusted in (own_function, name, "test_rules"):
        assert type(decide(ask(name, roles.FUNCTION, trusted, bound=True))) is Accept


def test_two_reasons_are_given_together():
    """One who trusts the function because of the first reason need not learn twice."""
    reason = f"is not trusted, and {CALLED}"
    question = ask("rulelab:function", roles.FUNCTION, bound=True)
    assert decide(question) == Refuse(reason, trust="rulelab")
    missing = ask("rulelab:nothing", roles.FUNCTION, bound=True)
    reason = f"does not exist here: `rulelab` has no `nothing`, and {CALLED}"
    assert decide(missing) == Refuse(reason, missing=True)


def test_the_call_is_no_matter_where_no_trust_helps():
    """A name that is refused for good is refused for that reason alone."""
    for name, role in [("os:system", roles.FUNCTION), ("rulelab:Table", roles.MARKER)]:
        assert decide(ask(name, role, bound=True)) == decide(ask(name, role))


# What holds for every name ------------------------------------------------------------

ROLES = [one for one in vars(roles).values() if type(one) is roles.Role]
HOMES = ["rulelab", __name__, "numpy", "jax", "jax.numpy", "equinox", "jax.lax"]


@st.composite
def names_of_objects(draw):
    """The name of any object of some modules, or of a method of a class."""
    module = draw(st.sampled_from(HOMES))
    name = draw(st.sampled_from(sorted(vars(sys.modules[module]))))
    return f"{module}:{name}" + draw(st.sampled_from(["", "", "", ".method"]))


any_question = given(names_of_objects(), st.sampled_from(ROLES), st.booleans())


@any_question
@example("rulelab:Equal", roles.MODULE, True)
@example("rulelab:Made", roles.MARKER, False)
@example(f"{__name__}:own_function", roles.FUNCTION, True)
@example("rulelab:function", roles.FUNCTION, True)
def test_the_trust_that_a_refusal_asks_for_helps(name, role, bound):
    """Who passes what the message says is not refused once more."""
    answer = decide(ask(name, role, bound=bound))
    if isinstance(answer, Refuse) and answer.trust is not None:
        assert type(decide(ask(name, role, answer.trust, bound=bound))) is Accept


@any_question
@example("rulelab:Watched", roles.MARKER, False)
@example("numpy:memmap", roles.CLASS, False)
@example("rulelab:Table", roles.MARKER, True)
def test_no_trust_helps_where_the_answer_names_none(name, role, bound):
    """A refusal without advice is one for good."""
    answer = decide(ask(name, role, bound=bound))
    if isinstance(answer, Refuse) and answer.trust is None:
        assert decide(ask(name, role, TrustInAll(), bound=bound)) == answer


@any_question
@example(f"{__name__}:own_function", roles.FUNCTION, False)
def test_trust_never_takes_anything_away(name, role, bound):
    """What is accepted without trust is accepted with it."""
    if isinstance(decide(ask(name, role, bound=bound)), Accept):
        assert type(decide(ask(name, role, TrustInAll(), bound=bound))) is Accept


@any_question
@example("equinox.nn:MLP", roles.CODE, False)
def test_what_is_accepted_is_what_the_file_uses_it_as(name, role, bound):
    """No rule accepts an object that does not fit its role."""
    question = ask(name, role, bound=bound)
    if isinstance(decide(question), Accept):
        assert role.accepts(question.obj)


def test_a_needed_name_that_waits_for_an_import_is_not_passed_over(
    tmp_path, monkeypatch
):
    """If nothing may be imported, a needed name is refused like one that is missing."""
    (tmp_path / "unseen_lab.py").write_text("class Lens: pass")
    monkeypatch.syspath_prepend(tmp_path)
    judge = Judge(trusted=["unseen_lab"])
    uses = [
        Use("os:system", lambda: "model.f", roles.FUNCTION),
        Use("unseen_lab:Lens", lambda: "model.lens", roles.MARKER),
    ]
    with pytest.raises(zodiax_io.UntrustedError, match="unseen_lab:Lens"):
        judge.audit(uses, "The file", needed={"unseen_lab:Lens"})
    assert "unseen_lab" not in sys.modules
    judge.audit(uses[1:], "The file", needed={"unseen_lab:Lens"})
    assert "unseen_lab" in sys.modules
    monkeypatch.delitem(sys.modules, "unseen_lab")
