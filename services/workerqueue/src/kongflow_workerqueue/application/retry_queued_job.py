"""An operator has a queued job run now."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import InsertOutcome, QueuedJob
from kongflow_workerqueue.application.queries import QueuedJobQueries


class RetryLedger(Protocol):
    """The ledger as this use case asks it."""

    async def retry(
        self,
        id_: UUID,
        environment_id: UUID | None,
        by: Intervention,
        *,
        admit_to: Collection[str],
    ) -> InsertOutcome:
        """Make a job available at once, admitted if its queue is in `admit_to`.

        One that had ended has its attempts anew; one that is available already stays as it is.
        Raises QueuedJobNotFound, QueuedJobRunning and QueuedJobReplaced.
        """


class RetryQueuedJob:
    """Makes a queued job available at once."""

    def __init__(self, ledger: RetryLedger, queries: QueuedJobQueries, dispatch: Dispatch) -> None:
        self._ledger = ledger
        self._queries = queries
        self._dispatch = dispatch

    async def __call__(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> QueuedJob:
        """Have the job run now; return it as it stands then.

        Raises QueuedJobNotFound, QueuedJobRunning and QueuedJobReplaced.
        """
        job = await self._queries.get(id_, environment_id)
        admit_to = await self._dispatch.queues_with_room([job.queue])
        outcome = await self._ledger.retry(id_, environment_id, by, admit_to=admit_to)
        await self._dispatch.hand_over([(job.queue, outcome)])
        return await self._queries.get(id_, environment_id)
