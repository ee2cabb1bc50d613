"""Reads the audit trail for operators, with SQLAlchemy Core."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Row, select

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import FilterTarget, filter_condition
from kongflow_common.filtering import Comparison, Filter, Operator
from kongflow_workerqueue.adapters.tables import AUDIT_ENTRIES
from kongflow_workerqueue.application.audit_queries import AuditAction, AuditEntry

_COLUMNS = AUDIT_ENTRIES.c


def _action(comparison: Comparison) -> ColumnElement[bool]:
    value = AuditAction[str(comparison.value)].value
    # The language of filters lets enums be compared in these two ways only.
    return (
        _COLUMNS.action == value
        if comparison.operator is Operator.EQUAL
        else _COLUMNS.action != value
    )


_TARGETS: Mapping[str, FilterTarget] = {
    "action": _action,
    "caller_name": _COLUMNS.caller_name,
    "caller_key_id": _COLUMNS.caller_key_id,
    "queue": _COLUMNS.queue,
    "queued_job_id": _COLUMNS.queued_job_id,
    "kind": _COLUMNS.kind,
    "environment_id": _COLUMNS.environment_id,
    "redrive_id": _COLUMNS.redrive_id,
    "periodic_job": _COLUMNS.periodic_job,
    "create_time": _COLUMNS.created_at,
}


class PostgresAuditReader:
    """AuditReader in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        before: UUID | None,
        limit: int,
    ) -> Sequence[AuditEntry]:
        """Return entries; see AuditReader.newest."""
        # Ids are made as entries are written, and grow with time.
        query = select(AUDIT_ENTRIES).order_by(_COLUMNS.id.desc()).limit(limit)
        if environment_id is not None:
            query = query.where(_COLUMNS.environment_id == environment_id)
        if before is not None:
            query = query.where(_COLUMNS.id < before)
        if condition is not None:
            query = query.where(filter_condition(condition, _TARGETS))
        async with self._database.reading() as connection:
            return [_entry(row) for row in (await connection.execute(query)).all()]


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        id=row.id,
        created_at=row.created_at,
        action=AuditAction(row.action),
        caller=row.caller,
        caller_name=row.caller_name,
        caller_key_id=row.caller_key_id,
        reason=row.reason,
        queue=row.queue,
        queued_job_id=row.queued_job_id,
        kind=row.kind,
        environment_id=row.environment_id,
        redrive_id=row.redrive_id,
        former_args=None if row.former_args is None else orjson.dumps(row.former_args),
        periodic_job=row.periodic_job,
        max_running=row.max_running,
    )
