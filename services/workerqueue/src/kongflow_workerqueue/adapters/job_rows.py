"""Rows of queued_jobs as the hot statements send and read them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson

from kongflow_common.db.row_parameters import RowParameters
from kongflow_workerqueue.application.ports import ClaimedJob, ClaimedLimits, NewJob
from kongflow_workerqueue.domain.limits import Limits
from kongflow_workerqueue.domain.states import UNFINISHED_STATES, JobState, Priority

NEW_JOBS = RowParameters(
    "n",
    id="uuid",
    kind="text",
    args="jsonb",
    queue="text",
    priority="smallint",
    max_attempts="integer",
    environment_id="uuid",
    run_at="timestamptz",
    job_key="text",
    generation="bigint",
    unique_key="uuid",
    tags="jsonb",
    metadata="jsonb",
    traceparent="text",
    waiting_for="text",
    delay="bigint",
    longest_wait="bigint",
    unique_for="bigint",
    unique_states="smallint",
    limits="jsonb",
)

ENTRIES = RowParameters("e", id="uuid", turn="bigint")
"""(id, turn) pairs."""

TAGS = """CASE WHEN n.tags IS NOT NULL
               THEN ARRAY(SELECT * FROM jsonb_array_elements_text(n.tags)) END"""

LIMIT_COLUMNS = {
    "limit_lane": "(n.limits->>'lane')::uuid",
    "serial_key": "n.limits->>'serial_key'",
    "concurrency_key": "n.limits->>'concurrency_key'",
    "max_running": "(n.limits->>'max_running')::integer",
    "rate_key": "n.limits->>'rate_key'",
    "rate_interval": "(n.limits->>'rate_interval')::bigint",
    "rate_burst": "(n.limits->>'rate_burst')::integer",
}
"""The columns of a job's limits, from the one value that is null for nearly all jobs."""


def at_once(job: str, lane: str) -> str:
    """Tell whether a job may be admitted with what makes it available.

    Not if anything limits it: those are counted under a lock.
    """
    return f"""({job}.queue = ANY(%(admit_to)b) AND {lane} IS NULL AND {job}.queue <> ALL (
        ARRAY(SELECT name FROM workerqueue.queues WHERE max_running IS NOT NULL)))"""


def run_at(since: str) -> str:
    """The run time of a new job whose longest wait counts from `since`.

    `least` passes over what is NULL.
    """
    return f"""least(
        coalesce(n.run_at, now() + n.delay * interval '1 microsecond', now()),
        {since} + n.longest_wait * interval '1 microsecond')"""


def unique_until(since: str) -> str:
    """When a job ceases to count, whose window begins at `since`; never when it has none."""
    return f"{since} + n.unique_for * interval '1 microsecond'"


_RUN_AT = run_at("now()")
_DUE = f"{_RUN_AT} <= now()"

HOLDS_ITS_PLACE = """(unique_key IS NOT NULL
    AND (state IN ('available', 'scheduled', 'retryable', 'running')
         OR unique_states & CASE state WHEN 'completed' THEN 16 WHEN 'cancelled' THEN 32
                                       WHEN 'discarded' THEN 64 ELSE 0 END <> 0))"""
"""The condition of the index that keeps jobs unique."""

KEEP_UNIQUE_KEY = "CASE WHEN j.unique_until <= now() THEN NULL ELSE j.unique_key END"
"""What a job that runs again has of its place: after its window others may have it."""

INSERT_NEW_JOBS = f"""
INSERT INTO workerqueue.queued_jobs AS j (
    id, kind, args, queue, priority, max_attempts, environment_id, job_key, generation,
    unique_key, unique_until, unique_states, metadata, traceparent, waiting_for, tags,
    {", ".join(LIMIT_COLUMNS)}, run_at, state, admitted_at)
SELECT n.id, n.kind, n.args, n.queue, n.priority, n.max_attempts, n.environment_id, n.job_key,
       n.generation, n.unique_key, {unique_until("now()")}, n.unique_states, n.metadata,
       n.traceparent, n.waiting_for, {TAGS}, {", ".join(LIMIT_COLUMNS.values())}, {_RUN_AT},
       CASE WHEN {_DUE} THEN 'available' ELSE 'scheduled' END,
       CASE WHEN {_DUE} AND {at_once("n", "n.limits")} THEN now() END
FROM {NEW_JOBS.source}
WHERE NOT EXISTS (SELECT FROM workerqueue.command_receipts r WHERE r.outbox_id = n.id)
ON CONFLICT DO NOTHING
RETURNING j.id, j.turn, j.run_at, j.state = 'available', j.admitted_at
"""
"""Stores jobs; gives back only the new ones, in no order: those that are left out met a repeat
of their id, a holder of their job key or a job that counts as the same."""

