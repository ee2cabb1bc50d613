"""The ledger as the maintenance duties keep it going."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import array_parameter
from kongflow_workerqueue.adapters.job_rows import HOLDS_ITS_PLACE
from kongflow_workerqueue.adapters.ledger_admission import READMIT_STALE
from kongflow_workerqueue.adapters.suspicion_rows import LAPSE_SUSPICION
from kongflow_workerqueue.application.ports import Admitted, Pruned, QueueDepth, StaleEntry
from kongflow_workerqueue.domain.states import FINAL_STATES, JobState, Priority

SHORTEST_RETENTION = timedelta(hours=1)
"""Repeats of a command are recognised for at least this long after its job ended."""

_MAKE_DUE = """
WITH due AS (
    SELECT id FROM workerqueue.queued_jobs
    WHERE state IN ('scheduled', 'retryable') AND run_at <= now()
      AND (suspicion = 0 OR waiting_for NOT LIKE 'alone:%%')
    ORDER BY run_at
    LIMIT %(limit)b::bigint
    FOR UPDATE SKIP LOCKED),
made AS (
    UPDATE workerqueue.queued_jobs j SET state = 'available', turn = j.turn + 1
    FROM due WHERE j.id = due.id
    RETURNING j.queue)
SELECT queue, count(*) FROM made GROUP BY queue
"""

_NEXT_DUE = """
SELECT min(run_at) - now() FROM workerqueue.queued_jobs WHERE state IN ('scheduled', 'retryable')
"""

_TAKE_BACK_ORPHANS = f"""
WITH orphans AS (
    SELECT j.id FROM workerqueue.queued_jobs j
    WHERE j.state = 'running' AND NOT EXISTS (
        SELECT FROM workerqueue.worker_leases l
        WHERE l.worker_id = j.worker_id AND l.expires_at > now())
    LIMIT %(limit)b::bigint
    FOR UPDATE OF j SKIP LOCKED),
taken AS (
    UPDATE workerqueue.queued_jobs j SET
        state = 'available', worker_id = NULL, turn = j.turn + 1, lapses = j.lapses + 1,
        waiting_for = NULL, {LAPSE_SUSPICION}
    FROM orphans WHERE j.id = orphans.id
    RETURNING j.queue)
SELECT queue, count(*) FROM taken GROUP BY queue
"""

# A lease is not needed once it has ended: a running job without one counts as an orphan too.
_DROP_ENDED_LEASES = """
DELETE FROM workerqueue.worker_leases WHERE expires_at < now() - interval '1 minute'
"""


def _release(condition: str) -> str:
    return f"""
WITH waiting AS (
    SELECT id FROM workerqueue.queued_jobs
    WHERE state = 'scheduled' AND waiting_for = %(waiting_for)b::text {condition}
    LIMIT %(limit)b::bigint
    FOR UPDATE SKIP LOCKED),
released AS (
    UPDATE workerqueue.queued_jobs j SET
        state = 'available', turn = j.turn + 1, waiting_for = NULL, run_at = now()
    FROM waiting WHERE j.id = waiting.id
    RETURNING j.queue)
SELECT queue, count(*) FROM released GROUP BY queue
"""


_RELEASE_ALL = _release("")
_RELEASE_KINDS = _release("AND kind = ANY(%(kinds)b)")


# A window that outlasts the retention is kept all the same.
_IS_DISPENSABLE = (
    f"(unique_until IS NULL OR unique_until <= now() OR {HOLDS_ITS_PLACE} IS NOT TRUE)"
)


def _prune(state: JobState) -> str:
    return f"""
WITH old AS (
    SELECT id FROM workerqueue.queued_jobs
    WHERE state = '{state}' AND finalized_at < now() - %(age)b::interval
      AND {_IS_DISPENSABLE}
    ORDER BY finalized_at
    LIMIT %(limit)b::bigint
    FOR UPDATE SKIP LOCKED),
gone AS (
    DELETE FROM workerqueue.queued_jobs j USING old WHERE j.id = old.id RETURNING j.id)
SELECT count(*) FROM gone
"""


# A statement for each, which names its state: so each walks along an index of its own.
_PRUNE = {state: _prune(state) for state in sorted(FINAL_STATES)}

_PRUNE_RECEIPTS = """
WITH old AS (
    SELECT outbox_id FROM workerqueue.command_receipts
    WHERE received_at < now() - %(age)b::interval
    ORDER BY received_at
    LIMIT %(limit)b::bigint
    FOR UPDATE SKIP LOCKED),
gone AS (
    DELETE FROM workerqueue.command_receipts r USING old WHERE r.outbox_id = old.outbox_id
    RETURNING r.outbox_id)
SELECT count(*) FROM gone
"""

# One arm per partial index: no index covers all unfinished jobs, and the ended ones are many.
DEPTHS = """
SELECT queue, sum(available)::bigint, sum(running)::bigint, sum(waiting)::bigint,
       coalesce(now() - min(due), interval '0')
