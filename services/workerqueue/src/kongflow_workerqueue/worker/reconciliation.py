"""Finds jobs that the ledger takes for running here and that this worker does not know of."""

import asyncio
import logging
from uuid import UUID

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.oversight import Oversight
from kongflow_workerqueue.application.ports import WorkerLedger
from kongflow_workerqueue.worker.finisher import Finisher
from kongflow_workerqueue.worker.lease import WorkerLease

__all__ = ["Reconciliation"]

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 2.0


class Reconciliation:
    """Hands back what a claim took whose answer never arrived.

    The connection to PostgreSQL may break between the commit and the answer. Such jobs run under
    a living lease, so nobody else takes them back.
    """

    def __init__(
        self, oversight: Oversight, ledger: WorkerLedger, lease: WorkerLease, finisher: Finisher
    ) -> None:
        self._oversight = oversight
        self._ledger = ledger
        self._lease = lease
        self._finisher = finisher
        self._suspects: frozenset[tuple[UUID, int]] = frozenset()

    async def run(self) -> None:
        """Looks every two seconds until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            try:
                await self.look()
            except (DependencyUnavailable, Contended) as error:
                logger.debug("no reconciliation now: %s", error)

    async def look(self) -> int:
        """Hands back what two looks in a row have found; returns how many jobs."""
        worker_id = self._lease.worker_id
        running = await self._oversight.running(worker_id)
        # The answer to a claim may be on its way: only what is unknown twice is lost.
        unknown = frozenset(
            (job_id, turn) for job_id, turn in running if not self._finisher.knows(job_id, turn)
        )
        lost = unknown & self._suspects
        self._suspects = unknown - lost
        if not lost:
            return 0
        logger.warning(
            "claimed jobs never arrived; they are handed back",
            extra={"fields": {"jobs": len(lost)}},
        )
        return await self._ledger.hand_back(worker_id, sorted(lost))
