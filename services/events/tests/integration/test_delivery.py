"""Deliveries at every point where a process may die, and in races over real connections."""

import asyncio
from uuid import UUID

import grpc
import orjson
import psycopg
import pytest
from google.rpc import code_pb2

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.outbox.message import Operation
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.refusals import refusal
from kongflow_events.adapters.compiled_dispatchers import CompiledDispatchers
from kongflow_events.adapters.delivery_desk import SqlDeliveryDesk
from kongflow_events.application.deliver_event import DeliverEvents
from kongflow_events.application.deliver_in_steps import DeliverInSteps
from kongflow_events.application.deliveries import DeliverEvent
from kongflow_events.application.task_outcome import Done, Snooze
from services.events.tests.events_context import EventsContext


async def add_dispatchers(context: EventsContext, number: int) -> None:
    await context.database.pool.execute(
        """
        INSERT INTO events.event_dispatchers
               (id, event, source, dispatchable_id, dispatchable, environment_id)
        SELECT gen_random_uuid(), ARRAY['order.created'], 'trigger.dev', 'many-' || n,
               '{"type": "JOB_VERSION", "job_id": "0197f5c4-4f3c-7d6a-9c1e-2b1f0a9d8e7c"}',
               %(environment_id)s
          FROM generate_series(1, %(number)s) n
        """,
        {"environment_id": context.environment.environment_id, "number": number},
    )


def invoked(context: EventsContext) -> list[str]:
    return [
        orjson.loads(message.args)["dispatcherId"]
        for message in context.worker_queue.of_kind("events.invokeDispatcher")
    ]


async def test_death_before_the_outcome_is_written_leaves_everything_to_do(
    context: EventsContext,
) -> None:
    await context.put()
    record = await context.send()
    await context.database.pool.execute(
        "ALTER TABLE events.outbox ADD CONSTRAINT dead CHECK (kind <> 'events.invokeDispatcher')"
    )
    try:
        with refusal(grpc.StatusCode.INTERNAL):
            await context.deliver(record)
        untouched = await context.get(record.id)
        assert untouched.state == EventRecord.STATE_PENDING
        assert untouched.matched_count == 0
    finally:
        await context.database.pool.execute("ALTER TABLE events.outbox DROP CONSTRAINT dead")
    await context.deliver(record)
    await context.enqueued("events.invokeDispatcher", 1)
    assert (await context.get(record.id)).state == EventRecord.STATE_DELIVERED


async def test_death_after_the_outcome_is_written_sends_what_the_outbox_holds(
    context: EventsContext,
) -> None:
    await context.put()
    record = await context.send()
    await context.enqueued("deliverEvent", 1)
    with context.worker_queue.held():
        await context.deliver(record)
        assert await context.count("outbox") == 1
        # The answer was lost, so the worker queue calls again.
        [result] = await context.deliver(record)
        assert result.status.code == code_pb2.OK
        assert await context.count("outbox") == 1
    await context.enqueued("events.invokeDispatcher", 1)


async def test_deliveries_of_one_event_at_once_are_one(context: EventsContext) -> None:
    await context.put("a")
    await context.put("b")
    records = [await context.send() for _ in range(5)]
    for _ in range(3):
        await asyncio.gather(context.deliver(*records), context.deliver(*reversed(records)))
    await context.enqueued("events.invokeDispatcher", 10)


async def test_event_is_cancelled_or_delivered_and_never_both(context: EventsContext) -> None:
    await context.put()
    cancelled = delivered = 0
    for n in range(40):
        record = await context.send()
        # Which of the two comes first is changed from round to round.
        race = [context.deliver(record), _try_cancel(context, record)]
        await asyncio.gather(*(race if n % 2 else reversed(race)))
        after = await context.get(record.id)
        was_cancelled = after.HasField("cancelled_time")
        assert was_cancelled != after.HasField("delivered_time")
        cancelled += was_cancelled
        delivered += not was_cancelled
    assert cancelled + delivered == 40
    await context.enqueued("events.invokeDispatcher", delivered)
    removed = [
        message
        for message in context.worker_queue.of_kind("deliverEvent")
        if message.operation is Operation.REMOVE
    ]
    assert len(removed) == cancelled


async def _try_cancel(context: EventsContext, record: EventRecord) -> None:
    try:
        await context.cancel(record.id)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION  # noqa: PT017


async def test_cancelling_waits_for_a_delivery_that_holds_the_record(
    context: EventsContext, events_url: str
) -> None:
    record = await context.send(deliver_after=3600)
    async with await psycopg.AsyncConnection.connect(events_url) as delivering:
        await delivering.execute(
            "UPDATE events.event_records SET processed_at = now() WHERE id = %s",
            [UUID(record.id)],
        )
        cancelling = asyncio.create_task(context.cancel(record.id))
        await _until_blocked(context)
        await delivering.commit()
    with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await cancelling
    assert refused.reason == "EVENT_DELIVERY_BEGUN"


