"""Endpoints in production are indexed again by the clock."""

import asyncio
from datetime import timedelta
from uuid import UUID

import orjson
import pytest

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.outbox.message import Priority
from kongflow_common.outbox.relay import OutboxRelay
from kongflow_common.testing.polling import eventually
from kongflow_common.testing.worker_queue import RecordingWorkerQueue
from kongflow_endpoints.adapters import recurring_indexes
from kongflow_endpoints.adapters.recurring_indexes import PostgresRecurringIndexes
from kongflow_endpoints.application.auto_index_production_endpoints import (
    AutoIndexProductionEndpoints,
)
from kongflow_endpoints.application.maintenance_ports import Begun
from services.endpoints.tests.stored import add_endpoint, add_index

LONG_AGO = timedelta(minutes=11)


@pytest.fixture
def indexes(database: Database, relay: OutboxRelay) -> PostgresRecurringIndexes:
    return PostgresRecurringIndexes(database, relay)


@pytest.fixture
def auto_index(indexes: PostgresRecurringIndexes) -> AutoIndexProductionEndpoints:
    return AutoIndexProductionEndpoints(indexes)


async def begun(database: Database) -> dict[UUID, UUID]:
    """The index that waits at each endpoint."""
    rows = await database.pool.execute(
        "SELECT endpoint_id, id, source FROM endpoints.endpoint_indexes WHERE status = 'PENDING'"
    )
    assert {source for _, _, source in rows} <= {"INTERNAL"}
    found = {endpoint_id: index_id for endpoint_id, index_id, _ in rows}
    assert len(found) == len(rows), "never two at one endpoint"
    return found


async def test_what_was_not_indexed_for_ten_minutes_is_indexed(
    database: Database,
    auto_index: AutoIndexProductionEndpoints,
    worker_queue: RecordingWorkerQueue,
) -> None:
    new = await add_endpoint(database)
    staging = await add_endpoint(database, "STAGING")
    await add_index(database, staging, age=LONG_AGO)
    failed = await add_endpoint(database)
    await add_index(database, failed, age=LONG_AGO, status="FAILURE")
    stuck = await add_endpoint(database)
    await add_index(database, stuck, age=LONG_AGO, status="STARTED")

    for environment_type in ("DEVELOPMENT", "PREVIEW", None):
        await add_endpoint(database, environment_type)
    await add_endpoint(database, url=None)
    fresh = await add_endpoint(database)
    await add_index(database, fresh, age=timedelta(minutes=9))

    assert await auto_index() == 4
    found = await begun(database)
    assert set(found) == {new, staging, failed, stuck}
    await eventually(lambda: len(worker_queue.messages) == 4)
    messages = worker_queue.messages
    assert {UUID(orjson.loads(each.args)["endpointIndexId"]) for each in messages} == set(
        found.values()
    )
    assert {each.kind for each in messages} == {"performEndpointIndexing"}
    assert {each.priority for each in messages} == {Priority.LOW}
    assert None not in {each.environment_id for each in messages}


async def test_an_index_that_waits_is_enough_however_old_it_is(
    database: Database, auto_index: AutoIndexProductionEndpoints
) -> None:
    endpoint = await add_endpoint(database)
    assert await auto_index() == 1
    assert await auto_index() == 0
    await database.pool.execute(
        "UPDATE endpoints.endpoint_indexes SET created_at = now() - interval '3 hours'"
    )
    assert await auto_index() == 0
    assert set(await begun(database)) == {endpoint}


async def test_several_at_once_begin_each_index_once_in_batches(
    database: Database, auto_index: AutoIndexProductionEndpoints
) -> None:
    endpoints = {await add_endpoint(database) for _ in range(230)}
    counts = await asyncio.gather(*(auto_index() for _ in range(3)))
    assert sum(counts) == 230
    assert set(await begun(database)) == endpoints
    [(rows,)] = await database.pool.execute("SELECT count(*) FROM endpoints.endpoint_indexes")
    assert rows == 230


async def test_who_has_the_lock_only_after_another_looks_again(database: Database) -> None:
    """What the first one stored was not there yet when the second looked for what is due."""
    endpoint = await add_endpoint(database)
    rows = recurring_indexes._NEW.bind([(new_id(), endpoint)])
    await add_index(database, endpoint, age=timedelta(), status="SUCCESS")
    assert await database.pool.execute(recurring_indexes._BEGIN, rows) == []
    await database.pool.execute(
        "UPDATE endpoints.endpoint_indexes SET status = 'PENDING', created_at = '2026-01-01'"
    )
    assert await database.pool.execute(recurring_indexes._BEGIN, rows) == []
    await database.pool.execute("UPDATE endpoints.endpoint_indexes SET status = 'FAILURE'")
    assert len(await database.pool.execute(recurring_indexes._BEGIN, rows)) == 1


async def test_an_endpoint_that_somebody_changes_waits_for_the_next_time(
    database: Database, indexes: PostgresRecurringIndexes
) -> None:
    changed, other = sorted([await add_endpoint(database) for _ in range(2)])
    async with database.pool.connection() as connection, connection.transaction():
        await connection.execute(
            "SELECT FROM endpoints.endpoints WHERE id = %s FOR UPDATE", [changed]
        )
        assert await indexes.begin(None, 10) == Begun(1, other)
    assert await indexes.begin(None, 10) == Begun(1, changed)


async def test_a_batch_is_all_or_nothing_and_what_came_before_it_stays(
    database: Database, indexes: PostgresRecurringIndexes
) -> None:
    first, second, third = sorted([await add_endpoint(database) for _ in range(3)])
    assert await indexes.begin(None, 2) == Begun(2, second)
    await database.pool.execute(
        "ALTER TABLE endpoints.outbox ADD CONSTRAINT nothing_more CHECK (false) NOT VALID"
    )
    try:
        with pytest.raises(Exception, match="nothing_more"):
            await indexes.begin(None, 2)
    finally:
        await database.pool.execute("ALTER TABLE endpoints.outbox DROP CONSTRAINT nothing_more")
    assert set(await begun(database)) == {first, second}
    assert await indexes.begin(None, 2) == Begun(1, third)
