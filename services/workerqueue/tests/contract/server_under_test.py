"""The worker queue's server in the test's own process, on real channels, PostgreSQL and Valkey."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import grpc
import orjson
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as enqueue_pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import EnqueueServiceStub
from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow.workerqueue.v1.queued_job_pb2 import QueuedJob
from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceStub
from kongflow_common.db.engine import Database
from kongflow_common.ids import new_id
from kongflow_common.supervision import BackgroundTasks
from kongflow_common.testing.grpc_server import InProcessServer, bearer, in_process_server
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.adapters.redis_connection import open_redis
from kongflow_workerqueue.adapters.window_redis import RedisWindow
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, built_in_kinds
from kongflow_workerqueue.domain.outcome import Transition
from kongflow_workerqueue.main import open_services
from kongflow_workerqueue.rpc.error_catalog import CATALOG

if TYPE_CHECKING:
    from kongflow.workerqueue.v1.workerqueue_service_pb2_grpc import WorkerQueueServiceAsyncStub

TIMEOUT = 10.0
WINDOW_CAP = 20


def command(**options: Any) -> enqueue_pb.EnqueueCommand:
    """Enqueues a deliverEvent job; `options` replace fields."""
    fields: dict[str, Any] = {
        "outbox_id": str(new_id()),
        "operation": enqueue_pb.EnqueueCommand.OPERATION_ENQUEUE,
        "kind": "deliverEvent",
        "args": orjson.dumps({"eventRecordId": str(uuid4()), "deliveryRevision": 1}),
    }
    return enqueue_pb.EnqueueCommand(**{**fields, **options})


@dataclass(frozen=True)
class ServerUnderTest:
    server: InProcessServer
    database: Database
    window: RedisWindow
    operator: str

    async def enqueue(
        self, *commands: enqueue_pb.EnqueueCommand, service: str = "events"
    ) -> Sequence[enqueue_pb.EnqueueResult]:
        response = await EnqueueServiceStub(self.server.tasks_channel).EnqueueJobs(
            enqueue_pb.EnqueueJobsRequest(commands=commands),
            metadata=bearer(self.server.service_token(service)),
            timeout=TIMEOUT,
        )
        return response.results

    async def get(self, job_id: str, environment_id: UUID | None = None) -> QueuedJob:
        response = await self.stub.GetQueuedJob(
            pb.GetQueuedJobRequest(id=job_id),
            metadata=bearer(self.operator, environment_id=environment_id),
            timeout=TIMEOUT,
        )
        return response.queued_job

    async def retry(self, job_id: str, environment_id: UUID | None = None) -> QueuedJob:
        response = await self.stub.RetryQueuedJob(
            pb.RetryQueuedJobRequest(id=job_id),
            metadata=bearer(self.operator, environment_id=environment_id),
            timeout=TIMEOUT,
        )
        return response.queued_job

    async def list(
        self, *, environment_id: UUID | None = None, **request: Any
    ) -> pb.ListQueuedJobsResponse:
        return await self.stub.ListQueuedJobs(
            pb.ListQueuedJobsRequest(**request),
            metadata=bearer(self.operator, environment_id=environment_id),
            timeout=TIMEOUT,
        )

    @property
    def stub(self) -> "WorkerQueueServiceAsyncStub":
        return WorkerQueueServiceStub(self.server.channel)

    async def finish(self, job_id: str, transition: Transition) -> None:
        """Run a job as a worker would, up to this outcome."""
        ledger, worker_id = PostgresWorkerLedger(self.database), new_id()
        await ledger.register_worker(worker_id, host="test", pid=1)
        [job] = await ledger.claim(worker_id, [(UUID(job_id), 1)])
        await ledger.finish(worker_id, [FinishedJob(job.id, job.turn, transition)])

    async def count(self) -> int:
        rows = await self.database.pool.execute("SELECT count(*) FROM workerqueue.queued_jobs")
        return int(rows[0][0])


def reason(status: status_pb2.Status) -> str:
    """The reason that a status gives to programs."""
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.domain == "workerqueue.kongflow"
    return info.reason


def fields(status: status_pb2.Status) -> list[str]:
    """The fields that a status names."""
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    return [violation.field for violation in bad.field_violations]


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The status that a call ended with."""
    # Typed for the synchronous API; it reads what both kinds of error have.
    status: status_pb2.Status | None = rpc_status.from_call(cast("grpc.Call", error))
    assert status is not None
    return status


@asynccontextmanager
async def server_under_test(
    database_url: str, redis_url: str, catalogue: KindCatalogue | None = None
) -> AsyncIterator[ServerUnderTest]:
    async with (
        open_ledger_database(database_url, pool_size=4, application_name="test") as database,
        BackgroundTasks() as probes,
    ):
        await database.pool.execute(
            "TRUNCATE workerqueue.queued_jobs, workerqueue.command_receipts,"
            " workerqueue.audit_entries, workerqueue.redrives"
        )
        await database.pool.execute("UPDATE workerqueue.queues SET paused_at = NULL")
        redis = open_redis(redis_url)
        window = RedisWindow(redis, probes)
        catalogue = catalogue or KindCatalogue(built_in_kinds())
        try:
            async with (
                open_services(database, window, catalogue, window_cap=WINDOW_CAP) as services,
                in_process_server(
                    catalog=CATALOG,
                    client_services=services.client,
                    tasks_services=services.tasks,
                    probe=database.ping,
                ) as server,
            ):
                operator = server.credentials.add_operator(
                    "queue:read", "queue:write", "queue:arguments"
                )
                yield ServerUnderTest(server, database, window, operator)
        finally:
            await redis.aclose()
