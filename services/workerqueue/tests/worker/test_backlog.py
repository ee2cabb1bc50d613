"""Jobs that wait outside the window: workers take them from the ledger, and nothing passes by."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from arq.connections import ArqRedis

from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.worker import backlog_net, lane
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import Gate, Received, TasksServer

BY = Intervention("operator", "ops")
CAP = 10
OLD = 60
NEW = 60


@pytest.fixture
def bounded(queue: QueueUnderTest) -> QueueUnderTest:
    """Whoever enqueues knows a small window."""
    return replace(queue, dispatch=Dispatch(queue.window, queue.ledger, cap=CAP))


async def is_marked(queue: QueueUnderTest) -> bool:
    return (await queue.window.look("events")).backlog


class NewComes:
    """For each job that runs another one is enqueued, NEW altogether."""

    def __init__(self, queue: QueueUnderTest) -> None:
        self._queue = queue
        self._left = NEW

    async def __call__(self, _method: str, jobs: Sequence[Received]) -> None:
        for _ in jobs:
            if self._left:
                self._left -= 1
                await self._queue.enqueue([deliver_event()])


async def test_what_keeps_coming_does_not_pass_by_it(
    bounded: QueueUnderTest, target: TasksServer
) -> None:
    target.on_call = NewComes(bounded)
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


@pytest.mark.parametrize("is_emptied", [False, True])
async def test_what_comes_does_not_pass_by_what_a_pause_has_piled_up(
    bounded: QueueUnderTest, target: TasksServer, redis: ArqRedis, is_emptied: bool
) -> None:
    settings = bounded.settings(
        {"events": target.address}, worker_slots={"events": 2}, window_cap=CAP
    )
    async with running(settings) as worker:
        [events] = worker.lanes
        await bounded.enqueue([deliver_event()])
        await eventually(lambda: bounded.all_completed(1))
        await bounded.operators.set_paused("events", BY, paused=True)
        await eventually(lambda: events.is_paused)
        old = [deliver_event() for _ in range(OLD)]
        await bounded.enqueue(old)
        if is_emptied:
            await redis.flushall()
        target.on_call = NewComes(bounded)
        await bounded.operators.set_paused("events", BY, paused=False)
        await eventually(lambda: len(target.received) == 1 + OLD + NEW, deadline=30)
    order = target.ids()
    assert max(order.index(str(job.id)) for job in old) < 1 + OLD + CAP


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


async def test_what_becomes_due_is_told_to_those_who_serve_its_queue(
    queue: QueueUnderTest, target: TasksServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks without a word.
    monkeypatch.setattr(backlog_net, "_SECONDS", 3_600.0)
    monkeypatch.setattr(lane, "_NET_SECONDS", 3_600.0)
    others = queue.settings({"events": target.address}, worker_slots={"maintenance": 2})
    async with (
        running(others),
        running(others),
        running(others.model_copy(update={"worker_slots": {"events": 2}})),
    ):
        # Whose turn it is to make them due is left to chance.
        for count in range(1, 9):
            soon = datetime.now(UTC) + timedelta(milliseconds=50)
            await queue.enqueue([deliver_event(run_at=soon)])
            await eventually(partial(queue.all_completed, count))


async def test_what_nobody_spoke_of_is_found(queue: QueueUnderTest, target: TasksServer) -> None:
    async with running(queue.settings({"events": target.address})) as worker:
        await eventually(lambda: worker.lease.is_held)
        # Whoever stored it died before it could say so.
        await queue.ledger.insert([deliver_event()])
        await eventually(lambda: queue.all_completed(1))
