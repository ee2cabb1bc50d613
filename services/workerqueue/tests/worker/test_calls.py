"""What the worker does with jobs, seen from the target and the ledger."""

from kongflow_common.testing.polling import eventually
from services.workerqueue.tests.worker.queue_under_test import (
    TRACEPARENT,
    QueueUnderTest,
    deliver_event,
    running,
)
from services.workerqueue.tests.worker.tasks_server import TasksServer


async def test_a_job_is_called_once_with_its_envelope(
    queue: QueueUnderTest, target: TasksServer
) -> None:
    job = deliver_event(event="0190d5a2-0000-7000-8000-000000000001")
    async with running(queue.settings({"events": target.address})):
        await queue.enqueue([job])
        await eventually(lambda: queue.all_completed(1))
    [received] = target.received
    assert received.argument == "0190d5a2-0000-7000-8000-000000000001"
    assert received.envelope.queued_job_id == job.id
    assert received.envelope.attempt == 1
    assert received.envelope.fencing_token == 1
    assert received.envelope.idempotency_key == str(job.id)
    assert received.envelope.traceparent == TRACEPARENT
    assert received.metadata["authorization"].startswith("Bearer ")
    row = await queue.row(job.id)
    assert row["attempt"] == 1
    assert row["finalized_at"] is not None
