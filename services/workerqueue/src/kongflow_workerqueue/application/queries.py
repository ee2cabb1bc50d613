"""What operators see of the queued jobs."""

from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

from kongflow_common.filtering import (
    And,
    Comparison,
    FieldType,
    Filter,
    FilterField,
    Operator,
    Or,
)
from kongflow_workerqueue.application.ports import JobPage, JobPlace, QueuedJob
from kongflow_workerqueue.domain.errors import QueuedJobNotFound
from kongflow_workerqueue.domain.outcome import StatusCode
from kongflow_workerqueue.domain.states import JobState, Priority

ARGUMENTS = "args"
"""The field of filters that holds what users sent."""

FILTER_FIELDS = (
    FilterField("state", FieldType.ENUM, [state.name for state in JobState]),
    FilterField("kind", FieldType.TEXT),
    FilterField("queue", FieldType.TEXT),
    FilterField("priority", FieldType.ENUM, [priority.name for priority in Priority]),
    FilterField("environment_id", FieldType.ID),
    FilterField("tag", FieldType.TEXT),
    FilterField("tags", FieldType.TEXTS),
    FilterField("error_code", FieldType.ENUM, [code.name for code in StatusCode]),
    FilterField("create_time", FieldType.TIME),
    FilterField("run_time", FieldType.TIME),
    FilterField("end_time", FieldType.TIME),
    FilterField(ARGUMENTS, FieldType.DOCUMENT),
)


class QueuedJobReader(Protocol):
    """Reads queued jobs; with an environment, only those of it."""

    async def find(self, id_: UUID, environment_id: UUID | None) -> QueuedJob | None:
        """Return a job, whole."""

    async def page(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        after: JobPlace | None,
        limit: int,
    ) -> JobPage:
        """Return jobs, newest first, those that come after a place in the list."""


class QueuedJobQueries:
    """Queries over queued jobs; with an environment, only those of it.

    A service sees the jobs of its own kinds, which `kinds_of` names; operators see all.
    """

    def __init__(
        self, reader: QueuedJobReader, kinds_of: Callable[[str], Sequence[str]] = lambda _: ()
    ) -> None:
        self._reader = reader
        self._kinds_of = kinds_of

    async def get(
        self, id_: UUID, environment_id: UUID | None, *, service: str | None = None
    ) -> QueuedJob:
        """Return a job, whole. Raises QueuedJobNotFound."""
        job = await self._reader.find(id_, environment_id)
        if job is None or (service is not None and job.kind not in self._kinds_of(service)):
            raise QueuedJobNotFound(id_)
        return job

    async def list(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        after: JobPlace | None,
        limit: int,
        service: str | None = None,
    ) -> JobPage:
        """Return jobs, newest first, those that come after a place in the list."""
        if service is not None:
            kinds = self._kinds_of(service)
            if not kinds:
                return JobPage((), None)
            own = Or(tuple(Comparison("kind", Operator.EQUAL, kind) for kind in kinds))
            condition = own if condition is None else And((own, condition))
        return await self._reader.page(environment_id, condition, after=after, limit=limit)
