"""Events of CloudEvents 1.0, and how they stand in an event record: nothing of them is lost."""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeAlias, cast

import orjson

from kongflow_common.errors import InvalidField
from kongflow_common.payload import EMPTY_OBJECT, JsonDocument, parse_json

__all__ = [
    "JSON_CONTENT_TYPE",
    "NOTE_KEY",
    "SPEC_VERSION",
    "Attribute",
    "AttributeKind",
    "CloudData",
    "CloudEvent",
    "DataForm",
    "check_attribute_name",
    "is_json_type",
    "parse_time",
    "payload_of",
    "read_note",
    "read_time",
    "write_note",
]

SPEC_VERSION: Final = "1.0"
JSON_CONTENT_TYPE: Final = "application/json"
"""What the JSON format means where it names no type of the data."""
NOTE_KEY: Final = "cloudEvent"
"""Under which key the note of a cloud event stands in the record's source context."""

_NAME: Final = re.compile(r"[a-z0-9]+")
_MAX_NAME: Final = 64
_RESERVED: Final = frozenset({"id", "source", "type", "specversion", "data", "data_base64"})
_JSON_TYPE: Final = re.compile(r"[^/;\s]+/(?:[^;\s]+\+)?json\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_TEXT_TYPE: Final = re.compile(r"text/.*", re.IGNORECASE | re.DOTALL)
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))",
    re.ASCII,
)


class AttributeKind(Enum):
    """The type of an attribute's value."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    STRING = "string"
    BYTES = "bytes"
    URI = "uri"
    URI_REF = "uriref"
    TIMESTAMP = "timestamp"


@dataclass(frozen=True, slots=True)
class Attribute:
    """The value of a context attribute; times are text, as they were written."""

    kind: AttributeKind
    value: bool | int | str | bytes

    def plain(self) -> bool | int | str:
        """The value as the JSON format writes it."""
        if isinstance(self.value, bytes):
            return base64.b64encode(self.value).decode()
        return self.value


class DataForm(Enum):
    """How a format holds the data."""

    NONE = "none"
    JSON = "json"
    TEXT = "text"
    BINARY = "binary"
    PROTO = "proto"


@dataclass(frozen=True, slots=True)
class CloudData:
    """The data of an event: for JSON a document's text, for TEXT its UTF-8, else bytes."""

    form: DataForm = DataForm.NONE
    content: bytes = b""
    type_url: str = ""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """An event; `attributes` are all but id, source, type and specversion."""

    id: str
    source: str
    type: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    data: CloudData = CloudData()

    @property
    def content_type(self) -> str | None:
        """What `datacontenttype` says."""
        attribute = self.attributes.get("datacontenttype")
        return str(attribute.value) if attribute is not None else None


def check_attribute_name(name: str) -> None:
    """Check the name of an optional or extension attribute. Raises InvalidField."""
    if name in _RESERVED or len(name) > _MAX_NAME or _NAME.fullmatch(name) is None:
        raise InvalidField(
            f"cloud_event.{name[:_MAX_NAME]}",
            f"is no name of an attribute: lower-case letters and digits, at most {_MAX_NAME}",
        )


def is_json_type(content_type: str | None, *, when_left_out: bool = True) -> bool:
    """Whether data of this content type is a JSON document."""
    if content_type is None:
        return when_left_out
    return _JSON_TYPE.fullmatch(content_type) is not None


