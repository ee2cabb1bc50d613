"""Stores an event that somebody else delivers."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from kongflow_common.ids import new_id
from kongflow_common.payload import EMPTY_OBJECT, JsonDocument
from kongflow_events.domain.event_record import DEFAULT_SOURCE, EventContent, Tenancy

__all__ = ["DirectEvent", "DirectEvents", "StoreEventRecord", "StoredDirectEvent"]


@dataclass(frozen=True, slots=True)
class DirectEvent:
    """An event that goes straight to a job: no dispatcher sees it."""

    id: UUID
    event_id: str
    name: str
    source: str
    content: EventContent
    tenancy: Tenancy
    account_id: str | None
    is_test: bool
    internal: bool


@dataclass(frozen=True, slots=True)
class StoredDirectEvent:
    """The record that holds an event's id; `created` says whether it is this event's."""

    record_id: UUID
    event_id: str
    external_account_id: UUID | None
    created: bool


class DirectEvents(Protocol):
    """Stores events that are not delivered."""

    async def store(self, event: DirectEvent) -> StoredDirectEvent:
        """Stores an event as delivered, or finds the one that has its id."""
        ...


class StoreEventRecord:
    """Stores an event once per environment and event id, without a delivery.

    It counts as delivered at once, so that nothing delivers it later
    (docs/behaviour.md#direct-events).
    """

    def __init__(self, events: DirectEvents) -> None:
        self._events = events

    async def __call__(
        self,
        tenancy: Tenancy,
        name: str,
        *,
        event_id: str | None = None,
        source: str | None = None,
        payload: JsonDocument | None = None,
        context: JsonDocument | None = None,
        account_id: str | None = None,
        is_test: bool = False,
        internal: bool = False,
    ) -> StoredDirectEvent:
        """The record; what is left out has the defaults of an event that is sent."""
        record_id = new_id()
        return await self._events.store(
            DirectEvent(
                id=record_id,
                event_id=event_id or str(record_id),
                name=name,
                source=source or DEFAULT_SOURCE,
                content=EventContent(payload or EMPTY_OBJECT, context or EMPTY_OBJECT),
                tenancy=tenancy,
                account_id=account_id,
                is_test=is_test,
                internal=internal,
            )
        )
