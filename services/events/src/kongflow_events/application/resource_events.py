"""The log of what happened to resources: what is read of it, and its ports."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kongflow_common.eventing.envelope import PublishedEvent
from kongflow_events.domain.log_position import Horizon, LogPosition, LogSelection

__all__ = [
    "EventPlace",
    "ListResourceEvents",
    "LogPage",
    "LogReader",
    "ResourceEventPage",
    "ResourceSelection",
]


@dataclass(frozen=True, slots=True)
class EventPlace:
    """The place of an event in the list of its resource."""

    time: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class ResourceSelection:
    """At most `limit` events of a resource, the oldest first, that follow `after`."""

    scope_ids: tuple[UUID, ...]
    resource_id: str
    start: datetime | None
    end: datetime | None
    after: EventPlace | None
    limit: int


@dataclass(frozen=True, slots=True)
class ResourceEventPage:
    """Some events of a resource; `complete` when nothing follows them."""

    events: Sequence[PublishedEvent]
    complete: bool


@dataclass(frozen=True, slots=True)
class LogPage:
    """What a look at the log showed behind a position, in the order of the log.

    `last` is the place of the last row that was looked at, wanted or not, and `full` says that
    more may follow it at once.
    """

    events: Sequence[PublishedEvent]
    last: tuple[int, int] | None
    full: bool
    horizon: Horizon


class LogReader(Protocol):
    """Reads the log."""

    async def list_events(self, selection: ResourceSelection) -> Sequence[PublishedEvent]:
        """What happened to a resource."""
        ...

    async def find_event(self, scope_ids: Sequence[UUID], event_id: UUID) -> PublishedEvent | None:
        """An event of the scopes; None when there is none."""
        ...

    async def horizon(self) -> Horizon:
        """What can be seen now."""
        ...

    async def read(self, selection: LogSelection, position: LogPosition) -> LogPage:
        """What follows a position, as far as nothing can come before it any more."""
        ...

    async def server_id(self) -> int:
        """Which PostgreSQL server the log is on: its transactions order the log."""
        ...

    async def token_key(self) -> bytes:
        """The secret that signs resume tokens."""
        ...


class ListResourceEvents:
    """Lists what happened to a resource (the original's getEvents)."""

    def __init__(self, log: LogReader) -> None:
        self._log = log

    async def __call__(self, selection: ResourceSelection) -> ResourceEventPage:
        """The events that are selected."""
        events = await self._log.list_events(
            ResourceSelection(
                scope_ids=selection.scope_ids,
                resource_id=selection.resource_id,
                start=selection.start,
                end=selection.end,
                after=selection.after,
                limit=selection.limit + 1,
            )
        )
        return ResourceEventPage(events[: selection.limit], complete=len(events) <= selection.limit)
