"""Begins to go through stored events, or tells how many there are."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import Filter
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.ports import DispatcherReader, UnitOfWorkFactory
from kongflow_events.application.ports_replays import (
    EventCount,
    NewReplay,
    ReplayReader,
    ReplaySelection,
)
from kongflow_events.domain.errors import (
    DispatcherNotFound,
    DispatcherTakesNothing,
    TooManyEventReplays,
)
from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_names import split_names
from kongflow_events.domain.event_record import Tenancy
from kongflow_events.domain.event_replay import SETTLE, EventReplay, ReplayKind

__all__ = ["BeginEventReplay", "ReplayMany", "selection_of"]

_logger = logging.getLogger(__name__)

_MOST_RUNNING: Final = 3


@dataclass(frozen=True, slots=True)
class ReplayMany:
    """Which stored events are to be gone through, and how; `filter` is what `filter_text` says."""

    tenancy: Tenancy
    kind: ReplayKind
    filter_text: str
    filter: Filter | None
    start_at: datetime | None
    end_at: datetime | None
    dispatcher_id: UUID | None
    events_per_second: int


class BeginEventReplay:
    """Stores a replay together with the queued job that carries it out."""

    def __init__(
        self,
        unit_of_work: UnitOfWorkFactory,
        reader: ReplayReader,
        dispatchers: DispatcherReader,
        clock: Clock,
        new_id: Callable[[], UUID],
    ) -> None:
        self._unit_of_work = unit_of_work
        self._reader = reader
        self._dispatchers = dispatchers
        self._clock = clock
        self._new_id = new_id

    async def count(self, command: ReplayMany, *, seconds: float) -> EventCount:
        """How many events it would go through, counted for as long at most.

        Raises what __call__ does of the command.
        """
        # What came in before the replay begins is gone through: of later events it has none.
        if command.start_at is not None and command.start_at > self._clock.now():
            raise InvalidField("start_time", "must not be in the future")
        return await self._reader.count_events(await self._selection(command), seconds=seconds)

    async def __call__(self, command: ReplayMany, *, seconds: float) -> EventReplay:
        """The replay; for so long its events are counted.

        Raises InvalidField, DispatcherNotFound, DispatcherTakesNothing, TooManyEventReplays.
        """
        total = await self.count(command, seconds=seconds)
        new = NewReplay(
            id=self._new_id(),
            tenancy=command.tenancy,
            kind=command.kind,
            filter=command.filter_text,
            start_at=command.start_at,
            end_at=command.end_at,
            dispatcher_id=command.dispatcher_id,
            events_per_second=command.events_per_second,
            total=total,
            next_at=self._clock.now() + SETTLE,
        )
        async with self._unit_of_work() as uow:
            replay = await uow.replays.begin(new, _MOST_RUNNING)
            if replay is None:
                raise TooManyEventReplays(_MOST_RUNNING)
            await uow.queue.enqueue_advance_event_replay(
                replay, run_at=replay.next_at, traceparent=current_traceparent()
            )
            await uow.commit()
        _logger.info(
            "event replay begun",
            extra={
                "fields": {
                    "event_replay_id": str(replay.id),
                    "kind": replay.kind.value,
                    "events": replay.total,
                    "environment_id": str(replay.tenancy.environment_id),
                }
            },
        )
        return replay

    async def _selection(self, command: ReplayMany) -> ReplaySelection:
        environment_id = command.tenancy.environment_id
        dispatcher: EventDispatcher | None = None
        if command.dispatcher_id is not None:
            dispatcher = await self._dispatchers.find_dispatcher(
                environment_id, command.dispatcher_id
            )
            if dispatcher is None:
                raise DispatcherNotFound(command.dispatcher_id)
            if dispatcher.specification.manual or not dispatcher.specification.enabled:
                raise DispatcherTakesNothing(command.dispatcher_id)
        return selection_of(
            environment_id, command.filter, command.start_at, command.end_at, dispatcher
        )


def selection_of(
    environment_id: UUID,
    condition: Filter | None,
    start_at: datetime | None,
    end_at: datetime | None,
    dispatcher: EventDispatcher | None,
) -> ReplaySelection:
    """The stored events; with a dispatcher, those that it may take by their source and names."""
    if dispatcher is None:
        return ReplaySelection(environment_id, condition, start_at, end_at)
    specification = dispatcher.specification
    names, patterns = split_names(specification.event_names, specification.name_match)
    return ReplaySelection(
        environment_id,
        condition,
        start_at,
        end_at,
        source=specification.source,
        names=None if patterns else names,
    )
