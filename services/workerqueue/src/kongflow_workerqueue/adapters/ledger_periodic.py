"""Periodic jobs in the ledger: their moments, the jobs they store, and operators' orders."""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_workerqueue.adapters.audit_trail import note
from kongflow_workerqueue.adapters.job_rows import (
    LIMIT_COLUMNS,
    limits_document,
    microseconds,
    state_bits,
)
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.periodic_jobs import (
    DeclaredPeriodicJob,
    PeriodicJob,
    Tick,
)
from kongflow_workerqueue.domain.errors import PeriodicJobNotFound
from kongflow_workerqueue.domain.schedule import Schedule

_COLUMNS = """p.name, p.kind, p.cron, p.time_zone, p.next_at, p.last_at, p.last_job_id,
    p.paused_at"""

_DECLARED = RowParameters(
    "d",
    name="text",
    kind="text",
    args="jsonb",
    queue="text",
    priority="smallint",
    max_attempts="integer",
    unique_key="uuid",
    unique_for="bigint",
    unique_states="smallint",
    limits="jsonb",
    cron="text",
    time_zone="text",
    next_at="timestamptz",
)

_VALUES = """kind, args, queue, priority, max_attempts, unique_key, unique_for, unique_states,
    limits, cron, time_zone"""

_DECLARE = f"""
INSERT INTO workerqueue.periodic_jobs AS p (name, next_at, {_VALUES})
SELECT name, next_at, {_VALUES} FROM {_DECLARED.source}
ORDER BY name
ON CONFLICT (name) DO UPDATE SET
    ({_VALUES}) = (SELECT {", ".join(f"excluded.{name.strip()}" for name in _VALUES.split(","))}),
    next_at = CASE WHEN (p.cron, p.time_zone) = (excluded.cron, excluded.time_zone)
                   THEN p.next_at ELSE excluded.next_at END
"""

_DUE = f"""
SELECT {_COLUMNS}, now() FROM workerqueue.periodic_jobs p
WHERE p.paused_at IS NULL AND p.next_at <= now() AND p.name = ANY(%(names)b)
ORDER BY p.next_at
LIMIT %(limit)b::bigint
"""

# Before a moment's job is stored: whose window has passed gives its place up.
_GIVE_UP_PLACES = """
UPDATE workerqueue.queued_jobs j SET unique_key = NULL
FROM workerqueue.periodic_jobs p
WHERE p.name = ANY(%(names)b) AND j.unique_key = p.unique_key AND j.unique_until <= now()
"""

_TICKS = RowParameters("t", name="text", at="timestamptz", next_at="timestamptz", job_id="uuid")

_INSERT_JOBS = f"""
INSERT INTO workerqueue.queued_jobs AS j (
    id, kind, args, queue, priority, max_attempts, unique_key, unique_until, unique_states,
    metadata, {", ".join(LIMIT_COLUMNS)}, run_at, state)
SELECT n.job_id, n.kind, n.args, n.queue, n.priority, n.max_attempts, n.unique_key,
       now() + n.unique_for * interval '1 microsecond', n.unique_states,
       jsonb_build_object('periodic_job', n.name), {", ".join(LIMIT_COLUMNS.values())}, n.run_at,
       'available'
FROM moved n
ON CONFLICT DO NOTHING
RETURNING j.id, j.queue
"""

# The condition on next_at lets one scheduler of all move a periodic job on, and in the same
# statement it stores the job: no moment is had twice, and none is lost in between.
_TICK = f"""
WITH moved AS (
    UPDATE workerqueue.periodic_jobs p SET
        last_at = t.at, next_at = t.next_at
    FROM {_TICKS.source}
    WHERE p.name = t.name AND p.next_at = t.at AND p.next_at <= now() AND p.paused_at IS NULL
    RETURNING p.*, t.at AS run_at, t.job_id)
{_INSERT_JOBS}
"""

_RUN = f"""
WITH moved AS (
    SELECT p.*, now() AS run_at, %(job_id)b::uuid AS job_id FROM workerqueue.periodic_jobs p
    WHERE p.name = %(name)b::text)
{_INSERT_JOBS}
"""

# Of those that were stored: a job that counts as the same may have kept one out.
_NOTE_LAST = """
UPDATE workerqueue.periodic_jobs p SET last_job_id = j.id
FROM workerqueue.queued_jobs j
WHERE j.id = ANY(%(ids)b) AND p.name = j.metadata ->> 'periodic_job'
"""

_LIST = f"""
SELECT {_COLUMNS} FROM workerqueue.periodic_jobs p
WHERE p.name > %(after)b::text
ORDER BY p.name
LIMIT %(limit)b::bigint
"""

_LOCK = f"""
SELECT {_COLUMNS}, now(), p.queue FROM workerqueue.periodic_jobs p
WHERE p.name = %(name)b::text
FOR UPDATE
"""

_SET_PAUSED = f"""
UPDATE workerqueue.periodic_jobs p SET
    paused_at = CASE WHEN %(paused)b::boolean THEN now() END, next_at = %(next_at)b::timestamptz
WHERE p.name = %(name)b::text
RETURNING {_COLUMNS}
"""


