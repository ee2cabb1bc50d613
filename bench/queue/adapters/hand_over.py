"""A worker that takes jobs in itself, and runs those at once that it has room for.

A job with room is stored as running under this worker's lease: no window, no wake-up, no claim.
The others are stored as available. A prototype: no authentication, no keys.
"""

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import grpc

from kongflow.workerqueue.internal.v1 import enqueue_service_pb2 as pb
from kongflow.workerqueue.internal.v1.enqueue_service_pb2_grpc import (
    EnqueueServiceServicer,
    add_EnqueueServiceServicer_to_server,
)
from kongflow_common.batcher import Batcher
from kongflow_common.db.row_parameters import array_parameter
from kongflow_common.rpc.process import run
from kongflow_workerqueue.adapters.job_rows import (
    CLAIMED_COLUMNS,
    INSERT_NEW_JOBS,
    NEW_JOBS,
    claimed_job,
    new_job_row,
)
from kongflow_workerqueue.adapters.ledger_database import open_ledger_database
from kongflow_workerqueue.application.enqueue_command import EnqueueCommand, ledger_command
from kongflow_workerqueue.application.ports import NewJob
from kongflow_workerqueue.catalogue.catalogue import KindCatalogue, kinds_of_descriptor_set
from kongflow_workerqueue.rpc.command_mapping import to_command
from kongflow_workerqueue.worker.lane import Lane
from kongflow_workerqueue.worker_main import open_worker
from kongflow_workerqueue.worker_settings import WorkerSettings

QUEUE = "events"
INSERT_RUNNING = f"""
INSERT INTO workerqueue.queued_jobs AS j (
    id, kind, args, queue, priority, max_attempts, run_at, state, worker_id, attempted_at)
SELECT n.id, n.kind, n.args, n.queue, n.priority, n.max_attempts, now(), 'running',
       %(worker_id)b::uuid, now()
FROM {NEW_JOBS.source}
WHERE EXISTS (SELECT FROM workerqueue.worker_leases l
              WHERE l.worker_id = %(worker_id)b::uuid AND l.expires_at > now())
  AND NOT EXISTS (SELECT FROM workerqueue.command_receipts r WHERE r.outbox_id = n.id)
ON CONFLICT DO NOTHING
RETURNING {CLAIMED_COLUMNS}
"""  # nosec B608 - made of constants


class Servicer(EnqueueServiceServicer):
    """Serves EnqueueJobs for one lane."""

    def __init__(self, lane: Lane, pool: Any, worker_id: Any, catalogue: KindCatalogue) -> None:
        self._lane = lane
        self._pool = pool
        self._worker_id = worker_id
        self._catalogue = catalogue
        self._batcher: Batcher[Sequence[NewJob], None] = Batcher(
            self._flush, name="hand over", max_items=64
        )

    async def EnqueueJobs(self, request: pb.EnqueueJobsRequest, _context: Any) -> Any:  # noqa: N802
        """Stores the jobs and begins those that it has room for."""
        commands = [to_command(message) for message in request.commands]
        jobs = [
            job
            for command in commands
            if isinstance(command, EnqueueCommand)
            and isinstance(job := ledger_command(command, self._catalogue, "bench"), NewJob)
        ]
        await self._batcher.submit(jobs)
        return pb.EnqueueJobsResponse(
            results=[pb.EnqueueResult(queued_job_id=str(job.id)) for job in jobs]
        )

    async def _flush(self, calls: Sequence[Sequence[NewJob]]) -> list[None]:
        jobs = [job for call in calls for job in call]
        rows = NEW_JOBS.bind([new_job_row(job) for job in jobs])
        if len(jobs) <= self._lane.room:
            running = await self._pool.execute(
                INSERT_RUNNING, {**rows, "worker_id": self._worker_id}
            )
            self._lane._begin([claimed_job(row) for row in running])
        else:
            nowhere = array_parameter("text", [])
            await self._pool.execute(INSERT_NEW_JOBS, {**rows, "admit_to": nowhere})
            self._lane.wake_for_ledger()
        return [None] * len(calls)


async def serve(settings: WorkerSettings, stop: asyncio.Event) -> None:
    """Runs the worker, and beside it the server of its queue."""
    catalogue = KindCatalogue(
        [
            kind
            for target, path in settings.task_descriptor_sets.items()
            for kind in kinds_of_descriptor_set(target, path)
        ]
    )
    async with (
        open_worker(settings) as worker,
        open_ledger_database(
            settings.database_url.get_secret_value(), pool_size=4, application_name="hand over"
        ) as database,
    ):
        lane = next(lane for lane in worker.lanes if lane.queue == QUEUE)
        server = grpc.aio.server()
        servicer = Servicer(lane, database.pool, worker.lease.worker_id, catalogue)
        add_EnqueueServiceServicer_to_server(servicer, server)
        server.add_insecure_port(os.environ["KONGFLOW_TASKS_LISTEN"])
        await server.start()
        await worker.run(stop)
        await server.stop(0)


if __name__ == "__main__":
    raise SystemExit(run(partial(serve, WorkerSettings())))
