"""Raw psycopg connections for the hot statements: autocommit, prepared, binary.

Small on purpose. Connections are made when they are needed and given out last in, first out;
one whose server has gone is noticed before it is given out, without a round trip. So the first
statement after a restart of PostgreSQL finds the new server, and while there is none every
statement fails at once instead of queueing.
"""

import asyncio
import logging
import random
import select
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import orjson
import psycopg
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import AsyncRowFactory, TupleRow, tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads

from kongflow_common.db.failures import POSTGRESQL, database_errors
from kongflow_common.db.row_parameters import ArrayDumper, ArrayParameter
from kongflow_common.errors import DependencyUnavailable

__all__ = ["ConnectionPool", "connection_is_usable", "connection_parameters", "open_connection"]

logger = logging.getLogger(__name__)

# A server that never closes a backend never frees what its plans have gathered.
_LIFETIME_SECONDS = 3600.0
# A server that died with its host answers nothing: these bound how long that goes unnoticed.
_NETWORK = {
    "connect_timeout": "5",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}

Connection = psycopg.AsyncConnection[TupleRow]
Parameters = Mapping[str, object] | Sequence[object]


def connection_parameters(url: str, *, application_name: str, settings: Mapping[str, str]) -> str:
    """The connection string for `url`; what the URL itself says has the last word.

    `settings` are PostgreSQL's run-time settings, e.g. {"statement_timeout": "10s"}.
    """
    given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    if "options" in given:
        options = f"{options} {given.pop('options')}"
    return make_conninfo(
        **{**_NETWORK, "application_name": application_name, **given, "options": options}
    )


def adapters() -> AdaptersMap:
    """The adapters of psycopg, with orjson for JSON and binary arrays for ArrayParameter."""
    adapted = AdaptersMap(psycopg.adapters)
    adapted.register_dumper(ArrayParameter, ArrayDumper)
    set_json_loads(orjson.loads, adapted)
    set_json_dumps(orjson.dumps, adapted)
    return adapted


async def open_connection(
    conninfo: str, context: AdaptersMap, *, autocommit: bool, prepare_threshold: int
) -> Connection:
    """Connect with the adapters of `context`. Raises psycopg.OperationalError."""
    return await psycopg.AsyncConnection.connect(
        conninfo, autocommit=autocommit, prepare_threshold=prepare_threshold, context=context
    )


def connection_is_usable(connection: psycopg.BaseConnection[Any]) -> bool:
    """Whether an idle connection's server is still there, as far as its socket knows.

    A server that ends says a last word and closes; nothing else makes an idle socket readable
    but notices, after which a new connection does no harm either.
    """
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return not poll.poll(0)


class ConnectionPool:
    """At most `size` connections to one database.

    `execute` is the way for hot statements; `connection` lends one for several.
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        size: int,
        wait_seconds: float = 5.0,
        deadline_seconds: float = 15.0,
    ) -> None:
        self.size = size
        self._connect_once = connect
        self._slots = asyncio.Semaphore(size)
        self._idle: list[tuple[Connection, float]] = []
        self._wait_seconds = wait_seconds
        self._deadline_seconds = deadline_seconds
        self._closed = False
        self._reachable = True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def execute(
        self,
        statement: str,
        parameters: Parameters | None = None,
        *,
        row_factory: AsyncRowFactory[Any] | None = None,
        deadline_seconds: float | None = None,
    ) -> list[Any]:
        """Carry out one statement as a transaction of its own; its rows, or [] if it gives none.

        Raises DependencyUnavailable when the database cannot be reached or does not answer
        within the deadline (the statement may have taken effect), Contended when another
        transaction was in the way, psycopg.Error for what is wrong with the statement.
        """
        async with self.connection(deadline_seconds=deadline_seconds) as connection:
            cursor = connection.cursor(binary=True, row_factory=row_factory or tuple_row)
            await cursor.execute(statement, parameters)
            return await cursor.fetchall() if cursor.description is not None else []

    @asynccontextmanager
    async def connection(
        self, *, deadline_seconds: float | None = None
    ) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode; several statements need `transaction()` on it.

        The block must end within the deadline. Failures are translated as in `execute`.
        """
        deadline = asyncio.timeout(deadline_seconds or self._deadline_seconds)
        try:
            # The server's own timeout does not help against a server that has stopped answering.
            async with deadline:
                with database_errors():
                    connection, expires_at = await self._acquire()
                    try:
                        yield connection
                    finally:
                        await self._release(connection, expires_at)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DependencyUnavailable(POSTGRESQL) from error

    async def close(self) -> None:
        """Close the idle connections, and the lent ones when they come back."""
        self._closed = True
        while self._idle:
            connection, _ = self._idle.pop()
            await connection.close()

    async def _acquire(self) -> tuple[Connection, float]:
        if self._closed:
            raise RuntimeError("the connection pool is closed")
        if self._slots.locked():
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise DependencyUnavailable(POSTGRESQL) from error
        else:
            await self._slots.acquire()
        try:
            while self._idle:
                connection, expires_at = self._idle.pop()
                if time.monotonic() < expires_at and connection_is_usable(connection):
                    return connection, expires_at
                await connection.close()
            return await self._connect()
        except BaseException:
            self._slots.release()
            raise

    async def _connect(self) -> tuple[Connection, float]:
        try:
            connection: Connection = await self._connect_once()
        except psycopg.OperationalError as error:
            # Once per outage: while it lasts every statement comes by here.
            if self._reachable:
                self._reachable = False
                logger.warning("PostgreSQL cannot be reached: %s", error)
            raise
        if not self._reachable:
            self._reachable = True
            logger.info("PostgreSQL can be reached again")
        lifetime = _LIFETIME_SECONDS * random.uniform(0.8, 1.0)  # nosec B311 - spreads reconnects
        return connection, time.monotonic() + lifetime

    async def _release(self, connection: Connection, expires_at: float) -> None:
        try:
            idle = connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
            if self._closed or not idle:
                # Also after a cancelled or timed-out statement: what it left behind is unknown.
                await connection.close()
            else:
                self._idle.append((connection, expires_at))
        finally:
            self._slots.release()
