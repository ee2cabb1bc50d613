"""The ledger as operators step into it: each act is one transaction with its audit entry."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_workerqueue.adapters.audit_trail import note
from kongflow_workerqueue.adapters.job_rows import (
    INSERT_NEW_JOBS,
    KEEP_UNIQUE_KEY,
    NEW_JOBS,
    at_once,
    new_job_row,
)
from kongflow_workerqueue.adapters.wake_postgres import ORDERS_CHANNEL
from kongflow_workerqueue.application.enqueue_command import Edit
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import Admitted, InsertOutcome, InsertResult, NewJob
from kongflow_workerqueue.domain.errors import (
    QueuedJobEnded,
    QueuedJobNotDiscarded,
    QueuedJobNotEnded,
    QueuedJobNotFound,
    QueuedJobReplaced,
    QueuedJobRunning,
    QueueNotFound,
)
from kongflow_workerqueue.domain.limits import Limits, with_other_keys
from kongflow_workerqueue.domain.states import JobState, Priority

_LOCK = """
SELECT state, turn, queue, kind, environment_id FROM workerqueue.queued_jobs
WHERE id = %(id)b::uuid
  AND (%(environment_id)b::uuid IS NULL OR environment_id = %(environment_id)b::uuid)
FOR UPDATE
"""

_RETRY = f"""
UPDATE workerqueue.queued_jobs j SET
    state = 'available', turn = j.turn + 1, run_at = now(), finalized_at = NULL,
    waiting_for = NULL, unique_key = {KEEP_UNIQUE_KEY},
    attempt = CASE WHEN j.finalized_at IS NULL THEN j.attempt ELSE 0 END,
    suspicion = CASE WHEN j.finalized_at IS NULL THEN j.suspicion ELSE 0 END,
    admitted_at = CASE WHEN {at_once("j", "j.limit_lane")} THEN now() END
WHERE j.id = %(id)b::uuid
RETURNING j.turn, j.priority, j.run_at, j.admitted_at
"""

_EDIT = """
UPDATE workerqueue.queued_jobs SET
    args = %(args)b::text::jsonb,
    unique_key = CASE WHEN unique_key IS NOT NULL THEN %(unique_key)b::uuid END,
    limit_lane = %(lane)b::uuid, serial_key = %(serial_key)b::text,
    concurrency_key = %(concurrency_key)b::text, rate_key = %(rate_key)b::text
WHERE id = %(id)b::uuid
"""

_FORMER = """
SELECT args::text, limit_lane, serial_key, concurrency_key, rate_key
FROM workerqueue.queued_jobs WHERE id = %(id)b::uuid
"""

# The turn stays as it is: what the call still answers finds a job that does not run any more.
_CANCEL = """
UPDATE workerqueue.queued_jobs SET
    state = 'cancelled', finalized_at = now(), worker_id = NULL, admitted_at = NULL,
    waiting_for = NULL
WHERE id = %(id)b::uuid
"""

_DELETE = "DELETE FROM workerqueue.queued_jobs WHERE id = %(id)b::uuid"

# The row was what recognised a repeat of its command.
_LEAVE_RECEIPT = """
INSERT INTO workerqueue.command_receipts (outbox_id, job_id, result)
VALUES (%(id)b::uuid, %(id)b::uuid, 'removed')
ON CONFLICT DO NOTHING
"""

_ORDER = f"SELECT pg_notify('{ORDERS_CHANNEL}', %(order)b::text)"

# One arm per partial index: a misspelt name must not cost a walk through all that has ended.
_HOLDS_JOBS = " OR ".join(
    f"""EXISTS (SELECT FROM workerqueue.queued_jobs
            WHERE queue = %(queue)b::text AND {arm})"""
    for arm in (
        "state = 'available' AND admitted_at IS NULL AND limit_lane IS NULL",
        "state = 'available' AND admitted_at IS NULL AND limit_lane IS NOT NULL",
        "state = 'available' AND admitted_at IS NOT NULL",
        "state IN ('scheduled', 'retryable')",
        "state = 'running'",
    )
)

_NAME_QUEUE = f"""
INSERT INTO workerqueue.queues (name)
SELECT %(queue)b::text WHERE {_HOLDS_JOBS}
ON CONFLICT DO NOTHING
"""

_LOCK_QUEUE = """
SELECT paused_at IS NOT NULL FROM workerqueue.queues WHERE name = %(queue)b::text FOR UPDATE
"""

_SET_PAUSED = """
UPDATE workerqueue.queues SET paused_at = CASE WHEN %(paused)b::boolean THEN now() END
WHERE name = %(queue)b::text
"""


_LIMIT = "SELECT max_running FROM workerqueue.queues WHERE name = %(queue)b::text FOR UPDATE"

_SET_LIMIT = """
UPDATE workerqueue.queues SET max_running = %(max_running)b::integer WHERE name = %(queue)b::text
"""

# What stands in the window beyond the limit is not claimed any more: the queue's workers admit
# again what there is room for.
_WITHDRAW_QUEUE = """
UPDATE workerqueue.queued_jobs SET admitted_at = NULL
WHERE queue = %(queue)b::text AND state = 'available' AND admitted_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class _LockedJob:
    state: JobState
    turn: int
    queue: str
    kind: str
    environment_id: UUID | None


