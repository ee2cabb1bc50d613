"""Says which events are still needed by runs."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID


class UnfinishedEvents(Protocol):
    """Finds runs by the events that they are of."""

    async def with_unfinished_runs(
        self, environment_id: UUID, event_record_ids: Sequence[UUID]
    ) -> Sequence[UUID]:
        """Those of the event records that a run which has not ended is of."""
        ...


class ListUnfinishedEvents:
    """Asks about many events at a time: whoever deletes events asks before."""

    def __init__(self, events: UnfinishedEvents) -> None:
        self._events = events

    async def __call__(
        self, environment_id: UUID, event_record_ids: Sequence[UUID]
    ) -> Sequence[UUID]:
        """Those with unfinished runs."""
        if not event_record_ids:
            return []
        return await self._events.with_unfinished_runs(environment_id, event_record_ids)
