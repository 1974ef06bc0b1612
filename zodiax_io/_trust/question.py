"""The question that the rules answer: whether a file may use a name in a role."""

from __future__ import annotations

import typing
from functools import cached_property
from typing import Any

from . import names, reflection
from .answers import ImportFirst, Refuse
from .finding import Finder, Found
from .roles import (
    CLASS,
    CODE,
    CONSTANT,
    ENUM,
    INSTANCE,
    MARKER,
    MODULE,
    PYTHON_MODULE,
    SUBCLASS,
    Role,
    is_module_class,
)
from .table import FUNCTIONS, STANDARD_CLASSES
from .trusted import Trust


class Question:
    """A name of a file, its role, and facts about the object under the name.

    Each fact is found when a rule first reads it. Those about the object may be read
    only after the rule `not_found`, that is if `obstacle` is None.

    Attributes
    ----------
    name : str
        The name, after renames.
    role : Role
        What the file uses it as.
    bound : bool
        Whether the file chooses arguments for a call of it, as a partial does.
    trust : Trust
        What the caller trusts.
    malformed : str or None
        What is wrong with the spelling of the name.
    module, qualname : str
        Where the object is; for a name in `__main__` this may be another module.
    package : str
        The top-level package of `module`.
    """

    def __init__(self, name: str, role: Role, bound: bool, finder: Finder) -> None:
        self.name, self.role, self.bound = name, role, bound
        self.trust: Trust = finder.trust
        self._finder = finder
        self.malformed: str | None = None
        try:
            is_module = role is PYTHON_MODULE and ":" not in name
            split = names.split_module if is_module else names.split
            self.module, self.qualname = split(name)
        except ValueError as error:
            self.malformed = str(error)
            return
        if self.module == "__main__" and not self.is_registered:
            self.module, self.qualname = finder.home_of_main(self.qualname)
        self.package = names.top_level_package(self.module)

    @property
    def is_registered(self) -> bool:
        """Whether the program has registered an object under this name."""
        return names.is_registered(self.name)

    @cached_property
    def is_in_table(self) -> bool:
        """Whether the table has the name, and no instance of it is built."""
        if self.role is CODE:  # the methods of a type contain functions, too
            return self.qualname in FUNCTIONS.get(self.module, ())
        return names.is_in_table(self.module, self.qualname) and not self.role.builds

    @property
    def is_standard_class(self) -> bool:
        """Whether a file may build instances of it, or use it as a value."""
        fits = self.role in (INSTANCE, SUBCLASS, MARKER, ENUM, CLASS)
        return fits and self.qualname in STANDARD_CLASSES.get(self.module, ())

    @property
    def is_in_module_of_role(self) -> bool:
        """Whether any file may use the objects of the module in this role."""
        return self.module in self.role.modules

    @cached_property
    def _lookup(self) -> Found | Refuse | ImportFirst:
        if self.is_registered:
            return Found(names.resolve(self.name))
        is_listed = (
            self.is_in_table or self.is_standard_class or self.is_in_module_of_role
        )
        result = self._finder.find(self.module, self.qualname, in_table=is_listed)
        if isinstance(result, Found) and self.name in self.trust.names:
            self.trust.add_object(result.obj)
        return result

    @property
    def obstacle(self) -> Refuse | ImportFirst | None:
        """Why the object is missing, or what to import for it; None if it is found."""
        return None if isinstance(self._lookup, Found) else self._lookup

    @property
    def obj(self) -> Any:
        """The object under the name."""
        assert isinstance(self._lookup, Found)
        return self._lookup.obj

    @cached_property
    def defined_in(self) -> str:
        """The module that defines the object, by its `__module__` if that is true."""
        own = None if self.obstacle else reflection.own_name(self.obj)
        if own is None or names.is_written_in(self.obj, self.module, own):
            return self.module  # never by what the object says of itself alone
        return own[0]

    @property
    def defining_package(self) -> str:
        """The top-level package of `defined_in`."""
        return names.top_level_package(self.defined_in)

    @cached_property
    def cls(self) -> Any:
        """The class to judge: the object, or the Module of a method; else None."""
        if reflection.is_class(self.obj):
            return self.obj
        owner = names.owner_class(self.module, self.qualname)
        return owner if owner is not None and is_module_class(owner) else None

    @property
    def cls_role(self) -> Role:
        """The role of the class; a method is as trustworthy as its Module."""
        return self.role if self.cls is self.obj else MODULE

    @cached_property
    def home(self) -> str:
        """The module that must be trusted: that of the class, constant or function."""
        if self.cls is not None and self.cls is not self.obj:
            own = reflection.own_name(self.cls)
            return self.defined_in if own is None else own[0]
        if self.cls is None and self.role is CONSTANT:
            homes = names.homes_of(self.obj)
            # A TypeVar is made by its module; of other objects the class counts.
            return homes[0] if type(self.obj) is typing.TypeVar else homes[-1]
        return self.defined_in

    @property
    def home_package(self) -> str:
        """The top-level package of `home`."""
        return names.top_level_package(self.home)

    @property
    def trusted_because(self) -> str | None:
        """Why the object is trusted, or None if it is not."""
        obj = self.obj if self.cls is None else self.cls
        return self.trust.trusted_because(obj, self.home)
