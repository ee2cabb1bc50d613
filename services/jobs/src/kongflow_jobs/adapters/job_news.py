"""What becomes of jobs, told in the transaction that it is the work of."""

from typing import Final
from uuid import UUID

from kongflow_common.clock import SystemClock
from kongflow_common.db.connection_pool import Connection
from kongflow_common.eventing.declared_data import JobDeleted, JobVersionData
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, published_event
from kongflow_common.eventing.event_type import EventType
from kongflow_common.eventing.published_rows import PublishedRows
from kongflow_common.eventing.typed_data import TypedData
from kongflow_common.ids import new_id
from kongflow_jobs.domain.job import JobPlace

__all__ = ["PostgresJobNews"]

_REGISTERED: Final = DECLARED_TYPES["job.registered"]
_DISABLED: Final = DECLARED_TYPES["job.disabled"]
_DELETED: Final = DECLARED_TYPES["job.deleted"]
_PUBLISHED: Final = PublishedRows("jobs")


class PostgresJobNews:
    """Tells of jobs of a place, within the transaction of `connection`."""

    def __init__(self, connection: Connection, place: JobPlace) -> None:
        self._connection = connection
        self._of_environment = Belonging(
            place.environment_id, place.project_id, place.organization_id
        )
        self._of_project = Belonging(None, place.project_id, place.organization_id)

    async def registered(self, job_id: UUID, slug: str, version: str) -> None:
        """Says that a version was registered."""
        data = JobVersionData(slug=slug, version=version)
        await self._publish(_REGISTERED, job_id, data, self._of_environment)

    async def disabled(self, job_id: UUID, slug: str, version: str) -> None:
        """Says that a version was disabled."""
        data = JobVersionData(slug=slug, version=version)
        await self._publish(_DISABLED, job_id, data, self._of_environment)

    async def deleted(self, job_id: UUID, slug: str) -> None:
        """Says that a job was deleted, which is its project's."""
        await self._publish(_DELETED, job_id, JobDeleted(slug=slug), self._of_project)

    async def _publish(
        self, type_: EventType, job_id: UUID, data: TypedData, belonging: Belonging
    ) -> None:
        event = published_event(
            type_, str(job_id), data, belonging=belonging, clock=SystemClock(), new_id=new_id
        )
        await self._connection.cursor(binary=True).execute(
            _PUBLISHED.insert, _PUBLISHED.bind([(event.id, event)])
        )
