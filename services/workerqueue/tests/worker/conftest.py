from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from kongflow_common.db.migrate import upgrade
from kongflow_workerqueue.adapters.redis_connection import open_redis
from services.workerqueue.tests.worker.queue_under_test import QueueUnderTest, queue_under_test
from services.workerqueue.tests.worker.tasks_server import TasksServer

MIGRATIONS = Path(__file__).parents[2] / "migrations"


@pytest.fixture(scope="module")
def ledger_url(database_url: str) -> str:
    upgrade(database_url, MIGRATIONS, "workerqueue")
    return database_url


@pytest.fixture
async def queue(ledger_url: str, valkey_url: str) -> AsyncIterator[QueueUnderTest]:
    async with queue_under_test(ledger_url, valkey_url) as queue:
        yield queue


@pytest.fixture
async def target() -> AsyncIterator[TasksServer]:
    server = TasksServer()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[ArqRedis]:
    redis = open_redis(valkey_url)
    yield redis
    await redis.aclose()
