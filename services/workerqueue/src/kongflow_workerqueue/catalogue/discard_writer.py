"""Writes the arguments of a discarded method that is told why: `request` and `discard`.

The request is copied as it is stored, never read: it is what the job was called with.
"""

import orjson
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from kongflow_workerqueue.domain.discard import Discard

__all__ = ["DiscardWriter"]

MAX_MESSAGE_LENGTH = 2_000
MAX_DETAILS_BYTES = 16 * 1024

# jsonb holds no NUL, however it is spelt.
_NUL = rb"\u0000"

# The details that answers of our own bring: they can be named only once their file is known.
_KNOWN_DETAILS = error_details_pb2.DESCRIPTOR


class DiscardWriter:
    """Writes for one discarded method; `pool` knows the messages of its target."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def write(self, args: bytes, discard: Discard) -> bytes:
        """Returns proto JSON of {request, discard}, some 18 KiB longer than `args` at most."""
        status: dict[str, object] = {
            "code": int(discard.status.code),
            "message": _shortened(discard.status.message),
        }
        if details := self._details(discard.status.details):
            status["details"] = details
        told = {
            "status": status,
            "attempts": discard.attempts,
            "queuedJobId": str(discard.queued_job_id),
        }
        return b'{"request": %b, "discard": %b}' % (args, orjson.dumps(told))

    def _details(self, answer: bytes) -> list[object]:
        """The details that the target's own messages can express and that fit, first ones first."""
        try:
            packed = status_pb2.Status.FromString(answer).details
        except DecodeError:
            return []
        details: list[object] = []
        room = MAX_DETAILS_BYTES
        for each in packed:
            read = self._read(each)
            if read is None:
                continue
            written = orjson.dumps(read)
            room -= len(written)
            if room < 0:
                break
            if _NUL not in written:
                details.append(read)
        return details

    def _read(self, detail: AnyMessage) -> dict[str, object] | None:
        try:
            return json_format.MessageToDict(detail, descriptor_pool=self._pool)
        except (json_format.Error, DecodeError, TypeError, ValueError):
            # An unknown type, or not what its name says: arguments with it could not be read.
            return None


def _shortened(text: str) -> str:
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:MAX_MESSAGE_LENGTH]
