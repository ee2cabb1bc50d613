"""An operator says how many jobs of a queue may run at once, over all workers."""

from typing import Protocol

from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.queue_queries import Queue, QueueQueries


class QueueLimitLedger(Protocol):
    """The ledger as this use case asks it."""

    async def set_limit(self, queue: str, max_running: int | None, by: Intervention) -> None:
        """Limit a queue's running jobs, or let it go on without limit when None.

        It holds for what is begun from the commit on. Raises QueueNotFound.
        """


class LimitQueue:
    """Limits the running jobs of a queue."""

    def __init__(self, ledger: QueueLimitLedger, queries: QueueQueries) -> None:
        self._ledger = ledger
        self._queries = queries

    async def __call__(self, queue: str, max_running: int | None, by: Intervention) -> Queue:
        """Set or take away the limit; return the queue as it stands then. Raises QueueNotFound."""
        await self._ledger.set_limit(queue, max_running, by)
        return await self._queries.get(queue)
