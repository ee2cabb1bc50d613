"""ResourceEventsInternalService: what other services publish."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow.events.internal.v1.resource_events_internal_service_pb2_grpc import (
    ResourceEventsInternalServiceServicer,
)
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.event_columns import EventColumns, read_columns

__all__ = ["ResourceEventsInternalServicer"]

_MAX_EVENTS: Final = 2_000

# Any: the context is used by no method; its request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]


class ResourceEventsInternalServicer(ResourceEventsInternalServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(self, record: Callable[[EventColumns], Awaitable[None]]) -> None:
        self._record = record

    async def RecordResourceEvents(
        self, request: pb.RecordResourceEventsRequest, context: _Context
    ) -> pb.RecordResourceEventsResponse:
        if len(request.events) > _MAX_EVENTS:
            raise InvalidField("events", f"has {len(request.events)} items; {_MAX_EVENTS} at most")
        await self._record(read_columns(request.events))
        return pb.RecordResourceEventsResponse()
