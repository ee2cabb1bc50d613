"""Cloud events as event records and back."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from kongflow_common.errors import InvalidField
from kongflow_common.payload import EMPTY_OBJECT, JsonDocument, parse_json
from kongflow_events.domain.cloud_event import (
    JSON_CONTENT_TYPE,
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

__all__ = [
    "ACCOUNT",
    "PRIORITY",
    "TEST",
    "CloudEventContent",
    "content_of",
    "event_of",
    "source_beside_note",
]

_Known = TypeVar("_Known")

_MAX_TEXT: Final = 512
_MAX_NOTE_BYTES: Final = 2 * 1024 * 1024

# The attributes in which an event carries what cloud events have no place for, so that it is the
# same event when it is sent again.
_CONTEXT: Final = "kongflowcontext"
ACCOUNT: Final = "kongflowaccount"
TEST: Final = "kongflowtest"
_PAYLOAD: Final = "kongflowpayload"
PRIORITY: Final = "kongflowpriority"
# This one is answered only: that an event is a replay is nothing a sender can say.
_REPLAY_OF: Final = "kongflowreplayof"

# The types that the specification gives them; a string may stand for a URI or a time.
_KINDS: Final[Mapping[str, tuple[str, frozenset[AttributeKind]]]] = {
    "datacontenttype": ("a string", frozenset({AttributeKind.STRING})),
    "subject": ("a string", frozenset({AttributeKind.STRING})),
    "dataschema": ("a URI", frozenset({AttributeKind.URI, AttributeKind.STRING})),
    "time": ("a time", frozenset({AttributeKind.TIMESTAMP, AttributeKind.STRING})),
}


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
    is_test: bool | None
    priority: Priority | None
    schema_uri: str | None
    note: JsonDocument
    """The record's source context."""


def content_of(event: CloudEvent) -> CloudEventContent:
    """Read an event. Raises InvalidField."""
    _check_kinds(event)
    if _REPLAY_OF in event.attributes:
        kept = {name: each for name, each in event.attributes.items() if name != _REPLAY_OF}
        event = replace(event, attributes=kept)
    for name, text in (("id", event.id), ("source", event.source), ("type", event.type)):
        _check_text(name, text)
    account_id = _text(event, ACCOUNT)
    if account_id is not None:
        _check_text(ACCOUNT, account_id)
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
        is_test=_is_test(event),
        priority=_one_of(event, PRIORITY, Priority.__members__),
        schema_uri=_text(event, "dataschema"),
        note=_note(event),
    )


def event_of(record: EventRecord, content: EventContent, note: JsonDocument | None) -> CloudEvent:
    """The cloud event that a record was made of, or one that makes the same record.

    What the record says of itself counts: a note may be of a repeat, which replaces the content
    alone, or of the event that this one is a replay of.
    """
    stored = cast("dict[str, Any]", note.load()).get(NOTE_KEY) if note is not None else None
    if stored is not None:
        attributes, data = read_note(stored, content.payload)
        noted = CloudEvent(record.event_id, record.source, record.name, attributes, data)
        # A repeat may have replaced the context alone.
        if _context(noted).load() != content.context.load():
            attributes[_CONTEXT] = _context_attribute(content)
        _put_time(attributes, record)
    else:
        data = CloudData(DataForm.JSON, content.payload.text)
        attributes = {
            "datacontenttype": Attribute(AttributeKind.STRING, JSON_CONTENT_TYPE),
            "time": _time_attribute(record),
            _CONTEXT: _context_attribute(content),
        }
    _put_facts(attributes, record)
    return CloudEvent(record.event_id, record.source, record.name, attributes, data)


def source_beside_note(source_context: JsonDocument) -> JsonDocument | None:
    """What the source of an event adds to it: the note of a cloud event is none of that."""
    members = cast("dict[str, Any]", source_context.load())
    if NOTE_KEY not in members:
        return source_context
    rest = {name: value for name, value in members.items() if name != NOTE_KEY}
    return JsonDocument.dump(rest) if rest else None


def _put_time(attributes: dict[str, Attribute], record: EventRecord) -> None:
    """Have the attributes say the record's time, written as it was sent where that is the same."""
    said = attributes.get("time")
    if said is None or not said.value:
        attributes.pop("time", None)
        # An event that was sent without a time has that of its creation.
        if record.timestamp != record.created_at:
            attributes["time"] = _time_attribute(record)
    elif parse_time(str(said.value), "time") != record.timestamp:
        attributes["time"] = _time_attribute(record)


def _put_facts(attributes: dict[str, Attribute], record: EventRecord) -> None:
    """Have the attributes say what the record does, and leave those alone that do."""
    replay_of = str(record.replay_of) if record.replay_of is not None else ""
    for name, value, left_out in (
        (ACCOUNT, record.account_id or "", ""),
        (_PAYLOAD, record.payload_type.value, PayloadType.JSON.value),
        (PRIORITY, record.priority.name, Priority.HIGH.name),
        (_REPLAY_OF, replay_of, ""),
    ):
        said = attributes.get(name)
        if (left_out if said is None else said.value or left_out) == value:
            continue
        attributes.pop(name, None)
        if value != left_out:
            attributes[name] = Attribute(AttributeKind.STRING, value)
    said = attributes.get(TEST)
    if (said is not None and _means_true(said)) != record.is_test:
        attributes.pop(TEST, None)
        if record.is_test:
            attributes[TEST] = Attribute(AttributeKind.BOOLEAN, True)


def _time_attribute(record: EventRecord) -> Attribute:
    time = record.timestamp.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return Attribute(AttributeKind.TIMESTAMP, time)


def _context_attribute(content: EventContent) -> Attribute:
    return Attribute(AttributeKind.STRING, content.context.text.decode())


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


def _check_kinds(event: CloudEvent) -> None:
    for name, (word, kinds) in _KINDS.items():
        attribute = event.attributes.get(name)
        if attribute is None:
            continue
        if attribute.kind not in kinds:
            raise InvalidField(f"cloud_event.{name}", f"must be {word}")
        if not attribute.value:
            raise InvalidField(f"cloud_event.{name}", "must not be empty where it is given")


def _is_test(event: CloudEvent) -> bool | None:
    attribute = event.attributes.get(TEST)
    if attribute is None or attribute.value == "":
        return None
    if _means_true(attribute):
        return True
    if attribute.value is False or attribute.value == "false":
        return False
    raise InvalidField(f"cloud_event.{TEST}", "must be true or false")


def _means_true(attribute: Attribute) -> bool:
    return attribute.value is True or attribute.value == "true"


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
