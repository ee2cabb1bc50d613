"""An environment that floods a queue does not hold up the others for longer than the window."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from kongflow_common.ids import new_id
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.dispatch import Dispatch
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Received, TasksServer

CAP = 100
SLOTS = 10
FLOOD = 10_000


async def test_a_flood_holds_up_a_single_job_for_the_window_only(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    opened = asyncio.Event()

    async def hold(_method: str, _jobs: Sequence[Received]) -> None:
        await opened.wait()

    target.on_call = hold
    flooding, other = new_id(), new_id()
    bounded = replace(queue, dispatch=Dispatch(queue.window, queue.ledger, cap=CAP))
    single = deliver_event(environment_id=other)
    settings = queue.settings(
        {"events": target.address}, worker_slots={"events": SLOTS}, window_cap=CAP
    )
    async with running(settings):
        await bounded.enqueue([deliver_event(environment_id=flooding) for _ in range(FLOOD)])
        # The first of the flood are in their calls, the window is full of others.
        await eventually(lambda: target.calls > 0)
        await bounded.enqueue([single])
        opened.set()
        await eventually(lambda: len(target.received) == FLOOD + 1, deadline=60)
    before = target.ids().index(str(single.id))
    # In the calls, in the window, and what was claimed while it was stored.
    assert before <= SLOTS + 2 * CAP, before
