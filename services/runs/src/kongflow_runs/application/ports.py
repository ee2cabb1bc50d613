"""What the use cases of runs need from outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kongflow_common.filtering import Filter
from kongflow_runs.domain.execution import (
    Ended,
    EndpointLimits,
    EndpointOutcome,
    EnvironmentDescription,
    ExecutedEvent,
    ExecutingRun,
    Verdict,
)
from kongflow_runs.domain.run import CreatedRun, NewRun, Run, RunState
from kongflow_runs.domain.start import PendingRun, ResolvedVersion, Startable, StartedAs


class RunWriter(Protocol):
    """Stores new runs."""

    async def create_many(
        self, runs: Sequence[tuple[NewRun, StartedAs | None]]
    ) -> Sequence[CreatedRun | Exception]:
        """Stores each run as its plan says, or pending and with its queued start.

        A run and what is sent of it are one transaction, which concurrent calls share. Answers
        for each run who holds the place of (event record, dispatcher, job), or the request id:
        the new one, or the one that was there before; RunPlaceTaken where it is held in another
        environment. A plan may be left to the queued start.
        """
        ...


class StartPlanner(Protocol):
    """Plans the starts of runs that are about to be stored."""

    async def plan(self, runs: Sequence[NewRun]) -> Sequence[StartedAs | None]:
        """How each of the runs goes on; None where its queued start is to find out."""
        ...


class RunStarter(Protocol):
    """Numbers pending runs, marks them queued and enqueues their execution."""

    async def pending(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[PendingRun]:
        """Those of the runs that are pending."""
        ...

    async def start(
        self, environment_id: UUID, plans: Sequence[tuple[StartedAs, str]]
    ) -> Sequence[tuple[UUID, RunState]]:
        """Carries plans out on those that are still pending, in one transaction.

        A plan comes with the traceparent of its run. Answers the runs that this call changed.
        """
        ...


class VersionResolver(Protocol):
    """Finds the versions that runs execute."""

    async def resolve(self, runs: Sequence[Startable]) -> Sequence[ResolvedVersion | None]:
        """The version of each run; None where there is none. Raises DependencyUnavailable."""
        ...


class Environments(Protocol):
    """Describes environments."""

    async def describe(self, environment_id: UUID) -> EnvironmentDescription | None:
        """The environment, at most some seconds old; raises DependencyUnavailable."""
        ...


class Events(Protocol):
    """Reads events."""

    async def read(self, environment_id: UUID, event_record_id: UUID) -> ExecutedEvent | None:
        """The event, or ``None``; raises DependencyUnavailable."""
        ...


class Endpoints(Protocol):
    """Calls users' programs."""

    async def limits(self, environment_id: UUID, endpoint_id: UUID) -> EndpointLimits | None:
        """The limits, at most some seconds old; raises DependencyUnavailable."""
        ...

    async def execute(
        self, environment_id: UUID, endpoint_id: UUID, body: bytes, *, timeout_ms: int
    ) -> EndpointOutcome:
        """What came of the call, whatever it was.

        Raises DependencyUnavailable when the endpoints service could not be asked.
        """
        ...


@dataclass(frozen=True, slots=True)
class ExecutionTurn:
    """A turn of a queued job: the fence of what it writes."""

    queued_job_id: UUID
    token: int


class RunExecutions(Protocol):
    """The stored side of executions."""

    async def begin(
        self, environment_id: UUID, run_id: UUID, turn: ExecutionTurn
    ) -> ExecutingRun | None:
        """Marks a run as executing in this turn; None when there is nothing to execute.

        Raises OutdatedTurn when a newer turn of the same queued job has begun.
        """
        ...

    async def finish(
        self, run: ExecutingRun, turn: ExecutionTurn, verdict: Verdict, duration_ms: int
    ) -> bool:
        """Stores what came of it, unless a newer turn has begun or the run has ended."""
        ...

    async def fail(self, environment_id: UUID, run_id: UUID, ended: Ended) -> bool:
        """Ends a run that has not ended, whatever its state."""
        ...


class RunCanceller(Protocol):
    """Ends runs of one environment before they have ended by themselves."""

    async def unfinished(
        self, environment_id: UUID, event_record_id: UUID, after: UUID, limit: int
    ) -> Sequence[UUID]:
        """The runs of the event that have not ended and follow `after`, in the order of ids."""
        ...

    async def cancel(self, environment_id: UUID, run_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Cancels those that have not ended and has their queued executions removed.

        In one transaction. Answers which.
        """
        ...


class RunReader(Protocol):
    """Finds runs of one environment."""

    async def find(self, environment_id: UUID, run_id: UUID) -> Run | None:
        """The run, or ``None`` when this environment has no such run."""
        ...

    async def page(
        self,
        environment_id: UUID,
        where: Filter | None,
        before: tuple[datetime, UUID] | None,
        limit: int,
    ) -> Sequence[Run]:
        """The newest runs that the filter takes and that are older than ``before``."""
        ...
