"""From the first SendEvent to the last run row: the whole road under load, and its CPU."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from bench.send_event import send_count
from bench.system import System, cpu_seconds

EVENTS = 10_000
CALLERS = 64
DEADLINE_S = 180.0
QUIET_DEADLINE_S = 60.0

# Only those of the round, which an index has together: the count is asked often, and what it
# costs is PostgreSQL's, however many rounds there were before.
COUNT_RUNS: LiteralString = """
    SELECT count(*) FROM runs.job_runs
    WHERE created_at >= %(since)s AND environment_id = (
        SELECT environment_id FROM events.event_dispatchers
        WHERE dispatchable_id = 'bench-000' LIMIT 1)
"""
# Work is in an outbox, in the ledger or on its way to the log of events; one statement sees all
# at the same moment. The states are asked as two indexes of the ledger have them: otherwise all
# that ever ran is read, several times a round.
COUNT_OPEN: LiteralString = (
    "SELECT (SELECT count(*) FROM workerqueue.queued_jobs"
    " WHERE state IN ('available', 'scheduled', 'retryable') AND state <> 'running'"
    " OR state = 'running')"
    " + (SELECT count(*) FROM events.outbox) + (SELECT count(*) FROM runs.outbox)"
    " + (SELECT count(*) FROM endpoints.outbox)"
    " + (SELECT count(*) FROM runs.published_events)"
)


@dataclass(frozen=True)
class EndToEnd:
    """What one round showed; CPU in milliseconds per event by process."""

    events_per_second: float
    cpu_ms: dict[str, float]


async def end_to_end(system: System, name: str) -> EndToEnd:
    """Sends 10,000 events from 64 callers, and waits for as many runs and then a quiet queue."""
    async with await psycopg.AsyncConnection.connect(
        system.database_url, autocommit=True
    ) as connection:
        await wait_quiet(connection)
        [(since,)] = await (await connection.execute("SELECT clock_timestamp()")).fetchall()
        cpu_before = cpu_seconds(system)
        started = time.perf_counter()
        await send_count(system, name=name, callers=CALLERS, count=EVENTS)
        # Before the last event there is no last run: to count earlier takes time from the system.
        await wait_for_count(connection, COUNT_RUNS, EVENTS, started + DEADLINE_S, {"since": since})
        elapsed = time.perf_counter() - started
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
    connection: psycopg.AsyncConnection,
    query: LiteralString,
    wanted: int,
    deadline: float,
    parameters: Mapping[str, object] | None = None,
) -> None:
    """Waits until a query counts what is wanted; raises SystemExit at the deadline."""
    while (found := await _count(connection, query, parameters)) != wanted:
        if time.perf_counter() > deadline:
            raise SystemExit(f"gave up: {query} is {found}, not {wanted}")
        await asyncio.sleep(0.02)


async def _count(
    connection: psycopg.AsyncConnection,
    query: LiteralString,
    parameters: Mapping[str, object] | None = None,
) -> int:
    row = await (await connection.execute(query, parameters)).fetchone()
    return int(row[0]) if row else 0
