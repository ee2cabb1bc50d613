"""Reads queued jobs for operators, with SQLAlchemy Core."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Row, Select, false, func, select

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import FilterTarget, filter_condition
from kongflow_common.errors import InvalidField
from kongflow_common.filtering import Comparison, Filter, Operator
from kongflow_workerqueue.adapters.attempt_errors import read_errors
from kongflow_workerqueue.adapters.tables import QUEUED_JOBS
from kongflow_workerqueue.application.ports import QueuedJob
from kongflow_workerqueue.domain.outcome import StatusCode
from kongflow_workerqueue.domain.states import JobState, Priority

_COLUMNS = QUEUED_JOBS.c
_OF_LISTS = [
    column
    for column in _COLUMNS
    if column.name in QueuedJob.__dataclass_fields__ and column.name not in {"args", "errors"}
]
_NEWEST_ERROR = _COLUMNS.errors[-1]


def _state(comparison: Comparison) -> ColumnElement[bool]:
    return _equality(comparison, _COLUMNS.state, JobState[str(comparison.value)].value)


def _priority(comparison: Comparison) -> ColumnElement[bool]:
    return _equality(comparison, _COLUMNS.priority, Priority[str(comparison.value)].value)


def _error_code(comparison: Comparison) -> ColumnElement[bool]:
    code = StatusCode[str(comparison.value)].value
    # A job without errors is unlike every code.
    is_other: ColumnElement[bool] = (
        _NEWEST_ERROR["status"]["code"].as_integer().is_distinct_from(code)
    )
    return ~is_other if comparison.operator is Operator.EQUAL else is_other


def _tag(comparison: Comparison) -> ColumnElement[bool]:
    if comparison.operator not in {Operator.EQUAL, Operator.NOT_EQUAL}:
        raise InvalidField("filter", "tag is compared with = and != only")
    has_tag = func.coalesce(_COLUMNS.tags.contains([str(comparison.value)]), false())
    return has_tag if comparison.operator is Operator.EQUAL else ~has_tag


def _equality(
    comparison: Comparison, column: ColumnElement[Any], value: str | int
) -> ColumnElement[bool]:
    # The language of filters lets enums be compared in these two ways only.
    return column == value if comparison.operator is Operator.EQUAL else column != value


TARGETS: Mapping[str, FilterTarget] = {
    "state": _state,
    "kind": _COLUMNS.kind,
    "queue": _COLUMNS.queue,
    "priority": _priority,
    "environment_id": _COLUMNS.environment_id,
    "create_time": _COLUMNS.created_at,
    "run_time": _COLUMNS.run_at,
    "end_time": _COLUMNS.finalized_at,
    "tag": _tag,
    "error_code": _error_code,
}
"""What each field of a filter over queued jobs is compared with."""


class PostgresQueuedJobReader:
    """QueuedJobReader in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, id_: UUID, environment_id: UUID | None) -> QueuedJob | None:
        """Return a job, whole; see QueuedJobReader.find."""
        query = select(*_OF_LISTS, _COLUMNS.args, _COLUMNS.errors).where(_COLUMNS.id == id_)
        rows = await self._fetch(query, environment_id)
        return _queued_job(rows[0], rows[0].args, rows[0].errors) if rows else None

    async def newest(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[QueuedJob]:
        """Return jobs without arguments; see QueuedJobReader.newest."""
        # Ids grow with time, and unlike the times of creation each has an index entry already.
        query = (
            select(*_OF_LISTS, _NEWEST_ERROR.label("newest_error"))
            .order_by(_COLUMNS.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(_COLUMNS.id < before)
        if condition is not None:
            query = query.where(filter_condition(condition, TARGETS))
        rows = await self._fetch(query, environment_id)
        return [
            _queued_job(row, None, [row.newest_error] if row.newest_error else None) for row in rows
        ]

    async def _fetch(self, query: Select[Any], environment_id: UUID | None) -> Sequence[Row[Any]]:
        if environment_id is not None:
            query = query.where(_COLUMNS.environment_id == environment_id)
        async with self._database.reading() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
            return rows


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
