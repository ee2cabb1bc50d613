"""Has a dispatcher take events, or take none."""

import logging
from uuid import UUID

from kongflow_events.application.ports import EventKey, UnitOfWorkFactory
from kongflow_events.domain.errors import DispatcherKept, DispatcherNotFound
from kongflow_events.domain.event_dispatcher import EventDispatcher

__all__ = ["SwitchEventDispatcher"]

_logger = logging.getLogger(__name__)


class SwitchEventDispatcher:
    """Enables or disables a dispatcher; the next event everywhere finds it so. Idempotent.

    What a disabled one took before and was not invoked for starts nothing. Raises
    DispatcherNotFound, and DispatcherKept for one that follows its registered job.
    """

    def __init__(self, unit_of_work: UnitOfWorkFactory) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(
        self, environment_id: UUID, key: EventKey, *, enabled: bool
    ) -> EventDispatcher:
        async with self._unit_of_work() as uow:
            stored = await uow.dispatchers.lock(environment_id, key)
            if stored is None:
                raise DispatcherNotFound(key)
            if stored.is_kept:
                raise DispatcherKept(stored.dispatchable_id)
            if stored.specification.enabled == enabled:
                return stored
            await uow.dispatchers.switch(stored, enabled=enabled)
            switched = await uow.dispatchers.lock(environment_id, stored.id)
            await uow.commit()
        if switched is None:
            raise DispatcherNotFound(key)
        _logger.info(
            "dispatcher enabled" if enabled else "dispatcher disabled",
            extra={
                "fields": {
                    "dispatcher_id": str(switched.id),
                    "environment_id": str(environment_id),
                }
            },
        )
        return switched
