"""The worker's side of the ledger: leases, claims, outcomes."""

from collections.abc import Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson

from kongflow_common.db.engine import Database
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_workerqueue.adapters.attempt_errors import dump_status
from kongflow_workerqueue.adapters.job_rows import (
    CLAIMED_COLUMNS,
    ENTRIES,
    GIVE_UP_WAITING_PLACE,
    INSERT_NEW_JOBS,
    NEW_JOBS,
    claimed_job,
    entry_rows,
    new_job_row,
)
from kongflow_workerqueue.adapters.ledger_admission import NOT_PAUSED
from kongflow_workerqueue.adapters.ledger_order import first_waiting
from kongflow_workerqueue.adapters.suspicion_rows import (
    CLAIM_SUSPECTS,
    SUSPECT,
    SUSPECTED,
    suspect_rows,
)
from kongflow_workerqueue.application.ports import ClaimedJob, FinishedJob
from kongflow_workerqueue.domain.outcome import COMPLETED

LEASE = timedelta(seconds=7)
"""How long a lease lasts without being renewed."""

_REGISTER = """
INSERT INTO workerqueue.worker_leases (worker_id, host, pid, expires_at)
VALUES (%(worker_id)b::uuid, %(host)b::text, %(pid)b::integer, now() + %(lease)b::interval)
"""

_RENEW = """
UPDATE workerqueue.worker_leases SET expires_at = now() + %(lease)b::interval
WHERE worker_id = %(worker_id)b::uuid AND expires_at > now()
RETURNING worker_id
"""

_REMOVE = "DELETE FROM workerqueue.worker_leases WHERE worker_id = %(worker_id)b::uuid"

_LIVING = """EXISTS (
    SELECT FROM workerqueue.worker_leases l
    WHERE l.worker_id = %(worker_id)b::uuid AND l.expires_at > now())"""

_TAKE = f"""state = 'running', worker_id = %(worker_id)b::uuid, attempted_at = now(),
    admitted_at = NULL, waiting_for = NULL,
    {GIVE_UP_WAITING_PLACE}"""

# Where a statement looks rows up by id, the state it demands is a parameter: for a constant there
# is a partial index, and the planner would rather walk through all of that index as long as its
# statistics call it small. The plan is made once and kept.
_CLAIM = f"""
UPDATE workerqueue.queued_jobs j SET {_TAKE}
FROM {ENTRIES.source}
WHERE j.id = e.id AND j.turn = e.turn AND j.state = %(available)b::text AND {_LIVING}
  AND j.queue <> ALL (ARRAY(SELECT name FROM workerqueue.queues WHERE paused_at IS NOT NULL))
  AND j.rate_key IS NULL
  AND (j.admitted_at IS NOT NULL OR j.limit_lane IS NULL AND j.queue <> ALL (
        ARRAY(SELECT name FROM workerqueue.queues WHERE max_running IS NOT NULL)))
RETURNING {CLAIMED_COLUMNS}
"""

_CLAIM_RATED = f"""
UPDATE workerqueue.queued_jobs j SET {_TAKE}
WHERE j.id = ANY(ARRAY(SELECT granted FROM workerqueue.grant_starts(%(ids)b, %(turns)b)))
  AND {_LIVING}
  AND j.queue <> ALL (ARRAY(SELECT name FROM workerqueue.queues WHERE paused_at IS NOT NULL))
RETURNING {CLAIMED_COLUMNS}
"""

_ADMITTED_RATED = """
SELECT id, turn FROM workerqueue.queued_jobs
WHERE queue = %(queue)b::text AND rate_key IS NOT NULL AND limit_lane IS NOT NULL
  AND state = 'available' AND admitted_at IS NOT NULL
LIMIT %(limit)b::bigint
"""

_CLAIM_AVAILABLE = f"""
WITH RECURSIVE admitted AS (
    SELECT id FROM workerqueue.queued_jobs
    WHERE queue = %(queue)b::text AND state = 'available' AND admitted_at IS NOT NULL
      AND rate_key IS NULL
    ORDER BY admitted_at
    LIMIT %(limit)b::bigint
    FOR UPDATE SKIP LOCKED),
room AS MATERIALIZED (
    SELECT workerqueue.queue_room(%(queue)b::text, %(limit)b::bigint - count(*)) AS jobs
    FROM admitted),
{first_waiting("(SELECT jobs FROM room)")}
UPDATE workerqueue.queued_jobs j SET {_TAKE}
FROM (SELECT id FROM admitted UNION ALL SELECT id FROM first) AS next
WHERE j.id = next.id AND {_LIVING} AND {NOT_PAUSED}
RETURNING {CLAIMED_COLUMNS}
"""

