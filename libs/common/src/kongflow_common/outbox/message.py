"""What an outbox row says: store a queued job, or remove one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, IntEnum
from typing import Self
from uuid import UUID

from kongflow_common.ids import new_id
from kongflow_common.outbox.limits import JobLimits
from kongflow_common.tracing import current_traceparent

__all__ = ["JobKeyMode", "Operation", "OutboxMessage", "Priority", "Uniqueness"]


class Operation(Enum):
    """What the worker queue is to do."""

    ENQUEUE = "enqueue"
    REMOVE = "remove"


class JobKeyMode(Enum):
    """What happens when an unfinished job holds the same key."""

    REPLACE = "replace"
    """Arguments, run time and options become the new ones; a running job loses the key."""
    PRESERVE_RUN_TIME = "preserve_run_time"
    """As REPLACE, but its run time stays."""
    KEEP_FIRST = "keep_first"
    """The new one is not stored."""


class Priority(IntEnum):
    """Which jobs of a queue go first; the numbers are those of the wire."""

    OF_KIND = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3
    VERY_LOW = 4


STATES = frozenset(
    {"available", "scheduled", "running", "retryable", "completed", "cancelled", "discarded"}
)
"""The states of a queued job."""


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """When the job counts as the same as another of its kind and environment.

    `args` are the JSON names of the arguments to compare; all of them when empty. None of
    `by_args`, `by_queue` and `by_kind`: it never does. The first one counts while it is in one of
    `states` (names such as "available"; the unfinished ones when empty), and with a `window` no
    longer than that after its creation.
    """

    by_args: bool
    args: tuple[str, ...] = ()
    by_queue: bool = False
    by_kind: bool = False
    window: timedelta | None = None
    states: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what the worker queue would refuse, while the caller can still see it."""
        if self.args and not self.by_args:
            raise ValueError("args are given without by_args")
        compares = self.by_args or self.by_queue or self.by_kind
        if not compares and (self.window is not None or self.states):
            raise ValueError("a window or states are given without uniqueness")
        if self.window is not None and self.window <= timedelta():
            raise ValueError("a window must be positive")
        if not STATES.issuperset(self.states):
            raise ValueError(f"states must be among {', '.join(sorted(STATES))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxMessage:
    """One command to the worker queue. Make it with `enqueue` or `remove`.

    `args` is the request message in proto JSON. What is left out (empty queue, no priority,
    0 attempts, no uniqueness) the kind's own policy decides. Of two commands with one job key
    the worker queue ignores the one with the lower generation.
    """

    id: UUID
    operation: Operation
    kind: str
    args: bytes = b"{}"
    queue: str = ""
    job_key: str = ""
    job_key_mode: JobKeyMode = JobKeyMode.REPLACE
    generation: int = 0
    run_at: datetime | None = None
    priority: Priority = Priority.OF_KIND
    max_attempts: int = 0
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    environment_id: UUID | None = None
    traceparent: str = ""
    unique: Uniqueness | None = None
    limits: JobLimits | None = None
    delay: timedelta | None = None
    longest_wait: timedelta | None = None

    @classmethod
    def enqueue(  # noqa: PLR0913 - a job has this many properties, nearly all left out
        cls,
        kind: str,
        args: bytes,
        *,
        environment_id: UUID | None,
        queue: str = "",
        job_key: str = "",
        job_key_mode: JobKeyMode = JobKeyMode.REPLACE,
        generation: int = 0,
        run_at: datetime | None = None,
        priority: Priority = Priority.OF_KIND,
        max_attempts: int = 0,
        tags: Sequence[str] = (),
        metadata: Mapping[str, object] | None = None,
        unique: Uniqueness | None = None,
        limits: JobLimits | None = None,
        delay: timedelta | None = None,
        longest_wait: timedelta | None = None,
        traceparent: str | None = None,
    ) -> Self:
        """Have a job stored, as part of the current trace or that of `traceparent`.

        `run_at` is aware.

        `delay`, in place of `run_at`, counts from the moment at which the worker queue takes it.
        `longest_wait` debounces a job key: however often it is enqueued again, the job runs no
        later than this after the first. Raises ValueError for options that conflict.
        """
        _check_options(job_key, job_key_mode, run_at, delay, longest_wait)
        return cls(
            id=new_id(),
            operation=Operation.ENQUEUE,
            kind=kind,
            args=args,
            queue=queue,
            job_key=job_key,
            job_key_mode=job_key_mode,
            generation=generation,
            run_at=run_at,
            priority=priority,
            max_attempts=max_attempts,
            tags=tuple(tags),
            metadata=metadata or {},
            environment_id=environment_id,
            traceparent=current_traceparent() if traceparent is None else traceparent,
            unique=unique,
            limits=limits,
            delay=delay,
            longest_wait=longest_wait,
        )

    @classmethod
    def remove(
        cls, kind: str, job_key: str, *, environment_id: UUID | None, generation: int = 0
    ) -> Self:
        """Have the unfinished job that holds `job_key` removed, unless it runs."""
        return cls(
            id=new_id(),
            operation=Operation.REMOVE,
            kind=kind,
            job_key=job_key,
            generation=generation,
            environment_id=environment_id,
            traceparent=current_traceparent(),
        )


def _check_options(
    job_key: str,
    job_key_mode: JobKeyMode,
    run_at: datetime | None,
    delay: timedelta | None,
    longest_wait: timedelta | None,
) -> None:
    """Refuse what the worker queue would refuse, while the caller can still see it."""
    if not job_key and job_key_mode is not JobKeyMode.REPLACE:
        raise ValueError("job_key_mode is given without a job key")
    if delay is not None and (run_at is not None or delay < timedelta()):
        raise ValueError("delay is negative, or given beside run_at")
    if longest_wait is None:
        return
    if not job_key or job_key_mode is not JobKeyMode.REPLACE:
        raise ValueError("longest_wait is for a job key that is replaced")
    if run_at is None and delay is None:
        raise ValueError("longest_wait is given without run_at or delay")
