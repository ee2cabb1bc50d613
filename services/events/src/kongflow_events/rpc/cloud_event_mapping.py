"""CloudEvents between the wire and the program."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar, assert_never

from google.protobuf.timestamp_pb2 import Timestamp

from kongflow.cloudevents.v1 import cloudevents_pb2
from kongflow.events.v1 import events_service_pb2 as pb
from kongflow_common.auth.principals import EnvironmentScope
from kongflow_common.errors import InvalidField, InvalidFields
from kongflow_common.rpc.field_parsing import required_message, required_one_of
from kongflow_events.application.event_entry import SendEvent
from kongflow_events.application.read_cloud_event import RecordedCloudEvent
from kongflow_events.domain.cloud_event import (
    JSON_CONTENT_TYPE,
    SPEC_VERSION,
    Attribute,
    AttributeKind,
    CloudData,
    CloudEvent,
    DataForm,
    check_attribute_name,
    read_time,
)
from kongflow_events.domain.cloud_event_json import (
    read_binary,
    read_json,
    required,
    write_binary,
    write_json,
)
from kongflow_events.domain.cloud_event_record import ACCOUNT, PRIORITY, TEST, content_of
from kongflow_events.domain.event_record import Tenancy
from kongflow_events.rpc.event_mapping import to_options, to_tenancy

__all__ = ["FORMATS", "from_formatted", "to_cloud_commands", "to_formatted", "to_send_cloud_event"]

_Said = TypeVar("_Said")

_Value = cloudevents_pb2.CloudEvent.CloudEventAttributeValue
_MIN_SECONDS: Final = -62_135_596_800
_MAX_SECONDS: Final = 253_402_300_799
_NANOS: Final = 1_000_000_000

FORMATS: Final[Mapping[int, str]] = {
    pb.CLOUD_EVENT_FORMAT_PROTOBUF: "event",
    pb.CLOUD_EVENT_FORMAT_JSON: "json",
    pb.CLOUD_EVENT_FORMAT_BINARY: "binary",
}
"""The field of FormattedCloudEvent for each format."""


def to_cloud_commands(
    requests: Iterable[pb.SendCloudEventRequest], scope: EnvironmentScope
) -> Iterator[SendEvent | InvalidFields]:
    """Read events one by one, so that no more of them are held than are worked on."""
    tenancy = to_tenancy(scope)
    for request in requests:
        try:
            yield to_send_cloud_event(request, tenancy)
        except InvalidFields as error:
            yield error


def to_send_cloud_event(request: pb.SendCloudEventRequest, tenancy: Tenancy) -> SendEvent:
    """Read what a sender wrote. Raises InvalidField."""
    required_message(request, "cloud_event")
    content = content_of(from_formatted(request.cloud_event))
    options = to_options(request)
    return SendEvent(
        tenancy=tenancy,
        name=content.name,
        event_id=content.event_id,
        source=content.source,
        timestamp=content.timestamp,
        payload=content.payload,
        context=content.context,
        payload_type=content.payload_type,
        deliver_at=options.deliver_at,
        deliver_after=options.deliver_after,
        account_id=_agreed("account_id", options.account_id, ACCOUNT, content.account_id),
        is_test=_agreed("test", request.test or None, TEST, content.is_test) or False,
        priority=_agreed("priority", options.priority, PRIORITY, content.priority),
        schema_version=options.schema_version,
        schema_uri=content.schema_uri,
        source_context=content.note,
    )


def _agreed(field: str, beside: _Said | None, attribute: str, within: _Said | None) -> _Said | None:
    """What is said beside an event or within it; None is what was left out.

    Raises InvalidField where the two contradict each other: the event would be stored as the one
    says, and read by others as the other says.
    """
    if beside is not None and within is not None and beside != within:
        raise InvalidField(field, f"contradicts the event's attribute {attribute}")
    return within if beside is None else beside


def from_formatted(message: pb.FormattedCloudEvent) -> CloudEvent:
    """Read an event in any of the formats. Raises InvalidField."""
    kind = required_one_of(message, "kind")
    if kind == "json":
        return read_json(message.json)
    if kind == "binary":
        return read_binary(dict(message.binary.headers), message.binary.body)
    return _from_proto(message.event)


def to_formatted(event: RecordedCloudEvent, kind: str) -> pb.FormattedCloudEvent:
    """Write an event in one of the formats."""
    if kind == "json":
        return pb.FormattedCloudEvent(json=write_json(event.event))
    if kind == "binary":
        headers, body = write_binary(event.event)
        return pb.FormattedCloudEvent(binary=pb.BinaryCloudEvent(headers=headers, body=body))
    return pb.FormattedCloudEvent(event=_to_proto(event.event))


def _from_proto(message: cloudevents_pb2.CloudEvent) -> CloudEvent:
    if message.spec_version != SPEC_VERSION:
        raise InvalidField("cloud_event.spec_version", f"must be {SPEC_VERSION}")
    attributes: dict[str, Attribute] = {}
    for name, value in message.attributes.items():
        check_attribute_name(name)
        attributes[name] = _from_value(name, value)
    data = CloudData()
    form = message.WhichOneof("data")
    if form == "text_data":
        data = CloudData(DataForm.TEXT, message.text_data.encode())
    elif form == "binary_data":
        data = CloudData(DataForm.BINARY, message.binary_data)
    elif form == "proto_data":
        any_data = message.proto_data
        data = CloudData(DataForm.PROTO, any_data.value, any_data.type_url)
    return CloudEvent(
        required(message.id, "id"),
        required(message.source, "source"),
        required(message.type, "type"),
        attributes,
        data,
    )


def _from_value(name: str, value: _Value) -> Attribute:
    match value.WhichOneof("attr"):
        case "ce_boolean":
            return Attribute(AttributeKind.BOOLEAN, value.ce_boolean)
        case "ce_integer":
            return Attribute(AttributeKind.INTEGER, value.ce_integer)
        case "ce_string":
            return Attribute(AttributeKind.STRING, value.ce_string)
        case "ce_bytes":
            return Attribute(AttributeKind.BYTES, value.ce_bytes)
        case "ce_uri":
            return Attribute(AttributeKind.URI, value.ce_uri)
        case "ce_uri_ref":
            return Attribute(AttributeKind.URI_REF, value.ce_uri_ref)
        case "ce_timestamp":
            return Attribute(AttributeKind.TIMESTAMP, _time_text(name, value.ce_timestamp))
        case _:
            raise InvalidField(f"cloud_event.{name}", "has no value")


def _time_text(name: str, time: Timestamp) -> str:
    if not _MIN_SECONDS <= time.seconds <= _MAX_SECONDS or not 0 <= time.nanos < _NANOS:
        raise InvalidField(f"cloud_event.{name}", "is not a time that there is")
    return time.ToJsonString()


def _to_proto(event: CloudEvent) -> cloudevents_pb2.CloudEvent:
    message = cloudevents_pb2.CloudEvent(
        id=event.id, source=event.source, type=event.type, spec_version=SPEC_VERSION
    )
    for name, attribute in event.attributes.items():
        message.attributes[name].CopyFrom(_to_value(attribute))
    data = event.data
    if data.form is DataForm.JSON and "datacontenttype" not in event.attributes:
        # What the JSON format takes for granted; here the text would be no more than a text.
        message.attributes["datacontenttype"].ce_string = JSON_CONTENT_TYPE
    match data.form:
        case DataForm.NONE:
            pass
        case DataForm.JSON | DataForm.TEXT:
            message.text_data = data.content.decode()
        case DataForm.BINARY:
            message.binary_data = data.content
        case DataForm.PROTO:
            message.proto_data.type_url = data.type_url
            message.proto_data.value = data.content
        case _:
            assert_never(data.form)
    return message


def _to_value(attribute: Attribute) -> _Value:
    value = attribute.value
    if isinstance(value, bool):
        return _Value(ce_boolean=value)
    if isinstance(value, int):
        return _Value(ce_integer=value)
    if isinstance(value, bytes):
        return _Value(ce_bytes=value)
    if attribute.kind is AttributeKind.URI:
        return _Value(ce_uri=value)
    if attribute.kind is AttributeKind.URI_REF:
        return _Value(ce_uri_ref=value)
    if attribute.kind is AttributeKind.TIMESTAMP:
        # Timestamp.FromJsonString knows no leap seconds, and no more than nine decimals.
        second, nanos = read_time(value, "cloud_event.time")
        time = Timestamp()
        time.FromDatetime(second)
        time.nanos = nanos
        return _Value(ce_timestamp=time)
    return _Value(ce_string=value)
