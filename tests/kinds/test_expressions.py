"""Expressions of sympy come back as they are, and no text of a file is evaluated."""

import contextlib
import io
import subprocess
import sys

import numpy as np
import pytest
from documents import checkpoint_of, container, leaf
from equality import survives
from hypothesis import given, strategies as st

import zodiax_io

sympy = pytest.importorskip("sympy")

x, y = sympy.symbols("x y")
n = sympy.Symbol("n", integer=True, positive=True)
f = sympy.Function("f")
ATOMS = st.one_of(
    st.sampled_from([x, y, n, sympy.pi, sympy.E, sympy.I, sympy.oo, sympy.S.Half]),
    st.integers().map(sympy.Integer),
    st.fractions().map(lambda q: sympy.Rational(q.numerator, q.denominator)),
    st.floats(allow_nan=False, allow_infinity=False).map(sympy.Float),
)
BINARY = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Eq, sympy.Max)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from([sympy.sin, sympy.exp, f]), inner).map(
            lambda pair: pair[0](pair[1], evaluate=False)
        ),
        st.tuples(st.sampled_from(BINARY[:3]), inner, inner).map(
            lambda three: three[0](*three[1:], evaluate=False)
        ),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS)
def test_an_expression_comes_back(expression):
    """Its structure is the same, also where sympy would evaluate it."""
    again = survives(expression)
    assert again == expression
    assert sympy.srepr(again) == sympy.srepr(expression)
    assert hash(again) == hash(expression)


OTHERS = {
    "not evaluated": lambda: sympy.Add(x, x, evaluate=False),
    "an equation": lambda: sympy.Eq(x, y),
    "a false equation": lambda: sympy.Eq(1, 2, evaluate=False),
    "a condition": lambda: (x > 0) & (y > 0) | ~sympy.Symbol("p"),
    "pieces": lambda: sympy.Piecewise((x, x > 0), (y, True)),
    "a derivative": lambda: sympy.Derivative(f(x, y), x, (y, 2)),
    "an integral": lambda: sympy.Integral(sympy.sin(x), (x, 0, 1)),
    "a sum": lambda: sympy.Sum(1 / n, (n, 1, sympy.oo)),
    "a function of one's own": lambda: sympy.Lambda((x, y), x**2 + y),
    "the largest": lambda: sympy.Max(x, y, 3),
    "sets": lambda: sympy.Union(sympy.Interval(0, 1), sympy.FiniteSet(3, x)),
    "a tuple": lambda: sympy.Tuple(x, sympy.Tuple(y, 1)),
    "many digits": lambda: sympy.Float("0.1", 60),
    "a long integer": lambda: sympy.Integer(3) ** 5000,
    "a dummy": lambda: sympy.Dummy("d", real=True),
    "an undefined function": lambda: sympy.Function("g", real=True)(x),
    "no commutation": lambda: (
        sympy.Symbol("a", commutative=False) * sympy.Symbol("b", commutative=False)
    ),
    "a matrix": lambda: sympy.ImmutableMatrix([[x, 1], [0, y]]),
    "a symbol of matrices": lambda: sympy.MatrixSymbol("A", 2, n).T,
    "constants": lambda: sympy.Tuple(
        *(sympy.nan, sympy.zoo, sympy.EulerGamma, sympy.true, sympy.S.Reals)
    ),
    "special functions": lambda: sympy.besselj(1, x) + sympy.hyper([1], [2], y),
}


@pytest.mark.parametrize("name", OTHERS)
def test_an_unusual_expression_comes_back(name):
    """Whatever consists of a class of sympy and arguments is kept."""
    expression = OTHERS[name]()
    again = survives(expression)
    assert again == expression
    assert sympy.srepr(again) == sympy.srepr(expression)
    assert again.free_symbols == expression.free_symbols


def test_a_matrix_that_can_be_changed_stays_so():
    """The two classes of matrices are told apart."""
    again = survives(sympy.Matrix([[x, 1], [0, y]]))
    again[0, 0] = y
    assert again == sympy.Matrix([[y, 1], [0, y]])


def test_functions_are_values_and_keys():
    """A table of functions, as sympy2jax takes it, comes back."""
    table = {sympy.gamma: "gamma", f: "f", x: "x", f(x) + 1: "sum"}
    again = survives(table)
    assert again == table
    assert next(iter(again)) is sympy.gamma


def test_an_expression_needs_no_trust_and_no_import():
    """A fresh process gets it."""
    file = io.BytesIO()
    zodiax_io.serialise(file, {"a": sympy.sin(x) / 3, "b": f(x)})
    script = (
        "import io, sys, zodiax_io\n"
        "tree = zodiax_io.deserialise(io.BytesIO(sys.stdin.buffer.read()))\n"
        "import sympy\n"
        "x = sympy.Symbol('x')\n"
        "print(tree['a'] == sympy.sin(x) / 3, tree['b'] == sympy.Function('f')(x))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], input=file.getvalue(), capture_output=True
    )
    assert done.stdout == b"True True\n", done.stderr


def test_a_function_of_the_user_is_kept():
    """A subclass of `sympy.Function` in one's own module is found by its name."""
    again = survives(Rounded(x) + 1)
    assert again == Rounded(x) + 1


class Rounded(sympy.Function):
    """A function that sympy does not know."""


