"""Takes an event in, once per environment and event id."""

import logging
from collections.abc import Mapping
from typing import Final

from kongflow_common.errors import Contended
from kongflow_common.ids import id_text
from kongflow_common.logging import GatheredLines
from kongflow_common.tracing import trace_id_of
from kongflow_events.application.deliveries import DELIVERED, delivered_fields
from kongflow_events.application.event_entry import EventEntry, SendEvent
from kongflow_events.application.ports import (
    EventIntake,
    NewEvent,
    SchemasChanged,
    StoredEvent,
    UnitOfWorkFactory,
)
from kongflow_events.domain.event_record import EventRecord

__all__ = ["IngestSendEvent"]

_logger = logging.getLogger(__name__)

# An event that vanishes between two statements was deleted by retention; twice is no chance.
_ROUNDS: Final = 3


class IngestSendEvent:
    """Stores the event and plans its delivery, both or neither.

    Sent again, an event that is due in 5 seconds or more has its payload, context and delivery
    time replaced; any other is answered as it is stored.
    """

    def __init__(
        self, intake: EventIntake, unit_of_work: UnitOfWorkFactory, entry: EventEntry
    ) -> None:
        self._intake = intake
        self._unit_of_work = unit_of_work
        self._entry = entry
        # Events of one transaction are answered in one turn of the loop.
        self._accepted = GatheredLines(_logger, "event accepted")
        self._delivered = GatheredLines(_logger, DELIVERED)

    async def __call__(self, command: SendEvent) -> EventRecord:
        entrance = self._entry.begin()
        event = await entrance.prepare(command)
        for _ in range(_ROUNDS):
            try:
                stored = await self._intake.add(event)
            except SchemasChanged:
                await entrance.renew(command)
                event = await entrance.prepare(command)
                continue
            if stored.is_new:
                self._note(event, stored)
                return stored.record
            if not self._entry.may_replace(stored):
                _log("event repeated", stored.record)
                return stored.record
            event = await entrance.current(command, event)
            async with self._unit_of_work() as uow:
                repeat = await self._entry.send_again(uow, command, event)
                if repeat is not None and repeat.replaced:
                    await uow.commit()
            if repeat is not None:
                _log("event replaced" if repeat.replaced else "event repeated", repeat.record)
                return repeat.record
        raise Contended("the event, or schemas, change all the time; nothing was stored")

    def _note(self, event: NewEvent, stored: StoredEvent) -> None:
        record, trace_id = stored.record, trace_id_of(event.traceparent)
        self._accepted.add(trace_id, _fields(record))
        if event.matched is None:
            return
        if record.processed_at is not None:
            self._delivered.add(trace_id, delivered_fields(record, event.matched.dispatcher_ids))
        self._entry.refresh(event, stored)


def _log(message: str, record: EventRecord) -> None:
    _logger.info(message, extra={"fields": _fields(record)})


def _fields(record: EventRecord) -> Mapping[str, object]:
    return {
        "event_record_id": id_text(record.id),
        "event_id": record.event_id,
        "event_name": record.name,
        "environment_id": id_text(record.tenancy.environment_id),
    }
