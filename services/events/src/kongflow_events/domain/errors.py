"""What can be wrong with a request about events or dispatchers, as facts.

KongflowError
├── NotFound
│   ├── EventNotFound
│   ├── DispatcherNotFound
│   └── EventSchemaNotFound
├── PreconditionFailed
│   ├── DispatcherKept
│   ├── EphemeralUrlRefused
│   ├── EventDeliveryBegun
│   ├── EventSchemaIncompatible
│   ├── ResumeTokenExpired
│   └── RunRefused
├── ResourceExhausted
│   └── TooManyWatches
├── EphemeralCallFailed
└── RunNotCreated
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kongflow_common.errors import (
    KongflowError,
    NotFound,
    PreconditionFailed,
    ResourceExhausted,
)

if TYPE_CHECKING:
    from kongflow_events.domain.schema_compatibility import Difference

__all__ = [
    "DispatcherKept",
    "DispatcherNotFound",
    "EphemeralCallFailed",
    "EphemeralUrlRefused",
    "EventDeliveryBegun",
    "EventNotFound",
    "EventSchemaIncompatible",
    "EventSchemaNotFound",
    "ResumeTokenExpired",
    "RunNotCreated",
    "RunRefused",
    "TooManyWatches",
]


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


class TooManyWatches(ResourceExhausted):
    """So many watches go on that another one would have to wait."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} watches go on already; try again later", retry_after=10.0)
