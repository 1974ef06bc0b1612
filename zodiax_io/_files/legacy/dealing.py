"""Which record of an old file belongs to which leaf."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..._arrays import npy
from ..._arrays.backend import Entry
from .tree import Old, leaves

Static = Callable[[str, str | None, set[str]], bool | None]
# By the names of their types; NumPy 1 called some of them otherwise.
SCALARS = {
    **{np.dtype(code).type.__name__: np.dtype(code) for code in "?bhilqBHILQefdgFDG"},
    **{np.dtype(code).name: np.dtype(code) for code in "gG"},
    "bool_": np.dtype("?"),
}
PYTHON = {"bool": "b", "int": "iu", "float": "f", "complex": "c"}
_LETTERS = {"b": "bool", "i": "int", "f": "float", "c": "complex"}


def _fits(old: Old, entry: Entry) -> bool:
    """Whether a record may be that of a leaf."""
    dtype = entry.dtype
    if old.array is not None:
        name = f"{_LETTERS.get(dtype.kind)}{8 * dtype.itemsize}"
        return old.array == (entry.shape, name)
    if entry.shape != ():
        return False
    if old.type in PYTHON:
        # 32 bits are NumPy's integers on Windows, before its version 2.
        return dtype.kind in PYTHON[old.type] and (
            dtype.kind not in "fc" or dtype.itemsize == 8 * (1 + (dtype.kind == "c"))
        )
    package, _, name = old.type.rpartition(".")
    if package == "numpy" and name in SCALARS:
        return npy.storage(SCALARS[name]) == dtype
    # Else a class of the user's that is a number, too.
    return not name.endswith(_FUNCTIONS)


_FUNCTIONS = ("function", "method", "Function", "ufunc", "jvp", "vjp")
_MAX_STEPS = 500_000


class Dealer:
    """Deals out records to leaves: in order, all of them, and each class alike.

    A field is static in all instances of its class, or in none.
    """

    def __init__(self, root: Old, entries: Sequence[Entry], static: Static) -> None:
        self._entries = entries
        steps = list(leaves(root))
        # A class that has lost fields has changed: what it tells may not hold then.
        held: dict[str, set[str]] = {}
        for what, name, of, _ in steps:
            if what == "from" and of is not None:
                held.setdefault(name, set()).add(of)
        told = {
            (name, of): static(name, of, held.get(name, set()))
            for what, name, of, _ in steps
            if what == "from"
        }
        self._told = {one: known for one, known in told.items() if known is not None}
        # A leaf that no record fits is static, if a class may hold it so.
        kinds = {(entry.dtype, entry.shape): entry for entry in entries}
        known: dict[tuple[Any, ...], bool] = {}

        def is_held(old: Old) -> bool:
            key = (old.type, old.array)
            if key not in known:
                known[key] = any(_fits(old, entry) for entry in kinds.values())
            return known[key]

        # Leaves, and the fields that hold any, each with the step behind it.
        self._steps: list[Any] = []
        open_fields: list[int] = []
        maybe: list[bool] = []  # whether what is in the open fields may be static
        for what, name, of, old in steps:
            if what == "leaf":
                if is_held(old) or not any(maybe):
                    self._steps.append(old)
                continue
            if what != "from":
                maybe.pop()
            if what == "from":
                maybe.append(self._told.get((name, of)) is not False)
                open_fields.append(len(self._steps))
                self._steps.append(((name, of), 0))
            elif open_fields[-1] == len(self._steps) - 1:
                del self._steps[open_fields.pop()]
            else:
                start = open_fields.pop()
                self._steps[start] = (self._steps[start][0], len(self._steps))
        self._left = [0] * (len(self._steps) + 1)  # leaves from a step on
        for i in range(len(self._steps) - 1, -1, -1):
            self._left[i] = self._left[i + 1] + (type(self._steps[i]) is Old)

    def deal(self) -> bool:
        """Give each leaf its record; whether there was one way only to do so.

        Raises
        ------
        ValueError
            If there is none.
        """
        found, complete = self._solutions(self._told)
        if not found:
            raise ValueError(
                "its arrays are not those that its structure describes"
                + ", if its classes have the static fields of then" * bool(self._told)
            )
        leaves = [step for step in self._steps if type(step) is Old]
        for leaf, record in zip(leaves, found[0], strict=True):
            leaf.record = record
        return complete and len(found) == 1

    def _solutions(
        self, told: Mapping[Any, bool]
    ) -> tuple[list[list[int | None]], bool]:
        """Two ways at most, and whether all have been tried."""
        steps, entries, left = self._steps, self._entries, self._left
        static = dict(told)
        found: list[list[int | None]] = []
        dealt: list[int | None] = []  # the record of each leaf so far
        trail: list[Any] = []  # the fields that were guessed, in order
        turns: list[
            tuple[int, int, int, int]
        ] = []  # where a field could be static, too
        at = record = 0
        budget = _MAX_STEPS + 20 * len(steps)
        while budget > 0:
            budget -= 1
            stuck = len(entries) - record > left[at]
            if not stuck and at < len(steps):
                step = steps[at]
                if type(step) is tuple:
                    key, behind = step
                    if key not in static:
                        turns.append((at, record, len(dealt), len(trail)))
                        static[key] = False
                        trail.append(key)
                    if static[key]:
                        skipped = left[at] - left[behind]
                        dealt += [None] * skipped
                        budget -= skipped
                        at = behind
                    else:
                        at += 1
                elif record < len(entries) and _fits(step, entries[record]):
                    dealt.append(record)
                    record, at = record + 1, at + 1
                else:
                    stuck = True
            elif not stuck and dealt not in found:
                found.append(list(dealt))
                if len(found) == 2:
                    return found, True
                stuck = True
            else:
                stuck = True
            if stuck:
                if not turns:
                    return found, True
                at, record, count, guesses = turns.pop()
                del dealt[count:]
                for key in trail[guesses:]:
                    del static[key]
                del trail[guesses:]
                key, _ = steps[at]
                static[key] = True
                trail.append(key)
        return found, False
