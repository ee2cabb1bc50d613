"""Ways into the database, and what its failures become."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest
import sqlalchemy as sa

from kongflow_common.db.engine import Database
from kongflow_common.db.failures import database_errors
from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_common.testing import eventually
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.connect(
        database_url, pool_size=2, application_name="the-test"
    ) as connected:
        yield connected


async def _core_answers(database: Database) -> object:
    async with database.reading() as connection:
        return (await connection.execute(sa.text("SELECT 1"))).scalar_one()


async def test_hot_connections_are_set_up(database: Database) -> None:
    settings = await database.pool.execute(
        "SELECT name, setting FROM pg_settings WHERE name = ANY(ARRAY["
        "'plan_cache_mode', 'application_name', 'TimeZone', 'statement_timeout', 'jit'])"
    )
    assert dict(settings) == {
        "plan_cache_mode": "force_generic_plan",
        "application_name": "the-test",
        "TimeZone": "UTC",
        "statement_timeout": "10000",
        "jit": "off",
    }
    await database.pool.execute("SELECT %(x)b::int", {"x": 1})
    prepared = await database.pool.execute(
        "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int'"
    )
    assert prepared == [(1,)]


async def test_options_in_the_url_have_the_last_word(database_url: str) -> None:
    url = f"{database_url}?options=-c%20work_mem%3D7MB&application_name=theirs"
    async with Database.connect(url, pool_size=1, application_name="ours") as database:
        assert await database.pool.execute("SHOW work_mem") == [("7MB",)]
        assert await database.pool.execute("SHOW application_name") == [("theirs",)]
        assert await database.pool.execute("SHOW plan_cache_mode") == [("force_generic_plan",)]


async def test_each_hot_statement_is_a_transaction(database: Database) -> None:
    await database.pool.execute("CREATE TABLE committed (n int)")
    await database.pool.execute("INSERT INTO committed VALUES (1)")
    async with database.reading() as connection:
        found = await connection.execute(sa.text("SELECT n FROM committed"))
        assert found.scalars().all() == [1]
        await connection.execute(sa.text("DELETE FROM committed"))
    assert await database.pool.execute("SELECT n FROM committed") == [(1,)]


async def test_errors_of_a_statement_stay_what_they_are_and_cost_no_connection(
    database: Database,
) -> None:
    for _ in range(5):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await database.pool.execute("SELECT 1 / 0")
        with pytest.raises(sa.exc.ProgrammingError):
            async with database.reading() as connection:
                await connection.execute(sa.text("SELECT nothing"))
    await database.ping()


async def test_a_statement_that_takes_too_long_is_given_up(database_url: str) -> None:
    async with Database.connect(
        database_url, pool_size=1, application_name="test", statement_timeout_seconds=0.05
    ) as database:
        with pytest.raises(DependencyUnavailable):
            await database.pool.execute("SELECT pg_sleep(30)")
        with pytest.raises(DependencyUnavailable):
            async with database.reading() as connection:
                await connection.execute(sa.text("SELECT pg_sleep(30)"))
        await database.ping()


async def test_a_deadline_of_ones_own_and_cancelling_leave_the_pool_whole(
    database: Database,
) -> None:
    for _ in range(3):
        with pytest.raises(DependencyUnavailable):
            await database.pool.execute("SELECT pg_sleep(30)", deadline_seconds=0.05)
        task = asyncio.create_task(database.pool.execute("SELECT pg_sleep(30)"))
        await eventually(lambda: _sleeping(database))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.gather(*(database.ping() for _ in range(10)))


async def _sleeping(database: Database) -> bool:
    found = await database.pool.execute(
        "SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"
    )
    return bool(found)


async def test_who_waits_too_long_for_a_connection_is_told(database: Database) -> None:
    database.pool._wait_seconds = 0.05
    async with database.pool.connection(), database.pool.connection():
        with pytest.raises(DependencyUnavailable):
            await database.ping()
    await database.ping()


async def test_lock_conflicts_are_contention(database: Database) -> None:
    await database.pool.execute("CREATE TABLE locked (n int)")
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute("LOCK TABLE locked")
        with pytest.raises(Contended):
            await database.pool.execute(_LOCK_AT_ONCE)


_LOCK_AT_ONCE = "DO $$ BEGIN LOCK TABLE locked NOWAIT; END $$"


async def test_a_server_that_is_gone_is_unavailable_and_found_again_when_it_is_back(
    database: Database, postgres_server: RunningServer[PostgresServer]
) -> None:
    assert await _core_answers(database) == 1
    await database.ping()
    postgres_server.kill()
    try:
        for _ in range(3):
            with pytest.raises(DependencyUnavailable):
                await database.ping()
            with pytest.raises(DependencyUnavailable):
                await _core_answers(database)
    finally:
        postgres_server.start()
    # The very first tries: nothing waits for a back-off.
    await asyncio.gather(database.ping(), database.ping())
    assert await _core_answers(database) == 1


async def test_an_unnoticed_restart_costs_no_statement(
    database: Database, postgres_server: RunningServer[PostgresServer]
) -> None:
    await asyncio.gather(database.ping(), database.ping(), _core_answers(database))
    postgres_server.stop()
    postgres_server.start()
    await asyncio.gather(database.ping(), database.ping())
    assert await _core_answers(database) == 1


async def test_a_connection_that_is_terminated_under_a_statement_is_unavailable(
    database: Database,
) -> None:
    task = asyncio.create_task(database.pool.execute("SELECT pg_sleep(30)"))
    await eventually(lambda: _sleeping(database))
    await database.pool.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)'"
    )
    with pytest.raises(DependencyUnavailable):
        await task
    await database.ping()


async def test_nothing_listens() -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    async with Database.connect(url, pool_size=1, application_name="test") as database:
        with pytest.raises(DependencyUnavailable):
            await database.ping()
        with pytest.raises(DependencyUnavailable):
            await _core_answers(database)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), database_errors():
        raise KeyError("x")
