"""What an outbox row says: store a queued job, or remove one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """When the job counts as the same as another of its kind and environment.

    `args` are the JSON names of the arguments to compare; all of them when empty.
    """

    by_args: bool
    args: tuple[str, ...] = ()


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
    ) -> Self:
        """Have a job stored, as part of the current trace. `run_at` is aware."""
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
            traceparent=current_traceparent(),
            unique=unique,
            limits=limits,
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