FROM (
    SELECT queue, count(*) AS available, 0 AS running, 0 AS waiting, min(run_at) AS due
    FROM workerqueue.queued_jobs
    WHERE state = 'available' AND admitted_at IS NULL AND limit_lane IS NULL GROUP BY queue
    UNION ALL
    SELECT queue, count(*), 0, 0, min(run_at)
    FROM workerqueue.queued_jobs
    WHERE state = 'available' AND admitted_at IS NULL AND limit_lane IS NOT NULL GROUP BY queue
    UNION ALL
    SELECT queue, count(*), 0, 0, min(run_at)
    FROM workerqueue.queued_jobs WHERE state = 'available' AND admitted_at IS NOT NULL
    GROUP BY queue
    UNION ALL
    SELECT queue, 0, count(*), 0, NULL
    FROM workerqueue.queued_jobs WHERE state = 'running' GROUP BY queue
    UNION ALL
    SELECT queue, 0, 0, count(*), NULL
    FROM workerqueue.queued_jobs WHERE state IN ('scheduled', 'retryable') GROUP BY queue
) AS counted
GROUP BY queue
"""

# A time that has passed says as much as no row.
_PRUNE_RATES = """
DELETE FROM workerqueue.rate_limits WHERE arrival_at < now() - interval '1 minute'
"""

_TRY_DUTY = """
INSERT INTO workerqueue.duties AS d (name, next_at)
VALUES (%(name)b::text, now() + %(every)b::interval)
ON CONFLICT (name) DO UPDATE SET next_at = excluded.next_at WHERE d.next_at <= now()
RETURNING d.name
"""


class PostgresMaintenanceLedger:
    """MaintenanceLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def make_due(self, limit: int) -> dict[str, int]:
        """Make jobs available whose time has come; see MaintenanceLedger.make_due."""
        return dict(await self._pool.execute(_MAKE_DUE, {"limit": limit}))

    async def next_due(self) -> timedelta | None:
        """Return the time to the next due job; see MaintenanceLedger.next_due."""
        [(wait,)] = await self._pool.execute(_NEXT_DUE)
        return wait  # type: ignore[no-any-return]

    async def take_back_orphans(self, limit: int) -> dict[str, int]:
        """Take jobs back whose lease ended; see MaintenanceLedger.take_back_orphans."""
        taken: dict[str, int] = dict(await self._pool.execute(_TAKE_BACK_ORPHANS, {"limit": limit}))
        await self._pool.execute(_DROP_ENDED_LEASES)
        return taken

    async def readmit_stale(self, *, older_than: timedelta, limit: int) -> list[StaleEntry]:
        """Return stale admissions; see MaintenanceLedger.readmit_stale."""
        rows = await self._pool.execute(READMIT_STALE, {"older_than": older_than, "limit": limit})
        stale = [
            StaleEntry(queue, Admitted(id_, turn, Priority(priority), run_at, admitted_at))
            for queue, id_, turn, priority, run_at, admitted_at in rows
        ]
        return sorted(stale, key=lambda each: (each.queue, each.entry.effective_at, each.entry.id))

    async def release_waiting(
        self, waiting_for: str, *, kinds: Collection[str] = (), limit: int = 1_000
    ) -> dict[str, int]:
        """Make waiting jobs available; see MaintenanceLedger.release_waiting."""
        parameters: dict[str, Any] = {"waiting_for": waiting_for, "limit": limit}
        if not kinds:
            return dict(await self._pool.execute(_RELEASE_ALL, parameters))
        parameters["kinds"] = array_parameter("text", list(kinds))
        return dict(await self._pool.execute(_RELEASE_KINDS, parameters))

    async def prune(self, kept_for: Mapping[JobState, timedelta], *, limit: int) -> Pruned:
        """Delete what has ended long ago; see MaintenanceLedger.prune."""
        ages = {state: max(age, SHORTEST_RETENTION) for state, age in kept_for.items()}
        jobs = [await self._count(_PRUNE[state], age, limit) for state, age in ages.items()]
        # A receipt counts from the command, a job from its end: the receipt of a command that
        # was merged into a long-lived job must not go before that job could have ended.
        age = max(ages.get(JobState.COMPLETED, SHORTEST_RETENTION), timedelta(days=1))
        receipts = await self._count(_PRUNE_RECEIPTS, age, limit)
        await self._pool.execute(_PRUNE_RATES)
        return Pruned(jobs=sum(jobs), receipts=receipts)

    async def _count(self, statement: str, age: timedelta, limit: int) -> int:
        [(count,)] = await self._pool.execute(statement, {"age": age, "limit": limit})
        return int(count)

    async def queue_depths(self) -> dict[str, QueueDepth]:
        """Count unfinished jobs; see MaintenanceLedger.queue_depths."""
        return {
            queue: QueueDepth(available, running, waiting, oldest_wait)
            for queue, available, running, waiting, oldest_wait in await self._pool.execute(DEPTHS)
        }

    async def try_duty(self, name: str, *, every: timedelta) -> bool:
        """Take a duty's turn; see MaintenanceLedger.try_duty."""
        return bool(await self._pool.execute(_TRY_DUTY, {"name": name, "every": every}))
