"""Lists of events: the same events whichever index is read, and few entries of it."""

import random
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import select

from kongflow_common.db.engine import Database
from kongflow_common.db.filter_sql import filter_condition
from kongflow_common.payload import JsonDocument
from kongflow_common.rpc.filtering import parse_filter
from kongflow_events.adapters.event_lists import EVENT_TARGETS, find_events, reading_in_order
from kongflow_events.adapters.event_reader import SqlReader
from kongflow_events.adapters.tables import EVENT_RECORDS
from kongflow_events.application.backtest_filter import BacktestFilter
from kongflow_events.application.ports import FoundEvents
from kongflow_events.application.selection import Selection
from kongflow_events.application.try_filter import TriedFilters
from kongflow_events.domain.id_times import time_of
from kongflow_events.rpc.event_mapping import EVENT_FILTER_FIELDS

ENVIRONMENT = UUID(int=1)

# Ids and times of creation lie up to a minute and a half apart, in either direction.
FILL = f"""
INSERT INTO events.event_records (
    id, event_id, name, source, organization_id, environment_id, project_id, created_at,
    deliver_at, processed_at, delivered_at, matched_count, cancelled_at, is_test)
SELECT overlay(overlay(gen_random_uuid()::text placing
                   lpad(to_hex((extract(epoch FROM at) * 1000)::bigint >> 16), 8, '0') from 1 for 8)
               placing lpad(to_hex((extract(epoch FROM at) * 1000)::bigint & 65535), 4, '0')
               || '-7' from 10 for 6)::uuid,
       'e' || n, CASE WHEN n %% 997 = 0 THEN 'rare' ELSE 'name.' || n %% 3 END,
       CASE WHEN n %% 5 = 0 THEN 'shop' ELSE 'trigger.dev' END, '{ENVIRONMENT}',
       CASE WHEN n %% 100 = 99 THEN '{UUID(int=2)}' ELSE '{ENVIRONMENT}' END::uuid, '{ENVIRONMENT}',
       at + (n %% 181 - 90) * interval '1 second', at + interval '1 hour',
       CASE WHEN n %% 50 > 1 THEN at END,
       CASE WHEN n %% 50 > 1 AND n %% 4 > 0 THEN at END,
       CASE WHEN n %% 50 > 1 AND n %% 4 > 0 THEN 1 ELSE 0 END,
       CASE WHEN n %% 50 = 1 THEN at END, n %% 60 = 0
FROM (SELECT n, timestamptz '2026-01-01T00:00:00Z' + n * interval '1 second' AS at
      FROM generate_series(1, %(rows)s) AS g(n)) AS made
"""

COMPARISONS = {
    "name": ("name = rare", "name = name.1", "name != name.1", "name = none"),
    "state": (
        "state = DELIVERED",
        "state = UNMATCHED",
        "state = PENDING",
        "state = CANCELLED",
        "state != DELIVERED",
        "(state = PENDING OR state = CANCELLED)",
        "(state = PENDING OR state = UNMATCHED)",
        "NOT state = PENDING",
    ),
    "source": ("source = shop", "source != shop"),
    "test": ("test = true", "test = false", "test != true"),
    "create_time": (
        'create_time > "2026-01-01T00:50:00Z"',
        'create_time >= "2026-01-01T01:00:00Z"',
        'create_time < "2026-01-01T00:20:00Z"',
        'create_time <= "2026-01-01T01:00:00Z"',
        'create_time = "2026-01-01T00:30:00Z"',
        'create_time != "2026-01-01T00:30:00Z"',
        '(create_time < "2026-01-01T00:10:00Z" OR create_time > "2026-01-01T01:00:00Z")',
    ),
    "deliver_time": ('deliver_time > "2026-01-01T01:30:00Z"',),
}


def asked_for() -> list[str]:
    """Each comparison, and some of all that can be made of them."""
    chance = random.Random(7)
    texts = [text for texts in COMPARISONS.values() for text in texts]
    for _ in range(80):
        fields = chance.sample(sorted(COMPARISONS), chance.randint(2, 4))
        texts.append(" AND ".join(chance.choice(COMPARISONS[field]) for field in fields))
    return texts


