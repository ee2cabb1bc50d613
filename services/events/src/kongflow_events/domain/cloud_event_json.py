"""The JSON format and the binary mode of CloudEvents 1.0."""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import unquote

import orjson

from kongflow_common.errors import InvalidField
from kongflow_common.payload import MAX_DEPTH, parse_json
from kongflow_events.domain.cloud_event import (
    JSON_CONTENT_TYPE,
    SPEC_VERSION,
    Attribute,
    AttributeKind,
    CloudData,
    CloudEvent,
    DataForm,
    check_attribute_name,
    is_json_type,
)

__all__ = ["STRUCTURED_TYPE", "read_binary", "read_json", "required", "write_binary", "write_json"]

STRUCTURED_TYPE: Final = "application/cloudevents+json"

_MAX_BYTES: Final = 1024 * 1024
_MAX_INTEGER: Final = 2**31
_KINDS: Final[Mapping[str, AttributeKind]] = {
    "time": AttributeKind.TIMESTAMP,
    "dataschema": AttributeKind.URI,
    "datacontenttype": AttributeKind.STRING,
    "subject": AttributeKind.STRING,
}
# None is ever written here, but earlier versions of the specification had values with spaces or
# quotes written so, and such are to be read for ever.
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
# What a header holds as it is; all else is percent-encoded.
_PLAIN: Final = frozenset(chr(code) for code in range(0x21, 0x7F)) - {'"', "%"}


def required(value: object, name: str) -> str:
    """A required attribute. Raises InvalidField."""
    if not isinstance(value, str) or not value:
        raise InvalidField(f"cloud_event.{name}", "is required: text that is not empty")
    return value


def read_json(raw: bytes) -> CloudEvent:
    """Read an event in the JSON format. Raises InvalidField."""
    parse_json(raw, field="cloud_event.json", max_bytes=_MAX_BYTES, max_depth=MAX_DEPTH + 1)
    members = orjson.loads(raw)
    if not isinstance(members, dict):
        raise InvalidField("cloud_event.json", "must be a JSON object: one event")
    if members.get("specversion") != SPEC_VERSION:
        raise InvalidField("cloud_event.specversion", f"must be {SPEC_VERSION}")
    attributes: dict[str, Attribute] = {}
    for name, value in members.items():
        if name in ("specversion", "id", "source", "type", "data", "data_base64"):
            continue
        check_attribute_name(name)
        # Null is the same as nothing.
        if value is not None:
            attributes[name] = _attribute(name, value)
    event = CloudEvent(
        required(members.get("id"), "id"),
        required(members.get("source"), "source"),
        required(members.get("type"), "type"),
        attributes,
    )
    data = _data(members, raw, event.content_type)
    return CloudEvent(event.id, event.source, event.type, attributes, data)


def _attribute(name: str, value: object) -> Attribute:
    if name not in _KINDS:
        if isinstance(value, bool):
            return Attribute(AttributeKind.BOOLEAN, value)
        if isinstance(value, int) and -_MAX_INTEGER <= value < _MAX_INTEGER:
            return Attribute(AttributeKind.INTEGER, value)
    if not isinstance(value, str):
        allowed = "text" if name in _KINDS else "text, a boolean or an integer of 32 bits"
        raise InvalidField(f"cloud_event.{name}", f"must be {allowed}")
    return Attribute(_KINDS.get(name, AttributeKind.STRING), value)


def _data(members: Mapping[str, object], raw: bytes, content_type: str | None) -> CloudData:
    encoded = members.get("data_base64")
    if encoded is not None:
        if "data" in members:
            raise InvalidField("cloud_event.data_base64", "must be left out where data is given")
        try:
            if not isinstance(encoded, str):
                raise TypeError
            return CloudData(DataForm.BINARY, base64.b64decode(encoded, validate=True))
        except (TypeError, binascii.Error, ValueError):
            raise InvalidField("cloud_event.data_base64", "is not base64") from None
    if "data" not in members:
        return CloudData()
    value = members["data"]
    if isinstance(value, str) and not is_json_type(content_type):
        return CloudData(DataForm.TEXT, value.encode())
    text = b""
    for name, member in _members(raw.decode()):
        if name == "data":
            text = member.encode()
    return CloudData(DataForm.JSON, text)


