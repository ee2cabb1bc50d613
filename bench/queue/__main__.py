"""`python -m bench.queue`: measures the worker queue beside other queues, and prints a table.

It starts its own PostgreSQL and Valkey, and every queue's processes one after the other. Each
round measures one figure of all queues before the next, so that what is compared ran within a
minute or two of each other.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from bench.queue.contenders import Contender, Stores, peers
from bench.queue.kongflow import BATCH_KIND, SINGLE_KIND, KongFlow
from bench.queue.measures import Figures, drain, enqueue, idle, latency
from bench.queue.report import OURS, OURS_SINGLE, Report, bars_table
from bench.queue.whole_system import idle_percent
from bench.system import state_dir_from_environment
from kongflow_embedded.temporary import temporary_postgres, temporary_valkey

ROUNDS = 3
MEASURES: dict[str, Callable[[Contender, Stores], Figures]] = {
    "enqueue": enqueue,
    "drain": drain,
    "latency": latency,
    "idle": idle,
}
# As many slots and batches as a worker has by default; only how long a drain takes is chosen.
JOBS = {OURS: 40_000, OURS_SINGLE: 10_000}
# The single kind differs in its calls alone.
ONLY_DRAINED = (OURS_SINGLE, "graphile-worker-tuned")


def main() -> None:
    """Runs the rounds and writes bench-queue.json into the state folder."""
    parser = argparse.ArgumentParser(prog="bench-queue", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", metavar="QUEUE", help="measure only these queues")
    parser.add_argument("--measure", nargs="+", choices=MEASURES, default=list(MEASURES))
    options = parser.parse_args()
    console = Console(width=180)
    report = Report()
    with (
        tempfile.TemporaryDirectory(prefix="kongflow-bench-queue-") as folder,
        temporary_postgres() as postgres,
        temporary_valkey() as valkey,
    ):
        stores = Stores(postgres, valkey, Path(folder))
        contenders = [
            each for each in everybody(stores) if each.name in (options.only or [each.name])
        ]
        for number in range(options.rounds):
            console.print(f"round {number + 1} of {options.rounds}")
            one_round(report, contenders, options.measure, stores)
    if "idle" in options.measure:
        # The other stores are gone: nothing but the system runs.
        report.system_idle = [idle_percent() for _ in range(options.rounds)]
    console.print(report.table())
    console.print(bars_table(report.bars()))
    target = state_dir_from_environment() / "bench-queue.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(report.document(), indent=2) + "\n")
    console.print(f"written: {target.name}")


def everybody(stores: Stores) -> list[Contender]:
    """All contenders, ours first."""
    return [
        KongFlow(OURS, JOBS[OURS], BATCH_KIND, stores),
        KongFlow(OURS_SINGLE, JOBS[OURS_SINGLE], SINGLE_KIND, stores),
        *peers(stores),
    ]


def one_round(
    report: Report, contenders: Sequence[Contender], measures: Sequence[str], stores: Stores
) -> None:
    """Each figure of all contenders, before the next figure."""
    for measure in measures:
        for contender in contenders:
            if measure == "drain" or contender.name not in ONLY_DRAINED:
                report.add(contender.name, MEASURES[measure](contender, stores))


if __name__ == "__main__":
    main()
