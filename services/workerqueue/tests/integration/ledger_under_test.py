"""The ledger's three faces over one database, and what a test sees behind them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson

from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.adapters.ledger_enqueue import PostgresEnqueueLedger
from kongflow_workerqueue.adapters.ledger_limits import PostgresLimitLedger
from kongflow_workerqueue.adapters.ledger_maintenance import PostgresMaintenanceLedger
from kongflow_workerqueue.adapters.ledger_operators import PostgresOperatorLedger
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import ClaimedJob, InsertOutcome, NewJob, Removal
from kongflow_workerqueue.domain.states import Priority

BY = Intervention("operator", "ops", "op-1", "because")


def new_job(**options: Any) -> NewJob:
    """A job of its own; `options` replace fields of NewJob."""
    fields: dict[str, Any] = {
        "id": new_id(),
        "kind": "deliverEvent",
        "args": orjson.dumps({"eventRecordId": str(uuid4()), "deliveryRevision": 1}),
        "queue": "events",
        "priority": Priority.NORMAL,
        "max_attempts": 3,
    }
    return NewJob(**{**fields, **options})


@dataclass(frozen=True)
class LedgerUnderTest:
    database: Database
    enqueue: PostgresEnqueueLedger
    worker: PostgresWorkerLedger
    limits: PostgresLimitLedger
    maintenance: PostgresMaintenanceLedger
    operators: PostgresOperatorLedger
    worker_id: UUID

    async def insert(self, *commands: NewJob | Removal) -> list[InsertOutcome]:
        return await self.enqueue.insert(commands)

    async def claim_one(self, job_id: UUID, turn: int = 1) -> ClaimedJob:
        [job] = await self.worker.claim(self.worker_id, [(job_id, turn)])
        return job

    async def another_worker(self) -> UUID:
        worker_id = new_id()
        await self.worker.register_worker(worker_id, host="test", pid=2)
        return worker_id

    async def end_lease(self, worker_id: UUID) -> None:
        await self.execute(
            "UPDATE workerqueue.worker_leases SET expires_at = now() WHERE worker_id = %s",
            worker_id,
        )

    async def lengthen_leases(self) -> None:
        """Let no lease end for the time that a test takes."""
        await self.execute(
            "UPDATE workerqueue.worker_leases SET expires_at = now() + interval '1 hour'"
        )

    async def shift(self, job_id: UUID, column: str, by: timedelta) -> None:
        """Move a time of a job, as if as much time had passed."""
        await self.execute(
            f"UPDATE workerqueue.queued_jobs SET {column} = {column} + %s WHERE id = %s",
            by,
            job_id,
        )

    async def row(self, job_id: UUID) -> dict[str, Any]:
        rows = await self.execute(
            "SELECT to_jsonb(j) FROM workerqueue.queued_jobs j WHERE id = %s", job_id
        )
        row: dict[str, Any] = rows[0][0]
        return row

    async def ids(self) -> list[UUID]:
        rows = await self.execute("SELECT id FROM workerqueue.queued_jobs ORDER BY id")
        return [row[0] for row in rows]

    async def execute(self, statement: str, *parameters: object) -> Sequence[tuple[Any, ...]]:
        return await self.database.pool.execute(statement, parameters)


@asynccontextmanager
async def ledger_under_test(url: str) -> AsyncIterator[LedgerUnderTest]:
    async with open_ledger_database(url, pool_size=4, application_name="test") as database:
        await database.pool.execute(
            "TRUNCATE workerqueue.queued_jobs, workerqueue.worker_leases,"
            " workerqueue.command_receipts, workerqueue.duties, workerqueue.audit_entries,"
            " workerqueue.redrives, workerqueue.rate_limits"
        )
        await database.pool.execute(
            "UPDATE workerqueue.queues SET paused_at = NULL, max_running = NULL"
        )
        worker = PostgresWorkerLedger(database)
        worker_id = new_id()
        await worker.register_worker(worker_id, host="test", pid=1)
        yield LedgerUnderTest(
            database=database,
            enqueue=PostgresEnqueueLedger(database),
            worker=worker,
            limits=PostgresLimitLedger(database),
            maintenance=PostgresMaintenanceLedger(database),
            operators=PostgresOperatorLedger(database),
            worker_id=worker_id,
        )
