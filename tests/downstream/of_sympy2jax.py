"""Expressions of sympy as Equinox modules."""

import jax.numpy as jnp
import sympy
import sympy2jax

from . import Objects

x, y = sympy.symbols("x y")

OBJECTS: Objects = {
    "expression": lambda: sympy2jax.SymbolicModule(sympy.cos(x) + 2 * y),
    "several": lambda: sympy2jax.SymbolicModule([x**2, {"a": sympy.exp(x * y)}]),
    "with a function": lambda: sympy2jax.SymbolicModule(
        sympy.gamma(x), extra_funcs={sympy.gamma: jnp.sin}
    ),
    "the expressions themselves": lambda: {
        "equation": sympy.Eq(x**2, sympy.Rational(1, 3)),
        "function": sympy.Function("f")(x).diff(x),
        "matrix": sympy.Matrix([[x, 1], [0, y]]),
    },
    "with floats": lambda: sympy2jax.SymbolicModule(1.5 * x + sympy.pi),
}
