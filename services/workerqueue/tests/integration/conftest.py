from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kongflow_common.db.migrate import upgrade
from services.workerqueue.tests.integration.ledger_under_test import (
    LedgerUnderTest,
    ledger_under_test,
)

MIGRATIONS = Path(__file__).parents[2] / "migrations"


@pytest.fixture(scope="module")
def ledger_url(database_url: str) -> str:
    upgrade(database_url, MIGRATIONS, "workerqueue")
    return database_url


@pytest.fixture
async def ledger(ledger_url: str) -> AsyncIterator[LedgerUnderTest]:
    async with ledger_under_test(ledger_url) as ledger:
        yield ledger
