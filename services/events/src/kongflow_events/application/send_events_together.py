"""Takes many events in, all or none."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from kongflow_common.errors import Contended, FieldViolation, InvalidFields
from kongflow_common.loop_turns import LoopTurns
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.event_entry import Entrance, EventEntry, SendEvent
from kongflow_events.application.ports import (
    NewEvent,
    SchemasChanged,
    StoredEvent,
    UnitOfWorkFactory,
)
from kongflow_events.application.send_events import log_events

__all__ = ["SendEventsTogether"]

_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.05
_MOST_VIOLATIONS: Final = 20


class SendEventsTogether:
    """Stores events in one transaction, each by the rules of IngestSendEvent."""

    def __init__(self, unit_of_work: UnitOfWorkFactory, entry: EventEntry) -> None:
        self._unit_of_work = unit_of_work
        self._entry = entry

    async def __call__(
        self, commands: Iterable[SendEvent | InvalidFields]
    ) -> Sequence[StoredEvent]:
        """The record of each event, in their order.

        Raises InvalidFields when one of them is not valid: `requests[3].event.name`.
        """
        entrance = self._entry.begin()
        items = await self._prepared(entrance, commands)
        for attempt in range(1, _ATTEMPTS):
            try:
                return await self._store(entrance, items)
            except SchemasChanged:
                await entrance.renew(items[0][0])
                items = await self._prepared(entrance, [command for command, _ in items])
            except Contended:
                # Whoever was in the way goes first, or is met again.
                await asyncio.sleep(attempt * _PAUSE_SECONDS)
        return await self._store(entrance, items)

    async def _prepared(
        self, entrance: Entrance, commands: Iterable[SendEvent | InvalidFields]
    ) -> Sequence[tuple[SendEvent, NewEvent]]:
        turns, traceparent = LoopTurns(), current_traceparent()
        items: list[tuple[SendEvent, NewEvent]] = []
        violations: list[FieldViolation] = []
        for index, command in enumerate(commands):
            if turns.is_over:
                await turns.pass_on()
            try:
                if isinstance(command, InvalidFields):
                    raise command
                items.append((command, await entrance.prepare(command, traceparent=traceparent)))
            except InvalidFields as error:
                violations += _within(index, error)
            if len(violations) >= _MOST_VIOLATIONS:
                break
        if violations:
            raise InvalidFields(violations)
        return items

    async def _store(
        self, entrance: Entrance, items: Sequence[tuple[SendEvent, NewEvent]]
    ) -> Sequence[StoredEvent]:
        async with self._unit_of_work() as uow:
            outcomes = list(await uow.events.add_many([event for _, event in items]))
            repeated = [
                index for index, each in enumerate(outcomes) if self._entry.may_replace(each)
            ]
            # In one order everywhere; those of one event stay in theirs.
            for index in sorted(repeated, key=lambda index: items[index][1].event_id):
                command, event = items[index]
                event = await _current(entrance, index, command, event)
                repeat = await self._entry.send_again(uow, command, event)
                if repeat is None:
                    raise Contended("an event was deleted at this moment; send them again")
                outcomes[index] = StoredEvent(repeat.record, is_new=False)
            await uow.commit()
        for (_, event), outcome in zip(items, outcomes, strict=True):
            if outcome.is_new:
                self._entry.refresh(event, outcome)
        log_events(outcomes)
        return outcomes


async def _current(entrance: Entrance, index: int, command: SendEvent, event: NewEvent) -> NewEvent:
    try:
        return await entrance.current(command, event)
    except InvalidFields as error:
        raise InvalidFields(_within(index, error)) from None


def _within(index: int, error: InvalidFields) -> list[FieldViolation]:
    return [
        FieldViolation(f"requests[{index}].{each.field}", each.description)
        for each in error.violations
    ]
