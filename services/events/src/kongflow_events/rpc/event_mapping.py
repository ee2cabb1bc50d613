"""Event records between the wire and the program."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import event_record_pb2, events_service_pb2
from kongflow.workerqueue.v1 import job_options_pb2
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import FieldType, FilterField
from kongflow_common.ids import id_text
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.field_parsing import (
    optional_enum,
    optional_text,
    required_id,
    required_message,
    required_one_of,
    required_text,
)
from kongflow_common.rpc.payload_mapping import from_payload, to_payload
from kongflow_common.rpc.timestamps import from_duration, from_timestamp, to_timestamp
from kongflow_events.application.event_entry import SendEvent
from kongflow_events.application.ports import EventKey
from kongflow_events.application.queries import WholeEvent
from kongflow_events.domain.event_record import (
    EventRecord,
    EventState,
    PayloadType,
    Priority,
    Tenancy,
)

__all__ = [
    "EVENT_FILTER_FIELDS",
    "PAYLOAD_TYPES",
    "STATES_TO_PROTO",
    "to_bounded_payload",
    "to_document",
    "to_event",
    "to_event_key",
    "to_options",
    "to_send_event",
    "to_tenancy",
    "to_whole_event",
]

_Record = event_record_pb2.EventRecord

EVENT_FILTER_FIELDS: Final = (
    FilterField("name", FieldType.TEXT),
    FilterField("state", FieldType.ENUM, tuple(state.value for state in EventState)),
    FilterField("source", FieldType.TEXT),
    FilterField("test", FieldType.BOOLEAN),
    FilterField("create_time", FieldType.TIME),
    FilterField("deliver_time", FieldType.TIME),
    FilterField("replay_of", FieldType.ID),
)

PAYLOAD_TYPES: Final[Mapping[int, PayloadType]] = {
    _Record.PAYLOAD_TYPE_JSON: PayloadType.JSON,
    _Record.PAYLOAD_TYPE_REQUEST: PayloadType.REQUEST,
}
"""What the types of payloads on the wire mean."""

_PAYLOAD_TYPES_TO_PROTO: Final[Mapping[PayloadType, _Record.PayloadType.ValueType]] = {
    PayloadType.JSON: _Record.PAYLOAD_TYPE_JSON,
    PayloadType.REQUEST: _Record.PAYLOAD_TYPE_REQUEST,
}
STATES_TO_PROTO: Final[Mapping[EventState, _Record.State.ValueType]] = {
    EventState.PENDING: _Record.STATE_PENDING,
    EventState.DELIVERED: _Record.STATE_DELIVERED,
    EventState.UNMATCHED: _Record.STATE_UNMATCHED,
    EventState.CANCELLED: _Record.STATE_CANCELLED,
}
_PRIORITIES: Final[Mapping[int, Priority]] = {
    job_options_pb2.PRIORITY_HIGH: Priority.HIGH,
    job_options_pb2.PRIORITY_NORMAL: Priority.NORMAL,
    job_options_pb2.PRIORITY_LOW: Priority.LOW,
    job_options_pb2.PRIORITY_VERY_LOW: Priority.VERY_LOW,
}
_PRIORITIES_TO_PROTO: Final[Mapping[Priority, job_options_pb2.Priority.ValueType]] = {
    Priority.HIGH: job_options_pb2.PRIORITY_HIGH,
    Priority.NORMAL: job_options_pb2.PRIORITY_NORMAL,
    Priority.LOW: job_options_pb2.PRIORITY_LOW,
    Priority.VERY_LOW: job_options_pb2.PRIORITY_VERY_LOW,
}

_LONGEST_VALUE: Final = 65_536

_LONGEST_DELAY: Final = timedelta(days=150 * 366)
"""Longer than any delay that ends in time; which one does the use case knows."""


def to_tenancy(scope: EnvironmentScope) -> Tenancy:
    """Whose the rows of a call are."""
    return Tenancy(
        environment_id=scope.environment_id,
        project_id=scope.project_id,
        organization_id=scope.organization_id,
    )


@dataclass(frozen=True, slots=True)
class SendOptions:
    """What a sender wrote beside an event; None is what was left out."""

    deliver_at: datetime | None
    deliver_after: timedelta | None
    account_id: str | None
    priority: Priority | None
    schema_version: int | None


_NO_OPTIONS: Final = SendOptions(None, None, None, None, None)


def to_options(
    request: events_service_pb2.SendEventRequest | events_service_pb2.SendCloudEventRequest,
) -> SendOptions:
    """Read what stands beside an event. Raises InvalidField."""
    delivery = request.WhichOneof("delivery")
    account_id, priority, schema_version = (
        request.account_id,
        request.priority,
        request.schema_version,
    )
    if delivery is None and not (account_id or priority or schema_version):
        return _NO_OPTIONS
    if schema_version < 0:
        raise InvalidField("schema_version", "must not be negative")
    return SendOptions(
        deliver_at=(
            from_timestamp(request.deliver_time, "deliver_time")
            if delivery == "deliver_time"
            else None
        ),
        deliver_after=_deliver_after(request) if delivery == "deliver_after" else None,
        account_id=optional_text(account_id, "account_id"),
        priority=optional_enum(priority, "priority", _PRIORITIES),
        schema_version=schema_version or None,
    )


def to_send_event(request: events_service_pb2.SendEventRequest, tenancy: Tenancy) -> SendEvent:
    """Read what a sender wrote. Raises InvalidField."""
    required_message(request, "event")
    event = request.event
    options = to_options(request)
    return SendEvent(
        tenancy=tenancy,
        name=required_text(event.name, "event.name"),
        event_id=optional_text(event.event_id, "event.event_id"),
        source=optional_text(event.source, "event.source"),
        timestamp=(
            from_timestamp(event.event_time, "event.event_time")
            if event.HasField("event_time")
            else None
        ),
        payload=to_document(event, "payload"),
        context=to_document(event, "context"),
        payload_type=optional_enum(event.payload_type, "event.payload_type", PAYLOAD_TYPES),
        deliver_at=options.deliver_at,
        deliver_after=options.deliver_after,
        account_id=options.account_id,
        is_test=request.test,
        schema_version=options.schema_version,
        priority=(options.priority or optional_enum(event.priority, "event.priority", _PRIORITIES)),
    )


def to_document(event: _Record, name: str) -> JsonDocument | None:
    """A document of an event; None when it is left out or null.

    Both are the same to the original.
    """
    if not event.HasField("payload" if name == "payload" else "context"):
        return None
    payload = event.payload if name == "payload" else event.context
    document = from_payload(payload, f"event.{name}")
    if document is None or document.text.strip() == b"null":
        return None
    return document


def _deliver_after(
    request: events_service_pb2.SendEventRequest | events_service_pb2.SendCloudEventRequest,
) -> timedelta:
    delay = from_duration(request.deliver_after, "deliver_after", at_most=_LONGEST_DELAY)
    if request.deliver_after.nanos:
        raise InvalidField("deliver_after", "must be whole seconds")
    return delay


def to_event_key(
    request: events_service_pb2.CancelEventRequest
    | events_service_pb2.CancelRunsForEventRequest
    | events_service_pb2.GetEventRecordRequest
    | events_service_pb2.GetCloudEventRequest
    | events_service_pb2.ExplainEventRequest,
) -> EventKey:
    """Which event a request is about. Raises InvalidField."""
    if required_one_of(request, "key") == "id":
        return required_id(request.id, "id")
    return required_text(request.event_id, "event_id")


def to_event(record: EventRecord) -> _Record:
    """Write a record without its content."""
    created = to_timestamp(record.created_at)

    def at(time: datetime) -> Timestamp:
        # Of a new event they are nearly all the same.
        return created if time == record.created_at else to_timestamp(time)

    message = _Record(
        id=id_text(record.id),
        event_id=record.event_id,
        name=record.name,
        payload_type=_PAYLOAD_TYPES_TO_PROTO[record.payload_type],
        source=record.source,
        event_time=at(record.timestamp),
        deliver_time=at(record.deliver_at),
        matched_count=record.matched_count,
        state=STATES_TO_PROTO[record.state],
        test=record.is_test,
        internal=record.internal,
        account_id=record.account_id or "",
        priority=_PRIORITIES_TO_PROTO[record.priority],
        delivery_revision=record.delivery_revision,
        create_time=created,
        update_time=at(record.updated_at),
    )
    if record.delivered_at is not None:
        message.delivered_time.CopyFrom(at(record.delivered_at))
    if record.processed_at is not None:
        message.processed_time.CopyFrom(at(record.processed_at))
    if record.cancelled_at is not None:
        message.cancelled_time.CopyFrom(to_timestamp(record.cancelled_at))
    if record.replay_of is not None:
        message.replay_of = str(record.replay_of)
    if record.schema_check is not None:
        message.schema_check.version = record.schema_check.version
        message.schema_check.warnings.extend(record.schema_check.warnings)
    return message


def to_whole_event(event: WholeEvent) -> _Record:
    """Write a record with its content, where it was read."""
    message = to_event(event.record)
    if event.content is not None:
        message.payload.CopyFrom(to_bounded_payload(event.content.payload))
        message.context.CopyFrom(to_bounded_payload(event.content.context))
    return message


def to_bounded_payload(document: JsonDocument) -> Payload:
    """Write a document in a form that is never much longer than its text.

    As a `value` it may take six times as long, too long for an answer, and as many times the
    work: only short documents are written for people.
    """
    if len(document.text) > _LONGEST_VALUE:
        return Payload(json=document.text)
    return to_payload(document)
