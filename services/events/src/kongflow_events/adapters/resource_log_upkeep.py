"""Makes the days of the log before they come, and drops those that it no longer keeps."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow

from kongflow_common.clock import Clock
from kongflow_common.db.engine import Database
from kongflow_common.errors import Contended
from kongflow_events.domain.log_position import KEPT

__all__ = ["ResourceLogUpkeep"]

_logger = logging.getLogger(__name__)

_DAYS_AHEAD: Final = 3
_PAUSE_SECONDS: Final = 3_600.0
_PREFIX: Final = "resource_events_"
_REST: Final = sql.Identifier("events", f"{_PREFIX}rest")
_LOG: Final = sql.Identifier("events", "resource_events")
# Whoever waits for a lock makes everybody behind it wait too.
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '1s'"
_ONLY_ONE: Final = "SELECT pg_try_advisory_xact_lock(hashtext('events.resource_log_upkeep'))"
_PARTITIONS: Final = """
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'events.resource_events'::regclass
"""

_Change: TypeAlias = Callable[[AsyncConnection[TupleRow], date], Awaitable[None]]


class ResourceLogUpkeep:
    """One partition a day; a day is dropped as a whole, so that nothing is deleted row by row."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._pool = database.pool
        self._clock = clock

    async def run(self) -> None:
        """Keep the log in order until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(_PAUSE_SECONDS)

    async def once(self) -> None:
        """Make the days to come and drop those that are over.

        A day whose lock is not to be had is left for the next time: until then its events are in
        the partition for the rest, and an old one is kept for longer.
        """
        now = self._clock.now()
        present = await self._days()
        wanted = {now.date() + timedelta(days=ahead) for ahead in range(_DAYS_AHEAD + 1)}
        for day in sorted(wanted - present):
            await self._each(day, self._make)
        for day in sorted(present):
            if _start(day + timedelta(days=1)) <= now - KEPT:
                await self._each(day, self._drop)

    async def _days(self) -> set[date]:
        rows = await self._pool.execute(_PARTITIONS)
        names = [row[0].removeprefix(_PREFIX) for row in rows]
        return {datetime.strptime(name, "%Y%m%d").date() for name in names if name.isdigit()}  # noqa: DTZ007

    async def _each(self, day: date, change: _Change) -> None:
        try:
            async with self._pool.connection() as connection, connection.transaction():
                cursor = await connection.execute(_ONLY_ONE)
                if await cursor.fetchone() == (True,):
                    await connection.execute(_LOCK_TIMEOUT)
                    await change(connection, day)
        except Contended:
            _logger.info("the log of %s is in use; its partition is left for later", day)

    async def _make(self, connection: AsyncConnection[TupleRow], day: date) -> None:
        name = _name(day)
        bounds = {
            "name": name,
            "log": _LOG,
            "rest": _REST,
            "start": sql.Literal(_start(day).isoformat()),
            "end": sql.Literal(_start(day + timedelta(days=1)).isoformat()),
        }
        exists = await connection.execute("SELECT to_regclass(%s)", (name.as_string(),))
        if await exists.fetchone() != (None,):
            return
        # Attached, not made in its place: that way only the rest is locked against everybody.
        await connection.execute(
            sql.SQL(
                "CREATE TABLE {name} (LIKE {log} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            ).format(**bounds)
        )
        await connection.execute(
            sql.SQL(
                "WITH moved AS (DELETE FROM {rest} WHERE logged_at >= {start} "
                "AND logged_at < {end} RETURNING *) INSERT INTO {name} SELECT * FROM moved"
            ).format(**bounds)
        )
        await connection.execute(
            sql.SQL(
                "ALTER TABLE {log} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})"
            ).format(**bounds)
        )

    async def _drop(self, connection: AsyncConnection[TupleRow], day: date) -> None:
        await connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(_name(day)))
        _logger.info("the log of %s was dropped", day)


def _name(day: date) -> sql.Identifier:
    return sql.Identifier("events", f"{_PREFIX}{day:%Y%m%d}")


def _start(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