def _members(text: str) -> Iterator[tuple[str, str]]:
    """The members of an object that was parsed before, with their values as they are written.

    Reading and writing a value again would change numbers of more than 64 bits.
    """
    decoder = json.JSONDecoder()
    white = " \t\n\r"
    at = text.index("{") + 1
    while True:
        while text[at] in white or text[at] == ",":
            at += 1
        if text[at] == "}":
            return
        name, at = decoder.raw_decode(text, at)
        at = text.index(":", at) + 1
        while text[at] in white:
            at += 1
        _, end = decoder.raw_decode(text, at)
        yield name, text[at:end]
        at = end


def write_json(event: CloudEvent) -> bytes:
    """Write an event in the JSON format."""
    members: dict[str, object] = {
        "specversion": SPEC_VERSION,
        "id": event.id,
        "source": event.source,
        "type": event.type,
        **{name: each.plain() for name, each in event.attributes.items()},
    }
    data = event.data
    document: bytes | None = None
    if data.form is DataForm.JSON:
        document = data.content
    elif data.form is DataForm.TEXT:
        document = orjson.dumps(data.content.decode())
        if is_json_type(event.content_type, when_left_out=False) and _is_json(data.content):
            document = data.content
    elif data.form is not DataForm.NONE:
        members["data_base64"] = base64.b64encode(data.content).decode()
    text = orjson.dumps(members)
    return text if document is None else text[:-1] + b',"data":' + document + b"}"


def _is_json(content: bytes) -> bool:
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return True


def read_binary(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """Read an event in the binary mode of HTTP. Raises InvalidField."""
    found: dict[str, str] = {}
    content_type: str | None = None
    for header, value in headers.items():
        name = header.lower()
        if name == "content-type":
            content_type = value
        elif name.startswith("ce-"):
            found[name[3:]] = _decoded(value)
    if content_type is not None and content_type.lower().startswith("application/cloudevents"):
        raise InvalidField("cloud_event.binary", "is an event in structured mode")
    if found.pop("specversion", None) != SPEC_VERSION:
        raise InvalidField("cloud_event.specversion", f"must be {SPEC_VERSION}")
    identity = [required(found.pop(name, None), name) for name in ("id", "source", "type")]
    attributes: dict[str, Attribute] = {}
    if content_type is not None:
        attributes["datacontenttype"] = Attribute(AttributeKind.STRING, content_type)
    for name, value in found.items():
        check_attribute_name(name)
        attributes[name] = Attribute(_KINDS.get(name, AttributeKind.STRING), value)
    data = CloudData(DataForm.BINARY, body) if body else CloudData()
    return CloudEvent(identity[0], identity[1], identity[2], attributes, data)


def _decoded(value: str) -> str:
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        value = _ESCAPED.sub(r"\1", quoted[1])
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise InvalidField("cloud_event.binary", "a header is not percent-encoded UTF-8") from None


def write_binary(event: CloudEvent) -> tuple[dict[str, str], bytes]:
    """Write an event in the binary mode of HTTP: its headers and its body."""
    headers = {
        "ce-specversion": SPEC_VERSION,
        "ce-id": _encoded(event.id),
        "ce-source": _encoded(event.source),
        "ce-type": _encoded(event.type),
    }
    for name, attribute in event.attributes.items():
        if name == "datacontenttype":
            headers["content-type"] = str(attribute.value)
            continue
        plain = attribute.plain()
        text = str(plain).lower() if isinstance(plain, bool) else str(plain)
        headers[f"ce-{name}"] = _encoded(text)
    if event.data.form is DataForm.JSON:
        headers.setdefault("content-type", JSON_CONTENT_TYPE)
    return headers, event.data.content


def _encoded(text: str) -> str:
    return "".join(
        each if each in _PLAIN else "".join(f"%{byte:02X}" for byte in each.encode())
        for each in text
    )
