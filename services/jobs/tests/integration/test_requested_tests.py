"""Tests are remembered by their request ids, for a time."""

from uuid import UUID

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_jobs.adapters.requested_tests import PostgresRequestedTests
from kongflow_jobs.application.ports import EventOfTest, StoredEvent


def a_test() -> EventOfTest:
    return EventOfTest(new_id(), StoredEvent(new_id(), "test:order:1", None, created=False))


async def make_older(database: Database, days: int, request_ids: list[str]) -> None:
    await database.pool.execute(
        "UPDATE jobs.test_requests SET created_at = created_at - make_interval(days => %s)"
        " WHERE request_id = ANY(%s)",
        [days, request_ids],
    )


async def kept(database: Database) -> set[str]:
    rows = await database.pool.execute("SELECT request_id FROM jobs.test_requests")
    return {request_id for (request_id,) in rows}


async def test_whoever_keeps_a_test_takes_some_away_that_are_older_than_a_week(
    database: Database,
) -> None:
    requests = PostgresRequestedTests(database)
    environment_id = new_id()
    elsewhere: UUID = new_id()
    old = [f"old-{n}" for n in range(15)]
    for name in [*old, "young"]:
        await requests.keep(elsewhere, name, a_test())
    await make_older(database, 8, old)
    await make_older(database, 6, ["young"])
    first = a_test()
    assert await requests.keep(environment_id, "first", first) == first
    assert len(await kept(database)) == 15 + 2 - 10
    await requests.keep(environment_id, "second", a_test())
    assert await kept(database) == {"young", "first", "second"}
    assert await requests.find(environment_id, "first") == first


async def test_a_repeat_of_an_old_one_that_is_still_there_is_answered_with_it(
    database: Database,
) -> None:
    requests = PostgresRequestedTests(database)
    environment_id = new_id()
    test = a_test()
    await requests.keep(environment_id, "again", test)
    await make_older(database, 8, ["again"])
    assert await requests.find(environment_id, "again") == test
    assert await requests.keep(environment_id, "again", a_test()) == test
    assert await requests.find(environment_id, "again") == test
