"""What can be wrong with a request about events or dispatchers, as facts.

KongflowError
├── NotFound
│   ├── EventNotFound
│   └── DispatcherNotFound
├── PreconditionFailed
│   ├── DispatcherKept
│   ├── EphemeralUrlRefused
│   ├── EventDeliveryBegun
│   └── RunRefused
├── EphemeralCallFailed
└── RunNotCreated
"""

from kongflow_common.errors import KongflowError, NotFound, PreconditionFailed

__all__ = [
    "DispatcherKept",
    "DispatcherNotFound",
    "EphemeralCallFailed",
    "EphemeralUrlRefused",
    "EventDeliveryBegun",
    "EventNotFound",
    "RunNotCreated",
    "RunRefused",
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
