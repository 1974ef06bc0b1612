"""Placeholders for objects whose classes are missing: they keep all saved data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NoReturn

import equinox as eqx
import jax.tree_util as jtu
import msgpack

from .._errors import (
    LIMITS,
    ArgumentError,
    ClassChangedError,
    PlaceholderError,
    ZodiaxIOError,
    resources_for,
    shown,
    shown_lines,
)
from .._kinds.base import Kind, Parts
from .._kinds.lookup import KINDS, row_named
from .._kinds.pytrees import children_held_by
from .._structure.paths import root_path
from .._trust.reflection import is_class
from .._trust.roles import CLASS
from .equality import are_equal
from .fields import Evolution
from .upgrades import NOT_CALLABLE


@dataclass(frozen=True, eq=False, repr=False)
class Origin:
    """The data of a node, except its children.

    Attributes
    ----------
    kind : str
        The kind of object.
    name : str or None
        The name of its class in the file.
    plain : dict
        All further data of the node, in the file's order.
    names : tuple of str, int or None
        The names of its children, or their number; None for a leaf.
    static : tuple of str
        The names of its static children.
    order : tuple of int
        The indices of the other children, in the order in which JAX flattens them.
    match_leaves_by_identity : bool
        Whether JAX did not flatten it child by child (see `Parts`).
    versions : dict
        By package of its class, the distribution and version that wrote the file. For
        `__main__`, the name of the script.
    reason : str
        Why the class was not used.
    """

    kind: str
    name: str | None
    plain: dict[str, Any]
    names: tuple[str, ...] | int | None
    static: tuple[str, ...]
    order: tuple[int, ...]
    match_leaves_by_identity: bool
    versions: dict[str, tuple[str, str]]
    reason: str

    def fingerprint(self) -> tuple[Any, ...]:
        """The data that two equal objects have in common."""
        plain = msgpack.packb(self.plain)
        return self.kind, self.name, plain, self.names, self.static, self.order


class Opaque:
    """Placeholder for an object whose class is missing or not trusted.

    Its fields are attributes, and its arrays are leaves of the pytree. It keeps all
    data of the object, so saving it writes the object as it was loaded. Two `Opaque`
    objects are equal if they have the same class name and equal contents.

    Attributes
    ----------
    type_name : str
        The name of the class in the file: ``"package.module:Name"``.
    fields : mapping
        The fields by name, including any whose name is an attribute of `Opaque`.
    reason : str
        Why the class was not used.

    Examples
    --------
    >>> import equinox as eqx
    >>> import zodiax_io
    >>> class Lens(eqx.Module):
    ...     radius: float
    >>> structure = zodiax_io.build_structure({"lens": Lens(2.0)})
    >>> structure["node"]["lens"]["type"] = "optics_of_old:Lens"
    >>> model = zodiax_io.load_structure(structure, unknown="opaque")
    >>> model["lens"]
    Opaque('optics_of_old:Lens', radius=2.0)
    >>> model["lens"].radius
    2.0
    >>> model["lens"].become(Lens)
    Lens(radius=2.0)
    """

    __slots__ = ("_children", "_keys", "_origin")
    _children: tuple[Any, ...]
    _keys: tuple[Any, ...]
    _origin: Origin

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("An Opaque is made by `deserialise(path, unknown='opaque')`.")

    @property
    def type_name(self) -> str:
        """The name of the class in the file."""
        return self._origin.name or self._origin.kind

    @property
    def fields(self) -> Mapping[str, Any]:
        """The children by name, or by index if they have no names."""
        names = self._origin.names or ()
        labels = map(str, range(names)) if isinstance(names, int) else names
        return MappingProxyType(dict(zip(labels, self._children, strict=True)))

    @property
    def reason(self) -> str:
        """Why the class was not used."""
        return self._origin.reason

    def become(self, cls: Any, upgrade: Any = None) -> Any:
        """Build an instance of a class with the fields of this object.

        Fields that the class gained or lost are treated as in a load.

        Parameters
        ----------
        cls : type
            A Module, a dataclass, a namedtuple or an Enum.
        upgrade : callable, optional
            Takes the dict of saved fields and returns the fields of the class, as for
            `upgraded`.

        Returns
        -------
        object
            An instance of the class, built as in a load: without `__init__`.

        Raises
        ------
        ArgumentError
            If `cls` is not such a class.
        ClassChangedError
            If the class has a field that was not saved and has no default.

        Warns
        -----
        ClassChangedWarning
            If the saved fields differ from those of the class.
        """
        return _become(self, cls, upgrade)

    def __getattr__(self, name: str) -> Any:
        """Return the field of that name."""
        origin = self._origin
        # Python, NumPy and notebooks look for such names, and call any that they find.
        if not name.startswith(("__", "_repr_", "_ipython_")):
            if isinstance(origin.names, tuple) and name in origin.names:
                return self._children[origin.names.index(name)]
            children = self.fields.get("children")
            if type(children) is tuple:
                for index in children_held_by(origin.plain, name):
                    if type(index) is int and 0 <= index < len(children):
                        return children[index]
        raise AttributeError(
            f"An Opaque of `{shown(self.type_name)}` has no field `{shown(name)}`."
        )

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        """Refused, as by a Module."""
        raise AttributeError("An Opaque cannot be changed; use `equinox.tree_at`.")

    def __delattr__(self, name: str) -> NoReturn:
        """Refused, as by a Module."""
        raise AttributeError("An Opaque cannot be changed; use `equinox.tree_at`.")

    def __dir__(self) -> list[str]:
        """The attributes, and the fields."""
        return [*object.__dir__(self), *(n for n in self.fields if n.isidentifier())]

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise a `PlaceholderError`: there is no code to run."""
        raise PlaceholderError(
            f"Cannot call an `Opaque` object: `{shown(self.type_name)}` "
            f"{shown_lines(self.reason)}."
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Opaque):
            return NotImplemented
        (mine, aux), (theirs, other_aux) = _flatten(self), _flatten(other)
        return aux == other_aux and are_equal(mine, theirs)

    def __hash__(self) -> int:
        return hash((self._origin.kind, self._origin.name))

    def __repr__(self) -> str:
        """The name of the class and the fields, like the repr of a Module."""
        parts = [repr(self.type_name)]
        if "value" in self._origin.plain:
            parts.append(shown(repr(self._origin.plain["value"])))
        parts += [f"{shown(k)}={eqx.tree_pformat(v)}" for k, v in self.fields.items()]
        line = f"Opaque({', '.join(parts)})"
        if len(line) <= _WIDTH and "\n" not in line:
            return line
        body = ",\n".join(parts).replace("\n", "\n  ")
        return f"Opaque(\n  {body}\n)"

    def _repr_html_(self) -> str:
        """The same tree as for a file, for notebooks."""
        return _summarise(self)._repr_html_()

    def __treescope_repr__(self, path: Any, render: Any) -> Any:
        """The same tree as for a file, for treescope."""
        return _summarise(self).__treescope_repr__(path, render)

    def __reduce__(self) -> Any:
        """Support `copy` and the user's own pickling, since `__init__` raises."""
        return make_opaque, (self._origin, self._children, self._keys)


