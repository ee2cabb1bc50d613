"""Changes of queued jobs from program to wire."""

from collections.abc import Iterator

from kongflow.workerqueue.v1 import workerqueue_service_pb2 as pb
from kongflow_workerqueue.application.watch_queued_jobs import JobChanges
from kongflow_workerqueue.rpc.queued_job_mapping import in_portions, to_proto


def changes_to_proto(changes: JobChanges, max_bytes: int) -> Iterator[pb.WatchQueuedJobsResponse]:
    """Write changes, as many answers as they need room for."""
    for number, jobs in enumerate(in_portions([to_proto(job) for job in changes.jobs], max_bytes)):
        yield pb.WatchQueuedJobsResponse(
            queued_jobs=jobs,
            present=changes.present,
            skipped=changes.skipped and number == 0,
            deleted_ids=[str(id_) for id_ in changes.deleted] if number == 0 else [],
        )
