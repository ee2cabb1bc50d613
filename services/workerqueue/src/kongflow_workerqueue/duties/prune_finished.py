"""Deletes jobs that ended long ago."""

from dataclasses import dataclass
from datetime import timedelta

from kongflow_workerqueue.application.ports import MaintenanceLedger
from kongflow_workerqueue.domain.states import JobState

__all__ = ["PruneFinished", "Retention"]

_LIMIT = 5_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended jobs are kept; discarded ones are dead letters that somebody may retry."""

    completed: timedelta = timedelta(hours=24)
    cancelled: timedelta = timedelta(hours=24)
    discarded: timedelta = timedelta(days=14)


class PruneFinished:
    """In batches, so that no statement holds many rows."""

    name = "prune_finished"
    every = timedelta(seconds=30)

    def __init__(self, ledger: MaintenanceLedger, retention: Retention) -> None:
        self._ledger = ledger
        self._kept_for = {
            JobState.COMPLETED: retention.completed,
            JobState.CANCELLED: retention.cancelled,
            JobState.DISCARDED: retention.discarded,
        }

    async def do(self) -> None:
        """Deletes what has been kept long enough."""
        while True:
            pruned = await self._ledger.prune(self._kept_for, limit=_LIMIT)
            if pruned.jobs < _LIMIT and pruned.receipts < _LIMIT:
                return
