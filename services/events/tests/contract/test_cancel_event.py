"""CancelEvent over a real channel."""

import grpc
import pytest

from kongflow.events.v1 import events_service_pb2 as pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import Operation
from kongflow_common.testing.refusals import refusal
from services.events.tests.events_context import EventsContext


async def test_pending_event_is_cancelled_and_its_queued_job_removed(
    context: EventsContext,
) -> None:
    record = await context.send(event_id="one", deliver_after=3600)
    cancelled = await context.cancel(record.id)
    assert cancelled.state == EventRecord.STATE_CANCELLED
    assert cancelled.HasField("cancelled_time")
    enqueued, removed = await context.enqueued("deliverEvent", 2)
    assert (enqueued.operation, removed.operation) == (Operation.ENQUEUE, Operation.REMOVE)
    assert removed.job_key == f"event:{record.id}"
    assert removed.generation == 1
    assert removed.environment_id == context.environment.environment_id


async def test_cancelling_again_changes_nothing(context: EventsContext) -> None:
    record = await context.send(event_id="one", deliver_after=3600)
    first = await context.cancel(record.id)
    request = pb.CancelEventRequest(event_id="one")
    second = await context.client.CancelEvent(request, metadata=context.as_sender, timeout=5)
    assert second.event_record == first
    await context.enqueued("deliverEvent", 2)


@pytest.mark.parametrize("matched", [True, False])
async def test_event_whose_delivery_has_begun_is_not_cancelled(
    context: EventsContext, matched: bool
) -> None:
    if matched:
        await context.put()
    record = await context.send(event_id="one")
    await context.deliver(record)
    delivered = await context.get(record.id)
    with refusal(grpc.StatusCode.FAILED_PRECONDITION) as refused:
        await context.cancel(record.id)
    assert refused.reason == "EVENT_DELIVERY_BEGUN"
    assert refused.preconditions == [("EVENT_DELIVERY_BEGUN", "events/one")]
    assert await context.get(record.id) == delivered
    assert [m.operation for m in context.worker_queue.of_kind("deliverEvent")] == [
        Operation.ENQUEUE
    ]


async def test_events_that_are_not_there_or_another_environments_are_not_found(
    context: EventsContext,
) -> None:
    record = await context.send(event_id="one", deliver_after=3600)
    other = context.server.credentials.add_environment()
    stranger = (("authorization", f"Bearer {context.server.credentials.add_secret_key(other)}"),)
    for metadata, request in (
        (context.as_sender, pb.CancelEventRequest(id=str(new_id()))),
        (context.as_sender, pb.CancelEventRequest(event_id="two")),
        (stranger, pb.CancelEventRequest(id=record.id)),
        (stranger, pb.CancelEventRequest(event_id="one")),
    ):
        with refusal(grpc.StatusCode.NOT_FOUND) as refused:
            await context.client.CancelEvent(request, metadata=metadata, timeout=5)
        assert refused.reason == "EVENT_NOT_FOUND"
    assert (await context.get(record.id)).state == EventRecord.STATE_PENDING


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.CancelEventRequest(), "key"),
        (pb.CancelEventRequest(id="not-an-id"), "id"),
        (pb.CancelEventRequest(id=""), "id"),
        (pb.CancelEventRequest(event_id=""), "event_id"),
        (pb.CancelEventRequest(event_id="\0"), "event_id"),
    ],
)
async def test_bad_keys_are_refused(
    context: EventsContext, request_: pb.CancelEventRequest, field: str
) -> None:
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await context.client.CancelEvent(request_, metadata=context.as_sender, timeout=5)
    assert list(refused.fields) == [field]
