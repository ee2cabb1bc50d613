"""An event that is to be stored, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from kongflow_common.payload import JsonDocument
from kongflow_events.domain.dispatcher_index import MatchedDispatchers
from kongflow_events.domain.event_record import (
    EventContent,
    EventRecord,
    EventState,
    PayloadType,
    Priority,
    Tenancy,
)
from kongflow_events.domain.schema_check import SchemaCheck

__all__ = ["NewEvent", "NewlyStored", "StoredEvent"]

# In Python 3.11 naming a member of an Enum runs code of Python's own: a quarter of a microsecond.
_PENDING: Final = EventState.PENDING
_DELIVERED: Final = EventState.DELIVERED
_UNMATCHED: Final = EventState.UNMATCHED


# Not frozen, though nobody changes one: of an event among many that costs a microsecond of 20.
@dataclass(slots=True)
class NewEvent:
    """An event to be stored. Times that are None are the time of the transaction."""

    id: UUID
    event_id: str
    name: str
    source: str
    timestamp: datetime | None
    payload_type: PayloadType
    content: EventContent
    tenancy: Tenancy
    deliver_at: datetime | None
    is_test: bool
    priority: Priority
    account_id: str | None
    traceparent: str
    matched: MatchedDispatchers | None = None
    """The dispatchers that take it; None when it is to be matched later."""
    schemas_version: int = 0
    """Of which version of its environment's schemas it was checked."""
    schema_check: SchemaCheck | None = None
    source_context: JsonDocument | None = None
    replay_of: UUID | None = None
    """The record that it repeats."""
    is_addressed: bool = False
    """Whether `matched` was chosen by its sender, and does not go out of date."""


class StoredEvent:
    """The record that holds the event's id now: the new one, or the one that was there."""

    __slots__ = ("_record", "is_new")

    def __init__(self, record: EventRecord, *, is_new: bool) -> None:
        self._record: EventRecord | None = record
        self.is_new = is_new

    @property
    def record(self) -> EventRecord:
        """The record."""
        if self._record is None:
            self._record = self._made()
        return self._record

    @property
    def id(self) -> UUID:
        """The id of the record."""
        return self.record.id

    @property
    def state(self) -> EventState:
        """Where the event is on its way."""
        return self.record.state

    @property
    def schema_check(self) -> SchemaCheck | None:
        """What a schema found."""
        return self.record.schema_check

    def _made(self) -> EventRecord:
        raise NotImplementedError


class NewlyStored(StoredEvent):
    """The new one. It is made when somebody reads it: of events in bulk nobody does."""

    __slots__ = ("_created_at", "_event", "_external_account_id", "_processed_at")

    def __init__(
        self,
        event: NewEvent,
        created_at: datetime,
        external_account_id: UUID | None,
        processed_at: datetime | None,
    ) -> None:
        self._record = None
        self.is_new = True
        self._event = event
        self._created_at = created_at
        self._external_account_id = external_account_id
        self._processed_at = processed_at

    @property
    def id(self) -> UUID:
        """See StoredEvent.id."""
        return self._event.id

    @property
    def state(self) -> EventState:
        """See StoredEvent.state."""
        if self._processed_at is None:
            return _PENDING
        matched = self._event.matched
        return _DELIVERED if matched is not None and matched.dispatcher_ids else _UNMATCHED

    @property
    def schema_check(self) -> SchemaCheck | None:
        """See StoredEvent.schema_check."""
        return self._event.schema_check

    @property
    def _matched_count(self) -> int:
        matched = self._event.matched
        return len(matched.dispatcher_ids) if matched is not None else 0

    def _made(self) -> EventRecord:
        event, created_at, processed_at = self._event, self._created_at, self._processed_at
        matched_count = self._matched_count if processed_at is not None else 0
        return EventRecord(
            id=event.id,
            event_id=event.event_id,
            name=event.name,
            source=event.source,
            timestamp=event.timestamp or created_at,
            payload_type=event.payload_type,
            tenancy=event.tenancy,
            deliver_at=event.deliver_at or created_at,
            created_at=created_at,
            updated_at=created_at,
            delivered_at=processed_at if matched_count > 0 else None,
            processed_at=processed_at,
            matched_count=matched_count,
            is_test=event.is_test,
            priority=event.priority,
            account_id=event.account_id,
            external_account_id=self._external_account_id,
            schema_check=event.schema_check,
            replay_of=event.replay_of,
        )
