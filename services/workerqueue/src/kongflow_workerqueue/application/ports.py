"""What the worker queue's use cases, its worker and its maintenance duties ask of the outside.

A queued job's id is the id of the outbox row that brought it: a repeat of the row meets the
primary key. Its turn grows each time it becomes available again and is the fencing token of
its calls; claims and finishes are conditional on it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum, unique
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.domain.ageing import effective_time
from kongflow_workerqueue.domain.limits import Limits
from kongflow_workerqueue.domain.outcome import CallStatus, Transition
from kongflow_workerqueue.domain.states import (
    UNFINISHED_STATES,
    JobKeyMode,
    JobState,
    Priority,
)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A queued job to be stored.

    `args` and `metadata` are UTF-8 JSON objects. Without `run_at` the job is due at once by
    the database's clock; `delay` counts from its storing. A keyed job with a lower `generation`
    than the holder of its key is ignored. It runs no later than `longest_wait` after the job that
    it replaces was created, or itself. `unique_key` is set while the job counts as the same as
    others that have it: in `unique_states`, and for `unique_for` after its creation.
    """

    id: UUID
    kind: str
    args: bytes
    queue: str
    priority: Priority
    max_attempts: int
    environment_id: UUID | None = None
    run_at: datetime | None = None
    job_key: str | None = None
    job_key_mode: JobKeyMode = JobKeyMode.REPLACE
    generation: int = 0
    unique_key: UUID | None = None
    tags: tuple[str, ...] = ()
    metadata: bytes | None = None
    traceparent: str | None = None
    waiting_for: str | None = None
    limits: Limits | None = None
    delay: timedelta | None = None
    longest_wait: timedelta | None = None
    unique_for: timedelta | None = None
    unique_states: frozenset[JobState] = UNFINISHED_STATES


@dataclass(frozen=True, slots=True)
class Removal:
    """Removes the job that holds a key, unless it runs or has a higher generation.

    `id` is the id of the outbox row.
    """

    id: UUID
    kind: str
    job_key: str
    environment_id: UUID | None = None
    generation: int = 0


@unique
class InsertResult(StrEnum):
    """What became of a command. The values are those of the database."""

    INSERTED = "inserted"
    REPLACED = "replaced"
    KEPT_FIRST = "kept_first"
    SKIPPED_AS_DUPLICATE = "skipped_as_duplicate"
    IGNORED_AS_OLDER = "ignored_as_older"
    REMOVED = "removed"
    NOTHING_TO_REMOVE = "nothing_to_remove"


@dataclass(frozen=True, slots=True)
class Admitted:
    """An available job that is to stand in its queue's window.

    Both times are the database's. `admitted_at` keeps what is admitted later, and was due
    earlier, from passing by for ever.
    """

    id: UUID
    turn: int
    priority: Priority
    run_at: datetime
    admitted_at: datetime | None = None

    @property
    def effective_at(self) -> datetime:
        """When it is its turn: see domain.ageing."""
        return effective_time(self.run_at, self.priority)


@dataclass(frozen=True, slots=True)
class InsertOutcome:
    """What became of a command.

    `job_id` is the job that was stored, replaced, found or removed. `admitted` is set when the
    job was admitted with the insertion: the caller pushes it into the window after the commit.
    `repeated` says that the command had been carried out before.
    """

    result: InsertResult
    job_id: UUID | None
    available: bool = False
    admitted: Admitted | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class ClaimedLimits:
    """What a claimed job keeps others from: its lane, its concurrency key, and whether a rate."""

    lane: UUID
    concurrency_key: str | None
    is_rated: bool


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that the claiming worker has to run now.

    `attempt` counts those spent before, `waited` is how long it has been due. With a `suspicion`
    (domain.suspicion) it is not to be called among others.
    """

    id: UUID
    turn: int
    kind: str
    args: bytes
    queue: str
    priority: Priority
    attempt: int
    max_attempts: int
    lapses: int
    environment_id: UUID | None
    traceparent: str | None
    suspicion: int = 0
    limits: ClaimedLimits | None = None
    waited: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class FinishedJob:
    """How a claimed job goes on.

    `follow_up` is stored in the same transaction, and only if the job was still at this turn:
    the call of the kind's discarded_method.
    """

    id: UUID
    turn: int
    transition: Transition
    follow_up: NewJob | None = None


@dataclass(frozen=True, slots=True)
class StaleEntry:
    """An admitted job that nobody claimed: it may have been lost with the window."""

    queue: str
    entry: Admitted


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many jobs of a queue are available, run, and wait for their time.

    `oldest_wait` is how long the job that is due longest has waited.
    """

    available: int
    running: int
    waiting: int
    oldest_wait: timedelta


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows a pruning deleted."""

    jobs: int
    receipts: int


class EnqueueLedger(Protocol):
    """The ledger as the enqueuing server uses it."""

    async def insert(
        self, commands: Sequence[NewJob | Removal], *, admit_to: Collection[str] = ()
    ) -> list[InsertOutcome]:
        """Carry out commands, with one outcome each, in their order.

        Jobs that are due and belong to a queue in `admit_to` are admitted at once.
        """

    async def withdraw(self, entries: Sequence[tuple[UUID, int]]) -> None:
        """Take (id, turn) entries that found no room in the window back among the unadmitted."""

    async def wake(self, queues: Collection[str]) -> None:
        """Tell listening workers by NOTIFY that these queues have available jobs."""


class WorkerLedger(Protocol):
    """The ledger as a worker uses it. All times are the database's clock."""

    async def register_worker(self, worker_id: UUID, *, host: str, pid: int) -> None:
        """Create the lease under which a worker claims."""

    async def renew_lease(self, worker_id: UUID) -> bool:
        """Renew a lease that has not ended; False when it has and its jobs are taken back."""

    async def remove_worker(self, worker_id: UUID) -> None:
        """End a lease; jobs that still run under it are taken back by the next sweep."""

    async def claim(self, worker_id: UUID, entries: Sequence[tuple[UUID, int]]) -> list[ClaimedJob]:
        """Claim those of the (id, turn) entries that are still available, in no order.

        Nothing when the worker's lease has ended.
        """

    async def claim_available(self, worker_id: UUID, queue: str, limit: int) -> list[ClaimedJob]:
        """Claim the first available jobs of a queue, in the window or not."""

    async def queues_with_waiting(self, queues: Sequence[str]) -> list[str]:
        """Tell in which of these queues jobs wait outside the window."""

    async def finish(self, worker_id: UUID, outcomes: Sequence[FinishedJob]) -> int:
        """Write outcomes; return how many jobs were still at their turn and so took them."""

    async def hand_back(self, worker_id: UUID, entries: Sequence[tuple[UUID, int]]) -> int:
        """Make claimed jobs available again at a new turn without spending an attempt."""

    async def claim_waiting(self, worker_id: UUID, queue: str, limit: int) -> list[ClaimedJob]:
        """Claim the first jobs of a queue that are not in its window.

        They come in the order in which they are to run: environments by turns, the jobs of each
        by effective time and id.
        """


