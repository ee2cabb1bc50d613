"""What operators see of the queued jobs."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from kongflow_common.filtering import FieldType, Filter, FilterField
from kongflow_workerqueue.application.ports import QueuedJob
from kongflow_workerqueue.domain.errors import QueuedJobNotFound
from kongflow_workerqueue.domain.outcome import StatusCode
from kongflow_workerqueue.domain.states import JobState, Priority

FILTER_FIELDS = (
    FilterField("state", FieldType.ENUM, [state.name for state in JobState]),
    FilterField("kind", FieldType.TEXT),
    FilterField("queue", FieldType.TEXT),
    FilterField("priority", FieldType.ENUM, [priority.name for priority in Priority]),
    FilterField("environment_id", FieldType.ID),
    FilterField("tag", FieldType.TEXT),
    FilterField("error_code", FieldType.ENUM, [code.name for code in StatusCode]),
    FilterField("create_time", FieldType.TIME),
    FilterField("run_time", FieldType.TIME),
    FilterField("end_time", FieldType.TIME),
)


class QueuedJobReader(Protocol):
    """Reads queued jobs; with an environment, only those of it."""

    async def find(self, id_: UUID, environment_id: UUID | None) -> QueuedJob | None:
        """Return a job, whole."""

    async def newest(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[QueuedJob]:
        """Return jobs without arguments, newest first, those older than the job `before`."""


class QueuedJobQueries:
    """Queries over queued jobs; with an environment, only those of it."""

    def __init__(self, reader: QueuedJobReader) -> None:
        self._reader = reader

    async def get(self, id_: UUID, environment_id: UUID | None) -> QueuedJob:
        """Return a job, whole. Raises QueuedJobNotFound."""
        job = await self._reader.find(id_, environment_id)
        if job is None:
            raise QueuedJobNotFound(id_)
        return job

    async def list(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[QueuedJob]:
        """Return jobs without arguments, newest first, those older than the job `before`."""
        return await self._reader.newest(environment_id, condition, before=before, limit=limit)
