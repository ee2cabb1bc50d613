"""Replays of many events on a real database: broken off anywhere, by many at once, bounded."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from uuid import UUID

import pytest

from kongflow_common.ids import new_id
from kongflow_events.adapters import replay_repository
from kongflow_events.adapters.event_reader import SqlReader
from kongflow_events.adapters.replay_reader import SqlReplayReader
from kongflow_events.application.advance_event_replay import AdvanceEventReplay
from kongflow_events.application.event_entry import EventEntry
from kongflow_events.application.ports import EventsUnitOfWork, UnitOfWorkFactory
from kongflow_events.application.task_outcome import DONE
from kongflow_events.rpc.event_replay_mapping import read_event_filter
from services.events.tests.events_context import EventsContext
from services.events.tests.replays import ReplayCalls

FILL = """
INSERT INTO events.event_records (
    id, event_id, name, payload, organization_id, environment_id, project_id, processed_at)
SELECT (%(first)s || lpad(to_hex(n), 12, '0'))::uuid, 'event-' || n,
       CASE WHEN n %% %(every)s = 0 THEN 'order.paid' ELSE 'order.created' END,
       jsonb_build_object('text', repeat('x', %(size)s)), %(organization)s, %(environment)s,
       %(project)s, now()
FROM generate_series(1, %(count)s) AS g(n)
"""


@pytest.fixture
def replays(context: EventsContext) -> ReplayCalls:
    return ReplayCalls(context)


async def fill(context: EventsContext, count: int, *, every: int = 1, size: int = 10) -> None:
    """Store so many events that were matched, every n-th of them `order.paid`."""
    scope = context.environment
    async with context.database.pool.connection() as connection:
        await connection.execute(
            FILL,
            {
                "first": str(new_id())[:24],
                "count": count,
                "every": every,
                "size": size,
                "organization": scope.organization_id,
                "environment": scope.environment_id,
                "project": scope.project_id,
            },
        )


async def replayed(context: EventsContext) -> list[int]:
    """How often each event that was replayed was."""
    rows = await context.database.pool.execute(
        "SELECT count(*) FROM events.event_records WHERE replay_of IS NOT NULL GROUP BY replay_of"
    )
    return [count for (count,) in rows]


class Interrupted(Exception):
    """The process has ended."""


def dying(context: EventsContext, *, after_commit: bool) -> UnitOfWorkFactory:
    """Units of work whose process ends just before, or just after, each commit."""

    @asynccontextmanager
    async def unit_of_work() -> AsyncIterator[EventsUnitOfWork]:
        async with context.unit_of_work() as uow:
            commit = uow.commit

            async def die() -> None:
                if after_commit:
                    await commit()
                raise Interrupted

            uow.commit = die  # type: ignore[method-assign]
            yield uow

    def factory() -> AbstractAsyncContextManager[EventsUnitOfWork]:
        return unit_of_work()

    return factory


def advancing(
    context: EventsContext, unit_of_work: UnitOfWorkFactory | None = None
) -> AdvanceEventReplay:
    reader, clock = SqlReader(context.database), context.clock
    return AdvanceEventReplay(
        unit_of_work or context.unit_of_work,
        SqlReplayReader(context.database),
        reader,
        EventEntry(clock),
        read_event_filter,
        clock,
    )


@pytest.mark.parametrize("after_commit", [False, True])
async def test_step_whose_process_ends_is_whole_or_never_was(
    context: EventsContext, replays: ReplayCalls, after_commit: bool
) -> None:
    await fill(context, 25)
    begun = await replays.begin(events_per_second=10)
    environment_id = context.environment.environment_id
    for step in range(1, 3):
        context.clock.offset += timedelta(seconds=2)
        with pytest.raises(Interrupted):
            await advancing(context, dying(context, after_commit=after_commit))(
                environment_id, UUID(begun.id)
            )
        stands = await replays.get(begun.id)
        assert stands.replayed_count == (10 * step if after_commit else 0)
        assert len(await replayed(context)) == stands.replayed_count
    ended = await replays.run_to_end(begun.id)
    assert ended.replayed_count == 25
    assert await replayed(context) == [1] * 25


async def test_replay_broken_off_at_any_point_repeats_nothing(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await fill(context, 400)
    begun = await replays.begin(events_per_second=20)
    chance = random.Random(7)
    for _ in range(30):
        context.clock.offset += timedelta(seconds=2)
        task = asyncio.create_task(
            advancing(context)(context.environment.environment_id, UUID(begun.id))
        )
        await asyncio.wait([task], timeout=chance.uniform(0, 0.03))
        task.cancel()
        await asyncio.wait([task])
    ended = await replays.run_to_end(begun.id)
    assert ended.state == ended.STATE_SUCCEEDED
    assert (ended.total_count, ended.replayed_count) == (400, 400)
    assert await replayed(context) == [1] * 400
    # Each has its planned delivery too.
    assert len({each.id for each in await context.enqueued("deliverEvent", 400)}) == 400


async def test_backfill_broken_off_at_any_point_invokes_once(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await fill(context, 200)
    late = (await context.put("late", "order.paid")).event_dispatcher
    begun = await replays.backfill(late.id, events_per_second=10)
    chance = random.Random(11)
    for _ in range(20):
        context.clock.offset += timedelta(seconds=2)
        task = asyncio.create_task(
            advancing(context)(context.environment.environment_id, UUID(begun.id))
        )
        await asyncio.wait([task], timeout=chance.uniform(0, 0.03))
        task.cancel()
        await asyncio.wait([task])
    await replays.run_to_end(begun.id)
    # What a call that was broken off had claimed is handed over once its claim has ended.
    await context.database.pool.execute("UPDATE events.outbox SET claimed_until = now()")
    context.relay.wake()
    invocations = await context.enqueued("events.invokeDispatcher", 200)
    assert len({each.args for each in invocations}) == 200


async def test_many_at_once_do_each_step_once(context: EventsContext, replays: ReplayCalls) -> None:
    await fill(context, 60)
    begun = await replays.begin(events_per_second=20)
    for _ in range(4):
        context.clock.offset += timedelta(seconds=2)
        await asyncio.gather(*(replays.advance(begun.id) for _ in range(4)))
    ended = await replays.run_to_end(begun.id)
    assert (ended.state, ended.replayed_count) == (ended.STATE_SUCCEEDED, 60)
    assert await replayed(context) == [1] * 60


async def test_large_events_are_taken_few_at_a_time(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await fill(context, 60, size=900_000)
    context.clock.at = context.clock.now()
    begun = await replays.begin(events_per_second=1_000)
    context.clock.offset += timedelta(seconds=2)
    await replays.advance(begun.id)
    first = (await replays.get(begun.id)).replayed_count
    assert first == replay_repository._READ_AT_ONCE
    assert (await replays.run_to_end(begun.id)).replayed_count == 60


async def test_a_step_looks_no_further_than_it_may(
    context: EventsContext, replays: ReplayCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay_repository, "_LOOKED_AT", 10)
    await fill(context, 95, every=25)
    begun = await replays.begin(filter='name = "order.paid"')
    assert begun.total_count == 3
    ended = await replays.run_to_end(begun.id)
    assert (ended.state, ended.replayed_count) == (ended.STATE_SUCCEEDED, 3)
    assert await replayed(context) == [1] * 3


async def test_replay_that_is_gone_is_done(context: EventsContext) -> None:
    assert await advancing(context)(context.environment.environment_id, new_id()) == DONE


async def test_replay_is_carried_out_in_its_own_environment_only(
    context: EventsContext, replays: ReplayCalls
) -> None:
    await fill(context, 3)
    begun = await replays.begin()
    context.clock.offset += timedelta(seconds=2)
    assert await advancing(context)(new_id(), UUID(begun.id)) == DONE
    assert await replayed(context) == []
