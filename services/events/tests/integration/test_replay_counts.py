"""What a replay would go through is counted for a bounded time, and it says when that was short."""

from dataclasses import replace

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.rpc.filtering import parse_filter
from kongflow_events.adapters.event_lists import reading_in_order
from kongflow_events.adapters.replay_counts import count_events, counted_part, end_of_part
from kongflow_events.application.ports_replays import EventCount, ReplaySelection
from kongflow_events.rpc.event_mapping import EVENT_FILTER_FIELDS
from services.events.tests.integration.test_plans import FILL_EVENTS, ROWS, row_id
from services.events.tests.integration.test_replay_plans import EVERYTHING

# The first hundred wait for their delivery.
MATCHED = ROWS - 100
ALL = EventCount(MATCHED, is_partial=False)
PART = 20_000
SOME_RARE = "UPDATE events.event_records SET name = 'rare' WHERE id > %s AND id <= %s"


def selecting(text: str) -> ReplaySelection:
    return replace(EVERYTHING, filter=parse_filter(text, EVENT_FILTER_FIELDS))


@pytest.fixture
async def filled(database: Database) -> Database:
    await database.pool.execute(FILL_EVENTS.replace("%", "%%"))
    await database.pool.execute(SOME_RARE, [row_id(1_000), row_id(1_007)])
    return database


@pytest.mark.parametrize(
    ("selection", "events"),
    [
        (EVERYTHING, MATCHED),
        (selecting("name = rare"), 7),
        (replace(EVERYTHING, names=["rare"]), 7),
        (replace(EVERYTHING, names=["rare", "order.created"]), MATCHED),
        (replace(EVERYTHING, names=["order.created"], source="elsewhere"), 0),
        (selecting("name != rare"), MATCHED - 7),
        (selecting("state = PENDING"), 0),
        (selecting("test = true"), 0),
    ],
    ids=str,
)
async def test_all_are_counted(filled: Database, selection: ReplaySelection, events: int) -> None:
    counted = await count_events(filled, selection, seconds=30)
    assert counted == EventCount(events, is_partial=False)


async def test_a_count_that_is_broken_off_is_gone_on_with_in_parts(filled: Database) -> None:
    counted = await count_events(filled, EVERYTHING, seconds=0.002)
    # Unless a machine counts them in a millisecond.
    assert counted in (
        EventCount(PART - 100, is_partial=True),
        EventCount(MATCHED, is_partial=False),
    )
    # The limit was that statement's.
    assert await count_events(filled, EVERYTHING, seconds=30) == EventCount(
        MATCHED, is_partial=False
    )


async def test_where_the_time_runs_out_it_says_so(filled: Database) -> None:
    counted = await count_events(filled, EVERYTHING, seconds=0)
    assert counted == EventCount(PART - 100, is_partial=True)
    # What an index knows of is counted in one part.
    counted = await count_events(filled, selecting("name = rare"), seconds=0)
    assert counted == EventCount(7, is_partial=False)


async def test_a_part_reads_no_more_than_it_is_of(filled: Database) -> None:
    async with reading_in_order(filled) as connection:

        async def entries() -> int:
            counted = await connection.exec_driver_sql(
                "SELECT sum(pg_stat_get_xact_tuples_returned(c.oid)) FROM pg_class c"
                " WHERE c.relnamespace = 'events'::regnamespace AND c.relkind IN ('r', 'i')"
            )
            return int(counted.scalar_one())

        before = await entries()
        end = await connection.scalar(end_of_part(EVERYTHING, row_id(5_000)))
        assert end == row_id(25_000)
        await connection.scalar(counted_part(EVERYTHING, row_id(5_000), end))
        assert await entries() - before <= 2 * PART + 100
        before = await entries()
        rare = selecting("name = rare")
        assert await connection.scalar(end_of_part(rare, None)) is None
        assert await connection.scalar(counted_part(rare, None, None)) == 7
        assert await entries() - before <= 100