async def test_delivery_waits_for_a_cancelling_that_holds_the_record(
    context: EventsContext, events_url: str
) -> None:
    await context.put()
    record = await context.send()
    async with await psycopg.AsyncConnection.connect(events_url) as cancelling:
        await cancelling.execute(
            "UPDATE events.event_records SET cancelled_at = now() WHERE id = %s",
            [UUID(record.id)],
        )
        delivering = asyncio.create_task(context.deliver(record))
        await _until_blocked(context)
        await cancelling.commit()
    [result] = await delivering
    assert result.status.code == code_pb2.OK
    await context.enqueued("events.invokeDispatcher", 0)
    assert not (await context.get(record.id)).HasField("processed_time")


async def test_repeat_that_replaces_wins_over_a_delivery_of_the_older_plan(
    context: EventsContext, events_url: str
) -> None:
    await context.put()
    record = await context.send()
    async with await psycopg.AsyncConnection.connect(events_url) as replacing:
        await replacing.execute(
            "UPDATE events.event_records SET delivery_revision = 2 WHERE id = %s",
            [UUID(record.id)],
        )
        delivering = asyncio.create_task(context.deliver(record))
        await _until_blocked(context)
        await replacing.commit()
    await delivering
    await context.enqueued("events.invokeDispatcher", 0)
    record.delivery_revision = 2
    await context.deliver(record)
    await context.enqueued("events.invokeDispatcher", 1)


async def test_delivery_that_postgresql_ends_for_a_deadlock_is_carried_out_all_the_same(
    context: EventsContext, events_url: str
) -> None:
    await context.put()
    records = sorted([await context.send() for _ in range(2)], key=lambda record: record.id)
    first, second = (UUID(record.id) for record in records)
    lock = "UPDATE events.event_records SET is_test = is_test WHERE id = %s"
    async with await psycopg.AsyncConnection.connect(events_url) as other:
        await other.execute("SET deadlock_timeout = '60s'")
        await other.execute(lock, [second])
        delivering = asyncio.create_task(context.deliver(*records))
        await _until_blocked(context)
        # The delivery holds the first and waits for the second; whoever waits longer than
        # deadlock_timeout is ended, and that is the delivery.
        await asyncio.wait_for(other.execute(lock, [first]), 20)
        await other.commit()
    results = await delivering
    assert [result.status.code for result in results] == [code_pb2.OK] * 2
    await context.enqueued("events.invokeDispatcher", 2)


async def _until_blocked(context: EventsContext) -> None:
    async def blocked() -> bool:
        return bool(
            await context.database.pool.execute(
                "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() "
                "AND wait_event_type = 'Lock'"
            )
        )

    await eventually(blocked)


async def test_thousands_of_dispatchers_are_each_invoked_once(context: EventsContext) -> None:
    await add_dispatchers(context, 2_300)
    first, second = await context.send(), await context.send()
    results = await context.deliver(first, second)
    assert [result.status.code for result in results] == [code_pb2.OK] * 2
    assert not any(result.HasField("snooze") for result in results)
    await context.enqueued("events.invokeDispatcher", 4_600)
    assert len(set(invoked(context))) == 2_300
    for record in (first, second):
        delivered = await context.get(record.id)
        assert delivered.state == EventRecord.STATE_DELIVERED
        assert delivered.matched_count == 2_300


async def test_many_events_for_many_dispatchers_are_settled_in_bounded_statements(
    context: EventsContext,
) -> None:
    await add_dispatchers(context, 300)
    records = [await context.send() for _ in range(10)]
    await context.deliver(*records)
    await context.enqueued("events.invokeDispatcher", 3_000)


def in_steps(context: EventsContext, dispatchers_in_a_step: int, steps: int) -> DeliverEvents:
    return DeliverEvents(
        SqlDeliveryDesk(context.database, CompiledDispatchers(), context.relay),
        DeliverInSteps(context.unit_of_work, dispatchers_in_a_step),
        candidates_at_once=0,
        steps_per_call=steps,
    )


