"""What workers and operators look at to see that nothing is stuck."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

__all__ = ["Oversight", "Waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Jobs of one kind that wait for the same thing.

    `waiting_for` is `target:<name>` or `kind`; `oldest` is how long ago the first of them was
    enqueued.
    """

    waiting_for: str
    kind: str
    jobs: int
    oldest: timedelta


class Oversight(Protocol):
    """Looks at the ledger without changing it."""

    async def running(self, worker_id: UUID) -> list[tuple[UUID, int]]:
        """Lists the (id, turn) of each job that runs under a lease."""

    async def cancelled(self, entries: Sequence[tuple[UUID, int]]) -> list[tuple[UUID, int]]:
        """Tells which of these (id, turn) entries have been cancelled."""

    async def paused_queues(self) -> frozenset[str]:
        """Names the queues that are paused."""

    async def limited_queues(self) -> frozenset[str]:
        """Names the queues whose running jobs are limited."""

    async def waiting(self) -> Sequence[Waiting]:
        """Lists what waits for targets and kinds."""
