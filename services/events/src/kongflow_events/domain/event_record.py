"""An event that came in, and what may happen to it: pure rules over frozen values."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum
from typing import Final
from uuid import UUID

from kongflow_common.payload import EMPTY_OBJECT, JsonDocument
from kongflow_events.domain.errors import EventDeliveryBegun
from kongflow_events.domain.schema_check import SchemaCheck

__all__ = [
    "DEFAULT_SOURCE",
    "LAST_TIME",
    "REPLACEABLE_AHEAD",
    "EventContent",
    "EventRecord",
    "EventState",
    "PayloadType",
    "Priority",
    "Resent",
    "Tenancy",
]

DEFAULT_SOURCE: Final = "trigger.dev"
LAST_TIME: Final = datetime(2100, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The latest time that an event may name."""

REPLACEABLE_AHEAD: Final = timedelta(milliseconds=5_000)
"""An event sent again replaces the stored one if that is due at least this far ahead."""


class PayloadType(Enum):
    """How the payload of an event is read when it is matched."""

    JSON = "JSON"
    REQUEST = "REQUEST"


class EventState(Enum):
    """Where an event is on its way."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    UNMATCHED = "UNMATCHED"
    CANCELLED = "CANCELLED"


class Priority(IntEnum):
    """Which queued jobs of a queue go first; the lower number does."""

    HIGH = 1
    NORMAL = 2
    LOW = 3
    VERY_LOW = 4


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Whose a row is."""

    environment_id: UUID
    project_id: UUID
    organization_id: UUID


@dataclass(frozen=True, slots=True)
class EventContent:
    """What the sender wrote, as JSON documents."""

    payload: JsonDocument = EMPTY_OBJECT
    context: JsonDocument = EMPTY_OBJECT


@dataclass(frozen=True, slots=True)
class Resent:
    """The part of a repeated event that may replace what is stored.

    None means that the sender left it out; `deliver_at` None means at once.
    """

    payload: JsonDocument | None
    context: JsonDocument | None
    payload_type: PayloadType | None
    deliver_at: datetime | None
    source_context: JsonDocument | None = None
    schema_check: SchemaCheck | None = None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as it is stored, without its content.

    `account_id` is the sender's name of the account, `external_account_id` its row.
    `delivery_revision` starts at 1 and grows each time the delivery is planned anew.
    `delivery_cursor` is the last dispatcher that was looked at while a delivery to very many
    dispatchers is under way. `replay_of` is the id of the record that it repeats.
    """

    id: UUID
    event_id: str
    name: str
    source: str
    timestamp: datetime
    payload_type: PayloadType
    tenancy: Tenancy
    deliver_at: datetime
    created_at: datetime
    updated_at: datetime
    delivered_at: datetime | None = None
    processed_at: datetime | None = None
    matched_count: int = 0
    cancelled_at: datetime | None = None
    is_test: bool = False
    internal: bool = False
    priority: Priority = Priority.HIGH
    delivery_revision: int = 1
    delivery_cursor: UUID | None = None
    account_id: str | None = None
    external_account_id: UUID | None = None
    schema_check: SchemaCheck | None = None
    replay_of: UUID | None = None

    @property
    def state(self) -> EventState:
        """Where the event is on its way."""
        if self.cancelled_at is not None:
            return EventState.CANCELLED
        if self.processed_at is None:
            return EventState.PENDING
        return EventState.DELIVERED if self.matched_count > 0 else EventState.UNMATCHED

    @property
    def delivery_begun(self) -> bool:
        """Whether dispatchers were, or are being, told of the event."""
        return self.processed_at is not None or self.delivery_cursor is not None

    def is_replaceable(self, now: datetime) -> bool:
        """Whether an event sent again replaces this one: it is due 5 s ahead or more.

        Times are compared by whole milliseconds, as the senders' clocks write them. A
        cancelled event stays cancelled, and a delivered one delivered.
        """
        if self.cancelled_at is not None or self.delivery_begun:
            return False
        return _milliseconds(self.deliver_at) >= _milliseconds(now + REPLACEABLE_AHEAD)

    def resend(self, resent: Resent, now: datetime) -> "EventRecord | None":
        """The record after the event was sent again; None when it stays as it is.

        Name, source, timestamp and account never change. Without a delivery time the event
        becomes due at once.
        """
        if not self.is_replaceable(now):
            return None
        return replace(
            self,
            payload_type=resent.payload_type or self.payload_type,
            deliver_at=resent.deliver_at or now,
            delivery_revision=self.delivery_revision + 1,
            # It is about the payload.
            schema_check=resent.schema_check if resent.payload is not None else self.schema_check,
        )

    def cancel(self, now: datetime) -> "EventRecord":
        """The record after it was cancelled; itself if it was before.

        Raises EventDeliveryBegun once dispatchers were told of the event, or none took it.
        """
        if self.cancelled_at is not None:
            return self
        if self.delivery_begun:
            raise EventDeliveryBegun(self.event_id)
        return replace(self, cancelled_at=now)


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def _milliseconds(time: datetime) -> int:
    return (time - _EPOCH) // _MILLISECOND
