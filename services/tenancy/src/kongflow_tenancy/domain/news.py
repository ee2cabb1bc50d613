"""The integration events that tenancy publishes."""

from typing import Final

from kongflow_common.eventing.event_type import EventType

ENVIRONMENT_DELETED: Final = EventType("environment.deleted")
PROJECT_DELETED: Final = EventType("project.deleted")
