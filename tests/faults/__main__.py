"""`python -m tests.faults`: the full campaign against a system of its own."""

import argparse
import asyncio
import logging
import random
import sys

from tests.faults.campaign import faults_under_load, outage_of_every_target
from tests.faults.chaos import Plan
from tests.faults.program import counting_program
from tests.local_system import local_system


def main() -> int:
    """Runs the campaigns that are asked for; answers 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=90.0, help="how long the faults go on")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--outage", type=float, default=120.0, help="seconds; 0 leaves it out")
    parser.add_argument("--settle", type=float, default=180.0, help="seconds to finish in")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    problems: list[str] = []
    with local_system() as system, counting_program(system) as program:
        if options.events:
            problems += asyncio.run(
                faults_under_load(
                    system,
                    program,
                    events=options.events,
                    seed=options.seed,
                    plan=Plan(options.seconds),
                    settle_seconds=options.settle,
                )
            )
        if options.outage:
            problems += asyncio.run(
                outage_of_every_target(
                    system,
                    program,
                    events=500,
                    outage_seconds=options.outage,
                    settle_seconds=options.settle,
                )
            )
    for problem in problems:
        sys.stdout.write(f"WRONG: {problem}\n")
    sys.stdout.write(f"faults: {'FAILED' if problems else 'ok'} (seed {options.seed})\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