_WIDTH = 80

_summarise: Callable[[Any], Any]


def display_with(summarise: Callable[[Any], Any]) -> None:
    """Set the function that turns an `Opaque` into a `Summary` for notebooks.

    That function imports the encoder, which imports this module.
    """
    global _summarise
    _summarise = summarise


class OpaqueNumber(Opaque):
    """Placeholder for a number of a subclass, or of an Enum: a leaf to JAX."""

    __slots__ = ()
    __hash__ = Opaque.__hash__


def number_of(origin: Origin) -> Any:
    """The number that the original object was to plain Equinox, or None."""
    match origin.plain.get("number"):
        case [float(real), float(imag)]:
            return complex(real, imag)
        case int() | float() | bytes() as number:
            return number
        case _:
            return None


def make_opaque(
    origin: Origin, children: tuple[Any, ...], keys: tuple[Any, ...]
) -> Opaque:
    """An `Opaque` of the data of a node, its children, and the keys of a mapping."""
    is_number = number_of(origin) is not None
    obj = object.__new__(OpaqueNumber if is_number else Opaque)
    object.__setattr__(obj, "_origin", origin)
    object.__setattr__(obj, "_children", children)
    object.__setattr__(obj, "_keys", keys)
    return obj


# As a pytree --------------------------------------------------------------------------


