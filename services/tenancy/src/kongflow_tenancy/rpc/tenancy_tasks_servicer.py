"""Answers the worker queue: events of projects that are published once more."""

from kongflow.tenancy.tasks.v1 import tenancy_tasks_service_pb2 as pb
from kongflow_common.eventing.domain_replays import ReplayDomainEvent


class TenancyTasksServicer:
    """kongflow.tenancy.tasks.v1.TenancyTasksService."""

    def __init__(self, replay_domain_event: ReplayDomainEvent) -> None:
        self._replay_domain_event = replay_domain_event

    async def ReplayDomainEvent(
        self, request: pb.ReplayDomainEventRequest, _context: object
    ) -> pb.ReplayDomainEventResponse:
        """Publishes an event of a project once more."""
        await self._replay_domain_event(request.event)
        return pb.ReplayDomainEventResponse()
