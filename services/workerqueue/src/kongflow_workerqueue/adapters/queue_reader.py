"""Reads queues for operators."""

from collections.abc import Sequence
from datetime import timedelta

from kongflow_common.db.engine import Database
from kongflow_workerqueue.adapters.ledger_maintenance import DEPTHS
from kongflow_workerqueue.application.ports import QueueDepth
from kongflow_workerqueue.application.queue_queries import EnvironmentShare, Queue, Throughput

_QUEUES = "SELECT name, paused_at FROM workerqueue.queues"

_DISCARDED = """
SELECT count(*) FROM workerqueue.queued_jobs
WHERE state = 'discarded' AND queue = %(queue)b::text
"""

# One arm per partial index over the times at which jobs ended. The order leads the planner to them,
# and OFFSET 0 away from the index of groups, which knows the queue and all that ever ended in it.
_THROUGHPUT = """
SELECT state, count(*) FROM (
    SELECT state, queue FROM workerqueue.queued_jobs
    WHERE state IN ('completed', 'cancelled') AND finalized_at > now() - %(within)b::interval
    ORDER BY finalized_at DESC OFFSET 0) AS ended
WHERE queue = %(queue)b::text
GROUP BY state
UNION ALL
SELECT state, count(*) FROM (
    SELECT state, queue FROM workerqueue.queued_jobs
    WHERE state = 'discarded' AND finalized_at > now() - %(within)b::interval
    ORDER BY finalized_at DESC OFFSET 0) AS given_up
WHERE queue = %(queue)b::text
GROUP BY state
"""

# One arm per partial index: no index covers all unfinished jobs.
_SHARES = """
SELECT environment_id, sum(unfinished)::bigint, sum(running)::bigint
FROM (
    SELECT environment_id, count(*) AS unfinished, 0 AS running FROM workerqueue.queued_jobs
    WHERE queue = %(queue)b::text AND state = 'available' AND admitted_at IS NULL
    GROUP BY environment_id
    UNION ALL
    SELECT environment_id, count(*), 0 FROM workerqueue.queued_jobs
    WHERE queue = %(queue)b::text AND state = 'available' AND admitted_at IS NOT NULL
    GROUP BY environment_id
    UNION ALL
    SELECT environment_id, count(*), count(*) FROM workerqueue.queued_jobs
    WHERE queue = %(queue)b::text AND state = 'running'
    GROUP BY environment_id
    UNION ALL
    SELECT environment_id, count(*), 0 FROM workerqueue.queued_jobs
    WHERE queue = %(queue)b::text AND state IN ('scheduled', 'retryable')
    GROUP BY environment_id
) AS counted
GROUP BY environment_id
ORDER BY 2 DESC, environment_id
LIMIT 100
"""

_NOTHING = QueueDepth(available=0, running=0, waiting=0, oldest_wait=timedelta())


class PostgresQueueReader:
    """QueueReader in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def all(self) -> Sequence[Queue]:
        """Return every queue; see QueueReader.all."""
        depths = {name: QueueDepth(*counts) for name, *counts in await self._pool.execute(DEPTHS)}
        paused = dict(await self._pool.execute(_QUEUES))
        return [
            Queue(name, paused.get(name), depths.get(name, _NOTHING))
            for name in sorted(depths.keys() | paused.keys())
        ]

    async def discarded(self, queue: str) -> int:
        """Count dead letters; see QueueReader.discarded."""
        [(count,)] = await self._pool.execute(_DISCARDED, {"queue": queue})
        return int(count)

    async def throughput(self, queue: str, within: timedelta) -> Throughput:
        """Count what ended of late; see QueueReader.throughput."""
        rows = await self._pool.execute(_THROUGHPUT, {"queue": queue, "within": within})
        return Throughput(**dict(rows))

    async def shares(self, queue: str) -> Sequence[EnvironmentShare]:
        """Return the environments' shares; see QueueReader.shares."""
        rows = await self._pool.execute(_SHARES, {"queue": queue})
        return [EnvironmentShare(*row) for row in rows]
