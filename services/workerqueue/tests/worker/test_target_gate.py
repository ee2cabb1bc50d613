"""A gate lets go what waits for its target, also what was not written when it opened."""

import asyncio
import random
import time
from collections.abc import Collection
from datetime import timedelta

from kongflow_common.ids import new_id
from kongflow_common.rpc.channel import open_channel
from kongflow_common.supervision import BackgroundTasks
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.adapters.ledger_maintenance import PostgresMaintenanceLedger
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.adapters.target_grpc import GrpcTarget
from kongflow_workerqueue.application.ports import FinishedJob
from kongflow_workerqueue.catalogue.catalogue import built_in_kinds
from kongflow_workerqueue.domain.outcome import Transition
from kongflow_workerqueue.domain.states import JobState
from kongflow_workerqueue.worker.circuit import Parking
from kongflow_workerqueue.worker.target_gate import TargetGate, WaitingJobs
from services.workerqueue.tests.worker.queue_under_test import QueueUnderTest, deliver_event
from services.workerqueue.tests.worker.tasks_server import TasksServer


class WatchedLedger(PostgresMaintenanceLedger):
    """Says when it has released what there was."""

    released: asyncio.Event

    async def release_waiting(
        self, waiting_for: str, *, kinds: Collection[str] = (), limit: int = 1_000
    ) -> dict[str, int]:
        found = await super().release_waiting(waiting_for, kinds=kinds, limit=limit)
        self.released.set()
        return found


async def test_a_job_whose_parking_was_written_after_the_release_is_released_too(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    maintenance = WatchedLedger(queue.database)
    maintenance.released = asyncio.Event()
    ledger = PostgresWorkerLedger(queue.database)
    worker_id = new_id()
    await ledger.register_worker(worker_id, host="test", pid=1)
    job = deliver_event()
    await queue.enqueue([job])
    [claimed] = await ledger.claim(worker_id, [(job.id, 1)])
    async with BackgroundTasks() as tasks, open_channel(target.address) as channel:
        gate = TargetGate(
            "events",
            GrpcTarget(channel, built_in_kinds(), lambda: "token"),
            WaitingJobs(maintenance, lambda _: None),
            tasks,
            Parking(time.monotonic, random.random),
        )
        gate.unanswered(claimed.kind, "the database is away", connected=True)
        gate.answered(claimed.kind)
        await maintenance.released.wait()
        parked = Transition(
            JobState.SCHEDULED,
            spends_attempt=False,
            delay=timedelta(seconds=20),
            waiting_for="target:events",
        )
        assert await ledger.finish(worker_id, [FinishedJob(job.id, claimed.turn, parked)]) == 1

        async def is_available() -> bool:
            return bool((await queue.row(job.id))["state"] == "available")

        await eventually(is_available, deadline=5)