async def test_delivery_in_steps_goes_on_where_it_was_interrupted(context: EventsContext) -> None:
    await add_dispatchers(context, 25)
    record = await context.send()
    command = DeliverEvent(
        event_record_id=UUID(record.id),
        delivery_revision=1,
        environment_id=context.environment.environment_id,
        traceparent="",
    )
    deliver = in_steps(context, dispatchers_in_a_step=10, steps=1)
    [outcome] = await deliver([command])
    assert isinstance(outcome, Snooze)
    begun = await context.get(record.id)
    assert begun.state == EventRecord.STATE_PENDING
    assert begun.matched_count == 10
    with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await context.cancel(record.id)
    assert refused.reason == "EVENT_DELIVERY_BEGUN"

    await context.database.pool.execute(
        "ALTER TABLE events.outbox ADD CONSTRAINT dead CHECK (kind <> 'events.invokeDispatcher') "
        "NOT VALID"
    )
    try:
        [outcome] = await deliver([command])
        assert isinstance(outcome, Exception)
        assert (await context.get(record.id)).matched_count == 10
    finally:
        await context.database.pool.execute("ALTER TABLE events.outbox DROP CONSTRAINT dead")

    [outcome] = await deliver([command])
    assert isinstance(outcome, Snooze)
    [outcome] = await deliver([command])
    assert isinstance(outcome, Done)
    await context.enqueued("events.invokeDispatcher", 25)
    assert len(set(invoked(context))) == 25
    delivered = await context.get(record.id)
    assert delivered.matched_count == 25
    assert delivered.HasField("delivered_time")
    [outcome] = await deliver([command])
    assert isinstance(outcome, Done)
    await context.enqueued("events.invokeDispatcher", 25)
    told = await context.database.pool.execute(
        "SELECT data->>'matchedCount' FROM events.resource_events WHERE type = 'event.delivered'"
    )
    assert told == [("25",)]


async def test_steps_are_shared_by_the_events_of_a_call(context: EventsContext) -> None:
    await add_dispatchers(context, 5)
    records = [await context.send() for _ in range(2)]
    commands = [
        DeliverEvent(
            event_record_id=UUID(record.id),
            delivery_revision=1,
            environment_id=None,
            traceparent="",
        )
        for record in records
    ]
    deliver = in_steps(context, dispatchers_in_a_step=10, steps=1)
    outcomes = await deliver(commands)
    assert [type(outcome) for outcome in outcomes] == [Done, Snooze]
    outcomes = await deliver(commands)
    assert [type(outcome) for outcome in outcomes] == [Done, Done]
    await context.enqueued("events.invokeDispatcher", 10)


async def test_dispatchers_that_are_gone_meanwhile_end_a_delivery_in_steps(
    context: EventsContext,
) -> None:
    await add_dispatchers(context, 5)
    record = await context.send()
    command = DeliverEvent(
        event_record_id=UUID(record.id), delivery_revision=1, environment_id=None, traceparent=""
    )
    deliver = in_steps(context, dispatchers_in_a_step=5, steps=1)
    assert isinstance((await deliver([command]))[0], Snooze)
    await context.database.pool.execute("DELETE FROM events.event_dispatchers")
    # No candidate is left, so that only the stored cursor says that the delivery has begun.
    assert isinstance((await deliver([command]))[0], Done)
    delivered = await context.get(record.id)
    assert delivered.state == EventRecord.STATE_DELIVERED
    assert delivered.matched_count == 5


async def test_account_that_goes_takes_its_dispatchers_along_and_leaves_the_events(
    context: EventsContext,
) -> None:
    await context.put(account_id="customer-7")
    record = await context.send(account_id="customer-7")
    await context.database.pool.execute("DELETE FROM events.external_accounts")
    assert await context.count("event_dispatchers") == 0
    kept = await context.get(record.id)
    assert not kept.account_id


async def test_get_of_a_list_of_states_agrees_with_the_records(context: EventsContext) -> None:
    await context.put()
    record = await context.send()
    await context.deliver(record)
    listed = await context.client.ListEventRecords(
        pb.ListEventRecordsRequest(filter="state = DELIVERED"),
        metadata=context.as_sender,
        timeout=5,
    )
    [shown] = listed.event_records
    assert shown.state == EventRecord.STATE_DELIVERED


@pytest.mark.parametrize("kind", ["accepted", "delivered", "invoked"])
async def test_each_station_of_an_event_is_one_line_with_its_trace(
    context: EventsContext, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    caplog.set_level("INFO")
    dispatcher = (await context.put()).event_dispatcher.id
    record = await context.send()
    await context.deliver(record)
    await context.invoke((dispatcher, record.id))
    message = {
        "accepted": "event accepted",
        "delivered": "event delivered",
        "invoked": "dispatcher invoked",
    }[kind]
    [line] = [line for line in caplog.records if line.getMessage() == message]
    fields = line.__dict__["fields"]
    assert fields["event_record_id"] == record.id
    if kind != "accepted":
        assert line.__dict__["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
