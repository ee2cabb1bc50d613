"""Deletes a version of a schema."""

from uuid import UUID

from kongflow_events.application.ports import UnitOfWorkFactory
from kongflow_events.domain.errors import EventSchemaNotFound

__all__ = ["DeleteEventSchema"]


class DeleteEventSchema:
    """Deletes the version; its number stays taken."""

    def __init__(self, unit_of_work: UnitOfWorkFactory) -> None:
        self._unit_of_work = unit_of_work

    async def __call__(self, environment_id: UUID, event_name: str, version: int) -> None:
        """Raises EventSchemaNotFound for a version that never was."""
        async with self._unit_of_work() as uow:
            await uow.schemas.lock(environment_id)
            if await uow.schemas.delete(environment_id, event_name, version):
                await uow.commit()
            elif not await uow.schemas.exists(environment_id, event_name, version):
                raise EventSchemaNotFound(event_name, version)
