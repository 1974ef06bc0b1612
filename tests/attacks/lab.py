"""A user's own code, full of traps: whatever of it runs says so."""

import dataclasses
import enum
import typing
from typing import Any

import equinox as eqx
import jax.tree_util as jtu

RAN: list[str] = []


def note(what: str) -> None:
    """Remember that a trap was sprung."""
    RAN.append(what)


def own_danger(*args: Any, **options: Any) -> int:
    """What no file may have run."""
    note("own_danger")
    return 0


def make(power: int) -> Any:
    """A local function, which has no name."""

    def local(x: Any) -> Any:
        note("local")
        return x**power

    return local


# Honest classes: what legitimate files hold -------------------------------------------


class Lens(eqx.Module):
    """A Module with a static field."""

    radius: Any
    label: Any = eqx.field(static=True, default="lens")

    def power(self, x: Any) -> Any:
        """A method to bind."""
        return x / self.radius


@dataclasses.dataclass
class Settings:
    """A dataclass."""

    rate: Any
    steps: Any = 3


class Pair(typing.NamedTuple):
    """A namedtuple."""

    a: Any
    b: Any


class Colour(enum.Enum):
    """An Enum."""

    RED = 1
    BLUE = 2


class Bits(enum.Flag):
    """A Flag."""

    ONE = 1
    TWO = 2


@jtu.register_pytree_node_class
class Stack:
    """A class that is registered as a pytree node."""

    def __init__(self, items: Any) -> None:
        self.items = items

    def tree_flatten(self) -> Any:
        """What JAX asks for."""
        return (self.items,), None

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Any:
        """What JAX asks for."""
        return cls(*children)


def activation(x: Any) -> Any:
    """A function of one's own."""
    return x


# Traps --------------------------------------------------------------------------------

SPECIAL = """
    __bool__ __call__ __contains__ __copy__ __deepcopy__ __del__ __dir__ __enter__
    __eq__ __float__ __format__ __ge__ __getattr__ __getattribute__ __getitem__
    __getstate__ __gt__ __hash__ __index__ __instancecheck__ __int__ __iter__ __le__
    __len__ __lt__ __ne__ __or__ __prepare__ __reduce__ __reduce_ex__ __repr__ __ror__
    __setattr__ __setstate__ __str__ __subclasscheck__ __jax_array__ __array__
    __array_interface__ __mro_entries__ __typing_subst__ __class_getitem__
""".split()


def _trap(owner: str, name: str) -> Any:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        note(f"{owner}.{name}")
        if name in ("__getattribute__", "__setattr__"):
            if issubclass(type(self), type):
                return getattr(type, name)(self, *args)
            return getattr(object, name)(self, *args)
        if name == "__getattr__":
            raise AttributeError(*args)
        if name == "__hash__":
            return 0
        if name in ("__repr__", "__str__", "__format__"):
            return "trap"
        if name == "__iter__":
            return iter(())
        return NotImplemented

    return method


# One method each, so that none is kept from running by the refusal of another.
for _name in SPECIAL:
    _short = _name.strip("_")
    _space = {_name: _trap(f"Trap_{_short}", _name), "__module__": __name__}
    if _name == "__eq__":
        _space["__hash__"] = object.__hash__
    for _prefix, _base in (("Trap", object), ("TrapModule", eqx.Module)):
        _qualname = f"{_prefix}_{_short}"
        globals()[_qualname] = type(_base)(
            _qualname, (_base,), {**_space, "__qualname__": _qualname}
        )
    _meta = type(f"Meta_{_short}", (type,), {_name: _trap(f"Meta_{_short}", _name)})
    globals()[_meta.__name__] = _meta
    if _name == "__prepare__":
        continue
    _qualname = f"Metal_{_short}"
    globals()[_qualname] = dataclasses.dataclass(
        _meta(_qualname, (), {"__module__": __name__, "__qualname__": _qualname})
    )

RAN.clear()


