"""Delivers the events whose dispatchers are known in memory, without reading one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from kongflow_events.application.deliveries import DeliverEvent, bounded, is_over, log_delivered
from kongflow_events.application.ports import (
    Delivery,
    DeliveryDesk,
    DispatcherDirectory,
    DueEvent,
)
from kongflow_events.application.task_outcome import DONE, TaskOutcome
from kongflow_events.domain.dispatcher_match import STEPS_AT_ONCE, MatchableEvent

__all__ = ["DeliverEventsFromMemory"]

_NOT_YET: Final = timedelta(0)
_MUCH: Final = STEPS_AT_ONCE // 10


class DeliverEventsFromMemory:
    """Goes first; what it cannot tell, or told too late, is left to `otherwise`.

    A delivery takes effect only as of the present version of its environment's dispatchers.
    """

    def __init__(
        self,
        desk: DeliveryDesk,
        directory: DispatcherDirectory,
        otherwise: Callable[[Sequence[DeliverEvent]], Awaitable[Sequence[TaskOutcome]]],
    ) -> None:
        self._desk = desk
        self._directory = directory
        self._otherwise = otherwise

    async def __call__(self, commands: Sequence[DeliverEvent]) -> Sequence[TaskOutcome]:
        """What became of each command, in their order."""
        keys = [(command.event_record_id, command.environment_id) for command in commands]
        events = {event.record.id: event for event in await self._desk.read_events(keys)}
        deliveries: dict[UUID, Delivery] = {}
        for command in commands:
            event = events.get(command.event_record_id)
            if event is not None and _is_due(event, command):
                delivery = await self._matched(event, command.traceparent)
                if delivery is not None:
                    deliveries.setdefault(event.record.id, delivery)
        settled = await self._settle(list(deliveries.values()))
        left = [each for each in commands if each.event_record_id not in settled]
        others = iter(await self._otherwise(left)) if left else iter(())
        return [
            DONE if command.event_record_id in settled else next(others) for command in commands
        ]

    async def _matched(self, event: DueEvent, traceparent: str) -> Delivery | None:
        record = event.record
        matchable = MatchableEvent(
            record.payload_type,
            event.content,
            record.external_account_id,
            at_most=STEPS_AT_ONCE,
        )
        matched = self._directory.match(
            record.tenancy.environment_id, record.name, record.source, matchable
        )
        if matchable.cost > _MUCH:
            # Of a batch of such events each would be waited for by all other calls.
            await asyncio.sleep(0)
        if matched is None:
            return None
        return Delivery(record, matched.dispatcher_ids, traceparent, matched.version)

    async def _settle(self, deliveries: Sequence[Delivery]) -> frozenset[UUID]:
        settled: set[UUID] = set()
        for part in bounded(deliveries):
            done = await self._desk.settle(part)
            settled.update(done)
            for delivery in part:
                if delivery.record.id in done:
                    log_delivered(delivery)
                else:
                    self._directory.refresh(delivery.record.tenancy.environment_id)
        return frozenset(settled)


def _is_due(event: DueEvent, command: DeliverEvent) -> bool:
    if is_over(event, command) or event.record.delivery_cursor is not None:
        return False
    return event.due_in <= _NOT_YET