def read_time(text: str, name: str) -> tuple[datetime, int]:
    """Read a time of RFC 3339: its whole second, and the nanoseconds beyond that.

    What is below a nanosecond goes. Raises InvalidField.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise InvalidField(name, "must be a time as RFC 3339 writes it")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, sign, hours, minutes = match.groups()[6:]
    try:
        # 23:59:60 is a time; datetime has no leap seconds.
        time = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        time += timedelta(seconds=1 if second == 60 else 0)
        if sign is not None:
            if int(hours) > 23 or int(minutes) > 59:
                raise ValueError
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            time = time - offset if sign == "+" else time + offset
    except (ValueError, OverflowError):
        raise InvalidField(name, "is not a time that there is") from None
    if second > 60:
        raise InvalidField(name, "is not a time that there is")
    return time, int((fraction or "0")[:9].ljust(9, "0"))


def parse_time(text: str, name: str) -> datetime:
    """Read the time of an event; what is below a microsecond goes. Raises InvalidField."""
    time, nanos = read_time(text, name)
    if not 1970 <= time.year <= 2100:
        raise InvalidField(name, "must be between the years 1970 and 2100")
    return time + timedelta(microseconds=nanos // 1_000)


class _Held(Enum):
    """How a payload holds the data."""

    NOTHING = "nothing"
    DOCUMENT = "document"
    STRING = "string"
    BASE64 = "base64"
    RAW = "raw"
    """The note holds the data; the payload is for matching only."""


_Payload: TypeAlias = tuple[JsonDocument, _Held]


def payload_of(event: CloudEvent) -> JsonDocument:
    """The payload that dispatchers match. Raises InvalidField.

    A JSON document is the payload itself, text is a string, and bytes are `{"data_base64": ...}`.
    """
    return _payload(event)[0]


def _payload(event: CloudEvent) -> _Payload:
    data, content_type = event.data, event.content_type
    if data.form is DataForm.NONE:
        return EMPTY_OBJECT, _Held.NOTHING
    if data.form is DataForm.JSON:
        document = parse_json(data.content, field="cloud_event.data")
        # The original takes null for nothing.
        if data.content.strip() == b"null":
            return EMPTY_OBJECT, _Held.RAW
        return document, _Held.DOCUMENT
    if data.form is not DataForm.PROTO:
        is_text = data.form is DataForm.TEXT
        if is_json_type(content_type, when_left_out=is_text):
            found = _as_document(data.content)
            if found is not None:
                return found
        if is_text or _TEXT_TYPE.fullmatch(content_type or "") is not None:
            try:
                return _string(data.content.decode()), _Held.STRING
            except UnicodeDecodeError:
                pass
    members = {"data_base64": base64.b64encode(data.content).decode()}
    if data.form is DataForm.PROTO:
        members["type_url"] = data.type_url
    return _checked(orjson.dumps(members)), _Held.BASE64


def _as_document(content: bytes) -> _Payload | None:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    document = parse_json(content, field="cloud_event.data")
    if value is None:
        return EMPTY_OBJECT, _Held.RAW
    # The payload keeps a document's values, not how it is written.
    same = _canonical(value) == content
    return document, _Held.DOCUMENT if same else _Held.RAW


def _canonical(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _string(text: str) -> JsonDocument:
    return _checked(orjson.dumps(text))


def _checked(raw: bytes) -> JsonDocument:
    return parse_json(raw, field="cloud_event.data")


def write_note(event: CloudEvent) -> dict[str, object]:
    """What the record keeps of an event beside id, name, source and payload.

    Those it leaves to the record: a repeat that replaces the note does not change them, and a
    replay that takes it over has an id of its own.
    """
    held = _payload(event)[1]
    note: dict[str, object] = {
        "attributes": {
            name: [each.kind.value, each.plain()] for name, each in event.attributes.items()
        },
        "form": event.data.form.value,
        "held": held.value,
    }
    if held is _Held.RAW:
        note["raw"] = event.data.content.decode()
    return note


def read_note(
    note: Mapping[str, Any], payload: JsonDocument
) -> tuple[dict[str, Attribute], CloudData]:
    """Attributes and data of the event that a note was written of, with its record's payload."""
    attributes: dict[str, Attribute] = {}
    for name, (kind_text, plain) in note["attributes"].items():
        kind = AttributeKind(kind_text)
        value = base64.b64decode(plain) if kind is AttributeKind.BYTES else plain
        attributes[name] = Attribute(kind, value)
    form, held = DataForm(note["form"]), _Held(note["held"])
    content, type_url = b"", ""
    if held is _Held.RAW:
        content = str(note["raw"]).encode()
    elif held is _Held.DOCUMENT:
        content = payload.text if form is DataForm.JSON else _canonical(payload.load())
    elif held is _Held.STRING:
        content = str(payload.load()).encode()
    elif held is _Held.BASE64:
        members = cast("dict[str, str]", payload.load())
        content = base64.b64decode(members["data_base64"])
        type_url = members.get("type_url", "")
    return attributes, CloudData(form, content, type_url)
