"""Finds what waits outside the windows and nobody spoke of, for all lanes of a worker at once."""

import asyncio
import logging
from collections.abc import Mapping

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.ports import WorkerLedger
from kongflow_workerqueue.worker.lane import Lane

__all__ = ["BacklogNet"]

logger = logging.getLogger(__name__)

_SECONDS = 1.0


class BacklogNet:
    """A word of a backlog may be lost, with Redis or with the worker that had it.

    So the ledger is asked once a second, in one statement: a look of each lane would cost an idle
    system as many.
    """

    def __init__(self, ledger: WorkerLedger, lanes: Mapping[str, Lane]) -> None:
        self._ledger = ledger
        self._lanes = lanes

    async def run(self) -> None:
        """Has lanes look where jobs wait, until cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            queues = [queue for queue, lane in self._lanes.items() if lane.room > 0]
            if not queues:
                continue
            try:
                found = await self._ledger.queues_with_waiting(queues)
            except (DependencyUnavailable, Contended) as error:
                logger.debug("what waits outside the windows is not known: %s", error)
                continue
            for queue in found:
                self._lanes[queue].wake_for_backlog()
