"""A lease outlives the loop that holds it."""

from uuid import UUID

import psycopg

from kongflow_common.ids import new_id
from kongflow_common.supervision import BackgroundTasks, Backoff
from kongflow_common.testing.polling import eventually
from kongflow_workerqueue.adapters.ledger_worker import PostgresWorkerLedger
from kongflow_workerqueue.worker.lease import WorkerLease
from services.workerqueue.tests.worker.queue_under_test import QueueUnderTest


class StumblingLedger(PostgresWorkerLedger):
    """Fails once in a way that nobody foresaw, as it renews."""

    stumbled = 0
    renewed_since = 0

    async def renew_lease(self, worker_id: UUID) -> bool:
        if not self.stumbled:
            self.stumbled += 1
            raise psycopg.errors.InternalError_("cache lookup failed")
        self.renewed_since += 1
        return await super().renew_lease(worker_id)


async def test_a_loop_that_was_started_again_goes_on_with_its_lease(queue: QueueUnderTest) -> None:
    ledger = StumblingLedger(queue.database)
    lease = WorkerLease(ledger, new_id, host="test", pid=1)
    async with BackgroundTasks() as tasks:
        _ = tasks.supervise("lease", lease.run, backoff=Backoff(initial=0.01, longest=0.1))
        await eventually(lambda: lease.is_held)
        worker_id = lease.worker_id
        await eventually(lambda: ledger.renewed_since)
        assert lease.is_held
        assert lease.worker_id == worker_id
