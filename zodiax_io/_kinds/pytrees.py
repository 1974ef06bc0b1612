"""Registered pytree classes, treedefs and markers."""

from __future__ import annotations

import collections
import types
from typing import Any

import equinox as eqx
import jax.tree_util as jtu
import numpy as np

from .. import _jax
from .._errors import LIMITS, ClassChangedError
from .._trust import reflection, roles
from .._trust.names import name_of
from .._trust.reflection import class_attribute, has_python_layout
from .._trust.roles import is_function, is_namedtuple
from .._trust.table import FRAMEWORKS
from . import flattening
from .base import (
    CannotKeep,
    Data,
    Kind,
    Parts,
    children_by_name,
    children_in_order,
    exactly,
    subclass,
)
from .fields import (
    UNDECLARED,
    attributes_of,
    cached_by_class,
    has_plain_fields,
    is_of_frameworks,
    kept_attributes,
    layout,
    package_of,
)
from .keys import is_vetted
from .objects import decode_object, hides_no_code, renew_hashes
from .origins import first_exchanged, has_short_text, origins_of
from .unflattened import (
    check_order,
    check_unflattening,
    hashes_of,
    is_large,
    may_be_hash,
)
from .watch import Watch

# Classes whose unflatten function makes them anew: no file can keep their attributes.
_MADE_ANEW = frozenset({("flax.nnx.tracers", "TraceState")})


def _encode_registered(obj: Any) -> Parts | None:
    """By attributes, not by flattening: some classes flatten in the order of a set."""
    cls = type(obj)
    if not _jax.is_registered_node(cls) or not has_python_layout(cls):
        return None
    if reflection.own_name(cls) in _MADE_ANEW:
        return None
    attributes = kept_attributes(obj)
    if not all(hides_no_code(cls, name, value) for name, value in attributes.items()):
        return None
    has_hashes = any(map(may_be_hash, attributes, attributes.values()))
    if has_hashes and not renew_hashes(obj, attributes):
        return None
    extra = {"beside": list(attributes)} if attributes else {}
    return Parts(children=attributes, refers=cls, extra=extra)


REGISTERED = Kind(
    "registered",
    subclass(object),  # a class may be registered after its rows were looked up
    _encode_registered,
    lambda parts: decode_object(parts, {}),
    roles.NODE,
    keeps="classes registered as pytree nodes, by the attributes of the instance",
    shared=True,
    may_fail_inside=True,
    attributes=None,
    is_node=True,
    match_leaves_by_identity=True,
    fields=UNDECLARED,
)


# Objects of a graph: JAX flattens each reference to a shared one by itself, and a load
# by children would take them apart. They are kept by their attributes or not at all.
_IN_GRAPHS = frozenset(
    {("flax.nnx.pytreelib", "Pytree"), ("flax.nnx.variablelib", "Variable")}
)


@cached_by_class
def _is_in_graph(cls: type) -> bool:
    return any(reflection.own_name(base) in _IN_GRAPHS for base in reflection.mro(cls))


def _encode_node(obj: Any) -> Parts | None:
    if not _jax.is_registered_node(type(obj)) or _is_in_graph(type(obj)):
        return None
    flat = _jax.flatten_once(obj)
    if flat is None:
        return None
    children, aux = flat
    if aux is obj:  # registered as static
        return None
    if package_of(type(obj)) in FRAMEWORKS and not _is_plain(aux):
        raise CannotKeep(
            "Its auxiliary data is not made of plain values. Keep its parts, and make "
            "it again from them."
        )
    fresh, watch = check_unflattening(obj, children, aux)
    flat = tuple(children), aux
    origins = origins_of(obj, fresh, flat, _hashes_in(obj))
    check_order(type(obj), watch, origins.unknown)
    notes = {"places": origins.places, "texts": origins.texts}
    return Parts(
        children={"children": flat[0], "aux": aux},
        static=("aux",),
        refers=type(obj),
        extra={name: note for name, note in notes.items() if note},
    )


