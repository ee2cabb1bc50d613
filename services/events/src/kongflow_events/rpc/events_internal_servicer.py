"""EventsInternalService: what the other services call."""

from typing import Any
from uuid import UUID

import grpc

from kongflow.events.internal.v1 import events_internal_service_pb2 as pb
from kongflow.events.internal.v1.events_internal_service_pb2_grpc import (
    EventsInternalServiceServicer,
)
from kongflow_common.ids import id_text
from kongflow_common.payload import JsonDocument, parse_json
from kongflow_common.rpc.field_parsing import optional_text, required_id, required_text
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_events.application.read_event_record import ExecutedEvent, ReadEventRecord
from kongflow_events.application.store_event_record import StoreEventRecord
from kongflow_events.application.upsert_event_dispatcher import UpsertEventDispatcher
from kongflow_events.domain.event_record import Tenancy
from kongflow_events.rpc.dispatcher_mapping import to_put_command

__all__ = ["EventsInternalServicer"]

# Any: the context is used by no method; its request and answer types are the method's.
_Context = grpc.aio.ServicerContext[Any, Any]


class EventsInternalServicer(EventsInternalServiceServicer):
    """Parses, calls the use case, serialises."""

    def __init__(
        self,
        upsert_event_dispatcher: UpsertEventDispatcher,
        store_event_record: StoreEventRecord,
        read_event_record: ReadEventRecord,
    ) -> None:
        self._upsert_event_dispatcher = upsert_event_dispatcher
        self._store_event_record = store_event_record
        self._read_event_record = read_event_record

    async def PutEventDispatcher(
        self, request: pb.PutEventDispatcherRequest, context: _Context
    ) -> pb.PutEventDispatcherResponse:
        command = to_put_command(request, _tenancy(request))
        upserted = await self._upsert_event_dispatcher(command)
        return pb.PutEventDispatcherResponse(
            event_dispatcher_id=id_text(upserted.dispatcher.id), warnings=upserted.warnings
        )

    async def StoreEventRecord(
        self, request: pb.StoreEventRecordRequest, context: _Context
    ) -> pb.StoreEventRecordResponse:
        stored = await self._store_event_record(
            _tenancy(request),
            required_text(request.name, "name"),
            event_id=optional_text(request.event_id, "event_id"),
            source=optional_text(request.source, "source"),
            payload=_document(request.payload, "payload"),
            context=_document(request.context, "context"),
            account_id=optional_text(request.account_id, "account_id"),
            is_test=request.test,
            internal=request.internal,
        )
        return pb.StoreEventRecordResponse(
            event_record_id=id_text(stored.record_id),
            event_id=stored.event_id,
            created=stored.created,
            external_account_id=_text(stored.external_account_id),
        )

    async def ReadEventRecord(
        self, request: pb.ReadEventRecordRequest, context: _Context
    ) -> pb.ReadEventRecordResponse:
        event = await self._read_event_record(
            required_id(request.environment_id, "environment_id"),
            required_id(request.event_record_id, "event_record_id"),
        )
        return _executed(event)


def _tenancy(request: pb.PutEventDispatcherRequest | pb.StoreEventRecordRequest) -> Tenancy:
    return Tenancy(
        environment_id=required_id(request.environment_id, "environment_id"),
        project_id=required_id(request.project_id, "project_id"),
        organization_id=required_id(request.organization_id, "organization_id"),
    )


def _document(text: bytes, field: str) -> JsonDocument | None:
    if not text:
        return None
    document = parse_json(text, field=field)
    # Null is the same as nothing to the original.
    return None if document.text.strip() == b"null" else document


def _executed(event: ExecutedEvent) -> pb.ReadEventRecordResponse:
    response = pb.ReadEventRecordResponse(
        event_record_id=id_text(event.id),
        event_id=event.event_id,
        name=event.name,
        payload=event.payload.text,
        context=event.context.text,
        source=event.source,
        source_context=event.source_context.text if event.source_context else b"",
        event_time=to_timestamp(event.timestamp),
        deliver_time=to_timestamp(event.deliver_at),
    )
    if event.delivered_at is not None:
        response.delivered_time.CopyFrom(to_timestamp(event.delivered_at))
    if event.account_id is not None:
        response.account.identifier = event.account_id
        response.account.metadata = event.account_metadata.text if event.account_metadata else b""
    return response


def _text(id_: UUID | None) -> str:
    return "" if id_ is None else str(id_)
