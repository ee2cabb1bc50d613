from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kongflow_common.db.migrate import upgrade
from services.workerqueue.tests.contract.server_under_test import (
    ServerUnderTest,
    server_under_test,
)

MIGRATIONS = Path(__file__).parents[2] / "migrations"


@pytest.fixture(scope="module")
def ledger_url(database_url: str) -> str:
    upgrade(database_url, MIGRATIONS, "workerqueue")
    return database_url


@pytest.fixture
async def server(ledger_url: str, valkey_url: str) -> AsyncIterator[ServerUnderTest]:
    async with server_under_test(ledger_url, valkey_url) as server:
        yield server
