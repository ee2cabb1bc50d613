"""What can be wrong with a request about events or dispatchers, as facts.

KongflowError
├── NotFound
│   ├── EventNotFound
│   └── DispatcherNotFound
├── PreconditionFailed
│   ├── DispatcherKept
│   ├── EventDeliveryBegun
│   ├── ResumeTokenExpired
│   └── RunRefused
├── ResourceExhausted
│   └── TooManyWatches
└── RunNotCreated
"""

from kongflow_common.errors import (
    KongflowError,
    NotFound,
    PreconditionFailed,
    ResourceExhausted,
)

__all__ = [
    "DispatcherKept",
    "DispatcherNotFound",
    "EventDeliveryBegun",
    "EventNotFound",
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


class DispatcherKept(PreconditionFailed):
    """The dispatcher is kept by the service that owns what it starts."""

    def __init__(self, dispatchable_id: str) -> None:
        super().__init__(
            f"the dispatcher of {dispatchable_id} is that of a registered job and follows it; "
            "choose another dispatchable_id",
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