class PostgresOperatorLedger:
    """RetryLedger, CancelLedger, DeleteLedger, PauseLedger and QueueLimitLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def retry(
        self,
        id_: UUID,
        environment_id: UUID | None,
        by: Intervention,
        *,
        admit_to: Collection[str],
        edit: Edit | None = None,
    ) -> InsertOutcome:
        """Make a job available at once; see RetryLedger.retry."""
        async with self._transaction() as cursor:
            job = await _lock(cursor, id_, environment_id)
            if job.state is JobState.RUNNING:
                raise QueuedJobRunning(id_)
            if job.state is JobState.AVAILABLE and edit is None:
                return InsertOutcome(InsertResult.REPLACED, id_, available=True)
            try:
                if edit is not None:
                    await _edit(cursor, id_, job, edit, by)
                await cursor.execute(
                    _RETRY, {"id": id_, "admit_to": array_parameter("text", list(admit_to))}
                )
            except psycopg.errors.UniqueViolation as error:
                raise QueuedJobReplaced(id_) from error
            [(turn, priority, run_at, admitted)] = await cursor.fetchall()
            await _note_job(cursor, "retry", by, id_, job)
        return InsertOutcome(
            InsertResult.REPLACED,
            id_,
            available=True,
            admitted=Admitted(id_, turn, Priority(priority), run_at, admitted)
            if admitted
            else None,
        )

    async def cancel(
        self,
        id_: UUID,
        environment_id: UUID | None,
        by: Intervention,
        *,
        follow_up: NewJob | None,
    ) -> None:
        """Take a job back; see CancelLedger.cancel."""
        async with self._transaction() as cursor:
            job = await _lock(cursor, id_, environment_id)
            if job.state.is_final:
                raise QueuedJobEnded(id_)
            await cursor.execute(_CANCEL, {"id": id_})
            if follow_up is not None:
                parameters: dict[str, Any] = {
                    **NEW_JOBS.bind([new_job_row(follow_up)]),
                    "admit_to": array_parameter("text", []),
                }
                await cursor.execute(INSERT_NEW_JOBS, parameters)
            await _note_job(cursor, "cancel", by, id_, job)
            if job.state is JobState.RUNNING:
                await cursor.execute(_ORDER, {"order": f"{id_}:{job.turn}"})

    async def delete(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> None:
        """Delete an ended job; see DeleteLedger.delete."""
        async with self._transaction() as cursor:
            job = await _lock(cursor, id_, environment_id)
            if not job.state.is_final:
                raise QueuedJobNotEnded(id_)
            await cursor.execute(_LEAVE_RECEIPT, {"id": id_})
            await cursor.execute(_DELETE, {"id": id_})
            await _note_job(cursor, "delete", by, id_, job)

    async def set_paused(self, queue: str, by: Intervention, *, paused: bool) -> None:
        """Pause or resume a queue; see PauseLedger.set_paused."""
        async with self._transaction() as cursor:
            await cursor.execute(_NAME_QUEUE, {"queue": queue})
            await cursor.execute(_LOCK_QUEUE, {"queue": queue})
            row = await cursor.fetchone()
            if row is None:
                raise QueueNotFound(queue)
            if row[0] is paused:
                return
            await cursor.execute(_SET_PAUSED, {"queue": queue, "paused": paused})
            await note(cursor, "pause" if paused else "resume", by, queue=queue)
            await cursor.execute(_ORDER, {"order": ""})

    async def set_limit(self, queue: str, max_running: int | None, by: Intervention) -> None:
        """Limit a queue's running jobs; see QueueLimitLedger.set_limit."""
        async with self._transaction() as cursor:
            await cursor.execute(_NAME_QUEUE, {"queue": queue})
            await cursor.execute(_LIMIT, {"queue": queue})
            row = await cursor.fetchone()
            if row is None:
                raise QueueNotFound(queue)
            if row[0] == max_running:
                return
            await cursor.execute(_SET_LIMIT, {"queue": queue, "max_running": max_running})
            if max_running is not None:
                await cursor.execute(_WITHDRAW_QUEUE, {"queue": queue})
            await note(cursor, "limit", by, queue=queue, max_running=max_running)
            await cursor.execute(_ORDER, {"order": ""})

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
        async with self._pool.connection() as connection, connection.transaction():
            yield connection.cursor(binary=True)


async def _lock(
    cursor: psycopg.AsyncCursor[Any], id_: UUID, environment_id: UUID | None
) -> _LockedJob:
    await cursor.execute(_LOCK, {"id": id_, "environment_id": environment_id})
    row = await cursor.fetchone()
    if row is None:
        raise QueuedJobNotFound(id_)
    return _LockedJob(JobState(row[0]), *row[1:])


async def _edit(
    cursor: psycopg.AsyncCursor[Any], id_: UUID, job: _LockedJob, edit: Edit, by: Intervention
) -> None:
    if job.state is not JobState.DISCARDED:
        raise QueuedJobNotDiscarded(id_)
    await cursor.execute(_FORMER, {"id": id_})
    [(former_args, lane, serial_key, concurrency_key, rate_key)] = await cursor.fetchall()
    limits = None
    if lane is not None:
        limits = Limits(
            lane, serial_key=serial_key, concurrency_key=concurrency_key, rate_key=rate_key
        )
        limits = with_other_keys(limits, edit.former_limits, edit.limits)
    await cursor.execute(
        _EDIT,
        {
            "id": id_,
            "args": edit.args.decode(),
            "unique_key": edit.unique_key,
            "lane": limits and limits.lane,
            "serial_key": limits and limits.serial_key,
            "concurrency_key": limits and limits.concurrency_key,
            "rate_key": limits and limits.rate_key,
        },
    )
    await note(
        cursor,
        "edit",
        by,
        queue=job.queue,
        job_id=id_,
        environment_id=job.environment_id,
        kind=job.kind,
        former_args=former_args,
    )


async def _note_job(
    cursor: psycopg.AsyncCursor[Any], action: str, by: Intervention, id_: UUID, job: _LockedJob
) -> None:
    await note(
        cursor,
        action,
        by,
        queue=job.queue,
        job_id=id_,
        environment_id=job.environment_id,
        kind=job.kind,
    )
