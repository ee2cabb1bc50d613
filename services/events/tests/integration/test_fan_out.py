"""One event for 10,000 dispatchers: in bounded transactions, and from where it was broken off."""

import asyncio
from uuid import UUID

import psycopg
from google.rpc import code_pb2

from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.testing.polling import eventually
from services.events.tests.events_context import EventsContext
from services.events.tests.integration.test_delivery import add_dispatchers, invoked

DISPATCHERS = 10_000

REMEMBER = """
CREATE TABLE events.stored_in (outbox_id uuid PRIMARY KEY, stored_in xid8 NOT NULL);
CREATE FUNCTION events.remember_transaction() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO events.stored_in VALUES (NEW.id, pg_current_xact_id());
    RETURN NULL;
END $$;
CREATE TRIGGER remember_transaction AFTER INSERT ON events.outbox
    FOR EACH ROW WHEN (NEW.kind = 'events.invokeDispatcher')
    EXECUTE FUNCTION events.remember_transaction()
"""
FORGET = """
DROP TRIGGER remember_transaction ON events.outbox;
DROP FUNCTION events.remember_transaction();
DROP TABLE events.stored_in
"""


async def invocations_per_transaction(context: EventsContext) -> list[int]:
    rows = await context.database.pool.execute(
        "SELECT count(*) FROM events.stored_in GROUP BY stored_in"
    )
    return [row[0] for row in rows]


async def has_begun(context: EventsContext, record: EventRecord) -> bool:
    rows = await context.database.pool.execute(
        "SELECT matched_count >= 2000 FROM events.event_records WHERE id = %s", [UUID(record.id)]
    )
    return bool(rows[0][0])


async def test_ten_thousand_dispatchers_are_each_invoked_once_though_it_is_killed_in_the_middle(
    context: EventsContext, events_url: str
) -> None:
    await add_dispatchers(context, DISPATCHERS)
    record = await context.send()
    await context.enqueued("deliverEvent", 1)
    async with await psycopg.AsyncConnection.connect(events_url, autocommit=True) as operator:
        await operator.execute(REMEMBER)
        try:
            delivering = asyncio.create_task(context.deliver(record))
            await eventually(lambda: has_begun(context, record))
            await operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            [broken] = await delivering
            assert broken.status.code == code_pb2.UNAVAILABLE
            begun = await context.get(record.id)
            assert begun.state == EventRecord.STATE_PENDING
            assert 2_000 <= begun.matched_count < DISPATCHERS
            while True:
                [result] = await context.deliver(record)
                assert result.status.code == code_pb2.OK
                if not result.HasField("snooze"):
                    break
            assert max(await invocations_per_transaction(context)) <= 500
        finally:
            await operator.execute(FORGET)
    await context.enqueued("events.invokeDispatcher", DISPATCHERS)
    assert len(set(invoked(context))) == DISPATCHERS
    delivered = await context.get(record.id)
    assert delivered.state == EventRecord.STATE_DELIVERED
    assert delivered.matched_count == DISPATCHERS
