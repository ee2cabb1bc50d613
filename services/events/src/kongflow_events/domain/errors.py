"""What can be wrong with a request about events or dispatchers, as facts.

KongflowError
├── NotFound
│   ├── AccountNotFound
│   ├── EventNotFound
│   ├── DispatcherNotFound
│   ├── EventSchemaNotFound
│   ├── EventReplayNotFound
│   └── ResourceEventNotFound
├── AlreadyExists
│   ├── EventIdTaken
│   └── RequestIdReused
├── ResourceExhausted
│   └── TooManyEventReplays
├── PreconditionFailed
│   ├── DispatcherKept
│   ├── DispatcherTakesNothing
│   ├── EphemeralUrlRefused
│   ├── EventDeliveryBegun
│   ├── EventNotReplayable
│   ├── EventNotTaken
│   ├── EventSchemaIncompatible
│   ├── ResourceEventNotReplayable
│   ├── ResumeTokenExpired
│   ├── ResumeTokenForeign
│   └── RunRefused
├── ResourceExhausted
│   └── TooManyWatches
├── EphemeralCallFailed
└── RunNotCreated
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kongflow_common.errors import (
    AlreadyExists,
    KongflowError,
    NotFound,
    PreconditionFailed,
    ResourceExhausted,
)

if TYPE_CHECKING:
    from kongflow_events.domain.schema_compatibility import Difference

__all__ = [
    "AccountNotFound",
    "DispatcherKept",
    "DispatcherNotFound",
    "DispatcherTakesNothing",
    "EphemeralCallFailed",
    "EphemeralUrlRefused",
    "EventDeliveryBegun",
    "EventIdTaken",
    "EventNotFound",
    "EventNotReplayable",
    "EventNotTaken",
    "EventReplayNotFound",
    "EventSchemaIncompatible",
    "EventSchemaNotFound",
    "RequestIdReused",
    "ResourceEventNotFound",
    "ResourceEventNotReplayable",
    "ResumeTokenExpired",
    "ResumeTokenForeign",
    "RunNotCreated",
    "RunRefused",
    "TooManyEventReplays",
    "TooManyWatches",
]


class AccountNotFound(NotFound):
    """There is no such account in this environment."""

    def __init__(self, account_id: str) -> None:
        super().__init__(
            f"there is no account {account_id} in this environment", account_id=account_id
        )


class EventNotFound(NotFound):
    """There is no such event in this environment."""

    def __init__(self, key: object) -> None:
        super().__init__(f"there is no event {key} in this environment", event=key)


class DispatcherNotFound(NotFound):
    """There is no such dispatcher in this environment."""

    def __init__(self, key: object) -> None:
        super().__init__(f"there is no dispatcher {key} in this environment", dispatcher=key)


class EventSchemaNotFound(NotFound):
    """There is no such schema in this environment."""

    def __init__(self, event_name: str, version: int | None) -> None:
        which = f"version {version} of a schema" if version is not None else "schema"
        super().__init__(
            f"there is no {which} for events {event_name} in this environment",
            event_name=event_name,
            version=version or 0,
        )


class EventSchemaIncompatible(PreconditionFailed):
    """The schema does not stand to the version before as is asked for."""

    def __init__(self, event_name: str, version: int, found: "Sequence[Difference]") -> None:
        described = "; ".join(
            f"{each.path}: {each.reason}{' (undecided)' if each.undecided else ''}"
            for each in found
        )
        super().__init__(
            f"the schema is not compatible with version {version} of {event_name}: {described}",
            subject=f"schemas/{event_name}/{version}",
            event_name=event_name,
            version=version,
            differences=described[:1_000],
        )


class DispatcherKept(PreconditionFailed):
    """The dispatcher is kept by the service that owns what it starts."""

    def __init__(self, dispatchable_id: str) -> None:
        super().__init__(
            f"the dispatcher of {dispatchable_id} is that of a registered job and follows it; "
            "change the job, or choose another dispatchable_id",
            subject=f"dispatchers/{dispatchable_id}",
            dispatchable_id=dispatchable_id,
        )


class EventDeliveryBegun(PreconditionFailed):
    """The event cannot be cancelled because its delivery has begun."""

    def __init__(self, event_id: str) -> None:
        super().__init__(
            f"the delivery of the event {event_id} has begun; it cannot be cancelled any more",
            subject=f"events/{event_id}",
            event_id=event_id,
        )


class EventReplayNotFound(NotFound):
    """There is no such replay in this environment."""

    def __init__(self, replay_id: object) -> None:
        super().__init__(
            f"there is no replay {replay_id} in this environment", event_replay=replay_id
        )


class EventNotReplayable(PreconditionFailed):
    """The event is one of the system's own."""

    def __init__(self, event_id: str) -> None:
        super().__init__(
            f"the event {event_id} is one of the system itself, which no dispatcher sees; "
            "run its job again instead",
            subject=f"events/{event_id}",
            event_id=event_id,
        )


