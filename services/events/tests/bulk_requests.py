"""Events in bulk, for tests."""

from datetime import datetime

import orjson

from kongflow.events.v1 import events_service_pb2 as pb

__all__ = ["one_event"]


def one_event(
    event_id: str = "",
    *,
    name: str = "order.created",
    payload: object = None,
    raw: bytes = b"",
    deliver_at: datetime | None = None,
    account_id: str = "",
) -> pb.SendEventRequest:
    """One of many events."""
    request = pb.SendEventRequest(account_id=account_id)
    request.event.name = name
    request.event.event_id = event_id
    if payload is not None:
        raw = orjson.dumps(payload)
    if raw:
        request.event.payload.json = raw
    if deliver_at is not None:
        request.deliver_time.FromDatetime(deliver_at)
    return request