GIVE_UP_WAITING_PLACE = "unique_key = CASE WHEN unique_states & 4 = 0 THEN NULL ELSE unique_key END"
"""Who counts for others only while it waits gives its place up for good when it is claimed: it may
have been taken when the job waits again."""

CLAIMED_COLUMNS = """j.id, j.turn, j.kind, j.args::text, j.queue, j.priority, j.attempt,
    j.max_attempts, j.lapses, j.environment_id, j.traceparent, j.suspicion, j.limit_lane,
    j.concurrency_key, j.rate_key IS NOT NULL, now() - j.run_at"""


def new_job_row(job: NewJob) -> tuple[object, ...]:
    """Return the values of NEW_JOBS, in its order."""
    return (
        job.id,
        job.kind,
        job.args,
        job.queue,
        job.priority,
        job.max_attempts,
        job.environment_id,
        job.run_at,
        job.job_key,
        job.generation,
        job.unique_key,
        orjson.dumps(job.tags) if job.tags else None,
        job.metadata,
        job.traceparent,
        job.waiting_for,
        microseconds(job.delay),
        microseconds(job.longest_wait),
        microseconds(job.unique_for),
        state_bits(job.unique_states),
        limits_document(job.limits),
    )


def limits_document(limits: Limits | None) -> bytes | None:
    """Limits as LIMIT_COLUMNS read them."""
    if limits is None:
        return None
    return orjson.dumps(
        {
            "lane": str(limits.lane),
            "serial_key": limits.serial_key,
            "concurrency_key": limits.concurrency_key,
            "max_running": limits.max_running,
            "rate_key": limits.rate_key,
            "rate_interval": microseconds(limits.rate_interval),
            "rate_burst": limits.rate_burst,
        }
    )


def microseconds(duration: timedelta | None) -> int | None:
    """A duration as the rows hold it."""
    return None if duration is None else duration // timedelta(microseconds=1)


def state_bits(states: frozenset[JobState]) -> int | None:
    """The set of states in which a job counts, as the rows hold it.

    The usual set is not written: it costs no space and no evaluation.
    """
    if states is UNFINISHED_STATES or states == UNFINISHED_STATES:
        return None
    return sum(state.bit for state in states)


def entry_rows(entries: Sequence[tuple[UUID, int]]) -> dict[str, Any]:
    """Bind ENTRIES, in the order of ids.

    Two statements that lock the same rows in the same order wait for each other instead of
    dying of a deadlock.
    """
    # A UUID's comparison is Python code, its number's is not.
    ordered: list[tuple[UUID, int]] = sorted(entries, key=lambda entry: entry[0].int)
    return dict(ENTRIES.bind(ordered))


def claimed_job(row: tuple[Any, ...]) -> ClaimedJob:
    """Read CLAIMED_COLUMNS; what comes after them is not looked at."""
    return ClaimedJob(
        id=row[0],
        turn=row[1],
        kind=row[2],
        args=row[3].encode(),
        queue=row[4],
        priority=PRIORITIES[row[5]],
        attempt=row[6],
        max_attempts=row[7],
        lapses=row[8],
        environment_id=row[9],
        traceparent=row[10],
        suspicion=row[11],
        limits=None if row[12] is None else ClaimedLimits(row[12], row[13], is_rated=row[14]),
        waited=row[15],
    )


PRIORITIES = {int(priority): priority for priority in Priority}
"""Priorities by the number that a row holds; calling the enumeration takes far longer."""