class MaintenanceLedger(Protocol):
    """The ledger as the maintenance duties use it. Each call is bounded by its limit."""

    async def make_due(self, limit: int) -> dict[str, int]:
        """Make waiting jobs available whose time has come; return how many by queue."""

    async def next_due(self) -> timedelta | None:
        """Return how long until the next waiting job is due: negative when it is overdue."""

    async def take_back_orphans(self, limit: int) -> dict[str, int]:
        """Make running jobs whose worker has no living lease available; counts by queue."""

    async def readmit_stale(self, *, older_than: timedelta, limit: int) -> list[StaleEntry]:
        """Return jobs admitted longer ago than this and still available, to be pushed again."""

    async def release_waiting(
        self, waiting_for: str, *, kinds: Collection[str] = (), limit: int = 1_000
    ) -> dict[str, int]:
        """Make jobs that wait for a target available at once; counts by queue.

        Only jobs of the given kinds, if any are given.
        """

    async def prune(self, kept_for: Mapping[JobState, timedelta], *, limit: int) -> Pruned:
        """Delete ended jobs and receipts, none that ended within the last hour.

        `kept_for` holds the final states, each with how long its jobs are kept. At most `limit`
        of each state are deleted.
        """

    async def queue_depths(self) -> dict[str, QueueDepth]:
        """Count the unfinished jobs by queue."""

    async def try_duty(self, name: str, *, every: timedelta) -> bool:
        """Tell whether this process is the one to do a duty now.

        True for one caller among all processes in each period of `every`.
        """


@dataclass(frozen=True, slots=True)
class AttemptError:
    """Why an attempt failed. `attempt` counts from 1."""

    attempt: int
    at: datetime
    status: CallStatus


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A queued job as operators see it. `args` and `metadata` are UTF-8 JSON objects.

    The keys of limits are as they were given, without the environment, which they always are of.
    """

    id: UUID
    kind: str
    queue: str
    priority: Priority
    state: JobState
    attempt: int
    max_attempts: int
    turn: int
    run_at: datetime
    created_at: datetime
    attempted_at: datetime | None
    finalized_at: datetime | None
    environment_id: UUID | None
    job_key: str | None
    tags: tuple[str, ...]
    metadata: bytes | None
    args: bytes | None
    errors: tuple[AttemptError, ...]
    traceparent: str | None
    waiting_for: str | None
    serial_key: str | None = None
    concurrency_key: str | None = None
    rate_key: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class JobPlace:
    """The place of a job in lists, which begin with the newest: the newer one is greater."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class JobPage:
    """Jobs of a list, without arguments; after `end` it goes on, unless that is None.

    A page may be shorter than was asked for, and empty, and the list go on nevertheless.
    """

    jobs: Sequence[QueuedJob]
    end: JobPlace | None


@dataclass(frozen=True, slots=True)
class WindowState:
    """How many entries a window holds, and whether jobs wait outside because of a backlog."""

    length: int
    backlog: bool = False


@dataclass(frozen=True, slots=True)
class PushResult:
    """How a push into a window went: the first `accepted` entries are in it now."""

    accepted: int
    state: WindowState


@dataclass(frozen=True, slots=True)
class PopResult:
    """The (id, turn) entries taken out of a window, first ones first, and how many it keeps."""

    entries: tuple[tuple[UUID, int], ...]
    remaining: int
    backlog: bool = False


class WindowUnavailable(Exception):
    """The window cannot be reached or takes nothing."""


class Window(Protocol):
    """The bounded window of admitted jobs per queue. Every method raises WindowUnavailable."""

    async def push(self, queue: str, entries: Sequence[Admitted], *, cap: int) -> PushResult:
        """Put entries into the window in their order and wake the queue's workers.

        Entries that are in it already count as accepted; none beyond `cap`.
        """

    async def pop(self, queue: str, limit: int) -> PopResult:
        """Take the first entries out of the window."""

    async def look(self, queue: str) -> WindowState:
        """Look at the window and take nothing."""

    async def mark_backlog(self, queue: str, *, exists: bool) -> None:
        """Keep in mind whether jobs wait outside; wakes the queue's workers when they begin to."""
