"""`python -m tests.differential`: as many pairs as asked for, and what came of them."""

import argparse
import random
import sys
import time

from tests.differential.compare import compare
from tests.differential.generator import OPERATORS

SHOWN = 20


def main() -> int:
    """Compares; answers 1 when the two differ anywhere."""
    parser = argparse.ArgumentParser(prog="python -m tests.differential", description=__doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    options = parser.parse_args()
    started = time.monotonic()
    found = compare(options.pairs, options.seed)
    verdicts = ("true", "false", "invalid", "throws")
    say = sys.stdout.write
    say(f"{'':20}" + "".join(f"{verdict:>10}" for verdict in verdicts) + "\n")
    rows = [("payload", found.alone), ("event", found.event)]
    for name, counts in rows:
        say(f"{name:20}" + "".join(f"{counts[each]:10}" for each in verdicts) + "\n")
    for name in OPERATORS:
        say(f"{name:20}" + "".join(f"{found.operators[name, each]:10}" for each in verdicts) + "\n")
    for difference in found.differences[:SHOWN]:
        say(f"DIFFERENT: {difference}\n")
    seconds = time.monotonic() - started
    say(
        f"differential: {found.pairs} pairs, {len(found.differences)} differences"
        f" (seed {options.seed}, {seconds:.0f} s)\n"
    )
    return 1 if found.differences else 0


if __name__ == "__main__":
    sys.exit(main())
