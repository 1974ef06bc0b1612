"""Advice for objects that no kind keeps: how to keep their contents without loss.

Classes are recognised by their names, so that none needs to be imported.
"""

from __future__ import annotations

import io
import types
from typing import Any

import equinox as eqx

from .. import _jax
from .._trust import reflection
from .._trust.names import top_level_package
from .._trust.origins import is_own_code
from .._trust.roles import is_namedtuple
from .base import CannotKeep, Parts, refusal
from .fields import module_of

_PROCESS = (
    "It belongs to this process. Keep its contents, if it has any, and make it again "
    "after loading."
)
_WEAK = "It refers to an object without keeping it. Keep the object itself instead."
PROGRAM = (
    "It is a program that JAX has traced or compiled. Keep the function and its "
    "arguments, and trace it again; or keep the bytes of "
    "`jax.export.export(function)(*arguments).serialize()`."
)
_SHARDING = (
    "It belongs to the devices of this machine. Leave it out, and place the arrays by "
    "`sharding=` when loading."
)

# Packages, names of classes or of bases (`*` is any), and the advice. A class that a
# later release keeps must leave the table.
_ADVICE: tuple[tuple[str, str, str], ...] = (
    (
        "typing typing_extensions",
        "TypeAliasType",
        "It is another name for a type. Keep the type, `x.__value__`, instead.",
    ),
    (
        "typing typing_extensions",
        "NewType",
        "It is another name for a type. Keep the type, `x.__supertype__`, instead.",
    ),
    (
        "jax",
        "Ref MutableArray ArrayRef",
        "It is a mutable array reference. Keep its value, `ref[...]`, instead.",
    ),
    ("jax", "Jaxpr ClosedJaxpr Traced Lowered Compiled Exported", PROGRAM),
    ("jax", "JaxprEqn Var Literal Primitive WrappedFun", PROGRAM),
    (
        "jax",
        "Mesh AbstractMesh",
        "It belongs to the devices of this machine. Keep the lengths of its axes, "
        "`dict(x.shape)`, and make it again by `jax.make_mesh`.",
    ),
    (
        "jax",
        "NamedSharding",
        "It belongs to the devices of this machine. Keep its `spec`, and place the "
        "arrays by `sharding=` when loading.",
    ),
    ("jax jaxlib", "Sharding", _SHARDING),
    (
        "jax jaxlib",
        "Device",
        "It belongs to this machine. Keep `x.platform` and `x.id`, or place the arrays "
        "by `device=` when loading.",
    ),
    ("numpy", "BitGenerator", "Keep its `state`, and set it again after loading."),
    ("random", "Random", "Keep `x.getstate()`, and set it again after loading."),
    (
        "haiku",
        "Transformed TransformedWithState MultiTransformed MultiTransformedWithState",
        "It is a pair of functions that haiku has made of yours. Keep the parameters, "
        "as returned by `init`, and transform your function again, as by "
        "`haiku.transform(function)`.",
    ),
    (
        "pandas",
        "DataFrame",
        "Keep its index, `x.index.to_numpy()`, and `x[name].to_numpy()` of each "
        "column, and make it again from both.",
    ),
    (
        "pandas",
        "Series",
        "Keep `x.index.to_numpy()`, `x.to_numpy()` and its name, and make it again "
        "from them.",
    ),
    ("pandas", "Index", "Keep `x.to_numpy()` and its names, and make it again."),
    (
        "xarray",
        "Dataset DataArray Variable",
        'Keep `x.to_dict(data="array")`, and make it again by its `from_dict`.',
    ),
    (
        "polars",
        "DataFrame",
        "Keep `x.to_dict(as_series=False)`, a dictionary of lists, and make it again.",
    ),
    (
        "torch",
        "Module Optimizer",
        "Keep its `state_dict()`, each tensor as `tensor.numpy(force=True)`, and make "
        "it again by its call.",
    ),
    (
        "torch",
        "Tensor",
        "Keep its values, `x.numpy(force=True)`, and make it again by "
        "`torch.from_numpy`.",
    ),
    (
        "builtins",
        "BaseException",
        "Keep its class, its arguments, `x.args`, and its attributes, `vars(x)`.",
    ),
    ("builtins", "memoryview", "Keep a copy of its data, `numpy.array(x)`, instead."),
    (
        "array",
        "array",
        "Keep `x.typecode` and `x.tolist()`, or `numpy.array(x)`, instead.",
    ),
    ("_ctypes", "_Pointer CFuncPtr", _PROCESS),
    (
        "_ctypes",
        "_SimpleCData Structure Union Array",
        "Keep `bytes(x)`, and make it again by `from_buffer_copy` of its class.",
    ),
    ("re", "Pattern", "Keep `x.pattern` and `x.flags`, and compile it again."),
    ("builtins", "dict_keys dict_values dict_items", "Keep `list(x)` instead."),
    ("_io", "BytesIO StringIO", "Keep its content, `x.getvalue()`, instead."),
    ("queue _queue", "Queue SimpleQueue", _PROCESS),
    ("builtins", "weakproxy weakcallableproxy", _WEAK),
    ("weakref", "*", _WEAK),
    ("_weakrefset", "WeakSet", _WEAK),
    ("logging", "Logger", "Keep its name, `x.name`, and get it by `getLogger` again."),
    ("operator", "*", "Write a function by `def` in its place."),
    (
        "builtins",
        "method_descriptor classmethod_descriptor wrapper_descriptor method-wrapper",
        "It is a method of a class that is written in C. Write a function by `def` "
        "that calls it.",
    ),
    (
        "threading _thread multiprocessing concurrent asyncio contextvars "
        "_contextvars socket _socket subprocess selectors ssl sqlite3",
        "*",
        _PROCESS,
    ),
)