async def test_pages_show_what_the_filter_holds_for_and_nothing_twice(database: Database) -> None:
    await database.pool.execute(FILL, {"rows": 4_500})
    for text in asked_for():
        condition = parse_filter(text, EVENT_FILTER_FIELDS)
        assert condition is not None
        expected = (
            select(EVENT_RECORDS.c.id)
            .where(EVENT_RECORDS.c.environment_id == ENVIRONMENT)
            .where(filter_condition(condition, EVENT_TARGETS))
            .order_by(EVENT_RECORDS.c.id.desc())
        )
        async with database.reading() as connection:
            wanted = list((await connection.execute(expected)).scalars())
        for limit in (7, 1_000):
            shown: list[UUID] = []
            end: UUID | None = None
            async with reading_in_order(database) as connection:
                while not shown or end is not None:
                    selection = Selection(ENVIRONMENT, condition, end, limit)
                    # Without time a page ends after its first step.
                    found = await find_events(connection, selection, seconds=0)
                    assert len(found.records) <= limit
                    shown.extend(record.id for record in found.records)
                    if found.end is None or (limit == 7 and len(shown) > 100):
                        break
                    end = found.end
            assert shown == wanted[: len(shown)], text
            assert limit == 7 or len(shown) == len(wanted), text


async def test_a_backtest_looks_for_rare_events_for_as_long_as_it_may(database: Database) -> None:
    await database.pool.execute(FILL, {"rows": 9_000})
    # The two oldest events, three steps from the newest.
    condition = parse_filter('deliver_time < "2026-01-01T01:00:03Z"', EVENT_FILTER_FIELDS)
    rare = Selection(ENVIRONMENT, condition, None, 50)
    filters = TriedFilters(JsonDocument(b"{}"), None)
    backtest = await BacktestFilter(SqlReader(database))(filters, rare, seconds=30)
    assert (backtest.examined, backtest.out_of_time_at) == (2, None)
    late = await BacktestFilter(HastyReader(database))(filters, rare, seconds=0)
    assert (late.examined, late.oldest) == (0, None)
    [(oldest,)] = await database.pool.execute(
        "SELECT id FROM events.event_records ORDER BY id LIMIT 1"
    )
    assert late.out_of_time_at is not None
    assert late.out_of_time_at > time_of(oldest)


@pytest.fixture
async def without_statistics(database: Database) -> AsyncIterator[None]:
    """Autovacuum that looks while the table is filled counts no row in many pages."""
    await database.pool.execute("ALTER TABLE events.event_records SET (autovacuum_enabled = off)")
    yield
    await database.pool.execute("ALTER TABLE events.event_records RESET (autovacuum_enabled)")


class HastyReader(SqlReader):
    """Has no time to look any further than it must."""

    async def page_events(self, selection: Selection) -> FoundEvents:
        async with reading_in_order(self._database) as connection:
            return await find_events(connection, selection, seconds=0)


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("", 200),
        ("name = rare", 200),
        ("name = none", 10),
        ("test = true", 200),
        ("state = PENDING", 2_000),
        ("state = PENDING OR state = CANCELLED", 3_000),
        ("state = CANCELLED AND name = none", 3_000),
        ('create_time < "2026-01-01T01:00:00Z" AND name = rare', 200),
        ('create_time < "2026-01-01T01:00:00Z"', 3_000),
        ('create_time > "2026-01-01T08:19:00Z"', 2_000),
        ("source = none", 5_000),
    ],
)
async def test_a_page_reads_few_entries_without_statistics(
    database: Database, without_statistics: None, text: str, most: int
) -> None:
    await database.pool.execute(FILL, {"rows": 30_000})
    condition = parse_filter(text, EVENT_FILTER_FIELDS)
    async with reading_in_order(database) as connection:
        selection = Selection(ENVIRONMENT, condition, None, 50)
        found = await find_events(connection, selection, seconds=0)
        counted = await connection.exec_driver_sql(
            "SELECT sum(pg_stat_get_xact_tuples_returned(c.oid)) FROM pg_class c"
            " WHERE c.relnamespace = 'events'::regnamespace AND c.relkind IN ('r', 'i')"
        )
        assert len(found.records) <= int(counted.scalar_one()) <= most
