"""Every property test with new random examples: `python -m tests.roam`."""

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path


def main() -> None:
    """Run the property tests again and again, until the time is over or one fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, help="of the first round, to see it again")
    given, options = parser.parse_known_args()
    seed = random.randrange(2**32) if given.seed is None else given.seed
    end = time.monotonic() + given.seconds
    rounds = 0
    while time.monotonic() < end:
        print(f"round {rounds + 1}: --seed {seed}", flush=True)
        command = [sys.executable, "-m", "pytest", "-q", "-m", "hypothesis"]
        command += [f"--hypothesis-seed={seed}", "-p", "no:cacheprovider", *options]
        done = subprocess.run(
            command,
            cwd=Path(__file__).parent.parent,
            env={**os.environ, "HYPOTHESIS_PROFILE": "roam"},
            check=False,
        )
        if done.returncode:
            sys.exit(done.returncode)
        rounds += 1
        seed = random.Random(seed).randrange(2**32)
    print(f"{rounds} rounds, no property broken")


if __name__ == "__main__":
    main()
