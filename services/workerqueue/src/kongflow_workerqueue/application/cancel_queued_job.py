"""An operator takes a queued job back before it has ended."""

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import NewJob, QueuedJob
from kongflow_workerqueue.application.queries import QueuedJobQueries
from kongflow_workerqueue.application.targets import KindCatalogue
from kongflow_workerqueue.domain.discard import Discard
from kongflow_workerqueue.domain.outcome import CallStatus, StatusCode

_WHY = CallStatus(StatusCode.CANCELLED, "The queued job was cancelled by an operator.")


class CancelLedger(Protocol):
    """The ledger as this use case asks it."""

    async def cancel(
        self,
        id_: UUID,
        environment_id: UUID | None,
        by: Intervention,
        *,
        follow_up: NewJob | None,
    ) -> None:
        """Cancel a job, store `follow_up` with it, and tell the worker that runs it.

        Raises QueuedJobNotFound and QueuedJobEnded.
        """


class CancelQueuedJob:
    """Cancels a queued job, whether it waits or runs."""

    def __init__(
        self,
        ledger: CancelLedger,
        queries: QueuedJobQueries,
        catalogue: KindCatalogue,
        new_id: Callable[[], UUID],
    ) -> None:
        self._ledger = ledger
        self._queries = queries
        self._catalogue = catalogue
        self._new_id = new_id

    async def __call__(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> QueuedJob:
        """Take the job back; return it as it stands then.

        Whoever waits for what the job would have done is told by its kind's discarded method.
        Raises QueuedJobNotFound and QueuedJobEnded.
        """
        job = await self._queries.get(id_, environment_id)
        await self._ledger.cancel(id_, environment_id, by, follow_up=self._follow_up(job))
        return await self._queries.get(id_, environment_id)

    def _follow_up(self, job: QueuedJob) -> NewJob | None:
        kind = self._catalogue.find(job.kind)
        if kind is None or kind.discarded_kind is None or job.args is None:
            return None
        discarded = kind.discarded_kind
        args = kind.discarded_args(
            job.args, Discard(status=_WHY, attempts=job.attempt, queued_job_id=job.id)
        )
        return NewJob(
            id=self._new_id(),
            kind=discarded.kind,
            args=args,
            queue=discarded.queue,
            priority=discarded.priority,
            max_attempts=discarded.max_attempts,
            environment_id=job.environment_id,
            traceparent=job.traceparent,
            limits=discarded.limits_for(job.environment_id, args),
        )
