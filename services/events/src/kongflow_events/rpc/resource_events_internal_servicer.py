"""ResourceEventsInternalService: what other services publish."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import grpc

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow.events.internal.v1.resource_events_internal_service_pb2_grpc import (
    ResourceEventsInternalServiceServicer,
)
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.envelope import (
    MAX_DATA_BYTES,
    MAX_RESOURCE_ID_LENGTH,
    Belonging,
    PublishedEvent,
)
from kongflow_common.eventing.event_type import InvalidEventType, check_type_name
from kongflow_common.payload import parse_json
from kongflow_common.rpc.field_parsing import (
    bounded_int,
    optional_id,
    optional_text,
    required_id,
    required_message,
    required_text,
)
from kongflow_common.rpc.timestamps import from_timestamp

__all__ = ["ResourceEventsInternalServicer"]

_MAX_EVENTS: Final = 500
_MAX_VERSION: Final = 2**31 - 1

# Any: the context is used by no method; its request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]


class ResourceEventsInternalServicer(ResourceEventsInternalServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(self, record: Callable[[Sequence[PublishedEvent]], Awaitable[None]]) -> None:
        self._record = record

    async def RecordResourceEvents(
        self, request: pb.RecordResourceEventsRequest, context: _Context
    ) -> pb.RecordResourceEventsResponse:
        if len(request.events) > _MAX_EVENTS:
            raise InvalidField("events", f"has {len(request.events)} items; {_MAX_EVENTS} at most")
        events: list[PublishedEvent] = []
        for index, event in enumerate(request.events):
            try:
                events.append(_to_event(event))
            except InvalidField as error:
                raise error.within(f"events[{index}]") from None
        await self._record(events)
        return pb.RecordResourceEventsResponse()


def _to_event(event: pb.PublishedEvent) -> PublishedEvent:
    required_message(event, "time")
    try:
        check_type_name(event.type)
    except InvalidEventType as error:
        raise InvalidField("type", str(error)) from None
    return PublishedEvent(
        id=required_id(event.id, "id"),
        type=event.type,
        version=bounded_int(event.version, "version", at_least=1, at_most=_MAX_VERSION),
        timestamp=from_timestamp(event.time, "time"),
        resource_id=required_text(
            event.resource_id, "resource_id", max_length=MAX_RESOURCE_ID_LENGTH
        ),
        belonging=Belonging(
            optional_id(event.environment_id, "environment_id"),
            optional_id(event.project_id, "project_id"),
            optional_id(event.organization_id, "organization_id"),
        ),
        # jsonb writes spaces that the publisher has not counted.
        data=parse_json(event.data or b"{}", field="data", max_bytes=2 * MAX_DATA_BYTES).text,
        user_id=optional_text(event.user_id, "user_id") or "",
        replay_of=optional_id(event.replay_of, "replay_of"),
    )
