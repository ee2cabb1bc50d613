"""What operators order reaches the calls that are being made."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest

from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.adapters import ledger_operators
from kongflow_workerqueue.application.intervention import Intervention
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Received, TasksServer

BY = Intervention("operator", "ops")
WITHIN = 1.0
"""How soon a cancelled job's call has to end, in seconds."""


class Held:
    """Holds calls until they are let go, and notes those that were cancelled meanwhile."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _method: str, _jobs: Sequence[Received]) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def _has(read: Callable[[], Any], expected: object) -> bool:
    return bool(read() == expected)


async def _is(queue: QueueUnderTest, **states: int) -> bool:
    return await queue.states() == states


async def test_the_call_of_a_cancelled_job_ends_within_a_second(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    held = Held()
    target.on_call = held
    job = deliver_event()
    async with running(queue.settings({"events": target.address})) as worker:
        await queue.enqueue([job])
        await eventually(partial(_has, lambda: len(target.received), 1))
        await queue.operators.cancel(job.id, None, BY, follow_up=None)
        await asyncio.wait_for(held.cancelled.wait(), WITHIN)
        # The worker has let go of it: its slot is free, and no outcome is waited for.
        await eventually(
            partial(
                _has, lambda: [lane.job_counter for lane in worker.lanes], [0] * len(worker.lanes)
            )
        )
        await eventually(partial(_has, lambda: worker.finisher.knows(job.id, 1), False))
    row = await queue.row(job.id)
    assert (row["state"], row["attempt"], row["errors"]) == ("cancelled", 0, None)


async def test_an_order_that_nobody_heard_is_found(
    queue: QueueUnderTest, target: TasksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_operators, "_ORDER", "SELECT %(order)b::text")
    held = Held()
    target.on_call = held
    job = deliver_event()
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([job])
        await eventually(partial(_has, lambda: len(target.received), 1))
        await queue.operators.cancel(job.id, None, BY, follow_up=None)
        await asyncio.wait_for(held.cancelled.wait(), 3 * WITHIN)
    assert (await queue.row(job.id))["state"] == "cancelled"


async def test_the_others_of_a_batch_go_on(queue: QueueUnderTest, target: TasksServer) -> None:
    held = Held()
    target.on_call = held
    jobs = [deliver_event() for _ in range(5)]
    await queue.enqueue(jobs)
    async with running(queue.settings({"events": target.address})) as worker:
        await eventually(partial(_has, lambda: len(target.received), 5))
        await queue.operators.cancel(jobs[2].id, None, BY, follow_up=None)
        held.gate.set()
        await eventually(partial(_is, queue, completed=4, cancelled=1))
        await eventually(partial(_has, lambda: worker.finisher.knows(jobs[2].id, 1), False))
    assert not held.cancelled.is_set()
    assert (await queue.row(jobs[2].id))["state"] == "cancelled"


async def test_a_paused_queue_begins_nothing_and_resumes(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    held = Held()
    target.on_call = held
    first = deliver_event()
    settings = queue.settings({"events": target.address})
    async with running(settings) as worker:
        await queue.enqueue([first])
        await eventually(partial(_has, lambda: len(target.received), 1))
        await queue.operators.set_paused("events", BY, paused=True)
        [lane] = [lane for lane in worker.lanes if lane.queue == "events"]
        await eventually(partial(_has, lambda: lane.is_paused, True), deadline=WITHIN)
        held.gate.set()
        await queue.enqueue([deliver_event() for _ in range(30)])
        await eventually(partial(_is, queue, completed=1, available=30))
    # Over a restart, too: another worker knows of it.
    async with running(settings) as worker:
        [lane] = [lane for lane in worker.lanes if lane.queue == "events"]
        await eventually(partial(_has, lambda: lane.is_paused, True))
        assert await queue.states() == {"completed": 1, "available": 30}
        await queue.operators.set_paused("events", BY, paused=False)
        await eventually(partial(queue.all_completed, 31))
    assert len(target.received) == 31
