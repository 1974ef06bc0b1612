"""Expressions of sympy as Equinox modules."""

import sympy
import sympy2jax

from . import Objects

x, y = sympy.symbols("x y")

OBJECTS: Objects = {
    "expression": lambda: sympy2jax.SymbolicModule(sympy.cos(x) + 2 * y),
    "several": lambda: sympy2jax.SymbolicModule([x**2, {"a": sympy.exp(x * y)}]),
    "with floats": lambda: sympy2jax.SymbolicModule(1.5 * x + sympy.pi),
}
