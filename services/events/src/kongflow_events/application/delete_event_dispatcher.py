"""Deletes a dispatcher."""

import logging
from uuid import UUID

from kongflow_common.tracing import current_traceparent
from kongflow_events.application.ports import EventKey, UnitOfWorkFactory
from kongflow_events.domain.errors import DispatcherKept, DispatcherNotFound

__all__ = ["DeleteEventDispatcher"]

_logger = logging.getLogger(__name__)


class DeleteEventDispatcher:
    """Deletes a dispatcher; the next event everywhere finds it gone. Its runs stay.

    Raises DispatcherNotFound, and DispatcherKept for one that follows its registered job.
    """

    def __init__(self, unit_of_work: UnitOfWorkFactory) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, environment_id: UUID, key: EventKey) -> None:
        async with self._unit_of_work() as uow:
            stored = await uow.dispatchers.lock(environment_id, key)
            if stored is None:
                raise DispatcherNotFound(key)
            if stored.is_kept:
                raise DispatcherKept(stored.dispatchable_id)
            await uow.dispatchers.delete(stored)
            if stored.is_ephemeral:
                await uow.queue.remove_expire_dispatcher(stored, traceparent=current_traceparent())
            await uow.commit()
        _logger.info(
            "dispatcher deleted",
            extra={
                "fields": {
                    "dispatcher_id": str(stored.id),
                    "dispatchable_id": stored.dispatchable_id,
                    "environment_id": str(environment_id),
                }
            },
        )
