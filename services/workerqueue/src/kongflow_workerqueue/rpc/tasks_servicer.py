"""Answers the worker queue's own calls: what is deleted with an environment."""

from typing import Protocol

from kongflow.workerqueue.tasks.v1 import workerqueue_tasks_service_pb2 as pb
from kongflow_common.db.purge import Purge
from kongflow_common.rpc.purge_call import purged_rows


class _Context(Protocol):
    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...], /) -> None: ...


class WorkerQueueTasksServicer:
    """kongflow.workerqueue.tasks.v1.WorkerQueueTasksService."""

    def __init__(self, purge_environment: Purge) -> None:
        self._purge_environment = purge_environment

    async def PurgeEnvironment(
        self, request: pb.PurgeEnvironmentRequest, context: _Context
    ) -> pb.PurgeEnvironmentResponse:
        """Deletes the queued jobs of an environment that is deleted."""
        deleted = await purged_rows(self._purge_environment, request.event.resource_id, context)
        return pb.PurgeEnvironmentResponse(deleted=deleted)
