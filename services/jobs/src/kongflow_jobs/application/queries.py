"""Reads jobs and what belongs to them, for one environment."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from kongflow_common.filtering import FieldType, Filter, FilterField
from kongflow_jobs.application.ports import JobReader
from kongflow_jobs.domain.errors import JobNotFound, JobVersionNotFound
from kongflow_jobs.domain.job import (
    EventExample,
    Job,
    JobAlias,
    JobPlace,
    JobQueue,
    JobVersion,
    VersionStatus,
)

JOB_FILTER_FIELDS = (
    FilterField("slug", FieldType.TEXT),
    FilterField("internal", FieldType.BOOLEAN),
    FilterField("state", FieldType.ENUM, [status.value for status in VersionStatus]),
    FilterField("endpoint_id", FieldType.ID),
    FilterField("create_time", FieldType.TIME),
)
"""What a list of jobs may be filtered by."""


class JobQueries:
    """What clients may read; every answer is bounded by the caller's environment."""

    def __init__(self, reader: JobReader) -> None:
        self._reader = reader

    async def job(self, place: JobPlace, key: UUID | str) -> Job:
        """The job; raises JobNotFound."""
        job = await self._reader.find(place, key)
        if job is None:
            raise JobNotFound(key)
        return job

    async def jobs(
        self,
        place: JobPlace,
        where: Filter | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Job]:
        """The newest jobs that are older than ``before``."""
        return await self._reader.page(place, where, before, limit)

    async def version(self, environment_id: UUID, version_id: UUID) -> JobVersion:
        """The version; raises JobVersionNotFound."""
        version = await self._reader.find_version(environment_id, version_id)
        if version is None:
            raise JobVersionNotFound(version_id=version_id)
        return version

    async def versions(
        self, place: JobPlace, job_id: UUID, before: tuple[datetime, UUID] | None, limit: int
    ) -> Sequence[JobVersion]:
        """The newest versions of a job; raises JobNotFound."""
        await self.job(place, job_id)
        return await self._reader.versions(place.environment_id, job_id, before, limit)

    async def aliases(
        self, place: JobPlace, job_id: UUID, after: str, limit: int
    ) -> Sequence[JobAlias]:
        """The aliases of a job, by name; raises JobNotFound."""
        await self.job(place, job_id)
        return await self._reader.aliases(place.environment_id, job_id, after, limit)

    async def examples(
        self, environment_id: UUID, version_id: UUID, after: str, limit: int
    ) -> Sequence[EventExample]:
        """The examples of a version, by slug; raises JobVersionNotFound."""
        await self.version(environment_id, version_id)
        return await self._reader.examples(environment_id, version_id, after, limit)

    async def queues(self, environment_id: UUID, after: str, limit: int) -> Sequence[JobQueue]:
        """The queues of an environment, by name."""
        return await self._reader.queues(environment_id, after, limit)
