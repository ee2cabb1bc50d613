"""Reads an event as an execution of a job is told of it."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kongflow_common.payload import JsonDocument
from kongflow_events.domain.cloud_event_record import source_beside_note
from kongflow_events.domain.errors import EventNotFound

__all__ = ["ExecutedEvent", "ExecutedEvents", "ReadEventRecord"]


@dataclass(frozen=True, slots=True)
class ExecutedEvent:
    """An event with all that a job may know of it."""

    id: UUID
    event_id: str
    name: str
    source: str
    payload: JsonDocument
    context: JsonDocument
    source_context: JsonDocument | None
    timestamp: datetime
    deliver_at: datetime
    delivered_at: datetime | None
    account_id: str | None
    account_metadata: JsonDocument | None


class ExecutedEvents(Protocol):
    """Finds events of one environment."""

    async def find(self, environment_id: UUID, record_id: UUID) -> ExecutedEvent | None:
        """The event, or ``None`` when this environment has no such record."""
        ...


class ReadEventRecord:
    """Finds one event."""

    def __init__(self, events: ExecutedEvents) -> None:
        self._events = events

    async def __call__(self, environment_id: UUID, record_id: UUID) -> ExecutedEvent:
        """The event; raises EventNotFound."""
        event = await self._events.find(environment_id, record_id)
        if event is None:
            raise EventNotFound(record_id)
        if event.source_context is None:
            return event
        # Jobs read it as {id, metadata}, and refuse anything else.
        return replace(event, source_context=source_beside_note(event.source_context))