class Guarded:
    """Properties, slots and cached values that must not be asked or set."""

    __slots__ = ("slot",)

    @property
    def secret(self) -> Any:
        """A property."""
        note("Guarded.secret")

    @secret.setter
    def secret(self, value: Any) -> None:
        note("Guarded.secret=")


class Signed(eqx.Module):
    """A callable that claims a signature and something wrapped."""

    x: Any = None

    @property
    def __signature__(self) -> Any:
        note("Signed.__signature__")

    @property
    def __wrapped__(self) -> Any:
        note("Signed.__wrapped__")

    @property
    def __name__(self) -> Any:
        note("Signed.__name__")

    def __call__(self, x: Any) -> Any:
        note("Signed.__call__")


class Missing(enum.Enum):
    """An Enum that makes up members."""

    A = 1

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        note("Missing._missing_")
        return cls.A


class MissingFlag(enum.Flag):
    """A Flag that makes up members."""

    A = 1

    @classmethod
    def _missing_(cls, value: Any) -> Any:
        note("MissingFlag._missing_")
        return cls.A


# What is reached only by way of something harmless ------------------------------------


class Iterated(typing.NamedTuple):
    """A tuple that hides its items from who iterates over it."""

    a: Any
    b: Any

    def __iter__(self) -> Any:
        note("Iterated.__iter__")
        return iter(())


@dataclasses.dataclass(frozen=True)
class Delegating:
    """A key whose generated hash asks for what is not there."""

    inner: Any

    def __getattr__(self, name: str) -> Any:
        note("Delegating.__getattr__")
        raise AttributeError(name)


class DelegatingModule(eqx.Module):
    """The same as a Module."""

    inner: Any

    def __getattr__(self, name: str) -> Any:
        note("DelegatingModule.__getattr__")
        raise AttributeError(name)


class Computed:
    """A descriptor in the place of a field."""

    def __get__(self, obj: Any, owner: Any = None) -> Any:
        note("Computed.__get__")
        return 5

    def __set__(self, obj: Any, value: Any) -> None:
        note("Computed.__set__")


@dataclasses.dataclass(unsafe_hash=True)
class WithDescriptor:
    """A key whose generated hash reads a descriptor."""

    x: Any = Computed()


class WithCallDescriptor(eqx.Module):
    """A callable whose `__call__` is made when it is read."""

    x: Any = None
    __call__ = Computed()


class Asked:
    """A callable that is asked for what functions tell of themselves."""

    @property
    def __annotations__(self) -> Any:
        note("Asked.__annotations__")

    @property
    def _partialmethod(self) -> Any:
        note("Asked._partialmethod")

    def __call__(self, x: Any) -> Any:
        note("Asked.__call__")


class Holding(eqx.Module):
    """A callable that holds something."""

    x: Any = None

    def __call__(self, *args: Any) -> Any:
        """Call what it holds."""
        return self.x(*args)


class MetaHash(type):
    """A metaclass that hashes and compares."""

    def __hash__(cls) -> int:
        note("MetaHash.__hash__")
        return 0

    def __eq__(cls, other: object) -> bool:
        note("MetaHash.__eq__")
        return cls is other


class Metallic(metaclass=MetaHash):
    """A class of that metaclass, and an instance that a file can name."""

    def __call__(self, x: Any) -> Any:
        note("Metallic.__call__")


METALLIC = Metallic()


class MetaMeta(type):
    """A metaclass of metaclasses."""

    __hash__ = type.__hash__

    def __eq__(cls, other: object) -> bool:
        note("MetaMeta.__eq__")
        return cls is other


class MetaOfMeta(type, metaclass=MetaMeta):
    """A metaclass made by it."""


class MetalOfMetal(metaclass=MetaOfMeta):
    """A class of that metaclass."""


class Made(int):
    """A number that is made by code."""

    def __new__(cls, *args: Any) -> Any:
        note("Made.__new__")
        return int.__new__(cls, *args)


class MadeFlag(Made, enum.Flag):
    """A Flag of such numbers."""

    A = 1
    B = 2


RAN.clear()
