"""Configurations of OmegaConf, as a description of all their nodes.

Each node of a configuration refers to the node around it, for interpolations and flags.
No file has such cycles. So the outermost node is kept, with the classes, values and
metadata of those in it, and a load sets the references. OmegaConf is recognised by
name, and not imported.
"""

from __future__ import annotations

from typing import Any, cast

from .._trust import reflection, roles
from .._trust.names import lookup_or_none
from .base import CannotKeep, Kind, Parts, expect_children
from .fields import is_dunder, vars_of

_PARENT, _CONTENT, _METADATA = "_parent", "_content", "_metadata"
_CACHE = "_flags_cache"
_OWN = (_PARENT, _CONTENT, _METADATA, _CACHE)
_UNION = "omegaconf.base:UnionNode"
_METADATA_CLASSES = ("omegaconf.base:Metadata", "omegaconf.base:ContainerMetadata")
# A node: the name of its class, its attributes, its metadata, and the nodes in it.
_Node = tuple[str, dict[str, Any], tuple[str, dict[str, Any]], Any]


def _name(cls: type) -> str:
    return ":".join(reflection.own_name(cls) or ("", ""))


def _describe(node: Any, parent: Any) -> _Node:
    cls, attributes = type(node), dict(vars_of(node))
    if not roles.is_omegaconf_class(cls):
        raise CannotKeep(
            f"It contains a `{cls.__module__}.{cls.__qualname__}`, which is not a node "
            "of OmegaConf. Keep `OmegaConf.to_container(x)`, and make it again."
        )
    if attributes.get(_PARENT) is not parent:
        raise CannotKeep(
            "It is a part of a larger configuration. Keep the whole, and take the part "
            "from it after loading; or a copy by itself, `OmegaConf.create(x)`."
        )
    metadata = attributes.get(_METADATA)
    own = {name: value for name, value in attributes.items() if name not in _OWN}
    content: Any = attributes.get(_CONTENT)
    if type(content) is dict:
        items = cast(dict[Any, Any], content).items()
        content = {key: _describe(child, node) for key, child in items}
    elif type(content) is list:
        content = [_describe(child, node) for child in cast(list[Any], content)]
    elif type(content) is tuple:
        content = (*(_describe(child, node) for child in cast(tuple[Any], content)),)
    elif roles.is_omegaconf_class(type(content)):  # of a `Union`
        content = [_describe(content, node)]
    return _name(cls), own, (_name(type(metadata)), dict(vars_of(metadata))), content


def _encode_omegaconf(obj: Any) -> Parts:
    return Parts({"node": _describe(obj, None)}, static=("node",), refers=type(obj))


class _Builder:
    """Builds the nodes of a description, each once."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def node(self, described: Any, parent: Any) -> Any:
        if type(described) is not tuple or len(described) != 4:
            raise ValueError("a node of a configuration is not described by four parts")
        if id(described) in self._seen:  # shared over and over, it would never end
            raise ValueError("two nodes of a configuration share one description")
        self._seen.add(id(described))
        name, own, metadata, content = described
        cls = _class_of(name, roles.is_omegaconf_class)
        node = object.__new__(cls)
        attributes = vars_of(node)
        attributes.update(_attributes(own))
        attributes[_METADATA] = _metadata(metadata)
        attributes[_PARENT], attributes[_CACHE] = parent, None
        if name == _UNION and type(content) is list:
            (attributes[_CONTENT],) = (self.node(child, node) for child in content)
        elif type(content) is dict:
            attributes[_CONTENT] = {
                key: self.node(child, node) for key, child in content.items()
            }
        elif type(content) in (list, tuple):
            attributes[_CONTENT] = type(content)(
                self.node(child, node) for child in content
            )
        elif type(content) is str or content is None:
            if "_val" not in attributes:
                attributes[_CONTENT] = content
        else:
            raise ValueError("the content of a node is not made of nodes")
        return node


def _class_of(name: Any, fits: Any) -> type:
    cls = lookup_or_none(name) if type(name) is str else None
    if not reflection.is_class(cls) or _name(cls) != name or not fits(cls):
        raise ValueError("a node of a configuration is not of a class of OmegaConf")
    return cls


def _attributes(found: Any) -> dict[str, Any]:
    if type(found) is not dict or any(
        type(name) is not str or name in _OWN or is_dunder(name) for name in found
    ):
        raise ValueError("a node of a configuration has attributes of another sort")
    return found


def _metadata(described: Any) -> Any:
    if type(described) is not tuple or len(described) != 2:
        raise ValueError("the metadata of a node have no class")
    name, attributes = described
    cls = _class_of(name, lambda cls: name in _METADATA_CLASSES)
    made = object.__new__(cls)
    vars_of(made).update(_attributes(attributes))
    return made


def _decode_omegaconf(parts: Parts) -> Any:
    (described,) = expect_children(parts, "node")
    node = _Builder().node(described, None)
    if type(node) is not parts.refers:
        raise ValueError("a configuration has another class than its outermost node")
    return node


OMEGACONF = Kind(
    "omegaconf",
    roles.is_omegaconf_class,
    _encode_omegaconf,
    _decode_omegaconf,
    roles.OMEGACONF,
    keeps="configurations of OmegaConf, with their interpolations, types and flags",
    shared=True,
    attributes=None,
)
