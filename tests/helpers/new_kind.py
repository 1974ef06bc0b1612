"""A kind with children and fields, in one file: `docs/architecture.md` shows it."""

from typing import ClassVar

import jax.tree_util as jtu

from zodiax_io._kinds.base import (
    CannotKeep,
    Declaration,
    Kind,
    Parts,
    children_by_name,
    subclass,
)
from zodiax_io._kinds.fields import FieldsChanged
from zodiax_io._trust import reflection
from zodiax_io._trust.roles import Role

REQUIRED = object()


class Optic:
    """The base of classes that list their fields and defaults in a dictionary."""

    FIELDS: ClassVar = {}

    def __init_subclass__(cls):
        """Each of them is a pytree."""
        jtu.register_pytree_with_keys(
            cls,
            lambda obj: ([(jtu.GetAttrKey(n), vars(obj)[n]) for n in cls.FIELDS], None),
            lambda _, children: _made(
                cls, dict(zip(cls.FIELDS, children, strict=True))
            ),
        )

    def __init__(self, **fields):
        vars(self).update(self.FIELDS | fields)


def _made(cls, fields):
    obj = object.__new__(cls)
    reflection.instance_dict(obj).update(fields)
    return obj


# The kind -----------------------------------------------------------------------------


def _declared(cls):
    return reflection.class_attribute(cls, "FIELDS")


def _encode_optic(obj):
    fields = vars(obj)
    if fields.keys() != _declared(type(obj)).keys():
        raise CannotKeep("Its attributes are not its fields. List them in `FIELDS`.")
    return Parts(children={n: fields[n] for n in obj.FIELDS}, refers=type(obj))


def _decode_optic(parts):
    children, names = children_by_name(parts), _declared(parts.refers)
    missing = [name for name in names if name not in children]
    surplus = [name for name in children if name not in names]
    if missing or surplus:
        raise FieldsChanged(missing, surplus)
    return _made(parts.refers, children)


def _is_optic(obj):
    return reflection.is_class(obj) and reflection.derives(obj, Optic)


OPTIC = Kind(
    "optic",
    subclass(Optic),
    _encode_optic,
    _decode_optic,
    Role("a subclass of `Optic`", _is_optic, builds=True),
    keeps="subclasses of `Optic`, by their fields",
    shared=True,
    attributes=None,  # `encode` looks at all of them
    is_node=True,
    in_order=True,
    may_become=True,
    fields=Declaration(
        names=lambda cls: tuple(_declared(cls)),
        has_default=lambda cls, name: _declared(cls)[name] is not REQUIRED,
        runs_code=lambda cls, name: False,
        default=lambda cls, name: _declared(cls)[name],
    ),
)
