"""Reads events from the events service."""

from datetime import UTC, datetime
from uuid import UUID

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.events.internal.v1 import events_internal_service_pb2 as pb
from kongflow.events.internal.v1.events_internal_service_pb2_grpc import EventsInternalServiceStub
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_runs.domain.execution import ExecutedEvent

_TIMEOUT_SECONDS = 5.0


class GrpcEvents:
    """The Events over kongflow.events.internal.v1."""

    def __init__(self, events: ServiceCaller) -> None:
        self._events = events
        self._stub = EventsInternalServiceStub(events.channel)

    async def read(self, environment_id: UUID, event_record_id: UUID) -> ExecutedEvent | None:
        """The event, or ``None``; see Events.read."""
        try:
            event = await self._events.call(
                self._stub.ReadEventRecord,
                pb.ReadEventRecordRequest(
                    environment_id=str(environment_id), event_record_id=str(event_record_id)
                ),
                timeout=time_left(_TIMEOUT_SECONDS),
            )
        except RemoteError as error:
            if error.code is grpc.StatusCode.NOT_FOUND:
                return None
            raise
        has_account = event.HasField("account")
        return ExecutedEvent(
            event_id=event.event_id,
            name=event.name,
            payload=event.payload,
            context=event.context,
            source_context=event.source_context,
            timestamp=_time(event.event_time),
            deliver_at=_time(event.deliver_time),
            delivered_at=(
                _time(event.delivered_time) if event.HasField("delivered_time") else None
            ),
            account_id=event.account.identifier if has_account else None,
            account_metadata=event.account.metadata if has_account else b"",
        )


def _time(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)
