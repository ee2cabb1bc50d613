"""`python -m bench.queue.adapters`: the three ways beside each other, interleaved in rounds."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.queue.contenders import Stores, python_module
from bench.queue.kongflow import BATCH_KIND, KongFlow
from bench.queue.measures import START_SECONDS, Figures, latency
from bench.queue.processes import cpu_seconds, running
from kongflow_embedded.temporary import temporary_postgres, temporary_valkey

JOBS = 20_000
ADAPTERS = {
    "outbox": ("bench.queue.adapters.outbox", None),
    "sql-function": ("bench.queue.adapters.sql_function", None),
    "hand-over": ("bench.queue.producer", "bench.queue.adapters.hand_over"),
    "direct": ("bench.queue.producer", None),
}


def through(contender: KongFlow, stores: Stores) -> Figures:
    """Jobs per second from the first that is sent to the end of all, and CPU of all per job."""
    contender.begin()
    try:
        with contender.worker(JOBS) as worker:
            time.sleep(START_SECONDS)
            with running(
                contender.producer().with_words("fill", JOBS), stores.folder / "producer.log"
            ) as producer:
                pids = (*stores.pids, *worker.pids, *contender.server_pids, producer.pid)
                started, before = time.time(), cpu_seconds(pids)
                worker.report.answer()
                while not contender.is_empty():
                    time.sleep(0.005)
                ended = time.time()
                used = cpu_seconds(pids) - before
    finally:
        contender.end()
    return {"through": JOBS / (ended - started), "cpu_us": used / JOBS * 1e6}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="bench.queue.adapters", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Figures]] = {name: [] for name in ADAPTERS}
    with (
        tempfile.TemporaryDirectory(prefix="kongflow-bench-queue-") as folder,
        temporary_postgres() as postgres,
        temporary_valkey() as valkey,
    ):
        stores = Stores(postgres, valkey, Path(folder))
        for _ in range(options.rounds):
            for name, (producer, worker) in ADAPTERS.items():
                contender = KongFlow(name, JOBS, BATCH_KIND, stores)
                contender.producer_module = producer
                if worker is not None:
                    contender.worker_command = python_module(worker)
                    contender.has_server = False
                found[name].append({**latency(contender, stores), **through(contender, stores)})
    table = Table("adapter", "p50 ms", "p99 ms", "jobs/s through", "CPU us/job, all processes")
    for name, rounds in found.items():
        medians = [statistics.median(each[figure] for each in rounds) for figure in rounds[0]]
        p50, p99, rate, cpu = medians
        table.add_row(name, f"{p50:.1f}", f"{p99:.1f}", f"{rate:,.0f}", f"{cpu:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
