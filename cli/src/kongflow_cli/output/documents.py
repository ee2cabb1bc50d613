"""Users' documents in a table."""

import json

from google.protobuf.message import Message

from kongflow.common.v1.payload_pb2 import Payload
from kongflow_cli.output.cells import Cell
from kongflow_cli.output.proto_json import document_of


def document_cell(message: Message, field: str) -> Cell:
    """The document of a payload field over several lines; nothing when it is not set."""
    payload = getattr(message, field)
    if not isinstance(payload, Payload) or not message.HasField(field):
        return None
    return json.dumps(document_of(payload), indent=2, ensure_ascii=False)


def document_line(message: Message, field: str) -> Cell:
    """The same on one line, for a list."""
    payload = getattr(message, field)
    if not isinstance(payload, Payload) or not message.HasField(field):
        return None
    return json.dumps(document_of(payload), ensure_ascii=False)
