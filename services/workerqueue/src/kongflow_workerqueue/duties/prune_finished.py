"""Deletes jobs that ended long ago."""

from dataclasses import dataclass
from datetime import timedelta

from kongflow_workerqueue.application.ports import MaintenanceLedger

__all__ = ["PruneFinished", "Retention"]

_LIMIT = 5_000


@dataclass(frozen=True, slots=True)
class Retention:
    """How long ended jobs are kept; discarded ones are dead letters that somebody may retry."""

    ended: timedelta = timedelta(hours=24)
    discarded: timedelta = timedelta(days=14)


class PruneFinished:
    """In batches, so that no statement holds many rows."""

    name = "prune_finished"
    every = timedelta(seconds=30)

    def __init__(self, ledger: MaintenanceLedger, retention: Retention) -> None:
        self._ledger = ledger
        self._retention = retention

    async def do(self) -> None:
        """Deletes what has been kept long enough."""
        while True:
            pruned = await self._ledger.prune(
                ended_longer_ago_than=self._retention.ended,
                discarded_longer_ago_than=self._retention.discarded,
                limit=_LIMIT,
            )
            if pruned.jobs < _LIMIT and pruned.receipts < _LIMIT:
                return
