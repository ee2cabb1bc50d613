"""Answers the worker queue: what is deleted with environments and projects."""

from typing import Protocol

from kongflow.jobs.tasks.v1 import jobs_tasks_service_pb2 as pb
from kongflow_common.db.purge import Purge
from kongflow_common.eventing.domain_replays import ReplayDomainEvent
from kongflow_common.rpc.purge_call import purged_rows


class _Context(Protocol):
    def set_trailing_metadata(self, metadata: tuple[tuple[str, str], ...], /) -> None: ...


class JobsTasksServicer:
    """kongflow.jobs.tasks.v1.JobsTasksService."""

    def __init__(
        self,
        purge_environment: Purge,
        purge_project: Purge,
        replay_domain_event: ReplayDomainEvent,
    ) -> None:
        self._purge_environment = purge_environment
        self._purge_project = purge_project
        self._replay_domain_event = replay_domain_event

    async def PurgeEnvironment(
        self, request: pb.PurgeEnvironmentRequest, context: _Context
    ) -> pb.PurgeEnvironmentResponse:
        """Deletes what jobs are in an environment that is deleted."""
        deleted = await purged_rows(self._purge_environment, request.event.resource_id, context)
        return pb.PurgeEnvironmentResponse(deleted=deleted)

    async def PurgeProject(
        self, request: pb.PurgeProjectRequest, context: _Context
    ) -> pb.PurgeProjectResponse:
        """Deletes the jobs of a project that is deleted."""
        deleted = await purged_rows(self._purge_project, request.event.resource_id, context)
        return pb.PurgeProjectResponse(deleted=deleted)

    async def ReplayDomainEvent(
        self, request: pb.ReplayDomainEventRequest, context: _Context
    ) -> pb.ReplayDomainEventResponse:
        """Publishes an event of a job once more."""
        await self._replay_domain_event(request.event)
        return pb.ReplayDomainEventResponse()
