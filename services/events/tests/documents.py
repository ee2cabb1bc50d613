"""Documents as tests compare them: by what they say, whichever form they came in."""

import orjson

from kongflow.common.v1 import payload_pb2
from kongflow_common.rpc.payload_mapping import from_payload


def content_of(payload: payload_pb2.Payload) -> object:
    """What the document says; fails when there is none."""
    if payload.WhichOneof("kind") == "json":
        # Read back it has a space after each comma, and may be longer than what may be sent.
        content: object = orjson.loads(payload.json)
        return content
    document = from_payload(payload, "payload")
    assert document is not None
    return document.load()