def _rules() -> dict[tuple[str, str], str]:
    return {
        (package, name): text
        for packages, names, text in _ADVICE
        for package in packages.split()
        for name in names.split()
    }


_BY_NAME = _rules()
_MODULE = (
    "It is a module. Keep its name, `x.__name__`, and import it by that after loading."
)
# Files made in C derive from it, not from `io.IOBase`, which would ask the class.
_OF_FILES = io.IOBase.__mro__[1]
_FILE = "It is an open file. Keep its path, and open it again after loading."
_ITERATOR = (
    "It is an iterator, which gives each item once. Keep the remaining items, "
    "`list(x)`, or the object that it iterates over."
)


def _advice_on(cls: type) -> str | None:
    """The advice for instances of a class that no kind keeps, or None."""
    for base in reflection.mro(cls):
        module, name = reflection.own_name(base) or ("", "")
        package = top_level_package(module)
        for known in (name, "*"):
            text = _BY_NAME.get((package, known))
            if text is not None:
                return text
    if reflection.derives(cls, types.ModuleType):
        return _MODULE
    return _FILE if reflection.derives(cls, _OF_FILES) else None


def _refuse(obj: Any) -> Parts | None:
    cls = type(obj)
    is_node = _jax.is_registered_node(cls) and not is_namedtuple(cls)
    if reflection.derives(cls, eqx.Module) or is_node:
        return None  # a pytree is kept by its children
    raise CannotKeep(_advice_on(type(obj)) or _PROCESS)


ADVISED = refusal("advised", lambda cls: _advice_on(cls) is not None, _refuse)


def advice_for(obj: Any) -> str:
    """The advice for an object that no row of the table recognises."""
    cls = type(obj)
    if is_own_code(module_of(cls)):
        return (
            "Make it a pytree, or register a kind for it with "
            "`zodiax_io.register_kind`."
        )
    if reflection.class_attribute(cls, "__next__") is not None:
        return _ITERATOR
    return (
        "Keep its parts, such as numbers, text and arrays, and make it again from "
        "them; or register a kind for it with `zodiax_io.register_kind`."
    )
