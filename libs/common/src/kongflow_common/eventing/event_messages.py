"""Published events between the wire and the program."""

from typing import Final

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.eventing.envelope import (
    MAX_DATA_BYTES,
    MAX_RESOURCE_ID_LENGTH,
    Belonging,
    PublishedEvent,
)
from kongflow_common.eventing.event_type import InvalidEventType, check_type_name
from kongflow_common.ids import id_text
from kongflow_common.payload import parse_json
from kongflow_common.rpc.field_parsing import (
    bounded_int,
    optional_id,
    optional_text,
    required_id,
    required_message,
    required_text,
)
from kongflow_common.rpc.timestamps import from_timestamp, write_timestamp

__all__ = ["MAX_VERSION", "read_message", "to_message", "write_event"]

MAX_VERSION: Final = 2**31 - 1


def to_message(event: PublishedEvent) -> pb.PublishedEvent:
    """Write an event."""
    message = pb.PublishedEvent()
    write_event(event, message)
    return message


def write_event(event: PublishedEvent, message: pb.PublishedEvent) -> None:
    """Write an event into an empty message.

    Field by field: the constructor takes half as long again, and most events leave some out.
    """
    message.id = id_text(event.id)
    message.type = event.type
    message.version = event.version
    write_timestamp(event.timestamp, message.time)
    message.resource_id = event.resource_id
    message.data = event.data
    if event.user_id:
        message.user_id = event.user_id
    belonging = event.belonging
    if belonging.environment_id is not None:
        message.environment_id = id_text(belonging.environment_id)
    if belonging.project_id is not None:
        message.project_id = id_text(belonging.project_id)
    if belonging.organization_id is not None:
        message.organization_id = id_text(belonging.organization_id)
    if event.replay_of is not None:
        message.replay_of = id_text(event.replay_of)


def read_message(event: pb.PublishedEvent) -> PublishedEvent:
    """Read an event. Raises InvalidField."""
    required_message(event, "time")
    try:
        check_type_name(event.type)
    except InvalidEventType as error:
        raise InvalidField("type", str(error)) from None
    return PublishedEvent(
        id=required_id(event.id, "id"),
        type=event.type,
        version=bounded_int(event.version, "version", at_least=1, at_most=MAX_VERSION),
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
