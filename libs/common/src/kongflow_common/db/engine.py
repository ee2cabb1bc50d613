"""One context's database: SQLAlchemy Core for ordinary use cases, raw psycopg for hot ones."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

import orjson
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from kongflow_common.db.connection_pool import (
    Connection,
    ConnectionPool,
    adapters,
    connection_is_usable,
    connection_parameters,
    open_connection,
)
from kongflow_common.db.failures import database_errors

__all__ = ["Database", "database_errors"]

logger = logging.getLogger(__name__)

# Hot statements are short and look rows up by key: their plans are made once, whatever the
# parameters are, and often while a table is new and its statistics say nothing. Reading a small
# table as a whole is cheapest then, and ruinous when it has grown before its next statistics.
_HOT_SETTINGS = {
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    "enable_seqscan": "off",
}


class Database:
    """The two ways to one database; made with `connect`, closed at the end of its block.

    Connecting is lazy: a database that is down does not keep a service from starting.
    """

    def __init__(self, engine: AsyncEngine, pool: ConnectionPool) -> None:
        self.engine = engine
        self.pool = pool

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        *,
        pool_size: int,
        application_name: str,
        statement_timeout_seconds: float = 10.0,
        hot_settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Self]:
        """Open the database at `url` (as libpq reads it) with `pool_size` connections each way.

        `hot_settings` are further run-time settings of PostgreSQL for the raw connections.
        """
        settings = {
            "statement_timeout": f"{statement_timeout_seconds * 1000:.0f}ms",
            "idle_in_transaction_session_timeout": "60s",
            "timezone": "UTC",
        }
        hot = connection_parameters(
            url,
            application_name=application_name,
            settings={**settings, **_HOT_SETTINGS, **(hot_settings or {})},
        )
        ordinary = connection_parameters(url, application_name=application_name, settings=settings)
        context = adapters()

        async def connect_hot() -> Connection:
            return await open_connection(hot, context, autocommit=True, prepare_threshold=0)

        async def connect_ordinary(*_args: object, **_kwargs: object) -> Connection:
            return await open_connection(ordinary, context, autocommit=False, prepare_threshold=5)

        engine = create_async_engine(
            "postgresql+psycopg://",
            async_creator=connect_ordinary,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5.0,
            pool_recycle=3600,
            pool_use_lifo=True,
            json_serializer=_dump_json,
            json_deserializer=orjson.loads,
        )
        event.listen(engine.sync_engine, "checkout", _refuse_lost_connection)
        pool = ConnectionPool(
            connect_hot, size=pool_size, deadline_seconds=statement_timeout_seconds + 5.0
        )
        try:
            yield cls(engine, pool)
        finally:
            await pool.close()
            await engine.dispose()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for queries; what they change is rolled back."""
        with database_errors():
            async with self.engine.connect() as connection:
                yield connection

    async def ping(self, *, deadline_seconds: float = 2.0) -> None:
        """Return when the database answers; raises DependencyUnavailable."""
        await self.pool.execute("SELECT 1", deadline_seconds=deadline_seconds)


def _dump_json(value: object) -> str:
    return orjson.dumps(value).decode()


def _refuse_lost_connection(dbapi_connection: Any, _record: object, _proxy: object) -> None:
    """Have the engine's pool connect anew when the server of an idle connection has gone."""
    if not connection_is_usable(dbapi_connection.driver_connection):
        raise DisconnectionError("the server has closed the connection")
