"""Jobs that are enqueued by the clock, and what is asked of the ledger about them.

Whether a moment has come is said by the database's clock alone, so workers whose clocks differ
agree; which moment comes next is computed from its answer.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.domain.limits import Limits
from kongflow_workerqueue.domain.schedule import Schedule
from kongflow_workerqueue.domain.states import Priority
from kongflow_workerqueue.domain.uniqueness import Uniqueness


@dataclass(frozen=True, slots=True)
class DeclaredPeriodicJob:
    """A periodic job as the catalogue has it: what each of its jobs is, and when."""

    name: str
    schedule: Schedule
    kind: str
    args: bytes
    queue: str
    priority: Priority
    max_attempts: int
    unique_key: UUID | None = None
    unique: Uniqueness | None = None
    limits: Limits | None = None


@dataclass(frozen=True, slots=True)
class PeriodicJob:
    """A periodic job as it stands."""

    name: str
    kind: str
    schedule: Schedule
    next_at: datetime
    last_at: datetime | None
    last_job_id: UUID | None
    paused_at: datetime | None


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment that has come: the job to be stored for it, and the moment that follows."""

    name: str
    at: datetime
    next_at: datetime
    job_id: UUID


class PeriodicLedger(Protocol):
    """The ledger as the scheduler uses it."""

    async def now(self) -> datetime:
        """Return the time by the database's clock."""

    async def declare(self, jobs: Sequence[tuple[DeclaredPeriodicJob, datetime]]) -> None:
        """Write down periodic jobs, each with its next moment if it is new or has another one.

        Those that are paused stay so.
        """

    async def due(
        self, names: Collection[str], limit: int
    ) -> Sequence[tuple[PeriodicJob, datetime]]:
        """Return those of the named ones whose moment has come, each with the time it is now."""

    async def tick(self, ticks: Sequence[Tick]) -> dict[str, int]:
        """Store the jobs of moments that nobody has had before; counts by queue.

        One statement: whichever scheduler moves a periodic job on stores its job with it.
        """


class PeriodicOperatorLedger(Protocol):
    """The ledger as operators step into periodic jobs. All but `list` raise PeriodicJobNotFound."""

    async def list(self, *, after: str, limit: int) -> Sequence[PeriodicJob]:
        """Return periodic jobs by name, those after the name `after`."""

    async def pause(self, name: str, by: Intervention) -> PeriodicJob:
        """Pause one, with its audit entry; nothing if it is paused."""

    async def resume(self, name: str, by: Intervention) -> PeriodicJob:
        """Resume one from now on, with its audit entry; nothing if it is not paused."""

    async def run(
        self, name: str, job_id: UUID, by: Intervention
    ) -> tuple[PeriodicJob, UUID | None]:
        """Store a job at once, with its audit entry; None if one like it has not ended."""
