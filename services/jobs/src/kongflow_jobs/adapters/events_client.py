"""The events service: dispatchers of jobs, and events that are not delivered."""

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

import grpc
from google.protobuf.message import Message

from kongflow.events.internal.v1 import events_internal_service_pb2 as pb
from kongflow.events.internal.v1.events_internal_service_pb2_grpc import EventsInternalServiceStub
from kongflow.events.v1.event_dispatcher_pb2 import (
    Dispatchable,
    EventDispatcher,
    JobVersionDispatchable,
)
from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.channel import RemoteError, ServiceCaller
from kongflow_common.rpc.deadline import time_left
from kongflow_jobs.application.ports import NewEvent, StoredEvent
from kongflow_jobs.domain.dispatcher_wish import DispatcherWish
from kongflow_jobs.domain.job import LATEST

_TIMEOUT_SECONDS = 5.0

_Request = TypeVar("_Request", bound=Message)
_Response = TypeVar("_Response", bound=Message)


class GrpcEventDispatchers:
    """The EventDispatchers over kongflow.events.internal.v1."""

    def __init__(self, events: ServiceCaller) -> None:
        self._events = events
        self._stub = EventsInternalServiceStub(events.channel)

    async def put(self, wish: DispatcherWish) -> Sequence[str]:
        """Has a dispatcher hold what is wished; see EventDispatchers.put."""
        response = await _call(
            self._events,
            self._stub.PutEventDispatcher,
            pb.PutEventDispatcherRequest(
                environment_id=str(wish.environment_id),
                project_id=str(wish.project_id),
                organization_id=str(wish.organization_id),
                event_dispatcher=_dispatcher(wish),
                generation=wish.generation,
                enabled=wish.enabled,
            ),
            refused="metadata",
        )
        return list(response.warnings)


class GrpcEventRecords:
    """The EventRecords over kongflow.events.internal.v1."""

    def __init__(self, events: ServiceCaller) -> None:
        self._events = events
        self._stub = EventsInternalServiceStub(events.channel)

    async def store(self, event: NewEvent) -> StoredEvent:
        """Stores an event, or finds the one with its id; see EventRecords.store."""
        response = await _call(
            self._events,
            self._stub.StoreEventRecord,
            pb.StoreEventRecordRequest(
                environment_id=str(event.place.environment_id),
                project_id=str(event.place.project_id),
                organization_id=str(event.place.organization_id),
                event_id=event.event_id,
                name=event.name,
                payload=_text(event.payload),
                context=_text(event.context),
                source=event.source,
                account_id=event.account_id,
                test=event.is_test,
                internal=True,
            ),
            refused="event",
        )
        account = response.external_account_id
        return StoredEvent(
            record_id=UUID(response.event_record_id),
            event_id=response.event_id,
            external_account_id=UUID(account) if account else None,
            created=response.created,
        )


async def _call(
    events: ServiceCaller,
    method: "grpc.aio.UnaryUnaryMultiCallable[_Request, _Response]",
    request: _Request,
    *,
    refused: str,
) -> _Response:
    try:
        return await events.call(method, request, timeout=time_left(_TIMEOUT_SECONDS))
    except RemoteError as error:
        if error.code is grpc.StatusCode.INVALID_ARGUMENT:
            # What the program, or the caller, said: nobody will take it later either.
            raise InvalidField(refused, error.message) from error
        raise


def _dispatcher(wish: DispatcherWish) -> EventDispatcher:
    events = wish.events
    dispatcher = EventDispatcher(
        dispatchable_id=str(wish.job_id),
        event_names=events.event_names,
        source=events.source,
        manual=events.manual,
        dispatchable=Dispatchable(
            job_version=JobVersionDispatchable(
                job_id=str(wish.job_id), alias=LATEST, version_id=str(wish.version_id)
            )
        ),
    )
    if events.payload_filter is not None:
        dispatcher.payload_filter.json = events.payload_filter.text
    if events.context_filter is not None:
        dispatcher.context_filter.json = events.context_filter.text
    return dispatcher


def _text(document: JsonDocument | None) -> bytes:
    return b"" if document is None else document.text
