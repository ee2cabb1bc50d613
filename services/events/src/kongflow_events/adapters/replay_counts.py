"""Counts what a replay would go through, for as long as it may take.

One statement is several times as fast as many, and tells nothing when it does not come to its end:
so it has half of the time, and parts have the rest.
"""

import time
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select

from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_events.adapters.event_lists import read_along, reading_in_order
from kongflow_events.adapters.replay_rows import id_bounds, selected_events
from kongflow_events.adapters.tables import EVENT_RECORDS
from kongflow_events.application.ports_replays import EventCount, ReplaySelection

__all__ = ["count_events", "counted_part", "end_of_part"]

_RECORD: Final = EVENT_RECORDS.c

# Some tens of milliseconds: the time is looked at in between.
_COUNTED_AT_ONCE: Final = 20_000


def end_of_part(selection: ReplaySelection, after: UUID | None) -> Select[Any]:
    """The last event of the next part, by the index alone; none where fewer are left."""
    return (
        select(_RECORD.id)
        .where(*_walked(selection, after))
        .order_by(_RECORD.id)
        .offset(_COUNTED_AT_ONCE - 1)
        .limit(1)
    )


def counted_part(selection: ReplaySelection, after: UUID | None, end: UUID | None) -> Select[Any]:
    """How many events of the selection a part has; `end` None is that of all."""
    conditions = [*_walked(selection, after), *selected_events(selection)]
    if end is not None:
        conditions.append(_RECORD.id <= end)
    return select(func.count()).select_from(EVENT_RECORDS).where(*conditions)


async def count_events(
    database: Database, selection: ReplaySelection, *, seconds: float
) -> EventCount:
    """Count for as long, one part at least."""
    until = time.monotonic() + seconds
    half = int(seconds * 500)
    # None at all would be no limit to PostgreSQL.
    if half > 0:
        try:
            return EventCount(await _count_whole(database, selection, half), is_partial=False)
        except DependencyUnavailable:
            # It took too long, or the database is away; then the parts say so.
            pass
    return await _count_parts(database, selection, until)


async def _count_whole(database: Database, selection: ReplaySelection, milliseconds: int) -> int:
    statement = select(func.count()).select_from(EVENT_RECORDS).where(*selected_events(selection))
    async with database.reading() as connection:
        await connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")
        return int((await connection.execute(statement)).scalar_one())


async def _count_parts(database: Database, selection: ReplaySelection, until: float) -> EventCount:
    counted, after = 0, None
    async with reading_in_order(database) as connection:
        while True:
            end = await connection.scalar(end_of_part(selection, after))
            counted += await connection.scalar(counted_part(selection, after, end)) or 0
            if end is None:
                return EventCount(counted, is_partial=False)
            if time.monotonic() > until:
                return EventCount(counted, is_partial=True)
            after = end


def _walked(selection: ReplaySelection, after: UUID | None) -> list[ColumnElement[bool]]:
    """What an index is asked for: that of names, where the selection has only one."""
    conditions = [*id_bounds(selection), read_along(selection.environment_id, selection.filter)]
    if selection.names is not None and len(selection.names) == 1:
        conditions.append(_RECORD.name == selection.names[0])
    if after is not None:
        conditions.append(_RECORD.id > after)
    return conditions
