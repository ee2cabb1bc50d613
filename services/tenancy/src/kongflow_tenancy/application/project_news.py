"""What is told of projects that come to be."""

from kongflow_common.eventing.declared_data import ProjectCreated
from kongflow_common.eventing.declared_types import DECLARED_TYPES
from kongflow_common.eventing.envelope import Belonging, PublishedEvent
from kongflow_common.eventing.publisher import IntegrationEvents
from kongflow_tenancy.application.ports import Write
from kongflow_tenancy.domain.organization import Project

__all__ = ["ProjectNews"]

_CREATED = DECLARED_TYPES["project.created"]


class ProjectNews:
    """Makes what says so."""

    def __init__(self, events: IntegrationEvents) -> None:
        self._events = events

    def created(self, project: Project, write: Write) -> PublishedEvent:
        """Says that an operator has created a project."""
        return self._events.event(
            _CREATED,
            str(project.id),
            ProjectCreated(
                project_id=str(project.id),
                name=project.name,
                organization_id=str(project.organization_id),
                created_by=str(write.operator_id),
            ),
            belonging=Belonging(None, project.id, project.organization_id),
            user_id=str(write.operator_id),
        )
