"""Jobs that wait outside the window: workers take them from the ledger, and nothing passes by."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.dispatch import Dispatch
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Gate, Received, TasksServer

CAP = 10
OLD = 60
NEW = 60


@pytest.fixture
def bounded(queue: QueueUnderTest) -> QueueUnderTest:
    """Whoever enqueues knows a small window."""
    return replace(queue, dispatch=Dispatch(queue.window, queue.ledger, cap=CAP))


async def is_marked(queue: QueueUnderTest) -> bool:
    return (await queue.window.look("events")).backlog


async def test_what_keeps_coming_does_not_pass_by_it(
    bounded: QueueUnderTest, target: TasksServer
) -> None:
    new = [deliver_event() for _ in range(NEW)]
    coming = iter(new)

    async def another_comes(_method: str, jobs: Sequence[Received]) -> None:
        for _ in jobs:
            if (job := next(coming, None)) is not None:
                await bounded.enqueue([job])

    target.on_call = another_comes
    old = [deliver_event() for _ in range(OLD)]
    await bounded.enqueue(old)
    settings = bounded.settings(
        {"events": target.address}, worker_slots={"events": 2}, window_cap=CAP
    )
    async with running(settings):
        await eventually(lambda: len(target.received) == OLD + NEW, deadline=30)
    order = target.ids()
    last_old = max(order.index(str(job.id)) for job in old)
    # What was admitted before anybody knew that others wait.
    assert last_old < OLD + CAP, last_old
    # Among each other they keep their order, but for those that ran side by side.
    places = [order.index(str(job.id)) for job in old]
    assert max(abs(place - rank) for rank, place in enumerate(places)) <= CAP


async def test_a_worker_without_room_leaves_it_to_the_others(
    bounded: QueueUnderTest, target: TasksServer
) -> None:
    gate = Gate()
    target.on_call = gate
    settings = bounded.settings(
        {"events": target.address}, worker_slots={"events": 2}, window_cap=CAP
    )
    async with running(settings):
        await bounded.enqueue([deliver_event() for _ in range(OLD)])
        await eventually(lambda: target.calls > 0)
        # It has read of a crowded window, and has no slot to look further.
        await eventually(lambda: is_marked(bounded))
        # Another one has, and is told.
        async with running(settings.model_copy(update={"worker_slots": {"events": OLD}})):
            await eventually(lambda: _running(bounded, OLD))
            gate.open()
            await eventually(lambda: bounded.all_completed(OLD))
    assert not await is_marked(bounded)
    assert await bounded.dispatch.queues_with_room(["events"]) == {"events"}


async def _running(queue: QueueUnderTest, count: int) -> bool:
    return (await queue.states()).get("running") == count


async def test_a_mark_without_a_backlog_is_taken_away(
    bounded: QueueUnderTest, target: TasksServer
) -> None:
    await bounded.window.mark_backlog("events", exists=True)
    # The first hears of it, the second is not admitted.
    for _ in range(2):
        await bounded.enqueue([deliver_event()])
    assert await bounded.dispatch.queues_with_room(["events"]) == frozenset()
    async with running(bounded.settings({"events": target.address})):
        await eventually(lambda: bounded.all_completed(2))
        await eventually(lambda: _is_unmarked(bounded))
    assert await bounded.dispatch.queues_with_room(["events"]) == {"events"}


async def _is_unmarked(queue: QueueUnderTest) -> bool:
    return not await is_marked(queue)
