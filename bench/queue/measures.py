"""What is measured of each contender, one after the other, on stores that are otherwise idle."""

import statistics
import time

from bench.queue.contenders import Contender, Stores
from bench.queue.processes import ask, cpu_seconds, running
from bench.queue.program import WARM_UP

ENQUEUE_SECONDS = 2.0
BATCH = 100
ENQUEUES = {
    "enqueue_1": (1, 1),
    "enqueue_1_16_callers": (1, 16),
    "enqueue_100": (BATCH, 1),
    "enqueue_100_4_callers": (BATCH, 4),
}
"""By figure: jobs in a request, and callers at once."""
DRAIN_PATIENCE_SECONDS = 30.0
RATE = 25
LATENCY_SECONDS = 8.0
START_SECONDS = 3.0
"""How long a worker may take from its start to hearing of jobs at once."""
IDLE_SETTLE_SECONDS = 4.0
IDLE_SECONDS = 8.0

Figures = dict[str, float]


def enqueue(contender: Contender, stores: Stores) -> Figures:
    """Jobs stored per second, while no worker runs."""
    figures: Figures = {}
    for figure, (size, callers) in ENQUEUES.items():
        contender.begin()
        try:
            command = contender.producer().with_words("enqueue", size, callers, ENQUEUE_SECONDS)
            answer = ask(command, stores.folder / "producer.log")
        finally:
            contender.end()
        figures[figure] = answer["jobs"] / answer["seconds"]
    return figures


def drain(contender: Contender, stores: Stores) -> Figures:
    """Jobs done per second, of many that wait as the worker starts.

    From the first job's run until the store says that all are done: some queues say so long after
    they have run the last.
    """
    contender.begin()
    try:
        fill(contender, stores)
        with contender.worker(contender.jobs) as worker:
            answer = worker.report.answer()
            while not contender.is_empty():
                if time.time() > answer["last"] + DRAIN_PATIENCE_SECONDS:
                    raise SystemExit(f"{contender.name} does not finish its jobs")
                time.sleep(0.005)
            ended = time.time()
    finally:
        contender.end()
    return {"drain": contender.jobs / (ended - answer["first"])}


def fill(contender: Contender, stores: Stores) -> None:
    """Puts in what is to be drained."""
    ask(contender.producer().with_words("fill", contender.jobs), stores.folder / "producer.log")
    stores.settle(contender.name)


def latency(contender: Contender, stores: Stores) -> Figures:
    """Milliseconds from just before a job is handed over to its first line; 25 each second."""
    contender.begin()
    try:
        expected = WARM_UP + int(RATE * LATENCY_SECONDS)
        with contender.worker(expected) as worker:
            time.sleep(START_SECONDS)
            command = contender.producer().with_words("send", RATE, LATENCY_SECONDS)
            with running(command, stores.folder / "producer.log"):
                found = sorted(worker.report.answer()["latencies"])
    finally:
        contender.end()
    return {
        "latency_p50_ms": statistics.median(found),
        "latency_p99_ms": found[min(len(found) - 1, int(len(found) * 0.99))],
    }


def idle(contender: Contender, stores: Stores) -> Figures:
    """CPU of worker and stores while there is nothing to do, in percent of one core."""
    contender.begin()
    try:
        with contender.worker(1) as worker:
            time.sleep(IDLE_SETTLE_SECONDS)
            pids = (*stores.pids, *worker.pids)
            return {"idle_cpu_percent": cpu_percent(pids, IDLE_SECONDS)}
    finally:
        contender.end()


def cpu_percent(pids: tuple[int, ...], seconds: float) -> float:
    """What these processes and their children use of one core over some seconds."""
    before, started = cpu_seconds(pids), time.perf_counter()
    time.sleep(seconds)
    return (cpu_seconds(pids) - before) / (time.perf_counter() - started) * 100
