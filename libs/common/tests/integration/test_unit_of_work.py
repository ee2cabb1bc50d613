"""Units of work."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from kongflow_common.db.engine import Database
from kongflow_common.db.unit_of_work import UnitOfWork
from kongflow_common.errors import DependencyUnavailable
from kongflow_embedded.postgres import PostgresServer
from kongflow_embedded.temporary import RunningServer


class Numbers:
    """A repository."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, number: int) -> None:
        await self._connection.execute(sa.text("INSERT INTO numbers VALUES (:n)"), {"n": number})


class NumbersUnitOfWork(UnitOfWork):
    """As a context would have one."""

    numbers: Numbers
    told = 0

    def attach(self, connection: AsyncConnection) -> None:
        self.numbers = Numbers(connection)

    def after_commit(self) -> None:
        self.told += 1


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.connect(database_url, pool_size=1, application_name="test") as connected:
        await connected.pool.execute("DROP TABLE IF EXISTS numbers")
        await connected.pool.execute("CREATE TABLE numbers (n int UNIQUE)")
        yield connected


async def _stored(database: Database) -> list[int]:
    return [n for (n,) in await database.pool.execute("SELECT n FROM numbers ORDER BY n")]


async def test_commit_makes_all_durable_and_tells_afterwards(database: Database) -> None:
    async with NumbersUnitOfWork(database) as uow:
        await uow.numbers.add(1)
        await uow.numbers.add(2)
        assert await _stored(database) == []
        await uow.commit()
        assert uow.told == 1
        assert await _stored(database) == [1, 2]


async def test_leaving_without_commit_rolls_back(database: Database) -> None:
    async with NumbersUnitOfWork(database) as uow:
        await uow.numbers.add(1)

    async def fail() -> None:
        async with NumbersUnitOfWork(database) as uow:
            await uow.numbers.add(2)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await _stored(database) == []


async def test_a_data_error_passes_and_rolls_back(database: Database) -> None:
    async def add_twice() -> None:
        async with NumbersUnitOfWork(database) as uow:
            await uow.numbers.add(1)
            await uow.numbers.add(1)

    with pytest.raises(sa.exc.IntegrityError):
        await add_twice()
    assert await _stored(database) == []


async def test_a_cancelled_use_case_gives_its_connection_back(database: Database) -> None:
    entered = asyncio.Event()

    async def use_case() -> None:
        async with NumbersUnitOfWork(database) as uow:
            await uow.numbers.add(1)
            entered.set()
            await asyncio.Event().wait()

    for _ in range(3):
        entered.clear()
        task = asyncio.create_task(use_case())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # The pool has one connection: this would wait for it.
    async with NumbersUnitOfWork(database) as uow:
        await uow.numbers.add(1)
        await uow.commit()
    assert await _stored(database) == [1]


async def test_a_unit_of_work_is_used_once_and_committed_once(database: Database) -> None:
    uow = NumbersUnitOfWork(database)
    with pytest.raises(RuntimeError):
        _ = uow.connection
    async with uow:
        await uow.commit()
        with pytest.raises(RuntimeError):
            await uow.commit()
    with pytest.raises(RuntimeError):
        async with uow:
            pass


async def test_an_outage_inside_is_unavailability(
    database: Database, postgres_server: RunningServer[PostgresServer]
) -> None:
    uow = NumbersUnitOfWork(database)

    async def use_case() -> None:
        async with uow:
            await uow.numbers.add(1)
            postgres_server.kill()
            await uow.numbers.add(2)

    try:
        with pytest.raises(DependencyUnavailable):
            await use_case()
        with pytest.raises(DependencyUnavailable):
            async with NumbersUnitOfWork(database):
                pass
    finally:
        postgres_server.start()
    assert await _stored(database) == []
    async with NumbersUnitOfWork(database) as after:
        await after.numbers.add(3)
        await after.commit()
    assert await _stored(database) == [3]
