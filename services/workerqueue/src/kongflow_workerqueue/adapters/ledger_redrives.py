"""Redrives in PostgreSQL: which dead letters, how far they are, and the next batch of each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import psycopg
from sqlalchemy import ColumnElement, and_, func, select

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.filtering import And as AllOf
from kongflow_common.filtering import Comparison, Filter, Operator
from kongflow_workerqueue.adapters.audit_trail import note
from kongflow_workerqueue.adapters.edited_letters import EditedLetters
from kongflow_workerqueue.adapters.job_filters import TARGETS
from kongflow_workerqueue.adapters.job_rows import KEEP_UNIQUE_KEY
from kongflow_workerqueue.adapters.queued_job_reader import PostgresQueuedJobReader
from kongflow_workerqueue.adapters.tables import QUEUED_JOBS, REDRIVES
from kongflow_workerqueue.application.edit_dead_letters import ArgsChange, EditDeadLetters
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import QueuedJob
from kongflow_workerqueue.application.redrive_queued_jobs import (
    NewRedrive,
    Redrive,
    RedriveState,
)
from kongflow_workerqueue.domain.states import JobState

_JOBS = QUEUED_JOBS.c
_DISCARDED = Comparison("state", Operator.EQUAL, JobState.DISCARDED.name)

# A server that knows nothing of edits must not redrive as they are what is to be edited: for it
# the time does not come.
_BEGIN = """
INSERT INTO workerqueue.redrives (
    id, filter, environment_id, jobs_per_second, total_count, caller_name, reason, caller,
    caller_key_id, args, args_patch, next_at, edit_due_at)
VALUES (%(id)b::uuid, %(filter)b::text, %(environment_id)b::uuid, %(rate)b::integer,
        %(total)b::bigint, %(caller_name)b::text, %(reason)b::text, %(caller)b::text,
        %(caller_key_id)b::text, %(args)b::text::jsonb, %(args_patch)b::text::jsonb,
        CASE WHEN %(edits)b::boolean THEN timestamptz '9000-01-01Z' ELSE now() END,
        CASE WHEN %(edits)b::boolean THEN now() END)
"""

_STOP = """
UPDATE workerqueue.redrives SET ended_at = now(), cancelled = true
WHERE id = %(id)b::uuid AND ended_at IS NULL
  AND (%(environment_id)b::uuid IS NULL OR environment_id = %(environment_id)b::uuid)
RETURNING id
"""

_TAKE_DUE = """
SELECT id, filter, environment_id, jobs_per_second, last_job_id, created_at,
       coalesce(args, args_patch)::text, args_patch IS NOT NULL,
       caller, caller_name, caller_key_id, reason
FROM workerqueue.redrives
WHERE ended_at IS NULL AND least(next_at, edit_due_at) <= now()
ORDER BY least(next_at, edit_due_at)
LIMIT 1
FOR UPDATE SKIP LOCKED
"""

_ANY_UNFINISHED = "SELECT EXISTS (SELECT FROM workerqueue.redrives WHERE ended_at IS NULL)"

# The state is a parameter for the reason that claims have: a lookup by id. Workers claim
# them where they wait.
_MAKE_AVAILABLE = f"""
UPDATE workerqueue.queued_jobs j SET
    state = 'available', turn = j.turn + 1, run_at = now(), finalized_at = NULL, attempt = 0,
    waiting_for = NULL, suspicion = 0, unique_key = {KEEP_UNIQUE_KEY}
WHERE j.id = ANY(%(ids)b) AND j.state = %(discarded)b::text
RETURNING j.id
"""

_NOTE_PROGRESS = """
UPDATE workerqueue.redrives SET
    next_at = CASE WHEN edit_due_at IS NULL THEN now() + interval '1 second' ELSE next_at END,
    edit_due_at = CASE WHEN edit_due_at IS NOT NULL THEN now() + interval '1 second' END,
    last_job_id = %(last)b::uuid,
    redriven_count = redriven_count + %(redriven)b::bigint,
    skipped_count = skipped_count + %(skipped)b::bigint,
    refused_count = refused_count + %(refused)b::bigint
