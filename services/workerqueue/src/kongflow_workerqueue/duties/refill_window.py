"""Keeps a queue's window filled from the ledger."""

import asyncio
import logging
from collections.abc import Callable

from kongflow_common.errors import Contended, DependencyUnavailable
from kongflow_workerqueue.application.ports import (
    Admitted,
    PopResult,
    PushResult,
    Window,
    WindowUnavailable,
    WorkerLedger,
)

__all__ = ["RefillWindow"]

logger = logging.getLogger(__name__)

_NET_SECONDS = 1.0
_AWAY_SECONDS = 1.0


class RefillWindow:
    """Admits a queue's first jobs when its window runs low and there may be more.

    Every worker does so for the queues that it serves: which of them runs low shows in its own
    pops. While the window is away `ask_ledger` has the lane do without.
    """

    def __init__(
        self,
        queue: str,
        ledger: WorkerLedger,
        window: Window,
        *,
        cap: int,
        ask_ledger: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._ledger = ledger
        self._window = window
        self._cap = cap
        self._ask_ledger = ask_ledger
        self._requested = asyncio.Event()
        self._backlog = True
        self._remaining = 0

    def note_pop(self, popped: PopResult) -> None:
        """Notes what a pop left in the window."""
        self._remaining = popped.remaining
        if len(popped.entries) + popped.remaining >= self._cap // 2:
            # It was so full that others may not have found room.
            self._backlog = True
        if self._backlog and popped.remaining < self._cap // 2:
            self._requested.set()

    def request(self) -> None:
        """Says that the queue has jobs which are not admitted yet."""
        self._requested.set()

    async def run(self) -> None:
        """Refills on request, and once a second, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(_NET_SECONDS):
                    await self._requested.wait()
            except TimeoutError:
                pass
            self._requested.clear()
            try:
                await self.fill()
            except (DependencyUnavailable, Contended) as error:
                logger.debug("queue %s is not refilled now: %s", self._queue, error)
                await asyncio.sleep(_AWAY_SECONDS)

    async def fill(self) -> None:
        """Admits as many jobs as there is room for."""
        room = max(self._cap - self._remaining, 1)
        entries = await self._ledger.admit(self._queue, room)
        # Environments have turns: fewer than there was room for need not have been all.
        self._backlog = bool(entries)
        if not entries:
            # A window that others emptied would keep this one from admitting much next time.
            self._remaining = 0
            return
        pushed = await self._push(entries)
        left_over = entries[pushed.accepted :]
        if left_over:
            self._backlog = True
            await self._ledger.withdraw([(entry.id, entry.turn) for entry in left_over])
        self._remaining = pushed.length

    async def _push(self, entries: list[Admitted]) -> PushResult:
        try:
            return await self._window.push(self._queue, entries, cap=self._cap)
        except WindowUnavailable:
            self._ask_ledger()
            return PushResult(accepted=0, length=0)
