"""Looks at queued jobs for what has changed, along the indexes that are there for other reasons.

A notification for each change would be one more thing that every commit of the hot path waits
for, whether anybody watches or not. A look costs the same however many jobs there are: each of
its arms reads a bounded part of an index.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.util import ClauseAdapter

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.filtering import And, Comparison, Filter, Operator
from kongflow_workerqueue.adapters.job_filters import TARGETS
from kongflow_workerqueue.adapters.queued_job_lists import find_rows, reading_in_order
from kongflow_workerqueue.adapters.queued_job_reader import (
    LIST_COLUMNS,
    PostgresQueuedJobReader,
    listed_job,
)
from kongflow_workerqueue.adapters.tables import QUEUED_JOBS
from kongflow_workerqueue.application.watch_queued_jobs import JobStamp, Look

__all__ = ["PostgresJobWatcher"]

_COLUMNS = QUEUED_JOBS.c
_OVERLAP = timedelta(seconds=2)
"""Times are those at which transactions began; so much later they are visible at the latest,
or seen in a later state."""
_AT_MOST = 1_000
_READ_AT_MOST = 5_000

# The predicates of indexes, as they stand there.
_ENDED = text("state IN ('completed', 'cancelled')")
_DISCARDED = text("state = 'discarded'")
_RUNNING = text("state = 'running'")
_FAILED = text("state IN ('retryable', 'discarded')")
_RETRYABLE = text("state = 'retryable'")


class PostgresJobWatcher(PostgresQueuedJobReader):
    """JobWatcher in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._database = database

    async def look(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        since: datetime | None,
        known: Mapping[UUID, JobStamp],
    ) -> Look:
        """Return what has changed; see JobWatcher.look."""
        async with reading_in_order(self._database) as connection:
            now: datetime = (await connection.execute(select(func.now()))).scalar_one()
            if since is None:
                return Look(now)
            begin = since - _OVERLAP
            matches = _matches(environment_id, condition)
            changed, skipped = await _moved(connection, matches, begin)
            created = await _created(connection, environment_id, condition, begin)
            moved, deleted = await _otherwise(connection, matches, known)
        return Look(
            now,
            [listed_job(row) for row in (*changed, *created)],
            [(listed_job(row), row.matches) for row in moved],
            deleted,
            skipped=skipped or len(created) > _AT_MOST,
        )


def _matches(environment_id: UUID | None, condition: Filter | None) -> ColumnElement[bool]:
    found: ColumnElement[bool] = true()
    if environment_id is not None:
        found = and_(found, _COLUMNS.environment_id == environment_id)
    if condition is not None:
        found = and_(found, filter_condition(condition, TARGETS))
    return found


# Any: rows of a statement that is put together here.
async def _moved(
    connection: AsyncConnection, matches: ColumnElement[bool], begin: datetime
) -> tuple[Sequence[Any], bool]:
    """The jobs that were begun, failed or ended lately, and whether there were too many."""
    after = bindparam(None, begin, type_=DateTime(timezone=True))
    ended_since = _COLUMNS.finalized_at > after
    arms = [
        _read(_ENDED, ended_since).order_by(_COLUMNS.finalized_at.desc()),
        _read(_DISCARDED, ended_since).order_by(_COLUMNS.finalized_at.desc()),
        _read(_RUNNING),
        # Of many that have failed those that were created last.
        _read(_RETRYABLE, _FAILED).order_by(_COLUMNS.id.desc()),
    ]
    read = [arm.limit(_READ_AT_MOST).subquery() for arm in arms]
    moved = union_all(*(select(each) for each in read)).subquery("moved")
    adapter = ClauseAdapter(moved)
    query = (
        select(*(adapter.traverse(column) for column in LIST_COLUMNS))
        .where(
            (moved.c.attempted_at > after) | (moved.c.finalized_at > after),
            adapter.traverse(matches),
        )
        .order_by(func.coalesce(moved.c.finalized_at, moved.c.attempted_at).desc())
        .limit(_AT_MOST + 1)
    )
    rows = (await connection.execute(query)).all()
    ended = [
        func.count().filter(each.c.finalized_at > after).label(f"arm{number}")
        for number, each in enumerate(read[:2])
    ]
    counts = [
        (await connection.execute(select(count).select_from(each))).scalar_one()
        for count, each in zip(ended, read, strict=False)
    ]
    too_many = len(rows) > _AT_MOST or any(count >= _READ_AT_MOST for count in counts)
    return rows[:_AT_MOST], too_many


def _read(*conditions: Any) -> Select[Any]:
    return select(QUEUED_JOBS).where(*conditions)


async def _created(
    connection: AsyncConnection,
    environment_id: UUID | None,
    condition: Filter | None,
    begin: datetime,
) -> Sequence[Any]:
    recent = Comparison("create_time", Operator.GREATER, begin)
    wanted = recent if condition is None else And((recent, condition))
    found = await find_rows(
        connection, LIST_COLUMNS, wanted, environment_id, after=None, limit=_AT_MOST + 1
    )
    return found.rows


async def _otherwise(
    connection: AsyncConnection, matches: ColumnElement[bool], known: Mapping[UUID, JobStamp]
) -> tuple[Sequence[Any], Sequence[UUID]]:
    """The known jobs that stand otherwise or do not match any more, and those that are gone."""
    if not known:
        return (), ()
    stamps = list(known.values())
    arrays = (
        bindparam(None, list(known), type_=ARRAY(Uuid)),
        bindparam(None, [state.value for state, _, _ in stamps], type_=ARRAY(Text)),
        bindparam(None, [turn for _, turn, _ in stamps], type_=ARRAY(BigInteger)),
        bindparam(None, [attempt for _, _, attempt in stamps], type_=ARRAY(Integer)),
    )
    given = (
        func.unnest(*arrays)
        .table_valued("id", "state", "turn", "attempt", name="known")
        .render_derived()
    )
    holds = func.coalesce(matches, literal_column("false"))
    query = (
        select(given.c.id.label("known_id"), *LIST_COLUMNS, holds.label("matches"))
        .select_from(given.outerjoin(QUEUED_JOBS, given.c.id == _COLUMNS.id))
        .where(
            _COLUMNS.id.is_(None)
            | (_COLUMNS.state != given.c.state)
            | (_COLUMNS.turn != given.c.turn)
            | (_COLUMNS.attempt != given.c.attempt)
            | ~holds
        )
    )
    rows = (await connection.execute(query)).all()
    return (
        [row for row in rows if row.id is not None],
        [row.known_id for row in rows if row.id is None],
    )
