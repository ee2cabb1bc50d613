"""The statements that lists of queued jobs are read with; see queued_job_lists."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    select,
    text,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.sql.util import ClauseAdapter

from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.filtering import Filter
from kongflow_workerqueue.adapters.job_filters import TARGETS, Group
from kongflow_workerqueue.adapters.tables import QUEUED_JOBS
from kongflow_workerqueue.application.ports import JobPlace

_COLUMNS = QUEUED_JOBS.c
_PLACE = tuple_(_COLUMNS.created_at, _COLUMNS.id)

MERGED_GROUPS = 64
"""So many groups are merged at a time: those whose first jobs are the newest."""
SCANNED = 2_000
"""So many jobs of a group are tried at a time when a filter asks for more than groups."""
_MAX_GROUPS = 2_000
_SMALL_ENVIRONMENT = 5_000

# From one group to the next along the index, whatever number of jobs lies between.
GROUPS = text(
    f"""
WITH RECURSIVE groups AS (
    (SELECT state, queue, kind FROM workerqueue.queued_jobs WHERE state <> 'running'
     ORDER BY state, queue, kind LIMIT 1)
    UNION ALL
    SELECT following.* FROM groups g, LATERAL (
        SELECT j.state, j.queue, j.kind FROM workerqueue.queued_jobs j
        WHERE (j.state, j.queue, j.kind) > (g.state, g.queue, g.kind) AND j.state <> 'running'
        ORDER BY j.state, j.queue, j.kind LIMIT 1) AS following)
SELECT state, queue, kind FROM groups LIMIT {_MAX_GROUPS}
"""
)

# The indexes leave out what runs.
_OF_GROUP = """j.state = g.state AND j.queue = g.queue AND j.kind = g.kind
        AND j.state <> 'running'"""
_OF_ENVIRONMENT = "j.environment_id = CAST(:environment_id AS uuid) AND j.state <> 'running'"
_GIVEN = """SELECT * FROM unnest(CAST(:states AS text[]), CAST(:queues AS text[]),
    CAST(:kinds AS text[])) WITH ORDINALITY AS given (state, queue, kind, number)"""
_BETWEEN = """(j.created_at, j.id) < (CAST(:before_time AS timestamptz), CAST(:before_id AS uuid))
    AND (j.created_at, j.id) >= (CAST(:until_time AS timestamptz), CAST(:until_id AS uuid))"""

HEADS = text(
    f"""
SELECT g.state, g.queue, g.kind, head.created_at, head.id
FROM ({_GIVEN}) AS g, LATERAL (
    SELECT j.created_at, j.id FROM workerqueue.queued_jobs j
    WHERE {_OF_GROUP} AND {_BETWEEN}
    ORDER BY j.created_at DESC, j.id DESC LIMIT 1) AS head
ORDER BY head.created_at DESC, head.id DESC
LIMIT {MERGED_GROUPS + 1}
"""
)


def _floor(source: str) -> str:
    """The newest of the places that `scanned` jobs of one source reach back to.

    What each source looks at ends where the ones before it have ended already, so that together
    they look at little more than `scanned` jobs.
    """
    return f"""
WITH RECURSIVE sources AS ({_GIVEN}),
floors (number, created_at, id) AS (
    SELECT CAST(0 AS bigint), CAST(:until_time AS timestamptz), CAST(:until_id AS uuid)
    UNION ALL
    SELECT g.number, coalesce(reached.created_at, f.created_at), coalesce(reached.id, f.id)
    FROM floors f JOIN sources g ON g.number = f.number + 1
    LEFT JOIN LATERAL (
        SELECT j.created_at, j.id FROM workerqueue.queued_jobs j
        WHERE {source}
          AND (j.created_at, j.id) < (CAST(:before_time AS timestamptz), CAST(:before_id AS uuid))
          AND (j.created_at, j.id) > (f.created_at, f.id)
        ORDER BY j.created_at DESC, j.id DESC OFFSET :scanned - 1 LIMIT 1) AS reached ON true)
SELECT created_at, id FROM floors ORDER BY number DESC LIMIT 1
"""


FLOOR_OF_GROUPS = text(_floor(_OF_GROUP))
FLOOR_OF_ENVIRONMENT = text(_floor(_OF_ENVIRONMENT))

IS_SMALL = text(
    f"""
SELECT count(*) <= {_SMALL_ENVIRONMENT} FROM (
    SELECT FROM workerqueue.queued_jobs j WHERE {_OF_ENVIRONMENT} AND {_BETWEEN}
    ORDER BY j.created_at DESC, j.id DESC LIMIT {_SMALL_ENVIRONMENT} + 1) AS first_jobs
