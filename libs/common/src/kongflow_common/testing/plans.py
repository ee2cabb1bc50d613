"""What a statement reads of a large table when its plan was made while the table was empty.

    def statements() -> dict[str, Statement]:
        return {"read": (READ, KEYS.bind([(record_id,)]))}

    read = await entries_read(database, "events", statements, fill=[FILL])
    assert read["read"] <= 100

Hot statements are planned once per connection, on a new system while their tables are empty and
have no statistics. Such a plan must also serve when the tables have grown.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from psycopg import AsyncConnection, AsyncCursor, sql

from kongflow_common.db.engine import Database

__all__ = ["Statement", "entries_read"]

Statement: TypeAlias = tuple[str, Mapping[str, Any]]
"""The text of a statement and its parameters."""

_FILL_SECONDS = 60

_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r'
"""

# Of tables the rows of sequential scans, of indexes the entries of all scans.
_ENTRIES = """
SELECT coalesce(sum(pg_stat_get_xact_tuples_returned(c.oid)), 0)::bigint FROM pg_class c
WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'i')
"""

_PREPARED_SINCE = "SELECT statement FROM pg_prepared_statements WHERE prepare_time >= %(since)s"


async def entries_read(
    database: Database,
    schema: str,
    statements: Callable[[], Mapping[str, Statement]],
    *,
    fill: Sequence[str],
    planned_after: Sequence[str] = (),
) -> dict[str, int]:
    """Plan statements on the empty tables of `schema`, fill them, and count what each reads.

    The answer has, by the names that `statements` gives, the rows that sequential scans looked at
    plus the entries that index scans looked at, over all tables of the schema. `statements` is
    asked twice, so that ids of new rows can be new. `planned_after` is carried out first: what
    has come to pass before the plans are made.

    It all happens in one transaction on one connection of the pool, with the settings of hot
    statements, and is rolled back in the end: a statement also finds what those before it have
    changed. Raises AssertionError when one was prepared anew, and so not measured as planned.
    """
    async with database.pool.connection() as connection:
        cursor = connection.cursor(binary=True)
        # Not a rollback in between: psycopg then prepares, and so plans, all statements anew.
        async with (
            _without_autovacuum(cursor, schema),
            connection.transaction(force_rollback=True),
        ):
            await connection.execute(f"SET LOCAL statement_timeout = '{_FILL_SECONDS}s'")
            for command in planned_after:
                await cursor.execute(command, prepare=False)
            await _count(cursor, schema)
            for text, parameters in statements().values():
                await cursor.execute(text, parameters)
            for command in fill:
                await cursor.execute(command, prepare=False)
            return await _measured(connection, cursor, schema, statements())


async def _measured(
    connection: AsyncConnection[Any],
    cursor: AsyncCursor[Any],
    schema: str,
    statements: Mapping[str, Statement],
) -> dict[str, int]:
    read: dict[str, int] = {}
    [(since,)] = await (
        await connection.execute("SELECT clock_timestamp()", prepare=False)
    ).fetchall()
    for name, (text, parameters) in statements.items():
        before = await _count(cursor, schema)
        await cursor.execute(text, parameters)
        read[name] = await _count(cursor, schema) - before
    await cursor.execute(_PREPARED_SINCE, {"since": since}, prepare=False)
    anew = [text for (text,) in await cursor.fetchall()]
    if anew:
        raise AssertionError(f"prepared anew on the filled tables: {anew}")
    return read


async def _count(cursor: AsyncCursor[Any], schema: str) -> int:
    await cursor.execute(_ENTRIES, {"schema": schema})
    [(count,)] = await cursor.fetchall()
    return int(count)


@asynccontextmanager
async def _without_autovacuum(cursor: AsyncCursor[Any], schema: str) -> AsyncIterator[None]:
    """Keep autovacuum from having the plans made anew, as it would if it came in time."""
    await cursor.execute(_TABLES, {"schema": schema})
    tables = [sql.SQL(name) for (name,) in await cursor.fetchall()]
    try:
        for table in tables:
            await cursor.execute(
                sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)").format(table)
            )
        yield
    finally:
        for table in tables:
            await cursor.execute(sql.SQL("ALTER TABLE {} RESET (autovacuum_enabled)").format(table))