class _AuxData:
    """The auxiliary data of an `Opaque`: everything except its dynamic children."""

    __slots__ = ("keys", "origin", "static")

    def __init__(
        self, origin: Origin, static: tuple[Any, ...], keys: tuple[Any, ...]
    ) -> None:
        self.origin, self.static, self.keys = origin, static, keys

    def __eq__(self, other: object) -> bool:
        if type(other) is not _AuxData:
            return False
        if self.origin.fingerprint() != other.origin.fingerprint():
            return False
        return are_equal((self.static, self.keys), (other.static, other.keys))

    def __hash__(self) -> int:
        return hash((self.origin.kind, self.origin.name))

    def __repr__(self) -> str:
        """The name of the class, for the repr of a treedef."""
        return shown(self.origin.name or self.origin.kind)


def _flatten(obj: Opaque) -> tuple[tuple[Any, ...], _AuxData]:
    origin, children = obj._origin, obj._children
    dynamic = set(origin.order)
    static = tuple(c for i, c in enumerate(children) if i not in dynamic)
    return tuple(children[i] for i in origin.order), _AuxData(origin, static, obj._keys)


def _flatten_with_keys(obj: Opaque) -> tuple[Any, _AuxData]:
    children, aux = _flatten(obj)
    names = tuple(obj.fields)
    labels = [jtu.GetAttrKey(names[i]) for i in obj._origin.order]
    return tuple(zip(labels, children, strict=True)), aux


def _unflatten(aux: _AuxData, children: Any) -> Opaque:
    origin = aux.origin
    dynamic = dict(zip(origin.order, children, strict=True))
    static = iter(aux.static)
    count = len(dynamic) + len(aux.static)
    values = tuple(dynamic[i] if i in dynamic else next(static) for i in range(count))
    return make_opaque(origin, values, aux.keys)


jtu.register_pytree_with_keys(Opaque, _flatten_with_keys, _unflatten, _flatten)


# Becoming an object of a class -------------------------------------------------------

_ROOT = root_path("model")


@resources_for("build the object")
def _become(obj: Opaque, cls: Any, upgrade: Any) -> Any:
    kind = _kind_for(cls)
    if kind is None:
        raise ArgumentError(
            f"{shown(repr(cls))} is not a Module, a dataclass, a namedtuple or an Enum."
        )
    origin = obj._origin
    if row_named(origin.kind).refers_to is CLASS:
        return cls
    if upgrade is not None and not callable(upgrade):
        raise ArgumentError(NOT_CALLABLE)
    extra = {**origin.plain, "type": obj.type_name, "node": dict(obj.fields)}
    # Only a class of the same kind can have the same static fields.
    extra["static"] = list(origin.static) if origin.kind == kind.name else None
    parts = Parts(dict(obj.fields), refers=cls, extra=extra, value=extra.get("value"))
    evolution = Evolution(dict(origin.versions.values()))
    try:
        if kind.fields is None:
            return kind.decode(parts)
        if upgrade is not None:
            parts, finished = evolution.apply(upgrade, parts, _ROOT)
            if finished is not None:
                return finished[0]
        result = evolution.build(kind, parts, _ROOT)
    except (ZodiaxIOError, *LIMITS):
        raise
    except Exception as error:
        raise ClassChangedError(
            f"The `Opaque` of `{shown(obj.type_name)}` cannot become a "
            f"`{cls.__qualname__}`: {shown(error, 400)}."
        ) from error
    evolution.report(f"The `Opaque` of `{shown(obj.type_name)}`")
    return result


def _kind_for(cls: Any) -> Kind | None:
    """The kind of the instances of a class; None if no `Opaque` can become one."""
    if not is_class(cls):
        return None
    for kind in KINDS:
        role = kind.refers_to if kind.may_become else None
        if role is not None and role.accepts(cls):
            return kind
    return None