"""
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: jobs older than `before`, none older than `until`."""

    columns: Sequence[ColumnElement[Any]]
    condition: Filter | None
    environment_id: UUID | None
    before: JobPlace
    until: JobPlace

    @property
    def parameters(self) -> dict[str, object]:
        return {
            "environment_id": self.environment_id,
            "before_time": self.before.created_at,
            "before_id": self.before.id,
            "until_time": self.until.created_at,
            "until_id": self.until.id,
        }

    def sql_condition(self) -> ColumnElement[bool]:
        found: ColumnElement[bool] = true()
        if self.environment_id is not None:
            found = and_(found, _COLUMNS.environment_id == self.environment_id)
        if self.condition is not None:
            found = and_(found, filter_condition(self.condition, TARGETS))
        return found


def by_places(wanted: Wanted, groups: Sequence[Group], limit: int) -> Select[Any]:
    """Rows whose places in the index tell all: none is read that is not shown."""
    given = _table(groups)
    of_group = (
        select(_COLUMNS.created_at, _COLUMNS.id)
        .where(*_of_group(given), *_between(wanted))
        .order_by(*_newest_first(_COLUMNS))
        .limit(limit)
        .lateral("of_group")
    )
    places = (
        select(of_group.c.created_at, of_group.c.id)
        .select_from(given.join(of_group, true()))
        .order_by(*_newest_first(of_group.c))
        .limit(limit)
        .subquery("places")
    )
    return (
        select(*wanted.columns)
        .select_from(places.join(QUEUED_JOBS, places.c.id == _COLUMNS.id))
        .order_by(*_newest_first(places.c))
    )


def by_trial(wanted: Wanted, groups: Sequence[Group], limit: int) -> Select[Any]:
    """Rows that a condition is tried on, one after the other."""
    given = _table(groups)
    jobs = (
        select(QUEUED_JOBS)
        .where(*_of_group(given), *_between(wanted))
        .order_by(*_newest_first(_COLUMNS))
        .limit(SCANNED + 1)
        .lateral("jobs")
    )
    return _tried(wanted, jobs, limit, given.join(jobs, true()))


def _tried(
    wanted: Wanted, jobs: FromClause, limit: int, source: FromClause | None = None
) -> Select[Any]:
    """Those of the jobs that are wanted.

    The limit of `jobs`, which is never reached, keeps the planner from other indexes: it would
    think of one for about every comparison.
    """
    adapter = ClauseAdapter(jobs)
    return (
        select(*(adapter.traverse(column) for column in wanted.columns))
        .select_from(jobs if source is None else source)
        .where(adapter.traverse(wanted.sql_condition()))
        .order_by(*_newest_first(jobs.c))
        .limit(limit)
    )


# Any: the table of the given groups has no declared columns.
def _of_group(given: Any) -> tuple[ColumnElement[bool], ...]:
    return (
        _COLUMNS.state != text("'running'"),
        _COLUMNS.state == given.c.state,
        _COLUMNS.queue == given.c.queue,
        _COLUMNS.kind == given.c.kind,
    )


def _between(wanted: Wanted) -> tuple[ColumnElement[bool], ...]:
    return (_as_tuple(wanted.before) > _PLACE, _as_tuple(wanted.until) <= _PLACE)


# Any: see _of_group.
def _newest_first(columns: Any) -> tuple[ColumnElement[Any], ...]:
    return (columns.created_at.desc(), columns.id.desc())


def _table(groups: Sequence[Group]) -> Any:
    arrays = [
        bindparam(None, [getattr(group, name) for group in groups], type_=ARRAY(Text))
        for name in ("state", "queue", "kind")
    ]
    return (
        func.unnest(*arrays).table_valued("state", "queue", "kind", name="given").render_derived()
    )


def of_environment(wanted: Wanted, limit: int) -> Select[Any]:
    """Rows of an environment that are wanted."""
    jobs = (
        select(QUEUED_JOBS)
        .where(
            _COLUMNS.environment_id == wanted.environment_id,
            _COLUMNS.state != text("'running'"),
            *_between(wanted),
        )
        .order_by(*_newest_first(_COLUMNS))
        .limit(SCANNED + 1 if wanted.condition is not None else limit)
        .subquery("jobs")
    )
    return _tried(wanted, jobs, limit)


def of_running(wanted: Wanted, limit: int) -> Select[Any]:
    """Running rows that are wanted."""
    return (
        select(*wanted.columns)
        .where(
            _COLUMNS.state == text("'running'"),
            *_between(wanted),
            wanted.sql_condition(),
        )
        .order_by(_COLUMNS.created_at.desc(), _COLUMNS.id.desc())
        .limit(limit)
    )


def given(groups: Sequence[Group]) -> dict[str, list[str | None]]:
    return {
        "states": [group.state for group in groups],
        "queues": [group.queue for group in groups],
        "kinds": [group.kind for group in groups],
    }


def _as_tuple(place: JobPlace) -> ColumnElement[Any]:
    return tuple_(
        bindparam(None, place.created_at, type_=DateTime(timezone=True)),
        bindparam(None, place.id, type_=Uuid()),
    )
