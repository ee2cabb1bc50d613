"""Answers events as CloudEvents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kongflow_common.payload import JsonDocument
from kongflow_events.application.ports import EventKey, Selection
from kongflow_events.application.queries import EventQueries
from kongflow_events.domain.cloud_event import CloudEvent
from kongflow_events.domain.cloud_event_record import event_of
from kongflow_events.domain.event_record import EventContent, EventRecord

__all__ = ["CloudEventPage", "ReadCloudEvents", "RecordedCloudEvent", "SourceContexts"]


class SourceContexts(Protocol):
    """Reads what records keep of where they come from."""

    async def read_source_contexts(self, record_ids: Sequence[UUID]) -> Mapping[UUID, JsonDocument]:
        """Those of records that were found within the caller's environment and have one."""
        ...


@dataclass(frozen=True, slots=True)
class RecordedCloudEvent:
    """A cloud event and the record it is of."""

    record: EventRecord
    event: CloudEvent


@dataclass(frozen=True, slots=True)
class CloudEventPage:
    """Some events; `complete` when no more follow. The list goes on as Page says."""

    items: Sequence[RecordedCloudEvent]
    complete: bool
    end: UUID | None


class ReadCloudEvents:
    """Reads records, and writes them as the cloud events that they are or could be."""

    def __init__(self, events: EventQueries, sources: SourceContexts) -> None:
        self._events = events
        self._sources = sources

    async def get(self, environment_id: UUID, key: EventKey) -> RecordedCloudEvent:
        """One event. Raises EventNotFound."""
        whole = await self._events.get(environment_id, key)
        notes = await self._sources.read_source_contexts([whole.record.id])
        content = whole.content or EventContent()
        event = event_of(whole.record, content, notes.get(whole.record.id))
        return RecordedCloudEvent(whole.record, event)

    async def list(self, selection: Selection) -> CloudEventPage:
        """A page; it may end early."""
        page = await self._events.list(selection, with_content=True)
        notes = await self._sources.read_source_contexts([each.record.id for each in page.items])
        return CloudEventPage(
            [
                RecordedCloudEvent(
                    each.record, event_of(each.record, each.content, notes.get(each.record.id))
                )
                for each in page.items
                if each.content is not None
            ],
            page.complete,
            page.end,
        )
