"""SendEvent over a real channel: what is stored, what is answered, what is enqueued."""

import asyncio
from datetime import UTC, datetime, timedelta

import grpc
import orjson

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.outbox.message import Operation, Priority
from kongflow_common.testing.refusals import refusal
from services.events.tests.documents import content_of
from services.events.tests.events_context import EventsContext


async def test_event_is_stored_and_its_delivery_enqueued(context: EventsContext) -> None:
    record = await context.send(
        "order.created", event_id="order-1", payload={"total": 12.5}, context={"by": "me"}
    )
    [message] = await context.enqueued("deliverEvent", 1)
    assert orjson.loads(message.args) == {"eventRecordId": record.id, "deliveryRevision": 1}
    assert message.operation is Operation.ENQUEUE
    assert message.job_key == f"event:{record.id}"
    assert message.generation == 1
    assert message.run_at is None
    assert message.priority is Priority.HIGH
    assert message.environment_id == context.environment.environment_id
    assert (record.event_id, record.name, record.source) == (
        "order-1",
        "order.created",
        "trigger.dev",
    )
    assert record.state == EventRecord.STATE_PENDING
    assert record.deliver_time == record.create_time == record.event_time
    assert not record.HasField("payload")
    stored = await context.get(record.id)
    assert content_of(stored.payload) == {"total": 12.5}
    assert content_of(stored.context) == {"by": "me"}


async def test_what_is_left_out_has_the_originals_defaults(context: EventsContext) -> None:
    record = await context.get((await context.send()).id)
    assert record.event_id == record.id
    assert (content_of(record.payload), content_of(record.context)) == ({}, {})
    assert record.payload_type == EventRecord.PAYLOAD_TYPE_JSON
    assert record.priority == job_options_pb2.PRIORITY_HIGH
    assert not record.test
    assert not record.internal


async def test_null_counts_as_left_out(context: EventsContext) -> None:
    request = pb.SendEventRequest()
    request.event.name = "order.created"
    request.event.payload.json = b" null "
    request.event.context.value.null_value = 0  # type: ignore[assignment]
    answer = await context.client.SendEvent(request, metadata=context.as_sender, timeout=5)
    stored = await context.get(answer.event_record.id)
    assert (content_of(stored.payload), content_of(stored.context)) == ({}, {})


async def test_every_field_that_a_sender_may_set_is_kept(context: EventsContext) -> None:
    request = pb.SendEventRequest(test=True, priority=job_options_pb2.PRIORITY_LOW)
    request.account_id = "customer-7"
    request.event.name = "mail.received"
    request.event.source = "mail"
    request.event.payload_type = EventRecord.PAYLOAD_TYPE_REQUEST
    request.event.payload.value.struct_value["n"] = 3
    request.event.event_time.FromDatetime(datetime(2020, 2, 3, tzinfo=UTC))
    answer = await context.client.SendEvent(request, metadata=context.as_sender, timeout=5)
    stored = await context.get(answer.event_record.id)
    assert content_of(stored.payload) == {"n": 3}
    assert stored.payload_type == EventRecord.PAYLOAD_TYPE_REQUEST
    assert stored.event_time.ToDatetime() == datetime(2020, 2, 3)  # noqa: DTZ001
    assert (stored.account_id, stored.source, stored.test) == ("customer-7", "mail", True)
    assert stored.priority == job_options_pb2.PRIORITY_LOW
    [message] = await context.enqueued("deliverEvent", 1)
    assert message.priority is Priority.LOW


async def test_delivery_time_is_when_the_queued_job_runs(context: EventsContext) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    record = await context.send(deliver_at=at)
    assert record.deliver_time.ToDatetime(tzinfo=UTC) == at
    [message] = await context.enqueued("deliverEvent", 1)
    assert message.run_at == at


async def test_delivery_after_a_while_counts_from_now_and_zero_says_nothing(
    context: EventsContext,
) -> None:
    context.clock.at = datetime(2099, 1, 1, tzinfo=UTC)
    later = await context.send(deliver_after=90)
    assert later.deliver_time.ToDatetime(tzinfo=UTC) == context.clock.at + timedelta(seconds=90)
    now = await context.send(deliver_after=0)
    assert now.deliver_time == now.create_time


async def test_sending_again_answers_what_is_stored(context: EventsContext) -> None:
    first = await context.send(event_id="one", payload={"n": 1})
    second = await context.send("other.name", event_id="one", payload={"n": 2}, source="other")
    assert second == first
    assert content_of((await context.get(first.id)).payload) == {"n": 1}
    await context.enqueued("deliverEvent", 1)
    assert await context.count("event_records") == 1