class EventNotTaken(PreconditionFailed):
    """The only dispatcher that is to be told does not take the event."""

    def __init__(self, event_id: str, dispatcher_id: object, reason: str) -> None:
        super().__init__(
            f"the dispatcher {dispatcher_id} does not take the event {event_id}: {reason}",
            subject=f"dispatchers/{dispatcher_id}",
            event_id=event_id,
            dispatcher=dispatcher_id,
            unmatched=reason,
        )


class DispatcherTakesNothing(PreconditionFailed):
    """The dispatcher takes no events by itself: it is disabled or manual."""

    def __init__(self, dispatcher_id: object) -> None:
        super().__init__(
            f"the dispatcher {dispatcher_id} is disabled or manual and takes no events",
            subject=f"dispatchers/{dispatcher_id}",
            dispatcher=dispatcher_id,
        )


class EventIdTaken(AlreadyExists):
    """The id is that of another event."""

    def __init__(self, event_id: str) -> None:
        super().__init__(f"another event has the id {event_id}", event_id=event_id)


class ResourceEventNotFound(NotFound):
    """Nothing that the caller sees has this id in the log of what happened to resources."""

    def __init__(self, event_id: object, resource_id: str | None) -> None:
        of = f" of {resource_id}" if resource_id else ""
        super().__init__(
            f"the log has no event {event_id}{of} in this environment", resource_event=event_id
        )


class ResourceEventNotReplayable(PreconditionFailed):
    """Nobody publishes events of this type once more."""

    def __init__(self, event_id: object, type_: str, reason: str) -> None:
        super().__init__(
            f"the event {event_id} cannot be replayed: {type_} {reason}",
            subject=f"resourceEvents/{event_id}",
            resource_event=event_id,
            type=type_,
        )


class RequestIdReused(AlreadyExists):
    """The request id came with another event."""

    def __init__(self, request_id: str, event_id: object) -> None:
        super().__init__(
            f"the request id {request_id} came with another event, {event_id}",
            request_id=request_id,
            resource_event=event_id,
        )


class TooManyEventReplays(ResourceExhausted):
    """As many replays are running as an environment may have."""

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} replays of this environment are running; wait for one, or cancel one",
            retry_after=10.0,
            most=most,
        )


class EphemeralUrlRefused(PreconditionFailed):
    """The URL of the dispatcher may not be called."""


class EphemeralCallFailed(KongflowError):
    """The URL of the dispatcher could not be called this time."""


class RunRefused(PreconditionFailed):
    """The run cannot be created, now or later."""


class RunNotCreated(KongflowError):
    """The run could not be created this time."""


class ResumeTokenExpired(PreconditionFailed):
    """The watch cannot go on where it ended: the log does not keep what followed."""

    def __init__(self, days: int) -> None:
        super().__init__(
            f"the resume token is older than the {days} days that the log keeps; "
            "watch anew without one",
            subject="resume_token",
        )


class ResumeTokenForeign(PreconditionFailed):
    """The watch cannot go on where it ended: the log is another one by now."""

    def __init__(self) -> None:
        super().__init__(
            "the log was restored since the resume token was given out, and counts anew; "
            "watch anew without one",
            subject="resume_token",
        )


class TooManyWatches(ResourceExhausted):
    """So many watches go on that another one would have to wait."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} watches go on already; try again later", retry_after=10.0)
