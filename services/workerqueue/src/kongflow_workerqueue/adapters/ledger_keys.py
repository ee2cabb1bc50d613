"""Resolves single commands that met a repeat, a job key or a job that counts as the same.

Each is a transaction of its own that also leaves a receipt, from which a repeat is answered.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from uuid import UUID

import psycopg

from kongflow_common.db.connection_pool import Connection, ConnectionPool
from kongflow_common.db.row_parameters import RowParameters, array_parameter
from kongflow_common.errors import Contended
from kongflow_workerqueue.adapters.job_rows import (
    HOLDS_ITS_PLACE,
    INSERT_NEW_JOBS,
    LIMIT_COLUMNS,
    NEW_JOBS,
    TAGS,
    at_once,
    new_job_row,
    run_at,
    unique_until,
)
from kongflow_workerqueue.application.ports import (
    Admitted,
    InsertOutcome,
    InsertResult,
    NewJob,
    Removal,
)
from kongflow_workerqueue.domain.states import JobKeyMode, JobState, Priority

_ROUNDS = 5

_REPEATS = """
SELECT id, NULL::uuid, NULL::text FROM workerqueue.queued_jobs WHERE id = ANY(%(ids)b)
UNION ALL
SELECT outbox_id, job_id, result FROM workerqueue.command_receipts WHERE outbox_id = ANY(%(ids)b)
"""

_LOCK_HOLDER = """
SELECT id, state, generation, unique_key FROM workerqueue.queued_jobs
WHERE kind = %(kind)b::text AND job_key = %(job_key)b::text
  AND environment_id IS NOT DISTINCT FROM %(environment_id)b::uuid
  AND state IN ('available', 'scheduled', 'retryable', 'running')
FOR UPDATE
"""

_FIND_SAME = f"""
SELECT id, coalesce(unique_until <= now(), false) FROM workerqueue.queued_jobs
WHERE unique_key = %(unique_key)b::uuid AND {HOLDS_ITS_PLACE}
"""

# Its window has passed. Whoever gives its place up first has it: a rival finds no such row.
_GIVE_UP_PLACE = """
UPDATE workerqueue.queued_jobs SET unique_key = NULL
WHERE id = %(id)b::uuid AND unique_key = %(unique_key)b::uuid
"""

# A debounced job waits no longer than from its first creation on, whoever replaces it.
_RUN_AT_OF_ALL = run_at("j.created_at")
_DUE = f"{_RUN_AT_OF_ALL} <= now()"

_REPLACEMENT = f"""
    args = n.args, queue = n.queue, priority = n.priority, max_attempts = n.max_attempts,
    generation = n.generation, unique_key = n.unique_key, unique_states = n.unique_states,
    unique_until = CASE WHEN j.unique_key = n.unique_key AND (j.unique_until > now()) IS NOT FALSE
                        THEN j.unique_until ELSE {unique_until("now()")} END,
    metadata = n.metadata, traceparent = n.traceparent, waiting_for = n.waiting_for,
    tags = {TAGS}, {", ".join(f"{column} = {value}" for column, value in LIMIT_COLUMNS.items())},
    attempt = 0, attempted_at = NULL, suspicion = 0, errors = NULL, run_at = {_RUN_AT_OF_ALL},
    turn = j.turn + CASE WHEN {_DUE} AND j.state <> 'available' THEN 1 ELSE 0 END,
    state = CASE WHEN {_DUE} THEN 'available' ELSE 'scheduled' END,
    admitted_at = CASE WHEN {_DUE} AND {at_once("n", "n.limits")} THEN now() END"""

_REPLACE = f"""
UPDATE workerqueue.queued_jobs j SET {_REPLACEMENT}
FROM {NEW_JOBS.source}
WHERE j.id = %(holder)b::uuid
RETURNING j.turn, j.run_at, j.state = 'available', j.admitted_at
"""

# Left to be resolved singly, in their order, are holders that run, are newer, or would free a place
# that an earlier command may have met, and commands that another job counts as the same as; so is
# everything if a command was carried out meanwhile. The states are asked in a form that only the
# index of the keys serves: a plan made for an empty table would take the lists'.
_REPLACE_HOLDERS = f"""
WITH n AS MATERIALIZED (
    SELECT j.id AS holder, n.*
    FROM {NEW_JOBS.source} JOIN workerqueue.queued_jobs j
        ON j.job_key = n.job_key AND j.kind = n.kind AND j.id <> n.id
        AND j.environment_id IS NOT DISTINCT FROM n.environment_id
        AND j.state IN ('available', 'scheduled', 'retryable', 'running')
        AND (j.state = 'running') IS FALSE AND j.generation <= n.generation
        AND (j.unique_key IS NULL OR j.unique_key = n.unique_key)
    WHERE NOT EXISTS (
        SELECT FROM workerqueue.queued_jobs
        WHERE unique_key = n.unique_key AND id <> j.id AND {HOLDS_ITS_PLACE})
    ORDER BY j.id
    FOR UPDATE OF j),
