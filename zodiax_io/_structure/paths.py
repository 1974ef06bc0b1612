"""Paths in a tree: steps, and their text."""

from __future__ import annotations

from typing import Any

from .._errors import (
    MAX_NAME,
    shown,
)
from .._kinds.lookup import row_of

# The name or the index of a child.
Step = str | int
# A path, whose text is made only on demand: the path and the plain node of the parent,
# and the step from it. The key of a mapping has no plain node but the number of the
# key; the root has neither path nor plain node, but its name.
Path = tuple[Any, Any, Any]
_PlainNode = dict[str, Any]


def root_path(name: str) -> Path:
    """The path of the root of a tree."""
    return None, None, name


def path_text(path: Path) -> str:
    """A path as the user writes it: ``model.layers[0].weight``."""
    labels: list[str] = []
    above, node, step = path
    while above is not None:
        labels.append(label_in(node, step))
        above, node, step = above
    return step + "".join(reversed(labels))


def label_in(node: _PlainNode | None, step: Any) -> str:
    """The label of the last step of a path, from its parent and the step."""
    return f".keys[{step}]" if node is None else label_of(node, step)


def short_path(path: Path) -> str:
    """A path to keep: of a deep tree with long keys, many would grow large."""
    return shown(path_text(path), 512)


def label_of(node: _PlainNode, key: Step) -> str:
    """The text that a child adds to the path of its parent."""
    row = row_of(node)
    if isinstance(key, str):
        if key in row.unseen:
            return ""
        return f"[{cut(key)!r}]" if row.steps == "key" else f".{cut(key)}"
    keys = node.get("keys")
    if isinstance(keys, list) and key < len(keys):
        return _key_label(keys[key], key)
    if row.hides_child and _is_wrapped(node):
        return ""
    return f"[{key}]"


def _is_wrapped(node: _PlainNode) -> bool:
    """Whether all that a node holds is in one container."""
    children = node.get("node")
    if not isinstance(children, list) or len(children) != 1:
        return False
    return isinstance(children[0], dict) and "node" in children[0]


def cut(key: str) -> str:
    """A key short enough for a path: of many long ones, messages would grow large."""
    return key if len(key) <= MAX_NAME else key[: MAX_NAME - 1] + "…"


def _key_label(key: Any, index: int) -> str:
    if not isinstance(key, dict):
        return f"[key {index}]"
    parts, look = key.get("node"), row_of(key).look
    if look.items is not None and isinstance(parts, list) and len(parts) < 8:
        flat = [p for p in parts if isinstance(p, dict) and "node" not in p]
        labels = [_key_label(part, -1) for part in flat]
        text = look.items([label[1:-1] for label in labels])
        known = len(labels) == len(parts) and "[key -1]" not in labels
        if known and len(text) <= 60 and not set("[]*?") & set(text):
            return f"[{text}]"  # as `only=` can read it
    if look.inline:
        value = key.get("value")
        if type(value) is str:
            return f"[{cut(value)!r}]"
        if type(value) in (int, float, bool):
            return f"[{shown(repr(value))}]"
    return f"[key {index}]"


def step_of(node: _PlainNode, key: Step) -> tuple[str, str]:
    """A step of a path in full, however long: what it is, and its text."""
    if isinstance(key, str) and label_of(node, key):
        return ("key" if row_of(node).steps == "key" else "name"), key
    keys = node.get("keys")
    if isinstance(key, int) and isinstance(keys, list) and key < len(keys):
        inner = keys[key] if isinstance(keys[key], dict) else {}
        if row_of(inner).look.inline and type(inner.get("value")) is str:
            return "key", inner["value"]
    return "item", label_of(node, key)[1:-1]


def steps_of(path: Path) -> tuple[tuple[str, str], ...]:
    """The steps of a path, without those that only this package knows."""
    steps: list[tuple[str, str]] = []
    above, node, step = path
    while above is not None:
        if node is None:
            steps.append(("keys", str(step)))
        elif label_of(node, step):
            steps.append(step_of(node, step))
        above, node, step = above
    return tuple(reversed(steps))
