"""The worker as a whole: its lanes and all that keeps them going, from start to a clean end."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_common.supervision import BackgroundTasks
from kongflow_workerqueue.application.ports import ClaimedJob, WorkerLedger
from kongflow_workerqueue.worker.finisher import Finisher
from kongflow_workerqueue.worker.lane import Lane
from kongflow_workerqueue.worker.lease import WorkerLease
from kongflow_workerqueue.worker.suspects import Suspects

__all__ = ["QueueWorker"]

logger = logging.getLogger(__name__)

_LAST_WRITES_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class QueueWorker:
    """The parts of a worker. `helpers` are its other loops by name."""

    lanes: Sequence[Lane]
    suspects: Suspects
    lease: WorkerLease
    finisher: Finisher
    ledger: WorkerLedger
    helpers: Mapping[str, Callable[[], Awaitable[None]]]

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set.

        Then no job is taken any more, running calls are finished as far as the drain time allows,
        the rest is handed back without an attempt, and the lease is given up.
        """
        async with BackgroundTasks() as vital:
            # They outlive the lanes: what runs needs its lease, what has run is written down.
            _ = vital.supervise("lease", self.lease.run)
            _ = vital.supervise("finisher", self.finisher.run)
            async with BackgroundTasks() as tasks:
                for name, run in self.helpers.items():
                    _ = tasks.supervise(name, run)
                _ = tasks.supervise("suspects", self.suspects.run)
                for lane in self.lanes:
                    _ = tasks.supervise(f"lane {lane.queue}", lane.async_run)
                logger.info(
                    "working",
                    extra={"fields": {lane.queue: lane.max_jobs for lane in self.lanes}},
                )
                await stop.wait()
                logger.info("draining")
                given_up = await asyncio.gather(
                    self.suspects.drain(), *(lane.drain() for lane in self.lanes)
                )
            await self._end([job for jobs in given_up for job in jobs])
        logger.info("stopped")

    async def _end(self, given_up: Sequence[ClaimedJob]) -> None:
        for lane in self.lanes:
            await lane.close()
        try:
            async with asyncio.timeout(_LAST_WRITES_SECONDS):
                if given_up:
                    entries = [(job.id, job.turn) for job in given_up]
                    await self.ledger.hand_back(self.lease.worker_id, entries)
                await self.finisher.flushed()
                await self.lease.end()
        except (DependencyUnavailable, Contended, TimeoutError) as error:
            # The lease ends by itself, and what it covered is taken back.
            logger.warning("the last outcomes could not be written: %r", error)