class PostgresPeriodicLedger:
    """PeriodicLedger and PeriodicOperatorLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def now(self) -> datetime:
        """Return the database's time; see PeriodicLedger.now."""
        [(now,)] = await self._pool.execute("SELECT now()")
        return now  # type: ignore[no-any-return]

    async def declare(self, jobs: Sequence[tuple[DeclaredPeriodicJob, datetime]]) -> None:
        """Write periodic jobs down; see PeriodicLedger.declare."""
        rows = [
            (
                job.name,
                job.kind,
                job.args,
                job.queue,
                job.priority,
                job.max_attempts,
                job.unique_key,
                microseconds(job.unique.window) if job.unique else None,
                state_bits(job.unique.states) if job.unique else None,
                limits_document(job.limits),
                job.schedule.cron,
                job.schedule.time_zone,
                next_at,
            )
            for job, next_at in jobs
        ]
        await self._pool.execute(_DECLARE, dict(_DECLARED.bind(rows)))

    async def due(
        self, names: Collection[str], limit: int
    ) -> Sequence[tuple[PeriodicJob, datetime]]:
        """Return those whose moment has come; see PeriodicLedger.due."""
        rows = await self._pool.execute(
            _DUE, {"names": array_parameter("text", list(names)), "limit": limit}
        )
        return [(_read(row), row[-1]) for row in rows]

    async def tick(self, ticks: Sequence[Tick]) -> dict[str, int]:
        """Store the jobs of moments; see PeriodicLedger.tick."""
        names = array_parameter("text", [each.name for each in ticks])
        await self._pool.execute(_GIVE_UP_PLACES, {"names": names})
        rows = [(each.name, each.at, each.next_at, each.job_id) for each in ticks]
        filled: dict[str, int] = {}
        stored = await self._pool.execute(_TICK, dict(_TICKS.bind(rows)))
        for _, queue in stored:
            filled[queue] = filled.get(queue, 0) + 1
        if stored:
            ids = array_parameter("uuid", [id_ for id_, _ in stored])
            await self._pool.execute(_NOTE_LAST, {"ids": ids})
        return filled

    async def list(self, *, after: str, limit: int) -> Sequence[PeriodicJob]:
        """Return periodic jobs by name; see PeriodicOperatorLedger.list."""
        rows = await self._pool.execute(_LIST, {"after": after, "limit": limit})
        return [_read(row) for row in rows]

    async def pause(self, name: str, by: Intervention) -> PeriodicJob:
        """Pause one; see PeriodicOperatorLedger.pause."""
        async with self._transaction() as cursor:
            job, _, queue = await _lock(cursor, name)
            if job.paused_at is not None:
                return job
            return await _set_paused(cursor, job, queue, job.next_at, by, paused=True)

    async def resume(self, name: str, by: Intervention) -> PeriodicJob:
        """Resume one; see PeriodicOperatorLedger.resume."""
        async with self._transaction() as cursor:
            job, now, queue = await _lock(cursor, name)
            if job.paused_at is None:
                return job
            next_at = job.schedule.next_after(now)
            return await _set_paused(cursor, job, queue, next_at, by, paused=False)

    async def run(
        self, name: str, job_id: UUID, by: Intervention
    ) -> tuple[PeriodicJob, UUID | None]:
        """Store a job at once; see PeriodicOperatorLedger.run."""
        async with self._transaction() as cursor:
            job, _, queue = await _lock(cursor, name)
            await cursor.execute(_GIVE_UP_PLACES, {"names": array_parameter("text", [name])})
            await cursor.execute(_RUN, {"name": name, "job_id": job_id})
            stored = await cursor.fetchone()
            if stored:
                await cursor.execute(_NOTE_LAST, {"ids": array_parameter("uuid", [job_id])})
            await note(
                cursor,
                "run",
                by,
                queue=queue,
                kind=job.kind,
                job_id=job_id if stored else None,
                periodic_job=name,
            )
            job, _, _ = await _lock(cursor, name)
        return job, job_id if stored else None

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[psycopg.AsyncCursor[Any]]:
        async with self._pool.connection() as connection, connection.transaction():
            yield connection.cursor(binary=True)


async def _lock(cursor: psycopg.AsyncCursor[Any], name: str) -> tuple[PeriodicJob, datetime, str]:
    await cursor.execute(_LOCK, {"name": name})
    row = await cursor.fetchone()
    if row is None:
        raise PeriodicJobNotFound(name)
    return _read(row), row[-2], row[-1]


async def _set_paused(
    cursor: psycopg.AsyncCursor[Any],
    job: PeriodicJob,
    queue: str,
    next_at: datetime,
    by: Intervention,
    *,
    paused: bool,
) -> PeriodicJob:
    await cursor.execute(_SET_PAUSED, {"name": job.name, "paused": paused, "next_at": next_at})
    [row] = await cursor.fetchall()
    action = "pause" if paused else "resume"
    await note(cursor, action, by, queue=queue, kind=job.kind, periodic_job=job.name)
    return _read(row)


def _read(row: tuple[Any, ...]) -> PeriodicJob:
    name, kind, cron, time_zone, next_at, last_at, last_job_id, paused_at = row[:8]
    schedule = Schedule(cron, time_zone)
    return PeriodicJob(name, kind, schedule, next_at, last_at, last_job_id, paused_at)
