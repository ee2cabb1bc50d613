"""The machine's own figure: transactions of two one-row inserts per second, 16 callers."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import LiteralString, TypeVar

import psycopg

Measured = TypeVar("Measured")

CALLERS = 16
SECONDS = 3.0

INSERTS: tuple[LiteralString, ...] = (
    "INSERT INTO bench_reference.event (name, body) VALUES (%s, %s::jsonb)",
    "INSERT INTO bench_reference.outbox (name, body) VALUES (%s, %s::jsonb)",
)
ROW = ("order.created", '{"kind": "order", "amount": 12}')


async def beside_reference(
    database_url: str, measure: Callable[[], Awaitable[Measured]]
) -> tuple[Measured, float]:
    """What is measured, and the reference beside it: the mean of those right before and behind.

    The machine's speed moves within a minute, and most of a ratio's spread is that.
    """
    before = await reference_tps(database_url)
    measured = await measure()
    return measured, statistics.mean([before, await reference_tps(database_url)])


async def reference_tps(database_url: str) -> float:
    """Transactions per second over 3 s; each is BEGIN, two inserts of one row, COMMIT."""
    admin = await psycopg.AsyncConnection.connect(database_url, autocommit=True)
    async with admin:
        await admin.execute("DROP SCHEMA IF EXISTS bench_reference CASCADE")
        await admin.execute("CREATE SCHEMA bench_reference")
        for table in ("event", "outbox"):
            await admin.execute(
                f"CREATE TABLE bench_reference.{table}"
                " (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, body jsonb)"
            )
        try:
            started = time.perf_counter()
            until = started + SECONDS
            counts = await asyncio.gather(*(_caller(database_url, until) for _ in range(CALLERS)))
            return sum(counts) / (time.perf_counter() - started)
        finally:
            await admin.execute("DROP SCHEMA bench_reference CASCADE")


async def _caller(database_url: str, until: float) -> int:
    connection = await psycopg.AsyncConnection.connect(database_url)
    count = 0
    async with connection:
        while time.perf_counter() < until:
            for insert in INSERTS:
                await connection.execute(insert, ROW, prepare=True)
            await connection.commit()
            count += 1
    return count
