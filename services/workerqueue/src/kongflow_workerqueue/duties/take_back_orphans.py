"""Takes jobs back from workers whose lease has ended."""

import logging
from datetime import timedelta

from kongflow_workerqueue.application.ports import MaintenanceLedger
from kongflow_workerqueue.duties.duty import QueuesFilled

__all__ = ["TakeBackOrphans"]

logger = logging.getLogger(__name__)

_LIMIT = 1_000


class TakeBackOrphans:
    """Their next turn has a higher fencing token; no attempt is spent."""

    name = "take_back_orphans"
    every = timedelta(seconds=1)

    def __init__(self, ledger: MaintenanceLedger, on_filled: QueuesFilled) -> None:
        self._ledger = ledger
        self._on_filled = on_filled

    async def do(self) -> None:
        """Takes back all there are."""
        while True:
            taken = await self._ledger.take_back_orphans(_LIMIT)
            if taken:
                logger.warning(
                    "jobs were taken back from workers that are gone",
                    extra={"fields": {"jobs": taken}},
                )
                self._on_filled(taken)
            if sum(taken.values()) < _LIMIT:
                return
