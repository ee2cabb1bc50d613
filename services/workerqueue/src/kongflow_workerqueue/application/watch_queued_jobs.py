"""Tells how queued jobs change, as far as looks at the ledger once a second show it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from kongflow_common.filtering import Filter
from kongflow_common.watch_places import WatchPlaces
from kongflow_workerqueue.application.ports import JobPage, JobPlace, QueuedJob
from kongflow_workerqueue.domain.errors import TooManyWatches
from kongflow_workerqueue.domain.states import JobState

__all__ = ["JobChanges", "JobStamp", "JobWatcher", "Look", "WatchQueuedJobs", "stamp_of"]

MAX_WATCHES = 32
"""At most so many watches of one server at a time, each a look a second."""
MAX_PRESENT = 1_000
MAX_KNOWN = 2_000
"""So many jobs of a watch are remembered: those that were told last."""
_LOOK_SECONDS = 1.0
_SIGN_OF_LIFE = 15
"""After so many looks that showed nothing, nothing is told: a caller that is gone shows so."""


JobStamp = tuple[JobState, int, int]
"""What of a job is looked at for a change: its state, its turn and its attempts."""


def stamp_of(job: QueuedJob) -> JobStamp:
    """Return how a job stands."""
    return job.state, job.turn, job.attempt


@dataclass(frozen=True, slots=True)
class JobChanges:
    """Jobs as they stand, the oldest change first.

    `skipped` says that more may have changed, `present` that these are what there was when the
    watch began. `deleted` are jobs that are not there any more.
    """

    jobs: Sequence[QueuedJob]
    deleted: Sequence[UUID] = ()
    skipped: bool = False
    present: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the ledger shows, at a time of the database's clock.

    `changed` are jobs that match and were created, begun or ended lately. Of the known ones
    `moved` are those that stand otherwise, or do not match any more, each with whether it does,
    and `deleted` those that are not there.
    """

    at: datetime
    changed: Sequence[QueuedJob] = ()
    moved: Sequence[tuple[QueuedJob, bool]] = ()
    deleted: Sequence[UUID] = ()
    skipped: bool = False


class JobWatcher(Protocol):
    """Looks at queued jobs; with an environment, only at those of it."""

    async def page(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        after: JobPlace | None,
        limit: int,
    ) -> JobPage:
        """Return jobs, newest first."""

    async def look(
        self,
        environment_id: UUID | None,
        condition: Filter | None,
        *,
        since: datetime | None,
        known: Mapping[UUID, JobStamp],
    ) -> Look:
        """Return what has changed since a time, some of it perhaps a little before.

        Without a time only what time it is.
        """


class WatchQueuedJobs:
    """Watches, each of which goes on until its caller ends it.

    Nothing is held for a caller: it gets what the next look shows when it has taken the answer
    before. So a slow one costs less than a quick one.
    """

    def __init__(
        self,
        watcher: JobWatcher,
        *,
        pause: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(_LOOK_SECONDS),
    ) -> None:
        self._watcher = watcher
        self._pause = pause
        self._places = WatchPlaces(MAX_WATCHES, TooManyWatches)

    @property
    def watches(self) -> int:
        """How many go on."""
        return self._places.taken

    async def __call__(
        self, environment_id: UUID | None, condition: Filter | None, *, with_present: bool
    ) -> AsyncGenerator[JobChanges, None]:
        """Tell changes until closed. Raises TooManyWatches, before anything is told."""
        with self._places.take():
            look = await self._watcher.look(environment_id, condition, since=None, known={})
            page = await self._watcher.page(
                environment_id, condition, after=None, limit=MAX_PRESENT
            )
            present = page.jobs[::-1]
            memory = _Memory()
            for job in present:
                memory.note(job)
            if with_present:
                yield JobChanges(present, skipped=page.end is not None, present=True)
            quiet = 0
            while True:
                await self._pause()
                look = await self._watcher.look(
                    environment_id, condition, since=look.at, known=memory.stamps
                )
                changes = memory.changes(look)
                quiet = 0 if changes.jobs or changes.deleted or changes.skipped else quiet + 1
                if not quiet or quiet % _SIGN_OF_LIFE == 0:
                    yield changes


class _Memory:
    """How the jobs stood that were told last."""

    def __init__(self) -> None:
        self.stamps: dict[UUID, JobStamp] = {}

    def note(self, job: QueuedJob) -> bool:
        """Remember how a job stands; tell whether that is news."""
        stamp = stamp_of(job)
        if self.stamps.get(job.id) == stamp:
            return False
        self.stamps.pop(job.id, None)
        self.stamps[job.id] = stamp
        while len(self.stamps) > MAX_KNOWN:
            del self.stamps[next(iter(self.stamps))]
        return True

    def changes(self, look: Look) -> JobChanges:
        """What a look shows that is not known yet."""
        for id_ in look.deleted:
            self.stamps.pop(id_, None)
        news = {job.id: job for job, _ in look.moved if self.note(job)}
        for job, matches in look.moved:
            if not matches:
                self.stamps.pop(job.id, None)
        news |= {job.id: job for job in look.changed if job.id not in news and self.note(job)}
        return JobChanges(
            sorted(news.values(), key=_changed_at), deleted=look.deleted, skipped=look.skipped
        )


def _changed_at(job: QueuedJob) -> tuple[datetime, UUID]:
    return job.finalized_at or job.attempted_at or job.created_at, job.id