REFUSED = {
    "a polynomial": (
        lambda: sympy.Poly(x**2 + 1),
        "It cannot be made again: sympy would also set 'gens'.",
    ),
    "a dictionary": (lambda: sympy.Dict({x: 1}), "It is not its arguments alone."),
    "a name with a bracket": (
        lambda: sympy.Symbol("f(x)"),
        "It cannot be made again: the name of a symbol has a bracket, or cannot be "
        "printed.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_expression_with_more_is_refused(name):
    """What consists of more than arguments is refused, with a way to keep it."""
    make, reason = REFUSED[name]
    with pytest.raises(zodiax_io.SerialisationError) as caught:
        zodiax_io.build_structure(make())
    assert str(caught.value).endswith(
        f"at `model`. {reason} Keep its text, `sympy.srepr(x)`, and read it by "
        "`sympy.sympify` where you trust the file."
    )


# Hostile files ------------------------------------------------------------------------


def node(name, children=None, value=None):
    if children is None:
        return leaf("expression", type=f"sympy:{name}", value=value)
    return container("expression", children, type=f"sympy:{name}", value=value)


ONE = leaf("expression", type="sympy.core.numbers:One")
SYMBOL = node("Symbol", value=["x", {}])
UNDEFINED = leaf("expression_class", type="sympy:Function", value=["f", {}])
HOSTILE = {
    "an argument of text": node("Add", [leaf("str", value="__import__('os')")]),
    "a name that calls": node("Symbol", value=["__import__('os').system('id')", {}]),
    "a name of bytes": node("Symbol", value=[b"x", {}]),
    "an assumption of text": node("Symbol", value=["x", {"real": "True"}]),
    "an unknown assumption": node("Symbol", value=["x", {"__doc__": True}]),
    "assumptions that exclude each other": node(
        "Symbol", value=["x", {"positive": True, "negative": True}]
    ),
    "a function that calls": leaf(
        "expression_class", type="sympy:Function", value=["f(1)", {}]
    ),
    "a function with methods": leaf(
        "expression_class", type="sympy:Function", value=["f", {"eval": True}]
    ),
    "an integer of text": node("Integer", value="1"),
    "a fraction by zero": node("Rational", value=[1, 0]),
    "a fraction that is not reduced": node("Rational", value=[2, 4]),
    "a long fraction": node("Rational", value=[1, b"\x01" * 10_000]),
    "a number of too many bits": node("Float", value=[0, 2**60 + 1, 0, 53]),
    "an even mantissa": node("Float", value=[0, 2, 0, 53]),
    "a negative mantissa": node("Float", value=[0, -1, 0, 53]),
    "a huge exponent": node("Float", value=[0, 1, 2**62, 53]),
    "a huge precision": node("Float", value=[0, 1, 0, 2**62]),
    "a number of three parts": node("Float", value=[0, 1, 0]),
    "a commutation of text": node("Add", [ONE], {"commutative": "yes"}),
    "an attribute of a file": node("Add", [ONE], {"computed": ["__class__"]}),
    "nargs of a sum": node("Add", [ONE], {"computed": ["nargs"]}),
    "a set of many": node("Max", [ONE] * 2000, {"computed": ["_argset"]}),
    "a sum without all": node("Add", [ONE]),
    "a polynomial of nothing": node("Poly", [ONE]),
    "a matrix of another shape": node("Matrix", [ONE], [2, 2]),
    "a matrix of text": node("Matrix", [leaf("str", value="x")], [1, 1]),
    "a negative matrix": node("Matrix", [ONE], [-1, -1]),
    "a function without a name": container(
        "expression", [ONE, ONE], type="sympy.core.function:AppliedUndef"
    ),
    "no function": container("expression", [], type="sympy.core.function:AppliedUndef"),
    "a symbol with children": node("Symbol", [ONE]),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_expression_is_corrupt(name):
    """Whatever a stranger writes in place of an expression ends in one error."""
    with pytest.raises(zodiax_io.CorruptFileError):
        checkpoint_of(HOSTILE[name]).load()


def test_nothing_is_evaluated():
    """A power of which no computer has the digits is a matter of bytes."""
    million = node("Integer", value=10**18)
    tower = million
    for _ in range(20):
        tower = node("Pow", [tower, million], {"commutative": True})
    again = checkpoint_of(tower).load()
    assert type(again) is sympy.Pow


@pytest.mark.parametrize(
    "name",
    [
        "sympy:sympify",
        "sympy:lambdify",
        "sympy.utilities.lambdify:lambdify",
        "sympy.parsing.sympy_parser:parse_expr",
        "sympy:Basic.subs",
    ],
)
def test_only_classes_of_expressions_are_trusted(name):
    """No function of sympy is called, and none is a value."""
    for kind in ("expression", "expression_class"):
        with pytest.raises(zodiax_io.UntrustedError):
            checkpoint_of(leaf(kind, type=name)).load()


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["commutative", "computed", "real"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(
    PLAIN,
    st.sampled_from(
        "Symbol Dummy Integer Rational Float Add Pow Matrix Max Function".split()
    ),
    st.sampled_from([None, [], [ONE], [SYMBOL, ONE]]),
)
def test_any_value_is_an_expression_or_corrupt(value, name, children):
    """No value leads to any other error than ours."""
    with contextlib.suppress(zodiax_io.CorruptFileError):
        checkpoint_of(node(name, children, value)).load()


def test_an_array_of_expressions_is_refused():
    """NumPy keeps them as Python objects, which have no bytes."""
    with pytest.raises(zodiax_io.SerialisationError, match="Python objects"):
        zodiax_io.build_structure(np.array([x, y]))
