"""Reads runs from PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Text, cast, select, tuple_

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.filtering import Filter
from kongflow_common.payload import JsonDocument
from kongflow_runs.adapters.tables import JOB_RUNS
from kongflow_runs.domain.run import Run, RunState, VersionSelector

FILTER_TARGETS = {
    "state": JOB_RUNS.c.status,
    "job_id": JOB_RUNS.c.job_id,
    "event_record_id": JOB_RUNS.c.event_record_id,
    "dispatcher_id": JOB_RUNS.c.dispatcher_id,
    "job_slug": JOB_RUNS.c.job_slug,
    "test": JOB_RUNS.c.is_test,
    "create_time": JOB_RUNS.c.created_at,
}


class PostgresRunReader:
    """The RunReader on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, environment_id: UUID, run_id: UUID) -> Run | None:
        """The run, or ``None`` when this environment has no such run."""
        query: Select[Any] = select(*_COLUMNS, _OUTPUT).where(
            JOB_RUNS.c.id == run_id, JOB_RUNS.c.environment_id == environment_id
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _run(row, row.output) if row else None

    async def page(
        self,
        environment_id: UUID,
        where: Filter | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Run]:
        """The newest runs that the filter takes and that are older than ``before``."""
        query = (
            select(*_COLUMNS)
            .where(JOB_RUNS.c.environment_id == environment_id)
            .order_by(JOB_RUNS.c.created_at.desc(), JOB_RUNS.c.id.desc())
            .limit(limit)
        )
        if where is not None:
            query = query.where(filter_condition(where, FILTER_TARGETS))
        if before is not None:
            query = query.where(tuple_(JOB_RUNS.c.created_at, JOB_RUNS.c.id) < tuple_(*before))
        async with self._database.reading() as connection:
            return [_run(row, None) for row in await connection.execute(query)]


# Everything but what may be large.
_COLUMNS = [column for column in JOB_RUNS.c if column.name != "output"]
# As text: what was read and written again would not be what the program sent.
_OUTPUT = cast(JOB_RUNS.c.output, Text).label("output")


def _run(row: Row[Any], output: str | None) -> Run:
    return Run(
        id=row.id,
        number=row.number,
        state=RunState(row.status),
        job_id=row.job_id,
        selector=VersionSelector(alias=row.version_alias, version=row.version),
        event_record_id=row.event_record_id,
        dispatcher_id=row.dispatcher_id,
        is_test=row.is_test,
        internal=row.internal,
        version_id=row.version_id,
        job_slug=row.job_slug,
        endpoint_id=row.endpoint_id,
        output=None if output is None else JsonDocument(output.encode()),
        error=row.error,
        execution_count=row.execution_count,
        execution_failure_count=row.execution_failure_count,
        execution_duration_ms=row.execution_duration_ms,
        created_at=row.created_at,
        queued_at=row.queued_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
        updated_at=row.updated_at,
    )
