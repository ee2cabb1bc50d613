"""Says what references to versions stand for, and which jobs are live."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_jobs.application.ports import VersionLookup
from kongflow_jobs.domain.job import LiveJob, ResolvedVersion, VersionReference


class ResolveJobVersions:
    """Finds the versions that aliases, numbers and ids stand for at this moment."""

    def __init__(self, lookup: VersionLookup) -> None:
        self._lookup = lookup

    async def __call__(
        self, references: Sequence[VersionReference]
    ) -> Sequence[ResolvedVersion | None]:
        """One result per reference; None where there is no such version."""
        return await self._lookup.resolve(references) if references else ()


class ListLiveJobs:
    """Finds the jobs that an index may find missing."""

    def __init__(self, lookup: VersionLookup) -> None:
        self._lookup = lookup

    async def __call__(
        self, environment_id: UUID, project_id: UUID, endpoint_id: UUID
    ) -> Sequence[LiveJob]:
        """The jobs whose latest version is active and belongs to the endpoint, by slug."""
        return await self._lookup.live_jobs(environment_id, project_id, endpoint_id)
