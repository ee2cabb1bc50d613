"""Takes an event back before it is delivered."""

import logging
from uuid import UUID

from kongflow_common.clock import Clock
from kongflow_common.tracing import current_traceparent
from kongflow_events.application.ports import EventKey, UnitOfWorkFactory
from kongflow_events.domain.errors import EventNotFound
from kongflow_events.domain.event_record import EventRecord

__all__ = ["CancelEvent"]

_logger = logging.getLogger(__name__)


class CancelEvent:
    """Cancels the event and removes its queued delivery, both or neither. Idempotent.

    A delivery that runs at this moment finds the event cancelled, or makes the cancelling
    fail with EventDeliveryBegun; never both. Raises EventNotFound.
    """

    def __init__(self, unit_of_work: UnitOfWorkFactory, clock: Clock) -> None:
        self._unit_of_work = unit_of_work
        self._clock = clock

    async def __call__(self, environment_id: UUID, key: EventKey) -> EventRecord:
        async with self._unit_of_work() as uow:
            stored = await uow.events.lock(environment_id, key)
            if stored is None:
                raise EventNotFound(key)
            cancelled = stored.cancel(self._clock.now())
            if cancelled is stored:
                return stored
            written = await uow.events.cancel(cancelled)
            await uow.queue.remove_deliver_event(written, traceparent=current_traceparent())
            await uow.news.cancelled(written)
            await uow.commit()
        _logger.info(
            "event cancelled",
            extra={
                "fields": {
                    "event_record_id": str(written.id),
                    "event_id": written.event_id,
                    "environment_id": str(environment_id),
                }
            },
        )
        return written
