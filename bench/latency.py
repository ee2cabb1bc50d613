"""From an event's row to its run's row, at a steady rate that does not wait for answers."""

import asyncio
import statistics
import time
from dataclasses import dataclass

import psycopg

from bench.end_to_end import wait_quiet
from bench.send_event import new_request
from bench.system import CALL_TIMEOUT_S, System, events_channel
from kongflow.events.v1.events_service_pb2_grpc import EventsServiceStub

SECONDS = 8.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds."""

    p50: float
    p99: float


async def latency_at(system: System, name: str, rate: int) -> Latency:
    """Sends `rate` events per second for 8 s, then reads the times of both rows."""
    async with (
        await psycopg.AsyncConnection.connect(system.database_url, autocommit=True) as connection,
        events_channel(system) as channel,
    ):
        await wait_quiet(connection)
        stub = EventsServiceStub(channel)
        calls: list[asyncio.Task[str]] = []

        async def send() -> str:
            answer = await stub.SendEvent(
                new_request(name), metadata=system.metadata, timeout=CALL_TIMEOUT_S
            )
            return answer.event_record.id

        started = time.perf_counter()
        for number in range(int(rate * SECONDS)):
            # Open loop: the next event does not wait for the one before.
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            calls.append(asyncio.create_task(send()))
        ids = await asyncio.gather(*calls)
        await wait_quiet(connection)
        rows = await (
            await connection.execute(
                """
                SELECT extract(epoch FROM run.created_at - event.created_at)::float8 * 1000
                FROM events.event_records event
                JOIN runs.job_runs run ON run.event_record_id = event.id
                WHERE event.id = ANY(%s::uuid[])
                """,
                (ids,),
            )
        ).fetchall()
    if len(rows) != len(ids):
        raise SystemExit(f"{len(ids)} events became {len(rows)} runs")
    ordered = sorted(float(row[0]) for row in rows)
    return Latency(
        p50=statistics.median(ordered), p99=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    )
