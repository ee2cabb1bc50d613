"""Looks at the ledger without changing it."""

from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_workerqueue.application.oversight import Waiting

__all__ = ["PostgresOversight"]

_RUNNING = """
SELECT id, turn FROM workerqueue.queued_jobs
WHERE worker_id = %(worker_id)b::uuid AND state = 'running'
"""

# Since its creation: a job that is parked again and again moves its run time on.
_WAITING = """
SELECT waiting_for, kind, count(*), now() - min(created_at)
FROM workerqueue.queued_jobs
WHERE waiting_for IS NOT NULL AND state = 'scheduled'
GROUP BY waiting_for, kind
"""


class PostgresOversight:
    """Oversight in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def running(self, worker_id: UUID) -> list[tuple[UUID, int]]:
        """Lists what runs under a lease; see Oversight.running."""
        rows = await self._pool.execute(_RUNNING, {"worker_id": worker_id})
        return [(id_, turn) for id_, turn in rows]

    async def waiting(self) -> list[Waiting]:
        """Lists what waits; see Oversight.waiting."""
        return [Waiting(*row) for row in await self._pool.execute(_WAITING)]
