"""Puts jobs into the window again that were admitted and never claimed."""

import logging
from collections.abc import Callable
from datetime import timedelta
from itertools import groupby
from operator import attrgetter

from kongflow_workerqueue.application.ports import MaintenanceLedger, Window, WindowUnavailable

__all__ = ["ReadmitStale"]

logger = logging.getLogger(__name__)

_OLDER_THAN = timedelta(seconds=3)
_LIMIT = 5_000


class ReadmitStale:
    """Redis was emptied, or a worker died between taking an entry out and claiming its job.

    An entry that is still in the window is not changed. While the window is away
    `ask_ledger` tells a queue's lane to do without.
    """

    name = "readmit_stale"
    every = timedelta(seconds=2)

    def __init__(
        self,
        ledger: MaintenanceLedger,
        window: Window,
        cap: int,
        ask_ledger: Callable[[str], None],
    ) -> None:
        self._ledger = ledger
        self._window = window
        self._cap = cap
        self._ask_ledger = ask_ledger

    async def do(self) -> None:
        """Puts the stale ones into the window."""
        stale = await self._ledger.readmit_stale(older_than=_OLDER_THAN, limit=_LIMIT)
        for queue, entries in groupby(stale, key=attrgetter("queue")):
            admitted = [each.entry for each in entries]
            try:
                await self._window.push(queue, admitted, cap=self._cap)
            except WindowUnavailable:
                logger.debug("queue %s has no window to put stale jobs into", queue)
                self._ask_ledger(queue)
