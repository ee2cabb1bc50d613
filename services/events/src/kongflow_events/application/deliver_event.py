"""Matches events with the dispatchers of their environment, many events at a time."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from kongflow_events.application.deliver_in_steps import DeliverInSteps, StepBudget
from kongflow_events.application.deliveries import (
    DeliverEvent,
    bounded,
    dispatchers_taking,
    is_over,
    log_delivered,
)
from kongflow_events.application.ports import Delivery, DeliveryDesk, DueEvent
from kongflow_events.application.task_outcome import DONE, Snooze, TaskOutcome
from kongflow_events.domain.dispatcher_match import CompiledDispatcher, MatchableEvent
from kongflow_events.domain.event_record import EventRecord
from kongflow_filters import MAX_EVENT_STEPS

__all__ = ["DeliverEvents"]

_CANDIDATES_AT_ONCE: Final = 1_000
_STEPS_PER_CALL: Final = 20
_NOT_YET: Final = timedelta(0)
# A call ends within its deadline: events that are left when filters have taken so many steps wait
# for the next one.
_FILTER_STEPS_PER_CALL: Final = MAX_EVENT_STEPS // 2
_CONTINUE_AFTER: Final = timedelta(milliseconds=10)


class DeliverEvents:
    """Delivers events: each is matched, and an invocation is enqueued for each dispatcher.

    Idempotent. An event that is gone, cancelled, delivered or planned anew since is done; one
    that is due in the future, by the database's clock, is snoozed. Where dispatchers are more
    than fit into one transaction each event is delivered in steps.
    """

    def __init__(
        self,
        desk: DeliveryDesk,
        in_steps: DeliverInSteps,
        *,
        candidates_at_once: int = _CANDIDATES_AT_ONCE,
        steps_per_call: int = _STEPS_PER_CALL,
    ) -> None:
        self._desk = desk
        self._in_steps = in_steps
        self._candidates_at_once = candidates_at_once
        self._steps_per_call = steps_per_call

    async def __call__(self, commands: Sequence[DeliverEvent]) -> Sequence[TaskOutcome]:
        """What became of each command, in their order."""
        keys = [(command.event_record_id, command.environment_id) for command in commands]
        batch = await self._desk.read(keys, self._candidates_at_once)
        events = {event.record.id: event for event in batch.events}
        outcomes: list[TaskOutcome] = [DONE] * len(commands)
        due: dict[UUID, int] = {}
        for index, command in enumerate(commands):
            event = events.get(command.event_record_id)
            if event is None or is_over(event, command):
                continue
            if event.due_in > _NOT_YET:
                outcomes[index] = Snooze(event.due_in)
            else:
                due.setdefault(event.record.id, index)
        candidates = batch.candidates
        by_name = _Candidates(candidates) if candidates is not None else None
        deliveries: list[Delivery] = []
        budget = StepBudget(self._steps_per_call)
        asked = 0
        for record_id, index in due.items():
            event, traceparent = events[record_id], commands[index].traceparent
            if by_name is None or event.record.delivery_cursor is not None:
                outcomes[index] = await self._in_steps(event, traceparent, budget)
                continue
            if asked > _FILTER_STEPS_PER_CALL:
                outcomes[index] = Snooze(_CONTINUE_AFTER)
                continue
            matchable = _matchable(event)
            try:
                matched = await dispatchers_taking(
                    by_name.of(event.record), matchable, event.record
                )
            except Exception as error:  # noqa: BLE001 - one event must not fail its neighbours
                outcomes[index] = error
            else:
                deliveries.append(Delivery(event.record, matched, traceparent))
            asked += matchable.cost
        await self._settle(deliveries)
        return outcomes

    async def _settle(self, deliveries: Sequence[Delivery]) -> None:
        for part in bounded(deliveries):
            settled = await self._desk.settle(part)
            for delivery in part:
                if delivery.record.id in settled:
                    log_delivered(delivery)


class _Candidates:
    """The dispatchers that were read for a batch, by what their events are called."""

    def __init__(self, dispatchers: Sequence[CompiledDispatcher]) -> None:
        self._by_name: dict[tuple[UUID, str, str], list[CompiledDispatcher]] = {}
        self._of_patterns: dict[tuple[UUID, str], list[CompiledDispatcher]] = {}
        # In the order of their ids, so that it is the same ones that ask too much of an event.
        for dispatcher in sorted(dispatchers, key=lambda each: each.id):
            environment_id, source = dispatcher.environment_id, dispatcher.source
            if dispatcher.name_patterns:
                self._of_patterns.setdefault((environment_id, source), []).append(dispatcher)
                continue
            for name in dispatcher.event_names:
                self._by_name.setdefault((environment_id, name, source), []).append(dispatcher)

    def of(self, record: EventRecord) -> Iterator[CompiledDispatcher]:
        """Those that wait for events of this name and source."""
        environment_id, name, source = record.tenancy.environment_id, record.name, record.source
        yield from self._by_name.get((environment_id, name, source), ())
        for dispatcher in self._of_patterns.get((environment_id, source), ()):
            if dispatcher.takes_name(name):
                yield dispatcher


def _matchable(event: DueEvent) -> MatchableEvent:
    record = event.record
    # Parsed once for all candidates, and not at all where none looks at it.
    return MatchableEvent(record.payload_type, event.content, record.external_account_id)
