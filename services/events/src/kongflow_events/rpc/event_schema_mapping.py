"""Schemas of events between the wire and the program."""

from collections.abc import Mapping
from typing import Final

from kongflow.common.v1.payload_pb2 import Payload
from kongflow.events.v1 import event_schema_pb2
from kongflow.events.v1 import event_schemas_service_pb2 as pb
from kongflow_common.errors import InvalidField
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.field_parsing import optional_enum, required_message, required_text
from kongflow_common.rpc.payload_mapping import from_payload
from kongflow_common.rpc.timestamps import to_timestamp
from kongflow_events.domain.event_schema import Compatibility, EventSchema, SchemaMode
from kongflow_events.domain.schema_compatibility import Difference

__all__ = [
    "to_compatibility",
    "to_definition",
    "to_difference",
    "to_mode",
    "to_name",
    "to_schema",
    "to_version",
]

_Schema = event_schema_pb2.EventSchema

_MODES: Final[Mapping[int, SchemaMode]] = {
    _Schema.MODE_REJECT: SchemaMode.REJECT,
    _Schema.MODE_WARN: SchemaMode.WARN,
    _Schema.MODE_OFF: SchemaMode.OFF,
}
_MODES_TO_PROTO: Final = {
    SchemaMode.REJECT: _Schema.MODE_REJECT,
    SchemaMode.WARN: _Schema.MODE_WARN,
    SchemaMode.OFF: _Schema.MODE_OFF,
}
_COMPATIBILITIES: Final[Mapping[int, Compatibility]] = {
    event_schema_pb2.COMPATIBILITY_BACKWARD: Compatibility.BACKWARD,
    event_schema_pb2.COMPATIBILITY_FORWARD: Compatibility.FORWARD,
    event_schema_pb2.COMPATIBILITY_FULL: Compatibility.FULL,
    event_schema_pb2.COMPATIBILITY_NONE: Compatibility.NONE,
}

_Request = pb.RegisterEventSchemaRequest | pb.CheckEventSchemaRequest


def to_name(request: _Request) -> str:
    """The name of the events. Raises InvalidField."""
    required_message(request, "event_schema")
    return required_text(request.event_schema.event_name, "event_schema.event_name")


def to_definition(request: _Request) -> JsonDocument:
    """The schema's text. Raises InvalidField."""
    field = "event_schema.schema"
    if not request.event_schema.HasField("schema"):
        raise InvalidField(field, "is required")
    document = from_payload(request.event_schema.schema, field)
    if document is None:
        raise InvalidField(field, "is required")
    return document


def to_mode(request: _Request) -> SchemaMode:
    """The mode; reject when it is left out. Raises InvalidField."""
    return optional_enum(request.event_schema.mode, "event_schema.mode", _MODES) or (
        SchemaMode.REJECT
    )


def to_compatibility(request: _Request) -> Compatibility:
    """How it has to stand to the version before; backward when left out. Raises InvalidField."""
    return optional_enum(request.compatibility, "compatibility", _COMPATIBILITIES) or (
        Compatibility.BACKWARD
    )


def to_version(version: int) -> int | None:
    """Which version is meant; None for the newest. Raises InvalidField."""
    if version < 0:
        raise InvalidField("version", "must not be negative")
    return version or None


def to_schema(schema: EventSchema, *, with_definition: bool = True) -> _Schema:
    """Write a schema."""
    return _Schema(
        id=str(schema.id),
        event_name=schema.event_name,
        version=schema.version,
        # As text: numbers and the order of members stay as they were written.
        schema=Payload(json=schema.definition.text) if with_definition else None,
        mode=_MODES_TO_PROTO[schema.mode],
        create_time=to_timestamp(schema.created_at),
        update_time=to_timestamp(schema.updated_at),
    )


def to_difference(difference: Difference) -> event_schema_pb2.SchemaDifference:
    """Write a difference."""
    return event_schema_pb2.SchemaDifference(
        path=difference.path, reason=difference.reason, undecided=difference.undecided
    )
