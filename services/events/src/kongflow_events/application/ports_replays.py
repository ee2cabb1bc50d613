"""What the use cases about replays of events need of the outside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from kongflow_common.filtering import Filter
from kongflow_common.payload import JsonDocument
from kongflow_events.application.selection import Selection
from kongflow_events.domain.event_record import EventContent, EventRecord, Tenancy
from kongflow_events.domain.event_replay import EventReplay, ReplayKind

__all__ = [
    "EventCount",
    "FilterReader",
    "NewReplay",
    "ReplayBatch",
    "ReplayReader",
    "ReplayRepository",
    "ReplaySelection",
    "StoredContent",
]

FilterReader: TypeAlias = Callable[[str], Filter | None]
"""Reads the filter of a stored replay."""


@dataclass(frozen=True, slots=True)
class ReplaySelection:
    """Which stored events a replay goes through: those that were matched, in their order.

    Events that came in from `start_at` on and before `end_at`, None being now. With a `source`
    only its events, with `names` only events of these.
    """

    environment_id: UUID
    filter: Filter | None
    start_at: datetime | None
    end_at: datetime | None
    source: str | None = None
    names: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class EventCount:
    """How many events there are; where the time ran out, how many were counted until then."""

    events: int
    is_partial: bool


@dataclass(frozen=True, slots=True)
class NewReplay:
    """A replay that begins. It ends with the events of the moment at which it began."""

    id: UUID
    tenancy: Tenancy
    kind: ReplayKind
    filter: str
    start_at: datetime | None
    end_at: datetime | None
    dispatcher_id: UUID | None
    events_per_second: int
    total: EventCount
    next_at: datetime


@dataclass(frozen=True, slots=True)
class StoredContent:
    """A stored event with all that its sender wrote."""

    record: EventRecord
    content: EventContent
    source_context: JsonDocument | None


@dataclass(frozen=True, slots=True)
class ReplayBatch:
    """The events of a step; `cursor` is how far it looked, `complete` says that none follow."""

    events: Sequence[StoredContent]
    cursor: UUID | None
    complete: bool


class ReplayRepository(Protocol):
    """Replays inside a unit of work."""

    async def begin(self, new: NewReplay, most_running: int) -> EventReplay | None:
        """Store a replay; None where the environment has as many that are running already."""
        ...

    async def lock(self, environment_id: UUID, replay_id: UUID) -> EventReplay | None:
        """The replay, which nobody else changes until the unit of work ends."""
        ...

    async def read(
        self, selection: ReplaySelection, *, after: UUID | None, limit: int
    ) -> ReplayBatch:
        """The next events, at most `limit`; fewer where they are large, or far between."""
        ...

    async def advance(self, replay: EventReplay) -> None:
        """Write how far the replay is."""
        ...


class ReplayReader(Protocol):
    """Reads replays, and counts what they would go through."""

    async def find_replay(self, environment_id: UUID, replay_id: UUID) -> EventReplay | None:
        """The replay."""
        ...

    async def list_replays(self, selection: Selection) -> Sequence[EventReplay]:
        """The replays, newest first."""
        ...

    async def count_events(self, selection: ReplaySelection, *, seconds: float) -> EventCount:
        """How many stored events the selection has, counted for as long at most."""
        ...
