"""`python -m bench.limits`: what a backlog of jobs with limits costs the jobs without.

Starts a PostgreSQL, a Valkey and a worker of its own, and a target that answers at once. Rounds
without and with the backlog take turns, so that the machine's moods meet both.
"""

import argparse
import asyncio
import base64
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from rich.console import Console
from rich.table import Table

from kongflow.events.tasks.v1 import events_tasks_service_pb2 as events_pb
from kongflow.events.tasks.v1.events_tasks_service_pb2_grpc import (
    EventsTasksServiceServicer,
    add_EventsTasksServiceServicer_to_server,
)
from kongflow.workerqueue.v1.envelope_pb2 import JobResult
from kongflow_common.db.engine import Database
from kongflow_common.db.migrate import upgrade
from kongflow_common.ids import new_id
from kongflow_embedded.temporary import temporary_postgres, temporary_valkey
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.adapters.ledger_enqueue import PostgresEnqueueLedger
from kongflow_workerqueue.adapters.ledger_operators import PostgresOperatorLedger
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.limits import KeyRule, LimitRules, RateRule, limits_of
from kongflow_workerqueue.domain.states import Priority

ROUNDS = 5
JOBS = 10_000
SERIAL_LANES, JOBS_A_LANE = 500, 20
RATE_KEYS, JOBS_A_KEY = 2_000, 5
BY = Intervention("operator", "bench")
QUEUE = "events"
MIGRATIONS = Path(__file__).parents[1] / "services" / "workerqueue" / "migrations"
_HOLD = "hold"


@dataclass
class Target(EventsTasksServiceServicer):
    """Answers at once; jobs of the backlog that get so far are snoozed for an hour."""

    jobs: int = 0
    last: float = 0.0
    held: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0
    all_held: asyncio.Event = field(default_factory=asyncio.Event)
    wanted_held: int = 0

    async def BatchDeliverEvents(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Take a batch."""
        results = [self._take(each.event_record_id) for each in request.requests]
        self._look()
        return events_pb.BatchDeliverEventsResponse(results=results)

    async def DeliverEvent(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Take a job that came alone."""
        if self._take(request.event_record_id).HasField("snooze"):
            context.set_trailing_metadata((("kongflow-snooze", "3600s"),))
        self._look()
        return events_pb.DeliverEventResponse()

    def _take(self, event: str) -> JobResult:
        held = event.startswith(_HOLD)
        self.held += held
        self.jobs += not held
        return JobResult(snooze=Duration(seconds=3_600)) if held else JobResult()

    def _look(self) -> None:
        if self.held >= self.wanted_held:
            self.all_held.set()
        self.last = time.perf_counter()
        if self.jobs >= self.wanted:
            self.done.set()

    def begin_holding(self, wanted: int) -> None:
        """Count the held ones anew."""
        self.held, self.wanted_held = 0, wanted
        self.all_held.clear()

    def begin(self, wanted: int) -> None:
        """Count anew, up to `wanted` jobs."""
        self.jobs, self.wanted = 0, wanted
        self.done.clear()


@dataclass(frozen=True)
class Figures:
    """Jobs without limits per second: stored, and brought to their ends."""

    enqueued: float
    drained: float


@dataclass(frozen=True)
class Queue:
    """The ledger and the target of the worker."""

    database: Database
    target: Target

    async def round(self, *, backlog: bool, jobs: int) -> Figures:
        """Measure once on an empty ledger, or beside a backlog of jobs with limits."""
        operators = PostgresOperatorLedger(self.database)
        await self.database.pool.execute(
            "TRUNCATE workerqueue.queued_jobs, workerqueue.rate_limits"
        )
        ledger = PostgresEnqueueLedger(self.database)
        if backlog:
            self.target.begin_holding(SERIAL_LANES + RATE_KEYS)
            await _store(ledger, _backlog())
            await asyncio.wait_for(self.target.all_held.wait(), 120)
        await _store(ledger, [_job(str(new_id()))])
        await operators.set_paused(QUEUE, BY, paused=True)
        self.target.begin(jobs)
        began = time.perf_counter()
        await _store(ledger, [_job(str(new_id())) for _ in range(jobs)])
        stored = time.perf_counter()
        await operators.set_paused(QUEUE, BY, paused=False)
        resumed = time.perf_counter()
        await asyncio.wait_for(self.target.done.wait(), 120)
        return Figures(jobs / (stored - began), jobs / (self.target.last - resumed))


def _job(event: str, rules: LimitRules | None = None) -> NewJob:
    return NewJob(
        id=new_id(),
        kind="deliverEvent",
        args=orjson.dumps({"eventRecordId": event, "deliveryRevision": 1}),
        queue=QUEUE,
        priority=Priority.HIGH,
        max_attempts=6,
        limits=limits_of(rules, None, {}) if rules is not None else None,
    )


def _backlog() -> list[NewJob]:
    year = timedelta(days=365)
    lines = [LimitRules(serial=KeyRule(f"line {n}")) for n in range(SERIAL_LANES)]
    rates = [LimitRules(rate=RateRule(KeyRule(f"rate {n}"), year, 1)) for n in range(RATE_KEYS)]
    return [
        *(_job(f"{_HOLD} {new_id()}", rules) for rules in lines for _ in range(JOBS_A_LANE)),
        *(_job(f"{_HOLD} {new_id()}", rules) for rules in rates for _ in range(JOBS_A_KEY)),
    ]


async def _store(ledger: PostgresEnqueueLedger, jobs: Sequence[NewJob]) -> None:
    for start in range(0, len(jobs), 100):
        await ledger.insert(jobs[start : start + 100])


@asynccontextmanager
async def _target() -> AsyncIterator[tuple[Target, int]]:
    server = grpc.aio.server()
    target = Target()  # type: ignore[abstract] # what is not measured is not called
    add_EventsTasksServiceServicer_to_server(target, server)
    health = health_aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield target, port
    finally:
        await server.stop(0)


def _key() -> str:
    raw = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.Raw,
        serialization.PrivateFormat.Raw,
        serialization.NoEncryption(),
    )
    return base64.b64encode(raw).decode()


