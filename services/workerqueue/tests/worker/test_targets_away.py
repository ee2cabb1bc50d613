"""Targets that cannot be asked: nothing is spent, everything waits, all runs when they are back."""

import asyncio
import time
from collections.abc import Sequence

import grpc
import pytest

from kongflow_common.testing.polling import eventually
from services.workerqueue.tests.worker.queue_under_test import (
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import (
    Gate,
    Received,
    Refusal,
    TasksServer,
    done,
    failed,
)

BACK_WITHIN_SECONDS = 5.0
"""Two on a quiet machine."""


async def _waiting(queue: QueueUnderTest) -> int:
    [(count,)] = await queue.database.pool.execute(
        "SELECT count(*) FROM workerqueue.queued_jobs "
        "WHERE state = 'scheduled' AND waiting_for = 'target:events'"
    )
    return int(count)


async def _all_wait(queue: QueueUnderTest, count: int) -> bool:
    return await _waiting(queue) == count


async def _attempts(queue: QueueUnderTest) -> list[int]:
    rows = await queue.database.pool.execute("SELECT attempt FROM workerqueue.queued_jobs")
    return sorted(row[0] for row in rows)


async def test_jobs_wait_for_a_target_that_is_down_and_run_when_it_is_back(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([deliver_event()])
        await eventually(lambda: queue.all_completed(1))
        await target.stop()
        await queue.enqueue([deliver_event() for _ in range(200)])
        await eventually(lambda: _all_wait(queue, 200))
        assert await _attempts(queue) == [0] * 200 + [1]
        await target.start()
        back_at = time.monotonic()
        await eventually(lambda: queue.all_completed(201))
        assert time.monotonic() - back_at < BACK_WITHIN_SECONDS
    assert await _attempts(queue) == [1] * 201
    assert len(set(target.ids())) == 201


async def test_a_worker_that_starts_while_the_target_is_down_does_the_same(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    await target.stop()
    await queue.enqueue([deliver_event() for _ in range(50)])
    settings = queue.settings({"events": target.address})
    async with running(settings):
        await eventually(lambda: _all_wait(queue, 50))
    # Another worker, which has seen none of it fail.
    async with running(settings):
        await target.start()
        back_at = time.monotonic()
        await eventually(lambda: queue.all_completed(50))
        assert time.monotonic() - back_at < BACK_WITHIN_SECONDS


async def test_a_batch_that_is_unavailable_is_not_taken_apart(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    up = asyncio.Event()

    async def refuse_until_up(_method: str, _jobs: Sequence[Received]) -> None:
        if not up.is_set():
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "the database is away")

    target.on_call = refuse_until_up
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([deliver_event() for _ in range(64)])
        await eventually(lambda: _all_wait(queue, 64))
        # One call for all, or the probes that came after it: 127 if it had been bisected.
        assert target.calls < 10
        up.set()
        back_at = time.monotonic()
        await eventually(lambda: queue.all_completed(64))
        assert time.monotonic() - back_at < BACK_WITHIN_SECONDS
    assert await _attempts(queue) == [1] * 64


async def test_only_the_kind_waits_whose_method_is_unavailable(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    async def refuse_invocations(method: str, _jobs: Sequence[Received]) -> None:
        if "Invoke" in method:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "runs is away")

    target.on_call = refuse_invocations
    invocation = deliver_event(
        kind="events.invokeDispatcher", args=b'{"dispatcherId":"d","eventRecordId":"e"}'
    )
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([invocation])
        await eventually(lambda: _all_wait(queue, 1))
        deliveries = [deliver_event() for _ in range(20)]
        await queue.enqueue(deliveries)
        await eventually(lambda: _completed(queue, 20))
    row = await queue.row(invocation.id)
    assert (row["attempt"], row["waiting_for"]) == (0, "target:events")


@pytest.mark.parametrize("code", [grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAUTHENTICATED])
async def test_a_target_that_does_not_know_the_method_or_the_worker_costs_no_attempt(
    queue: QueueUnderTest, target: TasksServer, code: grpc.StatusCode
) -> None:
    refusing = True

    async def refuse(_method: str, _jobs: Sequence[Received]) -> None:
        if refusing:
            raise Refusal(code)

    target.on_call = refuse
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([deliver_event()])
        await eventually(lambda: _all_wait(queue, 1))
        refusing = False
        await eventually(lambda: queue.all_completed(1))
    assert await _attempts(queue) == [1]


async def test_items_whose_own_dependency_is_away_wait_without_the_others(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    away = True
    target.answer = lambda job: (
        failed(grpc.StatusCode.UNAVAILABLE) if away and job.argument == "stuck" else done(job)
    )
    stuck = deliver_event(event="stuck")
    await queue.enqueue([stuck, *[deliver_event() for _ in range(9)]])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: _completed(queue, 9))
        away = False
        await eventually(lambda: queue.all_completed(10))
    assert (await queue.row(stuck.id))["attempt"] == 1


async def test_items_that_could_not_be_asked_among_others_wait_neither_long_nor_not_at_all(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    """Their neighbours are answered, so no circuit opens whose closing would release them."""
    target.answer = lambda job: (
        failed(grpc.StatusCode.UNAVAILABLE) if job.argument == "stuck" else done(job)
    )
    stuck = [deliver_event(event="stuck") for _ in range(8)]
    await queue.enqueue([*stuck, *[deliver_event() for _ in range(20)]])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: _completed(queue, 20))
        await eventually(lambda: _all_wait(queue, 8))
        waits = await _seconds_between_tries(queue)
    assert len(waits) == 8
    assert min(waits) > 1
    assert max(waits) < 5


async def test_a_call_that_a_target_dropped_as_it_ended_costs_no_attempt(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    """It is back before anybody can see that it was away."""
    ends: list[asyncio.Task[None]] = []

    async def drop(_method: str, _jobs: Sequence[Received]) -> None:
        if not ends:
            ends.append(asyncio.create_task(target.stop(5)))
            # The listener is closed at once, and the next one takes its place.
            await eventually(lambda: _starts(target))
            raise Refusal(grpc.StatusCode.CANCELLED, "CANCELLED")

    target.on_call = drop
    job = deliver_event()
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([job])
        await eventually(lambda: queue.all_completed(1), deadline=30)
    await asyncio.gather(*ends)
    assert target.calls == 2
    assert (await queue.row(job.id))["attempt"] == 1


async def _starts(target: TasksServer) -> bool:
    try:
        await target.start()
    except RuntimeError:
        return False
    return True


async def _seconds_between_tries(queue: QueueUnderTest) -> list[float]:
    rows = await queue.database.pool.execute(
        "SELECT extract(epoch FROM run_at - attempted_at)::float FROM workerqueue.queued_jobs "
        "WHERE state = 'scheduled'"
    )
    return [row[0] for row in rows]


async def test_a_target_that_has_frozen_costs_no_attempt(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    """It holds its connections and says nothing: calls end by their deadline."""
    gate = Gate()
    target.on_call = gate
    # What a frozen process answers to the question whether it is there: not that it is.
    await target.set_serving(serving=False)
    job = deliver_event()
    async with running(queue.settings({"events": target.address})) as worker:
        kind = worker.lanes[0]._runner._catalogue.find("deliverEvent")
        assert kind is not None
        await queue.enqueue([job])
        await eventually(gate.entered.is_set)
        await eventually(lambda: _all_wait(queue, 1), deadline=kind.timeout.total_seconds() + 10)
        assert (await queue.row(job.id))["attempt"] == 0
        gate.open()
        await target.set_serving(serving=True)
        await eventually(lambda: queue.all_completed(1))
    assert (await queue.row(job.id))["attempt"] == 1


async def test_a_kind_whose_target_has_no_address_waits(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    job = deliver_event(kind="startRun", queue="execution", args=b'{"runId":"r"}')
    await queue.enqueue([job])
    async with running(queue.settings({"events": target.address})):
        await eventually(lambda: _waits_for(queue, "target:runs"))
    assert (await queue.row(job.id))["attempt"] == 0
    async with running(queue.settings({"events": target.address, "runs": target.address})):
        await eventually(lambda: queue.all_completed(1))


async def _waits_for(queue: QueueUnderTest, waiting_for: str) -> bool:
    rows = await queue.database.pool.execute(
        "SELECT 1 FROM workerqueue.queued_jobs WHERE waiting_for = %s", [waiting_for]
    )
    return bool(rows)


async def _completed(queue: QueueUnderTest, count: int) -> bool:
    return (await queue.states()).get("completed") == count
