"""The log of what happens to resources, as the events service keeps it."""

from collections.abc import Sequence
from typing import Final

import grpc

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow.events.internal.v1.resource_events_internal_service_pb2_grpc import (
    ResourceEventsInternalServiceStub,
)
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.rpc.channel import RemoteError, ServiceCaller

__all__ = ["RemoteEventLog"]

_TIMEOUT_SECONDS: Final = 10.0
_FORMER_MOST: Final = 500


class RemoteEventLog:
    """Implements EventLog."""

    def __init__(self, events: ServiceCaller) -> None:
        self._events = events
        self._stub = ResourceEventsInternalServiceStub(events.channel)

    async def record(self, events: Sequence[pb.PublishedEvent]) -> None:
        """Log events; see EventLog.record."""
        try:
            await self._record(events)
        except RemoteError as error:
            if error.code is grpc.StatusCode.UNIMPLEMENTED:
                # An older one, which is about to be replaced.
                raise DependencyUnavailable("events") from error
            if error.code is not grpc.StatusCode.INVALID_ARGUMENT or len(events) <= _FORMER_MOST:
                raise
            # The same: one that takes fewer.
            for start in range(0, len(events), _FORMER_MOST):
                await self._record(events[start : start + _FORMER_MOST])

    async def _record(self, events: Sequence[pb.PublishedEvent]) -> None:
        request = pb.RecordResourceEventsRequest(events=events)
        await self._events.call(self._stub.RecordResourceEvents, request, timeout=_TIMEOUT_SECONDS)
