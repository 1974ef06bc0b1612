"""Honest files with their bytes changed: `python -m tests.attacks.fuzz`."""

from __future__ import annotations

import argparse
import copy
import random
from collections.abc import Iterator
from typing import Any

import msgpack
from documents import TRAILER, Checkpoint, companion, frame

from . import mutate

NUMBERS = [0, 1, -1, 2, 7, 63, 64, 127, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40]
NUMBERS += [2**62, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63)]
VALUES: list[Any] = [
    None,
    True,
    False,
    "",
    b"",
    0.0,
    float("nan"),
    float("inf"),
    [],
    {},
]


def noise(data: bytes, chance: random.Random) -> bytes:
    """Flips, splices, cuts and insertions."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not changed:
            break
        at = chance.randrange(len(changed))
        length = min(chance.choice((1, 2, 4, 8, 64, 500)), len(changed) - at)
        what = chance.randrange(8)
        if what == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            changed[at] = chance.randrange(256)
        elif what == 2:
            del changed[at : at + length]
        elif what == 3:
            changed[at:at] = chance.randbytes(length)
        elif what == 4:
            start = chance.randrange(len(changed))
            changed[at : at + length] = changed[start : start + length]
        elif what == 5:
            changed[at : at + length] = bytes([chance.choice((0, 255))]) * length
        elif what == 6:
            number = chance.choice(NUMBERS) % 2**64
            width = chance.choice((1, 2, 4, 8))
            order: Any = chance.choice(("little", "big"))
            changed[at : at + width] = (number % 256**width).to_bytes(width, order)
        elif chance.random() < 0.3:
            del changed[at:]
    return bytes(changed)


def spots(plain: Any) -> list[tuple[Any, Any]]:
    """Every value of a document: its holder, and where in it."""
    found: list[tuple[Any, Any]] = []
    waiting = [plain]
    while waiting:
        holder = waiting.pop()
        items: Any = holder.items() if type(holder) is dict else enumerate(holder)
        for key, value in items:
            found.append((holder, key))
            if type(value) in (dict, list):
                waiting.append(value)
    return found


def reshaped(document: Any, chance: random.Random) -> None:
    """Change numbers, lengths and places of a document."""
    found = spots(document)
    holder, key = chance.choice(found)
    value, what = holder[key], chance.randrange(7)
    if what == 0 or (type(value) is int and what < 4):
        holder[key] = chance.choice(NUMBERS)
    elif what == 1:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    elif what == 2:
        other, place = chance.choice(found)
        holder[key] = copy.deepcopy(other[place])
    elif what == 3:
        del holder[key]
    elif what == 4 and type(value) is list:
        holder[key] = copy.deepcopy(value * chance.choice((0, 2, 3, 50)))
    elif what == 5 and type(holder) is dict:
        other, place = chance.choice(found)
        if type(place) is str:
            holder[place] = copy.deepcopy(other[place])
    elif type(value) is bytes:
        holder[key] = noise(value, chance)
    elif type(value) is str:
        holder[key] = noise(value.encode(), chance).decode("utf8", "replace")
    else:
        other, place = chance.choice(found)
        kept = copy.deepcopy(value)
        holder[key] = copy.deepcopy(other[place])
        other[place] = kept


def mutations(
    files: dict[str, bytes], chance: random.Random
) -> Iterator[tuple[str, bytes]]:
    """Damaged files without end; half of them with checksums made good again."""
    checkpoints = {name: Checkpoint.apart(data) for name, data in files.items()}
    names = sorted(files)
    number = 0
    while True:
        number += 1
        name = chance.choice(names)
        what = chance.randrange(6)
        try:
            data = _changed(copy.deepcopy(checkpoints[name]), files[name], what, chance)
        except (OverflowError, ValueError, TypeError, RecursionError):
            continue  # msgpack cannot say it
        yield f"{name}; change {number} of sort {what}; {data.hex()[-64:-32]}", data


def _changed(
    checkpoint: Checkpoint, data: bytes, what: int, chance: random.Random
) -> bytes:
    if what == 0:  # anything, unrepaired
        return noise(data, chance)
    body = msgpack.packb(checkpoint.document)
    if what == 1:  # the document, under a good checksum
        return companion(checkpoint.records, frame(noise(body, chance)))
    if what == 2:  # the records, under good checksums
        checkpoint.records = noise(checkpoint.records, chance)
        checkpoint.repair()
        return checkpoint.companion()
    if what == 3 and chance.random() < 0.3:  # the trailer
        return data[: -TRAILER.size] + noise(data[-TRAILER.size :], chance)
    for _ in range(chance.choice((1, 1, 2, 3))):
        reshaped(checkpoint.document, chance)
    if what == 4:
        try:
            checkpoint.repair()
        except Exception:
            return checkpoint.companion()
    return checkpoint.companion()


def main() -> None:
    """Print every file that breaks a promise, for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    mutate.run(parser.parse_args(), make=mutations)


if __name__ == "__main__":
    main()
