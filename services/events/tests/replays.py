"""Calls of EventReplaysService, and its queued job as the worker queue calls it, for tests."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import orjson
import pytest

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.tasks.v1 import events_tasks_service_pb2 as tasks_pb
from kongflow.events.v1 import event_replays_service_pb2 as pb
from kongflow.events.v1 import event_schemas_service_pb2 as schemas_pb
from kongflow.events.v1 import events_service_pb2 as events_pb
from kongflow.events.v1.event_record_pb2 import EventRecord
from kongflow.events.v1.event_replay_pb2 import EventReplay
from kongflow.events.v1.event_replays_service_pb2_grpc import EventReplaysServiceStub
from kongflow.events.v1.event_schema_pb2 import EventSchema
from kongflow.events.v1.event_schemas_service_pb2_grpc import EventSchemasServiceStub
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.rpc.task_results import parse_snooze
from kongflow_common.testing.grpc_server import bearer
from services.events.tests.events_context import EventsContext

if TYPE_CHECKING:
    # Only the type stubs have this name.
    from kongflow.events.v1.event_replays_service_pb2_grpc import EventReplaysServiceAsyncStub

__all__ = ["ReplayCalls", "delivered", "records", "refuse_negative_totals", "refused"]

_TIMEOUT = 10.0


class ReplayCalls:
    """The calls of one environment: the context's, or a stranger's."""

    def __init__(self, context: EventsContext, stranger: EnvironmentScope | None = None) -> None:
        self._context = context
        key = context.key
        if stranger is not None:
            key = context.server.credentials.add_secret_key(stranger)
        self.call: dict[str, Any] = {"metadata": bearer(key), "timeout": _TIMEOUT}

    @property
    def stub(self) -> "EventReplaysServiceAsyncStub":
        return EventReplaysServiceStub(self._context.server.channel)

    async def send(self, context: EventsContext) -> EventRecord:
        """Send an event of this environment."""
        request = events_pb.SendEventRequest(event=EventRecord(name="order.created"))
        return (await context.client.SendEvent(request, **self.call)).event_record

    async def one(self, **request: Any) -> EventRecord:
        """Replay an event."""
        answer = await self.stub.ReplayEvent(pb.ReplayEventRequest(**request), **self.call)
        return answer.event_record

    async def begin(
        self, *, start: datetime | None = None, end: datetime | None = None, **request: Any
    ) -> EventReplay:
        """Begin to replay many events."""
        message = pb.ReplayEventsRequest(**request)
        if start is not None:
            message.start_time.FromDatetime(start)
        if end is not None:
            message.end_time.FromDatetime(end)
        return (await self.stub.ReplayEvents(message, **self.call)).event_replay

    async def backfill(
        self, dispatcher_id: str, *, start: datetime | None = None, **request: Any
    ) -> EventReplay:
        """Begin to back-fill a dispatcher, from yesterday if not from `start`."""
        message = pb.BackfillEventDispatcherRequest(dispatcher_id=dispatcher_id, **request)
        message.start_time.FromDatetime(start or self._context.clock.now() - timedelta(days=1))
        return (await self.stub.BackfillEventDispatcher(message, **self.call)).event_replay

    async def get(self, replay_id: str) -> EventReplay:
        """Read a replay."""
        request = pb.GetEventReplayRequest(id=replay_id)
        return (await self.stub.GetEventReplay(request, **self.call)).event_replay

    async def cancel(self, replay_id: str) -> EventReplay:
        """Stop a replay."""
        request = pb.CancelEventReplayRequest(id=replay_id)
        return (await self.stub.CancelEventReplay(request, **self.call)).event_replay

    async def page(self, **request: Any) -> pb.ListEventReplaysResponse:
        """Read a page of replays."""
        return await self.stub.ListEventReplays(pb.ListEventReplaysRequest(**request), **self.call)

    async def list(self, filter_text: str = "") -> list[EventReplay]:
        """List replays."""
        return list((await self.page(filter=filter_text)).event_replays)

    async def advance(self, replay_id: str) -> timedelta | None:
        """Carry out what is due, as the worker queue does; how long it is snoozed for."""
        call = self._context.tasks.AdvanceEventReplay(
            tasks_pb.AdvanceEventReplayRequest(event_replay_id=replay_id),
            metadata=self._context.as_worker,
            timeout=_TIMEOUT,
        )
        await call
        snooze = parse_snooze(await call.trailing_metadata())
        return snooze.delay if snooze is not None else None

    async def run_to_end(self, replay_id: str) -> EventReplay:
        """Carry the replay out, with a clock that is always late enough."""
        for _ in range(100):
            self._context.clock.offset += timedelta(seconds=2)
            if await self.advance(replay_id) is None:
                return await self.get(replay_id)
        raise AssertionError("the replay does not end")


async def refused(call: Any, code: grpc.StatusCode) -> str:
    """What a call that must be refused with this code says."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    assert raised.value.code() is code, raised.value.details()
    return raised.value.details() or ""


async def delivered(context: EventsContext, name: str, count: int) -> list[EventRecord]:
    """Send and deliver so many events."""
    events = [await context.send(name) for _ in range(count)]
    await context.deliver(*events)
    return events


async def records(context: EventsContext, filter_text: str = "") -> list[EventRecord]:
    """The events that a list shows."""
    answer = await context.client.ListEventRecords(
        events_pb.ListEventRecordsRequest(filter=filter_text, page_size=1_000),
        metadata=context.as_sender,
        timeout=10,
    )
    return list(answer.event_records)


async def refuse_negative_totals(context: EventsContext) -> None:
    """Register a schema for order.created that does so."""
    schema = {"type": "object", "properties": {"total": {"minimum": 0}}}
    stub: Any = EventSchemasServiceStub(context.server.channel)
    await stub.RegisterEventSchema(
        schemas_pb.RegisterEventSchemaRequest(
            event_schema=EventSchema(
                event_name="order.created",
                schema=Payload(json=orjson.dumps(schema)),
                mode=EventSchema.MODE_REJECT,
            )
        ),
        metadata=bearer(context.key),
        timeout=10,
    )
