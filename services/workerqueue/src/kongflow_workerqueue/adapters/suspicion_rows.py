"""Statements about suspected jobs: how they wait for their turn, run alone, and are counted.

A suspected job is `scheduled` and keeps what it waits for while it runs alone, so the rows
themselves say who is a suspect of which target and who of them runs.
"""

from collections.abc import Sequence
from typing import Any

from kongflow_common.db.row_parameters import RowParameters
from kongflow_workerqueue.adapters.job_rows import CLAIMED_COLUMNS, GIVE_UP_WAITING_PLACE
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.domain.suspicion import (
    LAPSES_UNTIL_SUSPECTED,
    NOT_SUSPECTED,
    SET_ASIDE,
    SUSPECTED_AGAIN,
)
from kongflow_workerqueue.domain.suspicion import (
    SUSPECTED as SUSPICION,
)

__all__ = ["CLAIM_SUSPECTS", "LAPSE_SUSPICION", "SUSPECT", "SUSPECTED", "suspect_rows"]

_SUSPECTS = RowParameters("s", id="uuid", turn="bigint", waiting_for="text", lost="boolean")

_UNFINISHED = "suspicion > 0 AND o.state IN ('scheduled', 'running')"

# Whether no other suspect of the target was in flight: none runs, and none was lost since this
# one began. Jobs that nobody had suspected may have been: the one that was is likelier.
_WAS_ALONE = f"""j.waiting_for LIKE 'alone:%%' AND NOT EXISTS (
    SELECT FROM workerqueue.queued_jobs o
    WHERE o.{_UNFINISHED} AND o.waiting_for = j.waiting_for AND o.id <> j.id
      AND o.alone_at IS NOT NULL AND (o.state = 'running' OR o.lost_at > j.alone_at))"""

# It was lost while suspects ran: as one of them, or alone.
_LOST_AS_SUSPECT = f"""CASE
    WHEN {_WAS_ALONE} THEN least(greatest(j.suspicion, {SUSPECTED_AGAIN}) + 1, {SET_ASIDE})
    WHEN j.waiting_for LIKE 'alone:%%' THEN greatest(j.suspicion, {SUSPECTED_AGAIN})
    ELSE j.suspicion END"""

SUSPECT = f"""
UPDATE workerqueue.queued_jobs j SET
    state = 'scheduled', worker_id = NULL, waiting_for = s.waiting_for, run_at = now(),
    lost_at = CASE WHEN s.lost THEN now() ELSE j.lost_at END,
    suspicion = CASE
        WHEN j.suspicion = {NOT_SUSPECTED} THEN {SUSPICION}
        WHEN s.lost THEN {_LOST_AS_SUSPECT}
        ELSE j.suspicion END
FROM {_SUSPECTS.source}
WHERE j.id = s.id AND j.turn = s.turn AND j.state = %(running)b::text
RETURNING j.id
"""

# A lease also ends when PostgreSQL was away, or out of the worker's reach: no worker died then.
_WORKER_LIVES = """EXISTS (
    SELECT FROM workerqueue.worker_leases d
    WHERE d.worker_id = j.worker_id AND (
        d.expires_at - interval '7 seconds' < pg_postmaster_start_time()
        OR EXISTS (
            SELECT FROM workerqueue.worker_leases n
            WHERE n.pid = d.pid AND n.host = d.host AND n.expires_at > now())))"""

LAPSE_SUSPICION = f"""lost_at = now(),
        suspicion = CASE
            WHEN {_WORKER_LIVES} THEN j.suspicion
            WHEN j.suspicion = {NOT_SUSPECTED}
                THEN CASE WHEN j.lapses + 1 >= {LAPSES_UNTIL_SUSPECTED} THEN {SUSPICION} ELSE 0 END
            ELSE {_LOST_AS_SUSPECT} END"""
"""What a lapse means, in the taking back of a running job `j`."""

_NOT_PAUSED = (
    "queue <> ALL (ARRAY(SELECT name FROM workerqueue.queues WHERE paused_at IS NOT NULL))"
)

SUSPECTED = f"""
SELECT waiting_for, max(suspicion) FROM workerqueue.queued_jobs
WHERE suspicion > 0 AND state = 'scheduled' AND starts_with(waiting_for, 'alone:')
  AND {_NOT_PAUSED}
GROUP BY waiting_for
"""

# Whatever their limits say: when a suspect runs is for its target to bear. It counts for others.
# The least suspected come first, so a group has none that is to run alone.
CLAIM_SUSPECTS = f"""
WITH next AS (
    SELECT id, suspicion, run_at FROM workerqueue.queued_jobs
    WHERE suspicion > 0 AND state = 'scheduled' AND waiting_for = %(waiting_for)b::text
      AND {_NOT_PAUSED}
      AND NOT EXISTS (
        SELECT FROM workerqueue.queued_jobs o
        WHERE o.{_UNFINISHED} AND o.waiting_for = %(waiting_for)b::text
          AND (o.lost_at > now() - %(quiet)b::interval
               OR o.state = 'running' AND o.alone_at > now() - %(alone)b::interval))
    ORDER BY suspicion, run_at
    LIMIT %(limit)b::bigint
    FOR UPDATE SKIP LOCKED),
chosen AS (
    SELECT id, suspicion, row_number() OVER (ORDER BY suspicion, run_at) AS place FROM next)
UPDATE workerqueue.queued_jobs j SET
    state = 'running', worker_id = %(worker_id)b::uuid, turn = j.turn + 1,
    attempted_at = now(), alone_at = now(), {GIVE_UP_WAITING_PLACE}
FROM chosen c
WHERE j.id = c.id AND (c.place = 1 OR c.suspicion = {SUSPICION}) AND EXISTS (
    SELECT FROM workerqueue.worker_leases l
    WHERE l.worker_id = %(worker_id)b::uuid AND l.expires_at > now())
RETURNING {CLAIMED_COLUMNS}
"""


def suspect_rows(outcomes: Sequence[FinishedJob]) -> dict[str, Any]:
    """Bind the rows of SUSPECT, in the order of ids."""
    rows = [
        (each.id, each.turn, each.transition.waiting_for, each.transition.lost)
        for each in sorted(outcomes, key=lambda outcome: outcome.id)
    ]
    return {**_SUSPECTS.bind(rows), "running": "running"}
