"""A lane is arq's worker: its life cycle, health record and counters are those of arq."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from arq.connections import ArqRedis
from arq.worker import Worker

from kongflow_common.supervision import BackgroundTasks
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.worker.queue_worker import QueueWorker
from kongflow_workerqueue.worker_main import open_worker
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Gate, TasksServer


@asynccontextmanager
async def _without_lanes(queue: QueueUnderTest, target: TasksServer) -> AsyncIterator[QueueWorker]:
    """A worker whose lanes are the test's to run."""
    settings = queue.settings({"events": target.address}, worker_slots={"events": 40})
    async with open_worker(settings, burst=True) as worker, BackgroundTasks() as tasks:
        _ = tasks.supervise("lease", worker.lease.run)
        _ = tasks.supervise("finisher", worker.finisher.run)
        await eventually(lambda: worker.lease.is_held)
        yield worker
        await worker.finisher.flushed()


async def test_in_burst_mode_it_ends_when_there_is_nothing_left(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    await queue.enqueue([deliver_event() for _ in range(1_500)])
    async with _without_lanes(queue, target) as worker:
        [lane] = worker.lanes
        assert isinstance(lane, Worker)
        await asyncio.wait_for(lane.async_run(), 30)
        assert (lane.jobs_complete, lane.jobs_failed, lane.job_counter) == (1_500, 0, 0)
        assert not lane.tasks
    assert await queue.all_completed(1_500)


async def test_it_writes_the_health_record_that_arq_checks(
    queue: QueueUnderTest, target: TasksServer, redis: ArqRedis
) -> None:
    async def is_healthy(key: str) -> bool:
        # What `arq --check` looks at.
        return b"j_complete=" in (await redis.get(key) or b"")

    async with running(queue.settings({"events": target.address})) as worker:
        keys = [lane.health_check_key for lane in worker.lanes]
        assert len(set(keys)) == len(keys) == len(worker.lanes)
        for key in keys:
            await eventually(partial(is_healthy, key))
    for key in keys:
        assert not await is_healthy(key)


async def test_it_takes_no_more_than_it_has_slots_for(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    gate = Gate()
    target.on_call = gate
    await queue.enqueue([deliver_event() for _ in range(100)])
    settings = queue.settings({"events": target.address}, worker_slots={"events": 7})
    async with running(settings) as worker:
        [lane] = worker.lanes
        await eventually(lambda: lane.room == 0 and lane.job_counter == 7)
        assert (await queue.states())["running"] == 7
        gate.open()
        await eventually(lambda: queue.all_completed(100))


@pytest.mark.parametrize("slots", [1, 3])
async def test_small_lanes_lose_no_wake_up(
    queue: QueueUnderTest, target: TasksServer, slots: int
) -> None:
    settings = queue.settings({"events": target.address}, worker_slots={"events": slots})
    async with running(settings):
        for round_ in range(1, 6):
            await queue.enqueue([deliver_event() for _ in range(20)])
            # Well within the net of a second per look.
            await eventually(partial(queue.all_completed, 20 * round_), deadline=5)