@asynccontextmanager
async def _queue() -> AsyncIterator[Queue]:
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(temporary_postgres())
        valkey = stack.enter_context(temporary_valkey())
        url = postgres.server.url("postgres")
        await asyncio.to_thread(upgrade, url, MIGRATIONS, "workerqueue")
        target, port = await stack.enter_async_context(_target())
        environment = {
            **os.environ,
            "KONGFLOW_DATABASE_URL": url,
            "KONGFLOW_REDIS_URL": valkey.server.url(),
            "KONGFLOW_SERVICE_KEY": _key(),
            "KONGFLOW_TASK_TARGETS": json.dumps({"events": f"127.0.0.1:{port}"}),
            "KONGFLOW_LOG_LEVEL": "ERROR",
        }
        worker = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kongflow_workerqueue", "worker"), env=environment
        )
        try:
            database = await stack.enter_async_context(
                open_ledger_database(url, pool_size=4, application_name="bench")
            )
            yield Queue(database, target)
        finally:
            worker.terminate()
            await worker.wait()


async def measure(rounds: int, jobs: int) -> tuple[list[Figures], list[Figures]]:
    """Rounds without and with the backlog, in turns; the first of each warms up."""
    without: list[Figures] = []
    beside: list[Figures] = []
    async with _queue() as queue:
        for _ in range(rounds + 1):
            without.append(await queue.round(backlog=False, jobs=jobs))
            beside.append(await queue.round(backlog=True, jobs=jobs))
    return without[1:], beside[1:]


def _row(label: str, without: Sequence[float], beside: Sequence[float]) -> tuple[str, ...]:
    ratios = [with_ / alone for alone, with_ in zip(without, beside, strict=True)]
    spread = f"{min(ratios):.2f} - {max(ratios):.2f}"
    medians = statistics.median(without), statistics.median(beside)
    return (
        label,
        f"{medians[0]:,.0f}",
        f"{medians[1]:,.0f}",
        f"{statistics.median(ratios):.2f}",
        spread,
    )


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(prog="bench.limits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--jobs", type=int, default=JOBS)
    options = parser.parse_args()
    without, beside = asyncio.run(measure(options.rounds, options.jobs))
    backlog = SERIAL_LANES * JOBS_A_LANE + RATE_KEYS * JOBS_A_KEY
    table = Table(
        *("jobs without limits, per second", "alone", "beside", "ratio", "spread"),
        title=f"Beside {backlog:,} jobs that wait for their limits",
    )
    table.add_row(
        *_row(
            "stored, 100 in a call",
            [each.enqueued for each in without],
            [each.enqueued for each in beside],
        )
    )
    table.add_row(
        *_row(
            "drained by one worker",
            [each.drained for each in without],
            [each.drained for each in beside],
        )
    )
    Console().print(table)


if __name__ == "__main__":
    main()
