"""The days of the log: made before they come, dropped when they are over."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from kongflow_common.db.engine import Database
from kongflow_common.testing.clocks import FixedClock
from kongflow_events.adapters.resource_log_upkeep import ResourceLogUpkeep

NOW = datetime(2031, 5, 20, 12, tzinfo=UTC)

INSERT = """
INSERT INTO events.resource_events (id, type, version, "timestamp", resource_id, logged_at)
VALUES (%s, 'event.delivered', 1, now(), 'resource', %s)
"""
DAYS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events.resource_events'::regclass AND c.relname ~ '_[0-9]+$' ORDER BY 1
"""


@pytest.fixture
def clock() -> FixedClock:
    clock = FixedClock()
    clock.at = NOW
    return clock


async def days(database: Database) -> list[str]:
    return [name.removeprefix("resource_events_") for (name,) in await database.pool.execute(DAYS)]


async def count(database: Database, table: str = "resource_events") -> int:
    [(number,)] = await database.pool.execute(f"SELECT count(*) FROM events.{table}")
    return int(number)


async def test_days_are_made_ahead_and_dropped_as_a_whole(
    database: Database, clock: FixedClock
) -> None:
    upkeep = ResourceLogUpkeep(database, clock)
    await upkeep.once()
    assert await days(database) == ["20310520", "20310521", "20310522", "20310523"]
    await database.pool.execute(INSERT, (uuid4(), NOW))
    await database.pool.execute(INSERT, (uuid4(), NOW + timedelta(days=1)))
    assert await count(database, "resource_events_20310520") == 1

    clock.at = NOW + timedelta(days=30)
    await upkeep.once()
    assert "20310520" in await days(database)
    clock.at = datetime(2031, 6, 20, tzinfo=UTC)
    await upkeep.once()
    assert (await days(database))[0] == "20310521"
    assert await count(database) == 1
    clock.at = NOW + timedelta(days=365)
    await upkeep.once()
    assert len(await days(database)) == 4
    assert await count(database) == 0


async def test_what_came_on_a_day_that_was_not_made_is_moved_into_it(
    database: Database, clock: FixedClock
) -> None:
    clock.at = NOW + timedelta(days=1_000)
    await database.pool.execute(INSERT, (uuid4(), clock.at))
    assert await count(database, "resource_events_rest") == 1
    await ResourceLogUpkeep(database, clock).once()
    assert await count(database, "resource_events_rest") == 0
    assert await count(database, f"resource_events_{clock.at:%Y%m%d}") == 1


async def test_a_log_that_is_in_use_is_left_for_later(
    database: Database, clock: FixedClock
) -> None:
    clock.at = NOW + timedelta(days=2_000)
    upkeep = ResourceLogUpkeep(database, clock)
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE events.resource_events IN ACCESS SHARE MODE")
        await connection.execute("LOCK TABLE events.resource_events_rest IN ACCESS SHARE MODE")
        await upkeep.once()
    assert f"{clock.at:%Y%m%d}" not in await days(database)
    await upkeep.once()
    assert f"{clock.at:%Y%m%d}" in await days(database)
