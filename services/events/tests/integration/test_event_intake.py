"""Storing events in batches, on a real PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import psycopg
import pytest

from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.ids import new_id
from kongflow_common.outbox.columns import MESSAGE_COLUMNS, message_from_row
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.payload import JsonDocument
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_events.adapters.event_intake import BatchingEventIntake
from kongflow_events.application.ports import NewEvent, StoredEvent
from kongflow_events.domain.event_record import EventContent, PayloadType, Priority, Tenancy

TENANCY = Tenancy(new_id(), new_id(), new_id())


def event(event_id: str = "", **changes: object) -> NewEvent:
    record_id = new_id()
    plain = NewEvent(
        id=record_id,
        event_id=event_id or str(record_id),
        name="order.created",
        source="trigger.dev",
        timestamp=None,
        payload_type=PayloadType.JSON,
        content=EventContent(),
        tenancy=TENANCY,
        deliver_at=None,
        is_test=False,
        priority=Priority.HIGH,
        account_id=None,
        traceparent="",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


async def count(database: Database, table: str) -> int:
    [(rows,)] = await database.pool.execute(f"SELECT count(*) FROM events.{table}")
    return int(rows)


async def test_one_bad_row_does_not_fail_its_neighbours(
    intake: BatchingEventIntake, database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    # Past all checks, as after a mistake of ours: PostgreSQL refuses it.
    bad = event(content=EventContent(payload=JsonDocument(b"{")))
    events = [event() for _ in range(9)]
    events.insert(4, bad)
    answers = await asyncio.gather(*map(intake.add, events), return_exceptions=True)
    for sent, answer in zip(events, answers, strict=True):
        if sent is bad:
            assert isinstance(answer, psycopg.Error)
        else:
            assert isinstance(answer, StoredEvent)
            assert answer.is_new
            assert answer.record.id == sent.id
    assert await count(database, "event_records") == 9
    await worker_queue.wait_for("deliverEvent", 9)
    assert len(worker_queue.messages) == 9


async def test_event_and_its_message_are_stored_both_or_neither(
    intake: BatchingEventIntake, database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    await database.pool.execute(
        "ALTER TABLE events.outbox ADD CONSTRAINT broken CHECK (kind <> 'deliverEvent')"
    )
    try:
        with pytest.raises(psycopg.errors.CheckViolation):
            await intake.add(event())
    finally:
        await database.pool.execute("ALTER TABLE events.outbox DROP CONSTRAINT broken")
    assert await count(database, "event_records") == 0
    with worker_queue.held():
        await intake.add(event())
        assert await count(database, "event_records") == 1
        assert await count(database, "outbox") == 1


async def test_same_id_twice_in_one_batch_is_stored_once(
    intake: BatchingEventIntake, database: Database
) -> None:
    first, second = await asyncio.gather(intake.add(event("one")), intake.add(event("one")))
    assert [first.is_new, second.is_new] == [True, False]
    assert second.record == first.record
    assert await count(database, "outbox") <= 1
    assert await count(database, "event_records") == 1


async def test_batch_that_is_too_large_for_a_statement_is_cut(
    intake: BatchingEventIntake, database: Database
) -> None:
    large = JsonDocument(b'"' + b"x" * 500_000 + b'"')
    events = [event(content=EventContent(payload=large, context=large)) for _ in range(20)]
    answers = await asyncio.gather(*map(intake.add, events))
    assert all(answer.is_new for answer in answers)
    assert await count(database, "event_records") == 20


async def test_part_that_was_stored_before_another_failed_counts_as_new(
    intake: BatchingEventIntake, database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    large = JsonDocument(b'"' + b"x" * 500_000 + b'"')
    events = [event(content=EventContent(payload=large, context=large)) for _ in range(20)]
    events.append(event(content=EventContent(payload=JsonDocument(b"{"), context=large)))
    answers = await asyncio.gather(*map(intake.add, events), return_exceptions=True)
    stored = [answer for answer in answers if isinstance(answer, StoredEvent)]
    assert len(stored) == 20
    assert all(answer.is_new for answer in stored)
    await worker_queue.wait_for("deliverEvent", 20)
    assert await count(database, "event_records") == 20


async def test_two_processes_with_the_same_events_and_accounts_do_not_block_each_other(
    database: Database, relay: OutboxRelay, worker_queue: RecordingWorkerQueue
) -> None:
    async with (
        BatchingEventIntake(database, relay) as one,
        BatchingEventIntake(database, relay) as other,
    ):
        for n in range(10):
            names = [f"{n}-{m}" for m in range(20)]
            answers = await asyncio.gather(
                *(one.add(event(name, account_id=f"a-{name}")) for name in names),
                *(other.add(event(name, account_id=f"a-{name}")) for name in reversed(names)),
            )
            assert sum(answer.is_new for answer in answers) == 20
    assert await count(database, "external_accounts") == 200
    await worker_queue.wait_for("deliverEvent", 200)


async def test_message_outlives_a_worker_queue_that_is_away(
    intake: BatchingEventIntake, database: Database, worker_queue: RecordingWorkerQueue
) -> None:
    worker_queue.fail_with(DependencyUnavailable("workerqueue"))
    await asyncio.gather(*(intake.add(event()) for _ in range(5)))
    assert await count(database, "outbox") == 5
    worker_queue.recover()
    await worker_queue.wait_for("deliverEvent", 5)

    async def outbox_is_empty() -> bool:
        return await count(database, "outbox") == 0

    await eventually(outbox_is_empty)


@pytest.mark.parametrize("account_id", [None, "customer-7"])
async def test_message_in_the_table_is_the_one_that_is_handed_over(
    intake: BatchingEventIntake,
    database: Database,
    worker_queue: RecordingWorkerQueue,
    account_id: str | None,
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    sent = event(
        account_id=account_id,
        deliver_at=at,
        priority=Priority.LOW,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    with worker_queue.held():
        await intake.add(sent)
        columns = MESSAGE_COLUMNS.replace("args", "args::text")
        [row] = await database.pool.execute(f"SELECT {columns} FROM events.outbox")
    [message] = await worker_queue.wait_for("deliverEvent")
    in_table = message_from_row(row)
    assert orjson.loads(in_table.args) == orjson.loads(message.args)
    assert replace(in_table, args=message.args) == message
    assert orjson.loads(message.args) == {"eventRecordId": str(sent.id), "deliveryRevision": 1}
