"""What can be wrong with a command or with stepping in."""

from uuid import UUID

from kongflow_common.errors import (
    AlreadyExists,
    NotFound,
    PermissionDenied,
    PreconditionFailed,
    ResourceExhausted,
)


class QueuedJobNotFound(NotFound):
    """There is no such queued job."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(f"there is no queued job {id_}", queued_job_id=id_)


class QueuedJobRunning(PreconditionFailed):
    """The queued job is being called at this moment."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(
            f"queued job {id_} is being called at this moment",
            subject=f"queued_jobs/{id_}",
            queued_job_id=id_,
        )


class QueuedJobNotDiscarded(PreconditionFailed):
    """Only dead letters run again with other arguments."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(
            f"queued job {id_} is not discarded: its arguments stay as they are",
            subject=f"queued_jobs/{id_}",
            queued_job_id=id_,
        )


class ArgumentsHidden(PermissionDenied):
    """Who may not see arguments may not change them."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"other arguments need the scope {scope}", scope=scope)


class QueuedJobEnded(PreconditionFailed):
    """The queued job has ended: there is nothing to take back."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(
            f"queued job {id_} has ended", subject=f"queued_jobs/{id_}", queued_job_id=id_
        )


class QueuedJobNotEnded(PreconditionFailed):
    """The queued job has not ended: it can be cancelled, not deleted."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(
            f"queued job {id_} has not ended: cancel it first",
            subject=f"queued_jobs/{id_}",
            queued_job_id=id_,
        )


class QueueNotFound(NotFound):
    """There is no such queue: nobody has named it, and it holds no unfinished job."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no queue {name}", queue=name)


class RedriveNotFound(NotFound):
    """There is no such redrive."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(f"there is no redrive {id_}", redrive_id=id_)


class PeriodicJobNotFound(NotFound):
    """There is no such periodic job."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no periodic job {name}", periodic_job=name)


class QueuedJobReplaced(AlreadyExists):
    """Another job holds the job key of this one, or its place as the one that counts."""

    def __init__(self, id_: UUID) -> None:
        super().__init__(f"another job has taken the place of queued job {id_}", queued_job_id=id_)


class KindNotOwned(PermissionDenied):
    """A service enqueues only the kinds that its own methods declare."""

    def __init__(self, kind: str, target: str) -> None:
        super().__init__(
            f"{kind} is a kind of {target}, which says who enqueues it", kind=kind, target=target
        )


class EventTypeNotOwned(PermissionDenied):
    """A service publishes only the types of event whose domain is its own."""

    def __init__(self, type_: str, publisher: str | None) -> None:
        whose = f"is published by {publisher} alone" if publisher else "is declared by nobody"
        super().__init__(f"{type_} {whose}", type=type_, publisher=publisher or "")


class TooManyWatches(ResourceExhausted):
    """As many watches go on at this server as it has room for."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} watches go on at this server already", limit=limit)
