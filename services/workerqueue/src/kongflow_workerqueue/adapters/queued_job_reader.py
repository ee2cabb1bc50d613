"""Reads queued jobs for operators, with SQLAlchemy Core."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row, Select, select

from kongflow_common.db.engine import Database
from kongflow_common.filtering import Filter
from kongflow_workerqueue.adapters.attempt_errors import read_errors
from kongflow_workerqueue.adapters.job_filters import NEWEST_ERROR
from kongflow_workerqueue.adapters.queued_job_lists import find_rows, reading_in_order
from kongflow_workerqueue.adapters.tables import QUEUED_JOBS
from kongflow_workerqueue.application.ports import JobPage, JobPlace, QueuedJob
from kongflow_workerqueue.domain.limits import given_key
from kongflow_workerqueue.domain.states import JobState, Priority

_COLUMNS = QUEUED_JOBS.c
_OF_ONE = ("args", "errors", "serial_key", "concurrency_key", "rate_key")
"""What only one job is read with: lists do not show arguments, nor keys made of them."""
_OF_LISTS = [
    column
    for column in _COLUMNS
    if column.name in QueuedJob.__dataclass_fields__ and column.name not in _OF_ONE
]
LIST_COLUMNS = [*_OF_LISTS, NEWEST_ERROR.label("newest_error")]
"""What lists show of a job."""


class PostgresQueuedJobReader:
    """QueuedJobReader in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, id_: UUID, environment_id: UUID | None) -> QueuedJob | None:
        """Return a job, whole; see QueuedJobReader.find."""
        query = select(*_OF_LISTS, *(_COLUMNS[name] for name in _OF_ONE)).where(_COLUMNS.id == id_)
        rows = await self._fetch(query, environment_id)
        if not rows:
            return None
        row = rows[0]
        return replace(
            _queued_job(row, row.args, row.errors),
            serial_key=given_key(row.serial_key),
            concurrency_key=given_key(row.concurrency_key),
            rate_key=given_key(row.rate_key),
        )

    async def page(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        after: JobPlace | None,
        limit: int,
    ) -> JobPage:
        """Return jobs, newest first; see QueuedJobReader.page."""
        async with reading_in_order(self._database) as connection:
            found = await find_rows(
                connection, LIST_COLUMNS, condition, environment_id, after=after, limit=limit
            )
        return JobPage([listed_job(row) for row in found.rows], found.end)

    async def _fetch(self, query: Select[Any], environment_id: UUID | None) -> Sequence[Row[Any]]:
        if environment_id is not None:
            query = query.where(_COLUMNS.environment_id == environment_id)
        async with self._database.reading() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return rows


def listed_job(row: Row[Any]) -> QueuedJob:
    """Read a row of a list: without arguments, of the errors the newest."""
    return _queued_job(row, None, [row.newest_error] if row.newest_error else None)


def _queued_job(
    row: Row[Any], args: object, errors: Sequence[Mapping[str, Any]] | None
) -> QueuedJob:
    return QueuedJob(
        id=row.id,
        kind=row.kind,
        queue=row.queue,
        priority=Priority(row.priority),
        state=JobState(row.state),
        attempt=row.attempt,
        max_attempts=row.max_attempts,
        turn=row.turn,
        run_at=row.run_at,
        created_at=row.created_at,
        attempted_at=row.attempted_at,
        finalized_at=row.finalized_at,
        environment_id=row.environment_id,
        job_key=row.job_key,
        tags=tuple(row.tags or ()),
        metadata=None if row.metadata is None else orjson.dumps(row.metadata),
        args=None if args is None else orjson.dumps(args),
        errors=read_errors(errors),
        traceparent=row.traceparent,
        waiting_for=row.waiting_for,
    )
