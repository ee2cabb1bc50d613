"""An operator has a queued job run now."""

from collections.abc import Collection
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.catalogue_ports import Catalogue
from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.enqueue_command import Edit, edit_of
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
        edit: Edit | None = None,
    ) -> InsertOutcome:
        """Make a job available at once, admitted if its queue is in `admit_to`.

        One that had ended has its attempts anew; one that is available already stays as it is.
        With `edit` it has other arguments from then on, if it is discarded.
        Raises QueuedJobNotFound, QueuedJobRunning, QueuedJobNotDiscarded and QueuedJobReplaced.
        """


class RetryQueuedJob:
    """Makes a queued job available at once."""

    def __init__(
        self,
        ledger: RetryLedger,
        queries: QueuedJobQueries,
        dispatch: Dispatch,
        catalogue: Catalogue,
    ) -> None:
        self._catalogue = catalogue
        self._ledger = ledger
        self._queries = queries
        self._dispatch = dispatch

    async def __call__(
        self,
        id_: UUID,
        environment_id: UUID | None,
        by: Intervention,
        *,
        args: bytes | None = None,
    ) -> QueuedJob:
        """Have the job run now, with `args` instead of its own; return it as it stands then.

        Raises InvalidField, QueuedJobNotFound, QueuedJobRunning, QueuedJobNotDiscarded and
        QueuedJobReplaced.
        """
        job = await self._queries.get(id_, environment_id)
        edit = edit_of(job, args, self._catalogue) if args is not None else None
        admit_to = await self._dispatch.queues_with_room([job.queue])
        outcome = await self._ledger.retry(id_, environment_id, by, admit_to=admit_to, edit=edit)
        await self._dispatch.hand_over([(job.queue, outcome)])
        return await self._queries.get(id_, environment_id)
