"""An operator has dead letters run again, a few each second, until all have had their turn."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum, unique
from typing import Protocol
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable, InvalidField
from kongflow_common.filtering import Filter
from kongflow_workerqueue.application.edit_dead_letters import (
    ArgsChange,
    DeadLetter,
    EditDeadLetters,
)
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import QueuedJob
from kongflow_workerqueue.application.queries import FILTER_FIELDS
from kongflow_workerqueue.domain.errors import RedriveNotFound

REDRIVE_FIELDS = tuple(each for each in FILTER_FIELDS if each.name != "state")
SAMPLE = 10

_logger = logging.getLogger(__name__)
_PACE_SECONDS = 1.0
_IDLE_SECONDS = 5.0


@unique
class RedriveState(StrEnum):
    """How far a redrive is."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewRedrive:
    """Which dead letters are to run again, how many each second, and with which arguments."""

    id: UUID
    filter: str
    environment_id: UUID | None
    jobs_per_second: int
    change: ArgsChange | None = None


@dataclass(frozen=True, slots=True)
class Redrive:
    """A redrive. `skipped` counts jobs whose place another unfinished job has taken.

    `refused` counts those whose arguments would be no request of their kind.
    """

    id: UUID
    filter: str
    environment_id: UUID | None
    jobs_per_second: int
    total: int
    redriven: int
    skipped: int
    created_at: datetime
    ended_at: datetime | None
    state: RedriveState
    caller_name: str
    reason: str | None
    change: ArgsChange | None = None
    refused: int = 0


class RedriveLedger(Protocol):
    """The ledger as redrives ask it; with an environment, only what belongs to it."""

    async def count(self, environment_id: UUID | None, condition: Filter | None) -> int:
        """Count the dead letters that a redrive would take."""

    async def sample(
        self, environment_id: UUID | None, condition: Filter | None, limit: int
    ) -> Sequence[QueuedJob]:
        """Return the newest of them, without arguments."""

    async def with_args(self, jobs: Sequence[QueuedJob]) -> Sequence[QueuedJob]:
        """Return jobs with their arguments, without those that are gone."""

    async def begin(self, redrive: NewRedrive, total: int, by: Intervention) -> None:
        """Store a redrive, to be carried out from now on."""

    async def find(self, id_: UUID, environment_id: UUID | None) -> Redrive | None:
        """Return a redrive."""

    async def stop(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> None:
        """End a redrive, unless it has ended."""

    async def advance(self) -> bool:
        """Carry out what is due of one redrive; False when nothing of any is due."""

    async def any_unfinished(self) -> bool:
        """Whether any redrive has dead letters before it."""


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a redrive would take.

    `sample` has the arguments that an edit would make, `refused` what keeps it from being made.
    """

    total: int
    sample: Sequence[QueuedJob]
    refused: Mapping[UUID, str] = field(default_factory=dict)


class RedriveQueuedJobs:
    """Begins redrives, shows them, stops them, and carries them out."""

    def __init__(
        self, ledger: RedriveLedger, edits: EditDeadLetters, new_id: Callable[[], UUID]
    ) -> None:
        self._ledger = ledger
        self._edits = edits
        self._new_id = new_id
        self._begun = asyncio.Event()

    async def dry_run(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        change: ArgsChange | None = None,
    ) -> DryRun:
        """Tell what a redrive would take, and make of it. Raises InvalidField."""
        if change is not None:
            self._edits.check(change, condition)
        total = await self._ledger.count(environment_id, condition)
        sample = await self._ledger.sample(environment_id, condition, SAMPLE)
        if change is None:
            return DryRun(total, sample)
        edited: list[QueuedJob] = []
        refused: dict[UUID, str] = {}
        for job in await self._ledger.with_args(sample):
            letter = DeadLetter(job.kind, job.queue, job.environment_id, job.args)
            try:
                edited.append(replace(job, args=self._edits.edit(letter, change).args))
            except InvalidField as error:
                refused[job.id] = error.description
                edited.append(job)
        return DryRun(total, edited, refused)

    async def begin(
        self,
        environment_id: UUID | None,
        filter_text: str,
        condition: Filter | None,
        jobs_per_second: int,
        by: Intervention,
        *,
        change: ArgsChange | None = None,
    ) -> Redrive:
        """Begin a redrive; `condition` is what `filter_text` says.

        Raises InvalidField, also when a change would be refused for each job of the sample.
        """
        dry_run = await self.dry_run(environment_id, condition, change=change)
        if change is not None and dry_run.refused and len(dry_run.refused) == len(dry_run.sample):
            [(id_, description), *_] = dry_run.refused.items()
            raise InvalidField(change.field, f"of queued job {id_}: {description}")
        new = NewRedrive(self._new_id(), filter_text, environment_id, jobs_per_second, change)
        await self._ledger.begin(new, dry_run.total, by)
        self._begun.set()
        return await self.get(new.id, environment_id)

    async def get(self, id_: UUID, environment_id: UUID | None) -> Redrive:
        """Return a redrive. Raises RedriveNotFound."""
        redrive = await self._ledger.find(id_, environment_id)
        if redrive is None:
            raise RedriveNotFound(id_)
        return redrive

    async def cancel(self, id_: UUID, environment_id: UUID | None, by: Intervention) -> Redrive:
        """Stop a redrive; return it as it stands then. Raises RedriveNotFound."""
        await self.get(id_, environment_id)
        await self._ledger.stop(id_, environment_id, by)
        return await self.get(id_, environment_id)

    async def run(self) -> None:
        """Carry redrives out until cancelled, those that another server began included."""
        while True:
            self._begun.clear()
            pause = _IDLE_SECONDS
            try:
                while await self._ledger.advance():
                    pass
                if await self._ledger.any_unfinished():
                    pause = _PACE_SECONDS
            except (DependencyUnavailable, Contended) as error:
                _logger.debug("redrives wait: %s", error)
            try:
                async with asyncio.timeout(pause):
                    await self._begun.wait()
            except TimeoutError:
                pass