# The room of a queue whose running jobs are limited is counted under a lock, by a function: a
# statement sees nothing that was admitted after it began.
_CLAIM_WAITING = f"""
WITH RECURSIVE room AS MATERIALIZED (
    SELECT workerqueue.queue_room(%(queue)b::text, %(limit)b::bigint) AS jobs),
{first_waiting("(SELECT jobs FROM room)")}
UPDATE workerqueue.queued_jobs j SET {_TAKE}
FROM first
WHERE j.id = first.id AND {_LIVING} AND {NOT_PAUSED}
RETURNING {CLAIMED_COLUMNS}, first.place
"""

QUEUES_WITH_WAITING = """
SELECT q.name FROM unnest(%(queues)b) AS q(name)
CROSS JOIN LATERAL (
    SELECT FROM workerqueue.queued_jobs w
    WHERE w.queue = q.name AND w.state = 'available' AND w.admitted_at IS NULL
      AND w.limit_lane IS NULL
    LIMIT 1) AS waiting
"""

_COMPLETE = f"""
UPDATE workerqueue.queued_jobs j SET
    state = 'completed', worker_id = NULL, finalized_at = now(), waiting_for = NULL, suspicion = 0,
    attempt = least(j.attempt + 1, j.max_attempts)
FROM {ENTRIES.source}
WHERE j.id = e.id AND j.turn = e.turn AND j.state = %(running)b::text
RETURNING j.id
"""

_SETTLED = RowParameters(
    "s",
    id="uuid",
    turn="bigint",
    state="text",
    spent="integer",
    delay="bigint",
    status="jsonb",
    waiting_for="text",
)

# least() guards the CHECK: one job that a worker settles wrongly must not fail the whole batch.
_SETTLE = f"""
UPDATE workerqueue.queued_jobs j SET
    state = s.state, worker_id = NULL, waiting_for = s.waiting_for,
    attempt = least(j.attempt + s.spent, j.max_attempts),
    suspicion = CASE WHEN s.waiting_for IS NULL THEN 0 ELSE j.suspicion END,
    run_at = CASE WHEN s.state IN ('scheduled', 'retryable')
                  THEN now() + s.delay * interval '1 microsecond' ELSE j.run_at END,
    finalized_at = CASE WHEN s.state IN ('completed', 'cancelled', 'discarded') THEN now() END,
    errors = CASE WHEN s.status IS NULL THEN j.errors ELSE
        jsonb_path_query_array(
            coalesce(j.errors, '[]') || jsonb_build_object(
                'attempt', j.attempt + 1, 'at', now(), 'status', s.status),
            '$[last - 19 to last]') END
FROM {_SETTLED.source}
WHERE j.id = s.id AND j.turn = s.turn AND j.state = %(running)b::text
RETURNING j.id
"""

_HAND_BACK = f"""
UPDATE workerqueue.queued_jobs j SET
    state = 'available', worker_id = NULL, turn = j.turn + 1, waiting_for = NULL
FROM {ENTRIES.source}
WHERE j.id = e.id AND j.turn = e.turn AND j.state = %(running)b::text
  AND j.worker_id = %(worker_id)b::uuid
RETURNING j.id
"""


