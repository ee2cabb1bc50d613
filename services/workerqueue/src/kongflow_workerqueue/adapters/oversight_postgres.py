"""Looks at the ledger without changing it."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_workerqueue.adapters.job_rows import ENTRIES, entry_rows
from kongflow_workerqueue.application.oversight import Waiting

__all__ = ["PostgresOversight"]

_RUNNING = """
SELECT id, turn FROM workerqueue.queued_jobs
WHERE worker_id = %(worker_id)b::uuid AND state = 'running'
"""

# The state is a parameter for the reason that claims have: a lookup by id.
_CANCELLED = f"""
SELECT j.id, j.turn FROM {ENTRIES.source} JOIN workerqueue.queued_jobs j USING (id, turn)
WHERE j.state = %(cancelled)b::text
"""

_PAUSED = "SELECT name FROM workerqueue.queues WHERE paused_at IS NOT NULL"

_LIMITED = "SELECT name FROM workerqueue.queues WHERE max_running IS NOT NULL"

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

    async def cancelled(self, entries: Sequence[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
        """Tells what was cancelled; see Oversight.cancelled."""
        rows = await self._pool.execute(
            _CANCELLED, {**entry_rows(entries), "cancelled": "cancelled"}
        )
        return [(id_, turn) for id_, turn in rows]

    async def paused_queues(self) -> frozenset[str]:
        """Names the paused queues; see Oversight.paused_queues."""
        return frozenset([name for (name,) in await self._pool.execute(_PAUSED)])

    async def limited_queues(self) -> frozenset[str]:
        """Names the limited queues; see Oversight.limited_queues."""
        return frozenset([name for (name,) in await self._pool.execute(_LIMITED)])

    async def waiting(self) -> list[Waiting]:
        """Lists what waits; see Oversight.waiting."""
        return [Waiting(*row) for row in await self._pool.execute(_WAITING)]