replaced AS (
    UPDATE workerqueue.queued_jobs j SET {_REPLACEMENT}
    FROM n WHERE j.id = n.holder
    RETURNING n.id AS command, j.id, j.turn, j.priority, j.run_at,
              j.state = 'available' AS available, j.admitted_at),
noted AS (
    INSERT INTO workerqueue.command_receipts (outbox_id, job_id, result)
    SELECT command, id, 'replaced' FROM replaced)
SELECT * FROM replaced
"""

_RUN_AT = "SELECT run_at FROM workerqueue.queued_jobs WHERE id = %(id)b::uuid"

_LOSE_KEY = "UPDATE workerqueue.queued_jobs SET job_key = NULL WHERE id = %(id)b::uuid"

_CANCEL = """
UPDATE workerqueue.queued_jobs
SET state = 'cancelled', finalized_at = now(), admitted_at = NULL, waiting_for = NULL
WHERE id = %(id)b::uuid
"""

_LEAVE_RECEIPT = """
INSERT INTO workerqueue.command_receipts (outbox_id, job_id, result)
VALUES (%(outbox_id)b::uuid, %(job_id)b::uuid, %(result)b::text)
"""


_DUPLICATES = RowParameters("n", id="uuid", place="uuid")

# Those whose window has passed, and repeats (no job is its own duplicate), are left to be resolved
# singly.
_SKIP_DUPLICATES = f"""
INSERT INTO workerqueue.command_receipts (outbox_id, job_id, result)
SELECT n.id, j.id, 'skipped_as_duplicate'
FROM {_DUPLICATES.source} JOIN workerqueue.queued_jobs j
    ON j.unique_key = n.place AND j.id <> n.id
