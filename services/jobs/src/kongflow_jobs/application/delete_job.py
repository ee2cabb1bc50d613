"""Deletes a job."""

from uuid import UUID

from kongflow_jobs.application.ports import Registry
from kongflow_jobs.domain.job import JobPlace


class DeleteJob:
    """Marks a job as deleted, until a program registers it again."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def __call__(self, place: JobPlace, job_id: UUID) -> None:
        """Raises JobNotFound, and JobNotDisabled while a latest version is active."""
        await self._registry.delete(place, job_id)
