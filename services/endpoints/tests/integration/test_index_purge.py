"""Indexes of long ago are deleted."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_endpoints.adapters.index_purge import PostgresIndexPurge
from kongflow_endpoints.application.purge_old_indexings import PurgeOldIndexings
from services.endpoints.tests.stored import add_endpoint, add_index

OLD = timedelta(days=8)


async def left(database: Database) -> set[UUID]:
    rows = await database.pool.execute("SELECT id FROM endpoints.endpoint_indexes")
    return {row[0] for row in rows}


async def items_of(database: Database, index_ids: Iterable[UUID]) -> int:
    rows = await database.pool.execute(
        "SELECT count(*) FROM endpoints.endpoint_index_items WHERE index_id = ANY(%s)",
        [list(index_ids)],
    )
    return int(rows[0][0])


async def test_the_newest_of_each_endpoint_and_what_has_not_ended_stay(
    database: Database,
) -> None:
    busy = await add_endpoint(database)
    gone = {
        await add_index(database, busy, age=OLD, status=status, items=3)
        for status in ("SUCCESS", "FAILURE")
    }
    kept = {
        await add_index(database, busy, age=OLD, status="PENDING"),
        await add_index(database, busy, age=OLD, status="STARTED", items=1),
        await add_index(database, busy, age=timedelta(days=6), items=2),
        await add_index(database, busy, age=timedelta()),
    }
    idle = await add_endpoint(database, url=None)
    gone.add(await add_index(database, idle, age=OLD * 3, items=1))
    newest = await add_index(database, idle, age=OLD * 2, items=4)
    purge = PurgeOldIndexings(PostgresIndexPurge(database))
    assert await purge() == 3
    assert await left(database) == {*kept, newest}
    assert await items_of(database, gone) == 0
    assert await items_of(database, {*kept, newest}) == 7
    assert await purge() == 0


async def test_it_goes_in_small_steps_past_what_stays(database: Database) -> None:
    """More indexes than a step looks at, the first of which all stay; more items than it takes."""
    newest = {
        await add_index(database, await add_endpoint(database), age=OLD * 2) for _ in range(210)
    }
    busy = await add_endpoint(database)
    for _ in range(3):
        await add_index(database, busy, age=OLD, items=4_000)
    newest.add(await add_index(database, busy, age=timedelta()))
    assert await PurgeOldIndexings(PostgresIndexPurge(database))() == 3
    assert await left(database) == newest


async def test_no_statement_deletes_more_items_than_it_is_told(database: Database) -> None:
    endpoint = await add_endpoint(database)
    several = tuple([await add_index(database, endpoint, age=OLD, items=7) for _ in range(3)])
    purge = PostgresIndexPurge(database)
    assert [await purge.delete_items(several, 10) for _ in range(4)] == [10, 10, 1, 0]
    assert await left(database) == set(several)
