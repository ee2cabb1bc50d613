"""Makes single jobs available at an operator's word."""

from collections.abc import Collection
from uuid import UUID

import psycopg

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_workerqueue.application.ports import Admitted, InsertOutcome, InsertResult
from kongflow_workerqueue.domain.errors import (
    QueuedJobNotFound,
    QueuedJobReplaced,
    QueuedJobRunning,
)
from kongflow_workerqueue.domain.states import JobState, Priority

_LOCK = """
SELECT state FROM workerqueue.queued_jobs
WHERE id = %(id)b::uuid
  AND (%(environment_id)b::uuid IS NULL OR environment_id = %(environment_id)b::uuid)
FOR UPDATE
"""

_RETRY = """
UPDATE workerqueue.queued_jobs j SET
    state = 'available', turn = j.turn + 1, run_at = now(), finalized_at = NULL,
    waiting_for = NULL,
    attempt = CASE WHEN j.finalized_at IS NULL THEN j.attempt ELSE 0 END,
    admitted_at = CASE WHEN j.queue = ANY(%(admit_to)b) THEN now() END
WHERE j.id = %(id)b::uuid
RETURNING j.turn, j.priority, j.run_at, j.admitted_at IS NOT NULL
"""


class PostgresRetryLedger:
    """RetryLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def retry(
        self, id_: UUID, environment_id: UUID | None, *, admit_to: Collection[str]
    ) -> InsertOutcome:
        """Make a job available at once; see RetryLedger.retry."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_LOCK, {"id": id_, "environment_id": environment_id})
            row = await cursor.fetchone()
            if row is None:
                raise QueuedJobNotFound(id_)
            state = JobState(row[0])
            if state is JobState.RUNNING:
                raise QueuedJobRunning(id_)
            if state is JobState.AVAILABLE:
                return InsertOutcome(InsertResult.REPLACED, id_, available=True)
            try:
                await cursor.execute(
                    _RETRY, {"id": id_, "admit_to": array_parameter("text", list(admit_to))}
                )
            except psycopg.errors.UniqueViolation as error:
                raise QueuedJobReplaced(id_) from error
            [(turn, priority, run_at, admitted)] = await cursor.fetchall()
        return InsertOutcome(
            InsertResult.REPLACED,
            id_,
            available=True,
            admitted=Admitted(id_, turn, Priority(priority), run_at) if admitted else None,
        )
