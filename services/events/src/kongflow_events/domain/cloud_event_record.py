"""Cloud events as event records and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from kongflow_common.errors import InvalidField
from kongflow_common.payload import EMPTY_OBJECT, JsonDocument, parse_json
from kongflow_events.domain.cloud_event import (
    NOTE_KEY,
    SPEC_VERSION,
    Attribute,
    AttributeKind,
    CloudData,
    CloudEvent,
    DataForm,
    parse_time,
    payload_of,
    read_note,
    write_note,
)
from kongflow_events.domain.event_record import (
    EventContent,
    EventRecord,
    PayloadType,
    Priority,
)

__all__ = ["CloudEventContent", "content_of", "event_of"]

_Known = TypeVar("_Known")

_MAX_TEXT: Final = 512
_MAX_NOTE_BYTES: Final = 2 * 1024 * 1024

# The attributes in which an event that never was a cloud event carries what those have no place
# for, so that it is the same event when it is sent again.
_CONTEXT: Final = "kongflowcontext"
_ACCOUNT: Final = "kongflowaccount"
_TEST: Final = "kongflowtest"
_PAYLOAD: Final = "kongflowpayload"
_PRIORITY: Final = "kongflowpriority"


@dataclass(frozen=True, slots=True)
class CloudEventContent:
    """What a cloud event says about the record it becomes; None is what it does not say."""

    event_id: str
    name: str
    source: str
    timestamp: datetime | None
    payload: JsonDocument
    context: JsonDocument
    payload_type: PayloadType | None
    account_id: str | None
    is_test: bool
    priority: Priority | None
    schema_uri: str | None
    note: JsonDocument
    """The record's source context."""


def content_of(event: CloudEvent) -> CloudEventContent:
    """Read an event. Raises InvalidField."""
    for name, text in (("id", event.id), ("source", event.source), ("type", event.type)):
        _check_text(name, text)
    account_id = _text(event, _ACCOUNT)
    if account_id is not None:
        _check_text(_ACCOUNT, account_id)
    test = event.attributes.get(_TEST)
    time = _text(event, "time")
    return CloudEventContent(
        event_id=event.id,
        name=event.type,
        source=event.source,
        timestamp=parse_time(time, "cloud_event.time") if time is not None else None,
        payload=payload_of(event),
        context=_context(event),
        payload_type=_one_of(event, _PAYLOAD, {each.value: each for each in PayloadType}),
        account_id=account_id,
        is_test=test is not None and test.plain() in (True, "true"),
        priority=_one_of(event, _PRIORITY, Priority.__members__),
        schema_uri=_text(event, "dataschema"),
        note=_note(event),
    )


def event_of(record: EventRecord, content: EventContent, note: JsonDocument | None) -> CloudEvent:
    """The cloud event that a record was made of, or one that makes the same record."""
    stored = cast("dict[str, Any]", note.load()).get(NOTE_KEY) if note is not None else None
    if stored is not None:
        return read_note(stored, content.payload)
    time = record.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
    attributes = {
        "datacontenttype": Attribute(AttributeKind.STRING, "application/json"),
        "time": Attribute(AttributeKind.TIMESTAMP, time),
        _CONTEXT: Attribute(AttributeKind.STRING, content.context.text.decode()),
    }
    if record.account_id is not None:
        attributes[_ACCOUNT] = Attribute(AttributeKind.STRING, record.account_id)
    if record.is_test:
        attributes[_TEST] = Attribute(AttributeKind.BOOLEAN, True)
    if record.payload_type is not PayloadType.JSON:
        attributes[_PAYLOAD] = Attribute(AttributeKind.STRING, record.payload_type.value)
    if record.priority is not Priority.HIGH:
        attributes[_PRIORITY] = Attribute(AttributeKind.STRING, record.priority.name)
    data = CloudData(DataForm.JSON, content.payload.text)
    return CloudEvent(record.event_id, record.source, record.name, attributes, data)


def _note(event: CloudEvent) -> JsonDocument:
    written = JsonDocument.dump({NOTE_KEY: write_note(event)})
    return parse_json(written.text, field="cloud_event", max_bytes=_MAX_NOTE_BYTES)


def _context(event: CloudEvent) -> JsonDocument:
    stored = _text(event, _CONTEXT)
    if stored is not None:
        document = parse_json(stored.encode(), field=f"cloud_event.{_CONTEXT}")
        return EMPTY_OBJECT if document.load() is None else document
    members = {name: each.plain() for name, each in event.attributes.items()}
    written = JsonDocument.dump({NOTE_KEY: {"specversion": SPEC_VERSION, **members}})
    return parse_json(written.text, field="cloud_event")


def _one_of(event: CloudEvent, name: str, known: Mapping[str, _Known]) -> _Known | None:
    text = _text(event, name)
    if text is None:
        return None
    if text not in known:
        raise InvalidField(f"cloud_event.{name}", f"must be one of {', '.join(known)}")
    return known[text]


def _text(event: CloudEvent, name: str) -> str | None:
    attribute = event.attributes.get(name)
    if attribute is None:
        return None
    if not isinstance(attribute.value, str):
        raise InvalidField(f"cloud_event.{name}", "must be text")
    return attribute.value or None


def _check_text(name: str, text: str) -> None:
    if not text:
        raise InvalidField(f"cloud_event.{name}", "is required")
    if len(text) > _MAX_TEXT:
        raise InvalidField(f"cloud_event.{name}", f"is longer than {_MAX_TEXT} characters")
    if "\0" in text:
        raise InvalidField(f"cloud_event.{name}", "holds the character NUL")