WHERE id = %(id)b::uuid
"""

_END = "UPDATE workerqueue.redrives SET ended_at = now() WHERE id = %(id)b::uuid"


class PostgresRedriveLedger:
    """RedriveLedger in PostgreSQL. `parse` reads the filter of a stored redrive."""

    def __init__(
        self, database: Database, parse: Callable[[str], Filter | None], edits: EditDeadLetters
    ) -> None:
        self._edits = edits
        self._database = database
        self._pool = database.pool
        self._reader = PostgresQueuedJobReader(database)
        self._parse = parse

    async def count(self, environment_id: UUID | None, condition: Filter | None) -> int:
        """Count dead letters; see RedriveLedger.count."""
        query = select(func.count()).where(_condition(environment_id, condition))
        async with self._database.reading() as connection:
            return int((await connection.execute(query)).scalar_one())

    async def sample(
        self, environment_id: UUID | None, condition: Filter | None, limit: int
    ) -> Sequence[QueuedJob]:
        """Return the newest dead letters; see RedriveLedger.sample."""
        wanted = _DISCARDED if condition is None else AllOf((_DISCARDED, condition))
        page = await self._reader.page(environment_id, wanted, after=None, limit=limit)
        return page.jobs

    async def with_args(self, jobs: Sequence[QueuedJob]) -> Sequence[QueuedJob]:
        """Return jobs with their arguments; see RedriveLedger.with_args."""
        found = [(job, await self._reader.find(job.id, job.environment_id)) for job in jobs]
        return [replace(job, args=whole.args) for job, whole in found if whole is not None]

    async def begin(self, redrive: NewRedrive, total: int, by: Intervention) -> None:
        """Store a redrive; see RedriveLedger.begin."""
        change = redrive.change
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(
                _BEGIN,
                {
                    "id": redrive.id,
                    "filter": redrive.filter,
                    "environment_id": redrive.environment_id,
                    "rate": redrive.jobs_per_second,
                    "total": total,
                    "caller_name": by.caller_name,
                    "reason": by.reason,
                    "caller": by.caller,
                    "caller_key_id": by.caller_key_id,
                    "args": change.text.decode() if change and not change.is_patch else None,
                    "args_patch": change.text.decode() if change and change.is_patch else None,
                    "edits": change is not None,
                },
            )
            await note(
                cursor,
                "redrive",
                by,
                redrive_id=redrive.id,
                environment_id=redrive.environment_id,
            )

    async def find(self, id_: UUID, environment_id: UUID | None) -> Redrive | None:
        """Return a redrive; see RedriveLedger.find."""
        query = select(REDRIVES).where(REDRIVES.c.id == id_)
        if environment_id is not None:
            query = query.where(REDRIVES.c.environment_id == environment_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        state = RedriveState.CANCELLED if row.cancelled else RedriveState.SUCCEEDED
        return Redrive(
            id=row.id,
            filter=row.filter,
            environment_id=row.environment_id,
            jobs_per_second=row.jobs_per_second,
            total=row.total_count,
            redriven=row.redriven_count,
            skipped=row.skipped_count,
            created_at=row.created_at,
            ended_at=row.ended_at,
            state=state if row.ended_at else RedriveState.RUNNING,
            caller_name=row.caller_name,
            reason=row.reason,
            change=_change(row.args, row.args_patch),
            refused=row.refused_count,
        )

    async def stop(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> None:
        """End a redrive; see RedriveLedger.stop."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_STOP, {"id": id_, "environment_id": environment_id})
            if await cursor.fetchone() is not None:
                await note(
                    cursor, "cancel_redrive", by, redrive_id=id_, environment_id=environment_id
                )

    async def advance(self) -> bool:
        """Carry out what is due of a redrive; see RedriveLedger.advance."""
        async with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            await cursor.execute(_TAKE_DUE)
            row = await cursor.fetchone()
            if row is None:
                return False
            id_, filter_text, environment_id, rate, last, created_at, text, is_patch, *by = row
            condition = and_(
                _condition(environment_id, self._parse(filter_text)),
                # What is discarded later, by this very redrive too, is not part of it.
                _JOBS.finalized_at <= created_at,
            )
            if last is not None:
                condition = and_(condition, _JOBS.id > last)
            ids = await self._first(condition, rate)
            if ids:
                if text is None:
                    done, refused = await _make_available(connection, cursor, ids), 0
                else:
                    edited = EditedLetters(
                        self._edits, ArgsChange(text.encode(), is_patch), id_, Intervention(*by)
                    )
                    done, refused = await edited.make_available(connection, cursor, ids)
                progress = {
                    "id": id_,
                    "last": ids[-1],
                    "redriven": done,
                    "skipped": len(ids) - done - refused,
                    "refused": refused,
                }
                await cursor.execute(_NOTE_PROGRESS, progress)
            if len(ids) < rate:
                await cursor.execute(_END, {"id": id_})
        return True

    async def any_unfinished(self) -> bool:
        """Tell whether a redrive goes on; see RedriveLedger.any_unfinished."""
        [(unfinished,)] = await self._pool.execute(_ANY_UNFINISHED)
        return bool(unfinished)

    async def _first(self, condition: ColumnElement[bool], limit: int) -> list[UUID]:
        query = select(_JOBS.id).where(condition).order_by(_JOBS.id).limit(limit)
        async with self._database.reading() as connection:
            return list((await connection.execute(query)).scalars())


def _change(args: object, patch: object) -> ArgsChange | None:
    if args is None and patch is None:
        return None
    is_patch = patch is not None
    return ArgsChange(orjson.dumps(patch if is_patch else args), is_patch)


def _condition(environment_id: UUID | None, condition: Filter | None) -> ColumnElement[bool]:
    found = _JOBS.state == JobState.DISCARDED.value
    if environment_id is not None:
        found = and_(found, _JOBS.environment_id == environment_id)
    if condition is not None:
        found = and_(found, filter_condition(condition, TARGETS))
    return found


async def _make_available(
    connection: psycopg.AsyncConnection[Any], cursor: psycopg.AsyncCursor[Any], ids: list[UUID]
) -> int:
    """Make dead letters available; those whose place is taken stay as they are."""
    try:
        async with connection.transaction():
            await cursor.execute(_MAKE_AVAILABLE, _these(ids))
            return cursor.rowcount
    except psycopg.errors.UniqueViolation:
        if len(ids) == 1:
            return 0
    # In halves, those whose place is taken end up alone.
    middle = len(ids) // 2
    first = await _make_available(connection, cursor, ids[:middle])
    return first + await _make_available(connection, cursor, ids[middle:])


def _these(ids: list[UUID]) -> dict[str, Any]:
    return {"ids": array_parameter("uuid", ids), "discarded": JobState.DISCARDED.value}
