"""Lists of events, the newest first, each read along the index that has it in this order.

One comparison of a filter says which index that is: of the name, of what is not processed, or of
tests; times of creation bound the ids. Everything else is tried on the events that these leave, for
as long as a page may take; then the page ends short.
"""

import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, select
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import FilterTarget, filter_condition
from kongflow_common.filtering import And, Comparison, Filter, Operator, Or
from kongflow_events.adapters.record_rows import select_records, to_record
from kongflow_events.adapters.tables import EVENT_RECORDS
from kongflow_events.application.ports import FoundEvents
from kongflow_events.application.selection import Selection
from kongflow_events.domain.event_record import EventRecord, EventState
from kongflow_events.domain.id_times import CLOCKS_APART, FIRST_ID, first_id_at

__all__ = ["EVENT_TARGETS", "find_events", "read_along", "reading_in_order"]

_RECORD: Final = EVENT_RECORDS.c

# As EventRecord.state tells it.
_STATE: Final[ColumnElement[str]] = case(
    (_RECORD.cancelled_at.is_not(None), EventState.CANCELLED.value),
    (_RECORD.processed_at.is_(None), EventState.PENDING.value),
    (_RECORD.matched_count > 0, EventState.DELIVERED.value),
    else_=EventState.UNMATCHED.value,
)
EVENT_TARGETS: Final[Mapping[str, FilterTarget]] = {
    "name": _RECORD.name,
    "state": _STATE,
    "source": _RECORD.source,
    "test": _RECORD.is_test,
    "create_time": _RECORD.created_at,
    "deliver_time": _RECORD.deliver_at,
    "replay_of": _RECORD.replay_of,
}

_UNPROCESSED: Final = (EventState.PENDING.value, EventState.CANCELLED.value)

_TRIED_AT_ONCE: Final = 2_000
_SCAN_SECONDS: Final = 0.02

# The planner knows nothing of a new table, and too little of how long a rare event is looked for.
_IN_ORDER: Final = """
SET TRANSACTION READ ONLY;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off
"""


@dataclass(frozen=True, slots=True)
class _Walk:
    """What is read: along which index, between which ids, and what is tried on it."""

    along: ColumnElement[bool]
    tried: ColumnElement[bool] | None
    oldest: UUID
    before: UUID | None

    @property
    def whole(self) -> ColumnElement[bool]:
        bounds = [self.along, _RECORD.id >= self.oldest]
        if self.before is not None:
            bounds.append(_RECORD.id < self.before)
        return and_(*bounds)


@asynccontextmanager
async def reading_in_order(database: Database) -> AsyncIterator[AsyncConnection]:
    """Lend a connection on which lists are read along an index."""
    async with database.reading() as connection:
        # The settings end with the transaction.
        await connection.exec_driver_sql(_IN_ORDER)
        yield connection


def read_along(environment_id: UUID, condition: Filter | None) -> ColumnElement[bool]:
    """What holds for all events of an environment that fit a filter, and an index knows."""
    return _walk_of(Selection(environment_id, condition, None, 1)).along


async def find_events(
    connection: AsyncConnection, selection: Selection, *, seconds: float = _SCAN_SECONDS
) -> FoundEvents:
    """Read the next events of a list on a connection of reading_in_order.

    At most as many as it asks for, fewer when it takes longer than `seconds` to find more.
    """
    began = time.monotonic()
    walk = _walk_of(selection)
    found: list[EventRecord] = []
    while True:
        step = await _step(connection, walk, selection.limit - len(found))
        found.extend(step.records)
        is_late = time.monotonic() - began > seconds
        if step.end is None or len(found) >= selection.limit or is_late:
            return FoundEvents(found, step.end)
        walk = replace(walk, before=step.end)


async def _step(connection: AsyncConnection, walk: _Walk, limit: int) -> FoundEvents:
    end: UUID | None = None
    condition = walk.whole
    if walk.tried is not None:
        floor = (
            select(_RECORD.id)
            .where(condition)
            .order_by(_RECORD.id.desc())
            .offset(_TRIED_AT_ONCE - 1)
            .limit(1)
        )
        end = (await connection.execute(floor)).scalar_one_or_none()
        if end is not None:
            condition = replace(walk, oldest=end).whole
        condition = and_(condition, walk.tried)
    query = select_records().where(condition).order_by(_RECORD.id.desc()).limit(limit + 1)
    records = [to_record(row) for row in await connection.execute(query)]
    if len(records) > limit:
        return FoundEvents(records[:limit], records[limit - 1].id)
    return FoundEvents(records, end)


def _walk_of(selection: Selection) -> _Walk:
    along = _RECORD.environment_id == selection.environment_id
    if selection.filter is None:
        return _Walk(along, None, FIRST_ID, selection.after)
    parts = list(_parts_of(selection.filter))
    comparisons = [part for part in parts if isinstance(part, Comparison)]
    guides = [guide for guide in map(_guide_of, parts) if guide is not None]
    oldest, before = _bounds_of(comparisons)
    if selection.after is not None:
        before = selection.after if before is None else min(before, selection.after)
    if not guides:
        return _Walk(along, filter_condition(selection.filter, EVENT_TARGETS), oldest, before)
    best = min(guides, key=lambda guide: guide.rank)
    others = [part for part in parts if part is not best.part or not best.answers]
    tried = and_(*(filter_condition(part, EVENT_TARGETS) for part in others)) if others else None
    return _Walk(and_(along, best.condition), tried, oldest, before)


@dataclass(frozen=True, slots=True)
class _Guide:
    """A comparison that an index helps with; the lowest rank leaves the fewest events as a rule.

    An index of its own `answers` it; otherwise it is tried too.
    """

    rank: int
    part: Filter
    condition: ColumnElement[bool]
    answers: bool = True


def _guide_of(part: Filter) -> _Guide | None:
    if _is_of_unprocessed(part):
        unprocessed = and_(_RECORD.processed_at.is_(None), _RECORD.delivered_at.is_(None))
        return _Guide(0, part, unprocessed, answers=False)
    if not isinstance(part, Comparison) or part.operator is not Operator.EQUAL:
        return None
    if part.field == "name":
        return _Guide(2, part, _RECORD.name == part.value)
    if part.field == "replay_of":
        return _Guide(0, part, filter_condition(part, EVENT_TARGETS))
    if part.field == "test" and part.value is True:
        return _Guide(1, part, _RECORD.is_test)
    return None


def _is_of_unprocessed(part: Filter) -> bool:
    """Whether it holds for no event that is processed."""
    if isinstance(part, Or):
        return all(map(_is_of_unprocessed, part.items))
    return (
        isinstance(part, Comparison)
        and part.field == "state"
        and part.operator is Operator.EQUAL
        and part.value in _UNPROCESSED
    )


def _parts_of(tree: Filter) -> Iterator[Filter]:
    if isinstance(tree, And):
        for item in tree.items:
            yield from _parts_of(item)
    else:
        yield tree


def _bounds_of(comparisons: Sequence[Comparison]) -> tuple[UUID, UUID | None]:
    """Between which ids the events must be that were created at these times."""
    oldest, before = FIRST_ID, None
    for part in comparisons:
        if part.field != "create_time" or not isinstance(part.value, datetime):
            continue
        if part.operator in (Operator.GREATER, Operator.AT_LEAST, Operator.EQUAL):
            oldest = max(oldest, first_id_at(part.value, -CLOCKS_APART))
        if part.operator in (Operator.LESS, Operator.AT_MOST, Operator.EQUAL):
            end = first_id_at(part.value, CLOCKS_APART)
            before = end if before is None else min(before, end)
    return oldest, before
