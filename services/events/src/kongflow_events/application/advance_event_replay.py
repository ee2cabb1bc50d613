"""Carries a replay of many events out, a bounded number in each transaction."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.errors import InvalidFields
from kongflow_common.loop_turns import LoopTurns
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.begin_event_replay import selection_of
from kongflow_events.application.event_entry import Entrance, EventEntry, SendEvent
from kongflow_events.application.ports import (
    DispatcherReader,
    EventsUnitOfWork,
    NewEvent,
    SchemasChanged,
    StoredEvent,
    UnitOfWorkFactory,
)
from kongflow_events.application.ports_replays import (
    FilterReader,
    ReplayBatch,
    ReplayReader,
    StoredContent,
)
from kongflow_events.application.replay_event import to_new_event
from kongflow_events.application.task_outcome import DONE, Snooze, TaskOutcome
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.event_dispatcher import EventDispatcher
from kongflow_events.domain.event_record import Priority
from kongflow_events.domain.event_replay import (
    EventReplay,
    ReplayKind,
    ReplayState,
    StepCounts,
    Taker,
    replayed_event_id,
)

__all__ = ["AdvanceEventReplay"]

_logger = logging.getLogger(__name__)

# Less than the kind's own timeout: a step that has begun ends in time.
_SECONDS: Final = 10.0
_CONTINUE_AFTER: Final = timedelta(milliseconds=10)
# The worker queue is late by up to so much, at each step: what is due by then is waited for here.
_AWAITED: Final = timedelta(seconds=0.5)
# Who sleeps may be woken a little early by the other clock.
_TICK: Final = timedelta(milliseconds=2)


class AdvanceEventReplay:
    """Takes the steps that are due.

    A step stores its new events, or enqueues its invocations, and how far it came in one
    transaction, in which nobody else touches the replay: what was interrupted goes on where it
    stopped, nothing is done twice, and once it is cancelled nothing more is done.
    """

    def __init__(
        self,
        unit_of_work: UnitOfWorkFactory,
        reader: ReplayReader,
        dispatchers: DispatcherReader,
        entry: EventEntry,
        read_filter: FilterReader,
        clock: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._unit_of_work = unit_of_work
        self._reader = reader
        self._dispatchers = dispatchers
        self._entry = entry
        self._read_filter = read_filter
        self._clock = clock
        self._monotonic = monotonic

    async def __call__(self, environment_id: UUID, replay_id: UUID) -> TaskOutcome:
        """Done, or snoozed until shortly before the next step is due."""
        until = self._monotonic() + _SECONDS
        entrance = self._entry.begin()
        has_waited = False
        while True:
            try:
                outcome = await self._step(entrance, environment_id, replay_id)
            except SchemasChanged as error:
                # Costs an attempt only where they change all the time.
                if self._monotonic() > until:
                    return error
                continue
            is_over = self._monotonic() > until
            if outcome is None:
                if is_over:
                    return Snooze(_CONTINUE_AFTER)
                continue
            if not isinstance(outcome, Snooze):
                return outcome
            if is_over or has_waited or outcome.delay > _AWAITED:
                return Snooze(max(outcome.delay - _AWAITED, timedelta(0)))
            # Once: others want the slot in the queue too.
            has_waited = True
            await asyncio.sleep((outcome.delay + _TICK).total_seconds())

    async def _step(
        self, entrance: Entrance, environment_id: UUID, replay_id: UUID
    ) -> TaskOutcome | None:
        """Take one step; None when the next is due."""
        found = await self._reader.find_replay(environment_id, replay_id)
        outcome = self._nothing_due(found)
        if found is None or outcome is not None:
            return outcome
        dispatcher: EventDispatcher | None = None
        if found.dispatcher_id is not None:
            dispatcher = await self._dispatchers.find_dispatcher(
                environment_id, found.dispatcher_id
            )
        async with self._unit_of_work() as uow:
            # Another may have taken a step in the meantime, or cancelled it.
            replay = await uow.replays.lock(environment_id, replay_id)
            outcome = self._nothing_due(replay)
            if replay is None or outcome is not None:
                return outcome
            step = _Step(uow, entrance, replay)
            after = await self._taken(step, dispatcher)
            await uow.replays.advance(after)
            await uow.commit()
        for event, stored in step.stored:
            if stored.is_new:
                self._entry.refresh(event, stored)
        _log(after)
        return self._nothing_due(after)

    def _nothing_due(self, replay: EventReplay | None) -> TaskOutcome | None:
        """What there is to answer where no step is due."""
        if replay is None or replay.state is not ReplayState.RUNNING:
            return DONE
        wait = replay.waits(self._clock.now())
        return Snooze(wait) if wait is not None else None

    async def _taken(self, step: "_Step", dispatcher: EventDispatcher | None) -> EventReplay:
        """The replay after the step."""
        replay, now = step.replay, self._clock.now()
        if replay.dispatcher_id is not None and dispatcher is None:
            return replay.end(ReplayState.FAILED, now, error="its dispatcher is gone")
        selection = selection_of(
            replay.tenancy.environment_id,
            self._read_filter(replay.filter),
            replay.start_at,
            replay.end_at,
            dispatcher,
        )
        batch = await step.uow.replays.read(
            selection, after=replay.cursor, limit=replay.events_at_once
        )
        taker = Taker(dispatcher) if dispatcher is not None else None
        after = replay.advance(await step.take(batch, taker), batch.cursor, now)
        return after.end(ReplayState.SUCCEEDED, now) if batch.complete else after


class _Step:
    """The events of one step on their way."""

    def __init__(self, uow: EventsUnitOfWork, entrance: Entrance, replay: EventReplay) -> None:
        self.uow = uow
        self.replay = replay
        self._entrance = entrance
        self._traceparent = current_traceparent()
        self.stored: list[tuple[NewEvent, StoredEvent]] = []
        """The new events that it has stored."""

    async def take(self, batch: ReplayBatch, taker: Taker | None) -> StepCounts:
        """Replay the events, or those of them that the dispatcher takes."""
        turns = LoopTurns()
        taken: list[StoredContent] = []
        for each in batch.events:
            if turns.is_over:
                await turns.pass_on()
            if taker is None or _takes(taker, each):
                taken.append(each)
        skipped = len(batch.events) - len(taken)
        if self.replay.kind is ReplayKind.BACKFILL and taker is not None:
            await self._invoke(taker, taken)
            return StepCounts(replayed=len(taken), skipped=skipped)
        replayed = await self._send(taken, turns)
        return StepCounts(replayed, skipped, refused=len(taken) - replayed)

    async def _invoke(self, taker: Taker, taken: list[StoredContent]) -> None:
        for each in taken:
            await self.uow.queue.enqueue_invoke_dispatchers(
                # What comes in now goes first.
                replace(each.record, priority=Priority.LOW),
                [taker.id],
                traceparent=self._traceparent,
            )

    async def _send(self, taken: list[StoredContent], turns: LoopTurns) -> int:
        """Store the new events; answers how many were not refused."""
        events: list[NewEvent] = []
        for each in taken:
            if turns.is_over:
                await turns.pass_on()
            try:
                events.append(
                    await self._entrance.prepare(
                        self._new_event(each), traceparent=self._traceparent
                    )
                )
            except InvalidFields as error:
                _logger.debug("event %s is refused: %s", each.record.id, error)
        if events:
            try:
                outcomes = await self.uow.events.add_many(events)
            except SchemasChanged:
                await self._entrance.renew(self._new_event(taken[0]))
                raise
            self.stored = list(zip(events, outcomes, strict=True))
        return len(events)

    def _new_event(self, each: StoredContent) -> SendEvent:
        return to_new_event(
            each.record,
            each.content,
            each.source_context,
            event_id=replayed_event_id(self.replay.id, each.record.id),
            dispatcher_id=self.replay.dispatcher_id,
            priority=Priority.LOW,
        )


def _takes(taker: Taker, each: StoredContent) -> bool:
    record = each.record
    return taker.takes(
        record, MatchableEvent(record.payload_type, each.content, record.external_account_id)
    )


def _log(replay: EventReplay) -> None:
    _logger.info(
        "event replay advanced" if replay.state is ReplayState.RUNNING else "event replay ended",
        extra={
            "fields": {
                "event_replay_id": str(replay.id),
                "state": replay.state.value,
                "replayed": replay.counts.replayed,
                "skipped": replay.counts.skipped,
                "refused": replay.counts.refused,
                "environment_id": str(replay.tenancy.environment_id),
            }
        },
    )
