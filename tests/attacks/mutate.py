"""Honest files with their strings replaced: `python -m tests.attacks.mutate`."""

from __future__ import annotations

import argparse
import copy
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from documents import Checkpoint

from .watch import Report, Watched, temporary

HOSTILE = """
    os:system posix:system builtins:eval builtins:exec builtins:getattr builtins:open
    builtins:__import__ subprocess:Popen functools:partial functools:reduce
    operator:methodcaller importlib:import_module pickle:loads
    attacks.lab:own_danger __main__:own_danger attacks.lab:make attacks.lab:Signed
    attacks.lab:Trap_lt attacks.lab:Metal_or attacks.lab:TrapModule_getattr
    jax.numpy:load numpy:load numpy:save numpy:memmap numpy:ndarray jax:pure_callback
    jax.debug:breakpoint equinox:tree_deserialise_leaves jax._src.config:os.system
    equinox:jax.numpy.load planted:run antigravity:x brax:Model numpy.f2py.diagnose:run
    lazy_module:run getattr_module:run sly_module:run trap_module:run
    somelab:Finalised somelab:Hashed somelab:function
    zodiax_io:register zodiax_io._trust.judge:Judge
    zodiax_io._kinds.placeholders:Placeholder
    ../../etc/passwd /etc/passwd Mars/Phobos __class__ __dict__ __call__ __signature__
    __wrapped__ __globals__ __init__ __reduce__ os system eval exec unlink write_text
    function class singleton marker token default module dataclass namedtuple node
    registered closure partial jax_partial jit transform filter_jit method treedef enum
    defaultdict annotation jaxtyping path timezone same deeper placeholder unravel
    container leaf kind type value static beside absent wraps attributes told aux func
    self f dynamic function dtype shape record impl PosixPath Literal Union Annotated |
    vmap grad checkpoint O |O8 <U9
""".split()
HOSTILE += [
    "",
    "\0",
    "'__import__('os').system('echo x > ran')",
    "{__import__('os').system('echo x > ran')}",
    "'os.system",
    "a" * 10_000,
    "\n\x1b[31m",
]

Place = tuple[Any, Any, str]


def places(plain: Any) -> Iterator[Place]:
    """Every string of a document: its holder, and its key there or its index."""
    waiting = [plain]
    while waiting:
        holder = waiting.pop()
        items: Any = holder.items() if type(holder) is dict else enumerate(holder)
        for key, value in items:
            if type(key) is str:
                yield holder, key, "key"
            if type(value) is str:
                yield holder, key, "value"
            elif type(value) in (dict, list):
                waiting.append(value)


def replaced(place: Place, words: str) -> str:
    """Put another string at a place, and say what was done."""
    holder, key, what = place
    if what == "value":
        told = f"{key!r}: {holder[key]!r:.60} -> {words!r:.60}"
        holder[key] = words
        return told
    if key not in holder:
        return "nothing"
    items = [(words if k == key else k, v) for k, v in holder.items()]
    holder.clear()
    holder.update(items)
    return f"key {key!r:.60} -> {words!r:.60}"


def mutations(
    files: dict[str, bytes], chance: random.Random
) -> Iterator[tuple[str, bytes]]:
    """Hostile files without end: one string replaced, or two."""
    checkpoints = {name: Checkpoint.apart(data) for name, data in files.items()}
    names = sorted(checkpoints)
    while True:
        name = chance.choice(names)
        checkpoint = copy.deepcopy(checkpoints[name])
        told = [name]
        for _ in range(chance.choice((1, 1, 2))):
            found = list(places(checkpoint.document))
            told.append(replaced(chance.choice(found), chance.choice(HOSTILE)))
        yield "; ".join(told), checkpoint.companion()


def every(files: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Each string of each file, replaced by each hostile one."""
    for name, data in files.items():
        checkpoint = Checkpoint.apart(data)
        count = len(list(places(checkpoint.document)))
        for i in range(count):
            for words in HOSTILE:
                changed = copy.deepcopy(checkpoint)
                place = list(places(changed.document))[i]
                told = replaced(place, words)
                yield f"{name}; {told}", changed.companion()


def load(watched: Watched, told: str, data: bytes, number: int = 0) -> Report:
    """Load a changed file as its honest original would be."""
    trusted = ("flowjax",) if told.startswith("flow") else ()
    others = {9: "read_metadata", 8: "skip", 7: "verify", 6: "names"}
    call = others.get(number % 10, "deserialise")
    if told.startswith("extras") and number % 2:
        call = "extras"
    return watched.load(data, trusted, call=call)


def main() -> None:
    """Print every change that is accepted, for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", action="store_true", help="each string by each")
    given = parser.parse_args()
    run(given, lambda files, chance: every(files) if given.every else None)


def run(given: Any, other: Any = None, make: Any = None) -> None:
    """Load what `make` gives until the time is over."""
    end = time.monotonic() + given.seconds
    count, faulty = 0, 0
    known: dict[str, int] = {}
    chance = random.Random(given.seed)
    with temporary() as folder, Watched(Path(folder)) as watched:
        files = watched.samples()
        stream = (other and other(files, chance)) or (make or mutations)(files, chance)
        for told, data in stream:
            if time.monotonic() > end:
                break
            count += 1
            report = load(watched, told, data, count)
            faults = report.faults()
            faulty += bool(faults)
            for fault in faults:
                known[fault[:90]] = known.get(fault[:90], 0) + 1
                if known[fault[:90]] <= 3:
                    print(f"{fault}\n    {told}", flush=True)
    print(f"{count} files (seed {given.seed}), {faulty} of them harmful")
    for fault, number in sorted(known.items()):
        print(f"  {number} x {fault}")
    sys.exit(bool(faulty))


if __name__ == "__main__":
    main()