async def test_same_event_id_from_many_callers_at_once_is_one_event(
    context: EventsContext,
) -> None:
    records = await asyncio.gather(*(context.send(event_id="one") for _ in range(40)))
    assert len({record.id for record in records}) == 1
    await context.enqueued("deliverEvent", 1)


async def test_event_ids_are_unique_within_an_environment_only(context: EventsContext) -> None:
    mine = await context.send(event_id="one")
    other = context.server.credentials.add_environment()
    key = context.server.credentials.add_secret_key(other)
    request = pb.SendEventRequest()
    request.event.event_id, request.event.name = "one", "order.created"
    answer = await context.client.SendEvent(
        request, metadata=(("authorization", f"Bearer {key}"),), timeout=5
    )
    assert answer.event_record.id != mine.id
    with refusal(grpc.StatusCode.NOT_FOUND) as refused:
        await context.get(answer.event_record.id)
    assert refused.reason == "EVENT_NOT_FOUND"


async def test_delayed_event_that_is_sent_again_is_replaced(context: EventsContext) -> None:
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    first = await context.send(
        event_id="one", payload={"n": 1}, context={"c": 1}, deliver_at=later, account_id="a"
    )
    second = await context.send(
        "other.name",
        event_id="one",
        payload={"n": 2},
        deliver_at=later + timedelta(hours=1),
        account_id="b",
        source="other",
    )
    assert second.id == first.id
    assert second.delivery_revision == 2
    stored = await context.get(first.id)
    assert content_of(stored.payload) == {"n": 2}
    assert content_of(stored.context) == {"c": 1}
    assert (stored.name, stored.source, stored.account_id) == ("order.created", "trigger.dev", "a")
    assert stored.deliver_time.ToDatetime(tzinfo=UTC) == later + timedelta(hours=1)
    _, again = await context.enqueued("deliverEvent", 2)
    assert again.job_key == f"event:{first.id}"
    assert again.generation == 2
    assert again.run_at == later + timedelta(hours=1)
    assert orjson.loads(again.args) == {"eventRecordId": first.id, "deliveryRevision": 2}


async def test_q5_a_repeat_without_delay_makes_a_delayed_event_immediate(
    context: EventsContext,
) -> None:
    await context.send(event_id="one", deliver_after=3600)
    again = await context.send(event_id="one")
    assert again.deliver_time.ToDatetime(tzinfo=UTC) <= datetime.now(UTC)
    _, message = await context.enqueued("deliverEvent", 2)
    assert message.run_at is None


async def test_the_window_for_replacing_is_five_seconds_to_the_millisecond(
    context: EventsContext,
) -> None:
    due = datetime(2090, 5, 5, 12, tzinfo=UTC)
    context.clock.at = due - timedelta(milliseconds=5_000)
    for event_id, too_late in (("in-time", 0), ("too-late", 1)):
        await context.send(event_id=event_id, payload={"n": 1}, deliver_at=due)
        context.clock.offset = timedelta(milliseconds=too_late)
        again = await context.send(event_id=event_id, payload={"n": 2}, deliver_at=due)
        assert again.delivery_revision == 2 - too_late
    await context.enqueued("deliverEvent", 3)


async def test_q4_a_cancelled_event_that_is_sent_again_stays_cancelled(
    context: EventsContext,
) -> None:
    first = await context.send(event_id="one", payload={"n": 1}, deliver_after=3600)
    cancelled = await context.cancel(first.id)
    again = await context.send(event_id="one", payload={"n": 2}, deliver_after=3600)
    assert again == cancelled
    assert again.state == EventRecord.STATE_CANCELLED
    assert content_of((await context.get(first.id)).payload) == {"n": 1}
    messages = await context.enqueued("deliverEvent", 2)
    assert [message.operation for message in messages] == [Operation.ENQUEUE, Operation.REMOVE]


async def test_accounts_of_many_callers_at_once_are_made_once(context: EventsContext) -> None:
    records = await asyncio.gather(
        *(context.send(account_id=f"customer-{n % 3}") for n in range(30))
    )
    assert {record.account_id for record in records} == {f"customer-{n}" for n in range(3)}
    assert await context.count("external_accounts") == 3


async def test_the_trace_of_the_call_goes_with_the_queued_job(context: EventsContext) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = pb.SendEventRequest()
    request.event.name = "order.created"
    await context.client.SendEvent(
        request, metadata=(*context.as_sender, ("traceparent", traceparent)), timeout=5
    )
    [message] = await context.enqueued("deliverEvent", 1)
    assert message.traceparent.split("-")[1] == "0af7651916cd43dd8448eb211c80319c"
