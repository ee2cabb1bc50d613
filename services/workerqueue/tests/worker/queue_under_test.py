"""A ledger, a window and what a test needs to put jobs in and see what becomes of them."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.supervision import BackgroundTasks
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.adapters.ledger_enqueue import PostgresEnqueueLedger
from kongflow_workerqueue.adapters.ledger_limits import PostgresLimitLedger
from kongflow_workerqueue.adapters.ledger_operators import PostgresOperatorLedger
from kongflow_workerqueue.adapters.redis_connection import open_redis
from kongflow_workerqueue.adapters.window_redis import RedisWindow
from kongflow_workerqueue.application.admit_limited import AdmitLimited
from kongflow_workerqueue.application.dispatch import Dispatch
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.worker.queue_worker import QueueWorker
from kongflow_workerqueue.worker_main import open_worker
from kongflow_workerqueue.worker_settings import WorkerSettings

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def private_key() -> str:
    raw = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.Raw,
        serialization.PrivateFormat.Raw,
        serialization.NoEncryption(),
    )
    return base64.b64encode(raw).decode()


def deliver_event(**options: Any) -> NewJob:
    """A deliverEvent job; `options` replace fields of NewJob."""
    event = options.pop("event", None) or str(uuid4())
    fields: dict[str, Any] = {
        "id": new_id(),
        "kind": "deliverEvent",
        "args": orjson.dumps({"eventRecordId": event, "deliveryRevision": 1}),
        "queue": "events",
        "priority": Priority.HIGH,
        "max_attempts": 6,
        "traceparent": TRACEPARENT,
    }
    return NewJob(**{**fields, **options})


@dataclass(frozen=True)
class QueueUnderTest:
    """Enqueues as the server does, and reads rows as nobody else may."""

    database_url: str
    redis_url: str
    database: Database
    ledger: PostgresEnqueueLedger
    operators: PostgresOperatorLedger
    dispatch: Dispatch
    window: RedisWindow
    admit_limited: AdmitLimited

    async def enqueue(self, jobs: Sequence[NewJob]) -> None:
        for start in range(0, len(jobs), 1_000):
            part = jobs[start : start + 1_000]
            admit_to = await self.dispatch.queues_with_room({job.queue for job in part})
            outcomes = await self.ledger.insert(part, admit_to=admit_to)
            await self.dispatch.hand_over(
                (
                    (job.queue, outcome)
                    for job, outcome in zip(part, outcomes, strict=True)
                    if job.limits is None
                ),
                admit_to=admit_to,
            )
            lanes = {
                job.limits.lane: job.limits.concurrency_key
                for job in part
                if job.limits is not None
            }
            if lanes:
                await self.admit_limited.try_admit(lanes)

    async def row(self, job_id: UUID) -> dict[str, Any]:
        rows = await self.database.pool.execute(
            "SELECT to_jsonb(j) FROM workerqueue.queued_jobs j WHERE id = %s", [job_id]
        )
        row: dict[str, Any] = rows[0][0]
        return row

    async def states(self) -> Mapping[str, int]:
        """How many jobs are in each state, without those that the clock enqueued meanwhile."""
        return dict(
            await self.database.pool.execute(
                "SELECT state, count(*) FROM workerqueue.queued_jobs"
                " WHERE (metadata ? 'periodic_job') IS NOT TRUE GROUP BY state"
            )
        )

    async def all_completed(self, count: int) -> bool:
        return await self.states() == {"completed": count}

    def settings(self, targets: Mapping[str, str], **more: Any) -> WorkerSettings:
        values: dict[str, Any] = {
            "database_url": SecretStr(self.database_url),
            "redis_url": SecretStr(self.redis_url),
            "service_key": SecretStr(private_key()),
            "task_targets": dict(targets),
            "drain_seconds": 5.0,
        }
        return WorkerSettings(**{**values, **more})


@asynccontextmanager
async def queue_under_test(database_url: str, redis_url: str) -> AsyncIterator[QueueUnderTest]:
    async with (
        open_ledger_database(database_url, pool_size=2, application_name="test") as database,
        BackgroundTasks() as probes,
    ):
        await database.pool.execute(
            "TRUNCATE workerqueue.queued_jobs, workerqueue.worker_leases, workerqueue.rate_limits"
        )
        await database.pool.execute(
            "UPDATE workerqueue.queues SET paused_at = NULL, max_running = NULL"
        )
        redis = open_redis(redis_url)
        try:
            window = RedisWindow(redis, probes)
            ledger = PostgresEnqueueLedger(database)
            yield QueueUnderTest(
                database_url,
                redis_url,
                database,
                ledger,
                PostgresOperatorLedger(database),
                Dispatch(window, ledger, cap=1_000),
                window,
                AdmitLimited(PostgresLimitLedger(database), window, cap=1_000),
            )
        finally:
            await redis.aclose()


@asynccontextmanager
async def running(settings: WorkerSettings) -> AsyncIterator[QueueWorker]:
    """Runs a worker for the length of the block; raises what it died of."""
    stop = asyncio.Event()
    async with open_worker(settings) as worker:
        task = asyncio.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await asyncio.wait_for(task, 30)
