"""The states of a queued job, its priorities and what a job key does."""

from enum import IntEnum, StrEnum, unique


@unique
class JobState(StrEnum):
    """Where a queued job is on its way. The values are those of the database."""

    AVAILABLE = "available"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    RETRYABLE = "retryable"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISCARDED = "discarded"

    @property
    def is_final(self) -> bool:
        """Whether nothing happens to the job any more unless an operator retries it."""
        return self in FINAL_STATES

    @property
    def waits_for_time(self) -> bool:
        """Whether the job becomes available when its run time has come."""
        return self in {JobState.SCHEDULED, JobState.RETRYABLE}

    @property
    def bit(self) -> int:
        """Its place in a set of states as the database holds one."""
        return _BITS[self]


FINAL_STATES = frozenset({JobState.COMPLETED, JobState.CANCELLED, JobState.DISCARDED})
UNFINISHED_STATES = frozenset(JobState) - FINAL_STATES
WAITING_STATES = UNFINISHED_STATES - {JobState.RUNNING}

_BITS = {
    JobState.AVAILABLE: 1,
    JobState.SCHEDULED: 2,
    JobState.RUNNING: 4,
    JobState.RETRYABLE: 8,
    JobState.COMPLETED: 16,
    JobState.CANCELLED: 32,
    JobState.DISCARDED: 64,
}


@unique
class Priority(IntEnum):
    """Which jobs of a queue go first: the lower number."""

    HIGH = 1
    NORMAL = 2
    LOW = 3
    VERY_LOW = 4


@unique
class JobKeyMode(StrEnum):
    """What a command does to the unfinished job that holds its job key."""

    REPLACE = "replace"
    PRESERVE_RUN_AT = "preserve_run_at"
    KEEP_FIRST = "keep_first"


WAITING_FOR_KIND = "kind"
"""What a job waits for while no target declares its kind."""


def waiting_for_target(target: str) -> str:
    """Name what a job waits for while its target cannot be asked."""
    return f"target:{target}"
