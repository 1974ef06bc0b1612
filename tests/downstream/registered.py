"""An instance of every class of a package that is registered as a pytree node.

The table of a package may help: `VALUES` are further arguments to try, `BY_NAME` has
those of parameters, and `RECIPES` makes what no rule makes, by the class's full name.
"""

import functools
import importlib
import inspect
import itertools
import pkgutil
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax._src import tree_util

from zodiax_io import _jax

from . import KEY, table

# Modules that are programs or tests, and may do anything when they are imported.
_NOT_IMPORTED = ("test", "example", "benchmark", "__main__")
_MOST = 4  # instances of one class
_ARRAYS = jnp.array([0.25, 0.75]), jnp.eye(2)
_VALUES: tuple[Any, ...] = (
    *(0.5, _ARRAYS[0], 2, _ARRAYS[1], jnp.sin, (2,), None, True),
    *("x", KEY, [jnp.ones(2)], {"x": jnp.ones(2)}),
)
_BY_NAME = {
    "key": KEY,
    "rng": KEY,
    "shape": (2,),
    "batch_shape": (3,),
    "event_shape": (2,),
    "validate_args": True,
}
Makers = dict[str, Callable[[], Any]]


def makers(package: str) -> tuple[Makers, dict[str, str]]:
    """What makes instances, and the classes and modules out of reach, with reasons.

    Both are the same in each process: in the order of the names.
    """
    found, out_of_reach = classes(package)
    made: Makers = {}
    for name, cls in sorted(found.items()):
        attempts = dict(_attempts(cls, table(package)))
        working = (item for item in attempts.items() if _makes(item[1], cls))
        kept = {
            f"{name}({label})": make for label, make in itertools.islice(working, _MOST)
        }
        made |= kept
        if not kept:
            why = "abstract" if inspect.isabstract(cls) else _reason(attempts)
            out_of_reach[name] = why
    return made, out_of_reach


def classes(package: str) -> tuple[dict[str, type], dict[str, str]]:
    """The registered classes of a package, and its modules that cannot be imported."""
    modules, absent = _modules(package)
    defined = [value for module in modules for value in vars(module).values()]
    late = [x for x in defined if inspect.isclass(x) and _jax.is_registered_node(x)]
    found = {
        f"{cls.__module__}.{cls.__qualname__}": cls
        for cls in (*late, *tree_util._registry)
        if cls.__module__.partition(".")[0] == package
    }
    return found, absent


def _modules(package: str) -> tuple[list[Any], dict[str, str]]:
    root = importlib.import_module(package)
    names = [package]
    absent: dict[str, str] = {}
    for info in pkgutil.walk_packages(
        getattr(root, "__path__", ()), f"{package}.", lambda _: None
    ):
        if any(part in info.name for part in _NOT_IMPORTED):
            continue
        try:
            importlib.import_module(info.name)
        except Exception as error:
            absent[info.name] = f"{type(error).__name__}: {error!s:.60}"
        else:
            names.append(info.name)
    return [sys.modules[name] for name in names], absent


def _attempts(cls: type, package: Any) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What may make an instance, each with its label: what it is given, in short."""
    name = f"{cls.__module__}.{cls.__qualname__}"
    if name in (recipes := getattr(package, "RECIPES", {})):
        yield "recipe", recipes[name]
        return
    by_name = _BY_NAME | getattr(package, "BY_NAME", {})
    parameters = _parameters(cls)
    required = [p.name for p in parameters if p.default is p.empty]
    constraints = getattr(cls, "arg_constraints", None)
    if isinstance(constraints, dict):
        yield from _of_distribution(cls, parameters, constraints, by_name)
    for number, value in enumerate((*_VALUES, *getattr(package, "VALUES", ()))):
        given = {p: by_name.get(p, value) for p in required}
        yield f"value {number}", functools.partial(_called, cls, given, value)
        if all(name in by_name for name in required):
            break
    optional = [p.name for p in parameters if p.default is None]
    for name, (number, value) in itertools.product(optional, enumerate(_ARRAYS)):
        given = {p: by_name.get(p, value) for p in (*required, name)}
        yield f"{name} {number}", functools.partial(cls, **given)


def _called(cls: type, given: dict[str, Any], value: Any) -> Any:
    """An instance; what its signature does not name is asked for, one by one."""
    while True:
        try:
            return cls(**given)
        except TypeError as error:
            missing = re.fullmatch(r"missing a required argument: '(\w+)'", str(error))
            if missing is None or missing[1] in given:
                raise
            given = given | {missing[1]: value}


def _parameters(cls: type) -> list[inspect.Parameter]:
    """Those that a call of the class may name."""
    try:
        found = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p for p in found if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _of_distribution(
    cls: type,
    parameters: list[inspect.Parameter],
    constraints: dict[str, Any],
    by_name: dict[str, Any],
) -> Iterator[tuple[str, Callable[[], Any]]]:
    """From what the class says of its parameters; each that may be left out, once."""
    values: dict[str, Any] = {}
    for name, constraint in constraints.items():
        try:
            values[name] = _valid(constraint)
        except Exception:  # it depends on others, or nothing maps to it
            values[name] = jnp.array([0.25, 0.75])
    values |= {name: by_name[name] for name in values if name in by_name}
    required = {
        p.name: values.get(p.name, by_name.get(p.name, 2))
        for p in parameters
        if p.default is p.empty
    }
    names = [p.name for p in parameters]
    choices: list[dict[str, Any]] = [{}]
    choices += [{n: values[n]} for n in names if n in values and n not in required]
    if "validate_args" in names:
        choices = [x | more for x in choices for more in ({"validate_args": True}, {})]
    for choice in choices:
        given = required | choice
        yield ", ".join(given), functools.partial(cls, **given)


def _valid(constraint: Any) -> jax.Array:
    """A value within a constraint of numpyro, of two batches where that can be."""
    from numpyro.distributions import biject_to

    transform = biject_to(constraint)
    size = 3 if constraint.event_dim == 2 else 2
    return transform(jnp.linspace(0.1, 0.4, size))


def _makes(make: Callable[[], Any], cls: type) -> bool:
    try:
        return type(make()) is cls
    except Exception:
        return False


def _reason(attempts: Makers) -> str:
    """Why the first attempt makes nothing."""
    for make in attempts.values():
        try:
            made = make()
        except Exception as error:
            text = str(error).partition("\n")[0]
            return f"{type(error).__name__}: {text:.90}"
        return f"{type(made).__name__} is made instead"
    return "nothing to try"
