"""Calls that send and get CloudEvents, for tests."""

from typing import Any

import orjson

from kongflow.events.v1 import events_service_pb2 as pb
from services.events.tests.events_context import EventsContext

__all__ = ["get", "get_json", "send", "structured"]


def structured(**members: object) -> pb.SendCloudEventRequest:
    """A request with an event in the JSON format."""
    base = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.created"}
    raw = orjson.dumps({**base, **members})
    return pb.SendCloudEventRequest(cloud_event=pb.FormattedCloudEvent(json=raw))


async def send(context: EventsContext, request: pb.SendCloudEventRequest) -> Any:
    """Send an event; the record as it is answered."""
    answer = await context.client.SendCloudEvent(request, metadata=context.as_sender, timeout=10)
    return answer.event_record


async def get(context: EventsContext, event_id: str, form: Any) -> pb.FormattedCloudEvent:
    """Get an event by its sender's id."""
    answer = await context.client.GetCloudEvent(
        pb.GetCloudEventRequest(event_id=event_id, format=form), metadata=context.as_sender
    )
    return answer.cloud_event


async def get_json(context: EventsContext, event_id: str) -> Any:
    """The members of an event in the JSON format."""
    return orjson.loads((await get(context, event_id, pb.CLOUD_EVENT_FORMAT_JSON)).json)
