"""Lists of queued jobs, the newest first, by merging the few groups that a filter wants.

A group is a state, a queue and a kind. There are about as many as kinds, whatever number of jobs
there is, and the index of groups holds each of them in the order of lists: so any combination of
state, queue, kind and time of creation is read off the index. Every other comparison is tried on
the jobs of the groups, newest first, for as long as a page may take; then the page ends short.

The index leaves out running jobs, so that a claim need not write to it: no more of them exist
than workers have room for, and they are put between the others.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.filtering import Filter
from kongflow_workerqueue.adapters.job_filters import (
    NEWEST,
    Group,
    holds_for,
    is_told_by_group,
    places_of,
)
from kongflow_workerqueue.adapters.queued_job_queries import (
    FLOOR_OF_ENVIRONMENT,
    FLOOR_OF_GROUPS,
    GROUPS,
    HEADS,
    IS_SMALL,
    MERGED_GROUPS,
    SCANNED,
    Wanted,
    by_places,
    by_trial,
    given,
    of_environment,
    of_running,
)
from kongflow_workerqueue.application.ports import JobPlace
from kongflow_workerqueue.domain.states import JobState

__all__ = ["FoundRows", "find_rows", "reading_in_order"]

_RUNNING = Group(JobState.RUNNING.value, None, None)
_SCAN_SECONDS = 0.02

# One look at the table: a job that ends meanwhile must not be passed over in both its groups.
# The planner knows nothing of a new table, and too little of how long a rare job is looked for:
# what is read is read in the order of lists, along one of the two indexes that have it.
_IN_ORDER = """
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off
"""


@dataclass(frozen=True, slots=True)
class FoundRows:
    """Rows in the order of lists, and the place after which the list goes on, if it does."""

    rows: Sequence[Row[Any]]
    end: JobPlace | None


@asynccontextmanager
async def reading_in_order(database: Database) -> AsyncIterator[AsyncConnection]:
    """Lend a connection on which one look is read in the order of lists."""
    async with database.reading() as connection:
        # The settings end with the transaction.
        await connection.exec_driver_sql(_IN_ORDER)
        yield connection


async def find_rows(
    connection: AsyncConnection,
    columns: Sequence[ColumnElement[Any]],
    condition: Filter | None,
    environment_id: UUID | None,
    *,
    after: JobPlace | None,
    limit: int,
) -> FoundRows:
    """Read the next rows of a list on a connection of reading_in_order.

    At most `limit`, fewer when it takes too long to find more.
    """
    began = time.monotonic()
    oldest, newest = places_of(condition)
    before = newest if after is None else min(after, newest)
    wanted = Wanted(columns, condition, environment_id, before, oldest)
    there_are = [Group(*row) for row in await connection.execute(GROUPS)]
    groups = [
        each for each in there_are if condition is None or holds_for(condition, each) is not False
    ]
    by_environment = environment_id is not None and (
        len(groups) == len(there_are) or await _is_small(connection, wanted)
    )
    is_told = environment_id is None and is_told_by_group(condition)
    may_run = condition is None or holds_for(condition, _RUNNING) is not False
    found: list[Row[Any]] = []
    while True:
        step = await (
            _read_environment(connection, wanted, limit - len(found))
            if by_environment
            else _read_groups(connection, wanted, groups, limit - len(found))
        )
        if may_run:
            step = await _with_running(connection, wanted, step, limit - len(found))
        found.extend(step.rows)
        is_late = not is_told and time.monotonic() - began > _SCAN_SECONDS
        if step.end is None or len(found) >= limit or is_late:
            return FoundRows(found, step.end)
        wanted = replace(wanted, before=step.end)


async def _is_small(connection: AsyncConnection, wanted: Wanted) -> bool:
    """Whether all jobs of the environment are soon tried, whatever the groups hold."""
    return bool((await connection.execute(IS_SMALL, wanted.parameters)).scalar_one())


async def _read_environment(connection: AsyncConnection, wanted: Wanted, limit: int) -> FoundRows:
    end = None
    if wanted.condition is not None:
        floor = await _floor_of(connection, wanted, [Group("", "", "")], FLOOR_OF_ENVIRONMENT)
        if floor != wanted.until:
            end = floor
            wanted = replace(wanted, until=floor)
    query = of_environment(wanted, limit + 1)
    return _cut((await connection.execute(query)).all(), limit, end)


async def _read_groups(
    connection: AsyncConnection, wanted: Wanted, groups: Sequence[Group], limit: int
) -> FoundRows:
    heads = (await connection.execute(HEADS, {**wanted.parameters, **given(groups)})).all()
    merged = [Group(state, queue, kind) for state, queue, kind, *_ in heads[:MERGED_GROUPS]]
    if not merged:
        return FoundRows([], None)
    end = None
    if len(heads) > MERGED_GROUPS:
        # The first job of the first group that is left out: up to there nothing is.
        end = _just_after(_place_of(heads[MERGED_GROUPS]))
        wanted = replace(wanted, until=end)
    if wanted.environment_id is None and is_told_by_group(wanted.condition):
        query = by_places(wanted, merged, limit + 1)
    else:
        floor = await _floor_of(connection, wanted, merged, FLOOR_OF_GROUPS)
        if floor != wanted.until:
            end = floor
            wanted = replace(wanted, until=floor)
        query = by_trial(wanted, merged, limit + 1)
    rows = (await connection.execute(query)).all()
    return _cut(rows, limit, end)


async def _with_running(
    connection: AsyncConnection, wanted: Wanted, step: FoundRows, limit: int
) -> FoundRows:
    """Put the running jobs of the part of the list that was looked at between the others."""
    query = of_running(replace(wanted, until=step.end or wanted.until), limit + 1)
    running = (await connection.execute(query)).all()
    merged = sorted([*step.rows, *running], key=_place_of, reverse=True) if running else step.rows
    return _cut(merged, limit, step.end)


def _place_of(row: Row[Any]) -> JobPlace:
    return JobPlace(row.created_at, row.id)


def _cut(rows: Sequence[Row[Any]], limit: int, end: JobPlace | None) -> FoundRows:
    if len(rows) > limit:
        return FoundRows(rows[:limit], _place_of(rows[limit - 1]))
    return FoundRows(rows, end)


async def _floor_of(
    connection: AsyncConnection, wanted: Wanted, groups: Sequence[Group], statement: Any
) -> JobPlace:
    parameters = {**wanted.parameters, **given(groups), "scanned": SCANNED}
    return JobPlace(*(await connection.execute(statement, parameters)).one())


def _just_after(place: JobPlace) -> JobPlace:
    """The first place that is newer than this one."""
    return JobPlace(place.created_at, UUID(int=min(place.id.int + 1, NEWEST.id.int)))
