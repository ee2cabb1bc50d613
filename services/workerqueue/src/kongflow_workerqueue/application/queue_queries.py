"""What operators see of the queues."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from kongflow_workerqueue.application.ports import QueueDepth
from kongflow_workerqueue.domain.errors import QueueNotFound

LAST_MINUTE = timedelta(minutes=1)
LAST_FIVE_MINUTES = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue, since when it is paused, its unfinished jobs and how many of them may run."""

    name: str
    paused_at: datetime | None
    depth: QueueDepth
    max_running: int | None = None


@dataclass(frozen=True, slots=True)
class Throughput:
    """How many jobs ended within a time, by how they ended."""

    completed: int = 0
    discarded: int = 0
    cancelled: int = 0


@dataclass(frozen=True, slots=True)
class EnvironmentShare:
    """The unfinished jobs of an environment, and how many of them run."""

    environment_id: UUID | None
    unfinished: int
    running: int


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What a queue holds and what it has done of late."""

    queue: Queue
    discarded: int
    last_minute: Throughput
    last_five_minutes: Throughput
    environments: Sequence[EnvironmentShare]


class QueueReader(Protocol):
    """Reads queues: those that have been named, and those that hold unfinished jobs."""

    async def all(self) -> Sequence[Queue]:
        """Return every queue, by name."""

    async def discarded(self, queue: str) -> int:
        """Count the dead letters of a queue."""

    async def throughput(self, queue: str, within: timedelta) -> Throughput:
        """Count what ended within the last time."""

    async def shares(self, queue: str) -> Sequence[EnvironmentShare]:
        """Return the environments with the most unfinished jobs, at most 100."""


class QueueQueries:
    """Queries over queues."""

    def __init__(self, reader: QueueReader) -> None:
        self._reader = reader

    async def get(self, name: str) -> Queue:
        """Return a queue. Raises QueueNotFound."""
        for queue in await self._reader.all():
            if queue.name == name:
                return queue
        raise QueueNotFound(name)

    async def list(self, *, after: str, limit: int) -> Sequence[Queue]:
        """Return queues by name, those after the name `after`."""
        return [queue for queue in await self._reader.all() if queue.name > after][:limit]

    async def stats(self, name: str) -> QueueStats:
        """Return what a queue has done. Raises QueueNotFound."""
        queue = await self.get(name)
        return QueueStats(
            queue=queue,
            discarded=await self._reader.discarded(name),
            last_minute=await self._reader.throughput(name, LAST_MINUTE),
            last_five_minutes=await self._reader.throughput(name, LAST_FIVE_MINUTES),
            environments=await self._reader.shares(name),
        )
