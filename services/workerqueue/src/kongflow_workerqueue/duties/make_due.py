"""Makes waiting jobs available when their time has come."""

from datetime import timedelta

from kongflow_workerqueue.application.ports import MaintenanceLedger
from kongflow_workerqueue.duties.duty import QueuesFilled

__all__ = ["MakeDue"]

_LIMIT = 1_000


class MakeDue:
    """Scheduled jobs, retries, and what waits for its target."""

    name = "make_due"
    every = timedelta(milliseconds=250)

    def __init__(self, ledger: MaintenanceLedger, on_filled: QueuesFilled) -> None:
        self._ledger = ledger
        self._on_filled = on_filled

    async def do(self) -> None:
        """Makes everything available that is due."""
        while True:
            made = await self._ledger.make_due(_LIMIT)
            if made:
                self._on_filled(made)
            if sum(made.values()) < _LIMIT:
                return
