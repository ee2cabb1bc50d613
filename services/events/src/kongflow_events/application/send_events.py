"""Takes many events in, each with a result of its own."""

import asyncio
import logging
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Final, TypeAlias

from kongflow_common.batcher import is_data_error
from kongflow_common.errors import Contended, DependencyUnavailable, InvalidFields
from kongflow_common.loop_turns import LoopTurns
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.event_entry import EventEntry, SendEvent
from kongflow_events.application.ports import (
    EventIntake,
    NewEvent,
    SchemasChanged,
    StoredEvent,
    UnitOfWorkFactory,
)
from kongflow_events.domain.event_record import EventState

__all__ = ["SendEvents", "SentEvent", "log_events"]

_logger = logging.getLogger(__name__)

SentEvent: TypeAlias = StoredEvent | Exception
"""What became of an event: its record, or why it was refused."""

# Named once, as in new_event.py.
_PENDING: Final = EventState.PENDING
_PART_EVENTS: Final = 300
# Until there is a part the database has nothing to do: the first is a small one.
_FIRST_PART_EVENTS: Final = 200
_PART_BYTES: Final = 4 * 1024 * 1024
# While the database works on one the next is on its way to it.
_PARTS_AT_ONCE: Final = 2
_REPEATS_AT_ONCE: Final = 100
_ROUNDS: Final = 3


# Not frozen, as SendEvent.
@dataclass(slots=True)
class _Item:
    """An event on its way, and its place among the others."""

    place: int
    command: SendEvent
    event: NewEvent


class SendEvents:
    """Stores events part by part, each as IngestSendEvent would.

    While two parts are stored the next is made ready; no more than these three are held. Parts
    that share an event id are stored one after the other, so that a repeat comes second.
    """

    def __init__(
        self, intake: EventIntake, unit_of_work: UnitOfWorkFactory, entry: EventEntry
    ) -> None:
        self._intake = intake
        self._unit_of_work = unit_of_work
        self._entry = entry

    async def __call__(self, commands: Iterable[SendEvent | InvalidFields]) -> Sequence[SentEvent]:
        """One outcome per command, in their order.

        Raises DependencyUnavailable or Contended when for that nothing was stored; later it is
        the outcome of all that are left.
        """
        call = _Call(self._intake, self._unit_of_work, self._entry)
        try:
            await call.take(commands)
        finally:
            await call.end()
        if call.failure is not None and not any(
            isinstance(each, StoredEvent) for each in call.outcomes
        ):
            raise call.failure
        outcomes = [each if each is not None else Contended() for each in call.outcomes]
        log_events(outcomes)
        return outcomes


