"""Takes an event in, once per environment and event id."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from kongflow_common.clock import Clock
from kongflow_common.errors import Contended, InvalidField
from kongflow_common.ids import new_id
from kongflow_common.payload import EMPTY_OBJECT, JsonDocument
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.deliveries import log_delivered
from kongflow_events.application.ports import (
    Delivery,
    DispatcherDirectory,
    EventIntake,
    EventsUnitOfWork,
    NewEvent,
    UnitOfWorkFactory,
)
from kongflow_events.domain.dispatcher_match import MatchableEvent
from kongflow_events.domain.event_record import (
    DEFAULT_SOURCE,
    LAST_TIME,
    EventContent,
    EventRecord,
    PayloadType,
    Priority,
    Resent,
    Tenancy,
)

__all__ = ["IngestSendEvent", "SendEvent"]

_logger = logging.getLogger(__name__)

# An event that vanishes between two statements was deleted by retention; twice is no chance.
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class SendEvent:
    """An event as its sender wrote it; None is what was left out.

    At most one of `deliver_at` and `deliver_after` is set; a `deliver_after` of zero says
    nothing.
    """

    tenancy: Tenancy
    name: str
    event_id: str | None = None
    source: str | None = None
    timestamp: datetime | None = None
    payload: JsonDocument | None = None
    context: JsonDocument | None = None
    payload_type: PayloadType | None = None
    deliver_at: datetime | None = None
    deliver_after: timedelta | None = None
    account_id: str | None = None
    is_test: bool = False
    priority: Priority = Priority.HIGH


class IngestSendEvent:
    """Stores the event and plans its delivery, both or neither.

    One that is due at once is matched before it is stored, where that takes no reading, and so
    is delivered with the same transaction (docs/behaviour.md#delivering-an-event).
    Sent again, an event that is due in 5 seconds or more has its payload, context and delivery
    time replaced; any other is answered as it is stored.
    """

    def __init__(
        self,
        intake: EventIntake,
        unit_of_work: UnitOfWorkFactory,
        clock: Clock,
        directory: DispatcherDirectory | None = None,
    ) -> None:
        self._intake = intake
        self._unit_of_work = unit_of_work
        self._clock = clock
        self._directory = directory

    async def __call__(self, command: SendEvent) -> EventRecord:
        deliver_at = _deliver_at(command, self._clock)
        event = self._matched(_new_event(command, deliver_at))
        for _ in range(_ROUNDS):
            stored = await self._intake.add(event)
            if stored.is_new:
                self._note(event, stored.record)
                return stored.record
            record = stored.record
            # Most repeats are of events that are due already; they need no lock.
            if not record.is_replaceable(self._clock.now()):
                _log("event repeated", record)
                return record
            async with self._unit_of_work() as uow:
                again = await self._send_again(uow, command, event, deliver_at)
            if again is not None:
                return again
        raise Contended("the event with this id comes and goes; nothing was stored")

    def _matched(self, event: NewEvent) -> NewEvent:
        # Which account an event belongs to is known only once it is stored.
        if self._directory is None or event.deliver_at is not None or event.account_id is not None:
            return event
        matched = self._directory.match(
            event.tenancy.environment_id,
            event.name,
            event.source,
            MatchableEvent(event.payload_type, event.content),
        )
        return event if matched is None else replace(event, matched=matched)

    def _note(self, event: NewEvent, record: EventRecord) -> None:
        _log("event accepted", record)
        if event.matched is None:
            return
        if record.processed_at is not None:
            log_delivered(Delivery(record, event.matched.dispatcher_ids, event.traceparent))
        elif self._directory is not None:
            self._directory.refresh(event.tenancy.environment_id)

    async def _send_again(
        self,
        uow: EventsUnitOfWork,
        command: SendEvent,
        event: NewEvent,
        deliver_at: datetime | None,
    ) -> EventRecord | None:
        """Apply the rule for repeated events; None if the stored one is gone."""
        stored = await uow.events.lock(command.tenancy.environment_id, event.event_id)
        if stored is None:
            return None
        resent = Resent(command.payload, command.context, command.payload_type, deliver_at)
        replaced = stored.resend(resent, self._clock.now())
        if replaced is None:
            _log("event repeated", stored)
            return stored
        planned = await uow.events.replan(replaced, resent.payload, resent.context)
        await uow.queue.enqueue_deliver_event(
            planned, run_at=deliver_at, traceparent=event.traceparent
        )
        await uow.commit()
        _log("event replaced", planned)
        return planned


def _deliver_at(command: SendEvent, clock: Clock) -> datetime | None:
    if not command.deliver_after:
        return command.deliver_at
    now = clock.now()
    # Compared as durations: the sum may be beyond what a datetime holds.
    if command.deliver_after > LAST_TIME - now:
        raise InvalidField("deliver_after", "must end before the year 2101")
    return now + command.deliver_after


def _new_event(command: SendEvent, deliver_at: datetime | None) -> NewEvent:
    record_id = new_id()
    return NewEvent(
        id=record_id,
        event_id=command.event_id or str(record_id),
        name=command.name,
        source=command.source or DEFAULT_SOURCE,
        timestamp=command.timestamp,
        payload_type=command.payload_type or PayloadType.JSON,
        content=EventContent(command.payload or EMPTY_OBJECT, command.context or EMPTY_OBJECT),
        tenancy=command.tenancy,
        deliver_at=deliver_at,
        is_test=command.is_test,
        priority=command.priority,
        account_id=command.account_id,
        traceparent=current_traceparent(),
    )


def _log(message: str, record: EventRecord) -> None:
    _logger.info(
        message,
        extra={
            "fields": {
                "event_record_id": str(record.id),
                "event_id": record.event_id,
                "event_name": record.name,
                "environment_id": str(record.tenancy.environment_id),
            }
        },
    )