def _hashes_in(obj: Any) -> set[str]:
    """The names of attributes that are hashes, which each process computes anew."""
    attributes = attributes_of(obj)
    maybe = {name for name, value in attributes.items() if may_be_hash(name, value)}
    known = hashes_of(obj, attributes) if maybe else set[int]()
    return {n for n in maybe if attributes[n] in known or is_large(attributes[n])}


def _decode_node(parts: Parts) -> Any:
    children = children_by_name(parts)
    if set(children) != {"children", "aux"} or type(children["children"]) is not tuple:
        raise ValueError("the children of a registered pytree node are not a tuple")
    cls = parts.refers
    if package_of(cls) in FRAMEWORKS and not _is_plain(children["aux"]):
        raise ValueError(f"{cls.__qualname__} has auxiliary data that is not plain")
    try:
        obj = _jax.unflatten_once(cls, children["aux"], children["children"])
    except LIMITS:
        raise
    except Exception as error:
        raise ValueError(
            f"the unflatten function of {cls.__qualname__} failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    _check_attributes(obj, children, parts)
    return obj


def children_held_by(plain: dict[str, Any], attribute: str) -> list[Any]:
    """The numbers of the children that an attribute is, by the notes of a node."""
    places, children = plain.get("places"), plain.get("held")  # the latter: old files
    found = [children.get(attribute)] if type(children) is dict else []
    for note in places if type(places) is list else ():
        match note:
            case [[name], [0, index]] if name == attribute:
                found.append(index)
            case _:
                continue
    return found


NODE = Kind(
    "node",
    subclass(object),
    _encode_node,
    _decode_node,
    roles.UNFLATTENED,
    keeps="classes registered as pytree nodes, by children and auxiliary data",
    shared=True,
    attributes=None,
    is_node=True,
)


def _check_attributes(obj: Any, children: dict[str, Any], parts: Parts) -> None:
    """Refuse an object whose class exchanged its attributes since it was saved."""
    flat, extra = (children["children"], children["aux"]), parts.extra
    found = first_exchanged(obj, flat, extra.get("places"), extra.get("texts"))
    found = found or _first_exchanged_in_old_notes(obj, flat, extra)
    if found is not None:
        raise ClassChangedError(
            f"the unflatten function of {type(obj).__name__} put another value into "
            f"{found!r:.80} than its flatten function had taken out of it. Save the "
            "object again with a kind for its class, registered by "
            "`zodiax_io.register_kind`."
        )


def _first_exchanged_in_old_notes(
    obj: Any, flat: tuple[Any, Any], extra: dict[str, Any]
) -> str | None:
    """As `first_exchanged`, by the two further notes that older files have."""
    children, texts = extra.get("held"), extra.get("attributes")
    if type(children) is dict:
        places = [[[name], [0, index]] for name, index in children.items()]
        found = first_exchanged(obj, flat, places, ())
        if found is not None:
            return found
    attributes = attributes_of(obj)
    for name, text in texts.items() if type(texts) is dict else ():
        value = attributes.get(name, ...)
        if not has_short_text(value) or repr(value) != text:
            return name
    return None


def _is_plain(aux: Any) -> bool:
    """Whether auxiliary data is plain, so that a class may use it in any way."""
    cls = type(aux)
    known = package_of(cls) in FRAMEWORKS and is_namedtuple(cls)
    if cls is tuple or known:
        return all(map(_is_plain, tuple.__iter__(aux)))
    if cls is list:
        return all(map(_is_plain, aux))
    if cls is dict:
        return all(type(k) is str and _is_plain(v) for k, v in aux.items())
    return is_function(aux) or any(cls is known for known in _PLAIN_AUX)


_PLAIN_AUX = (
    *(type(None), bool, int, float, complex, str, bytes, type(...), range),
    *(type(np.dtype(code)) for code in "?bhilBHILefdFD"),
    *(type(jtu.tree_structure(0)), object, np.ndarray),
)


def _encode_treedef(obj: Any) -> Parts:
    try:
        with Watch() as watch:
            tree = jtu.tree_unflatten(obj, range(obj.num_leaves))
            leaves, again = flattening.flatten(tree, _refuse_getters)
        same = leaves == [*range(obj.num_leaves)] and _is_same_treedef(again, obj)
    except (CannotKeep, *LIMITS):
        raise
    except Exception as error:
        raise CannotKeep(
            f"A class in it cannot be built around numbers: {error}. Keep the tree "
            "itself, and take its treedef by `jax.tree.structure` again."
        ) from error
    if not same:
        raise CannotKeep(
            "A class in it does not flatten into the children that it was unflattened "
            "from; perhaps its flattening depends on the values of its leaves. Keep "
            "the tree itself, and take its treedef by `jax.tree.structure` again."
        )
    found = watch.uses_of_sets()
    if found is not None:
        raise CannotKeep(
            f"A class in it flattens by way of a set (in `{found}`), whose order "
            "changes from process to process: its leaves could be exchanged. Keep the "
            "tree itself, and take its treedef by `jax.tree.structure` again."
        )
    return Parts(children=[tree])


def _is_same_treedef(one: Any, other: Any) -> bool:
    pairs = zip(flattening.nodes_of(one), flattening.nodes_of(other), strict=True)
    return one.num_leaves == other.num_leaves and all(
        a[0] is b[0] and (a[1] is b[1] or bool(a[1] == b[1])) for a, b in pairs
    )


def _decode_treedef(parts: Parts) -> Any:
    (tree,) = children_in_order(parts)
    leaves, treedef = flattening.flatten(tree, _refuse_getters)
    if all(type(leaf) is int for leaf in leaves) and leaves != sorted(leaves):
        raise ClassChangedError(
            "a class in a PyTreeDef flattens in another order than when it was saved. "
            "Save the tree again without the PyTreeDef."
        )
    return treedef


TREEDEF = Kind(
    "treedef",
    exactly(jtu.PyTreeDef),
    _encode_treedef,
    _decode_treedef,
    keeps="`PyTreeDef`",
)


_BUILT_IN_NODES = (
    *(tuple, list, dict, type(None), collections.OrderedDict, collections.defaultdict),
    *(jtu.Partial, type(_jax.equinox_missing())),
)


def unflattens_plainly(cls: type) -> bool:
    """Whether unflattening an instance runs only code of Python, JAX and Equinox.

    For other classes a registered function runs, and for dataclasses the constructor.
    """
    if reflection.is_one_of(cls, _BUILT_IN_NODES):
        return True
    if reflection.derives(cls, eqx.Module):
        return has_plain_fields(cls, layout(cls)[0])
    made_by = class_attribute(cls, "__new__")
    return (
        reflection.derives(cls, tuple)
        and is_namedtuple(cls)
        and class_attribute(cls, "__init__") is object.__init__
        and type(made_by) in (types.FunctionType, staticmethod)
        and is_vetted(getattr(made_by, "__func__", made_by))
    )


def _refuse_getters(obj: Any) -> bool:
    """Refuse an object whose class runs code when its attributes are read."""
    getter = class_attribute(type(obj), "__getattribute__")
    if type(getter) is types.FunctionType and not is_of_frameworks(getter):
        raise CannotKeep(
            "A class in it writes its own `__getattribute__`, which runs when JAX "
            "takes the tree apart. Keep the tree itself, and take its treedef by "
            "`jax.tree.structure` again."
        )
    return False


OBJECT = Kind(
    "object",
    exactly(object),
    # A sentinel with a name is a constant, and loads as itself.
    lambda obj: Parts() if name_of(obj) is None else None,
    lambda parts: object(),
    keeps="bare `object()` markers, by identity",
    shared=True,
    data=Data.NONE,
)


def _encode_marker(obj: Any) -> Parts | None:
    cls = type(obj)
    if not has_python_layout(cls) or attributes_of(obj):
        return None
    return Parts(refers=cls)


MARKER = Kind(
    "marker",  # after "singleton": objects with a name load as themselves
    subclass(object),
    _encode_marker,
    lambda parts: object.__new__(parts.refers),
    roles.MARKER,
    keeps="instances without attributes, such as sentinels",
    shared=True,
    attributes=None,
)


MISSING = Kind(
    "missing",
    exactly(type(_jax.equinox_missing())),
    lambda obj: Parts(),
    lambda parts: _jax.equinox_missing(),
    keeps="Equinox's marker of an absent attribute",
    data=Data.NONE,
)