class _Call:
    """The events of one call."""

    def __init__(
        self, intake: EventIntake, unit_of_work: UnitOfWorkFactory, entry: EventEntry
    ) -> None:
        self._intake = intake
        self._unit_of_work = unit_of_work
        self._entry = entry
        self._entrance = entry.begin()
        self._storing: list[tuple[asyncio.Task[None], Set[str]]] = []
        """The parts that are being stored, oldest first, with the ids of their events."""
        self.outcomes: list[SentEvent | None] = []
        self.failure: DependencyUnavailable | Contended | None = None
        """Why no more are stored."""

    async def take(self, commands: Iterable[SendEvent | InvalidFields]) -> None:
        """Store the events, or say why not."""
        turns, traceparent = LoopTurns(), current_traceparent()
        part: list[_Item] = []
        size, most = 0, _FIRST_PART_EVENTS
        for place, command in enumerate(commands):
            if turns.is_over:
                await turns.pass_on()
            # What its outcome is, if nothing more is said of it.
            self.outcomes.append(self.failure)
            if self.failure is not None:
                continue
            if isinstance(command, InvalidFields):
                self.outcomes[place] = command
                continue
            try:
                event = self._entrance.prepare_now(command, traceparent=traceparent)
                if event is None:
                    event = await self._entrance.prepare(command, traceparent=traceparent)
            except InvalidFields as error:
                self.outcomes[place] = error
                continue
            part.append(_Item(place, command, event))
            size += len(event.content.payload.text) + len(event.content.context.text)
            if len(part) >= most or size >= _PART_BYTES:
                await self._begin(part)
                # So that it is sent before the next is made ready, not when a turn is over.
                await turns.pass_on()
                part, size, most = [], 0, _PART_EVENTS
        if part:
            await self._begin(part)
        while self._storing:
            await self._oldest()

    async def end(self) -> None:
        """Leave nothing running behind, also when the call was cancelled."""
        for storing, _ in self._storing:
            storing.cancel()
        await asyncio.gather(*(storing for storing, _ in self._storing), return_exceptions=True)

    async def _begin(self, part: Sequence[_Item]) -> None:
        """Have a part stored, when there is room and nothing that it may repeat is under way."""
        ids = {item.event.event_id for item in part}
        while len(self._storing) >= _PARTS_AT_ONCE or any(
            not ids.isdisjoint(others) for _, others in self._storing
        ):
            await self._oldest()
        self._storing.append((asyncio.create_task(self._store(part)), ids))

    async def _oldest(self) -> None:
        """Wait for the part that was begun first; raises as storing it did."""
        storing, _ = self._storing[0]
        await storing
        del self._storing[0]

    async def _store(self, part: Sequence[_Item]) -> None:
        try:
            if self.failure is None:
                await self._add(part)
        except (DependencyUnavailable, Contended) as error:
            self.failure = error
        for item in part:
            if self.outcomes[item.place] is None:
                self.outcomes[item.place] = self.failure

    async def _add(self, part: Sequence[_Item], *, rounds: int = _ROUNDS) -> None:
        repeats: list[_Item] = []
        outdated: list[_Item] = []
        stored = await self._intake.add_many([item.event for item in part])
        for item, outcome in zip(part, stored, strict=True):
            self.outcomes[item.place] = outcome
            if isinstance(outcome, Exception):
                if isinstance(outcome, SchemasChanged):
                    outdated.append(item)
                continue
            if outcome.is_new:
                self._entry.refresh(item.event, outcome)
            elif self._entry.may_replace(outcome):
                repeats += await self._current(item)
        # In one order everywhere, so that two calls do not wait for each other crosswise; those
        # of one event stay in theirs.
        repeats.sort(key=lambda item: item.event.event_id)
        for start in range(0, len(repeats), _REPEATS_AT_ONCE):
            await self._send_again(repeats[start : start + _REPEATS_AT_ONCE])
        if outdated and rounds > 1:
            await self._add(await self._checked_again(outdated), rounds=rounds - 1)

    async def _current(self, item: _Item) -> Sequence[_Item]:
        try:
            event = await self._entrance.current(item.command, item.event)
        except InvalidFields as error:
            self.outcomes[item.place] = error
            return ()
        return (_Item(item.place, item.command, event),)

    async def _checked_again(self, items: Sequence[_Item]) -> Sequence[_Item]:
        """The events that fit the present schemas too."""
        await self._entrance.renew(items[0].command)
        again: list[_Item] = []
        for item in items:
            try:
                event = await self._entrance.prepare(
                    item.command, traceparent=item.event.traceparent
                )
            except InvalidFields as error:
                self.outcomes[item.place] = error
            else:
                again.append(_Item(item.place, item.command, event))
        return again

    async def _send_again(self, items: Sequence[_Item]) -> None:
        """Apply the rule for repeated events, in one transaction; one bad event fails alone."""
        for item in items:
            self.outcomes[item.place] = None
        try:
            async with self._unit_of_work() as uow:
                repeats = [await self._entry.send_again(uow, i.command, i.event) for i in items]
                await uow.commit()
        except Exception as error:
            if not is_data_error(error):
                raise
            if len(items) == 1:
                self.outcomes[items[0].place] = error
                return
            middle = len(items) // 2
            await self._send_again(items[:middle])
            await self._send_again(items[middle:])
            return
        for item, repeat in zip(items, repeats, strict=True):
            self.outcomes[item.place] = (
                StoredEvent(repeat.record, is_new=False)
                if repeat is not None
                else Contended("the event with this id was deleted at this moment; send it again")
            )


def log_events(outcomes: Sequence[SentEvent]) -> None:
    """Say what came in, in one line: one for each event would take longer than the events."""
    stored = [each for each in outcomes if isinstance(each, StoredEvent)]
    new = [each for each in stored if each.is_new]
    _logger.info(
        "events accepted",
        extra={
            "fields": {
                "accepted": len(new),
                "delivered": sum(each.state is not _PENDING for each in new),
                "repeated": len(stored) - len(new),
                "refused": len(outcomes) - len(stored),
                **(
                    {"environment_id": str(stored[0].record.tenancy.environment_id)}
                    if stored
                    else {}
                ),
            }
        },
    )
