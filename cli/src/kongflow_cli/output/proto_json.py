"""Messages as proto JSON, with users' documents readable."""

import base64
import json
from collections.abc import Iterator
from typing import cast

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import Default
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct

# Imported so that the pool knows what the errors of queued jobs hold.
from google.rpc import error_details_pb2 as error_details_pb2

from kongflow.common.v1.payload_pb2 import Payload

__all__ = ["document_of", "document_of_struct", "to_json"]

# Beyond it a double does not tell neighbouring integers apart.
_MAX_EXACT_INTEGER = 2.0**53


def to_json(message: Message) -> dict[str, object]:
    """Returns the message as proto JSON with the field names of the .proto files.

    A payload is written in its form `value`, whichever form it has: `json` would be base64.
    """
    readable = type(message)()
    readable.CopyFrom(message)
    for detail in _any_messages(readable):
        _make_known(detail)
    content: dict[str, object] = MessageToDict(
        readable, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _put_documents(content, message)
    return content


def _put_documents(content: dict[str, object], message: Message) -> None:
    """Puts users' documents in the place of what protobuf made of them, at any depth."""
    for descriptor, value in message.ListFields():
        if isinstance(value, Payload):
            content[descriptor.name] = {"value": document_of(value)}
        elif isinstance(value, Struct):
            content[descriptor.name] = document_of_struct(value)
        elif isinstance(value, Message) and not isinstance(value, AnyMessage):
            inner = content[descriptor.name]
            if isinstance(inner, dict):
                _put_documents(inner, value)


def document_of(payload: Payload) -> object:
    """Returns the document that a payload holds; None when it holds none."""
    match payload.WhichOneof("kind"):
        case "json":
            return cast("object", json.loads(payload.json))
        case "value":
            return _with_integers(MessageToDict(payload.value))
        case _:
            return None


def document_of_struct(struct: Struct) -> object:
    """Returns the document that a Struct holds."""
    return _with_integers(MessageToDict(struct))


def _with_integers(document: object) -> object:
    """Returns the document with 120 in the place of 120.0: a Struct has doubles only."""
    match document:
        case dict():
            return {name: _with_integers(each) for name, each in document.items()}
        case list():
            return [_with_integers(each) for each in document]
        case float() if document.is_integer() and abs(document) <= _MAX_EXACT_INTEGER:
            return int(document)
        case _:
            return document


def _any_messages(message: Message) -> Iterator[AnyMessage]:
    if isinstance(message, AnyMessage):
        yield message
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None or descriptor.message_type.GetOptions().map_entry:
            continue
        for each in value if descriptor.is_repeated else (value,):
            yield from _any_messages(each)


def _make_known(detail: AnyMessage) -> None:
    """Puts the bytes of a detail that this program does not know into one that it does."""
    try:
        Default().FindMessageTypeByName(detail.TypeName())
    except KeyError:
        unknown = Struct()
        unknown.update(
            {"type_url": detail.type_url, "value": base64.b64encode(detail.value).decode()}
        )
        detail.Pack(unknown)
