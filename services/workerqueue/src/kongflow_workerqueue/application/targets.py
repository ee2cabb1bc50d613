"""What the worker asks of the targets, and what it knows of the kinds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.ports import ClaimedJob
from kongflow_workerqueue.domain.discard import Discard
from kongflow_workerqueue.domain.limits import Limits
from kongflow_workerqueue.domain.outcome import CallStatus
from kongflow_workerqueue.domain.retry import RetryPolicy
from kongflow_workerqueue.domain.states import Priority

__all__ = ["CallResult", "KindCatalogue", "TaskTarget", "WholeCallFailed", "WorkKind"]


class WorkKind(Protocol):
    """A kind of queued job as the worker needs to know it."""

    @property
    def kind(self) -> str:
        """The name of the kind."""

    @property
    def target(self) -> str:
        """The target whose method it is."""

    @property
    def queue(self) -> str:
        """The queue of jobs that name none."""

    @property
    def priority(self) -> Priority:
        """The priority of jobs that name none."""

    @property
    def max_attempts(self) -> int:
        """The attempts of jobs that name none."""

    @property
    def timeout(self) -> timedelta:
        """How long one call may take."""

    @property
    def retry(self) -> RetryPolicy:
        """When a failed attempt is tried again."""

    @property
    def max_batch_size(self) -> int:
        """The most jobs in one call; 1 for a kind without a batch method."""

    @property
    def discarded_kind(self) -> "WorkKind | None":
        """What is enqueued when a job of the kind is given up."""

    def limits_for(self, environment_id: UUID | None, args: bytes) -> Limits | None:
        """Returns the limits that the kind gives a job with these arguments."""

    def discarded_args(self, args: bytes, discard: Discard) -> bytes:
        """Returns the arguments of `discarded_kind` for a job that had `args`."""


class KindCatalogue(Protocol):
    """The kinds that the targets declare."""

    def find(self, kind: str) -> WorkKind | None:
        """Returns a kind, None when no target declares it."""


@dataclass(frozen=True, slots=True)
class CallResult:
    """What a target answered about one job.

    `snooze` counts only with OK; `retry_after` is the target's own wish after a failure.
    """

    status: CallStatus
    snooze: timedelta | None = None
    retry_after: timedelta | None = None


class WholeCallFailed(Exception):
    """A call failed as a whole: no job of it has an answer of its own.

    `connected` is False when the failure comes from the connection and no server spoke, `lost`
    is True when the connection was lost, without warning, while the call was on it.
    """

    def __init__(self, result: CallResult, *, connected: bool, lost: bool = False) -> None:
        super().__init__(f"{result.status.code.name}: {result.status.message}")
        self.result = result
        self.connected = connected
        self.lost = lost


class TaskTarget(Protocol):
    """A server with task methods."""

    async def call(
        self, kind: WorkKind, jobs: Sequence[ClaimedJob], *, deadline: datetime
    ) -> list[CallResult]:
        """Makes one call for jobs of one kind and one environment; answers in their order.

        Jobs whose arguments are no request of the kind are answered INVALID_ARGUMENT without
        being sent. Raises WholeCallFailed.
        """

    async def is_ready(self) -> bool:
        """Asks whether the target would take calls; takes a second at most."""

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection to the target at this moment."""
