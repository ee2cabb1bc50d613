"""RecordResourceEvents: what other services publish comes into the log once."""

import asyncio
from collections.abc import Callable

import grpc
import pytest

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as internal_pb
from kongflow.events.internal.v1.resource_events_internal_service_pb2_grpc import (
    ResourceEventsInternalServiceStub,
)
from kongflow.events.v1 import resource_events_service_pb2 as pb
from kongflow_common.ids import new_id
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_common.testing.grpc_server import bearer
from kongflow_common.testing.refusals import refusal
from services.events.tests.events_context import EventsContext, ShiftedClock


def ended(context: EventsContext, resource_id: str = "run-1") -> internal_pb.PublishedEvent:
    return internal_pb.PublishedEvent(
        id=str(new_id()),
        type="run.completed.success",
        version=1,
        time=to_timestamp(ShiftedClock().now()),
        resource_id=resource_id,
        data=b'{"state": "SUCCESS"}',
        environment_id=str(context.environment.environment_id),
    )


async def record(context: EventsContext, *events: internal_pb.PublishedEvent) -> None:
    await ResourceEventsInternalServiceStub(context.server.tasks_channel).RecordResourceEvents(
        internal_pb.RecordResourceEventsRequest(events=events),
        metadata=bearer(context.server.service_token()),
        timeout=10,
    )


async def test_what_is_recorded_again_is_there_once(context: EventsContext) -> None:
    events = [ended(context) for _ in range(3)]
    await asyncio.gather(*(record(context, *events) for _ in range(4)))
    await record(context, events[1], ended(context, "run-2"))
    answer = await context.resource_events.ListResourceEvents(
        pb.ListResourceEventsRequest(resource_id="run-1"), metadata=context.as_sender, timeout=10
    )
    assert [event.id for event in answer.resource_events] == [event.id for event in events]
    assert answer.resource_events[0].data.json == b'{"state": "SUCCESS"}'
    assert await context.count("resource_events") == 4


CHANGES: dict[str, Callable[[internal_pb.PublishedEvent], object]] = {
    "id": lambda event: setattr(event, "id", "x"),
    "type": lambda event: setattr(event, "type", "Run"),
    "version": lambda event: setattr(event, "version", 0),
    "time": lambda event: event.ClearField("time"),
    "resource_id": lambda event: setattr(event, "resource_id", ""),
    "data": lambda event: setattr(event, "data", b"{"),
    "environment_id": lambda event: setattr(event, "environment_id", "x"),
}


@pytest.mark.parametrize("field", CHANGES)
async def test_what_is_no_event_is_refused_with_its_place(
    context: EventsContext, field: str
) -> None:
    bad = ended(context)
    CHANGES[field](bad)
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await record(context, ended(context), bad)
    assert list(refused.fields) == [f"events[1].{field}"]
    assert await context.count("resource_events") == 0


async def test_there_are_only_so_many(context: EventsContext) -> None:
    await record(context, *[ended(context) for _ in range(2_000)])
    assert await context.count("resource_events") == 2_000
    with refusal(grpc.StatusCode.INVALID_ARGUMENT) as refused:
        await record(context, *[ended(context)] * 2_001)
    assert list(refused.fields) == ["events"]
