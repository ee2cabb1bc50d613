"""Events of long ago are deleted, and nothing that anybody may still need."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import grpc
import pytest

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as pb
from kongflow_common.clock import SystemClock
from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.rpc.task_results import parse_snooze
from kongflow_common.testing.grpc_server import bearer
from kongflow_events.adapters.event_purge import SqlEventPurge
from kongflow_events.application.purge_old_events import EventRetention, PurgeOldEvents
from kongflow_events.domain.id_times import first_id_at
from services.events.tests.events_context import EventsContext, KnownUnfinished

KEPT = timedelta(days=30)
OLD = timedelta(days=31)
ENVIRONMENT = new_id()
OTHER = new_id()

ADD = """
INSERT INTO events.event_records (
    id, event_id, name, source, organization_id, environment_id, project_id, external_account_id,
    created_at, processed_at, cancelled_at)
VALUES (%(id)s, %(id)s, 'order.created', 'trigger.dev', %(id)s, %(environment_id)s, %(id)s,
        %(account)s, now() - %(age)s, now() - %(processed)s::interval,
        now() - %(cancelled)s::interval)
"""
ADD_ACCOUNT = """
INSERT INTO events.external_accounts (id, identifier, metadata, organization_id, environment_id,
                                      created_at)
VALUES (%(id)s, %(id)s, %(metadata)s, %(id)s, %(environment_id)s, now() - %(age)s)
"""


async def add(
    database: Database,
    age: timedelta,
    *,
    processed: timedelta | None = None,
    cancelled: timedelta | None = None,
    environment_id: UUID = ENVIRONMENT,
    account: UUID | None = None,
) -> UUID:
    """Stores an event that came in so long ago."""
    id_ = UUID(int=first_id_at(SystemClock().now() - age).int | (new_id().int & (2**76 - 1)))
    await database.pool.execute(
        ADD,
        {
            "id": id_,
            "environment_id": environment_id,
            "account": account,
            "age": age,
            "processed": processed,
            "cancelled": cancelled,
        },
    )
    return id_


async def add_account(
    database: Database, age: timedelta = OLD, *, metadata: str | None = None
) -> UUID:
    id_ = new_id()
    await database.pool.execute(
        ADD_ACCOUNT,
        {"id": id_, "environment_id": ENVIRONMENT, "metadata": metadata, "age": age},
    )
    return id_


async def left(database: Database, table: str = "event_records") -> set[UUID]:
    rows = await database.pool.execute(f"SELECT id FROM events.{table}")
    return {row[0] for row in rows}


def purge_of(
    database: Database,
    *,
    runs: KnownUnfinished | None = None,
    retention: EventRetention | None = None,
    at_once: int = 500,
    ticks: Sequence[float] = (),
) -> PurgeOldEvents:
    times = iter(ticks)
    return PurgeOldEvents(
        SqlEventPurge(database, SystemClock()),
        runs or KnownUnfinished(),
        retention or EventRetention(KEPT),
        at_once=at_once,
        monotonic=lambda: next(times, 0.0),
    )


async def test_what_is_not_over_for_as_long_stays(database: Database) -> None:
    runs = KnownUnfinished()
    gone = {
        await add(database, OLD, processed=OLD),
        await add(database, OLD * 2, processed=KEPT + timedelta(minutes=1)),
        await add(database, OLD, cancelled=OLD),
    }
    kept = {
        "pending": await add(database, OLD * 10),
        "delivered of late": await add(database, OLD, processed=timedelta(days=1)),
        "cancelled of late": await add(database, OLD, cancelled=timedelta(days=29)),
        "new": await add(database, timedelta(days=29), processed=timedelta(days=29)),
        "needed": await add(database, OLD * 3, processed=OLD * 3),
        # Its id says that it is old; only what the database wrote counts.
        "an older id": await add(database, OLD * 4, processed=timedelta(days=3)),
    }
    runs.needed = {kept["needed"]}
    purged = await purge_of(database, runs=runs)(seconds=60)
    assert (purged.events, purged.complete) == (3, True)
    assert await left(database) == set(kept.values())
    assert {environment for environment, _ in runs.calls} == {ENVIRONMENT}
    assert {id_ for _, ids in runs.calls for id_ in ids} == gone | {kept["needed"]}
    runs.needed = set()
    assert (await purge_of(database, runs=runs)(seconds=60)).events == 1


async def test_each_environment_keeps_its_own_for_as_long_as_it_says(database: Database) -> None:
    forever, shortly = new_id(), new_id()
    kept = {
        await add(database, OLD * 9, processed=OLD * 9, environment_id=forever),
        await add(database, OLD / 2, processed=OLD / 2),
        await add(database, timedelta(hours=1), processed=timedelta(), environment_id=shortly),
    }
    await add(database, OLD, processed=OLD)
    await add(database, OLD / 2, processed=OLD / 2, environment_id=shortly)
    retention = EventRetention(KEPT, {forever: None, shortly: timedelta(days=1)})
    assert (await purge_of(database, retention=retention)(seconds=60)).events == 2
    assert await left(database) == kept
    assert (await purge_of(database, retention=EventRetention())(seconds=60)).events == 0


async def test_it_goes_in_small_steps_past_what_stays(database: Database) -> None:
    runs = KnownUnfinished()
    stay = {await add(database, OLD * 3) for _ in range(7)}
    runs.needed = {await add(database, OLD * 2, processed=OLD) for _ in range(5)}
    for _ in range(9):
        await add(database, OLD, processed=OLD)
        await add(database, OLD, processed=OLD, environment_id=OTHER)
    assert (await purge_of(database, runs=runs, at_once=4)(seconds=60)).events == 18
    assert await left(database) == stay | runs.needed
    assert max(len(ids) for _, ids in runs.calls) <= 4


async def test_a_call_without_time_goes_on_where_it_ended(database: Database) -> None:
    for _ in range(10):
        await add(database, OLD, processed=OLD)
    # The clock is asked at the beginning and after each step.
    first = await purge_of(database, at_once=4, ticks=(0, 5, 11))(seconds=10)
    assert (first.events, first.complete) == (8, False)
    second = await purge_of(database, at_once=4)(seconds=10)
    assert (second.events, second.complete) == (2, True)


async def test_nothing_is_deleted_while_runs_does_not_answer(database: Database) -> None:
    runs = KnownUnfinished()
    runs.failure = DependencyUnavailable("runs")
    event = await add(database, OLD, processed=OLD)
    with pytest.raises(DependencyUnavailable):
        await purge_of(database, runs=runs)(seconds=60)
    assert await left(database) == {event}


async def test_accounts_go_when_nothing_belongs_to_them(database: Database) -> None:
    used, told, young = (
        await add_account(database),
        await add_account(database, metadata='{"plan": "large"}'),
        await add_account(database, timedelta(days=29)),
    )
    watched, leaving, idle = [await add_account(database) for _ in range(3)]
    await add(database, timedelta(days=1), processed=timedelta(), account=used)
    await add(database, OLD, processed=OLD, account=leaving)
    await database.pool.execute(
        "INSERT INTO events.event_dispatchers (id, event, source, dispatchable_id, dispatchable,"
        " external_account_id, environment_id)"
        " VALUES (%(id)s, ARRAY['x'], 's', 'd', '{}', %(account)s, %(id)s)",
        {"id": new_id(), "account": watched},
    )
    purged = await purge_of(database, at_once=2)(seconds=60)
    assert (purged.events, purged.accounts) == (1, 2)
    assert await left(database, "external_accounts") == {used, told, young, watched}
    assert {leaving, idle}.isdisjoint(await left(database, "external_accounts"))


async def test_accounts_that_come_into_use_at_this_moment_stay(database: Database) -> None:
    idle = await add_account(database)
    async with database.pool.connection() as sending, sending.transaction():
        # As the intake does: the account is there, so that nothing is inserted.
        await sending.execute(
            ADD_ACCOUNT.rstrip() + " ON CONFLICT DO NOTHING",
            {"id": idle, "environment_id": ENVIRONMENT, "metadata": None, "age": OLD},
        )
        purged = await purge_of(database)(seconds=60)
        assert (purged.accounts, purged.complete) == (0, True)
    assert await left(database, "external_accounts") == {idle}
    assert (await purge_of(database)(seconds=60)).accounts == 1


async def test_the_worker_queue_has_it_done(context: EventsContext) -> None:
    """The context of the tests keeps events for ever, unless it is told otherwise."""
    await add(context.database, OLD, processed=OLD)
    call = context.tasks.PurgeOldEvents(
        pb.PurgeOldEventsRequest(), metadata=bearer(context.server.service_token()), timeout=10
    )
    answer = await call
    assert (answer.deleted, answer.deleted_accounts) == (0, 0)
    assert parse_snooze(await call.trailing_metadata()) is None
    with pytest.raises(grpc.aio.AioRpcError, match="PERMISSION_DENIED"):
        await context.tasks.PurgeOldEvents(
            pb.PurgeOldEventsRequest(), metadata=context.as_sender, timeout=10
        )
