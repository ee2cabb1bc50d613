"""What a service has published is brought to the log: how much at once, and how often."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import sqlalchemy as sa

from kongflow.events.internal.v1 import resource_events_internal_service_pb2 as pb
from kongflow_common.db.engine import Database
from kongflow_common.errors import DependencyUnavailable
from kongflow_common.eventing.published_rows import published_events_table
from kongflow_common.eventing.shipper import EventShipper
from kongflow_common.ids import new_id


class Log:
    """Keeps the ids of what it gets, by call; `away` calls fail."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.away = 0

    async def record(self, events: Sequence[pb.PublishedEvent]) -> None:
        self.calls.append([event.id for event in events])
        if self.away:
            self.away -= 1
            raise DependencyUnavailable("events")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    metadata = sa.MetaData(schema="shop")
    published_events_table(metadata)
    async with Database.connect(database_url, pool_size=2, application_name="test") as connected:
        async with connected.engine.begin() as connection:
            await connection.execute(sa.text("DROP SCHEMA IF EXISTS shop CASCADE"))
            await connection.execute(sa.text("CREATE SCHEMA shop"))
            await connection.run_sync(metadata.create_all)
        yield connected


@pytest.fixture
def log() -> Log:
    return Log()


async def publish(database: Database, count: int, *, rows: int = 1) -> list[str]:
    """Publish `rows` rows of `count` events each; the ids of all, in their order."""
    ids = []
    for _ in range(rows):
        made = [new_id() for _ in range(count)]
        request = pb.RecordResourceEventsRequest(
            events=[pb.PublishedEvent(id=str(id_)) for id_ in made]
        )
        await database.pool.execute(
            "INSERT INTO shop.published_events VALUES (%s, %s)",
            [made[0], request.SerializeToString()],
        )
        ids += [str(id_) for id_ in made]
    return ids


async def left(database: Database) -> int:
    [(count,)] = await database.pool.execute("SELECT count(*) FROM shop.published_events")
    return int(count)


async def pauses(database: Database, log: Log, *published: int) -> list[float]:
    """How long a shipper waits after looks, each of which finds so many events of one row."""
    waited: list[float] = []
    coming = iter(published)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        count = next(coming, None)
        if count is None:
            raise asyncio.CancelledError
        if count:
            await publish(database, count)

    with pytest.raises(asyncio.CancelledError):
        await EventShipper(database, "shop", log, sleep=sleep).run()
    return waited


async def test_what_is_published_goes_in_few_calls_and_in_its_order(
    database: Database, log: Log
) -> None:
    ids = await publish(database, 900, rows=3)
    assert await EventShipper(database, "shop", log).once() == 3
    assert log.calls == [ids[:2_000], ids[2_000:]]
    assert await left(database) == 0


async def test_after_a_silence_it_looks_once_a_second_else_four_times(
    database: Database, log: Log
) -> None:
    assert await pauses(database, log, 0, 0, 0, 1, 99) == [0.25, 0.5, 1.0, 1.0, 0.25, 0.25]


async def test_where_much_happens_a_second_gathers(database: Database, log: Log) -> None:
    assert await pauses(database, log, 100, 5_000, 1) == [0.25, 1.0, 1.0, 0.25]
    assert [len(call) for call in log.calls] == [100, 2_000, 2_000, 1_000, 1]


async def test_more_rows_than_a_look_has_are_not_waited_for(database: Database, log: Log) -> None:
    ids = await publish(database, 1, rows=130)
    assert await pauses(database, log) == [0.25]
    assert log.calls == [ids[:100], ids[100:]]


async def test_what_the_log_has_not_confirmed_is_sent_again(database: Database, log: Log) -> None:
    ids = await publish(database, 1_500, rows=2)
    log.away = 1
    assert await pauses(database, log, 0) == [2.0, 1.0]
    assert log.calls == [ids[:2_000], ids[:2_000], ids[2_000:]]
    assert await left(database) == 0
