"""Statements on what stands in the queues' windows."""

from kongflow_workerqueue.adapters.job_rows import ENTRIES

NOT_PAUSED = """NOT EXISTS (
    SELECT FROM workerqueue.queues q
    WHERE q.name = %(queue)b::text AND q.paused_at IS NOT NULL)"""
"""Whether the one queue that a statement is about may have jobs begun."""

WITHDRAW = f"""
UPDATE workerqueue.queued_jobs j SET admitted_at = NULL
FROM {ENTRIES.source}
WHERE j.id = e.id AND j.turn = e.turn AND j.admitted_at IS NOT NULL
"""

READMIT_STALE = """
WITH stale AS (
    SELECT id FROM workerqueue.queued_jobs
    WHERE state = 'available' AND admitted_at IS NOT NULL
      AND admitted_at < now() - %(older_than)b::interval
      AND queue <> ALL (ARRAY(SELECT name FROM workerqueue.queues WHERE paused_at IS NOT NULL))
    ORDER BY admitted_at
    LIMIT %(limit)b::bigint
    FOR UPDATE SKIP LOCKED)
UPDATE workerqueue.queued_jobs j SET admitted_at = now()
FROM stale WHERE j.id = stale.id
RETURNING j.queue, j.id, j.turn, j.priority, j.run_at, j.admitted_at
"""

ADMIT_LIMITED = """
SELECT lane, id, turn, queue, priority, run_at, admitted_at, wait
FROM workerqueue.admit_limited(
    %(lanes)b, %(keys)b, %(after)b::uuid, %(many)b::integer, %(share)b::integer)
"""
