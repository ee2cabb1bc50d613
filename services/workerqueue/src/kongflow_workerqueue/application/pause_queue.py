"""An operator pauses a queue, or resumes it."""

from typing import Protocol

from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.queue_queries import Queue, QueueQueries


class PauseLedger(Protocol):
    """The ledger as this use case asks it."""

    async def set_paused(self, queue: str, by: Intervention, *, paused: bool) -> None:
        """Pause or resume a queue, by a word to all workers; nothing if it is so already.

        From the commit on the ledger gives no job of a paused queue out. Raises QueueNotFound.
        """


class PauseQueue:
    """Stops the beginning of a queue's jobs, and lets it go on."""

    def __init__(self, ledger: PauseLedger, queries: QueueQueries) -> None:
        self._ledger = ledger
        self._queries = queries

    async def pause(self, queue: str, by: Intervention) -> Queue:
        """Pause a queue; return it as it stands then. Raises QueueNotFound."""
        await self._ledger.set_paused(queue, by, paused=True)
        return await self._queries.get(queue)

    async def resume(self, queue: str, by: Intervention) -> Queue:
        """Resume a queue; return it as it stands then. Raises QueueNotFound."""
        await self._ledger.set_paused(queue, by, paused=False)
        return await self._queries.get(queue)
