"""Limits through real workers: kept, handed over at once, and with Redis away."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.limits import (
    ConcurrencyRule,
    KeyRule,
    LimitRules,
    RateRule,
    limits_of,
)
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Received, TasksServer

BY = Intervention("operator", "ops")
SLOTS = 20


@dataclass
class Concurrency:
    """Counts what is called at once, by the first word of the argument; a call takes a while."""

    seconds: float = 0.01
    now: Counter[str] = field(default_factory=Counter)
    most: Counter[str] = field(default_factory=Counter)
    began: list[tuple[float, str]] = field(default_factory=list)

    async def __call__(self, _method: str, jobs: Sequence[Received]) -> None:
        keys = [job.argument.split()[0] for job in jobs]
        self.began += [(time.monotonic(), job.argument) for job in jobs]
        self.now.update(keys)
        for key in keys:
            self.most[key] = max(self.most[key], self.now[key])
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.now.subtract(keys)


def limited(name: str, rules: LimitRules, **options: Any) -> NewJob:
    return deliver_event(event=name, limits=limits_of(rules, None, {}), **options)


@asynccontextmanager
async def workers(queue: QueueUnderTest, target: TasksServer, count: int) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for _ in range(count):
            settings = queue.settings({"events": target.address}, worker_slots={"events": SLOTS})
            await stack.enter_async_context(running(settings))
        yield


@pytest.fixture(params=["redis", "without redis"])
async def either(queue: QueueUnderTest, request: pytest.FixtureRequest) -> QueueUnderTest:
    if request.param == "redis":
        return queue
    # Nobody is there: the workers poll. What is enqueued goes into a window that nobody reads.
    return replace(queue, redis_url="redis://127.0.0.1:1/0")


async def test_concurrency_and_serial_keys_over_two_workers(
    either: QueueUnderTest, target: TasksServer
) -> None:
    concurrency = Concurrency()
    target.on_call = concurrency
    pair = LimitRules(concurrency=ConcurrencyRule(KeyRule("pair"), 2))
    line = LimitRules(serial=KeyRule("line"))
    jobs = [limited(f"pair {n}", pair) for n in range(20)]
    jobs += [limited(f"line {n:02}", line) for n in range(20)]
    jobs += [deliver_event(event=f"free {n}") for n in range(100)]
    async with workers(either, target, 2):
        await either.enqueue(jobs)
        await eventually(partial(either.all_completed, len(jobs)), deadline=30)
    assert (concurrency.most["pair"], concurrency.most["line"]) == (2, 1)
    in_line = [name for _, name in concurrency.began if name.startswith("line")]
    assert in_line == [f"line {n:02}" for n in range(20)]


async def test_the_next_of_a_line_begins_at_once(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    concurrency = Concurrency(seconds=0.0)
    target.on_call = concurrency
    line = LimitRules(serial=KeyRule("line"))
    jobs = [limited(f"line {n}", line) for n in range(100)]
    async with workers(queue, target, 1):
        await queue.enqueue(jobs)
        await eventually(partial(queue.all_completed, len(jobs)), deadline=30)
    times = [at for at, _ in concurrency.began]
    gaps = sorted(after - before for before, after in pairwise(times))
    # From the beginning of one to the beginning of the next; a sweep would take a second.
    assert gaps[len(gaps) // 2] < 0.2, gaps


async def test_a_rate_is_kept_and_used(either: QueueUnderTest, target: TasksServer) -> None:
    concurrency = Concurrency(seconds=0.0)
    target.on_call = concurrency
    interval, burst = 0.1, 3
    rules = LimitRules(rate=RateRule(KeyRule("rate"), timedelta(seconds=interval), burst))
    jobs = [limited(f"rate {n}", rules) for n in range(20)]
    async with workers(either, target, 2):
        await either.enqueue(jobs)
        await eventually(partial(either.all_completed, len(jobs)), deadline=30)
    rows = await queue_times(either)
    for index, begin in enumerate(rows):
        for later, end in enumerate(rows[index:], start=1):
            # One microsecond for the rounding of the clock.
            assert later <= burst + (end - begin + 1e-6) / interval
    # Without waste: 17 intervals and what becomes known only by the first sweep.
    assert rows[-1] - rows[0] < 17 * interval + 3.0, rows


async def queue_times(queue: QueueUnderTest) -> list[float]:
    """When jobs were claimed, by the database's clock."""
    rows = await queue.database.pool.execute(
        "SELECT extract(epoch FROM attempted_at)::float8 FROM workerqueue.queued_jobs ORDER BY 1"
    )
    return [at for (at,) in rows]


async def test_a_queue_runs_so_many_over_all_workers(
    either: QueueUnderTest, target: TasksServer
) -> None:
    concurrency = Concurrency()
    target.on_call = concurrency
    line = LimitRules(serial=KeyRule("line"))
    environments = [deliver_event(event=f"any {n}", kind="deliverEvent") for n in range(60)]
    jobs = [*environments, *(limited(f"any line {n}", line) for n in range(5))]
    await either.enqueue(jobs[:1])
    await either.operators.set_limit("events", 3, BY)
    async with workers(either, target, 2):
        await either.enqueue(jobs[1:])
        await eventually(partial(either.all_completed, len(jobs)), deadline=40)
    assert concurrency.most["any"] == 3


async def test_a_worker_that_is_gone_leaves_no_limit_taken(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    line = LimitRules(serial=KeyRule("line"))
    jobs = [limited(f"line {n}", line) for n in range(3)]
    await queue.enqueue(jobs)
    # As a worker that claimed and died, its lease with it.
    await queue.database.pool.execute(
        "UPDATE workerqueue.queued_jobs SET state = 'running', worker_id = gen_random_uuid(),"
        " attempted_at = now(), admitted_at = NULL WHERE id = %s",
        [jobs[0].id],
    )
    async with workers(queue, target, 1):
        await eventually(partial(queue.all_completed, len(jobs)), deadline=15)
    assert [job.argument for job in target.received] == ["line 0", "line 1", "line 2"]
