"""Numbers pending runs and marks them queued, with one statement."""

from collections.abc import Sequence
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter

# The rows are locked first, in one order, so that two deliveries of one start do not meet in a
# deadlock; the second finds them no longer pending. Numbers are drawn per job in one step.
START = """
WITH pending AS (
    SELECT id, project_id, job_id FROM runs.job_runs
    WHERE id = ANY(%(ids)b) AND environment_id = %(environment_id)b AND status = 'PENDING'
    ORDER BY id
    FOR UPDATE
), drawn AS (
    INSERT INTO runs.job_counters AS counter (project_id, job_id, last_number)
    SELECT project_id, job_id, count(*) FROM pending
    GROUP BY project_id, job_id ORDER BY project_id, job_id
    ON CONFLICT (project_id, job_id)
        DO UPDATE SET last_number = counter.last_number + excluded.last_number
    RETURNING project_id, job_id, last_number
), ranked AS (
    SELECT id, project_id, job_id,
        rank() OVER (PARTITION BY project_id, job_id ORDER BY id DESC) - 1 AS behind_last
    FROM pending
)
UPDATE runs.job_runs AS run
SET status = 'QUEUED', queued_at = now(), number = drawn.last_number - ranked.behind_last
FROM ranked JOIN drawn USING (project_id, job_id)
WHERE run.id = ranked.id
RETURNING run.id
"""


class PostgresRunStarter:
    """The RunStarter on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Numbers the pending ones among the runs and marks them QUEUED."""
        rows = await self._database.pool.execute(
            START, {"ids": array_parameter("uuid", run_ids), "environment_id": environment_id}
        )
        return [row[0] for row in rows]
