"""An operator has dead letters run again, a few each second, until all have had their turn."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum, unique
from typing import Protocol
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_common.filtering import Filter
from kongflow_workerqueue.application.intervention import Intervention
from kongflow_workerqueue.application.ports import QueuedJob
from kongflow_workerqueue.application.queries import FILTER_FIELDS
from kongflow_workerqueue.domain.errors import RedriveNotFound

REDRIVE_FIELDS = tuple(field for field in FILTER_FIELDS if field.name != "state")
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
    """Which dead letters are to run again, and how many each second."""

    id: UUID
    filter: str
    environment_id: UUID | None
    jobs_per_second: int


@dataclass(frozen=True, slots=True)
class Redrive:
    """A redrive. `skipped` counts jobs whose place another unfinished job has taken."""

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


class RedriveLedger(Protocol):
    """The ledger as redrives ask it; with an environment, only what belongs to it."""

    async def count(self, environment_id: UUID | None, condition: Filter | None) -> int:
        """Count the dead letters that a redrive would take."""

    async def sample(
        self, environment_id: UUID | None, condition: Filter | None, limit: int
    ) -> Sequence[QueuedJob]:
        """Return the newest of them, without arguments."""

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
    """What a redrive would take."""

    total: int
    sample: Sequence[QueuedJob]


class RedriveQueuedJobs:
    """Begins redrives, shows them, stops them, and carries them out."""

    def __init__(self, ledger: RedriveLedger, new_id: Callable[[], UUID]) -> None:
        self._ledger = ledger
        self._new_id = new_id
        self._begun = asyncio.Event()

    async def dry_run(self, environment_id: UUID | None, condition: Filter | None) -> DryRun:
        """Tell what a redrive would take."""
        return DryRun(
            await self._ledger.count(environment_id, condition),
            await self._ledger.sample(environment_id, condition, SAMPLE),
        )

    async def begin(
        self,
        environment_id: UUID | None,
        filter_text: str,
        condition: Filter | None,
        jobs_per_second: int,
        by: Intervention,
    ) -> Redrive:
        """Begin a redrive; `condition` is what `filter_text` says."""
        new = NewRedrive(self._new_id(), filter_text, environment_id, jobs_per_second)
        total = await self._ledger.count(environment_id, condition)
        await self._ledger.begin(new, total, by)
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