class PostgresWorkerLedger:
    """WorkerLedger and SuspectLedger in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._pool = database.pool

    async def register_worker(self, worker_id: UUID, *, host: str, pid: int) -> None:
        """Create a worker's lease; see WorkerLedger.register_worker."""
        await self._pool.execute(
            _REGISTER, {"worker_id": worker_id, "host": host, "pid": pid, "lease": LEASE}
        )

    async def renew_lease(self, worker_id: UUID) -> bool:
        """Renew a living lease; see WorkerLedger.renew_lease."""
        return bool(await self._pool.execute(_RENEW, {"worker_id": worker_id, "lease": LEASE}))

    async def remove_worker(self, worker_id: UUID) -> None:
        """End a lease; see WorkerLedger.remove_worker."""
        await self._pool.execute(_REMOVE, {"worker_id": worker_id})

    async def claim(self, worker_id: UUID, entries: Sequence[tuple[UUID, int]]) -> list[ClaimedJob]:
        """Claim entries; see WorkerLedger.claim."""
        if not entries:
            return []
        rows = await self._pool.execute(
            _CLAIM, {**entry_rows(entries), "worker_id": worker_id, "available": "available"}
        )
        if len(rows) < len(entries):
            # Nearly always they are claimed already; a rate is asked for singly.
            claimed = {row[0] for row in rows}
            left = [entry for entry in sorted(entries) if entry[0] not in claimed]
            rows += await self._claim_rated(worker_id, left)
        return [claimed_job(row) for row in rows]

    async def _claim_rated(
        self, worker_id: UUID, entries: Sequence[tuple[UUID, int]]
    ) -> list[tuple[Any, ...]]:
        parameters = {
            "worker_id": worker_id,
            "ids": array_parameter("uuid", [id_ for id_, _ in entries]),
            "turns": array_parameter("bigint", [turn for _, turn in entries]),
        }
        return await self._pool.execute(_CLAIM_RATED, parameters)

    async def claim_available(self, worker_id: UUID, queue: str, limit: int) -> list[ClaimedJob]:
        """Claim a queue's first jobs; see WorkerLedger.claim_available."""
        rows = await self._pool.execute(
            _CLAIM_AVAILABLE, {"worker_id": worker_id, "queue": queue, "limit": limit}
        )
        if len(rows) < limit:
            rated = await self._pool.execute(
                _ADMITTED_RATED, {"queue": queue, "limit": limit - len(rows)}
            )
            if rated:
                rows += await self._claim_rated(worker_id, rated)
        return [claimed_job(row) for row in rows]

    async def claim_waiting(self, worker_id: UUID, queue: str, limit: int) -> list[ClaimedJob]:
        """Claim a queue's first jobs outside its window; see WorkerLedger.claim_waiting."""
        rows = await self._pool.execute(
            _CLAIM_WAITING, {"worker_id": worker_id, "queue": queue, "limit": limit}
        )
        return [claimed_job(row) for row in sorted(rows, key=itemgetter(-1))]

    async def queues_with_waiting(self, queues: Sequence[str]) -> list[str]:
        """Tell where jobs wait outside the window; see WorkerLedger.queues_with_waiting."""
        parameters = {"queues": array_parameter("text", list(queues))}
        return [name for (name,) in await self._pool.execute(QUEUES_WITH_WAITING, parameters)]

    async def finish(self, worker_id: UUID, outcomes: Sequence[FinishedJob]) -> int:
        """Write outcomes; see WorkerLedger.finish.

        A turn belongs to one worker, so the turn says all that `worker_id` would.
        """
        completed = [(each.id, each.turn) for each in outcomes if each.transition == COMPLETED]
        others = [each for each in outcomes if each.transition != COMPLETED]
        finished = 0
        if completed:
            rows = await self._pool.execute(
                _COMPLETE, {**entry_rows(completed), "running": "running"}
            )
            finished += len(rows)
        suspects = [each for each in others if each.transition.suspects]
        if suspects:
            finished += len(await self._pool.execute(SUSPECT, suspect_rows(suspects)))
        others = [each for each in others if not each.transition.suspects]
        settled = [each for each in others if each.follow_up is None]
        if settled:
            finished += len(await self._pool.execute(_SETTLE, _settled_rows(settled)))
        followed = [each for each in others if each.follow_up is not None]
        if followed:
            finished += await self._finish_with_follow_ups(followed)
        return finished

    async def _finish_with_follow_ups(self, outcomes: Sequence[FinishedJob]) -> int:
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_SETTLE, _settled_rows(outcomes))
            finished = {row[0] for row in await cursor.fetchall()}
            follow_ups = [
                new_job_row(each.follow_up)
                for each in outcomes
                if each.id in finished and each.follow_up is not None
            ]
            if follow_ups:
                parameters: dict[str, Any] = {
                    **NEW_JOBS.bind(follow_ups),
                    "admit_to": array_parameter("text", []),
                }
                await cursor.execute(INSERT_NEW_JOBS, parameters)
        return len(finished)

    async def hand_back(self, worker_id: UUID, entries: Sequence[tuple[UUID, int]]) -> int:
        """Give claimed jobs back; see WorkerLedger.hand_back."""
        if not entries:
            return 0
        rows = await self._pool.execute(
            _HAND_BACK, {**entry_rows(entries), "worker_id": worker_id, "running": "running"}
        )
        return len(rows)

    async def suspected(self) -> dict[str, int]:
        """Return what suspected jobs wait for; see SuspectLedger.suspected."""
        return dict(await self._pool.execute(SUSPECTED))

    async def claim_suspects(
        self,
        worker_id: UUID,
        waiting_for: str,
        *,
        quiet: timedelta,
        alone: timedelta,
        limit: int = 1,
    ) -> list[ClaimedJob]:
        """Claim the next suspected jobs; see SuspectLedger.claim_suspects."""
        rows = await self._pool.execute(
            CLAIM_SUSPECTS,
            {
                "worker_id": worker_id,
                "waiting_for": waiting_for,
                "quiet": quiet,
                "alone": alone,
                "limit": limit,
            },
        )
        return [claimed_job(row) for row in rows]


def _settled_rows(outcomes: Sequence[FinishedJob]) -> dict[str, Any]:
    rows = []
    for each in sorted(outcomes, key=lambda outcome: outcome.id.int):
        transition = each.transition
        error = transition.error
        rows.append(
            (
                each.id,
                each.turn,
                transition.state.value,
                int(transition.spends_attempt),
                transition.delay // timedelta(microseconds=1),
                None if error is None else orjson.dumps(dump_status(error)),
                transition.waiting_for,
            )
        )
    return {**_SETTLED.bind(rows), "running": "running"}
