"""The queued job that a subscriber gets of an event."""

import hashlib
from uuid import UUID

__all__ = ["job_id_of"]

_TIME_BYTES = 6
_ID_BYTES = 16


def job_id_of(event_id: UUID, kind: str) -> UUID:
    """The id of the one job that a kind gets of an event, whenever it is asked for.

    So the primary key recognises an event that is published again. It is a UUID of version 7
    that sorts where the event's own does.
    """
    digest = hashlib.sha256(event_id.bytes + kind.encode()).digest()
    raw = bytearray(event_id.bytes[:_TIME_BYTES] + digest[: _ID_BYTES - _TIME_BYTES])
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    return UUID(bytes=bytes(raw))