WHERE {HOLDS_ITS_PLACE} AND (j.unique_until IS NULL OR j.unique_until > now())
ON CONFLICT DO NOTHING
RETURNING outbox_id, job_id
"""


class _Raced(Exception):
    """Another transaction took the key or the place in between; begin again."""


@dataclass(frozen=True, slots=True)
class _Holder:
    id: UUID
    state: JobState
    generation: int
    unique_key: UUID | None


async def find_repeats(pool: ConnectionPool, ids: Sequence[UUID]) -> dict[UUID, InsertOutcome]:
    """Return the outcomes of those commands that have been carried out before."""
    rows = await pool.execute(_REPEATS, {"ids": array_parameter("uuid", ids)})
    return {id_: _repeat(id_, job_id, result) for id_, job_id, result in rows}


def _repeat(id_: UUID, job_id: UUID | None, result: str | None) -> InsertOutcome:
    if result is None:
        return InsertOutcome(InsertResult.INSERTED, id_, repeated=True)
    return InsertOutcome(InsertResult(result), job_id, repeated=True)


async def skip_duplicates(
    pool: ConnectionPool, jobs: Sequence[NewJob]
) -> dict[UUID, InsertOutcome]:
    """Answer those jobs without a job key that another one counts as the same for.

    The rest, if any, is for `resolve`.
    """
    rivals = _DUPLICATES.bind([(job.id, job.unique_key) for job in jobs])
    try:
        rows = await pool.execute(_SKIP_DUPLICATES, dict(rivals))
    except Contended:
        # The same commands come by another way, in another order.
        return {}
    return {id_: InsertOutcome(InsertResult.SKIPPED_AS_DUPLICATE, job_id) for id_, job_id in rows}


async def replace_holders(
    pool: ConnectionPool, jobs: Sequence[NewJob], admit_to: Collection[str]
) -> dict[UUID, InsertOutcome]:
    """Give the waiting holders of these jobs' keys what the jobs say; each key is there once.

    The rest, if any, is for `resolve`.
    """
    parameters: dict[str, Any] = {
        **NEW_JOBS.bind([new_job_row(job) for job in jobs]),
        "admit_to": array_parameter("text", list(admit_to)),
    }
    try:
        rows = await pool.execute(_REPLACE_HOLDERS, parameters)
    except (psycopg.errors.UniqueViolation, Contended):
        return {}
    return {
        command: InsertOutcome(
            InsertResult.REPLACED,
            id_,
            available=available,
            admitted=Admitted(id_, turn, Priority(priority), when, admitted) if admitted else None,
        )
        for command, id_, turn, priority, when, available, admitted in rows
    }


async def resolve(
    pool: ConnectionPool, command: NewJob | Removal, admit_to: Collection[str]
) -> InsertOutcome:
    """Carry out one command, whatever it meets. Raises Contended when it always meets a race."""
    for _ in range(_ROUNDS):
        try:
            async with pool.connection() as connection, connection.transaction():
                return await _Resolution(connection, admit_to).carry_out(command)
        except (_Raced, psycopg.errors.UniqueViolation, Contended):
            continue
    raise Contended


class _Resolution:
    """One try, within the transaction of `connection`."""

    def __init__(self, connection: Connection, admit_to: Collection[str]) -> None:
        self._connection = connection
        self._admit_to = admit_to

    async def carry_out(self, command: NewJob | Removal) -> InsertOutcome:
        repeats = await self._fetch(_REPEATS, ids=array_parameter("uuid", [command.id]))
        if repeats:
            return _repeat(*repeats[0])
        if isinstance(command, Removal):
            outcome = await self._remove(command)
        else:
            outcome = await self._store(command)
        if outcome.result is not InsertResult.INSERTED:
            await self._execute(
                _LEAVE_RECEIPT,
                outbox_id=command.id,
                job_id=outcome.job_id,
                result=outcome.result.value,
            )
        return outcome

    async def _remove(self, removal: Removal) -> InsertOutcome:
        holder = await self._lock_holder(removal)
        if holder is None:
            return InsertOutcome(InsertResult.NOTHING_TO_REMOVE, None)
        if holder.generation > removal.generation:
            return InsertOutcome(InsertResult.IGNORED_AS_OLDER, holder.id)
        if holder.state is JobState.RUNNING:
            return InsertOutcome(InsertResult.NOTHING_TO_REMOVE, holder.id)
        await self._execute(_CANCEL, id=holder.id)
        return InsertOutcome(InsertResult.REMOVED, holder.id)

    async def _store(self, job: NewJob) -> InsertOutcome:
        holder = await self._lock_holder(job) if job.job_key is not None else None
        if holder is not None:
            if holder.generation > job.generation:
                return InsertOutcome(InsertResult.IGNORED_AS_OLDER, holder.id)
            if job.job_key_mode is JobKeyMode.KEEP_FIRST:
                return InsertOutcome(InsertResult.KEPT_FIRST, holder.id)
        same = await self._find_same(job)
        running = holder is not None and holder.state is JobState.RUNNING
        if same is not None and (running or holder is None or same != holder.id):
            return InsertOutcome(InsertResult.SKIPPED_AS_DUPLICATE, same)
        if holder is not None:
            if not running:
                return await self._replace(holder, job)
            await self._execute(_LOSE_KEY, id=holder.id)
        return await self._insert(job)

    async def _replace(self, holder: _Holder, job: NewJob) -> InsertOutcome:
        if job.job_key_mode is JobKeyMode.PRESERVE_RUN_AT:
            [(kept,)] = await self._fetch(_RUN_AT, id=holder.id)
            job = replace(job, run_at=kept, delay=None)
        [(turn, when, available, admitted)] = await self._fetch(
            _REPLACE,
            **NEW_JOBS.bind([new_job_row(job)]),
            admit_to=array_parameter("text", list(self._admit_to)),
            holder=holder.id,
        )
        return InsertOutcome(
            InsertResult.REPLACED,
            holder.id,
            available=available,
            admitted=Admitted(holder.id, turn, job.priority, when, admitted) if admitted else None,
        )

    async def _insert(self, job: NewJob) -> InsertOutcome:
        rows = await self._fetch(
            INSERT_NEW_JOBS,
            **NEW_JOBS.bind([new_job_row(job)]),
            admit_to=array_parameter("text", list(self._admit_to)),
        )
        if not rows:
            raise _Raced
        id_, turn, when, available, admitted = rows[0]
        return InsertOutcome(
            InsertResult.INSERTED,
            id_,
            available=available,
            admitted=Admitted(id_, turn, Priority(job.priority), when, admitted)
            if admitted
            else None,
        )

    async def _lock_holder(self, command: NewJob | Removal) -> _Holder | None:
        rows = await self._fetch(
            _LOCK_HOLDER,
            kind=command.kind,
            job_key=command.job_key,
            environment_id=command.environment_id,
        )
        if not rows:
            return None
        id_, state, generation, unique_key = rows[0]
        return _Holder(id_, JobState(state), generation, unique_key)

    async def _find_same(self, job: NewJob) -> UUID | None:
        if job.unique_key is None:
            return None
        rows = await self._fetch(_FIND_SAME, unique_key=job.unique_key)
        if not rows:
            return None
        [(id_, window_has_passed)] = rows
        if not window_has_passed:
            return cast("UUID", id_)
        await self._execute(_GIVE_UP_PLACE, id=id_, unique_key=job.unique_key)
        return None

    async def _fetch(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        cursor = self._connection.cursor(binary=True)
        await cursor.execute(statement, parameters)
        return await cursor.fetchall()

    async def _execute(self, statement: str, **parameters: object) -> None:
        await self._connection.cursor(binary=True).execute(statement, parameters)
