"""Every numbered attack: `python -m tests.attacks [number …]`."""

import sys
import time
from collections import Counter
from pathlib import Path

from .files import ATTACKS
from .watch import Watched, temporary


def main() -> None:
    """Load every file, and print what breaks the promise."""
    numbers = [int(n) for n in sys.argv[1:]] or sorted(ATTACKS)
    with temporary() as folder, Watched(Path(folder)) as watched:
        for number in numbers:
            attack, outcomes, start = ATTACKS[number], Counter(), time.monotonic()
            shown: Counter[str] = Counter()
            examples: dict[str, list[str]] = {}
            for file, trusted, label in attack.files(Path(folder)):
                report = watched.load(file, trusted, call=attack.call)
                outcomes[report.outcome] += 1
                faults = report.faults()
                if report.outcome == "loaded" and attack.harmless is None:
                    faults.append("loaded")
                for fault in faults:
                    shown[fault[:100]] += 1
                    examples.setdefault(fault[:100], []).append(label)
            took = time.monotonic() - start
            print(f"{number}: {dict(outcomes)} in {took:.1f} s", flush=True)
            for fault, count in shown.items():
                print(f"  {count} x {fault}")
                for label in examples[fault][:2]:
                    print(f"      {label}", flush=True)


if __name__ == "__main__":
    main()
