"""Enqueues what is due by the clock."""

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from kongflow_workerqueue.application.periodic_jobs import (
    DeclaredPeriodicJob,
    PeriodicLedger,
    Tick,
)
from kongflow_workerqueue.duties.duty import QueuesFilled

__all__ = ["TickPeriodicJobs"]

logger = logging.getLogger(__name__)

_LIMIT = 100


class TickPeriodicJobs:
    """Of the periodic jobs that this worker's targets declare.

    A moment that passed while nobody was there is made up for, but only the last of several. One
    that no target declares any more is left alone: its kind may be gone with it.
    """

    name = "tick_periodic_jobs"
    every = timedelta(seconds=1)

    def __init__(
        self,
        ledger: PeriodicLedger,
        declared: Sequence[DeclaredPeriodicJob],
        new_id: Callable[[], UUID],
        on_filled: QueuesFilled,
    ) -> None:
        self._ledger = ledger
        self._declared = declared
        self._new_id = new_id
        self._on_filled = on_filled
        self._names = [job.name for job in declared]
        self._is_written = False

    async def declare(self) -> None:
        """Writes the declared ones down."""
        now = await self._ledger.now()
        await self._ledger.declare([(job, job.schedule.next_after(now)) for job in self._declared])
        self._is_written = True

    async def do(self) -> None:
        """Enqueues a job for each moment that has come."""
        if not self._declared:
            return
        if not self._is_written:
            await self.declare()
        while True:
            due = await self._ledger.due(self._names, _LIMIT)
            ticks = [
                Tick(job.name, job.next_at, job.schedule.next_after(now), self._new_id())
                for job, now in due
            ]
            if ticks:
                filled = await self._ledger.tick(ticks)
                logger.info(
                    "periodic jobs", extra={"fields": {"names": [tick.name for tick in ticks]}}
                )
                self._on_filled(filled)
            if len(ticks) < _LIMIT:
                return
