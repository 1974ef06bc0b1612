"""Expressions of sympy by their structure: classes, arguments and numbers.

No text is read as an expression, since sympy reads text by `eval`, and nothing is
evaluated: a load puts the arguments where sympy puts them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._errors import LIMITS
from .._trust import reflection
from .._trust.names import is_printable_name, lookup_or_none, name_of
from .._trust.roles import Role
from .base import CannotKeep, Data, Kind, Parts, children_in_order, subclass
from .fields import attributes_of, slots_of
from .units import derives_from, imported_class
from .values import decode_int, encode_int, expect

_BASIC = "sympy.core.basic:Basic"
# The modules whose classes any file may use in an expression.
_MODULES = frozenset(
    """
    sympy sympy.concrete.products sympy.concrete.summations sympy.core.add
    sympy.core.containers sympy.core.function sympy.core.mod sympy.core.mul
    sympy.core.numbers sympy.core.power sympy.core.relational sympy.core.symbol
    sympy.functions.elementary.piecewise sympy.functions.special.hyper
    sympy.logic.boolalg sympy.matrices.dense sympy.matrices.expressions.matexpr
    sympy.matrices.expressions.special sympy.matrices.immutable
    sympy.sets.fancysets sympy.sets.sets
    """.split()
)
_is_basic = derives_from(_BASIC)
_is_matrix = derives_from(
    "sympy.matrices.immutable:ImmutableDenseMatrix",
    "sympy.matrices.dense:MutableDenseMatrix",
)
_is_undefined = derives_from("sympy.core.function:UndefinedFunction")
_is_singleton = derives_from("sympy.core.singleton:Singleton")

_TEXT = (
    "Keep its text, `sympy.srepr(x)`, and read it by `sympy.sympify` where you trust "
    "the file."
)


def _public_name(cls: type) -> str | None:
    own = reflection.own_name(cls)
    if own is not None and lookup_or_none(f"sympy:{own[1]}") is cls:
        return f"sympy:{own[1]}"
    return name_of(cls)


def _is_symbol_name(text: Any) -> bool:
    """Whether a text may name a symbol: sympy writes names into programs as they are.

    Without a bracket, nothing is called there.
    """
    return is_printable_name(text) and "(" not in text


# Numbers, symbols and text ------------------------------------------------------------

_MAX_DIVIDED = 4096  # bytes: a fraction is reduced in the square of its length
_MAX_EXPONENT = 2**31


def _encode_integer(obj: Any) -> Any:
    return encode_int(int(obj.p)).value


def _decode_integer(cls: type, value: Any) -> Any:
    return imported_class("sympy:Integer")(decode_int(Parts(value=value)))  # type: ignore[misc]


def _encode_rational(obj: Any) -> Any:
    return [encode_int(int(n)).value for n in (obj.p, obj.q)]


def _decode_rational(cls: Any, value: Any) -> Any:
    p, q = (decode_int(Parts(value=n)) for n in expect(value, list))
    if q < 2 or max(p.bit_length(), q.bit_length()) > 8 * _MAX_DIVIDED:
        raise ValueError("a fraction is out of range")
    made = cls(p, q)
    if (made.p, made.q) != (p, q):
        raise ValueError("a fraction is not reduced")
    return made


def _encode_float(obj: Any) -> Any:
    sign, man, exp, _ = obj._mpf_
    return [int(sign), encode_int(int(man)).value, int(exp), int(obj._prec)]


def _decode_float(cls: Any, value: Any) -> Any:
    sign, man, exp, precision = expect(value, list)
    man = decode_int(Parts(value=man))
    sign, exp, precision = (expect(n, int) for n in (sign, exp, precision))
    is_odd = man % 2 == 1 or man == exp == sign == 0
    if sign not in (0, 1) or man < 0 or not is_odd or not 0 < precision < 2**24:
        raise ValueError("a number of sympy is out of range")
    if man.bit_length() > precision or abs(exp) > _MAX_EXPONENT:
        raise ValueError("a number of sympy is out of range")
    made = _bare(cls, ())
    integer = lookup_or_none("mpmath.libmp.backend:MPZ")  # perhaps of gmpy2
    made._mpf_ = (sign, integer(man), exp, man.bit_length())
    made._prec = precision
    return made


def _encode_symbol(obj: Any) -> Any:
    return [obj.name, dict(obj._assumptions_orig)]


def _assumptions(value: Any) -> dict[str, Any]:
    known = lookup_or_none("sympy.core.assumptions:_assume_defined")
    for name, truth in expect(value, dict).items():
        if name not in known or type(truth) not in (bool, type(None)):
            raise ValueError(f"sympy knows no assumption {name!r:.80}")
    return value


def _decode_symbol(cls: Any, value: Any, **more: Any) -> Any:
    name, assumptions = expect(value, list)
    if not _is_symbol_name(name):
        raise ValueError("the name of a symbol has a bracket, or cannot be printed")
    return cls(name, **_assumptions(assumptions), **more)


def _encode_dummy(obj: Any) -> Any:
    return [*_encode_symbol(obj), int(obj.dummy_index)]


def _decode_dummy(cls: Any, value: Any) -> Any:
    *symbol, index = expect(value, list)
    return _decode_symbol(cls, symbol, dummy_index=expect(index, int))


def _decode_text(cls: Any, value: Any) -> Any:
    if not _is_symbol_name(value):
        raise ValueError("a name has a bracket, or cannot be printed")
    return cls(value)


# By the name of the class: what an atom consists of, and how it is made.
_ATOMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "sympy.core.numbers:Integer": (_encode_integer, _decode_integer),
    "sympy.core.numbers:Rational": (_encode_rational, _decode_rational),
    "sympy.core.numbers:Float": (_encode_float, _decode_float),
    "sympy.core.symbol:Symbol": (_encode_symbol, _decode_symbol),
    "sympy.core.symbol:Dummy": (_encode_dummy, _decode_dummy),
    "sympy.core.symbol:Str": (lambda obj: obj.name, _decode_text),
}


def _atom_of(cls: type) -> Any:
    own = ":".join(reflection.own_name(cls) or ())
    return _ATOMS.get(own) if imported_class(own) is cls else None


# Expressions of arguments -------------------------------------------------------------

# Attributes that follow from the arguments and the class.
_SETS = {"_argset": frozenset, "_args_set": set}
_MAX_HASHED = 1000  # arguments, of which a file chooses the hash values
_IGNORED = {"_mhash", "_assumptions"}


def _bare(cls: type, args: tuple[Any, ...]) -> Any:
    """An object of sympy with these arguments, as `Basic.__new__` makes it."""
    made = object.__new__(cls)
    made._args = args
    made._mhash = None
    made._assumptions = reflection.class_attribute(cls, "default_assumptions")
    return made


def _encode_compound(obj: Any) -> Parts:
    attributes = attributes_of(obj)
    args = attributes["_args"]
    value: dict[str, Any] = {}
    if "is_commutative" in attributes:
        value["commutative"] = attributes["is_commutative"]
    others = [name for name in ("nargs", *_SETS) if name in attributes]
    if others:
        value["computed"] = others
    return Parts(children=list(args), value=value or None)


def _decode_compound(cls: type, args: list[Any], value: Any) -> Any:
    if not all(_is_basic(type(arg)) for arg in args):
        raise ValueError("an argument is not an object of sympy")
    made = _bare(cls, tuple(args))
    value = {} if value is None else expect(value, dict)
    try:
        if "commutative" in value:
            made.is_commutative = expect(value["commutative"], bool, type(None))
        for name in expect(value.get("computed", []), list):
            if name == "nargs":
                made.nargs = cls.nargs  # type: ignore[attr-defined]
            elif len(args) > _MAX_HASHED:
                raise ValueError("an object of sympy has too many arguments")
            else:
                setattr(made, name, _SETS[name](args))
    except AttributeError as error:  # a class without this attribute
        raise ValueError(str(error)) from None
    missing = slots_of(cls).keys() - attributes_of(made).keys()
    if missing:
        raise ValueError(f"sympy would also set {min(missing)!r:.80}")
    return made


def _encode_matrix(obj: Any) -> Parts:
    return Parts(children=list(obj.flat()), value=[int(n) for n in obj.shape])


def _decode_matrix(cls: Any, elements: list[Any], value: Any) -> Any:
    rows, columns = (expect(n, int) for n in expect(value, list))
    if min(rows, columns) < 0 or rows * columns != len(elements):
        raise ValueError("the elements of a matrix do not fit its shape")
    if not all(_is_basic(type(element)) for element in elements):
        raise ValueError("an element of a matrix is not an object of sympy")
    return cls(rows, columns, elements)


def _encode_expression(obj: Any) -> Parts:
    cls = type(obj)
    atom = _atom_of(cls)
    if _is_singleton(type(cls)):
        parts = Parts()
    elif atom is not None:
        parts = Parts(value=atom[0](obj))
    elif _is_matrix(cls):
        parts = _encode_matrix(obj)
    elif _is_undefined(type(cls)):
        parts = _encode_compound(obj)
        parts.children = [cls, *children_in_order(parts)]
        cls = _applied()
    else:
        parts = _encode_compound(obj)
    parts.refers, parts.name = cls, _public_name(cls)
    if parts.name is None:
        return parts  # the encoder says that the class has no name
    if not _ROLE.accepts(cls):
        raise CannotKeep(f"It has more than arguments. {_TEXT}")
    try:
        same = _is_same(_decode_expression(parts), obj)
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_TEXT}") from None
    if not same:
        raise CannotKeep(f"It is not its arguments alone. {_TEXT}")
    return parts


def _is_same(made: Any, obj: Any) -> bool:
    if made is obj:
        return True
    if _is_matrix(type(obj)):
        same = attributes_of(made).keys() == attributes_of(obj).keys()
        return same and type(made) is type(obj) and bool(made == obj)
    one, other = attributes_of(made), attributes_of(obj)
    names = (one.keys() | other.keys()) - _IGNORED
    return type(made) is type(obj) and all(
        name in one and name in other and _is_equal(one[name], other[name])
        for name in names
    )


def _is_equal(one: Any, other: Any) -> bool:
    if type(one) is tuple and type(other) is tuple:
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_is_equal(a, b) for a, b in pairs)
    return one is other or (type(one) is type(other) and bool(one == other))


_APPLIED = "sympy.core.function:AppliedUndef"


def _applied() -> type:
    found = imported_class(_APPLIED)
    assert found is not None
    return found


def _decode_expression(parts: Parts) -> Any:
    cls, atom = parts.refers, _atom_of(parts.refers)
    try:
        if _is_singleton(type(cls)):
            return cls()
        if atom is not None:
            return atom[1](cls, parts.value)
        args = children_in_order(parts)
        if cls is imported_class(_APPLIED):
            cls, *args = args or [None]
            if not _is_undefined(type(cls)):
                raise ValueError("a function has no name")
        make = _decode_matrix if _is_matrix(cls) else _decode_compound
        return make(cls, args, parts.value)
    except (*LIMITS, ValueError):
        raise
    except Exception as error:
        raise ValueError(
            f"sympy makes no `{cls.__qualname__}` of it: {type(error).__name__}: "
            f"{error}"
        ) from error


def _may_be_kept(obj: Any) -> bool:
    """Whether instances of a class of sympy are their arguments and nothing else."""
    if not reflection.is_class(obj):
        return False
    return _is_matrix(obj) or (_is_basic(obj) and reflection.has_python_layout(obj))


_ROLE = Role("a class of expressions of sympy", _may_be_kept, True, _MODULES)

EXPRESSION = Kind(
    "expression",
    derives_from(_BASIC, "sympy.matrices.dense:MutableDenseMatrix"),
    _encode_expression,
    _decode_expression,
    _ROLE,
    keeps="expressions, equations and matrices of sympy, by their structure",
    shared=True,
    attributes=None,
    data=Data.NUMBERS,
)


# Functions as values ------------------------------------------------------------------

_FUNCTION = "sympy:Function"


def _encode_class(cls: Any) -> Parts | None:
    if not _is_basic(cls):
        return None
    if not _is_undefined(type(cls)):
        name = _public_name(cls)
        return None if name is None else Parts(refers=cls, name=name)
    function = imported_class(_FUNCTION)
    parts = Parts(value=[cls.name, dict(cls._kwargs)], refers=function, name=_FUNCTION)
    try:
        same = _decode_class(parts) == cls
    except ValueError as error:
        raise CannotKeep(f"It cannot be made again: {error}. {_AGAIN}") from None
    if not same:
        raise CannotKeep(f"It has more than a name and assumptions. {_AGAIN}")
    return parts


_AGAIN = "Keep its name, and make it again by `sympy.Function`."


def _decode_class(parts: Parts) -> Any:
    if parts.value is None:
        return parts.refers
    name, assumptions = expect(parts.value, list)
    if not is_printable_name(name) or not name.isidentifier():
        raise ValueError("the name of a function is not an identifier")
    return parts.refers(name, **_assumptions(assumptions))


EXPRESSION_CLASS = Kind(
    "expression_class",  # before "class"
    subclass(type),
    _encode_class,
    _decode_class,
    Role(
        "a class of sympy (as a value)",
        lambda obj: reflection.is_class(obj) and _is_basic(obj),
        modules=_MODULES,
    ),
    keeps="functions of sympy as values, undefined ones included",
    shared=True,
    attributes=None,
    data=Data.NUMBERS,
)
