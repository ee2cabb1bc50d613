"""A database with an outbox."""

from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa

from kongflow_common.db.engine import Database
from kongflow_common.outbox.table import outbox_table


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    metadata = sa.MetaData()
    outbox_table(metadata, "shop")
    async with Database.connect(database_url, pool_size=4, application_name="test") as connected:
        async with connected.engine.begin() as connection:
            await connection.execute(sa.text("DROP SCHEMA IF EXISTS shop CASCADE"))
            await connection.execute(sa.text("CREATE SCHEMA shop"))
            await connection.run_sync(metadata.create_all)
        yield connected
