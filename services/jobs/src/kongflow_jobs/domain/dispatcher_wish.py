"""Which events a version takes, as the events service is told of it."""

from dataclasses import dataclass, replace
from uuid import UUID

import orjson

from kongflow_common.payload import JsonDocument
from kongflow_protocol.jobs import (
    DynamicTrigger,
    InvokeTrigger,
    ScheduledTrigger,
    StaticTrigger,
    Trigger,
    names_of,
)

__all__ = ["SCHEDULED_EVENT", "DispatcherWish", "EventsTaken", "events_taken"]

SCHEDULED_EVENT = "dev.trigger.scheduled"
_OWN_SOURCE = "trigger.dev"
_EMPTY = JsonDocument(b"{}")


@dataclass(frozen=True, slots=True)
class EventsTaken:
    """The events of a dispatcher; `manual`: none that is sent, it is invoked by name only."""

    event_names: tuple[str, ...]
    source: str
    payload_filter: JsonDocument | None
    context_filter: JsonDocument | None
    manual: bool = False


@dataclass(frozen=True, slots=True)
class DispatcherWish:
    """What the dispatcher of a job is to hold from a change on; only newer changes count."""

    environment_id: UUID
    project_id: UUID
    organization_id: UUID
    job_id: UUID
    version_id: UUID
    events: EventsTaken
    enabled: bool
    generation: int

    def disabled(self) -> "DispatcherWish":
        """The same, taking no events."""
        return replace(self, enabled=False)


def events_taken(trigger: Trigger) -> EventsTaken | None:
    """The events that start a job of this trigger; None when no dispatcher does.

    A filter that is left out is none (docs/behaviour.md#register-job).
    """
    match trigger:
        case StaticTrigger():
            rule = trigger.rule
            return EventsTaken(
                event_names=tuple(names_of(rule.event)),
                source=rule.source,
                payload_filter=_document(rule.payload),
                context_filter=_document(rule.context),
            )
        case ScheduledTrigger():
            return EventsTaken((SCHEDULED_EVENT,), _OWN_SOURCE, _EMPTY, _EMPTY, manual=True)
        case DynamicTrigger() | InvokeTrigger():
            return None


def _document(value: object) -> JsonDocument | None:
    return None if value is None else JsonDocument(orjson.dumps(value))
