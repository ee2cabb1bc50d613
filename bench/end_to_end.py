"""From the first SendEvent to the last run row: the whole road under load, and its CPU."""

import asyncio
import time
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from bench.send_event import send_count
from bench.system import System, cpu_seconds

EVENTS = 5_000
CALLERS = 64
DEADLINE_S = 180.0
QUIET_DEADLINE_S = 60.0

COUNT_RUNS: LiteralString = "SELECT count(*) FROM runs.job_runs"
# Work is in an outbox or in the ledger; one statement sees both at the same moment.
COUNT_OPEN: LiteralString = (
    "SELECT (SELECT count(*) FROM workerqueue.queued_jobs"
    " WHERE state IN ('available', 'scheduled', 'running', 'retryable'))"
    " + (SELECT count(*) FROM events.outbox) + (SELECT count(*) FROM runs.outbox)"
    " + (SELECT count(*) FROM endpoints.outbox)"
)


@dataclass(frozen=True)
class EndToEnd:
    """What one round showed; CPU in milliseconds per event by process."""

    events_per_second: float
    cpu_ms: dict[str, float]


async def end_to_end(system: System, name: str) -> EndToEnd:
    """Sends 5,000 events from 64 callers and waits for as many new runs, then for a quiet queue."""
    async with await psycopg.AsyncConnection.connect(
        system.database_url, autocommit=True
    ) as connection:
        await wait_quiet(connection)
        before = await _count(connection, COUNT_RUNS)
        cpu_before = cpu_seconds(system)
        started = time.perf_counter()
        sending = asyncio.create_task(send_count(system, name=name, callers=CALLERS, count=EVENTS))
        try:
            await wait_for_count(connection, COUNT_RUNS, before + EVENTS, started + DEADLINE_S)
            elapsed = time.perf_counter() - started
        finally:
            await sending
        # What follows the last run row (its start, the bookkeeping) is part of an event's cost.
        await wait_quiet(connection)
    cpu_after = cpu_seconds(system)
    return EndToEnd(
        events_per_second=EVENTS / elapsed,
        cpu_ms={
            process: (cpu_after[process] - cpu_before.get(process, 0.0)) * 1000 / EVENTS
            for process in cpu_after
        },
    )


async def wait_quiet(connection: psycopg.AsyncConnection) -> None:
    """Waits until nothing is in the outboxes or open in the ledger.

    So no round works for another.
    """
    await wait_for_count(connection, COUNT_OPEN, 0, time.perf_counter() + QUIET_DEADLINE_S)


async def wait_for_count(
    connection: psycopg.AsyncConnection, query: LiteralString, wanted: int, deadline: float
) -> None:
    """Waits until a query counts what is wanted; raises SystemExit at the deadline."""
    while (found := await _count(connection, query)) != wanted:
        if time.perf_counter() > deadline:
            raise SystemExit(f"gave up: {query} is {found}, not {wanted}")
        await asyncio.sleep(0.02)


async def _count(connection: psycopg.AsyncConnection, query: LiteralString) -> int:
    row = await (await connection.execute(query)).fetchone()
    return int(row[0]) if row else 0
