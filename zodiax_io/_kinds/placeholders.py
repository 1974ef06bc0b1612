"""Placeholders for functions that could not be kept."""

from __future__ import annotations

import inspect
import types
from typing import Any

from .._errors import MAX_PATH, PlaceholderError, shown, shown_lines
from .._trust import reflection
from .._trust.names import top_level_package
from .._trust.roles import function_types
from .base import CannotKeep, Kind, Parts, exactly, refusal
from .look import Look


class Placeholder:
    """Placeholder for a function that could not be saved; calling it raises an error.

    Also for a function that is missing when a file is loaded (``unknown="opaque"``).

    Attributes
    ----------
    name : str
        The name of the function, for example ``make.<locals>.<lambda>``. If it is
        missing, its name in the file.
    source : str
        Its source text, if Python could find it; it is never run. If the function is
        missing, the reason.
    path : str
        The path in the tree, which is also its key in ``fill=``.
    """

    # Wrappers of functions need both: Equinox copies the dict, which stays empty, and
    # jaxlib crashes if it cannot make a weak reference.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_digest",
        "_versions",
        "name",
        "path",
        "source",
    )

    def __init__(
        self,
        name: str,
        source: str,
        path: str,
        versions: dict[str, tuple[str, str]] | None = None,
        digest: Any = None,
    ) -> None:
        self.name, self.source, self.path = name, source, path
        self._digest = digest  # the fingerprint of a function in a variable
        self._versions = versions  # of its package; None if it could not be saved

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raise a `PlaceholderError` that names the function."""
        path, source = shown(self.path, MAX_PATH), shown_lines(self.source)
        where = f"The function `{shown(self.name)}` at `{path}`"
        advice = (
            "so there is nothing to call. Put it back by "
            f'`zodiax_io.deserialise(path, fill={{"{path}": function}})`.'
        )
        if self._versions is not None:
            raise PlaceholderError(f"{where} {source}, {advice}")
        raise PlaceholderError(
            f"{where} could not be saved, {advice} Its source was:\n{source}"
        )

    def __repr__(self) -> str:
        return f"<placeholder for {shown(self.name)} at {shown(self.path, MAX_PATH)}>"

    def _state(self) -> tuple[Any, ...]:
        if self._versions is not None:  # identified by its name
            return self.name, repr(self._digest)
        return self.name, self.source, self.path

    def __eq__(self, other: object) -> bool:
        return type(other) is Placeholder and self._state() == other._state()

    def __hash__(self) -> int:
        return hash(self._state())


def placeholder_for(obj: Any, path: str) -> Placeholder:
    """The placeholder for a function that has no name to be found by."""
    name = getattr(obj, "__qualname__", None) or type(obj).__qualname__
    return Placeholder(str(name), source_of(obj) or "(not available)", path)


def source_of(obj: Any) -> str | None:
    """The source text of a function, or None."""
    try:
        return inspect.getsource(inspect.unwrap(obj)).rstrip()
    except (OSError, TypeError, ValueError):
        return None


def place_of(obj: Any) -> str | None:
    """File and line where a function was written, or None."""
    code = getattr(obj, "__code__", None)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def _encode_placeholder(obj: Placeholder) -> Parts:
    versions = obj._versions
    if versions is not None:
        extra = {"kind": "function", "type": obj.name}
        return Parts(value=obj._digest, extra=extra, versions=versions)
    return Parts(value={"name": obj.name, "source": obj.source, "path": obj.path})


def _decode_placeholder(parts: Parts) -> Placeholder:
    value = parts.value
    if type(value) is not dict or not all(
        type(value.get(k)) is str for k in ("name", "source", "path")
    ):
        raise ValueError("a placeholder has no name")
    return Placeholder(value["name"], value["source"], value["path"])


def _name_in(value: Any) -> Any:
    """The name of a placeholder; its source is that of a whole line."""
    return value.get("name") if type(value) is dict else value


PLACEHOLDER = Kind(
    "placeholder",
    exactly(Placeholder),
    _encode_placeholder,
    _decode_placeholder,
    keeps="placeholders for functions",
    placeholder="always",
    identity=_name_in,
    look=Look(words="a function without a name"),
)


def is_unnamed_function(obj: Any) -> bool:
    """Whether an object is a function, for which a placeholder can be kept."""
    return callable(obj) and not reflection.is_class(obj)


def _refuse_function(obj: Any) -> Parts:
    module = getattr(obj, "__module__", None)
    if type(module) is str and top_level_package(module) == "optax":
        raise CannotKeep(
            "It is a local function of optax, part of an optimiser or a schedule. Keep "
            "the optimiser's state and settings, and make it again by its call. In "
            "flax, keep `nnx.state(optimizer)`, or `step`, `params` and `opt_state` of "
            "a `TrainState`."
        )
    if type(module) is str and module.startswith("jax._src."):
        raise CannotKeep(
            "It is a local function of JAX, which holds what JAX has traced. Keep the "
            "function that was given to JAX, and call JAX with it again."
        )
    owner = getattr(obj, "__self__", None)
    if owner is not None and type(owner) is not types.ModuleType:
        cls = owner if reflection.is_class(owner) else type(owner)
        raise CannotKeep(
            f"It is a method of a `{cls.__module__}.{cls.__qualname__}`, which files "
            "cannot bind. Keep the object, and take the method from it again."
        )
    place = place_of(obj)
    where = "" if place is None else f" (written at {place})"
    raise CannotKeep(
        f"It has no name to be found by{where}: it is a lambda, a local function or a "
        "wrapper. Write it by `def` at the top level of a module, give it a name by "
        '`zodiax_io.register(function, alias="package.module:name")`, or keep its '
        'source text only by `functions="warn"`.'
    )


UNNAMED = refusal(
    "unnamed",
    lambda cls: reflection.is_one_of(cls, (*function_types(), types.MethodType)),
    _refuse_function,
)
