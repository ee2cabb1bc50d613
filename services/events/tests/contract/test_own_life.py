"""What becomes of events is told in the log, in the transaction that it becomes of."""

from datetime import timedelta
from uuid import uuid4

import orjson
import pytest

from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow.events.v1.resource_event_pb2 import ResourceEvent
from kongflow_common.eventing.declared_data import (
    EventCancelled,
    EventDelivered,
    EventIngested,
)
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.testing.polling import eventually
from kongflow_events.application import watch_events
from services.events.tests.events_context import EventsContext
from services.events.tests.resource_log import Watch


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_events, "_LOOK_SECONDS", 0.02)


async def told(context: EventsContext, record_id: str) -> list[tuple[str, object]]:
    """What the log has of an event: types with their data."""
    answer = await context.resource_events.ListResourceEvents(
        pb.ListResourceEventsRequest(resource_id=record_id), metadata=context.as_sender, timeout=10
    )
    return [(event.type, orjson.loads(event.data.json)) for event in answer.resource_events]


def ingested(event_id: str, matched: int | None) -> tuple[str, object]:
    return (
        "event.ingested",
        {
            "eventId": event_id,
            "name": "order.created",
            "source": "trigger.dev",
            "matchedCount": matched,
        },
    )


async def test_an_event_is_ingested_and_then_delivered_once(context: EventsContext) -> None:
    await context.put("job", "order.created")
    record = await context.send(event_id="e1")
    assert await told(context, record.id) == [ingested("e1", None)]
    await context.deliver(record, record)
    await context.deliver(record)
    assert await told(context, record.id) == [
        ingested("e1", None),
        ("event.delivered", {"matchedCount": 1}),
    ]


async def test_an_event_that_is_matched_at_once_says_so(matching_context: EventsContext) -> None:
    context = matching_context
    await context.put("job", "order.created")

    async def is_matched_at_once() -> str | None:
        record = await context.send(event_id=str(uuid4()))
        return record.id if record.matched_count else None

    record_id = await eventually(is_matched_at_once)
    assert record_id is not None
    [(type_, data)] = await told(context, record_id)
    assert type_ == "event.ingested"
    assert isinstance(data, dict)
    assert data["matchedCount"] == 1


async def test_a_repeated_event_is_told_of_once(context: EventsContext) -> None:
    record = await context.send(event_id="e1", account_id="acme")
    await context.send(event_id="e1", account_id="acme")
    assert await told(context, record.id) == [ingested("e1", None)]


async def test_a_cancelled_event_is_told_of_once(context: EventsContext) -> None:
    record = await context.send(event_id="e1", deliver_after=timedelta(hours=1).total_seconds())
    await context.cancel(record.id)
    await context.cancel(record.id)
    assert await told(context, record.id) == [
        ingested("e1", None),
        ("event.cancelled", {"eventId": "e1", "name": "order.created"}),
    ]


async def test_a_watch_sees_it_all_and_it_causes_no_event(context: EventsContext) -> None:
    async with Watch(context) as watch:
        record = await context.send(event_id="e1")
        await context.deliver(record)
        await watch.until(2)
    assert [(event.type, event.resource_id, event.layer) for event in watch.events] == [
        ("event.ingested", record.id, ResourceEvent.LAYER_DOMAIN),
        ("event.delivered", record.id, ResourceEvent.LAYER_DOMAIN),
    ]
    assert await context.count("event_records") == 1


async def test_what_statements_say_is_the_data_of_its_type(context: EventsContext) -> None:
    await context.put("job", "order.created")
    record = await context.send(event_id="e1")
    await context.deliver(record)
    cancelled = await context.send(event_id="e2", deliver_after=timedelta(hours=1).total_seconds())
    await context.cancel(cancelled.id)
    events = [*await told(context, record.id), *await told(context, cancelled.id)]
    data = [DECLARED_TYPES[type_].read(1, fields) for type_, fields in events]  # type: ignore[arg-type]
    assert data == [
        EventIngested(event_id="e1", name="order.created", source="trigger.dev"),
        EventDelivered(matched_count=1),
        EventIngested(event_id="e2", name="order.created", source="trigger.dev"),
        EventCancelled(event_id="e2", name="order.created"),
    ]
