"""A replay of many events: how far it is and how fast it goes. Pure rules over frozen values."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

from kongflow_events.domain.dispatcher_match import MatchableEvent, compile_dispatcher
from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_record import EventRecord, Tenancy

__all__ = [
    "SETTLE",
    "EventReplay",
    "ReplayKind",
    "ReplayState",
    "StepCounts",
    "Taker",
    "new_event_id",
    "replayed_event_id",
]

SETTLE: Final = timedelta(seconds=2)
"""How long after its beginning a replay reads first.

By then every event that came in before is stored: who stored one at that moment has committed.
"""

_STEP_EVENTS: Final = 500
_LONGEST_EVENT_ID: Final = 512


class ReplayKind(Enum):
    """What a replay does with an event."""

    REPLAY = "REPLAY"
    BACKFILL = "BACKFILL"


class ReplayState(Enum):
    """How far a replay is."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class StepCounts:
    """What became of the events of a step."""

    replayed: int = 0
    skipped: int = 0
    refused: int = 0

    @property
    def all(self) -> int:
        """How many events had their turn."""
        return self.replayed + self.skipped + self.refused


@dataclass(frozen=True, slots=True)
class EventReplay:
    """A replay as it is stored.

    Events with ids up to `cursor` have had their turn; those that follow have it at `next_at`.
    `dispatcher_id` is the only dispatcher that is told.
    """

    id: UUID
    tenancy: Tenancy
    kind: ReplayKind
    filter: str
    start_at: datetime | None
    end_at: datetime
    dispatcher_id: UUID | None
    events_per_second: int
    total: int
    counts: StepCounts
    cursor: UUID | None
    next_at: datetime
    created_at: datetime
    state: ReplayState = ReplayState.RUNNING
    ended_at: datetime | None = None
    error: str | None = None
    total_is_partial: bool = False
    """Whether there were more than `total`, which was counted for as long as that may take."""

    @property
    def events_at_once(self) -> int:
        """How many events a step takes at most: never more than those of a second."""
        return min(self.events_per_second, _STEP_EVENTS)

    def waits(self, now: datetime) -> timedelta | None:
        """How long until the next step; None when it is due."""
        return self.next_at - now if self.next_at > now else None

    def advance(self, counts: StepCounts, cursor: UUID | None, now: datetime) -> "EventReplay":
        """The replay after a step; the next is due when the rate allows for it.

        What was missed is not caught up with: no second sees more events than the rate.
        """
        pause = timedelta(seconds=counts.all / self.events_per_second)
        return replace(
            self,
            counts=StepCounts(
                self.counts.replayed + counts.replayed,
                self.counts.skipped + counts.skipped,
                self.counts.refused + counts.refused,
            ),
            cursor=cursor,
            next_at=now + pause,
        )

    def end(self, state: ReplayState, now: datetime, error: str | None = None) -> "EventReplay":
        """The replay after it ended; `error` is why it failed."""
        return replace(self, state=state, ended_at=now, error=error)


class Taker:
    """A dispatcher, asked whether it takes events that are stored."""

    def __init__(self, dispatcher: EventDispatcher) -> None:
        specification = dispatcher.specification
        self.id = dispatcher.id
        self._compiled = compile_dispatcher(dispatcher)
        self._is_open = specification.enabled and not specification.manual

    def takes(self, record: EventRecord, event: MatchableEvent) -> bool:
        """Whether it takes the event, which is the record's."""
        return (
            self._is_open
            and record.source == self._compiled.source
            and self._compiled.takes_name(record.name)
            and self._compiled.takes(event)
        )


def new_event_id(event_id: str, milliseconds: int) -> str:
    """The id of one replay of an event, where its sender names none."""
    suffix = f":replay:{milliseconds}"
    return event_id[: _LONGEST_EVENT_ID - len(suffix)] + suffix


def replayed_event_id(replay_id: UUID, record_id: UUID) -> str:
    """The id of the new event that a replay of many makes of a record: there is only one."""
    return f"replay:{replay_id}:{record_id}"
