"""Which record of an old file belongs to which leaf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._arrays import npy
from ..._arrays.backend import Entry
from .tree import Event, LegacyNode, leaves

# Whether a field is static: from its class, its name and all saved fields of the class.
IsStatic = Callable[[str, str | None, set[str]], bool | None]
# By the names of their types; NumPy 1 had other names for some of them.
SCALARS = {
    **{np.dtype(code).type.__name__: np.dtype(code) for code in "?bhilqBHILQefdgFDG"},
    **{np.dtype(code).name: np.dtype(code) for code in "gG"},
    "bool_": np.dtype("?"),
}
PYTHON = {"bool": "b", "int": "iu", "float": "f", "complex": "c"}
_LETTERS = {"b": "bool", "i": "int", "f": "float", "c": "complex"}
_FUNCTIONS = ("function", "method", "Function", "ufunc", "jvp", "vjp")
_MAX_STEPS = 500_000


def _fits(leaf: LegacyNode, entry: Entry) -> bool:
    """Whether a record may hold the data of a leaf."""
    dtype = entry.dtype
    if leaf.array is not None:
        name = f"{_LETTERS.get(dtype.kind)}{8 * dtype.itemsize}"
        return leaf.array == (entry.shape, name)
    if entry.shape != ():
        return False
    if leaf.type in PYTHON:
        # NumPy's integers have 32 bits on Windows, before its version 2.
        return dtype.kind in PYTHON[leaf.type] and (
            dtype.kind not in "fc" or dtype.itemsize == 8 * (1 + (dtype.kind == "c"))
        )
    package, _, name = leaf.type.rpartition(".")
    if package == "numpy" and name in SCALARS:
        return npy.storage(SCALARS[name]) == dtype
    # Any other class may be a number of the user's, but a function is never one.
    return not name.endswith(_FUNCTIONS)


_Field = tuple[str, str | None]  # the class and the name of the field


@dataclass(eq=False, repr=False)
class _FieldStep:
    """A field that holds leaves, and the number of the step after the last of them."""

    field: _Field
    end: int = 0


class RecordAssignment:
    """Assigns the records to the leaves: in order, and each of them.

    A field is static in all instances of its class, or in none.
    """

    def __init__(
        self, root: LegacyNode, entries: Sequence[Entry], is_static: IsStatic
    ) -> None:
        self._entries = entries
        events = list(leaves(root))
        self._known = _known_fields(events, is_static)
        self._steps = self._steps_of(events)
        self._left = [0] * (len(self._steps) + 1)  # leaves from a step on
        for i in range(len(self._steps) - 1, -1, -1):
            self._left[i] = self._left[i + 1] + (type(self._steps[i]) is LegacyNode)

    def _steps_of(self, events: Sequence[Event]) -> list[LegacyNode | _FieldStep]:
        """The leaves, and the fields that hold any."""
        # A leaf that no record fits is static, if it is in a field that may be static.
        kinds = {(entry.dtype, entry.shape): entry for entry in self._entries}
        known: dict[tuple[Any, ...], bool] = {}

        def fits_any(leaf: LegacyNode) -> bool:
            key = (leaf.type, leaf.array)
            if key not in known:
                known[key] = any(_fits(leaf, entry) for entry in kinds.values())
            return known[key]

        steps: list[LegacyNode | _FieldStep] = []
        open_fields: list[int] = []
        may_be_static: list[bool] = []  # of each open field
        for kind, node, name, field in events:
            if kind == "leaf":
                if fits_any(node) or not any(may_be_static):
                    steps.append(node)
            elif kind == "begin":
                may_be_static.append(self._known.get((name, field)) is not False)
                open_fields.append(len(steps))
                steps.append(_FieldStep((name, field)))
            else:
                may_be_static.pop()
                start = open_fields.pop()
                if start == len(steps) - 1:  # without leaves
                    del steps[start]
                else:
                    step = steps[start]
                    assert type(step) is _FieldStep
                    step.end = len(steps)
        return steps

    def assign(self) -> bool:
        """Give each leaf its record; whether there is only one way to do so.

        Raises
        ------
        ValueError
            If there is none.
        """
        found, complete = self._solutions()
        if not found:
            raise ValueError(
                "its arrays are not those that its structure describes"
                + ", if its classes still have the same static fields"
                * bool(self._known)
            )
        leaves = [step for step in self._steps if type(step) is LegacyNode]
        for leaf, record in zip(leaves, found[0], strict=True):
            leaf.record = record
        return complete and len(found) == 1

    def _solutions(self) -> tuple[list[list[int | None]], bool]:
        """Two ways at most, and whether all have been tried.

        A search with backtracking: a field that no class describes is first taken for
        dynamic, then for static.
        """
        steps, entries, left = self._steps, self._entries, self._left
        static = dict(self._known)
        found: list[list[int | None]] = []
        assigned: list[int | None] = []  # the record of each leaf so far
        guessed: list[_Field] = []  # the fields that were guessed, in order
        # Where a field could be static, too: step, record, lengths of the two lists.
        branches: list[tuple[int, int, int, int]] = []
        at = record = 0
        budget = _MAX_STEPS + 20 * len(steps)
        while budget > 0:
            budget -= 1
            stuck = len(entries) - record > left[at]
            if not stuck and at < len(steps):
                step = steps[at]
                if isinstance(step, _FieldStep):
                    key = step.field
                    if key not in static:
                        branches.append((at, record, len(assigned), len(guessed)))
                        static[key] = False
                        guessed.append(key)
                    if static[key]:
                        skipped = left[at] - left[step.end]
                        assigned += [None] * skipped
                        budget -= skipped
                        at = step.end
                    else:
                        at += 1
                elif record < len(entries) and _fits(step, entries[record]):
                    assigned.append(record)
                    record, at = record + 1, at + 1
                else:
                    stuck = True
            elif not stuck and assigned not in found:
                found.append(list(assigned))
                if len(found) == 2:
                    return found, True
                stuck = True
            else:
                stuck = True
            if stuck:
                if not branches:
                    return found, True
                at, record, count, guesses = branches.pop()
                del assigned[count:]
                for key in guessed[guesses:]:
                    del static[key]
                del guessed[guesses:]
                step = steps[at]
                assert type(step) is _FieldStep
                static[step.field] = True
                guessed.append(step.field)
        return found, False


def _known_fields(events: Sequence[Event], is_static: IsStatic) -> dict[_Field, bool]:
    """Whether each field is static, for those that an imported class describes."""
    fields = [(name, field) for kind, _, name, field in events if kind == "begin"]
    saved: dict[str, set[str]] = {}
    for name, field in fields:
        if field is not None:
            saved.setdefault(name, set()).add(field)
    known = {
        (name, field): is_static(name, field, saved.get(name, set()))
        for name, field in dict.fromkeys(fields)
    }
    return {field: static for field, static in known.items() if static is not None}
